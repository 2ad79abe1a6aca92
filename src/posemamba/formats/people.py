"""One person out of many: follow each over the frames and take the one seen longest."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_LOST_AFTER = 30  # frames without a match, after which a person who comes back is somebody new

_SPEED_OVER = 6  # detections


@dataclass
class Person:
    """One detection: xy (J, 2) pixels, NaN where missing, and confidence (J,)."""

    xy: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def size(self) -> float:
        """The longer side of the joints' box, pixels; NaN if there are none."""
        found = self.xy[np.isfinite(self.xy).all(-1)]
        return float(np.ptp(found, axis=0).max()) if len(found) else np.nan


@dataclass
class _Track:
    frames: list[int] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    def expected(self, frame: int) -> Person:
        """The last detection moved on at the speed of the last few frames: tells apart those who cross."""
        last, earlier = self.people[-1], self.people[-_SPEED_OVER:][0]
        frames = self.frames[-1] - self.frames[-_SPEED_OVER:][0]
        step = (last.xy - earlier.xy)[np.isfinite(last.xy + earlier.xy).all(-1)]
        if frames == 0 or not len(step):
            return last
        return Person(last.xy + np.median(step, axis=0) / frames * (frame - self.frames[-1]), last.confidence)

    @property
    def trust(self) -> tuple[int, float]:
        """Sorts tracks: frames seen, then confidence."""
        return len(self.frames), float(np.nanmean([np.nanmean(p.confidence) for p in self.people]))


def follow(
    people: dict[int, list[Person]], frames: int, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Follow everybody from frame to frame, nearest first, and take the one seen in most frames.

    A detection is near if its joints lie, in the median, within half of a body's size (more after a gap) of
    where the person is expected, moving on at the same speed. Warns if there was anybody else.

    Args:
        people: the detections by frame; at least one in all.
        frames: F.
        name: the file's name, for the warning.

    Returns:
        xy (F, J, 2), NaN where this person was not seen, and confidence (F, J).
    """
    tracks: list[_Track] = []
    for frame in sorted(people):
        active = [t for t in tracks if frame - t.frames[-1] <= _LOST_AFTER]
        pairs = sorted(
            (distance, t, p)
            for t, track in enumerate(active)
            for p, person in enumerate(people[frame])
            if (distance := _distance(track.expected(frame), person))
            < min(0.5 + 0.05 * (frame - track.frames[-1] - 1), 1.0)
        )
        matched_tracks: set[int] = set()
        matched_people: set[int] = set()
        for _, t, p in pairs:
            if t not in matched_tracks and p not in matched_people:
                matched_tracks.add(t)
                matched_people.add(p)
                active[t].frames.append(frame)
                active[t].people.append(people[frame][p])
        for p, person in enumerate(people[frame]):
            if p not in matched_people and np.isfinite(person.size):
                tracks.append(_Track([frame], [person]))
    joints = next(len(person.xy) for persons in people.values() for person in persons)
    xy, confidence = np.full((frames, joints, 2), np.nan), np.zeros((frames, joints))
    if not tracks:
        return xy, confidence
    best = max(tracks, key=lambda t: t.trust)
    xy[best.frames] = [p.xy for p in best.people]
    confidence[best.frames] = [p.confidence for p in best.people]
    if len(tracks) > 1:
        most = max(len(persons) for persons in people.values())
        warnings.warn(
            f"{name}: {len(tracks)} people, or pieces of their tracks, up to {most} in a frame; took the one "
            f"followed longest, seen in {len(best.frames)} of {frames} frames",
            stacklevel=4,
        )
    return xy, confidence


def _distance(a: Person, b: Person) -> float:
    """Median distance of the joints as a share of the body's size; infinite if nothing can be compared."""
    apart = np.linalg.norm(a.xy - b.xy, axis=-1)
    size = np.nanmax([a.size, b.size]) if np.isfinite([a.size, b.size]).any() else 0
    if not (size > 0 and np.isfinite(apart).any()):
        return np.inf
    return float(np.nanmedian(apart) / size)
