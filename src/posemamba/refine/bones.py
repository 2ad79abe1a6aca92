"""Constant bone lengths: a person's bones keep their lengths over the whole clip, the same on the left and right.

A lifter gives joints, not a skeleton, so bone lengths vary by a few per cent. Here each bone gets one length and keeps
its direction. The length is mostly that of frames in which the bone lies across the view, as lifted depths tend to be
too flat. The body is rebuilt from the pelvis outwards; joints move in the picture by as much as their bones were off.
"""

from __future__ import annotations

import numpy as np

from posemamba.poses import Motion3D, Step
from posemamba.poses.skeletons import H36M17
from posemamba.refine.common import bone_lengths, fit_size, positions, weighted_median, with_step
from posemamba.refine.scale import SIZE_CUTOFF
from posemamba.utils.errors import PoseMambaError

__all__ = ["steady_bones"]


def steady_bones(motion: Motion3D) -> Motion3D:
    """Give every bone one length.

    In metres the length is the same in all frames. In pixels it is a constant share of the body's size, which grows as
    the person comes nearer and varies smoothly (`posemamba.refine.common.fit_size`).

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
    return with_step(motion, step, steady)


_BONE_NUMBER = {bone: e for e, bone in enumerate(H36M17.bones)}
_MIRRORED = [_BONE_NUMBER[H36M17.mirrored[parent], H36M17.mirrored[child]] for parent, child in H36M17.bones]
"""For each bone the number of the bone on the other side; its own number for bones in the middle."""
