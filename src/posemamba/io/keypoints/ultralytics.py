"""Ultralytics' results as JSON, ``results[0].to_json()`` (formerly ``tojson``): one file, or a folder of one a frame.

A frame is a list of detections, ``{"name": "person", "class": 0, "confidence": 0.9, "box": {...}, "track_id": 1,
"keypoints": {"x": [...], "y": [...], "visible": [...]}}``, in pixels or, normalised, in shares of the image. A video's
frames stand in a list, as lists or as the texts that `to_json` returns, by number in an object, in an object each
beside their number, or one a line. A joint that was not found is 0, 0, whatever its confidence.
"""

from __future__ import annotations

import json
import re
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.frame_files import find_frames
from posemamba.io.keypoints.layouts import KNOWN, LAYOUTS, take_bodies
from posemamba.io.keypoints.raw import RawPeople, detection, follow, in_shares
from posemamba.io.keypoints.source import (
    Source,
    check_finite,
    check_frames,
    describe,
    load_json,
    number,
    numbers,
    pixels,
)
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected Ultralytics' detections: [{'keypoints': {'x': [...], 'y': [...], 'visible': [...]}, ...}, ...]"
_LOOKED_AT = 100_000  # lists and objects among which a detection is searched: hours in which nobody is seen
_FRAME = ("frame", "frame_id", "frame_idx", "frame_index", "frame_number")


def recognises(content: Any) -> bool:
    """Return True if JSON content holds Ultralytics' detections, with keypoints or without."""
    return _first_detection(content) is not None


def _first_detection(content: Any) -> dict[str, Any] | None:
    """Return the first detection within lists, objects and texts of JSON; None without one."""
    waiting = deque([content])
    for _ in range(_LOOKED_AT):
        if not waiting:
            return None
        one = waiting.popleft()
        if isinstance(one, str):
            one = _parsed(one)
        if _is_detection(one):
            return one  # type: ignore[no-any-return]
        inner = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
        if isinstance(one, dict) or (inner and not isinstance(inner[0], int | float)):  # no list of coordinates
            waiting.extend(entry for entry in inner[:_LOOKED_AT] if entry and isinstance(entry, list | dict | str))
    return None


def _is_detection(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    joints = value.get("keypoints")
    if isinstance(joints, dict):
        return {"x", "y"} <= set(joints)
    return isinstance(value.get("box"), dict) and {"x1", "y1"} <= set(value["box"]) and "confidence" in value


def _parsed(text: str) -> Any:
    """Return the content of a text of JSON, as users collect what `to_json` returns; None of another text."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read(source: Source) -> RawPeople:
    """Read all people; ``track_id`` gives their identities. Detections without keypoints are left out.

    Raises:
        PoseMambaError: the structure is another one, or no detection has keypoints.
    """
    path = source.path
    facts: dict[str, Any] = {}
    if path.is_dir():
        frames = {}
        for name, file in find_frames(path, ".json").items():
            inside = _frames(file, load_json(file), facts)
            if len(inside) > 1:
                raise PoseMambaError(f"{file}: holds {len(inside)} frames, expected one in each file of a folder")
            frames[name] = next(iter(inside.values()), [])
    else:
        frames = _frames(path, source.json, facts)
    first, last = check_frames(path, frames)
    people: dict[int, list[Detection]] = {}
    others = 0
    for frame, entries in frames.items():
        people[frame - first] = []
        for index, entry in enumerate(entries):
            if not entry.get("keypoints"):
                others += 1
                continue
            people[frame - first].append(_detection(f"{path}: frame {frame}, detection {index}", entry))
    found = [person for persons in people.values() for person in persons]
    if not found and others:
        raise PoseMambaError(f"{path}: {others} detections without 'keypoints', expected those of a pose model (-pose)")
    sizes = {len(person.xy) for person in found}
    skeleton, feet = take_bodies(people, sizes.pop()) if len(sizes) == 1 else (None, False)
    tracks = follow(path, people, last - first + 1)
    if skeleton is None and tracks[0].xy.shape[1] == len(COCO17):
        skeleton = COCO17  # of all pose models of Ultralytics
    return RawPeople(
        tracks,
        last - first + 1,
        skeleton,
        fps=number(facts.get("fps")) or None,
        image_size=_size(facts),
        shares=in_shares(np.concatenate([person.xy for person in found])),
        feet=feet,
        first=first if path.is_dir() or facts.get("numbered") else None,
    )


def _frames(path: Path, content: Any, facts: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Return the detections by frame number; what stands beside the list of frames goes into `facts`."""
    content = _parsed(content) if isinstance(content, str) else content
    if isinstance(content, dict) and not _is_detection(content):
        numbered = {name: re.findall(r"\d+", name) for name in content}
        lists = {name: value for name, value in content.items() if isinstance(value, list | str)}
        if content and all(numbered.values()) and len(lists) == len(content):
            facts["numbered"] = True
            return {int(digits[-1][:18]): _entries(path, content[name]) for name, digits in numbered.items()}
        inner = next((v for v in content.values() if isinstance(v, list) and _first_detection(v) is not None), None)
        if inner is None:
            inner = next((v for v in content.values() if isinstance(v, list)), None)
        facts.update({name: value for name, value in content.items() if not isinstance(value, list | dict)})
        content = inner
    if isinstance(content, list) and content and isinstance(content[0], dict):
        facts.update({name: content[0][name] for name in ("shape", "orig_shape") if name in content[0]})
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list) and any(isinstance(e, dict) and set(_FRAME) & set(e) for e in content[:1]):
        facts["numbered"] = True
    if not isinstance(content, list):
        raise PoseMambaError(f"{path}: JSON with {describe(content)}; {_EXPECTED}")
    if content and all(map(_is_detection, content)):
        frames: dict[int, list[dict[str, Any]]] = {}
        for entry in content:  # one frame, unless users wrote its number into each detection
            frames.setdefault(_number(path, entry, 0), []).append(entry)
        return frames
    frames = {}
    for position, entry in enumerate(content):
        at = _number(path, entry, position) if isinstance(entry, dict) and not _is_detection(entry) else position
        if at in frames:
            raise PoseMambaError(f"{path}: frame {at} comes twice, expected each frame once")
        frames[at] = _entries(path, entry)
    return frames


def _size(facts: dict[str, Any]) -> tuple[int, int] | None:
    """Return the image's size, beside the frames or in the first one as Ultralytics' ``orig_shape``, height first."""
    shape = facts.get("orig_shape", facts.get("shape"))
    if isinstance(shape, list) and len(shape) >= 2:
        return pixels(shape[1], shape[0])
    return pixels(facts.get("width"), facts.get("height"))


def _number(path: Path, entry: dict[str, Any], otherwise: int) -> int:
    given = next((entry[key] for key in _FRAME if key in entry), otherwise)
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise PoseMambaError(f"{path}: a frame has the number {given!r:.40}, expected 0, 1, 2, ...")
    return given


def _entries(path: Path, frame: Any) -> list[dict[str, Any]]:
    """Return the detections of a frame: a list, a text of JSON, an object with either, or null for nobody."""
    frame = _parsed(frame) if isinstance(frame, str) and frame.strip() else frame or []
    if _is_detection(frame):
        frame = [frame]
    if isinstance(frame, dict):
        values = [_parsed(value) if isinstance(value, str) else value for value in frame.values()]
        inner = [v for v in values if isinstance(v, list) and all(isinstance(entry, dict) for entry in v)]
        inner = [v for v in inner if _first_detection(v) is not None] or inner  # rather than lists of other things
        return inner[0] if inner else []
    if not isinstance(frame, list) or not all(isinstance(entry, dict) for entry in frame):
        raise PoseMambaError(f"{path}: a frame is {describe(frame)}; {_EXPECTED}")
    return frame


def _detection(where: str, entry: dict[str, Any]) -> Detection:
    joints = entry["keypoints"]
    if not isinstance(joints, dict) or not {"x", "y"} <= set(joints):
        raise PoseMambaError(f"{where} has 'keypoints' of {describe(joints)}; {_EXPECTED}")
    x, y = (_row(where, axis, joints[axis]) for axis in ("x", "y"))
    visible = joints.get("visible")
    sure = np.ones(len(x)) if visible is None else _row(where, "visible", visible)
    if not len(x) == len(y) == len(sure):
        raise PoseMambaError(f"{where} has {len(x)} x, {len(y)} y and {len(sure)} visible, expected the same number")
    if len(x) not in LAYOUTS:
        raise PoseMambaError(f"{where} has {len(x)} joints, expected {KNOWN}")
    xy = np.stack([x, y], -1)
    check_finite(where, xy)
    nowhere = (xy == 0).all(-1)
    name = number(entry.get("track_id"))
    known = name is not None and 0 <= name < 2**53
    return detection(
        np.where(nowhere[:, None], np.nan, xy),
        np.where(nowhere, 0, np.clip(np.nan_to_num(sure), 0, 1)),
        int(name) if known and name is not None else None,
    )


def _row(where: str, name: str, values: Any) -> NDArray[np.float64]:
    row = numbers(where, name, values)
    if row.ndim != 1:
        raise PoseMambaError(f"{where}: '{name}' has shape {row.shape}, expected one number for each joint")
    return row
