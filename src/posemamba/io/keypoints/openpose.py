"""OpenPose's folder of ``<name>_000000000000_keypoints.json``, one for each frame, as ``--write_json`` makes it.

``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, confidence, ...], ...}]}`` in BODY_25, or
in the older COCO with 18 joints, whose neck is left out. A joint that was not found is 0, 0, 0.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import Source, check_frames, describe, load_json, triples
from posemamba.poses.skeletons import BODY25, COCO17
from posemamba.poses.tracking import Detection
from posemamba.utils.errors import PoseMambaError

_NAME = re.compile(r"(?P<clip>.*?)(?P<frame>\d+)_keypoints\.json")
_EXPECTED = "expected OpenPose's {'people': [{'pose_keypoints_2d': [x, y, confidence, ...]}]}"
# Indices of COCO-17's joints among OpenPose's 18, which have the neck second and the right side first.
_FROM_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
_SKELETONS = {25: BODY25, 18: COCO17}


def recognises_folder(path: Path) -> bool:
    """Return True if a folder holds files named as OpenPose names them."""
    with os.scandir(path) as entries:
        return any(_NAME.fullmatch(entry.name) for entry in entries)


def recognises(content: Any) -> bool:
    """Return True if JSON content is one of OpenPose's frames."""
    return isinstance(content, dict) and isinstance(content.get("people"), list)


def read(source: Source) -> RawPeople:
    """Read all frames of the folder; ids that are not negative give people's identities.

    Raises:
        PoseMambaError: it is not a folder of one clip, or a file has another structure.
    """
    path = source.path
    if not path.is_dir():
        raise PoseMambaError(f"{path}: one file of OpenPose is one frame, expected the folder of all of them")
    files: dict[int, Path] = {}
    clips: dict[str, int] = {}
    for name in sorted(os.listdir(path)):
        if match := _NAME.fullmatch(name):
            clips[match["clip"]] = clips.get(match["clip"], 0) + 1
            files[int(match["frame"])] = path / name
    if not files:
        raise PoseMambaError(f"{path}: the folder holds no *_keypoints.json, expected one for each frame")
    if len(clips) > 1:
        names = ", ".join(f"'{clip}' ({count} frames)" for clip, count in list(clips.items())[:5])
        raise PoseMambaError(f"{path}: holds {len(clips)} clips, {names}; expected one: put each into its own folder")
    first, last = check_frames(path, files)
    people = {number - first: _people(file) for number, file in files.items()}
    sizes = {len(p.xy) for persons in people.values() for p in persons}
    tracks = follow(path, people, last - first + 1)
    return RawPeople(tracks, last - first + 1, BODY25 if sizes == {25} else COCO17, first=first, from_zero=True)


def _people(path: Path) -> list[Detection]:
    content = load_json(path)
    if not recognises(content):
        raise PoseMambaError(f"{path}: JSON with {describe(content)}; {_EXPECTED}")
    people = []
    for index, person in enumerate(content["people"]):
        where = f"{path}: person {index}"
        key = next(
            (k for k in ("pose_keypoints_2d", "pose_keypoints") if isinstance(person, dict) and k in person), None
        )
        if key is None:
            raise PoseMambaError(f"{where} is {describe(person)}; {_EXPECTED}")
        if not person[key]:  # only a face or hands
            continue
        joints = triples(where, key, person[key])
        if len(joints) not in _SKELETONS:
            raise PoseMambaError(
                f"{where} has {len(joints)} joints, expected BODY_25 or COCO with 18; run OpenPose with "
                "--model_pose BODY_25"
            )
        if len(joints) == 18:
            joints = joints[list(_FROM_18)]
        name = person.get("person_id", -1)
        name = name[0] if isinstance(name, list) and name else name
        known = isinstance(name, int) and not isinstance(name, bool) and name >= 0
        people.append(detection(joints[:, :2], joints[:, 2], name if known else None))
    return people
