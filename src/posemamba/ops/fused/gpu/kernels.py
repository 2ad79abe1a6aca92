"""Triton kernels around the scan: what comes before the first layer, and what lies between one scan and the next.

A program takes a block of tokens through everything that looks at one token at a time, so that between two scans the
only things written are the residual stream (float32) and the next convolution's input. The gate z is computed anew
from the residual stream: reading and writing it would take longer than the product.

Products take operands of the weights' type and sum in float32; all else is float32. Rows past the last token read the
last one again and are not written. Widths are powers of two, so no column needs a mask.

Names: i_ program index, o_ offsets, m_ mask; M tokens (B * T * J); E width, D = 2E inner width, H hidden width.
"""

from __future__ import annotations

import triton
import triton.language as tl

from posemamba.ops.runtime.triton_math import gelu, silu


@triton.jit
def _normalise(x, weight, bias, o_c, WIDTH: tl.constexpr, EPS: tl.constexpr):
    """LayerNorm of the rows of x (rows, WIDTH), float32."""
    mean = tl.sum(x, 1) * (1.0 / WIDTH)
    centred = x - mean[:, None]
    scale = tl.rsqrt(tl.sum(centred * centred, 1) * (1.0 / WIDTH) + EPS)
    x = x * scale[:, None] - (mean * scale)[:, None]  # not `centred` again: it would fill registers until here
    return x * tl.load(weight + o_c)[None, :] + tl.load(bias + o_c)[None, :]


@triton.jit
def _weight(weight, o_out, o_in, WIDTH_IN: tl.constexpr):
    """Part of a linear layer's weight (out, in), transposed: (in, out)."""
    return tl.load(weight + o_out[None, :] * WIDTH_IN + o_in[:, None])


@triton.jit
def _project_in(
    x, norm_weight, norm_bias, weight_x, inner, o_m, m_m,
    E: tl.constexpr, CHUNK: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The next layer's norm and the half of its in-projection that goes to the convolution, written to `inner`."""
    o_e, o_c = tl.arange(0, E), tl.arange(0, CHUNK)
    n = _normalise(x, norm_weight, norm_bias, o_e, E, 1e-6).to(weight_x.dtype.element_ty)
    inner += (o_m * (2 * E))[:, None] + o_c[None, :]
    for c in tl.range(0, 2 * E, CHUNK, num_stages=STAGES):
        product = tl.dot(n, _weight(weight_x, c + o_c, o_e, E), input_precision=PRECISION)
        tl.store(inner + c, product.to(inner.dtype.element_ty), mask=m_m[:, None])


@triton.jit(do_not_specialize=["x_MC", "M", "J"])
def embed_kernel(
    x_MC, weight, bias, joint_embedding, norm_weight, norm_bias, weight_x, stream, inner, M, J,
    C: tl.constexpr, E: tl.constexpr, BLOCK_M: tl.constexpr, CHUNK: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """2D joints (M, C) to the residual stream (M, E), and the first layer's in-projection (M, D)."""
    o_m, o_e = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M), tl.arange(0, E)
    m_m = o_m < M
    row = tl.minimum(o_m, M - 1)
    x = tl.load(x_MC + row * C)[:, None] * tl.load(weight + o_e * C)[None, :]
    for c in tl.static_range(1, C):
        x += tl.load(x_MC + row * C + c)[:, None] * tl.load(weight + o_e * C + c)[None, :]
    x += tl.load(bias + o_e)[None, :]
    x += tl.load(joint_embedding + (row % J)[:, None] * E + o_e[None, :])
    o_m = o_m.to(tl.int64)
    tl.store(stream + (o_m * E)[:, None] + o_e[None, :], x, mask=m_m[:, None])
    _project_in(x, norm_weight, norm_bias, weight_x, inner, o_m, m_m, E, CHUNK, STAGES, PRECISION)


@triton.jit
def _sum_of_slabs(y, o_y, slab, SLABS: tl.constexpr):
    part = tl.load(y + o_y).to(tl.float32)
    for _ in tl.static_range(SLABS - 1):
        y += slab
        part += tl.load(y + o_y).to(tl.float32)
    return part


@triton.jit
def _gate(
    x, y, norm_weight, norm_bias, weight_z, out_norm_weight, out_norm_bias, weight_out, row, tokens,
    SLABS: tl.constexpr, E: tl.constexpr, BLOCK_M: tl.constexpr, CHUNK: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """x plus the state-space branch after its scan: sum of slabs, norm, gate, out-projection."""
    D: tl.constexpr = 2 * E
    o_e, o_c = tl.arange(0, E), tl.arange(0, CHUNK)
    slab = tokens.to(tl.int64) * D
    o_y = (row // tokens * (SLABS * slab) + row % tokens * D)[:, None] + o_c[None, :]
    # The statistics of whole rows first, chunk by chunk (Chan's update); the second reading comes from cache.
    mean, squares = tl.zeros([BLOCK_M], dtype=tl.float32), tl.zeros([BLOCK_M], dtype=tl.float32)
    for i in tl.static_range(D // CHUNK):
        part = _sum_of_slabs(y, o_y + i * CHUNK, slab, SLABS)
        part_mean = tl.sum(part, 1) * (1.0 / CHUNK)
        part -= part_mean[:, None]
        shift = part_mean - mean
        mean += shift * (1.0 / (i + 1))
        squares += tl.sum(part * part, 1) + shift * shift * (CHUNK * i / (i + 1.0))
    scale = tl.rsqrt(squares * (1.0 / D) + 1e-5)
    offset = -mean * scale

    n = _normalise(x, norm_weight, norm_bias, o_e, E, 1e-6).to(weight_z.dtype.element_ty)
    for c in tl.range(0, D, CHUNK, num_stages=STAGES):
        part = _sum_of_slabs(y, o_y + c, slab, SLABS) * scale[:, None] + offset[:, None]
        part = part * tl.load(out_norm_weight + c + o_c)[None, :] + tl.load(out_norm_bias + c + o_c)[None, :]
        z = tl.dot(n, _weight(weight_z, c + o_c, o_e, E), input_precision=PRECISION)
        gated = (part * silu(z)).to(weight_out.dtype.element_ty)
        x = tl.dot(gated, _weight(weight_out, o_e, c + o_c, D), x, input_precision=PRECISION)
    return x


@triton.jit
def _mlp(
    x, norm_weight, norm_bias, weight_1, bias_1, weight_2, bias_2,
    E: tl.constexpr, H: tl.constexpr, CHUNK: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """x plus the MLP of its norm; the hidden layer is never whole."""
    o_e, o_c = tl.arange(0, E), tl.arange(0, CHUNK)
    n = _normalise(x, norm_weight, norm_bias, o_e, E, 1e-6).to(weight_1.dtype.element_ty)
    x += tl.load(bias_2 + o_e)[None, :]
    for c in tl.range(0, H, CHUNK, num_stages=STAGES):
        hidden = tl.dot(n, _weight(weight_1, c + o_c, o_e, E), input_precision=PRECISION)
        hidden = gelu(hidden + tl.load(bias_1 + c + o_c)[None, :]).to(weight_2.dtype.element_ty)
        x = tl.dot(hidden, _weight(weight_2, o_e, c + o_c, H), x, input_precision=PRECISION)
    return x


@triton.jit(do_not_specialize=["M", "tokens", "J"])
def tail_kernel(
    stream, y, norm_weight, norm_bias, weight_z, out_norm_weight, out_norm_bias, weight_out,
    norm2_weight, norm2_bias, weight_1, bias_1, weight_2, bias_2, model_norm_weight, model_norm_bias,
    next_norm_weight, next_norm_bias, next_weight, extra, out, M, tokens, J,
    SLABS: tl.constexpr, E: tl.constexpr, H: tl.constexpr, PLACE: tl.constexpr,
    BLOCK_M: tl.constexpr, CHUNK: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """From a layer's scan y (B, SLABS, tokens, D) to the next layer; the stream (M, E) is replaced.

    PLACE says where the layer is. 'middle': `out` is the next layer's in-projection (M, D). 'first': likewise, and
    `extra` (T, E), the embedding of frames, is added to the stream. 'last': `out` is the 3D joints (M, 3), the `next`
    weights are the head's, and `extra` (3,) is its bias.
    """
    o_m, o_e = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M), tl.arange(0, E)
    m_m = o_m < M
    row = tl.minimum(o_m, M - 1)
    x = tl.load(stream + (row.to(tl.int64) * E)[:, None] + o_e[None, :])
    x = _gate(
        x, y, norm_weight, norm_bias, weight_z, out_norm_weight, out_norm_bias, weight_out, row, tokens,
        SLABS, E, BLOCK_M, CHUNK, STAGES, PRECISION,
    )  # fmt: skip
    x = _mlp(x, norm2_weight, norm2_bias, weight_1, bias_1, weight_2, bias_2, E, H, CHUNK, STAGES, PRECISION)
    x = _normalise(x, model_norm_weight, model_norm_bias, o_e, E, 1e-6)
    o_m = o_m.to(tl.int64)
    if PLACE == "last":
        tl.store(stream + (o_m * E)[:, None] + o_e[None, :], x, mask=m_m[:, None])  # `PoseMamba.features`
        n = _normalise(x, next_norm_weight, next_norm_bias, o_e, E, 1e-5)
        for i in tl.static_range(3):
            joint = tl.sum(n * tl.load(next_weight + i * E + o_e)[None, :], 1) + tl.load(extra + i)
            tl.store(out + o_m * 3 + i, joint, mask=m_m)
    else:
        if PLACE == "first":
            x += tl.load(extra + (row % tokens // J * E)[:, None] + o_e[None, :])
        tl.store(stream + (o_m * E)[:, None] + o_e[None, :], x, mask=m_m[:, None])
        _project_in(x, next_norm_weight, next_norm_bias, next_weight, out, o_m, m_m, E, CHUNK, STAGES, PRECISION)
