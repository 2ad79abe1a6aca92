"""Baselines without depth: the picture at depth zero, or each joint at its mean depth."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import BodyOptions, DetectorOptions, MocapOptions, MotionOptions
from posemamba.evaluate.mocap.benchmark import Predict
from posemamba.models.inputs import person_size


def flat_baseline(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predict the picture at depth zero, a baseline that any lifter must beat."""
    xy = joints[..., :2]
    return np.concatenate([xy - xy[:, :, :1], np.zeros_like(xy[..., :1])], -1)


def mean_depths(motions: Motions, *, batches: int = 32, batch: int = 64) -> NDArray[np.float32]:
    """Compute each joint's mean depth over training clips, (17,) in units of `models.inputs.person_size`.

    Cameras stand all around, so front and back cancel; the lean by their pitch remains.
    """
    options = MocapOptions(
        motion=MotionOptions(flip=False),
        body=BodyOptions(bone_scale=False),
        detector=DetectorOptions(clean_share=1.0),
    )
    source = MocapSource(motions, options, seed=0)
    total = np.zeros(17)
    for step in range(batches):
        clips = source.batch(step, batch, frames=27)
        size = person_size(clips.exact)[:, None, None]
        total += (clips.target[..., 2] / size).mean((0, 1)).double().numpy()
    return (total / batches).astype(np.float32)


def mean_depth_baseline(depths: NDArray[np.float32]) -> Predict:
    """Make a predictor that puts each joint of any pose at its mean depth (`mean_depths`)."""

    def predict(joints: NDArray[np.float32]) -> NDArray[np.float32]:
        xy = joints[..., :2]
        size = person_size(torch.from_numpy(np.ascontiguousarray(xy))).numpy()
        depth = np.broadcast_to(size[:, None, None] * depths, xy.shape[:3])
        return np.concatenate([xy - xy[:, :, :1], depth[..., None]], -1).astype(np.float32)

    return predict
