"""A lifter's error as a function of the detector's confidence in the 2D joints."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class ConfidenceBin:
    """The error of joints in a range of confidence.

    Attributes:
        label: the range as text.
        low, high: the range (low, high]; both 0 for lost joints.
        joints: the number of joints.
        p1: their mean error, millimetres; None: there are no joints.
    """

    label: str
    low: float
    high: float
    joints: int
    p1: float | None


@dataclass(frozen=True)
class ErrorByConfidence:
    """The error by the detector's confidence, without the pelvis, whose error is 0.

    Attributes:
        bins: by rising confidence, lost joints first.
        spearman: rank correlation of confidence and error, over all joints.
        spearman_within_joints: mean of the joints' own rank correlations, without differences between joints.
    """

    bins: tuple[ConfidenceBin, ...]
    spearman: float
    spearman_within_joints: float


def error_by_confidence(errors: NDArray[np.floating], confidence: NDArray[np.floating]) -> ErrorByConfidence | None:
    """Measure the error by confidence.

    Args:
        errors: (N, joints) millimetres.
        confidence: (N, joints) from 0 to 1.

    Returns:
        None if all confidences are equal.
    """
    if np.ptp(confidence) == 0:
        return None
    bins = []
    for low, high in ((0.0, 0.0), *itertools.pairwise(EDGES)):
        inside = confidence == 0 if high == 0 else (confidence > low) & (confidence <= high)
        label = "lost" if high == 0 else f"{low:g} to {high:g}"
        found = errors[inside]
        bins.append(
            ConfidenceBin(label, low, high, found.size, float(found.mean(dtype=np.float64)) if found.size else None)
        )
    within = [
        spearmanr(c, e).statistic
        for c, e in zip(confidence.T, errors.T, strict=True)
        if np.ptp(c) > 0 and np.ptp(e) > 0
    ]
    whole = spearmanr(confidence.ravel(), errors.ravel()).statistic if np.ptp(errors) > 0 else 0.0
    return ErrorByConfidence(tuple(bins), float(whole), float(np.mean(within)) if within else 0.0)
