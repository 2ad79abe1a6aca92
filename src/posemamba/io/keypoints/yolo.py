"""YOLO's pose labels: a folder of one text file for each frame, as Ultralytics' ``save_txt`` and data sets have them.

A line is a person: class, box (centre x, centre y, width, height), x and y of each joint, with or without its
visibility, then perhaps the person's confidence and the track's number. Coordinates are shares of the image. A video's
files are ``<video>_1.txt``, ``<video>_2.txt``, ...; frames without people have none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.frame_files import find_frames
from posemamba.io.keypoints.layouts import LAYOUTS, take_bodies
from posemamba.io.keypoints.raw import RawPeople, detection, follow
from posemamba.io.keypoints.source import Source, check_finite, check_frames
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17
from posemamba.utils.errors import PoseMambaError

_BOX = 5  # numbers before the joints: class and box
_EXPECTED = "expected YOLO's pose labels: class, box (4 numbers), then x, y and perhaps the visibility of each joint"
_PREFERRED = (17, 26, 133, 136, 25, 33, 18, 23, 134, 135)
"""Numbers of joints, the likeliest first: 57 numbers may be 17 joints and a track, or 26 joints without visibility."""


def recognises(text: str) -> bool:
    """Return True if a text begins with a line of YOLO's labels with joints."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return False
    return (
        len(values) > _BOX + 2
        and values[0] >= 0
        and values[0].is_integer()
        and all(-0.5 <= value <= 1.5 for value in values[1:_BOX])
    )


def read(source: Source) -> RawPeople:
    """Read the labels of all frames; a track's number at the end of the lines gives the identities.

    Raises:
        PoseMambaError: it is no folder, or its lines are others, boxes without joints among them.
    """
    path = source.path
    if not path.is_dir():
        raise PoseMambaError(f"{path}: one file of YOLO's labels is one frame, expected the folder of all of them")
    files = find_frames(path, ".txt")
    first, last = check_frames(path, files)
    lines = {frame - first: _lines(file) for frame, file in files.items()}
    lengths = {len(line) for rows in lines.values() for line in rows}
    if not lengths:
        raise PoseMambaError(f"{path}: nobody was found in any of its {last - first + 1} frames")
    joints, values = _layout(path, lengths)
    # lines without a track's number are those of people whom the tracker did not keep
    everything = np.concatenate([_joints(line, joints, values) for rows in lines.values() for line in rows])
    most = float(np.nanmax(everything[:, 2], initial=0)) if values == 3 else 1.0
    whole = bool((everything[:, 2] == np.round(everything[:, 2])).all())
    labelled = values == 3 and whole and most == 2  # a data set's: 0 absent, 1 occluded, 2 visible
    extra = [line[_BOX + joints * values :] for rows in lines.values() for line in rows]
    ended_by_track = _ends_with_track(extra)
    people: dict[int, list[Detection]] = {}
    for frame, rows in lines.items():
        people[frame] = []
        for index, line in enumerate(rows):
            body = _joints(line, joints, values)
            check_finite(f"{path}: frame {frame + first}, line {index + 1}", body[:, :2])
            sure = np.clip(np.nan_to_num(body[:, 2]) / (2 if labelled else 1), 0, 1)
            nowhere = (body[:, :2] == 0).all(-1) | (labelled & (sure == 0))
            beyond = len(line) - _BOX - joints * values
            track = int(line[-1]) if ended_by_track and beyond == max(map(len, extra)) else None
            people[frame].append(
                detection(np.where(nowhere[:, None], np.nan, body[:, :2]), np.where(nowhere, 0, sure), track)
            )
    skeleton, feet = take_bodies(people, joints)
    tracks = follow(path, people, last - first + 1)
    if skeleton is None and joints == len(COCO17):
        skeleton = COCO17
    return RawPeople(tracks, last - first + 1, skeleton, shares=True, feet=feet, first=first)


def _lines(path: Path) -> list[NDArray[np.float64]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise PoseMambaError(f"{path}: not text in UTF-8; {_EXPECTED}") from None
    rows = []
    for index, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            rows.append(np.array([float(word) for word in words]))
        except ValueError:
            raise PoseMambaError(f"{path}: line {index} holds other things than numbers; {_EXPECTED}") from None
    return rows


def _layout(path: Path, lengths: set[int]) -> tuple[int, int]:
    """Return the number of joints, and 3 with visibilities or 2 without, that all lines' lengths agree with."""
    beyond = sorted(lengths)
    for joints in _PREFERRED:
        for values in (3, 2):
            if all(0 <= length - _BOX - joints * values <= 2 for length in beyond):
                return joints, values
    if beyond[-1] <= _BOX + 2:
        raise PoseMambaError(f"{path}: labels of boxes without joints; {_EXPECTED}: use a pose model (-pose)")
    found = " and ".join(map(str, beyond[:5]))
    counts = ", ".join(map(str, sorted(LAYOUTS)))
    raise PoseMambaError(f"{path}: lines of {found} numbers; {_EXPECTED}, of {counts} joints")


def _joints(line: NDArray[np.float64], joints: int, values: int) -> NDArray[np.float64]:
    """Return (J, 3): x, y and visibility, 1 where the line has none."""
    body = line[_BOX : _BOX + joints * values].reshape(joints, values)
    return body if values == 3 else np.column_stack([body, np.ones(joints)])


def _ends_with_track(extra: list[NDArray[np.float64]]) -> bool:
    """Return True if what follows the joints ends with a track's number, and not with a confidence."""
    most = max(map(len, extra))
    if most == 0:
        return False
    last = np.array([line[-1] for line in extra if len(line) == most])
    return bool((last == np.round(last)).all() and (last >= 0).all() and (last < 2**53).all())
