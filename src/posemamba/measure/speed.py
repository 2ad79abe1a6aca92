"""Time the scan and the whole model, forward and training step, on one device: medians, correctness checked first.

``posemamba bench`` prints the table.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from posemamba.errors import PoseMambaError
from posemamba.model import PoseMamba, PoseMambaConfig
from posemamba.scan import selective_scan
from posemamba.skeleton import LIMB_ORDER


def median_ms(function: Callable[[], object], device: torch.device, repeats: int = 15, warm_up: int = 3) -> float:
    """Median time of a call in milliseconds: CUDA events on a GPU, the wall clock on a CPU."""
    for _ in range(warm_up):
        function()
    times = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            function()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end))
        else:
            begin = time.perf_counter()
            function()
            times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def scan_inputs(
    clips: int, frames: int, inner_width: int, rank: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Random inputs of `selective_scan` like those inside a trained model."""
    g = torch.Generator().manual_seed(0)
    K, N, D, R = 4, 16, inner_width, rank
    values = {
        "x_proj_weight": torch.randn(K, R + 2 * N, D, generator=g) / D**0.5,
        "dt_weight": torch.randn(K, D, R, generator=g) * 0.5,
        "dt_bias": torch.randn(K, D, generator=g) * 1.5 - 4,
        "A_log": torch.log(torch.arange(1.0, N + 1)).repeat(K * D, 1),
        "Ds": torch.ones(K * D),
    }
    moved = {name: value.to(device) for name, value in values.items()}
    moved["u"] = torch.randn(clips, frames, 17, D, generator=g).to(device, dtype)
    return moved


def check_scan(device: torch.device) -> float:
    """Largest error of the scan against float64 on a small case, relative to the largest output."""
    inputs = scan_inputs(2, 21, 64, 4, device, torch.float32)
    got = selective_scan(**inputs, limb=LIMB_ORDER)
    exact = {name: value.double() for name, value in inputs.items()}
    want = selective_scan(**exact, limb=LIMB_ORDER, backend="reference")
    return ((got - want).abs().max() / want.abs().max()).item()


def _scan_times(clips: int, frames: int, D: int, device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """(forward, forward and backward) of one layer's scan with its projections."""
    inputs = scan_inputs(clips, frames, D, D // 32, device, dtype)
    amp = torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)

    def forward() -> None:
        with torch.no_grad(), amp:
            selective_scan(**inputs, limb=LIMB_ORDER)

    trained = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    weight = torch.randn_like(inputs["u"])

    def step() -> None:
        with amp:
            y = selective_scan(**trained, limb=LIMB_ORDER)
        torch.autograd.grad((y * weight).sum(), list(trained.values()))

    return median_ms(forward, device), median_ms(step, device)


def _model_times(size: str, clips: int, frames: int, device: torch.device, half: bool) -> tuple[float, float, float]:
    """(forward ms, training step ms, peak memory of the step in MB) of a whole model."""
    model = PoseMamba.preset(size, frames=frames).to(device)
    x = torch.randn(clips, frames, 17, 2, device=device)
    amp = torch.autocast(device.type, torch.bfloat16, enabled=half)

    def forward() -> None:
        with torch.no_grad(), amp:
            model(x)

    def step() -> None:
        with amp:
            loss = model(x).float().square().mean()
        loss.backward()
        model.zero_grad(set_to_none=True)

    forward_ms = median_ms(forward, device, repeats=7, warm_up=2)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step_ms = median_ms(step, device, repeats=5, warm_up=2)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else float("nan")
    return forward_ms, step_ms, peak


def speed_table(
    device: torch.device, sizes: Sequence[str], clips: Sequence[int], frames: int, half: bool
) -> Iterator[str]:
    """The lines of the table, each as soon as it is known; the scan is checked against float64 before any timing.

    Args:
        device: where to measure.
        sizes: of the models: s, b, l, x.
        clips: numbers of clips lifted at once.
        frames: of a clip.
        half: bfloat16 around the scan.

    Raises:
        PoseMambaError: the scan is wrong on this device: no figure is given.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    error = check_scan(device)
    if not error < 1e-4:
        raise PoseMambaError(f"{name}: the scan differs from float64 by {error:.1e}, expected 1e-4: no timings")
    yield f"{name}, torch {torch.__version__}; scan against float64: {error:.1e}; {frames} frames, medians"
    dtype = torch.bfloat16 if half else torch.float32
    yield f"{'scan of one layer':<20} {'clips':>6} {'width':>6} {'forward ms':>12} {'with backward':>14}"
    for width in sorted({PoseMambaConfig.preset(size).inner_width for size in sizes}):
        for count in clips:
            forward, both = _scan_times(count, frames, width, device, dtype)
            yield f"{'':<20} {count:>6} {width:>6} {forward:>12.2f} {both:>14.2f}"
    yield f"{'whole model':<20} {'clips':>6} {'size':>6} {'forward ms':>12} {'training step':>14} {'peak MB':>9}"
    for size in sizes:
        for count in clips:
            forward, both, peak = _model_times(size, count, frames, device, half)
            shown = "" if math.isnan(peak) else f"{peak:>9.0f}"
            yield f"{'':<20} {count:>6} {size:>6} {forward:>12.2f} {both:>14.2f} {shown}".rstrip()
