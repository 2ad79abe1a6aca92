"""An upright world: the camera's tilt undone, as told or as estimated from how people stand.

The world has x to the camera's right, y away from the camera, both level, and z up. A motion with a path has its origin
on the floor below the camera; one without stays relative to the pelvis.

The estimate: people who stand, walk or run have their feet, on average, below their chest. In each frame the body's
axis goes from between the ankles to the thorax; frames count the more, the more stretched the body is from ankles to
thorax; their robust mean is up. Someone who leans all the time, or climbs, or sits, is not upright on average, and the
estimate is off by as much.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from posemamba.errors import PoseMambaError
from posemamba.poses import Motion3D, Step
from posemamba.refine.common import (
    Array,
    bone_lengths,
    checked,
    huber_weights,
    joint_weights,
    positions,
    stretches,
    weighted_median,
    with_step,
)
from posemamba.refine.scale import ANKLE_HEIGHT, TYPICAL_HEIGHT

__all__ = ["upright"]

ANKLES = (3, 6)
_THORAX = 8
_STANDING = (0.85, 0.97)
"""Share of its full length from which, and at which, ankles to thorax counts as standing: not at all, and wholly."""
_CONTACT_SPEED = 0.5  # metres a second: a foot on the floor is slower


def upright(motion: Motion3D, pitch: float | None = None, roll: float | None = None) -> Motion3D:
    """Turn the camera's frame into a level world.

    Args:
        motion: in the camera's frame.
        pitch: degrees by which the camera looks down (negative: up); None: estimated from how the person stands.
        roll: degrees by which the camera is turned clockwise about its axis, as one sees who looks through it. None:
            0 where the pitch is given, else estimated too.

    Returns:
        The motion in frame ``world``. With a path, the floor is at z = 0, the height of an ankle below the feet that
        rest on it. Reported: the angles used, of an estimate the spread of single frames in degrees and the number of
        frames that it rests on, the floor below the camera and how much the contacts' heights differ.

    Raises:
        PoseMambaError: a motion that is in a world already, angles out of range, or (estimating) nobody who stands.
    """
    if motion.frame != "camera":
        raise PoseMambaError("the motion is in an upright world already, expected the camera's frame: turn it once")
    xyz = positions(motion)
    report: dict[str, float | int | str] = {}
    if pitch is None:
        up, report = _estimate(motion, xyz)
        found_pitch, found_roll = _angles(up)
        if roll is None:
            pitch, roll = found_pitch, found_roll
        else:
            pitch = _angles(_without_roll(up, roll))[0]
        estimate = True
    else:
        estimate = False
    pitch = checked("the camera's pitch", pitch, -90, 90, "degrees down")
    roll = checked("the camera's roll", 0.0 if roll is None else roll, -180, 180, "degrees clockwise")
    world = xyz @ level_axes(pitch, roll)
    report |= {"pitch_deg": pitch, "roll_deg": roll}
    if motion.absolute:
        floor, found = _floor(motion, world)
        world[..., 2] -= floor
        report |= {"floor_below_camera_m": -floor, **found}
    told = {"pitch_deg": None if estimate else pitch, "roll_deg": None if estimate else roll}
    return with_step(motion, Step("upright", told, report, estimate), world, frame="world")


def level_axes(pitch: float, roll: float) -> NDArray[np.float64]:
    """(3, 3) the camera's right, down and forward axes in a level world (x right, y away, z up); degrees."""
    p, r = math.radians(pitch), math.radians(roll)
    right, forward = np.array([1.0, 0, 0]), np.array([0, math.cos(p), -math.sin(p)])
    down = np.array([0, -math.sin(p), -math.cos(p)])
    return np.stack([math.cos(r) * right + math.sin(r) * down, math.cos(r) * down - math.sin(r) * right, forward])


def _angles(up: Array) -> tuple[float, float]:
    """Pitch and roll in degrees of a camera in whose frame `up`, (3,), points up."""
    # the last column of level_axes: (-sin r cos p, -cos r cos p, -sin p)
    x, y, z = up / np.linalg.norm(up)
    return math.degrees(math.asin(min(1.0, max(-1.0, -z)))), math.degrees(math.atan2(-x, -y))


def _without_roll(up: Array, roll: float) -> Array:
    """The part of `up` that a camera rolled by `roll` degrees can have: perpendicular to its level right axis."""
    r = math.radians(roll)
    level = np.array([math.cos(r), -math.sin(r), 0.0])  # the world's x in the camera's frame, whatever the pitch
    return np.asarray(up - level * (up @ level))


def _estimate(motion: Motion3D, xyz: Array) -> tuple[Array, dict[str, float | int | str]]:
    """Up in the camera's frame, (3,), and what to report."""
    seen = motion.seen
    body = xyz[seen]
    between = body[:, ANKLES].mean(1)
    axis = body[:, _THORAX] - between
    reach = np.linalg.norm(axis, axis=-1)
    axis = axis / np.maximum(reach, 1e-12)[:, None]
    bones = bone_lengths(body)  # legs and trunk of the same frame: its scale does not matter
    full = bones[:, [1, 2, 4, 5]].sum(1) / 2 + bones[:, [6, 7]].sum(1)
    low, high = _STANDING
    standing = np.clip((reach / np.maximum(full, 1e-12) - low) / (high - low), 0, 1)
    certain = joint_weights(motion)[seen][:, [*ANKLES, _THORAX]].min(1)
    weights = standing * certain
    if (standing > 0).sum() < max(1, 0.02 * len(body)):
        raise PoseMambaError(
            f"the person stands in {int((standing > 0).sum())} of {len(body)} frames, too few to tell which way is up: "
            "give the camera's pitch"
        )
    up, robust = np.zeros(3), np.ones_like(weights)
    off = np.zeros_like(weights)
    for _ in range(20):
        up = (weights * robust) @ axis
        up /= np.linalg.norm(up)
        off = np.degrees(np.arccos(np.clip(axis @ up, -1, 1)))
        robust = huber_weights(off, weights)
    spread = weighted_median(off, weights) / 0.6745
    return up, {"spread_deg": spread, "standing_frames": int((standing > 0).sum())}


def _floor(motion: Motion3D, world: Array) -> tuple[float, dict[str, float | int | str]]:
    """The floor's z, and what it rests on: resting ankles, or else the lowest ones."""
    heights = [s.parameters["height_m"] for s in motion.steps if s.name == "scale"]
    ankle = ANKLE_HEIGHT * (heights[-1] if heights else TYPICAL_HEIGHT)
    times, contacts = motion.frame_times(), []
    for frames in stretches(motion):
        feet = world[frames][:, ANKLES]
        if len(frames) > 1:
            speed = np.linalg.norm(np.gradient(feet, times[frames], axis=0), axis=-1)
        else:
            speed = np.zeros(feet.shape[:2])
        lower = feet[..., 2] <= feet[..., 2].min(1, keepdims=True) + 0.05
        contacts.append(feet[..., 2][(speed < _CONTACT_SPEED) & lower])
    z = np.concatenate(contacts)
    if len(z):
        floor = float(np.median(z))
        spread = float(np.median(np.abs(z - floor)) / 0.6745)
        return floor - ankle, {"contacts": len(z), "contact_height_spread_m": spread}
    lowest = world[motion.seen][:, ANKLES, 2].min(1)
    return float(np.percentile(lowest, 10)) - ankle, {"contacts": 0, "floor_from": "the lowest ankles: no foot rests"}
