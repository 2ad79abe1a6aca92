"""Drawn errors of the 2D detector in training clips: noise, occlusions, swaps of left and right, confidence, and places
of joints in the body that differ from the motion capture's.

Shapes: B clips.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data import augment
from posemamba.data.mocap.draw.sampler import Array, Sampler, tensor
from posemamba.data.mocap.options import DetectorOptions

_OCCLUSIONS, _SWAPS, _HARD_JOINTS = 6, 3, 2
# Errors last in time, not in frames: shares of the jitter by frames a second (studies/detector_noise).
_AUTOCORRELATION_FPS = np.log([15, 30, 60])
_AUTOCORRELATION = np.array([[0.3, 0.7, 0.6], [0.53, 0.65, 0.49], [0.72, 0.5, 0.43]])
_LIMB_JOINTS = np.array([2, 3, 5, 6, 12, 13, 15, 16])
# Standard deviation, metres, of where a detector has joints in the body: across, along the trunk, ahead. Views of one
# person differ by 0.01 to 0.03 (studies/LOG.md); what all views have in common, and other people, come on top.
_DISPLACED = np.array(
    [
        *([0.0] * 3, [0.012] * 3, [0.014] * 3, [0.012] * 3, [0.012] * 3, [0.014] * 3, [0.012] * 3, [0.01] * 3),
        *([0.015] * 3, [0.02, 0.025, 0.03], [0.025, 0.04, 0.045], [0.012] * 3, [0.012] * 3, [0.012] * 3),
        *([0.012] * 3, [0.012] * 3, [0.012] * 3),
    ]
)
_PAIR = 0.02  # the same, along the trunk, of both hips together and of both shoulders together
_HIPS_OF_LEGS, _SHOULDERS = [1, 4], [11, 14]


def draw_occlusions(
    s: Sampler, o: DetectorOptions, noisy: Array, frames: int
) -> tuple[augment.Occlusions, NDArray[np.bool_]]:
    """Draw occlusions, and which of them may become a limb's: long ones, but not of everything."""
    there = s.chance(0.3, _OCCLUSIONS) & (s.chance(o.occlusion_share) & noisy)[:, None]
    joint_set = np.floor(s.uniform(0, augment.OCCLUDED_ALL, _OCCLUSIONS)).astype(int)
    short = s.chance(1 - o.long_occlusion_share, _OCCLUSIONS)
    length = np.where(short, s.uniform(2, 20, _OCCLUSIONS), s.uniform(2, 90, _OCCLUSIONS))
    everything = s.chance(0.08, _OCCLUSIONS)
    joint_set = np.where(everything, augment.OCCLUDED_ALL, joint_set)
    length = np.where(everything, length.clip(max=15), length) * there
    start = s.uniform(-0.1 * frames, frames, _OCCLUSIONS)
    no_legs = s.chance(0.03) & noisy
    joint_set[no_legs, 0], start[no_legs, 0], length[no_legs, 0] = augment.OCCLUDED_LEGS, 0, frames
    may_be_limb = ~short & ~everything
    may_be_limb[no_legs, 0] = False
    return augment.Occlusions(tensor(np.floor(start)), tensor(np.floor(length)), tensor(joint_set)), may_be_limb


def occlude_limbs(s: Sampler, o: DetectorOptions, occlusions: augment.Occlusions, may_be_limb: Array) -> None:
    """Let some of the long occlusions be of a limb."""
    limb = s.chance(o.limb_occlusion_share, _OCCLUSIONS) & may_be_limb
    which = s.choice(np.array(augment.OCCLUDED_LIMBS), _OCCLUSIONS)
    occlusions.joint_set = tensor(np.where(limb, which, occlusions.joint_set.numpy()))


def swap_lengths(s: Sampler, noisy: Array) -> Array:
    """Draw the frames of each left-right swap, 0 for none."""
    swapped = s.chance(0.4, _SWAPS) & (s.chance(0.25) & noisy)[:, None]
    return np.where(s.chance(0.75, _SWAPS), s.uniform(1, 8, _SWAPS), s.uniform(8, 40, _SWAPS)) * swapped


def draw_errors(
    s: Sampler,
    o: DetectorOptions,
    noisy: Array,
    jitter: Array,
    swap_length: Array,
    occlusions: augment.Occlusions,
    edge: Tensor,
    step: Array,
    frames: int,
    fps: float,
) -> augment.DetectorErrors:
    """Draw errors of the detector, with the occlusions and the sizes of jitter and swaps that are drawn before."""
    log_fps = np.log(fps / np.maximum(step, 0.1))
    shares = np.stack([np.interp(log_fps, _AUTOCORRELATION_FPS, column) for column in _AUTOCORRELATION.T], 1)
    bias = jitter * s.uniform(0.3, 1.0)
    outliers = augment.Outliers(
        rate=tensor(np.where(s.chance(0.3), s.uniform(0, 0.03), 0.0) * noisy), std=tensor(s.uniform(0.15, 0.8))
    )
    swaps = augment.LeftRightSwaps(
        start=tensor(np.floor(s.uniform(0, frames, _SWAPS))),
        length=tensor(np.ceil(swap_length)),
        limbs=tensor(np.searchsorted([0.4, 0.6], s.uniform(0, 1, _SWAPS))),
    )
    return augment.DetectorErrors(
        jitter=augment.Jitter(
            std=tensor(jitter),
            bias_std=tensor(bias),
            autocorrelation=tensor(shares / np.linalg.norm(shares, axis=1, keepdims=True)),
            hard_joints=tensor(s.choice(_LIMB_JOINTS, _HARD_JOINTS)),
            hard_scale=tensor(np.where(s.chance(0.5, _HARD_JOINTS), s.uniform(1.5, 3, _HARD_JOINTS), 1.0)),
        ),
        outliers=outliers,
        occlusions=occlusions,
        swaps=swaps,
        derived_trunk=tensor(s.chance(0.7) & noisy),
        dropout_rate=tensor(s.uniform(0, 0.4) * (s.chance(o.dropout_share) & noisy)),
        edge=edge,
        confidence=augment.Confidence(
            intercept=tensor(s.uniform(1.0, 6.5)),
            error_slope=tensor(s.log_uniform(3, 30)),
            slow_noise=tensor(s.uniform(0.3, 1.5)),
            joint_noise=tensor(s.uniform(0, 2.2)),
            binary=tensor(s.chance(o.binary_confidence_share) | s.chance(0.5) & ~noisy),
            ignores_swaps=tensor(s.chance(0.5)),
        ),
    )


def displace(s: Sampler, o: DetectorOptions, noisy: Array) -> augment.Displacement:
    """Draw places of joints as the detector has them in a clip."""
    own, pair = s.normal(0, 1, 17, 3), s.normal(0, 1, 2)
    offset = own * _DISPLACED
    offset[:, _HIPS_OF_LEGS, 1] += _PAIR * pair[:, :1]
    offset[:, _SHOULDERS, 1] += _PAIR * pair[:, 1:]
    offset[:, 10] = 0.7 * offset[:, 9] * (_DISPLACED[10] / _DISPLACED[9]) + 0.7 * offset[:, 10]
    offset[:, 0] = offset[:, _HIPS_OF_LEGS].mean(1)
    displaced = s.chance(o.displaced_share) & noisy
    size = np.where(displaced, s.uniform(0, 1.5), 0.0)[:, None, None]
    raised = s.uniform(0, 0.25, 1) * s.uniform(0.5, 1, 2) * (s.chance(o.raised_ankle_share) & noisy)[:, None]
    return augment.Displacement(tensor(offset * size), tensor(raised))


def lose_head_and_ankles(
    s: Sampler, o: DetectorOptions, detector: augment.DetectorErrors, noisy: Array, frames: int
) -> None:
    """Let the detector miss the head, or both ankles, all the time: occlusions beside the others."""
    before = detector.occlusions
    lost = np.stack([s.chance(o.head_loss_share) & noisy, s.chance(o.ankle_loss_share) & noisy], 1)
    sets = np.tile([augment.OCCLUDED_HEAD, augment.OCCLUDED_ANKLES], (s.size, 1))
    detector.occlusions = augment.Occlusions(
        start=torch.cat([before.start, torch.zeros(s.size, 2, dtype=before.start.dtype)], 1),
        length=torch.cat([before.length, tensor(np.where(lost, float(frames), 0.0))], 1),
        joint_set=torch.cat([before.joint_set, tensor(sets)], 1),
    )


def be_confident(s: Sampler, o: DetectorOptions, detector: augment.DetectorErrors, noisy: Array) -> None:
    """Give some clips a confidence that is high whatever the error."""
    sure, c = s.chance(o.confident_share) & noisy, detector.confidence
    c.intercept = tensor(np.where(sure, c.intercept.numpy().clip(min=4.0), c.intercept.numpy()))
    c.error_slope = tensor(np.where(sure, 0.0, c.error_slope.numpy()))
    c.ignores_swaps = tensor(sure | c.ignores_swaps.numpy())
