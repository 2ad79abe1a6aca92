"""Measure which quality checks mark frames that are truly wrong, and print the tables of docs/quality.md.

The input is motion capture seen by the benchmark's cameras: at most 5 s of each clip, from one camera. The 2D joints
have the benchmark's noise and its synthetic confidence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from posemamba.lifting.lifter import Lifter
from posemamba.poses.skeletons import LIMB_SEGMENTS
from posemamba.quality import CHECKS, Fault, Quality, measure_quality
from posemamba.quality.common import JOINTS, Array
from posemamba.quality.verdict import is_heavy, verdict
from studies.command_line import add_benchmark_options, every_nth_clip, report, study_parser
from studies.refinement_tables import shots

NUMBERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "joints sure, share": lambda n: n["detection"]["joints_sure"],
    "reprojection, mean of body": lambda n: n["reprojection"]["mean_of_body"],
    "reprojection, 95 % of body": lambda n: n["reprojection"]["p95_of_body"],
    "bones, mean spread": lambda n: n["bones"]["spread"],
    "bones, worst spread": lambda n: n["bones"]["worst_spread"],
    "bones, left against right": lambda n: max(map(abs, n["bones"]["left_over_right"].values()), default=None),
    "limbs, fastest 1 % (degrees a second)": lambda n: max(
        limb["p99_deg_s"] or 0.0 for limb in n["flips"]["by_limb"].values()
    ),
    "feet, 95 % (mm)": lambda n: n["feet"]["p95_mm"],
    "bent backwards, share of frames": lambda n: max(v or 0.0 for v in n["bends"]["share_of_frames"].values()),
    "expected error, mean (mm)": lambda n: n["expected"]["mean_mm"],
    "expected error, 95 % (mm)": lambda n: n["expected"]["p95_mm"],
    "acceleration, median": lambda n: n["smoothness"]["raw"]["median"],
    "acceleration, 95 %": lambda n: n["smoothness"]["raw"]["p95"],
}

LARGEST = {
    "expected error": "expected error, mean (mm)",
    "reprojection": "reprojection, mean of body",
    "bones": "bones, mean spread",
}
"""Series with a limit for frames, and the number that has one for clips."""


@dataclass
class Sample:
    """Faults of one clip, as lifted and of the truth, and the error of the lifted poses.

    Attributes:
        error, joints: (F,) and (F, 17) millimetres.
    """

    lifted: Quality
    truth: Quality
    error: Array
    joints: Array


def samples(weights: str, split: str, every: int) -> Iterator[Sample]:
    """Yield the sample of each `every`-th clip."""
    lifter = Lifter.from_pretrained(weights)
    for shot in shots(split, every=every):
        lifted = shot.placed(lifter(shot.noisy, lens=shot.lens))
        joints = 1000 * np.linalg.norm(shot.off(lifted), axis=-1)
        yield Sample(measure_quality(lifted), measure_quality(shot.placed(shot.truth)), joints.mean(-1), joints)


def measure_checks(weights: str, split: str, every: int) -> str:
    """Return tables in Markdown: ranks of the numbers by clip, errors of the marked frames, verdicts, single joints."""
    found = list(samples(weights, split, every))
    p1 = np.array([s.error.mean() for s in found])
    frames = sum(len(s.error) for s in found)
    lines = [
        f"{split}, {len(found)} clips, {frames} frames, weights {weights}, "
        f"P1 {np.concatenate([s.error for s in found]).mean():.1f} mm",
        "",
        "| number, by clip | clips | rank correlation with P1 | median, lifted | median, truth | 95 %, truth |",
        "|---|---|---|---|---|---|",
    ]
    for name, take in NUMBERS.items():
        ours = np.array([_float(take(s.lifted.numbers)) for s in found])
        true = np.array([_float(take(s.truth.numbers)) for s in found])
        known = np.isfinite(ours)
        rank = spearmanr(ours[known], p1[known]).statistic if known.sum() > 2 and np.ptp(ours[known]) > 0 else np.nan
        middle = [_percentile(ours, 50), _percentile(true, 50), _percentile(true, 95)]
        lines.append(f"| {name} | {known.sum()} | {rank:.2f} | " + " | ".join(f"{v:.3g}" for v in middle) + " |")
    lines += [
        "",
        "| check | frames marked | P1 there | elsewhere in these clips | clips with it | truth: frames marked |",
        "|---|---|---|---|---|---|",
    ]
    kinds: dict[str, Callable[[Fault], bool]] = {}
    for check in CHECKS:
        if check in ("bone", "reprojection"):
            kinds[f"{check}, whole body"] = partial(_is_of, check, False)
            kinds[f"{check}, one part"] = partial(_is_of, check, True)
        else:
            kinds[check] = partial(_is_of, check, None)
    kinds |= {"not to be trusted, all together": is_heavy}
    for name, chosen in kinds.items():
        marks = [s.lifted.marked(chosen) for s in found]
        wrong = sum(int(s.truth.marked(chosen).sum()) for s in found)
        inside = [s.error[m] for s, m in zip(found, marks, strict=True) if m.any()]
        outside = [s.error[~m] for s, m in zip(found, marks, strict=True) if m.any()]
        count = sum(map(len, inside))
        if not count and not wrong:
            continue
        there = np.concatenate(inside).mean() if count else np.nan
        beside = np.concatenate(outside).mean() if sum(map(len, outside)) else np.nan
        lines.append(
            f"| {name} | {count / frames:.1%} | {there:.0f} | {beside:.0f} | {len(inside)} | {wrong / frames:.2%} |"
        )
    lines += ["", "| verdict | clips | P1, mean of clips | least | most |", "|---|---|---|---|---|"]
    words = [verdict(s.lifted).word for s in found]
    for word in ("good", "use with care", "do not trust"):
        of = p1[[w == word for w in words]]
        if len(of):
            lines.append(f"| {word} | {len(of)} | {of.mean():.0f} | {of.min():.0f} | {of.max():.0f} |")
    for name in ("reprojection", "bones", "turning", "confidence", "expected error"):
        series = [s.lifted.series[name] for s in found]
        errors = [s.error[np.isfinite(v)] for s, v in zip(found, series, strict=True)]
        series = [v[np.isfinite(v)] for v in series]
        if not sum(map(len, series)):
            continue  # weights without expected errors
        every = spearmanr(np.concatenate(series), np.concatenate(errors)).statistic
        within = np.nanmean([spearmanr(v, e).statistic for v, e in zip(series, errors, strict=True) if len(v) > 5])
        lines += [
            "",
            f"{name}, frame by frame: rank correlation with the frame's error {every:.2f}; within clips {within:.2f}",
        ]
    lines += ["", "| largest value | of a clip | of a frame |", "|---|---|---|"]
    for series, name in LARGEST.items():
        of_clips = np.array([_float(NUMBERS[name](s.lifted.numbers)) for s in found])
        of_frames = np.concatenate([s.lifted.series[series] for s in found])
        lines.append(f"| {series} | {_percentile(of_clips, 100):.3g} | {_percentile(of_frames, 100):.3g} |")
    lines += ["", "| one part | its joint's error there | elsewhere in these clips |", "|---|---|---|"]
    for check in ("bone", "flip", "bend", "reprojection"):
        there, beside = _joint_errors(found, check)
        if len(there):
            lines.append(f"| {check} | {there.mean():.0f} | {beside.mean():.0f} |")
    return "\n".join(lines)


def _joint_errors(found: list[Sample], check: str) -> tuple[Array, Array]:
    """Return errors of the joint at the marked part's end, in the marked frames and in the clip's other frames."""
    there, beside = [np.zeros(0)], [np.zeros(0)]
    for sample in found:
        parts: dict[str, list[Fault]] = {}
        for fault in sample.lifted.faults:
            if fault.check == check and fault.part:
                parts.setdefault(fault.part, []).append(fault)
        for part, faults in parts.items():
            mask = sample.lifted.marked(faults.__contains__)
            there.append(sample.joints[mask, _end_of(part, check)])
            beside.append(sample.joints[~mask, _end_of(part, check)])
    return np.concatenate(there), np.concatenate(beside)


def _end_of(part: str, check: str) -> int:
    """The joint that moves: of a bone its end, of a bent joint the next one."""
    if part in LIMB_SEGMENTS:
        return LIMB_SEGMENTS[part][1]
    if check == "bend":
        return JOINTS.index(part.replace("knee", "ankle").replace("elbow", "wrist"))
    return JOINTS.index(part.rpartition(" to ")[2])


def _is_of(check: str, part: bool | None, fault: Fault) -> bool:
    """Tell whether a fault is of this check and, where `part` is given, of a part of the body or of the whole."""
    return fault.check == check and (part is None or bool(fault.part) == part)


def _percentile(values: Array, share: float) -> float:
    """Return a percentile of the finite values; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, share)) if len(finite) else np.nan


def _float(value: Any) -> float:
    return np.nan if value is None else float(value)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; return the exit status."""
    parser = study_parser("quality_thresholds", __doc__)
    add_benchmark_options(parser, "test")
    given = parser.parse_args(arguments)
    return report(lambda: print(measure_checks(given.weights, given.split or "test", every_nth_clip(given))))


if __name__ == "__main__":
    sys.exit(main())
