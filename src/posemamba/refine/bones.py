"""Constant bone lengths: a person's bones keep their lengths over the whole clip, the same on the left and right.

A lifter gives joints, not a skeleton, so bone lengths vary by a few per cent. Here each bone gets one length and keeps
its direction. The length is mostly that of frames in which the bone lies across the view, as lifted depths tend to be
too flat. The body is rebuilt from the pelvis outwards; joints move in the picture by as much as their bones were off.
"""

from __future__ import annotations

import numpy as np

from posemamba.poses import Poses3D, Step
from posemamba.poses.curves import weighted_median
from posemamba.poses.skeletons import FEET_SIDES, H36M17
from posemamba.refine.common import Array, bone_lengths, feet_positions, fit_size, positions, with_step
from posemamba.refine.scale import SIZE_CUTOFF
from posemamba.utils.errors import PoseMambaError

__all__ = ["steady_bones"]


def steady_bones(motion: Poses3D) -> Poses3D:
    """Give every bone one length.

    In metres the length is the same in all frames. In pixels it is a constant share of the body's size, which grows as
    the person comes nearer and varies smoothly (`posemamba.refine.common.fit_size`). Feet stay at their ankles, with
    one length from ankle to heel and one from heel to toe.

    Args:
        motion: in any unit, in the camera's frame.

    Returns:
        The motion; the pelvis and the directions of all bones stay. The step reports how many per cent the lengths
        varied before (standard deviation over mean, mean of the bones), and how far joints were moved (root mean
        square, in the motion's unit).

    Raises:
        PoseMambaError: the motion is in a world, nobody was seen, or all joints of a frame are in one place.
    """
    if motion.frame != "camera":
        raise PoseMambaError(
            "the motion is in a world, expected the camera's frame: steady the bones before turning upright"
        )
    xyz = positions(motion)
    size, share, _ = fit_size(motion, xyz, SIZE_CUTOFF)
    if motion.units == "metre":
        size = np.where(motion.seen, weighted_median(size[motion.seen], np.ones(motion.seen.sum())), np.nan)
    share = np.sqrt(share * share[_MIRRORED])
    before = bone_lengths(xyz)
    steady = xyz.copy()
    for e, (parent, child) in enumerate(H36M17.bones):
        bone = xyz[:, child] - xyz[:, parent]
        longer = np.where(before[:, e] > 0, share[e] * size / np.maximum(before[:, e], 1e-300), 1.0)
        steady[:, child] = steady[:, parent] + bone * longer[:, None]
    feet = feet_positions(motion)
    feet = None if feet is None else _steady_feet(feet, xyz, steady, size)
    lengths = before[motion.seen]
    moved = np.linalg.norm((steady - xyz)[motion.seen], axis=-1)
    step = Step(
        "steady_bones",
        {"alike": "left and right"},
        {
            "bones_varied_by_percent": float(100 * (lengths.std(0) / lengths.mean(0)).mean()),
            "moved_rms": float(np.sqrt((moved**2).mean())),
        },
    )
    return with_step(motion, step, steady, feet=feet)


def _steady_feet(feet: Array, xyz: Array, steady: Array, size: Array) -> Array:
    """Give ankle to heel and heel to toe one length, the same on the left and right, and hang them on new ankles.

    Args:
        feet: (F, 4, 3) heels and foot tips, NaN where one was not found.
        xyz, steady: (F, 17, 3) the joints before and after.
        size: (F,) the body's length.

    Returns:
        (F, 4, 3); a tip whose heel was not found moves as its ankle does.
    """
    sides = [(ankle, heel, toe) for _, _, ankle, heel, toe in FEET_SIDES.values()]
    back = np.stack([feet[:, heel] - xyz[:, ankle] for ankle, heel, _ in sides], 1)
    sole = np.stack([feet[:, toe] - feet[:, heel] for _, heel, toe in sides], 1)
    placed = feet + (steady - xyz)[:, [ankle for ankle, heel, toe in sides for _ in (heel, toe)]]
    for bones in (back, sole):
        length = np.linalg.norm(bones, axis=-1, keepdims=True)
        share = length[..., 0] / size[:, None]
        known = np.isfinite(share) & (share > 0)
        if known.any():
            usual = weighted_median(share[known], np.ones(known.sum()))
            bones *= np.where(length > 0, usual * size[:, None, None] / np.maximum(length, 1e-300), 1.0)
    for side, (ankle, heel, toe) in enumerate(sides):
        whole = np.isfinite(sole[:, side]).all(-1)
        placed[:, heel] = steady[:, ankle] + back[:, side]
        placed[whole, toe] = (placed[:, heel] + sole[:, side])[whole]
    return placed


_BONE_NUMBER = {bone: e for e, bone in enumerate(H36M17.bones)}
_MIRRORED = [_BONE_NUMBER[H36M17.mirrored[parent], H36M17.mirrored[child]] for parent, child in H36M17.bones]
"""For each bone the number of the bone on the other side; its own number for bones in the middle."""
