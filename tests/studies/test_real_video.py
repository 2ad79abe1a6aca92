"""Scores against a reference whose errors are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from studies.real_video import SCORED, View, pixel_errors, view_errors

from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17
from studies import real_video


def view(frames: int = 12) -> View:
    random = np.random.default_rng(0)
    xyz = random.normal(0, 0.4, (frames, 17, 3)) + np.array([0, 0, 4])
    valid = np.ones((frames, 17), bool)
    valid[:, 10] = False
    valid[3, 5] = False
    xyz[:, 10] = np.nan
    return View(xyz, valid, np.array([[900.0, 0, 500], [0, 950, 300], [0, 0, 1]]), np.array([-0.1, 0.02, 1e-3, -2e-3]))


def test_the_truth_in_another_unit_has_no_error() -> None:
    true = view()
    np.testing.assert_allclose(view_errors(700 * true.xyz + 30, true), 0, atol=1e-9)


def test_a_lean_counts_in_p1_alone_and_depth_is_told_apart() -> None:
    true = view()
    turned = true.xyz @ Rotation.from_euler("x", 20, degrees=True).as_matrix()
    p1, p2, _ = view_errors(turned, true)
    assert p1 > 50 and p2 < 1e-9
    wrong = true.xyz.copy()
    wrong[:, [3, 6], 2] += 0.2  # two of the scored joints lie 200 mm too far away; joint 5 of frame 3 is not scored
    p1, p2, depth = view_errors(wrong, true)
    expected = 200 * 2 * 12 / (len(SCORED) * 12 - 1)
    assert depth == pytest.approx(expected, rel=0.1) and p1 == pytest.approx(expected, rel=0.2) and p2 > 5


def test_pixels_are_of_the_bent_picture_and_only_of_joints_that_are_known() -> None:
    true = view()
    xy = true.project()
    keypoints = Keypoints2D(np.nan_to_num(xy) + np.array([3, 4]), np.ones((12, 17)), H36M17, (1000, 600), 25.0)
    errors = pixel_errors(
        Poses3D.raw(NetworkPoses(true.xyz.astype(np.float32), keypoints.confidence, keypoints.seen, keypoints)), true
    )
    np.testing.assert_allclose(errors[np.isfinite(errors)], 5, atol=1e-3)
    assert np.argwhere(np.isnan(errors)).tolist() == [[3, SCORED.index(5)]]
    straight = true.xyz[..., :2] / true.xyz[..., 2:] * [900, 950] + [500, 300]
    assert np.nanmax(np.abs(xy - straight)) > 1


def test_missing_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert real_video.main([str(tmp_path)]) == 2
    assert "no videos/*.mp4" in capsys.readouterr().err
