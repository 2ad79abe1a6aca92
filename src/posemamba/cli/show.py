"""``posemamba show``: figures of what the model does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

show = typer.Typer(help="Figures: what feeds what in the scan, models side by side.")

Source = Annotated[
    str,
    typer.Argument(
        help="A poses.npz, or a clip of the mocap benchmark's test split: mocap:NAME or mocap:NUMBER.",
        show_default=False,
    ),
]
Inputs = Annotated[str, typer.Option(help="Mocap: exact 2D joints, or noisy ones, as a detector gives.")]
Camera = Annotated[int, typer.Option(help="Mocap: which of the benchmark's cameras, 0 to 3.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Mocap: folder of the motion capture files.", show_default=False)
]


@show.command("scan-map")
def scan_map(
    source: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="The figure: png, svg or pdf.")] = Path("scan_map.png"),
    weights: Annotated[
        str, typer.Option(help="A name that comes with the package, or a weights file.")
    ] = "posemamba-s",
    layer: Annotated[
        int | None,
        typer.Option(help="Which pair of blocks, from 0; -1 is the last one, the default.", show_default=False),
    ] = None,
    start: Annotated[int, typer.Option(help="First frame; from it on as many as the model takes.")] = 0,
    inputs: Inputs = "exact",
    camera: Camera = 0,
    skip: Annotated[bool, typer.Option("--skip", help="Count a token's own way past the recurrence, too.")] = False,
    maps_file: Annotated[
        Path | None, typer.Option("--npz", help="Write the maps as numbers, too.", show_default=False)
    ] = None,
    data: Data = None,
) -> None:
    """Draw how strongly joints and frames feed each other through the scan: the paper's figure 5 (docs/show.md)."""
    from posemamba.utils.errors import PoseMambaError
    from posemamba.utils.plotting import check_plot_file

    check_plot_file(out)  # sooner than the work
    from posemamba.lifting.lifter import Lifter
    from posemamba.models.posemamba import PoseMamba
    from posemamba.paper.clip import read_clip
    from posemamba.paper.scan_map import clip_maps, plot_maps, save_maps
    from posemamba.poses.skeletons import H36M17

    clip = read_clip(source, inputs=inputs, camera=camera, data=data)
    lifter = Lifter.from_pretrained(weights, device="cpu")
    if not isinstance(lifter.model, PoseMamba):
        raise PoseMambaError(f"{weights}: weights of a {type(lifter.model).__name__}, which has no scans to show")
    maps = clip_maps(
        lifter.model,
        clip.joints,
        layer=layer,
        first_frame=start,
        person_size=lifter.person_size,
        skip=skip,
        title=f"{lifter.name}, {clip.name}",
        joint_names=H36M17.joints,
        progress=_channels if sys.stderr.isatty() else None,
    )
    plot_maps(out, maps)
    print(f"{clip.name}: frames {start} to {start + len(maps.spatial.frames) - 1}, pair of blocks {maps.layer}")
    print(f"  {out}")
    if maps_file is not None:
        save_maps(maps_file, maps)
        print(f"  {maps_file}")


def _channels(done: int, total: int | None) -> None:
    print(f"\rchannels {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


@show.command("compare")
def compare(
    source: Source,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Further poses.npz of the same clip.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The figure: png, svg or pdf.")] = Path("compare.png"),
    weights: Annotated[
        str | None,
        typer.Option(
            help="With commas: names, weights files, motionbert:FILE, motionagformer:FILE, mixste:FILE, "
            "stcformer:FILE, hgmamba:FILE. Default for mocap: posemamba-s.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="With commas, e.g. 10,50,90. Default: three.", show_default=False)
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Mocap: also what anything that sees depth must beat.")
    ] = False,
    inputs: Inputs = "exact",
    camera: Camera = 0,
    device: Annotated[str, typer.Option(help="Where models run: auto, cpu, cuda, ...")] = "auto",
    data: Data = None,
) -> None:
    """Poses of several models side by side, with their errors: the paper's figures 6 and 7 (docs/show.md)."""
    from posemamba.utils.plotting import check_plot_file

    check_plot_file(out)
    from posemamba.paper.clip import read_clip
    from posemamba.paper.compare import compare as run
    from posemamba.paper.compare import parse_frames, plot_comparison

    clip = read_clip(source, inputs=inputs, camera=camera, data=data)
    chosen = parse_frames(frames, len(clip)) if frames else sorted({len(clip) * k // 4 for k in (1, 2, 3)})
    names = [name.strip() for name in (weights or "").split(",") if name.strip()]
    if not names and clip.scene is not None:
        names = ["posemamba-s"]
    made = run(clip, names, files or (), baselines=baselines, device=device, data=data)
    plot_comparison(out, made, chosen)
    if text := made.table(chosen):
        print(text)
    print(f"  {out}")
