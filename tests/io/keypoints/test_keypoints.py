"""Keypoint files: read back, recognised, and refused with a reason."""

from __future__ import annotations

import json
import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.paths import SHARED
from posemamba.io.keypoints import known_formats, read_keypoints, read_people, write_keypoints_npz
from posemamba.io.keypoints.raw import recognise_17
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import BLAZEPOSE33, COCO17, H36M17, SKELETONS, Skeleton
from posemamba.utils.errors import PoseMambaError


def person(skeleton: Skeleton = COCO17, at: tuple[float, float] = (300, 100), tall: float = 400) -> NDArray:
    """(J, 2): somebody who faces the camera, in pixels; y of the head's top and x of the middle at `at`."""
    height = {"eye": 0.06, "ear": 0.07, "nose": 0.08, "mouth": 0.1, "shoulder": 0.18, "elbow": 0.36}
    height |= {"wrist": 0.5, "hip": 0.48, "knee": 0.73, "ankle": 0.95, "pelvis": 0.48, "spine": 0.33}
    height |= {"thorax": 0.16, "top": 0.0, "heel": 0.97, "toe": 0.99}
    width = {"eye": 0.02, "ear": 0.04, "shoulder": 0.11, "elbow": 0.13, "hip": 0.06}

    def point(name: str) -> tuple[float, float]:
        part = next((p for p in name.split("_") if p in height), "wrist")
        side = {"left": 1, "right": -1}.get(name.split("_")[0], 0)
        return at[0] + side * tall * width.get(part, 0.07), at[1] + tall * height[part]

    return np.array([point(name) for name in skeleton.joints])


def walk(skeleton: Skeleton = COCO17, frames: int = 6, start: float = 300, step: float = 5) -> NDArray:
    return np.stack([person(skeleton, (start + step * f, 100)) for f in range(frames)])


def read_quietly(path: Path, **options: Any) -> Keypoints2D:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read_keypoints(path, **options)


def instance(xy: NDArray, score: float = 0.9) -> dict[str, Any]:
    low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
    return {
        "keypoints": xy.tolist(),
        "keypoint_scores": [score] * len(xy),
        "bbox": [[*low.tolist(), *high.tolist()]],
        "bbox_score": 0.99,
    }


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("variable_rate", [False, True])
def test_npz_comes_back_exactly_and_silently(tmp_path: Path, skeleton: Skeleton, variable_rate: bool) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 500, (9, len(skeleton), 2)).astype(np.float32)
    confidence = rng.uniform(0, 1, xy.shape[:2]).astype(np.float32)
    xy[2, 3], confidence[2, 3] = np.nan, 0
    times = np.cumsum(rng.uniform(0.02, 0.05, 9)) if variable_rate else None
    keypoints = Keypoints2D(xy, confidence, skeleton, (640, 480), 30000 / 1001, times, "walk.mp4")
    write_keypoints_npz(tmp_path / "k.npz", keypoints)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = read_keypoints(tmp_path / "k.npz")
    for name in ("xy", "confidence", "times"):
        np.testing.assert_array_equal(getattr(back, name), getattr(keypoints, name))
    for name in ("skeleton", "image_size", "fps", "source"):
        assert getattr(back, name) == getattr(keypoints, name)


def test_npz_keeps_feet_beside_the_joints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people = []
    for person, feet in ((1, True), (2, False), (3, True)):
        body = rng.uniform(10, 500, (9, 33, 2)).astype(np.float32)
        body[4, 29] = np.nan  # the left heel
        one = to_h36m17(Keypoints2D(body, rng.uniform(0.1, 1, (9, 33)), BLAZEPOSE33, (640, 480), 25.0, person=person))
        people.append(one if feet else replace(one, feet=None))
    for given in ([people[0]], people):
        write_keypoints_npz(tmp_path / "k.npz", given)
        for one, back in zip(given, read_people(tmp_path / "k.npz"), strict=True):
            assert back.skeleton is H36M17 and back.feet is not None
            np.testing.assert_array_equal(back.xy, one.xy)
            if one.feet is None:
                assert not back.feet.found.any()
            else:
                np.testing.assert_array_equal(back.feet.xy, one.feet.xy)
                np.testing.assert_array_equal(back.feet.confidence, one.feet.confidence)
    write_keypoints_npz(tmp_path / "k.npz", people[1])
    assert read_keypoints(tmp_path / "k.npz").feet is None
    arrays = {"keypoints": people[0].xy, "feet": np.zeros((8, 4, 2)), "fps": 25, "image_size": [640, 480]}
    np.savez(tmp_path / "k.npz", **arrays)
    with pytest.raises(PoseMambaError, match=r"'feet' has shape \(8, 4, 2\).*expected \(9, 4, 2\)"):
        read_keypoints(tmp_path / "k.npz")


def test_npz_of_others(tmp_path: Path) -> None:
    """Other keys, the confidence as third channel, zeros for missing joints, and what must be assumed."""
    path = tmp_path / "k.npz"
    xy = walk(start=900)
    scores = np.full(xy.shape[:2], 0.5)
    xy[1, 9], scores[1, 9] = 0, 0
    np.savez(path, keypoints=np.concatenate([xy, scores[..., None]], -1), unused=np.array([{}], dtype=object))
    with pytest.warns(UserWarning, match=r"30 frames per second \(--fps\) and an image of 1280x720"):
        result = read_keypoints(path)
    assert result.skeleton is COCO17 and result.fps == 30 and result.image_size == (1280, 720)
    assert "assumed" in result.source
    assert np.argwhere(~result.found).tolist() == [[1, 9]] and result.confidence[1, 9] == 0
    np.testing.assert_allclose(result.xy[0], xy[0], rtol=1e-6)

    np.savez(path, xy=xy, scores=scores[..., None], fps=25, image_size=[1000, 800], skeleton="COCO-17")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = read_keypoints(path, fps=50, format="npz")
    assert result.fps == 50 and result.image_size == (1000, 800) and result.confidence[0, 0] == 0.5


@pytest.mark.parametrize("clips", ["cmu_amc", "cmu_dance_bvh", "cmu_eval_expmap"])
def test_17_joints_are_recognised_by_their_geometry(clips: str) -> None:
    """Every clip of real motion from a few sides, as Human3.6M and as COCO: never the wrong one."""
    path = SHARED / "mocap" / f"{clips}.npz"
    if not path.exists():
        pytest.skip("no motion capture: set POSEMAMBA_SHARED to the folder that holds mocap/")
    with np.load(path, allow_pickle=False) as file:
        motions = np.split(file["positions"].astype(np.float64), np.cumsum(file["lengths"])[:-1])
    rng = np.random.default_rng(0)
    known = {"h36m17": 0, "coco17": 0}
    for motion in motions:
        motion = motion[:: max(1, len(motion) // 20)]
        angle = rng.uniform(0, 2 * np.pi)
        right = motion @ [np.cos(angle), np.sin(angle), 0]
        h36m = 300 * np.stack([right, -motion[..., 2]], -1) + [500, 800]
        h36m += rng.normal(0, 3, h36m.shape)
        head = h36m[:, 9:10] + rng.normal(0, 20, (1, 5, 2))  # the face within some 10 cm
        order = [H36M17.joints.index(n) for n in COCO17.joints[5:]]
        coco = np.concatenate([head, h36m[:, order]], axis=1)
        for xy, skeleton in ((h36m, H36M17), (coco, COCO17)):
            recognised = recognise_17(xy)
            assert recognised in (skeleton, None)
            known[skeleton.name] += recognised is skeleton
    assert min(known.values()) > 0.95 * len(motions), known


def test_mmpose_in_all_its_layouts(tmp_path: Path) -> None:
    xy = walk()
    frames = [{"frame_id": f, "instances": [instance(p)]} for f, p in enumerate(xy)]
    meta = {"dataset_name": "coco", "keypoint_id2name": {"0": "nose"}}
    from_one = [{**frame, "frame_id": f + 1} for f, frame in enumerate(frames)]
    layouts = {
        "inferencer": frames,
        "demo": {"meta_info": meta, "instance_info": from_one},
        "lists": [frame["instances"] for frame in frames],
    }
    for name, content in layouts.items():
        result = read_quietly(write_json(tmp_path / f"{name}.json", content), fps=25, image_size=(800, 600))
        assert result.skeleton is COCO17, name
        np.testing.assert_allclose(result.xy, xy, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(result.confidence, 0.9, rtol=1e-6)
    picture = read_quietly(write_json(tmp_path / "picture.json", frames[0]["instances"]))
    assert len(picture) == 1

    h36m = [{"frame_id": f, "instances": [instance(p, 1.03)]} for f, p in enumerate(walk(H36M17))]
    wrapped = {"meta_info": {"dataset_name": "h36m"}, "instance_info": h36m}
    for content in (h36m, wrapped):
        result = read_quietly(write_json(tmp_path / "h36m.json", content))
        assert result.skeleton is H36M17 and result.confidence.max() == 1


def test_mmpose_gaps_and_several_people(tmp_path: Path) -> None:
    """Two people pass each other; the second comes later; some frames are missing or empty."""
    right, left = walk(frames=40, start=200, step=10), walk(frames=40, start=604, step=-10)
    frames = []
    for f in range(40):
        people = [instance(right[f])] if f not in (20, 21) else []
        if f >= 5:
            people.insert(f % len([0, *people]), instance(left[f], 0.95))
        if f not in (10, 11):
            frames.append({"frame_id": f + 3, "instances": people})
    with pytest.warns(UserWarning, match=r"two\.json: 2 people.* up to 2 .* seen in 36 of 40 frames"):
        result = read_keypoints(write_json(tmp_path / "two.json", frames), fps=25, image_size=(800, 600))
    expected = np.delete(np.arange(40), [10, 11, 20, 21])
    assert np.flatnonzero(result.seen).tolist() == expected.tolist()
    np.testing.assert_allclose(result.xy[expected], right[expected], rtol=1e-6)
    assert not result.confidence[10].any()


def test_broken_files_are_refused_in_one_line(tmp_path: Path) -> None:
    good = walk()

    def file(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    def npz(name: str, **arrays: Any) -> Path:
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    def frames(name: str, *instances: Any) -> Path:
        return write_json(tmp_path / name, [{"frame_id": f, "instances": i} for f, i in enumerate(instances)])

    infinite, shares, nothing = good.copy(), good / 1000, np.full_like(good, np.nan)
    infinite[4, 2, 1] = np.inf
    whole = npz("whole.npz", keypoints=good).read_bytes()
    np.save(tmp_path / "one.npy", good)
    cases = {
        tmp_path / "none.npz": "no such file",
        tmp_path: "is a directory",
        file("empty.npz", b""): "empty",
        file("text.txt", b"frame x y\n1 2 3\n"): "neither npz nor JSON nor csv",
        file("sheet.csv", "frame;nose_x\n0;1\n".encode("utf-16")): "text in UTF-16; save it as UTF-8",
        file("cut.npz", whole[: len(whole) // 2]): "cut short",
        file("pickle.pkl", pickle.dumps(good)): "pickle.*not opened",
        tmp_path / "one.npy": r"single NumPy array.*savez",
        npz("object.npz", keypoints=np.array([{"a": 1}], dtype=object)): "pickled.*not opened",
        npz("keys.npz", joints=good, other=good): "holds joints, other; expected an array 'keypoints'",
        npz("poses.npz", xyz=good, header="{}"): "holds 3D poses that posemamba wrote",
        npz("zero.npz", keypoints=good[:0]): "zero frames",
        npz("shape.npz", keypoints=good[0]): r"shape \(17, 2\), expected \(frames, joints, 2\)",
        npz("text.npz", keypoints=good.astype(str)): "expected numbers",
        npz("infinite.npz", keypoints=infinite): r"frame 4, joint 2 \(right_eye\) is infinite",
        npz("nan.npz", keypoints=nothing): "no joint was found in any of its 6 frames",
        npz("shares.npz", keypoints=shares): "shares of the image, not pixels",
        npz("24.npz", keypoints=np.ones((3, 24, 2))): r"24 joints.*h36m17 \(17\), coco17 \(17\)",
        npz("conflict.npz", keypoints=good, skeleton="blazepose33"): "17 joints, but the file names blaze",
        npz("unclear.npz", keypoints=np.random.default_rng(0).uniform(0, 500, (9, 17, 2))): "--skeleton",
        npz("conf.npz", keypoints=good, confidence=np.ones((6, 16))): r"'confidence' has shape \(6, 16\)",
        npz("fps.npz", keypoints=good, fps=0): "fps in the file is 0",
        npz("3d.npz", keypoints=np.concatenate([good, -good[..., :1]], -1)): "3D joints",
        file("cut.json", json.dumps([{"frame_id": 0}]).encode()[:-3]): r"cut short \(line 1, column",
        file("binary.json", b"[\xff\xfe"): "not UTF-8",
        write_json(tmp_path / "other.json", {"persons": []}): "'persons'; expected MMPose",
        write_json(tmp_path / "no.json", []): "zero frames",
        frames("nobody.json", [], []): "nobody was found in any of its 2 frames",
        frames("infinite.json", [], [instance(infinite[4])]): "frame 1, instance 0: joint 2 is infinite",
        frames("3d.json", [{"keypoints": np.zeros((17, 3)).tolist()}]): "3D joints already",
        frames("mixed.json", [instance(good[0])], [instance(person(BLAZEPOSE33))]): "17 and 33 joints",
        frames("ragged.json", [{"keypoints": [[1, 2], [3]]}]): "not a regular list",
        write_json(tmp_path / "twice.json", [{"frame_id": 1, "instances": []}] * 2): "frame_id 1 comes twice",
    }
    for path, message in cases.items():
        with pytest.raises(PoseMambaError, match=message) as error:
            read_quietly(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value), path
    with pytest.raises(PoseMambaError, match=r"'bvh'.*auto or one of npz, mmpose"):
        read_keypoints(tmp_path / "whole.npz", format="bvh")
    assert read_quietly(tmp_path / "unclear.npz", skeleton="h36m17").skeleton is H36M17
    assert [f.name for f in known_formats()][:2] == ["npz", "mmpose"]
