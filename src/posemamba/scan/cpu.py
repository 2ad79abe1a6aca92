"""The selective scan on a CPU: Numba kernels of explicit vector code, no compiler needed on the user's machine.

A lane is a channel; the 16 states of 16 channels are 16 vectors that stay in registers while the four directions
walk the grid through their index tables. B, C and the low-rank step size are read as scalars from the row of
projections of each token, so the step size of (token, channel) never exists in memory. Forward: parallel over
(clip, 16 channels), each item owns its columns of the output. Backward: parallel over (clip, direction); states
are recomputed from those kept at the starts of chunks.
"""

from __future__ import annotations

import os
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from posemamba.scan.lanes import LOG2_E, WIDTH, Lanes, Vec
from posemamba.scan.orders import ScanMap

STATES = 16
CHUNK = 32  # steps whose states the backward pass holds at once: 2 x 32 KiB a thread

numba_config: Any = numba.config  # its attributes are made when Numba is imported
if "NUMBA_THREADING_LAYER" not in os.environ and numba_config.THREADING_LAYER == "default":
    # Numba's own thread pool fights with PyTorch's OpenMP threads; OpenMP beside OpenMP does not.
    numba_config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def _step_size(g: Lanes, proj: Any, row: Any, weight: Any, bias: Vec, D: Any, R: Any) -> Vec:
    """Before the softplus: bias + sum over r of s_r * weight_r, R known at run time only."""
    total = g.variable(bias)
    with cgutils.for_range(g.builder, R) as loop:
        s = g.load_splat(proj, g.add(row, loop.index))
        g.set(total, g.fma(s, g.load(weight, g.mul(loop.index, D)), g.get(total)))
    return g.get(total)


def _token_input(g: Lanes, u: Any, partner: Any, token: Any, D: Any, merged: Any) -> Vec:
    """u of the token, plus that of its limb partner where the direction merges them."""
    x = g.load(u, g.mul(token, D))
    limb = g.load(u, g.mul(g.load_index(partner, token), D))
    # Selected, not multiplied by zero: 0 * NaN would carry a NaN over.
    return x + g.select(g.builder.icmp_signed("!=", merged, g.i64(0)), limb, g.const(0.0))


@intrinsic
def _forward_line(
    typingctx, u, proj, weight, a2, ds, bias, tokens, partner, out, states, L, D, K, R, k, merged, first, every
):
    """One direction over all tokens for 16 channels. Adds to `out` unless `first`; with every > 0 keeps the state
    before each `every`-th step in `states` and leaves `out` alone."""

    def codegen(context, builder, signature, args):
        (u, proj, weight, a2, ds, bias, tokens, partner, out, states, L, D, K, R, k, merged, first, every) = args
        g, b = Lanes(builder), builder
        h = [g.variable() for _ in range(STATES)]
        A = [g.load(a2, g.mul(D, n)) for n in range(STATES)]
        skip, bias_vec = g.load(ds, g.i64(0)), g.load(bias, g.i64(0))
        width = g.add(R, 2 * STATES)
        keeping = b.icmp_signed(">", every, g.i64(0))
        divisor = b.select(keeping, every, g.i64(1))
        with cgutils.for_range(b, L) as loop:
            step = loop.index
            with (
                b.if_then(keeping),
                b.if_then(b.icmp_signed("==", b.srem(step, divisor), g.i64(0)), likely=False),
            ):
                base = g.mul(b.sdiv(step, divisor), STATES * WIDTH)
                for n in range(STATES):
                    g.store(states, g.add(base, n * WIDTH), g.get(h[n]))
            token = g.load_index(tokens, step)
            ahead = g.add(step, 6)
            ahead = b.select(b.icmp_signed("<", ahead, L), ahead, step)
            ahead_token = g.load_index(tokens, ahead)
            g.prefetch(u, g.mul(ahead_token, D))
            ahead_row = g.mul(g.add(g.mul(ahead_token, K), k), width)
            for line in range(3):
                g.prefetch(proj, g.add(ahead_row, line * 16))

            x = _token_input(g, u, partner, token, D, merged)
            row = g.mul(g.add(g.mul(token, K), k), width)
            dt, _ = g.softplus(_step_size(g, proj, row, weight, bias_vec, D, R))
            dtx = dt * x
            B, C = g.add(row, R), g.add(row, R, STATES)
            ys: list[Vec] = [x * skip, g.const(0.0)]  # two sums: half the length of the chain of additions
            for n in range(STATES):
                hn = g.fma(g.exp2(dt * A[n]), g.get(h[n]), dtx * g.load_splat(proj, g.add(B, n)))
                g.set(h[n], hn)
                ys[n % 2] = g.fma(hn, g.load_splat(proj, g.add(C, n)), ys[n % 2])
            with b.if_then(b.not_(keeping)):
                place = g.mul(token, D)
                old = g.select(b.icmp_signed("!=", first, g.i64(0)), g.const(0.0), g.load(out, place))
                g.store(out, place, old + (ys[0] + ys[1]))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 18), codegen


@intrinsic
def _backward_chunk(
    typingctx, u, proj, weight, a2, ds, bias, tokens, partner, dout, start_state, scratch, carry, du, dproj,
    dweight, da, dds, dbias, s0, s1, D, K, R, k, merged, first,
):  # fmt: skip
    """Steps s0..s1 of one direction for 16 channels: states forwards from `start_state`, gradients backwards.

    `carry` holds the gradient that flows to the state before step s1 and is left with that for s0. `first` is 1 for
    the first 16 channels of a direction: dproj is then set, otherwise added to.
    """

    def codegen(context, builder, signature, args):
        (u, proj, weight, a2, ds, bias, tokens, partner, dout, start_state, scratch, carry, du, dproj,
         dweight, da, dds, dbias, s0, s1, D, K, R, k, merged, first) = args  # fmt: skip
        g, b = Lanes(builder), builder
        A = [g.load(a2, g.mul(D, n)) for n in range(STATES)]
        skip, bias_vec = g.load(ds, g.i64(0)), g.load(bias, g.i64(0))
        width = g.add(R, 2 * STATES)
        count = b.sub(s1, s0)
        # scratch, per step of the chunk: 16 states before the step, 16 decays, then dt, logistic, x
        slot = (2 * STATES + 3) * WIDTH
        dt_at, logistic_at, x_at = ((2 * STATES + i) * WIDTH for i in range(3))

        h = [g.variable(g.load(start_state, g.i64(n * WIDTH))) for n in range(STATES)]
        with cgutils.for_range(b, count) as loop:
            token = g.load_index(tokens, g.add(s0, loop.index))
            x = _token_input(g, u, partner, token, D, merged)
            row = g.mul(g.add(g.mul(token, K), k), width)
            dt, logistic = g.softplus(_step_size(g, proj, row, weight, bias_vec, D, R))
            base = g.mul(loop.index, slot)
            for place, vec in ((dt_at, dt), (logistic_at, logistic), (x_at, x)):
                g.store(scratch, g.add(base, place), vec)
            dtx = dt * x
            B = g.add(row, R)
            for n in range(STATES):
                a, before = g.exp2(dt * A[n]), g.get(h[n])
                g.store(scratch, g.add(base, n * WIDTH), before)
                g.store(scratch, g.add(base, (STATES + n) * WIDTH), a)
                g.set(h[n], g.fma(a, before, dtx * g.load_splat(proj, g.add(B, n))))

        dh = [g.variable(g.load(carry, g.i64(n * WIDTH))) for n in range(STATES)]
        dA = [g.variable(g.load(da, g.mul(D, n))) for n in range(STATES)]
        dskip, dbias_sum = g.variable(g.load(dds, g.i64(0))), g.variable(g.load(dbias, g.i64(0)))
        with cgutils.for_range(b, count) as loop:
            back = b.sub(b.sub(count, g.i64(1)), loop.index)
            token = g.load_index(tokens, g.add(s0, back))
            row = g.mul(g.add(g.mul(token, K), k), width)
            base = g.mul(back, slot)
            dt, logistic, x = (g.load(scratch, g.add(base, place)) for place in (dt_at, logistic_at, x_at))
            dtx, dy = dt * x, g.load(dout, g.mul(token, D))
            B, C = g.add(row, R), g.add(row, R, STATES)
            ddt, ddtx = g.const(0.0), g.const(0.0)
            dB, dC = [], []
            for n in range(STATES):
                before = g.load(scratch, g.add(base, n * WIDTH))
                a = g.load(scratch, g.add(base, (STATES + n) * WIDTH))
                Bn = g.load_splat(proj, g.add(B, n))
                kept = a * before
                grad = g.fma(g.load_splat(proj, g.add(C, n)), dy, g.get(dh[n]))
                dC.append(g.fma(dtx, Bn, kept) * dy)
                dB.append(grad * dtx)
                decay = grad * kept  # gradient of dt * A
                ddt = g.fma(decay, A[n], ddt)
                g.set(dA[n], g.fma(decay, dt, g.get(dA[n])))
                ddtx = g.fma(grad, Bn, ddtx)
                g.set(dh[n], grad * a)
            is_first = b.icmp_signed("!=", first, g.i64(0))
            for at, parts in ((B, dB), (C, dC)):
                old = g.select(is_first, g.const(0.0), g.load(dproj, at))
                g.store(dproj, at, old + g.sums(parts))
            # A is kept in units of log2; its gradient by dt is not
            ddelta = g.fma(ddt, g.const(1 / LOG2_E), ddtx * x) * logistic
            g.store(du, g.mul(token, D), g.fma(ddtx, dt, dy * skip))
            g.set(dskip, g.fma(dy, x, g.get(dskip)))
            g.set(dbias_sum, g.get(dbias_sum) + ddelta)
            with cgutils.for_range(b, R) as ranks:
                at, line = g.add(row, ranks.index), g.mul(ranks.index, D)
                s = g.load_splat(proj, at)
                g.store(dweight, line, g.fma(ddelta, s, g.load(dweight, line)))
                total = _total(g, ddelta * g.load(weight, line))
                pointer = g._pointer(dproj, at)
                old = b.select(is_first, ir.Constant(ir.FloatType(), 0.0), b.load(pointer, typ=ir.FloatType()))
                b.store(b.fadd(old, total), pointer)
        for n in range(STATES):
            g.store(carry, g.i64(n * WIDTH), g.get(dh[n]))
            g.store(da, g.mul(D, n), g.get(dA[n]))
        g.store(dds, g.i64(0), g.get(dskip))
        g.store(dbias, g.i64(0), g.get(dbias_sum))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 26), codegen


def _total(g: Lanes, vec: Vec) -> Any:
    """Sum over the lanes as a scalar."""
    b = g.builder
    parts = [b.extract_element(vec.value, ir.Constant(ir.IntType(32), i)) for i in range(WIDTH)]
    while len(parts) > 1:
        parts = [b.fadd(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@njit(parallel=True, cache=True)
def _forward(u, proj, weight, a2, ds, bias, tokens, partner, merged, out):  # type: ignore[no-untyped-def]
    clips, L, D = u.shape
    K, R = weight.shape[0], weight.shape[1]
    row = R + 2 * STATES
    blocks = D // WIDTH
    for item in prange(clips * blocks):
        clip, at = item // blocks, (item % blocks) * WIDTH * 4
        for k in range(K):
            _forward_line(
                u.ctypes.data + clip * L * D * 4 + at,
                proj.ctypes.data + clip * L * K * row * 4,
                weight.ctypes.data + k * R * D * 4 + at,
                a2.ctypes.data + k * STATES * D * 4 + at,
                ds.ctypes.data + k * D * 4 + at,
                bias.ctypes.data + k * D * 4 + at,
                tokens.ctypes.data + k * L * 4,
                partner.ctypes.data,
                out.ctypes.data + clip * L * D * 4 + at,
                out.ctypes.data,
                L, D, K, R, k, merged[k], 1 if k == 0 else 0, 0,
            )  # fmt: skip


@njit(parallel=True, cache=True)
def _backward(u, proj, weight, a2, ds, bias, tokens, partner, merged, dout, du, dproj, dweight, da, dds, dbias):  # type: ignore[no-untyped-def]
    clips, L, D = u.shape
    K, R = weight.shape[0], weight.shape[1]
    row = R + 2 * STATES
    chunks = (L + CHUNK - 1) // CHUNK
    for item in prange(clips * K):
        clip, k = item // K, item % K
        states = np.empty((chunks, STATES, WIDTH), dtype=np.float32)
        scratch = np.empty((CHUNK, 2 * STATES + 3, WIDTH), dtype=np.float32)
        carry = np.empty((STATES, WIDTH), dtype=np.float32)
        for block in range(D // WIDTH):
            at = block * WIDTH * 4
            u_ = u.ctypes.data + clip * L * D * 4 + at
            proj_ = proj.ctypes.data + clip * L * K * row * 4
            weight_ = weight.ctypes.data + k * R * D * 4 + at
            a2_ = a2.ctypes.data + k * STATES * D * 4 + at
            ds_ = ds.ctypes.data + k * D * 4 + at
            bias_ = bias.ctypes.data + k * D * 4 + at
            tokens_ = tokens.ctypes.data + k * L * 4
            _forward_line(
                u_, proj_, weight_, a2_, ds_, bias_, tokens_, partner.ctypes.data, states.ctypes.data,
                states.ctypes.data, L, D, K, R, k, merged[k], 1, CHUNK,
            )  # fmt: skip
            carry[:] = 0
            for chunk in range(chunks - 1, -1, -1):
                _backward_chunk(
                    u_, proj_, weight_, a2_, ds_, bias_, tokens_, partner.ctypes.data,
                    dout.ctypes.data + clip * L * D * 4 + at,
                    states.ctypes.data + chunk * STATES * WIDTH * 4,
                    scratch.ctypes.data,
                    carry.ctypes.data,
                    du.ctypes.data + item * L * D * 4 + at,
                    dproj.ctypes.data + clip * L * K * row * 4,
                    dweight.ctypes.data + item * R * D * 4 + at,
                    da.ctypes.data + item * STATES * D * 4 + at,
                    dds.ctypes.data + item * D * 4 + at,
                    dbias.ctypes.data + item * D * 4 + at,
                    chunk * CHUNK, min((chunk + 1) * CHUNK, L), D, K, R, k, merged[k], 1 if block == 0 else 0,
                )  # fmt: skip


def _arguments(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap
) -> list[Any]:
    """The kernels' arrays: float32, contiguous, channels padded to whole vectors, A as log2(e) * A by state."""
    B, T, J, D = u.shape
    if A.shape[-1] != STATES:
        raise ValueError(f"the CPU kernel is made for {STATES} states, not {A.shape[-1]}")
    pad = (-D) % WIDTH

    def padded(x: Tensor) -> np.ndarray:
        return np.ascontiguousarray(F.pad(x.detach().float(), (0, pad)).numpy())

    return [
        padded(u.reshape(B, T * J, D)),
        np.ascontiguousarray(proj.detach().float().reshape(B, T * J, *proj.shape[3:]).numpy()),
        padded(dt_weight.transpose(1, 2)),
        padded(A.transpose(1, 2) * LOG2_E),
        padded(Ds),
        padded(dt_bias),
        maps.tokens.numpy(),
        maps.partner.numpy(),
        np.array(maps.merged, dtype=np.int64),
    ]


def _with_threads(kernel: Any, *arguments: Any) -> None:
    """Run with as many threads as PyTorch is set to use."""
    numba.set_num_threads(max(1, min(torch.get_num_threads(), numba_config.NUMBA_NUM_THREADS)))
    kernel(*arguments)


def forward(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap
) -> Tensor:
    """Output (B, T, J, D) in u's type, computed in float32. Shapes as in operator.py."""
    arguments = _arguments(u, proj, dt_weight, dt_bias, A, Ds, maps)
    out = np.empty_like(arguments[0])
    _with_threads(_forward, *arguments, out)
    return torch.from_numpy(out)[..., : u.shape[-1]].reshape(u.shape).to(u.dtype)


def backward(
    dy: Tensor, u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap
) -> tuple[Tensor, ...]:
    """Float32 gradients: du by direction (B, K, T, J, D) before limb partners are credited, then those of the rest."""
    B, T, J, D = u.shape
    arguments = _arguments(u, proj, dt_weight, dt_bias, A, Ds, maps)
    K, R, wide = arguments[2].shape
    dout = np.ascontiguousarray(F.pad(dy.detach().float().reshape(B, T * J, D), (0, wide - D)).numpy())
    du = np.empty((B, K, T * J, wide), dtype=np.float32)
    dproj = np.empty_like(arguments[1])
    sums = [np.zeros((B, K, *rows, wide), dtype=np.float32) for rows in ((R,), (STATES,), (), ())]
    _with_threads(_backward, *arguments, dout, du, dproj, *sums)
    dweight, dA, dDs, dbias = (torch.from_numpy(x)[..., :D].sum(0) for x in sums)
    return (
        torch.from_numpy(du)[..., :D].reshape(B, K, T, J, D),
        torch.from_numpy(dproj).view(proj.shape),
        dweight.transpose(1, 2),
        dbias,
        dA.transpose(1, 2),
        dDs,
    )
