"""A larger PoseMamba that computes what a smaller one does: what was learned need not be learned again.

Wider: each channel becomes several that hold the same number, and what reads them shares its weight out among them,
unevenly and by chance, so that the copies are taught differently from the first step on. Chen et al., "Net2Net:
Accelerating learning via knowledge transfer" (ICLR 2016), carried over to state spaces: every channel is scanned by
itself, and a layer norm over copies is that over the channels.

Deeper: new pairs of blocks add nothing to what passes through them, and only the norms after them act. Those are
shared by all layers of a kind and stand in each channel's way once more, so this changes the result; it is the better
start all the same (studies/LOG.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from posemamba.models.posemamba_block import STATES
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.scan.orders import DIRECTIONS
from posemamba.utils.errors import PoseMambaError

_PAIR = re.compile(r"(STEblocks|TTEblocks)\.(\d+)\.(.*)")
_SILENT = ("op.out_proj.weight", "mlp.fc2.weight", "mlp.fc2.bias")  # zero, and a block adds nothing


def grow(state: dict[str, Tensor], small: PoseMambaConfig, large: PoseMambaConfig, seed: int = 0) -> dict[str, Tensor]:
    """The weights of a larger model out of those of a smaller one.

    Args:
        state: of a `PoseMamba` of the config `small`.
        small: the config of the weights.
        large: the config wanted; only width and depth, and what no weight depends on, may differ.
        seed: of the shares that copies get, and of what has no counterpart.

    Returns:
        The state of a `PoseMamba` of the config `large`. Of the same depth it gives the same output, but for rounding.

    Raises:
        PoseMambaError: width or depth is not a multiple.
    """
    for name, unit in (("width", "channels"), ("depth", "pairs of blocks")):
        was, now = getattr(small, name), getattr(large, name)
        if now % was:
            raise PoseMambaError(f"weights of {was} {unit} grow to multiples of {was}, not to {now}")
    generator = torch.Generator().manual_seed(seed)
    wider = _Wider(large.width // small.width, small, large, generator)
    state = {name: wider(name, value) for name, value in state.items()}
    return _deeper(state, large.depth // small.depth)


def _deeper(state: dict[str, Tensor], times: int) -> dict[str, Tensor]:
    """Every pair of blocks followed by copies of itself that add nothing."""
    grown: dict[str, Tensor] = {}
    for name, value in state.items():
        found = _PAIR.fullmatch(name)
        if found is None:
            grown[name] = value
            continue
        kind, pair, rest = found.groups()
        for k in range(times):
            silent = k > 0 and rest in _SILENT
            grown[f"{kind}.{int(pair) * times + k}.{rest}"] = torch.zeros_like(value) if silent else value.clone()
    return grown


class _Wider:
    """A weight of the larger model by the name of the smaller one's; copies of channels lie one block after another."""

    def __init__(self, times: int, small: PoseMambaConfig, large: PoseMambaConfig, generator: torch.Generator) -> None:
        self.times, self.small, self.large, self.generator = times, small, large, generator
        self._by_name: dict[str, Callable[[Tensor], Tensor]] = {
            "op.in_proj.weight": lambda w: self._share(torch.cat([self._copy(half, 0) for half in w.chunk(2)])),
            "op.x_proj_weight": self._x_proj,
            "op.dt_projs_weight": self._dt_proj,
            "op.dt_projs_bias": lambda w: self._copy(w, 1),
            "op.A_logs": lambda w: self._copy(w.unflatten(0, (DIRECTIONS, -1)), 1).flatten(0, 1),
            "op.Ds": lambda w: self._copy(w.unflatten(0, (DIRECTIONS, -1)), 1).flatten(),
            "op.merge_weight": lambda w: w,
            "op.out_proj.weight": self._linear,
            "mlp.fc1.weight": self._linear,
            "mlp.fc2.weight": self._linear,
            "head.1.weight": self._share,
            "head.1.bias": lambda w: w,
            "Spatial_pos_embed": lambda w: self._copy(w, 2),
            "Temporal_pos_embed": lambda w: self._copy(w, 2),
        }

    def __call__(self, name: str, weight: Tensor) -> Tensor:
        if self.times == 1:
            return weight
        found = _PAIR.fullmatch(name)
        return self._by_name.get(found.group(3) if found else name, lambda w: self._copy(w, 0))(weight)

    def _copy(self, weight: Tensor, axis: int) -> Tensor:
        return torch.cat([weight] * self.times, axis)

    def _share(self, weight: Tensor) -> Tensor:
        """(..., C) to (..., times C) whose copies add up to the weight."""
        shares = 0.5 + torch.rand(*weight.shape, self.times, generator=self.generator)
        shares /= shares.sum(-1, keepdim=True)
        return torch.cat([weight * share.to(weight) for share in shares.unbind(-1)], -1)

    def _linear(self, weight: Tensor) -> Tensor:
        """(out, in): both are copied."""
        return self._share(self._copy(weight, 0))

    def _x_proj(self, weight: Tensor) -> Tensor:
        """(K, R + 2N, D): a larger model's step size has a higher rank, which begins without influence."""
        rank, more = self.small.dt_rank, self.large.dt_rank - self.small.dt_rank
        rates, others = self._share(weight).split([rank, 2 * STATES], 1)
        return torch.cat([rates, rates.new_zeros(DIRECTIONS, more, rates.shape[-1]), others], 1)

    def _dt_proj(self, weight: Tensor) -> Tensor:
        """(K, D, R); the new columns as a fresh model's."""
        copied, rank = self._copy(weight, 1), self.large.dt_rank
        fresh = torch.rand(*copied.shape[:2], rank - weight.shape[2], generator=self.generator)
        return torch.cat([copied, ((2 * fresh - 1) * rank**-0.5).to(copied)], 2)
