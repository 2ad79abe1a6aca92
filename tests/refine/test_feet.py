"""Steady feet, against a person made by formula whose standing feet do not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refine_scene import Scene, make_scene

from posemamba.demo.walker import walk
from posemamba.poses import Poses3D
from posemamba.refine.angles import joint_angles
from posemamba.refine.common import bone_lengths, true_spans
from posemamba.refine.feet import steady_feet
from posemamba.refine.metres import to_metres
from posemamba.refine.refinement import RefineOptions, refine
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import BODY_LENGTH, scale
from posemamba.refine.upright import upright
from posemamba.utils.errors import PoseMambaError

ANKLES = (3, 6)
FPS = 50.0


def drift(frames: int, joints: int, seed: int, keep: float = 0.93) -> np.ndarray:
    """(frames, joints, 3) noise of deviation 1 that stays alike from frame to frame, as a lifting's does."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(frames, joints, 3))
    for f in range(1, frames):
        noise[f] = keep * noise[f - 1] + np.sqrt(1 - keep**2) * noise[f]
    return noise


def lifted(scene: Scene, metres: float = 0.03, seed: int = 1) -> Scene:
    """The poses as a lifter would give them: off by so much, deeper than wide, and the 2D joints by a pixel."""
    per_metre = np.linalg.norm(np.diff(scene.poses.xyz[:, 8:10], axis=1), axis=-1) / np.linalg.norm(
        np.diff(scene.camera_xyz[:, 8:10], axis=1), axis=-1
    )
    noise = drift(len(scene.poses), 17, seed) * metres * np.median(per_metre) * [0.3, 0.3, 1]
    noise[:, 0] = 0
    xy = scene.poses.keypoints.xy + np.random.default_rng(seed).normal(size=(len(scene.poses), 17, 2))
    poses = replace(
        scene.poses,
        xyz=(scene.poses.xyz + noise).astype(np.float32),
        keypoints=replace(scene.poses.keypoints, xy=xy.astype(np.float32)),
    )
    return replace(scene, poses=poses)


def with_path(scene: Scene) -> Poses3D:
    return root_path(scale(Poses3D.raw(scene.poses), scene.body_length / BODY_LENGTH))


def standing_person(frames: int = 100) -> np.ndarray:
    """(frames, 17, 3) somebody who stands as in mid-stride, quite still."""
    body = np.repeat(walk(60, FPS, seed=3, radius=1.2)[20:21], frames, axis=0).astype(np.float64)
    return body - [*body[0, 0, :2], 0]


def true_stances(scene: Scene) -> list[tuple[int, int, int]]:
    """(ankle, start, end) where the ankle truly rests for 0.3 s."""
    found = []
    for ankle in ANKLES:
        speed = np.linalg.norm(np.gradient(scene.camera_xyz[:, ankle], axis=0), axis=-1) * FPS
        found += [(ankle, a, b) for a, b in true_spans(speed < 0.02, round(0.3 * FPS))]
    return found


def excursions(motion: Poses3D, stances: list[tuple[int, int, int]]) -> np.ndarray:
    """Metres from the median place, of the stances' frames."""
    places = [motion.xyz[a:b, j].astype(np.float64) for j, a, b in stances]
    return np.concatenate([np.linalg.norm(p - np.median(p, axis=0), axis=-1) for p in places])


def test_feet_of_a_walker_come_to_rest() -> None:
    scene = lifted(make_scene(250, FPS, seed=4))
    stances = true_stances(scene)
    assert len(stances) >= 6
    before = with_path(scene)
    after = steady_feet(before)
    loose, firm = excursions(before, stances), excursions(after, stances)
    assert np.percentile(loose, 95) > 0.05 and np.percentile(firm, 95) < 0.01 and firm.max() < 0.02
    # legs keep their bones, and nothing else of the body changes but its place
    np.testing.assert_allclose(bone_lengths(after.xyz.astype(float)), bone_lengths(before.xyz.astype(float)), atol=1e-6)
    rest = [j for j in range(17) if j not in (2, 3, 5, 6)]
    np.testing.assert_allclose(
        after.xyz[:, rest] - after.xyz[:, :1], before.xyz[:, rest] - before.xyz[:, :1], rtol=0, atol=2e-6
    )
    # nearer to the truth, and no jump that was not there: the fastest joint is hardly faster
    off = [np.linalg.norm(m.xyz - scene.camera_xyz, axis=-1)[:, ANKLES].mean() for m in (before, after)]
    assert off[1] < off[0]
    steps = [np.linalg.norm(np.diff(m.xyz, axis=0), axis=-1) for m in (before, after)]
    assert steps[1].max() < steps[0].max() + 0.01
    bends = [
        np.abs(np.diff([joint_angles(m)[f"{s}_knee_flexion"] for s in ("left", "right")])) for m in (before, after)
    ]
    assert np.nanmax(bends[1]) < np.nanmax(bends[0]) + 3  # NaN where the near ankles leave the picture
    report = after.steps[-1].report
    assert report["stances"] >= len(stances) and report["seconds"] > len(stances) * 0.3 and report["left_alone"] == 0
    assert report["ankles_off_p95_after"] < 0.02 < 0.05 < report["ankles_off_p95_before"]
    moved = np.linalg.norm(after.xyz - before.xyz, axis=-1)
    assert report["moved_most"] == pytest.approx(moved.max(), abs=1e-5) and report["moved_rms"] < 0.06


@pytest.mark.parametrize("units", ["metre", "pixel"])
def test_without_a_path_the_feet_keep_their_places_to_each_other(units: str) -> None:
    scene = lifted(make_scene(body=standing_person(), fps=FPS))
    before = Poses3D.raw(scene.poses)
    if units == "metre":
        before = scale(before, 1.72)
    after = steady_feet(before)
    size = bone_lengths(before.xyz.astype(float)).sum(1) / 17  # of a bone, in that unit
    apart = [m.xyz[:, 6].astype(float) - m.xyz[:, 3] for m in (before, after)]
    loose, firm = (np.linalg.norm(a - np.median(a, axis=0), axis=-1) / np.median(size) for a in apart)
    assert loose.max() > 0.3 and firm.max() < 0.05  # of a bone, about 24 cm
    np.testing.assert_array_equal(after.xyz[:, 0], before.xyz[:, 0])
    rest = [j for j in range(17) if j not in (2, 3, 5, 6)]
    np.testing.assert_array_equal(after.xyz[:, rest], before.xyz[:, rest])
    np.testing.assert_allclose(bone_lengths(after.xyz.astype(float)), bone_lengths(before.xyz.astype(float)), rtol=1e-5)
    assert after.steps[-1].report["stances"] == 1 and after.steps[-1].parameters["measured"] == "from each other"


def test_where_no_foot_stands_nothing_changes() -> None:
    time = np.arange(120) / FPS
    jumping = standing_person(120)
    jumping[..., 2] += 0.4 * np.abs(np.sin(2 * np.pi * 0.9 * time))[:, None]
    jumping[..., 0] += 0.5 * time[:, None]
    scene = lifted(make_scene(body=jumping, fps=FPS))
    for motion in (with_path(scene), Poses3D.raw(scene.poses)):
        after = steady_feet(motion)
        assert after.xyz.tobytes() == motion.xyz.tobytes()
        assert after.steps[-1].name == "steady_feet" and after.steps[-1].report["stances"] == 0


def test_far_from_a_stance_nothing_changes_and_a_doubted_foot_does_not_stand() -> None:
    body = standing_person(300)
    body[150:, :, 0] += (0.02 * np.arange(150))[:, None]  # stands, and is then carried off
    scene = lifted(make_scene(body=body, fps=FPS))
    before = with_path(scene)
    after = steady_feet(before)
    moved = np.linalg.norm(after.xyz - before.xyz, axis=-1)
    assert moved[:140, ANKLES].max() > 0.03
    assert after.xyz[220:].tobytes() == before.xyz[220:].tobytes()
    confidence = scene.poses.confidence.copy()
    confidence[:, 3] = 0.4
    doubted = replace(before, network=replace(scene.poses, confidence=confidence))
    assert steady_feet(doubted).steps[-1].report["stances"] == 1
    confidence[:, 6] = 0.4
    unsure = steady_feet(replace(before, network=replace(scene.poses, confidence=confidence)))
    assert unsure.xyz.tobytes() == before.xyz.tobytes()


def test_gaps_stay_gaps_and_lost_ankles_are_held() -> None:
    scene = lifted(make_scene(body=standing_person(), fps=FPS))
    seen = np.ones(100, bool)
    seen[60:66] = False
    xy, confidence = scene.poses.keypoints.xy.copy(), scene.poses.confidence.copy()
    xy[20:26, 3], confidence[20:26, 3] = np.nan, 0  # lost for a tenth of a second
    xy[~seen], confidence[~seen] = np.nan, 0
    keypoints = replace(scene.poses.keypoints, xy=xy, confidence=confidence)
    xyz = np.where(seen[:, None, None], scene.poses.xyz, np.nan)
    poses = replace(scene.poses, xyz=xyz, seen=seen, confidence=confidence, keypoints=keypoints)
    before = with_path(replace(scene, poses=poses))
    after = steady_feet(before)
    assert np.isnan(after.xyz[~seen]).all() and np.isfinite(after.xyz[seen]).all()
    inside = [(3, 5, 55), (6, 5, 55), (3, 70, 95), (6, 70, 95)]
    assert excursions(before, inside).max() > 0.03 and excursions(after, inside).max() < 0.01
    assert after.steps[-1].report["stances"] == 2  # one a foot, on both sides of the gap


def test_a_path_that_bobs_is_calmed_without_bending_straight_knees() -> None:
    scene = make_scene(body=standing_person(), fps=FPS)
    exact = with_path(scene)
    time = np.arange(100) / FPS
    bob = np.stack([0.02 * np.cos(5 * time), 0.05 * np.sin(6 * time), 0.15 * np.sin(4 * time)], -1)
    before = replace(exact, xyz=(exact.xyz + bob[:, None]).astype(np.float32))
    after = steady_feet(before)
    inside = [(3, 5, 95), (6, 5, 95)]
    assert excursions(before, inside).max() > 0.12 and excursions(after, inside).max() < 0.02
    for side in ("left", "right"):
        knee = [joint_angles(m)[f"{side}_knee_flexion"] for m in (before, after)]
        assert np.abs(np.diff(knee[1])).max() < 2
    lengths = bone_lengths(after.xyz.astype(float))
    np.testing.assert_allclose(lengths, bone_lengths(before.xyz.astype(float)), atol=1e-6)


def test_a_foot_that_moves_along_the_line_of_sight_is_left_alone() -> None:
    scene = make_scene(body=standing_person(60), fps=FPS)
    exact = with_path(scene)
    xyz = exact.xyz.astype(np.float64)
    away = 1 + 0.12 * np.linspace(-1, 1, 60)[:, None]
    xyz[:, 6] *= away  # stays where it is in the picture, goes 1.2 m through the room
    before = replace(exact, xyz=xyz.astype(np.float32))
    report = steady_feet(before).steps[-1].report
    assert report["left_alone"] == 1 and report["stances"] == 1


def test_steady_feet_are_asked_for_and_come_before_the_world() -> None:
    scene = lifted(make_scene(150, FPS, pitch=10.0))
    options = RefineOptions(steady_bones=True, steady_feet=True, camera_pitch=10)
    motion = refine(to_metres(scene.poses), options)
    assert [s.name for s in motion.steps] == ["scale", "root_path", "steady_bones", "steady_feet", "upright"]
    lengths = bone_lengths(motion.xyz.astype(float))
    assert (lengths.std(0) / lengths.mean(0)).max() < 1e-5
    assert motion.network.xyz.tobytes() == scene.poses.xyz.tobytes()
    with pytest.raises(PoseMambaError, match="before turning upright"):
        steady_feet(upright(scale(Poses3D.raw(scene.poses), 1.7), 5.0))
    nobody = replace(scene.poses, seen=np.zeros(150, bool))
    with pytest.raises(PoseMambaError, match="nobody was seen"):
        steady_feet(Poses3D.raw(nobody))
    with pytest.raises(PoseMambaError, match="steady_feet is 'firmly'"):
        RefineOptions.checked({"steady_feet": "firmly"})


def test_a_picture_and_a_few_frames_are_left_as_they_are() -> None:
    for frames in (1, 2, 5):
        motion = Poses3D.raw(make_scene(body=standing_person(frames), fps=FPS).poses)
        assert steady_feet(motion).xyz.tobytes() == motion.xyz.tobytes()
    slow = steady_feet(with_path(make_scene(body=standing_person(4), fps=4.0)))
    assert slow.steps[-1].report["stances"] == 2 and np.isfinite(slow.xyz).all()


def test_a_foot_that_is_lifted_and_put_back_is_not_held_down() -> None:
    body = standing_person()
    rise = 0.12 * np.sin(np.pi * np.clip((np.arange(100) - 40) / 18, 0, 1)) ** 2  # for a third of a second
    body[:, 5, 2] += rise / 2
    body[:, 6, 2] += rise
    before = with_path(make_scene(body=body, fps=FPS))
    after = steady_feet(before)
    assert after.steps[-1].report["stances"] == 3  # right, left, left again
    up = np.linalg.norm(after.xyz - before.xyz, axis=-1)[44:54]
    assert up.max() < 0.01
