"""Joints of the frames between those that a detector has searched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

MOST_SECONDS = 0.25
"""The longest time from one searched frame to the next: joints that turn back in between are lost."""
DOUBT = 5.0
"""Share of the confidence that a second to the nearest searched frame costs."""


def check_every(every: int, fps: float) -> None:
    """Reject a step from one searched frame to the next that is too long for a video.

    Raises:
        PoseMambaError: it is.
    """
    most = max(1, int(MOST_SECONDS * fps + 1e-6))
    if every > most:
        raise PoseMambaError(
            f"--every {every} at {fps:.4g} frames per second leaves {every / fps:.2f} s between searched frames, "
            f"expected {MOST_SECONDS:g} s at the most: give {most} or less"
        )


def fill_between(
    xy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    searched: NDArray[np.int64],
    times: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Put joints into the frames between the searched ones, by straight lines.

    A cubic passes the detector's jitter on, and was worse on real video (docs/lift.md).

    Args:
        xy: (S, J, 2) in the searched frames, NaN where missing.
        confidence: (S, J).
        searched: (S,) rising numbers of these frames; the first and the last of the clip are among them.
        times: (F,) seconds, of all frames.

    Returns:
        xy (F, J, 2) and confidence (F, J). Between two searched frames a joint is known if both have it; its
        confidence is the lower one of the two, less `DOUBT` for the time to the nearer one.
    """
    if len(searched) == len(times):
        return xy, confidence
    before = np.clip(np.searchsorted(searched, np.arange(len(times)), "right") - 1, 0, len(searched) - 2)
    start, end = times[searched][before], times[searched][before + 1]
    share = ((times - start) / (end - start))[:, None, None]
    filled = (1 - share) * xy[before] + share * xy[before + 1]
    away = np.minimum(times - start, end - times)[:, None]
    sure = np.minimum(confidence[before], confidence[before + 1]) * np.maximum(1 - DOUBT * away, 0)
    sure = np.where(np.isfinite(filled).all(-1), sure, 0)
    filled[searched], sure[searched] = xy, confidence
    return filled.astype(np.float32), sure.astype(np.float32)
