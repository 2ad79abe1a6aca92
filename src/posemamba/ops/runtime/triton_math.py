"""Activation functions for Triton kernels, float32, off by a few units in the last place.

Triton's own exponential and division handle denormal numbers and infinities, with three times the instructions.
"""

from __future__ import annotations

import os

import torch
import triton
import triton.language as tl

_MINUS_LOG2_E = tl.constexpr(-1.4426950408889634)

if os.environ.get("TRITON_INTERPRET") == "1":  # Triton's interpreter knows no PTX

    @triton.jit
    def exp2(x):
        return tl.exp2(x)

    @triton.jit
    def reciprocal(x):
        return 1.0 / x

else:

    @triton.jit
    def exp2(x):
        return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)

    @triton.jit
    def reciprocal(x):
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)


@triton.jit
def sigmoid(x):
    return reciprocal(1.0 + exp2(x * _MINUS_LOG2_E))


@triton.jit
def silu(x):
    return x * sigmoid(x)


@triton.jit
def gelu(x):
    """Return x times the normal distribution's integral, by Abramowitz and Stegun's formula 7.1.26, to 4e-7."""
    size = tl.abs(x)
    t = reciprocal(1.0 + 0.23164189 * size)  # 0.3275911 / sqrt(2)
    series = 0.5307027145
    series = series * t - 0.7265760135
    series = series * t + 0.7107068705
    series = series * t - 0.142248368
    series = series * t + 0.127414796
    above = series * t * exp2(x * x * (0.5 * _MINUS_LOG2_E))  # the integral from |x| to infinity
    return tl.maximum(x, 0.0) - size * above


@triton.jit
def _probe_kernel(x):
    pair = ()
    for _ in tl.static_range(2):  # Triton learnt to add up tuples in 3.3
        pair += (tl.load(x),)
    tl.store(x, exp2(pair[0] + pair[1]))


def probe(device: torch.device) -> None:
    """Run a kernel on the device.

    Raises:
        Exception: of any kind, if Triton cannot.
    """
    with torch.cuda.device(device):
        x = torch.ones(1, device=device)
        _probe_kernel[(1,)](x)
        if x.item() != 4.0:
            raise RuntimeError(f"a kernel gave {x.item()}, expected 4")
