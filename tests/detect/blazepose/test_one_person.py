"""One person in frames that come: who is followed, and how often the person finder runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from posemamba.detect.blazepose import one_person
from posemamba.detect.blazepose.finder import Found
from posemamba.detect.blazepose.landmarks import Landmarks
from posemamba.detect.blazepose.regions import Region
from posemamba.utils.errors import PoseMambaError

RGB = np.zeros((480, 640, 3), np.uint8)


class Scene:
    """People as circles (x, y, radius, the finder's score), which can come, go and move between frames."""

    def __init__(self) -> None:
        self.people: list[tuple[float, float, float, float]] = []
        self.looks: list[int] = []  # squares of each look of the finder
        self.landmarks = 0

    def find(self, rgb: np.ndarray, squares: Any, small: Any = ()) -> list[Found]:
        self.looks.append(len(squares) + len(small))
        return [
            Found(score, np.array([x - r, y - r, x + r, y + r]), Region(np.array([x, y]), 2.5 * r, 0.0))
            for x, y, r, score in self.people
        ]

    def look(self, rgb: np.ndarray, region: Region) -> Landmarks:
        self.landmarks += 1
        near = [p for p in self.people if np.hypot(p[0] - region.centre[0], p[1] - region.centre[1]) < 0.5 * p[2]]
        x, y, r, _ = near[0] if near else (*region.centre, region.side / 2.5, 0)
        spread = np.random.default_rng(0).uniform(-1, 1, (33, 2)) * r
        middle = np.array([x, y])
        sure = np.full(33, 0.99 if near else 0.0)
        return Landmarks(middle + spread, sure, np.ones(33), 0.99 if near else 0.0, middle, middle - [0, r])


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    monkeypatch.setattr(one_person, "PersonFinder", lambda threads: made.find)
    monkeypatch.setattr(one_person, "LandmarkNetwork", lambda size, threads: made.look)
    return made


def run(detector: one_person.OnePersonDetector, start: float, frames: int) -> list[Any]:
    return [detector(RGB, start + i / 30) for i in range(frames)]


def middle(found: Any) -> float:
    return float(np.median(found.xy[:, 0]))


def test_the_largest_is_followed_alone_with_few_looks(scene: Scene) -> None:
    detector = one_person.OnePersonDetector("lite")
    assert run(detector, 0, 30) == [None] * 30 and 3 <= len(scene.looks) <= 6  # nobody: five looks a second
    scene.people = [(150, 240, 60, 0.95), (450, 240, 120, 0.95)]
    seen = [one for one in run(detector, 1, 60) if one is not None]
    assert len(seen) > 45 and all(abs(middle(one) - 450) < 30 for one in seen)
    scene.looks.clear()
    scene.landmarks = 0
    assert None not in run(detector, 3, 60)
    assert 1 <= len(scene.looks) <= 3 and set(scene.looks) == {1}  # once a second, the whole picture alone
    assert scene.landmarks == 60  # of one person in each frame


def test_somebody_else_is_followed_a_second_after_the_person_left(scene: Scene) -> None:
    detector = one_person.OnePersonDetector("lite")
    scene.people = [(450, 240, 120, 0.95)]
    assert run(detector, 0, 30)[-1] is not None
    scene.people = [(150, 240, 60, 0.95)]
    seen = run(detector, 1, 60)
    first = next(i for i, one in enumerate(seen) if one is not None)
    assert 25 <= first <= 45 and abs(middle(seen[-1]) - 150) < 20


def test_a_thing_gives_way_to_a_person_whom_the_finder_sees_clearly(scene: Scene) -> None:
    detector = one_person.OnePersonDetector("lite")
    scene.people = [(450, 240, 120, 0.55)]  # hardly seen by the finder: perhaps a thing
    assert middle(run(detector, 0, 30)[-1]) == pytest.approx(450, abs=30)
    scene.people.append((150, 240, 60, 0.95))
    assert middle(run(detector, 1, 60)[-1]) == pytest.approx(150, abs=20)
    detector.begin()
    scene.people = []
    assert run(detector, 9, 3) == [None] * 3


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(PoseMambaError, match="'huge'"):
        one_person.OnePersonDetector("huge")  # type: ignore[arg-type]
