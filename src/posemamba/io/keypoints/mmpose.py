"""MMPose's predictions as JSON: one file, or a folder of one for each frame.

Its inferencer writes a list of frames, ``{"frame_id": 0, "instances": [...]}``, and for a single picture the instances
alone. Its demos write the same list as ``instance_info`` beside a ``meta_info`` about the skeleton. What the inferencer
returns, saved by its user, has the frames as ``predictions``. An instance has ``keypoints`` [[x, y], ...] in pixels and
``keypoint_scores``. Of whole bodies faces and hands are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posemamba.io.keypoints.frame_files import find_frames
from posemamba.io.keypoints.layouts import LAYOUTS, take_bodies
from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import Source, check_finite, check_frames, describe, load_json, numbers
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, H36M17, Skeleton
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected MMPose's predictions: a list of {'frame_id': ..., 'instances': [...]}"


def recognises(content: Any) -> bool:
    """Return True if JSON content has MMPose's structure."""
    if isinstance(content, dict):
        return "instance_info" in content or isinstance(content.get("predictions"), list)
    if not isinstance(content, list):
        return False
    first = next((entry for entry in content if entry), None)  # frames without people show no structure
    if isinstance(first, list):
        return isinstance(first[0], dict) and "keypoints" in first[0]
    return first is None or (isinstance(first, dict) and bool({"instances", "keypoints", "predictions"} & set(first)))


def read(source: Source) -> RawPeople:
    """Read a JSON file, or a folder of them; frames that the numbering leaves out have nobody in them.

    Raises:
        PoseMambaError: it is not JSON, or of another structure.
    """
    path = source.path
    skeleton = None
    frames: dict[int, list[Any]] = {}
    if path.is_dir():
        for number, file in find_frames(path, ".json").items():
            inside, skeleton = _content(file, load_json(file))
            if len(inside) > 1:
                raise PoseMambaError(f"{file}: holds {len(inside)} frames, expected one in each file of a folder")
            frames[number] = next(iter(inside.values()), [])
    else:
        frames, skeleton = _content(path, source.json)
    first, last = check_frames(path, frames)
    people = {number - first: _people(path, number, entries) for number, entries in frames.items()}
    sizes = {len(p.xy) for persons in people.values() for p in persons}
    feet = False
    if len(sizes) == 1 and (joints := sizes.pop()) in LAYOUTS:
        found, feet = take_bodies(people, joints)
        # a name from the meta data only decides between skeletons of 17 joints: others are known by their number
        skeleton = skeleton if found is None else found
    tracks = follow(path, people, last - first + 1)
    if skeleton is not None and tracks and len(skeleton) + 4 * feet != tracks[0].xy.shape[1]:
        skeleton = None  # the meta data describe another model's training set
    return RawPeople(tracks, last - first + 1, skeleton, feet=feet, first=first if len(frames) > 1 else None)


def _content(path: Path, content: Any) -> tuple[dict[int, list[Any]], Skeleton | None]:
    """Return the instances by frame number, and the skeleton that the meta data name."""
    skeleton = None
    if isinstance(content, dict):
        key = next((k for k in ("instance_info", "predictions") if k in content), None)
        if key is None:
            raise PoseMambaError(f"{path}: JSON with {describe(content)}; {_EXPECTED}, or with 'instance_info'")
        skeleton = _named_skeleton(content.get("meta_info"))
        content = content[key]
    if not isinstance(content, list):
        raise PoseMambaError(f"{path}: JSON with {describe(content)}; {_EXPECTED}")
    return _frames(path, content), skeleton


def _frames(path: Path, content: list[Any]) -> dict[int, list[Any]]:
    """Return the instances by frame number."""
    if content and all(isinstance(entry, dict) and "keypoints" in entry for entry in content):
        return {0: content}  # the instances of a single picture
    frames: dict[int, list[Any]] = {}
    for position, entry in enumerate(content):
        number, instances = position, entry
        if isinstance(entry, dict):
            number, instances = entry.get("frame_id", position), entry.get("instances", entry.get("predictions"))
        if isinstance(instances, list) and len(instances) == 1 and isinstance(instances[0], list):
            instances = instances[0]  # a batch of one picture
        if not isinstance(instances, list):
            raise PoseMambaError(f"{path}: entry {position} is {describe(entry)}; {_EXPECTED}")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise PoseMambaError(f"{path}: entry {position} has frame_id {number!r}, expected 0, 1, 2, ...")
        if number in frames:
            raise PoseMambaError(f"{path}: frame_id {number} comes twice, expected each frame once")
        frames[number] = instances
    return frames


def _people(path: Path, frame: int, instances: list[Any]) -> list[Detection]:
    people = []
    for index, instance in enumerate(instances):
        where = f"{path}: frame {frame}, instance {index}"
        if not isinstance(instance, dict) or "keypoints" not in instance:
            raise PoseMambaError(f"{where} is {describe(instance)}, expected 'keypoints'")
        xy = numbers(where, "keypoints", instance["keypoints"])
        if xy.ndim != 2 or xy.shape[1] != 2:
            raise PoseMambaError(
                f"{where}: 'keypoints' have shape {xy.shape}, expected (joints, 2): x and y in pixels"
                + (" (these are 3D joints already)" if xy.ndim == 2 and xy.shape[1] == 3 else "")
            )
        check_finite(where, xy)
        scores = numbers(where, "keypoint_scores", instance.get("keypoint_scores", [1.0] * len(xy)))
        if scores.shape != (len(xy),):
            raise PoseMambaError(f"{where}: {len(xy)} keypoints, but 'keypoint_scores' of shape {scores.shape}")
        name = instance.get("track_id")
        known = isinstance(name, int | str) and not (isinstance(name, int) and name < 0)
        # SimCC's scores go a little beyond 1
        people.append(detection(xy, np.clip(np.nan_to_num(scores), 0, 1), name if known else None))
    return people


def _named_skeleton(meta: Any) -> Skeleton | None:
    """Return the skeleton by the joint names or the data set's name in the meta data."""
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
