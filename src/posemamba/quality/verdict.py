"""The verdict on one person's poses, in one line. Its weights were measured on motion capture: docs/quality.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from posemamba.poses.posture import MOST
from posemamba.poses.trust import WORDS
from posemamba.quality.common import Fault, Mask, true_spans
from posemamba.quality.measure import Quality

HEAVY = ("posture", "doubt", "jump", "flip", "bend", "guessed", "far off")
"""Checks whose frames are not to be trusted. So are whole-body faults of `bone` and `reprojection`."""
LIGHT = ("swap", "reprojection", "uncertain", "hidden")
"""Checks whose frames should be looked at: swapped 2D joints, which the lifting need not have followed; single joints;
uncertain depth; and limbs that are hidden for a short time. The other checks mean little for the pose
(docs/quality.md)."""
REPROJECTION_CARE, SPREAD_CARE = 0.012, 0.06
"""Mean reprojection error, as a share of the body, and mean spread of bone lengths, above which a clip needs care."""
EXPECTED_CARE, EXPECTED_AVOID = 70.0, 120.0
"""Mean expected error, millimetres, above which a clip needs care, and above which it is not to be trusted."""
SEEN_CARE, SEEN_AVOID = 0.8, 0.5
"""Shares of the frames in which the person was found, below which a clip needs care, and is not to be trusted."""
GUESSED_CARE, GUESSED_AVOID = 0.25, 0.5
"""Shares of the person's frames with two limbs guessed, above which a clip needs care, and is not to be trusted."""
_MOST = 0.5  # the share of frames that are not to be trusted above which the clip is not to be trusted
_NEAR = 0.2  # seconds: marked spans nearer than this are reported as one
_BRIEF = 0.1  # seconds: shorter faults are bridged by the frames around them, and to be looked at


@dataclass(frozen=True)
class Verdict:
    """The verdict on one person's poses.

    Attributes:
        word: ``good``, ``use with care`` or ``do not trust``.
        line: the word, the frames not to trust, and why.
        avoid: [first, last] frames not to be trusted, both included.
        look: [first, last] frames to look at, both included.
        reasons: what speaks against the clip as a whole, in plain words.
    """

    word: str
    line: str
    avoid: list[list[int]]
    look: list[list[int]]
    reasons: list[str] = field(default_factory=list)


def is_heavy(fault: Fault) -> bool:
    """Return True if the frames of a fault are not to be trusted."""
    return fault.check in HEAVY or (fault.check in ("bone", "reprojection") and not fault.part)


def verdict(quality: Quality) -> Verdict:
    """Weigh the faults of one person.

    A good clip has no frame that is not to be trusted. Frames without the person are not to be trusted either, except
    before they come and after they have left. Faults of less than 0.1 s are to be looked at.
    """
    frames = len(quality.times)
    if not quality.seen.any():
        nobody = "nobody was seen"
        return Verdict("do not trust", f"do not trust: {nobody}", [[0, frames - 1]], [], [nobody])
    gap = max(1, round(_NEAR / _step(quality)))
    there = _between(quality.seen)
    bad = (quality.marked(is_heavy) | ~quality.seen) & there
    doubtful = (quality.marked(lambda f: f.check in LIGHT) | bad) & there
    brief = min(frames, max(2, round(_BRIEF / _step(quality))))
    avoid = [span for span in _merged(bad, gap, there) if span[1] - span[0] + 1 >= brief]
    inside = np.zeros(frames, bool)
    for first, last in avoid:
        inside[first : last + 1] = True
    look = _merged(doubtful & ~inside, gap, ~inside & there)
    found = _weighed(quality, float(bad[quality.seen].mean()))
    word = WORDS[max([1 if avoid else 0, *(weight for weight, _ in found)])]
    reasons = [reason for weight, reason in sorted(found, key=lambda item: -item[0])]
    if frames == 1:
        reasons = [reason.replace(" in 100% of the frames", "") for reason in reasons]
    parts = [word + (": " + ", ".join(reasons) if reasons else "")]
    if not quality.seen.all():
        parts.append(f"seen in {int(quality.seen.sum())} of {frames} frames")
    if avoid:
        why = explain_spans(quality, avoid[:8])
        shown = [f"{_name(first, last)} ({text})" for (first, last), text in zip(avoid, why, strict=False)]
        more = f", and {len(avoid) - 8} more spans" if len(avoid) > 8 else ""
        parts.append(f"do not trust frames {', '.join(shown)}{more}")
    if look:
        shown = [_name(first, last) for first, last in look[:8]]
        parts.append(f"look at {', '.join(shown)}" + (f" and {len(look) - 8} more" if len(look) > 8 else ""))
    return Verdict(word, "; ".join(parts), avoid, look, reasons)


def _weighed(quality: Quality, bad: float) -> list[tuple[int, str]]:
    """Return (weight, reason) of what speaks against the clip as a whole; the weight is an index of `WORDS`.

    Args:
        quality: of the person.
        bad: share of the person's frames that are not to be trusted.
    """
    numbers = quality.numbers
    detection, limbs = numbers["detection"], numbers["limbs"]
    found: list[tuple[int, str]] = []

    def weigh(value: float | None, care: float, avoid: float, reason: Callable[[float], str]) -> None:
        if value is not None and value > care:
            found.append((2 if value > avoid else 1, reason(value)))

    if len(quality.times) == 1:
        found.append((1, "a single picture shows less of the depth than a clip"))
    weigh(
        1 - detection["detected"],
        1 - SEEN_CARE,
        1 - SEEN_AVOID,
        lambda missing: f"the person was found in only {1 - missing:.0%} of the frames",
    )
    guessed = limbs["two_guessed"]
    if limbs["legs_guessed"] and limbs["legs_guessed"] > GUESSED_CARE:
        out = limbs["legs_outside"] >= 0.5 * limbs["legs_guessed"]
        what = "the legs are outside of the picture" if out else "the legs were not seen, and are guessed,"
        weigh(guessed, GUESSED_CARE, GUESSED_AVOID, lambda _: f"{what} in {limbs['legs_guessed']:.0%} of the frames")
    else:
        weigh(guessed, GUESSED_CARE, GUESSED_AVOID, lambda share: f"two limbs are guessed in {share:.0%} of the frames")
    weigh(
        numbers["expected"]["mean_mm"],
        EXPECTED_CARE,
        EXPECTED_AVOID,
        lambda off: f"joints are expected to be {off:.0f} mm off on average",
    )
    weigh(
        numbers["reprojection"]["mean_of_body"],
        REPROJECTION_CARE,
        np.inf,
        lambda mean: f"lifted and 2D joints are {mean:.1%} of the body apart on average",
    )
    weigh(numbers["bones"]["spread"], SPREAD_CARE, np.inf, lambda s: f"bones change their lengths by {s:.0%}")
    weigh(detection["head_down"], MOST, MOST, lambda share: f"the body stands on its head in {share:.0%} of the frames")
    if detection["head_down"] <= MOST:
        weigh(
            detection["on_side"],
            MOST,
            np.inf,
            lambda share: f"the body lies across the picture in {share:.0%} of the frames",
        )
    if bad > _MOST and not any(weight == 2 for weight, _ in found):
        single = len(quality.times) == 1
        found.append((2, explain_spans(quality, [[0, 0]])[0] if single else f"faults in {bad:.0%} of the frames"))
    return found


def _between(seen: Mask) -> Mask:
    """Return (F,) the frames from the first to the last in which the person was seen."""
    there = np.zeros(len(seen), bool)
    known = np.flatnonzero(seen)
    there[known[0] : known[-1] + 1] = True
    return there


def _step(quality: Quality) -> float:
    return float(np.median(np.diff(quality.times))) if len(quality.times) > 1 else 1.0


def _merged(mask: Mask, gap: int, over: Mask) -> list[list[int]]:
    """Return the spans of a mask as [first, last], joined across at most `gap` frames if all of these are in `over`."""
    merged: list[list[int]] = []
    for start, end in true_spans(mask):
        if merged and start - merged[-1][1] - 1 <= gap and over[merged[-1][1] + 1 : start].all():
            merged[-1][1] = end - 1
        else:
            merged.append([start, end - 1])
    return merged


def _name(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


_WORDS = {
    "posture": "the body stands on its head",
    "doubt": "the detector is unsure",
    "jump": "perhaps somebody else",
    "flip": "limbs flip",
    "bend": "a joint bends backwards",
    "bone": "bones of wrong lengths",
    "reprojection": "does not fit the 2D joints",
    "swap": "left and right change places in 2D",
    "guessed": "two limbs were not seen",
    "far off": "very large errors are expected",
    "hidden": "two limbs were not seen",
    "uncertain": "large errors are expected",
    "not seen": "the person was not seen",
}


def explain_spans(quality: Quality, spans: Sequence[Sequence[int]], *, heavy: bool = True) -> list[str]:
    """Name for each span the check that marks most of its frames, and others that mark a quarter of them.

    Args:
        quality: of the person.
        spans: [first, last] frames, both included.
        heavy: by faults whose frames are not to be trusted; else also by those to look at.
    """
    counts = {}  # of each check's frames before each frame
    for check in _WORDS:
        marked = quality.marked(partial(_is_from, check, heavy))
        counts[check] = np.concatenate([[0], np.cumsum(marked)])
    lines = []
    for first, last in spans:
        inside = {check: int(total[last + 1] - total[first]) for check, total in counts.items()}
        order = sorted((c for c in inside if inside[c]), key=lambda c: -inside[c])
        named = [c for c in order if c == order[0] or inside[c] >= 0.25 * (last - first + 1)]
        lines.append(", ".join(dict.fromkeys(_WORDS[c] for c in named[:3])))
    return lines


def _is_from(check: str, heavy: bool, fault: Fault) -> bool:
    """Tell whether a check found the fault, and gave it weight, or much of it; frames without the person have much."""
    much = is_heavy(fault) or check == "not seen"
    return fault.check == check and (much or (not heavy and check in LIGHT))
