"""How long errors last: their variance divided into a constant, a slow, a quick and a white part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from studies.detector_noise.common import GROSS, Array

TEMPI = (12, 4)
"""Frames over which the slow and the quick part of `detect_badly`'s jitter change."""
FEWEST = 14
"""Frames from which on there are all lags of the third differences."""
_LAGS = 40


@dataclass(frozen=True)
class Tempi:
    """How an error's variance divides; shares that add up to 1.

    Attributes:
        constant: stays over the clip. NaN where it cannot be seen (keypoints alone).
        slow, quick: changes over about 12 and 4 frames. Slow is NaN where it cannot be seen.
        white: new in every frame.
    """

    constant: float
    slow: float
    quick: float
    white: float

    def of_jitter(self) -> tuple[float, float, float]:
        """Weights of slow, quick and white noise whose squares add up to 1, without the constant part."""
        parts = np.array([self.slow, self.quick, self.white])
        total = np.nansum(parts)
        slow, quick, white = np.sqrt(parts / total) if total > 0 else parts
        return float(slow), float(quick), float(white)


def _tempo(every: int, lags: int) -> Array:
    """(lags,) autocovariance of unit values joined by lines, one in `every` frames: a cubic B-spline."""
    x = np.arange(lags) / every
    inner, outer = 2 / 3 - x**2 + x**3 / 2, (2 - x) ** 3 / 6
    spline: Array = np.where(x < 1, inner, np.where(x < 2, outer, 0.0))
    return spline / spline[0]


def _products(series: Array, lags: int) -> Array:
    """(lags, J) mean product of each joint with itself some frames later; series (R, F, J, 2), NaN where unknown."""
    found = np.isfinite(series)
    x = np.where(found, series, 0.0)
    frames = series.shape[1]
    rows = []
    for lag in range(min(lags, frames - 1)):
        total = (x[:, lag:] * x[:, : frames - lag]).sum((0, 1, 3))
        count = (found[:, lag:] & found[:, : frames - lag]).sum((0, 1, 3))
        rows.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return np.array(rows)


def autocorrelation(residual: Array, lags: int = _LAGS) -> Array:
    """(lags,) mean over joints of the autocorrelation of errors (R, F, J, 2), their constant part included."""
    products = _products(residual, lags)
    used = products[0] > 0
    if not used.any():
        return np.full(len(products), np.nan)
    return np.asarray(np.nanmean(products[:, used] / products[0, used], axis=1))


def fit_tempi(residual: Array) -> Tempi:
    """Divide errors (R, F, J, 2) by tempo: least squares on their autocorrelation, shares not negative; 0 if none."""
    measured = autocorrelation(residual)
    if not np.isfinite(measured).all():
        return Tempi(0.0, 0.0, 0.0, 0.0)
    lags = len(measured)
    white = np.eye(1, lags)[0]
    shapes = np.stack([np.ones(lags), _tempo(TEMPI[0], lags), _tempo(TEMPI[1], lags), white], 1)
    # lag 0 is the sum of all parts and its equation must hold; later lags come from fewer frames
    weight = np.r_[10.0, np.linspace(1, 0.3, lags - 1)]
    shares, _ = nnls(shapes * weight[:, None], measured * weight)
    return Tempi(*(float(s) for s in shares / max(shares.sum(), 1e-12)))


def fast_part(xy: Array) -> tuple[Array, Tempi]:
    """What trembles too fast to be motion: third differences of places over time, of neighbouring and of every second
    frame.

    Of a movement of 1 Hz at 30 frames a second they keep 1 and 7 % of the height, of white noise 4.5 times its size.

    Args:
        xy: (F, J, 2) in units of the person's size, NaN where not found, FEWEST frames at least.

    Returns:
        (J,) size of quick and white jitter together, and their shares.
    """
    lags, shapes, measured = 7, [], []
    for stride in (1, 2):
        kernel = np.zeros(3 * stride + 1)
        kernel[::stride] = 1, -3, 3, -1
        bend = np.stack([k * xy[i : len(xy) - 3 * stride + i] for i, k in enumerate(kernel) if k]).sum(0)[None]
        measured.append(_products(np.where(np.abs(bend) > 8 * GROSS, np.nan, bend), lags))
        spread = np.convolve(kernel, kernel[::-1])
        span = lags + len(spread)
        for tempo in (_tempo(TEMPI[1], span), np.eye(1, span)[0]):
            both_sides = np.r_[tempo[:0:-1], tempo]
            shapes.append(np.convolve(both_sides, spread, mode="same")[span - 1 : span - 1 + lags])
    table = np.array(shapes).reshape(2, 2, lags).swapaxes(1, 2).reshape(2 * lags, 2)
    products = np.concatenate(measured)
    used = np.isfinite(products).all(0) & (products[0] > 0)
    size = np.full(xy.shape[1], np.nan)
    shares = np.zeros(2)
    for joint in np.flatnonzero(used):
        parts, _ = nnls(table, products[:, joint])
        size[joint] = np.sqrt(parts.sum())
        shares += parts / max(parts.sum(), 1e-12) / used.sum()
    return size, Tempi(np.nan, np.nan, float(shares[0]), float(shares[1]))
