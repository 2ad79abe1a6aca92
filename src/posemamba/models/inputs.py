"""2D joints as models are given them: their coordinates, the person's size, mirroring.

Shapes: B clips, T frames, J joints, C numbers of a joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posemamba.poses.skeletons import H36M17


def with_confidence(x_BTJC: Tensor, centred: bool) -> Tensor:
    """(B, T, J, 2 or 3) to (B, T, J, 3): joints without confidence are certain (1).

    Args:
        x_BTJC: x, y and, if there is one, confidence.
        centred: x and y relative to their mean over the clip's frames and joints.
    """
    if centred:
        xy = x_BTJC[..., :2]
        x_BTJC = torch.cat([xy - xy.mean((1, 2), keepdim=True), x_BTJC[..., 2:]], -1)
    return F.pad(x_BTJC, (0, 1), value=1.0) if x_BTJC.shape[-1] == 2 else x_BTJC


@dataclass(frozen=True)
class InputFormat:
    """The input that a model expects: (B, T, J, 2 or 3).

    Attributes:
        frames: the most frames T, or None for a model without a limit.
        joints: the joints J.
        confidence: True if the model takes the joints' confidence as third number.
    """

    frames: int | None
    joints: int
    confidence: bool


def input_format(model: nn.Module) -> InputFormat:
    """Return the input that a model expects, by its `config`; models without one take Human3.6M's x and y."""
    config = getattr(model, "config", None)
    return InputFormat(
        frames=getattr(config, "frames", None),
        joints=getattr(config, "joints", len(H36M17)),
        confidence=bool(getattr(config, "confidence", False)),
    )


def prepare_input(model: nn.Module, joints: Tensor) -> Tensor:
    """Prepare 2D joints as a model takes them: x and y, or x, y and confidence.

    Args:
        model: a `PoseMamba`, or any other model (`input_format`).
        joints: (..., 2), or (..., 3) with confidence from 0 to 1; without it all joints count as certain (1).

    Returns:
        (..., 2) or (..., 3).
    """
    if not input_format(model).confidence:
        return joints[..., :2]
    return joints if joints.shape[-1] == 3 else torch.cat([joints, torch.ones_like(joints[..., :1])], -1)


def person_size(xy: Tensor) -> Tensor:
    """How large each person is seen: the root mean square distance of the joints from their mean in a frame.

    A person who stands upright is about 3.3 times as tall.

    Args:
        xy: (B, T, J, 2) any image unit.

    Returns:
        (B,) in that unit, root mean square over the clip.
    """
    centred = xy - xy.mean(2, keepdim=True)
    return centred.square().sum(-1).mean((1, 2)).sqrt()


def zoom_factor(xy: Tensor, size: float) -> Tensor:
    """The factor by which to multiply each clip's normalised coordinates so that `person_size` is `size`.

    To multiply normalised coordinates about the picture's centre is to take a longer lens: the target is
    multiplied by the same number. So a model can be shown all people at one size, without any loss of
    geometry, and its output divided by the factor.

    Args:
        xy: (B, T, J, 2) normalised coordinates.
        size: the wanted size, in normalised units.

    Returns:
        (B,).
    """
    return size / person_size(xy).clamp_min(1e-4)


def at_one_size(joints: Tensor, size: float | None) -> tuple[Tensor, Tensor | float]:
    """All people seen at one size (`zoom_factor`), as a model is shown them.

    Args:
        joints: (B, T, J, 2) normalised, or with confidence, which stays, (B, T, J, 3).
        size: the wanted size, in normalised units; None: as they are.

    Returns:
        The joints, and the factor, (B, 1, 1, 1) or 1, by which to divide what a model gives.
    """
    if size is None:
        return joints, 1.0
    zoom = zoom_factor(joints[..., :2], size)[:, None, None, None]
    return torch.cat([joints[..., :2] * zoom, joints[..., 2:]], -1), zoom


@lru_cache(maxsize=8)
def _mirrored_joints(device: torch.device) -> Tensor:
    """Joint that each joint swaps places with, kept on the device: copying it there would wait for the device."""
    with torch.inference_mode(False):  # or it could not be used in training afterwards
        return torch.tensor(H36M17.mirrored, device=device)


def mirror(positions: Tensor, axis: int = 0) -> Tensor:
    """Mirror bodies or pictures: coordinate `axis` changes its sign, left and right joints change places.

    Args:
        positions: (..., J, C) in any frame in which `axis` is horizontal.
        axis: the coordinate to turn round.
    """
    swapped = positions.index_select(-2, _mirrored_joints(positions.device))
    return torch.cat([swapped[..., :axis], -swapped[..., axis : axis + 1], swapped[..., axis + 1 :]], -1)
