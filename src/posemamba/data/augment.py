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

from posemamba.data.cameras import person_size
from posemamba.data.missing import fill_missing_batch
from posemamba.skeleton import H36M17

_DEPTH = [0] * len(H36M17)
for _joint, _parent in enumerate(H36M17.parents):
    _DEPTH[_joint] = _DEPTH[_parent] + 1 if _parent >= 0 else 0
_LEVELS = [[j for j, d in enumerate(_DEPTH) if d == level] for level in range(1, max(_DEPTH) + 1)]

# Bones whose lengths change together: left and right, and the trunk's two; in the order of `factors`.
BONE_GROUPS = ("hips", "thighs", "shins", "trunk", "neck", "head", "shoulders", "upper_arms", "forearms")
_GROUP_OF_JOINT = [0, 0, 1, 2, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 6, 7, 8]  # by the bone's lower joint

# How much worse a detector is at a joint than at a shoulder.
DIFFICULTY = (1, 1, 1.2, 1.7, 1, 1.2, 1.7, 1, 0.8, 0.8, 1, 1, 1.4, 2.0, 1, 1.4, 2.0)

# What is lost together: single joints, lower legs, forearms, whole arms, the head, both legs (out of the
# picture), everything (the person is lost).
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
]
LOST_LEGS, LOST_ALL = len(_LOST_TOGETHER) - 2, len(_LOST_TOGETHER) - 1
LOST_SETS = len(_LOST_TOGETHER)

_LEG_SWAP = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
_ARM_SWAP = [*range(11), 14, 15, 16, 11, 12, 13]


@dataclass(frozen=True)
class _Constants:
    """What every batch needs on the device: copying it there each time would wait for the device."""

    parents: Tensor
    mirrored: Tensor
    leg_swap: Tensor
    arm_swap: Tensor
    groups: Tensor
    difficulty: Tensor
    lost: Tensor


@lru_cache(maxsize=8)
def _constants(device: torch.device) -> _Constants:
    with torch.inference_mode(False):  # or they could not be used in training afterwards
        lost = torch.zeros(LOST_SETS, len(H36M17), dtype=torch.bool)
        for row, together in enumerate(_LOST_TOGETHER):
            lost[row, list(together)] = True
        return _Constants(
            parents=torch.tensor([max(p, 0) for p in H36M17.parents], device=device),
            mirrored=torch.tensor(H36M17.mirrored, device=device),
            leg_swap=torch.tensor(_LEG_SWAP, device=device),
            arm_swap=torch.tensor(_ARM_SWAP, device=device),
            groups=torch.tensor(_GROUP_OF_JOINT, device=device),
            difficulty=torch.tensor(DIFFICULTY, device=device),
            lost=lost.to(device),
        )


def mirror(positions: Tensor, axis: int = 0) -> Tensor:
    """Mirror bodies or pictures: coordinate `axis` changes its sign, left and right joints change places.

    Args:
        positions: (..., J, C) in any frame in which `axis` is horizontal.
        axis: the coordinate to turn round.
    """
    swapped = positions.index_select(-2, _constants(positions.device).mirrored)
    return torch.cat([swapped[..., :axis], -swapped[..., axis : axis + 1], swapped[..., axis + 1 :]], -1)


def vary_bones(positions: Tensor, factors: Tensor) -> Tensor:
    """Change the lengths of bones; their directions and the pelvis stay.

    Args:
        positions: (B, T, J, 3).
        factors: (B, 9) what to multiply each of BONE_GROUPS by; left and right are one group.
    """
    constants = _constants(positions.device)
    factor = factors[:, constants.groups]
    bones = (positions - positions[:, :, constants.parents]) * factor[:, None, :, None]
    placed = list(positions.unbind(2))
    bone = bones.unbind(2)
    for level in _LEVELS:
        for joint in level:
            placed[joint] = placed[H36M17.parents[joint]] + bone[joint]
    return torch.stack(placed, 2)


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

    A clip whose every field is zero (or empty) stays exact.

    Attributes:
        jitter: standard deviation of the error that changes with time, at a shoulder.
        bias: standard deviation of each joint's constant displacement.
        spikes: share of joints and frames that are far off.
        spike_size: standard deviation of those.
        lost_start, lost_length, lost_set: (B, N) stretches in which joints are not found: first frame, frames
            (0: none), index of the joints lost together.
        swap_start, swap_length, swap_what: (B, M) stretches in which left and right are taken for each other:
            first frame, frames (0: none), 0 for the legs, 1 for the arms, 2 for both.
        dropped: share of joints and frames that are not found, each by itself.
        edge: (B, 2) how far from the picture's middle joints are found, across and down, in normalised coordinates.
        sure, doubt, mood: confidence is sigmoid(sure - doubt e + mood n) with the error e in units of `person_size` and
            n unit noise of each joint that changes slowly.
        blind: not 0: confidence says only what was found and what was not.
        misled: not 0: left and right taken for each other do not lower the confidence.
    """

    jitter: Tensor
    bias: Tensor
    spikes: Tensor
    spike_size: Tensor
    lost_start: Tensor
    lost_length: Tensor
    lost_set: Tensor
    swap_start: Tensor
    swap_length: Tensor
    swap_what: Tensor
    dropped: Tensor
    edge: Tensor
    sure: Tensor
    doubt: Tensor
    mood: Tensor
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
    joint; jitter of three tempi, stronger at wrists and ankles and swelling now and then; single joints far
    off; joints not found, for a stretch, by chance, or beyond the picture's edge, filled in as in lifting
    (`posemamba.data.missing`).

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

    difficulty = constants.difficulty[:, None]
    noise = 0.65 * _slow_noise(batch, frames, joints * 2, 12, generator)
    noise += 0.6 * _slow_noise(batch, frames, joints * 2, 4, generator)
    white = torch.randn(batch, frames, joints, 5, generator=generator, device=device)
    noise = noise.view(batch, frames, joints, 2) + 0.45 * white[..., :2]
    swelling = (0.5 * _slow_noise(batch, frames, joints, 12, generator)).exp()[..., None]
    displacement = noise * swelling * errors.jitter[:, None, None, None]
    constant = torch.randn(batch, 1, joints, 2, generator=generator, device=device)
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
    noisy = fill_missing_batch(seen + unit * displacement, found)

    swapped = (noisy - exact).norm(dim=-1) / unit[..., 0]
    wrong = torch.where(errors.misled[:, None, None] > 0, displacement.norm(dim=-1), swapped)
    mood = 0.9 * _slow_noise(batch, frames, joints, 12, generator)
    mood += 0.44 * torch.randn(batch, frames, joints, generator=generator, device=device)
    sure, doubt, swing = (x[:, None, None] for x in (errors.sure, errors.doubt, errors.mood))
    confidence = torch.sigmoid(sure - doubt * wrong + swing * mood)
    return noisy, torch.where(errors.blind[:, None, None] > 0, 1.0, confidence) * found
