"""Out-of-memory errors: how to recognise them, and a retry with smaller batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return True if an error, or an error that caused it (compilers wrap them), is of memory that ran out."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text):
            return True
        error = error.__cause__ or error.__context__
    return False


def in_parts(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Compute run(x), in halves, quarters and so on if memory does not suffice for the whole batch.

    Args:
        run: (B, ...) -> (B, ...), each of the B independently.
        x: (B, ...).

    Raises:
        Exception: as `run` raises; out of memory only if it does not suffice for a single one.
    """
    try:
        return run(x)
    except Exception as error:
        if len(x) < 2 or not is_out_of_memory(error):
            raise
    # outside of the except block, so that the error no longer holds the attempt's tensors
    if x.is_cuda:
        torch.cuda.empty_cache()
    return torch.cat([in_parts(run, half) for half in x.split(-(-len(x) // 2))])
