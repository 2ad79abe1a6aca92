"""PoseMamba's forward pass on a CPU without gradients: the same weights and results, three kernels a layer.

`PoseMamba.forward` comes here by itself when `applies` says so; POSEMAMBA_FUSED=off switches it off. A change of a
parameter is noticed as in `posemamba.ops.fused.gpu`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from posemamba.ops.fused.weights import LayerWeights, Weights
from posemamba.ops.runtime.settings import fused_mode
from posemamba.ops.scan import choose_backend
from posemamba.ops.scan.orders import scan_map

if TYPE_CHECKING:
    from posemamba.models.posemamba import PoseMamba

__all__ = ["applies", "features", "forward"]

WHOLE = 64  # the model's width is a multiple of it: no product has a remainder


class _Layer:
    """One layer's weights as the kernels take them: NumPy arrays, products' weights packed."""

    def __init__(self, weights: LayerWeights) -> None:
        from posemamba.ops.fused.cpu.kernels import pack

        w = weights
        self.start = [x.numpy() for x in (w.norm_weight, w.norm_bias, pack(w.weight_x), pack(w.weight_z))]
        self.middle = [x.contiguous().numpy() for x in (w.taps, w.conv_bias, pack(w.x_proj))]
        self.scan = [x.numpy() for x in (w.dt_weight, w.a2, w.skip, w.dt_bias)]
        end = (w.out_norm_weight, w.out_norm_bias, pack(w.weight_out), w.norm2_weight, w.norm2_bias)
        mlp = (pack(w.weight_1), w.bias_1, pack(w.weight_2), w.bias_2)
        self.end = [x.numpy() for x in (*end, *mlp)]


class _FastModel:
    """What is kept of a model: its weights in the kernels' layout, and hooks that would not be called."""

    def __init__(self, model: PoseMamba) -> None:
        self.weights = Weights(model, torch.float32, torch.device("cpu"))
        self.layers = [_Layer(layer) for layer in self.weights.layers]
        parts = [module for module in model.modules() if module is not model]
        self.hooks = [hooks for part in parts for hooks in (part._forward_hooks, part._forward_pre_hooks)]

    def refresh(self, model: PoseMamba) -> None:
        if self.weights.refresh(model):
            self.layers = [_Layer(layer) for layer in self.weights.layers]


_fast_models: WeakKeyDictionary[PoseMamba, _FastModel] = WeakKeyDictionary()


def _fast_model(model: PoseMamba) -> _FastModel:
    if model not in _fast_models:
        with torch.inference_mode(False), torch.no_grad():  # the copies are kept, and updated elsewhere too
            _fast_models[model] = _FastModel(model)
    return _fast_models[model]


def applies(model: PoseMamba, x: Tensor) -> bool:
    """Whether `forward` can stand in for the plain model here: float32 on a CPU, no gradient, no dropping."""
    if x.device.type != "cpu" or model.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    return (
        type(x) is Tensor
        and x.dtype == model.Spatial_pos_embed.dtype == torch.float32
        and model.Spatial_pos_embed.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and model.config.width % WHOLE == 0
        and fused_mode() != "off"
        and choose_backend(x.device, x.dtype) == "numba"
        and not any(_fast_model(model).hooks)
    )


def forward(model: PoseMamba, x_BTJC: Tensor) -> Tensor:
    """What `model(x_BTJC)` computes: (B, T, J, C) to (B, T, J, 3)."""
    fast = _fast_model(model)
    with torch.inference_mode(False), torch.no_grad():
        fast.refresh(model)
        x_BTJE, ends = _run(fast, model, x_BTJC), fast.weights.ends
        normed = F.layer_norm(x_BTJE, x_BTJE.shape[-1:], ends.head_norm_weight, ends.head_norm_bias, model.head[0].eps)  # type: ignore[arg-type]
        return F.linear(normed, ends.head_weight, ends.head_bias)


def features(model: PoseMamba, x_BTJC: Tensor) -> Tensor:
    """What `model.features(x_BTJC)` computes: (B, T, J, C) to (B, T, J, E)."""
    fast = _fast_model(model)
    with torch.inference_mode(False), torch.no_grad():
        fast.refresh(model)
        return _run(fast, model, x_BTJC)


def _run(fast: _FastModel, model: PoseMamba, x_BTJC: Tensor) -> Tensor:
    from posemamba.ops.fused.cpu import kernels
    from posemamba.ops.scan import cpu

    config, ends = model.config, fast.weights.ends
    B, T, J, _ = x_BTJC.shape
    E, D, N = config.width, config.inner_width, B * T * J
    maps = scan_map(config.scan_order, T, J, config.limb_order)
    x, y, inner, gate, u, proj = kernels.buffers(N, (E, D, D, D, D, fast.weights.layers[0].x_proj.shape[0]))
    x_BTJE = torch.from_numpy(x)[:N].view(B, T, J, E)
    x_BTJE.copy_(F.linear(config.placed(x_BTJC), ends.embed_weight, ends.embed_bias) + ends.joint_embedding)
    spatial = ends.spatial_norm_weight.numpy(), ends.spatial_norm_bias.numpy()
    temporal = ends.temporal_norm_weight.numpy(), ends.temporal_norm_bias.numpy()
    eps, eps_inner = model.Spatial_norm.eps, model.STEblocks[0].op.out_norm.eps  # type: ignore[union-attr]

    cpu.with_threads(kernels.enter, x, inner, gate, *fast.layers[0].start, eps)
    for i, layer in enumerate(fast.layers):
        cpu.with_threads(kernels.convolve, inner, u, proj, *layer.middle, B, T, J)
        cpu.scan_tokens(
            u[:N].reshape(B, T * J, D), proj[:N].reshape(B, T * J, -1), layer.scan, maps, y[:N].reshape(B, T * J, D)
        )
        following: Any = fast.layers[min(i + 1, len(fast.layers) - 1)].start
        go_on = 0 < i < len(fast.layers) - 1  # after the first layer the embedding of frames comes in between
        norm = spatial if i % 2 == 0 else temporal
        cpu.with_threads(kernels.leave, x, y, gate, inner, *layer.end, *norm, *following, eps_inner, eps, go_on)
        if i == 0:
            x_BTJE += ends.frame_embedding[:T, None]
            cpu.with_threads(kernels.enter, x, inner, gate, *following, eps)
    return x_BTJE
