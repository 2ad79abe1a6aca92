"""``posemamba table``: train runs of a table of the paper, collect their results, print them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from posemamba.paper.rendering import Format, render
from posemamba.paper.tables import Table
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

RUNS = Path("runs")
"""The folder of runs if none is given; it need not be there, as the paper's numbers are shown without any."""


@dataclass(frozen=True)
class Options:
    """The command's options, in its order."""

    number: int
    runs: Path | None
    format: str
    out: Path | None
    run: bool
    only: str | None
    settings: tuple[str, ...]
    data: Path | None
    max_minutes: float | None
    device: str
    recipe: str | None
    seeds: int
    curves: Path | None
    progress_bar: bool


def table(options: Options) -> None:
    """Train the runs that are asked for, collect results, and print or write the table.

    Raises:
        PoseMambaError: no such table, format, device or run, options that want --run, a file that cannot be written.
    """
    from posemamba.paper.collect import collect, find_table, run_table
    from posemamba.paper.curves import write_table_curves

    chosen = find_table(options.number, options.recipe)
    if options.format not in ("text", "csv", "latex"):
        raise PoseMambaError(f"--format is '{options.format}', expected text, csv or latex")
    accelerator = {"cuda": "gpu"}.get(options.device, options.device)
    if accelerator not in ("auto", "cpu", "gpu"):
        raise PoseMambaError(f"--device is '{options.device}', expected auto, cpu or gpu")
    if options.max_minutes is not None and options.max_minutes <= 0:
        raise PoseMambaError(f"--max-minutes is {options.max_minutes:g}, expected a positive number")
    runs = options.runs or RUNS
    if runs.exists() and not runs.is_dir():
        raise PoseMambaError(f"{runs}: is a file, expected a folder with a folder for each run (--runs)")
    if options.runs is not None and not options.run and not runs.exists():
        raise PoseMambaError(f"{runs}: no such folder; expected one with a folder for each run (--runs)")
    given: dict[str, object] = {"--only": options.only, "--data": options.data, "--max-minutes": options.max_minutes}
    given |= {"--set": options.settings or None, "--seeds": options.seeds if options.seeds != 1 else None}
    if not options.run and (alone := [name for name, value in given.items() if value is not None]):
        raise PoseMambaError(f"{alone[0]} is for training: add --run, or leave it out")
    if options.seeds < 1:
        raise PoseMambaError(f"--seeds is {options.seeds}, expected 1 or more")
    if options.run:
        run_table(
            chosen,
            _wanted(chosen, options.only, trials=options.recipe is not None),
            runs,
            seeds=options.seeds,
            settings=options.settings,
            data=options.data,
            accelerator=accelerator,
            max_minutes=options.max_minutes,
            progress_bar=options.progress_bar,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    text = render(chosen, collect(chosen, runs), cast(Format, options.format))
    if options.curves is not None:
        write_table_curves(chosen, runs, options.curves)
    if options.out is None:
        print(text, end="")
        return
    try:
        with atomic_path(options.out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PoseMambaError(f"{options.out}: cannot write there ({error.strerror or error})") from error
    print(f"  {options.out}")


def _wanted(table: Table, only: str | None, trials: bool) -> tuple[str, ...]:
    """Return the names of the runs to make: of all, or those in `only`; on motion capture the trials, too."""
    if not table.runs:
        raise PoseMambaError(f"table {table.number} is counted, there is nothing to train: leave out --run")
    if only is None:
        return (*table.runs, *(name for row in table.trials if trials for name in row.runs))
    names = tuple(name.strip() for name in only.split(","))
    unknown = [name for name in names if name not in table.all_runs]
    if unknown:
        raise PoseMambaError(f"--only: table {table.number} has no {unknown[0]}; it has {', '.join(table.all_runs)}")
    return names
