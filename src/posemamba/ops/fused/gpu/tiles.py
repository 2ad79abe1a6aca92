"""Tiles of the kernels on a GPU, chosen by arithmetic and by the compiler's count of registers and shared memory."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Tile(NamedTuple):
    """Sizes of one program of `tail_kernel` and `embed_kernel`.

    A program reads every matrix of its layer from the second-level cache: few rows mean that it is read often, many
    rows that registers run out.
    """

    rows: int
    chunk: int
    """Columns of the inner and hidden widths that are computed at once."""
    warps: int
    stages: int = 2
    """Chunks of weights on their way from memory or in use."""
    registers: int | None = None
    """The most registers of a thread; None: the compiler's choice."""


_MANY_ROWS = {64: Tile(64, 32, 4), 128: Tile(128, 64, 8), 256: Tile(64, 32, 8)}
_FEW_ROWS = {64: Tile(64, 64, 8), 128: Tile(64, 64, 8), 256: Tile(64, 32, 8)}
FEW_ROWS = 64 * 132
"""Up to so many rows a Hopper GPU gives each program a multiprocessor of its own."""


def choose_tile(width: int, rows: int, dtype: torch.dtype, device: torch.device) -> Tile:
    """For the model width E, rows M and the products' type."""
    hopper = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] == 9
    chunk = min(width, 32)
    if not hopper:  # 64 rows and more are for Hopper's matrix unit, and may take more shared memory than there is
        return Tile(32, chunk, 8 if width > 128 else 4, stages=1 if width > 128 else 2)
    if dtype != torch.bfloat16:
        return Tile(64, chunk, 8 if width > 64 else 4)
    table = _FEW_ROWS if rows <= FEW_ROWS else _MANY_ROWS
    return table.get(width, Tile(64, chunk, 4))
