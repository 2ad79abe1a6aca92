"""Angles of a reference's feet, against a foot by formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fixtures.command_line import keypoints
from posemamba.evaluate.views.cameras import Camera
from posemamba.poses import Feet2D, NetworkPoses, Poses3D
from studies import real_angles


def test_feet_are_triangulated_from_the_views() -> None:
    feet = np.random.default_rng(0).normal(0, 0.4, (12, 4, 3))
    cameras, lifted = [], []
    seen = keypoints(12)
    network = NetworkPoses(np.ones((12, 17, 3), np.float32), seen.confidence, np.ones(12, bool), seen)
    poses = Poses3D.raw(network)
    for turn in (0, 80, 200):
        rotation = Rotation.from_euler("y", turn, degrees=True).as_matrix()
        matrix = np.array([[900.0, 0, 960], [0, 950, 540], [0, 0, 1]])
        lens = np.array([-0.1, 0.02, 1e-3, -2e-3])
        cameras.append(Camera(f"{turn}", (1920, 1080), matrix, lens, rotation, np.array([0.1, 0.2, 4])))
        xy = cameras[-1].project(cameras[-1].to_camera(feet)).astype(np.float32)
        with_feet = replace(seen, feet=Feet2D(xy, np.ones((12, 4), np.float32)))
        lifted.append(replace(poses, network=replace(network, keypoints=with_feet)))
    found = real_angles._feet(lifted, cameras)
    assert found is not None
    np.testing.assert_allclose(found, feet, atol=1e-4)
    assert real_angles._feet([poses], cameras[:1]) is None


def test_missing_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert real_angles.main([str(tmp_path)]) == 2
    assert "no videos/*.mp4" in capsys.readouterr().err
