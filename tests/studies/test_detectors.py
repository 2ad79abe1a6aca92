"""Faults of keypoints that are visible without the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17
from studies import detectors

STANDING = np.array(
    [
        *((0, 0), (-10, 0), (-11, 45), (-12, 90), (10, 0), (11, 45), (12, 90), (0, -25), (0, -52), (0, -62), (0, -75)),
        *((17, -50), (22, -20), (25, 5), (-17, -50), (-22, -20), (-25, 5)),
    ],
    float,
)  # fmt: skip


def standing(frames: int = 60) -> NDArray[np.floating]:
    """(F, 17, 2) pixels: a body that moves slowly to the right."""
    xy = 4 * np.repeat(STANDING[None], frames, 0) + [300, 400]
    xy[..., 0] += np.arange(frames)[:, None]
    return xy


def keypoints(xy: NDArray[np.floating]) -> Keypoints2D:
    return Keypoints2D(xy, np.isfinite(xy).all(-1).astype(np.float32), H36M17, (1280, 720), 30.0)


def test_a_steady_body_has_no_faults() -> None:
    assert detectors.steadiness(keypoints(standing())) == detectors.Steadiness(0, 0, 0, pytest.approx(0, abs=0.01), 0)


def test_each_planted_fault_is_counted_alone() -> None:
    lost, swapped, jumped = standing(), standing(), standing()
    lost[20:23] = np.nan
    swapped[30:35, [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]] = swapped[
        30:35, [4, 5, 6, 1, 2, 3, 14, 15, 16, 11, 12, 13]
    ]
    jumped[40:, :, 0] += 900
    assert [
        (s.lost, s.jumps, s.swaps) for s in (detectors.steadiness(keypoints(xy)) for xy in (lost, swapped, jumped))
    ] == [
        (3, 0, 0),
        (0, 0, 2),  # there and back
        (0, 1, 0),
    ]


def test_jitter_is_in_thousandths_of_the_body() -> None:
    shaken = standing(400)
    size = float((shaken[0].max(0) - shaken[0].min(0)).max())
    shaken[::2, :, 1] += 0.01 * size
    assert detectors.steadiness(keypoints(shaken)).jitter == pytest.approx(20, rel=0.02)  # second differences of +-1 %


def test_a_missing_video_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    assert detectors.main([str(tmp_path / "none.mp4")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
