"""Several detections, or tracks, on one body: nobody is lost to them."""

from __future__ import annotations

import numpy as np
import pytest
from test_tracking import body, detections, owners, seen_at, three_who_cross

from posemamba.poses.detections import Detection
from posemamba.poses.tracking import track


def doubled(one: Detection, rng: np.random.Generator, *, off: float, confidence: float) -> Detection:
    """A second detection of one body, moved by a share `off` of its height of 400 in some direction."""
    turn = rng.uniform(0, 2 * np.pi)
    shift = 400 * off * np.array([np.cos(turn), np.sin(turn)])
    return Detection(one.xy + shift, np.full(17, confidence), one.id)


@pytest.mark.parametrize("off", [pytest.param(0.02, marks=pytest.mark.slow), 0.08])
def test_doubled_detections_take_nobody(off: float) -> None:
    """Two walkers cross a third, and a sixth of all detections come twice."""
    kept = 0
    for seed in range(6):
        truth, seen = three_who_cross(seed)
        rng = np.random.default_rng(seed)
        frames = detections(seen, rng)
        for people in frames:
            people += [doubled(p, rng, off=off, confidence=0.5) for p in people if rng.random() < 1 / 6]
            rng.shuffle(people)  # type: ignore[arg-type]
        tracks = track(frames)
        clear = [np.abs(one.frames - 75) > 12 for one in tracks[:3]]
        who = [set(o[c].tolist()) for o, c in zip(owners(tracks[:3], truth), clear, strict=True)]
        kept += sorted(map(sorted, who)) == [[0], [1], [2]]
        poorer = [one.confidence[c].max(1) < 0.9 for one, c in zip(tracks, clear, strict=True)]
        assert np.concatenate(poorer).mean() < 0.01  # of two on one body the better one is kept
        assert len(tracks) == 3
    assert kept >= 5


def test_a_track_that_begins_on_another_does_not_take_its_person() -> None:
    """A ghost a quarter of a body off, seen in three frames at the place where the person goes next."""
    steps = [300 + 20 * i for i in range(30)]
    frames = [[seen_at(x)] for x in steps]
    for i in (14, 15, 16):
        frames[i].insert(0, Detection(body(steps[i] + 100), np.full(17, 0.4)))
    frames[17] = [seen_at(steps[17] + 60)]  # between the two
    tracks = track(frames)
    assert [len(t) for t in tracks] == [30, 3]
    # of two in the first frame the more confident is the person
    frames = [[Detection(body(400), np.full(17, 0.4)), seen_at(300)], [seen_at(345)], [seen_at(345)]]
    first = track(frames)[0]
    assert len(first) == 3 and first.xy[0, 0, 0] == body(300)[0, 0]


def test_of_two_tracks_on_one_body_the_older_one_stays() -> None:
    """A ghost beside a walker for long has a track of its own; once it lies on the walker it takes no frame of theirs.

    Double and walker are seen in turns, as by a detector that leaves out the poorer of two only sometimes.
    """
    rng = np.random.default_rng(0)
    steps = 300 + 6 * np.arange(90)
    frames = [[Detection(body(x) + rng.normal(0, 2, (17, 2)), np.full(17, 0.9))] for x in steps]
    for i in range(10, 40):
        beside = max(120 - 12 * max(i - 25, 0), 0)
        frames[i].append(Detection(body(steps[i] + beside) + rng.normal(0, 2, (17, 2)), np.full(17, 0.8)))
    for i in range(40, 90, 3):
        frames[i] = [Detection(body(steps[i]) + rng.normal(0, 12, (17, 2)), np.full(17, 0.8))]
    tracks = track(frames)
    assert len(tracks[0]) == 90 and int(tracks[1].frames[-1]) < 45


def test_one_who_steps_out_from_behind_another_is_another() -> None:
    """Seen beside each other for long, both keep their tracks, also while one of them is missed."""
    frames = [[seen_at(300)] for _ in range(60)]
    for i in range(10, 60):
        frames[i].append(seen_at(300 + 6 * min(i - 10, 20) + 60))
    frames[40:45] = [[people[1]] for people in frames[40:45]]  # the first one is missed
    assert [(len(t), int(t.frames[0])) for t in track(frames)] == [(55, 0), (50, 10)]
