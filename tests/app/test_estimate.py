"""The time that is left: from the pace of the stage, and what later ones cost."""

from __future__ import annotations

import pytest

from posemamba.app.estimate import FINDING, LIFTING, plan, seconds_left
from posemamba.app.jobs import Job
from posemamba.app.options import checked
from posemamba.app.runner import Clock


def job(stage: str, done: int, total: int, **options: object) -> Job:
    return Job("0" * 16, "a.mp4", "video", options=checked(options), stage=stage, done=done, total=total, frames=total)


def test_time_is_not_told_before_it_is_known_and_falls() -> None:
    assert seconds_left(job(FINDING, 0, 0), None, 1) is None
    assert seconds_left(job(FINDING, 0, 100), None, 1) is None
    times = [seconds_left(job(FINDING, done, 1000), 0.1, 1) or 0 for done in range(0, 1001, 100)]
    assert times == sorted(times, reverse=True) and 100 < times[0] < 140 and times[-1] < 30
    slow, quick = (seconds_left(job(FINDING, 500, 1000), pace, 1) or 0 for pace in (0.2, 0.05))
    assert slow > 2 * quick  # a slow computer is slow in all stages
    assert seconds_left(job("people", 0, 0), None, 1) is None


def test_larger_models_and_more_frames_cost_more() -> None:
    small, large = plan(checked({}), "video"), plan(checked({"weights": "posemamba-l"}), "video")
    assert large[LIFTING] > 4 * small[LIFTING] and list(small) == list(large)
    assert FINDING not in plan(checked({}), "keypoints")
    assert plan(checked({"every": "3"}), "video")[FINDING] < small[FINDING] / 2
    for odd in ("0", "x", "-1", "9" * 5000, "2.5"):
        assert plan({"every": odd}, "video") == plan({}, "video")


def test_times_of_stages_that_a_kind_has_not_do_not_count() -> None:
    one = job(LIFTING, 1, 100)
    one.kind, one.seconds = "keypoints", {FINDING: 9.0}
    told = seconds_left(one, 0.1, 1)
    one.seconds = {}
    assert told == seconds_left(one, 0.1, 1) and told is not None


def test_frames_of_an_earlier_run_do_not_count_for_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr("posemamba.app.runner.time.monotonic", lambda: now[0])
    clock = Clock()
    for done in (4000, 4010, 4020):
        now[0] += 1
        clock.note(done)
    assert clock.frame_seconds == pytest.approx(0.1)
