"""The check of a whole model against the same weights in float64, before it is timed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from posemamba.ops.runtime.settings import use
from posemamba.ops.scan.selftest import relative_error

MODEL_FRAMES = 6  # frames of the clips for the check, few as float64 runs step by step
# Bounds for rounding to 24, 11 and 8 bits in each of up to 40 blocks; measured on CPUs: 1e-6 and, bfloat16, 2e-2.
MODEL_BOUNDS = {"float32": 1e-4, "tf32": 2e-2, "bf16": 5e-2}


@torch.no_grad()
def check_model(model: nn.Module, device: torch.device, run: Callable[[nn.Module, Tensor], Tensor]) -> float:
    """Return the largest error of a model against the same weights in float64, relative to the largest output.

    Args:
        model: on the CPU; it is moved to `device`, and its parameters that start as zeros or ones (norms, biases,
            embeddings) are perturbed, so that each part has an effect.
        device: the device on which it is timed.
        run: calls a model as it is timed, in the timed precision.
    """
    g = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "embed" in name or "A_log" in name:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    x = torch.randn(2, MODEL_FRAMES, 17, 2, generator=g)
    # with gradients, so that a faulty fast path of inference is found; with the reference in any environment
    with torch.enable_grad(), use(scan="reference"):
        want = copy.deepcopy(model).eval().double()(x.double())
    return relative_error(run(model.eval().to(device), x.to(device)), want)
