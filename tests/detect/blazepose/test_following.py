"""Following people of a made-up world: networks that see points instead of pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from posemamba.detect.blazepose.finder import Found
from posemamba.detect.blazepose.following import Follower
from posemamba.detect.blazepose.landmarks import Landmarks
from posemamba.detect.blazepose.regions import Region

BODY = np.random.default_rng(0).uniform([-0.2, -0.5], [0.2, 0.5], (33, 2))  # of a person one pixel tall


def body(x: float, y: float, height: float, score: float = 1.0, clear: float = 0.95) -> Landmarks:
    hips = np.array([x, y])
    return Landmarks(
        xy=hips + BODY * height,
        visibility=np.full(33, clear),
        presence=np.ones(33),
        score=score,
        hips=hips,
        circle=hips - [0, 0.55 * height],
    )


class World:
    """A clip of people: for each frame everybody's (x, y, height), or None while they cannot be seen."""

    def __init__(self, *people: list[tuple[float, float, float] | None], fps: float = 30) -> None:
        self.people, self.frame, self.looks = people, -1, 0
        self.found_score, self.clear = [0.95] * len(people), [0.95] * len(people)
        self.found_in = [lambda frame: True for _ in people]
        self.follower = Follower(self.landmarks, self.find, fps)

    def landmarks(self, rgb: np.ndarray, region: Region) -> Landmarks:
        """Find the person whose hips are nearest to the region's middle; nobody there: a low score."""
        there = [(np.hypot(*(region.centre - p[:2])), i) for i, p in self.seen()]
        distance, i = min(there, default=(np.inf, 0))
        if distance > 0.3 * region.side:
            return body(*region.centre, region.side / 1.375, score=0.1)
        return body(*self.people[i][self.frame], clear=self.clear[i])

    def find(self, rgb: np.ndarray, thorough: bool) -> list[Found]:
        self.looks += 1
        found = []
        for i, p in self.seen():
            if self.found_in[i](self.frame):
                b = body(*p)
                radius = 0.55 * p[2]
                box = np.concatenate([b.hips - radius, b.hips + radius])
                found.append(Found(self.found_score[i], box, b.region))
        return found

    def seen(self) -> list[tuple[int, tuple[float, float, float]]]:
        return [(i, p[self.frame]) for i, p in enumerate(self.people) if p[self.frame] is not None]

    def run(self) -> list[dict[int, float]]:
        """Return for each frame the x of everybody's hips by number."""
        frames = []
        for frame in range(len(self.people[0])):
            self.frame = frame
            people = self.follower(np.zeros((2, 2, 3), np.uint8))
            frames.append({number: float(p.hips[0]) for number, p in people.items()})
        return frames


def test_everybody_keeps_a_number_and_newcomers_get_one() -> None:
    """One stays, one comes in the 7th frame and is found at the next look, six times a second."""
    stays = [(100.0, 200.0, 150.0)] * 40
    comes = [None] * 7 + [(400.0 - 3 * i, 210.0, 160.0) for i in range(33)]
    world = World(stays, comes)
    frames = world.run()
    assert all(frame[1] == 100 for frame in frames)
    assert [frame.get(2) for frame in frames] == [None] * 10 + [comes[i][0] for i in range(10, 40)]
    assert world.looks == 8 and not world.follower.doubtful


def test_two_who_pass_in_front_of_each_other_are_not_exchanged() -> None:
    """The nearer one hides the other for a while; who was hidden gets their own number back."""
    near = [(100.0 + 8 * i, 200.0, 170.0) for i in range(60)]
    far: list = [(560.0 - 8 * i, 190.0, 120.0) for i in range(60)]
    for i in range(60):
        if abs(near[i][0] - far[i][0]) < 40:
            far[i] = None
    hidden = [i for i in range(60) if far[i] is None]
    frames = World(near, far).run()
    assert all(frame[1] == near[i][0] for i, frame in enumerate(frames))
    assert all(set(frame) <= {1, 2} for frame in frames)
    assert all(frame.get(2) in (None, far[i] and far[i][0]) for i, frame in enumerate(frames))
    assert all(2 in frames[i] for i in range(60) if i < hidden[0] or i > hidden[-1] + 6)


def test_a_track_that_slips_onto_somebody_loses_them() -> None:
    """One vanishes just when another one stands near: the other one keeps their number, and is there once."""
    stays = [(300.0, 200.0, 150.0)] * 30
    goes: list = [(150.0 + 10 * i, 200.0, 150.0) for i in range(14)] + [None] * 16
    frames = World(goes, stays).run()
    assert all(frame[2] == 300 for frame in frames)
    assert all(set(frame) == {2} for frame in frames[15:])


@pytest.mark.parametrize(("fps", "step", "number"), [(30, 30, 1), (30, 60, 2), (5, 55, 1), (5, 300, 2)])
def test_a_jump_farther_than_a_body_moves_is_another_person(fps: float, step: float, number: int) -> None:
    path = [(100.0, 200.0, 100.0)] * 10 + [(100.0 + step, 200.0, 100.0)] * 10
    frames = World(path, fps=fps).run()
    assert frames[9] == {1: 100} and frames[10] == {number: 100 + step}


@pytest.mark.parametrize(("away", "number"), [(20, 1), (45, 2)])
def test_who_comes_back_within_a_second_is_known(away: int, number: int) -> None:
    path: list = [(100.0, 200.0, 100.0)] * 10 + [None] * away + [(110.0, 200.0, 100.0)] * 12
    assert set(World(path).run()[-1]) == {number}


def test_a_thing_is_doubtful_and_a_vague_one_is_nobody() -> None:
    """A thing is found once, a person at every look."""
    person = [(100.0, 200.0, 150.0)] * 30
    thing = [(500.0, 300.0, 80.0)] * 30
    shadow = [(900.0, 300.0, 80.0)] * 30
    world = World(person, thing, shadow)
    world.found_score = [0.75, 0.75, 0.6]
    world.clear = [0.95, 0.8, 0.5]
    world.found_in[1] = lambda frame: frame == 0
    frames = world.run()
    assert all(set(frame) == {1, 2} for frame in frames)
    assert world.follower.doubtful == {2}


def test_the_number_of_looks_follows_the_frame_rate() -> None:
    slow, fast = (World([(100.0, 200.0, 150.0)] * 60, fps=fps) for fps in (5, 120))
    slow.run()
    fast.run()
    assert (slow.looks, fast.looks) == (60, 3)


def test_following_goes_on_from_its_state_as_if_it_had_not_stopped() -> None:
    """From any frame, with people who come, go, are lost and come back, through JSON."""
    stays = [(100.0 + 2 * i, 200.0 + i % 3, 150.0) for i in range(40)]
    hidden = [None if 12 <= i < 22 else (300.0 - 3 * i, 420.0, 160.0) for i in range(40)]
    comes = [None if i < 7 else (500.0, 190.0 + i % 2, 140.0) for i in range(40)]
    people = (stays, hidden, comes)
    world = World(*people)
    states = [json.dumps(world.follower.state)]
    expected = []
    for frame in range(40):
        world.frame = frame
        expected.append({n: p.xy.tolist() for n, p in world.follower(np.zeros((2, 2, 3), np.uint8)).items()})
        states.append(json.dumps(world.follower.state))
    assert [set(frame) for frame in expected][-1] == {1, 2, 3}
    for begin, state in enumerate(states):
        other = World(*people)
        other.follower.resume(json.loads(state))
        for frame in range(begin, 40):
            other.frame = frame
            found = other.follower(np.zeros((2, 2, 3), np.uint8))
            assert {n: p.xy.tolist() for n, p in found.items()} == expected[frame]
            assert list(found) == list(expected[frame])
        assert other.follower.doubtful == world.follower.doubtful
        assert json.dumps(other.follower.state) == states[-1]
