"""Drawn motions of training clips: which pieces of the motion capture, grafts of others, and changes of joints.

Shapes: B clips, N frames of all motions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.mocap import recombine
from posemamba.data.mocap.draw.numbers import Graft, Motion, Segment
from posemamba.data.mocap.draw.sampler import Array, Sampler, tensor
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MotionOptions

_BALL_JOINTS = len(recombine.BALL_JOINTS)
# Standard deviation of rotations about one axis, radians, in the order of recombine.BALL_JOINTS.
_PERTURBATION = np.deg2rad([7, 12, 18, 18, 9, 9])[:, None]
_LARGE = np.array([2, 1, 1, 1, 3, 3])[:, None]  # times that: legs raised to the side or behind, trunks that bend


class MotionDrawer:
    """Draws pieces of motions, by the weights of their frames, and changes of them.

    Args:
        motions: what to draw from.
        options: what to vary.
    """

    def __init__(self, motions: Motions, options: MotionOptions) -> None:
        self._options, self._fps = options, motions.fps
        self._starts, self._lengths = motions.starts, motions.lengths
        weight = _frame_weights(motions, options)
        self._cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        ends = self._starts + self._lengths
        self._clip_weight = self._cumulative[ends] - self._cumulative[self._starts]
        standing = _standing(motions) if options.standing_share else np.zeros(len(motions.positions))
        self._standing = np.concatenate([[0.0], np.cumsum(standing)])

    def long_enough(self, frames: int) -> NDArray[np.bool_]:
        """Tell which motions fill a clip at half speed or faster."""
        return self._lengths - 1 >= 0.5 * (frames - 1)

    def _any_motion(self, s: Sampler, frames: int) -> Array:
        """Draw indices of motions that are long enough, by the weight of their frames."""
        weight = np.cumsum(np.where(self.long_enough(frames), self._clip_weight, 0))
        return np.searchsorted(weight, s.uniform(0, weight[-1]), side="right").clip(max=len(weight) - 1)

    def draw_segment(self, s: Sampler, frames: int) -> Segment:
        """Draw a piece of motion about a frame that is drawn by weight."""
        clip = self._any_motion(s, frames)
        begin, length = self._starts[clip], self._lengths[clip]
        low, high = self._cumulative[begin], self._cumulative[begin + length]
        frame = np.searchsorted(self._cumulative, low + (high - low) * s.uniform(0, 1), side="right") - 1
        step = np.minimum(s.log_uniform(*self._options.frame_step), (length - 1) / max(frames - 1, 1))
        span = step * (frames - 1)
        first = np.clip(frame - s.uniform(0, 1) * span, begin, begin + length - 1 - span)
        # small numbers, as they travel in float32
        return Segment(tensor(begin), tensor(begin + length - 1), tensor(first - begin), tensor(step))

    def draw_changes(self, s: Sampler, segment: Segment, speed: Array, frames: int, flip: Array) -> Motion:
        """Draw changes of the motion; the other motion of a graft is as fast, and taken from anywhere."""
        o, step = self._options, segment.step.numpy()
        other = self._any_motion(s, frames)
        begin, length = self._starts[other], self._lengths[other]
        other_step = np.minimum(step, (length - 1) / max(frames - 1, 1))
        part = np.searchsorted([0.5, 0.65, 0.8], s.uniform(0, 1))
        perturbed = (s.chance(0.5, _BALL_JOINTS) & s.chance(o.joint_perturbation_share)[:, None])[..., None]
        seconds = step * speed * (frames - 1) / self._fps
        reverse = s.chance(o.reverse_share)
        part = np.where(s.chance(o.graft_share), part, -1)
        first = s.uniform(0, 1) * (length - 1 - other_step * (frames - 1))
        segment.step = tensor(step * speed)
        nothing = torch.zeros(s.size, 1, 3, dtype=torch.float64)
        return Motion(
            segment=segment,
            reverse=tensor(reverse),
            graft=Graft(
                part=tensor(part),
                segment=Segment(tensor(begin), tensor(begin + length - 1), tensor(first), tensor(other_step * speed)),
            ),
            perturbation=recombine.Rotations(
                offset=tensor(_PERTURBATION * s.normal(0, 1, _BALL_JOINTS, 3) * perturbed),
                amplitude=tensor(0.5 * _PERTURBATION * s.normal(0, 1, _BALL_JOINTS, 3) * perturbed),
                cycles=tensor(s.log_uniform(0.1, 0.7, _BALL_JOINTS) * seconds[:, None]),
                phase=tensor(s.uniform(0, 1, _BALL_JOINTS)),
            ),
            tumble=recombine.Rotations(nothing, nothing, nothing[..., 0], nothing[..., 0]),
            flip=tensor(flip),
            straighter=nothing[:, 0, 0],
            stiffness=nothing[:, 0, 0],
        )

    def tumble(self, s: Sampler, motion: Motion, frames: int) -> None:
        """Turn some bodies over, about axes that lie level."""
        axis = 2 * np.pi * s.random.random((2, s.size))
        axes = np.stack([np.cos(axis), np.sin(axis), np.zeros_like(axis)], -1)
        tumbled = s.chance(self._options.tumble_share)[:, None]
        seconds = motion.segment.step.numpy() * (frames - 1) / self._fps
        offset = axes[0] * s.uniform(0, np.pi, 1) * tumbled
        amplitude = axes[1] * s.uniform(0, np.pi / 2, 1) * tumbled
        cycles, phase = s.log_uniform(0.1, 0.7) * seconds, s.uniform(0, 1)
        motion.tumble = recombine.Rotations(
            tensor(offset[:, None]), tensor(amplitude[:, None]), tensor(cycles[:, None]), tensor(phase[:, None])
        )

    def enlarge(self, s: Sampler, motion: Motion) -> None:
        """Turn the ball joints of some bodies further."""
        large = np.where(s.chance(self._options.large_perturbation_share)[:, None, None], _LARGE, 1)
        motion.perturbation.offset *= tensor(large)
        motion.perturbation.amplitude *= tensor(large)

    def stand(self, s: Sampler, segment: Segment, frames: int) -> NDArray[np.bool_]:
        """Let some clips begin with a person who stands upright, and go on slowly; return which."""
        ends = self._starts + self._lengths
        there = np.where(self.long_enough(frames), self._standing[ends] - self._standing[self._starts], 0)
        weight = np.cumsum(there)
        chosen = s.chance(self._options.standing_share) & bool(weight[-1] > 0)
        clip = np.searchsorted(weight, s.uniform(0, 1) * weight[-1], side="right").clip(max=len(weight) - 1)
        begin, length = self._starts[clip], self._lengths[clip]
        low, high = self._standing[begin], self._standing[begin + length]
        frame = np.searchsorted(self._standing, low + (high - low) * s.uniform(0, 1), side="right") - 1
        step = np.minimum(s.uniform(0, 1), (length - 1) / max(frames - 1, 1))
        first = np.clip(frame - begin, 0, length - 1 - step * (frames - 1))
        for name, value in (("begin", begin), ("end", begin + length - 1), ("first", first), ("step", step)):
            setattr(segment, name, tensor(np.where(chosen, value, getattr(segment, name).numpy())))
        return chosen

    def straighten(self, s: Sampler, standing: NDArray[np.bool_]) -> Tensor:
        """Draw radians by which knees are bent less; those who stand have them straight more often than others."""
        o = self._options
        low, high = np.deg2rad(o.straight_knee_degrees)
        less = s.uniform(low, high)
        less = np.where(standing, np.maximum(less, s.uniform(low, high)), less)
        return tensor(np.where(s.chance(o.straight_knee_share), less, 0.0))

    def stiffen(self, s: Sampler) -> Tensor:
        """Draw the share of their bend that knees lose."""
        stiff = s.chance(self._options.stiff_knee_share)
        return tensor(np.where(stiff, s.uniform(0.5, 1), 0.0))


def _standing(motions: Motions) -> Array:
    """Return (N,) 1 where a person stands upright, on both feet: trunk and thighs near to upright, ankles as high."""
    p = motions.positions
    trunk, thighs = p[:, 8] - p[:, 0], p[:, (1, 4)] - p[:, (2, 5)]
    upright = trunk[:, 2] > np.cos(np.deg2rad(15)) * np.linalg.norm(trunk, axis=-1)
    upright &= (thighs[..., 2] > np.cos(np.deg2rad(20)) * np.linalg.norm(thighs, axis=-1)).all(1)
    return (upright & (np.abs(p[:, 3, 2] - p[:, 6, 2]) < 0.06)).astype(float)


def _frame_weights(motions: Motions, o: MotionOptions) -> Array:
    """Return (N,) sampling weights: dances less, bent trunks and raised legs more often than they are there."""
    weight = np.ones(len(motions.positions))
    subject = np.repeat(np.array(motions.subjects), motions.lengths)
    weight[np.isin(subject, ("cmu_60", "cmu_61"))] *= o.dance_weight
    trunk = motions.positions[:, 8] - motions.positions[:, 0]
    bent = trunk[:, 2] < np.cos(np.pi / 4) * np.linalg.norm(trunk, axis=-1)
    weight[bent] *= o.bent_trunk_weight
    legs = motions.positions[:, (3, 6)] - motions.positions[:, (1, 4)]
    raised = (-legs[..., 2] < np.cos(np.pi / 4) * np.linalg.norm(legs, axis=-1)).any(1)
    weight[raised] *= o.raised_leg_weight
    return weight
