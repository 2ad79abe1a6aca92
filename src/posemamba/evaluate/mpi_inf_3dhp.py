"""MPI-INF-3DHP's test as its official utilities define it: MPJPE, PCK at 150 mm, AUC (docs/mpi_inf_3dhp.md).

The rules are those of mpii_test_predictions.m, mpii_evaluate_errors.m, mpii_compute_3d_pck.m and
mpii_get_pck_auc_joint_groups.m of the test set's release. Frames with `valid` = 1 are scored, poses relative to the
pelvis. MPJPE is the mean over all 17 joints, including the pelvis with its error of zero. PCK and AUC are over 14
joints, without pelvis, spine and head; a joint counts if its error is less than the threshold, not equal to it. AUC is
the mean of the PCK at 0, 5, ..., 150 mm; as no error is less than 0, it cannot exceed 96.8 %. Overall numbers are over
the frames of all sequences together.

Errors of velocity and acceleration are not official. They are over those scored frames whose next one, or next two, are
scored too; sequences differ in frame rate, so both are per frame.

Shapes: F frames, B windows, T frames of a window, 17 joints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp
from posemamba.data.mpi_inf_3dhp.file import Video
from posemamba.data.mpi_inf_3dhp.joints import JOINTS, to_3dhp
from posemamba.evaluate.metrics import motion_errors, mpjve_per_frame, p_mpjpe_per_frame
from posemamba.models.inputs import mirror
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

Predict = Callable[[Tensor], Tensor]
"""(B, T, 17, 2) normalised 2D joints in Human3.6M's order, on the CPU -> (B, T, 17, 3) in the data set's normalised
unit, on any device."""

PCK_MM = 150.0
AUC_MM = tuple(float(mm) for mm in range(0, 151, 5))
NOT_COUNTED = ("pelvis", "spine", "head")
"""Joints that PCK and AUC leave out."""
COUNTED = tuple(j for j, name in enumerate(JOINTS) if name not in NOT_COUNTED)
SCENES = {
    "green screen": ("TS1", "TS2"),
    "no green screen": ("TS3", "TS4"),
    "outdoors": ("TS5", "TS6"),
}


@dataclass(frozen=True)
class Mpi3dhpScore:
    """MPJPE, PCK and AUC over `frames` frames.

    Attributes:
        frames: the number of frames.
        mpjpe: millimetres, 17 joints.
        p_mpjpe: millimetres, each frame aligned by rotation, translation and scale; not official.
        pck, auc: per cent, 14 joints: the official numbers.
        pck_17, auc_17: per cent, all joints including the pelvis, which is always right: the numbers of Python code
            that does not select joints.
        mpjve: millimetres per frame, the mean distance of joints' predicted from their true velocities; None without
            two scored frames in a row.
        acceleration: millimetres per frame squared, of accelerations likewise; None without three in a row.
    """

    frames: int
    mpjpe: float
    p_mpjpe: float
    pck: float
    auc: float
    pck_17: float
    auc_17: float
    mpjve: float | None = None
    acceleration: float | None = None


@dataclass(frozen=True)
class Mpi3dhpResult:
    """The scores of one predictor.

    Attributes:
        name: the predictor's name.
        frames: T, frames of a window.
        flip: True for test-time flip.
        overall: over all frames of all sequences.
        sequences, scenes: by sequence, and by kind of scene if its sequences are there.
        joint_mpjpe: millimetres by joint.
        detector: a short name of the 2D joints, which are the true ones.
    """

    name: str
    frames: int
    flip: bool
    overall: Mpi3dhpScore
    sequences: dict[str, Mpi3dhpScore]
    scenes: dict[str, Mpi3dhpScore]
    joint_mpjpe: dict[str, float]
    detector: str = "GT"

    def table(self) -> str:
        """Format a table: a line for all frames, each kind of scene and each sequence."""
        rows = {"all": self.overall, **self.scenes, **self.sequences}
        width = max(16, *map(len, rows))
        lines = [
            f"{self.name}: MPI-INF-3DHP test, {self.frames} frames{', test-time flip' if self.flip else ''}, true 2D "
            f"({self.detector}); errors in mm, PCK at 150 mm and AUC in %, MPJVE and acceleration error per frame",
            " " * width + " |                  | official, 14 joints | all 17 joints   |               |",
            " " * width + f" | {'MPJPE':>7} {'P-MPJPE':>8} | {'PCK':>9} {'AUC':>9} | {'PCK':>7} {'AUC':>7} "
            f"| {'MPJVE':>6} {'accel.':>6} | frames",
        ]
        for name, s in rows.items():
            lines.append(
                f"{name:<{width}} | {s.mpjpe:7.2f} {s.p_mpjpe:8.2f} | {s.pck:9.2f} {s.auc:9.2f} "
                f"| {s.pck_17:7.2f} {s.auc_17:7.2f} | {_cell(s.mpjve)} {_cell(s.acceleration)} | {s.frames:6d}"
            )
        each = ", ".join(f"{joint.replace('_', ' ')} {mm:.1f}" for joint, mm in self.joint_mpjpe.items())
        lines.append(f"MPJPE by joint: {each}")
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Write the result as JSON."""
        with atomic_path(path) as temporary:
            content = {"format": "posemamba-mpi-inf-3dhp-1", **asdict(self)}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _cell(value: float | None) -> str:
    return f"{'-':>6}" if value is None else f"{value:6.2f}"


def pck(errors: NDArray[np.floating], threshold: float = PCK_MM) -> float:
    """Return the per cent of joint errors (any shape, millimetres) that are less than the threshold."""
    return 100 * float(np.mean(errors < threshold))


def auc(errors: NDArray[np.floating]) -> float:
    """Return the mean of the PCK at the 31 thresholds 0, 5, ..., 150 mm, per cent."""
    return float(np.mean(100 * np.searchsorted(np.sort(errors, axis=None), AUC_MM, side="left") / errors.size))


def windows_around(centres: NDArray[np.integer], frames: int, length: int) -> NDArray[np.int64]:
    """Return the (F, T) frame numbers of the windows around `centres`, in a video of `length` frames.

    Beyond the video's ends its first or last frame is repeated. A window of an even number of frames has one more after
    its centre than before it.
    """
    around = np.arange(frames) - (frames - 1) // 2
    return np.clip(centres[:, None] + around, 0, length - 1).astype(np.int64)


def lift_centres(
    predict: Predict, video: Video, centres: NDArray[np.integer], *, frames: int = 81, flip: bool = True
) -> NDArray[np.float64]:
    """Lift frames of a video, each from the window around it.

    Args:
        predict: see `evaluate`.
        video: of V frames.
        centres: (F,) numbers of the frames.
        frames: T.
        flip: test-time flip: average with the mirrored lifting of the mirrored joints.

    Returns:
        (F, 17, 3) millimetres, in Human3.6M's order; joint 0 is set to zero, the others stay as predicted.

    Raises:
        PoseMambaError: a prediction has a wrong shape or is not finite.
    """
    x = torch.from_numpy(video.xy[windows_around(centres, frames, len(video.xy))])
    y = _checked(predict(x), x, video.name)
    if flip:
        y = (y + mirror(_checked(predict(mirror(x)), x, video.name))) / 2
    centre = y[:, (frames - 1) // 2].index_fill(1, torch.tensor([0]), 0)
    return centre.numpy() * video.mm_per_unit


@torch.inference_mode()
def evaluate(
    predict: Predict,
    data: MpiInf3dhp,
    frames: int = 81,
    flip: bool = True,
    progress: Progress | None = None,
    *,
    name: str = "predictor",
    batch: int = 64,
) -> Mpi3dhpResult:
    """Score a predictor on the test sequences.

    Args:
        predict: see `Predict`; the unit is millimetres / W * 2, relative to the pelvis. Its pelvis is set to zero here,
            not subtracted from the others, as in P-STMO and MotionAGFormer.
        data: with its test file.
        frames: T, frames of a window; its centre frame is scored.
        flip: test-time flip: average with the mirrored lifting of the mirrored joints.
        progress: called with the frames done and the frames in total.
        name: for the table.
        batch: B, at most.

    Raises:
        PoseMambaError: there is no test file or no frame to score, or a prediction has a wrong shape or is not finite.
    """
    if frames < 1 or batch < 1:
        raise PoseMambaError(f"windows of {frames} frames, {batch} at a time: expected 1 or more of both")
    total, done = int(data.test.valid.sum()), 0
    if not total:
        raise PoseMambaError(f"{data.test_path}: no frame is marked as valid, so none can be scored")
    errors: dict[str, NDArray[np.float64]] = {}
    aligned: dict[str, NDArray[np.float64]] = {}
    moving: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for video in data.test:
        scored = np.flatnonzero(video.valid)
        parts = []
        for first in range(0, len(scored), batch):
            parts.append(lift_centres(predict, video, scored[first : first + batch], frames=frames, flip=flip))
            done += len(parts[-1])
            if progress is not None:
                progress(done, total)
        if parts:
            pred, target = np.concatenate(parts), video.mm[scored].astype(np.float64)
            errors[video.name] = np.linalg.norm(to_3dhp(pred) - to_3dhp(target), axis=-1)
            aligned[video.name] = p_mpjpe_per_frame(pred, target)
            moving[video.name] = _motion_errors(pred, target - target[:, :1], scored)

    def score(names: tuple[str, ...]) -> Mpi3dhpScore:
        e = np.concatenate([errors[n] for n in names])
        counted, p2 = e[:, list(COUNTED)], np.concatenate([aligned[n] for n in names])
        per_frame = (np.concatenate([moving[n][k] for n in names]) for k in (0, 1))
        velocity, acceleration = (float(values.mean()) if len(values) else None for values in per_frame)
        found = float(e.mean()), float(p2.mean()), pck(counted), auc(counted), pck(e), auc(e)
        return Mpi3dhpScore(len(e), *found, velocity, acceleration)

    return Mpi3dhpResult(
        name=name,
        frames=frames,
        flip=flip,
        overall=score(tuple(errors)),
        sequences={n: score((n,)) for n in errors},
        scenes={scene: score(parts) for scene, parts in SCENES.items() if set(parts) <= set(errors)},
        joint_mpjpe=dict(zip(JOINTS, np.concatenate(list(errors.values())).mean(0).tolist(), strict=True)),
    )


def _motion_errors(
    pred: NDArray[np.float64], target: NDArray[np.float64], frames: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the errors of velocity and acceleration where the frames follow each other without a gap."""
    if len(frames) < 3:  # too few for a second difference
        return np.zeros(0) if len(frames) < 2 else mpjve_per_frame(pred, target)[np.diff(frames) == 1], np.zeros(0)
    velocity, acceleration = motion_errors(pred, target)
    return velocity[np.diff(frames) == 1], acceleration[frames[2:] - frames[:-2] == 2]


def _checked(y: Tensor, x: Tensor, name: str) -> Tensor:
    y = torch.as_tensor(y).detach().double().cpu()
    if y.shape != (*x.shape[:3], 3) or not bool(y.isfinite().all()):
        raise PoseMambaError(
            f"{name}: the prediction has shape {tuple(y.shape)} (expected {(*x.shape[:3], 3)}) or is not finite"
        )
    return y
