"""A small vector language over LLVM IR: float32 in 16 lanes, for Numba kernels independent of LLVM's vectoriser.

LLVM cuts the 16 lanes into whatever registers the processor has (one AVX-512, two AVX, four NEON).
Addresses are int64 values; offsets count float32 (or int32) elements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from posemamba.ops.runtime.caching import kept

WIDTH = 16
F32, I16, I32, I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
VEC, IVEC = ir.VectorType(F32, WIDTH), ir.VectorType(I32, WIDTH)
LOG2_E = 1.4426950408889634

# 2^f on [-0.5, 0.5] to 9e-08 of its value, and exact at 0: decays close to 1 are applied thousands of times.
_EXP2 = (0.001326472726, 0.009671512638, 0.05550733743, 0.2402224209, 0.6931469776, 1.0)

# (2^f - 1) / f for |f| <= 1/64: 2^f to 1.1e-07, and the rate of slow decays to 1e-05 of itself.
_EXP2_NEAR_0 = (0.2402265, 0.69315396)
# 2^(j / 32) for j = 0 to 31 as bits, from which the bits of j are taken off that `exp2_of_small` adds to the exponent.
_BITS = [int(np.float32(2 ** (j / 32)).view(np.int32)) - (j << 18) for j in range(32)]
_POWERS = (_BITS[:16], _BITS[16:])

# 2^f = _SCALE * ((f + _SHIFT)^2 + _REST) to 2e-07 for f from -0.0302 to 0.0012: two instructions where Horner's take
# three, and exact at 0. The scale is in the table of 2^(j / 32).
_SCALE, _REST, _SHIFT = 0.23868632, 2.081295, 1.452
_TABLE = [[_SCALE * 2 ** (j / 32) for j in half] for half in (range(16), range(16, 32))]

# log(1 + e) / e on [0, 1] to 2e-07 of its value.
_LOG1P = (
    0.005364819017, -0.03006577253, 0.07920450593, -0.1375380005, 0.1915365397, -0.2485716345, 0.333213226,
    -0.4999964796, 1.0,
)  # fmt: skip

# erfc(x) = e^(-x^2) times this in t = 1 / (1 + 0.3275911 x): Abramowitz and Stegun 7.1.26.
_ERFC = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0)


def _target_has_avx512() -> bool:
    """Return True if the target processor has AVX-512; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES override the host."""
    features = numba_config.CPU_FEATURES
    if features is None:
        return bool(llvm.get_host_cpu_features().get("avx512f", False))
    return "+avx512f" in features.split(",")


numba_config: Any = numba.config  # its attributes are made when Numba is imported
AVX512 = _target_has_avx512()


# part of what a kernel contains, besides its own file
_FILES = ("lanes.py", "cpu_memory.py", "cpu_tiles.py", "cpu.py")
_SOURCES = hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in _FILES))


def kernel(function: Any) -> Any:
    """Compile for several threads at the first call; cached on disk until the kernel or this module changes."""
    return kept(numba.njit(parallel=True)(function), _SOURCES.digest())


class Vec:
    """A vector of 16 float32 lanes with the arithmetic that the kernels need."""

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
    """An emitter of vector code at the builder's position."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.module = builder.module

    # integers
    def i64(self, value: int) -> Any:
        return ir.Constant(I64, value)

    def _index(self, value: Any) -> Any:
        return self.i64(value) if isinstance(value, int) else value

    def add(self, *terms: Any) -> Any:
        total = self._index(terms[0])
        for term in terms[1:]:
            total = self.builder.add(total, self._index(term))
        return total

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.mul(self._index(a), self._index(b))

    # memory
    def address(self, address: Any, offset: Any) -> Any:
        """Return the address of the element at `offset`."""
        return self.builder.add(address, self.builder.shl(self._index(offset), self.i64(2)))

    def _pointer(self, address: Any, offset: Any) -> Any:
        return self.builder.inttoptr(self.address(address, offset), ir.PointerType())

    def load(self, address: Any, offset: Any) -> Vec:
        return Vec(self, self.builder.load(self._pointer(address, offset), align=4, typ=VEC))

    def store(self, address: Any, offset: Any, vec: Vec) -> None:
        self.builder.store(vec.value, self._pointer(address, offset), align=4)

    def load_all(self, address: Any, offset: Any, count: int) -> list[Vec]:
        """Load `count` consecutive vectors."""
        return [self.load(address, self.add(self._index(offset), i * WIDTH)) for i in range(count)]

    def store_all(self, address: Any, offset: Any, vecs: Sequence[Vec]) -> None:
        for i, vec in enumerate(vecs):
            self.store(address, self.add(self._index(offset), i * WIDTH), vec)

    def load_index(self, address: Any, offset: Any) -> Any:
        value = self.builder.load(self._pointer(address, offset), align=4, typ=I32)
        return self.builder.sext(value, I64)

    def load_splat(self, address: Any, offset: Any) -> Vec:
        """Load one float32 from memory into all lanes."""
        return self.splat(self.load_scalar(address, offset))

    def load_scalar(self, address: Any, offset: Any) -> Any:
        return self.builder.load(self._pointer(address, offset), align=4, typ=F32)

    def store_scalar(self, address: Any, offset: Any, value: Any) -> None:
        self.builder.store(value, self._pointer(address, offset), align=4)

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
        """Emit a * b + c, fused where the processor can."""
        kind = ir.FunctionType(VEC, [VEC] * 3)
        function = cgutils.get_or_insert_function(self.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
        return Vec(self, self.builder.call(function, [a.value, b.value, c.value]))

    def select(self, condition: Any, yes: Vec, no: Vec) -> Vec:
        return Vec(self, self.builder.select(condition, yes.value, no.value))

    def maximum(self, a: Vec, b: Vec) -> Vec:
        return self.select(self.builder.fcmp_ordered(">", a.value, b.value), a, b)

    def minimum(self, a: Vec, b: Vec) -> Vec:
        return self.select(self.builder.fcmp_ordered("<", a.value, b.value), a, b)

    def _polynomial(self, coefficients: Sequence[float], x: Vec) -> Vec:
        """Evaluate a polynomial; coefficients go from the highest power down to the constant."""
        total = self.const(coefficients[0])
        for coefficient in coefficients[1:]:
            total = self.fma(total, x, self.const(coefficient))
        return total

    def exp2(self, x: Vec) -> Vec:
        """Emit 2^x for x <= 0; without AVX-512 it stays at 2^-126 below -126."""
        b = self.builder
        if AVX512:
            whole = self._avx512("rndscale", x, ir.Constant(I32, 8))  # to the nearest integer
            return self._avx512("scalef", self._polynomial(_EXP2, x - whole), whole.value)
        # NaN fails the comparison and stays.
        x = self.select(b.fcmp_ordered("<", x.value, self.const(-126.0).value), self.const(-126.0), x)
        magic = self.const(12582912.0)  # 1.5 * 2^23: adding it rounds to the nearest integer
        shifted = x + magic
        poly = self._polynomial(_EXP2, x - (shifted - magic))
        exponent = b.shl(b.bitcast(shifted.value, IVEC), ir.Constant(IVEC, [ir.Constant(I32, 23)] * WIDTH))
        bits = b.add(b.bitcast(poly.value, IVEC), exponent)
        return Vec(self, b.bitcast(bits, VEC))

    def exp2_of_small(self, x: Vec) -> Vec:
        """Emit 2^x for -126 <= x <= 0 by a table of 32 powers, a sixth faster for 16 calls. AVX-512 only."""
        b = self.builder
        magic = self.const(12582912.0 / 32)  # adding it rounds to the nearest 1/32
        shifted = x + magic
        fraction = x - (shifted - magic)
        index = b.bitcast(shifted.value, IVEC)  # the lowest 5 bits choose the power, those above are the exponent
        low, high = (b.bitcast(ir.Constant(IVEC, [ir.Constant(I32, p) for p in half]), VEC) for half in _POWERS)
        kind = ir.FunctionType(VEC, [VEC, IVEC, VEC])
        function = cgutils.get_or_insert_function(self.module, kind, "llvm.x86.avx512.vpermi2var.ps.512")
        power = b.bitcast(b.call(function, [low, index, high]), IVEC)
        exponent = b.shl(index, ir.Constant(IVEC, [ir.Constant(I32, 18)] * WIDTH))
        power = Vec(self, b.bitcast(b.add(power, exponent), VEC))
        return self.fma(power, self._polynomial(_EXP2_NEAR_0, fraction) * fraction, power)

    def any_below(self, x: Vec, bound: float) -> Any:
        """Emit a flag: any lane of x is less than `bound`."""
        below = self.builder.fcmp_ordered("<", x.value, self.const(bound).value)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(below, I16), ir.Constant(I16, 0))

    def _avx512(self, name: str, x: Vec, operand: Any) -> Vec:
        """Emit an AVX-512 instruction on all lanes, with the default rounding."""
        kind = ir.FunctionType(VEC, [VEC, operand.type, VEC, I16, I32])
        function = cgutils.get_or_insert_function(self.module, kind, f"llvm.x86.avx512.mask.{name}.ps.512")
        every_lane, rounding = ir.Constant(I16, -1), ir.Constant(I32, 4)
        return Vec(self, self.builder.call(function, [x.value, operand, x.value, every_lane, rounding]))

    def _exp_of_minus_magnitude(self, x: Vec) -> tuple[Vec, Any]:
        """Emit e^-|x| and the mask of lanes where x > 0."""
        positive = self.builder.fcmp_ordered(">", x.value, self.const(0.0).value)
        return self.exp2(self.select(positive, x, self.const(0.0) - x) * self.const(-LOG2_E)), positive

    def softplus(self, x: Vec) -> Vec:
        """Emit log(1 + e^x), to float32's precision at either end."""
        e, positive = self._exp_of_minus_magnitude(x)
        return self.fma(self._polynomial(_LOG1P, e), e, self.select(positive, x, self.const(0.0)))

    def logistic(self, x: Vec) -> Vec:
        """Emit 1 / (1 + e^-x), the derivative of softplus."""
        e, positive = self._exp_of_minus_magnitude(x)
        one = self.const(1.0)
        return self.select(positive, one, e) / (one + e)

    def gelu(self, x: Vec) -> Vec:
        """Emit x times the normal distribution function of x, to 1.5e-07 of |x|."""
        magnitude = self.maximum(x, self.const(0.0) - x)
        t = self.const(1.0) / self.fma(magnitude, self.const(0.3275911 / 2**0.5), self.const(1.0))
        tail = self._polynomial(_ERFC, t) * self.exp2(x * x * self.const(-LOG2_E / 2))  # erfc(|x| / sqrt 2)
        return self.fma(magnitude * self.const(-0.5), tail, self.maximum(x, self.const(0.0)))

    def sums(self, vecs: Sequence[Vec]) -> Vec:
        """Sum each of 16 vectors over its lanes; lane i of the result is the sum of vecs[i]."""
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

    def total(self, vec: Vec) -> Any:
        """Sum over the lanes to a scalar."""
        half = WIDTH // 2
        while half:
            other = ir.Constant(IVEC, [ir.Constant(I32, (i + half) % WIDTH) for i in range(WIDTH)])
            vec = vec + Vec(self, self.builder.shuffle_vector(vec.value, vec.value, other))
            half //= 2
        return self.builder.extract_element(vec.value, ir.Constant(I32, 0))


def _float32(value: float) -> float:
    import struct

    return float(struct.unpack("f", struct.pack("f", value))[0])


class ForwardLanes(Lanes):
    """An emitter with shorter softplus, SiLU and GELU for the forward pass, with AVX-512; else those of `Lanes`."""

    def _exp2_of_product(self, x: Vec, rate: float) -> Vec:
        return self._exp2_of_products([x], rate)[0]

    def _exp2_of_products(self, xs: Sequence[Vec], rate: float) -> list[Vec]:
        """Emit 2^(x * rate) to 3e-07 of each; infinite or 0 outside of float32's range."""
        b = self.builder
        moved = [self.fma(x, self.const(rate), self.const(_SHIFT)) for x in xs]
        # Adding 1.5 * 2^18 rounds to the nearest 1/32; 46/32 of the shift go out of it again before.
        rounded = [x + self.const(3 * 2.0**17 - 46 / 32) for x in moved]
        whole = [x - self.const(3 * 2.0**17) for x in rounded]
        t = [x - w for x, w in zip(moved, whole, strict=True)]
        low, high = (ir.Constant(VEC, [ir.Constant(F32, float(np.float32(p))) for p in half]) for half in _TABLE)
        kind = ir.FunctionType(VEC, [VEC, IVEC, VEC])
        function = cgutils.get_or_insert_function(self.module, kind, "llvm.x86.avx512.vpermi2var.ps.512")
        powers = [Vec(self, b.call(function, [low, b.bitcast(x.value, IVEC), high])) for x in rounded]
        scaled = [self.fma(x, x, self.const(_REST)) * power for x, power in zip(t, powers, strict=True)]
        return [self._avx512("scalef", x, w.value) for x, w in zip(scaled, whole, strict=True)]  # by 2^floor(whole)

    def _magnitude(self, x: Vec) -> Vec:
        bits = ir.Constant(IVEC, [ir.Constant(I32, 0x7FFFFFFF)] * WIDTH)
        return Vec(self, self.builder.bitcast(self.builder.and_(self.builder.bitcast(x.value, IVEC), bits), VEC))

    def softplus(self, x: Vec) -> Vec:
        return self.softpluses([x])[0]

    def softpluses(self, xs: Sequence[Vec]) -> list[Vec]:
        """Emit the softplus of several vectors, interleaved: the compiler keeps the order, so none waits for others."""
        if not AVX512:
            return [super(ForwardLanes, self).softplus(x) for x in xs]
        es = self._exp2_of_products([self._magnitude(x) for x in xs], -LOG2_E)
        totals = [self.const(_LOG1P[0])] * len(xs)
        for c in _LOG1P[1:]:
            totals = [self.fma(total, e, self.const(c)) for total, e in zip(totals, es, strict=True)]
        return [
            self.fma(total, e, self.maximum(x, self.const(0.0))) for total, e, x in zip(totals, es, xs, strict=True)
        ]

    def silu(self, x: Vec) -> Vec:
        """Emit x / (1 + e^-x)."""
        if not AVX512:
            return x * self.logistic(x)
        return x / (self.const(1.0) + self._exp2_of_product(x, -LOG2_E))

    def gelu(self, x: Vec) -> Vec:
        if not AVX512:
            return super().gelu(x)
        magnitude = self._magnitude(x)
        t = self.const(1.0) / self.fma(magnitude, self.const(0.3275911 / 2**0.5), self.const(1.0))
        tail = self._polynomial(_ERFC, t) * self._exp2_of_product(x * x, -LOG2_E / 2)  # erfc(|x| / sqrt 2)
        return self.fma(magnitude * self.const(-0.5), tail, self.maximum(x, self.const(0.0)))
