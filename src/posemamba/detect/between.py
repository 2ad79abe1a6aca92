"""Joints of the frames between those that a detector has searched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

MOST_SECONDS = 0.25
"""The longest time from one searched frame to the next: joints that turn back in between are lost."""
DOUBT = 2.0
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
    """Put joints into the frames between the searched ones, by a cubic through these (Catmull and Rom).

    Args:
        xy: (S, J, 2) in the searched frames, NaN where missing.
        confidence: (S, J).
        searched: (S,) rising numbers of these frames; the first and the last of the clip are among them.
        times: (F,) seconds, of all frames.

    Returns:
        xy (F, J, 2) and confidence (F, J). Between two searched frames a joint is known if both have it; its
        confidence is the lower one of the two, less `DOUBT` for its distance from the nearer one.
    """
    frames = np.arange(len(times))
    if len(searched) == len(frames):
        return xy, confidence
    before = np.clip(np.searchsorted(searched, frames, "right") - 1, 0, len(searched) - 2)
    t, values = times[searched], xy.astype(np.float64)
    slopes = _slopes(values, t)
    step = (t[before + 1] - t[before])[:, None, None]
    at = ((times - t[before])[:, None, None]) / step
    left, right = values[before], values[before + 1]
    filled = (
        (1 + 2 * at) * (1 - at) ** 2 * left
        + at * (1 - at) ** 2 * step * slopes[before]
        + at**2 * (3 - 2 * at) * right
        - at**2 * (1 - at) * step * slopes[before + 1]
    )
    away = np.minimum(times - t[before], t[before + 1] - times)[:, None]
    sure = np.minimum(confidence[before], confidence[before + 1]) * np.maximum(1 - DOUBT * away, 0)
    sure = np.where(np.isfinite(filled).all(-1), sure, 0)
    filled[searched], sure[searched] = values, confidence
    return filled.astype(np.float32), sure.astype(np.float32)


def _slopes(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each joint's speed (S, J, 2), from both neighbours where it is known there, else from one; else NaN."""
    steps = np.diff(values, axis=0) / np.diff(times)[:, None, None]
    none = np.full_like(values[:1], np.nan)
    before, after = np.concatenate([none, steps]), np.concatenate([steps, none])
    gaps = np.diff(times, prepend=times[0], append=times[-1])[:, None, None]
    both = (before * gaps[1:] + after * gaps[:-1]) / np.maximum(gaps[1:] + gaps[:-1], 1e-12)
    return np.where(np.isfinite(both), both, np.where(np.isfinite(before), before, after))
