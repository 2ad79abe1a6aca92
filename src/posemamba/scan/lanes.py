"""A small vector language over LLVM IR: float32 in 16 lanes, for Numba kernels that leave nothing to the vectoriser.

LLVM cuts the 16 lanes into whatever registers the processor has (one AVX-512, two AVX, four NEON).
Addresses are int64 values; offsets count float32 (or int32) elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

WIDTH = 16
F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VEC, IVEC = ir.VectorType(F32, WIDTH), ir.VectorType(I32, WIDTH)
LOG2_E = 1.4426950408889634

# 2^f on [-0.5, 0.5] to 9e-08 of its value, and exact at 0: decays close to 1 are applied thousands of times.
_EXP2 = (0.001326472726, 0.009671512638, 0.05550733743, 0.2402224209, 0.6931469776, 1.0)


class Vec:
    """16 float32 lanes with the arithmetic that the kernels need."""

    def __init__(self, lanes: Lanes, value: Any) -> None:
        self.lanes, self.value = lanes, value

    def __add__(self, other: Vec) -> Vec:
        return Vec(self.lanes, self.lanes.builder.fadd(self.value, other.value))

    def __sub__(self, other: Vec) -> Vec:
        return Vec(self.lanes, self.lanes.builder.fsub(self.value, other.value))

    def __mul__(self, other: Vec) -> Vec:
        return Vec(self.lanes, self.lanes.builder.fmul(self.value, other.value))

    def __truediv__(self, other: Vec) -> Vec:
        return Vec(self.lanes, self.lanes.builder.fdiv(self.value, other.value))


class Lanes:
    """Emits vector code at the builder's position."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.module = builder.module

    # integers
    def i64(self, value: int) -> Any:
        return ir.Constant(I64, value)

    def add(self, *terms: Any) -> Any:
        total = terms[0]
        for term in terms[1:]:
            total = self.builder.add(total, term if not isinstance(term, int) else self.i64(term))
        return total

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b if not isinstance(b, int) else self.i64(b))

    # memory
    def _pointer(self, address: Any, offset: Any) -> Any:
        byte = self.builder.add(address, self.builder.shl(offset, self.i64(2)))
        return self.builder.inttoptr(byte, ir.PointerType())

    def load(self, address: Any, offset: Any) -> Vec:
        return Vec(self, self.builder.load(self._pointer(address, offset), align=4, typ=VEC))

    def store(self, address: Any, offset: Any, vec: Vec) -> None:
        self.builder.store(vec.value, self._pointer(address, offset), align=4)

    def load_index(self, address: Any, offset: Any) -> Any:
        value = self.builder.load(self._pointer(address, offset), align=4, typ=I32)
        return self.builder.sext(value, I64)

    def load_splat(self, address: Any, offset: Any) -> Vec:
        """One float32 from memory in all lanes."""
        return self.splat(self.builder.load(self._pointer(address, offset), align=4, typ=F32))

    def prefetch(self, address: Any, offset: Any) -> None:
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), I32, I32, I32])
        function = cgutils.get_or_insert_function(self.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(I32, value) for value in (0, 3, 1)]  # read, keep in all caches, data
        self.builder.call(function, [self._pointer(address, offset), *flags])

    # variables that live in registers across a loop
    def variable(self, start: Vec | None = None) -> Any:
        slot = cgutils.alloca_once(self.builder, VEC)
        self.set(slot, start if start is not None else self.const(0.0))
        return slot

    def get(self, slot: Any) -> Vec:
        return Vec(self, self.builder.load(slot, typ=VEC))

    def set(self, slot: Any, vec: Vec) -> None:
        self.builder.store(vec.value, slot)

    # arithmetic
    def const(self, value: float) -> Vec:
        return Vec(self, ir.Constant(VEC, [ir.Constant(F32, _float32(value))] * WIDTH))

    def splat(self, scalar: Any) -> Vec:
        undefined = ir.Constant(VEC, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, WIDTH), [ir.Constant(I32, 0)] * WIDTH)
        return Vec(self, self.builder.shuffle_vector(first, undefined, zeros))

    def fma(self, a: Vec, b: Vec, c: Vec) -> Vec:
        """a * b + c, fused where the processor can."""
        kind = ir.FunctionType(VEC, [VEC] * 3)
        function = cgutils.get_or_insert_function(self.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
        return Vec(self, self.builder.call(function, [a.value, b.value, c.value]))

    def select(self, condition: Any, yes: Vec, no: Vec) -> Vec:
        return Vec(self, self.builder.select(condition, yes.value, no.value))

    def maximum(self, a: Vec, b: Vec) -> Vec:
        return self.select(self.builder.fcmp_ordered(">", a.value, b.value), a, b)

    def exp2(self, x: Vec) -> Vec:
        """2^x for x <= 0; below -126 it stays at 2^-126."""
        b = self.builder
        # NaN fails the comparison inside maximum() and would come out finite: keep it.
        x = self.select(b.fcmp_ordered("<", x.value, self.const(-126.0).value), self.const(-126.0), x)
        magic = self.const(12582912.0)  # 1.5 * 2^23: adding it rounds to the nearest integer
        shifted = x + magic
        fraction = x - (shifted - magic)
        poly = self.const(_EXP2[0])
        for coefficient in _EXP2[1:]:
            poly = self.fma(poly, fraction, self.const(coefficient))
        exponent = b.shl(b.bitcast(shifted.value, IVEC), ir.Constant(IVEC, [ir.Constant(I32, 23)] * WIDTH))
        bits = b.add(b.bitcast(poly.value, IVEC), exponent)
        return Vec(self, b.bitcast(bits, VEC))

    def softplus(self, x: Vec) -> tuple[Vec, Vec]:
        """log(1 + e^x) and its derivative, the logistic function, both to float32's precision at either end."""
        b = self.builder
        zero, one = self.const(0.0), self.const(1.0)
        positive = b.fcmp_ordered(">", x.value, zero.value)
        magnitude = self.select(positive, x, zero - x)
        e = self.exp2(magnitude * self.const(-LOG2_E))
        # log(1 + e) = 2 artanh(e / (2 + e)): no cancellation for small e, and e / (2 + e) <= 1/3.
        q = e / (e + self.const(2.0))
        q2 = q * q
        series = self.const(1 / 13)
        for n in (11, 9, 7, 5, 3, 1):
            series = self.fma(series, q2, self.const(1 / n))
        logistic = self.select(positive, one, e) / (one + e)
        return self.fma(q + q, series, self.select(positive, x, zero)), logistic

    def sums(self, vecs: Sequence[Vec]) -> Vec:
        """Lane i of the result is the sum over the lanes of vecs[i]; 16 vectors in, one out."""
        even = ir.Constant(IVEC, [ir.Constant(I32, 2 * i) for i in range(WIDTH)])
        odd = ir.Constant(IVEC, [ir.Constant(I32, 2 * i + 1) for i in range(WIDTH)])
        level = list(vecs)
        while len(level) > 1:
            level = [
                Vec(self, self.builder.shuffle_vector(a.value, b.value, even))
                + Vec(self, self.builder.shuffle_vector(a.value, b.value, odd))
                for a, b in zip(level[::2], level[1::2], strict=True)
            ]
        return level[0]


def _float32(value: float) -> float:
    import struct

    return float(struct.unpack("f", struct.pack("f", value))[0])
