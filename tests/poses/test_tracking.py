"""People keep their tracks: when they cross, are overlooked, come and go, or are named wrongly."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.poses.detections import Detection, Track
from posemamba.poses.tracking import Tracker, track

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
