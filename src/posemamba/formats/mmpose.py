"""The predictions that MMPose saves as JSON.

Its inferencer writes a list of frames, ``{"frame_id": 0, "instances": [...]}``; its demos the same list as
``instance_info`` beside a ``meta_info`` about the skeleton; for a picture the inferencer writes the instances
alone. An instance has ``keypoints`` [[x, y], ...] in pixels and ``keypoint_scores``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.errors import PoseMambaError
from posemamba.formats.people import Person, follow
from posemamba.formats.raw import RawKeypoints
from posemamba.skeleton import COCO17, H36M17, Skeleton

_EXPECTED = "expected MMPose's predictions: a list of {'frame_id': ..., 'instances': [...]}"
_LARGEST_GAP = 100_000  # frames; more is no video but a broken number


def read(path: Path) -> RawKeypoints:
    """Read a JSON file; frames that its numbering leaves out are missing frames.

    Raises:
        PoseMambaError: no JSON, or of another structure.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PoseMambaError(f"{path}: not JSON text (not UTF-8); {_EXPECTED}") from None
    except json.JSONDecodeError as error:
        raise PoseMambaError(
            f"{path}: not JSON, or cut short (line {error.lineno}, column {error.colno}: {error.msg}); "
            f"{_EXPECTED}"
        ) from None
    except RecursionError:
        raise PoseMambaError(f"{path}: JSON nested too deeply; {_EXPECTED}") from None
    skeleton = None
    if isinstance(content, dict):
        if "instance_info" not in content:
            raise PoseMambaError(f"{path}: JSON with {_keys(content)}; {_EXPECTED}, or with 'instance_info'")
        skeleton = _named_skeleton(content.get("meta_info"))
        content = content["instance_info"]
    if not isinstance(content, list):
        raise PoseMambaError(f"{path}: JSON with {_keys(content)}; {_EXPECTED}")
    frames = _frames(path, content)
    if not frames:
        raise PoseMambaError(f"{path}: holds zero frames; {_EXPECTED}")
    first, last = min(frames), max(frames)
    if last - first > _LARGEST_GAP + 10 * len(frames):
        raise PoseMambaError(
            f"{path}: {len(frames)} frames numbered {first} to {last}: the numbers are broken"
        )
    people = {number - first: _people(path, number, entries) for number, entries in frames.items()}
    joints = {len(person.xy) for persons in people.values() for person in persons}
    if not joints:
        raise PoseMambaError(f"{path}: nobody was found in any of its {len(frames)} frames")
    if len(joints) > 1:
        raise PoseMambaError(
            f"{path}: instances with {' and '.join(map(str, sorted(joints)))} joints, expected the same "
            "number in all"
        )
    xy, confidence = follow(people, last - first + 1, path.name)
    if skeleton is not None and len(skeleton) != xy.shape[1]:
        skeleton = None  # what the meta data says is of another model's training set
    return RawKeypoints(xy, confidence, skeleton)


def _frames(path: Path, content: list[Any]) -> dict[int, list[Any]]:
    """Instances by frame number."""
    if content and all(isinstance(entry, dict) and "keypoints" in entry for entry in content):
        return {0: content}  # the instances of a single picture
    frames: dict[int, list[Any]] = {}
    for position, entry in enumerate(content):
        number, instances = position, entry
        if isinstance(entry, dict):
            number, instances = entry.get("frame_id", position), entry.get("instances")
        if not isinstance(instances, list):
            raise PoseMambaError(f"{path}: entry {position} is {_keys(entry)}; {_EXPECTED}")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise PoseMambaError(f"{path}: entry {position} has frame_id {number!r}, expected 0, 1, 2, ...")
        if number in frames:
            raise PoseMambaError(f"{path}: frame_id {number} comes twice, expected each frame once")
        frames[number] = instances
    return frames


def _people(path: Path, frame: int, instances: list[Any]) -> list[Person]:
    people = []
    for index, instance in enumerate(instances):
        where = f"{path}: frame {frame}, instance {index}"
        if not isinstance(instance, dict) or "keypoints" not in instance:
            raise PoseMambaError(f"{where} is {_keys(instance)}, expected 'keypoints'")
        xy = _array(where, "keypoints", instance["keypoints"])
        if xy.ndim != 2 or xy.shape[1] != 2:
            raise PoseMambaError(
                f"{where}: 'keypoints' have shape {xy.shape}, expected (joints, 2): x and y in pixels"
                + (" (these are 3D joints already)" if xy.ndim == 2 and xy.shape[1] == 3 else "")
            )
        if len(infinite := np.argwhere(np.isinf(xy))):
            joint = infinite[0, 0]
            raise PoseMambaError(f"{where}: joint {joint} is infinite, {xy[joint].tolist()}; expected pixels")
        scores = _array(where, "keypoint_scores", instance.get("keypoint_scores", [1.0] * len(xy)))
        if scores.shape != (len(xy),):
            raise PoseMambaError(
                f"{where}: {len(xy)} keypoints, but 'keypoint_scores' of shape {scores.shape}"
            )
        people.append(Person(xy, np.clip(np.nan_to_num(scores), 0, 1)))  # SimCC's go a little beyond 1
    return people


def _array(where: str, name: str, values: Any) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError):
        raise PoseMambaError(f"{where}: '{name}' is not a regular list of numbers") from None


def _named_skeleton(meta: Any) -> Skeleton | None:
    """The skeleton by the meta data's joint names, or its data set's name."""
    if not isinstance(meta, dict):
        return None
    names = meta.get("keypoint_id2name")
    first = names.get("0") if isinstance(names, dict) else None
    data_set = str(meta.get("dataset_name", "")).lower()
    if first in ("root", "pelvis") or data_set.startswith(("h36m", "human36m")):
        return H36M17
    if first == "nose" or data_set == "coco":
        return COCO17
    return None


def _keys(value: Any) -> str:
    """What a JSON value is, for a message."""
    if isinstance(value, dict):
        return "an object of " + (", ".join(f"'{k}'" for k in list(value)[:8]) or "nothing")
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), "a number")
