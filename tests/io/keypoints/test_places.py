"""Places that are none: marks for joints that were not found, broken numbers, metres, and axes that were exchanged."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from walker_files import WALKER, F

from posemamba.io.keypoints import read_people
from posemamba.io.keypoints.places import broken, marks
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError

LOST = np.random.default_rng(0).random((F, 17)) < 0.1
XY = WALKER.xy.astype(np.float64)


def written(path: Path, xy: np.ndarray, confidence: float | np.ndarray | None = 0.9, **facts: object) -> Path:
    """Keypoints as npz, or as MMPose's JSON; confidence None: the file has none."""
    sure = np.broadcast_to(1.0 if confidence is None else confidence, xy.shape[:2])
    if path.suffix == ".npz":
        known = {} if confidence is None else {"confidence": sure}
        np.savez(path, keypoints=xy, skeleton="h36m17", fps=50, **known, **facts)  # type: ignore[arg-type]
        return path
    scores = [{} if confidence is None else {"keypoint_scores": s.tolist()} for s in sure]
    frames = [{"frame_id": i, "instances": [{"keypoints": x.tolist(), **scores[i]}]} for i, x in enumerate(xy)]
    path.write_text(json.dumps({"meta_info": {"dataset_name": "h36m"}, "instance_info": frames}))
    return path


def read(path: Path, size: tuple[int, int] | None = (320, 240)) -> tuple[Keypoints2D, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (person,) = read_people(path, image_size=size, fps=50)
    return person, [str(w.message) for w in caught]


@pytest.mark.parametrize("name", ["k.npz", "k.json"])
@pytest.mark.parametrize("sure", [0.0, 0.3, None])
def test_marks_for_not_found_are_all_the_same(tmp_path: Path, name: str, sure: float | None) -> None:
    """With confidence 0, with some confidence (as Ultralytics gives 0, 0), and without any."""
    expected, _ = read(written(tmp_path / name, np.where(LOST[..., None], np.nan, XY), None if sure is None else 0.9))
    assert (expected.found == ~LOST).all()
    for mark in (0, -1, -999):
        confidence = None if sure is None else np.where(LOST, sure, 0.9)
        person, said = read(written(tmp_path / name, np.where(LOST[..., None], mark, XY), confidence))
        np.testing.assert_array_equal(person.xy, expected.xy)
        np.testing.assert_array_equal(person.confidence, expected.confidence)
        assert said == []


@pytest.mark.parametrize("name", ["k.npz", "k.json"])
def test_single_broken_places_are_told_and_not_found(tmp_path: Path, name: str) -> None:
    for value in (1e20, -1e20, 65535.0, 1e300):
        xy = XY.copy()
        xy[60, 13] = [value, 100]
        person, said = read(written(tmp_path / name, xy))
        assert np.argwhere(~person.found).tolist() == [[60, 13]] and person.confidence[60, 13] == 0
        assert len(person) == person.seen.sum() == F
        assert name == "k.json" or "joints lie up to" in said[0]


def test_broken_places_are_told_by_the_body() -> None:
    assert not broken(XY).any() and not marks(XY).any()
    cartwheel = XY.copy()
    cartwheel[:, :] *= [3.0, -1.0]
    assert not broken(cartwheel).any()
    assert not broken(np.zeros((4, 17, 2))).any()  # no size, by which anything would be far


def test_numbers_that_are_no_pixels_are_refused_or_told(tmp_path: Path) -> None:
    metres = (XY - XY[:, :1]) / 100
    path = tmp_path / "k.npz"
    for name, xy, message in (
        ("all broken", XY * 1e18, "the numbers are broken"),
        ("metres from the pelvis", metres, "negative: metres from the body's middle"),
        ("metres in a room", XY / 100 + 3, "too small to be seen"),
        ("infinite", np.where(LOST[..., None], np.inf, XY), "is infinite"),
        ("nobody", np.full_like(XY, -1), "no joint was found"),
    ):
        with pytest.raises(PoseMambaError, match=message) as caught:
            read(written(path, xy))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value), name
    upwards = XY * [1, -1]
    for name, xy, message in (
        ("y upwards from the top", upwards, "have a negative y, and lie above the picture"),
        ("millimetres from the pelvis", metres * 1000, "have a negative"),
        ("y upwards from the bottom", XY * [1, -1] + np.array([0, 240]), "stands on its head in 100% of the frames"),
        ("x and y exchanged", XY[..., ::-1], "lies across the picture in 100% of the frames"),
        ("another picture's", XY * 2, "lie outside of the picture of 320 x 240"),
    ):
        _, said = read(written(path, xy))
        assert any(message in line for line in said), (name, said)
    assert read(written(path, XY))[1] == []


def test_world_landmarks_of_mediapipe_are_refused(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "world.json"
    body = rng.normal(0, 0.3, (33, 2))
    frames = [
        {"pose_landmarks": [[{"x": x, "y": y, "z": 0.0, "visibility": 1.0} for x, y in (body + 0.01 * f).tolist()]]}
        for f in range(9)
    ]
    path.write_text(json.dumps(frames))
    with pytest.raises(PoseMambaError, match=r"metres from the body's middle \(MediaPipe's world landmarks\)"):
        read(path)
    path.write_text(json.dumps([{"pose_world_landmarks": frame["pose_landmarks"]} for frame in frames]))
    with pytest.raises(PoseMambaError, match=r"holds MediaPipe's world landmarks alone.*expected 'pose_landmarks'"):
        read(path)
    for frame in frames:  # shares of a picture: a part of the body may be beyond its left side
        for landmark in frame["pose_landmarks"][0]:
            landmark["x"], landmark["y"] = 0.2 + landmark["x"] / 4, 0.5 + landmark["y"] / 4
    path.write_text(json.dumps(frames))
    assert read(path)[0].found.all()


@pytest.mark.parametrize("program", ["mmpose", "alphapose"])
def test_one_surplus_detection_does_not_split_a_person(tmp_path: Path, program: str) -> None:
    """A poorer detection of the only person in one frame, its legs drawn up, with the same number or without one."""
    from posemamba.poses.mapping import to_skeleton
    from posemamba.poses.skeletons import COCO17

    coco = np.nan_to_num(to_skeleton(WALKER, COCO17).xy.astype(np.float64))
    content: list[dict[str, object]] = []
    for i, xy in enumerate(coco):
        half = xy.copy()
        half[11:] = half[11:] / 2 + half[[5, 6]].mean(0) / 2
        people = [(xy, 0.9)] + ([(half, 0.5)] if i == 60 else [])
        if program == "mmpose":
            shown = [{"keypoints": p.tolist(), "keypoint_scores": [s] * 17} for p, s in people]
            content.append({"frame_id": i, "instances": shown})
            continue
        for k, (p, s) in enumerate(people):
            flat = np.column_stack([p, np.full(17, s)]).ravel().tolist()
            content.append({"image_id": f"{i}.jpg", "keypoints": flat, "score": 3 * s, "idx": [[0.0]] * (k + 1)})
    path = tmp_path / "k.json"
    path.write_text(json.dumps(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (person,) = read_people(path, image_size=(320, 240), fps=50, skeleton="coco17")
    assert len(person) == person.seen.sum() == F
    np.testing.assert_allclose(person.xy[60, 5:], coco[60, 5:], atol=1e-4)
