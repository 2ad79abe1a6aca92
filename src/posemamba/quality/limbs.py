"""Check of limbs that the detector guesses: hidden, outside of the picture, or not found.

Shapes: F frames, J = 17 joints; the limbs in the order of `posemamba.poses.skeletons.LIMBS`.
"""

from __future__ import annotations

import numpy as np

from posemamba.poses.skeletons import LIMBS
from posemamba.quality.common import MIN_CONFIDENCE, CheckResult, JudgedClip, Mask, joined, number, true_spans

HIDDEN_SECONDS, GUESSED_SECONDS = 0.2, 0.5
"""Seconds for which two limbs are guessed from which on the frames are to be looked at, and not to be trusted."""
_ARMS, _LEGS = ("left arm", "right arm"), ("left leg", "right leg")


def check_limbs(clip: JudgedClip) -> CheckResult:
    """Find frames in which two limbs or more are guessed.

    A limb is guessed where both of its outer joints (knee and ankle, elbow and wrist) are, and a leg also where one of
    them lies outside of the picture: whole poses lean then. A joint is guessed where it was not found, lies outside of
    the picture, or has a confidence of `MIN_CONFIDENCE` or less.
    """
    result = CheckResult()
    seen, names = clip.network.seen, list(LIMBS)
    outside = _outside(clip)
    cut = _outer(outside, all_of=False) & [name in _LEGS for name in names]
    guessed = (_outer(_guessed(clip) | outside, all_of=True) | cut) & seen[:, None]
    away = _outer(outside, all_of=False) & guessed
    two: Mask = np.asarray(guessed.sum(1) >= 2)
    both = [names.index(leg) for leg in _LEGS]
    legs: Mask = np.asarray(guessed[:, both].all(1))
    legs_out: Mask = np.asarray(legs & away[:, both].all(1))
    frames = len(seen)
    look, avoid = (min(clip.frames_in(s), frames) for s in (HIDDEN_SECONDS, GUESSED_SECONDS))
    for a, b in true_spans(joined(two, clip.frames_in(0.1)), look):
        check = "guessed" if b - a >= avoid else "hidden"
        result.faults.append(clip.fault(check, *_told(guessed[a:b], away[a:b], names, (a, b))))

    def share(mask: Mask) -> float | None:
        return number(float(mask[seen].mean()) if seen.any() else np.nan)

    result.numbers = {
        "two_guessed": share(two),
        "legs_guessed": share(legs),
        "legs_outside": share(legs_out),
        "by_limb": {name: share(guessed[:, i]) for i, name in enumerate(names)},
    }
    return result


def _guessed(clip: JudgedClip) -> Mask:
    """Return (F, J) the joints that were not found, or of which the detector is not sure."""
    keypoints = clip.network.keypoints
    confidence = np.where(keypoints.found, np.nan_to_num(keypoints.confidence), 0.0)
    return np.asarray(confidence <= MIN_CONFIDENCE)


def _outside(clip: JudgedClip) -> Mask:
    """Return (F, J) the joints outside of the picture."""
    with np.errstate(invalid="ignore"):
        return np.asarray(((clip.xy < 0) | (clip.xy > np.array(clip.network.keypoints.image_size))).any(-1))


def _outer(joints: Mask, *, all_of: bool) -> Mask:
    """Return (F, 4) the limbs of which all outer joints, or any, are marked in (F, J)."""
    outer = np.stack([joints[:, list(limb[1:])] for limb in LIMBS.values()], 1)
    return np.asarray(outer.all(-1) if all_of else outer.any(-1))


def _told(guessed: Mask, away: Mask, names: list[str], span: tuple[int, int]) -> tuple[str, tuple[int, int], str]:
    """Return the part, the span and the text of a fault, of (S, 4) limbs guessed and outside of the picture in it."""
    often = [name for i, name in enumerate(names) if guessed[:, i].mean() >= 0.5]
    out = [name for i, name in enumerate(names) if away[:, i].mean() >= 0.5]
    for pair, part in ((_LEGS, "legs"), (_ARMS, "arms")):
        if set(pair) <= set(out):
            return part, span, f"the {part} are outside of the picture"
        if set(often) == set(pair):
            return part, span, f"the {part} were not seen: they are guessed"
    if len(often) < 2:
        return "", span, "two limbs were not seen: they are guessed"
    return "", span, f"{', '.join(often[:-1])} and {often[-1]} were not seen: they are guessed"
