"""One fault at a time is planted in a clean walk: it is found when it happens, and nothing else is reported."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.cli import main
from posemamba.demo.camera import look_at, project
from posemamba.demo.walker import walk
from posemamba.io.motion.npz import save_poses_npz
from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.quality import Quality, measure_quality
from posemamba.quality.figure import draw
from posemamba.quality.report import as_json, report
from posemamba.quality.trust import verdicts
from posemamba.quality.verdict import verdict
from posemamba.refine.metres import to_metres
from posemamba.refine.refinement import RefineOptions, refine
from posemamba.refine.upright import upright

FPS, SIZE, FOCAL = 50.0, (1920, 1080), 1844.0  # 55 degrees: what is assumed where nobody says
KNEE, ANKLE = 5, 6
ELBOW, WRIST = 12, 13

Array = NDArray[np.floating]


def film(points: Array, **fields: Any) -> NetworkPoses:
    """Exact poses and 2D joints of (F, 17, 3) metres in the camera's frame."""
    xy = FOCAL * points[..., :2] / points[..., 2:] + np.array(SIZE) / 2
    root = points[:, :1, 2:]
    xyz = np.concatenate([xy - xy[:, :1], FOCAL * (points[..., 2:] - root) / root], -1)
    confidence = np.full(xy.shape[:2], 0.9, np.float32)
    confidence[:, 0] = 0.8  # a detector's differ
    keypoints = Keypoints2D(xy, confidence, H36M17, SIZE, FPS, source="walk", **fields)
    return NetworkPoses(xyz.astype(np.float32), confidence, np.ones(len(xyz), bool), keypoints, "made-up")


def judged(poses: NetworkPoses, height: float | None = 1.72) -> Quality:
    """The quality of what lifting makes of the network's poses."""
    return measure_quality(to_metres(poses, height) if poses.seen.any() else Poses3D.raw(poses))


@pytest.fixture
def points() -> Array:
    """(150, 17, 3) metres in the camera's frame: a walk across the picture, 6 m away."""
    world = walk(150, FPS, seed=3, radius=float("inf"), speed=0.7)
    world = world - world[75, 0] * [1, 1, 0]
    along = world[-1, 0] - world[0, 0]
    side = np.array([along[1], -along[0], 0]) / np.linalg.norm(along[:2])
    return project(world, look_at(tuple(6 * side + [0.3, 0, 1.2]), (0, 0, 0.95)), SIZE, FOCAL)[1].astype(np.float64)


def kinds(quality: Quality) -> set[str]:
    return {fault.check for fault in quality.faults}


def during(quality: Quality, first: int, last: int, slack: int = 1) -> None:
    """The faults cover the frames from `first` to `last` and none that is further away than `slack` frames."""
    marked = np.flatnonzero(quality.marked())
    assert first - slack <= marked.min() <= first + slack and last - slack <= marked.max() <= last + slack


def test_clean_motion_gives_no_warning(points: Array) -> None:
    poses = film(points)
    quality = judged(poses)
    assert quality.faults == [] and quality.remarks == []
    assert verdict(quality).word == verdict(quality).line == "good"
    numbers = quality.numbers
    assert numbers["bones"]["worst_spread"] < 0.01  # perspective is undone
    assert numbers["bones"]["by_bone"]["left thigh"]["median_m"] == pytest.approx(0.45, rel=0.05)
    assert numbers["reprojection"]["mean_px"] < 1e-3
    motion = upright(to_metres(poses, 1.72), pitch=0.0)
    refined = measure_quality(motion)
    assert refined.faults == [] and refined.numbers["feet"]["stands"] >= 2
    assert refined.numbers["feet"]["p95_mm"] < 20


def test_what_the_weights_expect_to_be_wrong(points: Array) -> None:
    """In millimetres of the body that was filmed; marked where it is much, and the clip where it is much on average."""
    poses = film(points)
    mm = 1000 * points[:, :1, 2] / FOCAL  # of a pixel at the pelvis's depth
    errors = np.repeat(40 / mm, 17, axis=1)
    errors[60:90] *= 2
    errors[:, WRIST] *= 1.5
    told = replace(poses, expected_error=errors.astype(np.float32))
    motion = to_metres(told, 1.72)
    quality = measure_quality(motion)
    assert kinds(quality) == {"uncertain"}
    during(quality, 60, 89)
    numbers = quality.numbers["expected"]
    assert numbers["worst"] == "left wrist"
    assert numbers["by_joint_mm"]["left ankle"] == pytest.approx(40 * (120 + 2 * 30) / 150, rel=0.03)
    assert verdict(quality).word == "good" and "look at 60-89" in verdict(quality).line
    assert "joints are expected to be" in report(quality) and "most left wrist" in report(quality)
    worse = judged(replace(told, expected_error=(2 * errors).astype(np.float32)))
    assert verdict(worse).word == "use with care" and "mm off on average" in verdict(worse).line
    silent = judged(poses)
    assert silent.numbers["expected"]["mean_mm"] is None and np.isnan(silent.series["expected error"]).all()
    assert "do not estimate their error" in report(silent)


def test_a_bone_of_changing_length(points: Array) -> None:
    points[40:60, ANKLE] += 0.6 * (points[40:60, ANKLE] - points[40:60, KNEE])
    quality = judged(film(points))
    assert [(f.check, f.part) for f in quality.faults] == [("bone", "left shin")]
    told, _, rest = quality.faults[0].text.removeprefix("left shin ").partition("%")
    assert 58 <= int(told) <= 62 and rest == " longer than in most frames"
    during(quality, 40, 59)
    assert quality.numbers["bones"]["worst"] == "left shin"
    start, end = quality.numbers["bones"]["worst_s"]
    assert start <= 41 / FPS and end >= 58 / FPS


def test_a_forearm_that_flips(points: Array) -> None:
    poses = film(points)
    arm = poses.xyz[70:76, WRIST] - poses.xyz[70:76, ELBOW]
    poses.xyz[70:76, WRIST] = poses.xyz[70:76, ELBOW] - arm
    poses.keypoints.xy[70:76, WRIST] -= 2 * arm[:, :2]
    quality = judged(poses)
    assert {(f.check, f.part) for f in quality.faults} == {("flip", "left forearm")}
    during(quality, 70, 75, slack=0)
    assert "degrees a second" in quality.faults[0].text
    assert verdict(quality).avoid == [[70, 75]] and verdict(quality).word == "use with care"


def test_what_is_left_after_refinement_is_told(points: Array) -> None:
    swelling = 0.2 * np.sin(np.arange(len(points)))[:, None]
    points[:, ANKLE] += swelling * (points[:, ANKLE] - points[:, KNEE])
    poses = film(points)
    arm = poses.xyz[70:73, WRIST] - poses.xyz[70:73, ELBOW]
    poses.xyz[70:73, WRIST] = poses.xyz[70:73, ELBOW] - arm
    alone = judged(poses)
    assert alone.numbers["bones"]["refined_spread"] is None and alone.numbers["flips"]["refined"] is None
    assert "after refinement" not in report(alone)
    metric = to_metres(poses, 1.72)
    bones = measure_quality(refine(metric, RefineOptions(steady_bones=True)))
    assert bones.numbers["bones"]["spread"] == alone.numbers["bones"]["spread"] > 0.008
    assert bones.numbers["bones"]["refined_spread"] < 0.002
    assert bones.numbers["flips"]["refined"]["too_fast"] == 1
    assert bones.numbers["flips"]["refined"]["limb"] == "left forearm"
    smooth = measure_quality(refine(metric, RefineOptions(smooth="butterworth", smooth_cutoff=2.0)))
    assert smooth.numbers["flips"]["flips"] == 1 and smooth.numbers["flips"]["refined"]["too_fast"] == 0
    assert "after refinement none too fast" in report(smooth) and "after refinement" in report(bones)


def test_a_limb_that_flips_through_the_body_while_the_picture_stands_still(points: Array) -> None:
    """Slower than a limb can turn, so only the picture tells: nothing moved there."""
    standing = np.repeat(points[75:76], 80, axis=0)
    reach = np.linalg.norm(standing[0, WRIST] - standing[0, ELBOW])
    angle = np.radians(np.interp(np.arange(80), [40, 47], [40, -40]))
    arm = reach * np.stack([np.full(80, np.cos(np.radians(40))), np.zeros(80), np.sin(angle)], -1)
    standing[:, WRIST] = standing[:, ELBOW] + arm
    poses = film(standing)
    poses.keypoints.xy[:, WRIST] = poses.keypoints.xy[0, WRIST]
    quality = judged(poses)
    assert {(f.check, f.part) for f in quality.faults} == {("flip", "left forearm")}
    assert "through the body" in quality.faults[0].text
    during(quality, 40, 47, slack=2)


def test_a_sliding_foot(points: Array) -> None:
    standing = np.repeat(points[75:76], 100, axis=0)
    poses = film(standing)
    motion = to_metres(poses, 1.72)
    clean = measure_quality(motion)
    assert clean.faults == [] and clean.numbers["feet"]["p95_mm"] < 1
    slid = motion.xyz.copy()
    slid[:, :, 2] += np.interp(np.arange(100), [30, 70], [0, 0.6])[:, None].astype(np.float32)
    quality = measure_quality(replace(motion, xyz=slid))
    assert {(f.check, f.part) for f in quality.faults} == {("feet", "left foot"), ("feet", "right foot")}
    assert quality.faults[0].text.startswith("left foot slides: 3")  # centimetres, from the middle of its places
    assert quality.numbers["feet"]["p95_mm"] == pytest.approx(300, abs=10)


def test_a_foot_below_the_floor(points: Array) -> None:
    poses = film(points)
    motion = upright(to_metres(poses, 1.72), pitch=0.0)
    sunk = motion.xyz.copy()
    sunk[100:110, :, 2] -= 0.3
    quality = measure_quality(replace(motion, xyz=sunk))
    assert "floor" in kinds(quality) and kinds(quality) <= {"floor", "feet"}
    floor = [f for f in quality.faults if f.check == "floor"]
    assert min(f.first for f in floor) >= 99 and max(f.last for f in floor) <= 110
    sunk[100:110, :, 2] -= 2
    quality = measure_quality(replace(motion, xyz=sunk))  # a jump from a wall, not a foot in the ground
    assert "floor" not in kinds(quality) and "not one level ground" in quality.remarks[0]


def test_a_knee_bent_backwards(points: Array) -> None:
    """The shin mirrored about the thigh's line: as long, and turned by what the knee was bent, twice."""
    hip, knee, ankle = (points[:, j].copy() for j in (4, KNEE, ANKLE))
    along = (knee - hip) / np.linalg.norm(knee - hip, axis=-1, keepdims=True)
    shin = ankle - knee
    bend = np.degrees(np.arccos((shin * along).sum(-1) / np.linalg.norm(shin, axis=-1)))
    wrong = bend > 45  # of the swinging leg
    first, last = np.flatnonzero(wrong)[0], np.flatnonzero(wrong & (np.arange(150) < np.flatnonzero(wrong)[0] + 30))[-1]
    frames = slice(first, last + 1)
    turned = 2 * (shin * along).sum(-1, keepdims=True) * along - shin
    share = np.clip((bend - 0) / 1, 0, 1)[:, None]  # a bent knee bends the other way, throughout the clip
    points[:, ANKLE] = knee + share * turned + (1 - share) * shin
    quality = judged(film(points))
    assert {(f.check, f.part) for f in quality.faults} == {("bend", "left knee")}
    marked = quality.marked()
    assert marked[frames].all() and not marked[bend < 25].any()
    assert quality.numbers["bends"]["share_of_frames"]["left knee"] == pytest.approx((bend > 30).mean(), abs=0.05)


def test_lifted_joints_off_the_2d_ones(points: Array) -> None:
    poses = film(points)
    poses.keypoints.xy[50:80, WRIST] += [60, 0]
    quality = judged(poses)
    assert {(f.check, f.part) for f in quality.faults} == {("reprojection", "left wrist")}
    during(quality, 50, 79, slack=0)
    assert verdict(quality).look == [[50, 79]] and verdict(quality).avoid == []
    poses.confidence[50:80, WRIST] = 0.3  # the model is told, and need not follow
    assert judged(poses).faults == []
    poses = film(points)
    poses.keypoints.xy[50:80, :8] += [40, 0]
    quality = judged(poses)
    assert kinds(quality) == {"reprojection"} and verdict(quality).avoid == [[50, 79]]
    assert verdict(quality).word == "use with care"


def test_left_and_right_exchanged_in_2d(points: Array) -> None:
    poses = film(points)
    frames = np.linalg.norm(poses.keypoints.xy[:, ANKLE] - poses.keypoints.xy[:, 3], axis=-1)
    first = int(np.argmax(frames[20:120])) + 20  # the legs are apart
    swapped = slice(first, first + 4)
    poses.keypoints.xy[swapped, 1:7] = poses.keypoints.xy[swapped, [4, 5, 6, 1, 2, 3]]
    quality = judged(poses)  # the lifted legs stay where they were, as they should
    assert [(f.check, f.part, f.first, f.last) for f in quality.faults] == [("swap", "legs", first, first + 3)]
    assert quality.faults[0].text == "left and right legs change places in 2D"
    assert verdict(quality).look == [[first, first + 3]] and verdict(quality).avoid == []
    poses.xyz[swapped, 1:7] = poses.xyz[swapped, [4, 5, 6, 1, 2, 3]]
    quality = judged(poses)  # they went along
    assert kinds(quality) == {"swap", "flip", "bend"}
    during(quality, first, first + 3)
    assert len(verdict(quality).avoid) == 1 and verdict(quality).word == "use with care"


def test_a_body_on_its_head_for_most_of_the_clip(points: Array) -> None:
    """As of keypoints whose y counts upwards."""
    half, most = points.copy(), points.copy()
    half[:50] *= [1, -1, 1]
    most[:120] *= [1, -1, 1]
    assert "head" not in verdict(judged(film(half))).line
    quality = judged(film(most))
    assert quality.numbers["detection"]["head_down"] == pytest.approx(0.8)
    assert verdict(quality).word == "do not trust"
    line = "the body stands on its head in 80% of the frames"
    assert line in verdict(quality).line and line in " ".join(quality.remarks)
    assert line in verdicts([to_metres(film(most), 1.72)])[0]
    lying = verdict(judged(film(points[..., [1, 0, 2]])))
    assert lying.word != "good" and "lies across the picture in 100%" in lying.line


def test_another_person_for_a_while(points: Array) -> None:
    poses = film(points)
    poses.keypoints.xy[60:90] += [900, 0]
    quality = judged(poses)
    assert [(f.check, f.first, f.last) for f in quality.faults] == [("jump", 60, 89)]
    assert "frames 60-89 (perhaps somebody else)" in verdict(quality).line


def test_a_step_aside_in_a_pause_is_no_jump(points: Array) -> None:
    aside = points.copy()
    aside[75:, :, 0] -= 2.4
    even = film(aside)
    assert judged(even).numbers["detection"]["jumps"] == 1
    paused = film(aside, times=np.arange(150) / FPS + 20 * (np.arange(150) >= 75))
    assert judged(paused).numbers["detection"]["jumps"] == 0 and judged(paused).faults == []


def test_what_the_detector_doubts_is_told_and_not_judged(points: Array) -> None:
    poses = film(points)
    poses.confidence[30:60] = poses.keypoints.confidence[30:60] = 0.2
    poses.keypoints.confidence[100:130, WRIST] = poses.confidence[100:130, WRIST] = 0.3
    poses.xyz[35:55, ANKLE] *= 1.8  # a bone of another length, of joints that are guesses
    poses.keypoints.xy[35:55, ANKLE] = np.nan
    quality = judged(poses)
    assert [(f.check, f.first, f.last) for f in quality.faults if f.check != "flip"] == [("doubt", 30, 59)]
    by_joint = quality.numbers["detection"]["by_joint"]
    assert by_joint["left wrist"]["doubtful_s"] == [[30 / FPS, 59 / FPS], [100 / FPS, 129 / FPS]]
    assert by_joint["left ankle"]["found"] == pytest.approx(130 / 150)


def test_clips_with_little_in_them(points: Array) -> None:
    whole = film(points)

    def part(frames: slice | list[int]) -> NetworkPoses:
        keypoints = whole.keypoints
        cut = replace(keypoints, xy=keypoints.xy[frames].copy(), confidence=keypoints.confidence[frames].copy())
        return NetworkPoses(whole.xyz[frames].copy(), whole.confidence[frames].copy(), whole.seen[frames].copy(), cut)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for frames in (1, 2, 3, 4):
            quality = judged(part(slice(0, frames)))
            assert quality.faults == [] and verdict(quality).word == ("good" if frames > 1 else "use with care")
            assert ("a single picture" in report(quality)) == (frames == 1)
            json.dumps(as_json(quality), allow_nan=False)
        nobody = part(slice(0, 20))
        nobody.xyz[:] = nobody.keypoints.xy[:] = np.nan
        nobody.seen[:] = False
        quality = judged(nobody)
        assert kinds(quality) == {"not seen"} and verdict(quality).line == "do not trust: nobody was seen"
        assert "nobody seen in 20 frames" in report(quality)
        json.dumps(as_json(quality), allow_nan=False)
        flicker = part(slice(0, 40))
        gone = np.arange(40) % 2 == 1  # stretches of one frame
        flicker.seen[gone], flicker.xyz[gone], flicker.keypoints.xy[gone] = False, np.nan, np.nan
        quality = judged(flicker)
        assert kinds(quality) == {"not seen"} and quality.marked().sum() == 20
        assert "seen in 20 of 40 frames" in report(quality)
        frozen = part(slice(0, 60))
        frozen.keypoints.xy[:] = frozen.keypoints.xy[0]
        assert any("the same in all frames" in remark for remark in judged(frozen).remarks)
        assert not any("the same in all frames" in remark for remark in judged(part(slice(0, 60))).remarks)
        equal = part(slice(0, 60))
        equal.confidence[:] = equal.keypoints.confidence[:] = 0.9
        remarks = judged(equal).remarks
        assert (
            "all joints have confidence 0.9: it tells none apart" in remarks[0] and "none was given" not in remarks[0]
        )
        untold = part(slice(0, 60))
        untold.confidence[:] = untold.keypoints.confidence[:] = 1
        quality = judged(untold)
        assert quality.faults == [] and "none was given" in quality.remarks[0]
        assert "with confidence" not in report(quality)


def test_command(tmp_path: Path, points: Array, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    first, second = film(points), film(points, person=2)
    second.keypoints.xy[60:90] += [900, 0]
    folder = tmp_path / "out"
    folder.mkdir()
    save_poses_npz(folder / "poses_1.npz", to_metres(first))
    save_poses_npz(folder / "poses_2.npz", to_metres(second, 1.72))
    file, picture = tmp_path / "quality.json", tmp_path / "quality.png"
    assert main(["quality", str(folder), "--json", str(file), "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "person 1: good" in said and "person 2: use with care" in said and "frames 60-89" in said
    content = json.loads(file.read_text())
    assert [p["file"] for p in content["people"]] == ["poses_1.npz", "poses_2.npz"]
    assert [p["person"] for p in content["people"]] == [1, 2]
    assert content["people"][0]["faults"] == [] and content["people"][1]["verdict"]["avoid"][0] == [60, 89]
    image = pytest.importorskip("PIL.Image").open(picture).convert("RGB")
    pixels = np.asarray(image)
    red = (pixels[..., 0] > 220) & (pixels[..., 1] < 225) & (pixels[..., 2] < 210)  # the marked frames
    assert red[: len(red) // 2].sum() < 100 < red[len(red) // 2 :].sum()


@pytest.mark.parametrize("case", ["missing", "empty folder", "foreign", "keypoints", "picture"])
def test_errors_are_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file.npz"
    arguments, expected = [str(file)], "no such file"
    if case == "empty folder":
        arguments, expected = [str(tmp_path)], "holds no poses.npz"
    elif case == "foreign":
        file.write_text("something else")
        expected = "not a poses.npz of"
    elif case == "keypoints":
        np.savez(file, keypoints=np.zeros((3, 17, 2)))
        expected = "not a poses.npz of"
    elif case == "picture":
        arguments, expected = [str(file), "--picture", str(tmp_path / "a.txt")], "name ends with"
    assert main(["quality", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and expected in said.err and said.err.count("\n") == 1


def test_a_figure_of_one_frame_and_of_nobody(tmp_path: Path, points: Array) -> None:
    pytest.importorskip("matplotlib")
    one = film(points[:1])
    nobody = film(points[:9])
    nobody.seen[:], nobody.xyz[:], nobody.keypoints.xy[:] = False, np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "a.svg", [judged(one), judged(nobody)])
    assert (tmp_path / "a.svg").read_text().count('<g id="axes_') == 8  # four strips for each
