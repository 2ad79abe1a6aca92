"""The reference of the selective scan in a few plain lines: slow, for any precision, differentiable by autograd.

B batch, L tokens, D inner width, N states, K directions, R rank of the step size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from posemamba.utils.errors import PoseMambaError


def selective_scan_reference(
    u_BLD: Tensor,
    proj_BLKP: Tensor,
    dt_weight_KDR: Tensor,
    dt_bias_KD: Tensor,
    A_KDN: Tensor,
    Ds_KD: Tensor,
    tokens_KL: Tensor,
    partner_L: Tensor,
    merged: tuple[bool, ...],
    limb_gradient: bool = True,
) -> Tensor:
    """Scan in all directions and sum the outputs, (B, L, D), in token order. Paper equations 2 to 6.

    P = R + 2N: `proj` holds the low-rank step size s, B and C of each token and direction, already merged.
    """
    D, N, R = u_BLD.shape[-1], A_KDN.shape[-1], dt_weight_KDR.shape[-1]
    limb_BLD = (u_BLD if limb_gradient else u_BLD.detach())[:, partner_L.long()]
    out_BLD = torch.zeros_like(u_BLD)
    for k, tokens_L in enumerate(tokens_KL.long()):
        x_BLD = (u_BLD + limb_BLD if merged[k] else u_BLD)[:, tokens_L]
        s, Bs, Cs = proj_BLKP[:, tokens_L, k].split([R, N, N], dim=-1)
        dt_BLD = F.softplus(s @ dt_weight_KDR[k].T + dt_bias_KD[k])
        h_BDN = u_BLD.new_zeros(len(u_BLD), D, N)
        ys = []
        for dt, x, b, c in zip(dt_BLD.unbind(1), x_BLD.unbind(1), Bs.unbind(1), Cs.unbind(1), strict=True):
            h_BDN = torch.exp(dt[..., None] * A_KDN[k]) * h_BDN + (dt * x)[..., None] * b[:, None]
            ys.append((h_BDN @ c[..., None])[..., 0] + Ds_KD[k] * x)
        out_BLD = out_BLD.index_add(1, tokens_L, torch.stack(ys, dim=1))
    return out_BLD


LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Parameters:
    """A layer's scan parameters as the kernels read them, float32: (K, R, D), (K, D), (K, N, D) and (K, D)."""

    weight: Tensor
    bias: Tensor
    a2: Tensor
    skip: Tensor

    @classmethod
    def of(cls, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor) -> Parameters:
        """Convert the parameters from (K, D, R), (K, D), (K, D, N) and (K, D)."""
        if A.shape[-1] != 16:
            raise PoseMambaError(f"the scan on GPUs has 16 states, not {A.shape[-1]}: use the backend 'reference'")
        return cls(
            dt_weight.float().transpose(1, 2).contiguous(),
            dt_bias.float().contiguous(),
            (A.float().transpose(1, 2) * LOG2_E).contiguous(),
            Ds.float().contiguous(),
        )
