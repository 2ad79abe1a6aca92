"""People keep their tracks: when they cross, are overlooked, come and go, or are named wrongly."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.poses.tracking import Detection, Track, Tracker, track

FRAMES = 150


def three_who_cross(seed: int) -> tuple[NDArray, NDArray]:
    """Truth (3, F, 17, 2) of bodies 400 pixels tall and what a detector sees of them, NaN in dropped frames.

    Two walk towards each other past a third who stands in the middle, arms and legs swinging.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(FRAMES)
    shape = np.stack([rng.uniform(-60, 60, 17), np.linspace(-200, 200, 17)], -1)
    swing = 25 * np.sin(2 * np.pi * t / 30)[:, None] * np.linspace(-1, 1, 17) ** 2
    paths = [
        np.stack([200 + 8 * t, np.full(FRAMES, 500)], -1),
        np.stack([1400 - 8 * t, np.full(FRAMES, 510)], -1),
        np.stack([np.full(FRAMES, 800), np.full(FRAMES, 490)], -1),
    ]
    truth = np.stack([path[:, None] + shape for path in paths])
    for person, phase in enumerate((1, -1, 0)):
        truth[person, :, :, 0] += phase * swing
    seen = truth + rng.normal(0, 5, truth.shape)
    seen[rng.random(seen.shape[:3]) < 0.05] = np.nan  # single joints
    seen[rng.random(seen.shape[:2]) < 0.1] = np.nan  # whole people
    seen[:, 40:43] = np.nan  # frames that the decoder dropped
    return truth, seen


def detections(seen: NDArray, rng: np.random.Generator) -> list[list[Detection]]:
    """By frame, in an order that changes all the time."""
    frames = []
    for frame in range(seen.shape[1]):
        people = [p for p in rng.permutation(len(seen)) if np.isfinite(seen[p, frame]).any()]
        frames.append([Detection(seen[p, frame], np.full(17, 0.9)) for p in people])
    return frames


def owners(tracks: list[Track], truth: NDArray) -> list[NDArray]:
    """For each track, who it follows in each of its frames."""
    found = []
    for one in tracks:
        apart = np.nanmedian(np.linalg.norm(truth[:, one.frames] - one.xy[None], axis=-1), axis=-1)
        found.append(apart.argmin(0))
    return found


@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 20), marks=pytest.mark.slow)])
def test_people_who_cross_keep_their_tracks(seeds: range) -> None:
    """In noise, with people and whole frames dropped; order in the file tells nothing."""
    kept = 0
    for seed in seeds:
        truth, seen = three_who_cross(seed)
        tracks = track(detections(seen, np.random.default_rng(seed)))
        followed = owners(tracks, truth)
        # where all bodies stand in the same place nearest tells nothing: look before and after
        apart = [np.abs(one.frames - 75) > 12 for one in tracks]
        who = [set(owner[clear].tolist()) for owner, clear in zip(followed, apart, strict=True)]
        kept += sorted(map(sorted, who)) == [[0], [1], [2]]
        assert [len(one) for one in tracks] == sorted((len(one) for one in tracks), reverse=True)
        xy, confidence = tracks[0].over(FRAMES)
        assert np.isnan(xy[40:43]).all() and not confidence[40:43].any()
        assert np.isfinite(xy).any((1, 2)).tolist() == confidence.any(1).tolist()
    assert kept >= len(seeds) - (len(seeds) > 5)


def body(x: float, y: float = 300, tall: float = 400) -> NDArray:
    return np.stack([x + np.linspace(-40, 40, 17), np.linspace(y - tall / 2, y + tall / 2, 17)], -1)


def seen_at(x: float, name: object = None) -> Detection:
    return Detection(body(x), np.ones(17), name)


def test_somebody_else_in_the_place_is_no_continuation() -> None:
    """One who stood still vanishes, another appears a third of a body away: two people, and a gap joins one's track."""
    frames = [[seen_at(300)] for _ in range(20)] + [[]] * 25 + [[seen_at(302)]] * 5
    assert [len(t) for t in track(frames)] == [25]
    other = [[seen_at(300)] for _ in range(20)] + [[seen_at(430)]] * 10
    assert [(len(t), int(t.frames[0])) for t in track(other)] == [(20, 0), (10, 20)]
    long = [[seen_at(300)]] * 20 + [[]] * 31 + [[seen_at(300)]] * 5
    assert [len(t) for t in track(long)] == [20, 5] and [len(t) for t in track(long, lost_after=40)] == [25]
    assert [len(t) for t in track(long, min_frames=6)] == [20]


def test_ids_are_believed_until_they_jump() -> None:
    """Swapped names do not swap people; a name that comes back after long is the same person."""
    swapped = [[seen_at(300, a), seen_at(900, b)] for a, b in [(1, 2)] * 10 + [(2, 1)] * 12]
    tracks = track(swapped)
    assert [len(t) for t in tracks] == [22, 22] and all(np.ptp(t.xy[:, 0, 0]) == 0 for t in tracks)
    away = [[seen_at(300, "ann")]] * 10 + [[]] * 100 + [[seen_at(1500, "ann")]] * 10
    assert [(len(t), t.id) for t in track(away)] == [(20, "ann")]
    stolen = [[seen_at(300, 7)]] * 10 + [[seen_at(900, 7)]] * 8
    assert [len(t) for t in track(stolen)] == [10, 8]
    near = [[seen_at(300, "ann")]] * 10 + [[seen_at(310, "bob")]] * 8
    assert [t.id for t in track(near)] == ["ann", "bob"]


def test_tracker_frame_by_frame() -> None:
    tracker = Tracker()
    assert tracker.update(0, [seen_at(300), Detection(np.full((17, 2), np.nan), np.zeros(17))]) == [1, None]
    assert tracker.update(3, [seen_at(900), seen_at(304)]) == [2, 1]
    with pytest.raises(ValueError, match="go forward"):
        tracker.update(3, [])
    assert track({}) == [] and track([[], []]) == []


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


def test_an_id_that_two_share_in_a_frame_stays_with_its_person() -> None:
    far = [[seen_at(300, 1), seen_at(900, 2)] for _ in range(20)]
    far[10:13] = [[seen_at(900, 1), seen_at(300, 1)]] * 3  # both are 1, the wrong one first
    assert [(len(t), t.id, np.ptp(t.xy[:, 0, 0])) for t in track(far)] == [(20, 1, 0), (20, 2, 0)]
    first = [[seen_at(900, 1), seen_at(300, 1)]] * 4 + far[:6]  # from the first frame on
    assert sorted((len(t), t.id, np.ptp(t.xy[:, 0, 0])) for t in track(first)) == [(10, 1, 0), (10, 2, 0)]
    # a second detection of the body in the first frame, in one, and three at once: the best one remains
    for where in ([0], [7], [7, 7, 7], [0, 1, 2, 3]):
        frames = [[seen_at(300, "ann")] for _ in range(12)]
        for i in where:
            frames[i].insert(0, Detection(body(310), np.full(17, 0.5), "ann"))
        (one,) = track(frames)
        assert len(one) == 12 and one.id == "ann" and np.ptp(one.xy[:, 0, 0]) == 0
    # a surplus one elsewhere is a person without that id
    frames = [[seen_at(300, "ann")] for _ in range(12)]
    frames[6].insert(0, Detection(body(700), np.ones(17), "ann"))
    assert [(len(t), t.id) for t in track(frames)] == [(12, "ann"), (1, None)]
    # who has a number of their own is believed, however near; a new number on a followed body waits
    embraced = [[seen_at(300, 1), seen_at(310, 2)]] * 10
    assert [len(t) for t in track(embraced)] == [10, 10]
    late = [[seen_at(300, 1)]] * 5 + [[seen_at(300, 1), seen_at(310, 2)]] * 5 + [[seen_at(300, 1), seen_at(400, 2)]] * 5
    assert [(len(t), t.id) for t in track(late)] == [(15, 1), (5, 2)]


@pytest.mark.slow
def test_half_an_hour_of_two_people_takes_seconds() -> None:
    frames = {f: [seen_at(300 + 100 * np.sin(f / 50)), seen_at(900)] for f in range(5400)}
    begin = time.perf_counter()
    assert [len(t) for t in track(frames)] == [5400, 5400]
    assert (time.perf_counter() - begin) * 10 < 120
