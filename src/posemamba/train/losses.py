"""The losses of the paper (its equation 11), in the authors' released form, and one of bone directions.

All take predictions and targets (B, T, J, 3), root-relative, in one unit, and return the mean as a scalar.
Shapes: B clips, T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from posemamba.poses.skeletons import H36M17, Skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.plugins import Registry

PAPER_WEIGHTS: Mapping[str, float] = {
    "mpjpe": 1.0,
    "n_mpjpe": 0.5,
    "velocity": 20.0,
    "temporal_consistency": 0.5,
}
"""The weights of the released training; Table 5's 'T-Loss' is the last two together."""

Loss = Callable[[Tensor, Tensor], Tensor]

# Human3.6M's 17 joints: the farther from the trunk, the more a jump between frames costs.
TEMPORAL_WEIGHTS = (1, 1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1.5, 1.5, 4, 4, 1.5, 4, 4)


def mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean distance of joints (equation 12, as a mean)."""
    return (pred - target).norm(dim=-1).mean()


def n_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """MPJPE after each frame's prediction is scaled by <target, pred> / <pred, pred>.

    What the paper calls the 2D re-projection loss: the scale of a frame is free, as it is in a picture.
    """
    square = pred.square().sum((-2, -1), keepdim=True).clamp_min(1e-12)
    scale = (target * pred).sum((-2, -1), keepdim=True) / square
    return mpjpe(scale * pred, target)


def velocity(pred: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the differences between one frame and the next (MPJVE); 0 for clips of one frame."""
    if pred.shape[1] < 2:
        return pred.new_zeros(())
    return mpjpe(pred.diff(dim=1), target.diff(dim=1))


@lru_cache(maxsize=8)
def _temporal_weights(device: torch.device, dtype: torch.dtype, skeleton: Skeleton) -> Tensor:
    weights = TEMPORAL_WEIGHTS if skeleton == H36M17 else (1.0,) * len(skeleton)
    with torch.inference_mode(False):  # kept on the device: copying it each time would wait for the device
        return torch.tensor(weights, device=device, dtype=dtype)


def temporal_consistency(pred: Tensor, skeleton: Skeleton = H36M17) -> Tensor:
    """Mean of the weighted squared differences between frames: jumps cost, whatever the target does.

    Weighted by TEMPORAL_WEIGHTS, of other skeletons by 1; 0 for clips of one frame.
    """
    if pred.shape[1] < 2:
        return pred.new_zeros(())
    return (pred.diff(dim=1).square() * _temporal_weights(pred.device, pred.dtype, skeleton)[:, None]).mean()


@lru_cache(maxsize=8)
def _bones(device: torch.device, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # kept on the device, as above
        starts, ends = zip(*skeleton.bones, strict=True)
        return torch.tensor(starts, device=device), torch.tensor(ends, device=device)


def bone_direction(pred: Tensor, target: Tensor, skeleton: Skeleton = H36M17) -> Tensor:
    """Mean distance of the bones' unit directions, which is their angle in radians while it is small.

    A bone without length has no direction and costs nothing.
    """
    starts, ends = _bones(pred.device, skeleton)
    directions = []
    for joints in (pred, target):
        bones = joints.index_select(-2, ends) - joints.index_select(-2, starts)
        directions.append(bones / bones.norm(dim=-1, keepdim=True).clamp_min(1e-4))
    return mpjpe(*directions)


LOSSES: Registry[Loss] = Registry(
    "loss",
    {
        "mpjpe": mpjpe,
        "n_mpjpe": n_mpjpe,
        "velocity": velocity,
        "temporal_consistency": lambda pred, target: temporal_consistency(pred),
        "bone_direction": bone_direction,
    },
)
"""All losses, by name."""
_OF_SKELETONS: Mapping[str, Callable[[Tensor, Tensor, Skeleton], Tensor]] = {
    "temporal_consistency": lambda pred, target, skeleton: temporal_consistency(pred, skeleton),
    "bone_direction": bone_direction,
}
"""Losses that depend on which joints these are."""


def register_loss(name: str) -> Callable[[Loss], Loss]:
    """Register a loss, a function of predictions and targets (B, T, J, 3) that returns a scalar.

    >>> @register_loss("farthest_joint")
    ... def farthest_joint(pred, target):
    ...     return (pred - target).norm(dim=-1).amax(-1).mean()

    Raises:
        PoseMambaError: the name is taken.
    """

    def add(loss: Loss) -> Loss:
        LOSSES.add(name, loss)
        return loss

    return add


def total_loss(
    pred: Tensor,
    target: Tensor,
    weights: Mapping[str, float] | Mapping[str, float | Tensor] = PAPER_WEIGHTS,
    skeleton: Skeleton = H36M17,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and its parts without their weights (detached).

    Args:
        pred, target: (B, T, J, 3).
        weights: by name, of LOSSES; a loss of weight 0, or not named, is not computed. A tensor's value is not
            looked at: that would wait for the device.
        skeleton: which joints these are.

    Raises:
        ValueError: no weight is positive, or a name is unknown.
        PoseMambaError: a loss returned something else than a scalar.
    """
    if unknown := [name for name in weights if name not in LOSSES]:
        raise ValueError(LOSSES.unknown(unknown))
    parts: dict[str, Tensor] = {}
    total: Tensor | None = None
    for name, weight in weights.items():
        if not isinstance(weight, Tensor) and weight == 0:
            continue
        of_joints = _OF_SKELETONS.get(name)
        value = LOSSES[name](pred, target) if of_joints is None else of_joints(pred, target, skeleton)
        if not isinstance(value, Tensor) or value.ndim:
            found = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise PoseMambaError(f"loss '{name}' returned a value {found}, expected a scalar tensor")
        parts[name] = value.detach()
        total = weight * value if total is None else total + weight * value
    if total is None:
        raise ValueError("every loss has weight 0")
    return total, parts
