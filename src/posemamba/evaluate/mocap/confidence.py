"""How a lifter's error goes with the detector's confidence in the 2D joints."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Bin:
    """The error of joints whose confidence was above `low` and up to `high` (both 0: lost); None: there were none."""

    label: str
    low: float
    high: float
    joints: int
    p1: float | None


@dataclass(frozen=True)
class Calibration:
    """How the error goes with the detector's confidence; the pelvis, whose error is 0, is left out.

    Attributes:
        bins: from lost to sure.
        spearman: rank correlation of confidence and error, over all joints.
        spearman_within_joints: its mean over the joints, each by itself: without what joints have in common.
    """

    bins: tuple[Bin, ...]
    spearman: float
    spearman_within_joints: float


def calibrate(errors: NDArray[np.floating], confidence: NDArray[np.floating]) -> Calibration | None:
    """How errors (N, joints) go with confidence (N, joints); None where that is the same everywhere."""
    if np.ptp(confidence) == 0:
        return None
    bins = []
    for low, high in ((0.0, 0.0), *itertools.pairwise(EDGES)):
        inside = confidence == 0 if high == 0 else (confidence > low) & (confidence <= high)
        label = "lost" if high == 0 else f"{low:g} to {high:g}"
        found = errors[inside]
        bins.append(Bin(label, low, high, found.size, float(found.mean(dtype=np.float64)) if found.size else None))
    within = [
        spearmanr(c, e).statistic
        for c, e in zip(confidence.T, errors.T, strict=True)
        if np.ptp(c) > 0 and np.ptp(e) > 0
    ]
    whole = spearmanr(confidence.ravel(), errors.ravel()).statistic if np.ptp(errors) > 0 else 0.0
    return Calibration(tuple(bins), float(whole), float(np.mean(within)) if within else 0.0)
