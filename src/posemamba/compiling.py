"""torch.compile: how many variants of one function it may make, and a model compiled by its layers."""

from __future__ import annotations

from typing import Any

import torch
import torch._dynamo
from torch import nn

MANY_VARIANTS = 64
"""Past PyTorch's own limit of 8 a function would run uncompiled without a word."""
_RENAMED = hasattr(torch._dynamo.config, "recompile_limit")  # PyTorch 2.6 had other names
LIMIT = "recompile_limit" if _RENAMED else "cache_size_limit"
FAIL_ON_LIMIT = "fail_on_recompile_limit_hit" if _RENAMED else "fail_on_cache_limit_hit"
"""Names in `torch._dynamo.config`."""


def compile_by_layers(model: nn.Module, **options: Any) -> None:
    """Fewer, larger kernels by torch.compile: the layers, once for all that are alike, for each size of input.

    A whole MotionAGFormer compiles for minutes on an H100, in training for longer than five.

    Args:
        model: changed in place; its parameters keep their names.
        options: of torch.compile.

    Raises:
        TypeError: a model without layers that are known.
    """
    from posemamba.baselines import motionagformer, motionbert
    from posemamba.model import PoseMamba

    config = torch._dynamo.config
    setattr(config, LIMIT, max(getattr(config, LIMIT), MANY_VARIANTS))
    if isinstance(model, PoseMamba):
        model.compile_layers()
        return
    layers = [module for module in model.modules() if isinstance(module, (motionagformer.Layer, motionbert.Block))]
    for layer in layers:
        layer.compile(dynamic=False, **options)
    if not layers:
        raise TypeError(f"{type(model).__name__} has no layers that are known")
