"""What is varied in training clips: bodies before they are seen, and the errors of 2D detectors after.

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
from posemamba.models.inputs import person_size
from posemamba.models.missing import fill_missing_batch
from posemamba.poses.mapping import SPINE, THORAX
from posemamba.poses.skeletons import H36M17

# Bones whose lengths change together: left and right, and the trunk's two; in the order of `factors`.
BONE_GROUPS = ("hips", "thighs", "shins", "trunk", "neck", "head", "shoulders", "upper_arms", "forearms")
_GROUP_OF_JOINT = [0, 0, 1, 2, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 6, 7, 8]  # by the bone's lower joint

# How much worse a detector is at a joint than at a shoulder (docs/detector_noise.md).
DIFFICULTY = (1, 1, 1.35, 1.3, 1, 1.35, 1.3, 0.5, 0.65, 0.8, 1, 1, 1.35, 1.4, 1, 1.35, 1.4)
# Joint, the one whose error it shares, and by how much: correlations that were measured (docs/detector_noise.md).
_SHARED = ((3, 2, 0.45), (6, 5, 0.45), (10, 9, 0.9), (12, 11, 0.45), (13, 12, 0.45), (15, 14, 0.45), (16, 15, 0.45))
# Joints 1 and 4, 11 and 14, as slices: a list as an index is copied to the device each time, which waits for it.
_HIPS, _SHOULDERS = slice(1, 5, 3), slice(11, 15, 3)

# What is lost together: single joints, lower legs, forearms, whole arms, the head, both legs (out of the
# picture), everything (the person is lost); and whole legs, which only losses of a limb choose.
_LOST_TOGETHER: list[tuple[int, ...]] = [
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
]
LOST_LEGS, LOST_ALL = (_LOST_TOGETHER.index(joints) for joints in ((2, 3, 5, 6), tuple(range(17))))
LOST_LIMBS = tuple(
    _LOST_TOGETHER.index(joints)
    for joints in ((2, 3), (5, 6), (12, 13), (15, 16), (11, 12, 13), (14, 15, 16), (1, 2, 3), (4, 5, 6))
)
LOST_SETS = len(_LOST_TOGETHER)

_LEG_SWAP = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
_ARM_SWAP = [*range(11), 14, 15, 16, 11, 12, 13]


@dataclass(frozen=True)
class _Constants:
    """What every batch needs on the device: copying it there each time would wait for the device."""

    leg_swap: Tensor
    arm_swap: Tensor
    groups: Tensor
    difficulty: Tensor
    lost: Tensor
    shares: Tensor


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> _Constants:
    with torch.inference_mode(False):  # or they could not be used in training afterwards
        lost = torch.zeros(LOST_SETS, len(H36M17), dtype=torch.bool)
        for row, together in enumerate(_LOST_TOGETHER):
            lost[row, list(together)] = True
        shares = torch.eye(len(H36M17))
        for joint, other, share in _SHARED:  # a chain's upper joints come first
            shares[joint] = share * shares[other] + (1 - share**2) ** 0.5 * shares[joint]
        return _Constants(
            leg_swap=torch.tensor(_LEG_SWAP, device=device),
            arm_swap=torch.tensor(_ARM_SWAP, device=device),
            groups=torch.tensor(_GROUP_OF_JOINT, device=device),
            difficulty=torch.tensor(DIFFICULTY, device=device),
            lost=lost.to(device),
            shares=shares.to(device),
        )


def vary_bones(positions: Tensor, factors: Tensor) -> Tensor:
    """Change the lengths of bones; their directions and the pelvis stay.

    Args:
        positions: (B, T, J, 3).
        factors: (B, 9) what to multiply each of BONE_GROUPS by; left and right are one group.
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


@dataclass
class DetectorErrors:
    """How bad the detector is on each clip; (B,) unless said otherwise. Lengths in units of `person_size`.

    A clip stays exact if jitter, bias, spikes, derived, dropped and all lengths are 0 and no joint is beyond the edge.

    Attributes:
        jitter: standard deviation of the error that changes with time, at a shoulder, before it swells now and then.
        tempi: (B, 3) shares of the jitter (squares sum to 1) that change over some 12 frames, some 4, and each frame.
        harder, by: (B, H) joints at which the detector is worse, as of hidden ones, and by what factor.
        bias: standard deviation of each joint's constant displacement.
        spikes: share of joints and frames that are far off.
        spike_size: standard deviation of those.
        lost_start, lost_length, lost_set: (B, N) stretches in which joints are not found: first frame, frames
            (0: none), index of the joints lost together.
        swap_start, swap_length, swap_what: (B, M) stretches in which left and right are taken for each other:
            first frame, frames (0: none), 0 for the legs, 1 for the arms, 2 for both.
        derived: not 0: pelvis, spine and thorax are made of hips and shoulders, as `poses.mapping.to_h36m17` does.
        dropped: share of joints and frames that are not found, each by itself.
        edge: (B, 2) how far from the picture's middle joints are found, across and down, in normalised coordinates.
        sure, doubt, mood, temper: confidence is sigmoid(sure - doubt e + mood n + temper c) with the error e in units
            of `person_size`, n unit noise of each joint that changes slowly, and c unit noise that does not.
        blind: not 0: confidence says only what was found and what was not.
        misled: not 0: left and right taken for each other do not lower the confidence.
    """

    jitter: Tensor
    tempi: Tensor
    harder: Tensor
    by: Tensor
    bias: Tensor
    spikes: Tensor
    spike_size: Tensor
    lost_start: Tensor
    lost_length: Tensor
    lost_set: Tensor
    swap_start: Tensor
    swap_length: Tensor
    swap_what: Tensor
    derived: Tensor
    dropped: Tensor
    edge: Tensor
    sure: Tensor
    doubt: Tensor
    mood: Tensor
    temper: Tensor
    blind: Tensor
    misled: Tensor


def _during(start: Tensor, length: Tensor, frames: int) -> Tensor:
    """(B, N) stretches to (B, N, T) bool."""
    time = torch.arange(frames, device=start.device)
    return (time >= start[..., None]) & (time < (start + length)[..., None])


def _slow_noise(batch: int, frames: int, channels: int, every: int, generator: torch.Generator) -> Tensor:
    """(B, T, channels) unit noise that changes over about `every` frames: random values joined by lines."""
    knots = frames // every + 3
    coarse = torch.randn(batch, channels, knots, generator=generator, device=generator.device)
    lines = functional.interpolate(coarse, size=(knots - 1) * every + 1, mode="linear", align_corners=True)
    return 1.22 * lines[..., every // 2 : every // 2 + frames].transpose(1, 2)  # lines have variance 2/3


def detect_badly(exact: Tensor, errors: DetectorErrors, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Give exact 2D joints the errors that detectors make.

    In this order: left and right taken for each other for a few frames; a constant displacement of each
    joint; jitter of three tempi, stronger at the limbs, shared along them and swelling now and then; single joints
    far off; joints made of others; joints not found, for a stretch, by chance, or beyond the picture's edge, filled
    in as in lifting (`posemamba.models.missing`).

    Args:
        exact: (B, T, J, 2) normalised coordinates.
        errors: how bad.
        generator: of the device of `exact`; what is drawn depends on its state alone.

    Returns:
        (B, T, J, 2) the 2D joints to give to the model, and (B, T, J) confidence in [0, 1]: 0 where not found, else
        falling with the error as `DetectorErrors` says.
    """
    batch, frames, joints, _ = exact.shape
    device = exact.device
    unit = person_size(exact)[:, None, None, None]

    swap = _during(errors.swap_start, errors.swap_length, frames)
    legs = (swap & (errors.swap_what != 1)[..., None]).any(1)[..., None, None]
    arms = (swap & (errors.swap_what != 0)[..., None]).any(1)[..., None, None]
    constants = _constants(device)
    seen = torch.where(legs, exact[:, :, constants.leg_swap], exact)
    seen = torch.where(arms, seen[:, :, constants.arm_swap], seen)

    harder = (errors.harder[..., None] == torch.arange(joints, device=device)) * (errors.by - 1)[..., None]
    difficulty = (constants.difficulty * (1 + harder.sum(1)))[:, None, :, None]
    slow, quick, each = errors.tempi[:, :, None, None].unbind(1)
    noise = slow * _slow_noise(batch, frames, joints * 2, 12, generator)
    noise += quick * _slow_noise(batch, frames, joints * 2, 4, generator)
    white = torch.randn(batch, frames, joints, 4, generator=generator, device=device)
    noise = noise.view(batch, frames, joints, 2) + each[..., None] * white[..., :2]
    noise = constants.shares @ noise
    swelling = (0.5 * _slow_noise(batch, frames, joints, 12, generator)).exp()[..., None]
    displacement = noise * swelling * errors.jitter[:, None, None, None]
    constant = constants.shares @ torch.randn(batch, 1, joints, 2, generator=generator, device=device)
    displacement = displacement + constant * errors.bias[:, None, None, None]
    chance = torch.rand(batch, frames, joints, generator=generator, device=device)
    spike = chance < errors.spikes[:, None, None] * constants.difficulty
    spikes = white[..., 2:4] * errors.spike_size[:, None, None, None]
    displacement = displacement * difficulty + torch.where(spike[..., None], spikes, 0.0)

    stretches = _during(errors.lost_start, errors.lost_length, frames)
    lost = (stretches[..., None] & constants.lost[errors.lost_set][:, :, None]).any(1)
    lost |= torch.rand(batch, frames, joints, generator=generator, device=device) < errors.dropped[:, None, None]
    lost |= (exact.abs() > errors.edge[:, None, None]).any(-1)
    # Something is always found somewhere: a person who is never found is not lifted.
    found = ~lost | ~lost.logical_not().any(2).any(1)[:, None, None]
    noisy = seen + unit * displacement
    derived = errors.derived[:, None, None] > 0
    noisy = torch.where(derived[..., None], _of_hips_and_shoulders(noisy), noisy)
    hips = found[:, :, _HIPS].all(-1, keepdim=True)
    both = hips & found[:, :, _SHOULDERS].all(-1, keepdim=True)
    needed = torch.cat([hips, found[:, :, 1:7], both, both, found[:, :, 9:]], -1)
    anything = needed.any(2).any(1)[:, None, None]
    found = torch.where(derived & anything, needed, found)
    noisy = fill_missing_batch(noisy, found)

    swapped = (noisy - exact).norm(dim=-1) / unit[..., 0]
    wrong = torch.where(errors.misled[:, None, None] > 0, displacement.norm(dim=-1), swapped)
    mood = 0.9 * _slow_noise(batch, frames, joints, 12, generator)
    mood += 0.44 * torch.randn(batch, frames, joints, generator=generator, device=device)
    constant = torch.randn(batch, 1, joints, generator=generator, device=device)
    sure, doubt, swing, temper = (x[:, None, None] for x in (errors.sure, errors.doubt, errors.mood, errors.temper))
    confidence = torch.sigmoid(sure - doubt * wrong + swing * mood + temper * constant)
    hips = confidence[:, :, _HIPS].amin(-1, keepdim=True)
    trunk = torch.minimum(hips, confidence[:, :, _SHOULDERS].amin(-1, keepdim=True))
    least = torch.cat([hips, confidence[:, :, 1:7], trunk, trunk, confidence[:, :, 9:]], -1)
    confidence = torch.where(derived, least, confidence)
    return noisy, torch.where(errors.blind[:, None, None] > 0, 1.0, confidence) * found


def _of_hips_and_shoulders(xy: Tensor) -> Tensor:
    """(B, T, J, 2) with pelvis, spine and thorax where `poses.mapping.to_h36m17` puts them."""
    pelvis = xy[:, :, _HIPS].mean(2, keepdim=True)
    trunk = xy[:, :, _SHOULDERS].mean(2, keepdim=True) - pelvis
    return torch.cat([pelvis, xy[:, :, 1:7], pelvis + SPINE * trunk, pelvis + THORAX * trunk, xy[:, :, 9:]], 2)
