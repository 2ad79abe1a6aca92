"""Measurement of time and memory: CUDA events on a GPU, the wall clock on a CPU, in alternating turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Call = Callable[[], Any]

BLOCK_MS = 100.0  # a spec's turn in a round lasts about this long, in at most ...
BLOCK_CALLS = 20  # ... so many calls


def sample_ms(call: Call, device: torch.device) -> float:
    """Time one call in milliseconds; the device is idle before and after it."""
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
    """Time the calls of a spec's turn, in milliseconds, after one call to warm the caches.

    Args:
        call: the call to time.
        device: the device on which it runs.
        calls: the number of timed calls.
    """
    if device.type == "cuda":
        # memory that the allocator caches for other runners would be freed in the middle of a timed call
        total = torch.cuda.get_device_properties(device).total_memory
        if torch.cuda.memory_reserved(device) > total / 2:
            torch.cuda.empty_cache()
    call()
    return [sample_ms(call, device) for _ in range(calls)]


def calls_in_block(warm_ms: float) -> int:
    """Return the number of calls of a turn, from the time of one warm call."""
    return max(1, min(BLOCK_CALLS, int(BLOCK_MS / max(warm_ms, 1e-3))))


def turns(specs: Sequence[Any], number: int) -> list[Any]:
    """Return the order of a round, forwards or backwards by turns, so that no spec always follows the same one."""
    return list(specs) if number % 2 == 0 else list(reversed(specs))


def quartiles(times_ms: Sequence[float]) -> tuple[float, float, float]:
    """Return the first quartile, median and third quartile."""
    low, middle, high = np.percentile(np.asarray(times_ms, dtype=float), [25, 50, 75]).tolist()
    return low, middle, high


def peak_bytes(call: Call, device: torch.device) -> int | None:
    """Measure the most bytes allocated during a call beyond those held before it.

    None on a CPU, without a call: PyTorch does not count bytes there, and the process's size depends more on its
    allocator than on the model.
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
    """Return the bytes that stay allocated while nothing runs, including CUDA graphs' private memory; 0 on a CPU."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    free_memory(device)
    return torch.cuda.memory_reserved(device)


def make_workspaces(device: torch.device) -> None:
    """Make cuBLAS allocate its workspaces, which all models share, before any memory is measured."""
    if device.type == "cuda":
        for dtype in (torch.float32, torch.bfloat16):
            square = torch.ones(512, 512, device=device, dtype=dtype)
            square @ square
        torch.cuda.synchronize(device)


def free_memory(device: torch.device) -> None:
    """Free a GPU's unused memory; on a CPU this happens by itself."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
