"""Evaluations that plugins register, by the name that ``posemamba evaluate WEIGHTS NAME`` gives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.plugins import Registry

if TYPE_CHECKING:
    from posemamba.lifting.lifter import Lifter

Evaluation: TypeAlias = "Callable[[Lifter, Path | None], Mapping[str, float]]"
"""(lifter, folder of --data) to scores by name, with the unit in the name: ``P1 mm``."""


def _across(name: str, lifter: Lifter, folder: Path | None) -> Mapping[str, float]:
    """Score on another data set; what reads it is imported when it is used."""
    from posemamba.evaluate.across.benchmark import score

    return score(name, lifter, folder)


EVALUATIONS: Registry[Evaluation] = Registry("evaluation", {name: partial(_across, name) for name in ("aist", "pw3d")})
"""Evaluations by name: those of other data sets, and registered ones."""


def register_evaluation(name: str) -> Callable[[Evaluation], Evaluation]:
    """Register an evaluation: a function of the lifter and the folder of ``--data`` that returns scores by name.

    Raises:
        PoseMambaError: the name is taken, or is mocap.
    """

    def add(evaluation: Evaluation) -> Evaluation:
        EVALUATIONS.add(name, evaluation)
        return evaluation

    if name == "mocap":
        raise PoseMambaError("evaluation 'mocap' is built in: choose another name")
    return add


def is_registered(name: str) -> bool:
    """Tell whether a benchmark's name is that of an evaluation; an existing path is none, unless a plugin is loaded."""
    return name in list(EVALUATIONS) or (name.isidentifier() and not Path(name).exists() and name in EVALUATIONS)


@dataclass(frozen=True)
class Scores:
    """The scores of weights by a registered evaluation."""

    evaluation: str
    weights: str
    values: dict[str, float]

    def table(self) -> str:
        """Return a line for each score."""
        width = max(map(len, self.values), default=0)
        lines = [f"  {name:<{width}}  {value:10.3f}" for name, value in self.values.items()]
        return "\n".join([f"{self.weights}, {self.evaluation}", *lines])

    def save_json(self, path: str | Path) -> None:
        """Write the scores as JSON, whole or not at all."""
        content = {"evaluation": self.evaluation, "weights": self.weights, "scores": self.values}
        with atomic_path(Path(path)) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def evaluate_registered(name: str, lifter: Lifter, data: Path | None = None, *, half: bool = False) -> Scores:
    """Score a lifter by a registered evaluation; `half`: in bfloat16.

    Raises:
        PoseMambaError: it returns something else than numbers by name.
    """
    import torch

    with torch.no_grad(), torch.autocast(lifter.device.type, torch.bfloat16, enabled=half):
        values = EVALUATIONS[name](lifter, data)
    try:
        return Scores(name, lifter.name, {str(key): float(value) for key, value in values.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise PoseMambaError(
            f"evaluation '{name}' returned {type(values).__name__}, expected numbers by name"
        ) from error
