"""When memory runs out: told from other errors, and windows lifted fewer at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or the one that caused it (a compiler wraps it), says that memory ran out."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text):
            return True
        error = error.__cause__ or error.__context__
    return False


def in_parts(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """run(x), or in halves, quarters and so on if memory does not suffice for all of x at once.

    Args:
        run: (B, ...) -> (B, ...), each of the B by itself.
        x: (B, ...).

    Raises:
        Exception: as `run`; of memory only if it does not suffice for one.
    """
    try:
        return run(x)
    except Exception as error:
        if len(x) < 2 or not is_out_of_memory(error):
            raise
    # here, where the error has let go of what the attempt held
    if x.is_cuda:
        torch.cuda.empty_cache()
    return torch.cat([in_parts(run, half) for half in x.split(-(-len(x) // 2))])
