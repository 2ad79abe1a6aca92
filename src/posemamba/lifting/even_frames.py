"""Even steps of time: frames are put between those that a camera left out, as networks know only even steps.

Phones and screen recorders vary their rate, and cameras under load leave frames out. A network that is given such
frames one after the other sees people who hurry now and then. The frames that are there stay as they are.

Shapes: F frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Keypoints2D
from posemamba.poses.times import usual_step

_UNEVEN = 0.15  # mean misfit, of a step, from which the usual step may be several of the camera's
_SMALL = 0.1  # quantile of the steps that is then tried in its place
_MOST = 4  # frames for each that is there


def steps_between(times: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return how many even steps lie between neighbouring frames, (F - 1,): more than one where frames were left out.

    Args:
        times: (F,) rising.
    """
    steps = np.diff(np.asarray(times, np.float64))
    usual = usual_step(times)
    if usual is None:
        return np.ones(0, np.int64)
    best = usual
    if _misfit(steps, usual) > _UNEVEN:
        small = float(np.quantile(steps, _SMALL))
        near = steps[np.abs(steps - small) <= 0.3 * small]
        best = min((usual, float(near.mean())), key=lambda step: _misfit(steps, step))
    for step in (best, usual):
        counts = _counts(steps, step)
        if counts.sum() < _MOST * len(times):
            return counts
    return np.ones(len(steps), np.int64)


def _counts(steps: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    return np.maximum(1, np.round(steps / step)).astype(np.int64)


def _misfit(steps: NDArray[np.float64], step: float) -> float:
    return float(np.mean(np.abs(steps / _counts(steps, step) / step - 1)))


def even_frames(joints: Keypoints2D, start: int, end: int) -> tuple[Keypoints2D, NDArray[np.int64]] | None:
    """Return frames [start, end) with those between them that a camera left out; None where there are no such.

    Args:
        joints: what a detector found.
        start, end: of a stretch without pauses.

    Returns:
        The frames, and the places of those that were there, (end - start,). A joint that is put in, and its confidence,
        lie on a straight line in time; NaN where the frame before or after lacks it.
    """
    times = joints.frame_times()[start:end]
    counts = steps_between(times)
    if len(times) < 3 or (counts == 1).all():
        return None
    places = np.concatenate([[0], np.cumsum(counts)])
    at = np.interp(np.arange(places[-1] + 1), places, times)
    left = np.clip(np.searchsorted(places, np.arange(len(at)), side="right") - 1, 0, len(times) - 2)
    share = ((np.arange(len(at)) - places[left]) / counts[left])[:, None]

    def between(values: NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float32]:
        made = ((1 - share) * values[left] + share * values[left + 1]).astype(np.float32)
        made[places] = values
        return made

    xy, confidence = between(joints.xy[start:end], share[..., None]), between(joints.confidence[start:end], share)
    return replace(joints, xy=xy, confidence=confidence, times=at, feet=None), places
