"""Tiles of the selective scan on a CPU: a few steps of one direction for 16 channels, emitted as vector code for Numba.

A tile gathers the projections of its tokens and computes their step sizes, which are independent, before the recurrence
over its steps. The backward pass recomputes a tile's states and goes through them from the last to the first.

A lane is a channel. Arguments are addresses and counts (int64); offsets count float32 elements. In names: N = 16
states, R the rank of the step size, K directions, D channels, P = R + 2N the numbers of a row of projections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from posemamba.ops.scan.lanes import AVX512, LOG2_E, WIDTH, ForwardLanes, Lanes, Vec

STATES = 16
ABREAST = 4  # steps whose step sizes are computed in lockstep; divides TILE
TOGETHER = 8  # states that the backward pass handles at once, so that its carried values fit into registers
VECS = STATES * WIDTH  # floats of the states of 16 channels
SLOT = 2 * VECS + 5 * WIDTH  # floats that the backward pass keeps of a step


def _step_sizes_of(g: Lanes, rows: Sequence[Any], weight: Any, bias: Vec, D: Any, R: Any) -> list[Vec]:
    """Emit the step size of each row s before the softplus: bias + sum of s_r * weight_r; R is known at run time."""
    totals = [g.variable(bias) for _ in rows]

    def add(first: Any, ranks: int) -> None:
        for r in (g.add(first, i) for i in range(ranks)):
            w = g.load(weight, g.mul(r, D))
            for row, total in zip(rows, totals, strict=True):
                g.set(total, g.fma(g.load_splat(row, r), w, g.get(total)))

    fours = g.builder.and_(R, g.i64(-4))
    with cgutils.for_range_slice(g.builder, g.i64(0), fours, g.i64(4)) as (first, _):
        add(first, 4)
    with cgutils.for_range_slice(g.builder, fours, R, g.i64(1)) as (first, _):
        add(first, 1)
    return [g.get(total) for total in totals]


def _token_input(g: Lanes, u: Any, partner: Any, token: Any, D: Any, merged: Any) -> Vec:
    """Emit u of the token, plus its limb partner's where the direction merges them."""
    x = g.load(u, g.mul(token, D))
    limb = g.load(u, g.mul(g.load_index(partner, token), D))
    # selected, not multiplied by zero, as 0 * NaN is NaN
    return x + g.select(g.builder.icmp_signed("!=", merged, g.i64(0)), limb, g.const(0.0))


@intrinsic
def gather(typingctx, proj, tokens, partner, rows, count, K, R, k, merged):
    """Gather projections of `count` tokens in `rows`, (count, P) contiguous; with the limb partners' if `merged`."""

    def codegen(context, builder, signature, args):
        proj, tokens, partner, rows, count, K, R, k, merged = args
        g, b = Lanes(builder), builder
        width = g.add(R, 2 * STATES)
        merging = b.icmp_signed("!=", merged, g.i64(0))

        def fetch(partnered: bool) -> None:
            with cgutils.for_range(b, count) as loop:
                token = g.load_index(tokens, loop.index)
                sources = [token, g.load_index(partner, token)] if partnered else [token]
                starts = [g.mul(g.add(g.mul(source, K), k), width) for source in sources]
                to = g.mul(loop.index, width)
                with cgutils.for_range(b, R) as ranks:
                    terms = [g.load_scalar(proj, g.add(start, ranks.index)) for start in starts]
                    g.store_scalar(rows, g.add(to, ranks.index), b.fadd(*terms) if partnered else terms[0])
                for half in (0, STATES):
                    vecs = [g.load(proj, g.add(start, R, half)) for start in starts]
                    g.store(rows, g.add(to, R, half), vecs[0] + vecs[1] if partnered else vecs[0])

        with b.if_else(merging) as (then, otherwise):
            with then:
                fetch(True)
            with otherwise:
                fetch(False)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), codegen


def _step_sizes(g: ForwardLanes, u: Any, rows: Any, weight: Any, ds: Any, bias: Any, tokens: Any, partner: Any,
                out: Any, scratch: Any, count: Any, D: Any, R: Any, merged: Any, first: Any) -> Vec:  # fmt: skip
    """Store in `scratch`, for each token, dt, dt x, and the output before the states are added; return the largest dt.

    Tokens are independent here, unlike in the recurrence, so several are computed at a time; where fewer are left, the
    last one is repeated.
    """
    b = g.builder
    width, last = g.add(R, 2 * STATES), b.sub(count, g.i64(1))
    is_first = b.icmp_signed("!=", first, g.i64(0))
    skip, bias_vec = g.load(ds, g.i64(0)), g.load(bias, g.i64(0))
    largest = g.variable()
    with cgutils.for_range_slice(b, g.i64(0), count, g.i64(ABREAST)) as (begin, _):
        places = [g.add(begin, i) for i in range(ABREAST)]
        steps = [b.select(b.icmp_signed("<", place, last), place, last) for place in places]
        sums = _step_sizes_of(g, [g.address(rows, g.mul(i, width)) for i in steps], weight, bias_vec, D, R)
        for place, step, dt in zip(places, steps, g.softpluses(sums), strict=True):
            g.set(largest, g.maximum(g.get(largest), dt))
            token = g.load_index(tokens, step)
            x = _token_input(g, u, partner, token, D, merged)
            old = g.select(is_first, g.const(0.0), g.load(out, g.mul(token, D)))
            g.store_all(scratch, g.mul(place, 3 * WIDTH), (dt, dt * x, g.fma(x, skip, old)))
    return g.get(largest)


@intrinsic
def scatter(typingctx, dproj, tokens, partner, drows, count, K, R, k, merged):
    """Add `drows` to `dproj` at the tokens, and at their limb partners if `merged` (the gradient of `gather`)."""

    def codegen(context, builder, signature, args):
        dproj, tokens, partner, drows, count, K, R, k, merged = args
        g, b = Lanes(builder), builder
        width = g.add(R, 2 * STATES)
        merging = b.icmp_signed("!=", merged, g.i64(0))
        with cgutils.for_range(b, count) as loop:
            token, row = g.load_index(tokens, loop.index), g.mul(loop.index, width)

            def credit(token: Any) -> None:
                start = g.mul(g.add(g.mul(token, K), k), width)
                with cgutils.for_range(b, R) as ranks:
                    to, at = g.add(start, ranks.index), g.add(row, ranks.index)
                    g.store_scalar(dproj, to, b.fadd(g.load_scalar(dproj, to), g.load_scalar(drows, at)))
                for half in (0, STATES):
                    to = g.add(start, R, half)
                    g.store(dproj, to, g.load(dproj, to) + g.load(drows, g.add(row, R, half)))

            credit(token)
            with b.if_then(merging):
                credit(g.load_index(partner, token))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), codegen


@intrinsic
def forward_tile(
    typingctx, u, rows, weight, a2, ds, bias, tokens, partner, out, state, scratch, count, D, R, merged, first
):
    """Run `count` steps of one direction for 16 channels, updating `state`; add to `out`, or set it if `first`."""

    def codegen(context, builder, signature, args):
        u, rows, weight, a2, ds, bias, tokens, partner, out, state, scratch, count, D, R, merged, first = args
        g = ForwardLanes(builder)
        largest = _step_sizes(g, u, rows, weight, ds, bias, tokens, partner, out, scratch, count, D, R, merged, first)
        h = [g.variable(vec) for vec in g.load_all(state, 0, STATES)]
        A = [g.load(a2, g.mul(D, n)) for n in range(STATES)]

        def recurrence(exp2: Any) -> None:
            with cgutils.for_range(builder, count) as loop:
                dt, dtx, y = g.load_all(scratch, g.mul(loop.index, 3 * WIDTH), 3)
                B = g.add(g.mul(loop.index, g.add(R, 2 * STATES)), R)
                C = g.add(B, STATES)
                ys = [y, g.const(0.0)]  # two sums: half the length of the chain of additions
                for n in range(STATES):
                    hn = g.fma(exp2(dt * A[n]), g.get(h[n]), dtx * g.load_splat(rows, g.add(B, n)))
                    g.set(h[n], hn)
                    ys[n % 2] = g.fma(hn, g.load_splat(rows, g.add(C, n)), ys[n % 2])
                g.store(out, g.mul(g.load_index(tokens, loop.index), D), ys[0] + ys[1])

        if AVX512:
            fastest = A[0]
            for rate in A[1:]:
                fastest = g.minimum(fastest, rate)
            with builder.if_else(g.any_below(largest * fastest, -126.0), likely=False) as (then, otherwise):
                with then:
                    recurrence(g.exp2)
                with otherwise:
                    recurrence(g.exp2_of_small)
        else:
            recurrence(g.exp2)
        g.store_all(state, 0, [g.get(hn) for hn in h])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 16), codegen


def _states_intrinsic(keep: bool) -> Any:
    @intrinsic
    def states(typingctx, u, rows, weight, a2, bias, tokens, partner, state, scratch, count, D, R, merged):
        def codegen(context, builder, signature, args):
            u, rows, weight, a2, bias, tokens, partner, state, scratch, count, D, R, merged = args
            g, b = Lanes(builder), builder
            width = g.add(R, 2 * STATES)
            bias_vec = g.load(bias, g.i64(0))
            with cgutils.for_range(b, count) as loop:
                x = _token_input(g, u, partner, g.load_index(tokens, loop.index), D, merged)
                row = g.address(rows, g.mul(loop.index, width))
                (before,) = _step_sizes_of(g, [row], weight, bias_vec, D, R)
                at = g.add(g.mul(loop.index, SLOT), 2 * STATES * WIDTH)
                g.store_all(scratch, at, (g.softplus(before), *((g.logistic(before),) if keep else (x,)), x))

            h = [g.variable(vec) for vec in g.load_all(state, 0, STATES)]
            A = [g.load(a2, g.mul(D, n)) for n in range(STATES)]
            with cgutils.for_range(b, count) as loop:
                at = g.mul(loop.index, SLOT)
                dt, _, x = g.load_all(scratch, g.add(at, 2 * STATES * WIDTH), 3)
                dtx = dt * x
                B = g.add(g.mul(loop.index, width), R)
                for n in range(STATES):
                    a = g.exp2(dt * A[n])
                    kept = a * g.get(h[n])
                    if keep:
                        g.store(scratch, g.add(at, n * WIDTH), a)
                        g.store(scratch, g.add(at, (STATES + n) * WIDTH), kept)
                    g.set(h[n], g.fma(dtx, g.load_splat(rows, g.add(B, n)), kept))
            g.store_all(state, 0, [g.get(hn) for hn in h])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 13), codegen

    return states


# Like `forward_tile`, but they only update `state`. The second also stores in `scratch` the data for `gradient_tile`:
# for each step 16 decays, 16 decayed states, then dt, its derivative and x.
states_tile, replay_tile = _states_intrinsic(keep=False), _states_intrinsic(keep=True)


@intrinsic
def gradient_tile(
    typingctx, rows, a2, ds, tokens, dout, scratch, carry, du, dBC, ddelta, da, dds, dbias, count, D, R, pitch,
    partner, credit,
):  # fmt: skip
    """Run `count` steps of one direction backwards for 16 channels, after `replay_tile`.

    `carry` holds the gradient of the state after the last step, and is updated to that of the state before the first.
    `ddelta` (count, pitch), the gradient before the softplus, is set. The other gradients are added to: `dBC` is
    (count, 32) with the lanes not summed yet; the gradient of `u` also reaches the limb partner if `credit`.
    """

    def codegen(context, builder, signature, args):
        rows, a2, ds, tokens, dout, scratch, carry, du, dBC, ddelta, da, dds, dbias, count, D, R, pitch = args[:17]
        partner, credit = args[17:]
        g, b = Lanes(builder), builder
        width = g.add(R, 2 * STATES)
        last = b.sub(count, g.i64(1))
        for first in range(0, STATES, TOGETHER):
            states = range(first, first + TOGETHER)
            dh = {n: g.variable(g.load(carry, n * WIDTH)) for n in states}
            dA = {n: g.variable(g.load(da, g.mul(D, n))) for n in states}
            A = {n: g.load(a2, g.mul(D, n)) for n in states}
            with cgutils.for_range(b, count) as loop:
                step = b.sub(last, loop.index)
                at, sums, row = g.mul(step, SLOT), g.mul(step, 2 * VECS), g.mul(step, width)
                dt, _, x, *kept_sums = g.load_all(scratch, g.add(at, 2 * VECS), 5)
                dtx, dy = dt * x, g.load(dout, g.mul(g.load_index(tokens, step), D))
                ddt, ddtx = kept_sums if first else (g.const(0.0), g.const(0.0))
                for n in states:
                    a, kept = (g.load(scratch, g.add(at, place + n * WIDTH)) for place in (0, VECS))
                    Bn, Cn = (g.load_splat(rows, g.add(row, R, place + n)) for place in (0, STATES))
                    grad = g.fma(Cn, dy, g.get(dh[n]))
                    for place, one, other in ((0, grad, dtx), (VECS, g.fma(dtx, Bn, kept), dy)):
                        to = g.add(sums, place + n * WIDTH)
                        g.store(dBC, to, g.fma(one, other, g.load(dBC, to)))
                    decay = grad * kept  # gradient of dt * A
                    ddt = g.fma(decay, A[n], ddt)
                    g.set(dA[n], g.fma(decay, dt, g.get(dA[n])))
                    ddtx = g.fma(grad, Bn, ddtx)
                    g.set(dh[n], grad * a)
                g.store_all(scratch, g.add(at, 2 * VECS + 3 * WIDTH), (ddt, ddtx))
            for n in states:
                g.store(carry, n * WIDTH, g.get(dh[n]))
                g.store(da, g.mul(D, n), g.get(dA[n]))

        skip, crediting = g.load(ds, 0), b.icmp_signed("!=", credit, g.i64(0))
        dskip, dbias_sum = g.variable(g.load(dds, 0)), g.variable(g.load(dbias, 0))
        with cgutils.for_range(b, count) as loop:
            token = g.load_index(tokens, loop.index)
            place = g.mul(token, D)
            dt, logistic, x, ddt, ddtx = g.load_all(scratch, g.add(g.mul(loop.index, SLOT), 2 * VECS), 5)
            dy = g.load(dout, place)
            # A is kept in units of log2; its gradient by dt is not
            delta = g.fma(ddt, g.const(1 / LOG2_E), ddtx * x) * logistic
            g.store(ddelta, g.mul(loop.index, pitch), delta)
            dx = g.fma(ddtx, dt, dy * skip)
            g.store(du, place, g.load(du, place) + dx)
            with b.if_then(crediting):
                limb = g.mul(g.load_index(partner, token), D)
                g.store(du, limb, g.load(du, limb) + dx)
            g.set(dskip, g.fma(dy, x, g.get(dskip)))
            g.set(dbias_sum, g.get(dbias_sum) + delta)
        g.store(dds, 0, g.get(dskip))
        g.store(dbias, 0, g.get(dbias_sum))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 19), codegen


@intrinsic
def rows_gradient(typingctx, rows, weight, dBC, ddelta, dweight, drows, count, D, R, pitch):
    """Set the gradient of `rows`, and add to that of `weight`, from the data of `gradient_tile` for all channels."""

    def codegen(context, builder, signature, args):
        rows, weight, dBC, ddelta, dweight, drows, count, D, R, pitch = args
        g, b = Lanes(builder), builder
        width = g.add(R, 2 * STATES)
        with cgutils.for_range(b, count) as loop:
            row, sums = g.mul(loop.index, width), g.mul(loop.index, 2 * VECS)
            delta = g.address(ddelta, g.mul(loop.index, pitch))
            for place in range(2):
                lanes = g.load_all(dBC, g.add(sums, place * VECS), STATES)
                g.store(drows, g.add(row, R, place * STATES), g.sums(lanes))
            with cgutils.for_range(b, R) as ranks:
                at, line = g.add(row, ranks.index), g.mul(ranks.index, D)
                s, total = g.load_splat(rows, at), g.variable()
                with cgutils.for_range_slice(b, g.i64(0), pitch, g.i64(WIDTH)) as (channel, _):
                    to, vec = g.add(line, channel), g.load(delta, channel)
                    g.store(dweight, to, g.fma(vec, s, g.load(dweight, to)))
                    g.set(total, g.fma(vec, g.load(weight, to), g.get(total)))
                g.store_scalar(drows, at, g.total(g.get(total)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 10), codegen
