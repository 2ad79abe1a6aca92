"""One person's pose in one frame, as a live session gives it.

Shapes: J = 17 joints of `posemamba.poses.skeletons.H36M17`, 4 heels and foot tips.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import LIMBS
from posemamba.poses.trust import AVOID, FINE, LOOK
from posemamba.refine.common import MIN_CONFIDENCE

__all__ = ["LivePose", "judge_frame"]

EXPECTED_LOOK, EXPECTED_AVOID = 70.0, 120.0
"""Mean expected error, millimetres, above which a frame is to be looked at, and not to be trusted: as of clips."""
_UNSURE_JOINTS = 9  # of 17: more than half


@dataclass(frozen=True)
class LivePose:
    """One person in one frame.

    Attributes:
        index: number of the picture among those that were looked at, from 0 on.
        time: seconds, as given with the picture.
        seen: False where nobody was found; then there is nothing but `index`, `time`, `trust` and `reason`.
        image_size: (width, height) of the picture in pixels.
        xyz: (J, 3) metres from the camera, x right, y down, z away from it.
        expected_mm: (J,) each joint's expected error relative to the pelvis, in millimetres; None: not known.
        feet: (4, 3) heels and foot tips in the order of `posemamba.poses.skeletons.FEET`, in metres, as `xyz`; NaN
            where one was not found.
        xy: (J, 2) the 2D joints in pixels; NaN where one was not found.
        feet_xy: (4, 2) heels and foot tips in pixels.
        confidence: (J,) of the 2D joints, in [0, 1]; 0 where a joint was not found, and `xyz` is a guess.
        angles: degrees by name, as of `posemamba.joint_angles`, without those that are not known in this frame.
        angle_errors: expected errors in degrees, by name, where they are known.
        trust: 0: nothing speaks against the frame, 1: to be looked at, 2: not to be trusted.
        reason: why, in plain words; "" for 0.
    """

    index: int
    time: float
    seen: bool
    image_size: tuple[int, int]
    xyz: NDArray[np.float32] | None = None
    expected_mm: NDArray[np.float32] | None = None
    feet: NDArray[np.float32] | None = None
    xy: NDArray[np.float32] | None = None
    feet_xy: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    angles: dict[str, float] = field(default_factory=dict)
    angle_errors: dict[str, float] = field(default_factory=dict)
    trust: int = AVOID
    reason: str = "nobody is seen"


def judge_frame(confidence: NDArray[np.floating], expected_mm: NDArray[np.floating] | None) -> tuple[int, str]:
    """Return the level of trust in a frame in which the person is seen, and the reason in plain words.

    Args:
        confidence: (J,) of the 2D joints.
        expected_mm: (J,) the joints' expected errors; None: not known.
    """
    unsure = ~(confidence > MIN_CONFIDENCE)
    guessed = [name for name, joints in LIMBS.items() if unsure[list(joints[1:])].any()]
    mean = 0.0 if expected_mm is None else float(np.mean(expected_mm[1:]))
    if unsure.sum() >= _UNSURE_JOINTS:
        return AVOID, f"the detector is unsure of {int(unsure.sum())} of {len(unsure)} joints"
    if mean > EXPECTED_AVOID:
        return AVOID, f"joints are expected to be {mean:.0f} mm off on average"
    if len(guessed) > 1:
        return AVOID, f"hardly seen, and guessed: {', '.join(guessed)}"
    if guessed:
        return LOOK, f"hardly seen, and guessed: {guessed[0]}"
    if mean > EXPECTED_LOOK:
        return LOOK, f"joints are expected to be {mean:.0f} mm off on average"
    return FINE, ""
