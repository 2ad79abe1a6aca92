"""Layouts of the tools that the field uses most, written here as they write them, and read back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.io.inputs import find_inputs
from posemamba.io.keypoints import is_keypoint_file, read_people
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import BODY25, COCO17, FEET, H36M17, HALPE26, Skeleton
from posemamba.utils.errors import PoseMambaError

SIZE = (1280, 720)
FRAMES = 12


def two(joints: int, seed: int = 1) -> NDArray:
    """(2, F, J, 2) pixels: two people who walk towards each other; faces small, so that COCO's joints show."""
    rng = np.random.default_rng(seed)
    body = np.stack([rng.uniform(-60, 60, joints), rng.uniform(200, 500, joints)], -1)
    body[:5] = np.array([0, 120]) + rng.uniform(-12, 12, (5, 2))
    steps = 8 * np.arange(FRAMES)[:, None, None] * np.array([1.0, 0.0])
    left, right = np.array([300, 0]), np.array([900, 40])
    return np.stack([body + left + steps, body + right - steps]).round(3)


def people(path: Path, **options: Any) -> list[Keypoints2D]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read_people(path, **{"image_size": SIZE, "fps": 25} | options)


def same(found: list[Keypoints2D], truth: NDArray, atol: float = 2e-3) -> None:
    assert len(found) == len(truth)
    for one, expected in zip(sorted(found, key=lambda p: float(np.nanmean(p.xy[:3, :, 0]))), truth, strict=True):
        np.testing.assert_allclose(one.xy, expected, atol=atol)
        assert (one.confidence[~np.isfinite(expected).all(-1)] == 0).all()


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def flat(xy: NDArray, confidence: float = 0.8) -> list[float]:
    return np.column_stack([xy, np.full(len(xy), confidence)]).ravel().tolist()


# Ultralytics


def detections(truth: NDArray, frame: int, scale: NDArray | float = 1.0, track: bool = False) -> list[dict[str, Any]]:
    """What `results[0].summary()` has for a frame, in changing order; a joint that is not there is 0, 0, though 0.3."""
    made = []
    for person in (frame % 2, 1 - frame % 2):
        xy = truth[person, frame]
        there = np.isfinite(xy).all(-1)
        x, y = np.where(there[:, None], xy / scale, 0).T.round(5).tolist()
        made.append(
            {
                "name": "person", "class": 0, "confidence": 0.91,
                "box": {"x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0},
                "keypoints": {"x": x, "y": y, "visible": np.where(there, 0.8, 0.3).tolist()},
            } | ({"track_id": person + 3} if track else {})
        )  # fmt: skip
    return made


@pytest.mark.parametrize("track", [True, False])
def test_ultralytics(tmp_path: Path, track: bool) -> None:
    truth = two(17)
    truth[0, 3, 9:12] = np.nan
    truth[:, 5] = np.nan
    frames = [detections(truth, f, track=track) if f != 5 else [] for f in range(FRAMES)]
    layouts: dict[str, Any] = {
        "lists": frames,
        "texts": [json.dumps(f, indent=2) for f in frames],
        "lines": "\n".join(map(json.dumps, frames)),
        "numbered": {str(f): d for f, d in enumerate(frames)},
        "beside": [{"frame": f + 7, "detections": d} for f, d in enumerate(frames)],
        "flat": [d | {"frame": f} for f, ds in enumerate(frames) for d in ds],
        "platform": {"images": [{"shape": [720, 1280], "results": d, "speed": {"total": 1.5}} for d in frames]},
        "object": {"fps": 25, "width": 1280, "height": 720, "frames": frames},
    }
    for name, content in layouts.items():
        path = write(tmp_path / f"{name}.json", content)
        found = people(path, image_size=None if name in ("platform", "object") else SIZE)
        assert found[0].skeleton is COCO17 and found[0].confidence[0, 0] == pytest.approx(0.8), name
        assert found[0].image_size == SIZE
        same(found, truth)
        folder = tmp_path / "json"
        for f, content in enumerate(frames):
            write(folder / f"clip_{f + 1}.json", content)
    same(people(folder), truth)
    late = [{"frame": f, "detections": []} for f in range(500)] + [
        {"frame": 500 + f, "d": d} for f, d in enumerate(frames)
    ]
    assert len(people(write(tmp_path / "late.json", late))[0]) == 500 + FRAMES
    assert [i.kind for i in find_inputs([folder], tmp_path / "out")] == ["keypoints"]
    shares = write(tmp_path / "shares.json", [detections(truth, f, np.array(SIZE)) for f in range(5)])
    same(people(shares), truth[:, :5], atol=1e-2)
    with pytest.raises(PoseMambaError, match=r"shares of the image's width and height.*--image-size"):
        people(shares, image_size=None)
    (one,) = people(write(tmp_path / "one.json", detections(truth, 0)[:1]))  # results[0].to_json() of a picture
    assert len(one) == 1


def test_ultralytics_that_is_broken(tmp_path: Path) -> None:
    one = detections(two(17), 0)[0]
    box = {name: value for name, value in one.items() if name != "keypoints"}
    cases = {
        write(tmp_path / "box.json", [[box], [box]]): "2 detections without 'keypoints', expected those",
        write(tmp_path / "row.json", [[one | {"keypoints": one["keypoints"] | {"y": [1.0]}}]]): "17 x, 1 y",
        write(tmp_path / "few.json", [[one | {"keypoints": {"x": [1.0] * 9, "y": [1.0] * 9}}]]): "9 joints, expec",
        write(tmp_path / "twice.json", [{"frame": 1, "d": [one]}, {"frame": 1, "d": [one]}]): "frame 1 comes twice",
        write(tmp_path / "inf.json", [[one | {"keypoints": {"x": [float("inf")] * 17, "y": [1] * 17}}]]): "infinite",
    }
    for path, message in cases.items():
        with pytest.raises(PoseMambaError, match=message) as error:
            people(path)
        assert str(path) in str(error.value)


# YOLO's labels


def label(xy: NDArray, *end: float, visible: NDArray | None = None) -> str:
    xy = np.where(np.isfinite(xy), xy / SIZE, 0)
    joints = xy if visible is None else np.column_stack([xy, visible])
    return " ".join(f"{value:g}" for value in (0, 0.5, 0.5, 0.2, 0.4, *joints.ravel(), *end)) + "\n"


@pytest.mark.parametrize("visible", [True, False])
@pytest.mark.parametrize("end", ["", "track", "confidence", "confidence and track"])
def test_yolo_labels(tmp_path: Path, visible: bool, end: str) -> None:
    truth = two(17)
    truth[1, 4, 9:12] = np.nan
    truth[:, 6] = np.nan  # nobody: no file
    folder = tmp_path / "runs" / "pose" / "predict" / "labels"
    for f in set(range(FRAMES)) - {6}:
        text = ""
        for person in (f % 2, 1 - f % 2):
            ends = {"": (), "track": (person + 2,), "confidence": (0.87,)}.get(end, (0.87, person + 2))
            sure = np.where(np.isfinite(truth[person, f]).all(-1), 0.75, 0.2) if visible else None
            text += label(truth[person, f], *ends, visible=sure)
        write(folder / f"my 2nd video_{f + 1}.txt", text)
    write(folder / "classes.txt", "person\n")
    found = people(folder)
    assert found[0].skeleton is COCO17 and found[0].confidence[0, 0] == (0.75 if visible else 1)
    same(found, truth, atol=0.02)
    with pytest.raises(PoseMambaError, match=r"shares of the image.*--image-size"):
        people(folder, image_size=None)
    with pytest.raises(PoseMambaError, match="one file of YOLO's labels is one frame; give the folder"):
        people(folder / "my 2nd video_1.txt")


def test_yolo_labels_of_a_data_set_and_of_boxes(tmp_path: Path) -> None:
    """2 is visible, 1 occluded, 0 not labelled; beside pictures, a folder is one of pictures unless it is named."""
    truth = two(17)[:1, :2]
    marks = np.array([2.0] * 12 + [1.0] * 3 + [0.0] * 2)
    for f in range(2):
        write(tmp_path / "set" / f"img_{f}.txt", label(truth[0, f], visible=marks))
        write(tmp_path / "set" / f"img_{f}.jpg", "")
        write(tmp_path / "boxes" / f"img_{f}.txt", "0 0.5 0.5 0.2 0.2\n")
    (one,) = people(tmp_path / "set", format="yolo")
    assert one.confidence[0].tolist() == [1] * 12 + [0.5] * 3 + [0] * 2
    assert not is_keypoint_file(tmp_path / "set")
    with pytest.raises(PoseMambaError, match=r"labels of boxes without joints.*pose model"):
        people(tmp_path / "boxes", format="yolo")


# OpenPose's layout, by others

_25B = [*COCO17.joints, "upper_neck", "head_top", "left_big_toe", "left_small_toe", "left_heel"]
_25B += ["right_big_toe", "right_small_toe", "right_heel"]
_TOES = ["left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"]
_FOOT = {"right_heel": "right_heel", "right_toe": "right_big_toe", "left_heel": "left_heel", "left_toe": "left_big_toe"}
_OPENPOSE_18 = "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip "
_OPENPOSE_18 += "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"


@pytest.mark.parametrize(
    ("joints", "names", "skeleton"),
    [
        (17, COCO17.joints, COCO17),
        (18, _OPENPOSE_18.split(), COCO17),
        (25, BODY25.joints, BODY25),
        (25, _25B, HALPE26),
        (26, HALPE26.joints, HALPE26),
        (133, (*COCO17.joints, *_TOES), COCO17),
        (134, (*_OPENPOSE_18.split(), *_TOES), COCO17),
        (135, _25B, HALPE26),
        (136, HALPE26.joints, HALPE26),
    ],
    ids=["17", "18", "25", "25b", "26", "133", "134", "135", "136"],
)
@pytest.mark.parametrize("name", ["cam1_json/cam1_{:012d}.json", "pose/cam2_{:05d}.json", "{}.json"])
def test_folders_in_openpose_s_layout(tmp_path: Path, joints: int, names: Any, skeleton: Skeleton, name: str) -> None:
    """Pose2Sim's and rtmlib's, and OpenPose's other models; a joint that was not found is NaN, or 0, 0, 0."""
    face = [n for n in names if n.split("_")[-1] in ("nose", "eye", "ear")]
    ordered = [*face, *(n for n in names if n not in face)]  # `two` has its face first
    truth = two(joints)
    order = [ordered.index(n) if n in ordered else i for i, n in enumerate([*names, *range(joints)][:joints])]
    truth = truth[:, :, order]
    truth[1, 3, 10] = np.nan
    for f in range(FRAMES):
        persons = []
        for person in (f % 2, 1 - f % 2):
            xy = truth[person, f]
            gone = 0.0 if "pose/" in name else np.nan
            values = np.where(np.isfinite(xy).all(-1)[:, None], np.column_stack([xy, np.full(joints, 0.8)]), gone)
            persons.append({"person_id": [-1], "pose_keypoints_2d": values.ravel().tolist(), "face_keypoints_2d": []})
        path = write(tmp_path / name.format(f + 3), {"version": 1.3, "people": persons if f != 7 else []})
    truth[:, 7] = np.nan
    found = people(path.parent)
    assert found[0].skeleton is skeleton
    names = list(names)
    expected = np.stack(
        [truth[:, :, names.index(n)] if n in names else np.full((2, FRAMES, 2), np.nan) for n in skeleton.joints], 2
    )
    same(found, expected)
    if joints in (133, 134):
        first = min(found, key=lambda p: float(np.nanmean(p.xy[:3, :, 0])))
        assert first.feet is not None
        np.testing.assert_allclose(first.feet.xy[0], [truth[0, 0, names.index(_FOOT[n])] for n in FEET], atol=2e-3)


def test_folders_of_frames_that_are_not_one_clip(tmp_path: Path) -> None:
    frame = {"people": [{"person_id": [-1], "pose_keypoints_2d": flat(two(26)[0, 0])}]}
    for camera in (1, 2):
        for f in range(3):
            write(tmp_path / "project" / f"cam{camera}_json" / f"cam{camera}_{f:06d}.json", frame)
            write(tmp_path / "mixed" / f"cam{camera}_{f:06d}.json", frame)
            write(tmp_path / "sides" / f"{f:06d}_{'ab'[camera - 1]}.json", frame)
    with pytest.raises(PoseMambaError, match=r"2 clips, 'cam1_' \(3 frames\), 'cam2_' \(3 frames\); expected one"):
        people(tmp_path / "mixed")
    with pytest.raises(PoseMambaError, match=r"2 clips, '\*_a' \(3 frames\), '\*_b' \(3 frames\)"):
        people(tmp_path / "sides")
    with pytest.raises(PoseMambaError, match=r"holds 2 folders of keypoints \(cam1_json, cam2_json\); give one"):
        people(tmp_path / "project")
    with pytest.raises(PoseMambaError, match=r"give one or more of its folders of keypoints, cam1_json, cam2_json"):
        find_inputs([tmp_path / "project"], tmp_path / "out")
    write(tmp_path / "odd" / "a_1.json", {"people": [{"pose_keypoints_2d": [1.0] * 63}]})
    with pytest.raises(PoseMambaError, match=r"a_1\.json: person 0 has 21 joints, expected 17 \(COCO"):
        people(tmp_path / "odd")
    # results of this program, and other JSON, are no frames
    for name in ("poses_1.json", "poses_2.json"):
        write(tmp_path / "out" / name, {"format": "posemamba-poses-2", "frames": []})
    assert not is_keypoint_file(tmp_path / "out")


# MMPose


@pytest.mark.parametrize("joints", [17, 26, 133])
def test_mmpose_of_other_layouts(tmp_path: Path, joints: int) -> None:
    """Whole bodies, the demos' `instance_info`, what the inferencer returns as `predictions`, and a file a frame."""
    truth = two(joints)
    frames = [
        [{"keypoints": truth[p, f].tolist(), "keypoint_scores": [0.9] * joints} for p in (f % 2, 1 - f % 2)]
        for f in range(FRAMES)
    ]
    data_set = {17: "coco", 26: "halpe26", 133: "coco_wholebody"}[joints]
    numbered = [{"frame_id": f, "instances": i} for f, i in enumerate(frames)]
    layouts: dict[str, Any] = {
        "inferencer": numbered,
        "demo": {"meta_info": {"dataset_name": data_set, "num_keypoints": joints}, "instance_info": numbered},
        "returned": [{"visualization": [], "predictions": [i]} for i in frames],
        "all": {"predictions": frames},
    }
    for f, instances in enumerate(frames):
        write(tmp_path / "predictions" / f"clip_{f:06d}.json", instances)
    paths = [write(tmp_path / f"{name}.json", content) for name, content in layouts.items()]
    for path in (*paths, tmp_path / "predictions"):
        found = people(path)
        assert found[0].skeleton is (HALPE26 if joints == 26 else COCO17), path.name
        same(found, truth[:, :, : len(found[0].skeleton)])
        if joints == 133:
            left = min(found, key=lambda p: float(p.xy[0, 0, 0]))
            assert left.feet is not None
            np.testing.assert_allclose(left.feet.xy[:, 1], truth[0, :, 20], atol=2e-3)  # the right big toe


# demos of lifting models


@pytest.mark.parametrize("channels", [2, 3])
def test_reconstruction_of_demos(tmp_path: Path, channels: int) -> None:
    truth = two(17)
    values = np.concatenate([truth, np.full((2, FRAMES, 17, 1), 0.7)], -1)[..., :channels].astype(np.float32)
    np.savez_compressed(tmp_path / "keypoints.npz", reconstruction=values)
    found = people(tmp_path / "keypoints.npz")
    assert found[0].skeleton is H36M17 and found[0].confidence[0, 0] == pytest.approx(1 if channels == 2 else 0.7)
    same(found, truth)
    np.savez_compressed(tmp_path / "one.npz", reconstruction=values[0])
    same(people(tmp_path / "one.npz"), truth[:1])
    depth = np.random.default_rng(0).uniform(0, 1.8, (FRAMES, 17, 3)).astype(np.float32)
    for poses in (depth, depth - 0.9):
        np.savez_compressed(tmp_path / "keypoints_3D.npz", reconstruction=poses)
        with pytest.raises(PoseMambaError, match=r"holds 3D poses, expected 2D joints.*input_2D/keypoints.npz"):
            people(tmp_path / "keypoints_3D.npz")
    np.savez_compressed(tmp_path / "odd.npz", reconstruction=values[..., :1])
    with pytest.raises(PoseMambaError, match=r"shape \(2, 12, 17, 1\), expected \(people, frames, 17, 2\)"):
        people(tmp_path / "odd.npz")


# COCO's annotations


def coco(truth: NDArray, names: list[str], *, first: int = 0, step: int = 1, tracks: bool = False) -> dict[str, Any]:
    """(P, F, J, 2) as a labelling program writes it: images in no order, ids that say nothing."""
    order = np.random.default_rng(0).permutation(truth.shape[1]).tolist()
    images = [
        {"id": 900 - 7 * f, "file_name": f"frame_{first + step * f}.png", "width": SIZE[0], "height": SIZE[1]}
        for f in order
    ]
    annotations = [{"id": 1, "image_id": 900, "category_id": 2, "bbox": [1, 2, 3, 4]}]
    for f in order:
        for p in (f % 2, 1 - f % 2):
            xy = truth[p, f]
            there = np.isfinite(xy).all(-1)
            marks = np.where(there, 2, 0)
            marks[1] = min(marks[1], 1)
            joints = np.column_stack([np.where(there[:, None], xy, 0), marks]).ravel().tolist()
            one = {"id": 2, "image_id": 900 - 7 * f, "category_id": 1, "keypoints": joints, "num_keypoints": 3}
            annotations.append(one | ({"track_id": p + 5} if tracks else {}))
    categories = [{"id": 2, "name": "ball"}, {"id": 1, "name": "person", "keypoints": names, "skeleton": []}]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


@pytest.mark.parametrize("step", [1, 10])
@pytest.mark.parametrize("tracks", [True, False])
def test_coco_annotations(tmp_path: Path, step: int, tracks: bool) -> None:
    """Frames follow the file names; joints, the names of the category, in its own order and words."""
    truth = two(17)
    truth[0, 3, 9:11] = np.nan
    order = np.random.default_rng(1).permutation(17)
    words = [n.replace("left_", "L ").replace("right_", "R ").title() for n in COCO17.joints]
    content = coco(truth[:, :, order], [words[i] for i in order], first=8, step=step, tracks=tracks)
    found = people(write(tmp_path / "person_keypoints.json", content), image_size=None)
    assert found[0].skeleton is COCO17 and found[0].image_size == SIZE
    same(found, truth)
    occluded = found[0].confidence[0, order[1]]
    assert occluded == 0.5 and np.delete(found[0].confidence[0], order[1]).min() == 1


def test_coco_annotations_with_gaps_and_without_names(tmp_path: Path) -> None:
    truth = two(26)[:1]
    content = coco(np.repeat(truth, 2, 0)[:, :FRAMES], [])
    content["annotations"] = [a for a in content["annotations"] if "keypoints" in a][::2]
    content["images"] = [i for i in content["images"] if i["file_name"] not in ("frame_4.png", "frame_5.png")]
    kept = {i["id"] for i in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    (one,) = people(write(tmp_path / "gap.json", content))
    assert one.skeleton is HALPE26 and len(one) == FRAMES and (~one.seen).nonzero()[0].tolist() == [4, 5]
    feet = {"foot_kpts": [v for joint in range(6) for v in (600.0 + joint, 700.0, 2)]}
    whole = coco(two(17), list(COCO17.joints))
    whole["annotations"] = [a | feet for a in whole["annotations"] if "keypoints" in a]
    one = people(write(tmp_path / "wholebody.json", whole))[0]
    assert one.skeleton is COCO17 and one.feet is not None and one.feet.xy[0, :, 0].tolist() == [605, 603, 602, 600]
    boxes = content | {"annotations": [{"image_id": 900, "bbox": [1, 2, 3, 4]}]}
    videos = content | {"images": [i | {"file_name": f"v{n % 2}/1.png"} for n, i in enumerate(content["images"])]}
    cases = {
        write(tmp_path / "boxes.json", boxes): "no annotation has keypoints",
        write(tmp_path / "videos.json", videos): r"images of 2 videos \(v0, v1\), expected one",
        write(tmp_path / "lost.json", content | {"images": content["images"][:1]}): "which 'images' lacks",
    }
    for path, message in cases.items():
        with pytest.raises(PoseMambaError, match=message) as error:
            people(path)
        assert str(path) in str(error.value)


def test_hdf5_is_a_keypoint_file(tmp_path: Path) -> None:
    (tmp_path / "videoDLC_resnet50.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    assert [i.kind for i in find_inputs([tmp_path / "videoDLC_resnet50.h5"], tmp_path)] == ["keypoints"]
