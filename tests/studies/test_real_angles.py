"""Lenses undone and points triangulated, against projections by formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from studies.real_video import View

from studies import real_angles


def test_rays_of_several_lenses_meet_where_the_points_are() -> None:
    random = np.random.default_rng(0)
    world = random.normal(0, 0.4, (6, 4, 3))
    flat, cameras = [], []
    for turn in (0, 80, 200):
        R, t = Rotation.from_euler("y", turn, degrees=True).as_matrix(), np.array([0.1, 0.2, 4])
        K, dist = np.array([[900.0, 0, 500], [0, 950, 300], [0, 0, 1]]), np.array([-0.1, 0.02, 1e-3, -2e-3])
        view = View(world @ R.T + t, np.ones((6, 4), bool), K, dist)
        flat.append(real_angles.undistorted(view.project(), view))
        np.testing.assert_allclose(flat[-1], view.xyz[..., :2] / view.xyz[..., 2:], atol=1e-6)
        cameras.append((R, t))
    flat[1][2, 3] = np.nan  # not found in one view
    np.testing.assert_allclose(real_angles.triangulated(flat, cameras), world, atol=1e-5)


def test_missing_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert real_angles.main([str(tmp_path)]) == 2
    assert "no videos/*.mp4" in capsys.readouterr().err
