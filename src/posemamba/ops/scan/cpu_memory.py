"""Memory inside of the CPU's kernels: allocated, cleared, copied and freed by address, as emitted code for Numba.

Addresses are int64, counts are of float32 elements. Kernels take addresses and whole numbers alone: Numba compiles them
in half the time that arrays take.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from posemamba.ops.scan.lanes import I64, WIDTH, Lanes


@intrinsic
def allocate(typingctx, count):
    """Return the address of `count` unset float32, aligned to a vector: a load across two cache lines costs twice."""

    def codegen(context, builder, signature, args):
        g, b = Lanes(builder), builder
        room = g.i64(WIDTH * 4 + 8)  # to align, and before it for the address that frees it
        start = b.ptrtoint(context.nrt.allocate(b, g.address(room, args[0])), I64)
        aligned = b.and_(b.add(start, room), g.i64(-WIDTH * 4))
        b.store(start, b.inttoptr(b.sub(aligned, g.i64(8)), ir.PointerType()), align=8)
        return aligned

    return types.int64(types.int64), codegen


@intrinsic
def release(typingctx, address):
    """Free what `allocate` returned."""

    def codegen(context, builder, signature, args):
        g, b = Lanes(builder), builder
        start = b.load(b.inttoptr(b.sub(args[0], g.i64(8)), ir.PointerType()), align=8, typ=I64)
        context.nrt.free(b, b.inttoptr(start, cgutils.voidptr_t))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def clear(typingctx, address, count):
    """Set `count` float32 to zero."""

    def codegen(context, builder, signature, args):
        address, count = args
        size = builder.shl(count, ir.Constant(I64, 2))
        cgutils.memset(builder, builder.inttoptr(address, cgutils.voidptr_t), size, 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def copy(typingctx, source, to, count):
    """Copy `count` float32."""

    def codegen(context, builder, signature, args):
        source, to = (builder.inttoptr(address, cgutils.voidptr_t) for address in args[:2])
        cgutils.raw_memcpy(builder, to, source, args[2], 4, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen
