"""Times in keypoint files: their units, missing rows, pauses, and what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from walker_files import WALKER, F, table

from posemamba.io.keypoints import read_people
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError


def told(path: Path, **options: object) -> tuple[Keypoints2D, list[str]]:
    """The only person of a file, and what was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (person,) = read_people(path, **{"image_size": (320, 240)} | options)  # type: ignore[arg-type]
    return person, [str(w.message) for w in caught]


def test_rows_that_are_missing_leave_the_rate_as_it_is(tmp_path: Path) -> None:
    seen = [i for i in range(F) if not 50 <= i < 54]
    person, said = told(table(tmp_path / "gap.csv", seen, np.array(seen) / 50))
    assert person.fps == 50 and said == []
    np.testing.assert_allclose(person.frame_times(), np.arange(F) / 50, atol=1e-9)
    assert np.flatnonzero(~person.seen).tolist() == [50, 51, 52, 53]


def test_empty_cells_of_times_are_filled(tmp_path: Path) -> None:
    times = np.where(np.arange(F) % 3 == 1, np.nan, np.arange(F) / 50 + 7)
    times[:4] = times[-2:] = np.nan
    person, said = told(table(tmp_path / "holes.csv", range(F), times))
    assert person.fps == pytest.approx(50) and said == []
    np.testing.assert_allclose(person.frame_times(), np.arange(F) / 50 + 7, atol=1e-9)
    assert told(table(tmp_path / "empty.csv", range(F), np.full(F, np.nan)))[0].fps == 30  # as without the column


@pytest.mark.parametrize(("unit", "name"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")])
@pytest.mark.parametrize("fps", [12, 50, 240])
def test_the_unit_is_told_by_the_numbers(tmp_path: Path, unit: float, name: str, fps: float) -> None:
    person, said = told(table(tmp_path / "t.csv", range(F), np.arange(F) / fps * unit))
    assert person.fps == pytest.approx(fps) and person.frame_times()[-1] == pytest.approx((F - 1) / fps)
    assert len(said) == 1 and name in said[0]
    np.savez(tmp_path / "t.npz", keypoints=WALKER.xy, skeleton="h36m17", times=np.round(np.arange(F) / fps * unit))
    person, _ = told(tmp_path / "t.npz")
    assert person.fps == pytest.approx(fps, rel=0.01)


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_unix_times_count_from_the_first_frame(tmp_path: Path, unit: float) -> None:
    times = (1_735_689_600 + np.arange(F) / 25) * unit
    person, said = told(table(tmp_path / "unix.csv", range(F), times, "timestamp"))
    assert person.fps == pytest.approx(25, rel=1e-3) and any("a clock's" in line for line in said)
    np.testing.assert_allclose(person.frame_times(), np.arange(F) / 25, atol=1e-4)


def test_a_named_unit_is_believed_where_it_can_be(tmp_path: Path) -> None:
    for name, times in (("timestamp_ms", np.arange(F) * 40.0), ("time_us", np.arange(F) * 4e4)):
        person, said = told(table(tmp_path / "t.csv", range(F), times, name))
        assert person.fps == pytest.approx(25) and said == []
    person, said = told(table(tmp_path / "t.csv", range(F), np.arange(F) / 25, "timestamp_ms"))
    assert person.fps == pytest.approx(25) and "taken for seconds" in said[0]
    landmarks = [
        [
            {"x": float(x) + f, "y": float(y), "visibility": 0.9}
            for x, y in np.random.default_rng(0).uniform(9, 200, (33, 2))
        ]
        for f in range(9)
    ]
    frames = [{"timestamp_us": 20_000 * f, "pose_landmarks": [p]} for f, p in enumerate(landmarks)]
    (tmp_path / "m.json").write_text(json.dumps(frames))
    assert told(tmp_path / "m.json")[0].fps == pytest.approx(50)


def test_what_cannot_be_times_is_refused_with_the_files_name(tmp_path: Path) -> None:
    twice = np.tile(np.arange(60) / 50, 2)
    for name, times, message in (
        ("twice", twice, "do not rise: frame 60 is at 0, frame 59 at 1.18"),
        ("still", np.zeros(F), "do not rise"),
        ("frames", np.arange(F), "seconds or numbers of frames"),
        ("none", np.arange(F) * 1e-7, "unit cannot be told"),
        ("huge", 1e300 * np.arange(F), "unit cannot be told"),
    ):
        path = table(tmp_path / f"{name}.csv", range(F), times)
        with pytest.raises(PoseMambaError, match=message) as caught:
            told(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        np.savez(tmp_path / f"{name}.npz", keypoints=WALKER.xy, skeleton="h36m17", times=times)
        with pytest.raises(PoseMambaError, match=message):
            told(tmp_path / f"{name}.npz")
    # the user's rate helps
    person, said = told(tmp_path / "frames.csv", fps=25)
    assert person.fps == 25 and person.frame_times()[-1] == pytest.approx(119 / 25) and "count frames" in said[0]
    assert told(tmp_path / "twice.csv", fps=25)[0].fps == 25
    person, said = told(table(tmp_path / "slow.csv", range(F), np.arange(F) / 50), fps=25)
    assert person.fps == 50 and "--fps is 25" in said[0]


def test_a_pause_has_no_say_in_the_rate(tmp_path: Path) -> None:
    times = np.r_[np.arange(60) / 50, 20 + np.arange(60) / 50]
    for facts in ({}, {"fps": 119 / times[-1]}):  # the mean, as earlier versions wrote it
        np.savez(tmp_path / "pause.npz", keypoints=WALKER.xy, skeleton="h36m17", times=times, **facts)
        assert told(tmp_path / "pause.npz")[0].fps == 50
    np.testing.assert_allclose(told(tmp_path / "pause.npz")[0].frame_times(), times)


@pytest.mark.parametrize("fps", [0.0, -5.0, 1e-300, 1e300, np.inf, np.nan])
def test_rates_that_are_none_are_refused(tmp_path: Path, fps: float) -> None:
    np.savez(tmp_path / "k.npz", keypoints=WALKER.xy, skeleton="h36m17", fps=fps)
    with pytest.raises(PoseMambaError, match="expected a positive number of frames per second"):
        told(tmp_path / "k.npz")
    with pytest.raises(PoseMambaError, match="expected a positive number of frames per second"):
        told(table(tmp_path / "k.csv", range(F)), fps=fps)


def test_numbers_without_times_count_from_the_videos_start(tmp_path: Path) -> None:
    person, _ = told(table(tmp_path / "late.csv", range(40, F)), fps=50)
    assert len(person) == 80 and person.frame_times()[0] == pytest.approx(0.8)
