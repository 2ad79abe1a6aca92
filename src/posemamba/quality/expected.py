"""What the weights themselves expect to be wrong: the only thing that tells a wrong depth, which nothing else shows."""

from __future__ import annotations

import numpy as np

from posemamba.quality.common import JOINTS, Clip, Found, frame_mean, joined, number, percentile, runs

EXPECTED_LOOK = 75.0
"""Millimetres, mean of the joints, that a frame is expected to be off from which on it is to be looked at."""
_LEAST = 0.2  # seconds


def check_expected(clip: Clip) -> Found:
    """Expected distance of each joint from where it is relative to the pelvis, in millimetres of this body."""
    found = Found()
    frames = len(clip.times)
    errors = np.full((frames, len(JOINTS) - 1), np.nan)
    if clip.poses.expected_error is not None:
        mm = 1000 * clip.metre / clip.size
        errors = clip.poses.expected_error[:, 1:].astype(np.float64) * mm[:, None]  # all joints but the pelvis
        errors[~clip.usable] = np.nan
    mean = frame_mean(errors)
    by_joint = {name: number(_mean(errors[:, j])) for j, name in enumerate(JOINTS[1:])}
    known = {name: value for name, value in by_joint.items() if value is not None}
    found.numbers = {
        "mean_mm": number(_mean(mean)),
        "p95_mm": number(percentile(mean, 95)),
        "worst": max(known, key=known.__getitem__) if known else None,
        "by_joint_mm": by_joint,
    }
    found.series["expected error"] = mean
    for a, b in runs(joined(np.nan_to_num(mean) > EXPECTED_LOOK, clip.frames_in(0.1)), clip.frames_in(_LEAST)):
        text = f"joints are expected to be {np.nanmean(mean[a : b + 1]):.0f} mm off on average: the depth is a guess"
        found.faults.append(clip.fault("uncertain", "", a, b, text))
    return found


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
