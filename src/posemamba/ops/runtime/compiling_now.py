"""State of compilation, for a line that tells why the first call takes longer; loads nothing."""

from __future__ import annotations

_kernels: set[int] = set()


def begin(kernel: object) -> None:
    """Note that a kernel is being compiled."""
    _kernels.add(id(kernel))


def end(kernel: object) -> None:
    """Note that it is compiled."""
    _kernels.discard(id(kernel))


def compiling() -> bool:
    """Return True while kernels are compiled, which happens once: they are kept on disk."""
    return bool(_kernels)
