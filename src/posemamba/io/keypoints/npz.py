"""Keypoints as NumPy's npz: the simplest format, and the one that this package writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.raw import RawPeople
from posemamba.io.keypoints.source import Source, listed
from posemamba.poses import Feet2D, Keypoints2D
from posemamba.poses.detections import Track
from posemamba.poses.skeletons import FEET, get_skeleton
from posemamba.utils.archives import npz_names, read_npz
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

_KEYS = ("keypoints", "xy")
_CONFIDENCE_KEYS = ("confidence", "scores")
_FACTS = ("fps", "image_size", "skeleton", "times", "source", "person", "feet", "feet_confidence")
_WANTED = (*_KEYS, *_CONFIDENCE_KEYS, *_FACTS)


def write_keypoints_npz(path: str | Path, keypoints: Keypoints2D | Sequence[Keypoints2D]) -> None:
    """Write one person, or several of the same clip, to be read back exactly; nothing is pickled.

    Raises:
        ValueError: there is nobody, or people are of different clips or skeletons.
    """
    people = [keypoints] if isinstance(keypoints, Keypoints2D) else list(keypoints)
    if not people:
        raise ValueError("nobody to write")
    first = people[0]
    if any(
        (len(k), k.skeleton, k.image_size, k.fps) != (len(first), first.skeleton, first.image_size, first.fps)
        for k in people
    ):
        raise ValueError("people of different clips: frames, skeleton, image size and frame rate must be the same")
    one = len(people) == 1
    arrays: dict[str, Any] = {
        "keypoints": first.xy if one else np.stack([k.xy for k in people]),
        "confidence": first.confidence if one else np.stack([k.confidence for k in people]),
        "fps": np.float64(first.fps),
        "image_size": np.array(first.image_size, np.int64),
        "skeleton": np.array(first.skeleton.name),
        "source": np.array(first.source),
        "person": np.array([k.person for k in people], np.int64),
    }
    if first.times is not None:
        arrays["times"] = first.times
    if any(k.feet is not None for k in people):
        shape = len(first), len(FEET)
        none = Feet2D(np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32))
        feet = [none if k.feet is None else k.feet for k in people]
        arrays["feet"] = feet[0].xy if one else np.stack([f.xy for f in feet])
        arrays["feet_confidence"] = feet[0].confidence if one else np.stack([f.confidence for f in feet])
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read(source: Source) -> RawPeople:
    """Read an npz file of keypoints.

    Its array ``keypoints`` or ``xy`` is (F, J, 2), or (F, J, 3) with the confidence as third channel, or of several
    people (P, F, J, 2 or 3). Optional are ``confidence`` or ``scores`` (F, J), ``fps``, ``image_size`` (width, height),
    ``skeleton``, ``times`` (F,) in seconds, ``source`` and ``person``; and beside a skeleton without feet ``feet``
    (F, 4, 2), or (P, F, 4, 2), with ``feet_confidence``, in the order of `posemamba.poses.skeletons.FEET`.

    Raises:
        PoseMambaError: the file is broken or pickled, or its arrays have other shapes.
    """
    path = source.path
    arrays = load_arrays(path, _WANTED)
    key = next((k for k in _KEYS if k in arrays), None)
    if key is None and {"xyz", "header"} <= set(arrays):
        raise PoseMambaError(
            f"{path}: holds 3D poses that posemamba wrote, expected 2D joints; posemamba convert exports them"
        )
    if key is None:
        raise PoseMambaError(
            f"{path}: holds {listed(arrays) or 'nothing'}; expected an array 'keypoints' (frames, joints, 2 or 3)"
        )
    values = _numbers(path, key, arrays[key])
    if values.ndim not in (3, 4) or values.shape[-1] not in (2, 3):
        raise PoseMambaError(
            f"{path}: '{key}' has shape {values.shape}, expected (frames, joints, 2), or (frames, joints, 3) with "
            "the confidence as third channel, or (people, frames, joints, 2 or 3)"
        )
    xy = values[..., :2]
    confidence = None
    if values.shape[-1] == 3:
        confidence = values[..., 2]
        if np.nanmin(confidence, initial=0) < 0:
            raise PoseMambaError(
                f"{path}: the third channel of '{key}' holds negative numbers, expected confidences from 0 to 1 "
                "(are these 3D joints?)"
            )
    for name in _CONFIDENCE_KEYS:
        if name in arrays:
            confidence = _numbers(path, name, arrays[name])
            if confidence.shape not in (xy.shape[:-1], (*xy.shape[:-1], 1)):
                raise PoseMambaError(
                    f"{path}: '{name}' has shape {confidence.shape}, expected {xy.shape[:-1]} as '{key}' has"
                )
            confidence = confidence.reshape(xy.shape[:-1])
            break
    confident = confidence is not None
    if confidence is None:
        confidence = np.ones(xy.shape[:-1])
    feet = "feet" in arrays
    if feet:
        beside = _numbers(path, "feet", arrays["feet"])
        sure = arrays.get("feet_confidence", np.isfinite(beside).all(-1).astype(np.float32))
        sure = _numbers(path, "feet_confidence", sure)
        wanted = (*xy.shape[:-2], len(FEET))
        if beside.shape != (*wanted, 2) or sure.shape != wanted:
            raise PoseMambaError(
                f"{path}: 'feet' has shape {beside.shape} and 'feet_confidence' {sure.shape}, expected "
                f"{(*wanted, 2)} and {wanted}, beside '{key}' of {xy.shape}"
            )
        xy, confidence = np.concatenate([xy, beside], -2), np.concatenate([confidence, sure], -1)
    if xy.ndim == 3:
        xy, confidence = xy[None], confidence[None]
    people, frames = xy.shape[:2]
    tracks = []
    for person in range(people):
        # a single person keeps all frames, so that messages can name a frame
        seen = np.arange(frames) if people == 1 else np.flatnonzero(~np.isnan(xy[person]).any(-1).all(-1))
        if len(seen):
            tracks.append(Track(seen, xy[person, seen], confidence[person, seen]))
    raw = RawPeople(tracks if frames else [], frames, confident=confident, feet=feet)
    if people > 1:
        raw.tracks.sort(key=lambda t: -len(t))
    elif "person" in arrays:
        number = float(_numbers(path, "person", arrays["person"], 1)[0])
        if not (1 <= number <= 2**53 and number == round(number)):
            raise PoseMambaError(f"{path}: 'person' is {number:g}, expected a number from 1 on")
        raw.person = int(number)
    if "fps" in arrays:
        raw.fps = float(_numbers(path, "fps", arrays["fps"], 1)[0])
    if "image_size" in arrays:
        width, height = _numbers(path, "image_size", arrays["image_size"], 2)
        if not (np.isfinite(width) and np.isfinite(height)):
            raise PoseMambaError(f"{path}: 'image_size' is {width} x {height}, expected width and height in pixels")
        raw.image_size = round(float(width)), round(float(height))
    if "times" in arrays:
        raw.times = _numbers(path, "times", arrays["times"], frames).astype(np.float64)
    if "skeleton" in arrays:
        try:
            raw.skeleton = get_skeleton(str(arrays["skeleton"]))
        except PoseMambaError as error:
            raise PoseMambaError(f"{path}: 'skeleton': {error}") from None
    if "source" in arrays:
        raw.source = str(arrays["source"])
    return raw


def load_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Load the wanted arrays of an npz file; of its others only the names are there, with empty arrays.

    Raises:
        PoseMambaError: the file is broken, or a wanted array is pickled.
    """
    arrays = read_npz(path, wanted)  # only the arrays that are needed: others may be large or pickled
    return arrays | {name: np.empty(0) for name in npz_names(path) if name not in arrays}


def _numbers(path: Path, name: str, array: NDArray[Any], count: int | None = None) -> NDArray[Any]:
    """Return the array after a check that it holds real numbers, and `count` of them.

    Without `count`, half floats and integers become float64, in which coordinates do not overflow.
    """
    if array.dtype.kind not in "fiu":
        raise PoseMambaError(f"{path}: '{name}' holds {array.dtype}, expected numbers")
    if count is None:
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    if array.size != count:
        raise PoseMambaError(f"{path}: '{name}' has shape {array.shape}, expected {count} number(s)")
    return array.reshape(count)
