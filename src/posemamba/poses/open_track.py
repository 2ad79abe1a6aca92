"""A track that may continue: where its person is expected next, and how far from there a detection may be.

Distances and reaches are shares of the body's longer side, speeds in the joints' unit of length in a frame.

Shapes: J joints.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.curves import known_median
from posemamba.poses.detections import Detection, distances_between

# Detections over which the speed is measured. With three people who cross in one place, each missed in a tenth of the
# frames, 7 of 100 synthetic clips had two people swapped with 6 detections, and 2 with 12.
_SPEED_OVER = 12
_SLOWING = 0.95  # factor of the speed in each frame without a detection
# The distance of a detection from the person's expected position, in the median of the joints, up to which it matches:
# shares of the body's longer side, for a new track and for one that has been followed for a while.
NEW_REACH, STEADY_REACH = 0.5, 0.2
_WIDER_PER_FRAME = 0.05  # for each frame without a detection
WIDEST_REACH = 1.0
# Two tracks of one body lie on each other and move alike; two people who cross do not move alike.
_SAME_PACE = 0.005  # of the body in a frame: the difference of the speeds of tracks that move alike


@dataclass(eq=False)
class OpenTrack:
    """A track that may continue."""

    number: int
    id: Hashable
    frames: list[int] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    recent: deque[tuple[int, NDArray[np.float64]]] = field(default_factory=lambda: deque(maxlen=_SPEED_OVER))
    speed: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    size: float = 0.0
    error: float = NEW_REACH  # of the predictions so far, a running mean; shares of the body
    # the track of a person on whom this one began; None once they have been told apart
    begun_on: OpenTrack | None = None
    together: int = 0  # frames in which both were seen since
    lies_on: tuple[int, int] = (0, 0)  # the number of the track on whose body this one lies, and for how many frames

    def add(self, frame: int, detection: Detection, name: Hashable, size: float, error: float | None) -> None:
        self.frames.append(frame)
        self.detections.append(detection)
        if name is not None:
            self.id = name
        self.size = size if np.isfinite(size) and size > 0 else self.size
        if error is not None:
            self.error += 0.3 * (error - self.error)
        self.recent.append((frame, np.asarray(detection.xy, np.float64)))
        (first, earlier), (_, last) = self.recent[0], self.recent[-1]
        if frame > first:
            step = known_median((last - earlier).T)
            self.speed = np.where(np.isfinite(step), step / (frame - first), 0.0)

    def expected(self, frame: int) -> NDArray[np.float64]:
        """Predict the joints in a frame, (J, 2): the last detection, moved at the recent speed, slowing down."""
        gap = frame - self.frames[-1]
        return self.recent[-1][1] + self.speed * (1 - _SLOWING**gap) / (1 - _SLOWING)

    @property
    def seniority(self) -> tuple[int, int]:
        """The claim of a track on a detection that others expect, too: who is seen longer comes first."""
        return len(self.frames), -self.number

    def keeps_pace(self, other: OpenTrack) -> bool:
        """Return True if two tracks move alike."""
        return float(np.linalg.norm(self.speed - other.speed)) <= _SAME_PACE * min(self.size, other.size)

    def apart(self, other: OpenTrack, frame: int) -> float:
        """Return the distance of two tracks' expected positions, as a share of the smaller body."""
        xy = np.stack([self.expected(frame), other.expected(frame)])
        return float(distances_between(xy, np.array([self.size, other.size]))[0, 1])

    def reach(self, frame: int, *, contested: bool = False) -> float:
        """Return the largest distance of a detection from the expected position, as a share of the body.

        It grows while the person is missed, unless a track that began on this one waits for a detection too.
        """
        near = min(max(STEADY_REACH, 4 * self.error), NEW_REACH)
        return near if contested else min(near + _WIDER_PER_FRAME * (frame - self.frames[-1] - 1), WIDEST_REACH)
