"""Errors of poses before a real camera against a reference there: P1, P2, depth and joint angles.

Shapes: F frames, J = 17 joints of Human3.6M. Metres in the camera's axes, x right, y down, z away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemamba.evaluate.metrics import p_mpjpe_per_frame
from posemamba.evaluate.views.cameras import Array
from posemamba.poses.skeletons import H36M17

SCORED = (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16)
"""Human3.6M's joints without the pelvis, which is the origin, and without nose and head top: detectors do not find
these two, they are extrapolated."""
_LEAST = 6
"""Joints of a frame from which it is aligned for P2; with fewer the alignment would hide the errors."""


@dataclass(frozen=True)
class PoseErrors:
    """The errors of one clip, in millimetres; means over the scored joints of all frames.

    Attributes:
        p1: distance of joints relative to the pelvis, after one scale for the whole clip.
        p2: the same after each frame is moved, turned and scaled to lie nearest.
        depth: error along the camera's axis, after the clip's scale.
        scale: the factor from the poses to the reference.
        joints: p1 of each joint by name; NaN where it was never scored.
        scored: the number of joints of frames that were scored.
    """

    p1: float
    p2: float
    depth: float
    scale: float
    joints: dict[str, float]
    scored: int


def pose_errors(xyz: ArrayLike, ref: ArrayLike, valid: NDArray[np.bool_]) -> PoseErrors:
    """Compute the errors of poses.

    Args:
        xyz: (F, 17, 3) in any unit; NaN where there is none.
        ref: (F, 17, 3) metres.
        valid: (F, 17), where the reference is known.
    """
    ours, true = (a - a[:, :1] for a in (np.asarray(xyz, np.float64), np.asarray(ref, np.float64)))
    good = valid & valid[:, :1] & np.isfinite(ours).all(-1) & np.isfinite(true).all(-1)
    joints = list(SCORED)
    good, ours, true = good[:, joints], ours[:, joints], true[:, joints]
    nothing = dict.fromkeys((H36M17.joints[j] for j in joints), np.nan)
    if not good.any():
        return PoseErrors(np.nan, np.nan, np.nan, np.nan, nothing, 0)
    scale = float((ours[good] * true[good]).sum() / max(np.square(ours[good]).sum(), 1e-12))
    off = 1000 * (scale * ours - true)
    apart = np.where(good, np.linalg.norm(off, axis=-1), np.nan)
    aligned, counts = [], []
    for frame in np.flatnonzero(good.sum(1) >= _LEAST):
        there = good[frame]
        aligned.append(float(p_mpjpe_per_frame(ours[frame, there][None], true[frame, there][None])[0]))
        counts.append(int(there.sum()))
    return PoseErrors(
        p1=float(np.nanmean(apart)),
        p2=1000 * float(np.average(aligned, weights=counts)) if counts else np.nan,
        depth=float(np.abs(off[good][:, 2]).mean()),
        scale=scale,
        joints={**nothing, **{H36M17.joints[j]: mean(apart[:, i]) for i, j in enumerate(joints)}},
        scored=int(good.sum()),
    )


@dataclass(frozen=True)
class AngleErrors:
    """The errors of a joint angle in degrees: mean of their sizes, mean with sign (predicted less true), and number."""

    error: float
    bias: float
    frames: int


def angle_errors(
    ours: Mapping[str, NDArray[np.float64]], true: Mapping[str, NDArray[np.float64]]
) -> dict[str, AngleErrors]:
    """Compare joint angles as `posemamba.joint_angles` gives them; left and right are taken together.

    Args:
        ours, true: name to (F,) degrees; NaN where an angle is not defined.

    Returns:
        Name without side to errors, in the order of `ours`; only of angles that both have somewhere.
    """
    parts: dict[str, list[Array]] = {}
    for name in ours:
        if name in true:
            off = (ours[name] - true[name] + 180) % 360 - 180
            parts.setdefault(name.removeprefix("left_").removeprefix("right_"), []).append(off[np.isfinite(off)])
    joined = {name: np.concatenate(each) for name, each in parts.items()}
    return {
        name: AngleErrors(float(np.abs(off).mean()), float(off.mean()), len(off))
        for name, off in joined.items()
        if len(off)
    }


def mean(values: ArrayLike) -> float:
    """Return the mean of what is not NaN; NaN of nothing."""
    there = np.asarray(values, np.float64)
    there = there[np.isfinite(there)]
    return float(there.mean()) if len(there) else float("nan")
