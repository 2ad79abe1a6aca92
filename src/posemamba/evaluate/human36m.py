"""Human3.6M's test as published: MPJPE (P1) and PA-MPJPE (P2) in millimetres, per action and averaged over actions.

As in the released evaluation, the prediction's joint 0 is set to zero (not subtracted). The prediction times the
frame's millimetres per unit is compared with the target relative to its joint 0. Each frame is scored once; if a short
video was stretched to a clip, the errors of a frame's copies are averaged.

Shapes: B clips, T frames, J = 17 joints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posemamba.data.human36m.dataset import Human36M
from posemamba.evaluate.metrics import mpjpe_per_frame, p_mpjpe_per_frame
from posemamba.models.inputs import mirror
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

Predict = Callable[[Tensor], Tensor]
"""(B, T, 17, 2) normalised 2D joints on the CPU, or with confidence (B, T, 17, 3), -> (B, T, 17, 3) in the same unit,
on any device."""


@dataclass(frozen=True)
class ActionScore:
    """MPJPE (P1) and PA-MPJPE (P2) of an action in millimetres, means over its frames."""

    frames: int
    p1_mm: float
    p2_mm: float


@dataclass(frozen=True)
class Human36MResult:
    """The scores of one predictor.

    Attributes:
        name: the predictor's name.
        protocol, inputs, flip, clip_frames: the options of the run.
        frames: the number of scored frames.
        blocked: the number of videos that were left out.
        p1_mm, p2_mm: means over actions of the means over frames, millimetres.
        actions: by the file's names, sorted.
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
    actions: dict[str, ActionScore]

    def table(self, *, actions: bool = True) -> str:
        """Format a table: with `actions` a line for each, then their mean."""
        width = max(20, *(len(name) for name in self.actions))
        flip = "test-time flip" if self.flip else "no test-time flip"
        lines = [
            f"{self.name}: Human3.6M test, protocol {self.protocol}, {self.inputs} 2D, clips of {self.clip_frames} "
            f"frames, {flip}; mm",
            f"{'':{width}} | {'P1':>6} {'P2':>6} | frames",
        ]
        rows = [*self.actions.items()] if actions else []
        rows.append(("mean over actions", ActionScore(self.frames, self.p1_mm, self.p2_mm)))
        lines += [f"{name:<{width}} | {s.p1_mm:6.2f} {s.p2_mm:6.2f} | {s.frames:6d}" for name, s in rows]
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
    sums, counts = np.zeros((2, len(data.test))), np.zeros(len(data.test), np.int64)
    done = 0
    for given in data.test_batches(clips, batch, inputs=inputs):
        joints = torch.cat([given.input, given.confidence[..., None]], -1) if confidence else given.input
        pred = _checked(predict(joints), joints, name)
        if flip:
            pred = (pred + mirror(_checked(predict(mirror(joints)), joints, name))) / 2
        pred = pred.index_fill(2, torch.tensor([0]), 0)
        pred_mm = pred.double().numpy() * given.mm_per_unit[..., None, None]
        target = given.target_mm.astype(np.float64)
        target -= target[:, :, :1]
        errors = np.stack([mpjpe_per_frame(pred_mm, target), p_mpjpe_per_frame(pred_mm, target)])
        for row, index in enumerate(given.index):
            new = counts[index] == 0  # frames of an earlier clip are scored already; copies of a frame are in one clip
            for error, summed in zip(errors[:, row], sums, strict=True):
                np.add.at(summed, index[new], error[new])
            np.add.at(counts, index[new], 1)
        done += len(given.index)
        if progress is not None:
            progress(done, total)
    return _result(data, sums, counts, (name, protocol, inputs, flip, frames))


def _checked(pred: Tensor, given: Tensor, name: str) -> Tensor:
    wanted = (*given.shape[:-1], 3)
    if tuple(pred.shape) != wanted or not bool(torch.isfinite(pred).all()):
        raise PoseMambaError(f"{name}: a prediction has shape {tuple(pred.shape)} (expected {wanted}) or is not finite")
    return pred.detach().float().cpu()


def _result(
    data: Human36M, sums: np.ndarray, counts: np.ndarray, run: tuple[str, str, str, bool, int]
) -> Human36MResult:
    scored = counts > 0
    errors = sums[:, scored] / counts[scored]
    names = np.repeat([v.action for v in data.test.videos], [v.length for v in data.test.videos])[scored]
    if not len(names):
        raise PoseMambaError(f"{data.path}: no test frame to score: all videos are blocked ones")
    actions = {}
    for action in sorted(set(names.tolist())):
        p1, p2 = errors[:, names == action].mean(1)
        actions[action] = ActionScore(int((names == action).sum()), float(p1), float(p2))
    return Human36MResult(
        *run,
        frames=len(names),
        blocked=tuple(v.name for v in data.test.videos if v.blocked),
        p1_mm=float(np.mean([s.p1_mm for s in actions.values()])),
        p2_mm=float(np.mean([s.p2_mm for s in actions.values()])),
        actions=actions,
    )
