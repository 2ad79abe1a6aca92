"""The selective scan on a CPU: Numba kernels of explicit vector code, which need no compiler on the user's machine.

A lane is a channel. The 16 states of 16 channels are 16 vectors that stay in registers while the four directions walk
the grid through their index tables, in tiles of a few steps. In a tile the step sizes of all tokens are computed first,
as they are independent; they stay in the L1 cache. Work is parallel over (clip, group of channels), and each item owns
its columns of the output. The backward pass recomputes states from those at the starts of tiles.
"""

from __future__ import annotations

import os
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from numba import prange
from torch import Tensor

from posemamba.ops.scan.cpu_memory import allocate, clear, copy, release
from posemamba.ops.scan.cpu_tiles import (
    SLOT,
    STATES,
    VECS,
    forward_tile,
    gather,
    gradient_tile,
    replay_tile,
    rows_gradient,
    scatter,
    states_tile,
)
from posemamba.ops.scan.lanes import LOG2_E, WIDTH, kernel
from posemamba.ops.scan.orders import ScanMap

TILE = 32  # steps that are prepared together; their data stay in the L1 cache
CHUNK = 16  # the tile of the backward pass, which keeps more data

numba_config: Any = numba.config  # its attributes are made when Numba is imported
if "NUMBA_THREADING_LAYER" not in os.environ and numba_config.THREADING_LAYER == "default":
    # Numba's own thread pool competes with PyTorch's OpenMP threads; its OpenMP layer does not.
    numba_config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


@kernel
def _forward(  # type: ignore[no-untyped-def]
    u, proj, weight, a2, ds, bias, tokens, partner, merged, inside, out, group, clips, L, D, K, R
):
    width = R + 2 * STATES
    groups = (D // WIDTH + group - 1) // group
    for item in prange(clips * groups):
        clip, start = item // groups, (item % groups) * group
        blocks = min(group, D // WIDTH - start)
        rows = allocate(TILE * width + TILE * 3 * WIDTH + blocks * VECS)
        scratch = rows + TILE * width * 4
        states = scratch + TILE * 3 * WIDTH * 4
        for k in range(K):
            merge = merged >> k & 1
            clear(states, blocks * VECS)
            for step in range(0, L, TILE):
                count = min(TILE, L - step)
                tokens_ = tokens + (k * L + step) * 4
                gather(proj + clip * L * K * width * 4, tokens_, partner, rows, count, K, R, k, merge * inside)
                for block in range(blocks):
                    at = (start + block) * WIDTH * 4
                    forward_tile(
                        u + clip * L * D * 4 + at,
                        rows,
                        weight + k * R * D * 4 + at,
                        a2 + k * STATES * D * 4 + at,
                        ds + k * D * 4 + at,
                        bias + k * D * 4 + at,
                        tokens_,
                        partner,
                        out + clip * L * D * 4 + at,
                        states + block * VECS * 4,
                        scratch,
                        count, D, R, merge, 1 if k == 0 else 0,
                    )  # fmt: skip
        release(rows)


@kernel
def _backward(
    u, proj, weight, a2, ds, bias, tokens, partner, merged, inside, credit,
    dout, du, dproj, dweight, da, dds, dbias, group, clips, L, D, K, R,
):  # type: ignore[no-untyped-def]  # fmt: skip
    width = R + 2 * STATES
    tiles, groups = (L + CHUNK - 1) // CHUNK, (D // WIDTH + group - 1) // group
    for item in prange(clips * groups):
        clip, part = item // groups, item % groups
        blocks = min(group, D // WIDTH - part * group)
        kept = blocks * VECS  # floats of the states of all blocks
        memory = allocate(CHUNK * (SLOT + 2 * VECS + blocks * WIDTH + 2 * width) + (tiles + 1) * kept)
        scratch = memory
        dBC = scratch + CHUNK * SLOT * 4
        ddelta = dBC + CHUNK * 2 * VECS * 4
        states = ddelta + CHUNK * blocks * WIDTH * 4  # in the backward pass their gradient
        starts = states + kept * 4  # states before each tile
        rows = starts + tiles * kept * 4
        drows = rows + CHUNK * width * 4
        columns, first = (clip * L * D + part * group * WIDTH) * 4, part * group * WIDTH * 4
        for k in range(K):
            merge, sums = merged >> k & 1, clip * K + k
            for forward in (True, False):
                clear(states, kept)
                for i in range(tiles):
                    tile = i if forward else tiles - 1 - i
                    step = tile * CHUNK
                    count = min(CHUNK, L - step)
                    tokens_ = tokens + (k * L + step) * 4
                    gather(proj + clip * L * K * width * 4, tokens_, partner, rows, count, K, R, k, merge * inside)
                    clear(dBC, CHUNK * 2 * VECS)
                    for block in range(blocks):
                        at = block * WIDTH * 4
                        state, before = states + block * VECS * 4, starts + (tile * kept + block * VECS) * 4
                        u_ = u + columns + at
                        weight_ = weight + k * R * D * 4 + first + at
                        a2_ = a2 + k * STATES * D * 4 + first + at
                        bias_ = bias + k * D * 4 + first + at
                        if forward:
                            copy(state, before, VECS)
                            states_tile(
                                u_, rows, weight_, a2_, bias_, tokens_, partner, state, scratch, count, D, R, merge
                            )
                            continue
                        replay_tile(
                            u_, rows, weight_, a2_, bias_, tokens_, partner, before, scratch, count, D, R, merge
                        )
                        gradient_tile(
                            rows,
                            a2_,
                            ds + k * D * 4 + first + at,
                            tokens_,
                            dout + columns + at,
                            scratch,
                            state,
                            du + columns + at,
                            dBC,
                            ddelta + at,
                            da + sums * STATES * D * 4 + first + at,
                            dds + sums * D * 4 + first + at,
                            dbias + sums * D * 4 + first + at,
                            count, D, R, blocks * WIDTH, partner, merge * credit,
                        )  # fmt: skip
                    if forward:
                        continue
                    rows_gradient(
                        rows,
                        weight + k * R * D * 4 + first,
                        dBC,
                        ddelta,
                        dweight + sums * R * D * 4 + first,
                        drows,
                        count, D, R, blocks * WIDTH,
                    )  # fmt: skip
                    scatter(dproj + item * L * K * width * 4, tokens_, partner, drows, count, K, R, k, merge * inside)
        release(memory)


def _arguments(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap
) -> list[Any]:
    """Return the kernels' arrays: float32, contiguous, channels padded to whole vectors, A times log2(e) by state."""
    B, T, J, D = u.shape
    if A.shape[-1] != STATES:
        raise ValueError(f"the CPU kernel is made for {STATES} states, not {A.shape[-1]}")
    pad = (-D) % WIDTH

    def padded(x: Tensor) -> np.ndarray:
        x = x.detach().float()
        return (F.pad(x, (0, pad)) if pad else x).contiguous().numpy()

    return [
        padded(u.reshape(B, T * J, D)),
        proj.detach().float().reshape(B, T * J, *proj.shape[3:]).contiguous().numpy(),
        padded(dt_weight.transpose(1, 2)),
        padded(A.transpose(1, 2) * LOG2_E),
        padded(Ds),
        padded(dt_bias),
        *_tables(maps),
    ]


def with_threads(kernel: Any, *arguments: Any) -> None:
    """Run a kernel with PyTorch's number of threads; of an array, which must be contiguous, it gets the address."""
    numba.set_num_threads(max(1, min(torch.get_num_threads(), numba_config.NUMBA_NUM_THREADS)))
    kernel(*(_address(x) if isinstance(x, np.ndarray) else x for x in arguments))


def _address(array: Any) -> int:
    if not array.flags.c_contiguous:
        raise ValueError(f"a kernel got an array of strides {array.strides} for shape {array.shape}, not contiguous")
    return int(array.ctypes.data)


def scan_tokens(u: Any, proj: Any, weights: list[Any], maps: ScanMap, out: Any) -> None:
    """Run the forward scan on NumPy arrays as the kernel takes them: u and `out` (B, L, D), D a multiple of 16.

    Args:
        u, proj: tokens and their projections, (B, L, K * P), limb partners' not added.
        weights: of the step size (K, R, D), A times log2(e) (K, N, D), the skip (K, D), the step size's bias (K, D).
        out: is set.
    """
    B, L, D = u.shape
    K, R = weights[0].shape[:2]
    group = _blocks_of_an_item(B, D // WIDTH)
    with_threads(_forward, u, proj, *weights, *_tables(maps), 1, out, group, B, L, D, K, R)


def _tables(maps: ScanMap) -> tuple[Any, Any, int]:
    """Return the tables of tokens and of limb partners, and the directions that merge them as bits of a number."""
    merged = sum(1 << k for k, flag in enumerate(maps.merged) if flag)
    return maps.tokens.numpy(), maps.partner.numpy(), merged


def _blocks_of_an_item(clips: int, blocks: int) -> int:
    """Return the blocks of 16 channels of a work item: as many as keep every thread busy."""
    threads = torch.get_num_threads()
    return blocks if clips >= threads else max(1, blocks * clips // threads)


def forward(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap, inside: bool
) -> Tensor:
    """Run the scan: output (B, T, J, D) in u's type, computed in float32. Shapes as in operator.py.

    `inside`: the limb partners' projections are still to be added in the merged directions.
    """
    arguments = _arguments(u, proj, dt_weight, dt_bias, A, Ds, maps)
    B, L, wide = arguments[0].shape
    out = torch.empty(B, L, wide)
    K, R = arguments[2].shape[:2]
    group = _blocks_of_an_item(B, wide // WIDTH)
    with_threads(_forward, *arguments, int(inside), out.numpy(), group, B, L, wide, K, R)
    return out[..., : u.shape[-1]].reshape(u.shape).to(u.dtype)


def backward(
    dy: Tensor, u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap,
    inside: bool, credit: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Compute float32 gradients of u, proj and the parameters; with `credit`, u's also reaches merged limb partners."""
    B, T, J, D = u.shape
    arguments = _arguments(u, proj, dt_weight, dt_bias, A, Ds, maps)
    K, R, wide = arguments[2].shape
    group = _blocks_of_an_item(B, wide // WIDTH)
    dout = F.pad(dy.detach().float().reshape(B, T * J, D), (0, wide - D)).contiguous()
    du = torch.zeros(B, T * J, wide)
    dproj = torch.zeros(B, -(-wide // WIDTH // group), *arguments[1].shape[1:])
    sums = [torch.zeros(B, K, *rows, wide) for rows in ((R,), (STATES,), (), ())]
    written = (x.numpy() for x in (dout, du, dproj, *sums))
    with_threads(_backward, *arguments, int(inside), int(credit), *written, group, B, T * J, wide, K, R)
    dweight, dA, dDs, dbias = (x[..., :D].sum(0) for x in sums)
    return (
        du[..., :D].reshape(u.shape),
        dproj.sum(1).view(proj.shape),
        dweight.transpose(1, 2),
        dbias,
        dA.transpose(1, 2),
        dDs,
    )
