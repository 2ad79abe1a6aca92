"""From a recipe to a weights file: ``train``, ``curves`` and ``export``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe's name (--list), or a YAML file of your own.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Size of the model: s, b, l or x; of other lifters their own.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a field of the recipe, e.g. model.options.depth=6 or lr=1e-3; may be repeated.",
            show_default=False,
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so long, with everything saved; call again to resume.", show_default=False),
    ] = None,
    budget_minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for so long, all calls together, in place of the recipe's epochs; the schedule follows.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Resume the run in the folder.")] = True,
    export_file: Annotated[
        Path | None, typer.Option("--export", help="Write a weights file at the end.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder (or file) of the recipe's data.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="A few steps of everything, to see that it works; nothing is kept.")
    ] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and end.")] = False,
) -> None:
    """Train by a recipe, or resume training (docs/train.md)."""
    if list_recipes:
        return _list_recipes()
    if recipe is None:
        raise PoseMambaError("no recipe: give the name of one (posemamba train --list) or a YAML file")
    if out is None and not fast_dev_run:
        raise PoseMambaError("no folder for the run: give --out")
    for option, minutes in (("--max-minutes", max_minutes), ("--budget-minutes", budget_minutes)):
        if minutes is not None and minutes <= 0:
            raise PoseMambaError(f"{option} is {minutes:g}, expected a positive number")
    from posemamba.train.dry_run import fast_dev_run as try_out
    from posemamba.train.recipe import load_recipe
    from posemamba.train.run import train as run

    changes = {} if budget_minutes is None else {"budget_minutes": budget_minutes}
    content = load_recipe(recipe, size=size, settings=settings or (), **changes)
    if data is not None:
        content.data.directory = data
    accelerator = {"cuda": "gpu"}.get(device, device)
    if accelerator not in ("auto", "cpu", "gpu"):
        raise PoseMambaError(f"--device is '{device}', expected auto, cpu or gpu")
    if fast_dev_run or out is None:
        tried = try_out(content, accelerator=accelerator, progress_bar=sys.stderr.isatty())
        print(f"{content.name}: {tried.step} steps, validation and export work; nothing was kept")
        return
    try:
        result = run(
            content,
            out,
            resume=resume,
            max_minutes=max_minutes,
            accelerator=accelerator,
            progress_bar=sys.stderr.isatty(),
        )
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning makes the second of the first
        print(f"interrupted; {_tell_kept(out)}", file=sys.stderr)
        raise KeyboardInterrupt from error
    p1 = ", ".join(f"{name} {value:.1f} mm" for name, value in result.validation_p1.items())
    state = "finished" if result.finished else "stopped, call again to resume"
    of = f" of {result.total_steps}"
    if content.budget_minutes is not None:
        of = f", {result.training_seconds / 60:.1f} of {content.budget_minutes:g} minutes"
    print(f"{content.name}: step {result.step}{of}, {state}" + (f"; P1 {p1}" if p1 else ""))
    print(f"  {result.weights}")
    if export_file is not None:
        _export(result.weights, export_file, half=False)


def _tell_kept(out: Path) -> str:
    """Return the words on what a run that was interrupted can go on from."""
    from posemamba.train.checkpoints import LAST
    from posemamba.weights.files import load_safely

    try:
        step = int(load_safely(out / LAST, mmap=True)["global_step"])
    except Exception:  # none yet, or damaged, which the next call says
        return "nothing was saved yet: the same call starts anew"
    return f"kept: {out / LAST} of step {step}; the same call goes on from there"


def _list_recipes() -> None:
    from posemamba.train.recipe_files import bundled, summary

    known = bundled()
    width = max(map(len, known))
    for name, path in known.items():
        print(f"{name:<{width}}  {summary(path)}")


def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The figure (png, svg, pdf), or all values as csv.")] = Path(
        "curves.png"
    ),
) -> None:
    """Learning curves of runs: training error and validation P1 over steps (docs/train.md)."""
    from posemamba.train.curves import plot_curves, read_curves, write_curves

    read = [read_curves(run) for run in runs]
    (write_curves if out.suffix.lower() == ".csv" else plot_curves)(read, out)
    print(out)


def average(
    weights: Annotated[
        list[str], typer.Argument(help="Known names, or safetensors files, of one model.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The safetensors file to write.", show_default=False)],
    shares: Annotated[
        str | None, typer.Option(help="Shares of each, e.g. 2,1,1; else equal ones.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name for the card.", show_default=False)] = None,
) -> None:
    """Average weights of related trainings into one, which often errs less than each (docs/train.md)."""
    from posemamba.train.averaging import average_weights

    try:
        parts = None if shares is None else [float(share) for share in shares.split(",")]
    except ValueError:
        raise PoseMambaError(f"--shares is '{shares}', expected numbers with commas, e.g. 2,1,1") from None
    if out.suffix != ".safetensors":
        raise PoseMambaError(f"{out}: expected a name that ends with .safetensors")
    card = average_weights(weights, out, parts, name)
    print(" + ".join(f"{part['share']:.3g} {part['name']}" for part in card["averaged"]))
    print(f"  {out} (without expected errors: posemamba calibrate fits them)")


def calibrate(
    weights: Annotated[str, typer.Argument(help="A known name, or a safetensors file.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Fit, and write the weights there; without it they are measured only."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the motion capture files.", show_default=False)
    ] = None,
    angles_only: Annotated[
        bool,
        typer.Option("--angles-only", help="Fit the angles' errors only, a few minutes; keep those of the joints."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Teach weights how far off each joint and angle may be, which lifting then tells; and measure how true that is."""
    from posemamba.cli._calibrate import run

    run(weights, out, directory=data, device=device, angles_only=angles_only)


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="Folder of a training run, or its weights.pt or best.pt; a safetensors file, or a name, to split or "
            "join it; for the authors' format any weights.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", show_default=False)],
    best: Annotated[
        bool, typer.Option("--best", help="Those of the best validation in place of the last ones.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Half precision: half the size.")] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            "--card", help="JSON file whose fields go into the card: hours, hardware, limits.", show_default=False
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            help="safetensors; authors: a .bin that the authors' code loads; onnx: a graph for other runtimes; or "
            "huggingface: a folder with config.json."
        ),
    ] = "safetensors",
    frames: Annotated[
        int | None,
        typer.Option(
            help="ONNX: frames of a clip, which are fixed; else as many as the model takes.", show_default=False
        ),
    ] = None,
    shard_mb: Annotated[
        int | None,
        typer.Option(min=1, help="No file above so many MB: OUT-00001-of-00002.safetensors ...", show_default=False),
    ] = None,
) -> None:
    """Make a weights file, with its card, of a training run; or weights of any kind readable for other programs."""
    from posemamba.train.checkpoints import BEST, WEIGHTS
    from posemamba.weights import hub, layout
    from posemamba.weights.names import known

    if format not in ("safetensors", "authors", "onnx", "huggingface"):
        raise PoseMambaError(f"--format is '{format}', expected safetensors, authors, onnx or huggingface")
    if frames is not None and format != "onnx":
        raise PoseMambaError("--frames is for --format onnx; leave it out")
    ready = hub.repository_of(run) is not None or (run.is_dir() and (run / layout.CONFIG).is_file())
    path = run / (BEST if best else WEIGHTS) if run.is_dir() and not ready else run
    if format == "authors":
        return _export_for_authors(path, out, safetensors_only=bool(half or card or shard_mb))
    if format in ("onnx", "huggingface"):
        if shard_mb or card or (half and format == "onnx"):
            raise PoseMambaError(
                f"--card, --shard-mb and, of ONNX, --half are not for --format {format}; leave them out"
            )
        return _export_onnx(path, out, frames) if format == "onnx" else _export_folder(path, out, half)

    if ready or (not run.is_dir() and (run.suffix == ".safetensors" or str(run) in known())):
        if half or card or best:
            raise PoseMambaError(f"{run}: a weights file stays as it is; leave --half, --card and --best out")
        return _rewrite(run, out, shard_mb)
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file; expected the folder of a training run, or weights")
    _export(path, out, half, _read_card_fields(card), shard_mb)


def _export_for_authors(path: Path, out: Path, safetensors_only: bool) -> None:
    from posemamba.train.export import export_for_authors

    if safetensors_only:
        raise PoseMambaError("--half, --card and --shard-mb are for safetensors files; leave them out")
    if out.suffix not in (".bin", ".pt", ".pth"):
        raise PoseMambaError(f"{out}: expected a name that ends with .bin")
    try:
        export_for_authors(path, out)
    except OSError as error:
        raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    print(f"  {out}")


def _export_onnx(path: Path, out: Path, frames: int | None) -> None:
    from posemamba.models.onnx_export import export_onnx
    from posemamba.train.export import load_any

    if out.suffix != ".onnx":
        raise PoseMambaError(f"{out}: expected a name that ends with .onnx")
    differences = export_onnx(load_any(path), out, frames)
    print(f"  {out}")
    if differences is None:
        print("  not compared with PyTorch: onnxruntime is not installed")
    else:
        largest = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        print(f"  largest differences from PyTorch, in ONNX Runtime: {largest}")


def _export_folder(path: Path, out: Path, half: bool) -> None:
    from posemamba.train.export import load_any
    from posemamba.weights import layout

    load_any(path).save_pretrained(out, half=half)
    for name in sorted((layout.CONFIG, layout.README, layout.WEIGHTS)):
        print(f"  {out / name}")


def _read_card_fields(path: Path | None) -> dict[str, Any]:
    import json

    if path is None:
        return {}
    with reading(path, "JSON"):
        fields = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        raise PoseMambaError(f"{path}: expected a JSON object of fields for the card, found {type(fields).__name__}")
    return fields


def _export(path: Path, out: Path, half: bool, more: dict[str, Any] | None = None, shard_mb: int | None = None) -> None:
    from posemamba.train.export import export_weights

    _write(out, lambda: export_weights(path, out, half=half, more=more, shard_bytes=_bytes(shard_mb)))


def _rewrite(source: Path, out: Path, shard_mb: int | None) -> None:
    from posemamba.train.export import rewrite_weights

    _write(out, lambda: rewrite_weights(source, out, _bytes(shard_mb)))


def _bytes(megabytes: int | None) -> int | None:
    return None if megabytes is None else megabytes * 10**6


def _write(out: Path, write: Callable[[], object]) -> None:
    """Write weights and say which files they are."""
    from posemamba.weights.names import find
    from posemamba.weights.shards import parts

    if out.suffix != ".safetensors":
        raise PoseMambaError(f"{out}: expected a name that ends with .safetensors")
    try:
        write()
    except OSError as error:
        raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    for file in parts(find(out)):
        print(f"  {file}")
