"""The 2D joints of everybody that a detector found in a clip: the ``keypoints.npz`` that `posemamba lift` keeps.

It is an npz of plain arrays: ``keypoints`` (P, F, J, 2) pixels, ``confidence`` (P, F, J), ``times`` (F,) seconds, and a
``header`` in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posemamba.io.keypoints.npz import load_arrays
from posemamba.io.keypoints.raw import RawPeople
from posemamba.io.keypoints.source import Source, describe, number, pixels
from posemamba.poses import Keypoints2D
from posemamba.poses.detections import Track
from posemamba.poses.ranges import CLOSEST, FARTHEST, FASTEST, SLOWEST
from posemamba.poses.skeletons import get_skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.reading import reader, reading

FILE = "keypoints.npz"
UNFINISHED = "keypoints.unfinished"
"""The file of a detection that is not done yet (`posemamba.detect.unfinished`)."""
FORMAT = "posemamba-keypoints-1"
_ANY_VERSION = r"posemamba-keypoints-\d+"
_ARRAYS = ("keypoints", "confidence", "times", "header")


@dataclass
class Detected:
    """The people whom a detector found in a clip.

    Attributes:
        people: all of them, with all joints of the detector's skeleton and all frames of the clip.
        detector: the detector's name.
        digest: short hash of the source and of all options on which the joints depend; empty if it is not known.
    """

    people: list[Keypoints2D]
    detector: str = ""
    digest: str = ""


def recognises(names: Sequence[str]) -> bool:
    """Return True if an npz has the arrays of such a file."""
    return {"keypoints", "header"} <= set(names)


def is_detected(path: Path) -> bool:
    """Return True if a file is one that `write_detected` of any version wrote, and not another file of that name."""
    try:
        read_detected(path)
        return True
    except PoseMambaError:
        return _is_of_another_version(path)


def _is_of_another_version(path: Path) -> bool:
    """Return True if the header names this format with another number; such a file cannot be read, but replaced."""
    try:
        with reading(path, "a keypoint file"):
            header = json.loads(str(load_arrays(path, ("header",))["header"]))
    except PoseMambaError:
        return False
    named = header.get("format") if isinstance(header, dict) else None
    return isinstance(named, str) and named != FORMAT and re.fullmatch(_ANY_VERSION, named) is not None


def write_detected(path: str | Path, detected: Detected) -> None:
    """Write the people of a clip, to be read back exactly; nothing is pickled.

    Raises:
        ValueError: there is nobody, or people are of different clips or skeletons.
    """
    if not detected.people:
        raise ValueError("nobody to write")
    first = detected.people[0]
    facts = (len(first), first.skeleton, first.image_size, first.fps)
    if any((len(p), p.skeleton, p.image_size, p.fps) != facts for p in detected.people):
        raise ValueError("people of different clips: frames, skeleton, image size and frame rate must be the same")
    header = {
        "format": FORMAT,
        "skeleton": first.skeleton.name,
        "joints": first.skeleton.joints,
        "fps": first.fps,
        "image_size": first.image_size,
        "source": first.source,
        "persons": [p.person for p in detected.people],
        "detector": detected.detector,
        "digest": detected.digest,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            keypoints=np.stack([p.xy for p in detected.people]),
            confidence=np.stack([p.confidence for p in detected.people]),
            times=first.frame_times(),
            header=np.array(json.dumps(header)),
        )


@reader("a keypoint file")
def read_detected(path: str | Path) -> Detected:
    """Read a file of `write_detected`.

    Raises:
        PoseMambaError: it is another file, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise PoseMambaError(f"{path}: no such file")
    arrays = load_arrays(path, _ARRAYS)
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise PoseMambaError(f"{path}: lacks '{missing[0]}', expected the {FILE} that posemamba lift writes")
    header = _header(path, str(arrays["header"]))
    try:
        skeleton = get_skeleton(str(header.get("skeleton")))
    except PoseMambaError as error:
        raise PoseMambaError(f"{path}: 'skeleton': {error}") from None
    persons, size, fps = header.get("persons"), header.get("image_size"), number(header.get("fps"))
    if not (
        isinstance(persons, list)
        and persons
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in persons)
        and len(set(persons)) == len(persons)
    ):
        raise PoseMambaError(f"{path}: 'persons' is {persons!r}, expected a list of different numbers from 1 on")
    image_size = pixels(*size) if isinstance(size, list) and len(size) == 2 else None
    if image_size is None or fps is None or not SLOWEST <= fps <= FASTEST:
        raise PoseMambaError(
            f"{path}: 'image_size' is {size!r} and 'fps' {header.get('fps')!r}, expected [width, height] in pixels and "
            "frames per second"
        )
    xy, confidence, times = (arrays[name] for name in _ARRAYS[:3])
    expected = (len(persons), len(times) if times.ndim == 1 else -1, len(skeleton))
    if (
        any(array.dtype.kind != "f" for array in (xy, confidence, times))
        or (xy.shape, confidence.shape) != ((*expected, 2), expected)
        or not len(times)
        or not (np.isfinite(times).all() and (np.diff(times) >= CLOSEST).all())
    ):
        raise PoseMambaError(
            f"{path}: 'keypoints' {xy.shape} and 'confidence' {confidence.shape} do not fit {expected[0]} people, "
            f"{times.shape} increasing times and {len(skeleton)} joints of {skeleton.name}: damaged; detect again"
        )
    if (np.abs(xy) > FARTHEST).any() or np.isinf(confidence).any():
        raise PoseMambaError(f"{path}: joints lie outside of any image, or have infinite confidences: detect again")
    people = [
        Keypoints2D(
            xy=xy[index],
            confidence=confidence[index],
            skeleton=skeleton,
            image_size=image_size,
            fps=fps,
            times=times.astype(np.float64),
            source=str(header.get("source", "")),
            person=person,
        )
        for index, person in enumerate(persons)
    ]
    return Detected(people, str(header.get("detector", "")), str(header.get("digest", "")))


def read(source: Source) -> RawPeople:
    """Read such a file as any other of keypoints; people keep their numbers.

    Raises:
        PoseMambaError: it is another file, or damaged.
    """
    people = read_detected(source.path).people
    first = people[0]
    tracks = []
    for person in people:
        seen = np.flatnonzero(person.seen)
        if len(seen):
            tracks.append(Track(seen, person.xy[seen], person.confidence[seen], person.person))
    return RawPeople(
        tracks,
        len(first),
        first.skeleton,
        fps=first.fps,
        image_size=first.image_size,
        times=first.times,
        source=first.source or None,
        numbered=True,
    )


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise PoseMambaError(f"{path}: 'header' is not JSON: damaged; detect again") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else describe(header)
        raise PoseMambaError(f"{path}: 'header' names the format {found!r}, expected '{FORMAT}'")
    return header
