"""The depth of heels and foot tips, from their places in the picture and the lifted legs.

The models lift 17 joints, without feet. A foot is nearly rigid and turns little against its shank, so the picture and
the leg give its depth. In the frame of the leg (forward, outward, up along the shank) the vectors from the ankle to
heel and toe have a mean and a covariance, taken from motion capture. In each frame the two vectors are those that are
most likely by these and by the two places in the picture: a linear problem. Lengths of typical feet are added to it by
Gauss and Newton's iteration, which starts where anatomy says that the toe points. So of the two depths that fit a
length, the one with the toe before the ankle is found, and a foot in the picture's plane has no kink. All lengths are
shares of the shank's. `studies/foot_depth.py` measures this and other ways.

Shapes: F frames; x right, y down, z away from the camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import FEET, FEET_ANKLES, FEET_SIDES
from posemamba.utils.blocks import in_blocks

Array = NDArray[np.float64]

MEAN = np.array([-0.065, 0.0, -0.177, 0.426, 0.016, -0.047])
"""Ankle to heel, then ankle to toe, forward, outward and up, in shank lengths: mean over the study's motion capture."""
COVARIANCE = 1e-4 * np.array(
    [
        [23.9, 0, -11.3, 11.6, 0, 62.7],
        [0, 3.8, 0, 0, -14.3, 0],
        [-11.3, 0, 7.9, -8.5, 0, -32.9],
        [11.6, 0, -8.5, 44.2, 0, 34.5],
        [0, -14.3, 0, 0, 93.5, 0],
        [62.7, 0, -32.9, 34.5, 0, 184.8],
    ]
)
"""The covariance of `MEAN`'s numbers, of the same frames; left and right are alike."""
LENGTHS = (0.197, 0.472, 0.553)
"""Ankle to heel, ankle to toe, heel to toe, in shank lengths: medians of BlazePose's points, triangulated from the four
views of a real clip."""
LENGTH_DEVIATION, PICTURE_DEVIATION = 0.04, 0.05
"""Standard deviations of the lengths between people, and of places in the picture, in shank lengths."""
ROUNDS = 3
"""Iterations of Gauss and Newton, after which depths change by less than a thousandth of the shank."""
_KNEE_TRUST = 0.2  # sine of the knee's flexion from which the knee, and not the pelvis, says where forward is
_PAIRS = (np.eye(3, 6), np.eye(3, 6, 3), np.eye(3, 6, 3) - np.eye(3, 6))  # matrices that give the vectors of `LENGTHS`


def lift_feet(xyz: NDArray[np.floating], keypoints: Keypoints2D) -> NDArray[np.float32] | None:
    """Lift the heels and foot tips beside Human3.6M's joints.

    Args:
        xyz: (F, 17, 3) the lifted joints in pixels at the pelvis's depth; NaN where nobody was seen.
        keypoints: the 2D joints that were lifted, with their feet.

    Returns:
        (F, 4, 3) in the order of `posemamba.poses.skeletons.FEET`, in the unit and frame of `xyz`; NaN where the point
        or its ankle was not found. Relative to the ankle, x and y are those of the picture. None: there are no feet.
    """
    if keypoints.feet is None:
        return None
    offsets = keypoints.feet.xy.astype(np.float64) - keypoints.xy[:, FEET_ANKLES]
    depth = foot_depths(xyz, offsets)
    return (xyz[:, FEET_ANKLES] + np.concatenate([offsets, depth[..., None]], -1)).astype(np.float32)


def foot_depths(xyz: NDArray[np.floating], offsets: NDArray[np.floating]) -> Array:
    """Estimate the depth of heels and foot tips relative to their ankles.

    Args:
        xyz: (F, 17, 3) joints in the camera's frame, in any unit of length, the same in all directions.
        offsets: (F, 4, 2) x and y from the ankle to the points of `posemamba.poses.skeletons.FEET`, in that unit; NaN
            where a point was not found. The other point of the foot is placed without it.

    Returns:
        (F, 4) in the unit of `xyz`; NaN where the point, or the leg, is not known.
    """
    p = np.asarray(xyz, np.float64)
    depth = np.full((len(p), len(FEET)), np.nan)
    size = shank_lengths(p)
    for side, (hip, knee, ankle, heel, toe) in FEET_SIDES.items():
        points = [heel, toe]
        seen = np.isfinite(offsets[:, points]).all(-1)
        on = np.flatnonzero(seen.any(1) & np.isfinite(p).all((1, 2)) & (size > 0))
        if len(on):
            axes = leg_axes(p[on], hip, knee, ankle, 1.0 if side == "left" else -1.0)
            known = seen[on]
            places = np.where(known[..., None], offsets[on][:, points] / size[on, None, None], 0.0)
            vectors = in_blocks(most_likely, axes, places, known)
            depth[on[:, None], points] = np.where(known, vectors[..., 2] * size[on, None], np.nan)
    return depth


def shank_lengths(p: Array) -> Array:
    """Return the shanks' length in each frame, (F,): their usual share of both legs' bones, which vary less."""
    ends = [ends for hip, knee, ankle, _, _ in FEET_SIDES.values() for ends in ((hip, knee), (knee, ankle))]
    bones = [np.linalg.norm(p[:, a] - p[:, b], axis=-1) for a, b in ends]
    legs = np.sum(bones, axis=0)
    seen = np.isfinite(legs) & (legs > 0)
    if not seen.any():
        return np.full(len(p), np.nan)
    return np.asarray(np.median((bones[1] + bones[3])[seen] / legs[seen]) / 2 * legs)


def leg_axes(p: Array, hip: int, knee: int, ankle: int, outward: float) -> Array:
    """Return the leg's unit axes forward, outward and up as the columns of (F, 3, 3).

    Forward is where the knee points, or the pelvis where the leg is straight. Up is along the shank.
    """
    up = _unit(p[:, knee] - p[:, ankle])

    def level(v: Array) -> Array:
        return np.asarray(v - (v * up).sum(-1, keepdims=True) * up)

    pelvis = _unit(level(np.cross(p[:, 4] - p[:, 1], p[:, 8] - p[:, 0])))
    thigh = -level(_unit(p[:, hip] - p[:, knee]))
    bent = (thigh**2).sum(-1, keepdims=True)
    trust = bent / (bent + _KNEE_TRUST**2)
    forward = _unit(level(trust * _unit(thigh) + (1 - trust) * pelvis))
    return np.stack([forward, outward * np.cross(up, forward), up], -1)


def _unit(v: Array) -> Array:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12))


def most_likely(
    axes: Array,
    places: Array,
    known: NDArray[np.bool_],
    *,
    mean: Array = MEAN,
    covariance: Array = COVARIANCE,
    rounds: int = ROUNDS,
) -> Array:
    """Return the most likely vectors from the ankle to heel and toe, (F, 2, 3) in shank lengths, in the camera's frame.

    Args:
        axes: (F, 3, 3) of the leg (`leg_axes`).
        places: (F, 2, 2) x and y of the two vectors in the picture, in shank lengths.
        known: (F, 2) points whose place is known.
        mean: (6,) or (F, 6), as `MEAN`.
        covariance: (6, 6), as `COVARIANCE`.
        rounds: iterations that bring in the lengths; 0: without them.
    """
    frames = len(axes)
    both = np.zeros((frames, 6, 6))
    both[:, :3, :3] = both[:, 3:, 3:] = axes
    certain = both @ np.linalg.inv(covariance) @ both.transpose(0, 2, 1)
    right = (certain @ both @ np.broadcast_to(mean, (frames, 6))[..., None])[..., 0]
    weights, seen = np.zeros((frames, 6)), np.zeros((frames, 6))
    for point in range(2):
        at = slice(3 * point, 3 * point + 2)
        weights[:, at] = known[:, point, None] / PICTURE_DEVIATION**2
        seen[:, at] = places[:, point]
    left = certain + weights[:, :, None] * np.eye(6)
    right = right + weights * seen
    found = np.linalg.solve(left, right[..., None])[..., 0]
    for _ in range(rounds):
        matrix, vector = left.copy(), right.copy()
        for pair, length in zip(_PAIRS, LENGTHS, strict=True):
            difference = found @ pair.T
            slope = _unit(difference) @ pair
            off = length - np.linalg.norm(difference, axis=-1) + (slope * found).sum(-1)
            matrix += slope[:, :, None] * slope[:, None, :] / LENGTH_DEVIATION**2
            vector += slope * off[:, None] / LENGTH_DEVIATION**2
        found = np.linalg.solve(matrix, vector[..., None])[..., 0]
    return np.asarray(found.reshape(frames, 2, 3), np.float64)
