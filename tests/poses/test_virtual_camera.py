from __future__ import annotations

import numpy as np
import pytest

from posemamba.poses.virtual_camera import (
    VirtualCamera,
    focal_length,
    level_roll,
    look_along,
    look_at_joints,
    roll_of,
)

CENTRE = np.array([960.0, 540.0])


def project(xyz: np.ndarray, focal: float) -> np.ndarray:
    return xyz[..., :2] / xyz[..., 2:] * focal + CENTRE


def body(seed: int = 0, at: tuple[float, float, float] = (1.8, -0.7, 4.0)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.4, (12, 17, 3)) + at


def test_the_turned_picture_is_that_of_the_turned_body() -> None:
    xyz = body()
    camera = look_at_joints(project(xyz, 1400), 1400, CENTRE)
    assert np.allclose(camera.see(project(xyz, 1400)), project(xyz @ camera.rotation.T, 1400), atol=1e-8)
    assert np.allclose(camera.turn(xyz), xyz @ camera.rotation.T)


def test_all_comes_back() -> None:
    xyz = body()
    xy = project(xyz, 1400)
    camera = look_at_joints(xy, 1400, CENTRE, roll=0.3)
    assert np.allclose(camera.unsee(camera.see(xy)), xy, atol=1e-7)
    assert np.allclose(camera.turn_back(camera.turn(xyz)), xyz)
    assert np.allclose(camera.rotation @ camera.rotation.T, np.eye(3)) and np.linalg.det(camera.rotation) > 0.999


@pytest.mark.parametrize("focal", [800.0, 1400.0, 3000.0])
def test_it_looks_at_the_joints_that_are_seen(focal: float) -> None:
    xy = project(body(), 1400)
    weights = np.ones(xy.shape[:2])
    weights[:, 3] = 0
    xy[:, 3] = [-5000, 9000]  # a joint that was not found may be anywhere
    xy[2, 5] = np.nan
    seen = look_at_joints(xy, focal, CENTRE, weights).see(xy)[:, [j for j in range(17) if j != 3]]
    assert np.abs(np.nanmean(seen, (0, 1)) - CENTRE).max() < 0.03 * focal
    assert np.isnan(seen[2, 4]).all() and np.isnan(seen).sum() == 2


def test_the_rotation_is_the_smallest_and_adds_no_roll() -> None:
    direction = np.array([0.5, 0.3, 1.2])
    rotation = look_along(direction)
    assert np.allclose(rotation @ direction, [0, 0, np.linalg.norm(direction)])
    angle = np.arccos((np.trace(rotation) - 1) / 2)
    assert np.isclose(angle, np.arccos(direction[2] / np.linalg.norm(direction)))
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    assert abs(axis[2]) < 1e-12 and np.allclose(axis @ direction, 0)
    assert np.allclose(look_along([0, 0, 2]), np.eye(3))


def test_roll_is_taken_out() -> None:
    for lean in (-0.5, 0.2, 1.4):
        up = np.array([np.sin(lean), -np.cos(lean), 0])  # where up is in the picture of the rolled camera
        assert np.allclose(look_along([0, 0, 1], roll_of(up)) @ up, [0, -1, 0])
    assert roll_of([0, -1]) == 0


def test_joints_far_beside_the_axis_are_not_in_the_picture() -> None:
    camera = VirtualCamera(look_along([2.0, 0, 1]), 1000.0, CENTRE)  # turned by 63 degrees
    seen = camera.see([[960 + 2000.0, 540], [960.0, 540], [960 - 500.0, 540], [960 - 5000.0, 540]])
    assert np.allclose(seen[0], CENTRE) and np.isfinite(seen[1]).all() and np.isnan(seen[2:]).all()


def test_nothing_seen_leaves_the_camera_as_it_is() -> None:
    assert np.array_equal(look_at_joints(np.full((3, 17, 2), np.nan), 1000, CENTRE).rotation, np.eye(3))


def test_directions_that_no_camera_sees_are_refused() -> None:
    for bad in ([0, 0, -1], [1, 0, 0], [np.nan, 0, 1]):
        with pytest.raises(ValueError, match="in front of the camera"):
            look_along(bad)


def test_the_guessed_focal_length_is_along_the_longer_side() -> None:
    assert np.isclose(focal_length((1920, 1080), 90), 960) and np.isclose(focal_length((1080, 1920), 90), 960)
    assert np.isclose(focal_length((1920, 1080)), 960 / np.tan(np.deg2rad(27.5)))


def test_many_directions_at_once_are_as_one_by_one() -> None:
    random = np.random.default_rng(5)
    direction, roll = random.normal(size=(4, 7, 3)), random.uniform(-3, 3, (4, 7))
    direction[..., 2] = np.abs(direction[..., 2]) + 0.1
    rotation = look_along(direction, roll)
    assert np.allclose(rotation @ rotation.swapaxes(-1, -2), np.eye(3), atol=1e-14)
    levels = level_roll(direction, 0.4)
    for at in np.ndindex(4, 7):
        assert np.array_equal(rotation[at], look_along(direction[at], roll[at]))
        assert levels[at] == level_roll(direction[at], 0.4)
    direction[2, 3, 2] = -1
    with pytest.raises(ValueError, match="in front of the camera"):
        look_along(direction)
