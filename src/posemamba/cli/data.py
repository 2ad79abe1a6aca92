"""Data sets looked at and written: ``data check`` and ``data export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posemamba.cli.options import MocapFolder
from posemamba.errors import PoseMambaError
from posemamba.stages import Stages

data_app = typer.Typer(help="Look at data sets, or write one.")


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A data set's file, or the folder that holds it.", show_default=False)],
) -> None:
    """Which files are there, what they hold, and the first thing that is wrong (exit code 2)."""
    from posemamba.data.check import check

    for line in check(path):
        print(line, flush=True)


@data_app.command("export")
def data_export(
    source: Annotated[str, typer.Argument(help="What to write: mocap.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="Whose layout: human36m or mpi_inf_3dhp.")] = "human36m",
    quick: Annotated[bool, typer.Option("--quick", help="One camera for each clip in place of four.")] = False,
    data: MocapFolder = None,
) -> None:
    """Write the mocap benchmark in the layout of Human3.6M or MPI-INF-3DHP (docs/mpi_inf_3dhp.md)."""
    from posemamba.data.export import FORMATS

    if source != "mocap" or layout not in FORMATS:
        raise PoseMambaError(f"cannot write '{source}' as '{layout}', expected mocap as {' or '.join(FORMATS)}")
    with Stages()(f"{source} as {layout}") as progress:
        path = FORMATS[layout](out, mocap=data, quick=quick, progress=progress)
    print(f"  {path}")
