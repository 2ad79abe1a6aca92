"""Ranges of what a keypoint file holds, checked once for all formats before anything is computed with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posemamba.io.keypoints.raw import RawPeople
from posemamba.poses.ranges import FARTHEST, check_fps, check_image_size
from posemamba.utils.errors import PoseMambaError

_ROOM, _SHARE = 300_000, 100
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
    _check_times(path, raw, fps)
    farthest = 1000.0 if raw.shares else FARTHEST
    for track in raw.tracks:
        with np.errstate(invalid="ignore"):
            far = (np.abs(track.xy) > farthest) & np.isfinite(track.xy)
        if far.any():
            entry, joint = np.argwhere(far)[0][:2]
            raise PoseMambaError(
                f"{path}: frame {track.frames[entry]}, joint {joint} is at "
                f"{[float(f'{v:.6g}') for v in track.xy[entry, joint]]}, expected pixels of an image, or NaN for a "
                "joint that was not found"
            )


def _check_times(path: Path, raw: RawPeople, fps: float | None) -> None:
    if raw.times is None or raw.frames < 2:
        return
    span = float(raw.times[-1] - raw.times[0])
    rate = (raw.frames - 1) / span if span > 0 else np.inf
    if fps is None and raw.fps is None:
        rate = check_fps(f"{path}: the rate of the 'times'", rate)
    else:
        rate = float(fps or raw.fps or rate)
    if not np.isfinite(raw.times).all() or span * rate > _LONGEST + _STRETCHED * raw.frames:
        raise PoseMambaError(
            f"{path}: 'times' from {raw.times[0]:g} to {raw.times[-1]:g} s at {rate:g} frames per second hold "
            f"{raw.frames} frames: broken times; correct them"
        )
