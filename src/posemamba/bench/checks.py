"""A whole model against the same weights in float64, before it is timed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from posemamba.ops.runtime.settings import use
from posemamba.ops.scan.selftest import relative_error

MODEL_FRAMES = 6  # of the clips on which whole models are compared: float64 runs step by step
# Whole models: rounding to 24, 11 and 8 bits in each of up to 40 blocks; seen on CPUs: 1e-6 and, bfloat16, 2e-2.
MODEL_BOUNDS = {"float32": 1e-4, "tf32": 2e-2, "bf16": 5e-2}


@torch.no_grad()
def check_model(model: nn.Module, device: torch.device, run: Callable[[nn.Module, Tensor], Tensor]) -> float:
    """Largest error of a whole model against the same weights in float64 on the CPU, relative to the largest output.

    Args:
        model: on the CPU; it is changed: moved to `device`, and what starts as zeros or
            ones (norms, biases, embeddings) is shaken, so that every part of it tells.
        device: where it is timed.
        run: calls a model as it is timed, in the precision that is timed.
    """
    g = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "embed" in name or "A_log" in name:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    x = torch.randn(2, MODEL_FRAMES, 17, 2, generator=g)
    # as training runs it, so that a shortcut of inference's own is seen; whatever scan the environment asks for
    with torch.enable_grad(), use(scan="reference"):
        want = copy.deepcopy(model).eval().double()(x.double())
    return relative_error(run(model.eval().to(device), x.to(device)), want)
