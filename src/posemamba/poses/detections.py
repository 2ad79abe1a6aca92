"""Detections of people in a frame, and of one over time: a body's size, how far apart two are, whether they are one.

Shapes: P detections of a frame, n frames of a track, J joints.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.curves import known_median

# Two detections of a frame are of one body if the median distance of their joints is at most this share of the smaller
# one's longer side.
SAME_BODY = 0.12


@dataclass
class Detection:
    """One person in one frame.

    Attributes:
        xy: (J, 2), NaN where a joint is missing; any unit of length, the same for all.
        confidence: (J,), 0 to 1.
        id: the detector's identity of this person in all frames (a track number, a name); None if it has none.
    """

    xy: NDArray[np.floating]
    confidence: NDArray[np.floating]
    id: Hashable = None


@dataclass
class Track:
    """One person over time, in the frames in which they were seen.

    Attributes:
        frames: (n,) increasing frame numbers.
        xy: (n, J, 2), NaN where a joint is missing.
        confidence: (n, J).
        id: the detector's last identity of this person; None if it has none.
    """

    frames: NDArray[np.int64]
    xy: NDArray[np.floating]
    confidence: NDArray[np.floating]
    id: Hashable = None

    def __len__(self) -> int:
        return len(self.frames)

    def over(self, frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Expand the track to `frames` frames from 0 on.

        Returns:
            xy (frames, J, 2), NaN where not seen, and confidence (frames, J), 0 there.
        """
        joints = self.xy.shape[1]
        xy = np.full((frames, joints, 2), np.nan, np.float32)
        confidence = np.zeros((frames, joints), np.float32)
        xy[self.frames], confidence[self.frames] = self.xy, self.confidence
        return xy, confidence


def same_body(one: Detection, other: Detection) -> bool:
    """Return True if two detections of a frame are of one body, by the median distance of their joints."""
    xy = np.stack([one.xy, other.xy]).astype(np.float64)
    return bool(distances_between(xy, body_sizes(xy))[0, 1] <= SAME_BODY)


def distances_between(xy: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median distances of joints between detections, (P, P), as shares of the smaller body's size.

    NaN where two have no joint in common.
    """
    distance = known_median(np.sqrt(np.square(xy[:, None] - xy[None]).sum(-1)))
    smaller = np.fmin(sizes[:, None], sizes[None])
    return np.asarray(distance / np.where(smaller > 0, smaller, np.finfo(np.float64).tiny))


def body_sizes(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the longer sides of the joints' boxes, (P, J, 2) to (P,); NaN without joints."""
    missing = np.isnan(xy).any(-1, keepdims=True)
    high = np.where(missing, -np.inf, xy).max(1)
    low = np.where(missing, np.inf, xy).min(1)
    sizes = np.where(np.isfinite(high), high - np.where(np.isfinite(low), low, 0), np.nan).max(-1)
    return np.asarray(sizes)
