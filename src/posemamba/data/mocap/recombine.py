"""New motions out of captured ones: parts grafted from one motion to another, joints perturbed, bodies tumbled.

A lifter is worse at what it has not seen, and an hour of motion holds few combinations of arms, trunk and legs. All
operations keep every bone's length. Pelvis and legs of a grafted body stay on the ground that they stood on. The ideas
are crossover and mutation of Li et al., "Cascaded deep monocular 3D human pose estimation with
evolutionary training data" (CVPR 2020), on whole motions here.

Everything is batched and runs on the tensors' device without waiting for it.
Shapes: B clips, T frames, J = 17 joints of Human3.6M, K = 6 ball joints (BALL_JOINTS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from posemamba.poses.skeletons import H36M17

BALL_JOINTS = ("spine", "neck", "left_shoulder", "right_shoulder", "right_hip", "left_hip")
"""Joints that `rotate_joints` rotates, in the order of its arguments' K."""
GRAFTS = ("both arms", "left arm", "right arm", "upper body")
"""Parts that `graft` takes from the other motion, by number."""

_LEFT_ARM, _RIGHT_ARM, _TRUNK = slice(12, 14), slice(15, 17), slice(7, 17)
# The bones, named by their lower joint, below each of BALL_JOINTS but the spine.
_BELOW = (slice(9, 11), _LEFT_ARM, _RIGHT_ARM, slice(2, 4), slice(5, 7))


@lru_cache(maxsize=8)
def _parents(device: torch.device) -> Tensor:
    """Parents of all joints but the root; kept on the device, as copying them there each time would wait for it."""
    with torch.inference_mode(False):  # or they could not be used in training afterwards
        return torch.tensor(H36M17.parents[1:], device=device)


def bones_of(positions: Tensor) -> Tensor:
    """Return the vector from each joint's parent to it, of (..., J, 3) joints; the root's is its position."""
    parents = positions.index_select(-2, _parents(positions.device))
    return torch.cat([positions[..., :1, :], positions[..., 1:, :] - parents], -2)


def joints_of(bones: Tensor) -> Tensor:
    """Return (..., J, 3) joints of bones: the inverse of `bones_of`."""
    placed: list[Tensor] = []
    for bone, parent in zip(bones.unbind(-2), H36M17.parents, strict=True):  # parents come before their children
        placed.append(placed[parent] + bone if parent >= 0 else bone)
    return torch.stack(placed, -2)


def _axes(across: Tensor, upwards: Tensor) -> Tensor:
    """(..., 3) right to left, and roughly upwards, to the rows (..., 3, 3) of a right-handed frame."""
    across = functional.normalize(across, dim=-1)
    forward = functional.normalize(torch.linalg.cross(across, upwards), dim=-1)
    return torch.stack([across, forward, torch.linalg.cross(forward, across)], -2)


def _carry(vectors: Tensor, there: Tensor, here: Tensor) -> Tensor:
    """(..., N, 3) vectors that stand to the axes `here` as they stood to `there`."""
    # Sums and not matrix products: those may run in TF32.
    parts = (vectors[..., None, :] * there[..., None, :, :]).sum(-1)
    return (parts[..., None] * here[..., None, :, :]).sum(-2)


def _trunk_up(positions: Tensor) -> Tensor:
    """(B,) whether the trunk is within 60 degrees of upright in all frames."""
    trunk = positions[:, :, 8] - positions[:, :, 0]
    return (trunk[..., 2] > 0.5 * trunk.norm(dim=-1)).all(1)


def graft(positions: Tensor, other: Tensor, what: Tensor) -> Tensor:
    """Give bodies the arms or the upper body of other motions.

    Arms keep their directions about shoulders and trunk, an upper body its directions about the hips and, where both
    trunks are upright, its lean. Lengths of all bones, pelvis and legs stay the body's own.

    Args:
        positions: (B, T, J, 3) metres, right-handed, z up.
        other: (B, T, J, 3) where the parts come from.
        what: (B,) index of GRAFTS; negative: nothing is grafted.
    """
    bones, theirs = bones_of(positions), bones_of(other)
    chest = [_axes(p[..., 11, :] - p[..., 14, :], p[..., 8, :] - p[..., 7, :]) for p in (other, positions)]
    # where both stand or sit, a trunk leans as it leant; else it cannot be told from a pelvis that is tilted
    upright = (_trunk_up(positions) & _trunk_up(other))[:, None, None]
    up = torch.zeros_like(positions[:, :, 0])
    up[..., 2] = 1  # made on the device: a copy from the host would wait
    hips = [
        _axes(p[..., 4, :] - p[..., 1, :], torch.where(upright, up, p[..., 7, :] - p[..., 0, :]))
        for p in (other, positions)
    ]
    length = bones.norm(dim=-1, keepdim=True)
    by_chest = length * functional.normalize(_carry(theirs, *chest), dim=-1)
    by_hips = length * functional.normalize(_carry(theirs, *hips), dim=-1)
    number = what[:, None, None, None]
    grafted = bones.clone()
    for part, numbers in ((_LEFT_ARM, (0, 1)), (_RIGHT_ARM, (0, 2))):
        chosen = (number == numbers[0]) | (number == numbers[1])
        grafted[:, :, part] = torch.where(chosen, by_chest[:, :, part], bones[:, :, part])
    grafted[:, :, _TRUNK] = torch.where(number == 3, by_hips[:, :, _TRUNK], grafted[:, :, _TRUNK])
    return joints_of(grafted)


@dataclass
class Rotations:
    """Rotations that oscillate over a clip: offset + amplitude sin(2 pi (cycles t + phase)), t from 0 to 1.

    Attributes:
        offset, amplitude: (B, K, 3) axis times radians.
        cycles: (B, K) oscillations in the clip.
        phase: (B, K) from 0 to 1.
    """

    offset: Tensor
    amplitude: Tensor
    cycles: Tensor
    phase: Tensor

    def angles(self, frames: int) -> Tensor:
        """(B, T, K, 3) axis times radians."""
        time = torch.linspace(0, 1, frames, device=self.cycles.device)[None, :, None]
        wave = torch.sin(2 * torch.pi * (self.cycles[:, None] * time + self.phase[:, None]))
        return self.offset[:, None] + self.amplitude[:, None] * wave[..., None]


def rotate_joints(positions: Tensor, rotations: Rotations) -> Tensor:
    """Rotate ball joints, with all that hangs on them.

    Args:
        positions: (B, T, J, 3) metres, right-handed.
        rotations: of BALL_JOINTS, in the axes of the hips (spine, hips) or of the chest (neck, shoulders).
    """
    angles = rotations.angles(positions.shape[1])
    p = positions
    hips = _axes(p[:, :, 4] - p[:, :, 1], p[:, :, 7] - p[:, :, 0])
    chest = _axes(p[:, :, 11] - p[:, :, 14], p[:, :, 8] - p[:, :, 7])
    about = torch.stack([hips, chest, chest, chest, hips, hips], 2)
    vectors = (angles[..., None] * about).sum(-2)  # from the body's axes to the world's
    bones = bones_of(positions)
    for k, part in enumerate(_BELOW, start=1):
        bones[:, :, part] = _rotate(bones[:, :, part], vectors[:, :, k, None])
    bones[:, :, _TRUNK] = _rotate(bones[:, :, _TRUNK], vectors[:, :, 0, None])
    return joints_of(bones)


def tumble(positions: Tensor, rotations: Rotations) -> Tensor:
    """Rotate whole bodies about their pelvis, wherever the ground is.

    Args:
        positions: (B, T, J, 3) metres.
        rotations: in the world's axes; K is 1.
    """
    angles = rotations.angles(positions.shape[1])
    pelvis = positions[:, :, :1]
    return pelvis + _rotate(positions - pelvis, angles)


_KNEE_EDGE = math.radians(3)
"""Radians about the angle that is taken off over which knees go over to straight ones, without a jerk."""


def straighten_knees(positions: Tensor, less: Tensor, stiffness: Tensor) -> Tensor:
    """Bend knees by an angle less, down to perfectly straight ones, and then by a share less.

    The knees of people who stand are bent by some 15 to 20 degrees in the motion capture, more than people's are, since
    its hips, knees and ankles lie on no line there. Hips stay, ankles stay in their direction from the hip, and knees
    in the plane of the leg, so that who stands still does. Bones keep their lengths.

    Args:
        positions: (B, T, J, 3) metres.
        less: (B,) radians; 0: no angle is taken off.
        stiffness: (B,) from 0 to 1, the share that is taken off of what bend is left: people who jump, or walk, with
            stiff legs.
    """
    changed = ((less > 0) | (stiffness > 0))[:, None, None]
    p = positions.clone()
    for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
        thigh, shin = positions[:, :, knee] - positions[:, :, hip], positions[:, :, ankle] - positions[:, :, knee]
        upper, lower = thigh.norm(dim=-1).clamp_min(1e-6), shin.norm(dim=-1).clamp_min(1e-6)
        cosine = (thigh * shin).sum(-1) / (upper * lower)
        bend = torch.acos(cosine.clamp(-1, 1))
        over = bend - less[:, None]
        edge = _KNEE_EDGE * (over / _KNEE_EDGE).clamp(-1, 1)  # a parabola joins nothing to the line
        bent = torch.where(over.abs() < _KNEE_EDGE, (edge + _KNEE_EDGE).square() / (4 * _KNEE_EDGE), over.clamp_min(0))
        bent = torch.where(less[:, None] > 0, bent, bend) * (1 - stiffness[:, None])
        along = functional.normalize(thigh + shin, dim=-1)
        across = functional.normalize(thigh - (thigh * along).sum(-1, keepdim=True) * along, dim=-1)
        reach = (upper.square() + lower.square() + 2 * upper * lower * bent.cos()).sqrt()
        sine = (lower * bent.sin() / reach.clamp_min(1e-6)).clamp(-1, 1)
        ahead = (upper + lower * bent.cos()) / reach.clamp_min(1e-6)
        bent_knee = positions[:, :, hip] + upper[..., None] * (ahead[..., None] * along + sine[..., None] * across)
        p[:, :, knee] = torch.where(changed, bent_knee, positions[:, :, knee])
        p[:, :, ankle] = torch.where(changed, positions[:, :, hip] + reach[..., None] * along, positions[:, :, ankle])
    return p


def _rotate(vectors: Tensor, turn: Tensor) -> Tensor:
    """Rodrigues' formula: (..., 3) vectors about axis times angle, which broadcasts to them."""
    angle = turn.norm(dim=-1, keepdim=True)
    axis = (turn / angle.clamp_min(1e-12)).expand_as(vectors)
    along = (axis * vectors).sum(-1, keepdim=True)
    across = torch.linalg.cross(axis, vectors)
    return vectors * angle.cos() + across * angle.sin() + axis * along * (1 - angle.cos())
