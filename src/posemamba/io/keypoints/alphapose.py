"""AlphaPose's ``alphapose-results.json``: a list of detections, each with the picture that it was found in.

``{"image_id": "0.jpg", "category_id": 1, "keypoints": [x, y, confidence, ...], "score": ..., "box": [...], "idx": 1}``,
in COCO-17, Halpe-26, or with faces and hands after those (Halpe-68 and -136, COCO-WholeBody-133), which are left out;
COCO-WholeBody's feet are kept beside the body. Frames in which nobody was found are not in the file; a video's pictures
are named by the frame.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Any

from posemamba.io.keypoints.layouts import LAYOUTS, Layout
from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import Source, check_frames, describe, triples
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, HALPE26
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected AlphaPose's list of {'image_id': ..., 'keypoints': [x, y, confidence, ...]}"
_HALPE_FIRST = Layout(HALPE26, tuple(range(len(HALPE26))))
_BODY = {17: Layout(COCO17), 26: LAYOUTS[26], 68: _HALPE_FIRST, 133: LAYOUTS[133], 136: LAYOUTS[136]}
"""The body by the number of joints; 68 is Halpe's body and hands."""


def recognises(content: Any) -> bool:
    """Return True if JSON content has AlphaPose's structure."""
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], dict)
        and "image_id" in content[0]
        and "keypoints" in content[0]
    )


def read(source: Source) -> RawPeople:
    """Read all people; a track number ``idx`` gives an identity, unless everybody has the same.

    Raises:
        PoseMambaError: the structure or the skeleton is another one.
    """
    path, content = source.path, source.json
    if not recognises(content):
        raise PoseMambaError(f"{path}: JSON with {describe(content)}; {_EXPECTED}")
    pictures: dict[Any, list[Detection]] = {}
    sizes: set[int] = set()
    for index, entry in enumerate(content):
        if not isinstance(entry, dict) or not {"image_id", "keypoints"} <= set(entry):
            raise PoseMambaError(f"{path}: entry {index} is {describe(entry)}; {_EXPECTED}")
        joints = triples(f"{path}: entry {index}", "keypoints", entry["keypoints"])
        sizes.add(len(joints))
        if len(joints) not in _BODY:
            raise PoseMambaError(
                f"{path}: entry {index} holds {len(joints)} joints, expected COCO's 17 or Halpe's 26 (with or without "
                "face and hands); use a model of one of these"
            )
        xy, confidence = _BODY[len(joints)].take(joints[:, :2], joints[:, 2])
        name = _id(entry.get("idx"))
        if not isinstance(entry["image_id"], str | int) or isinstance(entry["image_id"], bool):
            raise PoseMambaError(f"{path}: entry {index} has image_id {describe(entry['image_id'])}; {_EXPECTED}")
        people = pictures.setdefault(entry["image_id"], [])
        people.append(detection(xy, confidence, name))
    if len(sizes) > 1:
        found = " and ".join(map(str, sorted(sizes)))
        raise PoseMambaError(f"{path}: detections with {found} joints, expected the same number in all")
    frames = _numbered(path, pictures)
    first, last = check_frames(path, frames)
    # a video's first pictures may show nobody: their numbers count from 0
    first = 0 if first < 10_000 and all(_is_video(name) for name in pictures) else first
    body = _BODY[sizes.pop()]
    tracks = follow(path, {number - first: people for number, people in frames.items()}, last - first + 1)
    feet = bool(body.feet)
    return RawPeople(tracks, last - first + 1, body.skeleton, feet=feet, first=first, from_zero=first == 0)


def _is_video(name: Any) -> bool:
    """Return True if the picture is named as AlphaPose names a video's frames: 0.jpg, 1.jpg, ..."""
    return isinstance(name, str) and PurePath(name).stem.isdecimal()


def _numbered(path: Path, pictures: dict[Any, list[Detection]]) -> dict[int, list[Detection]]:
    """Number the frames by the last number in the pictures' names, or by order if not each has its own number."""
    frames: dict[int, list[Detection]] = {}
    for name, people in pictures.items():
        digits = [str(name)] if isinstance(name, int) else re.findall(r"\d+", PurePath(name).stem)
        if not digits or len(digits[-1]) > 15 or int(digits[-1]) in frames:
            return dict(enumerate(pictures.values()))
        frames[int(digits[-1])] = people
    return frames


def _id(value: Any) -> int | None:
    """Parse a track number, which PoseFlow and the re-identification write as a list."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 2**53:
        return None
    return int(value)
