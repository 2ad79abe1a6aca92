"""What a training run is made of: one YAML file, checked before anything starts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from posemamba.data.mocap import MocapOptions
from posemamba.errors import PoseMambaError
from posemamba.train.losses import PAPER_WEIGHTS


class ModelRecipe(BaseModel):
    """Which model."""

    model_config = ConfigDict(extra="forbid")

    size: Literal["s", "b", "l", "x"] = Field(default="s", description="the paper's variant")
    options: dict[str, Any] = Field(default={}, description="PoseMambaConfig's fields that differ from its")


class DataRecipe(MocapOptions):
    """Motion capture seen by virtual cameras (`posemamba.data.mocap`)."""

    directory: Path | None = Field(
        default=None, description="where the npz files are; None: see `mocap_directory`"
    )


class Recipe(BaseModel):
    """A training run. Every field has the paper's value unless a comment says otherwise."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="run", description="goes into the weights' card")
    model: ModelRecipe = Field(default_factory=ModelRecipe)
    data: DataRecipe = Field(default_factory=DataRecipe)
    start_from: str | None = Field(
        default=None, description="weights to start from in place of random ones: a bundled name or a file"
    )

    losses: dict[str, float] = Field(default=dict(PAPER_WEIGHTS), description="weights by name")
    velocity_ramp: int = Field(
        default=0, ge=0, description="steps in which the velocity loss's weight grows from 0 to its value"
    )
    loss_unit: Literal["normalised", "body"] = Field(
        "normalised",
        description="'body' scales each clip by its millimetres per unit / 2200 (typical of Human3.6M), so "
        "that a person seen small counts as much as one seen large",
    )
    person_size: float | None = Field(
        default=None,
        gt=0,
        description="show all people at this size (`cameras.zoom_factor`); the lifter must do the same",
    )

    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=120, ge=1)
    steps_per_epoch: int = Field(default=1000, ge=1)
    batch: int = Field(default=4, ge=1, description="clips a step and process")
    lr: float = Field(default=2e-4, gt=0)
    schedule: Literal["exponential", "cosine"] = "exponential"
    lr_decay: float = Field(default=0.99, gt=0, le=1, description="'exponential': factor for each epoch")
    final_lr: float = Field(default=0.0, ge=0, description="'cosine': where it ends")
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    gradient_clip: float | None = Field(default=None, gt=0, description="norm of all gradients")
    ema: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged weights that are kept; 0: no average"
    )
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    matmul_precision: Literal["highest", "high"] = Field(
        default="highest", description="'high' lets float32 matrix products run in TF32"
    )

    compile: bool = Field(
        default=False, description="on a GPU, layers by torch.compile: a minute at the start, then faster steps"
    )
    cuda_graphs: bool = Field(
        default=False,
        description="on one GPU, launch forward and backward pass as one: small models are limited by launching",
    )
    recompute: bool = Field(
        default=False, description="half the memory: what is cheap to compute is computed again in the backward pass"
    )
    devices: int = Field(default=1, ge=1, description="processes, one GPU each")
    validate_every: int = Field(default=1000, ge=1, description="steps")
    save_every: int = Field(default=250, ge=1, description="steps between resumable checkpoints")
    log_every: int = Field(default=50, ge=1, description="steps")

    @field_validator("losses")
    @classmethod
    def _known_losses(cls, losses: dict[str, float]) -> dict[str, float]:
        unknown = set(losses) - set(PAPER_WEIGHTS)
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PAPER_WEIGHTS)}")
        if not any(losses.values()):
            raise ValueError("every weight is 0")
        return losses

    @property
    def total_steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def losses_at(self, step: int) -> dict[str, float]:
        """The losses' weights in a step (counted from 0)."""
        ramp = min(1.0, step / self.velocity_ramp) if self.velocity_ramp else 1.0
        return {name: weight * ramp if name == "velocity" else weight for name, weight in self.losses.items()}

    def lr_at(self, step: int) -> float:
        """The learning rate of a step (counted from 0)."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "exponential":
            return warm * self.lr * self.lr_decay ** (step // self.steps_per_epoch)
        span = max(1, self.total_steps - self.warmup_steps)
        done = min(1.0, max(0, step - self.warmup_steps) / span)
        return warm * (self.final_lr + (self.lr - self.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))


def load_recipe(path: str | Path, **changes: Any) -> Recipe:
    """Read a recipe from YAML; `changes` override its top-level fields.

    Raises:
        PoseMambaError: no such file, not YAML, or a field that is unknown or out of range, by name.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PoseMambaError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        found = type(content).__name__
        raise PoseMambaError(f"{path}: a recipe is a mapping of fields to values, this is a {found}")
    try:
        return Recipe.model_validate({**content, **changes})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, p['loc']))}: "
            + ("unknown field" if p["type"] == "extra_forbidden" else f"{p['msg']}, got {p['input']!r}")
            for p in error.errors()
        )
        raise PoseMambaError(f"{path}: {problems}") from error
