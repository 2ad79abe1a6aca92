"""Following people from frame to frame: each by the region of their last joints, new ones by the person finder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.detect.blazepose.finder import Found, overlap
from posemamba.detect.blazepose.landmarks import JOINTS, Landmarks
from posemamba.detect.blazepose.regions import Region
from posemamba.poses.ranges import FARTHEST

# Joints that tell whether two poses are one body: nose, shoulders, elbows, wrists, hips, knees, ankles, heels.
_BODY = [0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30]

LOOKS_PER_SECOND = 6
_SEARCH = 0.3  # seconds for which somebody who was lost is looked for in each frame
_MEMORY = 1.0  # seconds for which a lost person's number is kept

LEAST_SCORE = 0.5  # pose score of a person who is followed on
_FIRST_SCORE = 0.3  # pose score in the finder's region, which is less exact than one of joints
# Product of the finder's score, the pose score and the mean visibility from which on somebody new is a person. People
# had 0.51 and more, things and parts of people who are followed already nearly always less than 0.45.
_NEW_PERSON = 0.45
# The finder sees a person again at nearly every look, and a thing that it took for one hardly ever.
_SURE_AT_ONCE, _SURE_AGAIN = 0.85, 0.6  # finder's scores at the first sight, and at a later one
_ON_SOMEBODY = 0.7  # finder's score of somebody new whose box covers, or lies in, the box of a person
_COVERED = 0.8  # share of a box that lies in another one
# Distances are medians over _BODY, as shares of the smaller extent of the two.
_SAME_BODY = 0.12
_JUMP = 0.3  # movement within a thirtieth of a second after which the joints are on another body
_FOLLOWED_OVERLAP = 0.45  # overlap of a found person's box with one who is followed
_NEAR_HIPS, _ALIKE = 0.16, 1.67  # hips that near, as a share of the region, and regions of like sizes: one person
_SPEED = 1.5  # movement in a second that is allowed beyond these
_NEAR = 0.35  # distance from the last or expected place at which a lost person is found again
_SLOWING = 0.95  # factor of the speed in each frame without a sight of the person
_MOST_NUMBERS = 1_000_000  # of people in a clip; more are those of a damaged file


@dataclass
class _Person:
    landmarks: Landmarks
    speed: NDArray[np.float64]  # (2,) pixels a frame
    moved: float = 0.0  # from the expected place, as a share of the extent
    age: int = 0

    def as_json(self) -> dict[str, Any]:
        values = {f.name: getattr(self.landmarks, f.name) for f in fields(Landmarks)}
        landmarks = {name: value if isinstance(value, float) else value.tolist() for name, value in values.items()}
        return {"landmarks": landmarks, "speed": self.speed.tolist(), "moved": float(self.moved), "age": self.age}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> _Person:
        """Make a person of what `as_json` gave.

        Raises:
            ValueError, TypeError, LookupError: it is none.
        """
        values: dict[str, Any] = {
            name: value if isinstance(value, float) else np.array(value, np.float64)
            for name, value in kept["landmarks"].items()
        }
        person = cls(Landmarks(**values), np.array(kept["speed"], np.float64), float(kept["moved"]), int(kept["age"]))
        shapes = {"xy": (JOINTS, 2), "visibility": (JOINTS,), "presence": (JOINTS,), "hips": (2,), "circle": (2,)}
        for array, shape in ((person.speed, (2,)), *((values[name], shape) for name, shape in shapes.items())):
            if array.shape != shape or not (np.abs(array) <= FARTHEST).all():
                raise ValueError(f"joints of shape {array.shape}, or numbers of no picture")
        if not isinstance(person.landmarks.score, float):
            raise ValueError("no score")
        return person

    def expected(self, frames: int = 1) -> NDArray[np.float64]:
        """Predict the joints some frames later, (33, 2): moved at the last speed, slowing down."""
        return self.landmarks.xy + self.speed * (1 - _SLOWING**frames) / (1 - _SLOWING)


class Follower:
    """A follower of all people through the frames of a clip.

    A person who is lost comes back under their number within a second if they are found near their expected place.

    Args:
        landmarks: finds the joints in a region of a picture.
        find: finds people in a picture; called six times a second with True, for a thorough look, and with False in
            each frame for a third of a second after somebody was lost.
        fps: frames per second.
    """

    def __init__(
        self,
        landmarks: Callable[[NDArray[np.uint8], Region], Landmarks],
        find: Callable[[NDArray[np.uint8], bool], list[Found]],
        fps: float,
    ) -> None:
        self._landmarks, self._find, self._fps = landmarks, find, fps
        self._every = max(1, round(fps / LOOKS_PER_SECOND))
        self._jump = _JUMP + _SPEED * max(1 / fps - 1 / 30, 0)
        self._people: dict[int, _Person] = {}
        self._lost: dict[int, tuple[int, _Person]] = {}  # with the last frame in which they were seen
        self._frame = -1
        self._last_look = -self._every
        self._searching = -1  # last frame of a search for somebody who was lost
        self._count = 0
        self._sure: set[int] = set()

    @property
    def state(self) -> dict[str, Any]:
        """All that following goes on from, as JSON takes it: with it the next frames give the same joints."""
        return {
            "people": [[number, person.as_json()] for number, person in self._people.items()],
            "lost": [[number, frame, person.as_json()] for number, (frame, person) in self._lost.items()],
            "frame": self._frame,
            "last_look": self._last_look,
            "searching": self._searching,
            "count": self._count,
            "sure": sorted(self._sure),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`.

        Raises:
            ValueError, TypeError, LookupError: it is none.
        """
        self._people = {int(number): _Person.from_json(person) for number, person in state["people"]}
        self._lost = {int(number): (int(frame), _Person.from_json(one)) for number, frame, one in state["lost"]}
        self._frame, self._last_look = int(state["frame"]), int(state["last_look"])
        self._searching, self._count = int(state["searching"]), int(state["count"])
        self._sure = set(map(int, state["sure"]))
        if not 0 <= self._count <= _MOST_NUMBERS:
            raise ValueError(f"{self._count} people")

    @property
    def doubtful(self) -> set[int]:
        """Numbers of people whom the finder has not seen clearly or twice so far: perhaps things."""
        return set(range(1, self._count + 1)) - self._sure

    @property
    def people(self) -> Mapping[int, Landmarks]:
        """The joints of everybody who is followed, by their numbers; within `find` those of the frame at hand."""
        return {number: person.landmarks for number, person in self._people.items()}

    def keep(self, number: int) -> None:
        """Follow one person alone from now on."""
        self._people = {n: person for n, person in self._people.items() if n == number}

    def __call__(self, rgb: NDArray[np.uint8]) -> Mapping[int, Landmarks]:
        """Return the joints of everybody in the next frame, by their numbers from 1 on."""
        self._frame += 1
        before = set(self._people)
        self._people = self._follow(rgb)
        if (before - set(self._people)) & self._sure:
            self._searching = self._frame + round(_SEARCH * self._fps)
        thorough = self._frame - self._last_look >= self._every
        if thorough or self._frame <= self._searching:
            if thorough:
                self._last_look = self._frame
            for found in self._find(rgb, thorough):
                self._meet(rgb, found)
        return self.people

    def _follow(self, rgb: NDArray[np.uint8]) -> dict[int, _Person]:
        """Look for each person near their last place; those who are not there are lost."""
        now: dict[int, _Person] = {}
        for number, person in self._people.items():
            landmarks = self._landmarks(rgb, person.landmarks.region)
            moved = _distance(landmarks, person.expected(), person.landmarks.extent)
            if landmarks.score < LEAST_SCORE or moved > self._jump:
                self._lost[number] = (self._frame - 1, person)
                continue
            step = np.median(landmarks.xy[_BODY] - person.landmarks.xy[_BODY], axis=0)
            speed = step if person.age else 0.5 * step
            now[number] = _Person(landmarks, speed, moved, person.age + 1)
        # of two on one body the one who moved less keeps it: the other one has slipped onto it
        for a in sorted(now):
            for b in sorted(now):
                if a < b and a in now and b in now and _same(now[a].landmarks, now[b].landmarks):
                    gone = b if now[b].moved >= now[a].moved else a
                    self._lost[gone] = (self._frame - 1, self._people[gone])
                    del now[gone]
        return now

    def _meet(self, rgb: NDArray[np.uint8], found: Found) -> None:
        """Follow a person whom the finder found, unless somebody is followed there already."""
        known = {number for number, person in self._people.items() if is_followed(found, person.landmarks)}
        if known:
            if found.score >= _SURE_AGAIN:
                self._sure |= known
            return
        on_somebody = any(_covers(found.box, person.landmarks.box) for person in self._people.values())
        if on_somebody and found.score < _ON_SOMEBODY:
            return
        landmarks = self._landmarks(rgb, found.region)
        if landmarks.score < _FIRST_SCORE:
            return
        landmarks = self._landmarks(rgb, landmarks.region)
        if found.score * landmarks.score * landmarks.visibility[_BODY].mean() < _NEW_PERSON:
            return
        if any(_same(landmarks, person.landmarks) for person in self._people.values()):
            return
        number = self._recognise(landmarks)
        self._people[number] = _Person(landmarks, np.zeros(2))
        if found.score >= _SURE_AT_ONCE:
            self._sure.add(number)

    def _recognise(self, landmarks: Landmarks) -> int:
        """Return the number of the nearest person lost not long ago, or a new one."""
        best, number = np.inf, None
        for lost_number, (frame, person) in list(self._lost.items()):
            away = self._frame - frame
            if away > _MEMORY * self._fps:
                del self._lost[lost_number]
                continue
            places = (person.landmarks.xy, person.expected(away))  # in a jump speed tells nothing
            steps = [np.median(landmarks.xy[_BODY] - xy[_BODY], axis=0) for xy in places]
            size = max(landmarks.extent, person.landmarks.extent, 1e-9)
            distance = min(float(np.hypot(*step)) for step in steps) / size
            alike = 1 / _ALIKE < landmarks.region.side / max(person.landmarks.region.side, 1e-9) < _ALIKE
            if alike and distance < min(best, _NEAR + _SPEED * away / self._fps):
                best, number = distance, lost_number
        if number is None:
            self._count += 1
            return self._count
        del self._lost[number]
        return number


def _distance(landmarks: Landmarks, xy: NDArray[np.float64], extent: float) -> float:
    """Return the median distance of the body's joints from places (33, 2), as a share of the smaller extent."""
    apart = np.linalg.norm(landmarks.xy[_BODY] - xy[_BODY], axis=-1)
    return float(np.median(apart)) / max(min(landmarks.extent, extent), 1e-9)


def _same(a: Landmarks, b: Landmarks) -> bool:
    """Tell whether two poses are of one body."""
    return _distance(a, b.xy, b.extent) < _SAME_BODY


def _covers(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Tell whether most of one box lies in the other."""
    both = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    smaller = np.minimum(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return bool(both > _COVERED * smaller)


def is_followed(found: Found, landmarks: Landmarks) -> bool:
    """Tell whether a person whom the finder found is one who is followed."""
    if overlap(found.box, landmarks.box[None])[0] > _FOLLOWED_OVERLAP:
        return True
    near = np.hypot(*(landmarks.hips - found.region.centre)) < _NEAR_HIPS * found.region.side
    return bool(near and 1 / _ALIKE < found.region.side / max(landmarks.region.side, 1e-9) < _ALIKE)
