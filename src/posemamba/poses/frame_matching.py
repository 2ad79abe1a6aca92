"""The matching of one frame's detections to tracks, and its rules for several detections, or tracks, on one body.

Shapes: P detections of the frame, T tracks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.detections import SAME_BODY, Detection
from posemamba.poses.open_track import NEW_REACH, OpenTrack

# Detections nearer than this share of a body are of one body even where two people meet. In 40 synthetic clips of three
# who cross, a sixth of their detections doubled 0.02 or 0.08 of a body off, 39 and 38 kept everybody; without this rule
# and that of `SAME_BODY` 22 and 26.
_SURELY_SAME = 0.03
_TOGETHER = 12  # frames in which a track that began on another one is seen beside it before it counts as much
_ONE_BODY_FOR = 5  # frames in a row in which two tracks lie on one body before the one seen less is taken for a double


@dataclass(eq=False)
class FrameMatching:
    """The matching of one frame's detections to tracks, as far as it has come.

    Attributes:
        detections: all people in the frame.
        ids: (P,) their ids; None where an id is not believed.
        sizes: (P,) longer sides of the joints' boxes; NaN without joints.
        score: (P,) mean confidence over all joints, 0 for a missing one.
        between: (P, P) distances between detections, shares of the smaller body.
        apart: (T, P) distances from the active tracks' expected positions, shares of the body.
        rows: the row in `apart` of each active track, by its number.
        free: detections that are not matched.
        matches: the track of each matched detection, and its distance; None where nothing was expected.
    """

    detections: Sequence[Detection]
    ids: list[Hashable]
    sizes: NDArray[np.float64]
    score: list[float]
    between: NDArray[np.float64]
    apart: NDArray[np.float64]
    rows: dict[int, int]
    free: list[int]
    matches: dict[int, tuple[OpenTrack, float | None]] = field(default_factory=dict)

    def match(self, p: int, one: OpenTrack) -> None:
        """Match a free detection to a track."""
        self.free.remove(p)
        self.matches[p] = one, self.error(p, one)

    def error(self, p: int, one: OpenTrack) -> float | None:
        """Return the distance of a detection from a track's expected position; None where nothing was expected."""
        row = self.rows.get(one.number)
        error = np.nan if row is None else float(self.apart[row, p])
        return error if np.isfinite(error) else None

    def on_one_body(self, p: int, q: int) -> bool:
        return bool(self.between[p, q] <= SAME_BODY)

    def by_score(self, chosen: Iterable[int]) -> list[int]:
        """Sort detections, the most confident first."""
        return sorted(chosen, key=lambda p: -self.score[p])


def drop_sure_doubles(now: FrameMatching) -> None:
    """Drop all but the most confident of detections that lie on each other exactly; ids that differ are believed."""
    kept: list[int] = []
    for p in now.by_score(now.free):
        if any(now.between[p, q] <= _SURELY_SAME and None in (now.ids[p], now.ids[q]) for q in kept):
            now.free.remove(p)
        else:
            kept.append(p)


def drop_doubles(now: FrameMatching) -> None:
    """Keep the more confident of detections on one body, unless both continue tracks of two people who meet."""
    places = {one.number: p for p, (one, _) in now.matches.items()}
    for p in list(now.matches):
        begun_on = now.matches[p][0].begun_on
        on = None if begun_on is None else places.get(begun_on.number)
        if on is not None and now.on_one_body(p, on) and None in (now.ids[p], now.ids[on]):
            del now.matches[p]
            now.free.append(p)
    for p in now.by_score(now.free):
        near = [q for q in now.matches if now.on_one_body(p, q)]
        if not near:
            continue
        now.free.remove(p)
        q = min(near, key=lambda q: now.between[p, q])
        if now.score[p] > now.score[q] and now.ids[p] in (None, now.ids[q]):
            one, _ = now.matches.pop(q)
            now.matches[p] = one, now.error(p, one)


def tell_apart(now: FrameMatching) -> None:
    """Judge which tracks are of one person.

    The first claim of an older track ends where the one that began on it has been seen far off, or beside it for long.
    It begins anew where two tracks lie on one body for long.
    """
    places = {one.number: p for p, (one, _) in now.matches.items()}
    for p, (one, _) in now.matches.items():
        on = [
            other
            for q, (other, _) in now.matches.items()
            if q != p and now.on_one_body(p, q) and other.seniority > one.seniority and None in (now.ids[p], now.ids[q])
        ]
        if on:
            number, frames = one.lies_on
            one.lies_on = on[0].number, frames + 1 if number == on[0].number else 1
            if one.lies_on[1] >= _ONE_BODY_FOR and one.keeps_pace(on[0]):
                one.begun_on, one.together = on[0], 0
            continue
        one.lies_on = 0, 0
        if one.begun_on is not None and (q := places.get(one.begun_on.number)) is not None:
            one.together += 1
            if now.between[p, q] > NEW_REACH or one.together >= _TOGETHER:
                one.begun_on = None
