"""Layers that several models share: stochastic depth (Huang et al. 2016) and the MLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def drop_path(branch: Tensor, rate: float, clips: int | None = None) -> Tensor:
    """Drop a residual branch for a random share of the clips, and scale it up for the others (stochastic depth).

    Args:
        branch: (B, ...), or (G, ...) with the groups of each clip one after the other.
        rate: share of the clips that skip the branch; 0 returns it unchanged and draws no random number.
        clips: B, where the first axis counts groups.
    """
    if rate == 0:
        return branch
    clips = len(branch) if clips is None else clips
    kept = torch.rand(clips, device=branch.device) >= rate
    scale = (kept / (1 - rate)).to(branch.dtype).repeat_interleave(len(branch) // clips, output_size=len(branch))
    return scale.view(-1, *[1] * (branch.ndim - 1)) * branch


class MLP(nn.Module):
    """Linear, GELU, linear, on each token."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
