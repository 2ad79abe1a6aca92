"""Times of frames: the usual step between them, and the pauses in which none were taken.

Shapes: F frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

RATES = (0.01, 100_000.0)
"""Frames per second that there are; others are broken numbers."""
_NEAR = (0.6, 1.4)  # of the median step: others are dropped or doubled frames, and pauses
_PAUSE = 3.0  # usual steps: a shorter one is a few frames that were dropped


def usual_step(times: NDArray[np.floating]) -> float | None:
    """Return the usual time between neighbouring frames: the mean of the steps that are near their median.

    A pause does not count, as it would in the mean of all steps. Rounded times do not make the step coarse, as they
    would make the median alone.

    Args:
        times: (F,) rising, in any unit.

    Returns:
        The step in the same unit; None for fewer than two frames.
    """
    steps = np.diff(np.asarray(times, np.float64))
    if not len(steps):
        return None
    median = float(np.median(steps))
    near = steps[(steps >= _NEAR[0] * median) & (steps <= _NEAR[1] * median)]
    return float(near.mean()) if len(near) else median


def find_pauses(times: NDArray[np.floating], longest: float) -> NDArray[np.bool_]:
    """Return (F - 1,) which steps between neighbouring frames are pauses: motions on both sides are not of one piece.

    Args:
        times: (F,) seconds, rising.
        longest: seconds up to which a step is none; nor is one of up to three usual steps, as in slow clips.
    """
    step = usual_step(times)
    if step is None:
        return np.zeros(max(len(times) - 1, 0), bool)
    return np.asarray(np.diff(times) > max(longest, _PAUSE * step))


def check_rate(fps: float, what: str) -> float:
    """Return a frame rate.

    Args:
        fps: frames per second.
        what: its place, for the error.

    Raises:
        PoseMambaError: no frames come at such a rate.
    """
    if not RATES[0] <= fps <= RATES[1]:
        raise PoseMambaError(
            f"{what} is {fps:g}, expected a positive number of frames per second, {RATES[0]:g} to {RATES[1]:g}"
        )
    return float(fps)
