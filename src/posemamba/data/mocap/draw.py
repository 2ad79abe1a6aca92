"""Random numbers of training clips, drawn once for each clip on the host: motion, body, camera, detector.

They form a tree of typed groups, `ClipNumbers`; each group is applied by the module that defines it. A new disturbance
is a new group there, and a method of `ClipDrawer` here that draws it and puts it into the tree.

**Drawings are in a fixed order**: clips depend on it, and so do runs that are resumed. New ones come last.

Shapes: B clips, N frames of all motions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data import augment
from posemamba.data.cameras import Cameras, LookAt
from posemamba.data.mocap import recombine
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.utils.errors import PoseMambaError

_GROUPS = len(augment.BONE_GROUPS)
_OCCLUSIONS, _SWAPS, _HARD_JOINTS = 6, 3, 2
_BALL_JOINTS = len(recombine.BALL_JOINTS)
_UPRIGHT_METRES = 1.7
# From MediaPipe's short hips and legs to Human3.6M's long ones (studies/detector_noise); in the order of BONE_GROUPS.
BONE_LOW = np.array([1.0, 0.84, 0.82, 0.9, 0.8, 0.7, 0.8, 0.82, 0.78])
BONE_HIGH = np.array([1.65, 1.26, 1.26, 1.16, 1.3, 1.3, 1.25, 1.22, 1.18])
# The motions' bones, Human3.6M's and MediaPipe's over the motions' (studies/detector_noise): definitions of joints
# differ more than people do, but all bones go together.
CONVENTIONS = np.log(
    [
        [1.0] * _GROUPS,
        [1.62, 1.20, 1.17, 1.0, 1.09, 1.09, 0.90, 1.06, 1.01],
        [1.02, 0.92, 0.84, 1.0, 1.00, 0.88, 0.93, 0.90, 0.85],
    ]
)
_ANATOMICAL = 0.04  # standard deviation, of a factor, of one person's bones from another's
# Errors last in time, not in frames: shares of the jitter by frames a second (studies/detector_noise).
_AUTOCORRELATION_FPS = np.log([15, 30, 60])
_AUTOCORRELATION = np.array([[0.3, 0.7, 0.6], [0.53, 0.65, 0.49], [0.72, 0.5, 0.43]])
_LIMB_JOINTS = np.array([2, 3, 5, 6, 12, 13, 15, 16])
# Standard deviation of rotations about one axis, radians, in the order of recombine.BALL_JOINTS.
_PERTURBATION = np.deg2rad([7, 12, 18, 18, 9, 9])[:, None]
_LARGE = np.array([2, 1, 1, 1, 3, 3])[:, None]  # times that: legs raised to the side or behind, trunks that bend
_ROLL = 20.0  # degrees, standard deviation of the roll of cameras that are held askew
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

Array = NDArray[Any]


# --- what is drawn


@dataclass
class Segment:
    """A piece of a motion, sampled at constant speed; (B,) each.

    Attributes:
        begin, end: first and last frame of the motion among the frames of all motions.
        first: where the clip begins, in frames from `begin`.
        step: frames of the motion per frame of the clip.
    """

    begin: Tensor
    end: Tensor
    first: Tensor
    step: Tensor


@dataclass
class Graft:
    """Parts of another motion.

    Attributes:
        part: (B,) index of recombine.GRAFTS; negative: none.
        segment: where they come from.
    """

    part: Tensor
    segment: Segment


@dataclass
class Motion:
    """Which motion is shown, and how it is changed.

    Attributes:
        segment: the captured motion.
        reverse: (B,) bool: it runs backwards in time.
        graft: parts of another motion.
        perturbation: rotations of ball joints.
        tumble: rotation of the whole body.
        flip: (B,) bool: mirrored left to right.
        straighter: (B,) radians by which knees are bent less.
        stiffness: (B,) from 0 to 1, the share of their bend that knees lose.
    """

    segment: Segment
    reverse: Tensor
    graft: Graft
    perturbation: recombine.Rotations
    tumble: recombine.Rotations
    flip: Tensor
    straighter: Tensor
    stiffness: Tensor


@dataclass
class ClipNumbers:
    """All random numbers of a batch's clips, but for the noise of single frames."""

    motion: Motion
    body: augment.Body
    camera: Cameras
    detector: augment.DetectorErrors
    displacement: augment.Displacement
    look: LookAt

    @property
    def clips(self) -> int:
        return len(self.motion.flip)


Group = TypeVar("Group")


def leaves(group: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Dotted names and tensors of a tree of dataclasses, in the order of their fields."""
    for field in fields(group):  # type: ignore[arg-type]
        value, path = getattr(group, field.name), f"{name}{field.name}"
        if is_dataclass(value):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def to_device(group: Group, device: torch.device) -> Group:
    """Copy a tree of dataclasses to a device, as one float32 table; integers become int64 there, booleans bool.

    One copy for all numbers, from pinned memory, as each would wait for the device. float32 holds frame numbers below
    2**24, 93 hours of motion.
    """
    tensors = [tensor for _, tensor in leaves(group)]
    table = torch.cat([t.reshape(len(t), -1).float() for t in tensors], 1)
    if device.type == "cuda":
        table = table.pin_memory()
    columns = table.to(device, non_blocking=True).split([t[0].numel() for t in tensors], 1)
    moved = (
        column.view(t.shape) if t.is_floating_point() else column.view(t.shape).to(t.dtype)
        for column, t in zip(columns, tensors, strict=True)
    )
    return _rebuilt(group, moved)


def _rebuilt(group: Group, tensors: Iterator[Tensor]) -> Group:
    values = {}
    for field in fields(group):  # type: ignore[arg-type]
        value = getattr(group, field.name)
        values[field.name] = _rebuilt(value, tensors) if is_dataclass(value) else next(tensors)
    return type(group)(**values)


# --- how it is drawn


class _Sampler:
    """Random numbers (size, *width) of one generator, in the order of the calls."""

    def __init__(self, random: np.random.Generator, size: int) -> None:
        self.random, self.size = random, size

    def uniform(self, low: float, high: float, *width: int) -> Array:
        return low + (high - low) * self.random.random((self.size, *width))

    def log_uniform(self, low: float, high: float, *width: int) -> Array:
        return np.exp(self.uniform(np.log(low), np.log(high), *width))

    def normal(self, mean: float, std: float, *width: int) -> Array:
        return self.random.normal(mean, std, (self.size, *width))

    def chance(self, share: float, *width: int) -> NDArray[np.bool_]:
        return self.random.random((self.size, *width)) < share

    def choice(self, options: Array, *width: int) -> Array:
        return np.asarray(options)[np.floor(self.uniform(0, len(options), *width)).astype(int)]


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


class ClipDrawer:
    """Draws the random numbers of training clips; all chance comes from the generators that are given.

    Args:
        motions: what to draw from.
        options: what to vary.

    Attributes:
        longest: frames of the longest clips.

    Raises:
        PoseMambaError: no motion is long enough for these.
    """

    def __init__(self, motions: Motions, options: MocapOptions) -> None:
        self._options, self._fps = options, motions.fps
        self._starts, self._lengths = motions.starts, motions.lengths
        weight = _frame_weights(motions, options)
        self._cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        ends = self._starts + self._lengths
        self._clip_weight = self._cumulative[ends] - self._cumulative[self._starts]
        standing = _standing(motions) if options.motion.standing_share else np.zeros(len(motions.positions))
        self._standing = np.concatenate([[0.0], np.cumsum(standing)])
        total = sum(options.lengths.values())
        self._frames = list(options.lengths)
        self._shares = np.cumsum([v / total for v in options.lengths.values()])
        self.longest = max(self._frames)
        if not self._long_enough(self.longest).any():
            raise PoseMambaError(f"no motion is long enough for clips of {self.longest} frames")

    def frames(self, random: np.random.Generator) -> int:
        """Draw the frames of a batch's clips, one of the options' lengths."""
        which = np.searchsorted(self._shares, random.random(), side="right")
        return self._frames[min(int(which), len(self._frames) - 1)]

    def draw(self, random: np.random.Generator, size: int, frames: int) -> ClipNumbers:
        """Draw the numbers of `size` clips of `frames` frames; angles in radians."""
        s, o = _Sampler(random, size), self._options
        segment = self._segment(s, frames)
        camera, extreme = self._camera(s)
        noisy = ~s.chance(o.detector.clean_share)
        edge = self._crop(s, camera, noisy)
        speed = np.where(s.chance(o.motion.static_share), s.uniform(0, 0.1), 1.0)
        jitter = s.log_uniform(0.008, 0.07) * noisy
        occlusions, may_be_limb = self._occlusions(s, noisy, frames)
        swap_length = _swap_length(s, noisy)
        flip = s.chance(0.5 if o.motion.flip else 0)
        body = self._body(s)
        self._place(s, camera)
        step = segment.step.numpy() * speed
        detector = self._detector(s, noisy, jitter, swap_length, occlusions, edge, step, frames)
        motion = self._motion(s, segment, speed, frames, flip)
        # drawn after all others, so that these do not change with it
        self._occlude_limbs(s, occlusions, may_be_limb)
        self._level(s, camera, extreme)
        anatomical, alike = s.chance(o.body.anatomical_share), np.exp(s.normal(0, _ANATOMICAL, _GROUPS))
        self._tumble(s, motion, frames)
        self._mix_conventions(s, body, anatomical, alike)
        large = np.where(s.chance(o.motion.large_perturbation_share)[:, None, None], _LARGE, 1)
        motion.perturbation.offset *= _tensor(large)
        motion.perturbation.amplitude *= _tensor(large)
        standing = self._stand(s, motion.segment, frames)
        motion.straighter = self._straighten(s, standing)
        self._take_detectors_bones(s, body, anatomical, alike)
        self._roll(s, camera, extreme)
        turned, guessed, levelled = (_tensor(s.chance(x)) for x in self._look_shares())
        look = LookAt(turned, guessed, levelled, seconds=motion.segment.step / self._fps)
        displacement = self._displace(s, noisy)
        self._lose_head_and_ankles(s, detector, noisy, frames)
        self._be_confident(s, detector, noisy)
        stiff = s.chance(o.motion.stiff_knee_share)
        motion.stiffness = _tensor(np.where(stiff, s.uniform(0.5, 1), 0.0))
        return ClipNumbers(motion, body, camera, detector, displacement, look)

    def _long_enough(self, frames: int) -> NDArray[np.bool_]:
        """Which motions fill a clip at half speed or faster."""
        return self._lengths - 1 >= 0.5 * (frames - 1)

    def _any_motion(self, s: _Sampler, frames: int) -> Array:
        """Indices of motions that are long enough, by the weight of their frames."""
        weight = np.cumsum(np.where(self._long_enough(frames), self._clip_weight, 0))
        return np.searchsorted(weight, s.uniform(0, weight[-1]), side="right").clip(max=len(weight) - 1)

    def _segment(self, s: _Sampler, frames: int) -> Segment:
        """A piece of motion about a frame that is drawn by weight."""
        clip = self._any_motion(s, frames)
        begin, length = self._starts[clip], self._lengths[clip]
        low, high = self._cumulative[begin], self._cumulative[begin + length]
        frame = np.searchsorted(self._cumulative, low + (high - low) * s.uniform(0, 1), side="right") - 1
        step = np.minimum(s.log_uniform(*self._options.motion.frame_step), (length - 1) / max(frames - 1, 1))
        span = step * (frames - 1)
        first = np.clip(frame - s.uniform(0, 1) * span, begin, begin + length - 1 - span)
        # small numbers, as they travel in float32
        return Segment(_tensor(begin), _tensor(begin + length - 1), _tensor(first - begin), _tensor(step))

    def _camera(self, s: _Sampler) -> tuple[Cameras, NDArray[np.bool_]]:
        """Cameras but for what `_place` draws, and which have an extreme pitch."""
        o = self._options.camera
        extreme = s.chance(o.extreme_share)
        pitch = np.where(s.chance(0.7), s.normal(8, 9), s.uniform(-35, 35)).clip(-35, 35)
        pitch = np.where(extreme, s.uniform(*o.extreme_pitch), pitch)
        roll = np.where(extreme, s.uniform(-100, 100), s.normal(0, 3).clip(-10, 10))
        aspect = s.choice(np.array(o.aspects))
        focal = s.log_uniform(*o.focal) * np.maximum(1, aspect)
        height = s.log_uniform(*o.person_height) * np.minimum(1, aspect)
        overflow = np.where(s.chance(0.5), 1.0, s.uniform(1.0, 1.25))
        zero = torch.zeros(s.size, dtype=torch.float64)
        camera = Cameras(
            azimuth=zero,
            pitch=_tensor(np.deg2rad(pitch)),
            roll=_tensor(np.deg2rad(roll)),
            focal=_tensor(focal),
            aspect=_tensor(aspect),
            distance=_tensor(focal * _UPRIGHT_METRES / height),
            offset=zero,
            follow=zero,
            overflow=_tensor(overflow),
        )
        return camera, extreme

    def _crop(self, s: _Sampler, camera: Cameras, noisy: Array) -> Tensor:
        """Let some cameras see a part of the body only; return how far from the middle joints are detected."""
        cropped = s.chance(self._options.camera.crop_share) & noisy
        camera.overflow = _tensor(np.where(cropped, s.uniform(1.25, 2.0), camera.overflow.numpy()))
        ends_at_the_edge = cropped | s.chance(0.5) & noisy
        picture = np.stack([np.ones(s.size), camera.aspect.numpy()], 1)
        return _tensor(np.where(ends_at_the_edge[:, None], picture, 1e3))

    def _place(self, s: _Sampler, camera: Cameras) -> None:
        camera.azimuth = _tensor(s.uniform(0, 2 * np.pi))
        camera.offset = _tensor(s.uniform(-self._options.camera.offset, self._options.camera.offset, 2))
        camera.follow = _tensor(np.where(s.chance(self._options.camera.follow_share), s.uniform(0.4, 1.0), 0.0))

    def _level(self, s: _Sampler, camera: Cameras, extreme: Array) -> None:
        """Hold some of the cameras with an extreme pitch without roll."""
        level = s.chance(self._options.camera.level_share) & extreme
        roll = np.deg2rad(s.normal(0, 3).clip(-10, 10))
        camera.roll = _tensor(np.where(level, roll, camera.roll.numpy()))

    def _occlusions(self, s: _Sampler, noisy: Array, frames: int) -> tuple[augment.Occlusions, NDArray[np.bool_]]:
        """Occlusions, and which of them may become a limb's: long ones, but not of everything."""
        o = self._options.detector
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
        return augment.Occlusions(_tensor(np.floor(start)), _tensor(np.floor(length)), _tensor(joint_set)), may_be_limb

    def _occlude_limbs(self, s: _Sampler, occlusions: augment.Occlusions, may_be_limb: Array) -> None:
        limb = s.chance(self._options.detector.limb_occlusion_share, _OCCLUSIONS) & may_be_limb
        which = s.choice(np.array(augment.OCCLUDED_LIMBS), _OCCLUSIONS)
        occlusions.joint_set = _tensor(np.where(limb, which, occlusions.joint_set.numpy()))

    def _detector(
        self,
        s: _Sampler,
        noisy: Array,
        jitter: Array,
        swap_length: Array,
        occlusions: augment.Occlusions,
        edge: Tensor,
        step: Array,
        frames: int,
    ) -> augment.DetectorErrors:
        """Errors of the detector, with the occlusions and the sizes of jitter and swaps that are drawn before."""
        o = self._options.detector
        log_fps = np.log(self._fps / np.maximum(step, 0.1))
        shares = np.stack([np.interp(log_fps, _AUTOCORRELATION_FPS, column) for column in _AUTOCORRELATION.T], 1)
        bias = jitter * s.uniform(0.3, 1.0)
        outliers = augment.Outliers(
            rate=_tensor(np.where(s.chance(0.3), s.uniform(0, 0.03), 0.0) * noisy), std=_tensor(s.uniform(0.15, 0.8))
        )
        swaps = augment.LeftRightSwaps(
            start=_tensor(np.floor(s.uniform(0, frames, _SWAPS))),
            length=_tensor(np.ceil(swap_length)),
            limbs=_tensor(np.searchsorted([0.4, 0.6], s.uniform(0, 1, _SWAPS))),
        )
        return augment.DetectorErrors(
            jitter=augment.Jitter(
                std=_tensor(jitter),
                bias_std=_tensor(bias),
                autocorrelation=_tensor(shares / np.linalg.norm(shares, axis=1, keepdims=True)),
                hard_joints=_tensor(s.choice(_LIMB_JOINTS, _HARD_JOINTS)),
                hard_scale=_tensor(np.where(s.chance(0.5, _HARD_JOINTS), s.uniform(1.5, 3, _HARD_JOINTS), 1.0)),
            ),
            outliers=outliers,
            occlusions=occlusions,
            swaps=swaps,
            derived_trunk=_tensor(s.chance(0.7) & noisy),
            dropout_rate=_tensor(s.uniform(0, 0.4) * (s.chance(o.dropout_share) & noisy)),
            edge=edge,
            confidence=augment.Confidence(
                intercept=_tensor(s.uniform(1.0, 6.5)),
                error_slope=_tensor(s.log_uniform(3, 30)),
                slow_noise=_tensor(s.uniform(0.3, 1.5)),
                joint_noise=_tensor(s.uniform(0, 2.2)),
                binary=_tensor(s.chance(o.binary_confidence_share) | s.chance(0.5) & ~noisy),
                ignores_swaps=_tensor(s.chance(0.5)),
            ),
        )

    def _motion(self, s: _Sampler, segment: Segment, speed: Array, frames: int, flip: Array) -> Motion:
        """Changes of the motion; the other motion of a graft is as fast, and taken from anywhere."""
        o, step = self._options.motion, segment.step.numpy()
        other = self._any_motion(s, frames)
        begin, length = self._starts[other], self._lengths[other]
        other_step = np.minimum(step, (length - 1) / max(frames - 1, 1))
        part = np.searchsorted([0.5, 0.65, 0.8], s.uniform(0, 1))
        perturbed = (s.chance(0.5, _BALL_JOINTS) & s.chance(o.joint_perturbation_share)[:, None])[..., None]
        seconds = step * speed * (frames - 1) / self._fps
        reverse = s.chance(o.reverse_share)
        part = np.where(s.chance(o.graft_share), part, -1)
        first = s.uniform(0, 1) * (length - 1 - other_step * (frames - 1))
        segment.step = _tensor(step * speed)
        nothing = torch.zeros(s.size, 1, 3, dtype=torch.float64)
        return Motion(
            segment=segment,
            reverse=_tensor(reverse),
            graft=Graft(
                part=_tensor(part),
                segment=Segment(
                    _tensor(begin), _tensor(begin + length - 1), _tensor(first), _tensor(other_step * speed)
                ),
            ),
            perturbation=recombine.Rotations(
                offset=_tensor(_PERTURBATION * s.normal(0, 1, _BALL_JOINTS, 3) * perturbed),
                amplitude=_tensor(0.5 * _PERTURBATION * s.normal(0, 1, _BALL_JOINTS, 3) * perturbed),
                cycles=_tensor(s.log_uniform(0.1, 0.7, _BALL_JOINTS) * seconds[:, None]),
                phase=_tensor(s.uniform(0, 1, _BALL_JOINTS)),
            ),
            tumble=recombine.Rotations(nothing, nothing, nothing[..., 0], nothing[..., 0]),
            flip=_tensor(flip),
            straighter=nothing[:, 0, 0],
            stiffness=nothing[:, 0, 0],
        )

    def _tumble(self, s: _Sampler, motion: Motion, frames: int) -> None:
        """Turn some bodies over, about axes that lie level."""
        axis = 2 * np.pi * s.random.random((2, s.size))
        axes = np.stack([np.cos(axis), np.sin(axis), np.zeros_like(axis)], -1)
        tumbled = s.chance(self._options.motion.tumble_share)[:, None]
        seconds = motion.segment.step.numpy() * (frames - 1) / self._fps
        offset = axes[0] * s.uniform(0, np.pi, 1) * tumbled
        amplitude = axes[1] * s.uniform(0, np.pi / 2, 1) * tumbled
        cycles, phase = s.log_uniform(0.1, 0.7) * seconds, s.uniform(0, 1)
        motion.tumble = recombine.Rotations(
            _tensor(offset[:, None]), _tensor(amplitude[:, None]), _tensor(cycles[:, None]), _tensor(phase[:, None])
        )

    def _body(self, s: _Sampler) -> augment.Body:
        scaled = self._options.body.bone_scale
        scale = BONE_LOW + (BONE_HIGH - BONE_LOW) * s.uniform(0, 1, _GROUPS) if scaled else np.ones((s.size, _GROUPS))
        nose = s.uniform(0, 0.06) * s.chance(0.5 if scaled else 0)
        return augment.Body(_tensor(scale), _tensor(nose))

    def _mix_conventions(self, s: _Sampler, body: augment.Body, anatomical: Array, alike: Array) -> None:
        """Give bodies bones as people's, or between conventions: what each bone has by itself hides its direction."""
        scaled = self._options.body.bone_scale
        between = s.random.dirichlet([0.5, 0.5, 0.5], s.size) @ CONVENTIONS  # mostly near to one of them
        mixed = s.chance(self._options.body.convention_mix)[:, None] & scaled
        scale = np.where(mixed, alike * np.exp(between), body.bone_scale.numpy())
        body.bone_scale = _tensor(np.where(anatomical[:, None] & scaled, alike, scale))

    def _stand(self, s: _Sampler, segment: Segment, frames: int) -> NDArray[np.bool_]:
        """Let some clips begin with a person who stands upright, and go on slowly; return which."""
        ends = self._starts + self._lengths
        there = np.where(self._long_enough(frames), self._standing[ends] - self._standing[self._starts], 0)
        weight = np.cumsum(there)
        chosen = s.chance(self._options.motion.standing_share) & bool(weight[-1] > 0)
        clip = np.searchsorted(weight, s.uniform(0, 1) * weight[-1], side="right").clip(max=len(weight) - 1)
        begin, length = self._starts[clip], self._lengths[clip]
        low, high = self._standing[begin], self._standing[begin + length]
        frame = np.searchsorted(self._standing, low + (high - low) * s.uniform(0, 1), side="right") - 1
        step = np.minimum(s.uniform(0, 1), (length - 1) / max(frames - 1, 1))
        first = np.clip(frame - begin, 0, length - 1 - step * (frames - 1))
        for name, value in (("begin", begin), ("end", begin + length - 1), ("first", first), ("step", step)):
            setattr(segment, name, _tensor(np.where(chosen, value, getattr(segment, name).numpy())))
        return chosen

    def _straighten(self, s: _Sampler, standing: NDArray[np.bool_]) -> Tensor:
        """Radians by which knees are bent less; those who stand have them straight more often than others."""
        o = self._options.motion
        low, high = np.deg2rad(o.straight_knee_degrees)
        less = s.uniform(low, high)
        less = np.where(standing, np.maximum(less, s.uniform(low, high)), less)
        return _tensor(np.where(s.chance(o.straight_knee_share), less, 0.0))

    def _take_detectors_bones(self, s: _Sampler, body: augment.Body, anatomical: Array, alike: Array) -> None:
        """Give bodies, but for anatomical ones, the bones of the detector's joints."""
        taken = s.chance(self._options.body.detector_share)[:, None] & self._options.body.bone_scale
        scale = alike * np.exp(CONVENTIONS[2])
        body.bone_scale = _tensor(np.where(taken & ~anatomical[:, None], scale, body.bone_scale.numpy()))

    def _roll(self, s: _Sampler, camera: Cameras, extreme: Array) -> None:
        """Hold some cameras askew."""
        askew = s.chance(self._options.camera.roll_share) & ~extreme
        roll = np.deg2rad(s.normal(0, _ROLL).clip(-60, 60))
        camera.roll = _tensor(np.where(askew, roll, camera.roll.numpy()))

    def _look_shares(self) -> tuple[float, float, float]:
        o = self._options.camera
        return o.look_at_share, o.guessed_focal_share, o.levelled_share

    def _displace(self, s: _Sampler, noisy: Array) -> augment.Displacement:
        """Places of joints as the detector has them in a clip."""
        o = self._options.detector
        own, pair = s.normal(0, 1, 17, 3), s.normal(0, 1, 2)
        offset = own * _DISPLACED
        offset[:, _HIPS_OF_LEGS, 1] += _PAIR * pair[:, :1]
        offset[:, _SHOULDERS, 1] += _PAIR * pair[:, 1:]
        offset[:, 10] = 0.7 * offset[:, 9] * (_DISPLACED[10] / _DISPLACED[9]) + 0.7 * offset[:, 10]
        offset[:, 0] = offset[:, _HIPS_OF_LEGS].mean(1)
        displaced = s.chance(o.displaced_share) & noisy
        size = np.where(displaced, s.uniform(0, 1.5), 0.0)[:, None, None]
        raised = s.uniform(0, 0.25, 1) * s.uniform(0.5, 1, 2) * (s.chance(o.raised_ankle_share) & noisy)[:, None]
        return augment.Displacement(_tensor(offset * size), _tensor(raised))

    def _lose_head_and_ankles(self, s: _Sampler, detector: augment.DetectorErrors, noisy: Array, frames: int) -> None:
        """Let the detector miss the head, or both ankles, all the time: occlusions beside the others."""
        o, before = self._options.detector, detector.occlusions
        lost = np.stack([s.chance(o.head_loss_share) & noisy, s.chance(o.ankle_loss_share) & noisy], 1)
        sets = np.tile([augment.OCCLUDED_HEAD, augment.OCCLUDED_ANKLES], (s.size, 1))
        detector.occlusions = augment.Occlusions(
            start=torch.cat([before.start, torch.zeros(s.size, 2, dtype=before.start.dtype)], 1),
            length=torch.cat([before.length, _tensor(np.where(lost, float(frames), 0.0))], 1),
            joint_set=torch.cat([before.joint_set, _tensor(sets)], 1),
        )

    def _be_confident(self, s: _Sampler, detector: augment.DetectorErrors, noisy: Array) -> None:
        """Give some clips a confidence that is high whatever the error."""
        sure, c = s.chance(self._options.detector.confident_share) & noisy, detector.confidence
        c.intercept = _tensor(np.where(sure, c.intercept.numpy().clip(min=4.0), c.intercept.numpy()))
        c.error_slope = _tensor(np.where(sure, 0.0, c.error_slope.numpy()))
        c.ignores_swaps = _tensor(sure | c.ignores_swaps.numpy())


def _swap_length(s: _Sampler, noisy: Array) -> Array:
    """Frames of each left-right swap, 0 for none."""
    swapped = s.chance(0.4, _SWAPS) & (s.chance(0.25) & noisy)[:, None]
    return np.where(s.chance(0.75, _SWAPS), s.uniform(1, 8, _SWAPS), s.uniform(8, 40, _SWAPS)) * swapped


def _standing(motions: Motions) -> Array:
    """(N,) 1 where a person stands upright, on both feet: trunk and thighs near to upright, ankles as high."""
    p = motions.positions
    trunk, thighs = p[:, 8] - p[:, 0], p[:, (1, 4)] - p[:, (2, 5)]
    upright = trunk[:, 2] > np.cos(np.deg2rad(15)) * np.linalg.norm(trunk, axis=-1)
    upright &= (thighs[..., 2] > np.cos(np.deg2rad(20)) * np.linalg.norm(thighs, axis=-1)).all(1)
    return (upright & (np.abs(p[:, 3, 2] - p[:, 6, 2]) < 0.06)).astype(float)


def _frame_weights(motions: Motions, options: MocapOptions) -> Array:
    """(N,) sampling weights: dances less, bent trunks and raised legs more often than they are there."""
    o = options.motion
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
