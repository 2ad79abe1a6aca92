"""Metric scale: from pixels at the pelvis's depth to metres, by the height of the person.

One camera cannot measure how large a person is, so the height must be given. The body's length, from the ankle to the
top of the head along the bones, is set to the share of the standing height that it has in motion capture. A person who
comes nearer grows in pixels, so each frame has its own factor: a smooth curve through the sizes of all bones.
"""

from __future__ import annotations

import numpy as np

from posemamba.poses import Poses3D, Step
from posemamba.refine.common import checked, feet_positions, fit_size, positions, with_step
from posemamba.utils.errors import PoseMambaError

__all__ = ["ANKLE_HEIGHT", "BODY_LENGTH", "SIZE_CUTOFF", "TYPICAL_HEIGHT", "scale"]

BODY_LENGTH = 0.97
"""Length of the chain of bones (hip to ankle, pelvis to thorax to nose to top of the head) as a share of the height.

CMU motion capture, 9 subjects who stand straight in at least 50 frames (both knees beyond 160 degrees, trunk within 15
of upright): the top of the head is 1.658 m above the floor, the chain 1.606 m long (medians). The chain is 1.5 % longer
than the straight line up from the ankle, as necks and knees bend. Subjects differ by about 1 %. The leg's share of the
height in Winter, Biomechanics and Motor Control of Human Movement (0.530 - 0.039), would give 0.945.
"""
ANKLE_HEIGHT = 0.045
"""Height of the ankle joint above the floor, as a share of the standing height, in the same frames (0.040 to 0.051)."""
TYPICAL_HEIGHT = 1.70
"""Height in metres where none is given. A choice between the world's men (1.71 m on average) and women (1.59 m,
NCD-RisC 2016), and the taller people of most video collections. Adults' standard deviation is about 0.10 m, 6 %."""
SIZE_CUTOFF = 0.25
"""Hertz: how fast the size in the picture may change. Measured, see docs/refine.md."""


def scale(motion: Poses3D, height_m: float | None = None, *, cutoff: float = SIZE_CUTOFF) -> Poses3D:
    """Turn pixels into metres.

    The positions keep the convention of Human3.6M's pictures (`posemamba.data.cameras`), in which joints nearer than
    the pelvis are too large. `root_path` corrects that.

    Args:
        motion: in pixels, in the camera's frame, relative to the pelvis.
        height_m: the person's standing height in metres, without shoes; None: a typical one, marked as an estimate.
        cutoff: hertz: how fast the person's size in the picture may change.

    Returns:
        The motion in metres. The step reports metres per pixel (median, least, most) and how much single frames' sizes
        differ.

    Raises:
        PoseMambaError: the motion is in metres already or in a world, the height is impossible, or nobody was seen.
    """
    if motion.units != "pixel":
        raise PoseMambaError("the motion is in metres already, expected pixels: set its scale once")
    if motion.frame != "camera":
        raise PoseMambaError(
            "the motion is in a world, expected the camera's frame: set the scale before turning upright"
        )
    height = TYPICAL_HEIGHT if height_m is None else check_height(height_m)
    cutoff = checked("the scale's cutoff", cutoff, 0.05, 1000, "hertz")
    xyz = positions(motion)
    size, _, spread = fit_size(motion, xyz, cutoff)
    factor = BODY_LENGTH * height / size
    step = Step(
        "scale",
        {"height_m": height, "body_length_of_height": BODY_LENGTH, "cutoff_hz": cutoff},
        {
            "metre_per_pixel_median": float(np.nanmedian(factor)),
            "metre_per_pixel_least": float(np.nanmin(factor)),
            "metre_per_pixel_most": float(np.nanmax(factor)),
            "single_frames_differ_by": spread,
        },
        estimate=height_m is None,
    )
    feet = feet_positions(motion)
    feet = None if feet is None else feet * factor[:, None, None]
    return with_step(motion, step, xyz * factor[:, None, None], feet=feet, units="metre")


def check_height(height_m: float) -> float:
    """Return a standing height in metres.

    Raises:
        PoseMambaError: a height that no person has.
    """
    return checked("the height", height_m, 0.4, 2.6, "metres")
