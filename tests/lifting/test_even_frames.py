"""Frames that a camera left out: which they are, and what they become."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from posemamba.lifting.even_frames import even_frames, even_window, steps_between
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17


def clip(times: np.ndarray) -> Keypoints2D:
    xy = np.stack([100 + 50 * times, 200 - 30 * times], -1)[:, None] + np.arange(17)[None, :, None]
    confidence = np.full((len(times), 17), 0.8, np.float32)
    return Keypoints2D(xy.astype(np.float32), confidence, H36M17, (640, 480), 60.0, times)


@pytest.mark.parametrize(
    "times",
    [
        np.arange(40) / 30,
        np.round(np.arange(40) / 30, 3),  # as files round them
        np.arange(40) / 30 + np.random.default_rng(0).uniform(-0.005, 0.005, 40),
        np.arange(2) / 30,
        np.zeros(1),
    ],
)
def test_even_frames_stay_as_they_are(times: np.ndarray) -> None:
    assert (steps_between(times) == 1).all()
    assert even_frames(clip(times), 0, len(times)) is None


@pytest.mark.parametrize("drop", [0.1, 0.3, 0.6])
def test_frames_that_were_left_out_are_put_in(drop: float) -> None:
    whole = clip(np.arange(90) / 60)
    there = np.flatnonzero((np.random.default_rng(1).random(90) >= drop) | np.isin(np.arange(90), [0, 89]))
    given = clip(whole.times[there])
    made = even_frames(given, 0, len(there))
    assert made is not None
    frames, places = made
    np.testing.assert_array_equal(places, there)
    np.testing.assert_allclose(frames.frame_times(), whole.times, atol=1e-9)
    np.testing.assert_array_equal(frames.xy[places], given.xy)
    np.testing.assert_allclose(frames.xy, whole.xy, atol=1e-3)  # straight movement is known in between
    np.testing.assert_allclose(frames.confidence, 0.8, atol=1e-6)


def test_a_joint_that_a_neighbour_lacks_is_not_made_up() -> None:
    given = clip(np.array([0, 1, 2, 4, 5, 6]) / 30)
    given.xy[2, 5] = np.nan
    made = even_frames(given, 0, 6)
    assert made is not None
    assert np.isnan(made[0].xy[3, 5]).all() and np.isfinite(made[0].xy[3, 4]).all()


def test_steps_of_which_none_is_near_the_small_ones_give_no_warning() -> None:
    times = np.cumsum([0, 1, 3, 3, 3, 4.5, 7.5]) / 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert steps_between(times).tolist() == [1, 1, 1, 1, 2, 2]


def test_a_pause_that_would_need_very_many_frames_gets_few() -> None:
    times = np.concatenate([np.arange(20) / 1000, 0.02 + np.arange(1, 21) / 10])
    assert steps_between(times).sum() < 4 * len(times)


def test_a_window_is_made_even_around_the_wanted_frame() -> None:
    times = np.array([0, 1, 2, 4, 5, 6, 6.5, 7, 8, 11, 12]) / 30
    given = clip(times)
    given.xy[8, 3] = np.nan  # a joint of the wanted frame stays as the detector gave it
    given.xy[5, 4] = np.nan
    made, target = even_window(given, times[8], 27)
    at = made.frame_times()
    assert np.allclose(np.diff(at), 1 / 30, rtol=0.1) and at[target] == times[8]
    assert at[0] >= times[0] - 1e-9 and at[-1] <= times[-1] + 1e-9
    np.testing.assert_array_equal(made.xy[target], given.xy[8])
    known = np.isin(np.arange(17), [3, 4], invert=True)
    np.testing.assert_allclose(made.xy[:, known], clip(at).xy[:, known], atol=1e-3)
    assert np.isfinite(made.xy[np.arange(len(at)) != target]).all()  # missing joints are filled in
    assert (made.confidence[:, 4] < 0.79).any() and np.allclose(made.confidence[:, known], 0.8)
    made, target = even_window(given, times[8], 5)
    assert len(made) == 5 and made.frame_times()[target] == times[8]
    steady = given.select(np.arange(3))
    assert even_window(steady, times[1], 27) == (steady, 1)
