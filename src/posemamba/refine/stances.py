"""Stances: the spans in which a foot stands still, found in the picture.

Under a camera that stands still, the 2D ankle of a standing foot stays where it is, while the lifted one drifts, most
of all in depth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.curves import local_fit
from posemamba.poses.keypoints import Span
from posemamba.poses.skeletons import LIMBS
from posemamba.poses.times import find_pauses
from posemamba.refine.common import MIN_CONFIDENCE, Array, Mask, fit_size, true_spans
from posemamba.refine.scale import SIZE_CUTOFF

Numbers = NDArray[np.int64]

LEGS = (LIMBS["right leg"], LIMBS["left leg"])
STANDS_SPEED = 0.06
"""Body lengths a second (10 cm a second): the highest speed of a standing foot in the picture."""
STANDS_SECONDS = 0.3
"""Seconds: the shortest stance."""
SPEED_SECONDS = 0.2
"""Seconds: the window of the straight line whose slope is the speed."""
STAYS_WITHIN = 0.0125
"""Body lengths (2 cm): the radius in the picture within which a standing foot stays. It grows with the detector's
jitter, and `STANDS_SPEED` with it."""
_JITTERS = 5.5  # the radius in units of the jitter: the median distance from local parabolas
_STAYS_WITHIN_MOST = 0.03  # body lengths: the largest radius; with more jitter no stance can be found
_SAME_FOOTHOLD, _ELSEWHERE = 0.5, 0.1
"""Seconds for which a standing ankle may be lost, and for which it may be seen elsewhere, within one stance. No foot is
lifted and put back as quickly, but detectors take it for the other one."""


def picture_speed(times: Array, xy: Array, known: Mask, fps: float) -> Array:
    """Compute the speed of a joint in the picture.

    Args:
        times: (F,) seconds.
        xy: (F, 2) positions in the picture.
        known: (F,) frames in which the position is known.
        fps: frames per second.

    Returns:
        (F,) in units of `xy` a second; NaN where the joint is known for fewer frames than the filter needs, and in the
        first frame after a pause.
    """
    width = _speed_frames(fps)
    speed = np.full(len(xy), np.nan)
    for a, b in _unbroken(times, known, width):
        step = float(np.median(np.diff(times[a:b])))
        speed[a:b] = np.linalg.norm(local_fit(xy[a:b], width, 1)[1] / step, axis=-1)
    speed[1 + np.flatnonzero(find_pauses(times, _SAME_FOOTHOLD))] = np.nan  # nobody stands through a pause
    return speed


def _unbroken(times: Array, known: Mask, least: int) -> Iterator[Span]:
    """Yield the spans of at least `least` frames in which a joint is known, cut at pauses between frames."""
    pauses = 1 + np.flatnonzero(find_pauses(times, _SAME_FOOTHOLD))
    for start, end in true_spans(known, least):
        inside = pauses[np.searchsorted(pauses, start, "right") : np.searchsorted(pauses, end)].tolist()
        for a, b in itertools.pairwise((start, *inside, end)):
            if b - a >= least:
                yield a, b


def stances(times: Array, xy: Array, size: Array, known: Mask, fps: float) -> list[Span]:
    """Find the spans [start, end) in which an ankle stands still in the picture.

    A stance begins where the ankle is slow, and extends both ways for as long as it stays at that place. Two stances at
    one place are joined if the ankle jumps or is lost only for a moment between them.

    Args:
        times: (F,) seconds.
        xy: (F, 2) positions in the picture, pixels.
        size: (F,) the body's length in pixels.
        known: (F,) frames in which the detector is certain of the ankle.
        fps: frames per second.
    """
    from scipy.ndimage import median_filter

    speed = picture_speed(times, xy, known, fps) / size
    jitter = _jitter(xy, known, fps) / size
    still = np.flatnonzero(speed < 4 * STANDS_SPEED)
    usual = _JITTERS * float(np.median(jitter[still])) if len(still) else 0.0
    radius = float(np.clip(usual, STAYS_WITHIN, _STAYS_WITHIN_MOST))
    calm = np.full(xy.shape, np.nan)  # without single frames that jump
    for a, b in true_spans(known):
        calm[a:b] = median_filter(xy[a:b], size=(3, 1), mode="nearest")
    found: list[Span] = []
    for a, b in true_spans(np.nan_to_num(speed, nan=np.inf) < STANDS_SPEED * radius / STAYS_WITHIN):
        if found and b <= found[-1][1]:
            continue
        place = np.median(xy[a:b], axis=0)
        near = np.nan_to_num(np.linalg.norm(calm - place, axis=-1) / size, nan=np.inf) <= radius
        while a > 0 and near[a - 1]:
            a -= 1
        while b < len(xy) and near[b]:
            b += 1
        if found and times[a] - times[found[-1][1] - 1] <= _SAME_FOOTHOLD:
            start, end = found[-1]
            before = np.nanmedian(xy[start:end], axis=0) if end <= a else place
            left = known[end:a] & ~near[end:a]  # seen elsewhere
            if np.linalg.norm(before - place) / size[a] <= radius and left.sum() / fps <= _ELSEWHERE:
                found[-1] = (start, max(b, end))
                continue
            a = max(a, end)
        if a < b:
            found.append((a, b))
    return [(a, b) for a, b in found if times[b - 1] - times[a] >= STANDS_SECONDS - 1e-6]


def standing(motion: Poses3D) -> Numbers:
    """Return (F, 2) the number of the stance in which the right and the left ankle is, from 1; 0: in none."""
    poses, times = motion.network, motion.frame_times()
    in_picture = size_in_picture(motion)
    certain = poses.keypoints.found & (np.nan_to_num(poses.confidence) > MIN_CONFIDENCE) & motion.seen[:, None]
    xy = poses.keypoints.xy.astype(np.float64)
    stands = np.zeros((len(motion), 2), np.int64)
    for foot, (_, _, ankle) in enumerate(LEGS):
        found = stances(times, xy[:, ankle], in_picture, certain[:, ankle], motion.fps)
        for number, (a, b) in enumerate(found, start=1):
            stands[a:b, foot] = number
    stands[~motion.seen] = 0
    return stands


def _jitter(xy: Array, known: Mask, fps: float) -> Array:
    """Return the detector's jitter: (F,) distances from local parabolas, in units of `xy`."""
    width = _speed_frames(fps)
    off = np.full(len(xy), np.nan)
    for a, b in true_spans(known, width):
        off[a:b] = np.linalg.norm(xy[a:b] - local_fit(xy[a:b], width, 2)[0], axis=-1)
    return off


def _speed_frames(fps: float) -> int:
    """Return the odd number of frames to which local curves are fitted."""
    return max(3, 2 * (max(1, round(SPEED_SECONDS * fps)) // 2) + 1)


def size_in_picture(motion: Poses3D) -> Array:
    """Return the body's length in the picture, (F,) pixels."""
    poses = motion.network
    raw = replace(Poses3D.raw(poses), seen=motion.seen)
    return fit_size(raw, poses.xyz.astype(np.float64), SIZE_CUTOFF)[0]
