"""Threads of a live session: the newest picture alone waits, and errors come out."""

from __future__ import annotations

import time as clock
from typing import Any

import numpy as np
import pytest

from posemamba.live.poses import LivePose
from posemamba.live.runner import LiveRunner
from posemamba.live.session import Seen
from posemamba.utils.errors import PoseMambaError

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Session:
    """A session that takes its time, and gives each pose one picture later."""

    def __init__(self, look: float = 0.0, lift: float = 0.0, breaks_at: float = np.inf) -> None:
        self.look, self.lifting, self.breaks_at, self.before = look, lift, breaks_at, None

    def detect(self, rgb: np.ndarray, time: float) -> Seen:
        clock.sleep(self.look)
        if time >= self.breaks_at:
            raise PoseMambaError("broken picture")
        return Seen(time, (4, 4), None)

    def lift(self, seen: Seen) -> LivePose | None:
        clock.sleep(self.lifting)
        before, self.before = self.before, seen
        return None if before is None else LivePose(0, before.time, False, (4, 4))

    def finish(self) -> list[LivePose]:
        return [] if self.before is None else [LivePose(0, self.before.time, False, (4, 4))]


def run(session: Any, pictures: int, every: float, **options: Any) -> tuple[LiveRunner, list[float]]:
    got: list[float] = []
    with LiveRunner(session, lambda pose: got.append(pose.time), **options) as runner:
        for i in range(pictures):
            runner.offer(PICTURE, float(i))
            clock.sleep(every)
    return runner, got


def test_old_pictures_are_dropped_and_the_delay_does_not_grow() -> None:
    delays: list[float] = []
    session = Session(look=0.02, lift=0.01)
    runner = LiveRunner(session, lambda pose: delays.append(runner.counts.seconds))
    for i in range(120):  # four times as many as it has time for
        runner.offer(PICTURE, float(i))
        clock.sleep(0.005)
    runner.close()
    counts = runner.counts
    assert counts.offered == 120 and counts.dropped + counts.poses == 120 and counts.dropped > 40
    first, last = np.median(delays[:10]), np.median(delays[-11:-1])
    assert last < first + 0.05  # the same at the end as at the start


def test_nothing_is_dropped_where_that_is_asked_for_and_the_last_poses_come() -> None:
    runner, got = run(Session(look=0.002), 30, 0.0, drop=False)
    assert got == [float(i) for i in range(30)] and runner.counts.dropped == 0


def test_pictures_are_made_only_if_they_are_looked_at_and_can_be_watched() -> None:
    made, watched = [], []

    def picture(i: int) -> Any:
        return lambda: made.append(i) or PICTURE

    with LiveRunner(Session(look=0.03), lambda pose: None, watch=lambda rgb, seen: watched.append(seen.time)) as runner:
        for i in range(10):
            runner.offer(picture(i), float(i))
        while watched[-1:] != [9.0]:
            clock.sleep(0.01)
        runner.offer(picture(99), 3.0)  # not later than the ones before
    assert len(made) < 10 and [float(i) for i in made] == watched and 99 not in made


def test_an_error_ends_it_and_comes_out_where_pictures_go_in() -> None:
    with pytest.raises(PoseMambaError, match="broken picture"):
        run(Session(breaks_at=5), 1000, 0.001)
    with pytest.raises(PoseMambaError, match="broken picture"):
        run(Session(breaks_at=29), 30, 0.0, drop=False)


def test_an_error_of_whoever_takes_the_poses_comes_out_too() -> None:
    def give(pose: LivePose) -> None:
        raise BrokenPipeError

    runner = LiveRunner(Session(), give)
    with pytest.raises(BrokenPipeError):
        for i in range(1000):
            runner.offer(PICTURE, float(i))
            clock.sleep(0.001)
    runner.stop()
