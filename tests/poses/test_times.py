"""The usual step between frames, and pauses."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.poses.keypoints import split_at_gaps
from posemamba.poses.times import find_pauses, usual_step


def test_the_usual_step_knows_no_pause_and_no_rounding() -> None:
    assert usual_step(np.zeros(1)) is None
    even = np.arange(100) / 50
    assert usual_step(even) == pytest.approx(0.02)
    assert usual_step(np.r_[even[:50], 20 + even[:50]]) == pytest.approx(0.02)
    assert usual_step(np.delete(even, [50, 51, 60, 61, 62])) == pytest.approx(0.02)
    rounded = np.round(np.arange(300) / (30_000 / 1001), 3)  # Matroska's milliseconds
    assert usual_step(rounded) == pytest.approx(1001 / 30_000, rel=1e-3)


def test_pauses_split_neighbours_and_slow_clips_stay_whole() -> None:
    times = np.r_[np.arange(60) / 50, 20 + np.arange(60) / 50]
    assert np.flatnonzero(find_pauses(times, 1.0)).tolist() == [59]
    assert split_at_gaps(np.ones(120, bool), times, 1.0) == [(0, 60), (60, 120)]
    unseen = np.ones(120, bool)
    unseen[58:63] = False
    assert split_at_gaps(unseen, times, 1.0) == [(0, 58), (63, 120)]
    slow = np.arange(20) * 2.0  # a picture every two seconds
    assert not find_pauses(slow, 1.0).any() and split_at_gaps(np.ones(20, bool), slow, 1.0) == [(0, 20)]
