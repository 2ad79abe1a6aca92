"""Heels and foot tips through refinement: each step treats them as it treats the joints, and ankles have angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from refine_scene import Scene, make_scene

from fixtures.feet import facing, put_on_feet
from posemamba.demo.walker import walk
from posemamba.poses import NetworkPoses, Poses3D
from posemamba.poses.keypoints import Feet2D
from posemamba.poses.skeletons import FEET_ANKLES
from posemamba.refine.angles import joint_angles
from posemamba.refine.bones import steady_bones
from posemamba.refine.feet import steady_feet
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import scale
from posemamba.refine.smooth import Method, smooth
from posemamba.refine.upright import upright

ANKLES = list(FEET_ANKLES)


def filmed(dorsiflexion: float = 0.0, **options: float) -> tuple[Scene, NetworkPoses, NDArray, NDArray]:
    """A walk with feet: the scene, its exact poses, and the true feet in the camera's frame and in the world."""
    scene = make_scene(120, **options)  # type: ignore[arg-type]
    camera = put_on_feet(scene.camera_xyz, facing(scene.camera_xyz), dorsiflexion)
    world = put_on_feet(scene.world, facing(scene.world), dorsiflexion)
    keypoints = scene.poses.keypoints
    width, height = keypoints.image_size
    focal = float(np.median((keypoints.xy[..., 0] - width / 2) * scene.camera_xyz[..., 2] / scene.camera_xyz[..., 0]))
    xy = focal * camera[..., :2] / camera[..., 2:] + [width / 2, height / 2]
    root = scene.camera_xyz[:, :1, 2:]
    xyz = np.concatenate([xy - keypoints.xy[:, :1], focal * (camera[..., 2:] - root) / root], -1)
    keypoints = replace(keypoints, feet=Feet2D(xy, np.ones(xy.shape[:2])))
    return scene, replace(scene.poses, keypoints=keypoints, feet=xyz.astype(np.float32)), camera, world


def test_scale_path_and_world_put_feet_where_they_are() -> None:
    """The whole way from pixels to the world, from exact poses."""
    scene, poses, camera, world = filmed(8.0, pitch=15.0, fov=60.0)
    motion = root_path(scale(Poses3D.raw(poses), scene.body_length / 0.97))
    shank = np.linalg.norm(scene.camera_xyz[:, 2] - scene.camera_xyz[:, 3], axis=-1).mean()
    assert motion.feet is not None
    joints = np.linalg.norm(motion.xyz[:, ANKLES] - scene.camera_xyz[:, ANKLES], axis=-1)
    feet = np.linalg.norm(motion.feet - camera, axis=-1)
    assert feet.mean() < 1.1 * joints.mean() + 0.002
    offset = (motion.feet - motion.xyz[:, ANKLES]) - (camera - scene.camera_xyz[:, ANKLES])
    assert np.linalg.norm(offset, axis=-1).max() < 0.03 * shank
    turned = upright(motion, 15.0)
    assert turned.feet is not None
    apart = (turned.feet - turned.xyz[:, ANKLES]) - (world - scene.world[:, ANKLES])
    assert np.linalg.norm(apart, axis=-1).max() < 0.03 * shank


@pytest.mark.parametrize("method", ["butterworth", "savitzky-golay", "one-euro"])
def test_smoothing_treats_a_foot_as_a_joint(method: Method) -> None:
    _, poses, _, _ = filmed()
    noisy = poses.xyz + np.random.default_rng(0).normal(0, 3, poses.xyz.shape).astype(np.float32)
    motion = replace(Poses3D.raw(poses), xyz=noisy, feet=noisy[:, ANKLES].copy())
    motion.feet[40:43, 1] = np.nan
    done = smooth(motion, method)
    assert done.feet is not None
    np.testing.assert_allclose(done.feet[:, [0, 2, 3]], done.xyz[:, [3, 6, 6]], atol=1e-4)
    assert np.isnan(done.feet[40:43, 1]).all() and np.isfinite(np.delete(done.feet[:, 1], range(40, 43), 0)).all()
    np.testing.assert_allclose(done.feet[:25, 1], done.xyz[:25, 3], atol=0.5)


def test_steady_bones_keep_feet_attached_and_of_one_length() -> None:
    _, poses, _, _ = filmed()
    noise = np.random.default_rng(1).normal(0, 4, poses.feet.shape)  # type: ignore[union-attr]
    motion = scale(replace(Poses3D.raw(poses), feet=(poses.feet + noise).astype(np.float32)), 1.7)
    done = steady_bones(motion)
    assert done.feet is not None and motion.feet is not None
    for ankle, heel, toe in ((3, 0, 1), (6, 2, 3)):
        for start, end in ((done.xyz[:, ankle], done.feet[:, heel]), (done.feet[:, heel], done.feet[:, toe])):
            length = np.linalg.norm(end - start, axis=-1)
            assert np.ptp(length) < 1e-5 * length.mean() + 1e-6
        before, after = motion.feet[:, toe] - motion.feet[:, heel], done.feet[:, toe] - done.feet[:, heel]
        assert np.linalg.norm(np.cross(before, after), axis=-1).max() < 1e-5  # directions stay
    left = np.linalg.norm(done.feet[0, 3] - done.feet[0, 2])
    assert left == pytest.approx(np.linalg.norm(done.feet[0, 1] - done.feet[0, 0]), rel=1e-5)


def standing(frames: int = 100) -> Poses3D:
    """Somebody who stands, 5 m away, with feet that shake at the ankle, of which the picture shows nothing."""
    body = np.repeat(walk(1, 50, seed=0).astype(float), frames, 0)
    scene = make_scene(body=body)
    feet = put_on_feet(scene.camera_xyz, facing(scene.camera_xyz))
    focal = 1920 / 2 / np.tan(np.radians(60) / 2)
    xy = focal * feet[..., :2] / feet[..., 2:] + [960, 540]
    poses = replace(scene.poses, keypoints=replace(scene.poses.keypoints, feet=Feet2D(xy, np.ones(xy.shape[:2]))))
    shaken = put_on_feet(scene.camera_xyz, facing(scene.camera_xyz), 6 * np.sin(np.arange(frames) / 5))
    motion = Poses3D(
        scene.camera_xyz.astype(np.float32),
        poses.seen,
        "metre",
        "camera",
        True,
        replace(poses, feet=feet.astype(np.float32)),
        feet=shaken.astype(np.float32),
    )
    return motion


def test_standing_feet_are_held_without_a_change_of_length() -> None:
    motion = standing()
    done = steady_feet(motion)
    assert done.feet is not None and motion.feet is not None
    shake = [np.linalg.norm(f - f.mean(0), axis=-1).mean() for f in (motion.feet, done.feet)]
    assert shake[1] < 0.3 * shake[0]
    for ankle, heel in ((3, 0), (6, 2)):
        for before, after in (
            (motion.feet[:, heel] - motion.xyz[:, ankle], done.feet[:, heel] - done.xyz[:, ankle]),
            (motion.feet[:, heel + 1] - motion.feet[:, heel], done.feet[:, heel + 1] - done.feet[:, heel]),
        ):
            np.testing.assert_allclose(np.linalg.norm(before, axis=-1), np.linalg.norm(after, axis=-1), atol=1e-5)
    assert done.steps[-1].report["heel_and_toe_stances"] == 4


def test_a_motion_without_feet_stays_without() -> None:
    scene, poses, _, _ = filmed()
    motion = Poses3D.raw(scene.poses)
    for step in (smooth, lambda m: scale(m, 1.7), root_path, steady_bones, steady_feet, lambda m: upright(m, 0.0)):
        motion = step(motion)
        assert motion.feet is None
    assert not any("ankle" in name or "foot" in name for name in joint_angles(motion))
    with_feet = Poses3D.raw(poses)
    for step in (smooth, lambda m: scale(m, 1.7), root_path, steady_bones, steady_feet, lambda m: upright(m, 0.0)):
        with_feet = step(with_feet)
    np.testing.assert_array_equal(with_feet.xyz, motion.xyz)  # feet do not change the joints


def test_ankle_angles_are_those_of_the_feet() -> None:
    body = walk(150, 50, seed=3, radius=50.0).astype(float)
    bent = np.linspace(-40, 25, 150)
    feet = put_on_feet(body, facing(body), bent).astype(np.float32)
    poses = make_scene(body=body, distance=120).poses  # all joints in the picture
    feet[7, 2] = np.nan
    motion = Poses3D(body.astype(np.float32), poses.seen, "metre", "world", True, poses, feet=feet)
    angles = joint_angles(motion)
    np.testing.assert_allclose(angles["right_ankle_dorsiflexion"], bent, atol=1e-3)
    left = angles["left_ankle_dorsiflexion"]
    assert np.isnan(left[7])
    np.testing.assert_allclose(np.delete(left, 7), np.delete(bent, 7), atol=1e-3)


def test_feet_that_point_outwards_have_positive_progression() -> None:
    body = walk(150, 50, seed=3, radius=200.0).astype(float)
    ahead = facing(body) * [1, 1, 0]
    for side, (heel, toe) in {"right": (0, 1), "left": (2, 3)}.items():
        turn = np.radians(20 if side == "left" else -20)  # about z, to the person's left
        out = np.stack(
            [
                np.cos(turn) * ahead[:, 0] - np.sin(turn) * ahead[:, 1],
                np.sin(turn) * ahead[:, 0] + np.cos(turn) * ahead[:, 1],
                0 * ahead[:, 0],
            ],
            -1,
        )
        feet = np.repeat(body[:, :1], 4, 1)
        feet[:, toe] = feet[:, heel] + 0.2 * out
        poses = make_scene(body=body, distance=500).poses  # all joints in the picture
        motion = Poses3D(
            body.astype(np.float32), poses.seen, "metre", "world", True, poses, feet=feet.astype(np.float32)
        )
        angle = joint_angles(motion)[f"{side}_foot_progression"]
        assert np.nanmean(angle) == pytest.approx(20, abs=4) and np.isfinite(angle[40:110]).all()
    still = replace(motion, xyz=np.repeat(motion.xyz[:1], 150, 0))
    assert np.isnan(joint_angles(still)["left_foot_progression"]).all()
