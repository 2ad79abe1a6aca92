"""Helpers shared by the export formats: axes, checks, held frames, and rows of numbers as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D, Step
from posemamba.poses.skeletons import FEET
from posemamba.poses.times import find_pauses, usual_step
from posemamba.refine.common import MAX_GAP
from posemamba.refine.floor import NAME as FLOOR
from posemamba.utils.errors import PoseMambaError

Array = NDArray[np.float64]

AXES = {"camera": ("right", "down", "away"), "world": ("right", "away", "up")}
"""Directions of x, y and z in a motion's frame, as seen from behind the camera."""
Y_UP = "x right, y up, z towards the camera"
"""Axes after `y_up`, right-handed."""


@dataclass(frozen=True)
class Export:
    """An export format.

    Attributes:
        name: the users' name of it.
        suffix: the usual suffix of its files.
        description: the format, and the programs that read it.
        needs_metres: True if a motion in pixels is refused.
        has_rig: True if joints are turned against each other, by names that other programs may want otherwise.
    """

    name: str
    suffix: str
    description: str
    needs_metres: bool
    has_rig: bool = False


def feet_of(motion: Poses3D) -> Array | None:
    """Return the heels and foot tips, (F, 4, 3) float64, NaN where one was not found; None: none was in any frame."""
    if motion.feet is None:
        return None
    known = np.isfinite(motion.feet).all(-1) & motion.seen[:, None]
    return np.where(known[..., None], motion.feet.astype(np.float64), np.nan) if known.any() else None


def feet_confidence(motion: Poses3D) -> NDArray[np.floating]:
    """Return the 2D confidence of heels and foot tips, (F, 4); NaN where it is not known."""
    feet = motion.network.keypoints.feet
    return np.full((len(motion), len(FEET)), np.nan) if feet is None else feet.confidence


def y_up(motion: Poses3D, points: NDArray[np.floating] | None = None) -> Array:
    """Turn a motion to axes with y up and z towards the camera; returns (F, 17, 3) float64.

    With `points`, (F, N, 3) in the motion's frame, these are turned in place of the joints.

    From the world this is (x, z, -y), from the camera's frame (x, -y, -z); both are rotations. A motion in the camera's
    frame stays as tilted as the camera was.
    """
    x, y, z = np.moveaxis((motion.xyz if points is None else points).astype(np.float64), -1, 0)
    return np.stack([x, z, -y] if motion.frame == "world" else [x, -y, -z], -1)


def check(path: str | Path, motion: Poses3D, name: str) -> None:
    """Check that a motion can be exported to a format that needs metres.

    Args:
        path: the file, for the error.
        motion: the motion.
        name: the format's name, for the error.

    Raises:
        PoseMambaError: the motion is in pixels, nobody was seen, or times do not increase.
    """
    if motion.units != "metre":
        raise PoseMambaError(
            f"{path}: {name} needs metres and the motion is in pixels: "
            "give the person's height (--height), or scale to a typical body"
        )
    if not (motion.seen & np.isfinite(motion.xyz).all((1, 2))).any():
        raise PoseMambaError(f"{path}: nothing to write as {name}: nobody was seen in the {len(motion)} frames")
    times = motion.frame_times()
    if not np.isfinite(times).all() or (late := np.flatnonzero(np.diff(times) <= 0)).size:
        at = "" if not np.isfinite(times).all() else f" (frame {late[0] + 1} is at {times[late[0] + 1]:.6f} s)"
        raise PoseMambaError(f"{path}: {name} needs times that increase from frame to frame, these do not{at}")


def held_frames(xyz: Array, seen: NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
    """Choose the frame whose pose each frame shows, for formats without missing frames.

    Args:
        xyz: (F, 17, 3); at least one frame is seen and finite.
        seen: (F,) frames in which the person was seen.

    Returns:
        (F,) frame numbers: the frame itself if the whole person was seen in it, else the last such frame before, else
        the first such frame; and how many frames hold another frame's pose.
    """
    whole = seen & np.isfinite(xyz).all((1, 2))
    own = np.arange(len(xyz))
    shown = np.maximum.accumulate(np.where(whole, own, -1))
    shown = np.where(shown < 0, np.flatnonzero(whole)[0], shown)
    return shown.astype(np.intp), int((~whole).sum())


def with_pauses(times: Array) -> tuple[NDArray[np.intp], Array, tuple[str, ...]]:
    """Choose keys by which a pause holds the pose before it, for formats that connect poses by lines.

    Args:
        times: (F,) seconds, rising.

    Returns:
        (K,) frame numbers and (K,) times: all frames, and the last one before a pause again where it ends; and a note
        if there is a pause.
    """
    step = usual_step(times)
    before = np.flatnonzero(find_pauses(times, MAX_GAP))
    if step is None or not len(before):
        return np.arange(len(times)), times, ()
    keys = np.insert(np.arange(len(times)), before + 1, before)
    longest = float(np.diff(times)[before].max())
    many = f"in {len(before)} pauses of up to" if len(before) > 1 else "in a pause of"
    note = f"{many} {longest:.1f} s, without frames, the pose before is held"
    return keys, np.insert(times, before + 1, times[before + 1] - step), (note,)


def with_feet(motion: Poses3D, xyz: Array, shown: NDArray[np.intp]) -> tuple[Array, tuple[str, ...]]:
    """Add heels and foot tips to the joints of a rig, if any was seen.

    Args:
        motion: the motion.
        xyz: (F, 17, 3) its joints by `y_up`, in the frames `shown`.
        shown: (F,) frame numbers.

    Returns:
        (F, 21, 3), NaN where a heel or tip was not found, or `xyz`; and a note if feet are held in some frames.
    """
    feet = feet_of(motion)
    if feet is None:
        return xyz, ()
    lost = int((~np.isfinite(feet[shown]).all((1, 2))).sum())
    note = (f"{lost} of {len(shown)} frames, in which a foot was not seen, hold its angle of before",) if lost else ()
    return np.concatenate([xyz, y_up(motion, feet)[shown]], 1), note


def notes(motion: Poses3D, held: int = 0) -> tuple[str, ...]:
    """Return notes for the users of an exported file in metres; `held` frames hold another frame's pose."""
    found = []
    if held:
        found.append(f"{held} of {len(motion)} frames, in which the person was not seen, hold the pose seen before")
    if not motion.absolute:
        found.append("the pelvis stays at the origin: the motion has no root path")
    if motion.frame == "camera":
        found.append("up is the camera's up: the person leans if the camera was tilted")
    for step in motion.steps:
        if step.name == FLOOR:
            found += _on_floor(step)
    if guessed := [step.name for step in motion.steps if step.estimate and step.name != FLOOR]:
        found.append(f"estimated, not measured: {', '.join(guessed)}")
    return tuple(found)


def _on_floor(step: Step) -> list[str]:
    """Return notes on a person who was put on the floor, of which the last one is the same in all clips."""
    how = "up is the camera's up, as nobody stands" if step.estimate else "upright as the poses are"
    if "pitch_deg" in step.report:
        pitch, roll = float(step.report["pitch_deg"]), float(step.report["roll_deg"])
        how = f"upright by an estimate: the camera looks {'down' if pitch >= 0 else 'up'} by {abs(pitch):.0f} degrees"
        if abs(roll) >= 0.5:
            how += f", turned {'' if roll > 0 else 'anti'}clockwise by {abs(roll):.0f}"
    drift = float(step.report["drift_m"])
    slow = f"; {drift:.2f} m of slow drift in height taken out" if drift >= 0.02 else ""
    return [how + slow, "on the floor, from the origin; --world camera keeps the poses' own place"]


def rows(template: str, columns: Array | list[Array], chunk: int = 4096) -> Iterator[str]:
    """Yield the text of a table, `chunk` rows at a time, as an hour of motion would be gigabytes of Python's numbers.

    Args:
        template: one row, with a ``%`` field for each number and the line end.
        columns: (rows, numbers), or several such arrays side by side; NaN becomes an empty cell.
        chunk: rows at a time.
    """
    parts = columns if isinstance(columns, list) else [columns]
    for start in range(0, len(parts[0]), chunk):
        block = np.concatenate([p[start : start + chunk] for p in parts], axis=1)
        text = (template * len(block)) % tuple(block.ravel().tolist())
        yield text.replace("nan", "")
