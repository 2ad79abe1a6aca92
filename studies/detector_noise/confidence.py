"""What a detector's confidence says of its errors, and when it is low."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import spearmanr

from studies.detector_noise.common import GROSS, LOW, Array, stretches

_TOGETHER = {
    "hip, knee": ((1, 2), (4, 5)),
    "knee, ankle": ((2, 3), (5, 6)),
    "shoulder, elbow": ((11, 12), (14, 15)),
    "elbow, wrist": ((12, 13), (15, 16)),
    "left and right ankle": ((3, 6),),
    "left and right wrist": ((13, 16),),
    "wrist, ankle of a side": ((13, 6), (16, 3)),
}
EDGES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Ends of the ranges of confidence in tables."""


@dataclass(frozen=True)
class ConfidenceFit:
    """confidence = sigmoid(sure - doubt e + mood n), e the error in units of the person, n unit noise.

    Attributes:
        sure, doubt, mood: fitted to the logits (of confidence within 0.001 and 0.999) by least squares.
        mood_of_joints: the part of `mood` that is constant for a joint.
        memory: correlation of the changing part of n from one frame to the next.
        rank: Spearman's correlation of error and confidence, all joints.
        rank_within: the same within each joint, mean.
        bins: for each range of confidence: its upper end, share of joints, median error, 90th percentile.
        above: share of joints above 0.9, and below LOW.
    """

    sure: float
    doubt: float
    mood: float
    mood_of_joints: float
    memory: float
    rank: float
    rank_within: float
    bins: tuple[tuple[float, float, float, float], ...]
    above: tuple[float, float]


def fit_confidence(error: Array, confidence: Array) -> ConfidenceFit | None:
    """How confidence (R, F, J) goes with the error's length (R, F, J), NaN where unknown; None if it says nothing."""
    known = np.isfinite(error) & (confidence > 0)
    e, c = error[known], confidence[known]
    if len(e) < 100 or np.ptp(c) < 1e-3 or np.ptp(e) == 0:
        return None
    # beyond GROSS a straight line in the logit would hang on a few points
    y = logit(np.clip(confidence, 1e-3, 1 - 1e-3))
    x = np.minimum(np.where(known, error, 0), GROSS)
    slope, sure = np.polyfit(x[known], y[known], 1)
    rest = np.where(known, y - sure - slope * x, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        of_joint = np.nanmean(rest, axis=(0, 1))
        changing = rest - of_joint
        memory = np.nanmean(changing[:, 1:] * changing[:, :-1]) / np.nanmean(np.square(changing))
        within = [
            spearmanr(error[..., j][known[..., j]], confidence[..., j][known[..., j]])[0]
            for j in range(error.shape[-1])
            if known[..., j].sum() > 20 and np.ptp(confidence[..., j][known[..., j]]) > 0
        ]
    bins = []
    for low, high in zip((0.0, *EDGES[:-1]), EDGES, strict=True):
        inside = (c > low) & (c <= high)
        some = inside.sum() >= 10
        bins.append(
            (
                high,
                float(inside.mean()),
                float(np.median(e[inside])) if some else float("nan"),
                float(np.percentile(e[inside], 90)) if some else float("nan"),
            )
        )
    return ConfidenceFit(
        sure=float(sure),
        doubt=float(-slope),
        mood=float(np.nanstd(rest)),
        mood_of_joints=float(np.nanstd(of_joint)),
        memory=float(memory),
        rank=float(spearmanr(e, c)[0]),
        rank_within=float(np.mean(within)) if within else float("nan"),
        bins=tuple(bins),
        above=(float((c > 0.9).mean()), float((c < LOW).mean())),
    )


@dataclass(frozen=True)
class DropOuts:
    """Joints with confidence below LOW, and joints not found, in frames in which the person was seen.

    Attributes:
        frames: share of frames without the person at all, between the first and the last seen.
        joints: (J,) share of seen frames in which the joint is low.
        lengths: median and 90th percentile of the stretches, frames.
        stretches: how many.
        together: correlation (phi) of two joints' being low, for pairs of joints; NaN where one never is.
    """

    frames: float
    joints: tuple[float, ...]
    lengths: tuple[float, float]
    stretches: int
    together: dict[str, float]


def drop_outs(confidence: Array, found: NDArray[np.bool_]) -> DropOuts:
    """Stretches of low confidence; confidence and found are (R, F, J)."""
    lengths: list[int] = []
    lows, unseen = [], []
    for trust, there in zip(confidence, found, strict=True):
        seen = there.any(-1)
        if not seen.any():
            continue
        first, last = np.flatnonzero(seen)[[0, -1]]
        unseen.append(float((~seen[first : last + 1]).mean()))
        low = (trust < LOW) & seen[:, None]
        lengths += [b - a for j in range(low.shape[1]) for a, b in stretches(low[:, j])]
        lows.append(low[seen])
    low = np.concatenate(lows) if lows else np.zeros((1, confidence.shape[-1]), bool)
    together = {}
    for name, pairs in _TOGETHER.items():
        a, b = (np.concatenate([low[:, pair[side]] for pair in pairs]).astype(float) for side in (0, 1))
        together[name] = float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")
    middle = np.percentile(lengths, [50, 90]) if lengths else np.full(2, np.nan)
    return DropOuts(
        frames=float(np.mean(unseen)) if unseen else 1.0,
        joints=tuple(map(float, low.mean(0))),
        lengths=(float(middle[0]), float(middle[1])),
        stretches=len(lengths),
        together=together,
    )
