"""Heels and foot tips: their depth on feet of known shape, from all sides and mirrored, and where something is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.feet import facing, put_on_feet
from posemamba.demo.walker import walk
from posemamba.lifting.feet import foot_depths, lift_feet
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import Feet2D
from posemamba.poses.skeletons import FEET_ANKLES, FEET_MIRRORED, H36M17

ANKLES = list(FEET_ANKLES)


def seen_from(azimuth: float, dorsiflexion: float | NDArray[np.floating] = 5.0) -> tuple[NDArray, NDArray]:
    """A walk straight ahead in the axes of a far camera, degrees from the front: (F, 17, 3) and feet (F, 4, 3)."""
    body = walk(80, 50, seed=1, radius=50.0).astype(float)
    body -= body[:, :1]
    ahead = facing(body).mean(0)
    turn = np.arctan2(ahead[1], ahead[0]) + np.radians(azimuth)
    away = np.array([-np.cos(turn), -np.sin(turn), 0])
    axes = np.stack([np.cross(away, [0, 0, 1.0]), [0, 0, -1.0], away])
    xyz = 200 * body @ axes.T  # pixels
    return xyz, put_on_feet(xyz, facing(xyz), dorsiflexion)


def offsets_of(xyz: NDArray, feet: NDArray) -> NDArray:
    return (feet - xyz[:, ANKLES])[..., :2]


@pytest.mark.parametrize("azimuth", [0, 45, 90, 135, 180, 270], ids=lambda a: f"{a} degrees from the front")
def test_depth_of_a_known_foot(azimuth: float) -> None:
    xyz, feet = seen_from(azimuth)
    shank = np.median(np.linalg.norm(xyz[:, 2] - xyz[:, 3], axis=-1))
    true = (feet - xyz[:, ANKLES])[..., 2]
    error = np.abs(foot_depths(xyz, offsets_of(xyz, feet)) - true) / shank
    assert error.mean() < 0.06 and np.percentile(error, 95) < 0.15
    if azimuth in (0, 180):  # toes come nearer, or go away, by nearly the whole foot
        assert (true[:, 1] * (1 if azimuth else -1)).mean() > 0.35 * shank


def test_a_mirrored_picture_has_mirrored_feet() -> None:
    xyz, feet = seen_from(30)
    depth = foot_depths(xyz, offsets_of(xyz, feet))
    other = (xyz * [-1, 1, 1])[:, list(H36M17.mirrored)]
    flipped = offsets_of(xyz, feet)[:, list(FEET_MIRRORED)] * [-1, 1]
    np.testing.assert_allclose(foot_depths(other, flipped)[:, list(FEET_MIRRORED)], depth, rtol=0, atol=1e-9)


def test_unit_does_not_matter_and_the_ankle_angle_shows() -> None:
    bent = np.linspace(-30, 25, 80)
    xyz, feet = seen_from(60, bent)
    depth = foot_depths(xyz, offsets_of(xyz, feet))
    np.testing.assert_allclose(foot_depths(0.004 * xyz, 0.004 * offsets_of(xyz, feet)), 0.004 * depth, atol=1e-9)
    placed = np.concatenate([offsets_of(xyz, feet), depth[..., None]], -1)
    for heel, toe, knee, ankle in ((0, 1, 2, 3), (2, 3, 5, 6)):
        sole, shank = placed[:, toe] - placed[:, heel], xyz[:, knee] - xyz[:, ankle]
        cosine = (sole * shank).sum(-1) / np.linalg.norm(sole, axis=-1) / np.linalg.norm(shank, axis=-1)
        assert np.abs(np.degrees(np.arcsin(cosine)) - bent).mean() < 6


def test_what_was_not_found_stays_unknown_alone() -> None:
    xyz, feet = seen_from(45)
    given = offsets_of(xyz, feet)
    whole = foot_depths(xyz, given)
    given[10, 1] = np.nan  # a toe: its heel is placed without it
    xyz = xyz.copy()
    xyz[20] = np.nan
    depth = foot_depths(xyz, given)
    assert np.isnan(depth[10]).tolist() == [False, True, False, False] and np.isnan(depth[20]).all()
    rest = np.delete(np.arange(80), [10, 20])
    np.testing.assert_allclose(depth[rest], whole[rest], atol=1e-9)
    assert abs(depth[10, 0] - whole[10, 0]) < 10
    assert np.isnan(foot_depths(np.full_like(xyz, np.nan), given)).all()


def test_feet_hang_at_the_lifted_ankles_as_in_the_picture() -> None:
    xyz, feet = seen_from(120)
    moved = np.array([400.0, 300.0])
    keypoints = Keypoints2D(xyz[..., :2] + moved, np.ones(xyz.shape[:2]), H36M17, (800, 600), 50.0)
    assert lift_feet(xyz, keypoints) is None
    keypoints.xy[5, 3] = np.nan
    flat = Feet2D(feet[..., :2] + moved, np.ones(feet.shape[:2]))
    aside = np.array([3.0, 0, 0])
    lifted = lift_feet(xyz + aside, replace(keypoints, feet=flat))  # the lifter moved the ankles by 3 pixels
    assert lifted is not None and lifted.dtype == np.float32
    assert np.isnan(lifted[5, :2]).all() and np.isfinite(lifted[5, 2:]).all()
    lifted[5] = feet[5] + aside
    np.testing.assert_allclose(lifted[..., :2], feet[..., :2] + aside[:2], atol=1e-3)
