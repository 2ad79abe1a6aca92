"""Scan orders as index maps: the token of the (frames, joints) grid that each step of a direction reads and writes.

Token (t, j) has index t * J + j. A direction walks all L = T * J tokens. Nothing is re-ordered in memory: kernels read
the token from a table of int32 that all clips and layers share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

OrderName = Literal["global_local", "bidirectional", "fs_ft", "fs_bt", "bs_ft", "bs_bt"]
ORDERS: tuple[str, ...] = get_args(OrderName)
DIRECTIONS = 4


@dataclass(frozen=True)
class Direction:
    """One walk over the grid: spatial (frame by frame) or temporal (joint by joint)."""

    spatial: bool
    inner_backward: bool = False
    """True if the inner loop (joints of a frame, or frames of a joint) runs backwards."""
    outer_backward: bool = False
    merged: bool = False
    """True if the token read is x[t, j] + x[t, limb[j]]: the global and the local (limb by limb) order merged."""

    def steps(self, frames: int, joints: int) -> Tensor:
        """Return (L,) int64: the token visited at each step."""
        grid = torch.arange(frames * joints).view(frames, joints)
        if not self.spatial:
            grid = grid.T
        flips = [axis for axis, flip in enumerate((self.outer_backward, self.inner_backward)) if flip]
        return grid.flip(flips).reshape(-1)


_SPATIAL, _TEMPORAL = Direction(spatial=True), Direction(spatial=False)
_MERGED = Direction(spatial=True, merged=True)
_TEMPORAL_REVERSED = Direction(spatial=False, inner_backward=True, outer_backward=True)


def _one_way(spatial: Direction, temporal: Direction) -> tuple[Direction, ...]:
    return (spatial, temporal, spatial, temporal)  # directions 2 and 3 repeat 0 and 1 with their own weights


_DIRECTIONS: dict[str, tuple[Direction, ...]] = {
    "global_local": (
        _MERGED,
        _TEMPORAL,
        Direction(spatial=True, inner_backward=True, outer_backward=True, merged=True),
        _TEMPORAL_REVERSED,
    ),
    "bidirectional": (
        _SPATIAL,
        _TEMPORAL,
        Direction(spatial=True, inner_backward=True, outer_backward=True),
        _TEMPORAL_REVERSED,
    ),
    "fs_ft": _one_way(_SPATIAL, _TEMPORAL),
    "fs_bt": _one_way(_SPATIAL, Direction(spatial=False, inner_backward=True)),
    "bs_ft": _one_way(Direction(spatial=True, inner_backward=True), _TEMPORAL),
    "bs_bt": _one_way(Direction(spatial=True, inner_backward=True), Direction(spatial=False, inner_backward=True)),
}


@dataclass(frozen=True)
class ScanMap:
    """The index tables of a scan order on a grid of one size, on one device.

    Attributes:
        tokens: (K, L) int32, the token visited at each step of each direction.
        partner: (L,) int32, for each token the limb token that is merged with it.
        merged: for each direction True if it merges.
        limb_rows: (J, J) float32, row j selects the limb partner of joint j.
        merging: (K, 1) float32, 1 for the directions that merge.
        steps: (K, L, 2) int32, at each step the token and, where the direction merges, its limb partner, else -1.
        first_giver, givers: (J + 1) and (J) int32: joint j is the limb partner of the joints
            givers[first_giver[j]:first_giver[j + 1]].
    """

    tokens: Tensor
    partner: Tensor
    merged: tuple[bool, ...]
    limb_rows: Tensor
    merging: Tensor
    steps: Tensor
    first_giver: Tensor
    givers: Tensor


def merges(order: str) -> bool:
    """Return True if any direction of the order merges limb partners."""
    return any(direction.merged for direction in _DIRECTIONS[order])


@lru_cache(maxsize=64)
def scan_map(
    order: str, frames: int, joints: int, limb: tuple[int, ...], device: torch.device | str = "cpu"
) -> ScanMap:
    """Return the index tables for `order` on a (frames, joints) grid.

    Args:
        order: one of `ORDERS`; 'global_local' is the paper's, the others are its Table 4's ablations.
        limb: for each joint the joint merged with it (skeleton.LIMB_ORDER for Human3.6M's skeleton).
    """
    with torch.inference_mode(False):  # the tables are cached, and used in training too
        return _scan_map(_DIRECTIONS[order], frames, joints, limb, device)


def _scan_map(
    directions: tuple[Direction, ...], frames: int, joints: int, limb: tuple[int, ...], device: torch.device | str
) -> ScanMap:
    tokens = torch.stack([direction.steps(frames, joints) for direction in directions])
    partner = torch.arange(frames)[:, None] * joints + torch.tensor(limb)[None]
    merged = tuple(direction.merged for direction in directions)
    limbs = torch.where(torch.tensor(merged)[:, None], partner.reshape(-1)[tokens], -1)
    receivers = torch.tensor(limb)
    counts = torch.bincount(receivers, minlength=joints).cumsum(0)
    return ScanMap(
        tokens=tokens.int().to(device),
        partner=partner.reshape(-1).int().to(device),
        merged=merged,
        limb_rows=torch.nn.functional.one_hot(torch.tensor(limb), joints).float().to(device),
        merging=torch.tensor(merged).float()[:, None].to(device),
        steps=torch.stack([tokens, limbs], -1).int().to(device),
        first_giver=torch.cat([torch.zeros(1), counts]).int().to(device),
        givers=torch.argsort(receivers, stable=True).int().to(device),
    )
