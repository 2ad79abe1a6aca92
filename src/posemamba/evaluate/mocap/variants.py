"""Measurements of one benchmark run for one variant of the 2D joints, exact or noisy.

All poses are in Human3.6M's convention, times each frame's millimetres per unit, as the benchmark's errors are. In it
the bones of a rigid body change their lengths a little by perspective, so the truth's numbers are reported too.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.metrics import acceleration, bone_length_variation, depth_flips, joint_errors, side_flips
from posemamba.evaluate.mocap.confidence import ErrorByConfidence, error_by_confidence
from posemamba.evaluate.mocap.scenes import Scene
from posemamba.poses.skeletons import ARM_PAIRS, H36M17, LEG_PAIRS, LIMB_SEGMENTS

SIDES = {"legs": LEG_PAIRS, "arms": ARM_PAIRS}
"""(left, right) joints that are swapped together."""
LIMB_BONES = tuple(
    LIMB_SEGMENTS[name]
    for name in (
        *("right thigh", "left thigh", "right shin", "left shin"),
        *("left upper arm", "right upper arm", "left forearm", "right forearm"),
    )
)
"""(upper, lower) joints of the bones of arms and legs, in the report's order."""
CLEAR_MM = 100.0
"""Difference of a bone's true depths above which its direction in depth is scored."""
WORST = 6
"""The number of worst clips in the report."""


@dataclass(frozen=True)
class SequenceScore:
    """The score of one clip seen by one camera; `worst_frame` counts from 0, and errors are P1 in millimetres."""

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
class WorstFrame:
    """A sequence's worst frame: the input (J, 3), and the prediction and target, (J, 3) millimetres."""

    sequence: SequenceScore
    joints: NDArray[np.float32]
    pred: NDArray[np.float64]
    target: NDArray[np.float64]


@dataclass(frozen=True)
class PitchScore:
    """MPJPE (P1) of the cameras that look `degrees` down.

    Attributes:
        degrees: the pitch, positive down.
        frames: the number of frames.
        p1: millimetres.
        against_others: `p1` less the mean of the same clips over all their cameras, as clips differ in difficulty;
            None if each clip was seen by one camera.
    """

    degrees: float
    frames: int
    p1: float
    against_others: float | None


@dataclass(frozen=True)
class VariantReport:
    """The measurements of one variant.

    Attributes:
        joints: each joint's MPJPE (P1), millimetres.
        pitches: by camera pitch.
        sequences: each clip and camera, worst first.
        bones: by bone, the standard deviation over time of its length over its mean, per cent, mean over sequences, of
            the prediction and of the truth.
        acceleration: millimetres per second squared, means over joints and frames: ``error``, the size of the
            difference; ``predicted`` and ``true``, the sizes themselves.
        side_flips: per cent of frames in which left and right ``legs`` or ``arms``, or ``either``, were swapped.
        depth_flips: by bone, per cent of the frames whose true depths differ by more than `CLEAR_MM` in which the bone
            points the wrong way.
        depth_flips_all: the same over all these bones.
        by_confidence: the error by confidence; None if all confidences are equal.
        snapshots: the sequences' worst frames, worst sequence first.
    """

    joints: dict[str, float]
    pitches: tuple[PitchScore, ...]
    sequences: tuple[SequenceScore, ...]
    bones: dict[str, tuple[float, float]]
    acceleration: dict[str, float]
    side_flips: dict[str, float]
    depth_flips: dict[str, float]
    depth_flips_all: float
    by_confidence: ErrorByConfidence | None
    snapshots: tuple[WorstFrame, ...] = field(repr=False, default=())

    @property
    def bones_mean(self) -> tuple[float, float]:
        """The mean of `bones`, per cent, of the prediction and of the truth."""
        pred, true = np.mean(list(self.bones.values()), axis=0)
        return float(pred), float(true)

    @property
    def worst(self) -> list[WorstFrame]:
        """The worst camera of each of the worst clips."""
        clips: dict[int, WorstFrame] = {}
        for snapshot in self.snapshots:
            clips.setdefault(snapshot.sequence.clip, snapshot)
        return list(clips.values())[:WORST]

    def as_json(self) -> dict[str, Any]:
        content = {k: v for k, v in vars(self).items() if k != "snapshots"}
        content["pitches"] = [asdict(p) for p in self.pitches]
        content["sequences"] = [asdict(s) for s in self.sequences]
        content["bones"] = {k: {"predicted": p, "true": t} for k, (p, t) in self.bones.items()}
        content["by_confidence"] = self.by_confidence and asdict(self.by_confidence)
        return content


class VariantMeasurements:
    """The running measurements of one variant: `add` each scene, then `report`."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.frames = self.steps = 0
        self.joints = np.zeros(len(H36M17))
        self.snapshots: list[WorstFrame] = []
        self.bones: list[NDArray[np.float64]] = []
        self.acceleration = np.zeros(3)
        self.sides = dict.fromkeys((*SIDES, "either"), 0)
        self.clear, self.flipped = np.zeros(len(LIMB_BONES)), np.zeros(len(LIMB_BONES))
        self.errors: list[NDArray[np.float32]] = []
        self.confidence: list[NDArray[np.float32]] = []

    def add(
        self, scene: Scene, joints: NDArray[np.float32], pred: NDArray[np.float64], true: NDArray[np.float64]
    ) -> None:
        """Add one scene: the inputs `joints` (K, F, J, 3), and `pred` and `true` (K, F, J, 3) in millimetres."""
        errors = joint_errors(pred, true)
        p1 = errors.mean(-1)
        self.frames += p1.size
        self.joints += errors.sum((0, 1))
        for k, camera in enumerate(scene.cameras):
            worst = int(p1[k].argmax())
            sequence = SequenceScore(
                scene.clip, scene.name, scene.description, scene.subject, camera, scene.pitches[k],
                p1.shape[1], float(p1[k].mean()), worst, float(p1[k, worst]),
            )  # fmt: skip
            self.snapshots.append(WorstFrame(sequence, joints[k, worst], pred[k, worst], true[k, worst]))
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
        """Report on all scenes that were added."""
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
            by_confidence=error_by_confidence(np.concatenate(self.errors), np.concatenate(self.confidence)),
            snapshots=tuple(snapshots),
        )


def _bone(bone: tuple[int, int]) -> str:
    return " to ".join(H36M17.joints[j].replace("_", " ") for j in bone)


def _by_pitch(sequences: tuple[SequenceScore, ...]) -> tuple[PitchScore, ...]:
    of_clip: dict[int, list[SequenceScore]] = defaultdict(list)
    of_pitch: dict[float, list[SequenceScore]] = defaultdict(list)
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
        pitches.append(PitchScore(degrees, int(frames.sum()), p1, p1 - others if several else None))
    return tuple(pitches)
