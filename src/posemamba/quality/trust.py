"""Judge how far one person's poses can be trusted: a word, the reasons, and a level for each frame.

Shapes: F frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.trust import AVOID, FINE, LOOK, WORDS, Trust
from posemamba.quality.common import true_spans
from posemamba.quality.measure import Quality, measure_quality
from posemamba.quality.verdict import explain_spans, verdict
from posemamba.utils.errors import PoseMambaError

__all__ = ["AVOID", "FINE", "LOOK", "Trust", "judge", "trust", "verdicts"]


def judge(poses: Poses3D) -> Trust:
    """Return the verdict that the poses carry, or else judge them.

    Poses that cannot be measured are not to be trusted. To judge changed poses, call ``trust(measure_quality(poses))``.
    """
    if poses.trust is not None:
        return poses.trust
    try:
        return trust(measure_quality(poses))
    except PoseMambaError as error:  # times that do not rise, a body without a size
        reason = f"the poses cannot be checked: {error}"
        levels = np.full(len(poses), AVOID, np.uint8)
        share = float(poses.seen.mean()) if len(poses) else 0.0
        return Trust("do not trust", reason, [reason], levels, [(0, len(poses) - 1, AVOID, reason)], None, share)


def trust(quality: Quality) -> Trust:
    """Return the verdict on measured poses with a level for each frame."""
    judged, frames = verdict(quality), len(quality.times)
    levels = np.zeros(frames, np.uint8)
    stretches = []
    for level, spans in ((LOOK, judged.look), (AVOID, judged.avoid)):
        for (first, last), why in zip(spans, explain_spans(quality, spans, heavy=level == AVOID), strict=True):
            levels[first : last + 1] = level
            stretches.append((first, last, level, why))
    sentence = _sentence(judged.reasons, levels)
    if judged.word == WORDS[-1]:  # nothing of such a clip is fine
        for start, end in true_spans(levels == FINE):
            levels[start:end] = LOOK
            stretches.append((start, end - 1, LOOK, f"as the whole clip: {judged.reasons[0]}"))
    return Trust(
        judged.word,
        sentence,
        list(judged.reasons),
        levels,
        sorted(stretches),
        quality.numbers["expected"]["mean_mm"],
        quality.numbers["detection"]["detected"],
    )


def verdicts(people: Sequence[Poses3D]) -> list[str]:
    """Return a line for each person, for the end of a command."""
    lines = []
    for poses in people:
        judged = judge(poses)
        name = f"person {poses.person}: " if len(people) > 1 else ""
        off = ""
        if judged.expected_mm is not None and not any("mm off" in reason for reason in judged.reasons):
            off = f"; joints about {judged.expected_mm:.0f} mm off on average, by the weights' own estimate"
        lines.append(f"{name}{judged.line}{off} (posemamba quality says more)")
    return lines


def _sentence(reasons: list[str], levels: NDArray[np.uint8]) -> str:
    """Return the reasons and the shares of the marked frames in one line."""
    parts = ["; ".join(reasons)] if reasons else []
    for level, what in ((AVOID, "not to be trusted"), (LOOK, "to be looked at")):
        count = len(true_spans(levels == level))
        if level == AVOID and (levels == level).all() and len(levels) > 1:
            parts.append("no frame is to be trusted")
        elif count and len(levels) > 1:
            share = (levels == level).mean()
            shown = f"{share:.0%}" if share >= 0.01 else "less than 1%"
            parts.append(f"{count} stretch{'es' * (count > 1)} {what} ({shown} of the frames)")
    return "; ".join(parts) or "no check speaks against it"
