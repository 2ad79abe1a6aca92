"""A model's forward pass on an NVIDIA GPU without gradients: the same weights and results, a few kernels a layer.

`posemamba.ops.fused.run` comes here. For few clips the kernels are replayed as a CUDA graph. The switch `fused` of
`posemamba.ops.runtime.settings` says when: 'eager' for no graphs, 'graph' for graphs however many clips there are.

Products have bfloat16 operands under autocast to bfloat16, or if the parameters are bfloat16, and float32 operands
otherwise; embedding, norms, activations, residual stream and head are float32 in any case.

A change of a parameter is noticed by its address and version. Not noticed, since PyTorch counts no version there:
writing through `parameter.data`, and some operations on lists of tensors on a GPU (`torch._foreach_lerp_`). Reading
the weights' memory back would wait for the device. Call the model's `reload_weights()` then.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from posemamba.ops.fused.gpu.graphs import Graphs
from posemamba.ops.fused.gpu.layers import forward_and_features
from posemamba.ops.fused.weights import ModelLayout, Source, UnevenWeightsError, Weights
from posemamba.ops.runtime import triton as triton_support
from posemamba.ops.runtime.settings import fused_mode
from posemamba.ops.scan import choose_backend

__all__ = ["forget", "run", "why_not"]

WIDTHS = {torch.bfloat16: (16, 32, 64, 128, 256), torch.float32: (16, 32, 64, 128)}  # more would spill registers
EPS = (1e-6, 1e-5, 1e-5)  # of the layout's three kinds of norms, as the kernels have it
GRAPH_TOKENS = 4 * 243 * 17  # up to so many, starting the kernels takes longer than running them


class _FastModel:
    """The weights and graphs of one model, for one type and device.

    Attributes:
        trusted: the model was as it was built at its last call.
    """

    def __init__(self, model: Source, layout: ModelLayout, dtype: torch.dtype, device: torch.device) -> None:
        self.layout = layout
        self.weights = Weights(model, dtype, device)
        self.graphs = Graphs(self.weights, layout) if device.type == "cuda" else None
        self.trusted = True

    def compute(self, x_BTJC: Tensor, graph: bool, features: bool) -> Tensor:
        """Return the output, or what the last layer knows, with the weights as they were copied last."""
        if graph and self.graphs is not None and not torch.cuda.is_current_stream_capturing():
            y = self.graphs(x_BTJC, features)
            if y is not None:
                return y
        return forward_and_features(x_BTJC, self.weights, self.layout)[features]


_fast_models: WeakKeyDictionary[Source, dict[tuple[torch.dtype, torch.device], _FastModel]] = WeakKeyDictionary()


def _product_type(model: Source, device: torch.device) -> torch.dtype:
    """Return the type of the products' operands."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return model.dtype


def why_not(model: Source, x: Tensor) -> str:
    """Name what of the model's kind, the input or the GPU the kernels cannot take; '' if they can."""
    dtype, layout = _product_type(model, x.device), model.layout()
    if layout.width not in WIDTHS.get(dtype, ()):
        known = ", ".join(map(str, WIDTHS.get(dtype, ()))) or "none"
        return f"a width of {layout.width} in {dtype}: the fused kernels' widths are {known}"
    if (layout.eps, layout.inner_eps, layout.head_eps) != EPS:
        return "the norms have another eps than the fused kernels"
    if model.device != x.device:
        return f"the input is on '{x.device}', the model on '{model.device}'"
    if not triton_support.runs(x.device):
        return f"Triton's kernels do not run here: {triton_support.why_not(x.device)}"
    backend = choose_backend(x.device, dtype)
    return "" if backend == "cuda" else f"the scan's backend is '{backend}': the fused kernels contain 'cuda'"


def run(model: Source, x_BTJC: Tensor, features: bool = False) -> Tensor | None:
    """Compute what the model computes of (B, T, J, C), or None if it is not as it was built.

    A shape is captured as a graph when it comes up for the second time.

    Args:
        model: one that `why_not` has nothing against, in evaluation mode.
        x_BTJC: on the model's device.
        features: stop before the head.

    Raises:
        PoseMambaError: the graph could not be made.
    """
    mode = fused_mode()
    graph = mode == "graph" or (mode != "eager" and x_BTJC.shape[:3].numel() <= GRAPH_TOKENS)
    device, layout = x_BTJC.device, model.layout()
    key = (_product_type(model, device), device)
    no_autocast = torch.autocast(device.type, enabled=False)
    # the copies are kept, and updated outside of inference mode too
    with torch.inference_mode(False), torch.no_grad(), no_autocast, torch.cuda.device_of(x_BTJC):
        kept = _fast_models.setdefault(model, {})
        fast = kept.get(key)
        if fast is not None and fast.layout != layout:
            fast = None
        y = None
        if fast is not None and fast.trusted:
            y = fast.compute(x_BTJC, graph, features)  # the model is looked at while the GPU is at work already
        parameters = model.intact_parameters()
        if fast is not None:
            fast.trusted = parameters is not None
        if parameters is None:
            return None
        try:
            if fast is None:
                fast = kept[key] = _FastModel(model, layout, *key)
            elif fast.weights.refresh(model, parameters):
                y = None
        except UnevenWeightsError:
            return None
        return (fast.compute(x_BTJC, graph, features) if y is None else y).to(model.dtype)


def forget(model: Source) -> None:
    """Drop what is kept of the model; its weights are read anew at the next call."""
    _fast_models.pop(model, None)
