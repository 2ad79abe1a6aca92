"""Triton kernels of the depth-wise convolution with SiLU; a program takes one frame and a block of channels.

The nine neighbours come from memory each time: the same few rows, so from cache. Sums are float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

FRAMES = 16  # frames of a program that sums the weights' gradient


@triton.jit
def _neighbours(x, weight, sums, t, T, J, D, o_j, o_d, m_d, FLIP: tl.constexpr):
    """sums + the convolution at frame t for joints o_j and channels o_d; FLIP transposes it (for the gradient)."""
    for a in tl.static_range(3):
        for b in tl.static_range(3):
            tt = t + a - 1
            jj = o_j + b - 1
            inside = (jj >= 0) & (jj < J) & (tt >= 0) & (tt < T)
            value = tl.load(
                x + (tt * J + jj)[:, None] * D + o_d[None, :], mask=inside[:, None] & m_d[None, :], other=0.0
            ).to(tl.float32)
            if FLIP:
                tap = tl.load(weight + o_d * 9 + (8 - a * 3 - b), mask=m_d, other=0.0)
            else:
                tap = tl.load(weight + o_d * 9 + (a * 3 + b), mask=m_d, other=0.0)
            sums += value * tap.to(tl.float32)[None, :]
    return sums


@triton.jit
def conv_silu_kernel(
    x, weight, bias, y, T, J, D, J_PADDED: tl.constexpr, BLOCK_D: tl.constexpr, FLIP: tl.constexpr, SILU: tl.constexpr
):
    """y = SiLU(conv(x) + bias), or with FLIP and without SILU the gradient of the convolution's input."""
    i_bt, i_d = tl.program_id(0), tl.program_id(1)
    i_b, t = i_bt // T, i_bt % T
    o_j, o_d = tl.arange(0, J_PADDED), i_d * BLOCK_D + tl.arange(0, BLOCK_D)
    m_d = o_d < D
    x += i_b.to(tl.int64) * T * J * D
    y += i_b.to(tl.int64) * T * J * D
    sums = tl.zeros([J_PADDED, BLOCK_D], dtype=tl.float32)
    if SILU:
        sums += tl.load(bias + o_d, mask=m_d, other=0.0).to(tl.float32)[None, :]
    sums = _neighbours(x, weight, sums, t, T, J, D, o_j, o_d, m_d, FLIP)
    if SILU:
        sums = sums / (1.0 + tl.exp(-sums))
    place = (t * J + o_j)[:, None] * D + o_d[None, :]
    tl.store(y + place, sums.to(y.dtype.element_ty), mask=(o_j < J)[:, None] & m_d[None, :])


@triton.jit
def conv_silu_gradient_kernel(
    dy, x, weight, bias, dsum, dweight, T, J, D, chunks,
    J_PADDED: tl.constexpr, BLOCK_D: tl.constexpr, FRAMES: tl.constexpr,
):  # fmt: skip
    """dsum: gradient before SiLU and bias (the sum is computed again); partial sums (programs, 10, D) of the
    gradients of the nine taps and the bias."""
    i_p, i_d = tl.program_id(0), tl.program_id(1)
    i_b, i_c = i_p // chunks, i_p % chunks
    o_j, o_d = tl.arange(0, J_PADDED), i_d * BLOCK_D + tl.arange(0, BLOCK_D)
    o_tap = tl.arange(0, 16)
    m_d = o_d < D
    m = (o_j < J)[:, None] & m_d[None, :]
    x += i_b.to(tl.int64) * T * J * D
    dy += i_b.to(tl.int64) * T * J * D
    dsum += i_b.to(tl.int64) * T * J * D
    total = tl.zeros([16, BLOCK_D], dtype=tl.float32)
    for t in range(i_c * FRAMES, tl.minimum((i_c + 1) * FRAMES, T)):
        sums = tl.zeros([J_PADDED, BLOCK_D], dtype=tl.float32)
        sums += tl.load(bias + o_d, mask=m_d, other=0.0).to(tl.float32)[None, :]
        sums = _neighbours(x, weight, sums, t, T, J, D, o_j, o_d, m_d, False)
        place = (t * J + o_j)[:, None] * D + o_d[None, :]
        g = tl.load(dy + place, mask=m, other=0.0).to(tl.float32)
        logistic = 1.0 / (1.0 + tl.exp(-sums))
        g = g * logistic * (1.0 + sums * (1.0 - logistic))
        tl.store(dsum + place, g.to(dsum.dtype.element_ty), mask=m)
        total += tl.where(o_tap[:, None] == 9, tl.sum(g, 0)[None, :], 0.0)
        for a in tl.static_range(3):
            for b in tl.static_range(3):
                tt = t + a - 1
                jj = o_j + b - 1
                inside = (jj >= 0) & (jj < J) & (tt >= 0) & (tt < T)
                value = tl.load(
                    x + (tt * J + jj)[:, None] * D + o_d[None, :], mask=inside[:, None] & m_d[None, :], other=0.0
                ).to(tl.float32)
                total += tl.where(o_tap[:, None] == a * 3 + b, tl.sum(g * value, 0)[None, :], 0.0)
    place = (i_p * 10 + o_tap)[:, None] * D + o_d[None, :]
    tl.store(dweight + place, total, mask=(o_tap < 10)[:, None] & m_d[None, :])


def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """SiLU(conv(x) + bias), (B, T, J, D)."""
    B, T, J, D = x.shape
    y = torch.empty_like(x)
    grid = (B * T, triton.cdiv(D, 128))
    conv_silu_kernel[grid](
        x, weight.contiguous(), bias, y, T, J, D,
        J_PADDED=triton.next_power_of_2(J), BLOCK_D=128, FLIP=False, SILU=True,
    )  # fmt: skip
    return y


def backward(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    B, T, J, D = x.shape
    weight = weight.contiguous()
    padded, chunks = triton.next_power_of_2(J), triton.cdiv(T, FRAMES)
    dsum, dx = torch.empty_like(x), torch.empty_like(x)
    partial = torch.empty(B * chunks, 10, D, device=x.device, dtype=torch.float32)
    conv_silu_gradient_kernel[(B * chunks, triton.cdiv(D, 32))](
        dy, x, weight, bias, dsum, partial, T, J, D, chunks, J_PADDED=padded, BLOCK_D=32, FRAMES=FRAMES
    )
    conv_silu_kernel[(B * T, triton.cdiv(D, 128))](
        dsum, weight, bias, dx, T, J, D, J_PADDED=padded, BLOCK_D=128, FLIP=True, SILU=False
    )
    sums = partial.sum(0)
    taps = sums[:9].T.clone(memory_format=torch.contiguous_format).view(weight.shape)
    return dx, taps.to(weight.dtype), sums[9].clone().to(bias.dtype)
