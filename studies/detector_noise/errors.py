"""How large errors are, of which joints, and how they are distributed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from posemamba.data.augment import DIFFICULTY
from studies.detector_noise.common import GROSS, Array
from studies.detector_noise.tempi import Tempi, fit_tempi


@dataclass(frozen=True)
class ErrorSizes:
    """Sizes of errors (R, F, J, 2) in units of the person.

    Attributes:
        joints: (J,) of each joint, the constant part included, errors beyond GROSS left out.
        size: of the changing part at a joint of difficulty 1, over all joints.
        constant: of the constant part, likewise.
        difficulty: (J,) size of each joint's error in that of the shoulders and hips.
        tempi: shares.
        mean_distance: mean length of the error, gross ones included: what a report of 2D errors would give.
        gross: (J,) share of errors beyond GROSS.
        tails: length of the error in its root mean square of each joint, at 50, 90, 95 and 99 %. Normal errors: 0.83,
            1.52, 1.73, 2.15.
        swelling: standard deviation of the logarithm of the error's size over time (12 frames), above what normal
            errors would give; 0.5 in `detect_badly`.
    """

    joints: tuple[float, ...]
    size: float
    constant: float
    difficulty: tuple[float, ...]
    tempi: Tempi
    mean_distance: float
    gross: tuple[float, ...]
    tails: tuple[float, ...]
    swelling: float


def measure_errors(residual: Array) -> ErrorSizes:
    """Sizes, tempi and tails of errors (R, F, J, 2), in units of the person's size; NaN where unknown."""
    length = np.linalg.norm(residual, axis=-1)
    known = np.isfinite(length)
    count = np.maximum(known.sum((0, 1)), 1)
    gross = (np.where(known, length, 0) > GROSS).sum((0, 1)) / count
    fine = np.where((length > GROSS)[..., None], np.nan, residual)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # joints that were never found
        joints = np.sqrt(np.nanmean(np.square(fine), axis=(0, 1, 3)))
        tempi = fit_tempi(fine)
        at_one = np.sqrt(np.nanmean(np.square(joints / np.array(DIFFICULTY))))
        relative = np.linalg.norm(fine, axis=-1) / (joints * np.sqrt(2))
        steady = np.nanmean(joints[[1, 4, 11, 14]])
        tails = np.nanpercentile(relative, [50, 90, 95, 99])
        return ErrorSizes(
            joints=tuple(map(float, joints)),
            size=float(at_one * np.sqrt(1 - tempi.constant)),
            constant=float(at_one * np.sqrt(tempi.constant)),
            difficulty=tuple(map(float, joints / steady)),
            tempi=tempi,
            mean_distance=float(np.nanmean(length)),
            gross=tuple(map(float, gross)),
            tails=tuple(map(float, tails)),
            swelling=_swelling(fine),
        )


def _swelling(residual: Array) -> float:
    """How much the size of the trembling changes from stretch to stretch of 12 frames, beyond chance.

    Differences from frame to frame are taken: they are nearly independent of each other, so that the scatter of the
    logarithm of n of them is known (trigamma(n/2)/4).
    """
    from scipy.special import polygamma

    step = np.diff(residual, axis=1)
    frames = step.shape[1] // 12 * 12
    if frames < 24:
        return float("nan")
    parts = step[:, :frames].reshape(len(step), -1, 12, *step.shape[2:])
    energy = np.square(parts).mean((2, 4))  # NaN where one is unknown
    log = np.where(energy > 0, 0.5 * np.log(np.where(energy > 0, energy, 1)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanmean(np.nanvar(log, axis=1))
    independent = 24 / 1.5  # neighbouring differences are correlated
    return float(np.sqrt(max(spread - polygamma(1, independent / 2) / 4, 0)))
