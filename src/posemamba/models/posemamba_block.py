"""The block of a PoseMamba, and the state-space layer in it: four selective scans over a grid of frames and joints.

Shapes in names: B clips, T frames, J joints; E model width, D = 2E inner width, R = ceil(E / 16) rank of the step size,
N = 16 states, K = 4 scan directions, P = R + 2N numbers that a token gives to a direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posemamba.models.integrity import is_untouched
from posemamba.models.layers import MLP
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.conv_silu import conv_silu
from posemamba.ops.fused.weights import LayerWeights
from posemamba.ops.scan import project, scan
from posemamba.ops.scan.orders import DIRECTIONS

STATES = 16
EPS = 1e-6
"""The epsilon of the norms before and after blocks."""
INNER_EPS = 1e-5
"""The epsilon of the norm after the scan."""


class StateSpace2D(nn.Module):
    """The state-space layer on a (frames, joints) grid: gate, 3x3 depth-wise conv, four scans, norm. (B, T, J, E)."""

    def __init__(self, config: PoseMambaConfig) -> None:
        super().__init__()
        E, D, R, K, N = config.width, config.inner_width, config.dt_rank, DIRECTIONS, STATES
        self.config = config
        self.in_proj = nn.Linear(E, 2 * D, bias=False)
        self.conv2d = nn.Conv2d(D, D, kernel_size=3, padding=1, groups=D)
        self.x_proj_weight = nn.Parameter(torch.empty(K, R + 2 * N, D))
        self.dt_projs_weight = nn.Parameter(torch.empty(K, D, R))
        self.dt_projs_bias = nn.Parameter(torch.empty(K, D))
        self.A_logs = nn.Parameter(torch.empty(K * D, N))
        self.Ds = nn.Parameter(torch.empty(K * D))
        self.merge_weight = nn.Parameter(torch.empty(1)) if config.merge_weight else None
        self.out_norm = nn.LayerNorm(D, eps=INNER_EPS)
        self.out_proj = nn.Linear(D, E, bias=False)
        self._scan_options: dict[str, Any] = {
            "limb": config.limb_order,
            "order": "bidirectional" if config.merge_weight else config.scan_order,  # it merges by itself
            "limb_gradient": not config.published_gradient,
        }
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Linear and conv: PyTorch's defaults. A_log = log(1..16); D = 1; step sizes log-uniform in [0.001, 0.1]."""
        if self.A_logs.is_meta:  # shapes alone; PyTorch would import SymPy and its compiler for it, 1.5 s
            return
        for weight in self.x_proj_weight:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))  # as nn.Linear
        bound = self.config.dt_rank**-0.5
        nn.init.uniform_(self.dt_projs_weight, -bound, bound)
        with torch.no_grad():
            low, high = math.log(1e-3), math.log(1e-1)
            dt = torch.exp(torch.rand_like(self.dt_projs_bias) * (high - low) + low).clamp(min=1e-4)
            self.dt_projs_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
            rates = torch.arange(1, STATES + 1, dtype=torch.float32, device=self.A_logs.device)
            self.A_logs.copy_(torch.log(rates).expand_as(self.A_logs))
            self.Ds.fill_(1.0)
            if self.merge_weight is not None:
                self.merge_weight.fill_(0.0)

    def inputs(self, x_BTJE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The tokens to scan, their projections, and the gate: (B, T, J, D), (B, T, J, K, R + 2N), (B, T, J, D)."""
        x_BTJD, z_BTJD = self.in_proj(x_BTJE).chunk(2, dim=-1)
        u_BTJD = self._convolve(x_BTJD)
        return u_BTJD, project(u_BTJD, self.x_proj_weight, **self._scan_options), z_BTJD

    def _convolve(self, x_BTJD: Tensor) -> Tensor:
        """Compute SiLU of `conv2d`: in one pass, as long as that is the convolution that it was."""
        conv = self.conv2d
        if is_untouched(conv, nn.Conv2d) and _is_3x3(conv):
            return conv_silu(x_BTJD, conv.weight, conv.bias)
        return F.silu(conv(x_BTJD.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).contiguous()

    def output(self, u_BTJD: Tensor, proj_BTJKP: Tensor, z_BTJD: Tensor) -> Tensor:
        """Scan, norm and gate: (B, T, J, E)."""
        if self.merge_weight is None:
            y_BTJD = self._scan(u_BTJD, proj_BTJKP, self.Ds)
        else:
            y_BTJD = self._scan_merged_by_weight(u_BTJD, proj_BTJKP, self.merge_weight)
        return self.out_proj(self.out_norm(y_BTJD) * F.silu(z_BTJD))

    def _scan(self, u_BTJD: Tensor, proj_BTJKP: Tensor, Ds: Tensor) -> Tensor:
        weights = self.dt_projs_weight, self.dt_projs_bias, self.A_logs
        return scan(u_BTJD, proj_BTJKP, *weights, Ds, **self._scan_options)

    def _scan_merged_by_weight(self, u_BTJD: Tensor, proj_BTJKP: Tensor, weight: Tensor) -> Tensor:
        """Scan u + weight * u[limb] in directions 0 and 2 and u in the others: two scans, each of two directions.

        A direction is left out by zeros for C and D, which its output is linear in. 0 is the order without merging, 1
        the paper's.
        """
        limb = list(self.config.limb_order)
        merged_BTJD = u_BTJD + weight.to(u_BTJD.dtype) * u_BTJD[:, :, limb]
        merged_BTJKP = proj_BTJKP + weight.to(proj_BTJKP.dtype) * proj_BTJKP[:, :, limb]
        merging_K = torch.tensor([1.0, 0.0, 1.0, 0.0], device=u_BTJD.device)
        y_BTJD = torch.zeros((), dtype=u_BTJD.dtype, device=u_BTJD.device)
        for u, proj, kept_K in ((merged_BTJD, merged_BTJKP, merging_K), (u_BTJD, proj_BTJKP, 1 - merging_K)):
            others, C = proj.split([proj.shape[-1] - STATES, STATES], dim=-1)
            proj = torch.cat([others, C * kept_K.to(C.dtype)[:, None]], -1)
            Ds = (self.Ds.view(DIRECTIONS, -1) * kept_K.to(self.Ds.dtype)[:, None]).flatten()
            y_BTJD = y_BTJD + self._scan(u, proj, Ds)
        return y_BTJD

    def forward(self, x_BTJE: Tensor) -> Tensor:
        return self.output(*self.inputs(x_BTJE))


def _is_3x3(conv: nn.Conv2d) -> bool:
    """Tell whether `conv_silu` computes the convolution: depth-wise, 3x3, padded with zeros."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == conv.in_channels == conv.out_channels
        and conv.padding_mode == "zeros"
    )


def recomputed(function: Callable[[Tensor], Any], x: Tensor, recompute: bool) -> Any:
    """function(x); with `recompute`, what it computes on the way is made again in the backward pass, not kept."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
    return function(x)


class Block(nn.Module):
    """Paper equation 8: norm, state space, residual; norm, MLP, residual. Spatial and temporal blocks are alike."""

    def __init__(self, config: PoseMambaConfig, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.op = StateSpace2D(config)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = MLP(config.width, config.mlp_ratio)
        self.drop_path = drop_path
        self.recompute = False

    def draw_scales(self, x_BTJE: Tensor) -> Tensor | None:
        """Stochastic depth: (2, B, 1, 1, 1), 0 for a branch that a clip drops, else larger by as much; None when not
        training."""
        if not self.training:
            return None
        keep = 1 - self.drop_path
        kept = torch.rand(2, len(x_BTJE), 1, 1, 1, device=x_BTJE.device) < keep
        return kept / keep

    def forward(self, x_BTJE: Tensor, scales: Tensor | None = None) -> Tensor:
        """Compute the block.

        Args:
            x_BTJE: (B, T, J, E).
            scales: of the two branches, by `draw_scales`, which is called if they are left out.
        """
        if scales is None:
            scales = self.draw_scales(x_BTJE)
        op, mlp = (1, 1) if scales is None else (scales[0], scales[1])
        x_BTJE = x_BTJE + op * self._op(x_BTJE)
        return x_BTJE + mlp * recomputed(self._mlp, x_BTJE, self.recompute)

    def _op(self, x_BTJE: Tensor) -> Tensor:
        if self.recompute and is_untouched(self.op, StateSpace2D):
            return self.op.output(*recomputed(self._scan_inputs, x_BTJE, True))
        return self.op(self.norm(x_BTJE))

    def _scan_inputs(self, x_BTJE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.op.inputs(self.norm(x_BTJE))

    def _mlp(self, x_BTJE: Tensor) -> Tensor:
        return self.mlp(self.norm2(x_BTJE))

    def tensors(self) -> LayerWeights:
        """Return the parameters as the fused kernels of `posemamba.ops.fused` want them."""
        op, mlp = self.op, self.mlp
        return LayerWeights.of(
            norm=(self.norm.weight, self.norm.bias),
            in_proj=op.in_proj.weight,
            conv=(op.conv2d.weight, op.conv2d.bias),  # type: ignore[arg-type]
            x_proj=op.x_proj_weight,
            dt_projs=(op.dt_projs_weight, op.dt_projs_bias),
            A_logs=op.A_logs,
            Ds=op.Ds,
            out_norm=(op.out_norm.weight, op.out_norm.bias),
            out_proj=op.out_proj.weight,
            norm2=(self.norm2.weight, self.norm2.bias),
            fc1=(mlp.fc1.weight, mlp.fc1.bias),
            fc2=(mlp.fc2.weight, mlp.fc2.bias),
        )
