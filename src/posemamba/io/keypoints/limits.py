"""Ranges of what a keypoint file holds, checked once for all formats before anything is computed with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posemamba.io.keypoints.raw import RawPeople
from posemamba.poses import Keypoints2D
from posemamba.poses.ranges import CLOSEST, check_fps, check_image_size
from posemamba.utils.errors import PoseMambaError

_ROOM, _SHARE = 30_000, 300
"""Frames of all people together: so many, and so many for each frame in which somebody was seen."""
_LONGEST, _STRETCHED = 200_000, 20
"""Frames between the first time and the last at the clip's rate: so many, and so many for each frame."""


def check(
    path: Path, raw: RawPeople, people: int, fps: float | None = None, image_size: tuple[int, int] | None = None
) -> None:
    """Check the ranges of a file's content, and of the facts that a user gives in place of the file's.

    Args:
        path: the file, for the message.
        raw: its content.
        people: the number of people that get arrays over all frames.
        fps, image_size: of the user; None: not given.

    Raises:
        PoseMambaError: a number that no clip has.
    """
    seen = sum(len(track) for track in raw.tracks)
    if people * raw.frames > _ROOM + _SHARE * seen:
        raise PoseMambaError(
            f"{path}: {people} people over {raw.frames} frames, of whom only {seen} are seen in a frame: broken frame "
            "numbers; correct them, or cut the file into parts"
        )
    if fps is not None:
        check_fps(f"{path}: --fps", fps)
    if raw.fps is not None and fps is None:
        check_fps(f"{path}: fps in the file", raw.fps)
    for what, size in ((f"{path}: --image-size", image_size), (f"{path}: image size in the file", raw.image_size)):
        if size is not None:
            check_image_size(what, *size)


def check_times(path: Path, person: Keypoints2D) -> None:
    """Check that the times of a clip, in seconds, span about as many frames as it has.

    Args:
        path: the file, for the message.
        person: anybody of it.

    Raises:
        PoseMambaError: they hold far fewer frames than the clip's rate asks for, or a rate that no clip has.
    """
    check_fps(f"{path}: the rate of its frames", person.fps)
    if person.times is None or len(person) < 2:
        return
    times = person.times
    span = float(times[-1] - times[0])
    if (
        not np.isfinite(times).all()
        or np.diff(times).min() < CLOSEST
        or span * person.fps > _LONGEST + _STRETCHED * len(person)
    ):
        raise PoseMambaError(
            f"{path}: 'times' from {times[0]:g} to {times[-1]:g} s at {person.fps:g} frames per second hold "
            f"{len(person)} frames: broken times; correct them"
        )
