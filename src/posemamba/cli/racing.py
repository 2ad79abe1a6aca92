"""Models raced on this machine: ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posemamba.cli.options import Device


def bench(
    contestants: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONTESTANT",
            help="A model and how it is run: MODEL, MODEL:SETTINGS or MODEL@FRAMES:SETTINGS, e.g. s (the default), "
            "l:bf16+graph, motionbert:bf16+compile. Models: s, b, l, x, motionbert, motionbert-lite, "
            "motionagformer-xs, -s, -b, -l; scan-s, scan-l, scan-x: the scan of one layer. Settings: float32 (the "
            "default), tf32 or bf16; compile; graph; recompute. FRAMES: of its clips, if not those of --frames.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Tables to repeat: paper-gpu or paper-cpu.", show_default=False)
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Of the preset, with commas, e.g. forward-16,train.", show_default=False)
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="forward, train or forward,train. Default: forward.", show_default=False)
    ] = None,
    clips: Annotated[
        str | None, typer.Option(help="Clips at once, e.g. 1,16,64. Default: 1.", show_default=False)
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Frames of a clip, e.g. 243,972. Default: 243.", show_default=False)
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="Sweep over the length of one clip, e.g. 27,81,243,729,972,1944,3888.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The contestant that the others are compared with.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each contestant in a table.", min=1)] = 7,
    limit_s: Annotated[
        float, typer.Option(help="Seconds for one contestant in all, looked at between its steps.", min=0)
    ] = 300.0,
    device: Device = "auto",
    earlier: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", help="Show what earlier calls wrote by --json, in place of measuring.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Keep all that is measured there.", show_default=False)
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Error against cost: png, svg or pdf.", show_default=False)] = None,
    plot_lengths: Annotated[
        Path | None, typer.Option(help="Cost against length: png, svg or pdf.", show_default=False)
    ] = None,
) -> None:
    """Race models on this machine: time, memory, cost per frame; correctness is checked first (docs/bench.md)."""
    from posemamba.cli._bench import Options
    from posemamba.cli._bench import bench as run

    options = Options(
        contestants or (),
        preset,
        part,
        task,
        clips,
        frames,
        lengths,
        reference,
        rounds,
        limit_s,
        device,
        earlier or (),
        json_file,
        plot,
        plot_lengths,
    )
    if not run(options):
        raise typer.Exit(1)
