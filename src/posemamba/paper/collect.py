"""Runs of a table of the paper: their recipes, their results so far, and the training itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from posemamba.paper.outcomes import NOT_RUN, Outcome, together
from posemamba.paper.tables import TABLES, Row, Table, on_recipe
from posemamba.train.checkpoints import BEST, LAST, load_weights
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Human36MData, MocapData, Recipe, load_recipe
from posemamba.train.run import train
from posemamba.utils.errors import PoseMambaError, one_line
from posemamba.utils.reading import reading
from posemamba.weights.files import load_safely

SCORE = "test.json"
"""Scores by ``posemamba evaluate WEIGHTS DATA --json``, put into a run's folder: they go before the run's own."""

SEED = "_seed"
"""Separator between a run's name and the seed, in the name of a further seed's folder."""
_SCORES = {
    "p1": "val_p1_test",
    "p2": "val_p2_test",
    "given_xy_p1": "val_given_xy_p1_test",
    "exact": "val_p1_exact",
    "noisy": "val_p1_noisy",
}
"""Scores of an outcome, and their names in the weights that a run keeps."""

_PLACES = {
    "name",
    "seed",
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
    "budget_minutes",
}  # do not change what is trained, or are reported otherwise


def find_table(number: int, recipe: str | None = None) -> Table:
    """Return a table of the paper, or its runs by another recipe.

    Args:
        number: of the table.
        recipe: of motion capture, in place of the table's.

    Raises:
        PoseMambaError: there is none of this number, it has no runs, no such recipe, or one of other data.
    """
    if number not in TABLES:
        raise PoseMambaError(f"table {number}: expected 1 to {max(TABLES)}")
    if recipe is None or recipe == TABLES[number].recipe:
        return TABLES[number]
    other = load_recipe(recipe)
    if not isinstance(other.data, MocapData):
        raise PoseMambaError(f"--recipe {recipe}: its data are {other.data.kind}, expected motion capture")
    return on_recipe(TABLES[number], recipe, max(other.data.lengths))


def recipe_of(table: Table, run: str, settings: Sequence[str] = (), seed: int = 0) -> Recipe:
    """Return the recipe of a run: the one of the table's data with the settings of the run's row.

    Args:
        table: that has the run.
        run: its name.
        settings: further changes, e.g. ``batch=32``.
        seed: added to the recipe's; the name then says which seed it is.

    Raises:
        PoseMambaError: a setting that is unknown or out of range.
    """
    row = table.all_runs[run]
    changed = row.settings(run)
    if row.kind != "posemamba":  # its sizes are known when its kind is
        changed["model.size"] = row.size
    held = [f"{key}={value}" for key, value in changed.items()]
    size = row.size if row.kind == "posemamba" else None
    recipe = load_recipe(table.recipe, size=size, settings=[*held, *settings], name=run)
    if not seed:
        return recipe
    return recipe.model_copy(update={"seed": recipe.seed + seed, "name": f"{run}{SEED}{recipe.seed + seed}"})


def folders_of(runs: Path, run: str) -> dict[str, Path]:
    """Return the folders of a run's seeds by a short name of each: that of the run itself, and ``RUN_seedN``."""
    numbers = {path: path.name.removeprefix(f"{run}{SEED}") for path in runs.glob(f"{run}{SEED}*")}
    further = sorted((int(number), path) for path, number in numbers.items() if number.isascii() and number.isdigit())
    return {"first": runs / run, **{f"seed {number}": path for number, path in further}}


def collect(table: Table, runs: Path) -> dict[str, Outcome]:
    """Read the results of a table's runs, by name; runs that differ in their seeds are one outcome.

    Args:
        table: which.
        runs: the folder with a folder for each run, of its name, and of further seeds ``NAME_seedN``.

    Raises:
        PoseMambaError: a run that cannot be read, or one of another data set.
    """
    found = {}
    for name, row in table.all_runs.items():
        each = {short: _outcome(folder, row, name, table) for short, folder in folders_of(runs, name).items()}
        there = {short: outcome for short, outcome in each.items() if outcome != NOT_RUN}
        found[name] = together(there or each)
    return found


def _outcome(folder: Path, row: Row, run: str, table: Table) -> Outcome:
    exact = run == row.run_exact
    if (folder / SCORE).exists():
        return _evaluated(folder / SCORE, row, exact)
    if not (folder / BEST).exists():
        return Outcome(state="begun, no validation yet") if (folder / LAST).exists() else NOT_RUN
    _, recipe, details = load_weights(folder / BEST)
    intended = recipe_of(table, run)
    with reading(folder / BEST, "the scores that training kept"):
        values = {score: float(details[name]) for score, name in _SCORES.items() if name in details}
    if not values or recipe.data.kind != intended.data.kind:
        raise PoseMambaError(f"{folder}: a run on {recipe.data.kind}, not on the table's data")
    done = _progress(folder / LAST)[0] if (folder / LAST).exists() else int(details["step"])
    epochs, of = done // recipe.steps_per_epoch, recipe.epochs
    said = f"{epochs} epochs" if epochs == of else f"{epochs} of {of} epochs"
    best = int(details["step"]) // recipe.steps_per_epoch
    judge = "validation" if isinstance(recipe.data, MocapData) else "the test set"
    said += ", the last" if recipe.validation == "last" else f", best by {judge}: {best}"
    if recipe.budget_minutes is not None:
        said = f"{done} steps in {recipe.budget_minutes:g} minutes"
    return Outcome(values, "; ".join([said, *_departures(recipe, row, intended, exact)]))


def _departures(recipe: Recipe, row: Row, intended: Recipe, exact: bool) -> list[str]:
    """Say how a run differs from the paper's row and from the recipe of its name."""
    if recipe.model.kind != row.kind:
        return [f"another model: {recipe.model.kind}"]
    said = [] if row.detector in ("SH", "GT") or isinstance(recipe.data, MocapData) else [f"SH 2D, not {row.detector}"]
    with torch.device("meta"):
        config: Any = build_model(recipe.model_copy(update={"start_from": None})).config  # type: ignore[union-attr]
    if config.frames != row.frames and row.kind != "posemamba":
        said.append(f"T {config.frames}")
    elif row.kind == "posemamba":
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
            if (given := content.get("given_xy_p1_mm")) is not None:
                values["given_xy_p1"] = float(given)
        elif content["format"].startswith("posemamba-mocap"):
            values = {variant: float(content["overall"][variant]["p1_mm"]) for variant in ("exact", "noisy")}
            name = one_line(f"{content['name']}, {content['split']}, {content['cameras']}")
            return Outcome(values, f"evaluated: {name}")
        else:
            said = [f"T {content['frames']}"] if content["frames"] != row.frames else []
            values = {"p1": float(content["overall"]["mpjpe"]), "p2": float(content["overall"]["p_mpjpe"])}
        said += [] if content["flip"] else ["no flip averaging"]
        return Outcome(values, one_line("; ".join([f"evaluated: {content['name']}", *said])))
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
    seeds: int = 1,
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
        seeds: how many of each run: the recipe's seed and those after it.
        settings: changes to the recipe of every run.
        data: in place of `data.directory`.
        accelerator, progress_bar: see `train`.
        max_minutes: for all of them together; a later call resumes.
        say: gets a line for each run.

    Raises:
        PoseMambaError: a wrong setting (before anything starts), no data.
    """
    recipes = [recipe_of(table, name, settings, seed) for seed in range(seeds) for name in names]
    loaded = {recipe.name: recipe for recipe in recipes}
    begin = time.monotonic()
    for name, recipe in loaded.items():
        if (runs / name / LAST).exists() and _progress(runs / name / LAST)[1]:
            say(f"{name}: finished earlier")
            continue
        left = None if max_minutes is None else max_minutes - (time.monotonic() - begin) / 60
        if left is not None and left <= 0:
            say(f"{name}: no time left, call again to resume")
            continue
        if data is not None:
            recipe.data.directory = data
        say(f"{name}: training in {runs / name}")
        train(recipe, runs / name, max_minutes=left, accelerator=accelerator, progress_bar=progress_bar)
