"""COCO's annotations of persons: ``images``, ``annotations`` with keypoints, and ``categories`` that name the joints.

Labelling programs and data sets write them. Images are the frames, in the order of their file names. A joint is x, y
and 0 (not labelled), 1 (occluded) or 2 (visible); some programs write a confidence instead.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from posemamba.io.keypoints.layouts import KNOWN, LAYOUTS, take_bodies
from posemamba.io.keypoints.names import match
from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import LARGEST_GAP, Source, describe, listed, pixels, triples
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, Skeleton
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected COCO's {'images': [...], 'annotations': [{'image_id': ..., 'keypoints': [x, y, v, ...]}]}"
_OCCLUDED = 0.5
"""Confidence of a joint that was labelled though it is hidden."""
_TRACKS = ("track_id", "person_id", "instance_id")


def recognises(content: Any) -> bool:
    """Return True if JSON content has the structure of COCO's annotations."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def read(source: Source) -> RawPeople:
    """Read all people; a ``track_id`` gives their identities.

    Raises:
        PoseMambaError: the structure is another one, no annotation has keypoints, images are of several videos, or the
            joints that the category names are not a person's.
    """
    path, content = source.path, source.json
    if not recognises(content):
        raise PoseMambaError(f"{path}: JSON with {describe(content)}; {_EXPECTED}")
    images = content["images"]
    if any(not isinstance(image, dict) or not isinstance(image.get("id"), int | str) for image in images):
        raise PoseMambaError(f"{path}: an image without 'id'; {_EXPECTED}")
    frames, start = _frames(path, images)
    people: dict[int, list[Detection]] = {}
    categories = set()
    for index, entry in enumerate(content["annotations"]):
        where = f"{path}: annotation {index}"
        if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), int | str):
            raise PoseMambaError(f"{where} is {describe(entry)}; {_EXPECTED}")
        if not entry.get("keypoints") or entry.get("num_keypoints") == 0:
            continue  # a box or an outline
        frame = frames.get(str(entry["image_id"]))
        if frame is None:
            raise PoseMambaError(f"{where} is of image {entry['image_id']!r:.40}, which 'images' lacks")
        joints = triples(where, "keypoints", entry["keypoints"])
        if len(joints) == len(COCO17) and entry.get("foot_kpts"):  # COCO-WholeBody has body and feet apart
            joints = np.concatenate([joints, triples(where, "foot_kpts", entry["foot_kpts"])])
        name = next((entry[key] for key in _TRACKS if isinstance(entry.get(key), int | str)), None)
        people.setdefault(frame, []).append(Detection(joints[:, :2], np.nan_to_num(joints[:, 2]), name))
        categories.add(str(entry.get("category_id")))
    found = [person for persons in people.values() for person in persons]
    if not found:
        raise PoseMambaError(f"{path}: no annotation has keypoints; {_EXPECTED}")
    sizes = sorted({len(person.xy) for person in found})
    if len(sizes) > 1:
        raise PoseMambaError(f"{path}: annotations of {' and '.join(map(str, sizes))} joints, expected one number")
    _set_confidences(found)
    skeleton, feet = _bodies(path, people, sizes[0], _names(content.get("categories"), categories))
    count = max(frames.values()) + 1
    resolutions = {pixels(image.get("width"), image.get("height")) for image in images}
    return RawPeople(
        follow(path, people, count),
        count,
        skeleton,
        image_size=resolutions.pop() if len(resolutions) == 1 else None,
        feet=feet,
        first=start,
    )


def _frames(path: Path, images: list[dict[str, Any]]) -> tuple[dict[str, int], int | None]:
    """Number the images from 0 on in the order of their file names; also returns the first one's number in its name.

    Numbers in the names keep their gaps, in units of the usual step, as programs label every tenth frame.

    Raises:
        PoseMambaError: there are no images, an id comes twice, or they are of several videos.
    """
    names = {str(image["id"]): str(image.get("file_name") or image["id"]).replace("\\", "/") for image in images}
    if not names:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    if len(names) < len(images):
        raise PoseMambaError(f"{path}: {len(images)} images with {len(names)} different ids, expected one for each")
    videos = {str(image.get("video_id", image.get("vid_id", ""))) for image in images}
    folders = {str(PurePosixPath(name).parent) for name in names.values()}
    for what in (videos, folders):
        if len(what) > 1:
            raise PoseMambaError(
                f"{path}: holds images of {len(what)} videos ({listed(sorted(what)[:5])}), expected one: put the "
                "annotations of each into a file of its own"
            )
    order = sorted(names, key=lambda key: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", names[key])])
    digits = [re.findall(r"\d+", PurePosixPath(names[key]).stem)[-1:] for key in order]
    if all(digits) and len(order) > 1:
        numbers = [int(last[0][:18]) for last in digits]
        steps = [after - before for before, after in itertools.pairwise(numbers)]
        usual = Counter(steps).most_common(1)[0][0]
        if usual > 0 and all(s > 0 and s % usual == 0 and s // usual <= LARGEST_GAP for s in steps):
            frames = {key: (number - numbers[0]) // usual for key, number in zip(order, numbers, strict=True)}
            return frames, numbers[0] if usual == 1 else None
    return {key: position for position, key in enumerate(order)}, None


def _names(categories: Any, wanted: set[str]) -> list[str] | None:
    """Return the names of the joints of the annotations' category; None if it names none."""
    for category in categories if isinstance(categories, list) else ():
        if isinstance(category, dict) and str(category.get("id")) in wanted:
            names = category.get("keypoints")
            if isinstance(names, list) and names and not all(str(name).strip().isdecimal() for name in names):
                return [str(name) for name in names]
    return None


def _set_confidences(found: list[Detection]) -> None:
    """Turn the marks 0, 1 and 2 into confidences; values between them are confidences already."""
    marks = np.concatenate([person.confidence for person in found])
    labelled = bool((marks == np.round(marks)).all())
    for person in found:
        sure = person.confidence
        if labelled:
            person.xy = np.where(sure[:, None] > 0, person.xy, np.nan)
            sure = np.select([sure >= 2, sure >= 1], [1.0, _OCCLUDED], 0.0) if marks.max() > 1 else sure
        made = detection(person.xy, np.clip(sure, 0, 1))
        person.xy, person.confidence = made.xy, made.confidence


def _bodies(
    path: Path, people: dict[int, list[Detection]], joints: int, names: list[str] | None
) -> tuple[Skeleton | None, bool]:
    """Bring the joints into the order of a skeleton, by their names or else their number; as `take_bodies`."""
    if names is None or joints in (23, 133, 136):
        if joints not in LAYOUTS:
            raise PoseMambaError(f"{path}: annotations of {joints} joints without names, expected {KNOWN}")
        skeleton, feet = take_bodies(people, joints)
        return (COCO17 if joints == len(COCO17) else skeleton), feet
    if len(names) != joints:
        raise PoseMambaError(f"{path}: annotations of {joints} joints, and their category names {len(names)}")
    skeleton, order = match(path, names)
    absent = np.array([i is None for i in order])
    at = np.array([i or 0 for i in order])
    for persons in people.values():
        for person in persons:
            person.xy = np.where(absent[:, None], np.nan, person.xy[at])
            person.confidence = np.where(absent, 0, person.confidence[at])
    return skeleton, False
