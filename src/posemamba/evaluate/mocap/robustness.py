"""Robustness of a lifter to worse 2D joints: lost joints, left-right swaps, jitter, other frame rates, cameras, bodies.

Each perturbation changes the mocap benchmark's exact and noisy inputs in one way. The result is the increase of MPJPE
(P1) over the same inputs without it. Lost joints are filled in as in lifting (`models.missing`) and have confidence 0.
Nothing is random: numbers come from `FixedNumbers`, as in the benchmark.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.augment import BONE_GROUPS, vary_bones
from posemamba.data.cameras import Cameras
from posemamba.data.mocap.motions import Motions, load_motions
from posemamba.evaluate.metrics import joint_errors
from posemamba.evaluate.mocap.benchmark import Predict, checked
from posemamba.evaluate.mocap.noise import (
    JITTER,
    JITTER_OF_JOINT,
    FixedNumbers,
    benchmark_confidence,
    carried_on,
    unit_of,
)
from posemamba.evaluate.mocap.scenes import CAMERAS, VARIANTS, Scene, make_scene, scenes
from posemamba.models.inputs import fill_missing
from posemamba.poses.skeletons import H36M17, LIMBS
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

Joints = NDArray[np.float32]
"""(F, J, 3): x, y and confidence."""
JointMask = NDArray[np.bool_]
"""(F, J) joints that a perturbation changed."""

LOST_LIMBS = {
    "right knee and ankle": LIMBS["right leg"][1:],
    "left knee and ankle": LIMBS["left leg"][1:],
    "left elbow and wrist": LIMBS["left arm"][1:],
    "right elbow and wrist": LIMBS["right arm"][1:],
    **LIMBS,
}
"""Joints that are lost together."""
_SEED = 20261124


@dataclass(frozen=True)
class View:
    """One motion seen by one camera, before a perturbation.

    Attributes:
        joints: (F, J, 3) normalised x and y, and confidence.
        exact: (F, J, 2) without the detector's errors.
        noisy: True if `joints` have these errors.
        clip, camera: seed the perturbation's numbers.
        fps: frames per second.
    """

    joints: Joints
    exact: NDArray[np.float32]
    noisy: bool
    clip: int
    camera: int
    fps: float

    def uniform(self, purpose: int, *shape: int) -> NDArray[np.float64]:
        """Return uniform numbers from 0 to 1, fixed by the clip, the camera and `purpose`."""
        return FixedNumbers(_SEED, self.clip, self.camera, purpose).uniform(*shape)


@dataclass(frozen=True)
class Perturbation:
    """A perturbation of the benchmark's inputs.

    Attributes:
        key: its name in files.
        title: its name in tables.
        change: makes the perturbed joints, and the mask of joints that it changed.
        scene: options of `make_scene` for another scene: another frame rate, other cameras, another body.
        goal: millimetres by which P1 may increase at most.
        during: True if the goal is for the perturbed frames alone.
    """

    key: str
    title: str
    change: Callable[[View], tuple[Joints, JointMask]] | None = None
    scene: Mapping[str, Any] | None = None
    goal: float | None = None
    during: bool = False


def drop_joints(joints: Joints, lost: JointMask) -> Joints:
    """Drop joints: (F, J, 3) with the `lost` ones (F, J), and those of confidence 0, filled in as in lifting."""
    gone = lost | (joints[..., 2] == 0)
    xy = fill_missing(np.where(gone[..., None], np.nan, joints[..., :2]))
    return np.concatenate([xy, np.where(gone, 0, joints[..., 2])[..., None]], -1).astype(np.float32)


def swap_sides(joints: Joints, frames: NDArray[np.bool_]) -> Joints:
    """Swap left and right, arms and legs, in the `frames` (F,); confidences move with their joints."""
    mirrored = joints.copy()
    mirrored[frames] = joints[frames][:, H36M17.mirrored]
    return drop_joints(mirrored, np.zeros(joints.shape[:2], bool))


def _lost_by_chance(share: float) -> Callable[[View], tuple[Joints, JointMask]]:
    def change(view: View) -> tuple[Joints, JointMask]:
        lost = view.uniform(0, *view.joints.shape[:2]) < share  # what 5 % lose, 10 % lose too
        return drop_joints(view.joints, lost), lost

    return change


def _lost_for(joints: Sequence[int], *, seconds: float | None = None, frames: int = 0) -> Callable[..., tuple]:
    def change(view: View) -> tuple[Joints, JointMask]:
        length = len(view.joints)
        wanted = frames if seconds is None else round(seconds * view.fps)
        first = max(0, min(length // 3, length - wanted))
        lost = np.zeros(view.joints.shape[:2], bool)
        lost[first : first + wanted, list(joints)] = True
        return drop_joints(view.joints, lost), lost

    return change


def _never_seen(joints: Sequence[int]) -> Callable[[View], tuple[Joints, JointMask]]:
    def change(view: View) -> tuple[Joints, JointMask]:
        lost = np.zeros(view.joints.shape[:2], bool)
        lost[:, list(joints)] = True
        return drop_joints(view.joints, lost), lost

    return change


def _swapped(share: float, run: int) -> Callable[[View], tuple[Joints, JointMask]]:
    def change(view: View) -> tuple[Joints, JointMask]:
        length = len(view.joints)
        frames = np.repeat(view.uniform(run, math.ceil(length / run)) < share, run)[:length]
        paired = np.array(H36M17.mirrored) != np.arange(len(H36M17))
        return swap_sides(view.joints, frames), frames[:, None] & paired

    return change


def _jittered(view: View) -> tuple[Joints, JointMask]:
    """Add jitter: to noisy joints so much that it is twice as strong, to exact ones the benchmark's."""
    frames, joints = view.joints.shape[:2]
    white = FixedNumbers(_SEED, view.clip, view.camera, 100).normal(frames, joints, 2)
    exact = view.exact.astype(np.float64)
    strength = JITTER * (math.sqrt(3) if view.noisy else 1.0) * unit_of(exact)
    xy = view.joints[..., :2] + strength * JITTER_OF_JOINT[:, None] * carried_on(white, 0.8, 0.6)
    confidence = benchmark_confidence(exact, xy, view.joints[..., 2] == 0, view.clip, view.camera)
    shaken = np.concatenate([xy, confidence[..., None]], -1).astype(np.float32)
    perturbed = np.ones((frames, joints), bool)
    return drop_joints(shaken, ~perturbed), perturbed


def _looking_down(degrees: float) -> Callable[[Cameras], Cameras]:
    return lambda placed: replace(placed, pitch=torch.full_like(placed.pitch, math.radians(degrees)))


def _rolled(placed: Cameras) -> Cameras:
    return replace(placed, roll=torch.full_like(placed.roll, math.radians(20)))


def _with_lens(focal: float, height: float) -> Callable[[Cameras], Cameras]:
    """Make cameras with another lens.

    Args:
        focal: focal length in longer sides of the picture.
        height: share of the shorter side that 1.7 m fill, if all joints stay in the picture.
    """

    def change(placed: Cameras) -> Cameras:
        focals = focal * placed.aspect.clamp(min=1)
        return replace(placed, focal=focals, distance=focals * 1.7 / (height * placed.aspect.clamp(max=1)))

    return change


def _with_wide_hips(positions: Tensor) -> Tensor:
    factors = torch.ones(len(positions), len(BONE_GROUPS), dtype=positions.dtype)
    factors[:, BONE_GROUPS.index("hips")] = 1.5
    return vary_bones(positions, factors)


PERTURBATIONS: tuple[Perturbation, ...] = (
    *(
        Perturbation(
            f"lost_{percent}_percent",
            f"{percent} % of joints lost, by chance",
            _lost_by_chance(percent / 100),
            goal=15.0 if percent == 20 else None,
        )
        for percent in (5, 10, 20, 40)
    ),
    *(
        Perturbation(
            f"lost_{name.replace(' ', '_')}",
            f"{name} lost for a second",
            _lost_for(joints, seconds=1.0),
            goal=15.0,
            during=True,
        )
        for name, joints in LOST_LIMBS.items()
    ),
    Perturbation("lost_all", "all joints lost for 10 frames", _lost_for(range(17), frames=10)),
    Perturbation("never_legs", "knees and ankles never seen", _never_seen((2, 3, 5, 6))),
    Perturbation("never_head", "nose and top of head never seen", _never_seen((9, 10))),
    Perturbation("swapped_1", "left and right swapped, 5 % of frames", _swapped(0.05, 1), goal=10.0),
    Perturbation("swapped_5", "the same, five frames in a row", _swapped(0.05, 5), goal=10.0),
    Perturbation("jitter", "jitter twice as strong (exact: jitter)", _jittered),
    *(
        Perturbation(f"fps_{fps}", f"video of {fps} frames a second", scene={"fps": float(fps)})
        for fps in (15, 25, 30, 120)
    ),
    Perturbation("above_45", "seen from 45 degrees above", scene={"change": _looking_down(45)}),
    Perturbation("above_70", "seen from 70 degrees above", scene={"change": _looking_down(70)}),
    Perturbation("below_30", "seen from 30 degrees below", scene={"change": _looking_down(-30)}),
    Perturbation("rolled_20", "camera turned by 20 degrees about its axis", scene={"change": _rolled}),
    Perturbation("wide", "wide angle, as near as the picture allows", scene={"change": _with_lens(0.6, 0.95)}),
    Perturbation("far", "long lens, far away", scene={"change": _with_lens(5.0, 0.35)}),
    Perturbation("wide_hips", "hips half as wide again (Human3.6M's)", scene={"body": _with_wide_hips}),
)


@dataclass(frozen=True)
class ErrorIncrease:
    """The increase of the error by one perturbation of one variant's joints, millimetres.

    Attributes:
        p1: MPJPE (P1) with the perturbation.
        all_frames: its increase over all frames.
        perturbed_frames: its increase over the perturbed frames; None for another scene, which perturbs no single ones.
        perturbed_joints: the increase over the perturbed joints alone; None likewise.
        goal_missed: True if the increase is not below the goal; None: there is no goal.
    """

    p1: float
    all_frames: float
    perturbed_frames: float | None = None
    perturbed_joints: float | None = None
    goal_missed: bool | None = None


@dataclass(frozen=True)
class PerturbationResult:
    """The result of one perturbation.

    Attributes:
        key, title, goal: of the perturbation.
        goal_of: the frames of the goal, ``all frames`` or ``perturbed frames``.
        increases: the error's increase by variant.
    """

    key: str
    title: str
    goal: float | None
    goal_of: str
    increases: dict[str, ErrorIncrease] = field(default_factory=dict)


@dataclass(frozen=True)
class RobustnessResult:
    """The robustness of one predictor.

    Attributes:
        name: the predictor's name.
        cameras: all cameras of each clip, or one (`quick`).
        frames: the number of scored frames without perturbation.
        undisturbed: MPJPE (P1) without perturbation by variant, millimetres.
        rows: the results of the perturbations.
    """

    name: str
    cameras: str
    frames: int
    undisturbed: dict[str, float]
    rows: tuple[PerturbationResult, ...]

    def table(self) -> str:
        """Format a table of the increases of P1, millimetres; ``!`` marks a missed goal."""
        width = max(len(row.title) for row in self.rows)
        heads = [f"{variant} 2D (P1 {p1:.1f} mm)" for variant, p1 in self.undisturbed.items()]
        lines = [
            f"{self.name}: CMU mocap test ({self.cameras}); increase of P1, mm",
            "all: over all frames; frames: over the perturbed frames; joints: over the perturbed joints",
            " " * width + "".join(f" | {head:^25}" for head in heads) + " | goal",
            " " * width + f" | {'all':>7}  {'frames':>7}  {'joints':>7}" * len(heads) + " |",
        ]
        for row in self.rows:
            cells = ""
            for increase in row.increases.values():
                missed = row.goal_of if increase.goal_missed else None
                marks = ("!" if missed == of else " " for of in ("all frames", "perturbed frames", ""))
                values = (increase.all_frames, increase.perturbed_frames, increase.perturbed_joints)
                cells += " | " + " ".join(
                    (f"{'':>7}" if value is None else f"{value:+7.1f}") + mark
                    for value, mark in zip(values, marks, strict=True)
                )
            goal = ""
            if row.goal is not None:
                variants = [variant for variant, increase in row.increases.items() if increase.goal_missed]
                goal = f" < {row.goal:g}" + (f", missed ({', '.join(variants)})" if variants else "")
            lines.append(f"{row.title:<{width}}{cells} |{goal}")
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Write the result as JSON."""
        content = {"format": "posemamba-mocap-robustness-1", **asdict(self)}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class _Sums:
    """The sums of errors of one perturbation and variant."""

    def __init__(self) -> None:
        self.p1 = self.then = self.joints = 0.0
        self.frames = self.then_frames = self.perturbed = 0

    def add(self, after: NDArray[np.float64], before: NDArray[np.float64] | None, perturbed: JointMask | None) -> None:
        """Add (K, F, J) errors after the perturbation and, for the same frames, before it."""
        self.p1 += float(after.mean(-1).sum())
        self.frames += after.shape[0] * after.shape[1]
        if before is None or perturbed is None:
            return
        increase, then = after - before, perturbed.any(-1)
        self.then += float(increase.mean(-1)[then].sum())
        self.then_frames += int(then.sum())
        self.joints += float(increase[perturbed].sum())
        self.perturbed += int(perturbed.sum())

    def increase(self, perturbation: Perturbation, undisturbed: float) -> ErrorIncrease:
        """Compute the increase over the `undisturbed` P1."""
        goal = perturbation.goal
        p1 = self.p1 / self.frames
        whole = p1 - undisturbed
        if not self.then_frames:
            return ErrorIncrease(p1, whole, goal_missed=None if goal is None else whole >= goal)
        then = self.then / self.then_frames
        judged = then if perturbation.during else whole
        return ErrorIncrease(p1, whole, then, self.joints / self.perturbed, None if goal is None else judged >= goal)


def run_robustness(
    predict: Predict,
    *,
    name: str = "predictor",
    directory: str | Path | None = None,
    motions: Motions | None = None,
    variants: tuple[str, ...] = VARIANTS,
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
    quick: bool = False,
    progress: Progress | None = None,
) -> RobustnessResult:
    """Measure a predictor's error increase on the benchmark's clips under each perturbation.

    Args:
        predict, name, directory, motions, variants, quick, progress: as in `benchmark.run_benchmark`.
        perturbations: the perturbations to apply.

    Raises:
        PoseMambaError: there are no mocap files, or a prediction has a wrong shape or is not finite.
    """
    motions = load_motions(directory, "test") if motions is None else motions
    sums = {variant: {key: _Sums() for key in ("", *(p.key for p in perturbations))} for variant in variants}

    def errors(scene: Scene, joints: NDArray[np.float32], title: str) -> NDArray[np.float64]:
        pred = checked(predict, joints, f"{name}: prediction for {scene.name}{title and f' ({title})'}")
        return joint_errors(*scene.millimetres(pred))

    for scene in scenes(motions, quick=quick):
        others = {p.key: make_scene(motions, scene.clip, scene.cameras, **p.scene) for p in perturbations if p.scene}
        for variant in variants:
            given = scene.inputs(variant)
            before = errors(scene, given, "")
            sums[variant][""].add(before, None, None)
            views = [
                View(joints, exact, variant == "noisy", scene.clip, camera, motions.fps)
                for joints, exact, camera in zip(given, scene.exact, scene.cameras, strict=True)
            ]
            for p in perturbations:
                if p.scene is not None:
                    other = others[p.key]
                    sums[variant][p.key].add(errors(other, other.inputs(variant), p.title), None, None)
                if p.change is not None:
                    joints, perturbed = (np.stack(x) for x in zip(*map(p.change, views), strict=True))
                    sums[variant][p.key].add(errors(scene, joints, p.title), before, perturbed)
        if progress is not None:
            progress(scene.clip + 1, len(motions))

    undisturbed = {variant: sums[variant][""].p1 / sums[variant][""].frames for variant in variants}
    rows = [
        PerturbationResult(
            p.key,
            p.title,
            p.goal,
            "perturbed frames" if p.during else "all frames",
            {variant: sums[variant][p.key].increase(p, undisturbed[variant]) for variant in variants},
        )
        for p in perturbations
    ]
    cameras = "one camera a clip" if quick else f"{CAMERAS} cameras a clip"
    return RobustnessResult(name, cameras, sums[variants[0]][""].frames, undisturbed, tuple(rows))
