"""PoseMamba's forward pass on an NVIDIA GPU without gradients: the same weights and results, a few kernels a layer.

`PoseMamba.forward` comes here by itself when `applies` says so. For few clips the kernels are replayed as a CUDA
graph. The environment variable POSEMAMBA_FUSED switches it: 'off' for the plain model, 'eager' for no graphs,
'graph' for graphs however many clips there are.

Products have bfloat16 operands under autocast to bfloat16, or if the parameters are bfloat16, and float32 operands
otherwise; embedding, norms, activations, residual stream and head are float32 in any case.

A change of a parameter is noticed by its version. Not noticed, since PyTorch counts no version there: writing through
`parameter.data`, some operations on lists of tensors on a GPU (`torch._foreach_lerp_`), and another module put in a
submodule's place. Call `forget(model)` then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from posemamba.ops.fused.gpu.graphs import Graphs
from posemamba.ops.fused.gpu.layers import forward_and_features
from posemamba.ops.fused.weights import Weights
from posemamba.ops.runtime import triton as triton_support
from posemamba.ops.runtime.settings import fused_mode
from posemamba.ops.scan import choose_backend

if TYPE_CHECKING:
    from posemamba.models.posemamba import PoseMamba

__all__ = ["applies", "features", "forget", "forward"]

WIDTHS = {torch.bfloat16: (16, 32, 64, 128, 256), torch.float32: (16, 32, 64, 128)}  # more would spill registers
GRAPH_TOKENS = 4 * 243 * 17  # up to so many, starting the kernels takes longer than running them


class _FastModel:
    """The weights and graphs of one model, for one type and device."""

    def __init__(self, model: PoseMamba, dtype: torch.dtype, device: torch.device) -> None:
        self.weights = Weights(model, dtype, device)
        self.graphs = Graphs(self.weights, model.config) if device.type == "cuda" else None
        self.config = model.config
        # Somebody's hooks on parts of the model would not be called.
        parts = [module for module in model.modules() if module is not model]
        self.hooks = [hooks for part in parts for hooks in (part._forward_hooks, part._forward_pre_hooks)]

    def run(self, x_BTJC: Tensor, graph: bool, features: bool = False) -> Tensor:
        if graph and self.graphs is not None and not torch.cuda.is_current_stream_capturing():
            y = self.graphs(x_BTJC, features)
            if y is not None:
                return y
        return forward_and_features(x_BTJC, self.weights, self.config)[features]


_fast_models: WeakKeyDictionary[PoseMamba, dict[tuple[torch.dtype, torch.device], _FastModel]] = WeakKeyDictionary()


def _product_type(model: PoseMamba, device: torch.device) -> torch.dtype:
    """Of the products' operands."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return model.Spatial_pos_embed.dtype


def _fast_model(model: PoseMamba, device: torch.device) -> _FastModel:
    key = (_product_type(model, device), device)
    kept = _fast_models.setdefault(model, {})
    if key not in kept:
        with torch.inference_mode(False):  # the copies are kept, and updated outside of inference mode too
            kept[key] = _FastModel(model, *key)
    return kept[key]


def applies(model: PoseMamba, x: Tensor) -> bool:
    """Whether `forward` can stand in for the plain model here: no gradient, no dropping, a GPU that runs Triton."""
    if x.device.type != "cuda" or model.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    dtype = _product_type(model, x.device)
    return (
        fused_mode() != "off"
        and model.config.width in WIDTHS.get(dtype, ())
        and model.Spatial_pos_embed.device == x.device
        and triton_support.runs(x.device)
        and choose_backend(x.device, dtype) == "cuda"
        and not any(_fast_model(model, x.device).hooks)
    )


def forward(model: PoseMamba, x_BTJC: Tensor, graph: bool | None = None) -> Tensor:
    """What `model(x_BTJC)` computes, by the kernels of this package.

    Args:
        model: in evaluation mode, on x's device.
        x_BTJC: (B, T, J, C), T up to the model's frames.
        graph: whether to replay a CUDA graph; None: for up to four clips or what POSEMAMBA_FUSED says. A shape is
            captured when it comes up for the second time.

    Returns:
        (B, T, J, 3) in the parameters' type.

    Raises:
        PoseMambaError: the graph could not be made.
    """
    return _run(model, x_BTJC, graph, features=False)


def features(model: PoseMamba, x_BTJC: Tensor, graph: bool | None = None) -> Tensor:
    """What `model.features(x_BTJC)` computes: (B, T, J, E) in the parameters' type; otherwise as `forward`."""
    return _run(model, x_BTJC, graph, features=True)


def _run(model: PoseMamba, x_BTJC: Tensor, graph: bool | None, features: bool) -> Tensor:
    mode = fused_mode()
    if graph is None:
        graph = mode == "graph" or (mode != "eager" and x_BTJC.shape[:3].numel() <= GRAPH_TOKENS)
    fast = _fast_model(model, x_BTJC.device)
    no_autocast = torch.autocast(x_BTJC.device.type, enabled=False)
    with torch.inference_mode(False), torch.no_grad(), no_autocast, torch.cuda.device_of(x_BTJC):
        y = fast.run(x_BTJC, graph, features)
        if fast.weights.refresh(model):  # looked at while the GPU is at work already
            y = fast.run(x_BTJC, graph, features)
        return y.to(model.Spatial_pos_embed.dtype)


def forget(model: PoseMamba) -> None:
    """Drop what is kept for the model; its weights are read anew at the next call."""
    _fast_models.pop(model, None)
