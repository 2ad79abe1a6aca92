"""Conversion of keypoint files between formats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemamba.io.keypoints import read_people, write_keypoints_npz
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_skeleton
from posemamba.poses.skeletons import BODY25, COCO17, HALPE26, get_skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_files, atomic_path, writing

TARGETS = ("npz", "csv", "mmpose", "alphapose", "openpose")
"""Formats that `convert_keypoints` and `write_people` write."""

_SUFFIXES = {".npz": "npz", ".csv": "csv", ".json": "mmpose"}


def convert_keypoints(
    src: str | Path,
    dst: str | Path,
    *,
    to: str | None = None,
    to_skeleton: str | None = None,
    format: str = "auto",
    skeleton: str | None = None,
    fps: float | None = None,
    image_size: tuple[int, int] | None = None,
) -> list[Keypoints2D]:
    """Convert a keypoint file of any known format, with all people in it, to another format.

    Args:
        src: the file, or OpenPose's folder.
        dst: the file to write; for ``openpose`` a folder, which must be empty or new.
        to: one of `TARGETS`; None: by the suffix of `dst` (.npz, .csv, .json: mmpose; none: openpose).
        to_skeleton: name of the skeleton to write, e.g. ``h36m17``; None: the source's, or for ``alphapose`` and
            ``openpose`` one that these support.
        format, skeleton, fps, image_size: of the source, see `read_keypoints`.

    Returns:
        The people as they were written.

    Raises:
        PoseMambaError: the source cannot be read, the format to write is unknown, or the skeleton cannot be converted.
            Nothing is written then, and an earlier file stays.
    """
    dst = Path(dst)
    to = _target(dst, to)
    wanted = None if to_skeleton is None else get_skeleton(to_skeleton)
    people = read_people(src, format=format, skeleton=skeleton, fps=fps, image_size=image_size)
    if wanted is not None:
        people = [_converted(p, wanted.name) for p in people]
    return write_people(dst, people, to=to)


def write_people(dst: str | Path, people: Sequence[Keypoints2D], *, to: str | None = None) -> list[Keypoints2D]:
    """Write people of one clip, whole or not at all.

    npz keeps everything; csv lacks the image's size and the source; mmpose, alphapose and openpose lack the frame rate
    and the image's size. A missing joint is written as 0, 0 with confidence 0 (as an empty cell in csv).

    Args:
        dst, to: as in `convert_keypoints`.
        people: of the same frames and skeleton, at least one.

    Returns:
        The people as they were written: ``alphapose`` takes COCO-17 or Halpe-26, ``openpose`` BODY_25; others are
        converted to these by name.

    Raises:
        PoseMambaError: the format is unknown, the skeleton cannot be converted, or `dst` cannot be written.
        ValueError: there is nobody, or people are of different clips.
    """
    dst = Path(dst)
    to = _target(dst, to)
    people = list(people)
    if not people:
        raise ValueError("nobody to write")
    if any(len(p) != len(people[0]) or p.skeleton != people[0].skeleton for p in people):
        raise ValueError("people of different clips: frames and skeleton must be the same")
    if to == "alphapose" and people[0].skeleton not in (COCO17, HALPE26):
        people = [_converted(p, COCO17.name) for p in people]
    if to == "openpose":
        people = [_converted(p, BODY25.name) for p in people]
    write = {"npz": _npz, "csv": _csv, "mmpose": _mmpose, "alphapose": _alphapose, "openpose": _openpose}[to]
    with writing(dst):
        write(dst, people)
    return people


def _target(dst: Path, to: str | None) -> str:
    if to is None:
        to = _SUFFIXES.get(dst.suffix.lower(), "openpose" if not dst.suffix else None)
        if to is None:
            raise PoseMambaError(
                f"{dst}: the suffix '{dst.suffix}' names no format, expected .npz, .csv or .json, or name the format: "
                f"--to {'|'.join(TARGETS)}"
            )
    if to not in TARGETS:
        raise PoseMambaError(f"unknown format '{to}' to write, expected one of {', '.join(TARGETS)}")
    if to == "openpose" and dst.exists() and (not dst.is_dir() or any(dst.iterdir())):
        raise PoseMambaError(f"{dst}: is there already, expected a new or empty folder for OpenPose's files")
    if to != "openpose" and dst.is_dir():
        raise PoseMambaError(f"{dst}: is a directory, expected the name of a file for format '{to}'")
    return to


def _converted(person: Keypoints2D, name: str) -> Keypoints2D:
    return to_skeleton(person, get_skeleton(name))


def _npz(dst: Path, people: list[Keypoints2D]) -> None:
    write_keypoints_npz(dst, people)


def _rounded(person: Keypoints2D, frame: int) -> tuple[list[list[float]], list[float]]:
    """Return xy to a thousandth of a pixel and confidence to a ten-thousandth; zeros where missing."""
    found = np.isfinite(person.xy[frame]).all(-1)
    xy = np.where(found[:, None], person.xy[frame], 0).astype(np.float64).round(3)
    return xy.tolist(), np.where(found, person.confidence[frame], 0).astype(np.float64).round(4).tolist()


def _seen(people: list[Keypoints2D]) -> list[np.ndarray]:
    return [p.seen for p in people]


def _csv(dst: Path, people: list[Keypoints2D]) -> None:
    """Write one row for each frame and person; frames without people keep one row, so the clip keeps its length."""
    seen = _seen(people)
    with atomic_path(dst) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        axes = [f"{joint}_{axis}" for joint in people[0].skeleton.joints for axis in ("x", "y", "confidence")]
        file.write(",".join(["frame", "time", "person", *axes]) + "\n")
        times = people[0].frame_times()
        for frame, time in enumerate(times):
            present = [i for i in range(len(people)) if seen[i][frame]] or [0]
            for i in present:
                xy, confidence = _rounded(people[i], frame)
                cells = [
                    text
                    for (x, y), c in zip(xy, confidence, strict=True)
                    for text in ((f"{x:.10g}", f"{y:.10g}", f"{c:.6g}") if x or y or c else ("", "", "0"))
                ]
                file.write(f"{frame},{time:.9g},{people[i].person},{','.join(cells)}\n")


def _mmpose(dst: Path, people: list[Keypoints2D]) -> None:
    skeleton, seen = people[0].skeleton, _seen(people)
    meta = {
        "dataset_name": {"coco17": "coco", "h36m17": "h36m"}.get(skeleton.name, skeleton.name),
        "num_keypoints": len(skeleton),
        "keypoint_id2name": {str(i): name for i, name in enumerate(skeleton.joints)},
        "skeleton_links": [list(bone) for bone in skeleton.bones],
    }
    with atomic_path(dst) as temporary, temporary.open("w", encoding="utf-8") as file:
        # frame by frame, as half an hour as Python's numbers would take gigabytes
        file.write('{"meta_info": ' + json.dumps(meta) + ', "instance_info": [')
        for frame in range(len(people[0])):
            instances: list[dict[str, Any]] = []
            for person, there in zip(people, seen, strict=True):
                if there[frame]:
                    xy, scores = _rounded(person, frame)
                    instances.append({"keypoints": xy, "keypoint_scores": scores, "track_id": person.person})
            file.write((",\n" if frame else "\n") + json.dumps({"frame_id": frame, "instances": instances}))
        file.write("\n]}\n")


def _flat(person: Keypoints2D, frame: int) -> list[float]:
    xy, confidence = _rounded(person, frame)
    return [value for (x, y), c in zip(xy, confidence, strict=True) for value in (x, y, c)]


def _alphapose(dst: Path, people: list[Keypoints2D]) -> None:
    seen = _seen(people)
    with atomic_path(dst) as temporary, temporary.open("w", encoding="utf-8") as file:
        begun = False
        file.write("[")
        for frame in range(len(people[0])):
            for person, there in zip(people, seen, strict=True):
                if not there[frame]:
                    continue
                flat = _flat(person, frame)
                xy = person.xy[frame][np.isfinite(person.xy[frame]).all(-1)]
                (left, top), (right, bottom) = xy.min(0).tolist(), xy.max(0).tolist()
                entry = {
                    "image_id": f"{frame}.jpg",
                    "category_id": 1,
                    "keypoints": flat,
                    "score": round(float(np.mean(flat[2::3])), 4),
                    "box": [round(v, 3) for v in (left, top, right - left, bottom - top)],
                    "idx": person.person,
                }
                file.write((",\n" if begun else "\n") + json.dumps(entry))
                begun = True
        file.write("\n]\n")


def _openpose(dst: Path, people: list[Keypoints2D]) -> None:
    seen = _seen(people)
    with atomic_files(dst) as folder:
        for frame in range(len(people[0])):
            entries = [
                {"person_id": [person.person], "pose_keypoints_2d": _flat(person, frame)}
                for person, there in zip(people, seen, strict=True)
                if there[frame]
            ]
            content = {"version": 1.3, "people": entries}
            (folder / f"{dst.name}_{frame:012d}_keypoints.json").write_text(json.dumps(content), encoding="utf-8")
