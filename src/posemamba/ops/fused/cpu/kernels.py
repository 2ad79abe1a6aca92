"""Numba kernels of a layer besides the scan: everything that acts on single tokens, and the convolution.

A work item takes `TOKENS` tokens through norms, products, gate and residuals while they lie in the first caches; in
PyTorch each of these is a pass over memory. Buffers that all tokens share have a whole number of items; what lies past
the last token is computed too and never read. And a fingerprint of memory, by which a change of weights is noticed.

Shapes: N tokens, E model width, D = 2E inner width, H hidden width of the MLP. `pack` says how weights lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from posemamba.ops.scan.cpu_memory import allocate, clear, release
from posemamba.ops.scan.lanes import AVX512, F32, WIDTH, ForwardLanes, Lanes, Vec, kernel

ROWS = 6  # by up to 4 vectors, without AVX-512 by one: the sums of a product that stay in registers
TOKENS = 8 * ROWS
BYTES = 4


def pack(weight: Tensor) -> Tensor:
    """A linear layer's weight (outputs, inputs) for `_products`: panels of 64 or 48 outputs, in each (inputs, outputs).

    The number of outputs is a multiple of 16, and 64 at least.
    """
    outputs = weight.shape[0]
    threes = -(outputs // WIDTH) % 4
    sizes = [4 * WIDTH] * ((outputs // WIDTH - 3 * threes) // 4) + [3 * WIDTH] * threes
    return torch.cat([panel.T.reshape(-1) for panel in weight.split(sizes)])


def _product_intrinsic(vecs: int) -> Any:
    at_once = vecs if AVX512 else 1  # elsewhere a vector takes two registers or four of as few as 16

    @intrinsic
    def product(typingctx, a, weight, bias, out, inputs, pitch):
        """out (TOKENS, pitch) = a (TOKENS, inputs) @ weight (inputs, vecs * 16) + bias."""

        def codegen(context, builder, signature, args):
            a, weight, bias, out, inputs, pitch = args
            g, b = Lanes(builder), builder
            for part in range(0, vecs, at_once):
                count = min(at_once, vecs - part)
                with cgutils.for_range_slice(b, g.i64(0), g.i64(TOKENS), g.i64(ROWS)) as (row, _):
                    starts = [g.address(a, g.mul(g.add(row, i), inputs)) for i in range(ROWS)]
                    sums = [[g.variable(vec) for vec in g.load_all(bias, part * WIDTH, count)] for _ in range(ROWS)]
                    with cgutils.for_range(b, inputs) as loop:
                        line = g.load_all(weight, g.add(g.mul(loop.index, vecs * WIDTH), part * WIDTH), count)
                        for start, row_sums in zip(starts, sums, strict=True):
                            value = g.load_splat(start, loop.index)
                            for total, vec in zip(row_sums, line, strict=True):
                                g.set(total, g.fma(value, vec, g.get(total)))
                    for i, row_sums in enumerate(sums):
                        to = g.add(g.mul(g.add(row, i), pitch), part * WIDTH)
                        g.store_all(out, to, [g.get(total) for total in row_sums])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return product


_product_of_3, _product_of_4 = _product_intrinsic(3), _product_intrinsic(4)


@njit
def _products(a, weight, bias, out, inputs, outputs):  # type: ignore[no-untyped-def]
    """out (TOKENS, outputs) = a (TOKENS, inputs) @ weight.T + bias, the weight packed. All are addresses."""
    vecs = outputs // WIDTH
    threes = -vecs % 4
    for panel in range((vecs - 3 * threes) // 4):
        at = panel * 4 * WIDTH * BYTES
        _product_of_4(a, weight + at * inputs, bias + at, out + at, inputs, outputs)
    for panel in range(threes):
        at = (vecs - 3 * (threes - panel)) * WIDTH * BYTES
        _product_of_3(a, weight + at * inputs, bias + at, out + at, inputs, outputs)


def _mean(g: Lanes, total: Vec, channels: Any) -> Any:
    return g.builder.fdiv(g.total(total), g.builder.sitofp(channels, F32))


def _norm_intrinsic(residual: bool, gated: bool) -> Any:
    @intrinsic
    def norm(typingctx, x, other, weight, bias, out, eps, channels):
        """out (TOKENS, channels) = the layer norm of x.

        residual: x += other first, and x is kept. gated: times SiLU of `other`.
        """

        def codegen(context, builder, signature, args):
            x, other, weight, bias, out, eps, channels = args
            g, b = ForwardLanes(builder), builder
            sqrt = cgutils.get_or_insert_function(b.module, ir.FunctionType(F32, [F32]), "llvm.sqrt.f32")

            def each_vector() -> Any:
                return cgutils.for_range_slice(b, g.i64(0), channels, g.i64(WIDTH))

            with cgutils.for_range(b, g.i64(TOKENS)) as rows:
                start = g.mul(rows.index, channels)
                total = g.variable()
                with each_vector() as (channel, _):
                    at = g.add(start, channel)
                    vec = g.load(x, at)
                    if residual:
                        vec = vec + g.load(other, at)
                        g.store(x, at, vec)
                    g.set(total, g.get(total) + vec)
                mean = g.splat(_mean(g, g.get(total), channels))
                total = g.variable()
                with each_vector() as (channel, _):
                    off = g.load(x, g.add(start, channel)) - mean
                    g.set(total, g.fma(off, off, g.get(total)))
                deviation = b.call(sqrt, [b.fadd(_mean(g, g.get(total), channels), eps)])
                scale = g.splat(b.fdiv(ir.Constant(F32, 1.0), deviation))
                with each_vector() as (channel, _):
                    at = g.add(start, channel)
                    normed = (g.load(x, at) - mean) * scale
                    vec = g.fma(normed, g.load(weight, channel), g.load(bias, channel))
                    if gated:
                        vec = vec * g.silu(g.load(other, at))
                    g.store(out, at, vec)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5, types.float32, types.int64), codegen

    return norm


_norm, _norm_of_sum, _gated_norm = (_norm_intrinsic(*flags) for flags in ((False, False), (True, False), (False, True)))


@intrinsic
def _gelu(typingctx, x, count):
    """In place."""

    def codegen(context, builder, signature, args):
        x, count = args
        g = ForwardLanes(builder)
        with cgutils.for_range_slice(builder, g.i64(0), count, g.i64(WIDTH)) as (at, _):
            g.store(x, at, g.gelu(g.load(x, at)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _taps(typingctx, rows, taps, bias, out, channels):
    """SiLU of a convolution at one token: `rows` are the addresses of its nine neighbours, `taps` (9, channels)."""

    def codegen(context, builder, signature, args):
        rows, taps, bias, out, channels = args
        g, b = ForwardLanes(builder), builder
        starts = [b.extract_value(rows, i) for i in range(9)]
        with cgutils.for_range_slice(b, g.i64(0), channels, g.i64(WIDTH)) as (channel, _):
            total = g.load(bias, channel)
            for i, start in enumerate(starts):
                total = g.fma(g.load(start, channel), g.load(taps, g.add(g.mul(channels, i), channel)), total)
            g.store(out, channel, g.silu(total))
        return context.get_dummy_value()

    return types.void(types.UniTuple(types.int64, 9), *[types.int64] * 4), codegen


@njit
def _enter(x, out_x, out_z, normed, zeros, norm_weight, norm_bias, weight_x, weight_z, eps, E, D):  # type: ignore[no-untyped-def]
    """The start of a layer for TOKENS tokens: norm, in-projection. All are addresses."""
    _norm(x, x, norm_weight, norm_bias, normed, eps, E)
    _products(normed, weight_x, zeros, out_x, E, D)
    _products(normed, weight_z, zeros, out_z, E, D)


@kernel
def enter(x, inner, gate, norm_weight, norm_bias, weight_x, weight_z, eps, items, E, D):  # type: ignore[no-untyped-def]
    """x (N, E) to both halves of the in-projection, (N, D) each; N = items * TOKENS."""
    for item in prange(items):
        row = item * TOKENS * BYTES
        normed = allocate(TOKENS * E + D)
        zeros = normed + TOKENS * E * BYTES
        clear(zeros, D)
        _enter(
            x + row * E, inner + row * D, gate + row * D, normed, zeros, norm_weight, norm_bias, weight_x, weight_z,
            eps, E, D,
        )  # fmt: skip
        release(normed)


@kernel
def convolve(  # type: ignore[no-untyped-def]
    inner, u, proj, taps, bias, x_proj, clips, frames, joints, items, D, outputs
):
    """u (N, D) = SiLU of the depth-wise convolution of `inner`; proj = its projections for the scan."""
    tokens = clips * frames * joints
    for item in prange(items):
        zeros = allocate(max(D, outputs))
        clear(zeros, max(D, outputs))
        for token in range(item * TOKENS, min((item + 1) * TOKENS, tokens)):
            t, j = token // joints % frames, token % joints
            here = inner + token * D * BYTES
            frame, joint = joints * D * BYTES, D * BYTES
            left, right, before, after = j > 0, j < joints - 1, t > 0, t < frames - 1
            rows = (
                here - frame - joint if before and left else zeros,
                here - frame if before else zeros,
                here - frame + joint if before and right else zeros,
                here - joint if left else zeros,
                here,
                here + joint if right else zeros,
                here + frame - joint if after and left else zeros,
                here + frame if after else zeros,
                here + frame + joint if after and right else zeros,
            )
            _taps(rows, taps, bias, u + token * D * BYTES, D)
        row = item * TOKENS * BYTES
        _products(u + row * D, x_proj, zeros, proj + row * outputs, D, outputs)
        release(zeros)


@kernel
def leave(  # type: ignore[no-untyped-def]
    x, y, gate, inner, out_norm_weight, out_norm_bias, weight_out, norm2_weight, norm2_bias, weight_1, bias_1,
    weight_2, bias_2, last_weight, last_bias, norm_weight, norm_bias, weight_x, weight_z, eps_inner, eps, go_on,
    items, E, D, H,
):  # fmt: skip
    """From the scan's output y to the end of the layer, with the norm that follows it; x is changed in place.

    With `go_on` also the start of the next layer, whose norm and in-projection are the last weights.
    """
    for item in prange(items):
        row = item * TOKENS * BYTES
        gated = allocate(TOKENS * (D + E + H) + max(D, H))
        narrow = gated + TOKENS * D * BYTES
        hidden = narrow + TOKENS * E * BYTES
        zeros = hidden + TOKENS * H * BYTES
        clear(zeros, max(D, H))
        x_, z_ = x + row * E, gate + row * D
        _gated_norm(y + row * D, z_, out_norm_weight, out_norm_bias, gated, eps_inner, D)
        _products(gated, weight_out, zeros, narrow, D, E)
        _norm_of_sum(x_, narrow, norm2_weight, norm2_bias, gated, eps, E)
        _products(gated, weight_1, bias_1, hidden, E, H)
        _gelu(hidden, TOKENS * H)
        _products(hidden, weight_2, bias_2, narrow, H, E)
        _norm_of_sum(x_, narrow, last_weight, last_bias, x_, eps, E)
        if go_on:
            _enter(x_, inner + row * D, z_, gated, zeros, norm_weight, norm_bias, weight_x, weight_z, eps, E, D)
        release(gated)


def _load_intrinsic(bits: int) -> Any:
    @intrinsic
    def load(typingctx, address, offset):
        """Bits at an address and an offset in bytes, as a whole number of 64 bits."""

        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(builder.add(*args), ir.IntType(bits).as_pointer())
            value = builder.load(pointer, align=BYTES)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.uint64(types.int64, types.int64), codegen

    return load


_two_numbers, _one_number = _load_intrinsic(64), _load_intrinsic(32)


@intrinsic
def _keep(typingctx, address, offset, value):
    """Store 64 bits at an address and an offset in bytes."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], builder.inttoptr(builder.add(*args[:2]), ir.PointerType()), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), codegen


_ODD, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)


@njit
def _mix(value, bits):  # type: ignore[no-untyped-def]
    """One step of a hash: for a given value other bits give another result, and the other way round."""
    value = (value ^ bits) * _ODD
    return value ^ (value >> _HALF)


@kernel
def fingerprint(addresses, counts, values, n):  # type: ignore[no-untyped-def]
    """values (n,) uint64 = hashes of pieces of memory, (n,) addresses and counts of float32 numbers.

    A single number that changes always changes the hash; the order of numbers counts. Eight chains side by side, since
    each waits for its products.
    """
    for i in prange(n):
        at, count = np.int64(_two_numbers(addresses, 8 * i)), np.int64(_two_numbers(counts, 8 * i))
        end = at + count * BYTES
        a, b, c, d = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
        e, f, g, h = np.uint64(5), np.uint64(6), np.uint64(7), np.uint64(8)
        for _ in range(count // 16):
            a, b = _mix(a, _two_numbers(at, 0)), _mix(b, _two_numbers(at, 8))
            c, d = _mix(c, _two_numbers(at, 16)), _mix(d, _two_numbers(at, 24))
            e, f = _mix(e, _two_numbers(at, 32)), _mix(f, _two_numbers(at, 40))
            g, h = _mix(g, _two_numbers(at, 48)), _mix(h, _two_numbers(at, 56))
            at += 16 * BYTES
        while at < end:
            a = _mix(a, _one_number(at, 0))
            at += BYTES
        _keep(values, 8 * i, _mix(_mix(_mix(_mix(_mix(_mix(_mix(a, b), c), d), e), f), g), h))


def whole_items(tokens: int) -> int:
    """The next multiple of TOKENS."""
    return -(-tokens // TOKENS) * TOKENS


def buffers(tokens: int, widths: Sequence[int]) -> list[np.ndarray]:
    """Unset (whole items, width) each, aligned to vectors.

    Parts of one allocation: several smaller ones the allocator gives back to the system every time, and each page of
    them is zeroed anew.
    """
    rows = whole_items(tokens)
    memory = np.empty(rows * sum(widths) + WIDTH, dtype=np.float32)
    start = (-(memory.ctypes.data // BYTES)) % WIDTH
    made = []
    for width in widths:
        made.append(memory[start : start + rows * width].reshape(rows, width))
        start += rows * width
    return made
