"""One line for one person. What counts, and how much, was measured on motion capture: docs/quality.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemamba.poses import Motion3D, Poses3D
from posemamba.quality.common import Fault, Mask, runs
from posemamba.quality.measure import measure_quality
from posemamba.quality.result import Quality
from posemamba.utils.errors import PoseMambaError

HEAVY = ("doubt", "jump", "flip", "bend")
"""Checks whose frames are not to be trusted, and the whole-body faults of `bone` and `reprojection`."""
LIGHT = ("swap", "reprojection", "uncertain")
"""Checks that say to look: exchanged 2D joints, which the lifting need not have followed, single joints, and depth that
is a guess. Those left out say little of the pose (docs/quality.md)."""
REPROJECTION_CARE, SPREAD_CARE = 0.012, 0.06
"""Mean reprojection, of the body, and the bones' mean spread, from which on a whole clip needs care."""
EXPECTED_CARE = 70.0
"""Mean expected error, millimetres, likewise."""
_FEW = 0.05  # share of the frames that are not to be trusted in a good clip
_MOST = 0.5
_LONG = 20000  # frames: more take several seconds, which nobody asked for
_NEAR = 0.2  # seconds: marked stretches nearer than that are told as one


@dataclass(frozen=True)
class Verdict:
    """What to make of a result.

    Attributes:
        word: ``good``, ``use with care`` or ``do not trust``.
        line: the word, which frames not to trust, and why.
        avoid: [first, last] frames not to be trusted.
        look: [first, last] frames to look at.
    """

    word: str
    line: str
    avoid: list[list[int]]
    look: list[list[int]]


def is_heavy(fault: Fault) -> bool:
    """Whether the frames of a fault are not to be trusted."""
    return fault.check in HEAVY or (fault.check in ("bone", "reprojection") and not fault.part)


def verdict(quality: Quality) -> Verdict:
    """Weigh the faults of one person."""
    if not quality.seen.any():
        return Verdict("do not trust", "do not trust: nobody was seen", [[0, len(quality.times) - 1]], [])
    gap = max(1, round(_NEAR / _step(quality)))
    bad = quality.marked(is_heavy) & quality.seen
    doubtful = quality.marked(lambda f: f.check in LIGHT) & ~bad & quality.seen
    avoid = _merged(bad, gap, quality.seen)
    inside = np.zeros(len(bad), bool)
    for a, b in avoid:
        inside[a : b + 1] = True
    look = _merged(doubtful & ~inside, gap, ~inside)
    reasons = []
    if (mean := quality.numbers["reprojection"]["mean_of_body"]) is not None and mean > REPROJECTION_CARE:
        reasons.append(f"lifted and 2D joints are {mean:.1%} of the body apart on average")
    if (spread := quality.numbers["bones"]["spread"]) is not None and spread > SPREAD_CARE:
        reasons.append(f"bones change their lengths by {spread:.0%}")
    if (off := quality.numbers["expected"]["mean_mm"]) is not None and off > EXPECTED_CARE:
        reasons.append(f"joints are expected to be {off:.0f} mm off on average")
    share = bad[quality.seen].mean()
    if share > _MOST:
        word = "do not trust"
    elif reasons or share > _FEW:
        word = "use with care"
    else:
        word = "good"
    parts = [word + (": " + ", ".join(reasons) if reasons else "")]
    if not quality.seen.all():
        parts.append(f"seen in {int(quality.seen.sum())} of {len(quality.times)} frames")
    if avoid:
        told = [f"{_name(a, b)} ({_why(quality, a, b)})" for a, b in avoid[:8]]
        more = f", and {len(avoid) - 8} more stretches" if len(avoid) > 8 else ""
        parts.append(f"do not trust frames {', '.join(told)}{more}")
    if look:
        told = [f"{_name(a, b)}" for a, b in look[:8]]
        parts.append(f"look at {', '.join(told)}" + (f" and {len(look) - 8} more" if len(look) > 8 else ""))
    return Verdict(word, "; ".join(parts), avoid, look)


def verdicts(people: Sequence[Poses3D], motions: Sequence[Motion3D]) -> list[str]:
    """A line for each person, for the end of a command; motions may be empty, and what cannot be judged is left out."""
    lines = []
    for i, poses in enumerate(people):
        name = f"person {poses.keypoints.person}: " if len(people) > 1 else ""
        if len(poses) > _LONG:
            lines.append(f"{name}a long clip; posemamba quality judges it")
            continue
        try:
            quality = measure_quality(poses, motions[i] if motions else None)
            judged = verdict(quality)
        except PoseMambaError:
            continue  # times that do not rise: the result is there nevertheless
        told = "".join(
            f"; {n} stretch{'es' * (n > 1)} {what}"
            for n, what in ((len(judged.avoid), "not to be trusted"), (len(judged.look), "to be looked at"))
            if n
        )
        if (off := quality.numbers["expected"]["mean_mm"]) is not None:
            told += f"; joints about {off:.0f} mm off on average, by the weights' own estimate"
        lines.append(f"{name}{judged.word}{told} (posemamba quality says which and why)")
    return lines


def _step(quality: Quality) -> float:
    return float(np.median(np.diff(quality.times))) if len(quality.times) > 1 else 1.0


def _merged(mask: Mask, gap: int, over: Mask) -> list[list[int]]:
    """[first, last] of the stretches, those with at most `gap` frames of `over` between them as one."""
    out: list[list[int]] = []
    for a, b in runs(mask):
        if out and a - out[-1][1] - 1 <= gap and over[out[-1][1] + 1 : a].all():
            out[-1][1] = b
        else:
            out.append([a, b])
    return out


def _name(a: int, b: int) -> str:
    return str(a) if a == b else f"{a}-{b}"


_WORDS = {
    "doubt": "the detector is unsure",
    "jump": "perhaps somebody else",
    "flip": "limbs flip",
    "bend": "a joint bends backwards",
    "bone": "bones of wrong lengths",
    "reprojection": "does not fit the 2D joints",
}


def _why(quality: Quality, a: int, b: int) -> str:
    """The check that marks most of these frames, and others that mark a quarter of them."""
    counts = {}
    for check in _WORDS:
        heavy = [f for f in quality.faults if f.check == check and is_heavy(f)]
        counts[check] = int(quality.marked(heavy.__contains__)[a : b + 1].sum())
    order = sorted((c for c in counts if counts[c]), key=lambda c: -counts[c])
    told = [c for c in order if c == order[0] or counts[c] >= 0.25 * (b - a + 1)][:3]
    return ", ".join(_WORDS[c] for c in told)
