"""Folders of one JSON file for each frame in OpenPose's layout, as OpenPose, Pose2Sim and users of rtmlib write them.

``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, confidence, ...], ...}]}``. OpenPose names
files ``<name>_000000000000_keypoints.json`` and has BODY_25, BODY_25B, or the older COCO with 18 joints, whose neck is
left out. Pose2Sim names them ``cam1_000000.json`` and has RTMPose's joints: Halpe-26, COCO-17 or whole bodies. A joint
that was not found is 0, 0, 0, or NaN.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posemamba.io.keypoints.frame_files import OPENPOSE_NAME, find_frames
from posemamba.io.keypoints.layouts import KNOWN, LAYOUTS, take_bodies
from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import Source, check_frames, describe, load_json, triples
from posemamba.poses.detections import Detection
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected OpenPose's {'people': [{'pose_keypoints_2d': [x, y, confidence, ...]}]}"


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
    files = find_frames(path, ".json")
    first, last = check_frames(path, files)
    people = {number - first: _people(file) for number, file in files.items()}
    sizes = sorted({len(p.xy) for persons in people.values() for p in persons})
    skeleton, feet = take_bodies(people, sizes[0]) if len(sizes) == 1 else (None, False)
    tracks = follow(path, people, last - first + 1)
    named = OPENPOSE_NAME.fullmatch(files[first].name) is not None  # others may count from 1
    return RawPeople(tracks, last - first + 1, skeleton, feet=feet, first=first, from_zero=named)


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
        if len(joints) not in LAYOUTS:
            raise PoseMambaError(f"{where} has {len(joints)} joints, expected {KNOWN}")
        name = person.get("person_id", -1)
        name = name[0] if isinstance(name, list) and name else name
        known = isinstance(name, int) and not isinstance(name, bool) and name >= 0
        people.append(detection(joints[:, :2], joints[:, 2], name if known else None))
    return people
