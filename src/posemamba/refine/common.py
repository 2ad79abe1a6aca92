"""What the steps share: curves through noisy values over time, the size of a body, and the record of a step.

Shapes: F frames, J = 17 joints, E = 16 bones, K values at one time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from posemamba.poses import Motion3D, Step
from posemamba.poses.keypoints import split_at_gaps
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SURE = 0.5
"""Confidence over which the detector counts as sure of a joint."""
MAX_GAP = 1.0
"""Seconds: what was seen further apart does not influence each other, as in lifting."""
HUBER = 1.5
"""Residuals beyond this many (robust) standard deviations count linearly, not squared (Huber 1964)."""
DEPTH_TRUST = 0.03
"""The smaller, the less a bone that points towards or away from the camera says of the size: lifted depths are less
sure than places in the picture, and tend to be too flat. Measured, see docs/refine.md."""

_LEGS = ((1, 2), (2, 3), (4, 5), (5, 6))
_TRUNK_AND_HEAD = ((0, 7), (7, 8), (8, 9), (9, 10))


def with_step(motion: Motion3D, step: Step, xyz: Array, **changes: Any) -> Motion3D:
    """The motion with other positions, NaN where nobody was seen, and one more step on its record."""
    placed = np.where(motion.seen[:, None, None], xyz, np.nan).astype(np.float32)
    return replace(motion, xyz=placed, steps=(*motion.steps, step), **changes)


def positions(motion: Motion3D) -> Array:
    """(F, 17, 3) in float64.

    Raises:
        PoseMambaError: nobody was seen in any frame, a seen frame has joints that are not numbers, or the frame times
            do not rise.
    """
    if not motion.seen.any():
        raise PoseMambaError(
            f"nobody was seen in any of the {len(motion)} frames: there is nothing to refine, lift another clip"
        )
    xyz = motion.xyz.astype(np.float64)
    bad = motion.seen & ~np.isfinite(xyz).all((1, 2))
    if bad.any():
        raise PoseMambaError(
            f"frame {int(np.argmax(bad))} is marked as seen but holds NaN or infinity, expected numbers: lift it again"
        )
    still = np.diff(motion.frame_times()) <= 0
    if still.any():
        frame = int(np.argmax(still)) + 1
        raise PoseMambaError(
            f"frame {frame} is at {motion.frame_times()[frame]:.6g} s, not after the frame before; expected rising "
            "times: mend them, or lift by frame rate alone"
        )
    return xyz


def checked(name: str, value: float, low: float, high: float, unit: str) -> float:
    """The number itself.

    Raises:
        PoseMambaError: it is not between `low` and `high`.
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise PoseMambaError(f"{name} is {value:g}, expected {low:g} to {high:g} {unit}")
    return float(value)


def joint_weights(motion: Motion3D) -> Array:
    """(F, 17) from the 2D confidences; joints that were guessed weigh little, but never nothing."""
    return np.where(motion.seen[:, None], 0.01 + 0.99 * motion.poses.confidence.astype(np.float64), 0.0)


def stretches(motion: Motion3D, max_gap: float = MAX_GAP) -> list[NDArray[np.int64]]:
    """Frame numbers of the seen frames, one array for each stretch that is refined on its own."""
    times = motion.frame_times()
    found = split_at_gaps(motion.seen, times, max_gap)
    return [start + np.flatnonzero(motion.seen[start:end]) for start, end in found]


def runs(mask: Mask, least: int = 1) -> list[tuple[int, int]]:
    """(first, last) of the stretches of True that have at least `least` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2) if b - a >= least]


def roughness(times: Array) -> Array:
    """(3, n) in the lower banded form of `solveh_banded`: c'Pc is the integral of a curve's squared second derivative.

    Args:
        times: (n,) seconds, rising; need not be even.
    """
    n = len(times)
    bands = np.zeros((3, n))
    if n < 3:
        return bands
    left, right = np.diff(times)[:-1], np.diff(times)[1:]
    both = left + right
    d = np.stack([2 / (left * both), -2 / (left * right), 2 / (right * both)])  # second divided difference
    for i in range(3):
        for k in range(i + 1):
            bands[i - k, k : k + n - 2] += both / 2 * d[i] * d[k]
    return bands


def stiffness(times: Array, cutoff: float) -> float:
    """The weight of `roughness`, for data of weight 1 a frame, that halves a wave of `cutoff` hertz.

    A penalised fit passes 1/(1 + weight w^4 dt) of a wave of w radians a second (Whittaker 1923, Eilers 2003).
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return 1 / (step * (2 * math.pi * cutoff) ** 4)


def huber_weights(residuals: Array, weights: Array) -> Array:
    """What multiplies the weights in iteratively reweighted least squares; residuals are lengths, at least 0."""
    spread = weighted_median(residuals.ravel(), weights.ravel()) / 0.6745
    if not spread > 1e-12:
        return np.ones_like(residuals)
    return np.minimum(1, HUBER * spread / np.maximum(residuals, 1e-300))


def weighted_median(values: Array, weights: Array) -> float:
    """The smallest value below which lies half of the weight."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(total, total[-1] / 2), len(order) - 1)])


def fit_curve(times: Array, values: Array, weights: Array, cutoff: float, rounds: int = 8) -> Array:
    """A smooth curve through several noisy values at each time, robust against outliers.

    Args:
        times: (n,) seconds.
        values: (n, K).
        weights: (n, K).
        cutoff: hertz: of a faster wave less than half is kept.
        rounds: of reweighting.

    Returns:
        (n,); fewer than three times give a constant.
    """
    n, penalty = len(times), roughness(times)
    robust = np.ones_like(values)
    curve = np.zeros(n)
    for _ in range(rounds):
        w = weights * robust
        total = w.sum(1)
        if n < 3:
            curve = np.full(n, (w * values).sum() / w.sum())
        else:
            bands = penalty * (stiffness(times, cutoff) * total.mean())
            bands[0] += total
            curve = solveh_banded(bands, (w * values).sum(1), lower=True)
        robust = huber_weights(np.abs(values - curve[:, None]), weights)
    return curve


def bone_lengths(xyz: Array) -> Array:
    """(F, E) lengths of the skeleton's bones in the order of `H36M17.bones`."""
    parents, children = np.array(H36M17.bones).T
    return np.asarray(np.linalg.norm(xyz[:, children] - xyz[:, parents], axis=-1))


def body_length(bones: Array) -> float:
    """Leg, trunk, neck and head end to end, the two legs averaged: the body's length, from (E,) bone lengths."""
    length = dict(zip(H36M17.bones, bones.tolist(), strict=True))
    return sum(length[b] for b in _LEGS) / 2 + sum(length[b] for b in _TRUNK_AND_HEAD)


def fit_size(motion: Motion3D, xyz: Array, cutoff: float) -> tuple[Array, Array, float]:
    """How large the body is in each frame: all bones keep their proportions, the size varies smoothly.

    log(bone length) = log(proportion of the bone) + log(size of the frame), by turns; robust, weighted by the
    2D confidence of the bone's less certain end and the bone's length.

    Args:
        motion: whose seen frames and confidences are used.
        xyz: (F, 17, 3) the positions.
        cutoff: hertz (`fit_curve`).

    Returns:
        (F,) length of the body (`body_length`), NaN where nobody was seen; (E,) the bones' share of it; and the
        robust standard deviation of single frames' sizes about the curve, as a share.
    """
    times, seen = motion.frame_times(), motion.seen
    parents, children = np.array(H36M17.bones).T
    certain = joint_weights(motion)
    bones = bone_lengths(xyz[seen])
    if (bones.sum(1) <= 0).any():
        frame = int(np.flatnonzero(seen)[np.argmax(bones.sum(1) <= 0)])
        raise PoseMambaError(
            f"frame {frame}: all joints are in one place, so the body has no size; expected a pose: lift the clip again"
        )
    log = np.full((len(motion), bones.shape[1]), np.nan)
    log[seen] = np.log(np.maximum(bones, 1e-3 * bones.sum(1, keepdims=True)))  # a bone of no length says nothing
    weights = np.minimum(certain[:, parents], certain[:, children])
    away = (np.abs(xyz[:, children, 2] - xyz[:, parents, 2])[seen] / np.maximum(bones, 1e-12)) ** 2
    weights[seen] *= (np.median(bones, 0) / np.median(bones, 0).sum()) / (DEPTH_TRUST + away)
    size = np.full(len(motion), np.nan)
    size[seen] = np.log(bones.sum(1))
    share = np.zeros(bones.shape[1])
    for _ in range(6):
        relative = (log - size[:, None])[seen]
        share = np.array([weighted_median(relative[:, e], weights[seen, e]) for e in range(len(share))])
        for frames in stretches(motion):
            size[frames] = fit_curve(times[frames], log[frames] - share, weights[frames], cutoff)
    single = ((log - share) * weights)[seen].sum(1) / weights[seen].sum(1)
    spread = float(np.median(np.abs(single - size[seen])) / 0.6745)
    whole = body_length(np.exp(share))
    return np.exp(size) * whole, np.exp(share) / whole, spread
