"""Joint angles in degrees, from the joints' positions. Definitions, signs and zeros: docs/refine.md.

Angles between segments do not depend on the frame or the unit. Angles to the vertical need an upright world. Ankles
have an angle where the source has heels and foot tips; the shank's inclination is known in any case.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET_SIDES, LIMBS
from posemamba.refine.common import Array, feet_positions

__all__ = ["joint_angles"]

_LEGS = {side: LIMBS[f"{side} leg"] for side in ("left", "right")}
_ARMS = {side: LIMBS[f"{side} arm"] for side in ("left", "right")}
_SHORTEST = 0.2
"""Smallest projection of a segment onto a plane, as a share of its length, for which an angle in the plane is given."""
_WALKS = 0.3
"""Metres a second over the ground, from which a person walks and the feet's progression is given."""
_WALKS_SECONDS = 1.0
"""Seconds over which the direction of walking is measured: about a stride, so that sway cancels."""


def joint_angles(motion: Poses3D) -> dict[str, NDArray[np.float64]]:
    """Compute the angles of the joints over time.

    Args:
        motion: in any unit and frame. In pixels, or without `root_path`, the picture's perspective is still in the
            positions and therefore in the angles.

    Returns:
        Name to (F,) degrees. NaN where nobody was seen, or where an angle is undefined (an arm that points along the
        axis about which it is measured). For each side ``left_`` and ``right_``: ``knee_flexion``, ``elbow_flexion``,
        ``hip_flexion``, ``hip_abduction``, ``shoulder_flexion``, ``shoulder_abduction``, ``shoulder_elevation``;
        ``trunk_flexion``, ``trunk_rotation``; and in a world also ``trunk_inclination``, ``trunk_forward_lean`` and
        for each side ``shank_inclination``. Where the source has feet, for each side ``ankle_dorsiflexion``, and in a
        world with a path, while the person walks, ``foot_progression``.
    """
    p = np.where(motion.seen[:, None, None], motion.xyz, np.nan).astype(np.float64)
    hips, shoulders, trunk = p[:, 4] - p[:, 1], p[:, 11] - p[:, 14], p[:, 8] - p[:, 0]
    hip_frame, chest_frame = _frame(hips, trunk), _frame(shoulders, p[:, 8] - p[:, 7])
    angles: dict[str, Array] = {}
    for side, (hip, knee, ankle) in _LEGS.items():
        outward = 1.0 if side == "left" else -1.0
        thigh = p[:, knee] - p[:, hip]
        angles[f"{side}_knee_flexion"] = _between(thigh, p[:, ankle] - p[:, knee])
        angles[f"{side}_hip_flexion"], angles[f"{side}_hip_abduction"] = _swing(thigh, hip_frame, outward)
    for side, (shoulder, elbow, wrist) in _ARMS.items():
        outward = 1.0 if side == "left" else -1.0
        arm = p[:, elbow] - p[:, shoulder]
        angles[f"{side}_elbow_flexion"] = _between(arm, p[:, wrist] - p[:, elbow])
        angles[f"{side}_shoulder_flexion"], angles[f"{side}_shoulder_abduction"] = _swing(arm, chest_frame, outward)
        angles[f"{side}_shoulder_elevation"] = _between(arm, -chest_frame[1])
    left, up, forward = hip_frame
    lower, upper = p[:, 7] - p[:, 0], p[:, 8] - p[:, 7]
    angles["trunk_flexion"] = _turn(
        _along(lower, up), _along(lower, forward), _along(upper, up), _along(upper, forward)
    )
    angles["trunk_rotation"] = _planar(-_along(shoulders, forward), _along(shoulders, left), shoulders)
    if motion.frame == "world":
        vertical = np.broadcast_to([0.0, 0.0, 1.0], trunk.shape)
        _, _, ahead = _frame(hips * [1, 1, 0], vertical)
        angles["trunk_inclination"] = _between(trunk, vertical)
        angles["trunk_forward_lean"] = _planar(_along(trunk, ahead), trunk[:, 2], trunk)
        for side, (_, knee, ankle) in _LEGS.items():
            shank = p[:, knee] - p[:, ankle]
            angles[f"{side}_shank_inclination"] = _planar(_along(shank, ahead), shank[:, 2], shank)
    return angles | _feet_angles(motion, p)


def _feet_angles(motion: Poses3D, p: Array) -> dict[str, Array]:
    """Return the angles of ankles and feet, NaN where a foot was not seen; nothing for a motion without feet.

    Args:
        motion: gives feet, frame and times.
        p: (F, 17, 3) the joints, NaN where nobody was seen.
    """
    feet = feet_positions(motion)
    if feet is None:
        return {}
    angles: dict[str, Array] = {}
    for side, (_, knee, ankle, heel, toe) in FEET_SIDES.items():
        angles[f"{side}_ankle_dorsiflexion"] = 90 - _between(feet[:, toe] - feet[:, heel], p[:, knee] - p[:, ankle])
    if motion.frame == "world" and motion.absolute and motion.units == "metre":
        ahead = _walking_direction(p[:, 0, :2], motion.frame_times())
        for side, (_, _, _, heel, toe) in FEET_SIDES.items():
            foot = feet[:, toe] - feet[:, heel]
            along, aside = _along(foot[:, :2], ahead), foot[:, 1] * ahead[:, 0] - foot[:, 0] * ahead[:, 1]
            angles[f"{side}_foot_progression"] = _planar((1 if side == "left" else -1) * aside, along, foot)
    return angles


def _walking_direction(path: Array, times: Array) -> Array:
    """Return the unit direction of walking on the floor, (F, 2), of a pelvis at (F, 2) metres; NaN where it stands."""
    first = np.searchsorted(times, times - _WALKS_SECONDS / 2 - 1e-6)
    last = np.searchsorted(times, times + _WALKS_SECONDS / 2 + 1e-6) - 1
    way = path[last] - path[first]
    seconds = np.maximum(times[last] - times[first], 1e-9)
    far = np.linalg.norm(way, axis=-1)
    enough = (far >= _WALKS * seconds) & (seconds >= _WALKS_SECONDS / 2 - 1e-6)
    return np.where(enough[:, None], way / np.maximum(far, 1e-12)[:, None], np.nan)


def _frame(left: Array, up: Array) -> tuple[Array, Array, Array]:
    """Return unit axes to the person's left, up and forward, (F, 3) each; up is made perpendicular to left."""
    left = _unit(left)
    up = _unit(up - left * _along(up, left)[:, None])
    return left, up, np.cross(left, up)


def _unit(v: Array) -> Array:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v / np.where(length > 0, length, np.nan))


def _along(v: Array, axis: Array) -> Array:
    """Return the (F,) dot products."""
    return np.asarray((v * axis).sum(-1))


def _between(a: Array, b: Array) -> Array:
    """Return the (F,) angles between vectors in degrees, 0 to 180."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), _along(a, b)))


def _planar(sine: Array, cosine: Array, whole: Array) -> Array:
    """Return degrees, -180 to 180; NaN where little of the segment `whole` lies in the plane."""
    enough = np.hypot(sine, cosine) >= _SHORTEST * np.linalg.norm(whole, axis=-1)
    return np.where(enough, np.degrees(np.arctan2(sine, cosine)), np.nan)


def _swing(segment: Array, frame: tuple[Array, Array, Array], outward: float) -> tuple[Array, Array]:
    """Return flexion (sagittal plane, forward) and abduction (frontal plane, away from the body) of a segment, degrees.

    Both are 0 for a segment that hangs down.
    """
    left, up, forward = frame
    down, ahead, aside = -_along(segment, up), _along(segment, forward), outward * _along(segment, left)
    return _planar(ahead, down, segment), _planar(aside, down, segment)


def _turn(x0: Array, y0: Array, x1: Array, y1: Array) -> Array:
    """Return the degrees from one direction of a plane to another, positive from x towards y."""
    return np.degrees(np.arctan2(x0 * y1 - y0 * x1, x0 * x1 + y0 * y1))
