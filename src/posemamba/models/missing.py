"""Joints that a detector did not find: one convention, for training and for lifting.

A model takes numbers, with confidence or without, so every joint of every frame must be given a place:

* a joint found before and after a gap moves on a straight line in time between the two;
* before its first and after its last find it stays where it was found first and last;
* a joint that is never found takes, in every frame, the place of the nearest joint of the skeleton that is
  found at some time (fewest bones away; its parent before its children).

The rules are linear in the coordinates: pixels and normalised coordinates give the same result.
Shapes: B clips, T or F frames, J joints.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.poses.skeletons import H36M17, Skeleton


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
