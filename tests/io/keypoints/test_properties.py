"""Property tests: what a writer wrote is read back equal, and damaged files are read or refused in one line."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemamba.io.keypoints import read_keypoints, read_people
from posemamba.io.keypoints.convert import TARGETS, write_people
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import BLAZEPOSE33, BODY25, COCO17, HALPE26, SKELETONS, Skeleton
from posemamba.utils.errors import PoseMambaError

QUICK = settings(max_examples=15, derandomize=True, deadline=None, database=None)
THOROUGH = settings(QUICK, max_examples=300)


@st.composite
def clips(draw: st.DrawFn) -> list[Keypoints2D]:
    """People of one clip: any skeleton, size, frame rate and number of frames, with joints and frames missing."""
    skeleton = draw(st.sampled_from(list(SKELETONS.values())))
    frames, count = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    width, height = draw(st.integers(17, 5000)), draw(st.integers(17, 5000))
    fps = draw(st.sampled_from([2.0, 7.5, 24000 / 1001, 25.0, 30.0, 239.76]))
    missing, away = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times = np.cumsum(rng.uniform(0.5, 1.5, frames)) / fps if draw(st.booleans()) else None
    tall = draw(st.floats(20, 3000))
    people = []
    for person in range(count):
        shape = rng.uniform([-0.2, -0.5], [0.2, 0.5], (len(skeleton), 2))
        steps = np.cumsum(rng.uniform(-0.05, 0.05, (frames, 1, 2)), 0)
        xy = tall * (shape + steps + [1.5 * person, draw(st.floats(-1, 1))])
        confidence = rng.uniform(0.001, 1, xy.shape[:2]).round(4)
        lost = rng.random(xy.shape[:2]) < missing
        lost[rng.random(frames) < away] = True
        lost[rng.integers(frames), 5:] = False  # limbs, which every skeleton has, are seen once
        xy[lost], confidence[lost] = np.nan, 0
        people.append(Keypoints2D(xy, confidence, skeleton, (width, height), fps, times, "clip.mp4", person + 1))
    return people


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of distances; a joint that only one of them has counts for far away."""
    return float(np.where(np.isnan(a) & np.isnan(b), 0, np.nan_to_num(np.abs(a - b), nan=1e9)).sum())


def check_round_trip(to: str, people: list[Keypoints2D]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        written = write_people(path, people, to=to)
        options = {} if to == "npz" else {"image_size": people[0].image_size, "skeleton": written[0].skeleton.name}
        if to not in ("npz", "csv") or people[0].times is None:
            options["fps"] = people[0].fps
        back = quietly(read_people, path, **options)
    assert len(back) == len(people)
    assert [p.person for p in back] == (list(range(1, len(people) + 1)))
    counts = [int(p.seen.sum()) for p in back]
    assert counts == sorted(counts, reverse=True)
    frames = len(people[0])
    if to == "alphapose":  # its file has no entry for a frame in which nobody was found
        frames = 1 + max(int(np.flatnonzero(p.seen)[-1]) for p in written)
    exact = to == "npz"
    for person in written:
        after = min(back, key=lambda p: apart(p.xy, person.xy[:frames]))
        assert len(after) == frames
        scale = max(1.0, np.nanmax(np.abs(person.xy)))
        np.testing.assert_allclose(after.xy, person.xy[:frames], rtol=0, atol=0 if exact else 1e-3 + 1e-7 * scale)
        np.testing.assert_allclose(after.confidence, person.confidence[:frames], rtol=0, atol=0 if exact else 1e-4)
        assert after.skeleton is person.skeleton and after.image_size == person.image_size
        if to == "npz" or (to == "csv" and frames > 1):  # the time of a single frame does not show its unit
            np.testing.assert_allclose(after.frame_times(), person.frame_times(), rtol=1e-6)
        assert after.fps == person.fps if exact else after.fps > 0
        assert after.source == person.source or not exact


def quietly(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@pytest.mark.parametrize("to", TARGETS)
@QUICK
@given(people=clips())
def test_what_is_written_is_read_back(to: str, people: list[Keypoints2D]) -> None:
    check_round_trip(to, people)


@pytest.mark.slow
@pytest.mark.parametrize("to", TARGETS)
@THOROUGH
@given(people=clips())
def test_what_is_written_is_read_back_thoroughly(to: str, people: list[Keypoints2D]) -> None:
    check_round_trip(to, people)


# --- damaged files


def body(skeleton: Skeleton, frames: int = 4) -> np.ndarray:
    """(F, J, 2): somebody who walks to the right, in pixels."""
    rng = np.random.default_rng(len(skeleton))
    shape = np.stack([rng.uniform(240, 360, len(skeleton)), rng.uniform(100, 500, len(skeleton))], -1)
    if skeleton is COCO17:
        shape[:5] = rng.uniform([291, 101], [309, 119], (5, 2))  # the face, by which COCO's 17 joints are recognised
    return (shape + 8 * np.arange(frames)[:, None, None] * [1, 0]).round(3)


def flat(xy: np.ndarray) -> list[float]:
    return np.column_stack([xy, np.full(len(xy), 0.8)]).ravel().tolist()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def boxed(values: list[Any]) -> np.ndarray:
    made = np.empty(len(values), object)
    made[:] = values
    return made


def landmarks(xy: np.ndarray) -> list[dict[str, float]]:
    return [{"x": x / 1280, "y": y / 720, "z": 0.1, "visibility": 0.9} for x, y in xy.tolist()]


def right_json() -> dict[str, Any]:
    """One file of each JSON format."""
    coco, blaze = body(COCO17), body(BLAZEPOSE33)
    frames = range(len(coco))
    instances = [[{"keypoints": p.tolist(), "keypoint_scores": [0.9] * 17, "track_id": 1}] for p in coco]
    poses = [{"frame": f, "timestamp_ms": 40 * f, "pose_landmarks": [landmarks(p)]} for f, p in enumerate(blaze)]
    return {
        "mmpose": {
            "meta_info": {"dataset_name": "coco", "keypoint_id2name": {"0": "nose"}},
            "instance_info": [{"frame_id": f, "instances": i} for f, i in enumerate(instances)],
        },
        "mmpose-inferencer": [{"frame_id": f, "instances": i} for f, i in enumerate(instances)],
        "alphapose": [
            {"image_id": f"{f}.jpg", "category_id": 1, "keypoints": flat(coco[f]), "score": 2.5, "idx": 1}
            for f in frames
        ],
        "openpose": {
            "version": 1.3,
            "people": [{"person_id": [3], "pose_keypoints_2d": flat(p)} for p in body(BODY25, 2)],
        },
        "mediapipe": {"fps": 25, "width": 1280, "height": 720, "frames": poses},
        "ultralytics": [
            [
                {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 1.0, "y1": 2.0}, "track_id": 1}
                | {"keypoints": {"x": p[:, 0].tolist(), "y": p[:, 1].tolist(), "visible": [0.9] * 17}}
            ]
            for p in coco
        ],
        "coco": {
            "images": [{"id": f, "file_name": f"img_{f}.png", "width": 1280, "height": 720} for f in frames],
            "annotations": [
                {"id": f, "image_id": f, "category_id": 1, "keypoints": flat(coco[f]), "track_id": 1} for f in frames
            ],
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
        },
        "wholebody": [
            [{"keypoints": [*p.tolist(), *[[300.0, 500.0]] * 116], "keypoint_scores": [0.9] * 133}] for p in coco
        ],
    }


def right_npz() -> dict[str, dict[str, Any]]:
    """Arrays of each npz format; objects where the format has pickles."""
    coco = body(COCO17)
    wide = np.stack([np.concatenate([p.T, [[0.0] * 17], [[0.9] * 17]]) for p in coco])[:, None]
    return {
        "npz": {
            "keypoints": np.stack([coco, coco + 300]).astype(np.float32),
            "confidence": np.ones((2, len(coco), 17), np.float32),
            "fps": np.float64(25),
            "image_size": np.array([1280, 720]),
            "skeleton": np.array("coco17"),
            "times": np.arange(len(coco)) / 25,
            "source": np.array("clip.mp4"),
        },
        "reconstruction": {"reconstruction": coco[None].astype(np.float32)},
        "detectron2": {
            "boxes": boxed([[[], np.array([[200.0, 90, 400, 510, 0.99]])] for _ in coco]),
            "keypoints": boxed([[[], p] for p in wide]),
            "metadata": np.array({"w": 1280, "h": 720}, object),
        },
        "videopose3d": {
            "positions_2d": np.array({"S1": {"walk": [coco.astype(np.float32)]}}, object),
            "metadata": np.array(
                {"layout_name": "coco", "num_joints": 17, "video_metadata": {"S1": {"w": 1280, "h": 720}}}, object
            ),
        },
    }


def right_csv() -> dict[str, str]:
    """One file of each layout of csv."""
    halpe, blaze = body(HALPE26), body(BLAZEPOSE33, 3)
    named = ",".join(f"{joint}_{axis}" for joint in HALPE26.joints for axis in ("x", "y", "confidence"))
    rows = [",".join(map(str, [f, f / 25, 1, *flat(p)])) for f, p in enumerate(halpe)]
    parts = [joint for joint in COCO17.joints for _ in range(3)]
    lab = [",".join(map(str, [f, *flat(p)])) for f, p in enumerate(body(COCO17))]
    long = [f"{f},{i},{x},{y},0,0.9" for f, p in enumerate(blaze) for i, (x, y) in enumerate(p.tolist())]
    return {
        "csv": "\n".join([f"frame,time,person,{named}", *rows, ""]),
        "mediapipe": "\n".join(["frame,landmark,x,y,z,visibility", *long, ""]),
        "deeplabcut": "\n".join(
            [
                ",".join(["scorer"] + ["model"] * len(parts)),
                ",".join(["bodyparts", *parts]),
                ",".join(["coords", *("x", "y", "likelihood") * 17]),
                *lab,
                "",
            ]
        ),
    }


JSON, NPZ, CSV = right_json(), right_npz(), right_csv()
LABELS = " ".join(["0 0.25 0.4 0.1 0.6", *(f"{v / 1280:.4f}" for v in body(COCO17)[0].ravel()), "1"])
FILES: dict[str, bytes] = {
    "yolo": LABELS.encode(),
    **{f"{name}.json": json.dumps(content).encode() for name, content in JSON.items()},
    **{f"{name}.npz": npz(**arrays) for name, arrays in NPZ.items()},
    **{f"{name}.csv": text.encode() for name, text in CSV.items()},
}


def read_or_refuse(name: str, data: bytes) -> bool:
    """Read a file both ways; whether it was read. Anything but a one-line refusal is an error of the reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        if name.startswith("openpose"):
            path = Path(folder) / "clip"
            path.mkdir()
            for frame in range(2):
                (path / f"clip_{frame:012d}_keypoints.json").write_bytes(data if frame else FILES[name])
        elif name == "yolo":
            path = Path(folder) / "labels"
            path.mkdir()
            for frame in range(2):
                (path / f"clip_{frame}.txt").write_bytes(data if frame else FILES[name])
        else:
            path.write_bytes(data)
        read = 0
        for function in (read_keypoints, read_people):
            try:
                options = {"format": name, "image_size": (1280, 720)} if name == "yolo" else {}
                found = quietly(function, path, **options)
            except PoseMambaError as error:
                assert "\n" not in str(error) and path.name in str(error)
                continue
            read += 1
            for person in found if isinstance(found, list) else [found]:
                assert person.found.any() and np.isfinite(person.confidence).all() and person.fps > 0
                assert ((person.confidence >= 0) & (person.confidence <= 1)).all()
                assert not person.confidence[~person.found].any() and min(person.image_size) > 0
        return read == 2


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(name: str) -> None:
    assert read_or_refuse(name, FILES[name])


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["truncate", "flip", "insert", "remove"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.binary(min_size=1, max_size=4), st.sampled_from(b'-,;.0 9 e9 "x" [ ] { } \n null NaN \t'.split(b" "))
        ),
    ),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, value in edits:
        at = int(where * len(data))
        if kind == "truncate":
            data = data[:at]
        elif kind == "flip":
            data = data[:at] + value + data[at + len(value) :]
        elif kind == "insert":
            data = data[:at] + value + data[at:]
        else:
            data = data[:at] + data[at + len(value) :]
    return data


def check_damaged(name: str, edits: list[tuple[str, float, bytes]]) -> None:
    read_or_refuse(name, damaged(FILES[name], edits))
    if name.endswith(".npz"):  # the archive's checksums hide what is inside: damage that and write the archive anew
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(FILES[name])) as old, zipfile.ZipFile(stream, "w") as new:
            for number, entry in enumerate(old.namelist()):
                data = old.read(entry)
                new.writestr(entry, damaged(data, edits[number : number + 1]))
        read_or_refuse(name, stream.getvalue())


@pytest.mark.parametrize("name", FILES)
@QUICK
@given(edits=EDITS)
def test_damaged_files_are_read_or_refused(name: str, edits: list[tuple[str, float, bytes]]) -> None:
    check_damaged(name, edits)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@THOROUGH
@given(edits=EDITS)
def test_damaged_files_are_read_or_refused_thoroughly(name: str, edits: list[tuple[str, float, bytes]]) -> None:
    check_damaged(name, edits)


JUNK: list[Any] = [None, True, "x", "", -1, 0, 1.5, 10**20, 10**400, float("inf"), float("nan"), [], {}, [[]], [1, 2]]


def spoiled(content: Any, steps: list[int], junk: Any) -> Any:
    """A copy with another value somewhere within: `steps` choose the way down."""
    if not steps or not isinstance(content, dict | list) or not content:
        return junk
    copied = content.copy()
    keys = list(content) if isinstance(content, dict) else range(len(content))
    key = keys[steps[0] % len(keys)]
    copied[key] = spoiled(content[key], steps[1:], junk)
    return copied


WAYS = {"steps": st.lists(st.integers(0, 60), max_size=7), "junk": st.sampled_from(JUNK)}


def plain(array: np.ndarray) -> Any:
    """The objects of an array of objects, for `spoiled` to go into; any other array as it is."""
    if array.dtype != object:
        return array
    return list(array) if array.ndim else array.item()


def check_spoiled(name: str, steps: list[int], junk: Any) -> None:
    if name in JSON:
        read_or_refuse(f"{name}.json", json.dumps(spoiled(JSON[name], steps, junk)).encode())
    if name in NPZ:
        changed = spoiled({key: plain(array) for key, array in NPZ[name].items()}, steps, junk)
        if isinstance(changed, dict):
            arrays = {key: boxed(v) if isinstance(v, list) else np.array(v) for key, v in changed.items()}
            read_or_refuse(f"{name}.npz", npz(**arrays))


def test_what_no_edit_is_likely_to_make(tmp_path: Path) -> None:
    """Numbers beyond Python's limits, an array larger than its file, an encrypted entry, joints beyond any image."""

    def refusal(name: str, data: bytes) -> str:
        assert not read_or_refuse(name, data)
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PoseMambaError) as caught:
            quietly(read_people, tmp_path / name)
        return str(caught.value)

    assert "'a\\nb'" in refusal("k.npz", npz(**{"a\nb": np.ones(3)}))
    assert "'a\\nb'" in refusal("k.json", b'{"a\\nb": 1}')
    right = json.dumps(JSON["alphapose"])
    for digits, message in (("9" * 5000, "thousands of digits"), ("9" * 400, "not a regular list of numbers")):
        assert message in refusal("k.json", right.replace("0.8", digits, 1).encode())
    far = json.loads(right)
    for entry in far:
        entry["keypoints"][0::3] = [1e20] * 17
    assert "the numbers are broken" in refusal("k.json", json.dumps(far).encode())

    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 17, 2)))
    small, large = b"(4, 17, 2), }" + b" " * 14, b"(4, 17, 999999999999999), }"
    huge = stream.getvalue().replace(small, large)
    assert huge != stream.getvalue() and len(huge) == len(stream.getvalue())
    for entry, encrypted, message in (
        (huge, 0, "more than a file of its size holds"),
        (stream.getvalue(), 1, "encrypted with a password"),
    ):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("keypoints.npy", entry)
        data = bytearray(archive.getvalue())
        for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(header) + flags] |= encrypted
        assert message in refusal("k.npz", bytes(data))


@pytest.mark.parametrize("name", sorted({*JSON, *NPZ}))
@settings(QUICK, max_examples=25)
@given(**WAYS)
def test_values_of_another_kind_are_read_or_refused(name: str, steps: list[int], junk: Any) -> None:
    check_spoiled(name, steps, junk)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*JSON, *NPZ}))
@THOROUGH
@given(**WAYS)
def test_values_of_another_kind_are_read_or_refused_thoroughly(name: str, steps: list[int], junk: Any) -> None:
    check_spoiled(name, steps, junk)
