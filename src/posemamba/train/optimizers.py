"""Optimizers by the name that recipes give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from posemamba.train.muon import Muon, decay_groups, split_parameters, undecayed
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.plugins import Registry

Make = Callable[..., torch.optim.Optimizer]
"""(model, recipe, **recipe.optimizer_options) to an optimizer."""


class OptimizerSettings(Protocol):
    """The fields of a `posemamba.train.recipe.Recipe` that an optimizer is made of."""

    optimizer: Any
    optimizer_options: dict[str, Any]
    lr: float
    matrix_lr: float
    weight_decay: float
    weight_decay_of: Any
    muon_scans: bool


def _kept(model: nn.Module, recipe: OptimizerSettings) -> set[int]:
    """Identities of the parameters that do not decay."""
    return set() if recipe.weight_decay_of == "all" else set(map(id, undecayed(model)))


def _adamw(model: nn.Module, recipe: OptimizerSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        decay_groups(model.parameters(), recipe.weight_decay, _kept(model, recipe)),
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        fused=True if next(model.parameters()).is_cuda else None,
    )


def _muon(model: nn.Module, recipe: OptimizerSettings) -> torch.optim.Optimizer:
    r = recipe
    matrices, others = split_parameters(model, scans=r.muon_scans)
    kept = _kept(model, r)
    return Muon(matrices, others, lr=r.lr, matrix_lr=r.matrix_lr, weight_decay=r.weight_decay, undecayed=kept)


OPTIMIZERS: Registry[Make] = Registry("optimizer", {"adamw": _adamw, "muon": _muon})
"""All optimizers, by the name of `optimizer` in recipes."""


def register_optimizer(name: str) -> Callable[[Make], Make]:
    """Register an optimizer: a function of the model, the recipe and the recipe's `optimizer_options`.

    The schedule multiplies the learning rates that it sets by `recipe.lr_at(step) / recipe.lr`.

    >>> @register_optimizer("sgd")
    ... def sgd(model, recipe, momentum=0.9):
    ...     return torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=momentum)

    Raises:
        PoseMambaError: the name is taken.
    """

    def add(make: Make) -> Make:
        OPTIMIZERS.add(name, make)
        return make

    return add


def make_optimizer(model: nn.Module, recipe: OptimizerSettings) -> torch.optim.Optimizer:
    """Make the optimizer of a recipe.

    Raises:
        PoseMambaError: a registered one fails, or returns something else.
    """
    try:
        made = OPTIMIZERS[recipe.optimizer](model, recipe, **recipe.optimizer_options)
    except (TypeError, ValueError) as error:
        raise PoseMambaError(f"optimizer '{recipe.optimizer}': {error}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise PoseMambaError(f"optimizer '{recipe.optimizer}' returned a {type(made).__name__}, not an Optimizer")
    return made
