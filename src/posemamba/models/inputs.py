"""2D joints as models are given them: their coordinates, the person's size, mirroring.

Shapes: B clips, T frames, J joints, C numbers of a joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba.poses.skeletons import H36M17, Skeleton, get_skeleton


def with_confidence(x_BTJC: Tensor) -> Tensor:
    """(B, T, J, 2 or 3) to (B, T, J, 3): joints without confidence are certain (1)."""
    return F.pad(x_BTJC, (0, 1), value=1.0) if x_BTJC.shape[-1] == 2 else x_BTJC


@dataclass(frozen=True)
class InputFormat:
    """The input that a model expects: (B, T, J, 2 or 3).

    Attributes:
        frames: the most frames T, or None for a model without a limit.
        joints: the joints J.
        confidence: True if the model takes the joints' confidence as third number.
        skeleton: which joints these are.
    """

    frames: int | None
    joints: int
    confidence: bool
    skeleton: Skeleton = H36M17


def input_format(model: nn.Module) -> InputFormat:
    """Return the input that a model expects, by its `config`; models without one take Human3.6M's x and y."""
    config = getattr(model, "config", None)
    return InputFormat(
        frames=getattr(config, "frames", None),
        joints=getattr(config, "joints", len(H36M17)),
        confidence=bool(getattr(config, "confidence", False)),
        skeleton=get_skeleton(getattr(config, "skeleton", H36M17.name)),
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
    """Measure how large each person is seen: the root mean square distance of the joints from their mean in a frame.

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
def _mirrored_joints(device: torch.device, skeleton: Skeleton) -> Tensor:
    """Joint that each joint swaps places with, kept on the device: copying it there would wait for the device."""
    with torch.inference_mode(False):  # or it could not be used in training afterwards
        return torch.tensor(skeleton.mirrored, device=device)


def mirror(positions: Tensor, axis: int = 0, skeleton: Skeleton = H36M17) -> Tensor:
    """Mirror bodies or pictures: coordinate `axis` changes its sign, left and right joints change places.

    Args:
        positions: (..., J, C) in any frame in which `axis` is horizontal.
        axis: the coordinate to turn round.
        skeleton: which joints these are.
    """
    swapped = positions.index_select(-2, _mirrored_joints(positions.device, skeleton))
    return torch.cat([swapped[..., :axis], -swapped[..., axis : axis + 1], swapped[..., axis + 1 :]], -1)


@lru_cache(maxsize=16)
def _nearest_joints(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """For each joint all joints, nearest in the skeleton first (itself, its parent, its children, ...)."""
    joints = len(parents)
    distance = np.full((joints, joints), joints)
    np.fill_diagonal(distance, 0)
    for child, parent in enumerate(parents):
        if parent >= 0:
            distance[child, parent] = distance[parent, child] = 1
    for k in range(joints):  # Floyd-Warshall; skeletons are small
        distance = np.minimum(distance, distance[:, k, None] + distance[k])

    def ancestors(joint: int) -> set[int]:
        found: set[int] = set()
        while parents[joint] >= 0:
            joint = parents[joint]
            found.add(joint)
        return found

    rows = []
    for joint in range(joints):
        above = ancestors(joint)
        rows.append(tuple(sorted(range(joints), key=lambda k: (distance[joint, k], k not in above, k))))
    return tuple(rows)


@lru_cache(maxsize=16)
def _nearest_on(parents: tuple[int, ...], device: torch.device) -> Tensor:
    """`_nearest_joints` kept on the device: copying it there each time would wait for the device."""
    with torch.inference_mode(False):
        return torch.tensor(_nearest_joints(parents), device=device)


def fill_missing(xy: NDArray[np.floating], skeleton: Skeleton = H36M17) -> NDArray[np.float32]:
    """Give every joint of one person a place in every frame (rules: top of this module).

    Args:
        xy: (F, J, 2), any image unit; NaN (in x or y) where a joint was not found.
        skeleton: which joints these are.

    Returns:
        (F, J, 2) float32 without NaN; found joints are left as they are.

    Raises:
        ValueError: no joint is found in any frame.
    """
    filled = np.array(xy, dtype=np.float32)
    found = np.isfinite(filled[..., 0]) & np.isfinite(filled[..., 1])
    if not found.any():
        raise ValueError("no joint is found in any frame: there is nothing to fill from")
    if found.all():
        return filled
    frames = np.arange(len(filled))
    ever = np.logical_or.reduce(found, 0)
    for joint in np.flatnonzero(ever & ~np.logical_and.reduce(found, 0)):
        seen = found[:, joint]
        for axis in range(2):
            filled[:, joint, axis] = np.interp(frames, frames[seen], filled[seen, joint, axis])
    for joint in np.flatnonzero(~ever):
        source = next(k for k in _nearest_joints(skeleton.parents)[joint] if ever[k])
        filled[:, joint] = filled[:, source]
    return filled


def fill_missing_batch(xy: Tensor, found: Tensor, skeleton: Skeleton = H36M17) -> Tensor:
    """`fill_missing` for a batch of clips, on their device and without synchronising it.

    Args:
        xy: (B, T, J, 2); values where `found` is false are not used.
        found: (B, T, J) bool.
        skeleton: which joints these are.

    Returns:
        (B, T, J, 2). A clip in which nothing is found comes back as it is given.
    """
    frames = xy.shape[1]
    time = torch.arange(frames, device=xy.device)[None, :, None]
    before = torch.where(found, time, -1).cummax(1).values  # the last find up to now, -1: none yet
    after = torch.where(found, time, frames).flip(1).cummin(1).values.flip(1)
    left = torch.where(before < 0, after, before).clamp_max(frames - 1)
    right = torch.where(after >= frames, before, after).clamp_min(0)
    weight = ((time - left) / (right - left).clamp_min(1)).clamp(0, 1).to(xy.dtype)[..., None]
    index = left[..., None].expand_as(xy)
    start = xy.gather(1, index)
    end = xy.gather(1, right[..., None].expand_as(xy))
    filled = torch.where(found[..., None], xy, start + (end - start) * weight)
    order = _nearest_on(skeleton.parents, xy.device)
    ever = found.any(1)
    first = ever[:, order].to(torch.uint8).argmax(-1)  # (B, J): place in `order` of the nearest found joint
    source = order.gather(1, first.T).T  # itself where it was found at some time
    return filled.gather(2, source[:, None, :, None].expand_as(filled))
