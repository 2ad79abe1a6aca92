"""Errors in millimetres: ``evaluate``, and the paper's beside them, ``table``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from posemamba.cli.options import Device, Flip, MocapFolder
from posemamba.utils.errors import PoseMambaError


def evaluate(
    weights: Annotated[
        str, typer.Argument(help="A known name, a weights file, or the authors' checkpoint.", show_default=False)
    ],
    benchmark: Annotated[
        str, typer.Argument(metavar="DATA", help="mocap, or a data set's file or the folder that holds it.")
    ] = "mocap",
    quick: Annotated[bool, typer.Option("--quick", help="mocap: one camera for each clip in place of four.")] = False,
    flip: Flip = True,
    baselines: Annotated[bool, typer.Option("--baselines", help="mocap: also what any model must beat.")] = False,
    actions: Annotated[bool, typer.Option("--actions", help="mocap: a line for each kind of motion.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file for the model's scores.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="mocap: a folder for tables, figures and all numbers.", show_default=False),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="mocap: what lost joints and the like cost; 23 times as long.")
    ] = False,
    split: Annotated[str, typer.Option(help="mocap: whose motions: test, validation or train.")] = "test",
    clips: Annotated[
        int | None,
        typer.Option(help="mocap: so many of the clips, evenly spread, in place of all.", show_default=False),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(help="mocap: frames of a window, in place of the model's most.", show_default=False),
    ] = None,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="mocap: windows overlap and fade over, as in lifting; not end to end."),
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="In bfloat16: what it costs in millimetres.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="Human3.6M: paper (the default) or all-frames, tails of videos too.", show_default=False),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(help="Human3.6M: detected (the default) or exact 2D joints.", show_default=False),
    ] = None,
    data: MocapFolder = None,
    device: Device = "auto",
) -> None:
    """Score weights on motion capture seen by virtual cameras (docs/mocap_benchmark.md), or on a data set's files."""
    if benchmark != "mocap":
        ours = (quick, baselines, actions, data, report, robustness, split != "test", clips, window, overlap)
        if any(ours):
            names = (
                "--quick, --baselines, --actions, --report, --robustness, --split, --clips, --window, --overlap and "
                "--data"
            )
            raise PoseMambaError(f"{names} are for mocap; leave them out")
        from posemamba.cli._evaluate import Options, print_file_scores

        options = Options(protocol, inputs, flip=flip)
        return print_file_scores(weights, Path(benchmark), device, options, half=half, json_file=json_file)
    if protocol or inputs:
        raise PoseMambaError("--protocol and --inputs are for Human3.6M, and mocap was to be scored; leave them out")
    if robustness and (baselines or actions or report):
        raise PoseMambaError("--robustness prints a table of its own: leave out --baselines, --actions and --report")
    from posemamba.cli._evaluate import MocapChoices, print_mocap_scores

    choices = MocapChoices(
        quick, flip, baselines, actions, robustness, half, json_file, report, data, split, clips, window, overlap
    )
    print_mocap_scores(weights, device, choices)


def table(
    number: Annotated[int, typer.Argument(metavar="N", help="Which table of the paper: 1 to 6.", show_default=False)],
    runs: Annotated[Path, typer.Option(help="Folder with a folder for each run.")] = Path("runs"),
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
) -> None:
    """Print a table of the paper beside the results of your runs (docs/tables.md)."""
    from posemamba.cli._table import Options
    from posemamba.cli._table import table as show

    changes = tuple(settings or ())
    show(Options(number, runs, format, out, run, only, changes, data, max_minutes, device, sys.stderr.isatty()))
