"""An upright world: the camera's tilt undone, by given angles or by an estimate from how people stand.

The world has x to the camera's right, y away from the camera, both level, and z up. A motion with a path has its origin
on the floor below the camera; one without stays relative to the pelvis.

The pitch can be estimated; the roll is 0 unless given. People who stand, walk or run have their feet below their chest
on average, except for a forward lean that is similar in all (`LEAN`). In each frame the body's axis goes from between
the ankles to the thorax, less that lean. The robust mean of the axes is up; frames weigh more the straighter the body
is. For someone who always leans, climbs or sits, the estimate is wrong by as much. Without a path, a person far above
or below the picture's middle appears to lean.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D, Step
from posemamba.poses.curves import huber_weights, weighted_median
from posemamba.refine.common import (
    Array,
    bone_lengths,
    checked,
    feet_positions,
    joint_weights,
    positions,
    segment_frames,
    with_step,
)
from posemamba.refine.scale import ANKLE_HEIGHT, TYPICAL_HEIGHT
from posemamba.utils.errors import PoseMambaError

__all__ = ["upright"]

ANKLES = (3, 6)
_THORAX = 8
_STANDING = (0.85, 0.97)
"""Ankles to thorax, as a share of the full length: up to the first a body does not stand, from the second it does."""
LEAN = 4.6
"""Degrees: the axis's mean forward lean in the CMU motions for training. 19 subjects: standard deviation 2.4."""
_CONTACT_SPEED = 0.5  # metres a second: the highest speed of a foot on the floor
_CONTACT_SECONDS = 0.1  # the shortest contact


def upright(motion: Poses3D, pitch: float | None = None, roll: float | None = None) -> Poses3D:
    """Turn the camera's frame into a level world.

    Args:
        motion: in the camera's frame.
        pitch: degrees by which the camera looks down (negative: up); None: estimated from how the person stands.
        roll: degrees by which the camera is turned clockwise about its axis, as seen through it. None: 0, as people
            hold cameras level; estimates of the roll were less accurate.

    Returns:
        The motion in frame ``world``. With a path, the floor is at z = 0, an ankle's height below the resting ankles.
        The step reports the angles used; for an estimate, the spread of single frames in degrees and the number of
        standing frames; with a path, the floor below the camera and the spread of the contacts' heights.

    Raises:
        PoseMambaError: the motion is in a world already, angles are out of range, or an estimate is needed and the
            person hardly ever stands.
    """
    if motion.frame != "camera":
        raise PoseMambaError("the motion is in an upright world already, expected the camera's frame: turn it once")
    xyz = positions(motion)
    report: dict[str, float | int | str] = {}
    given, roll_used = check_camera_angles(pitch, roll)
    if given is None:
        used, report = _estimate(motion, xyz, roll_used)
    else:
        used = given
    world = xyz @ level_axes(used, roll_used)
    feet = feet_positions(motion)
    feet = None if feet is None else feet @ level_axes(used, roll_used)
    report |= {"pitch_deg": used, "roll_deg": roll_used}
    if motion.absolute:
        floor, found = _floor(motion, world)
        world[..., 2] -= floor
        if feet is not None:
            feet[..., 2] -= floor
        report |= {"floor_below_camera_m": -floor, **found}
    parameters = {"pitch_deg": pitch, "roll_deg": roll_used}
    return with_step(motion, Step("upright", parameters, report, pitch is None), world, feet=feet, frame="world")


def level_axes(pitch: float, roll: float) -> NDArray[np.float64]:
    """Return the camera's right, down and forward axes, (3, 3) rows, in a level world (x right, y away, z up).

    Args:
        pitch: degrees down.
        roll: degrees clockwise.
    """
    p, r = math.radians(pitch), math.radians(roll)
    right, forward = np.array([1.0, 0, 0]), np.array([0, math.cos(p), -math.sin(p)])
    down = np.array([0, -math.sin(p), -math.cos(p)])
    return np.stack([math.cos(r) * right + math.sin(r) * down, math.cos(r) * down - math.sin(r) * right, forward])


def _estimate(motion: Poses3D, xyz: Array, roll: float) -> tuple[float, dict[str, float | int | str]]:
    """Estimate the pitch in degrees; also returns the entries of the step's report."""
    up, report = estimate_up(motion, xyz)
    return pitch_of(up, roll), report


def pitch_of(up: Array, roll: float) -> float:
    """Return the pitch, degrees down, of a camera of known roll that sees this direction as up, (3,) in its axes."""
    # up in the camera's frame is cos(pitch) * level_axes(0, roll)[:, 2] - sin(pitch) * (0, 0, 1)
    return math.degrees(math.atan2(-up[2], float(level_axes(0, roll)[:, 2] @ up)))


def estimate_up(motion: Poses3D, xyz: Array) -> tuple[Array, dict[str, float | int | str]]:
    """Estimate which way is up from how the person stands, (3,) in the camera's axes; and entries of a step's report.

    Args:
        motion: gives the seen frames and the confidences.
        xyz: (F, 17, 3) its joints, in the camera's frame.

    Raises:
        PoseMambaError: the person hardly ever stands.
    """
    seen = motion.seen
    body = xyz[seen]
    axis = body[:, _THORAX] - body[:, ANKLES].mean(1)
    reach = np.linalg.norm(axis, axis=-1)
    axis = axis / np.maximum(reach, 1e-12)[:, None]
    forward = np.cross(body[:, 4] - body[:, 1], axis)  # from the hips' line: right to left, then up
    forward /= np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-12)
    axis = math.cos(math.radians(LEAN)) * axis - math.sin(math.radians(LEAN)) * forward
    bones = bone_lengths(body)  # legs and trunk of the same frame: its scale does not matter
    full = bones[:, [1, 2, 4, 5]].sum(1) / 2 + bones[:, [6, 7]].sum(1)
    low, high = _STANDING
    standing = np.clip((reach / np.maximum(full, 1e-12) - low) / (high - low), 0, 1)
    weights = standing * joint_weights(motion)[seen][:, [*ANKLES, _THORAX]].min(1)
    if (standing > 0).sum() < max(1, 0.02 * len(body)):
        raise PoseMambaError(
            f"the person stands in {int((standing > 0).sum())} of {len(body)} frames, too few to estimate which way is "
            "up: give the camera's pitch (--camera-pitch)"
        )
    up, robust = np.zeros(3), np.ones_like(weights)
    off = np.zeros_like(weights)
    for _ in range(20):
        up = (weights * robust) @ axis
        up /= np.linalg.norm(up)
        off = np.degrees(np.arccos(np.clip(axis @ up, -1, 1)))
        robust = huber_weights(off, weights)
    report: dict[str, float | int | str] = {
        "spread_deg": weighted_median(off, weights) / 0.6745,
        "standing_frames": int((standing > 0).sum()),
    }
    return up, report


def _contacts(motion: Poses3D, world: Array) -> Array:
    """Find ground contacts: (E, 3) places where an ankle rests and is not above the other one, one for each rest."""
    times, places = motion.frame_times(), []
    for frames in segment_frames(motion):
        if len(frames) < 2:
            continue
        feet = world[frames][:, ANKLES]
        speed = np.linalg.norm(np.gradient(feet, times[frames], axis=0), axis=-1)
        resting = (speed < _CONTACT_SPEED) & (feet[..., 2] <= feet[..., 2].min(1, keepdims=True) + 0.1)
        for foot in range(2):
            on = np.flatnonzero(resting[:, foot])
            for rest in np.split(on, np.flatnonzero(np.diff(on) > 1) + 1):
                if len(rest) and times[frames[rest[-1]]] - times[frames[rest[0]]] >= _CONTACT_SECONDS:
                    places.append(np.median(feet[rest, foot], axis=0))  # one place, however long the rest
    return np.array(places).reshape(-1, 3)


def _floor(motion: Poses3D, world: Array) -> tuple[float, dict[str, float | int | str]]:
    """Estimate the floor's z from resting ankles, or else from the lowest ones; also returns entries of the report."""
    heights = [s.parameters["height_m"] for s in motion.steps if s.name == "scale"]
    ankle = ANKLE_HEIGHT * (heights[-1] if heights else TYPICAL_HEIGHT)
    places = _contacts(motion, world)
    if len(places):
        floor = float(np.median(places[:, 2]))
        spread = float(np.median(np.abs(places[:, 2] - floor)) / 0.6745)
        return floor - ankle, {"contacts": len(places), "contact_height_spread_m": spread}
    lowest = world[motion.seen][:, ANKLES, 2].min(1)
    return float(np.percentile(lowest, 10)) - ankle, {"contacts": 0, "floor_from": "the lowest ankles: no foot rests"}


def check_camera_angles(pitch: float | None, roll: float | None) -> tuple[float | None, float]:
    """Return a camera's pitch (degrees down; None: unknown) and roll (degrees clockwise; 0 where None is given).

    Raises:
        PoseMambaError: an angle out of range.
    """
    known = None if pitch is None else checked("the camera's pitch", pitch, -90, 90, "degrees down")
    return known, checked("the camera's roll", 0.0 if roll is None else roll, -180, 180, "degrees clockwise")
