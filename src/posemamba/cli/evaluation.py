"""``posemamba table``: the paper's numbers beside ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def table(
    number: Annotated[int, typer.Argument(metavar="N", help="Which table of the paper: 1 to 6.", show_default=False)],
    runs: Annotated[
        Path | None, typer.Option(help="Folder with a folder for each run (default: runs).", show_default=False)
    ] = None,
    format: Annotated[str, typer.Option(help="text, csv or latex.")] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it there instead of printing it.", show_default=False)
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Train and evaluate what was not yet; days of a GPU.")] = False,
    only: Annotated[str | None, typer.Option(help="With --run: these runs, with commas.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="With --run: change a field of every run's recipe, e.g. batch=32; may be repeated.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="With --run: the data set's folder or file.", show_default=False)
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="With --run: for all together; call again to resume.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="With --run: auto, cpu or gpu.")] = "auto",
    recipe: Annotated[
        str | None,
        typer.Option(help="Runs by this recipe of motion capture, not on the paper's data.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(help="With --run: so many of each run, by the seeds that follow.")] = 1,
    curves: Annotated[
        Path | None,
        typer.Option(help="Also draw the runs' scores over steps: png, svg, pdf or csv.", show_default=False),
    ] = None,
) -> None:
    """Print a table of the paper beside the results of your runs (docs/tables.md)."""
    from posemamba.cli._table import Options
    from posemamba.cli._table import table as show

    changes = tuple(settings or ())
    more = (recipe, seeds, curves, sys.stderr.isatty())
    show(Options(number, runs, format, out, run, only, changes, data, max_minutes, device, *more))
