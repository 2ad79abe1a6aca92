"""How good a lifter is, in full: everything that one run of the mocap benchmark can tell.

`Measurements.observe` looks on while `mocap_benchmark.run_benchmark` lifts; `Report` holds what came out,
`write_report` writes it as report.json and report.md, and `mocap_figures.write_figures` draws the figures that
report.md shows (`posemamba evaluate WEIGHTS mocap --report DIR` does both).

All poses are in Human3.6M's convention, times each frame's millimetres per unit, as the benchmark's errors are. In it
the bones of a rigid body change their lengths a little by perspective, so the truth's own numbers stand beside.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from posemamba.evaluate.metrics import acceleration, bone_length_variation, depth_flips, joint_errors, side_flips
from posemamba.evaluate.mocap_benchmark import BenchmarkResult, Score, score_fields
from posemamba.evaluate.mocap_scenes import Scene
from posemamba.files import atomic_path
from posemamba.skeleton import H36M17

SIDES = {"legs": ((4, 1), (5, 2), (6, 3)), "arms": ((11, 14), (12, 15), (13, 16))}
"""(left, right) joints that are taken for each other together."""
LIMB_BONES = ((1, 2), (4, 5), (2, 3), (5, 6), (11, 12), (14, 15), (12, 13), (15, 16))
CLEAR_MM = 100.0
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
WORST = 6


@dataclass(frozen=True)
class Take:
    """One clip as one camera saw it; `worst_frame` is counted from 0, and errors are P1 in millimetres."""

    clip: int
    name: str
    description: str
    subject: str
    camera: int
    pitch: float
    frames: int
    p1: float
    worst_frame: int
    worst_p1: float


@dataclass(frozen=True)
class Snapshot:
    """A sequence's worst frame: what was given (J, 3), and what was predicted and true, (J, 3) millimetres."""

    sequence: Take
    joints: NDArray[np.float32]
    pred: NDArray[np.float64]
    target: NDArray[np.float64]


@dataclass(frozen=True)
class Pitch:
    """P1 of the cameras that look `degrees` down.

    `against_others`: how much that is above the same clips' mean over all their cameras, since other clips are harder;
    None where each clip was seen by one camera.
    """

    degrees: float
    frames: int
    p1: float
    against_others: float | None


@dataclass(frozen=True)
class Bin:
    """The error of joints whose confidence was above `low` and up to `high` (both 0: lost); None: there were none."""

    label: str
    low: float
    high: float
    joints: int
    p1: float | None


@dataclass(frozen=True)
class Calibration:
    """How the error goes with the detector's confidence; the pelvis, whose error is 0, is left out.

    Attributes:
        bins: from lost to sure.
        spearman: rank correlation of confidence and error, over all joints.
        spearman_within_joints: its mean over the joints, each by itself: without what joints have in common.
    """

    bins: tuple[Bin, ...]
    spearman: float
    spearman_within_joints: float


@dataclass(frozen=True)
class VariantReport:
    """What one variant's joints gave.

    Attributes:
        joints: P1 of each, millimetres.
        pitches: by camera pitch.
        sequences: each clip and camera, worst first.
        bones: by bone, standard deviation over time of its length over its mean, per cent, mean over sequences: of the
            prediction and of the truth.
        acceleration: millimetres per second squared, means over joints and frames: ``error`` of the difference,
            ``predicted`` and ``true`` of the sizes.
        side_flips: per cent of frames in which left and right ``legs`` or ``arms``, or ``either``, were exchanged.
        depth_flips: by bone, per cent of the frames in which its true depths differ by more than CLEAR_MM.
        depth_flips_all: of all these bones together.
        calibration: None where all joints have one confidence.
    """

    joints: dict[str, float]
    pitches: tuple[Pitch, ...]
    sequences: tuple[Take, ...]
    bones: dict[str, tuple[float, float]]
    acceleration: dict[str, float]
    side_flips: dict[str, float]
    depth_flips: dict[str, float]
    depth_flips_all: float
    calibration: Calibration | None
    snapshots: tuple[Snapshot, ...] = field(repr=False, default=())

    @property
    def bones_mean(self) -> tuple[float, float]:
        """Per cent, of the prediction and of the truth, mean over bones."""
        pred, true = np.mean(list(self.bones.values()), axis=0)
        return float(pred), float(true)

    @property
    def worst(self) -> list[Snapshot]:
        """The worst camera of each of the worst clips."""
        clips: dict[int, Snapshot] = {}
        for snapshot in self.snapshots:
            clips.setdefault(snapshot.sequence.clip, snapshot)
        return list(clips.values())[:WORST]

    def as_json(self) -> dict[str, Any]:
        content = {k: v for k, v in vars(self).items() if k != "snapshots"}
        content["pitches"] = [asdict(p) for p in self.pitches]
        content["sequences"] = [asdict(s) for s in self.sequences]
        content["bones"] = {k: {"predicted": p, "true": t} for k, (p, t) in self.bones.items()}
        content["calibration"] = self.calibration and asdict(self.calibration)
        return content


class Measurements:
    """Collects while the benchmark runs: give `observe` to `run_benchmark`, and then ask for `report`."""

    def __init__(self, fps: float = 50.0) -> None:
        self._variants: dict[str, _Variant] = defaultdict(lambda: _Variant(fps))

    def observe(self, scene: Scene, variant: str, pred: NDArray[np.floating]) -> None:
        """As `mocap_benchmark.Observe`."""
        self._variants[variant].add(scene, scene.inputs(variant), *scene.millimetres(pred))

    def report(self, result: BenchmarkResult) -> Report:
        """What was seen, with the scores of the same run."""
        return Report(result, {name: variant.report() for name, variant in self._variants.items()})


class _Variant:
    """Sums and lists of one variant."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.frames = self.steps = 0
        self.joints = np.zeros(len(H36M17))
        self.snapshots: list[Snapshot] = []
        self.bones: list[NDArray[np.float64]] = []
        self.acceleration = np.zeros(3)
        self.sides = dict.fromkeys((*SIDES, "either"), 0)
        self.clear, self.flipped = np.zeros(len(LIMB_BONES)), np.zeros(len(LIMB_BONES))
        self.errors: list[NDArray[np.float32]] = []
        self.confidence: list[NDArray[np.float32]] = []

    def add(
        self, scene: Scene, joints: NDArray[np.float32], pred: NDArray[np.float64], true: NDArray[np.float64]
    ) -> None:
        errors = joint_errors(pred, true)
        p1 = errors.mean(-1)
        self.frames += p1.size
        self.joints += errors.sum((0, 1))
        for k, camera in enumerate(scene.cameras):
            worst = int(p1[k].argmax())
            sequence = Take(
                scene.clip, scene.name, scene.description, scene.subject, camera, scene.pitches[k],
                p1.shape[1], float(p1[k].mean()), worst, float(p1[k, worst]),
            )  # fmt: skip
            self.snapshots.append(Snapshot(sequence, joints[k, worst], pred[k, worst], true[k, worst]))
        both = [bone_length_variation(poses, H36M17.bones) for poses in (pred, true)]
        self.bones += list(np.stack(both, 1))
        given, wanted = acceleration(pred, self.fps), acceleration(true, self.fps)
        sizes = [np.linalg.norm(a, axis=-1) for a in (given - wanted, given, wanted)]
        self.acceleration += [size.mean(-1).sum() for size in sizes]
        self.steps += sizes[0].shape[0] * sizes[0].shape[1]
        flips = {name: side_flips(pred, true, pairs) for name, pairs in SIDES.items()}
        flips["either"] = np.logical_or.reduce(list(flips.values()))
        for name, frames in flips.items():
            self.sides[name] += int(frames.sum())
        clear, flipped = depth_flips(pred, true, LIMB_BONES, least=CLEAR_MM)
        self.clear += clear.sum((0, 1))
        self.flipped += flipped.sum((0, 1))
        self.errors.append(errors[..., 1:].reshape(-1, len(H36M17) - 1).astype(np.float32))
        self.confidence.append(joints[..., 1:, 2].reshape(-1, len(H36M17) - 1))

    def report(self) -> VariantReport:
        snapshots = sorted(self.snapshots, key=lambda s: -s.sequence.p1)
        sequences = tuple(s.sequence for s in snapshots)
        bones = np.mean(self.bones, axis=0)
        share = 100 * self.flipped / np.maximum(self.clear, 1)
        return VariantReport(
            joints=dict(zip(H36M17.joints, (self.joints / self.frames).tolist(), strict=True)),
            pitches=_by_pitch(sequences),
            sequences=sequences,
            bones={_bone(b): (float(p), float(t)) for b, p, t in zip(H36M17.bones, *bones, strict=True)},
            acceleration=dict(
                zip(("error", "predicted", "true"), (self.acceleration / max(self.steps, 1)).tolist(), strict=True)
            ),
            side_flips={name: 100 * count / self.frames for name, count in self.sides.items()},
            depth_flips={_bone(b): float(s) for b, s in zip(LIMB_BONES, share, strict=True)},
            depth_flips_all=float(100 * self.flipped.sum() / max(self.clear.sum(), 1)),
            calibration=calibrate(np.concatenate(self.errors), np.concatenate(self.confidence)),
            snapshots=tuple(snapshots),
        )


def _bone(bone: tuple[int, int]) -> str:
    return " to ".join(H36M17.joints[j].replace("_", " ") for j in bone)


def _by_pitch(sequences: tuple[Take, ...]) -> tuple[Pitch, ...]:
    of_clip: dict[int, list[Take]] = defaultdict(list)
    of_pitch: dict[float, list[Take]] = defaultdict(list)
    for s in sequences:
        of_clip[s.clip].append(s)
        of_pitch[s.pitch].append(s)
    means = {clip: float(np.mean([s.p1 for s in seen])) for clip, seen in of_clip.items()}
    several = any(len(seen) > 1 for seen in of_clip.values())
    pitches = []
    for degrees, seen in sorted(of_pitch.items()):
        frames = np.array([s.frames for s in seen])
        p1 = float(np.average([s.p1 for s in seen], weights=frames))
        others = float(np.average([means[s.clip] for s in seen], weights=frames))
        pitches.append(Pitch(degrees, int(frames.sum()), p1, p1 - others if several else None))
    return tuple(pitches)


def calibrate(errors: NDArray[np.floating], confidence: NDArray[np.floating]) -> Calibration | None:
    """How errors (N, joints) go with confidence (N, joints); None where that is the same everywhere."""
    if np.ptp(confidence) == 0:
        return None
    bins = []
    for low, high in ((0.0, 0.0), *itertools.pairwise(EDGES)):
        inside = confidence == 0 if high == 0 else (confidence > low) & (confidence <= high)
        label = "lost" if high == 0 else f"{low:g} to {high:g}"
        found = errors[inside]
        bins.append(Bin(label, low, high, found.size, float(found.mean(dtype=np.float64)) if found.size else None))
    within = [
        spearmanr(c, e).statistic
        for c, e in zip(confidence.T, errors.T, strict=True)
        if np.ptp(c) > 0 and np.ptp(e) > 0
    ]
    whole = spearmanr(confidence.ravel(), errors.ravel()).statistic if np.ptp(errors) > 0 else 0.0
    return Calibration(tuple(bins), float(whole), float(np.mean(within)) if within else 0.0)


@dataclass(frozen=True)
class Report:
    """One predictor's report.

    Attributes:
        result: the benchmark's scores: over all, by subject and by action.
        variants: the rest, by variant.
    """

    result: BenchmarkResult
    variants: dict[str, VariantReport]

    def save_json(self, path: str | Path) -> None:
        """Everything, as JSON."""
        content = {
            "format": "posemamba-mocap-report-1",
            "name": self.result.name,
            "cameras": self.result.cameras,
            "scores": {k: score_fields(getattr(self.result, k)) for k in ("overall", "subjects", "actions")},
            "variants": {name: variant.as_json() for name, variant in self.variants.items()},
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def markdown(self) -> str:
        """The tables in plain words; figures are named as `mocap_figures.write_figures` does."""
        names, variants = list(self.variants), list(self.variants.values())
        parts = [
            f"# {self.result.name} on the mocap benchmark",
            f"{next(iter(self.result.overall.values())).frames:,} frames, {self.result.cameras}. `exact`: projected 2D "
            "joints; `noisy`: with the errors of a detector. Millimetres and lower is better, unless something else "
            "is said.",
            "## Over all, by subject and by action",
            "P1: mean distance of joints; P2: after each frame is aligned; MPJVE: of the movement from frame to frame.",
            self._scores(names),
            "## By joint",
            "P1 of each joint; the pelvis is where poses are laid on each other.\n\n![](by_joint.png)",
            _table(
                ["joint", *names],
                [[_plain(j), *(f"{v.joints[j]:.1f}" for v in variants)] for j in H36M17.joints],
            ),
            "## By camera pitch",
            "Degrees down that the camera looks. The second number: against the mean of all cameras of the same clips, "
            "as not every clip is seen at every pitch.\n\n![](by_pitch.png)",
            _table(
                ["pitch", "frames", *(f"{n}{of}" for n in names for of in ("", ", against other cameras"))],
                [
                    [f"{rows[0].degrees:g}", f"{rows[0].frames:,}"]
                    + [
                        cell
                        for p in rows
                        for cell in (f"{p.p1:.1f}", "" if p.against_others is None else f"{p.against_others:+.1f}")
                    ]
                    for rows in zip(*(v.pitches for v in variants), strict=True)
                ],
            ),
            "## The worst clips",
            "The worst camera of each; frames count from 0.\n\n" + "\n".join(f"![](worst_{n}.png)" for n in names),
            *(
                _table(
                    [f"clip ({name})", "motion", "camera", "pitch", "P1", "worst frame", "its P1"],
                    [
                        [
                            f"{s.clip} {s.name}",
                            s.description,
                            str(s.camera),
                            f"{s.pitch:g}",
                            f"{s.p1:.1f}",
                            str(s.worst_frame),
                            f"{s.worst_p1:.0f}",
                        ]
                        for s in (shot.sequence for shot in variant.worst)
                    ],
                )
                for name, variant in self.variants.items()
            ),
            "## Does the body stay the same?",
            "How much each bone's length changes over a clip: standard deviation over mean, per cent, mean over clips "
            "and cameras. In Human3.6M's convention, in which perspective alone gives what stands under `true`.",
            _table(
                ["bone", *names, "true"],
                [
                    [bone, *(f"{v.bones[bone][0]:.1f}" for v in variants), f"{variants[0].bones[bone][1]:.1f}"]
                    for bone in variants[0].bones
                ]
                + [["**mean**", *(f"{v.bones_mean[0]:.1f}" for v in variants), f"{variants[0].bones_mean[1]:.1f}"]],
            ),
            "## Does it move as it should?",
            "Mean size of acceleration, mm/s². Predicted above true: the result trembles; below: it is too smooth.",
            _table(
                ["", *names],
                [[f"{what}", *(f"{v.acceleration[what]:,.0f}" for v in variants)] for what in variants[0].acceleration],
            ),
            "## Which side, and which way in depth?",
            "Left and right taken for each other: per cent of frames in which to exchange them would lower the error "
            "of these joints by more than 30 %.",
            _table(
                ["", *names],
                [[what, *(f"{v.side_flips[what]:.2f}" for v in variants)] for what in variants[0].side_flips],
            ),
            f"Wrong way in depth: per cent of the frames in which the true depths of a bone's ends differ by more than "
            f"{CLEAR_MM / 10:g} cm.",
            _table(
                ["bone", *names],
                [[bone, *(f"{v.depth_flips[bone]:.1f}" for v in variants)] for bone in variants[0].depth_flips]
                + [["**all of these**", *(f"{v.depth_flips_all:.1f}" for v in variants)]],
            ),
        ]
        for name, variant in self.variants.items():
            if variant.calibration is not None:
                parts += _calibration_text(name, variant.calibration)
        return "\n\n".join(parts) + "\n"

    def _scores(self, names: list[str]) -> str:
        groups: list[tuple[str, dict[str, Score]]] = [("**all**", self.result.overall)]
        for kind in (self.result.subjects, self.result.actions):
            groups += [(key, {v: kind[v][key] for v in names}) for key in sorted(kind[names[0]])]
        return _table(
            ["", "frames", *(f"{what} {v}" for v in names for what in ("P1", "P2", "MPJVE"))],
            [
                [key, f"{scores[names[0]].frames:,}"] + [cell for v in names for cell in _cells(scores[v])]
                for key, scores in groups
            ],
        )


def _cells(score: Score) -> list[str]:
    return [f"{score.p1:.1f}", f"{score.p2:.1f}", f"{score.mpjve:.2f}"]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _calibration_text(name: str, calibration: Calibration) -> list[str]:
    return [
        f"## Does the error go with the detector's confidence? ({name})",
        f"Rank correlation of confidence and error (Spearman) {calibration.spearman:+.3f} over all joints, "
        f"{calibration.spearman_within_joints:+.3f} within a joint; -1 would be perfect.\n\n"
        "![](calibration.png)",
        _table(
            ["confidence of the 2D joint", "joints", "P1 of the joint"],
            [[b.label, f"{b.joints:,}", "" if b.p1 is None else f"{b.p1:.1f}"] for b in calibration.bins],
        ),
    ]


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(r) + " |" for r in [header, ["---"] * len(header), *rows])


def write_report(report: Report, directory: str | Path) -> Path:
    """Write report.json and report.md, which shows the figures of `mocap_figures`; the path of report.md."""
    directory = Path(directory)
    report.save_json(directory / "report.json")
    with atomic_path(directory / "report.md") as temporary:
        temporary.write_text(report.markdown(), encoding="utf-8")
    return directory / "report.md"
