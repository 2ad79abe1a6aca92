"""Joint angles in degrees, from the joints' positions. Definitions, signs and zeros: docs/refine.md.

Angles between segments do not depend on the frame or the unit. Angles to the vertical need an upright world. Ankles
have an angle where the source has heels and foot tips; the shank's inclination is known in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET_SIDES, H36M17, H36M17_FEET, LIMBS
from posemamba.refine.common import Array, feet_positions
from posemamba.utils.blocks import blocks

__all__ = ["Angle", "joint_angles", "measure_angles", "measure_degrees", "unseen_joints"]

_LEGS = {side: LIMBS[f"{side} leg"] for side in ("left", "right")}
_ARMS = {side: LIMBS[f"{side} arm"] for side in ("left", "right")}
_SHORTEST = 0.2
"""Smallest projection of a segment onto a plane, as a share of its length, for which an angle in the plane is given."""
STRAIGHT = 10.0
"""Degrees of flexion below which a limb counts as straight: the plane of its bones is not known any more."""
LONGEST_GAP = 0.5
"""Seconds for which an angle is given although one of its joints was not seen, if it was seen before and after."""
_HIPS_AND_TRUNK, _CHEST = (0, 1, 4, 8), (7, 8, 11, 14)
_WALKS = 0.3
"""Metres a second over the ground, from which a person walks and the feet's progression is given."""
_WALKS_SECONDS = 1.0
"""Seconds over which the direction of walking is measured: about a stride, so that sway cancels."""


@dataclass(frozen=True)
class Angle:
    """One angle over time, with the plane in which it lies.

    Attributes:
        degrees: (F,); NaN where it is not known.
        normal: (F, 3) unit vector across the angle's plane: of a knee, an elbow or an ankle the plane of its two bones,
            of the others the body's plane in which they are measured. NaN where a limb is too straight to have one.
        segment: (F, 3) unit vector of the bone that the angle turns, of knee, elbow and ankle the one farther out.
        joints: the joints that it is made of, in the order of `posemamba.poses.skeletons.H36M17_FEET`; the first one is
            where it is.
    """

    degrees: Array
    normal: Array
    segment: Array
    joints: tuple[int, ...]


def joint_angles(motion: Poses3D) -> dict[str, NDArray[np.float64]]:
    """Compute the angles of the joints over time.

    Args:
        motion: in any unit and frame. In pixels, or without `root_path`, the picture's perspective is still in the
            positions and therefore in the angles.

    Returns:
        Name to (F,) degrees. NaN where nobody was seen; where the detector did not find one of the angle's joints for
        long, or only outside of the picture (`unseen_joints`); or where the angle is undefined (an arm that points
        along the axis about which it is measured). For each side ``left_`` and ``right_``: ``knee_flexion``,
        ``elbow_flexion``, ``hip_flexion``, ``hip_abduction``, ``shoulder_flexion``, ``shoulder_abduction``,
        ``shoulder_elevation``; ``trunk_flexion``, ``trunk_rotation``; and in a world also ``trunk_inclination``,
        ``trunk_forward_lean`` and for each side ``shank_inclination``. Where the source has feet, for each side
        ``ankle_dorsiflexion``, and in a world with a path, while the person walks, ``foot_progression``.
    """
    unseen = unseen_joints(motion)
    found = {}
    for name, (degrees, joints) in measure_degrees(motion).items():
        degrees[unseen[:, joints].any(1)] = np.nan
        found[name] = degrees
    return found


def measure_degrees(motion: Poses3D) -> dict[str, tuple[Array, list[int]]]:
    """Measure the angles of `joint_angles`, also where a joint was not seen but lifted.

    Returns:
        Name to (F,) degrees, and the angle's joints.
    """
    feet = feet_positions(motion)
    up = np.array([0.0, 0.0, 1.0]) if motion.frame == "world" else None
    found: dict[str, tuple[Array, list[int]]] = {}
    for block in blocks(len(motion)):
        p = np.where(motion.seen[block, None, None], motion.xyz[block], np.nan).astype(np.float64)
        for name, angle in measure_angles(p, None if feet is None else feet[block], up).items():
            if name not in found:
                found[name] = np.empty(len(motion)), list(angle.joints)
            found[name][0][block] = angle.degrees
    if feet is not None and motion.frame == "world" and motion.absolute and motion.units == "metre":
        pelvis = np.where(motion.seen[:, None], motion.xyz[:, 0], np.nan).astype(np.float64)
        for name, angle in _foot_progression(pelvis, feet, motion.frame_times()).items():
            found[name] = angle.degrees, list(angle.joints)
    return found


def measure_angles(p: Array, feet: Array | None = None, up: Array | None = None) -> dict[str, Angle]:
    """Measure the angles of positions, with the planes in which they lie.

    Args:
        p: (F, 17, 3) joints in any unit and frame; NaN where nobody was seen.
        feet: (F, 4, 3) heels and foot tips; None: no ankles are measured.
        up: (3,) or (F, 3) unit vector against gravity; None: not known, and no angles to the vertical are measured.

    Returns:
        Name to angle; the names are those of `joint_angles`.
    """
    hips, shoulders, trunk = p[:, 4] - p[:, 1], p[:, 11] - p[:, 14], p[:, 8] - p[:, 0]
    hip_frame, chest_frame = _frame(hips, trunk), _frame(shoulders, p[:, 8] - p[:, 7])
    left, above, forward = hip_frame
    angles: dict[str, Angle] = {}
    for side, (hip, knee, ankle) in _LEGS.items():
        outward = 1.0 if side == "left" else -1.0
        thigh, shank = p[:, knee] - p[:, hip], p[:, ankle] - p[:, knee]
        bent, across = _hinge(thigh, shank)
        # a straight leg would bend about the line of the hips
        across = np.where(np.isfinite(across), across, _unit(left - _unit(thigh) * _along(_unit(thigh), left)[:, None]))
        angles[f"{side}_knee_flexion"] = Angle(bent, across, _unit(shank), (knee, hip, ankle))
        flexed, abducted = _swing(thigh, hip_frame, outward)
        of_hip = (hip, knee, *_HIPS_AND_TRUNK)
        angles[f"{side}_hip_flexion"] = Angle(flexed, left, _unit(thigh), of_hip)
        angles[f"{side}_hip_abduction"] = Angle(abducted, forward, _unit(thigh), of_hip)
    for side, (shoulder, elbow, wrist) in _ARMS.items():
        outward = 1.0 if side == "left" else -1.0
        arm = p[:, elbow] - p[:, shoulder]
        forearm = p[:, wrist] - p[:, elbow]
        angles[f"{side}_elbow_flexion"] = Angle(*_hinge(arm, forearm), _unit(forearm), (elbow, shoulder, wrist))
        flexed, abducted = _swing(arm, chest_frame, outward)
        of_shoulder = (shoulder, elbow, *_CHEST)
        across, _, onwards = chest_frame
        angles[f"{side}_shoulder_flexion"] = Angle(flexed, across, _unit(arm), of_shoulder)
        angles[f"{side}_shoulder_abduction"] = Angle(abducted, onwards, _unit(arm), of_shoulder)
        angles[f"{side}_shoulder_elevation"] = Angle(*_hinge(arm, -chest_frame[1]), _unit(arm), of_shoulder)
    lower, upper = p[:, 7] - p[:, 0], p[:, 8] - p[:, 7]
    bent = _turn(_along(lower, above), _along(lower, forward), _along(upper, above), _along(upper, forward))
    angles["trunk_flexion"] = Angle(bent, left, _unit(upper), (7, *_HIPS_AND_TRUNK))
    turned = _planar(-_along(shoulders, forward), _along(shoulders, left), shoulders)
    angles["trunk_rotation"] = Angle(turned, above, _unit(shoulders), (7, *_HIPS_AND_TRUNK, 11, 14))
    if up is not None:
        angles |= _to_the_vertical(p, hips, trunk, np.broadcast_to(up, trunk.shape))
    if feet is not None:
        for side, (_, knee, ankle, heel, toe) in FEET_SIDES.items():
            foot, shank = feet[:, toe] - feet[:, heel], p[:, knee] - p[:, ankle]
            between, across = _hinge(foot, shank)
            of_ankle = (ankle, knee, 17 + heel, 17 + toe)
            angles[f"{side}_ankle_dorsiflexion"] = Angle(90 - between, across, _unit(foot), of_ankle)
    return angles


def _to_the_vertical(p: Array, hips: Array, trunk: Array, up: Array) -> dict[str, Angle]:
    """Return the angles of trunk and shanks to the vertical `up`, (F, 3)."""
    across, _, ahead = _frame(hips - up * _along(hips, up)[:, None], up)
    leaning = _planar(_along(trunk, ahead), _along(trunk, up), trunk)
    angles = {
        "trunk_inclination": Angle(*_hinge(trunk, up), _unit(trunk), _HIPS_AND_TRUNK),
        "trunk_forward_lean": Angle(leaning, across, _unit(trunk), _HIPS_AND_TRUNK),
    }
    for side, (_, knee, ankle) in _LEGS.items():
        shank = p[:, knee] - p[:, ankle]
        leaning = _planar(_along(shank, ahead), _along(shank, up), shank)
        angles[f"{side}_shank_inclination"] = Angle(leaning, across, _unit(shank), (ankle, knee, 1, 4))
    return angles


def _foot_progression(pelvis: Array, feet: Array, times: Array) -> dict[str, Angle]:
    """Return the angles of the feet to the direction of walking in a world, z up; the pelvis is at (F, 3)."""
    angles: dict[str, Angle] = {}
    ahead = _walking_direction(pelvis[:, :2], times)
    up = np.broadcast_to([0.0, 0.0, 1.0], (len(pelvis), 3))
    for side, (_, _, ankle, heel, toe) in FEET_SIDES.items():
        foot = feet[:, toe] - feet[:, heel]
        along, aside = _along(foot[:, :2], ahead), foot[:, 1] * ahead[:, 0] - foot[:, 0] * ahead[:, 1]
        degrees = _planar((1 if side == "left" else -1) * aside, along, foot)
        angles[f"{side}_foot_progression"] = Angle(degrees, up, _unit(foot), (ankle, 17 + heel, 17 + toe))
    return angles


def unseen_joints(motion: Poses3D) -> NDArray[np.bool_]:
    """Find joints about whose place the picture says nothing: an angle of them would be made up.

    A joint is unseen where the detector did not find it (confidence 0) or put it outside of the picture. A gap of at
    most `LONGEST_GAP` seconds between frames in which it was seen counts as seen, if the joint has a place there: it
    was lifted from both sides.

    Returns:
        (F, 21) of `posemamba.poses.skeletons.H36M17_FEET`; without heels and foot tips in the source none of these.
    """
    network, k, (width, height) = motion.network, motion.keypoints, motion.keypoints.image_size
    points, confidence = [k.xy], [network.confidence]
    if k.feet is not None:
        points, confidence = [*points, k.feet.xy], [*confidence, k.feet.confidence]
    xy = np.concatenate(points, 1)
    with np.errstate(invalid="ignore"):
        inside = ((xy >= 0) & (xy <= [width, height])).all(-1)
        there = inside & (np.concatenate(confidence, 1) > 0) & network.seen[:, None]
    times = k.frame_times()
    unseen = np.zeros((len(xy), len(H36M17_FEET)), bool)
    unseen[:, : xy.shape[1]] = np.stack([_long_gaps(one, times) for one in there.T], 1)
    unseen |= ~motion.seen[:, None]
    if (feet := feet_positions(motion)) is not None:
        unseen[:, len(H36M17) :] |= ~np.isfinite(feet).all(-1)
    return unseen


def _long_gaps(there: NDArray[np.bool_], times: Array) -> NDArray[np.bool_]:
    """Return the frames of gaps that are longer than `LONGEST_GAP`, or open at an end, (F,) bool."""
    known = np.flatnonzero(there)
    if not len(known):
        return np.ones(len(there), bool)
    gaps = ~there
    for before, after in pairwise(known):
        if after > before + 1 and times[after] - times[before] <= LONGEST_GAP + 1e-6:
            gaps[before:after] = False
    return gaps


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


def _hinge(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the (F,) angles between vectors, and the unit normals of their planes; NaN where they are in one line."""
    cross = np.cross(a, b)
    between = _between(a, b)
    clear = (between >= STRAIGHT) & (between <= 180 - STRAIGHT)
    return between, np.where(clear[:, None], _unit(cross), np.nan)


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
