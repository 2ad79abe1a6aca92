"""A model's weights as the kernels want them: types, halves and layouts, copied once and kept up to date in place.

The addresses of the copies never change, so that a captured CUDA graph goes on with new weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from posemamba.ops.scan.gpu import Parameters

if TYPE_CHECKING:
    from posemamba.models.posemamba import Block, PoseMamba


@dataclass
class LayerWeights:
    """One layer. Products' operands have the type that was asked for, all else is float32.

    Attributes:
        norm_weight, norm_bias: (E,) before the in-projection.
        weight_x, weight_z: (D, E) each, the halves of the in-projection.
        taps, conv_bias: (9, D) and (D,).
        x_proj: (K * (R + 2N), D).
        dt_weight, dt_bias, a2, skip: (K, R, D), (K, D), (K, N, D), (K, D), the scan's `Parameters`.
        out_norm_weight, out_norm_bias: (D,).
        weight_out: (E, D).
        norm2_weight, norm2_bias: (E,) before the MLP.
        weight_1, bias_1, weight_2, bias_2: (H, E), (H,), (E, H), (E,), the MLP.
    """

    norm_weight: Tensor
    norm_bias: Tensor
    weight_x: Tensor
    weight_z: Tensor
    taps: Tensor
    conv_bias: Tensor
    x_proj: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    a2: Tensor
    skip: Tensor
    out_norm_weight: Tensor
    out_norm_bias: Tensor
    weight_out: Tensor
    norm2_weight: Tensor
    norm2_bias: Tensor
    weight_1: Tensor
    bias_1: Tensor
    weight_2: Tensor
    bias_2: Tensor

    @property
    def scan(self) -> Parameters:
        """What the scan takes."""
        return Parameters(self.dt_weight, self.dt_bias, self.a2, self.skip)


OPERANDS = ("weight_x", "weight_z", "x_proj", "weight_out", "weight_1", "weight_2")


@dataclass
class EndWeights:
    """What comes before the first and after the last layer, and the norms after every layer; all float32.

    Attributes:
        embed_weight, embed_bias: (E, C) and (E,), C numbers of a joint.
        joint_embedding, frame_embedding: (J, E) and (frames, E).
        spatial_norm_weight, spatial_norm_bias, temporal_norm_weight, temporal_norm_bias: (E,).
        head_norm_weight, head_norm_bias, head_weight, head_bias: (E,), (E,), (3, E), (3,).
    """

    embed_weight: Tensor
    embed_bias: Tensor
    joint_embedding: Tensor
    frame_embedding: Tensor
    spatial_norm_weight: Tensor
    spatial_norm_bias: Tensor
    temporal_norm_weight: Tensor
    temporal_norm_bias: Tensor
    head_norm_weight: Tensor
    head_norm_bias: Tensor
    head_weight: Tensor
    head_bias: Tensor


def _read_layer(block: Block) -> LayerWeights:
    """The layer's weights as they are now: views, or results of small computations."""
    op, mlp = block.op, block.mlp
    D = op.out_proj.in_features
    A = -torch.exp(op.A_logs.float()).view(-1, D, op.A_logs.shape[-1])
    scan = Parameters.of(op.dt_projs_weight, op.dt_projs_bias, A, op.Ds.view(-1, D))
    return LayerWeights(
        norm_weight=block.norm.weight,
        norm_bias=block.norm.bias,
        weight_x=op.in_proj.weight[:D],
        weight_z=op.in_proj.weight[D:],
        taps=op.conv2d.weight.reshape(D, 9).T,
        conv_bias=op.conv2d.bias,  # type: ignore[arg-type]
        x_proj=op.x_proj_weight.flatten(0, 1),
        dt_weight=scan.weight,
        dt_bias=scan.bias,
        a2=scan.a2,
        skip=scan.skip,
        out_norm_weight=op.out_norm.weight,
        out_norm_bias=op.out_norm.bias,
        weight_out=op.out_proj.weight,
        norm2_weight=block.norm2.weight,
        norm2_bias=block.norm2.bias,
        weight_1=mlp.fc1.weight,
        bias_1=mlp.fc1.bias,
        weight_2=mlp.fc2.weight,
        bias_2=mlp.fc2.bias,
    )


def _read_ends(model: PoseMamba) -> EndWeights:
    norm, linear = model.head
    assert isinstance(norm, nn.LayerNorm) and isinstance(linear, nn.Linear)
    return EndWeights(
        embed_weight=model.Spatial_patch_to_embedding.weight,
        embed_bias=model.Spatial_patch_to_embedding.bias,
        joint_embedding=model.Spatial_pos_embed[0],
        frame_embedding=model.Temporal_pos_embed[0],
        spatial_norm_weight=model.Spatial_norm.weight,
        spatial_norm_bias=model.Spatial_norm.bias,
        temporal_norm_weight=model.Temporal_norm.weight,
        temporal_norm_bias=model.Temporal_norm.bias,
        head_norm_weight=norm.weight,
        head_norm_bias=norm.bias,
        head_weight=linear.weight,
        head_bias=linear.bias,
    )


def _read(model: PoseMamba) -> Iterator[LayerWeights | EndWeights]:
    for pair in zip(model.STEblocks, model.TTEblocks, strict=True):
        for block in pair:
            yield _read_layer(block)  # type: ignore[arg-type]
    yield _read_ends(model)


def _tensors(group: LayerWeights | EndWeights) -> list[Tensor]:
    return [getattr(group, field.name) for field in fields(group)]


class Weights:
    """Copies of a model's weights for the kernels.

    Attributes:
        layers: 2 * depth of them, spatial and temporal in turn.
        ends: what is not in a layer.
    """

    def __init__(self, model: PoseMamba, dtype: torch.dtype, device: torch.device) -> None:
        def empty_like(group: LayerWeights | EndWeights) -> LayerWeights | EndWeights:
            made = {}
            for field, tensor in zip(fields(group), _tensors(group), strict=True):
                kind = dtype if field.name in OPERANDS else torch.float32
                made[field.name] = torch.empty(tensor.shape, dtype=kind, device=device)
            return type(group)(**made)

        # Where parameters are looked up, rather than the parameters: one may be replaced by another.
        self._places = [
            (module._parameters, name)
            for module in model.modules()
            for name, parameter in module._parameters.items()
            if parameter is not None
        ]
        with torch.no_grad():
            self._groups = [empty_like(group) for group in _read(model)]
        self.layers: list[LayerWeights] = [group for group in self._groups if isinstance(group, LayerWeights)]
        (self.ends,) = [group for group in self._groups if isinstance(group, EndWeights)]
        self._stamp: list[tuple[int, int]] = []
        self.refresh(model)

    def _look(self) -> list[tuple[int, int]]:
        """An address and a version of each parameter: whether any was changed since."""
        now = [parameters[name] for parameters, name in self._places]
        return [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in now if p is not None]

    def refresh(self, model: PoseMamba) -> bool:
        """Copy the model's weights again if any was changed; whether it was."""
        now = self._look()
        if now == self._stamp:
            return False
        kept = [tensor for group in self._groups for tensor in _tensors(group)]
        with torch.no_grad():
            torch._foreach_copy_(kept, [tensor for group in _read(model) for tensor in _tensors(group)])
        self._stamp = now
        return True
