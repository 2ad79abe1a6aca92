"""Self-test of the scan and its gradients against float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from posemamba.ops.scan import selective_scan
from posemamba.poses.skeletons import LIMB_ORDER

SCAN_BOUND = 1e-4
GRADIENT_BOUND = 1e-4


def scan_inputs(
    clips: int, frames: int, inner_width: int, rank: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Make random inputs of `selective_scan` like those inside a trained model."""
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


def relative_error(got: Tensor, want: Tensor) -> float:
    """Return the largest difference, relative to the largest wanted value; infinite if anything is not finite."""
    difference = (got.detach().to(want.device, torch.float64) - want.detach().double()).abs().max()
    error = (difference / want.detach().double().abs().max()).item()
    return error if error == error else float("inf")


def check_scan(device: torch.device, *, clips: int = 2, frames: int = 21, inner_width: int = 64) -> float:
    """Return the largest error of the scan against float64, relative to the largest output."""
    inputs = scan_inputs(clips, frames, inner_width, max(1, inner_width // 32), device, torch.float32)
    exact = {name: value.double() for name, value in inputs.items()}
    with torch.no_grad():
        got = selective_scan(**inputs, limb=LIMB_ORDER)
        return relative_error(got, selective_scan(**exact, limb=LIMB_ORDER, backend="reference"))


def check_scan_gradients(device: torch.device) -> float:
    """Return the largest error of the gradients of the scan's inputs and weights, relative to their largest values."""

    def gradients(dtype: torch.dtype, **options: str) -> tuple[Tensor, ...]:
        inputs = scan_inputs(2, 11, 64, 4, device, torch.float32)
        trained = {name: value.to(dtype).requires_grad_() for name, value in inputs.items()}
        y = selective_scan(**trained, limb=LIMB_ORDER, **options)  # type: ignore[arg-type]
        weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y)
        return torch.autograd.grad((y * weight).sum(), list(trained.values()))

    pairs = zip(gradients(torch.float32), gradients(torch.float64, backend="reference"), strict=True)
    return max(relative_error(got, want) for got, want in pairs)
