"""Smoothing: what passes, what does not, at any frame rate, around what was not seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.demo.walker import walk
from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.refine.smooth import smooth
from posemamba.utils.errors import PoseMambaError

METHODS = ("one-euro", "butterworth", "savitzky-golay")


def motion_of(xyz: NDArray[np.floating], times: NDArray[np.float64], seen: NDArray[np.bool_] | None = None) -> Poses3D:
    seen = np.ones(len(xyz), bool) if seen is None else seen
    xyz = np.where(seen[:, None, None], xyz, np.nan).astype(np.float32)
    keypoints = Keypoints2D(xyz[..., :2], np.ones(xyz.shape[:2]), H36M17, (1000, 1000), 50.0, times)
    return Poses3D.raw(NetworkPoses(xyz, np.ones(xyz.shape[:2], np.float32), seen, keypoints))


def wave(times: NDArray[np.float64], hertz: float, height: float = 20.0) -> NDArray[np.float64]:
    """A standing body, in pixels, all of whose joints swing aside."""
    body = np.repeat(walk(1, 50.0) * 300, len(times), axis=0).astype(np.float64)
    body[..., 0] += height * np.sin(2 * np.pi * hertz * times)[:, None]
    return body


def passed(motion: Poses3D, smoothed: Poses3D, hertz: float) -> float:
    """The share of the wave's height that is left, away from the ends."""
    times = motion.frame_times()
    middle = slice(len(times) // 5, -len(times) // 5)
    basis = np.stack([np.sin(2 * np.pi * hertz * times), np.cos(2 * np.pi * hertz * times), np.ones(len(times))], 1)
    fit = np.linalg.lstsq(basis[middle], smoothed.xyz[middle, 5, 0].astype(np.float64), rcond=None)[0]
    return float(np.hypot(*fit[:2]) / 20)


@pytest.mark.parametrize("fps", [25.0, 60.0])
@pytest.mark.parametrize("method", ["butterworth", "savitzky-golay"])
def test_a_wave_at_the_cutoff_keeps_71_percent(method: str, fps: float) -> None:
    times = np.arange(round(8 * fps)) / fps
    motion = motion_of(wave(times, 4.0), times)
    assert passed(motion, smooth(motion, method, 4.0), 4.0) == pytest.approx(np.sqrt(0.5), abs=0.1)  # whole windows
    slow = motion_of(wave(times, 0.5), times)
    assert passed(slow, smooth(slow, method, 4.0), 0.5) > 0.99


def test_butterworth_is_exact_at_the_cutoff_and_takes_the_fast_away() -> None:
    times = np.arange(400) / 50
    for hertz, least, most in ((4.0, 0.705, 0.709), (12.0, 0.0, 0.02)):
        motion = motion_of(wave(times, hertz), times)
        assert least <= passed(motion, smooth(motion, "butterworth", 4.0), hertz) <= most


@pytest.mark.parametrize("method", METHODS)
def test_noise_shrinks_and_raw_poses_stay(method: str) -> None:
    times = np.arange(150) / 50
    true = wave(times, 0.7)
    noisy = true + np.random.default_rng(0).normal(scale=4, size=true.shape)
    motion = motion_of(noisy, times)
    before = motion.network.xyz.copy()
    smoothed = smooth(motion, method)
    error = [np.sqrt(np.mean((m.xyz - true) ** 2)) for m in (motion, smoothed)]
    assert error[1] < 0.6 * error[0]
    np.testing.assert_array_equal(motion.network.xyz, before)
    np.testing.assert_array_equal(motion.xyz, before)
    step = smoothed.steps[-1]
    assert step.name == "smooth" and step.parameters["method"] == method and step.report["moved_rms"] > 1
    assert smoothed.network is motion.network


@pytest.mark.parametrize("method", METHODS)
def test_segments_do_not_touch_and_nan_stays(method: str) -> None:
    times = np.arange(120) / 50
    seen = np.ones(120, bool)
    seen[40:80] = False  # 0.8 s: two segments
    seen[100] = False  # a moment: one stretch
    body = wave(times, 0.5)
    jump = body.copy()
    jump[80:] += 500
    a, b = smooth(motion_of(body, times, seen), method), smooth(motion_of(jump, times, seen), method)
    assert (np.isnan(a.xyz).all((1, 2)) == ~seen).all()
    np.testing.assert_array_equal(a.xyz[:40], b.xyz[:40])
    assert a.steps[-1].report["segments"] == 2
    assert np.nanmax(np.abs(b.xyz[80:] - 500 - a.xyz[80:])) < 0.01


@pytest.mark.parametrize("method", ["butterworth", "savitzky-golay"])
def test_uneven_times_are_resampled(method: str) -> None:
    random = np.random.default_rng(1)
    times = np.sort(np.arange(300) / 50 + random.uniform(-0.006, 0.006, 300))
    true = wave(times, 0.8)
    smoothed = smooth(motion_of(true, times), method, 6.0)
    assert smoothed.steps[-1].report["resampled_to_even_times"] == 1
    assert np.abs(smoothed.xyz - true)[20:-20].max() < 0.6  # of 20


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 12])
def test_short_clips_stay_finite(method: str, frames: int) -> None:
    times = np.arange(frames) / 50
    body = wave(times, 1.0)
    smoothed = smooth(motion_of(body, times), method)
    assert np.isfinite(smoothed.xyz).all()
    if frames < 3:
        np.testing.assert_array_equal(smoothed.xyz, body.astype(np.float32))
        assert smoothed.steps[-1].report["too_short"] == 1


def test_one_euro_forward_looks_at_no_later_frame() -> None:
    times = np.arange(100) / 50
    body = wave(times, 1.0)
    changed = body.copy()
    changed[60:] += 100
    a, b = (smooth(motion_of(x, times), "one-euro", both_ways=False) for x in (body, changed))
    # the speed's unit is the median body's length, which the shift does not change
    np.testing.assert_allclose(a.xyz[:60], b.xyz[:60], atol=1e-4)


def test_wrong_options_are_named() -> None:
    times = np.arange(10) / 50
    motion = motion_of(wave(times, 1.0), times)
    with pytest.raises(PoseMambaError, match="unknown smoothing 'kalman'"):
        smooth(motion, "kalman")  # type: ignore[arg-type]
    with pytest.raises(PoseMambaError, match="cutoff is -1"):
        smooth(motion, "butterworth", -1)
    with pytest.raises(PoseMambaError, match="belong to one-euro"):
        smooth(motion, "butterworth", beta=3)
