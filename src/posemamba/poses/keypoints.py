"""The 2D joints of one person over time, and the segments into which such a clip is cut.

Shapes: F frames, J joints.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import FEET, Skeleton
from posemamba.poses.times import find_pauses
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
        max_gap: longest time between two seen frames of a segment. Neighbouring frames are split only by a pause
            (`find_pauses`), so that a clip of few frames a second stays whole.
        cuts: seen frames that begin a segment in any case.

    Returns:
        The segments, [start, end) each.
    """
    index = np.flatnonzero(seen)
    if not len(index):
        return []
    apart = (np.diff(index) > 1) & (np.diff(times[index]) > max_gap)
    apart |= np.isin(index[1:], 1 + np.flatnonzero(find_pauses(times, max_gap)))
    apart |= np.isin(index[1:], cuts)
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(index, np.flatnonzero(apart) + 1)]


_NEARLY_AS_LONG = 0.9  # of those seen in so large a share of the frames, the one who was filmed is the largest


def choose_people(people: Sequence[Keypoints2D], which: str) -> list[Keypoints2D]:
    """Choose one person, or all.

    Args:
        people: at least one, of one clip; `person` numbers them.
        which: ``longest``: seen in most frames, and the largest of those seen nearly as long; ``largest``: largest in
            the picture (median of the frames), ``left`` or ``right``: farthest to that side of the picture (median of
            the hips), each among those seen at least half as long as the longest; ``all``; a person's number; or
            ``X,Y``, a place in the picture in pixels: whose box holds it in most frames, else whose box comes nearest,
            if it comes nearer than the box is long.

    Raises:
        PoseMambaError: there is no such person, or `which` is none of these.
    """
    check_choice(which)
    if which == "all":
        return list(people)
    if which == "longest":
        return [max(_seen_long(people, _NEARLY_AS_LONG), key=_median_size)]
    if which in ("largest", "left", "right"):
        value = _median_size if which == "largest" else _median_hips
        return [(min if which == "left" else max)(_seen_long(people), key=value)]
    if "," in which:
        x, y = (float(part) for part in which.split(","))
        return [_at_place(people, x, y)]
    numbers = [p.person for p in people]
    if int(which) not in numbers:
        raise PoseMambaError(
            f"{people[0].source or 'the clip'}: --person is {which}, but there "
            f"{'is only' if len(people) == 1 else 'are'} {list_people(people)}; choose one of them"
        )
    return [people[numbers.index(int(which))]]


CHOICES = "longest, largest, left, right, all, a number from 1 on, or a place X,Y in pixels"
"""The ways to choose people, for messages."""
_MOST_LISTED = 8


def check_choice(which: str) -> None:
    """Reject a choice that has no meaning in any clip.

    Raises:
        PoseMambaError: `which` is none of those that `choose_people` takes.
    """
    if which in ("longest", "largest", "left", "right", "all"):
        return
    if which.isascii() and which.isdecimal() and int(which) > 0:
        return
    if not re.fullmatch(r"\s*\d+(\.\d*)?\s*,\s*\d+(\.\d*)?\s*", which, re.ASCII):
        raise PoseMambaError(f"--person is '{which}', expected {CHOICES}")


def list_people(people: Sequence[Keypoints2D], taken: Sequence[Keypoints2D] = ()) -> str:
    """List people by number with their frames, and who of them ``left`` and ``right`` choose.

    Args:
        people: everybody in the clip.
        taken: those who were chosen; marked if others were not.

    Returns:
        E.g. ``1 (took it; seen in 219 frames, left), 2 (154 frames, right)``.
    """
    sides = side_names(people)
    chosen = {p.person for p in taken} if len(taken) < len(people) else set()
    listed = [
        f"{p.person} ({'took it; ' if p.person in chosen else ''}{'' if i else 'seen in '}{int(p.seen.sum())} "
        f"frame{'' if int(p.seen.sum()) == 1 else 's'}{''.join(f', {side}' for side in sides.get(p.person, ()))})"
        for i, p in enumerate(people)
    ]
    shown = [
        text
        for p, text, i in zip(people, listed, range(len(listed)), strict=True)
        if i < _MOST_LISTED or p.person in chosen
    ]
    return ", ".join(shown) + (f" and {len(listed) - len(shown)} more" if len(shown) < len(listed) else "")


def side_names(people: Sequence[Keypoints2D]) -> dict[int, tuple[str, ...]]:
    """Return for the persons whom ``left`` and ``right`` choose these words, by number; none if it is one person."""
    long = _seen_long(people)
    left, right = min(long, key=_median_hips).person, max(long, key=_median_hips).person
    return {} if left == right else {left: ("left",), right: ("right",)}


def boxes(keypoints: Keypoints2D) -> NDArray[np.float32]:
    """Return the box of the joints in each frame, (F, 4): left, top, right, bottom in pixels; NaN where not seen."""
    xy = np.where(keypoints.found[..., None], keypoints.xy, np.nan)
    found = np.full((len(xy), 4), np.nan, np.float32)
    seen = keypoints.seen
    found[seen] = np.concatenate([np.nanmin(xy[seen], axis=1), np.nanmax(xy[seen], axis=1)], axis=-1)
    return found


def _seen_long(people: Sequence[Keypoints2D], share: float = 0.5) -> list[Keypoints2D]:
    """Return those who are seen in at least a share of the frames of the one seen longest."""
    most = max(int(p.seen.sum()) for p in people)
    return [p for p in people if int(p.seen.sum()) >= share * most]


def _median_hips(keypoints: Keypoints2D) -> float:
    """Return the median x of the middle of the hips, of all joints where no hip was ever found."""
    hips = [i for i, name in enumerate(keypoints.skeleton.joints) if name in ("left_hip", "right_hip")]
    x = np.where(keypoints.found, keypoints.xy[..., 0], np.nan)
    x = x[:, hips] if np.isfinite(x[:, hips]).any() else x
    seen = np.isfinite(x).any(-1)
    return float(np.median(np.nanmean(x[seen], axis=-1))) if seen.any() else np.inf


def _at_place(people: Sequence[Keypoints2D], x: float, y: float) -> Keypoints2D:
    """Return the person whose box holds a place in most frames, else whose box comes nearest.

    Raises:
        PoseMambaError: the place is outside of the picture, or nobody comes near it.
    """
    source, (width, height) = people[0].source or "the clip", people[0].image_size
    if x > width or y > height:
        raise PoseMambaError(
            f"{source}: --person is {x:g},{y:g}, outside of the picture of {width}x{height} pixels; give a place in it"
        )
    best: tuple[int, float] = (0, 0.0)
    who = None
    for person in people:
        box = boxes(person)[person.seen].astype(np.float64)
        if not len(box):
            continue
        low, high = box[:, :2], box[:, 2:]
        size = (high - low).max(-1)
        margin = 0.1 * size[:, None]  # joints end before heads, hands and feet do
        outside = np.maximum(np.maximum(low - margin - (x, y), np.array((x, y)) - high - margin), 0)
        apart = np.linalg.norm(outside, axis=-1)
        nearest = int(apart.argmin())
        score = int((apart == 0).sum()), -float(apart[nearest])
        if (who is None or score > best) and apart[nearest] <= size[nearest]:
            best, who = score, person
    if who is None:
        raise PoseMambaError(
            f"{source}: nobody comes near --person {x:g},{y:g}; there {'is' if len(people) == 1 else 'are'} "
            f"{list_people(people)}; choose a number, or another place"
        )
    return who


def _median_size(keypoints: Keypoints2D) -> float:
    """Return the median of the longer sides of the joints' boxes, in pixels."""
    xy = keypoints.xy[keypoints.seen]
    return float(np.median((np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)))
