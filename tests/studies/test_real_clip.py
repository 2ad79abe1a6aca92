"""Scores of real views against known errors, and the straight figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemamba.demo.walker import walk
from posemamba.poses.virtual_camera import focal_length
from posemamba.utils.errors import PoseMambaError
from studies import real_clip as study


def reference() -> np.ndarray:
    return np.asarray(walk(20, 50.0, seed=3), np.float64)


def test_size_and_place_do_not_count_and_planted_errors_are_found() -> None:
    ref, valid = reference(), np.ones((20, 17), bool)
    valid[3:7, 2] = False
    wrong = ref.copy()
    wrong[3:7, 2] = 9
    perfect = study.score(0.5 * wrong + [3, 2, 1], ref, valid)
    assert max(abs(x) for x in vars(perfect).values()) < 1e-4
    off = ref.copy()
    off[:, 16, 2] += 0.14  # a wrist, one of 14 joints, along the axis
    found = study.score(off, ref, np.ones((20, 17), bool))
    assert 9.9 < found.p1 < 13 and 9.9 < found.depth < 13  # the scale that fits it moves the others
    assert found.p2 > 1 and found.knees < 1e-6 < found.elbows
    bent = study.bend(off, study.ELBOWS[1]) - study.bend(ref, study.ELBOWS[1])
    assert found.elbow_bias == pytest.approx(bent.mean() / 2, abs=1e-6)


def test_a_limb_is_bent_by_the_angle_between_its_bones() -> None:
    xyz = np.zeros((2, 17, 3))
    xyz[:, 2], xyz[0, 3], xyz[1, 3] = [0, 1, 0], [0, 3, 0], [1, 2, 0]
    np.testing.assert_allclose(study.bend(xyz, study.KNEES[0]), [0, 45], atol=1e-5)


@pytest.mark.parametrize("pitch", study.PITCHES)
def test_the_straight_figure_is_straight_and_seen_as_it_stands(pitch: int) -> None:
    keypoints, xyz = study.straight_figure(1.5, pitch, facing=30)
    assert max(study.bend(xyz, limb)[0] for limb in (*study.KNEES, *study.ELBOWS)) < 8
    assert max(study.bend(xyz, limb)[0] for limb in study.KNEES) < 1e-4
    seen = xyz[0, :, :2] / xyz[0, :, 2:] * focal_length((1920, 1080)) + [960, 540]
    np.testing.assert_allclose(keypoints.xy[40], seen, atol=1e-3)
    leg = np.linalg.norm(xyz[0, 1] - xyz[0, 3])
    assert leg == pytest.approx(1.5 * np.linalg.norm(xyz[0, 8] - xyz[0, 0]))
    up = xyz[0, 8] - xyz[0, 0]  # a camera that looks down sees the head nearer than the feet
    assert np.degrees(np.arctan2(-up[2], -up[1])) == pytest.approx(pitch)
    across = xyz[0, 4] - xyz[0, 1]
    assert abs(across @ up) < 1e-9 and np.linalg.norm(across) == pytest.approx(0.18)


def test_views_that_are_none_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "cam.npz", ref=np.zeros((2, 17, 3)))
    with pytest.raises(PoseMambaError, match=r"cam.npz or .*lm.npz: no view with landmarks"):
        study.read_view(tmp_path / "cam.npz", tmp_path / "lm.npz")
    with pytest.raises(PoseMambaError, match="no view with landmarks"):
        study.read_view(tmp_path / "cam.npz", tmp_path / "cam.npz")


@pytest.mark.slow
def test_the_study_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keypoints, xyz = study.straight_figure(1.5, 0)
    lm = np.zeros((81, 33, 5))
    order = {11: 11, 12: 14, 13: 12, 14: 15, 15: 13, 16: 16, 23: 4, 24: 1, 25: 5, 26: 2, 27: 6, 28: 3}
    for landmark in range(33):
        lm[:, landmark, :2] = keypoints.xy[:, order.get(landmark, 9)]
    lm[..., 3] = 1
    for folder in ("ref", "lm"):
        (tmp_path / folder).mkdir()
    np.savez(tmp_path / "lm" / "one.npz", lm=lm)
    ref, valid = np.tile(xyz, (81, 1, 1)), np.ones((81, 17), bool)
    np.savez(tmp_path / "ref" / "one.npz", ref=ref, valid=valid, width=1920, height=1080, fps=50.0)
    folders = ["--reference", str(tmp_path / "ref"), "--landmarks", str(tmp_path / "lm")]
    assert study.main(["posemamba-s", "--no-flip", *folders]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert "P1" in head and row.startswith("| posemamba-s |") and head.count("|") == row.count("|")
    assert float(row.split("|")[2]) < 120
