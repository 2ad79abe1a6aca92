"""A layer's scan parameters in the layout of the kernels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from posemamba.utils.errors import PoseMambaError

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
