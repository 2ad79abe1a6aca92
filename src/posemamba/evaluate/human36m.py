"""Human3.6M's test as published: MPJPE (P1) and PA-MPJPE (P2) in millimetres, per action and averaged over actions.

As in the released evaluation, the prediction's joint 0 is set to zero (not subtracted). The prediction times the
frame's millimetres per unit is compared with the target relative to its joint 0. Each frame is scored once; if a short
video was stretched to a clip, the errors of a frame's copies are averaged.

With exact 2D joints there is a second pair of numbers, the paper's column with a dagger: as the released `train.py`
does with `gt_2d`, the predicted x and y are replaced by the given ones before the error is taken, so that depth alone
is scored.

Shapes: B clips, T frames, J = 17 joints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.human36m.dataset import Human36M, TestBatch
from posemamba.evaluate.metrics import joint_errors, motion_errors, mpjpe_per_frame, p_mpjpe_per_frame
from posemamba.models.inputs import mirror
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

Predict = Callable[[Tensor], Tensor]
"""(B, T, 17, 2) normalised 2D joints on the CPU, or with confidence (B, T, 17, 3), -> (B, T, 17, 3) in the same unit,
on any device."""


_MEASURES = {
    "p1_mm": ("P1", 2),
    "p2_mm": ("P2", 2),
    "given_xy_p1_mm": ("P1†", 2),
    "given_xy_p2_mm": ("P2†", 2),
    "mpjve_mm": ("MPJVE", 2),
    "acceleration_mm_s2": ("accel.", 0),
}
"""Fields of a score with their titles in tables and digits after the point."""
FPS = 50.0
"""Frames per second of the file."""
DETECTORS = {"detected": "SH", "exact": "GT"}
"""Short names of the 2D joints as tables have them: Stacked Hourglass, ground truth."""


@dataclass(frozen=True)
class ActionScore:
    """The errors of an action, means over its frames.

    Attributes:
        frames: the number of frames.
        p1_mm, p2_mm: MPJPE and PA-MPJPE in millimetres.
        mpjve_mm: mean distance of the predicted from the true difference of a frame to the next, millimetres per frame.
        acceleration_mm_s2: mean distance of the predicted from the true acceleration, mm/s².
        given_xy_p1_mm, given_xy_p2_mm: of exact 2D joints: P1 and P2 with the given x and y in place of the predicted.
    """

    frames: int
    p1_mm: float
    p2_mm: float
    mpjve_mm: float
    acceleration_mm_s2: float
    given_xy_p1_mm: float | None = None
    given_xy_p2_mm: float | None = None


@dataclass(frozen=True)
class Human36MResult:
    """The scores of one predictor.

    Attributes:
        name: the predictor's name.
        protocol, inputs, flip, clip_frames: the options of the run.
        frames: the number of scored frames.
        blocked: the number of videos that were left out.
        p1_mm, p2_mm, mpjve_mm, acceleration_mm_s2, given_xy_p1_mm, given_xy_p2_mm: means over actions of the means over
            frames (`ActionScore`).
        actions: by the file's names, sorted.
        joints: the mean over actions of each joint's distance by the joint's name, millimetres; their mean is P1.
        detector: a short name of the 2D joints.
    """

    name: str
    protocol: str
    inputs: str
    flip: bool
    clip_frames: int
    frames: int
    blocked: tuple[str, ...]
    p1_mm: float
    p2_mm: float
    mpjve_mm: float
    acceleration_mm_s2: float
    actions: dict[str, ActionScore]
    joints: dict[str, float]
    detector: str
    given_xy_p1_mm: float | None = None
    given_xy_p2_mm: float | None = None

    @property
    def mean(self) -> ActionScore:
        """The means over actions; its `frames` are those of all."""
        return ActionScore(**{name: getattr(self, name) for name in ("frames", *_MEASURES)})

    def table(self, *, actions: bool = True) -> str:
        """Format a table: with `actions` a line for each, then their mean, and a line of each joint's error."""
        width = max(20, *(len(name) for name in self.actions))
        flip = "test-time flip" if self.flip else "no test-time flip"
        measures = {name: form for name, form in _MEASURES.items() if getattr(self, name) is not None}
        lines = [
            f"{self.name}: Human3.6M test, protocol {self.protocol}, {self.inputs} 2D ({self.detector}), clips of "
            f"{self.clip_frames} frames, {flip}; mm, MPJVE mm per frame, acceleration error mm/s²",
            f"{'':{width}} | {' '.join(f'{title:>6}' for title, _ in measures.values())} | frames",
        ]
        rows = [*self.actions.items()] if actions else []
        for name, score in (*rows, ("mean over actions", self.mean)):
            numbers = " ".join(f"{getattr(score, m):6.{digits}f}" for m, (_, digits) in measures.items())
            lines.append(f"{name:<{width}} | {numbers} | {score.frames:6d}")
        if self.given_xy_p1_mm is not None:
            lines.append("P1†, P2†: predicted x and y replaced by the given ones, as released; depth alone is scored")
        if actions:
            each = ", ".join(f"{joint.replace('_', ' ')} {mm:.1f}" for joint, mm in self.joints.items())
            lines.append(f"P1 by joint: {each}")
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Write the result as JSON."""
        with atomic_path(path) as temporary:
            content = {"format": "posemamba-human36m-1", **asdict(self)}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def evaluate(
    predict: Predict,
    data: Human36M,
    protocol: str = "paper",
    inputs: str = "detected",
    flip: bool = True,
    progress: Progress | None = None,
    *,
    name: str = "predictor",
    frames: int = 243,
    batch: int = 16,
    confidence: bool = False,
) -> Human36MResult:
    """Score a predictor on the test subjects.

    Args:
        predict: see `Predict`; joint 0 of its result is set to zero here.
        data: the opened file.
        protocol: ``paper``: clips end to end, tails of videos not scored, as published; ``all-frames``: with a further
            clip at each video's end; a frame in two clips is scored by the earlier one.
        inputs: ``detected`` or ``exact`` 2D joints.
        flip: test-time flip: average with the mirrored prediction of the mirrored joints.
        progress: called with the clips done and the clips in total, without blocked videos.
        name: for the table.
        frames: of a clip.
        batch: clips at a time.
        confidence: give the predictor (B, T, 17, 3), with the detector's confidence.

    Raises:
        PoseMambaError: the protocol or input is unknown, or a prediction has a wrong shape or is not finite.
    """
    clips = data.test_clips(frames, protocol=protocol)
    total = sum(not data.test.videos[int(v)].blocked for v in clips.video)
    sums = _Sums(len(data.test))
    done = 0
    for given in data.test_batches(clips, batch, inputs=inputs):
        joints = torch.cat([given.input, given.confidence[..., None]], -1) if confidence else given.input
        pred = _checked(predict(joints), joints, name)
        if flip:
            pred = (pred + mirror(_checked(predict(mirror(joints)), joints, name))) / 2
        pred = pred.index_fill(2, torch.tensor([0]), 0)
        sums.add(given, pred.double().numpy(), exact=inputs == "exact")
        done += len(given.index)
        if progress is not None:
            progress(done, total)
    return _result(data, sums, (name, protocol, inputs, flip, frames))


class _Sums:
    """Errors and poses summed by frame of the split, and how many clips' rows each frame has.

    Attributes:
        joints: (F, J) distances; p2: (F,); given_xy: (2, F) P1 and P2 with the given x and y; poses: (F, J, 3); all mm.
    """

    def __init__(self, frames: int) -> None:
        joints = len(H36M17)
        self.counts = np.zeros(frames, np.int64)
        self.joints, self.p2, self.given_xy = np.zeros((frames, joints)), np.zeros(frames), np.zeros((2, frames))
        self.poses = np.zeros((frames, joints, 3), np.float32)

    def add(self, given: TestBatch, pred: NDArray[np.float64], exact: bool) -> None:
        """Add the (B, T, J, 3) normalised predictions of a batch, whose joint 0 is zero."""
        scale = given.mm_per_unit[..., None, None]
        target = given.target_mm.astype(np.float64)
        target -= target[:, :, :1]
        parts: list[tuple[NDArray[Any], NDArray[Any]]] = [
            (self.joints, joint_errors(pred * scale, target)),
            (self.p2, p_mpjpe_per_frame(pred * scale, target)),
            (self.poses, (pred * scale).astype(np.float32)),
        ]
        if exact:
            shown = given.input[..., :2].double().numpy()
            replaced = np.concatenate([shown - shown[:, :, :1], pred[..., 2:]], -1) * scale
            parts.append((self.given_xy[0], mpjpe_per_frame(replaced, target)))
            parts.append((self.given_xy[1], p_mpjpe_per_frame(replaced, target)))
        for row, index in enumerate(given.index):
            # frames of an earlier clip are scored already; copies of a frame are in one clip
            new = self.counts[index] == 0
            for summed, values in parts:
                np.add.at(summed, index[new], values[row, new])
            np.add.at(self.counts, index[new], 1)


def _checked(pred: Tensor, given: Tensor, name: str) -> Tensor:
    wanted = (*given.shape[:-1], 3)
    if tuple(pred.shape) != wanted or not bool(torch.isfinite(pred).all()):
        raise PoseMambaError(f"{name}: a prediction has shape {tuple(pred.shape)} (expected {wanted}) or is not finite")
    return pred.detach().float().cpu()


def _result(data: Human36M, sums: _Sums, run: tuple[str, str, str, bool, int]) -> Human36MResult:
    split, inputs = data.test, run[2]
    if not sums.counts.any():
        raise PoseMambaError(f"{data.path}: no test frame to score: all videos are blocked ones")
    kept: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    assert split.target_mm is not None
    for video in split.videos:
        part = np.arange(video.start, video.start + video.length)
        part = part[sums.counts[part] > 0]
        if not len(part):
            continue
        counts = sums.counts[part]
        target = split.target_mm[part].astype(np.float64)
        pred = sums.poses[part] / counts[:, None, None]
        values = {
            "joints": sums.joints[part] / counts[:, None],
            "p2_mm": sums.p2[part] / counts,
            **dict(zip(("mpjve_mm", "acceleration_mm_s2"), motion_errors(pred, target - target[:, :1]), strict=True)),
        }
        values["acceleration_mm_s2"] = values["acceleration_mm_s2"] * FPS**2
        if inputs == "exact":
            values |= {f"given_xy_p{n}_mm": sums.given_xy[n - 1, part] / counts for n in (1, 2)}
        for key, value in values.items():
            kept.setdefault(video.action, {}).setdefault(key, []).append(value)
    actions, joints = {}, []
    for action in sorted(kept):
        whole = {key: np.concatenate(value) for key, value in kept[action].items()}
        joints.append(whole.pop("joints"))
        means = {key: float(value.mean()) if len(value) else 0.0 for key, value in whole.items()}
        actions[action] = ActionScore(len(joints[-1]), float(joints[-1].mean()), **means)
    by_joint = np.mean([errors.mean(0) for errors in joints], 0)

    def mean(measure: str) -> float | None:
        values = [getattr(score, measure) for score in actions.values()]
        return None if None in values else float(np.mean(values))

    overall = {measure: mean(measure) for measure in _MEASURES}
    return Human36MResult(
        *run,
        frames=sum(score.frames for score in actions.values()),
        blocked=tuple(v.name for v in split.videos if v.blocked),
        actions=actions,
        joints=dict(zip(H36M17.joints, by_joint.tolist(), strict=True)),
        detector=DETECTORS[inputs],
        **overall,  # type: ignore[arg-type]  # None for the pair that exact joints alone have
    )
