"""The vector language against float64, and the CPU's scan where decays are fast and without AVX-512."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from numba import njit, types
from numba.extending import intrinsic

from posemamba.ops.scan import selective_scan
from posemamba.ops.scan.lanes import AVX512, WIDTH, ForwardLanes, Lanes
from posemamba.poses.skeletons import LIMB_ORDER


def apply(name: str, x: np.ndarray, lanes: type[Lanes] = Lanes) -> np.ndarray:
    """A function of the vector language on each element."""

    @intrinsic
    def emitted(typingctx, source, target):
        def codegen(context, builder, signature, args):
            g = lanes(builder)
            g.store(args[1], 0, getattr(g, name)(g.load(args[0], 0)))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    @njit
    def each(x, y):
        for i in range(0, len(x), WIDTH):
            emitted(x[i:].ctypes.data, y[i:].ctypes.data)

    y = np.full_like(x, np.nan)
    each(x, y)
    return y


def exactly(name: str, x: np.ndarray) -> np.ndarray:
    wide = torch.from_numpy(x).double()
    functions = {
        "exp2": torch.exp2,
        "exp2_of_small": torch.exp2,
        "softplus": lambda v: torch.log1p(torch.exp(-v.abs())) + v.clamp(min=0),
        "logistic": torch.sigmoid,
    }
    return functions[name](wide).numpy()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("exp2", -125, 0), ("exp2_of_small", -126, 0), ("softplus", -10, 80), ("logistic", -10, 80)],
)
def test_functions_to_float32s_precision(name, low, high):
    if name == "exp2_of_small" and not AVX512:
        pytest.skip("no AVX-512")
    x = np.linspace(low, high, 1 << 16, dtype=np.float32)
    x[:32] = -np.geomspace(1e-9, 1, 32)
    assert np.abs(apply(name, x) / exactly(name, x) - 1).max() < 1e-6


def test_decay_of_nothing_is_exactly_one() -> None:
    for name in ("exp2", "exp2_of_small") if AVX512 else ("exp2",):
        assert (apply(name, np.zeros(WIDTH, np.float32)) == 1).all()


def test_far_out_and_nan() -> None:
    x = np.resize(np.array([-1e4, -200, -np.inf, np.nan], np.float32), WIDTH)
    y = apply("exp2", x)
    assert (y[:2] < 2e-38).all() and np.isnan(y[3])
    assert apply("softplus", np.full(WIDTH, 500, np.float32))[0] == 500


def test_the_forward_pass_has_softplus_and_silu_of_its_own() -> None:
    x = np.linspace(-10, 80, 1 << 16, dtype=np.float32)  # further down e^x loses what x's own rounding loses
    wide = torch.from_numpy(x).double()
    softplus = exactly("softplus", x)
    assert np.abs(apply("softplus", x, ForwardLanes) / softplus - 1).max() < 1e-6
    silu = (wide * torch.sigmoid(wide)).numpy()
    assert (np.abs(apply("silu", x, ForwardLanes) - silu) <= 1e-6 * np.abs(silu)).all()
    far = np.resize(np.array([-3e4, 3e4, 0, np.nan], np.float32), WIDTH)
    for name in ("softplus", "silu"):
        y = apply(name, far, ForwardLanes)
        assert abs(y[0]) < 1e-30 and y[1] == far[1] and np.isnan(y[3])
    assert apply("silu", far, ForwardLanes)[2] == 0


@pytest.mark.parametrize("lanes", [Lanes, ForwardLanes])
def test_gelu(lanes: type[Lanes]) -> None:
    x = np.linspace(-12, 12, 1 << 16, dtype=np.float32)
    want = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    assert (np.abs(apply("gelu", x, lanes) - want) <= 3e-7 * np.maximum(np.abs(x), 1e-3)).all()


def test_decays_too_fast_for_the_table() -> None:
    """In one frame steps are so long that states vanish; tiles in which they do go another way."""
    g = torch.Generator().manual_seed(0)
    u = torch.randn(1, 20, 17, 32, generator=g)
    u[:, 7] *= 300
    weights = torch.randn(4, 34, 32, generator=g) * 0.2, torch.randn(4, 32, 2, generator=g), torch.zeros(4, 32)
    A_log, Ds = torch.log(torch.arange(1.0, 17)).repeat(128, 1), torch.ones(128)
    got = selective_scan(u, *weights, A_log, Ds, limb=LIMB_ORDER, backend="numba")
    doubled = (x.double() for x in (u, *weights, A_log, Ds))
    want = selective_scan(*doubled, limb=LIMB_ORDER, backend="reference")
    assert got.isfinite().all()
    error = (got - want).abs().amax((0, 2, 3)) / want.abs().amax((0, 2, 3))  # of each frame
    assert error.max() < 2e-5


@pytest.mark.slow
def test_without_avx512() -> None:
    """The scan's tests in a process that compiles for the plainest processor of this kind."""
    folder = os.path.dirname(__file__)
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic"}
    command = [sys.executable, "-m", "pytest", "-q", os.path.join(folder, "test_scan.py"), __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:]
