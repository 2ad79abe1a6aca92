"""Human3.6M's test as VideoPose3D scores it: MPJPE, P-MPJPE, N-MPJPE and MPJVE in millimetres, averaged over actions.

The target is the true pose in the camera's frame relative to the pelvis. Every frame of every video is scored, and the
predicted pelvis is taken as it is. A metric's mean over a video counts as many times as the video has frames; trials of
one name are one action, and actions count alike.

Shapes: B clips, T frames of a clip, F frames of a video, J = 17 joints.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.human36m.cache import Split
from posemamba.data.human36m.cameras import LENSES
from posemamba.data.human36m.dataset import cut_clips
from posemamba.data.human36m.file import Video
from posemamba.data.human36m.videopose3d import MM_PER_UNIT, VideoPose3D
from posemamba.evaluate.human36m import Predict, _checked
from posemamba.evaluate.metrics import mpjpe_per_frame, mpjve_per_frame, n_mpjpe_per_frame, p_mpjpe_per_frame
from posemamba.models.inputs import mirror
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

PROTOCOL = "videopose3d"


@dataclass(frozen=True)
class ActionScore:
    """The errors of an action in millimetres; MPJVE is per frame, not per second."""

    frames: int
    mpjpe_mm: float
    p_mpjpe_mm: float
    n_mpjpe_mm: float
    mpjve_mm: float

    @property
    def errors(self) -> tuple[float, float, float, float]:
        """The four metrics in the order of the fields."""
        return self.mpjpe_mm, self.p_mpjpe_mm, self.n_mpjpe_mm, self.mpjve_mm


@dataclass(frozen=True)
class VideoPose3DResult:
    """The scores of one predictor.

    Attributes:
        name: the predictor's name.
        keypoints: the name of the 2D joints, e.g. ``cpn_ft_h36m_dbb``.
        subjects: those that were scored.
        metres: whether predictions were metres; else the picture's unit, made metres by lens and pelvis's true depth.
        flip, clip_frames: the options of the run.
        mean: means over actions; its `frames` are those of all.
        actions: by name, sorted.
    """

    name: str
    keypoints: str
    subjects: tuple[str, ...]
    metres: bool
    flip: bool
    clip_frames: int
    mean: ActionScore
    actions: dict[str, ActionScore]

    def table(self) -> str:
        """Format a table: a line for each action, then their mean."""
        width = max(20, *(len(name) for name in self.actions))
        flip = "test-time flip" if self.flip else "no test-time flip"
        unit = "" if self.metres else ", made metres by lens and true depth"
        lines = [
            f"{self.name}: Human3.6M test ({', '.join(self.subjects)}), protocol {PROTOCOL}, {self.keypoints} 2D, "
            f"clips of {self.clip_frames} frames, {flip}{unit}; mm",
            f"{'':{width}} | {'MPJPE':>7} {'P-MPJPE':>7} {'N-MPJPE':>7} {'MPJVE':>7} | frames",
        ]
        for name, score in (*self.actions.items(), ("mean over actions", self.mean)):
            lines.append(f"{name:<{width}} | {' '.join(f'{e:7.2f}' for e in score.errors)} | {score.frames:6d}")
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Write the result as JSON."""
        with atomic_path(path) as temporary:
            content = {"format": "posemamba-videopose3d-1", "protocol": PROTOCOL, **asdict(self)}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def evaluate(
    predict: Predict,
    data: VideoPose3D,
    flip: bool = True,
    progress: Progress | None = None,
    *,
    name: str = "predictor",
    frames: int = 243,
    batch: int = 16,
    metres: bool = True,
    confidence: bool = False,
) -> VideoPose3DResult:
    """Score a predictor on the test subjects.

    Args:
        predict: (B, T, 17, 2) normalised 2D joints on the CPU, or with confidence (B, T, 17, 3), -> (B, T, 17, 3).
        data: the opened files.
        flip: test-time flip: average with the mirrored prediction of the mirrored joints.
        progress: called with the clips done and the clips in total.
        name: for the table.
        frames: of a clip. Clips lie end to end, with a further one at each video's end; a frame in two clips is taken
            from the earlier one; a shorter video is stretched to a clip and its copies of a frame averaged.
        batch: clips at a time.
        metres: the prediction's unit is metres in the camera's frame, as of models trained on these files. Otherwise it
            is the picture's (`to_metres`).
        confidence: give the predictor (B, T, 17, 3), with the detector's confidence.

    Raises:
        PoseMambaError: a prediction has a wrong shape or is not finite.
    """
    split = data.test
    clips = cut_clips(split.videos, frames, frames, tails=True)
    if not metres and (split.factor is None or not (split.factor > 0).all()):
        raise PoseMambaError(f"{data.path}: a pelvis is behind a camera, so that the picture's unit has no millimetres")
    summed, counts = np.zeros((len(split), 17, 3)), np.zeros(len(split), np.int64)
    for first in range(0, len(clips), batch):
        index = np.stack([clips.index(clip) for clip in range(first, min(first + batch, len(clips)))])
        pred = _predict(predict, torch.from_numpy(split.joints[index][..., : 3 if confidence else 2]), flip, name)
        for rows, poses in zip(index, pred, strict=True):
            new = counts[rows] == 0  # frames of an earlier clip are there; copies of a frame are in one clip
            np.add.at(summed, rows[new], poses[new])
            np.add.at(counts, rows[new], 1)
        if progress is not None:
            progress(min(first + batch, len(clips)), len(clips))
    actions = _score(split, summed / counts[:, None, None], metres)
    means = np.mean([score.errors for score in actions.values()], 0)
    mean = ActionScore(len(split), *map(float, means))
    return VideoPose3DResult(name, data.keypoints, data.subjects("test"), metres, flip, frames, mean, actions)


def to_metres(split: Split, video: Video, pred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put poses of the picture's unit into the camera's frame.

    A joint lies where its pixel is seen, at the pelvis's true depth plus its own. The pixel is the given pelvis's plus
    the prediction's x and y; joint 0 of the prediction is set to zero. So the size of the person is given, but no pose.

    Args:
        split: has the 2D joints that were given, and millimetres per pixel at the pelvis's depth.
        video: one of the split's.
        pred: (F, J, 3) normalised, of all of its frames.

    Returns:
        (F, J, 3) metres, relative to joint 0.
    """
    assert split.factor is not None
    part = slice(video.start, video.start + video.length)
    lens = next(lens for lens in LENSES if lens.name == video.camera)
    width, height = lens.size
    relative = pred.copy()
    relative[:, 0] = 0
    pixels = (split.joints[part, :1, :2] + relative[..., :2] + [1, height / width]) * width / 2
    mm_per_pixel = split.factor[part].astype(np.float64)[:, None, None]
    depth = (mm_per_pixel * np.mean(lens.focal) + relative[..., 2:] * mm_per_pixel * width / 2) / 1000
    points = np.concatenate([lens.directions(pixels) * depth, depth], -1)
    return np.asarray(points - points[:, :1])


def _predict(predict: Predict, joints: Tensor, flip: bool, name: str) -> NDArray[np.float64]:
    pred = _checked(predict(joints), joints, name)
    if flip:
        pred = (pred + mirror(_checked(predict(mirror(joints)), joints, name))) / 2
    return np.asarray(pred.double().numpy())


def _score(split: Split, pred: NDArray[np.float64], metres: bool) -> dict[str, ActionScore]:
    """Errors by action of (N, 17, 3) predictions for all frames of a split."""
    sums: dict[str, NDArray[np.float64]] = {}
    frames: dict[str, int] = {}
    for video in split.videos:
        part = slice(video.start, video.start + video.length)
        given = (pred[part] if metres else to_metres(split, video, pred[part])) * MM_PER_UNIT
        target = split.joints[part, :, 3:].astype(np.float64) * MM_PER_UNIT
        metrics = (mpjpe_per_frame, p_mpjpe_per_frame, n_mpjpe_per_frame, mpjve_per_frame)
        # a video of one frame has no velocity
        errors = np.array([values.mean() if (values := of(given, target)).size else 0.0 for of in metrics])
        sums[video.action] = sums.get(video.action, np.zeros(len(metrics))) + video.length * errors
        frames[video.action] = frames.get(video.action, 0) + video.length
    return {a: ActionScore(frames[a], *(float(e) for e in sums[a] / frames[a])) for a in sorted(sums)}
