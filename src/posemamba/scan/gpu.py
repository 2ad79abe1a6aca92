"""The selective scan on NVIDIA GPUs: Triton kernels for the forward and backward pass.

A program is one warp and has BLOCK_D channels, two in a lane; it walks one direction of one clip in tiles of BLOCK_T
steps, reading tokens through the index tables. Inside a tile it takes one state after the other: the
recurrence is a scan along the tile's steps, which all lie in one thread. The state between tiles passes through
memory (`states`), which is also what the backward pass needs to compute a tile's states again; the thread that
writes a channel's state is the one that reads it.

To fill the GPU when there are few clips the sequence is cut into segments that run side by side:

1. `scan_state_kernel`: every segment from a zero state: its last state and the sum of its step sizes;
2. `carry_kernel`: from segment to segment, the true state at the start of each;
3. `scan_forward_kernel`: every segment from its true state: outputs, and the states between tiles.

The backward pass is the same three stages from the end to the start, for the gradient of the state.
Everything is float32 inside; u, projections and outputs may be bfloat16.

Triton decides which lane holds which element from what it knows of addresses. Left to itself it spreads a tile's
steps over lanes to read wide words, and the recurrence becomes shuffles. So it is kept from knowing: the width D, the
stride KP of the projections and `one`, the stride of the index table (1), are not specialised; and the channel is a
tile's first axis, which Triton takes for lanes when nothing else decides. Loops over states are hardly unrolled:
sixteen copies took a minute to compile, and their code was larger than the instruction cache.

Names: i_ program index, o_ offsets, m_ mask, p_ pointer; T steps of a tile, D channels, N states, R rank.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from posemamba.scan.orders import ScanMap

BLOCK_T = 8  # steps of a tile
BLOCK_D = 64  # channels of a program: two in each lane, which share what they load and their sums over channels
UNROLL = 2  # states at a time, forward
PROGRAMS_PER_SM = 16  # so many are made by cutting into segments
LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _affine(decay_1, add_1, decay_2, add_2):
    """Compose h -> decay * h + add, first 1, then 2."""
    return decay_1 * decay_2, add_1 * decay_2 + add_2


@triton.jit
def _affine_of_later_decay(gain_1, sum_1, decay_1, gain_2, sum_2, decay_2):
    """Compose steps backwards in time, where what a step hands on is multiplied by its own decay."""
    return gain_1 * decay_1 * gain_2, sum_1 * decay_1 * gain_2 + sum_2, decay_2


@triton.jit
def _or(a, b):
    return a | b


@triton.jit
def _pick(x, mask):
    """The one column of x that the mask leaves: an `or` of bits, which costs nothing when the mask is known."""
    bits = tl.where(mask, x.to(tl.int32, bitcast=True), 0)
    return tl.reduce(bits, 1, _or).to(tl.float32, bitcast=True)


@triton.jit
def _softplus(x):
    """log(1 + e^x) and e^-|x|, without cancellation where e^x is small."""
    e = tl.exp2(-tl.abs(x) * LOG2_E)
    q = e / (e + 2.0)
    q2 = q * q
    series = 1.0 / 13
    series = series * q2 + 1.0 / 11
    series = series * q2 + 1.0 / 9
    series = series * q2 + 1.0 / 7
    series = series * q2 + 1.0 / 5
    series = series * q2 + 1.0 / 3
    series = series * q2 + 1.0
    return tl.maximum(x, 0.0) + 2.0 * q * series, e


@triton.jit
def _load_tile(
    u, proj, weight, bias, tokens, partner, one, start, stop, merged, o_d, m_d, D, KP,
    R: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Of the tile's steps, all (D, T): token, pointer to its projections, which steps are real, input x, step size dt,
    and of the softplus its argument and e^-|argument|.

    Steps past the end read the last real one instead (unmasked loads are cheaper) and get dt = 0 and x = 0, which
    leaves the state alone. Every lane loads its own copy of what a step shares: one transaction.
    """
    o_t = start + tl.arange(0, BLOCK_T)
    real = tl.broadcast_to((o_t < stop)[None, :], [BLOCK_D, BLOCK_T])
    token = tl.load(tokens + tl.broadcast_to(tl.minimum(o_t, stop - 1)[None, :] * one, [BLOCK_D, BLOCK_T]))
    x = tl.load(u + token * D + o_d[:, None]).to(tl.float32)
    if merged:
        limb = tl.load(partner + token)
        x += tl.load(u + limb * D + o_d[:, None]).to(tl.float32)
    x = tl.where(real & m_d[:, None], x, 0.0)
    row = proj + token * KP
    pre = tl.zeros_like(x) + tl.load(bias + o_d)[:, None]
    for r in tl.static_range(R):
        pre += tl.load(row + r).to(tl.float32) * tl.load(weight + r * D + o_d)[:, None]
    dt, e = _softplus(pre)
    dt = tl.where(real, dt, 0.0)
    return token, row, real, x, dt, e, pre


@triton.jit(do_not_specialize=["D", "KP", "one"])
def scan_state_kernel(
    u, proj, weight, bias, a2, tokens, partner, last, dt_sum, L, D, K, KP, one, segment, segments,
    R: tl.constexpr, N: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr, UNROLL: tl.constexpr,
    MERGED: tl.constexpr,
):  # fmt: skip
    """Last state (N, D) of each segment when it starts from zero, and the sum of its step sizes (D)."""
    i_d, i_k, i_bs = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i_b, i_s = i_bs // segments, i_bs % segments
    o_d = i_d * BLOCK_D + tl.arange(0, BLOCK_D)
    m_d = o_d < D
    o_d = tl.minimum(o_d, D - 1)  # channels past the end compute the last one again and store nothing
    P: tl.constexpr = R + 2 * N
    base = (i_b * K + i_k).to(tl.int64) * segments + i_s
    u += i_b.to(tl.int64) * L * D
    proj += i_b.to(tl.int64) * L * K * P + i_k * P
    weight += i_k * R * D
    bias += i_k * D
    a2 += i_k * N * D + o_d
    tokens += i_k * L
    last += base * N * D + o_d
    merged = ((MERGED >> i_k) & 1) == 1
    start = i_s * segment
    stop = tl.minimum(start + segment, L)
    first = tl.arange(0, BLOCK_T)[None, :] == 0
    final = tl.arange(0, BLOCK_T)[None, :] == BLOCK_T - 1
    total = tl.zeros([BLOCK_D], dtype=tl.float32)
    for t in range(start, stop, BLOCK_T):
        token, row, real, x, dt, e, pre = _load_tile(
            u, proj, weight, bias, tokens, partner, one, t, stop, merged, o_d, m_d, D, KP, R, BLOCK_T, BLOCK_D
        )
        total += tl.sum(dt, 1)
        dtx = dt * x
        for n_0 in range(0, N, UNROLL):
            for n_1 in tl.static_range(UNROLL):
                n = n_0 + n_1
                a = tl.exp2(dt * tl.load(a2 + n * D)[:, None])
                b = dtx * tl.load(row + (R + n)).to(tl.float32)
                h = tl.load(last + n * D, mask=m_d & (t > start), other=0.0)
                _, hs = tl.associative_scan((a, b + tl.where(first, a * h[:, None], 0.0)), 1, _affine)
                tl.store(last + n * D, _pick(hs, final), mask=m_d)
    tl.store(dt_sum + base * D + o_d, total, mask=m_d)


@triton.jit(do_not_specialize=["D"])
def carry_kernel(
    last, dt_sum, a2, enter, D, K, segments, enter_stride, enter_every,
    N: tl.constexpr, BLOCK_D: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """From the segments' own last states (or gradients) to the true one that enters each segment.

    That of segment s of row i goes to enter[i * enter_stride + s * enter_every], in units of a state (N, D).
    """
    i_d, i_bk = tl.program_id(0), tl.program_id(1)
    o_d, o_n = i_d * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, N)
    m_d = o_d < D
    place = o_n[None, :] * D + o_d[:, None]
    mask = tl.broadcast_to(m_d[:, None], [BLOCK_D, N])
    A = tl.load(a2 + (i_bk % K) * N * D + place, mask=mask, other=0.0)
    h = tl.zeros([BLOCK_D, N], dtype=tl.float32)
    for i in range(segments):
        s = segments - 1 - i if REVERSE else i
        base = i_bk.to(tl.int64) * segments + s
        local = tl.load(last + base * N * D + place, mask=mask, other=0.0)
        total = tl.load(dt_sum + base * D + o_d, mask=m_d, other=0.0)
        tl.store(enter + (i_bk.to(tl.int64) * enter_stride + s * enter_every) * N * D + place, h, mask=mask)
        h = tl.exp2(A * total[:, None]) * h + local


@triton.jit(do_not_specialize=["D", "KP", "one"])
def scan_forward_kernel(
    u, proj, weight, bias, a2, ds, tokens, partner, y, states, L, D, K, KP, one, segment, segments, row_states,
    R: tl.constexpr, N: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr, UNROLL: tl.constexpr,
    MERGED: tl.constexpr,
    KEEP: tl.constexpr,
):  # fmt: skip
    """Outputs y (B, K, L, D) by direction in token order.

    With KEEP, `states` is (B, K, tiles, N, D), before each tile; otherwise (B, K, 2 segments, N, D), two in turn for
    each segment. The state before a segment's first tile is there already, or is zero for the first segment.
    """
    i_d, i_k, i_bs = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i_b, i_s = i_bs // segments, i_bs % segments
    o_d = i_d * BLOCK_D + tl.arange(0, BLOCK_D)
    m_d = o_d < D
    o_d = tl.minimum(o_d, D - 1)  # channels past the end compute the last one again and store nothing
    P: tl.constexpr = R + 2 * N
    i_bk = (i_b * K + i_k).to(tl.int64)
    u += i_b.to(tl.int64) * L * D
    proj += i_b.to(tl.int64) * L * K * P + i_k * P
    y += i_bk * L * D
    states += i_bk * row_states * N * D + o_d
    weight += i_k * R * D
    bias += i_k * D
    a2 += i_k * N * D + o_d
    tokens += i_k * L
    merged = ((MERGED >> i_k) & 1) == 1
    skip = tl.load(ds + i_k * D + o_d)
    start = i_s * segment
    stop = tl.minimum(start + segment, L)
    first = tl.arange(0, BLOCK_T)[None, :] == 0
    final = tl.arange(0, BLOCK_T)[None, :] == BLOCK_T - 1
    for t in range(start, stop, BLOCK_T):
        token, row, real, x, dt, e, pre = _load_tile(
            u, proj, weight, bias, tokens, partner, one, t, stop, merged, o_d, m_d, D, KP, R, BLOCK_T, BLOCK_D
        )
        if KEEP:
            before = t // BLOCK_T
            after = before + 1
        else:
            before = i_s * 2 + ((t - start) // BLOCK_T) % 2
            after = i_s * 2 + ((t - start) // BLOCK_T + 1) % 2
        p_before = states + before.to(tl.int64) * N * D
        p_after = states + after.to(tl.int64) * N * D
        m_before = m_d & (t > 0)
        m_after = m_d & (t + BLOCK_T < stop)
        dtx = dt * x
        out = x * skip[:, None]
        for n_0 in range(0, N, UNROLL):
            for n_1 in tl.static_range(UNROLL):
                n = n_0 + n_1
                a = tl.exp2(dt * tl.load(a2 + n * D)[:, None])
                b = dtx * tl.load(row + (R + n)).to(tl.float32)
                h = tl.load(p_before + n * D, mask=m_before, other=0.0)
                _, hs = tl.associative_scan((a, b + tl.where(first, a * h[:, None], 0.0)), 1, _affine)
                out += hs * tl.load(row + (R + N + n)).to(tl.float32)
                tl.store(p_after + n * D, _pick(hs, final), mask=m_after)
        tl.store(y + token * D + o_d[:, None], out.to(y.dtype.element_ty), mask=real & m_d[:, None])


@triton.jit(do_not_specialize=["D", "KP", "one"])
def scan_state_gradient_kernel(
    u, proj, weight, bias, a2, tokens, partner, dy, last, dt_sum, L, D, K, KP, one, segment, segments,
    R: tl.constexpr, N: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr, UNROLL: tl.constexpr,
    MERGED: tl.constexpr,
):  # fmt: skip
    """Gradient (N, D) that each segment hands to the state before it when nothing comes from behind."""
    i_d, i_k, i_bs = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i_b, i_s = i_bs // segments, i_bs % segments
    o_d = i_d * BLOCK_D + tl.arange(0, BLOCK_D)
    m_d = o_d < D
    o_d = tl.minimum(o_d, D - 1)  # channels past the end compute the last one again and store nothing
    P: tl.constexpr = R + 2 * N
    base = (i_b * K + i_k).to(tl.int64) * segments + i_s
    u += i_b.to(tl.int64) * L * D
    dy += i_b.to(tl.int64) * L * D
    proj += i_b.to(tl.int64) * L * K * P + i_k * P
    weight += i_k * R * D
    bias += i_k * D
    a2 += i_k * N * D + o_d
    tokens += i_k * L
    last += base * N * D + o_d
    start = i_s * segment
    stop = tl.minimum(start + segment, L)
    final = tl.arange(0, BLOCK_T)[None, :] == BLOCK_T - 1
    total = tl.zeros([BLOCK_D], dtype=tl.float32)
    count = tl.cdiv(stop - start, BLOCK_T)
    for i in range(count):
        t = start + (count - 1 - i) * BLOCK_T
        token, row, real, x, dt, e, pre = _load_tile(
            u, proj, weight, bias, tokens, partner, one, t, stop, False, o_d, m_d, D, KP, R, BLOCK_T, BLOCK_D
        )
        total += tl.sum(dt, 1)
        g = tl.load(dy + token * D + o_d[:, None]).to(tl.float32)
        g = tl.where(real & m_d[:, None], g, 0.0)
        for n_0 in range(0, N, UNROLL):
            for n_1 in tl.static_range(UNROLL):
                n = n_0 + n_1
                a = tl.exp2(dt * tl.load(a2 + n * D)[:, None])
                c = g * tl.load(row + (R + N + n)).to(tl.float32)
                carry = tl.load(last + n * D, mask=m_d & (i > 0), other=0.0)
                c += tl.where(final, carry[:, None], 0.0)
                # flipped in registers: a scan with reverse=True would flip the lanes too, by shuffles
                _, es = tl.associative_scan((tl.flip(a, 1), tl.flip(a * c, 1)), 1, _affine)
                tl.store(last + n * D, _pick(es, final), mask=m_d)
    tl.store(dt_sum + base * D + o_d, total, mask=m_d)


@triton.jit(do_not_specialize=["D", "KP", "one"])
def scan_backward_kernel(
    u, proj, weight, bias, a2, ds, tokens, partner, dy, states, carry,
    du, dproj, dweight, da, dds, dbias, L, D, K, KP, one, segment, segments, tiles, clips,
    R: tl.constexpr, RANKS: tl.constexpr, N: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
    UNROLL: tl.constexpr, MERGED: tl.constexpr,
):  # fmt: skip
    """Gradients: du (B, K, L, D) in token order; dproj (channel blocks, B, L, K, P) to be summed over blocks; of the
    parameters one partial sum for each (clip, direction, segment). `carry` (B, K, segments, N, D) holds the gradient
    that enters each segment from behind (nothing enters the last one) and is used up."""
    i_d, i_k, i_bs = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i_b, i_s = i_bs // segments, i_bs % segments
    o_d, o_r = i_d * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, RANKS)
    o_c = tl.arange(0, 2 * N)
    m_d = o_d < D
    o_d = tl.minimum(o_d, D - 1)  # channels past the end compute the last one again and store nothing
    P: tl.constexpr = R + 2 * N
    i_bk = (i_b * K + i_k).to(tl.int64)
    base = i_bk * segments + i_s
    u += i_b.to(tl.int64) * L * D
    dy += i_b.to(tl.int64) * L * D
    proj += i_b.to(tl.int64) * L * K * P + i_k * P
    dproj += (i_d * clips + i_b).to(tl.int64) * L * K * P + i_k * P
    du += i_bk * L * D
    states += i_bk * tiles * N * D + o_d
    weight += i_k * R * D
    bias += i_k * D
    a2 += i_k * N * D + o_d
    tokens += i_k * L
    carry += base * N * D + o_d
    da += base * N * D + o_d
    merged = ((MERGED >> i_k) & 1) == 1
    skip = tl.load(ds + i_k * D + o_d)
    start = i_s * segment
    stop = tl.minimum(start + segment, L)
    first = tl.arange(0, BLOCK_T)[None, :] == 0
    final = tl.arange(0, BLOCK_T)[None, :] == BLOCK_T - 1
    dW = tl.zeros([BLOCK_D, RANKS], dtype=tl.float32)
    dskip = tl.zeros([BLOCK_D], dtype=tl.float32)
    dbias_sum = tl.zeros([BLOCK_D], dtype=tl.float32)
    ones = tl.full([BLOCK_D, BLOCK_T], 1.0, tl.float32)
    count = tl.cdiv(stop - start, BLOCK_T)
    for i in range(count):
        t = start + (count - 1 - i) * BLOCK_T
        token, row, real, x, dt, e, pre = _load_tile(
            u, proj, weight, bias, tokens, partner, one, t, stop, merged, o_d, m_d, D, KP, R, BLOCK_T, BLOCK_D
        )
        g = tl.load(dy + token * D + o_d[:, None]).to(tl.float32)
        g = tl.where(real & m_d[:, None], g, 0.0)
        p_before = states + (t // BLOCK_T).to(tl.int64) * N * D
        m_before = m_d & (t > 0)
        m_carry = m_d & ((i > 0) | (i_s < segments - 1))
        m_more = m_d & (i > 0)
        dtx = dt * x
        ddt = tl.zeros_like(x)
        ddtx = tl.zeros_like(x)
        dBC = tl.zeros([2 * N, BLOCK_T], dtype=tl.float32)
        for n_0 in range(0, N, UNROLL):
            for n_1 in tl.static_range(UNROLL):
                n = n_0 + n_1
                A = tl.load(a2 + n * D)[:, None]
                a = tl.exp2(dt * A)
                B = tl.load(row + (R + n)).to(tl.float32)
                b = dtx * B
                h = tl.load(p_before + n * D, mask=m_before, other=0.0)
                _, hs = tl.associative_scan((a, b + tl.where(first, a * h[:, None], 0.0)), 1, _affine)
                c = g * tl.load(row + (R + N + n)).to(tl.float32)
                c += tl.where(final, tl.load(carry + n * D, mask=m_carry, other=0.0)[:, None], 0.0)
                # flipped in registers: a scan with reverse=True would flip the lanes too, by shuffles
                _, dh, _ = tl.associative_scan((ones, tl.flip(c, 1), tl.flip(a, 1)), 1, _affine_of_later_decay)
                dh = tl.flip(dh, 1)
                tl.store(carry + n * D, _pick(a * dh, first), mask=m_d)
                decay = dh * (hs - b)  # gradient of dt * A: hs - b is the decayed state before the step
                ddt += decay * A
                ddtx += dh * B
                dA = tl.load(da + n * D, mask=m_more, other=0.0)
                tl.store(da + n * D, dA + tl.sum(decay * dt, 1), mask=m_d)
                dBC = tl.where(o_c[:, None] == n, tl.sum(dh * dtx, 0)[None, :], dBC)
                dBC = tl.where(o_c[:, None] == N + n, tl.sum(hs * g, 0)[None, :], dBC)
        # the logistic function of the argument, the derivative of the softplus
        slope = tl.where(pre > 0, 1.0, e) / (1.0 + e)
        dpre = tl.where(real & m_d[:, None], (ddt * LN_2 + ddtx * x) * slope, 0.0)
        dx = ddtx * dt + g * skip[:, None]
        tl.store(du + token * D + o_d[:, None], dx.to(du.dtype.element_ty), mask=real & m_d[:, None])
        dskip += tl.sum(g * x, 1)
        dbias_sum += tl.sum(dpre, 1)
        o_t = t + tl.arange(0, BLOCK_T)
        rows = tl.load(tokens + o_t, mask=o_t < stop, other=0) * KP
        tl.store(dproj + rows[None, :] + R + o_c[:, None], dBC, mask=(o_t < stop)[None, :])
        for r in tl.static_range(R):
            s = tl.load(row + r).to(tl.float32)
            dW = tl.where(o_r[None, :] == r, dW + tl.sum(dpre * s, 1)[:, None], dW)
            w = tl.load(weight + r * D + o_d)
            tl.store(dproj + rows + r, tl.sum(dpre * w[:, None], 0), mask=o_t < stop)
    m_rd = m_d[:, None] & (o_r < R)[None, :]
    tl.store(dweight + base * R * D + o_r[None, :] * D + o_d[:, None], dW, mask=m_rd)
    tl.store(dds + base * D + o_d, dskip, mask=m_d)
    tl.store(dbias + base * D + o_d, dbias_sum, mask=m_d)


def _segments(clips: int, D: int, L: int, device: torch.device) -> tuple[int, int]:
    """(steps of a segment, segments): enough programs for several warps on each of an SM's four schedulers."""
    if device.type == "cuda":
        wanted = PROGRAMS_PER_SM * torch.cuda.get_device_properties(device).multi_processor_count
    else:
        wanted = 16  # Triton's interpreter, in tests
    programs = clips * 4 * triton.cdiv(D, BLOCK_D)
    segments = max(1, min(wanted // programs, L // (8 * BLOCK_T)))
    steps = triton.cdiv(triton.cdiv(L, segments), BLOCK_T) * BLOCK_T
    return steps, triton.cdiv(L, steps)


def states_shape(u: Tensor, A: Tensor) -> tuple[int, ...]:
    """Of what the forward pass keeps: (B, K, tiles, N, D)."""
    B, T, J, D = u.shape
    K, _, N = A.shape
    return (B, K, triton.cdiv(T * J, BLOCK_T), N, D)


def _prepare(u: Tensor, proj: Tensor, dt_weight: Tensor, A: Tensor, maps: ScanMap) -> tuple[Any, ...]:
    weight_KRD = dt_weight.transpose(1, 2).contiguous()
    a2_KND = (A.transpose(1, 2) * LOG2_E.value).contiguous()
    bits = sum(1 << k for k, merged in enumerate(maps.merged) if merged)
    return u.contiguous(), proj.contiguous(), weight_KRD, a2_KND, bits


def forward(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap, keep: bool
) -> tuple[Tensor, Tensor]:
    """Output (B, T, J, D) in u's type, and the states before tiles (empty unless `keep`). Shapes: operator.py."""
    B, T, J, D = u.shape
    K, R, N, L = A.shape[0], dt_weight.shape[-1], A.shape[-1], T * J
    u, proj, weight, a2, bits = _prepare(u, proj, dt_weight, A, maps)
    steps, segments = _segments(B, D, L, u.device)
    blocks = triton.cdiv(D, BLOCK_D)
    grid = (blocks, K, B * segments)
    sizes = (L, D, K, K * (R + 2 * N), 1, steps, segments)
    shape: dict[str, Any] = dict(R=R, N=N, BLOCK_T=BLOCK_T, BLOCK_D=BLOCK_D, UNROLL=UNROLL, MERGED=bits, num_warps=1)
    y = u.new_empty(B, K, L, D)
    kept = states_shape(u, A) if keep else (B, K, 2 * segments, N, D)
    states = u.new_empty(kept, dtype=torch.float32)
    if segments > 1:
        last = u.new_empty(B, K, segments, N, D, dtype=torch.float32)
        dt_sum = u.new_empty(B, K, segments, D, dtype=torch.float32)
        tables = (maps.tokens, maps.partner)
        scan_state_kernel[grid](u, proj, weight, dt_bias, a2, *tables, last, dt_sum, *sizes, **shape)
        every = steps // BLOCK_T if keep else 2
        carry_kernel[(blocks, B * K)](
            last, dt_sum, a2, states, D, K, segments, kept[2], every, N=N, BLOCK_D=BLOCK_D, REVERSE=False, num_warps=1
        )
    scan_forward_kernel[grid](
        u, proj, weight, dt_bias, a2, Ds, maps.tokens, maps.partner, y, states, *sizes, kept[2], KEEP=keep, **shape
    )
    with torch.autocast("cuda", enabled=False):  # under autocast a sum becomes float32
        out = y.sum(1).view(B, T, J, D)
    return out, states if keep else u.new_empty(0, dtype=torch.float32)


def backward(
    dy: Tensor, u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap,
    states: Tensor,
) -> tuple[Tensor, ...]:  # fmt: skip
    """du by direction (B, K, T, J, D) before limb partners are credited, then the float32 gradients of the rest."""
    B, T, J, D = u.shape
    K, R, N, L = A.shape[0], dt_weight.shape[-1], A.shape[-1], T * J
    u, proj, weight, a2, bits = _prepare(u, proj, dt_weight, A, maps)
    dy = dy.contiguous()
    steps, segments = _segments(B, D, L, u.device)
    blocks = triton.cdiv(D, BLOCK_D)
    grid = (blocks, K, B * segments)
    sizes = (L, D, K, K * (R + 2 * N), 1, steps, segments)
    shape: dict[str, Any] = dict(R=R, N=N, BLOCK_T=BLOCK_T, BLOCK_D=BLOCK_D, UNROLL=1, MERGED=bits, num_warps=1)

    def empty(*size: int) -> Tensor:
        return torch.empty(size, device=u.device, dtype=torch.float32)

    carry = empty(B, K, segments, N, D)
    if segments > 1:
        last, dt_sum = empty(B, K, segments, N, D), empty(B, K, segments, D)
        tables = (maps.tokens, maps.partner)
        scan_state_gradient_kernel[grid](u, proj, weight, dt_bias, a2, *tables, dy, last, dt_sum, *sizes, **shape)
        carry_kernel[(blocks, B * K)](
            last, dt_sum, a2, carry, D, K, segments, segments, 1, N=N, BLOCK_D=BLOCK_D, REVERSE=True, num_warps=1
        )
    du = torch.empty(B, K, T, J, D, device=u.device, dtype=u.dtype)
    dproj = empty(blocks, *proj.shape)
    dweight, dA = empty(B, K, segments, R, D), empty(B, K, segments, N, D)
    dDs, dbias = empty(B, K, segments, D), empty(B, K, segments, D)
    scan_backward_kernel[grid](
        u, proj, weight, dt_bias, a2, Ds, maps.tokens, maps.partner, dy, states, carry,
        du, dproj, dweight, dA, dDs, dbias, *sizes, states.shape[2], B, RANKS=triton.next_power_of_2(R), **shape,
    )  # fmt: skip
    return (
        du,
        dproj.sum(0),
        dweight.sum((0, 2)).transpose(1, 2),
        dbias.sum((0, 2)),
        dA.sum((0, 2)).transpose(1, 2),
        dDs.sum((0, 2)),
    )
