"""Even steps of time: frames are put between those that a camera left out, as networks know only even steps.

Phones and screen recorders vary their rate, and cameras under load leave frames out. A network that is given such
frames one after the other sees people who hurry now and then.

`even_frames` is for clips: each frame wants its pose, so all that are there stay as they are, and whole frames are put
between them. `even_window` is for live sessions: one frame wants its pose, and the others, which came whenever the
camera was ready, are resampled to even steps from it.

Shapes: F frames, E even frames, J joints.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemamba.models.inputs import fill_missing
from posemamba.poses import Keypoints2D
from posemamba.poses.times import usual_step

_UNEVEN = 0.15  # mean misfit, of a step, from which the usual step may be several of the camera's
_SMALL = 0.1  # quantile of the steps that is then tried in its place
_MOST = 4  # frames for each that is there
EVEN = 0.3
"""Share of the usual step by which steps of a window may differ and still count as even; measured, see docs/live.md."""


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
        if len(near):  # the quantile may lie between two kinds of steps, near none
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
    share = (np.arange(len(at)) - places[left]) / counts[left]
    xy, confidence = joints.xy[start:end], joints.confidence[start:end]
    return replace(
        joints, xy=_between(xy, left, share), confidence=_between(confidence, left, share), times=at, feet=None
    ), places


def even_window(keypoints: Keypoints2D, time: float, most: int) -> tuple[Keypoints2D, int]:
    """Return a window with even steps, and the index of the frame at `time`, which is one of its frames.

    Where the steps differ much, joints are interpolated to the usual step, from the wanted frame into both directions.

    Args:
        keypoints: F frames with times.
        time: of the wanted frame.
        most: the most frames.
    """
    times = keypoints.frame_times()
    target = int(np.searchsorted(times, time))
    step = usual_step(times)
    if step is None or (np.abs(np.diff(times) - step) <= EVEN * step).all():
        return keypoints, target
    after = math.floor((times[-1] - time) / step + 1e-6)
    before = min(math.floor((time - times[0]) / step + 1e-6), most - 1 - after)
    at = time + step * np.arange(-before, after + 1)
    left = np.clip(np.searchsorted(times, at), 1, len(times) - 1) - 1
    share = np.clip((at - times[left]) / (times[left + 1] - times[left]), 0, 1)
    xy = _between(fill_missing(keypoints.xy), left, share)
    confidence = _between(np.where(keypoints.found, keypoints.confidence, 0), left, share)
    xy[before], confidence[before] = keypoints.xy[target], keypoints.confidence[target]
    return replace(keypoints, xy=xy, confidence=confidence, times=at), before


def _between(
    values: NDArray[np.floating], left: NDArray[np.integer], share: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Interpolate values of frames on straight lines in time; those at a frame are that frame's, whatever is beside it.

    Args:
        values: (F, J, ...).
        left: (E,) the frame before each even one, 0 to F - 2.
        share: (E,) of the way from there to the frame after it.

    Returns:
        (E, J, ...).
    """
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    made = (1 - share) * values[left] + share * values[left + 1]
    made = np.where(share == 0, values[left], np.where(share == 1, values[left + 1], made))
    return made.astype(np.float32)
