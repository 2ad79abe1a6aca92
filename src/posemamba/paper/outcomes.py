"""Outcomes beside the paper's numbers: counts of models, and scores of runs, several seeds of a run together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import mean, stdev

import torch

from posemamba.paper.tables import COUNTED, Row


@lru_cache(maxsize=64)
def counted(blocks: int, width: int, frames: int) -> dict[str, float]:
    """Count a model's parameters in millions, MACs in 10^9 and MACs of a frame in millions, as the paper does."""
    from posemamba.models.counting import count
    from posemamba.models.posemamba import PoseMamba
    from posemamba.models.posemamba_config import PoseMambaConfig

    with torch.device("meta"):
        model = PoseMamba(PoseMambaConfig(width=width, depth=blocks // 2, frames=frames))
    counts = count(model)
    return _in_columns(counts.paper_parameters, counts.paper_macs, frames)


@lru_cache(maxsize=64)
def counted_other(kind: str, size: str, frames: int) -> dict[str, float]:
    """Count another model's parameters and the MACs of all its matrix products, in the columns of `counted`."""
    from posemamba.models.counting import count_matrix_products
    from posemamba.models.registry import ARCHITECTURES

    with torch.device("meta"):
        model = ARCHITECTURES[kind].model.preset(size, frames=frames)
    return _in_columns(*count_matrix_products(model, frames), frames)


def _in_columns(parameters: int, macs: int, frames: int) -> dict[str, float]:
    return {"param": parameters / 1e6, "macs": macs / 1e9, "macs_frame": macs / frames / 1e6}


@dataclass(frozen=True)
class Outcome:
    """The result of a run here, or of several that differ in their seeds.

    Attributes:
        values: ``p1``, ``p2``, ``given_xy_p1``, ``exact`` and ``noisy`` in millimetres, as far as they are known.
        state: one line: ``not run``, or how far the run went and how it departs from the paper's.
        deviations: the sample's standard deviations of `values` over the seeds; empty of one run.
        runs: how many runs the values are the means of.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    state: str = "not run"
    deviations: Mapping[str, float] = field(default_factory=dict)
    runs: int = 1


NOT_RUN = Outcome()


def together(outcomes: Mapping[str, Outcome]) -> Outcome:
    """Return the mean of runs that differ in their seeds, by a short name of each; one without values is named."""
    scored = {name: outcome for name, outcome in outcomes.items() if outcome.values}
    if len(outcomes) == 1 or not scored:
        return next(iter(outcomes.values()), NOT_RUN)
    each = [outcome.values for outcome in scored.values()]
    keys = [key for key in each[0] if all(key in values for values in each)]
    states: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        states.setdefault(outcome.state, []).append(name)
    said = "; ".join(f"{', '.join(names)}: {text}" if len(states) > 1 else text for text, names in states.items())
    return Outcome(
        {key: mean(values[key] for values in each) for key in keys},
        f"{len(scored)} seeds: {said}",
        {key: stdev(values[key] for values in each) for key in keys} if len(scored) > 1 else {},
        len(scored),
    )


@dataclass(frozen=True)
class Cell:
    """Our number of a row and column: a count, or the mean of `runs` runs with its standard deviation."""

    value: float | None
    deviation: float | None = None
    runs: int = 0

    def text(self, digits: int, plus_minus: str = "±") -> str:
        """Format it; ``-`` where there is none."""
        if self.value is None:
            return "-"
        deviation = "" if self.deviation is None else f"{plus_minus}{self.deviation:.{digits}f}"
        return f"{self.value:.{digits}f}{deviation}"


_SCORES = {"p1_exact": "given_xy_p1", "p1_exact_own": "p1"}
"""Columns whose score has another name."""


def here(row: Row, column: str, outcomes: Mapping[str, Outcome]) -> Cell:
    """Return our number for a row and column."""
    if column in COUNTED:
        if not row.kind:
            return Cell(None)
        numbers = (
            counted(row.blocks, row.width, row.frames)
            if row.kind == "posemamba"
            else counted_other(row.kind, row.preset, row.frames)
        )
        return Cell(numbers[column])
    outcome, score = outcomes.get(row.run_of(column), NOT_RUN), _SCORES.get(column, column)
    value = outcome.values.get(score)
    return Cell(value, outcome.deviations.get(score), outcome.runs if value is not None else 0)


def state(row: Row, outcomes: Mapping[str, Outcome]) -> str:
    """Describe a row's runs in a line; each by its name, unless all are in the same state."""
    if not row.runs:
        return "counted" if row.kind else "published alone"
    states = {name: outcomes.get(name, NOT_RUN).state for name in row.runs}
    if len(set(states.values())) == 1:
        return next(iter(states.values()))
    return "; ".join(f"{name}: {text}" for name, text in states.items())
