"""Helpers shared by the refinement steps: checked input, robust smooth curves over time, and the size of a body.

Shapes: F frames, J = 17 joints, E = 16 bones, K values at one time; 4 heels and foot tips.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D, Step
from posemamba.poses.curves import fit_curve, weighted_median
from posemamba.poses.keypoints import Span, find_jumps, split_at_gaps
from posemamba.poses.skeletons import FEET_ANKLES, H36M17, LIMB_SEGMENTS
from posemamba.utils.blocks import in_blocks
from posemamba.utils.errors import PoseMambaError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_CONFIDENCE = 0.5
"""Confidence above which a detected joint counts as certain."""
MAX_GAP = 1.0
"""Seconds without the person that end a segment, as in lifting; segments do not influence each other."""
DEPTH_TRUST = 0.03
"""Weight of bones along the line of sight in the estimate of the size; smaller trusts them less. Lifted depths are less
accurate than image positions, and tend to be too flat. Measured, see docs/refine.md."""

_LEGS = tuple(ends for name, ends in LIMB_SEGMENTS.items() if name.endswith(("thigh", "shin")))
_TRUNK_AND_HEAD = ((0, 7), (7, 8), (8, 9), (9, 10))


def with_step(motion: Poses3D, step: Step, xyz: Array, *, feet: Array | None = None, **changes: Any) -> Poses3D:
    """Return the motion with new positions, NaN where nobody was seen, and `step` added to its record.

    Args:
        motion: stays as it is.
        step: what was done.
        xyz: (F, 17, 3) the new positions.
        feet: (F, 4, 3) the new heels and foot tips; None: each moves as its ankle does.
        changes: other fields of `Poses3D` to set.
    """
    placed = np.where(motion.seen[:, None, None], xyz, np.nan).astype(np.float32)
    if feet is None and (before := feet_positions(motion)) is not None:
        feet = before + (xyz - motion.xyz.astype(np.float64))[:, list(FEET_ANKLES)]
    if feet is not None:
        changes["feet"] = np.where(motion.seen[:, None, None], feet, np.nan).astype(np.float32)
    return replace(motion, xyz=placed, steps=(*motion.steps, step), **changes)


def feet_positions(motion: Poses3D) -> Array | None:
    """Return the heels and foot tips, (F, 4, 3) in float64, NaN where one was not found; None: there are none."""
    if motion.feet is None:
        return None
    feet = motion.feet.astype(np.float64)
    return np.where(np.isfinite(feet).all(-1, keepdims=True) & motion.seen[:, None, None], feet, np.nan)


def positions(motion: Poses3D) -> Array:
    """Return the checked positions, (F, 17, 3) in float64.

    Raises:
        PoseMambaError: nobody was seen in any frame, a seen frame has joints that are not numbers, or the frame times
            do not rise.
    """
    if not motion.seen.any():
        raise PoseMambaError(
            f"nobody was seen in any of the {len(motion)} frames: there is nothing to refine, lift another clip"
        )
    xyz = motion.xyz.astype(np.float64)
    bad = motion.seen & ~np.isfinite(motion.xyz).all((1, 2))
    if bad.any():
        raise PoseMambaError(
            f"frame {int(np.argmax(bad))} is marked as seen but holds NaN or infinity, expected numbers: lift it again"
        )
    still = np.diff(motion.frame_times()) <= 0
    if still.any():
        frame = int(np.argmax(still)) + 1
        raise PoseMambaError(
            f"frame {frame} is at {motion.frame_times()[frame]:.6g} s, not after the frame before; expected rising "
            "times: correct them, or lift by frame rate alone"
        )
    return xyz


def checked(name: str, value: float, low: float, high: float, unit: str) -> float:
    """Return the number if it is in range.

    Args:
        name: of the number, for the error.
        value: the number.
        low, high: the range, both included.
        unit: of the number, for the error.

    Raises:
        PoseMambaError: it is not between `low` and `high`.
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise PoseMambaError(f"{name} is {value:g}, expected {low:g} to {high:g} {unit}")
    return float(value)


def joint_weights(motion: Poses3D) -> Array:
    """Return (F, 17) weights from the 2D confidences: little, but above 0, for joints that were filled in."""
    return np.where(motion.seen[:, None], 0.01 + 0.99 * motion.network.confidence.astype(np.float64), 0.0)


def segment_frames(motion: Poses3D, max_gap: float = MAX_GAP, seen: Mask | None = None) -> list[NDArray[np.int64]]:
    """Return the numbers of the seen frames, one array for each segment; segments are refined independently.

    As in lifting, a segment ends where the person is not seen for long, and where the 2D joints jump to another person.

    Args:
        motion: gives the frames' times.
        max_gap: seconds without the person that end a segment.
        seen: (F,) frames in which a point was seen; None: those in which the person was.
    """
    seen = motion.seen if seen is None else seen
    segments = split_at_gaps(seen, motion.frame_times(), max_gap, find_jumps(motion.network.keypoints))
    return [start + np.flatnonzero(seen[start:end]) for start, end in segments]


def true_spans(mask: Mask, least: int = 1) -> list[Span]:
    """Return the spans [start, end) in which the (F,) mask is True for at least `least` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2) if end - start >= least]


def bone_lengths(xyz: Array) -> Array:
    """Return the (F, E) lengths of the bones, in the order of `H36M17.bones`, from (F, 17, 3) positions."""
    parents, children = np.array(H36M17.bones).T
    return in_blocks(lambda xyz: np.linalg.norm(xyz[:, children] - xyz[:, parents], axis=-1), xyz)


def body_length(bones: Array) -> float:
    """Return the body's length from (E,) bone lengths: the mean leg, trunk, neck and head end to end."""
    length = dict(zip(H36M17.bones, bones.tolist(), strict=True))
    return sum(length[b] for b in _LEGS) / 2 + sum(length[b] for b in _TRUNK_AND_HEAD)


def bone_trust(xyz: Array, bones: Array) -> Array:
    """Return how much each bone tells of the body's size, (F, E): by its length, and less along the line of sight.

    Args:
        xyz: (F, 17, 3) positions.
        bones: (F, E) their `bone_lengths`.
    """
    parents, children = np.array(H36M17.bones).T
    away = (np.abs(xyz[:, children, 2] - xyz[:, parents, 2]) / np.maximum(bones, 1e-12)) ** 2
    return np.asarray((np.median(bones, 0) / np.median(bones, 0).sum()) / (DEPTH_TRUST + away))


def fit_size(motion: Poses3D, xyz: Array, cutoff: float) -> tuple[Array, Array, float]:
    """Fit the size of the body in each frame: the bones keep their proportions, the size varies smoothly.

    The model is log(bone length) = log(proportion of the bone) + log(size in the frame). The two terms are fitted in
    turns, robustly. A bone weighs by its length and by the 2D confidence of its less certain end.

    Args:
        motion: gives the seen frames and the confidences.
        xyz: (F, 17, 3) the positions.
        cutoff: hertz (`fit_curve`).

    Returns:
        (F,) length of the body (`body_length`), NaN where nobody was seen; (E,) the bones' shares of it; and the
        robust standard deviation of single frames' sizes about the curve, as a share.

    Raises:
        PoseMambaError: all joints of a frame are in one place.
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
    segments = segment_frames(motion)
    log = np.full((len(motion), bones.shape[1]), np.nan)
    log[seen] = np.log(np.maximum(bones, 1e-3 * bones.sum(1, keepdims=True)))  # no logarithm of 0
    weights = np.minimum(certain[:, parents], certain[:, children])
    weights[seen] *= bone_trust(xyz[seen], bones)
    size = np.full(len(motion), np.nan)
    size[seen] = np.log(bones.sum(1))
    share = np.zeros(bones.shape[1])
    for _ in range(6):
        relative = (log - size[:, None])[seen]
        share = np.array([weighted_median(relative[:, e], weights[seen, e]) for e in range(len(share))])
        for frames in segments:
            size[frames] = fit_curve(times[frames], log[frames] - share, weights[frames], cutoff)
    single = ((log - share) * weights)[seen].sum(1) / weights[seen].sum(1)
    spread = float(np.median(np.abs(single - size[seen])) / 0.6745)
    whole = body_length(np.exp(share))
    return np.exp(size) * whole, np.exp(share) / whole, spread
