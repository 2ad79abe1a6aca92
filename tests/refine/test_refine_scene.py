"""Scale, the root's path, the upright world and angles, against a scene that is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refine_scene import Scene, make_scene

from posemamba.poses import NetworkPoses, Poses3D
from posemamba.poses.curves import fit_curve
from posemamba.refine.angles import joint_angles
from posemamba.refine.metres import to_metres
from posemamba.refine.refinement import RefineOptions, refine
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import BODY_LENGTH, TYPICAL_HEIGHT, scale
from posemamba.refine.upright import upright
from posemamba.utils.errors import PoseMambaError

STIFFLESS = 1000.0  # hertz: nothing is smoothed, so that only the equations are tested


def height_of(scene: Scene) -> float:
    return scene.body_length / BODY_LENGTH


def exact_path(scene: Scene) -> Poses3D:
    metric = scale(Poses3D.raw(scene.poses), height_of(scene), cutoff=STIFFLESS)
    return root_path(metric, cutoff=STIFFLESS, depth_cutoff=STIFFLESS)


@pytest.mark.parametrize(("fov", "distance"), [(60.0, 5.0), (95.0, 2.6), (25.0, 12.0)])
def test_the_path_of_an_exact_scene_is_exact(fov: float, distance: float) -> None:
    scene = make_scene(60, fov=fov, distance=distance, pitch=12, roll=-4)
    motion = exact_path(scene)
    off = np.linalg.norm(motion.xyz - scene.camera_xyz, axis=-1)
    assert off.max() < 1e-4 * distance  # float32 input
    report = motion.steps[-1].report
    assert report["reprojection_rms_px"] < 0.01 and not motion.steps[-1].estimate
    assert (motion.units, motion.frame, motion.absolute) == ("metre", "camera", True)


def test_one_frame() -> None:
    scene = make_scene(1, pitch=20)
    assert np.abs(exact_path(scene).xyz - scene.camera_xyz).max() < 1e-3
    whole = refine(to_metres(scene.poses), RefineOptions(smooth="default", height_m=1.7, camera_pitch=20))
    assert np.isfinite(whole.xyz).all() and [s.name for s in whole.steps] == ["scale", "root_path", "smooth", "upright"]
    assert whole.steps[0].parameters["height_m"] == 1.7 and not whole.steps[0].estimate


def test_the_path_survives_noise_lost_joints_and_outliers() -> None:
    scene = make_scene(150)
    random = np.random.default_rng(0)
    keypoints = scene.poses.keypoints
    xy = keypoints.xy + random.normal(scale=3, size=keypoints.xy.shape).astype(np.float32)
    far = random.uniform(size=xy.shape[:2]) < 0.03
    xy[far] += 300
    lost = random.uniform(size=xy.shape[:2]) < 0.2
    xy[lost] = np.nan
    xy[70:75] = np.nan  # the pose is there, but no joint to place it by
    certain = np.where(np.isfinite(xy[..., 0]), 1, 0).astype(np.float32)
    xyz = scene.poses.xyz + random.normal(scale=4, size=scene.poses.xyz.shape).astype(np.float32)
    noisy = replace(scene.poses, xyz=xyz, confidence=certain, keypoints=replace(keypoints, xy=xy, confidence=certain))
    motion = to_metres(noisy, height_of(scene))
    off = np.linalg.norm(motion.xyz[:, 0] - scene.camera_xyz[:, 0], axis=-1)
    assert off.mean() < 0.12 and off.max() < 0.5  # metres, of a circle of 2.4 m seen from 5 m
    assert motion.steps[-1].report["reprojection_median_px"] < 6


def test_unseen_frames_stay_unseen_and_do_not_spoil_the_rest() -> None:
    scene = make_scene(160)
    seen = np.ones(160, bool)
    seen[50:110] = False
    xyz = np.where(seen[:, None, None], scene.poses.xyz, np.nan)
    xy = np.where(seen[:, None, None], scene.poses.keypoints.xy, np.nan)
    poses = replace(scene.poses, xyz=xyz, seen=seen, keypoints=replace(scene.poses.keypoints, xy=xy))
    motion = upright(exact_path(replace(scene, poses=poses)), 0.0)
    assert (np.isnan(motion.xyz).all((1, 2)) == ~seen).all()
    assert np.nanmax(np.linalg.norm(motion.xyz - scene.world, axis=-1)[seen]) < 0.05


def test_a_person_who_comes_nearer_keeps_their_size() -> None:
    scene = make_scene(200, distance=4.0)
    motion = scale(Poses3D.raw(scene.poses), height_of(scene))
    report = motion.steps[-1].report
    assert report["metre_per_pixel_most"] > 1.3 * report["metre_per_pixel_least"]
    true = scene.camera_xyz - scene.camera_xyz[:, :1]
    assert np.linalg.norm(motion.xyz - true, axis=-1).mean() < 0.06  # what remains is the picture's perspective
    assert motion.units == "metre" and not motion.steps[-1].estimate


def test_a_typical_body_is_an_estimate() -> None:
    scene = make_scene(30)
    unknown = replace(scene.poses, camera=None)
    motion = to_metres(unknown)
    assert [s.estimate for s in motion.steps] == [True, True]
    assert motion.steps[0].parameters["height_m"] == TYPICAL_HEIGHT
    assert not any(s.estimate for s in to_metres(scene.poses, 1.9).steps)
    guessed = to_metres(unknown, 1.9).steps[-1]
    assert guessed.estimate and guessed.parameters["fov_deg"] == pytest.approx(55)
    tall = replace(unknown, keypoints=replace(unknown.keypoints, image_size=(1080, 1920)), camera=None)
    assert tall.camera.fov((1920, 1080)) == pytest.approx(55)  # along the longer side


def test_a_pose_that_fits_at_no_distance_is_placed_by_its_size() -> None:
    scene = make_scene(40)
    xy = scene.poses.keypoints.xy
    upside_down = 2 * xy.mean(1, keepdims=True) - xy
    upset = replace(scene.poses, keypoints=replace(scene.poses.keypoints, xy=upside_down))
    motion = to_metres(upset, height_of(scene))
    assert motion.steps[-1].report["frames_placed_by_size"] == 40
    assert np.abs(motion.xyz[:, 0, 2] - scene.camera_xyz[:, 0, 2]).max() < 0.3


@pytest.mark.parametrize(("pitch", "roll"), [(-25.0, 0.0), (18.0, 6.0)])
def test_the_told_tilt_is_undone_and_the_floor_found(pitch: float, roll: float) -> None:
    scene = make_scene(120, pitch=pitch, roll=roll, distance=6, camera_height=2.0)
    motion = upright(exact_path(scene), pitch, roll)
    np.testing.assert_allclose(motion.xyz[..., :2], scene.world[..., :2], atol=2e-3)
    lift = motion.xyz[..., 2] - scene.world[..., 2]
    assert np.ptp(lift) < 2e-3 and abs(lift.mean()) < 0.03  # the ankles' height differs between bodies, and in a step
    assert (motion.frame, motion.steps[-1].estimate) == ("world", False)


@pytest.mark.parametrize("pitch", [-30.0, 0.0, 20.0])
def test_the_tilt_is_estimated(pitch: float) -> None:
    scene = make_scene(250, pitch=pitch, distance=6)
    step = upright(exact_path(scene)).steps[-1]  # the person is far below the picture's middle at -30
    assert step.estimate and step.parameters["pitch_deg"] is None
    assert step.report["pitch_deg"] == pytest.approx(pitch, abs=4)
    assert 0 < step.report["spread_deg"] < 10 and step.report["standing_frames"] > 200


def test_somebody_who_lies_cannot_tell_which_way_is_up() -> None:
    scene = make_scene(20)
    folded = scene.poses.xyz.copy()
    folded[:, [3, 6]] = folded[:, [8]]  # ankles at the chest
    with pytest.raises(PoseMambaError, match="give the camera's pitch"):
        upright(Poses3D.raw(replace(scene.poses, xyz=folded)))


def posed(xyz_world: np.ndarray) -> Poses3D:
    scene = make_scene(len(xyz_world), distance=8)  # all joints in the picture
    motion = Poses3D.raw(scene.poses)
    return replace(motion, xyz=xyz_world.astype(np.float32), frame="world", units="metre")


def standing() -> np.ndarray:
    """Straight as a soldier, facing away from the camera (+y), so that the left is at -x."""
    p = np.zeros((1, 17, 3))
    p[0, [1, 2, 3], 0], p[0, [4, 5, 6], 0] = 0.1, -0.1
    p[0, [2, 5], 2], p[0, [3, 6], 2] = -0.45, -0.9
    p[0, [7, 8, 9, 10], 2] = 0.25, 0.5, 0.6, 0.75
    p[0, [11, 12, 13], 0], p[0, [14, 15, 16], 0] = -0.2, 0.2
    p[0, [11, 14], 2], p[0, [12, 15], 2], p[0, [13, 16], 2] = 0.5, 0.2, -0.05
    return p


def test_angles_are_zero_in_the_standing_pose() -> None:
    angles = joint_angles(posed(standing()))
    assert len(angles) == 20
    for name, value in angles.items():
        assert value.shape == (1,) and abs(value[0]) < 1e-3, name


def test_angles_have_their_signs() -> None:
    turn = np.radians(30)
    p = standing()
    p[0, 5] = p[0, 4] + 0.45 * np.array([0, np.sin(turn), -np.cos(turn)])  # left thigh forward, shank hangs
    p[0, 6] = p[0, 5] + [0, 0, -0.45]
    p[0, 2] = p[0, 1] + 0.45 * np.array([np.sin(turn), 0, -np.cos(turn)])  # right leg out to the right
    p[0, 3] = p[0, 2] + 0.45 * np.array([np.sin(turn), 0, -np.cos(turn)])
    p[0, 12] = p[0, 11] + [-0.3, 0, 0]  # left arm out to the side, forearm forward
    p[0, 13] = p[0, 12] + [0, 0.25, 0]
    p[0, 15] = p[0, 14] + [0, -0.3 * np.sin(turn), -0.3 * np.cos(turn)]  # right arm back
    p[0, 16] = p[0, 15] + [0, -0.25 * np.sin(turn), -0.25 * np.cos(turn)]
    found = {name: float(value[0]) for name, value in joint_angles(posed(p)).items()}
    expected = {
        "left_hip_flexion": 30, "left_hip_abduction": 0, "left_knee_flexion": 30,
        "right_hip_flexion": 0, "right_hip_abduction": 30, "right_knee_flexion": 0,
        "left_shoulder_abduction": 90, "left_shoulder_elevation": 90, "left_elbow_flexion": 90,
        "right_shoulder_flexion": -30, "right_shoulder_elevation": 30, "right_elbow_flexion": 0,
        "left_shank_inclination": 0, "right_shank_inclination": 0,
    }  # fmt: skip
    for name, degrees in expected.items():
        assert found[name] == pytest.approx(degrees, abs=1e-3), name
    assert np.isnan(found["left_shoulder_flexion"])  # an arm along the axis has no angle about it
    lean = standing() @ np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    tilted = {name: float(value[0]) for name, value in joint_angles(posed(lean)).items()}
    for name in ("trunk_inclination", "trunk_forward_lean", "left_shank_inclination"):
        assert tilted[name] == pytest.approx(30, abs=1e-3)
    assert tilted["left_hip_flexion"] == pytest.approx(0, abs=1e-3)
    bent = standing()
    bent[0, 8:, 1] += 0.1
    bent[0, [12, 13, 15, 16], 1] = bent[0, 11, 1]
    assert joint_angles(posed(bent))["trunk_flexion"][0] > 10
    twisted = standing()
    twisted[0, 11:14, 1] -= 0.1  # left shoulder back, right one forward: turned to the left
    twisted[0, 14:17, 1] += 0.1
    assert joint_angles(posed(twisted))["trunk_rotation"][0] == pytest.approx(
        np.degrees(np.arctan2(0.2, 0.4)), abs=0.01
    )


def test_angles_do_not_depend_on_the_frame_and_are_nan_where_unseen() -> None:
    scene = make_scene(50, pitch=15)
    path = exact_path(scene)
    path.seen[10] = False
    camera, world = joint_angles(path), joint_angles(upright(path, 15.0))
    assert set(world) - set(camera) == {
        "trunk_inclination", "trunk_forward_lean", "left_shank_inclination", "right_shank_inclination"
    }  # fmt: skip
    for name, value in camera.items():
        np.testing.assert_allclose(value, world[name], atol=0.01, err_msg=name)
    assert all(np.isnan(v[10]) for v in world.values())


def test_nothing_asked_nothing_done_and_the_raw_poses_are_never_touched() -> None:
    scene = make_scene(40)
    before = scene.poses.xyz.copy()
    metric = to_metres(scene.poses)
    placed = metric.xyz.copy()
    assert refine(metric, RefineOptions()) is metric
    motion = refine(metric, RefineOptions(smooth="one-euro", height_m=1.8, upright=True))
    assert len(motion.steps) == 4 and motion.network is scene.poses
    with pytest.raises(PoseMambaError, match=r"refined already \(smooth, upright\)"):
        refine(motion, RefineOptions(height_m=1.9))
    np.testing.assert_array_equal(metric.xyz, placed)
    np.testing.assert_array_equal(scene.poses.xyz, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth_cutoff": 4}, "smooth_cutoff is given but not smooth"),
        ({"camera_roll": 4}, "camera_roll is given but not upright"),
        ({"height_m": 170}, "the height is 170"),
        ({"camera_pitch": 100}, "pitch is 100"),
        ({"smoth": "default"}, "no option 'smoth'"),
        ({"smooth": "kalman"}, "smooth is 'kalman'"),
    ],
)
def test_wrong_options_are_named_in_refine(options: dict[str, object], message: str) -> None:
    with pytest.raises(PoseMambaError, match=message):
        refine(to_metres(make_scene(5).poses), RefineOptions.checked(options))


def test_steps_out_of_order_are_named() -> None:
    scene = make_scene(5)
    raw = Poses3D.raw(scene.poses)
    with pytest.raises(PoseMambaError, match="set the scale first"):
        root_path(raw)
    with pytest.raises(PoseMambaError, match="in metres already"):
        scale(scale(raw))
    with pytest.raises(PoseMambaError, match="turn it once"):
        upright(upright(raw, 0.0), 0.0)
    with pytest.raises(PoseMambaError, match="before turning upright"):
        scale(upright(raw, 0.0))
    stuck = replace(scene.poses, keypoints=replace(scene.poses.keypoints, times=np.array([0, 1, 1, 2, 3]) / 50))
    with pytest.raises(PoseMambaError, match=r"frame 2 is at 0\.02 s, not after"):
        scale(Poses3D.raw(stuck))
    nobody = NetworkPoses(
        np.full((3, 17, 3), np.nan, np.float32), np.zeros((3, 17), np.float32), np.zeros(3, bool), scene.poses.keypoints
    )
    with pytest.raises(PoseMambaError, match="nobody was seen"):
        scale(Poses3D.raw(nobody))


def test_a_curve_through_noise_and_outliers() -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 4, 200))
    true = np.sin(2 * np.pi * 0.3 * times)
    values = np.stack([true + 0.05 * np.random.default_rng(k).normal(size=200) for k in range(3)], 1)
    values[::9, 0] += 5
    off = fit_curve(times, values, np.ones_like(values), 1.0) - true
    assert np.abs(off).mean() < 0.02
