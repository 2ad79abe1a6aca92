"""Smooth curves over time through noisy values, robust against outliers.

Shapes: n times, K values at one time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HUBER = 1.5
"""Residuals beyond this many (robust) standard deviations count linearly, not squared (Huber 1964)."""


def roughness(times: Array) -> Array:
    """Return the roughness penalty P of a curve c: c'Pc is the integral of its squared second derivative.

    Args:
        times: (n,) seconds, rising; need not be even.

    Returns:
        (3, n) the lower bands of P, as `scipy.linalg.solveh_banded` takes them.
    """
    n = len(times)
    bands = np.zeros((3, n))
    if n < 3:
        return bands
    left, right = np.diff(times)[:-1], np.diff(times)[1:]
    both = left + right
    d = np.stack([2 / (left * both), -2 / (left * right), 2 / (right * both)])  # second divided difference
    for i in range(3):
        for k in range(i + 1):
            bands[i - k, k : k + n - 2] += both / 2 * d[i] * d[k]
    return bands


def stiffness(times: Array, cutoff: float) -> float:
    """Return the weight of `roughness` that halves a wave of `cutoff` hertz, for data of weight 1 per frame.

    A penalised fit passes 1/(1 + weight w^4 dt) of a wave of w radians a second (Whittaker 1923, Eilers 2003).
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return 1 / (step * (2 * math.pi * cutoff) ** 4)


def huber_weights(residuals: Array, weights: Array) -> Array:
    """Return the factors for the weights in iteratively reweighted least squares, in the shape of the residuals.

    Args:
        residuals: lengths, at least 0.
        weights: of the residuals, in the same shape.
    """
    spread = weighted_median(residuals.ravel(), weights.ravel()) / 0.6745
    if not spread > 1e-12:
        return np.ones_like(residuals)
    return np.minimum(1, HUBER * spread / np.maximum(residuals, 1e-300))


def weighted_median(values: Array, weights: Array) -> float:
    """Return the smallest value below which lies half of the weight."""
    order = np.argsort(values)
    total = weights[order]
    np.cumsum(total, out=total)
    return float(values[order[min(np.searchsorted(total, total[-1] / 2), len(order) - 1)]])


def fit_curve(times: Array, values: Array, weights: Array, cutoff: float, rounds: int = 8) -> Array:
    """Fit a smooth curve to several noisy values at each time, robust against outliers.

    Args:
        times: (n,) seconds.
        values: (n, K).
        weights: (n, K).
        cutoff: hertz; less than half of a faster wave is kept.
        rounds: of reweighting.

    Returns:
        (n,) the curve; a constant for fewer than three times.
    """
    from scipy.linalg import LinAlgError, solveh_banded

    n, penalty = len(times), roughness(times)
    robust = np.ones_like(values)
    curve = np.zeros(n)
    for _ in range(rounds):
        w = weights * robust
        total = w.sum(1)
        if n < 3:
            curve = np.full(n, (w * values).sum() / w.sum())
        else:
            bands = penalty * (stiffness(times, cutoff) * total.mean())
            bands[0] += total
            try:
                curve = solveh_banded(bands, (w * values).sum(1), lower=True)
            except LinAlgError:  # the clip is far shorter than the curve's waves: it is stiff beyond rounding
                curve = np.full(n, (w * values).sum() / w.sum())
        robust = huber_weights(np.abs(values - curve[:, None]), weights)
    return curve


def local_fit(values: Array, width: int, order: int) -> tuple[Array, Array]:
    """Fit a polynomial to the frames around each one (Savitzky and Golay); at the ends the first and last full window.

    The same as `scipy.signal.savgol_filter`, whose module takes half a second to import.

    Args:
        values: (n, K), n at least `width`.
        width: frames of a window, odd.
        order: of the polynomial, at least 1.

    Returns:
        (n, K) the polynomials' values in the frames, and (n, K) their slopes by the frame.
    """
    half = width // 2
    windows = np.lib.stride_tricks.sliding_window_view(values, width, axis=0)  # (n - width + 1, K, width)
    taps = np.linalg.pinv(np.vander(np.arange(-half, half + 1.0), order + 1, increasing=True))
    fits = windows @ taps.T  # (n - width + 1, K, order + 1)
    last = len(fits) - 1
    frames = np.arange(len(values))
    chosen = np.clip(frames - half, 0, last)
    x = (frames - half - chosen)[:, None, None]
    powers = np.arange(order + 1)
    fitted = (fits[chosen] * x**powers).sum(-1)
    slopes = (fits[chosen][..., 1:] * powers[1:] * x ** powers[:-1]).sum(-1)
    return fitted, slopes


def known_median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the median over the last axis without NaN; NaN if there is nothing else.

    It is many times faster than numpy.nanmedian.
    """
    ordered = np.sort(values, axis=-1)  # NaN comes last
    count = np.isfinite(values).sum(-1)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[..., None], -1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1)[..., None], -1)[..., 0]
    return np.asarray(np.where(count > 0, (low + high) / 2, np.nan))
