"""A look at results, models and this machine: ``quality``, ``info`` and ``doctor``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from posemamba.utils.errors import PoseMambaError


class Size(str, Enum):
    """The paper's variants."""

    s = "s"
    b = "b"
    l = "l"  # noqa: E741
    x = "x"


def quality(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT...", help="Folders of posemamba lift, or a poses.npz or motion.npz.", show_default=False
        ),
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file for all that was found.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="A timeline for each person: png, svg or pdf.", show_default=False)
    ] = None,
) -> None:
    """Whether results can be trusted: looks for what cannot be, such as bones that change length (docs/quality.md)."""
    from posemamba.cli.quality import quality as run

    print(run(results, json_file, picture))


def info(
    model: Annotated[Size | None, typer.Option(help="One of the paper's variants.", show_default=False)] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a forward pass.")] = 243,
    weights: Annotated[
        str | None,
        typer.Option(help="A weights file or name: print what it says of itself.", show_default=False),
    ] = None,
) -> None:
    """Parameters and operations of a model, as the paper counts them and in full."""
    from posemamba.models.counting import Counts, count, count_preset

    counts: Counts
    if (model is None) == (weights is None):
        raise PoseMambaError("give --model s, b, l or x, or --weights with a name or file")
    if model is not None:
        counts = count_preset(model.value, frames)
        print(f"PoseMamba-{model.value.upper()}, {frames} frames of 17 joints")
    else:
        import yaml

        from posemamba.models.counting import count_matrix_products
        from posemamba.models.posemamba import PoseMamba
        from posemamba.models.registry import load_model
        from posemamba.weights.files import is_safetensors, read_card
        from posemamba.weights.names import find

        path = find(str(weights))
        network = load_model(path)
        frames = min(frames, network.config.frames)
        print(f"{weights}: {frames} frames of {network.config.joints} joints")
        if is_safetensors(path):
            print(yaml.safe_dump(read_card(path), sort_keys=False, width=100, default_flow_style=None).rstrip())
        if not isinstance(network, PoseMamba):
            parameters, macs = count_matrix_products(network, frames)
            print(f"{parameters:,} parameters, {macs:,} MACs of matrix products, {macs // frames:,} a frame")
            return
        counts = count(network, frames)
    print(f"{'':24}{'parameters':>14}{'MACs':>20}{'MACs/frame':>16}")
    for name, parameters, macs in (
        ("paper's count", counts.paper_parameters, counts.paper_macs),
        ("full count", counts.parameters, counts.macs),
    ):
        print(f"{name:24}{parameters:>14,}{macs:>20,}{macs // counts.frames:>16,}")
    print(f"{'scan, FLOPs':24}{'':14}{counts.scan_flops:>20,}{counts.scan_flops // counts.frames:>16,}")
    print(
        "The paper counts Linear, Conv and LayerNorm modules only. The full count has every parameter and\n"
        "the MACs of all linear maps, x_proj and dt_proj of the scan too; the scan itself is the last line."
    )


def doctor() -> None:
    """What is installed, which scan runs here and why, and whether it works (exit code 1 if not)."""
    from posemamba.cli._doctor import examine

    problems = 0
    for finding in examine():
        mark = "PROBLEM: " if finding.problem else ""
        print(f"{finding.about:18} {mark}{finding.text}", flush=True)
        problems += finding.problem
    print("All is well." if not problems else f"{problems} problem{'s' if problems > 1 else ''}.")
    if problems:
        raise typer.Exit(1)
