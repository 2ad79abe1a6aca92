"""Parameters and operations of any of the models of `posemamba.baselines.kinds`, counted as PyTorch runs them."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_matrix_products(model: nn.Module, frames: int) -> tuple[int, int]:
    """(parameters, multiply-accumulate operations of all matrix products in one forward pass of `frames` frames).

    Nothing is computed, as it runs on PyTorch's meta device. Attention's products and graphs' are in it; norms and
    other work on single elements are not. Not for PoseMamba, whose scans are no matrix products: it has
    `posemamba.measure.count`.
    """
    with torch.device("meta"):
        copy = type(model)(model.config).eval()  # type: ignore[operator]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            copy(torch.empty(1, frames, 17, 2))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2
