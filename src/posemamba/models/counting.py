"""Parameters and operations of a PoseMamba, as the paper counts them and in full.

The paper's count sees Linear, Conv and LayerNorm modules only. It leaves out the position embeddings, the
projections that depend on the input (x_proj, dt_proj), A, D and the whole scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_block import StateSpace2D
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.scan.operator import STEP_FLOPS, projection_flops

_NORM_MACS = 4  # per element of a LayerNorm, in the paper's count


@dataclass(frozen=True)
class Counts:
    """Parameters of a model, and operations of one forward pass of `frames` frames.

    Attributes:
        frames: T; the operations are for T * 17 tokens.
        paper_parameters: the paper's "Param".
        paper_macs: the paper's "MACs".
        parameters: all of them, the temporal embedding with `PoseMambaConfig.frames` entries.
        macs: multiply-accumulate operations of all linear maps: linear layers, convolutions, x_proj and
            dt_proj.
        scan_flops: floating-point operations of the scans; not contained in `macs`.
    """

    frames: int
    paper_parameters: int
    paper_macs: int
    parameters: int
    macs: int
    scan_flops: int


def count(model: PoseMamba, frames: int | None = None) -> Counts:
    """Count a model by walking its modules.

    Args:
        model: any PoseMamba.
        frames: of the forward pass; None: `model.config.frames`.
    """
    frames = model.config.frames if frames is None else frames
    # every module runs once in a forward pass, but the two norms between the blocks once for each pair
    calls = {model.Spatial_norm: model.config.depth, model.Temporal_norm: model.config.depth}
    parameters = linear = norms = projections = scan = 0
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm):
            parameters += sum(p.numel() for p in module.parameters())
        if isinstance(module, nn.Linear | nn.Conv2d):
            linear += module.weight.numel()  # of a convolution too: its padding keeps the grid
        elif isinstance(module, nn.LayerNorm):
            norms += calls.get(module, 1) * _NORM_MACS * module.normalized_shape[0]
        elif isinstance(module, StateSpace2D):
            projections += module.x_proj_weight.numel() + module.dt_projs_weight.numel()
            scan += STEP_FLOPS * module.A_logs.numel()
    tokens = frames * model.config.joints
    return Counts(
        frames=frames,
        paper_parameters=parameters,
        paper_macs=tokens * (linear + norms),
        parameters=sum(p.numel() for p in model.parameters()),
        macs=tokens * (linear + projections),
        scan_flops=tokens * scan,
    )


def count_preset(size: str, frames: int = 243) -> Counts:
    """Count the paper's variant 's', 'b', 'l' or 'x' made for `frames` frames."""
    return count(PoseMamba(PoseMambaConfig.preset(size, frames=frames)))


def count_matrix_products(model: nn.Module, frames: int) -> tuple[int, int]:
    """(parameters, multiply-accumulate operations of all matrix products in one forward pass of `frames` frames).

    Nothing is computed, as it runs on PyTorch's meta device. Attention's products and graphs' are in it, and the
    projections of scans, but not their recurrence; norms and other work on single elements are not.
    """
    only_projections = {torch.ops.posemamba.selective_scan: projection_flops}
    with torch.device("meta"):
        config: Any = model.config
        copy = type(model)(config).eval()  # type: ignore[call-arg]
        with FlopCounterMode(display=False, custom_mapping=only_projections) as counter, torch.no_grad():
            copy(torch.empty(1, frames, config.joints, 3 if config.confidence else 2))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2
