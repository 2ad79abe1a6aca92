"""The npz files of VideoPose3D's scripts: Detectron's detections of a video, and data sets of 2D joints.

Detections have ``boxes`` and ``keypoints``: for each frame a pair of which the second is about people, (P, 5) with the
score last and (P, 4, 17) with x, y, logit and probability; and ``metadata`` with the picture's w and h. Data sets have
``positions_2d``, arrays (F, J, 2) by subject, action and camera, and ``metadata``. Both are pickled; they are read
without running the pickle's code (`posemamba.utils.unpickle`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import Source, check_finite, describe, pixels
from posemamba.poses.detections import Detection, Track
from posemamba.poses.skeletons import COCO17, H36M17, Skeleton
from posemamba.utils.errors import PoseMambaError

# The heat map's peak probability is small even for correct joints; Detectron2 draws joints above this one.
_SURE = 0.05


def recognises_detections(names: list[str]) -> bool:
    """Return True if an npz of these arrays holds Detectron's detections."""
    return {"boxes", "keypoints", "metadata"} <= set(names)


def recognises_data_set(names: list[str]) -> bool:
    """Return True if an npz of these arrays holds a data set of 2D joints."""
    return "positions_2d" in names


def read_detections(source: Source) -> RawPeople:
    """Read all people; a joint's confidence is the person's score, reduced where the heat map is nearly flat.

    Raises:
        PoseMambaError: the structure is another one, or the pickle holds something that is not read.
    """
    path = source.path
    boxes, keypoints = (_frames(path, key) for key in ("boxes", "keypoints"))
    if len(boxes) != len(keypoints):
        raise PoseMambaError(f"{path}: 'boxes' of {len(boxes)} frames and 'keypoints' of {len(keypoints)}")
    people: dict[int, list[Detection]] = {}
    for frame in range(len(keypoints)):
        where = f"{path}: frame {frame}"
        found = _second(where, "keypoints", keypoints[frame])
        scores = _second(where, "boxes", boxes[frame])
        people[frame] = []
        if not len(found) or not len(scores):
            continue
        if found.ndim != 3 or found.shape[1:] != (4, 17) or scores.shape != (len(found), 5):
            raise PoseMambaError(
                f"{where} has keypoints of shape {found.shape} and boxes of shape {scores.shape}, expected "
                "(people, 4, 17) and (people, 5)"
            )
        for joints, score in zip(found, scores[:, 4], strict=True):
            xy = joints[:2].T.astype(np.float64)
            check_finite(where, xy)
            sure = np.clip(np.nan_to_num(joints[3]) / _SURE, 0, 1)
            people[frame].append(detection(xy, sure * np.clip(np.nan_to_num(score), 0, 1)))
    size = _size(_load(path, "metadata"))
    return RawPeople(follow(path, people, len(keypoints)), len(keypoints), COCO17, image_size=size)


def read_data_set(source: Source) -> RawPeople:
    """Read a data set with a single clip.

    Raises:
        PoseMambaError: there are several clips, the structure is another one, or the pickle holds something that is
            not read.
    """
    path = source.path
    content = _load(path, "positions_2d")
    metadata = _load(path, "metadata") if "metadata" in source.names else {}
    clips: dict[tuple[str, str, int], NDArray[Any]] = {}
    for subject, actions in content.items() if isinstance(content, dict) else ():
        for action, cameras in actions.items() if isinstance(actions, dict) else ():
            views = [cameras] if getattr(cameras, "ndim", 0) == 3 else cameras
            for camera, xy in enumerate(views if isinstance(views, list | tuple | np.ndarray) else [views]):
                clips[str(subject), str(action), camera] = _array(xy)
    if not clips:
        raise PoseMambaError(f"{path}: 'positions_2d' holds no clip, expected arrays by subject, action and camera")
    if len(clips) > 1:
        names = ", ".join("/".join(map(str, name)) for name in list(clips)[:4])
        raise PoseMambaError(
            f"{path}: holds {len(clips)} clips ({names}{', ...' if len(clips) > 4 else ''}), expected one; save the "
            "one that you want as npz: numpy.savez(file, keypoints=array, fps=...)"
        )
    (subject, _, _), xy = next(iter(clips.items()))
    if xy.ndim != 3 or xy.shape[2] not in (2, 3) or xy.dtype.kind not in "fiu":
        raise PoseMambaError(f"{path}: the clip has shape {xy.shape} of {xy.dtype}, expected (frames, joints, 2)")
    metadata = metadata if isinstance(metadata, dict) else {}
    videos = metadata.get("video_metadata")
    size = _size(videos.get(subject)) if isinstance(videos, dict) else None
    layout = str(metadata.get("layout_name", "")).lower()
    named: Skeleton | None = {"coco": COCO17, "h36m": H36M17}.get(layout)
    if named is not None and len(named) != xy.shape[1]:
        named = None
    confidence = xy[..., 2] if xy.shape[2] == 3 else np.ones(xy.shape[:2])
    tracks = [Track(np.arange(len(xy)), xy[..., :2].astype(np.float64), confidence)]
    return RawPeople(tracks, len(xy), named, image_size=size, confident=xy.shape[2] == 3)


def _second(where: str, name: str, entry: Any) -> NDArray[Any]:
    """Return the entry for people, the second of a frame's pair; the first is the background's."""
    try:
        pair = list(entry)
        return np.asarray([np.asarray(p, np.float64) for p in pair[1]] if len(pair[1]) else [])
    except (TypeError, IndexError, ValueError, OverflowError):
        raise PoseMambaError(f"{where}: '{name}' is not a pair of which the second is about people") from None


def _load(path: Path, key: str) -> Any:
    """Read an object array without running its pickle's code."""
    from posemamba.utils.unpickle import load_npz_object  # of use to these two formats only

    return load_npz_object(path, key)


def _frames(path: Path, key: str) -> NDArray[Any] | list[Any] | tuple[Any, ...]:
    """Read the entries of all frames.

    Raises:
        PoseMambaError: `key` is no sequence.
    """
    entries = _load(path, key)
    if not isinstance(entries, list | tuple) and not (isinstance(entries, np.ndarray) and entries.ndim):
        raise PoseMambaError(f"{path}: '{key}' is {describe(entries)}, expected one entry for each frame")
    return entries


def _array(values: Any) -> NDArray[Any]:
    """Convert to an array; an empty one of objects where the values are ragged."""
    try:
        return np.asarray(values)
    except ValueError:
        return np.empty(0, object)


def _size(metadata: Any) -> tuple[int, int] | None:
    """Return width and height, if they are given."""
    return pixels(metadata.get("w"), metadata.get("h")) if isinstance(metadata, dict) else None
