"""Smoothing over time, on each segment independently.

All three filters take their strength as a frequency, so that it means the same at every frame rate: a movement of
`cutoff` hertz keeps 71 % of its amplitude (-3 dB), slower ones more, faster ones less. (The one-euro filter's cutoff
rises with speed.) Where frame times are uneven or frames are missing within a segment, the positions are resampled to
even times, filtered and resampled back (piecewise cubic, without overshoot: Fritsch and Carlson 1980). Frames in which
nobody was seen stay NaN.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np

from posemamba.poses import Poses3D, Step
from posemamba.refine.common import (
    Array,
    Mask,
    body_length,
    bone_lengths,
    checked,
    feet_positions,
    positions,
    segment_frames,
    with_step,
)
from posemamba.utils.errors import PoseMambaError

__all__ = ["BETA", "CUTOFFS", "DEFAULT_METHOD", "Method", "smooth"]

Method = Literal["one-euro", "butterworth", "savitzky-golay"]
DEFAULT_METHOD: Method = "butterworth"
CUTOFFS: dict[Method, float] = {"one-euro": 2.0, "butterworth": 4.0, "savitzky-golay": 4.0}
"""Default cutoffs in hertz. Measured, see docs/refine.md."""
BETA = 15.0
"""One-euro filter: hertz by which the cutoff rises at a speed of one body length a second."""
BRIDGE = 0.2
"""Seconds: shorter gaps without the person are interpolated and do not end a segment."""
_ORDER = 2  # of Butterworth's filter each way, and the polynomial's degree of Savitzky and Golay
_UNEVEN = 0.01  # share of a frame's duration by which evenly spaced frame times may be off


def smooth(
    motion: Poses3D,
    method: Method = DEFAULT_METHOD,
    cutoff: float | None = None,
    *,
    beta: float | None = None,
    both_ways: bool = True,
) -> Poses3D:
    """Remove jitter from a motion.

    Args:
        motion: in any unit and frame.
        method: ``one-euro`` (Casiez, Roussel and Vogel 2012: a first-order low-pass whose cutoff rises with the
            joint's speed), ``butterworth`` (second order, forward and backward, so without delay) or
            ``savitzky-golay`` (a quadratic fitted to a window, 1964).
        cutoff: hertz; lower is smoother. None: `CUTOFFS`.
        beta: one-euro only: hertz per body length a second of speed. None: `BETA`.
        both_ways: one-euro only: forward and then backward, without delay; False: forward alone, which uses no later
            frame.

    Returns:
        The motion, smoothed. The step reports the segments, those too short for the filter (left as they are), and how
        far joints were moved (root mean square, in the motion's unit).

    Raises:
        PoseMambaError: an unknown method, a strength out of range, or options of another method.
    """
    hertz, slope = check_smoothing(method, cutoff, beta, both_ways)
    xyz = positions(motion)
    unit = body_length(np.median(bone_lengths(xyz[motion.seen]), 0))

    def smoothed_points(points: Array, seen: Mask) -> tuple[Array, dict[str, int]]:
        return _smooth(motion, points, seen, method, hertz, slope / unit, both_ways)

    # the body relative to the pelvis, so that one-euro's speeds are those of the limbs, and the pelvis by itself
    root = xyz[:, :1]
    smoothed, counts = smoothed_points(np.concatenate([root, xyz[:, 1:] - root], 1), motion.seen)
    smoothed[:, 1:] += smoothed[:, :1]
    feet = feet_positions(motion)
    if feet is not None:
        feet = feet - root  # each point by itself, as it may be lost where others are seen
        each = np.split(feet, feet.shape[1], axis=1)
        feet = np.concatenate([smoothed_points(one, np.asarray(np.isfinite(one).all((1, 2))))[0] for one in each], 1)
        feet = feet + smoothed[:, :1]
    parameters = {"method": method, "cutoff_hz": hertz, "bridged_gap_seconds": BRIDGE}
    if method == "one-euro":
        parameters |= {"beta_hz_per_body_length_per_second": slope, "both_ways": both_ways}
    moved = np.linalg.norm(smoothed - xyz, axis=-1)[motion.seen]
    report = {**counts, "moved_rms": float(np.sqrt(np.mean(moved**2)))}
    return with_step(motion, Step("smooth", parameters, report), smoothed, feet=feet)


def _smooth(
    motion: Poses3D, points: Array, seen: Mask, method: Method, hertz: float, slope: float, both_ways: bool
) -> tuple[Array, dict[str, int]]:
    """Smooth points, (F, N, 3), in the frames in which they were seen, (F,); others stay.

    Args:
        motion: gives the frames' times.
        points, seen: see above.
        method, hertz, both_ways: as in `smooth`.
        slope: one-euro's, in hertz per unit of length a second.

    Returns:
        (F, N, 3), and the numbers of segments for the step's report.
    """
    from scipy.interpolate import PchipInterpolator

    times = motion.frame_times()
    smoothed, short, above, resampled = points.copy(), 0, 0, 0
    segments = segment_frames(motion, BRIDGE, seen)
    for frames in segments:
        if len(frames) < 3:
            short += 1
            continue
        at, values = times[frames], points[frames]
        if method == "one-euro":
            smoothed[frames] = _one_euro(at, values, hertz, slope, both_ways)
            continue
        step = float(np.median(np.diff(at)))
        if hertz >= 0.5 / step:  # beyond the Nyquist frequency: nothing to remove
            above += 1
            continue
        even = bool((np.abs(np.diff(at) / step - 1) < _UNEVEN).all())
        if not even:
            resampled += 1
            grid = np.linspace(at[0], at[-1], max(3, round((at[-1] - at[0]) / step) + 1))
            values, step = PchipInterpolator(at, values)(grid), float(grid[1] - grid[0])
        filtered = _butterworth(values, hertz, step) if method == "butterworth" else _polynomial(values, hertz, step)
        smoothed[frames] = filtered if even else PchipInterpolator(grid, filtered)(at)
    return smoothed, {
        "segments": len(segments),
        "too_short": short,
        "cutoff_above_half_the_frame_rate": above,
        "resampled_to_even_times": resampled,
    }


def check_smoothing(method: Method, cutoff: float | None, beta: float | None, both_ways: bool) -> tuple[float, float]:
    """Return the cutoff in hertz and one-euro's slope that `smooth` would use.

    Raises:
        PoseMambaError: no such method, a number out of range, or options that belong to another method.
    """
    if method not in get_args(Method):
        raise PoseMambaError(f"unknown smoothing '{method}', expected one of {', '.join(get_args(Method))}")
    if method != "one-euro" and (beta is not None or not both_ways):
        raise PoseMambaError(f"beta and both_ways belong to one-euro, not to {method}: leave them out")
    hertz = checked("smoothing's cutoff", CUTOFFS[method] if cutoff is None else cutoff, 0.01, 1000, "hertz")
    return hertz, checked("beta", BETA if beta is None else beta, 0, 1e6, "hertz per body length a second")


def _butterworth(values: Array, cutoff: float, step: float) -> Array:
    """Apply Butterworth's filter forward and backward to (n, J, 3)."""
    # two passes square the gain, so each is made wider for -3 dB in all (Winter, Biomechanics, 2.2.4.4)
    from scipy.signal import butter, sosfiltfilt

    wide = math.atan(math.tan(math.pi * cutoff * step) / (math.sqrt(2) - 1) ** (1 / (2 * _ORDER))) / math.pi
    sections = butter(_ORDER, min(wide / 0.5, 0.999), output="sos")
    # the filter's memory is about 1/cutoff; scipy's own padding of 9 frames is too short for low cutoffs
    pad = min(len(values) - 1, max(9, math.ceil(1 / (cutoff * step))))
    return np.asarray(sosfiltfilt(sections, values, axis=0, padlen=pad))


def _polynomial(values: Array, cutoff: float, step: float) -> Array:
    """Savitzky and Golay's filter over (n, J, 3), with the window that comes nearest to -3 dB at the cutoff."""
    from scipy.signal import savgol_coeffs, savgol_filter

    longest = (len(values) - 1) // 2 * 2 + 1
    best, least = 1, math.inf
    for window in range(_ORDER + 1 - _ORDER % 2, longest + 1, 2):
        if window <= _ORDER:
            continue
        taps = savgol_coeffs(window, _ORDER)
        gain = float((taps * np.cos(2 * np.pi * cutoff * step * (np.arange(window) - window // 2))).sum())
        if abs(gain - math.sqrt(0.5)) < least:
            best, least = window, abs(gain - math.sqrt(0.5))
        if gain < 0.5:
            break
    return np.asarray(savgol_filter(values, best, _ORDER, axis=0)) if best > _ORDER else values


def _one_euro(times: Array, values: Array, cutoff: float, beta: float, both_ways: bool) -> Array:
    """Apply the one-euro filter to (n, J, 3), with one cutoff for the three coordinates of a joint.

    `beta` is in hertz per unit of length a second.
    """

    def forward(steps: Array, given: Array) -> Array:
        out, speed = given.copy(), np.zeros_like(given[0])
        for i, dt in enumerate(steps, start=1):
            speed += _share(1.0, dt) * ((given[i] - given[i - 1]) / dt - speed)
            hertz = cutoff + beta * np.linalg.norm(speed, axis=-1, keepdims=True)
            out[i] = out[i - 1] + _share(hertz, dt) * (given[i] - out[i - 1])
        return out

    steps = np.diff(times)
    once = forward(steps, values)
    return forward(steps[::-1], once[::-1])[::-1] if both_ways else once


def _share(cutoff: float | Array, dt: float) -> Array:
    """Return the weight of a new value in a first-order low-pass of `cutoff` hertz after `dt` seconds."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * dt)))
