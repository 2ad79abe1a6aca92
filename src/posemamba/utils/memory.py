"""Memory that is free within the process, given back to the system between the stages of long work."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from functools import cache

LONG = 1000
"""Frames of a clip from which on it pays: a short one leaves little behind."""


def give_back(frames: int) -> None:
    """After a stage of a long clip's work, free its reference cycles and give free memory back to the system.

    PyAV's containers end up in cycles with their decoders. And what a stage frees stays with the process in pieces in
    which the arrays of the next one do not fit. Memory is given back where the C library can, which is glibc. All this
    takes about a tenth of a second, so of a short clip nothing is done.

    Args:
        frames: of the clip.
    """
    if frames < LONG:
        return
    gc.collect()
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None with another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim  # type: ignore[no-any-return]
    except (AttributeError, OSError, TypeError):  # musl and macOS; Windows has no library of the program itself
        return None
