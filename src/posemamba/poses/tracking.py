"""Tracking: detections of several people in each frame, joined to one track for each person.

Shapes: P detections of a frame, T tracks, J joints, n frames of a track.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

LOST_AFTER = 30
"""Frames without a match after which a track ends (about a second)."""

# Detections over which the speed is measured. With three people who cross in one place, each missed in a tenth of the
# frames, 7 of 100 synthetic clips had two people swapped with 6 detections, and 2 with 12.
_SPEED_OVER = 12
_SLOWING = 0.95  # factor of the speed in each frame without a detection
# The distance of a detection from the person's expected position, in the median of the joints, up to which it matches:
# shares of the body's longer side, for a new track and for one that has been followed for a while.
_NEW, _STEADY = 0.5, 0.2
_WIDER_PER_FRAME = 0.05  # for each frame without a detection
_WIDEST = 1.0


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


@dataclass
class _Open:
    """A track that may continue."""

    number: int
    id: Hashable
    frames: list[int] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    recent: deque[tuple[int, NDArray[np.float64]]] = field(default_factory=lambda: deque(maxlen=_SPEED_OVER))
    speed: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    size: float = 0.0
    error: float = _NEW  # of the predictions so far, a running mean; shares of the body

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
            step = _median((last - earlier).T)
            self.speed = np.where(np.isfinite(step), step / (frame - first), 0.0)

    def expected(self, frame: int) -> NDArray[np.float64]:
        """Predict the joints in a frame, (J, 2): the last detection, moved at the recent speed, slowing down."""
        gap = frame - self.frames[-1]
        return self.recent[-1][1] + self.speed * (1 - _SLOWING**gap) / (1 - _SLOWING)

    def reach(self, frame: int) -> float:
        """Return the largest distance of a detection from the expected position, as a share of the body."""
        near = min(max(_STEADY, 4 * self.error), _NEW)
        return min(near + _WIDER_PER_FRAME * (frame - self.frames[-1] - 1), _WIDEST)


class Tracker:
    """A tracker of people frame by frame, e.g. of a live camera; for whole clips see `track`.

    Args:
        lost_after: frames without a detection after which a track ends. A person with a known id continues their track
            after any time.
    """

    def __init__(self, *, lost_after: int = LOST_AFTER) -> None:
        self.lost_after = lost_after
        self._active: list[_Open] = []
        self._all: list[_Open] = []
        self._by_id: dict[Hashable, _Open] = {}
        self._last = -1

    def update(self, frame: int, detections: Sequence[Detection]) -> list[int | None]:
        """Match the detections of one frame to the tracks, or begin new tracks.

        Args:
            frame: its number, larger than the one before.
            detections: all people in the frame, with the same joints in all frames.

        Returns:
            For each detection the number of its track, from 1, in order of appearance; None for a detection without
            any joint.

        Raises:
            ValueError: the frame's number is not larger than the one before.
        """
        if frame <= self._last:
            raise ValueError(f"frame {frame} after frame {self._last}: frames must go forward")
        self._last = frame
        self._active = [t for t in self._active if frame - t.frames[-1] <= self.lost_after]
        numbers: list[int | None] = [None] * len(detections)
        if not detections:
            return numbers
        xy = np.stack([d.xy for d in detections]).astype(np.float64)
        sizes = _sizes(xy)
        free = [p for p in range(len(detections)) if np.isfinite(sizes[p])]
        ids: list[Hashable] = [d.id for d in detections]
        ids = [None if name in ids[:p] else name for p, name in enumerate(ids)]  # an id counts once in a frame
        apart = self._apart(frame, xy, sizes)
        taken: set[int] = set()
        jumped: set[Hashable] = set()

        def give(p: int, open_track: _Open, error: float | None) -> None:
            taken.add(open_track.number)
            free.remove(p)
            open_track.add(frame, detections[p], ids[p], float(sizes[p]), error)
            numbers[p] = open_track.number
            if ids[p] is not None:
                self._by_id[ids[p]] = open_track

        index = {t.number: i for i, t in enumerate(self._active)}
        for p in list(free):  # ids first, as the detector saw the picture
            known = self._by_id.get(ids[p]) if ids[p] is not None else None
            if known is None or known.number in taken:
                continue
            if known.number not in index:  # away for too long to predict a position
                self._active.append(known)
                give(p, known, None)
            elif (error := apart[index[known.number], p]) <= _WIDEST or not np.isfinite(error):
                give(p, known, float(error) if np.isfinite(error) else None)
            else:
                jumped.add(ids[p])
        waiting = [i for i, t in enumerate(self._active[: len(apart)]) if t.number not in taken]
        if waiting and free:
            reach = np.array([self._active[i].reach(frame) for i in waiting])
            cost = apart[np.ix_(waiting, free)] / reach[:, None]
            for row, i in enumerate(waiting):
                for column, p in enumerate(free):
                    ours, theirs = self._active[i].id, ids[p]
                    # different ids do not match, unless one has just jumped
                    if ours is not None and theirs is not None and not {ours, theirs} & jumped:
                        cost[row, column] = 1.0
            cost = np.where(cost < 1, cost, 1.0)  # a match out of reach, or NaN, costs as much as no match
            pairs = [(w, f) for w, f in zip(*linear_sum_assignment(cost), strict=True) if cost[w, f] < 1]
            for i, p in [(waiting[w], free[f]) for w, f in pairs]:
                give(p, self._active[i], float(apart[i, p]))
        for p in list(free):
            new = _Open(len(self._all) + 1, ids[p])
            self._all.append(new)
            self._active.append(new)
            give(p, new, None)
        return numbers

    def _apart(self, frame: int, xy: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the median distances of joints from their expected positions, (T, P), as shares of the body's size."""
        if not self._active:
            return np.zeros((0, len(xy)))
        expected = np.stack([t.expected(frame) for t in self._active])
        distance = _median(np.sqrt(np.square(expected[:, None] - xy[None]).sum(-1)))
        size = np.fmax(np.array([t.size for t in self._active])[:, None], sizes[None])
        # a single joint has no size and can be followed only where it does not move
        return distance / np.where(size > 0, size, np.finfo(np.float64).tiny)

    def tracks(self, *, min_frames: int = 1) -> list[Track]:
        """Return the tracks so far, most-seen first (then the more confident, then the earlier).

        Args:
            min_frames: leave out people seen in fewer frames.
        """
        kept = [t for t in self._all if len(t.frames) >= min_frames]
        made = [
            Track(
                np.array(t.frames, np.int64),
                np.stack([d.xy for d in t.detections]),
                np.stack([d.confidence for d in t.detections]),
                t.id,
            )
            for t in kept
        ]
        return sorted(made, key=lambda t: (-len(t), -float(np.nan_to_num(t.confidence).mean()), int(t.frames[0])))


def track(
    people_by_frame: Mapping[int, Sequence[Detection]] | Sequence[Sequence[Detection]],
    *,
    lost_after: int = LOST_AFTER,
    min_frames: int = 1,
) -> list[Track]:
    """Track all people of a clip from frame to frame.

    Each person's position is predicted from their last one and their speed. A detection matches if the median distance
    of its joints from the prediction is small in relation to the body's size. All detections of a frame are assigned
    together with the least sum of distances (Hungarian assignment), so people who cross keep their tracks. The allowed
    distance follows from how well the person was predicted so far, so another person who stands where one vanished
    begins a new track. Ids of the detections are kept, unless one jumps to another place within `lost_after` frames:
    then the track is split, and the person at the predicted position takes it over.

    Args:
        people_by_frame: the detections of each frame, by its number from 0 on, or a list of all frames in order; an
            empty list, or a number that is left out, for frames without people.
        lost_after: frames without a detection after which a track ends; after more, a person who returns without an id
            begins a new track.
        min_frames: leave out people seen in fewer frames.

    Returns:
        One `Track` for each person, most-seen first; number i of the list is person i + 1. `Track.over(frames)` gives
        arrays over all frames, NaN in gaps. Empty if nobody was seen.
    """
    tracker = Tracker(lost_after=lost_after)
    frames = people_by_frame if isinstance(people_by_frame, Mapping) else dict(enumerate(people_by_frame))
    for frame in sorted(frames):
        tracker.update(frame, frames[frame])
    return tracker.tracks(min_frames=min_frames)


def _sizes(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the longer sides of the joints' boxes, (P, J, 2) to (P,); NaN without joints."""
    missing = np.isnan(xy).any(-1, keepdims=True)
    high = np.where(missing, -np.inf, xy).max(1)
    low = np.where(missing, np.inf, xy).min(1)
    sizes = np.where(np.isfinite(high), high - np.where(np.isfinite(low), low, 0), np.nan).max(-1)
    return np.asarray(sizes)


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median over the last axis without NaN; NaN if there is nothing else.

    It is many times faster than numpy.nanmedian.
    """
    ordered = np.sort(values, axis=-1)  # NaN comes last
    count = np.isfinite(values).sum(-1)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[..., None], -1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1)[..., None], -1)[..., 0]
    return np.asarray(np.where(count > 0, (low + high) / 2, np.nan))
