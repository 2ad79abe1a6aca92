"""Runs of a table of the paper: their recipes, their results so far, and the training itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from posemamba.paper.tables import NOT_RUN, TABLES, Outcome, Row, Table
from posemamba.train.checkpoints import BEST, LAST, load_weights
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Human36MData, MocapData, Recipe, load_recipe
from posemamba.train.run import train
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import load_safely

SCORE = "test.json"
"""Scores by ``posemamba evaluate WEIGHTS DATA --json``, put into a run's folder: they go before the run's own."""

_PLACES = {
    "name",
    "devices",
    "steps_per_epoch",
    "validate_every",
    "save_every",
    "log_every",
    "compile",
    "cuda_graphs",
    "recompute",
    "validation",
    "epochs",
}  # do not change what is trained, or are reported otherwise


def find_table(number: int) -> Table:
    """Return a table of the paper.

    Raises:
        PoseMambaError: there is none of this number.
    """
    if number not in TABLES:
        raise PoseMambaError(f"table {number}: expected 1 to {max(TABLES)}")
    return TABLES[number]


def recipe_of(table: Table, run: str, settings: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a run: the one of the table's data with the settings of the run's row.

    Args:
        table: that has the run.
        run: its name.
        settings: further changes, e.g. ``batch=32``.

    Raises:
        PoseMambaError: a setting that is unknown or out of range.
    """
    row = table.runs[run]
    held = [f"{key}={value}" for key, value in row.settings(run).items()]
    return load_recipe(table.recipe, size=row.size, settings=[*held, *settings], name=run)


def collect(table: Table, runs: Path) -> dict[str, Outcome]:
    """Read the results of a table's runs, by name.

    Args:
        table: which.
        runs: the folder with a folder for each run, of its name.

    Raises:
        PoseMambaError: a run that cannot be read, or one of another data set.
    """
    return {name: _outcome(runs / name, row, table) for name, row in table.runs.items()}


def _outcome(folder: Path, row: Row, table: Table) -> Outcome:
    exact = folder.name == row.run_exact
    if (folder / SCORE).exists():
        return _evaluated(folder / SCORE, row, exact)
    if not (folder / BEST).exists():
        return Outcome(state="begun, no validation yet") if (folder / LAST).exists() else NOT_RUN
    _, recipe, details = load_weights(folder / BEST)
    values = {name: float(details[f"val_{name}_test"]) for name in ("p1", "p2") if f"val_{name}_test" in details}
    if not values:
        raise PoseMambaError(f"{folder}: a run on {recipe.data.kind}, not on the table's data")
    done = _progress(folder / LAST)[0] if (folder / LAST).exists() else int(details["step"])
    epochs, of = done // recipe.steps_per_epoch, recipe.epochs
    said = f"{epochs} epochs" if epochs == of else f"{epochs} of {of} epochs"
    best = int(details["step"]) // recipe.steps_per_epoch
    said += ", the last" if recipe.validation == "last" else f", best by the test set: {best}"
    return Outcome(values, "; ".join([said, *_departures(recipe, row, recipe_of(table, folder.name), exact)]))


def _departures(recipe: Recipe, row: Row, intended: Recipe, exact: bool) -> list[str]:
    """Say how a run differs from the paper's row and from the recipe of its name."""
    if recipe.model.kind != "posemamba":
        return [f"another model: {recipe.model.kind}"]
    said = []
    with torch.device("meta"):
        config: Any = build_model(recipe.model_copy(update={"start_from": None})).config  # type: ignore[union-attr]
    if (2 * config.depth, config.width, config.frames) != (row.blocks, row.width, row.frames):
        said.append(f"another model: N {2 * config.depth}, d_m {config.width}, T {config.frames}")
    if config.scan_order != row.order:
        said.append(f"scan order {config.scan_order}")
    if isinstance(recipe.data, Human36MData):
        if (recipe.data.inputs == "exact") != exact:
            said.append(f"{recipe.data.inputs} 2D")
        if recipe.data.protocol != "paper":
            said.append(f"protocol {recipe.data.protocol}")
    now, was = intended.model_dump(mode="json"), recipe.model_dump(mode="json")
    for each in (now, was):
        each["data"].pop("directory", None)
    other = [k for k in now if k not in _PLACES and now[k] != was[k]]
    if other:
        said.append(f"differs from the recipe of {intended.name} in {', '.join(other)}")
    return said


def _evaluated(path: Path, row: Row, exact: bool) -> Outcome:
    """Read the scores that `posemamba evaluate` wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"].startswith("posemamba-human36m"):
            said = [
                f"{k} {content[k]}" for k, v in (("protocol", "paper"), ("clip_frames", row.frames)) if content[k] != v
            ]
            said += [f"{content['inputs']} 2D"] if (content["inputs"] == "exact") != exact else []
            values = {"p1": float(content["p1_mm"]), "p2": float(content["p2_mm"])}
        else:
            said = [f"T {content['frames']}"] if content["frames"] != row.frames else []
            values = {"p1": float(content["overall"]["mpjpe"]), "p2": float(content["overall"]["p_mpjpe"])}
        said += [] if content["flip"] else ["no flip averaging"]
        return Outcome(values, "; ".join([f"evaluated: {content['name']}", *said]))
    except Exception as error:  # whatever its structure leads to
        raise PoseMambaError(f"{path}: not scores that posemamba evaluate --json wrote ({error})") from error


def _progress(last: Path) -> tuple[int, bool]:
    """Read the steps done from a run's checkpoint, and whether these, or its minutes, are all."""
    try:
        content = load_safely(last, mmap=True)
        step, seconds = int(content["global_step"]), float(content["training_seconds"])
        return step, Recipe.model_validate(content["recipe"]).done(step, seconds)
    except Exception as error:  # on bytes that are no pickle its reader raises whatever comes
        raise PoseMambaError(f"{last}: not a checkpoint of this program; move it away") from error


def run_table(
    table: Table,
    names: Sequence[str],
    runs: Path,
    *,
    settings: Sequence[str] = (),
    data: Path | None = None,
    accelerator: str = "auto",
    max_minutes: float | None = None,
    progress_bar: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Train runs of a table in turn, or resume them; benchmarks are evaluated as they train.

    Args:
        table: that has the runs.
        names: of the runs.
        runs: gets a folder for each.
        settings: changes to the recipe of every run.
        data: in place of `data.directory`.
        accelerator, progress_bar: see `train`.
        max_minutes: for all of them together; a later call resumes.
        say: gets a line for each run.

    Raises:
        PoseMambaError: a wrong setting (before anything starts), no data.
    """
    loaded = {name: recipe_of(table, name, settings) for name in names}
    begin = time.monotonic()
    for name, recipe in loaded.items():
        if (runs / name / LAST).exists() and _progress(runs / name / LAST)[1]:
            say(f"{name}: finished earlier")
            continue
        left = None if max_minutes is None else max_minutes - (time.monotonic() - begin) / 60
        if left is not None and left <= 0:
            say(f"{name}: no time left, call again to resume")
            continue
        if data is not None and not isinstance(recipe.data, MocapData):
            recipe.data.directory = data
        say(f"{name}: training in {runs / name}")
        train(recipe, runs / name, max_minutes=left, accelerator=accelerator, progress_bar=progress_bar)
