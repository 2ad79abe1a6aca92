"""Check of the expected error that the weights estimate themselves: the only sign of a wrong depth."""

from __future__ import annotations

import numpy as np

from posemamba.quality.common import (
    JOINTS,
    CheckResult,
    JudgedClip,
    frame_mean,
    joined,
    known_mean,
    number,
    percentile,
    true_spans,
)

EXPECTED_LOOK = 75.0
"""Millimetres of expected error, mean of the joints, from which on a frame is marked."""
_LEAST = 0.2  # seconds


def check_expected(clip: JudgedClip) -> CheckResult:
    """Check the expected errors of joints relative to the pelvis, in millimetres of this body."""
    result = CheckResult()
    frames = len(clip.times)
    errors = np.full((frames, len(JOINTS) - 1), np.nan)
    if clip.poses.expected_error is not None:
        mm = 1000 * clip.metre / clip.size
        errors = clip.poses.expected_error[:, 1:].astype(np.float64) * mm[:, None]  # all joints but the pelvis
        errors[~clip.usable] = np.nan
    mean = frame_mean(errors)
    by_joint = {name: number(known_mean(errors[:, j])) for j, name in enumerate(JOINTS[1:])}
    known = {name: value for name, value in by_joint.items() if value is not None}
    result.numbers = {
        "mean_mm": number(known_mean(mean)),
        "p95_mm": number(percentile(mean, 95)),
        "worst": max(known, key=known.__getitem__) if known else None,
        "by_joint_mm": by_joint,
    }
    result.series["expected error"] = mean
    for a, b in true_spans(joined(np.nan_to_num(mean) > EXPECTED_LOOK, clip.frames_in(0.1)), clip.frames_in(_LEAST)):
        text = f"joints are expected to be {np.nanmean(mean[a:b]):.0f} mm off on average: the depth is a guess"
        result.faults.append(clip.fault("uncertain", "", (a, b), text))
    return result
