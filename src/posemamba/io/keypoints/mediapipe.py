"""MediaPipe's 33 landmarks as JSON or csv. MediaPipe itself writes no file, so there are many layouts.

JSON is a list of frames, or an object that holds it (``frames``, ``results``, ``landmarks``, ``poses``) beside ``fps``
and the picture's size. A frame is a result of the Tasks API,
``{"pose_landmarks": [[{x, y, z, visibility}, ...], ...]}``, with a list for each person; or of the older interface,
with the landmarks of one person; or just the landmarks. A landmark is an object or [x, y, z, visibility]. Coordinates
are shares of the picture, or pixels. For csv see `posemamba.io.keypoints.table`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints import table
from posemamba.io.keypoints.raw import RawPeople, detection, follow, in_order, in_shares
from posemamba.io.keypoints.source import Source, check_finite, check_frames, describe, number, numbers, pixels
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected MediaPipe's frames: [{'pose_landmarks': [[{'x': ..., 'y': ..., 'visibility': ...}, ...]]}, ...]"
_LISTS = ("frames", "results", "detections", "data", "poses", "landmarks")
_LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks", "keypoints", "pose")
_WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
_TIME = {"timestamp_ms": 1e-3, "timestamp_us": 1e-6, "timestamp": None, "time": None}
"""Keys of a frame's time, and seconds of their units; None: to be told by the numbers."""
_FRAME = ("frame", "frame_id", "frame_index", "frame_idx", "frame_number", "frameIndex")


def recognises(content: Any) -> bool:
    """Return True if JSON content is frames of landmarks."""
    frames, _ = _list(content)
    if frames is None:
        return False
    for frame in frames:
        landmarks = _landmarks(frame)
        if landmarks is None:
            return False
        if landmarks:
            people = _people(landmarks)
            return people is not None and len(people[0]) == len(BLAZEPOSE33)
    return bool(frames) and all(isinstance(f, dict) and any(k in f for k in _LANDMARKS[:2]) for f in frames)


def holds_world_alone(content: Any) -> bool:
    """Return True if JSON content is frames of MediaPipe's world landmarks, without the places in the picture."""
    frames, _ = _list(content)
    return bool(frames) and any(isinstance(f, dict) and any(k in f for k in _WORLD) for f in frames or ())


def read(source: Source) -> RawPeople:
    """Read all people in all frames.

    Raises:
        PoseMambaError: the structure is another one, or the number of landmarks is not 33.
    """
    if source.kind == "csv":
        return table.read(source)
    path = source.path
    content, facts = _list(source.json)
    if content is None:
        raise PoseMambaError(f"{path}: JSON with {describe(source.json)}; {_EXPECTED}")
    frames: dict[int, list[Detection]] = {}
    stamps: dict[int, float] = {}
    numbered = False
    clock = _clock(content)
    for position, entry in enumerate(content):
        where = f"{path}: frame {position}"
        landmarks = _landmarks(entry)
        people = None if landmarks is None else _people(landmarks)
        if people is None:
            raise PoseMambaError(f"{where} is {describe(entry)}; {_EXPECTED}")
        given = next((entry[k] for k in _FRAME if k in entry), None) if isinstance(entry, dict) else None
        index = position
        if isinstance(given, int) and not isinstance(given, bool):
            index, numbered = given, True
        if index in frames:
            raise PoseMambaError(f"{path}: frame {index} comes twice, expected each frame once")
        frames[index] = [_detection(where, person) for person in people]
        if clock is not None and isinstance(entry, dict) and (stamp := number(entry.get(clock))) is not None:
            stamps[index] = stamp
    first, last = check_frames(path, frames)
    people_by_frame = {index - first: people for index, people in frames.items()}
    shares = in_shares(np.concatenate([p.xy for people in frames.values() for p in people] or [np.zeros((0, 2))]))
    tracks = follow(path, people_by_frame, last - first + 1)
    return RawPeople(
        tracks,
        last - first + 1,
        BLAZEPOSE33,
        fps=number(facts.get("fps")) or None,
        image_size=_size(facts),
        times=in_order(stamps, first, last) if stamps else None,
        time_unit=_TIME.get(clock or ""),
        shares=shares,
        first=first if numbered else None,
    )


def _clock(frames: list[Any]) -> str | None:
    """Return the key of the frames' times; None without one."""
    first = next((frame for frame in frames if isinstance(frame, dict)), {})
    return next((key for key in _TIME if number(first.get(key)) is not None), None)


def _list(content: Any) -> tuple[list[Any] | None, dict[str, Any]]:
    """Return the frames, and the other entries of the object that holds them."""
    if isinstance(content, list):
        return content, {}
    if not isinstance(content, dict):
        return None, {}
    facts = dict(content)
    for key in ("metadata", "video_info", "info", "video"):
        if isinstance(content.get(key), dict):
            facts |= content[key]
    for key in _LISTS:
        if isinstance(content.get(key), list):
            return content[key], facts
    if any(key in content for key in _LANDMARKS[:2]):  # a picture's result
        return [content], facts
    return None, facts


def _landmarks(frame: Any) -> list[Any] | None:
    """Return a frame's landmarks; [] for nobody; None if it is no frame."""
    if frame is None:
        return []
    if isinstance(frame, dict):
        key = next((k for k in _LANDMARKS if k in frame), None)
        if key is None:
            return None
        frame = frame[key]
        if isinstance(frame, dict):  # the older interface's {"landmark": [...]}
            frame = frame.get("landmark")
        if frame is None:
            return []
    return frame if isinstance(frame, list) else None


def _people(landmarks: list[Any]) -> list[list[Any]] | None:
    """Return a list of landmarks for each person; None if these are no landmarks."""
    if not landmarks:
        return []
    first = landmarks[0]
    if isinstance(first, dict):
        if "x" in first:
            return [landmarks]
        inner: list[Any] = [p.get("landmark") or p.get("landmarks") for p in landmarks if isinstance(p, dict)]
        return inner if all(isinstance(p, list) and p for p in inner) else None
    if isinstance(first, list) and first:
        if isinstance(first[0], int | float) or first[0] is None:
            return [landmarks]
        return [p for p in landmarks if p] if all(isinstance(p, list) for p in landmarks) else None
    return None


def _detection(where: str, landmarks: list[Any]) -> Detection:
    if len(landmarks) != len(BLAZEPOSE33):
        raise PoseMambaError(f"{where} has {len(landmarks)} landmarks, expected MediaPipe's 33")
    values: NDArray[np.float64]
    if isinstance(landmarks[0], dict):
        try:
            rows = [
                (p["x"], p["y"], visible if (visible := p.get("visibility", p.get("presence"))) is not None else 1.0)
                for p in landmarks
            ]
        except (TypeError, KeyError, AttributeError):
            raise PoseMambaError(f"{where} has a landmark without x and y; {_EXPECTED}") from None
        values = numbers(where, "pose_landmarks", rows)
    else:
        values = numbers(where, "pose_landmarks", landmarks)
        if values.ndim != 2 or values.shape[1] < 2:
            raise PoseMambaError(f"{where} has landmarks of shape {values.shape}; {_EXPECTED}")
        seen = values[:, 3] if values.shape[1] > 3 else np.ones(len(values))  # the third is the depth
        values = np.column_stack([values[:, :2], seen])
    check_finite(where, values[:, :2])
    return detection(values[:, :2], values[:, 2])


def _size(facts: dict[str, Any]) -> tuple[int, int] | None:
    for pair in (("width", "height"), ("image_width", "image_height"), ("frame_width", "frame_height"), ("w", "h")):
        if (size := pixels(*(facts.get(name) for name in pair))) is not None:
            return size
    both = facts.get("image_size")
    return pixels(*both) if isinstance(both, list) and len(both) == 2 else None
