"""A model's weights as the kernels want them: types, halves and layouts, copied once and kept up to date in place.

The addresses of the copies never change, so that a captured CUDA graph goes on with new weights. No model is known
here: a `Source` hands over its tensors and the few numbers of its `ModelLayout`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Protocol

import torch
from torch import Tensor

from posemamba.ops.scan.reference import Parameters


def centre(x_BTJC: Tensor) -> Tensor:
    """Take x and y relative to their mean over a clip's frames and joints; a confidence stays as it is."""
    xy = x_BTJC[..., :2]
    return torch.cat([xy - xy.mean((1, 2), keepdim=True), x_BTJC[..., 2:]], -1)


@dataclass(frozen=True)
class ModelLayout:
    """The numbers that the kernels must know of a model besides its tensors.

    Attributes:
        width: E; the inner width D is twice as much.
        scan_order, limb_order: as the scan takes them.
        centred: `centre` the input first.
        eps, inner_eps, head_eps: of the norms of width E, of the norm after the scan and of the head's norm.
    """

    width: int
    scan_order: str
    limb_order: tuple[int, ...]
    centred: bool
    eps: float
    inner_eps: float
    head_eps: float

    def placed(self, x_BTJC: Tensor) -> Tensor:
        """Return the input as it is embedded."""
        return centre(x_BTJC) if self.centred else x_BTJC


class Source(Protocol):
    """A model that hands its weights to the fused passes. `PoseMamba` is one."""

    training: bool

    @property
    def dtype(self) -> torch.dtype:
        """The parameters' type."""

    @property
    def device(self) -> torch.device:
        """The parameters' device."""

    def layout(self) -> ModelLayout:
        """Return what the kernels must know besides tensors."""

    def tensors(self) -> Iterator[LayerWeights | EndWeights]:
        """Yield the layers' weights, spatial and temporal in turn, and at last the ends'."""

    def intact_parameters(self) -> list[Tensor] | None:
        """Return all parameters behind `tensors`; None if the model computes anything else than as it was built."""

    def difference(self) -> str:
        """Name what makes `intact_parameters` None; '' if it is not."""


@dataclass
class LayerWeights:
    """The weights of a layer. Products' operands have the type that was asked for, all else is float32.

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

    @classmethod
    def of(
        cls,
        *,
        norm: tuple[Tensor, Tensor],
        in_proj: Tensor,
        conv: tuple[Tensor, Tensor],
        x_proj: Tensor,
        dt_projs: tuple[Tensor, Tensor],
        A_logs: Tensor,
        Ds: Tensor,
        out_norm: tuple[Tensor, Tensor],
        out_proj: Tensor,
        norm2: tuple[Tensor, Tensor],
        fc1: tuple[Tensor, Tensor],
        fc2: tuple[Tensor, Tensor],
    ) -> LayerWeights:
        """Arrange a layer's parameters: views of them, or results of small computations.

        Args:
            norm, out_norm, norm2: weight and bias, (E,), (D,) and (E,) each.
            in_proj, out_proj: (2D, E) and (E, D).
            conv: weight (D, 1, 3, 3) and bias (D,).
            x_proj: (K, R + 2N, D).
            dt_projs: weight (K, D, R) and bias (K, D).
            A_logs, Ds: (K * D, N) and (K * D,).
            fc1, fc2: weight and bias, (H, E) and (H,), (E, H) and (E,).
        """
        D = out_proj.shape[1]
        A = -torch.exp(A_logs.float()).view(-1, D, A_logs.shape[-1])
        scan = Parameters.of(*dt_projs, A, Ds.view(-1, D))
        return cls(
            norm_weight=norm[0],
            norm_bias=norm[1],
            weight_x=in_proj[:D],
            weight_z=in_proj[D:],
            taps=conv[0].reshape(D, 9).T,
            conv_bias=conv[1],
            x_proj=x_proj.flatten(0, 1),
            dt_weight=scan.weight,
            dt_bias=scan.bias,
            a2=scan.a2,
            skip=scan.skip,
            out_norm_weight=out_norm[0],
            out_norm_bias=out_norm[1],
            weight_out=out_proj,
            norm2_weight=norm2[0],
            norm2_bias=norm2[1],
            weight_1=fc1[0],
            bias_1=fc1[1],
            weight_2=fc2[0],
            bias_2=fc2[1],
        )

    @property
    def scan(self) -> Parameters:
        """The scan's parameters."""
        return Parameters(self.dt_weight, self.dt_bias, self.a2, self.skip)


OPERANDS = ("weight_x", "weight_z", "x_proj", "weight_out", "weight_1", "weight_2")


@dataclass
class EndWeights:
    """Weights before the first and after the last layer, and of the norms after every layer; all float32.

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


class UnevenWeightsError(ValueError):
    """Parameters of several types or on several devices."""


def unevenness(parameters: Sequence[Tensor]) -> str:
    """Name two types or two devices if the parameters have several; '' if not."""
    for kind in ("dtype", "device"):
        found = sorted({str(getattr(p, kind)) for p in parameters})
        if len(found) > 1:
            return f"parameters are {' and '.join(found)}"
    return ""


def _tensors(group: LayerWeights | EndWeights) -> list[Tensor]:
    return [getattr(group, field.name) for field in fields(group)]


class Weights:
    """Copies of a model's weights for the kernels.

    Attributes:
        layers: 2 * depth of them, spatial and temporal in turn.
        ends: what is not in a layer.
        seen: the parameters as they were when they were copied. They share memory with the model's, so that no new
            parameter can come to lie at the address of an old one unnoticed.
    """

    def __init__(self, model: Source, dtype: torch.dtype, device: torch.device) -> None:
        def empty_like(group: LayerWeights | EndWeights) -> LayerWeights | EndWeights:
            made = {}
            for field, tensor in zip(fields(group), _tensors(group), strict=True):
                kind = dtype if field.name in OPERANDS else torch.float32
                made[field.name] = torch.empty(tensor.shape, dtype=kind, device=device)
            return type(group)(**made)

        with torch.no_grad():
            self._groups = [empty_like(group) for group in model.tensors()]
        self.layers: list[LayerWeights] = [group for group in self._groups if isinstance(group, LayerWeights)]
        (self.ends,) = [group for group in self._groups if isinstance(group, EndWeights)]
        self.seen: list[Tensor] = []
        self._stamp: list[list[object]] = []
        self.refresh(model)

    def refresh(self, model: Source, parameters: list[Tensor] | None = None) -> bool:
        """Copy the model's weights again if any was changed since.

        A change is noticed by a parameter's address, strides or version, not by its contents.

        Args:
            model: as at the start.
            parameters: the model's `intact_parameters`, if they are known already.

        Returns:
            Whether any was changed.

        Raises:
            UnevenWeightsError: the parameters have several types or devices now.
            ValueError: the model has other modules or parameters than at the start.
        """
        parameters = model.intact_parameters() if parameters is None else parameters
        if parameters is None:
            raise ValueError(f"not the model that the weights are of: {model.difference()}")
        stamp = _stamp(parameters)
        if stamp == self._stamp:
            return False
        self.copy(model, parameters)
        self._stamp = stamp
        return True

    def copy(self, model: Source, parameters: list[Tensor]) -> None:
        """Copy the model's weights; otherwise as `refresh`."""
        if reason := unevenness(parameters):
            raise UnevenWeightsError(reason)
        kept = [tensor for group in self._groups for tensor in _tensors(group)]
        with torch.no_grad():
            now = [tensor for group in model.tensors() for tensor in _tensors(group)]
            for old, new in zip(kept, now, strict=True):
                if old.shape != new.shape:  # it would be broadcast without a word
                    raise ValueError(f"a weight of shape {tuple(new.shape)}, expected {tuple(old.shape)}")
            torch._foreach_copy_(kept, now)
            self.seen = [parameter.detach() for parameter in parameters]


_version = attrgetter("_version")


def _stamp(parameters: list[Tensor]) -> list[list[object]]:
    """Look up what changes with a parameter: its address, its version, its strides if it is not contiguous."""
    try:
        versions = list(map(_version, parameters))
    except RuntimeError:  # tensors made in inference mode have none
        versions = [0 if p.is_inference() else p._version for p in parameters]
    contiguous = all(map(Tensor.is_contiguous, parameters))
    strides = [] if contiguous else [parameter.stride() for parameter in parameters]
    return [list(map(Tensor.data_ptr, parameters)), versions, strides]  # type: ignore[list-item]
