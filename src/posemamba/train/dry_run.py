"""A dry run of a recipe: a few steps of everything, kept nowhere."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from posemamba.models.registry import load_model
from posemamba.train.export import export_weights
from posemamba.train.recipe import Recipe
from posemamba.train.run import TrainingResult, train
from posemamba.train.sources import open_data
from posemamba.train.training_data import TrainingData


def fast_dev_run(
    recipe: Recipe, *, accelerator: str = "auto", progress_bar: bool = True, steps: int = 2
) -> TrainingResult:
    """Run a few steps of everything to see that it works: train, stop, resume, validate, export; nothing is kept.

    Without a GPU a step has two clips. On a benchmark the model lifts the first pictures of the test set only and zeros
    stand for the rest, so that errors mean nothing.

    Raises:
        PoseMambaError: whatever the real run would meet.
    """
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    small = recipe.model_copy(
        update={
            "epochs": 1,
            "budget_minutes": None,
            "devices": 1,  # several would need one folder between them
            "batch": min(recipe.batch, 2) if on_cpu else recipe.batch,  # recipes are for GPUs and their memory
            "steps_per_epoch": steps,
            "validate_every": steps,
            "save_every": 1,
            "log_every": 1,
            "warmup_steps": min(recipe.warmup_steps, steps),
        }
    )
    options: dict[str, Any] = {"accelerator": accelerator, "progress_bar": progress_bar}
    with tempfile.TemporaryDirectory(prefix="posemamba-") as folder:
        data = _FirstOnly(open_data(small))
        train(small, folder, data=data, max_minutes=0.0, **options)
        result = train(small, folder, data=data, **options)
        export_weights(result.weights, Path(folder) / "weights.safetensors")
        load_model(Path(folder) / "weights.safetensors")
    return result


class _FirstOnly:
    """A wrapper of training data: without an end, and with only the beginning of its validation."""

    def __init__(self, data: TrainingData, calls: int = 2) -> None:
        self.data, self.calls = data, calls
        self.batch = data.batch
        self.parts = 1

    def prepare(self, device: torch.device) -> None:
        self.data.prepare(device)

    def steps_of_pass(self, clips: int) -> int | None:
        self.data.steps_of_pass(clips)  # raises if there are no clips
        return None

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[torch.Tensor, float]]:
        return self.data.score(_Lazy(model, self.calls), part)


class _Lazy(nn.Module):
    """A model that is called a few times only, and then replaced by zeros."""

    def __init__(self, model: nn.Module, calls: int) -> None:
        super().__init__()
        self.model, self.calls = model, calls
        self.config = getattr(model, "config", None)  # tells whether it takes confidence

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls -= 1
        return self.model(x) if self.calls >= 0 else x.new_zeros((*x.shape[:3], 3))
