"""Augmentation of training clips: bone lengths before bodies are seen, errors of the 2D detector after.

Everything is batched, runs on the tensors' device and never synchronises it.
Shapes: B clips, T frames, J = 17 joints of Human3.6M.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from posemamba.data.mocap.recombine import bones_of, joints_of
from posemamba.models.inputs import fill_missing_batch, person_size
from posemamba.poses.mapping import SPINE, THORAX
from posemamba.poses.skeletons import H36M17

# Bones whose lengths change together: left and right, and the trunk's two; in the order of `factors`.
BONE_GROUPS = ("hips", "thighs", "shins", "trunk", "neck", "head", "shoulders", "upper_arms", "forearms")
_GROUP_OF_JOINT = [0, 0, 1, 2, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 6, 7, 8]  # by the bone's lower joint

# How much worse a detector is at a joint than at a shoulder (studies/detector_noise).
DIFFICULTY = (1, 1, 1.35, 1.3, 1, 1.35, 1.3, 0.5, 0.65, 0.8, 1, 1, 1.35, 1.4, 1, 1.35, 1.4)
# Joint, the one whose error it shares, and by how much: correlations that were measured (studies/detector_noise).
_SHARED = ((3, 2, 0.45), (6, 5, 0.45), (10, 9, 0.9), (12, 11, 0.45), (13, 12, 0.45), (15, 14, 0.45), (16, 15, 0.45))
# Joints 1 and 4, 11 and 14, as slices: a list as an index is copied to the device each time, which waits for it.
_HIPS, _SHOULDERS = slice(1, 5, 3), slice(11, 15, 3)

# Joints that are occluded together: single joints, lower legs, forearms, whole arms, the head, both legs (out of the
# picture), everything (the person is lost); and whole legs, which only occlusions of a limb choose, and both ankles.
_OCCLUDED_TOGETHER: list[tuple[int, ...]] = [
    *((j,) for j in (2, 3, 5, 6, 10, 12, 13, 15, 16)),
    (2, 3),
    (5, 6),
    (12, 13),
    (15, 16),
    (11, 12, 13),
    (14, 15, 16),
    (9, 10),
    (2, 3, 5, 6),
    tuple(range(17)),
    (1, 2, 3),
    (4, 5, 6),
    (3, 6),
]
OCCLUDED_LEGS, OCCLUDED_ALL = (_OCCLUDED_TOGETHER.index(joints) for joints in ((2, 3, 5, 6), tuple(range(17))))
"""Indices of the joint sets "both legs" and "everything"; sets before "everything" are drawn with equal chance."""
OCCLUDED_LIMBS = tuple(
    _OCCLUDED_TOGETHER.index(joints)
    for joints in ((2, 3), (5, 6), (12, 13), (15, 16), (11, 12, 13), (14, 15, 16), (1, 2, 3), (4, 5, 6))
)
"""Indices of the joint sets that are a limb, or half of one."""
OCCLUDED_HEAD, OCCLUDED_ANKLES = (_OCCLUDED_TOGETHER.index(joints) for joints in ((9, 10), (3, 6)))
"""Indices of the joint sets "nose and top of the head" and "both ankles"."""

_LEGS_SWAPPED = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
_ARMS_SWAPPED = [*range(11), 14, 15, 16, 11, 12, 13]


@dataclass(frozen=True)
class _Constants:
    """Constants kept on the device: copying them there for each batch would wait for the device."""

    legs_swapped: Tensor
    arms_swapped: Tensor
    groups: Tensor
    difficulty: Tensor
    occluded: Tensor
    shares: Tensor


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> _Constants:
    with torch.inference_mode(False):  # or they could not be used in training afterwards
        occluded = torch.zeros(len(_OCCLUDED_TOGETHER), len(H36M17), dtype=torch.bool)
        for row, together in enumerate(_OCCLUDED_TOGETHER):
            occluded[row, list(together)] = True
        shares = torch.eye(len(H36M17))
        for joint, other, share in _SHARED:  # a chain's upper joints come first
            shares[joint] = share * shares[other] + (1 - share**2) ** 0.5 * shares[joint]
        return _Constants(
            legs_swapped=torch.tensor(_LEGS_SWAPPED, device=device),
            arms_swapped=torch.tensor(_ARMS_SWAPPED, device=device),
            groups=torch.tensor(_GROUP_OF_JOINT, device=device),
            difficulty=torch.tensor(DIFFICULTY, device=device),
            occluded=occluded.to(device),
            shares=shares.to(device),
        )


# --- bodies


@dataclass
class Body:
    """Proportions of each clip's body.

    Attributes:
        bone_scale: (B, 9) factors of the lengths of BONE_GROUPS.
        nose_offset: (B,) metres by which joint 9 lies nearer to the face than in the motion capture.
    """

    bone_scale: Tensor
    nose_offset: Tensor

    def apply(self, positions: Tensor) -> Tensor:
        """Give (B, T, J, 3) bodies these proportions."""
        return move_nose(vary_bones(positions, self.bone_scale), self.nose_offset)


def vary_bones(positions: Tensor, factors: Tensor) -> Tensor:
    """Change the lengths of bones; their directions and the pelvis stay.

    Args:
        positions: (B, T, J, 3).
        factors: (B, 9) of BONE_GROUPS; left and right are one group.
    """
    factor = factors[:, _constants(positions.device).groups]
    factor[:, 0] = 1  # of the pelvis, which stays
    return joints_of(bones_of(positions) * factor[:, None, :, None])


def move_nose(positions: Tensor, forward: Tensor) -> Tensor:
    """Move joint 9 towards where the face looks.

    The mocap's joint 9 lies in the neck; annotators and detectors put it nearer to the face.

    Args:
        positions: (B, T, J, 3) right-handed.
        forward: (B,) metres.
    """
    across = positions[:, :, 11] - positions[:, :, 14]  # right to left shoulder
    upwards = positions[:, :, 10] - positions[:, :, 8]
    direction = functional.normalize(torch.linalg.cross(across, upwards), dim=-1)
    moved = positions.clone()
    moved[:, :, 9] += forward[:, None, None] * direction
    return moved


# --- the 2D detector


@dataclass
class Displacement:
    """Other places of the body at which a detector sees joints, the same in all frames.

    Attributes:
        offset: (B, J, 3) metres to the body's left, upwards along the trunk, and to where the face looks.
        raised: (B, 2) by which share of the shin the right and the left ankle are seen too high.
    """

    offset: Tensor
    raised: Tensor

    def apply(self, positions: Tensor) -> Tensor:
        """Move joints of (B, T, J, 3) bodies, right-handed, in any axes."""
        trunk = positions[:, :, 8] - positions[:, :, 0]
        across = positions[:, :, 11] - positions[:, :, 14] + positions[:, :, 4] - positions[:, :, 1]
        up = functional.normalize(trunk, dim=-1)
        left = functional.normalize(across - (across * up).sum(-1, keepdim=True) * up, dim=-1)
        axes = torch.stack([left, up, torch.linalg.cross(left, up)], -2)
        moved = positions + (self.offset[:, None, :, :, None] * axes[:, :, None]).sum(-2)
        right, other = self.raised[:, :, None, None].unbind(1)
        shins = [moved[:, :, knee] - moved[:, :, knee + 1] for knee in (2, 5)]
        both = [moved[:, :, 3] + right * shins[0], moved[:, :, 6] + other * shins[1]]
        ankles = [one[:, :, None] for one in both]
        return torch.cat([moved[:, :, :3], ankles[0], moved[:, :, 4:6], ankles[1], moved[:, :, 7:]], 2)


@dataclass
class Jitter:
    """Error of every joint, constant or changing with time, in units of `person_size`.

    Attributes:
        std: (B,) standard deviation of the changing error at a shoulder; its local size varies with time.
        bias_std: (B,) standard deviation of each joint's constant displacement.
        autocorrelation: (B, 3) shares of the changing error (squares sum to 1) that change over some 12 frames, some 4,
            and each frame.
        hard_joints, hard_scale: (B, H) joints that are harder in this clip (hidden ones, say), and by what factor.
    """

    std: Tensor
    bias_std: Tensor
    autocorrelation: Tensor
    hard_joints: Tensor
    hard_scale: Tensor


@dataclass
class Outliers:
    """Single joints of single frames that are far off.

    Attributes:
        rate: (B,) share of joints and frames, at a shoulder.
        std: (B,) standard deviation of the error, in units of `person_size`.
    """

    rate: Tensor
    std: Tensor


@dataclass
class Occlusions:
    """Segments of time in which joints are not detected.

    Attributes:
        start, length: (B, N) first frame, and frames (0: no occlusion).
        joint_set: (B, N) index of the joints that are occluded together.
    """

    start: Tensor
    length: Tensor
    joint_set: Tensor

    def mask(self, frames: int) -> Tensor:
        """(B, T, J) joints that are occluded."""
        sets = _constants(self.joint_set.device).occluded[self.joint_set]
        return (_during(self.start, self.length, frames)[..., None] & sets[:, :, None]).any(1)


@dataclass
class LeftRightSwaps:
    """Segments of time in which the detector swaps left and right.

    Attributes:
        start, length: (B, M) first frame, and frames (0: no swap).
        limbs: (B, M) 0: the legs, 1: the arms, 2: both.
    """

    start: Tensor
    length: Tensor
    limbs: Tensor

    def apply(self, xy: Tensor) -> Tensor:
        """Swap joints of (B, T, J, 2)."""
        during = _during(self.start, self.length, xy.shape[1])
        legs = (during & (self.limbs != 1)[..., None]).any(1)[..., None, None]
        arms = (during & (self.limbs != 0)[..., None]).any(1)[..., None, None]
        constants = _constants(xy.device)
        swapped = torch.where(legs, xy[:, :, constants.legs_swapped], xy)
        return torch.where(arms, swapped[:, :, constants.arms_swapped], swapped)


@dataclass
class Confidence:
    """Parameters of a detector's confidence as a function of its error; (B,) each.

    The confidence is sigmoid(intercept - error_slope e + slow_noise n + joint_noise c). e is the error in units of
    `person_size`, n unit noise of each joint that changes slowly, c unit noise of each joint that is constant.

    Attributes:
        binary: the confidence is 1 where a joint was detected, 0 elsewhere.
        ignores_swaps: left-right swaps do not lower the confidence.
    """

    intercept: Tensor
    error_slope: Tensor
    slow_noise: Tensor
    joint_noise: Tensor
    binary: Tensor
    ignores_swaps: Tensor


@dataclass
class DetectorErrors:
    """Errors of the 2D detector on each clip.

    Attributes:
        jitter, outliers, occlusions, swaps, confidence: one kind of error each.
        derived_trunk: (B,) bool: pelvis, spine and thorax are computed from hips and shoulders, as
            `poses.mapping.to_h36m17` does.
        dropout_rate: (B,) share of joints and frames that are not detected, each by itself.
        edge: (B, 2) how far from the picture's middle joints are detected, across and down, in normalised coordinates.
    """

    jitter: Jitter
    outliers: Outliers
    occlusions: Occlusions
    swaps: LeftRightSwaps
    derived_trunk: Tensor
    dropout_rate: Tensor
    edge: Tensor
    confidence: Confidence

    @classmethod
    def none(cls, clips: int) -> DetectorErrors:
        """Errors of a detector that makes none and gives a binary confidence, to set single fields of."""
        zero, no = torch.zeros(clips), torch.zeros(clips, dtype=torch.bool)
        each, whole = torch.zeros(clips, 2), torch.zeros(clips, 2, dtype=torch.long)
        shares = torch.tensor([0.72, 0.5, 0.43]).repeat(clips, 1)
        return cls(
            jitter=Jitter(zero.clone(), zero.clone(), shares, whole.clone(), torch.ones(clips, 2)),
            outliers=Outliers(zero.clone(), zero.clone()),
            occlusions=Occlusions(each.clone(), each.clone(), whole.clone()),
            swaps=LeftRightSwaps(each.clone(), each.clone(), whole.clone()),
            derived_trunk=no.clone(),
            dropout_rate=zero.clone(),
            edge=torch.full((clips, 2), torch.inf),
            confidence=Confidence(zero.clone(), zero.clone(), zero.clone(), zero.clone(), ~no, no.clone()),
        )


def _during(start: Tensor, length: Tensor, frames: int) -> Tensor:
    """(B, N) segments to (B, N, T) bool."""
    time = torch.arange(frames, device=start.device)
    return (time >= start[..., None]) & (time < (start + length)[..., None])


def _slow_noise(batch: int, frames: int, channels: int, every: int, generator: torch.Generator) -> Tensor:
    """(B, T, channels) unit noise that changes over about `every` frames: random values joined by lines."""
    knots = frames // every + 3
    coarse = torch.randn(batch, channels, knots, generator=generator, device=generator.device)
    lines = functional.interpolate(coarse, size=(knots - 1) * every + 1, mode="linear", align_corners=True)
    return 1.22 * lines[..., every // 2 : every // 2 + frames].transpose(1, 2)  # lines have variance 2/3


def add_detector_errors(exact: Tensor, errors: DetectorErrors, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Give exact 2D joints the errors that detectors make.

    In this order: left-right swaps; jitter, shared along limbs, with a constant displacement of each joint and
    outliers; a trunk computed from hips and shoulders; joints that are not detected, filled in as in lifting
    (`posemamba.models.inputs`).

    Args:
        exact: (B, T, J, 2) normalised coordinates.
        errors: sizes and places of the errors.
        generator: of the device of `exact`; the noise depends on its state alone.

    Returns:
        (B, T, J, 2) the 2D joints to give to the model, and (B, T, J) confidence in [0, 1], 0 where not detected.
    """
    unit = person_size(exact)[:, None, None, None]
    displacement = _displacement(exact, errors, generator)
    detected = ~_missed(exact, errors, generator)
    noisy = errors.swaps.apply(exact) + unit * displacement
    derived = errors.derived_trunk[:, None, None]
    noisy = torch.where(derived[..., None], _trunk_of_hips_and_shoulders(noisy), noisy)
    hips = detected[:, :, _HIPS].all(-1, keepdim=True)
    both = hips & detected[:, :, _SHOULDERS].all(-1, keepdim=True)
    needed = torch.cat([hips, detected[:, :, 1:7], both, both, detected[:, :, 9:]], -1)
    anything = needed.any(2).any(1)[:, None, None]
    detected = torch.where(derived & anything, needed, detected)
    noisy = fill_missing_batch(noisy, detected)
    return noisy, _confidence(exact, noisy, displacement, unit, errors, generator) * detected


def _displacement(exact: Tensor, errors: DetectorErrors, generator: torch.Generator) -> Tensor:
    """(B, T, J, 2) jitter, bias and outliers, in units of the person's size."""
    jitter, (batch, frames, joints, _), device = errors.jitter, exact.shape, exact.device
    constants = _constants(device)
    hard = (jitter.hard_joints[..., None] == torch.arange(joints, device=device)) * (jitter.hard_scale - 1)[..., None]
    difficulty = (constants.difficulty * (1 + hard.sum(1)))[:, None, :, None]
    slow, medium, white = jitter.autocorrelation[:, :, None, None].unbind(1)
    noise = slow * _slow_noise(batch, frames, joints * 2, 12, generator)
    noise += medium * _slow_noise(batch, frames, joints * 2, 4, generator)
    each = torch.randn(batch, frames, joints, 4, generator=generator, device=device)
    noise = noise.view(batch, frames, joints, 2) + white[..., None] * each[..., :2]
    noise = constants.shares @ noise
    local_size = (0.5 * _slow_noise(batch, frames, joints, 12, generator)).exp()[..., None]
    displacement = noise * local_size * jitter.std[:, None, None, None]
    bias = constants.shares @ torch.randn(batch, 1, joints, 2, generator=generator, device=device)
    displacement = displacement + bias * jitter.bias_std[:, None, None, None]
    chance = torch.rand(batch, frames, joints, generator=generator, device=device)
    is_outlier = chance < errors.outliers.rate[:, None, None] * constants.difficulty
    outliers = each[..., 2:4] * errors.outliers.std[:, None, None, None]
    return displacement * difficulty + torch.where(is_outlier[..., None], outliers, 0.0)


def _missed(exact: Tensor, errors: DetectorErrors, generator: torch.Generator) -> Tensor:
    """(B, T, J) joints that are not detected: occluded, dropped, or beyond the picture's edge; never all of a clip."""
    missed = errors.occlusions.mask(exact.shape[1])
    chance = torch.rand(exact.shape[:3], generator=generator, device=exact.device)
    missed = missed | (chance < errors.dropout_rate[:, None, None])
    missed = missed | (exact.abs() > errors.edge[:, None, None]).any(-1)
    return missed & missed.logical_not().any(2).any(1)[:, None, None]  # who is never detected is not lifted


def _confidence(
    exact: Tensor, noisy: Tensor, displacement: Tensor, unit: Tensor, errors: DetectorErrors, generator: torch.Generator
) -> Tensor:
    """(B, T, J) confidence of joints, as if all were detected."""
    c, (batch, frames, joints, _) = errors.confidence, exact.shape
    error = (noisy - exact).norm(dim=-1) / unit[..., 0]
    error = torch.where(c.ignores_swaps[:, None, None], displacement.norm(dim=-1), error)
    changing = 0.9 * _slow_noise(batch, frames, joints, 12, generator)
    changing += 0.44 * torch.randn(batch, frames, joints, generator=generator, device=exact.device)
    constant = torch.randn(batch, 1, joints, generator=generator, device=exact.device)
    intercept, slope, slow_noise, joint_noise = (
        x[:, None, None] for x in (c.intercept, c.error_slope, c.slow_noise, c.joint_noise)
    )
    confidence = torch.sigmoid(intercept - slope * error + slow_noise * changing + joint_noise * constant)
    hips = confidence[:, :, _HIPS].amin(-1, keepdim=True)
    trunk = torch.minimum(hips, confidence[:, :, _SHOULDERS].amin(-1, keepdim=True))
    least = torch.cat([hips, confidence[:, :, 1:7], trunk, trunk, confidence[:, :, 9:]], -1)
    confidence = torch.where(errors.derived_trunk[:, None, None], least, confidence)
    return torch.where(c.binary[:, None, None], 1.0, confidence)


def _trunk_of_hips_and_shoulders(xy: Tensor) -> Tensor:
    """(B, T, J, 2) with pelvis, spine and thorax where `poses.mapping.to_h36m17` puts them."""
    pelvis = xy[:, :, _HIPS].mean(2, keepdim=True)
    trunk = xy[:, :, _SHOULDERS].mean(2, keepdim=True) - pelvis
    return torch.cat([pelvis, xy[:, :, 1:7], pelvis + SPINE * trunk, pelvis + THORAX * trunk, xy[:, :, 9:]], 2)
