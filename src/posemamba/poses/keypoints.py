"""The 2D joints of one person over time, and the segments into which such a clip is cut.

Shapes: F frames, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import FEET, Skeleton
from posemamba.utils.errors import PoseMambaError

Span = tuple[int, int]
"""Frames [start, end) of a clip; `end` is not included."""


@dataclass
class Feet2D:
    """Heels and foot tips of one person over time, in the order of `posemamba.poses.skeletons.FEET`.

    Attributes:
        xy: (F, 4, 2) float32, pixels, as in `Keypoints2D`; NaN where a point was not found.
        confidence: (F, 4) float32 in [0, 1]; 0 where a point was not found.
    """

    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def __post_init__(self) -> None:
        self.xy = np.asarray(self.xy, dtype=np.float32)
        self.confidence = np.asarray(self.confidence, dtype=np.float32)
        frames = len(self.xy)
        if self.xy.shape != (frames, len(FEET), 2) or self.confidence.shape != (frames, len(FEET)):
            raise ValueError(
                f"feet {self.xy.shape} and their confidence {self.confidence.shape} are not of {len(FEET)} points"
            )

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def found(self) -> NDArray[np.bool_]:
        """The points that were found, (F, 4) bool."""
        return np.asarray(np.isfinite(self.xy).all(-1))


@dataclass
class Keypoints2D:
    """2D joints of one person over time.

    Attributes:
        xy: (F, J, 2) float32, pixels, x to the right and y down from the image's top left corner;
            NaN where a joint was not found.
        confidence: (F, J) float32 in [0, 1]; 0 where a joint was not found.
        skeleton: the joints' names and order.
        image_size: (width, height) of the image in pixels.
        fps: frames per second.
        times: (F,) float64, seconds from the start of the source; None means frame / fps.
        source: origin of the keypoints (a file name, a detector).
        person: number of the person in the source, from 1; stable over the clip.
        feet: heels and foot tips beside a skeleton that has none; None where the source has none, or where they are
            joints of the skeleton.
    """

    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    skeleton: Skeleton
    image_size: tuple[int, int]
    fps: float
    times: NDArray[np.float64] | None = None
    source: str = ""
    person: int = 1
    feet: Feet2D | None = None

    def __post_init__(self) -> None:
        self.xy = np.asarray(self.xy, dtype=np.float32)
        self.confidence = np.asarray(self.confidence, dtype=np.float32)
        frames, joints = self.xy.shape[:2]
        if self.xy.shape != (frames, len(self.skeleton), 2) or self.confidence.shape != (frames, joints):
            raise ValueError(
                f"xy {self.xy.shape} and confidence {self.confidence.shape} do not fit "
                f"{len(self.skeleton)} joints of skeleton {self.skeleton.name}"
            )
        if self.feet is not None and len(self.feet) != frames:
            raise ValueError(f"feet of {len(self.feet)} frames beside joints of {frames}")

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def found(self) -> NDArray[np.bool_]:
        """The joints that were found, (F, J) bool."""
        return np.asarray(np.isfinite(self.xy).all(-1))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """The frames in which at least one joint was found, (F,) bool."""
        return np.asarray(self.found.any(-1))

    def select(self, frames: NDArray[np.bool_] | NDArray[np.integer]) -> Keypoints2D:
        """Return the given frames, a mask (F,) or frame numbers, at their own times."""
        feet = None if self.feet is None else Feet2D(self.feet.xy[frames], self.feet.confidence[frames])
        times = self.frame_times()[frames]
        return replace(self, xy=self.xy[frames], confidence=self.confidence[frames], times=times, feet=feet)

    def frame_times(self) -> NDArray[np.float64]:
        """Return the frames' times, (F,) seconds."""
        return np.arange(len(self)) / self.fps if self.times is None else self.times


def find_jumps(keypoints: Keypoints2D) -> NDArray[np.intp]:
    """Find frames whose joints lie more than a body's size from those before: another person, or another scene.

    Frames in which fewer than half of the joints were found are skipped.

    Returns:
        The frame numbers, in order.
    """
    index = np.flatnonzero(keypoints.found.mean(-1) >= 0.5)
    if len(index) < 2:
        return index[:0]
    xy = np.where(keypoints.found[index, :, None], keypoints.xy[index], np.nan)
    centre = np.nanmedian(xy, axis=1)
    size = (np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)
    step = np.linalg.norm(np.diff(centre, axis=0), axis=-1)
    return index[1:][step > np.minimum(size[1:], size[:-1])]


def split_at_gaps(
    seen: NDArray[np.bool_], times: NDArray[np.float64], max_gap: float, cuts: NDArray[np.integer] | Sequence[int] = ()
) -> list[Span]:
    """Cut a clip into segments that begin and end with a seen frame and are more than `max_gap` seconds apart.

    Args:
        seen: (F,) frames in which the person was seen.
        times: (F,) seconds.
        max_gap: longest time between two seen frames of a segment; neighbouring frames are never split by it.
        cuts: seen frames that begin a segment in any case.

    Returns:
        The segments, [start, end) each.
    """
    index = np.flatnonzero(seen)
    if not len(index):
        return []
    apart = (np.diff(index) > 1) & (np.diff(times[index]) > max_gap)
    apart |= np.isin(index[1:], cuts)
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(index, np.flatnonzero(apart) + 1)]


def choose_people(people: Sequence[Keypoints2D], which: str) -> list[Keypoints2D]:
    """Choose one person, or all.

    Args:
        people: at least one, of one clip; `person` numbers them.
        which: ``longest``: seen in most frames; ``largest``: largest in the picture (median of the frames), among those
            seen at least half as long as the longest; ``all``; or a person's number.

    Raises:
        PoseMambaError: there is no such person, or `which` is none of these.
    """
    if which == "all":
        return list(people)
    seen = [int(p.seen.sum()) for p in people]
    if which == "longest":
        return [people[int(np.argmax(seen))]]
    if which == "largest":
        sizes = [_median_size(p) if 2 * n >= max(seen) else -1.0 for p, n in zip(people, seen, strict=True)]
        return [people[int(np.argmax(sizes))]]
    numbers = [p.person for p in people]
    if not which.isdecimal():
        raise PoseMambaError(f"--person is '{which}', expected longest, largest, all or a number")
    if int(which) not in numbers:
        there = (
            f"there is only {numbers[0]}" if len(numbers) == 1 else f"there are persons {numbers[0]} to {numbers[-1]}"
        )
        raise PoseMambaError(
            f"{people[0].source or 'the clip'}: --person is {which}, but {there}; see who is who in the "
            "overlay of --person all"
        )
    return [people[numbers.index(int(which))]]


def _median_size(keypoints: Keypoints2D) -> float:
    """Return the median of the longer sides of the joints' boxes, in pixels."""
    xy = keypoints.xy[keypoints.seen]
    return float(np.median((np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)))
