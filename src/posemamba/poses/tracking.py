"""Tracking: detections of several people in each frame, joined to one track for each person.

Shapes: P detections of a frame, T tracks, J joints, n frames of a track.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.curves import known_median
from posemamba.poses.detections import SAME_BODY, Detection, Track, body_sizes, distances_between
from posemamba.poses.frame_matching import FrameMatching, drop_doubles, drop_sure_doubles, tell_apart
from posemamba.poses.open_track import NEW_REACH, STEADY_REACH, WIDEST_REACH, OpenTrack

LOST_AFTER = 30
"""Frames without a match after which a track ends (about a second)."""

_POORER_REACH = 3  # times a track's mean error: the distance up to which it takes the poorer of two on one body


class Tracker:
    """A tracker of people frame by frame, e.g. of a live camera; for whole clips see `track`.

    Args:
        lost_after: frames without a detection after which a track ends. A person with a known id continues their track
            after any time.
    """

    def __init__(self, *, lost_after: int = LOST_AFTER) -> None:
        self.lost_after = lost_after
        self._active: list[OpenTrack] = []
        self._all: list[OpenTrack] = []
        self._by_id: dict[Hashable, OpenTrack] = {}
        self._last = -1

    def update(self, frame: int, detections: Sequence[Detection]) -> list[int | None]:
        """Match the detections of one frame to the tracks, or begin new tracks.

        Args:
            frame: its number, larger than the one before.
            detections: all people in the frame, with the same joints in all frames.

        Returns:
            For each detection the number of its track, from 1, in order of appearance; None for a detection without
            any joint, and for one on the same body as a better one.

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
        sizes = body_sizes(xy)
        now = FrameMatching(
            detections,
            ids=[d.id for d in detections],
            sizes=sizes,
            score=[float((np.nan_to_num(d.confidence) * np.isfinite(d.xy).all(-1)).mean()) for d in detections],
            between=distances_between(xy, sizes),
            apart=self._apart(frame, xy, sizes),
            rows={t.number: i for i, t in enumerate(self._active)},
            free=[p for p in range(len(detections)) if np.isfinite(sizes[p])],
        )
        drop_sure_doubles(now)
        self._settle_ids(frame, now)
        jumped = self._match_ids(now)
        self._match_places(frame, now, jumped)
        drop_doubles(now)
        tell_apart(now)
        begun = self._begin(now)
        for p, (one, error) in now.matches.items():
            one.add(frame, detections[p], now.ids[p], float(sizes[p]), None if p in begun else error)
            numbers[p] = one.number
            if now.ids[p] is not None:
                self._by_id[now.ids[p]] = one
        return numbers

    def _settle_ids(self, frame: int, now: FrameMatching) -> None:
        """Leave an id that several detections share to one of them, or to none.

        Of detections on one body the most confident remains, the others are dropped. Of those that still share an id
        the one that continues its track keeps it. A new id that people apart share says nothing.
        """
        for name in {name for name in now.ids if name is not None and now.ids.count(name) > 1}:
            sharing: list[int] = []
            for p in now.by_score(p for p in now.free if now.ids[p] == name):
                if any(now.on_one_body(p, q) for q in sharing):
                    now.free.remove(p)
                else:
                    sharing.append(p)
            keeper = sharing[0] if len(sharing) == 1 else None
            known = self._by_id.get(name)
            if keeper is None and sharing and known is not None and known.number in now.rows:
                row = now.apart[now.rows[known.number]]
                nearest = min(sharing, key=lambda p: np.nan_to_num(row[p], nan=np.inf))
                keeper = nearest if row[nearest] <= known.reach(frame) else None
            now.ids = [None if other == name and p != keeper else other for p, other in enumerate(now.ids)]

    def _match_ids(self, now: FrameMatching) -> set[Hashable]:
        """Match detections to the tracks of their ids, as the detector saw the picture; returns ids that jumped."""
        jumped: set[Hashable] = set()
        for p in list(now.free):
            known = self._by_id.get(now.ids[p]) if now.ids[p] is not None else None
            if known is None or any(one is known for one, _ in now.matches.values()):
                continue
            if known.number not in now.rows:  # away for too long to predict a position
                self._active.append(known)
                now.match(p, known)
                continue
            error = now.error(p, known)
            single = not max(known.size, now.sizes[p]) > 0  # single joints, by which no jump can be told
            if single or error is None or error <= WIDEST_REACH:
                now.match(p, known)
            else:
                jumped.add(now.ids[p])
        return jumped

    def _match_places(self, frame: int, now: FrameMatching, jumped: set[Hashable]) -> None:
        """Match free detections to the tracks that still wait, with the least sum of distances."""
        taken = {one.number for one, _ in now.matches.values()}
        waiting = [t for t in self._active if t.number in now.rows and t.number not in taken]
        free = list(now.free)
        if not waiting or not free:
            return
        from scipy.optimize import linear_sum_assignment  # half a second, which only several people need

        contested = {t.begun_on.number for t in waiting if t.begun_on is not None}
        reach = np.array([t.reach(frame, contested=t.number in contested) for t in waiting])
        cost = now.apart[np.ix_([now.rows[t.number] for t in waiting], free)] / reach[:, None]
        narrower = np.fmax(reach / np.array([max(_POORER_REACH * t.error, 0.25 * STEADY_REACH) for t in waiting]), 1)
        for column, p in enumerate(free):
            if any(now.on_one_body(p, q) and now.score[p] < now.score[q] for q in range(len(now.ids))):
                cost[:, column] = 0.5 + 0.5 * cost[:, column] * narrower  # the better detection is matched first
        for row, one in enumerate(waiting):
            if one.begun_on is not None:
                cost[row] = 0.5 + 0.5 * cost[row]  # the track on which it began comes first
            for column, p in enumerate(free):
                # different ids do not match, unless one has just jumped
                if one.id is not None and now.ids[p] is not None and not {one.id, now.ids[p]} & jumped:
                    cost[row, column] = 1.0
        cost = np.where(cost < 1, cost, 1.0)  # a match out of reach, or NaN, costs as much as no match
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if cost[row, column] < 1:
                now.match(free[column], waiting[row])
        self._respect_seniors(frame, now, waiting)

    def _respect_seniors(self, frame: int, now: FrameMatching, waiting: Sequence[OpenTrack]) -> None:
        """Give a detection to the senior of two tracks that follow one body, or of which one began on the other."""
        for p, (one, _) in list(now.matches.items()):
            if one not in waiting or now.ids[p] is not None:
                continue
            matched = {other.number for other, _ in now.matches.values()}
            for senior in sorted(waiting, key=lambda t: t.seniority, reverse=True):
                if senior.number in matched or senior.seniority < one.seniority:
                    continue
                error = now.error(p, senior)
                if error is None or error > senior.reach(frame, contested=True):
                    continue
                if one.begun_on is senior or (one.keeps_pace(senior) and one.apart(senior, frame) <= SAME_BODY):
                    now.matches[p] = senior, error
                    break

    def _begin(self, now: FrameMatching) -> list[int]:
        """Begin a track with each free detection that is not one body with a more confident one; returns these."""
        older = list(now.matches)
        begun: list[int] = []
        for p in now.by_score(now.free):
            # two new ids are two people, however near
            if not any(now.on_one_body(p, q) and None in (now.ids[p], now.ids[q]) for q in begun):
                begun.append(p)
        for p in sorted(begun):
            new = OpenTrack(len(self._all) + 1, now.ids[p])
            self._all.append(new)
            self._active.append(new)
            now.match(p, new)
        for place, p in enumerate(begun):
            if near := [q for q in (*older, *begun[:place]) if now.between[p, q] <= NEW_REACH]:
                now.matches[p][0].begun_on = now.matches[min(near, key=lambda q: now.between[p, q])][0]
        return begun

    def _apart(self, frame: int, xy: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the median distances of joints from their expected positions, (T, P), as shares of the body's size."""
        if not self._active:
            return np.zeros((0, len(xy)))
        expected = np.stack([t.expected(frame) for t in self._active])
        distance = known_median(np.sqrt(np.square(expected[:, None] - xy[None]).sum(-1)))
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
    then the track is split, and the person at the predicted position takes it over. Of detections that share an id in a
    frame the one that continues the track keeps it.

    Of detections on one body in a frame the most confident is kept; both are if they continue the tracks of two people
    who meet. A track that begins beside or on a person whom another track follows has the second claim on detections
    there, until the two have been seen apart or side by side for a while.

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
