"""Steady bones: a person's bones keep their lengths over the whole clip, left and right alike.

A lifter gives joints, not a skeleton, so that bones grow and shrink by some per cent. Here each bone gets one length,
the one that it shows where it lies across the view (lifted depths tend to be too flat), and keeps its direction. The
body is put together again from the pelvis on; joints move in the picture by as much as their bones were off.
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

    In metres it is the same in all frames. In pixels, which grow as the person comes nearer, it is the same share of
    the body, whose size varies smoothly (`posemamba.refine.common.fit_size`).

    Args:
        motion: in any unit, in the camera's frame.

    Returns:
        The motion; the pelvis and all directions of bones stay. Reported: by how many per cent bones varied before
        (standard deviation over mean, mean of the bones), and how far joints were moved (root mean square, in the
        motion's unit).

    Raises:
        PoseMambaError: a motion in a world, nobody seen, or all joints of a frame in one place.
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


def _mirrored_bones() -> list[int]:
    """Of each bone the one on the other side; its own number in the middle."""
    other = H36M17.mirrored
    number = {bone: e for e, bone in enumerate(H36M17.bones)}
    return [number[other[parent], other[child]] for parent, child in H36M17.bones]


_MIRRORED = _mirrored_bones()
