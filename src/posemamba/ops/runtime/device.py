"""The choice of a device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from posemamba.ops import scan
from posemamba.utils.errors import PoseMambaError


def choose_device(device: torch.device | str | None = None) -> torch.device:
    """Return a device by its name; None or "auto": an NVIDIA GPU on which the scan's kernels run, else the CPU.

    Raises:
        PoseMambaError: there is no such device, or it cannot be used.
    """
    if device is None or device == "auto":
        fast = torch.cuda.is_available() and scan.why("cuda")[0] != "reference"
        return torch.device("cuda" if fast else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or ["not available"])[0].rstrip(".")[:120]
        raise PoseMambaError(f"device '{device}' cannot be used ({reason}): try cpu, cuda or auto") from error
    return chosen


def gpus_for(device: str) -> list[str]:
    """Return the GPUs to use for a device's name: all of this machine for ``auto`` and ``cuda``, else the one named."""
    if device not in ("auto", "cuda"):
        return [device] if device.startswith("cuda:") else []
    if choose_device(None).type != "cuda":
        return []
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


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
