"""The verdict fits what is planted in a clean walk, and agrees with the levels of the frames and with the files."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import posemamba
from posemamba.demo.camera import look_at, project
from posemamba.demo.walker import walk
from posemamba.io.motion import write_motion
from posemamba.io.motion.npz import save_angles_csv, save_poses_json
from posemamba.poses import Keypoints2D, NetworkPoses
from posemamba.poses.skeletons import H36M17, LIMBS
from posemamba.quality import measure_quality
from posemamba.quality.trust import judge, trust, verdicts
from posemamba.refine.metres import to_metres
from posemamba.utils.errors import PoseMambaError

FRAMES, FPS, SIZE, FOCAL = 150, 50.0, (1920, 1080), 1844.0
ARMS, LEGS = ("left arm", "right arm"), ("left leg", "right leg")


def film(frames: int = FRAMES) -> NetworkPoses:
    """Exact poses of somebody who walks on the spot 6 m away, of whom 45 mm of error are expected."""
    world = walk(frames, FPS, seed=3, radius=float("inf"), speed=0.7)
    world[:, :, :2] -= world[:, :1, :2]
    xy, points = project(world, look_at((4, -4, 1.2), (0, 0, 0.95)), SIZE, FOCAL)
    root = points[:, :1, 2:]
    xyz = np.concatenate([xy - xy[:, :1], FOCAL * (points[..., 2:] - root) / root], -1)
    confidence = np.full(xy.shape[:2], 0.9, np.float32)
    confidence[:, 0] = 0.8
    keypoints = Keypoints2D(xy.astype(np.float32), confidence.copy(), H36M17, SIZE, FPS, source="walk")
    off = (0.045 * FOCAL / root[..., 0]).repeat(17, 1).astype(np.float32)
    seen = np.ones(frames, bool)
    return NetworkPoses(xyz.astype(np.float32), confidence, seen, keypoints, "made-up", expected_error=off)


def unsure(poses: NetworkPoses, frames: slice, *limbs: str, confidence: float = 0.2) -> NetworkPoses:
    joints = [j for limb in limbs for j in LIMBS[limb][1:]]
    poses.confidence[frames, joints] = poses.keypoints.confidence[frames, joints] = confidence
    return poses


def gone(poses: NetworkPoses, frames: NDArray[np.integer] | slice) -> NetworkPoses:
    poses.seen[frames] = False
    poses.xyz[frames] = poses.keypoints.xy[frames] = np.nan
    poses.confidence[frames] = poses.keypoints.confidence[frames] = 0
    return poses


def expected(poses: NetworkPoses, factor: float, frames: slice = slice(None)) -> NetworkPoses:
    assert poses.expected_error is not None
    poses.expected_error[frames] *= factor
    return poses


def cut(poses: NetworkPoses, share: float) -> NetworkPoses:
    """Crop the picture at that share of the way from hip to ankle."""
    hip, ankle = (float(np.median(poses.keypoints.xy[:, j, 1])) for j in (0, 3))
    poses.keypoints.image_size = (SIZE[0], round(hip + share * (ankle - hip)))
    return poses


ALL = slice(None)
CASES: dict[str, tuple[Callable[[], NetworkPoses], str, str]] = {
    "clean": (film, "good", "no check speaks against it"),
    "seen in 60 of 150 frames": (lambda: gone(film(), slice(60, None)), "do not trust", "only 40% of the frames"),
    "every second frame gone": (lambda: gone(film(), np.arange(0, 150, 2) + 1), "use with care", "50% of the frames"),
    "comes late": (lambda: gone(film(), slice(0, 20)), "good", ""),
    "away for 0.4 s": (lambda: gone(film(), slice(60, 80)), "use with care", "1 stretch not to be trusted"),
    "one frame gone": (lambda: gone(film(), slice(60, 61)), "good", "to be looked at"),
    "legs guessed": (lambda: unsure(film(), slice(0, 100), *LEGS), "do not trust", "legs were not seen"),
    "legs not found": (lambda: unsure(film(), ALL, *LEGS, confidence=0), "do not trust", "legs were not seen"),
    "arms guessed": (lambda: unsure(film(), ALL, *ARMS), "do not trust", "two limbs are guessed in 100%"),
    "one side guessed": (lambda: unsure(film(), ALL, "left arm", "left leg"), "do not trust", "two limbs"),
    "one arm guessed": (lambda: unsure(film(), ALL, "left arm"), "good", ""),
    "legs guessed for 0.3 s": (lambda: unsure(film(), slice(50, 65), *LEGS), "good", "to be looked at"),
    "legs guessed for 0.8 s": (lambda: unsure(film(), slice(50, 90), *LEGS), "use with care", "not to be trusted"),
    "cropped at the thighs": (lambda: cut(film(), 0.3), "do not trust", "legs are outside of the picture"),
    "cropped at the shins": (lambda: cut(film(), 0.8), "do not trust", "legs are outside of the picture"),
    "130 mm expected": (lambda: expected(film(), 2.9), "do not trust", "expected to be 13"),
    "80 mm expected": (lambda: expected(film(), 1.8), "use with care", "mm off on average"),
    "140 mm for a while": (lambda: expected(film(), 3.1, slice(40, 80)), "use with care", "not to be trusted"),
    "a single picture": (lambda: film(1), "use with care", "a single picture"),
    "a single picture without legs": (lambda: unsure(film(1), ALL, *LEGS), "do not trust", "legs were not seen"),
}


# near to another case, just beyond a limit or before it
NEAR = ("comes late", "legs not found", "one side guessed", "legs guessed for 0.8 s", "cropped at the shins")


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] * (c in NEAR)) for c in CASES])
def test_the_verdict_fits(case: str) -> None:
    make, word, part = CASES[case]
    poses = to_metres(make(), 1.72)
    judged = judge(poses)
    assert (judged.word, part in judged.sentence) == (word, True), judged.line
    assert not (judged.word == "good" and (judged.levels == 2).any())
    told = np.zeros(len(poses), np.uint8)
    for first, last, level, reason in judged.stretches:
        assert reason and not told[first : last + 1].any()
        told[first : last + 1] = level
    np.testing.assert_array_equal(told, judged.levels)  # bands of the page, marks of the overlay and files agree
    assert json.loads(json.dumps(judged.page(), allow_nan=False))["word"] == word
    (line,) = verdicts([poses])
    assert line.startswith(f"{judged.word}: {judged.sentence}") and line.count("mm off") == 1
    assert trust(measure_quality(poses)).line == judged.line


def test_poses_that_cannot_be_measured_are_not_to_be_trusted() -> None:
    poses = to_metres(film(), 1.72)
    poses.network.xyz[5] = 0
    judged = judge(poses)
    assert judged.word == "do not trust" and "cannot be checked" in judged.sentence and (judged.levels == 2).all()


@pytest.mark.slow
def test_a_long_clip_with_many_faults_is_judged() -> None:
    frames = 20_500
    one = film(50)
    again = np.arange(frames) % 50
    unsure(one, slice(20, 36), *LEGS)
    gone(one, slice(0, 8))
    keypoints = replace(one.keypoints, xy=one.keypoints.xy[again], confidence=one.keypoints.confidence[again])
    assert one.expected_error is not None
    long = replace(
        one,
        xyz=one.xyz[again],
        confidence=one.confidence[again],
        seen=one.seen[again],
        keypoints=keypoints,
        expected_error=one.expected_error[again],
    )
    poses = to_metres(long, 1.72)
    before = time.process_time()
    judged = judge(poses)
    assert time.process_time() - before < 30  # seconds; every fault compared with every other takes minutes
    assert judged.word == "use with care" and len(judged.stretches) >= 2 * frames // 50 - 1


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_carry_the_levels(tmp_path: Path) -> None:
    made = unsure(film(), slice(50, 90), *LEGS)
    poses = to_metres(gone(made, slice(120, 130)), 1.72)
    poses.trust = judge(poses)
    levels = poses.trust.levels.tolist()
    assert set(levels) == {0, 2} and levels[125] == 2
    path = tmp_path / "poses.npz"
    posemamba.save_poses(path, poses)
    with np.load(path) as file:
        assert file["trust_level"].dtype == np.uint8 and file["trust_level"].tolist() == levels
        assert json.loads(str(file["header"]))["trust"]["word"] == "use with care"
    again = posemamba.read_poses(path)
    assert again.trust is not None and again.trust.line == poses.trust.line == judge(again).line
    assert again.trust.stretches == poses.trust.stretches and again.trust.levels.tolist() == levels
    save_poses_json(tmp_path / "poses.json", again)
    content = json.loads((tmp_path / "poses.json").read_text())
    assert [frame["trust_level"] for frame in content["frames"]] == levels
    assert content["trust"]["stretches"] == [list(stretch) for stretch in poses.trust.stretches]
    write_motion(tmp_path / "a.csv", again, "csv")
    assert [int(row["trust_level"]) for row in read(tmp_path / "a.csv")] == levels
    write_motion(tmp_path / "a.tidy.csv", again, "csv-tidy")
    assert [int(row["trust_level"]) for row in read(tmp_path / "a.tidy.csv")][::17] == levels
    save_angles_csv(tmp_path / "angles.csv", again, posemamba.joint_angles(again), posemamba.angle_errors(again))
    rows = read(tmp_path / "angles.csv")
    assert [int(row["trust_level"]) for row in rows] == levels
    notes = [row["left_knee_flexion_note"] for row in rows]
    assert set(notes[50:90]) == {"untrusted"} and "untrusted" not in notes[:50] and set(notes[120:130]) == {"unseen"}
    assert rows[125]["left_knee_flexion_deg"] == "" and rows[60]["left_knee_flexion_deg"] != ""


def test_an_angle_of_guessed_joints_is_flagged(tmp_path: Path) -> None:
    poses = to_metres(unsure(film(), slice(40, 60), "left arm"), 1.72)
    poses.trust = judge(poses)
    save_angles_csv(tmp_path / "angles.csv", poses, posemamba.joint_angles(poses), posemamba.angle_errors(poses))
    notes = np.array([row["left_elbow_flexion_note"] for row in read(tmp_path / "angles.csv")])
    assert (notes[40:60] == "guessed").all() and not (notes[:40] == "guessed").any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"trust_level": np.zeros(3, np.uint8)},
        {"trust_level": np.full(FRAMES, 7, np.uint8)},
        {"trust": {"word": "splendid"}},
        {"trust": {"stretches": [[0, 9999, 2, "x"]]}},
        {"trust": None},
    ],
)
def test_a_damaged_verdict_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    poses = to_metres(film(), 1.72)
    poses.trust = judge(poses)
    path = tmp_path / "poses.npz"
    posemamba.save_poses(path, poses)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    if "trust" in wrong:
        header["trust"] = wrong["trust"] and {**header["trust"], **wrong["trust"]}
    arrays["trust_level"] = wrong.get("trust_level", arrays["trust_level"])
    np.savez(path, **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(PoseMambaError, match="trust"):
        posemamba.read_poses(path)
