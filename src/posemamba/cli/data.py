"""Data sets looked at and written: ``data check``, ``data export``, ``data cmu`` and ``data bvh``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posemamba.cli.options import MocapFolder
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Stages

data = typer.Typer(help="Look at data sets, or write one.")


@data.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A data set's file, or the folder that holds it.", show_default=False)],
) -> None:
    """Which files are there, what they hold, and the first thing that is wrong (exit code 2)."""
    from posemamba.data.check import check

    for line in check(path):
        print(line, flush=True)


@data.command("export")
def data_export(
    source: Annotated[str, typer.Argument(help="What to write: mocap.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="Whose layout: human36m or mpi_inf_3dhp.")] = "human36m",
    quick: Annotated[bool, typer.Option("--quick", help="One camera for each clip in place of four.")] = False,
    data: MocapFolder = None,
) -> None:
    """Write the mocap benchmark in the layout of Human3.6M or MPI-INF-3DHP (docs/mpi_inf_3dhp.md)."""
    from posemamba.evaluate.mocap.export import FORMATS

    if source != "mocap" or layout not in FORMATS:
        raise PoseMambaError(f"cannot write '{source}' as '{layout}', expected mocap as {' or '.join(FORMATS)}")
    with Stages()(f"{source} as {layout}") as progress:
        path = FORMATS[layout](out, mocap=data, quick=quick, progress=progress)
    print(f"  {path}")


@data.command("cmu")
def data_cmu(
    folder: Annotated[Path, typer.Argument(help="Holds NN.asf and NN_MM.amc, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The npz file to write.", show_default=False)],
    fps: Annotated[float, typer.Option(help="Frames a second of the motions.")] = 120.0,
    data: MocapFolder = None,
) -> None:
    """Make a file to train on, beside the rest, of your copy of the CMU motion capture database (docs/train.md)."""
    from posemamba.data.mocap.cmu import convert

    _made(out, convert(folder, out, fps=fps, known=_known(data), say=_say))


@data.command("bvh")
def data_bvh(
    folder: Annotated[Path, typer.Argument(help="Holds BVH files, or folders of them.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The npz file to write.", show_default=False)],
    unit: Annotated[
        float | None, typer.Option(help="Metres for each unit of the files. Default: guessed from the legs.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Who moves. Default: the name of each file's folder.")] = None,
    licence: Annotated[str, typer.Option(help="Of the motions, kept in the file.")] = "unknown",
    cmu: Annotated[
        bool, typer.Option("--cmu/--no-cmu", help="Take names such as 49_01 for the CMU database's.")
    ] = True,
    retarget: Annotated[
        bool,
        typer.Option("--retarget", help="Put the motions on the bodies of the training subjects, by turns."),
    ] = False,
    data: MocapFolder = None,
) -> None:
    """Make a file to train on, beside the rest, of BVH files of any body (docs/train.md)."""
    from posemamba.data.mocap.bvh import convert
    from posemamba.data.mocap.extra import bone_lengths
    from posemamba.data.mocap.motions import load_motions

    known = _known(data)
    bodies = bone_lengths(load_motions(data, "train")) if retarget else ()
    clips = convert(
        folder, out, unit=unit, subject=subject, licence=licence, cmu=cmu, known=known, bodies=bodies, say=_say
    )
    _made(out, clips)


def _known(data: Path | None) -> set[str]:
    """Names of the clips that are there already; none where no folder is given and none is found."""
    from posemamba.data.mocap.motions import load_motions

    try:
        return {name.split("#")[0] for name in load_motions(data, "all").names}
    except PoseMambaError:
        if data is not None:
            raise
        return set()  # the other files are not needed for a new one


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _made(out: Path, clips: int) -> None:
    print(f"  {out}: {clips} clips; list it in a recipe's data.extra to train on it")
