"""Where the tests find the project's shared material, and unwritten memory made visible."""

from __future__ import annotations

import gc
import os
import threading

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before PyTorch: its threads would spin while others wait

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.paths import shared_path

# The process of pytest -n that only hands out tests reads this file too: what takes seconds to import, PyTorch above
# all, is imported in the fixtures that need it, here and in fixtures/.
pytest_plugins = [f"fixtures.{name}" for name in ("motions", "lift", "mpi_inf_3dhp_files", "browser", "documents")]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported for the tests stays: the garbage collector does not look for garbage there, again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def nothing_goes_on_behind() -> Iterator[None]:
    """A refused command leaves its model's loading behind, in a thread: the next test begins when that has ended."""
    yield
    for thread in threading.enumerate():
        if thread.name == "background":
            thread.join(30)


@pytest.fixture
def shared() -> Callable[..., Path]:
    return shared_path


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is allocated without being set starts as NaN: an element that nobody writes is seen."""
    import torch

    from posemamba.ops.scan import selective_scan
    from posemamba.ops.scan.selftest import scan_inputs
    from posemamba.poses.skeletons import LIMB_ORDER

    inputs = scan_inputs(1, 1, 16, 1, torch.device("cpu"), torch.float32)
    inputs["u"].requires_grad_()
    # Numba compiles now: it would not know the functions that are put in NumPy's place below.
    with torch.enable_grad():
        selective_scan(**inputs, limb=LIMB_ORDER).sum().backward()

    def poison(function: Callable[..., Any]) -> Callable[..., Any]:
        def allocate(*args: Any, **kwargs: Any) -> Any:
            made = function(*args, **kwargs)
            floating = made.is_floating_point() if isinstance(made, torch.Tensor) else made.dtype.kind == "f"
            if floating and isinstance(made, torch.Tensor):
                made.fill_(float("nan"))
            elif floating:
                made.fill(np.nan)
            return made

        return allocate

    for module, names in ((torch, ("empty", "empty_like")), (np, ("empty", "empty_like"))):
        for name in names:
            monkeypatch.setattr(module, name, poison(getattr(module, name)))
    monkeypatch.setattr(torch.Tensor, "new_empty", poison(torch.Tensor.new_empty))


@pytest.fixture
def interpreted() -> None:
    """The test runs Triton kernels on the CPU, in Triton's interpreter; skips it where they cannot run so.

    TRITON_INTERPRET=1 must be set before kernels are imported, so for the whole run:
    ``TRITON_INTERPRET=1 pytest tests/ops/fused tests/ops/conv_silu``.
    """
    if os.environ.get("TRITON_INTERPRET") != "1":
        # with the variable set kernels cannot be compiled, so one run cannot do both
        pytest.skip("Triton's kernels are for GPUs: run with TRITON_INTERPRET=1 to interpret them on a CPU")
    pytest.importorskip("triton")
    if np.lib.NumpyVersion(np.__version__) >= "2.4.0":
        # it turns arrays of one element into numbers, which NumPy 2.4 refuses
        pytest.skip("Triton's interpreter needs NumPy before 2.4: pip install 'numpy<2.4' to run this on a CPU")
