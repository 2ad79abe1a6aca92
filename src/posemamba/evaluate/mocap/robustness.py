"""How much worse a lifter gets where its 2D joints do: joints lost, sides exchanged, jitter, other frame rates, cameras
from elsewhere, other bodies.

Each trial disturbs the mocap benchmark's inputs, the exact and the noisy ones, in one way; what it costs is the rise
of P1 against the same inputs undisturbed. Joints that are lost are filled in as in lifting (`models.missing`) and have
confidence 0. Nothing is random: numbers come from `FixedNumbers`, as in the benchmark.

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
from posemamba.models.missing import fill_missing
from posemamba.poses.skeletons import H36M17
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

Joints = NDArray[np.float32]
"""(F, J, 3): x, y and confidence."""
Touched = NDArray[np.bool_]
"""(F, J): what a trial disturbed."""

LIMBS = {
    "right knee and ankle": (2, 3),
    "left knee and ankle": (5, 6),
    "left elbow and wrist": (12, 13),
    "right elbow and wrist": (15, 16),
    "right leg": (1, 2, 3),
    "left leg": (4, 5, 6),
    "left arm": (11, 12, 13),
    "right arm": (14, 15, 16),
}
_SEED = 20261124


@dataclass(frozen=True)
class Sight:
    """One motion as one camera sees it, before it is disturbed.

    Attributes:
        joints: (F, J, 3).
        exact: (F, J, 2) without the detector's errors.
        noisy: whether `joints` are with them.
        clip, camera: what numbers depend on.
        fps: frames a second.
    """

    joints: Joints
    exact: NDArray[np.float32]
    noisy: bool
    clip: int
    camera: int
    fps: float

    def uniform(self, purpose: int, *shape: int) -> NDArray[np.float64]:
        """Numbers from 0 to 1, of this clip and camera."""
        return FixedNumbers(_SEED, self.clip, self.camera, purpose).uniform(*shape)


@dataclass(frozen=True)
class Trial:
    """One way to disturb.

    Attributes:
        key: its name in files.
        title: its name in tables.
        change: to disturbed joints, and which they are.
        scene: how `make_scene` shows it otherwise: at other frames a second, by other cameras, another body.
        goal: millimetres by which P1 may rise at most.
        during: whether the goal is for the disturbed frames (or for all).
    """

    key: str
    title: str
    change: Callable[[Sight], tuple[Joints, Touched]] | None = None
    scene: Mapping[str, Any] | None = None
    goal: float | None = None
    during: bool = False


def lose(joints: Joints, lost: Touched) -> Joints:
    """Return (F, J, 3) with `lost` (F, J), and what had confidence 0 before, filled in as in lifting."""
    gone = lost | (joints[..., 2] == 0)
    xy = fill_missing(np.where(gone[..., None], np.nan, joints[..., :2]))
    return np.concatenate([xy, np.where(gone, 0, joints[..., 2])[..., None]], -1).astype(np.float32)


def exchange(joints: Joints, frames: NDArray[np.bool_]) -> Joints:
    """Left and right, arms and legs, exchanged in `frames` (F,); the detector is as sure as before."""
    mirrored = joints.copy()
    mirrored[frames] = joints[frames][:, H36M17.mirrored]
    return lose(mirrored, np.zeros(joints.shape[:2], bool))


def _lost_by_chance(share: float) -> Callable[[Sight], tuple[Joints, Touched]]:
    def change(sight: Sight) -> tuple[Joints, Touched]:
        lost = sight.uniform(0, *sight.joints.shape[:2]) < share  # what 5 % lose, 10 % lose too
        return lose(sight.joints, lost), lost

    return change


def _lost_for(joints: Sequence[int], *, seconds: float | None = None, frames: int = 0) -> Callable[..., tuple]:
    def change(sight: Sight) -> tuple[Joints, Touched]:
        length = len(sight.joints)
        wanted = frames if seconds is None else round(seconds * sight.fps)
        first = max(0, min(length // 3, length - wanted))
        lost = np.zeros(sight.joints.shape[:2], bool)
        lost[first : first + wanted, list(joints)] = True
        return lose(sight.joints, lost), lost

    return change


def _never_seen(joints: Sequence[int]) -> Callable[[Sight], tuple[Joints, Touched]]:
    def change(sight: Sight) -> tuple[Joints, Touched]:
        lost = np.zeros(sight.joints.shape[:2], bool)
        lost[:, list(joints)] = True
        return lose(sight.joints, lost), lost

    return change


def _exchanged(share: float, run: int) -> Callable[[Sight], tuple[Joints, Touched]]:
    def change(sight: Sight) -> tuple[Joints, Touched]:
        length = len(sight.joints)
        frames = np.repeat(sight.uniform(run, math.ceil(length / run)) < share, run)[:length]
        paired = np.array(H36M17.mirrored) != np.arange(len(H36M17))
        return exchange(sight.joints, frames), frames[:, None] & paired

    return change


def _jittered(sight: Sight) -> tuple[Joints, Touched]:
    """Noisy joints with so much jitter more that it is twice as strong; exact ones with the benchmark's jitter."""
    frames, joints = sight.joints.shape[:2]
    white = FixedNumbers(_SEED, sight.clip, sight.camera, 100).normal(frames, joints, 2)
    exact = sight.exact.astype(np.float64)
    strength = JITTER * (math.sqrt(3) if sight.noisy else 1.0) * unit_of(exact)
    xy = sight.joints[..., :2] + strength * JITTER_OF_JOINT[:, None] * carried_on(white, 0.8, 0.6)
    sure = benchmark_confidence(exact, xy, sight.joints[..., 2] == 0, sight.clip, sight.camera)
    shaken = np.concatenate([xy, sure[..., None]], -1).astype(np.float32)
    touched = np.ones((frames, joints), bool)
    return lose(shaken, ~touched), touched


def _looking_down(degrees: float) -> Callable[[Cameras], Cameras]:
    return lambda placed: replace(placed, pitch=torch.full_like(placed.pitch, math.radians(degrees)))


def _rolled(placed: Cameras) -> Cameras:
    return replace(placed, roll=torch.full_like(placed.roll, math.radians(20)))


def _with_lens(focal: float, height: float) -> Callable[[Cameras], Cameras]:
    """Focal length in longer sides, and how much of the shorter side 1.7 m fill if all joints stay in the picture."""

    def change(placed: Cameras) -> Cameras:
        focals = focal * placed.aspect.clamp(min=1)
        return replace(placed, focal=focals, distance=focals * 1.7 / (height * placed.aspect.clamp(max=1)))

    return change


def _with_wide_hips(positions: Tensor) -> Tensor:
    factors = torch.ones(len(positions), len(BONE_GROUPS), dtype=positions.dtype)
    factors[:, BONE_GROUPS.index("hips")] = 1.5
    return vary_bones(positions, factors)


TRIALS: tuple[Trial, ...] = (
    *(
        Trial(
            f"lost_{percent}_percent",
            f"{percent} % of joints lost, by chance",
            _lost_by_chance(percent / 100),
            goal=15.0 if percent == 20 else None,
        )
        for percent in (5, 10, 20, 40)
    ),
    *(
        Trial(
            f"lost_{name.replace(' ', '_')}",
            f"{name} lost for a second",
            _lost_for(joints, seconds=1.0),
            goal=15.0,
            during=True,
        )
        for name, joints in LIMBS.items()
    ),
    Trial("lost_all", "all joints lost for 10 frames", _lost_for(range(17), frames=10)),
    Trial("never_legs", "knees and ankles never seen", _never_seen((2, 3, 5, 6))),
    Trial("never_head", "nose and top of head never seen", _never_seen((9, 10))),
    Trial("exchanged_1", "left and right exchanged, 5 % of frames", _exchanged(0.05, 1), goal=10.0),
    Trial("exchanged_5", "the same, five frames in a row", _exchanged(0.05, 5), goal=10.0),
    Trial("jitter", "jitter twice as strong (exact: jitter)", _jittered),
    *(Trial(f"fps_{fps}", f"video of {fps} frames a second", scene={"fps": float(fps)}) for fps in (15, 25, 30, 120)),
    Trial("above_45", "seen from 45 degrees above", scene={"change": _looking_down(45)}),
    Trial("above_70", "seen from 70 degrees above", scene={"change": _looking_down(70)}),
    Trial("below_30", "seen from 30 degrees below", scene={"change": _looking_down(-30)}),
    Trial("rolled_20", "camera turned by 20 degrees about its axis", scene={"change": _rolled}),
    Trial("wide", "wide angle, as near as the picture allows", scene={"change": _with_lens(0.6, 0.95)}),
    Trial("far", "long lens, far away", scene={"change": _with_lens(5.0, 0.35)}),
    Trial("wide_hips", "hips half as wide again (Human3.6M's)", scene={"body": _with_wide_hips}),
)


@dataclass(frozen=True)
class Rise:
    """What one trial costs with one variant's joints, millimetres.

    Attributes:
        p1: with the trial.
        all_frames: how much higher that is than without.
        those_frames: the same over the frames in which the trial disturbed anything; None: it has none of its own.
        those_joints: the error's rise over the disturbed joints of the disturbed frames alone; None likewise.
        missed: whether the goal was missed; None: there is none.
    """

    p1: float
    all_frames: float
    those_frames: float | None = None
    those_joints: float | None = None
    missed: bool | None = None


@dataclass(frozen=True)
class Row:
    """A trial's line in the table; `rises` by variant."""

    key: str
    title: str
    goal: float | None
    goal_of: str
    rises: dict[str, Rise] = field(default_factory=dict)


@dataclass(frozen=True)
class RobustnessResult:
    """What disturbed joints cost one predictor.

    Attributes:
        name: of the predictor.
        cameras: what was run: all cameras of each clip, or one (`quick`).
        frames: that were scored, undisturbed.
        undisturbed: P1 by variant, millimetres.
        rows: one for each trial.
    """

    name: str
    cameras: str
    frames: int
    undisturbed: dict[str, float]
    rows: tuple[Row, ...]

    def table(self) -> str:
        """Plain text: how much P1 rises, millimetres; ``!`` where a goal is missed."""
        width = max(len(row.title) for row in self.rows)
        heads = [f"{variant} 2D (P1 {p1:.1f} mm)" for variant, p1 in self.undisturbed.items()]
        lines = [
            f"{self.name}: CMU mocap test ({self.cameras}); by how many mm P1 rises",
            "all: over all frames; then: over the disturbed frames; joints: of the disturbed joints there",
            " " * width + "".join(f" | {head:^25}" for head in heads) + " | goal",
            " " * width + f" | {'all':>7}  {'then':>7}  {'joints':>7}" * len(heads) + " |",
        ]
        for row in self.rows:
            cells = ""
            for rise in row.rises.values():
                marks = ("!" if rise.missed and row.goal_of == of else " " for of in ("all frames", "those frames", ""))
                values = (rise.all_frames, rise.those_frames, rise.those_joints)
                cells += " | " + " ".join(
                    (f"{'':>7}" if value is None else f"{value:+7.1f}") + mark
                    for value, mark in zip(values, marks, strict=True)
                )
            goal = ""
            if row.goal is not None:
                missed = [variant for variant, rise in row.rises.items() if rise.missed]
                goal = f" < {row.goal:g}" + (f", missed ({', '.join(missed)})" if missed else "")
            lines.append(f"{row.title:<{width}}{cells} |{goal}")
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Everything, as JSON."""
        content = {"format": "posemamba-mocap-robustness-1", **asdict(self)}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class _Sums:
    """Errors of one trial and variant, added up."""

    def __init__(self) -> None:
        self.p1 = self.then = self.joints = 0.0
        self.frames = self.then_frames = self.touched = 0

    def add(self, after: NDArray[np.float64], before: NDArray[np.float64] | None, touched: Touched | None) -> None:
        """(K, F, J) errors with the trial and, where the frames are the same, without."""
        self.p1 += float(after.mean(-1).sum())
        self.frames += after.shape[0] * after.shape[1]
        if before is None or touched is None:
            return
        rise, then = after - before, touched.any(-1)
        self.then += float(rise.mean(-1)[then].sum())
        self.then_frames += int(then.sum())
        self.joints += float(rise[touched].sum())
        self.touched += int(touched.sum())

    def rise(self, trial: Trial, undisturbed: float) -> Rise:
        p1 = self.p1 / self.frames
        whole = p1 - undisturbed
        if not self.then_frames:
            return Rise(p1, whole, missed=None if trial.goal is None else whole >= trial.goal)
        then = self.then / self.then_frames
        judged = then if trial.during else whole
        missed = None if trial.goal is None else judged >= trial.goal
        return Rise(p1, whole, then, self.joints / self.touched, missed)


def run_robustness(
    predict: Predict,
    *,
    name: str = "predictor",
    directory: str | Path | None = None,
    motions: Motions | None = None,
    variants: tuple[str, ...] = VARIANTS,
    trials: Sequence[Trial] = TRIALS,
    quick: bool = False,
    progress: Progress | None = None,
) -> RobustnessResult:
    """Lift the benchmark's clips undisturbed and in every trial.

    Args:
        predict, name, directory, motions, variants, quick, progress: as `mocap_benchmark.run_benchmark` takes them.
        trials: what to try.

    Raises:
        PoseMambaError: no mocap files, or a prediction of a wrong shape or that is not finite.
    """
    motions = load_motions(directory, "test") if motions is None else motions
    sums = {variant: {key: _Sums() for key in ("", *(trial.key for trial in trials))} for variant in variants}

    def errors(scene: Scene, joints: NDArray[np.float32], trial: str) -> NDArray[np.float64]:
        pred = checked(predict, joints, f"{name}: prediction for {scene.name}{trial and f' ({trial})'}")
        return joint_errors(*scene.millimetres(pred))

    for scene in scenes(motions, quick=quick):
        others = {t.key: make_scene(motions, scene.clip, scene.cameras, **t.scene) for t in trials if t.scene}
        for variant in variants:
            given = scene.inputs(variant)
            before = errors(scene, given, "")
            sums[variant][""].add(before, None, None)
            sights = [
                Sight(joints, exact, variant == "noisy", scene.clip, camera, motions.fps)
                for joints, exact, camera in zip(given, scene.exact, scene.cameras, strict=True)
            ]
            for trial in trials:
                if trial.scene is not None:
                    other = others[trial.key]
                    sums[variant][trial.key].add(errors(other, other.inputs(variant), trial.title), None, None)
                if trial.change is not None:
                    joints, touched = (np.stack(x) for x in zip(*map(trial.change, sights), strict=True))
                    sums[variant][trial.key].add(errors(scene, joints, trial.title), before, touched)
        if progress is not None:
            progress(scene.clip + 1, len(motions))

    undisturbed = {variant: sums[variant][""].p1 / sums[variant][""].frames for variant in variants}
    rows = [
        Row(
            trial.key,
            trial.title,
            trial.goal,
            "those frames" if trial.during else "all frames",
            {variant: sums[variant][trial.key].rise(trial, undisturbed[variant]) for variant in variants},
        )
        for trial in trials
    ]
    cameras = "one camera a clip" if quick else f"{CAMERAS} cameras a clip"
    return RobustnessResult(name, cameras, sums[variants[0]][""].frames, undisturbed, tuple(rows))
