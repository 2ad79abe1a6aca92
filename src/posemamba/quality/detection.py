"""Checks of the 2D joints: frames without the person, low confidence, jumps to another person, left-right swaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.keypoints import Span, find_jumps
from posemamba.poses.posture import MOST, posture
from posemamba.poses.skeletons import ARM_PAIRS, LEG_PAIRS
from posemamba.poses.times import find_pauses
from posemamba.quality.common import (
    JOINTS,
    MIN_CONFIDENCE,
    Array,
    CheckResult,
    JudgedClip,
    Mask,
    frame_mean,
    joined,
    known_mean,
    number,
    percentile,
    true_spans,
)
from posemamba.refine.common import MAX_GAP

SWAPPED = 0.1
"""Share of the body's size by which a limb's joints, swapped, must lie nearer to those of the frame before."""
_LONGEST_SWAP = 1.0  # seconds: after a longer one, the frames before may have been the swapped ones
_DOUBT_SECONDS = 0.3
_DOUBTFUL_JOINTS = 9  # of 17: more than half
_STILL_SECONDS = 1.0


def check_detection(clip: JudgedClip) -> CheckResult:
    """Check coverage, confidence, jumps and left-right swaps of the 2D joints."""
    result, frames = CheckResult(), len(clip.times)
    keypoints, seen = clip.network.keypoints, clip.network.seen
    confidence = np.where(keypoints.found, np.nan_to_num(keypoints.confidence.astype(np.float64)), 0.0)
    for a, b in true_spans(~seen):
        result.faults.append(clip.fault("not seen", "", (a, b), "the person was not seen"))
    doubtful = (confidence <= MIN_CONFIDENCE) & seen[:, None]
    long = clip.frames_in(_DOUBT_SECONDS)
    joints = {}
    for j, name in enumerate(JOINTS):
        spans = true_spans(doubtful[:, j], long)
        joints[name] = {
            "found": number(float(keypoints.found[seen, j].mean()) if seen.any() else np.nan),
            "sure": number(float((~doubtful[seen, j]).mean()) if seen.any() else np.nan),
            "doubtful_s": [[float(clip.times[a]), float(clip.times[b - 1])] for a, b in spans],
        }
    for a, b in true_spans(doubtful.sum(1) >= _DOUBTFUL_JOINTS):
        count = int(np.median(doubtful[a:b].sum(1)))
        text = f"the detector is unsure of {count} of 17 joints"
        if not (confidence[a:b] > 0).any():
            text = "the detector did not find the person; the 2D joints are filled in"
        result.faults.append(clip.fault("doubt", "", (a, b), text))
    for span in _elsewhere(clip):
        text = "the 2D joints jumped here by more than a body: perhaps somebody else"
        result.faults.append(clip.fault("jump", "", span, text))
    swaps = 0
    for part, pairs in (("legs", LEG_PAIRS), ("arms", ARM_PAIRS)):
        for span in _swapped(clip, pairs):
            swaps += 1
            result.faults.append(clip.fault("swap", part, span, f"left and right {part} change places in 2D"))
    given = confidence[seen][keypoints.found[seen]]
    varies = bool(len(given) and not (given == given[0]).all())
    if len(given) and not varies:
        result.remarks.append(
            f"all joints have confidence {given[0]:g}: none was given, so all that are found are trusted"
            if given[0] == 1  # the readers' value where a file has none
            else f"all joints have confidence {given[0]:g}: it tells none apart, so all that are found are trusted"
        )
    xy = keypoints.xy[seen]
    if len(xy) > clip.frames_in(_STILL_SECONDS) and np.array_equal(xy, np.broadcast_to(xy[:1], xy.shape), True):
        result.remarks.append(
            "the 2D joints are the same in all frames: nobody stands so still, so the picture or the detector stopped"
        )
    stands = posture(keypoints)
    if stands.remark:
        result.remarks.append(stands.remark)
    if stands.head_down > MOST:
        text = f"the body stands on its head in {stands.head_down:.0%} of the frames"
        result.faults.append(clip.fault("posture", "", (0, frames), text))
    result.numbers = {
        "seen": float(seen.mean()) if frames else None,
        "detected": float((seen & (confidence > 0).any(1)).mean()) if frames else 0.0,
        "joints_found": number(float(keypoints.found[seen].mean()) if seen.any() else np.nan),
        "joints_sure": number(float((~doubtful[seen]).mean()) if seen.any() else np.nan),
        "confidence_given": varies,
        "head_down": stands.head_down,
        "on_side": stands.on_side,
        "jumps": len(_jumps(clip)),
        "swaps": swaps,
        "by_joint": joints,
    }
    result.series["confidence"] = np.where(seen, confidence.mean(-1), np.nan)
    return result


def _jumps(clip: JudgedClip) -> NDArray[np.intp]:
    """Return the frames at which the 2D joints jump, but for those after a pause, in which anybody may have walked."""
    jumps = find_jumps(clip.network.keypoints)
    return jumps[~np.isin(jumps, _after_pauses(clip))]


def _after_pauses(clip: JudgedClip) -> NDArray[np.intp]:
    """Return the first frame after each pause between two frames."""
    return 1 + np.flatnonzero(find_pauses(clip.times, MAX_GAP))


def _elsewhere(clip: JudgedClip) -> list[Span]:
    """Find spans that may show another person: every other one between jumps, those with fewer frames in total."""
    seen, jumps = clip.network.seen, _jumps(clip)
    if not len(jumps):
        return []
    starts = [int(np.argmax(seen)), *jumps.tolist()]
    ends = [int(np.flatnonzero(seen[:j])[-1]) + 1 for j in [*jumps, len(seen)]]
    spans = list(zip(starts, ends, strict=True))
    counts = [sum(int(seen[a:b].sum()) for a, b in spans[parity::2]) for parity in (0, 1)]
    return spans[1::2] if counts[1] <= counts[0] else spans[0::2]


def _swapped(clip: JudgedClip, pairs: tuple[tuple[int, int], ...]) -> list[Span]:
    """Find spans in which the pairs are swapped: from a change to the change back, or the frame of a lone change."""
    xy = clip.xy
    if len(xy) < 2:
        return []
    changes = np.setdiff1d(np.flatnonzero(_changes(xy, pairs)) + 1, _after_pauses(clip))
    longest, i = clip.frames_in(_LONGEST_SWAP), 0
    out: list[Span] = []
    while i < len(changes):
        back = i + 1 < len(changes) and changes[i + 1] - changes[i] <= longest
        out.append((int(changes[i]), int(changes[i + 1]) if back else int(changes[i]) + 1))
        i += 2 if back else 1
    return out


def _changes(xy: Array, pairs: tuple[tuple[int, int], ...]) -> Mask:
    """Return (F - 1,) the frames whose joints, swapped, lie clearly nearer to those of the frame before."""
    left, right = np.array(pairs).T
    known: Mask = np.asarray(np.isfinite(xy).all(-1))
    boxes = np.where(known[..., None], xy, np.inf).min(1), np.where(known[..., None], xy, -np.inf).max(1)
    extent = (boxes[1] - boxes[0]).max(-1)[known.any(-1)]
    size = float(np.median(extent)) if len(extent) else np.nan
    before, after = xy[:-1], xy[1:]
    kept = np.linalg.norm(after[:, [*left, *right]] - before[:, [*left, *right]], axis=-1).mean(-1)
    crossed = np.linalg.norm(after[:, [*left, *right]] - before[:, [*right, *left]], axis=-1).mean(-1)
    return np.asarray(kept - crossed > SWAPPED * size)


EXPECTED_LOOK, EXPECTED_AVOID = 75.0, 120.0
"""Millimetres of expected error, mean of the joints, above which a frame is to be looked at, and not to be trusted."""
_LEAST = 0.2  # seconds


def check_expected(clip: JudgedClip) -> CheckResult:
    """Check the expected errors of joints relative to the pelvis, in millimetres of this body."""
    result = CheckResult()
    frames = len(clip.times)
    errors = np.full((frames, len(JOINTS) - 1), np.nan)
    if clip.network.expected_error is not None:
        mm = 1000 * clip.metre / clip.size
        errors = clip.network.expected_error[:, 1:].astype(np.float64) * mm[:, None]  # all joints but the pelvis
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
    least = min(clip.frames_in(_LEAST), frames)  # a single picture, too
    far = _lasting(mean > EXPECTED_AVOID, clip, least)
    for check, marked in (("far off", far), ("uncertain", _lasting((mean > EXPECTED_LOOK) & ~far, clip, least))):
        for a, b in true_spans(marked & ~np.isnan(mean)):
            text = f"joints are expected to be {np.nanmean(mean[a:b]):.0f} mm off on average: the depth is a guess"
            result.faults.append(clip.fault(check, "", (a, b), text))
    return result


def _lasting(marked: Mask, clip: JudgedClip, least: int) -> Mask:
    """Return (F,) the marked frames with short gaps filled, without spans of fewer than `least` frames."""
    out = np.zeros(len(marked), bool)
    for a, b in true_spans(joined(marked, clip.frames_in(0.1)), least):
        out[a:b] = True
    return out
