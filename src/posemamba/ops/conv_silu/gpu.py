"""Triton kernels of the depth-wise convolution with SiLU.

A program is one warp: the channels lie in its lanes, a few frames in each lane, and it walks along the joints. Each
step loads one joint of those frames and of their two neighbours once, and adds it to three sums: of the joint before,
of its own and of the next. Sums are float32.

Names: i_ program index, o_ offsets, m_ mask; `row` one (frame, joint) of a clip, `taps` the nine weights (9, D).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from posemamba.ops.runtime.triton_math import sigmoid, silu

FRAMES = 4  # frames of a program
BLOCK_D = 128  # channels of a program
PROGRAMS = 1024  # at least so many forward, if cutting the joints makes them; at most twice as many backward
STAGES = 3  # joints loaded from memory at once, plus one


@triton.jit
def _load_taps(taps, D, o_d, m_d):
    k = ()
    for i in tl.static_range(9):
        k += (tl.load(taps + i * D + o_d, mask=m_d, other=0.0),)
    return k


@triton.jit
def _load_rows(x, t, j, T, J, token_stride, m_d, FRAMES: tl.constexpr):
    """Load joint j of the frames from t - 1 to t + FRAMES, zero outside of the clip."""
    rows = ()
    for i in tl.static_range(FRAMES + 2):
        f = t + i - 1
        m = m_d & (j >= 0) & (j < J) & (f >= 0) & (f < T)
        rows += (tl.load(x + (f * J + j) * token_stride, mask=m, other=0.0).to(tl.float32),)
    return rows


@triton.jit
def _add_joint(sums, rows, k0, k1, k2, FRAMES: tl.constexpr):
    """Add one joint to the sums, one for each frame; k0, k1, k2 are its taps for the three frames."""
    added = ()
    for i in tl.static_range(FRAMES):
        added += (sums[i] + rows[i] * k0 + rows[i + 1] * k1 + rows[i + 2] * k2,)
    return added


@triton.jit(do_not_specialize=["T", "J", "chunks", "joints"])
def conv_silu_kernel(
    x, taps, bias, y, T, J, D, clip_stride, token_stride, chunks, joints,
    FRAMES: tl.constexpr, BLOCK_D: tl.constexpr, STAGES: tl.constexpr, ACTIVATE: tl.constexpr,
):  # fmt: skip
    """Compute y = SiLU(conv(x) + bias), or conv(x) without ACTIVATE, for `joints` joints of FRAMES frames."""
    i_b, t = tl.program_id(0) // chunks, tl.program_id(0) % chunks * FRAMES
    o_d, first = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D), tl.program_id(2) * joints
    m_d = o_d < D
    x += i_b.to(tl.int64) * clip_stride + o_d
    y += i_b.to(tl.int64) * T * J * D + o_d
    k = _load_taps(taps, D, o_d, m_d)
    empty = tl.load(bias + o_d, mask=m_d, other=0.0).to(tl.float32)
    before, here = (empty,) * FRAMES, (empty,) * FRAMES  # sums at joints j - 1 and j
    for j in tl.range(first - 1, tl.minimum(first + joints, J) + 1, num_stages=STAGES):
        rows = _load_rows(x, t, j, T, J, token_stride, m_d, FRAMES)
        done = _add_joint(before, rows, k[2], k[5], k[8], FRAMES)
        before = _add_joint(here, rows, k[1], k[4], k[7], FRAMES)
        here = _add_joint((empty,) * FRAMES, rows, k[0], k[3], k[6], FRAMES)
        for i in tl.static_range(FRAMES):
            value = silu(done[i]) if ACTIVATE else done[i]
            place = ((t + i) * J + j - 1) * D
            tl.store(y + place, value.to(y.dtype.element_ty), mask=m_d & (j > first) & (t + i < T))


@triton.jit(do_not_specialize=["T", "J", "chunks", "frames"])
def conv_silu_gradient_kernel(
    dy, x, taps, bias, dsum, partial, T, J, D, clip_stride, token_stride, chunks, frames,
    FRAMES: tl.constexpr, BLOCK_D: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Compute the gradient before SiLU and bias in `dsum` (the sums are computed again), and the taps' and bias's.

    `partial` (programs, 10, D) gets the gradients of the nine taps and of the bias, over each program's `frames`.
    """
    i_b, start = tl.program_id(0) // chunks, tl.program_id(0) % chunks * frames
    o_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    m_d = o_d < D
    x += i_b.to(tl.int64) * clip_stride + o_d
    dy += i_b.to(tl.int64) * T * J * D + o_d
    dsum += i_b.to(tl.int64) * T * J * D + o_d
    k = _load_taps(taps, D, o_d, m_d)
    empty = tl.load(bias + o_d, mask=m_d, other=0.0).to(tl.float32)
    zero = tl.zeros([BLOCK_D], dtype=tl.float32)
    # Triton's loop carries only values that its first pass changes: with one zero for both rows_2 and rows_1, rows_2
    # would stay zero
    another_zero = tl.zeros([BLOCK_D], dtype=tl.float32)
    total = (zero,) * 10
    for t in range(start, tl.minimum(start + frames, T), FRAMES):
        before, here = (empty,) * FRAMES, (empty,) * FRAMES
        rows_2, rows_1 = (zero,) * (FRAMES + 2), (another_zero,) * (FRAMES + 2)  # joints j - 2 and j - 1
        for j in tl.range(0, J + 1, num_stages=STAGES):
            rows = _load_rows(x, t, j, T, J, token_stride, m_d, FRAMES)
            done = _add_joint(before, rows, k[2], k[5], k[8], FRAMES)
            before = _add_joint(here, rows, k[1], k[4], k[7], FRAMES)
            here = _add_joint((empty,) * FRAMES, rows, k[0], k[3], k[6], FRAMES)
            for i in tl.static_range(FRAMES):
                place = ((t + i) * J + j - 1) * D
                m = m_d & (j > 0) & (t + i < T)
                logistic = sigmoid(done[i])
                g = tl.load(dy + place, mask=m, other=0.0).to(tl.float32)
                g = g * logistic * (1.0 + done[i] * (1.0 - logistic))
                tl.store(dsum + place, g.to(dsum.dtype.element_ty), mask=m)
                total = (
                    total[0] + g * rows_2[i], total[1] + g * rows_1[i], total[2] + g * rows[i],
                    total[3] + g * rows_2[i + 1], total[4] + g * rows_1[i + 1], total[5] + g * rows[i + 1],
                    total[6] + g * rows_2[i + 2], total[7] + g * rows_1[i + 2], total[8] + g * rows[i + 2],
                    total[9] + g,
                )  # fmt: skip
            rows_2, rows_1 = rows_1, rows
    for i in tl.static_range(10):
        tl.store(partial + (tl.program_id(0) * 10 + i) * D + o_d, total[i], mask=m_d)


def _as_rows(x: Tensor) -> Tensor:
    """Return x (B, T, J, D) if its rows have a constant stride, as in half of a projection; else a copy."""
    regular = x.stride(3) == 1 and x.stride(1) == x.shape[2] * x.stride(2)
    return x if regular else x.contiguous()


def taps_of(weight: Tensor) -> Tensor:
    """Convert the weight (D, 1, 3, 3) to taps (9, D), float32."""
    return weight.detach().float().reshape(-1, 9).T.contiguous()


def convolve(x: Tensor, taps: Tensor, bias: Tensor, activate: bool) -> Tensor:
    """Convolve x (B, T, J, D) with taps (9, D) and add the bias, with or without SiLU."""
    x = _as_rows(x)
    B, T, J, D = x.shape
    y = x.new_empty(x.shape)
    chunks, blocks = triton.cdiv(T, FRAMES), triton.cdiv(D, BLOCK_D)
    pieces = max(1, min(J, PROGRAMS // (B * chunks * blocks)))
    joints = triton.cdiv(J, pieces)
    conv_silu_kernel[(B * chunks, blocks, triton.cdiv(J, joints))](
        x, taps, bias, y, T, J, D, x.stride(0), x.stride(2), chunks, joints,
        FRAMES=FRAMES, BLOCK_D=min(BLOCK_D, triton.next_power_of_2(D)), STAGES=STAGES, ACTIVATE=activate, num_warps=1,
    )  # fmt: skip
    return y


def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute SiLU(conv(x) + bias), (B, T, J, D)."""
    return convolve(x, taps_of(weight), bias, activate=True)


def backward(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of x, weight and bias."""
    x, dy, taps = _as_rows(x), dy.contiguous(), taps_of(weight)
    B, T, J, D = x.shape
    blocks = triton.cdiv(D, BLOCK_D)
    walks = max(1, B * triton.cdiv(T, FRAMES) * blocks // (2 * PROGRAMS))
    frames = FRAMES * walks
    chunks = triton.cdiv(T, frames)
    dsum = x.new_empty(x.shape)
    partial = taps.new_empty(B * chunks, 10, D)
    conv_silu_gradient_kernel[(B * chunks, blocks)](
        dy, x, taps, bias, dsum, partial, T, J, D, x.stride(0), x.stride(2), chunks, frames,
        FRAMES=FRAMES, BLOCK_D=min(BLOCK_D, triton.next_power_of_2(D)), STAGES=STAGES, num_warps=1,
    )  # fmt: skip
    dx = convolve(dsum, taps.flip(0), taps.new_zeros(D), activate=False)
    sums = partial.sum(0)
    dweight = sums[:9].T.clone(memory_format=torch.contiguous_format).view(weight.shape)
    return dx, dweight.to(weight.dtype), sums[9].clone().to(bias.dtype)
