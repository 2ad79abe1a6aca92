"""Settings that force how the model's kernels run, by the environment or by a caller.

Two switches exist. `scan` names the backend of the selective scan: auto, cuda, numba or reference. `fused` says how the
forward pass without gradients runs: auto; off for the plain modules; eager for no CUDA graphs; graph for CUDA graphs
at any number of clips. The environment variables POSEMAMBA_SCAN and POSEMAMBA_FUSED set them for a whole process;
`use` sets them for a `with` block of one thread or task, and wins over the environment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from posemamba.utils.errors import PoseMambaError

FUSED_MODES = ("auto", "off", "eager", "graph")

_scan: ContextVar[str | None] = ContextVar("scan", default=None)
_fused: ContextVar[str | None] = ContextVar("fused", default=None)


def scan_backend() -> str:
    """Return the scan backend that is forced, or 'auto'."""
    return _scan.get() or os.environ.get("POSEMAMBA_SCAN") or "auto"


def fused_mode() -> str:
    """Return one of FUSED_MODES.

    Raises:
        PoseMambaError: POSEMAMBA_FUSED or `use` names another.
    """
    mode = _fused.get() or os.environ.get("POSEMAMBA_FUSED") or "auto"
    if mode not in FUSED_MODES:
        raise PoseMambaError(f"POSEMAMBA_FUSED is '{mode}', expected one of {', '.join(FUSED_MODES)}")
    return mode


@contextlib.contextmanager
def use(*, scan: str | None = None, fused: str | None = None) -> Iterator[None]:
    """Force how kernels run inside a `with` block; None leaves a switch as it is.

    >>> with use(scan="reference", fused="off"):
    ...     exact = model.double()(x.double())
    """
    before = _scan.set(scan or _scan.get()), _fused.set(fused or _fused.get())
    try:
        yield
    finally:
        _scan.reset(before[0])
        _fused.reset(before[1])


Function = TypeVar("Function", bound=Callable[..., object])


def constant_for_compiler(function: Function) -> Function:
    """Mark a function whose result torch.compile may take as a constant, as torch.compiler.assume_constant_result does.

    That function imports torch._dynamo to set this one attribute. A test compiles a marked function without a graph
    break, so that a change of the attribute's name is noticed.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
