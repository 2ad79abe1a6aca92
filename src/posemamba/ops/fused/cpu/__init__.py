"""A model's forward pass on a CPU without gradients: the same weights and results, three kernels a layer.

`posemamba.ops.fused.run` comes here. All changes of weights are noticed, also those that PyTorch does not count
(`parameter.data.mul_(2)`): each call takes a fingerprint of their memory.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from posemamba.ops.fused.weights import LayerWeights, ModelLayout, Source, UnevenWeightsError, Weights
from posemamba.ops.scan import choose_backend
from posemamba.ops.scan.orders import scan_map

__all__ = ["forget", "run", "why_not"]

WHOLE = 64  # the model's width is a multiple of it: no product has a remainder
PIECE = 16384  # numbers that one thread takes a fingerprint of at a time


class _Layer:
    """A layer's weights as the kernels take them: NumPy arrays, products' weights packed."""

    def __init__(self, weights: LayerWeights) -> None:
        from posemamba.ops.fused.cpu.kernels import pack

        w = weights
        self.start = [x.numpy() for x in (w.norm_weight, w.norm_bias, pack(w.weight_x), pack(w.weight_z))]
        self.middle = [x.contiguous().numpy() for x in (w.taps, w.conv_bias, pack(w.x_proj))]
        self.scan = [x.numpy() for x in (w.dt_weight, w.a2, w.skip, w.dt_bias)]
        end = (w.out_norm_weight, w.out_norm_bias, pack(w.weight_out), w.norm2_weight, w.norm2_bias)
        mlp = (pack(w.weight_1), w.bias_1, pack(w.weight_2), w.bias_2)
        self.end = [x.numpy() for x in (*end, *mlp)]


class _Fingerprint:
    """Numbers that change with any bit of some float32 tensors, wherever they are strided over.

    The tensors must stay where they are.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        pieces = []
        for tensor in tensors:
            numbers = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
            for start in range(0, numbers, PIECE):
                pieces.append((tensor.data_ptr() + tensor.element_size() * start, min(PIECE, numbers - start)))
        self._pieces = np.array(pieces, dtype=np.int64).T.copy()
        self._value = self._take()

    def _take(self) -> np.ndarray:
        from posemamba.ops.fused.cpu.kernels import fingerprint
        from posemamba.ops.scan.cpu import with_threads

        value = np.empty(self._pieces.shape[1], dtype=np.uint64)
        with_threads(fingerprint, *self._pieces, value, len(value))
        return value

    def changed(self) -> bool:
        """Tell whether any bit is another than when this was made."""
        return not np.array_equal(self._take(), self._value)


class _FastModel:
    """The state kept for a model: its weights in the kernels' layout."""

    def __init__(self, model: Source) -> None:
        self.layout = model.layout()
        self.weights = Weights(model, torch.float32, torch.device("cpu"))
        self._pack()

    def _pack(self) -> None:
        self.layers = [_Layer(layer) for layer in self.weights.layers]
        self._fingerprint = _Fingerprint(self.weights.seen)

    def refresh(self, model: Source, parameters: list[Tensor]) -> None:
        """Follow the model's weights."""
        if self.weights.refresh(model, parameters):
            self._pack()
        elif self._fingerprint.changed():
            self.weights.copy(model, parameters)
            self._pack()


_fast_models: WeakKeyDictionary[Source, _FastModel] = WeakKeyDictionary()


def why_not(model: Source, x: Tensor) -> str:
    """Name what of the model's kind or of the input the kernels cannot take; '' if they can."""
    if x.dtype != torch.float32 or model.dtype != torch.float32:
        return f"input {x.dtype}, model {model.dtype}: the fused kernels on a CPU compute in torch.float32"
    if model.device.type != "cpu":
        return f"the input is on a CPU, the model on '{model.device}'"
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on: the fused kernels on a CPU compute in torch.float32"
    if width := model.layout().width % WHOLE:
        return f"a width of {width}: the fused kernels on a CPU want a multiple of {WHOLE}"
    backend = choose_backend(x.device, x.dtype)
    return "" if backend == "numba" else f"the scan's backend is '{backend}': the fused kernels contain 'numba'"


def run(model: Source, x_BTJC: Tensor, features: bool = False) -> Tensor | None:
    """Compute what the model computes of (B, T, J, C), or None if it is not as it was built.

    Args:
        model: one that `why_not` has nothing against, in evaluation mode.
        x_BTJC: on a CPU, float32.
        features: stop before the head.
    """
    parameters = model.intact_parameters()
    if parameters is None:
        return None
    with torch.inference_mode(False), torch.no_grad():  # what is kept is updated elsewhere too
        fast = _fast_models.get(model)
        try:
            if fast is None or fast.layout != model.layout():
                fast = _fast_models[model] = _FastModel(model)
            else:
                fast.refresh(model, parameters)
        except UnevenWeightsError:
            return None
        x_BTJE, ends = _forward(fast, x_BTJC), fast.weights.ends
        if features:
            return x_BTJE
        shape, eps = x_BTJE.shape[-1:], fast.layout.head_eps
        normed = F.layer_norm(x_BTJE, shape, ends.head_norm_weight, ends.head_norm_bias, eps)
        return F.linear(normed, ends.head_weight, ends.head_bias)


def forget(model: Source) -> None:
    """Drop what is kept of the model."""
    _fast_models.pop(model, None)


def _forward(fast: _FastModel, x_BTJC: Tensor) -> Tensor:
    """Compute what the last layer knows of each joint: (B, T, J, E)."""
    from posemamba.ops.fused.cpu import kernels
    from posemamba.ops.scan import cpu

    layout: ModelLayout = fast.layout
    ends = fast.weights.ends
    B, T, J, _ = x_BTJC.shape
    E, D, N = layout.width, 2 * layout.width, B * T * J
    maps = scan_map(layout.scan_order, T, J, layout.limb_order)
    first: Any = fast.weights.layers[0]
    P, H, items = len(first.x_proj), len(first.bias_1), kernels.whole_items(N) // kernels.TOKENS
    x, y, inner, gate, u, proj = kernels.buffers(N, (E, D, D, D, D, P))
    x_BTJE = torch.from_numpy(x)[:N].view(B, T, J, E)
    x_BTJE.copy_(F.linear(layout.placed(x_BTJC), ends.embed_weight, ends.embed_bias) + ends.joint_embedding)
    spatial = ends.spatial_norm_weight.numpy(), ends.spatial_norm_bias.numpy()
    temporal = ends.temporal_norm_weight.numpy(), ends.temporal_norm_bias.numpy()
    eps, eps_inner = layout.eps, layout.inner_eps

    cpu.with_threads(kernels.enter, x, inner, gate, *fast.layers[0].start, eps, items, E, D)
    for i, layer in enumerate(fast.layers):
        cpu.with_threads(kernels.convolve, inner, u, proj, *layer.middle, B, T, J, items, D, P)
        cpu.scan_tokens(
            u[:N].reshape(B, T * J, D), proj[:N].reshape(B, T * J, -1), layer.scan, maps, y[:N].reshape(B, T * J, D)
        )
        following: Any = fast.layers[min(i + 1, len(fast.layers) - 1)].start
        go_on = 0 < i < len(fast.layers) - 1  # after the first layer the embedding of frames comes in between
        norm = spatial if i % 2 == 0 else temporal
        cpu.with_threads(
            kernels.leave, x, y, gate, inner, *layer.end, *norm, *following, eps_inner, eps, go_on, items, E, D, H
        )
        if i == 0:
            x_BTJE += ends.frame_embedding[:T, None]
            cpu.with_threads(kernels.enter, x, inner, gate, *following, eps, items, E, D)
    return x_BTJE
