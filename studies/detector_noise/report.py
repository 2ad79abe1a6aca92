"""All that was measured of one detector, and its tables."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posemamba.data.augment import DIFFICULTY
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from studies.detector_noise.bodies import BONES, seen_proportions, training_bodies
from studies.detector_noise.common import GROSS, LIMBS, LOW, Array, person_unit
from studies.detector_noise.confidence import ConfidenceFit, DropOuts, drop_outs, fit_confidence
from studies.detector_noise.errors import ErrorSizes, measure_errors
from studies.detector_noise.invented import made_up
from studies.detector_noise.repeats import Repeats, consensus
from studies.detector_noise.swaps import Swaps, count_swaps, exchanged, exchanged_over_time
from studies.detector_noise.tempi import FEWEST, Tempi, autocorrelation, fast_part


@dataclass
class Report:
    """All that was measured; parts that could not be are None.

    Attributes:
        source, way, detector: what was measured and how.
        person: pixels of `person_size`.
        frames, fps: of the person.
        errors: of repeats, or against the truth.
        made_up: the same of `detect_badly`'s typical settings on the same motion.
        by_change: for each change of the picture: size of the constant difference from what all have in common (root
            mean square over joints) and the share of frames in which somebody else was found.
        mirror_bias: (J, 2) half the mean difference of the answer to the picture and to its mirror image.
        fast: (J,) size of what trembles too fast to be motion, and shares of quick and white; of the plain answer.
        made_up_fast: size of the same in the made-up errors, at a joint of difficulty 1.
        swaps, confidence, drop_outs: see there.
        seen: proportions as seen.
        training: 5th, 50th, 95th percentile of training bodies, in trunks.
    """

    source: str
    way: str
    detector: str
    person: float
    frames: int
    fps: float
    errors: ErrorSizes | None
    made_up: ErrorSizes
    by_change: dict[str, tuple[float, float]] | None
    mirror_bias: list[list[float]] | None
    fast: tuple[list[float], Tempi]
    made_up_fast: float
    swaps: Swaps
    confidence: ConfidenceFit | None
    drop_outs: DropOuts
    seen: dict[str, float]
    training: dict[str, tuple[float, float, float]] | None
    curves: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write JSON; what could not be measured is null."""

        def clean(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: clean(v) for k, v in value.items()}
            if isinstance(value, (list, tuple)):
                return [clean(v) for v in value]
            if isinstance(value, float):
                return round(value, 5) if np.isfinite(value) else None
            return value

        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(clean(asdict(self)), indent=1) + "\n", encoding="utf-8")


def _at_one(size: Sequence[float] | Array) -> float:
    return float(np.sqrt(np.nanmean(np.square(np.asarray(size) / np.array(DIFFICULTY)))))


def measure_repeats(repeats: Repeats, source: str, detector: str) -> Report:
    """What the answers to the changed pictures say of the detector."""
    common, _ = consensus(repeats.xy)
    unit = person_unit(common, source)
    swapped = [exchanged(one, common, unit) for one in repeats.xy]
    right = repeats.xy.copy()
    for limb, pairs in LIMBS.items():
        joints = np.array(pairs).ravel()
        for r, one in enumerate(swapped):
            right[r][np.ix_(one[limb].nonzero()[0], joints)] = np.nan
    common, difference = consensus(right)
    residual = difference / unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        constant = np.nanmean(np.where(np.abs(residual) > GROSS, np.nan, residual), axis=1)
        by_change = {
            name: (float(np.sqrt(np.nanmean(np.square(constant[r])))), repeats.elsewhere[r])
            for r, name in enumerate(repeats.names)
        }
        plain, mirrored = right[0], right[repeats.names.index("mirrored")]
        mirror_bias = np.nanmedian((plain - mirrored) / 2, axis=0) / unit
    return _report(
        source,
        f"{len(repeats.names)} repeats",
        detector,
        repeats.fps,
        unit,
        common,
        residual,
        repeats.xy,
        repeats.confidence,
        count_swaps(swapped, common),
        by_change=by_change,
        mirror_bias=np.round(mirror_bias, 5).tolist(),
    )


def measure_keypoints(keypoints: Keypoints2D, truth: Keypoints2D | None = None) -> Report:
    """What keypoints alone, or against the truth, say of the detector; any skeletons, the same frames.

    Raises:
        PoseMambaError: too few frames, other frames than the truth's, or no joint that is in both.
    """
    body = to_h36m17(keypoints)
    answered = np.asarray((body.confidence > 0).any(-1))
    xy = np.where(answered[:, None, None], body.xy, np.nan).astype(np.float64)
    if truth is None:
        unit, residual, way, base = person_unit(xy, keypoints.source), None, "keypoints alone", xy
        exchange = exchanged_over_time(xy, unit)
    else:
        base = to_h36m17(truth).xy.astype(np.float64)
        if base.shape != xy.shape:
            raise PoseMambaError(
                f"{truth.source or 'the truth'}: {len(base)} frames, but {keypoints.source or 'the keypoints'} have "
                f"{len(xy)}: they must be the same frames"
            )
        unit, way = person_unit(base, truth.source), "against the truth"
        exchange = exchanged(xy, base, unit)
        right = xy.copy()
        for limb, pairs in LIMBS.items():
            right[np.ix_(exchange[limb].nonzero()[0], np.array(pairs).ravel())] = np.nan
        residual = ((right - base) / unit)[None]
        if not np.isfinite(residual).any():
            raise PoseMambaError(
                f"{keypoints.source or 'the keypoints'}: no joint was found in a frame in which it has a place in "
                f"{truth.source or 'the truth'}: are they of the same video?"
            )
    return _report(
        keypoints.source,
        way,
        "",
        keypoints.fps,
        unit,
        base,
        residual,
        xy[None],
        body.confidence[None].astype(np.float64),
        count_swaps([exchange], base),
    )


def _report(
    source: str,
    way: str,
    detector: str,
    fps: float,
    unit: float,
    common: Array,
    residual: Array | None,
    xy: Array,
    confidence: Array,
    swaps: Swaps,
    *,
    by_change: dict[str, tuple[float, float]] | None = None,
    mirror_bias: list[list[float]] | None = None,
) -> Report:
    if xy.shape[1] < FEWEST:
        raise PoseMambaError(
            f"{source or 'the keypoints'}: a clip of {xy.shape[1]} frames, expected {FEWEST} or more: in a shorter one "
            "errors cannot be told from motion"
        )
    invented, _ = made_up(common)
    fast, shares = fast_part(xy[0] / unit)
    pretended = [fast_part(one)[0] for one in invented]
    curves: dict[str, Any] = {"made_up": [round(float(v), 4) for v in autocorrelation(invented)]}
    fit = None
    if residual is not None:
        curves["measured"] = [
            round(float(v), 4) for v in autocorrelation(np.where(np.abs(residual) > GROSS, np.nan, residual))
        ]
        fit = fit_confidence(np.linalg.norm(residual, axis=-1), confidence)
    return Report(
        source=source,
        way=way,
        detector=detector,
        person=unit,
        frames=int(np.isfinite(common).any((1, 2)).sum()),
        fps=fps,
        errors=None if residual is None else measure_errors(residual),
        made_up=measure_errors(invented),
        by_change=by_change,
        mirror_bias=mirror_bias,
        fast=(fast.tolist(), shares),
        made_up_fast=float(np.median([_at_one(one) for one in pretended])),
        swaps=swaps,
        confidence=fit,
        drop_outs=drop_outs(confidence, np.asarray(np.isfinite(xy).all(-1))),
        seen=seen_proportions(common),
        training=training_bodies(),
        curves=curves,
    )


def describe(report: Report) -> str:
    """The tables, in Markdown."""
    e, m = report.errors, report.made_up
    lines = [
        f"{report.source}: {report.way}, {report.detector or 'detector not known'}; {report.frames} frames at "
        f"{report.fps:g}/s; size of the person {report.person:.1f} pixels",
        "",
        "| | measured | made up, typical |",
        "|---|---|---|",
    ]

    def row(name: str, value: Callable[[ErrorSizes], str]) -> None:
        lines.append(f"| {name} | {value(e) if e else '-'} | {value(m)} |")

    row("changing error at a shoulder", lambda x: f"{x.size:.4f}")
    row("constant error at a shoulder", lambda x: f"{x.constant:.4f}")
    row("mean distance", lambda x: f"{x.mean_distance:.4f}")
    row(
        "weights slow / quick / white",
        lambda x: " / ".join(f"{w:.2f}" for w in x.tempi.of_jitter()),
    )
    row("length at 50, 90, 95, 99 %", lambda x: ", ".join(f"{t:.2f}" for t in x.tails))
    row("swelling", lambda x: f"{x.swelling:.2f}")
    row(f"beyond {GROSS}", lambda x: f"{np.mean(x.gross):.2%}")
    fast, shares = report.fast
    lines += [
        f"| quick and white at a shoulder, by third differences | {_at_one(fast):.4f} | {report.made_up_fast:.4f} |",
        f"| of that white, by variance | {shares.white:.0%} | |",
        "",
        "| joint | difficulty measured | `DIFFICULTY` | size | quick and white | beyond | low confidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for j, name in enumerate(H36M17.joints):
        measured = (f"{e.difficulty[j]:.2f}", f"{e.joints[j]:.4f}", f"{e.gross[j]:.1%}") if e else ("-",) * 3
        lines.append(
            f"| {name} | {measured[0]} | {DIFFICULTY[j]:g} | {measured[1]} | {fast[j]:.4f} | {measured[2]} | "
            f"{report.drop_outs.joints[j]:.1%} |"
        )
    if report.by_change:
        lines += ["", "| change of the picture | constant difference | nobody, or somebody else |", "|---|---|---|"]
        lines += [f"| {name} | {size:.4f} | {lost:.1%} |" for name, (size, lost) in report.by_change.items()]
    d, s = report.drop_outs, report.swaps
    lines += [
        "",
        f"Confidence below {LOW}: {d.stretches} stretches, median {d.lengths[0]:.0f} frames, 90 % under "
        f"{d.lengths[1]:.0f}; nobody in {d.frames:.1%} of the frames. Together (phi): "
        + ", ".join(f"{k} {v:.2f}" for k, v in d.together.items()),
        f"Left and right exchanged in {s.frames:.1%} of the frames: "
        + ", ".join(f"{k} {v}" for k, v in s.stretches.items())
        + (f"; median {np.median(s.lengths):.0f}, longest {max(s.lengths)} frames" if s.lengths else "")
        + f"; shoulders {s.breadth:.2f} trunks broad there, {s.breadth_all:.2f} in all frames",
    ]
    if c := report.confidence:
        lines += [
            f"Confidence = sigmoid({c.sure:.2f} - {c.doubt:.1f} e + {c.mood:.2f} n); {c.mood_of_joints:.2f} of n stays "
            f"with the joint, the rest lasts {c.memory:.2f} from frame to frame; rank correlation {c.rank:.2f}, within "
            f"joints {c.rank_within:.2f}; {c.above[0]:.0%} above 0.9, {c.above[1]:.0%} below {LOW}",
            "",
            "| confidence up to | share | median error | 90 % |",
            "|---|---|---|---|",
        ]
        lines += [f"| {b[0]:g} | {b[1]:.1%} | {b[2]:.3f} | {b[3]:.3f} |" for b in c.bins]
    lines += [
        "",
        "| bone, in trunks | seen | training 5 %, 50 %, 95 % |",
        "|---|---|---|",
    ]
    for name in BONES:
        trained = ", ".join(f"{v:.3f}" for v in report.training[name]) if report.training else "-"
        lines.append(f"| {name} | {report.seen[name]:.3f} | {trained} |")
    return "\n".join(lines)
