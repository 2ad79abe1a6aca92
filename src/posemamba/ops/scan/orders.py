"""Scan orders as index maps: the token of the (frames, joints) grid that each step of a direction reads and writes.

Token (t, j) has index t * J + j. A direction walks all L = T * J tokens. Nothing is re-ordered in memory: kernels read
the token from a table of int32 that all clips and layers share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from posemamba.ops.runtime.settings import constant_for_compiler
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.plugins import Registry

OrderName: TypeAlias = str
"""Name of a scan order, a key of `ORDERS`."""
DIRECTIONS = 4
Tables = Callable[[int, int], Any]
"""(frames, joints) to the tokens (4, L) that the steps of the four directions visit."""


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


_DIRECTIONS = {
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
class Order:
    """A scan order: its tables, and for each direction True if it merges limb partners."""

    tables: Tables
    merged: tuple[bool, ...]


def _of_directions(directions: tuple[Direction, ...]) -> Order:
    def tables(frames: int, joints: int) -> Tensor:
        return torch.stack([direction.steps(frames, joints) for direction in directions])

    return Order(tables, tuple(direction.merged for direction in directions))


ORDERS: Registry[Order] = Registry(
    "scan order", {name: _of_directions(directions) for name, directions in _DIRECTIONS.items()}
)
"""All scan orders, by name: 'global_local' is the paper's, then come its Table 4's ablations and registered ones."""


SEQUENCE = "sequence"
"""One walk over the tokens as they lie, for scans of other models: K = 1, and no order of a PoseMamba."""
_SEQUENCE = _of_directions((_SPATIAL,))


def register_order(
    name: str, *, merged: tuple[bool, bool, bool, bool] = (False, False, False, False)
) -> Callable[[Tables], Tables]:
    """Register a scan order: a function of (frames, joints) that returns index tables (4, frames * joints).

    Row k is a permutation of all tokens, t * joints + j, in which direction k walks them. A direction without use
    repeats another one: each has its own weights.

    >>> @register_order("legs_first")
    ... def legs_first(frames, joints):
    ...     return by_joints(frames, [1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])

    Args:
        name: for `model.options.scan_order`.
        merged: for each direction True if it reads x[t, j] + x[t, limb[j]], as the paper's global-local order.

    Raises:
        PoseMambaError: the name is taken.
    """

    def add(tables: Tables) -> Tables:
        ORDERS.add(name, Order(tables, tuple(map(bool, merged))))
        return tables

    if len(merged) != DIRECTIONS:
        raise PoseMambaError(f"scan order '{name}': merged has {len(merged)} values, expected {DIRECTIONS}")
    return add


def by_joints(frames: int, joints: Sequence[int]) -> Tensor:
    """Return the tables of the bidirectional order with joints in another order, (4, frames * joints).

    Frame by frame and joint by joint, and both backwards.

    Args:
        joints: each joint once.
    """
    grid = torch.arange(frames * len(joints)).view(frames, len(joints))[:, list(joints)]
    forward = torch.stack([grid.reshape(-1), grid.T.reshape(-1)])
    return torch.cat([forward, forward.flip(1)])


def check_order(order: str, frames: int, joints: int) -> None:
    """Reject a registered order whose tables for a grid of this size are none.

    Raises:
        ValueError: the order is unknown.
        PoseMambaError: the tables have another shape, or a row is no permutation of the tokens.
    """
    ORDERS.require(order)
    if order not in _DIRECTIONS:
        _tables(order, frames, joints)


def _tables(order: str, frames: int, joints: int) -> Tensor:
    """The tables of an order, (4, L) int64, checked."""
    with torch.device("cpu"):  # whatever device modules are being made on
        return _checked(order, ORDERS.require(order).tables(frames, joints), frames, joints)


def _checked(order: str, made: Any, frames: int, joints: int) -> Tensor:
    try:
        tables = torch.as_tensor(made, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise PoseMambaError(
            f"scan order '{order}' returned a {type(made).__name__}, expected index tables, (4, tokens)"
        ) from error
    expected = (DIRECTIONS, frames * joints)
    if tables.shape != expected or tables.is_floating_point() or tables.is_complex() or tables.dtype == torch.bool:
        raise PoseMambaError(
            f"scan order '{order}': its tables for {frames} frames of {joints} joints are {tuple(tables.shape)} "
            f"{str(tables.dtype).removeprefix('torch.')}, expected {expected} of integers"
        )
    tables = tables.long()
    for k, row in enumerate(tables.sort(dim=1).values):
        if not torch.equal(row, torch.arange(frames * joints)):
            raise PoseMambaError(
                f"scan order '{order}': direction {k} for {frames} frames of {joints} joints does not visit each token "
                f"once, from 0 to {frames * joints - 1}"
            )
    return tables


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


@constant_for_compiler
def merges(order: str) -> bool:
    """Return True if any direction of the order merges limb partners."""
    return order != SEQUENCE and any(ORDERS[order].merged)


@lru_cache(maxsize=64)
def scan_map(
    order: str, frames: int, joints: int, limb: tuple[int, ...], device: torch.device | str = "cpu"
) -> ScanMap:
    """Return the index tables for `order` on a (frames, joints) grid.

    Args:
        order: one of `ORDERS`, or `SEQUENCE`.
        limb: for each joint the joint merged with it (skeleton.LIMB_ORDER for Human3.6M's skeleton).
    """
    with torch.inference_mode(False):  # the tables are cached, and used in training too
        if order == SEQUENCE:
            return _scan_map(_SEQUENCE.tables(frames, joints), _SEQUENCE.merged, frames, joints, limb, device)
        tables = ORDERS[order].tables(frames, joints) if order in _DIRECTIONS else _tables(order, frames, joints)
        return _scan_map(tables, ORDERS[order].merged, frames, joints, limb, device)


def _scan_map(
    tokens: Tensor,
    merged: tuple[bool, ...],
    frames: int,
    joints: int,
    limb: tuple[int, ...],
    device: torch.device | str,
) -> ScanMap:
    partner = torch.arange(frames)[:, None] * joints + torch.tensor(limb)[None]
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
