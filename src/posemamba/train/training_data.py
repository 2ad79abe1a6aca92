"""Methods that training needs of a data set."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from posemamba.data.clips import ClipBatch


class TrainingData(Protocol):
    """A data set as `LiftingModule` uses it.

    Attributes:
        parts: how many parts validation has, each a step of its progress bar.
    """

    parts: int

    def prepare(self, device: torch.device) -> None:
        """Put it on the device; before clips or scores are asked for."""
        ...

    def steps_of_pass(self, clips: int) -> int | None:
        """Return the steps, of `clips` clips of all processes, that see every clip once; None: there is no end."""
        ...

    def batch(self, step: int, size: int, *, rank: int, world: int) -> ClipBatch:
        """Return the clips of a step: a pure function of the recipe's seed, step, rank and world."""
        ...

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        """Return sums and counts by name; the best weights are chosen by the mean ``p1_...``, in millimetres."""
        ...
