"""The verdict on one person's poses, in one line. Its weights were measured on motion capture: docs/quality.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from posemamba.poses import Poses3D
from posemamba.poses.posture import MOST
from posemamba.quality.common import Fault, Mask, true_spans
from posemamba.quality.measure import Quality, measure_quality
from posemamba.utils.errors import PoseMambaError

HEAVY = ("doubt", "jump", "flip", "bend")
"""Checks whose frames are not to be trusted. So are whole-body faults of `bone` and `reprojection`."""
LIGHT = ("swap", "reprojection", "uncertain")
"""Checks whose frames should be looked at: swapped 2D joints, which the lifting need not have followed; single joints;
and uncertain depth. The other checks mean little for the pose (docs/quality.md)."""
REPROJECTION_CARE, SPREAD_CARE = 0.012, 0.06
"""Mean reprojection error, as a share of the body, and mean spread of bone lengths, above which a clip needs care."""
EXPECTED_CARE = 70.0
"""Mean expected error, millimetres, above which a clip needs care."""
_FEW = 0.05  # the largest share of frames that are not to be trusted in a good clip
_MOST = 0.5  # the share above which the clip is not to be trusted
_LONG = 20000  # frames: longer clips would take several seconds at the end of a lift
_NEAR = 0.2  # seconds: marked spans nearer than this are reported as one


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
    """Weigh the faults of one person."""
    if not quality.seen.any():
        nobody = "nobody was seen"
        return Verdict("do not trust", f"do not trust: {nobody}", [[0, len(quality.times) - 1]], [], [nobody])
    gap = max(1, round(_NEAR / _step(quality)))
    bad = quality.marked(is_heavy) & quality.seen
    doubtful = quality.marked(lambda f: f.check in LIGHT) & ~bad & quality.seen
    avoid = _merged(bad, gap, quality.seen)
    inside = np.zeros(len(bad), bool)
    for first, last in avoid:
        inside[first : last + 1] = True
    look = _merged(doubtful & ~inside, gap, ~inside)
    reasons = []
    if (mean := quality.numbers["reprojection"]["mean_of_body"]) is not None and mean > REPROJECTION_CARE:
        reasons.append(f"lifted and 2D joints are {mean:.1%} of the body apart on average")
    if (spread := quality.numbers["bones"]["spread"]) is not None and spread > SPREAD_CARE:
        reasons.append(f"bones change their lengths by {spread:.0%}")
    if (off := quality.numbers["expected"]["mean_mm"]) is not None and off > EXPECTED_CARE:
        reasons.append(f"joints are expected to be {off:.0f} mm off on average")
    reasons += _odd_posture(quality)
    share = bad[quality.seen].mean()
    if share > _MOST or quality.numbers["detection"]["head_down"] > MOST:
        word = "do not trust"
    elif reasons or share > _FEW:
        word = "use with care"
    else:
        word = "good"
    parts = [word + (": " + ", ".join(reasons) if reasons else "")]
    if not quality.seen.all():
        parts.append(f"seen in {int(quality.seen.sum())} of {len(quality.times)} frames")
    if avoid:
        shown = [f"{_name(first, last)} ({explain_frames(quality, first, last)})" for first, last in avoid[:8]]
        more = f", and {len(avoid) - 8} more spans" if len(avoid) > 8 else ""
        parts.append(f"do not trust frames {', '.join(shown)}{more}")
    if look:
        shown = [_name(first, last) for first, last in look[:8]]
        parts.append(f"look at {', '.join(shown)}" + (f" and {len(look) - 8} more" if len(look) > 8 else ""))
    return Verdict(word, "; ".join(parts), avoid, look, reasons)


def verdicts(people: Sequence[Poses3D]) -> list[str]:
    """Return a line for each person, for the end of a command; people who cannot be judged are left out.

    Args:
        people: results of lifting.
    """
    lines = []
    for poses in people:
        name = f"person {poses.person}: " if len(people) > 1 else ""
        if len(poses) > _LONG:
            lines.append(f"{name}a long clip; posemamba quality judges it")
            continue
        try:
            quality = measure_quality(poses)
            judged = verdict(quality)
        except PoseMambaError:
            continue  # times that do not rise: the result is there nevertheless
        counts = "".join(
            f"; {n} span{'s' * (n > 1)} of frames {what}"
            for n, what in ((len(judged.avoid), "not to be trusted"), (len(judged.look), "to be looked at"))
            if n
        )
        counts = "".join(f": {reason}" for reason in _odd_posture(quality)) + counts
        if (off := quality.numbers["expected"]["mean_mm"]) is not None:
            counts += f"; joints about {off:.0f} mm off on average, by the weights' own estimate"
        lines.append(f"{name}{judged.word}{counts} (posemamba quality says which and why)")
    return lines


def _odd_posture(quality: Quality) -> list[str]:
    """Return the reason not to trust a body that is not upright in most frames; none for another."""
    head_down, on_side = (quality.numbers["detection"][name] for name in ("head_down", "on_side"))
    if head_down > MOST:
        return [f"the body stands on its head in {head_down:.0%} of the frames"]
    return [f"the body lies across the picture in {on_side:.0%} of the frames"] if on_side > MOST else []


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
    "doubt": "the detector is unsure",
    "jump": "perhaps somebody else",
    "flip": "limbs flip",
    "bend": "a joint bends backwards",
    "bone": "bones of wrong lengths",
    "reprojection": "does not fit the 2D joints",
    "swap": "left and right change places in 2D",
    "uncertain": "large errors are expected",
    "not seen": "the person was not seen",
}


def explain_frames(quality: Quality, first: int, last: int, *, heavy: bool = True) -> str:
    """Name the check that marks most of these frames, and others that mark a quarter of them.

    Args:
        quality: of the person.
        first, last: the frames, both included.
        heavy: of the faults whose frames are not to be trusted; else of those to look at.
    """
    counts = {}
    for check in _WORDS:
        chosen = [f for f in quality.faults if f.check == check and is_heavy(f) == heavy]
        counts[check] = int(quality.marked(chosen.__contains__)[first : last + 1].sum())
    order = sorted((c for c in counts if counts[c]), key=lambda c: -counts[c])
    named = [c for c in order if c == order[0] or counts[c] >= 0.25 * (last - first + 1)][:3]
    return ", ".join(_WORDS[c] for c in named)
