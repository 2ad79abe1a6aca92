"""Muon for the matrices between layers, AdamW for everything else, as one optimiser.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes momentum's nearest orthogonal matrix as the
step, found by five Newton-Schulz iterations. PyTorch's own `torch.optim.Muon` is newer than the versions supported and
goes through matrices one by one; here those of one shape go together, as launching is what limits small models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from posemamba.models.layers import matrices_between_layers

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al.): fast rather than exact, singular values end in 0.7 to 1.2."""
_ITERATIONS = 5
GPU_TYPE = torch.bfloat16
"""The type of the iteration on a GPU: fast; its rounding weighs more where singular values are small."""
_RMS = 0.2
"""Root mean square of a step's elements at learning rate 1: AdamW's (Liu et al. 2025, arXiv 2502.16982)."""


def split_parameters(model: nn.Module, *, scans: bool = False) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split a model's parameters into the matrices between its layers and all others, as Muon wants.

    Args:
        model: any lifter; one that does not name its matrices (`matrix_parameters`) has those of all linear layers.
        scans: a PoseMamba's projections to step sizes, inputs and outputs of its scans are matrices, too, one for each
            direction.
    """
    named = getattr(model, "matrix_parameters", None)
    matrices: list[nn.Parameter] = matrices_between_layers(model) if named is None else named(scans)
    chosen = set(map(id, matrices))
    return matrices, [p for p in model.parameters() if id(p) not in chosen]


def undecayed(model: nn.Module) -> list[nn.Parameter]:
    """Name the parameters that decay of matrices leaves out: biases, norms, and of a PoseMamba the scans'
    rates and skips and the embeddings of places, for none of which zero is a neutral value."""
    return [p for name, p in model.named_parameters() if p.ndim < 2 or not name.endswith("weight")]


def decay_groups(
    parameters: Iterable[nn.Parameter], weight_decay: float, kept: Collection[int], **settings: Any
) -> list[dict[str, Any]]:
    """An optimiser's groups: those that decay and, of the identities in `kept`, those that do not; no empty one."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for p in parameters:
        (others if id(p) in kept else decayed).append(p)
    groups = ({"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0})
    return [{**group, **settings} for group in groups if group["params"]]


class Muon(torch.optim.Optimizer):
    """Muon for `matrices`, AdamW for `others`; decoupled weight decay for both.

    A step waits for nothing and reads no number of the host but settings: it can be captured in a CUDA graph, which
    follows the learning rates if they are made tensors.

    Args:
        matrices: (rows, columns) each, or (K, rows, columns) for K of them.
        others: of any shape.
        lr: of `others`.
        matrix_lr: of `matrices`, on AdamW's scale.
        weight_decay: times the learning rate, of both.
        undecayed: identities (`id`) of parameters without decay.
        momentum: of `matrices`, Nesterov's.
        betas, eps: AdamW's.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        *,
        lr: float,
        matrix_lr: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        undecayed: Collection[int] = (),
    ) -> None:
        groups = [
            *decay_groups(others, weight_decay, undecayed, lr=lr, orthogonal=False),
            *decay_groups(matrices, weight_decay, undecayed, lr=matrix_lr, orthogonal=True),
        ]
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas, "eps": eps}
        super().__init__(groups, defaults)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; step counts of older checkpoints, which are plain numbers, become tensors."""
        super().load_state_dict(state_dict)
        for parameter, state in self.state.items():
            if not isinstance(state["steps"], Tensor):
                state["steps"] = torch.tensor(float(state["steps"]), device=parameter.device)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            (self._muon if group["orthogonal"] else self._adamw)(group, parameters)
        return loss

    def _kept(self, parameters: list[Tensor], *names: str) -> list[list[Tensor]]:
        for p in parameters:
            if not self.state[p]:
                zeros = {name: torch.zeros_like(p) for name in names}
                self.state[p].update(zeros, steps=torch.zeros((), device=p.device))
        torch._foreach_add_([self.state[p]["steps"] for p in parameters], 1)
        return [[self.state[p][name] for p in parameters] for name in names]

    def _muon(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        (buffers,) = self._kept(parameters, "momentum")
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
        wanted = torch._foreach_lerp(gradients, buffers, group["momentum"])
        shapes = defaultdict(list)
        for i, p in enumerate(parameters):
            shapes[p.shape].append(i)
        for shape, members in shapes.items():
            found = torch.stack([wanted[i] for i in members])
            steps = orthogonal(found.flatten(0, -3)).view_as(found).to(parameters[members[0]].dtype)
            steps = steps * (-group["lr"] * _RMS * max(shape[-2:]) ** 0.5)
            torch._foreach_add_([parameters[i] for i in members], list(steps.unbind()))

    def _adamw(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        first, second = self._kept(parameters, "first", "second")
        (beta1, beta2), gradients = group["betas"], [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        steps, dtype = self.state[parameters[0]]["steps"].double(), parameters[0].dtype
        size = torch._foreach_sqrt(second)
        torch._foreach_mul_(size, ((1 - beta2**steps) ** -0.5).to(dtype))
        torch._foreach_add_(size, group["eps"])
        moves = torch._foreach_div(first, size)
        torch._foreach_mul_(moves, (-group["lr"] / (1 - beta1**steps)).to(dtype))
        torch._foreach_add_(parameters, moves)


def orthogonal(matrices: Tensor) -> Tensor:
    """Roughly the nearest (semi-)orthogonal matrices: (N, rows, columns) to the same; on a GPU in `GPU_TYPE`."""
    a, b, c = _NEWTON_SCHULZ
    x = matrices.to(GPU_TYPE) if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / x.float().norm(dim=(1, 2), keepdim=True).clamp_min(1e-7).to(x.dtype)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
