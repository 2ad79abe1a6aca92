"""The keypoints.npz that a lift keeps: read back exactly, as any keypoint file, and broken ones refused in a line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.io.keypoints import is_keypoint_file, read_keypoints, read_people
from posemamba.io.keypoints.detected import Detected, is_detected, read_detected, write_detected
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import BLAZEPOSE33
from posemamba.utils.errors import PoseMambaError

FRAMES = 30


def two() -> Detected:
    """Numbers 2 and 5; the first is seen less, has a bridged frame and joints that were not found."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(50, 400, (2, FRAMES, 33, 2)).astype(np.float32)
    confidence = rng.uniform(0.1, 1, (2, FRAMES, 33)).astype(np.float32)
    xy[0, 10:] = np.nan
    xy[1, 3, 7] = np.nan
    confidence[np.isnan(xy[..., 0])] = 0
    confidence[0, 4] = 0  # bridged
    times = np.cumsum(rng.uniform(0.03, 0.05, FRAMES)) + 2
    people = [
        Keypoints2D(x, c, BLAZEPOSE33, (640, 480), 25.0, times, "walk.mp4", number)
        for x, c, number in zip(xy, confidence, (2, 5), strict=True)
    ]
    return Detected(people, "blazepose", "abc")


def same(found: list[Keypoints2D], truth: list[Keypoints2D]) -> None:
    for one, expected in zip(found, truth, strict=True):
        np.testing.assert_array_equal(one.xy, expected.xy)
        np.testing.assert_array_equal(one.confidence, expected.confidence)
        np.testing.assert_array_equal(one.frame_times(), expected.frame_times())
        for name in ("skeleton", "image_size", "fps", "source", "person"):
            assert getattr(one, name) == getattr(expected, name), name


def test_half_floats_do_not_overflow(tmp_path: Path) -> None:
    write_detected(tmp_path / "keypoints.npz", two())
    with np.load(tmp_path / "keypoints.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "half.npz", **arrays | {"keypoints": arrays["keypoints"].astype(np.float16)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        one = read_detected(tmp_path / "half.npz").people[0]
    assert one.xy.dtype == np.float32


def test_read_back_exactly(tmp_path: Path) -> None:
    truth, path = two(), tmp_path / "keypoints.npz"
    write_detected(path, truth)
    found = read_detected(path)
    same(found.people, truth.people)
    assert (found.detector, found.digest) == ("blazepose", "abc")
    same(read_people(path), truth.people)  # as any other file of keypoints: order and numbers stay
    same(read_people(path, format="posemamba"), truth.people)
    with pytest.warns(UserWarning, match="2 people"):
        same([read_keypoints(path)], truth.people[:1])
    write_detected(path, Detected(truth.people[1:]))
    same(read_people(path), truth.people[1:])
    assert is_detected(path) and is_keypoint_file(path)
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"keypoints", "confidence", "times", "header"}


def test_people_of_different_clips_are_refused(tmp_path: Path) -> None:
    people = two().people
    people[1].fps = 30.0
    with pytest.raises(ValueError, match="different clips"):
        write_detected(tmp_path / "k.npz", Detected(people))
    with pytest.raises(ValueError, match="nobody"):
        write_detected(tmp_path / "k.npz", Detected([]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "posemamba-keypoints-9"}, "names the format 'posemamba-keypoints-9', expected 'posemamba-keyp"),
        ({"skeleton": "octopus"}, "octopus"),
        ({"skeleton": "coco17"}, "do not fit"),
        ({"persons": [1, 1]}, "'persons' is"),
        ({"persons": [1, -2]}, "'persons' is"),
        ({"persons": [1]}, "do not fit 1 people"),
        ({"persons": "two"}, "'persons' is 'two'"),
        ({"fps": 0}, "'fps' 0"),
        ({"fps": "fast"}, "'fps' 'fast'"),
        ({"image_size": [640]}, "'image_size' is"),
        ({"image_size": [1, "x"]}, "'image_size' is"),
    ],
)
def test_broken_headers_are_refused_in_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "k.npz"
    write_detected(path, two())
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"])) | change
    np.savez(path, **{**arrays, "header": np.array(json.dumps(header))})
    for read in (read_detected, read_people):
        with pytest.raises(PoseMambaError, match=message) as error:
            read(path)
        assert "\n" not in str(error.value) and "k.npz" in str(error.value)
    assert is_detected(path) is ("format" in change)  # another version's: not to be read, but to be replaced


def test_other_files_are_none(tmp_path: Path) -> None:
    path = tmp_path / "k.npz"
    write_detected(path, two())
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    broken: dict[str, Any] = {
        "header": np.array("[]"),
        "times": arrays["times"][::-1],
        "confidence": arrays["confidence"][:, 1:],
        "keypoints": np.array([{}], object),
    }
    for name, value in broken.items():
        np.savez(path, allow_pickle=True, **{**arrays, name: value})
        with pytest.raises(PoseMambaError):
            read_people(path)
        assert not is_detected(path), name
    for content in (whole[:3000], b"PK", b"hello"):
        path.write_bytes(content)
        assert not is_detected(path)
    np.savez(path, keypoints=np.zeros((3, 17, 2)))
    assert not is_detected(path) and not is_detected(tmp_path / "none.npz") and not is_detected(tmp_path)


def test_a_file_of_another_version_is_told_from_other_files(tmp_path: Path) -> None:
    """Results of another version may be replaced, other people's files may not."""
    path = tmp_path / "k.npz"
    write_detected(path, two())
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    for name, ours in (("posemamba-keypoints-2", True), ("posemamba-keypoints", False), ("other-1", False), (2, False)):
        np.savez(path, header=np.array(json.dumps(header | {"format": name})), joints=np.zeros(3))
        with pytest.raises(PoseMambaError):
            read_detected(path)
        assert is_detected(path) is ours, name
