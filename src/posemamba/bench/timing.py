"""How time and memory are taken: CUDA events on a GPU, the wall clock on a CPU, in rounds that take turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Call = Callable[[], Any]

BLOCK_MS = 100.0  # a contestant's turn in a round lasts about this long, in at most ...
BLOCK_CALLS = 20  # ... so many calls


def sample_ms(call: Call, device: torch.device) -> float:
    """Time of one call in milliseconds; the device is idle before and after it."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        call()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end)
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def block_ms(call: Call, device: torch.device, calls: int) -> list[float]:
    """Return a contestant's turn: one call that is not counted, as the one before left its own data in the caches, then times.

    Args:
        call: what is timed.
        device: where it runs.
        calls: that are counted.
    """
    if device.type == "cuda":
        # what others have kept for later would be given back in the midst of a call that needs it
        total = torch.cuda.get_device_properties(device).total_memory
        if torch.cuda.memory_reserved(device) > total / 2:
            torch.cuda.empty_cache()
    call()
    return [sample_ms(call, device) for _ in range(calls)]


def calls_in_block(warm_ms: float) -> int:
    """How many calls make a turn, from the time of one warm call."""
    return max(1, min(BLOCK_CALLS, int(BLOCK_MS / max(warm_ms, 1e-3))))


def turns(contestants: Sequence[Any], number: int) -> list[Any]:
    """Return the order within round `number`: forwards and backwards in turn, so that nobody always follows the same one."""
    return list(contestants) if number % 2 == 0 else list(reversed(contestants))


def quartiles(times_ms: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    low, middle, high = np.percentile(np.asarray(times_ms, dtype=float), [25, 50, 75]).tolist()
    return low, middle, high


def peak_bytes(call: Call, device: torch.device) -> int | None:
    """Most bytes allocated during a call beyond those held before it.

    None on a CPU, without calling: nothing counts the bytes there, and the process's size says more about its
    allocator than about a model.
    """
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def held_bytes(device: torch.device) -> int:
    """Memory that is not given back though nothing runs, the private memory of CUDA graphs with it; 0 on a CPU."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    free_memory(device)
    return torch.cuda.memory_reserved(device)


def make_workspaces(device: torch.device) -> None:
    """Have cuBLAS take its working memory, which it keeps for all, before anybody's memory is measured."""
    if device.type == "cuda":
        for dtype in (torch.float32, torch.bfloat16):
            square = torch.ones(512, 512, device=device, dtype=dtype)
            square @ square
        torch.cuda.synchronize(device)


def free_memory(device: torch.device) -> None:
    """Give back what nobody uses any more to a GPU's others; on a CPU that happens by itself."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
