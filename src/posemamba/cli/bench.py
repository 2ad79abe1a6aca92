"""``posemamba bench``: models raced on this machine; tables printed as they come, report and plots written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from posemamba.cli.options import Device, argument, option, words
from posemamba.utils.errors import PoseMambaError

CHOICES = ("preset", "part", "task", "clips", "frames", "lengths")  # options that say what is timed
VIDEO = "video"
"""The preset that races whole pipelines on a video."""
ROUNDS, VIDEO_ROUNDS = 7, 3


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of ``posemamba bench``; None means that an option was not given."""

    models: Annotated[
        list[str] | None,
        argument(
            "A model and how it is run: MODEL, MODEL:SETTINGS or MODEL@FRAMES:SETTINGS, e.g. s (the default), "
            "l:bf16+graph, motionbert:bf16+compile. Models: s, b, l, x, motionbert, motionbert-lite, "
            "motionagformer-xs, -s, -b, -l; scan-s, scan-l, scan-x: the scan of one layer. Settings: float32 (the "
            "default), tf32 or bf16; compile; graph; recompute. FRAMES: of its clips, if not those of --frames. "
            "With --preset video: the video.",
            metavar="MODEL",
        ),
    ] = None
    preset: Annotated[
        str | None, option("Tables to repeat: paper-gpu or paper-cpu; or video: whole pipelines on a video.")
    ] = None
    part: Annotated[str | None, option("Parts of the preset, with commas, e.g. forward-16,train.")] = None
    task: Annotated[str | None, option("forward, train or forward,train. Default: forward.")] = None
    clips: Annotated[str | None, option("Clips at once, e.g. 1,16,64. Default: 1.")] = None
    frames: Annotated[str | None, option("Frames of a clip, e.g. 243,972. Default: 243.")] = None
    lengths: Annotated[str | None, option("Sweep over the length of one clip, e.g. 27,81,243,729,972,1944,3888.")] = (
        None
    )
    reference: Annotated[str | None, option("The model that the others are compared with.")] = None
    detector: Annotated[str | None, option("Of --preset video: lite, full or heavy (the default).")] = None
    rounds: Annotated[
        int | None,
        option(f"Turns of each model in a table. Default: {ROUNDS}, of --preset video {VIDEO_ROUNDS}.", min=1),
    ] = None
    limit_s: Annotated[
        float, option("Seconds for one model in all, checked between its steps.", min=0, default=True)
    ] = 300.0
    device: Device = "auto"
    earlier: Annotated[
        list[Path] | None, option("Show what earlier calls wrote by --json, instead of measuring.", "--from")
    ] = None
    json_file: Annotated[Path | None, option("Keep all that is measured there.", "--json")] = None
    plot: Annotated[Path | None, option("Error against cost: png, svg or pdf.")] = None
    plot_lengths: Annotated[Path | None, option("Cost against length: png, svg or pdf.")] = None

    @property
    def turns(self) -> int:
        """The turns of each model or pipeline."""
        return self.rounds or (VIDEO_ROUNDS if self.preset == VIDEO else ROUNDS)

    def command(self) -> str:
        """Return the command that measures the same again, without names of files."""
        words = ["posemamba", "bench", *(self.models or ())]
        for name in (*CHOICES, "reference", "detector"):
            if getattr(self, name) is not None:
                words += [f"--{name}", getattr(self, name)]
        words += ["--rounds", str(self.turns), "--limit-s", f"{self.limit_s:g}", "--device", self.device]
        return shlex.join(words)


def bench(options: BenchOptions) -> int:
    """Race models on this machine: time, memory, cost per frame; correctness is checked first (docs/bench.md)."""
    if options.preset == VIDEO:
        return _race(options)
    if options.detector is not None:
        raise PoseMambaError("--detector is of --preset video: give that, too")
    from posemamba.bench.plot import plot_cost_against_length, plot_error_against_cost
    from posemamba.bench.report import cases, headline, read_reports
    from posemamba.utils.plotting import check_plot_file

    for path in (options.plot, options.plot_lengths):
        if path is not None:
            check_plot_file(path)  # now, and not after all the work
    if options.earlier:
        _refuse_beside(options, "--from", CHOICES)
        report = read_reports(options.earlier)
        reference = options.reference or next((run.reference for run in report.runs if run.reference), None)
        print("\n".join(dict.fromkeys(headline(run) for run in report.runs)))
        for rows in cases(report.rows):
            _show(rows, reference)
    else:
        report = _measure(options)
    if options.plot is not None:
        plot_error_against_cost(report, options.plot)
    if options.plot_lengths is not None:
        plot_cost_against_length(report, options.plot_lengths)
    if options.earlier:
        report.save(options.json_file)
    return int(any(row.status in ("wrong", "failed") for row in report.rows))


def _race(options: BenchOptions) -> int:
    """Race whole pipelines on a video."""
    from posemamba.bench.video.pipelines import choose
    from posemamba.bench.video.race import race

    _refuse_beside(
        options, "--preset video", (*CHOICES[2:], "reference", "earlier", "plot", "plot_lengths"), models=False
    )
    if options.device not in ("auto", "cpu"):
        raise PoseMambaError(f"--preset video runs on the CPU, as BlazePose does; leave out --device {options.device}")
    detector = (options.detector or "heavy").removeprefix("blazepose-")
    detector = "heavy" if detector == "blazepose" else detector
    if detector not in ("lite", "full", "heavy"):
        raise PoseMambaError(f"--detector is '{options.detector}', expected lite, full or heavy, BlazePose's sizes")
    if not options.models or len(options.models) > 1:
        raise PoseMambaError(f"--preset video takes one video, and {len(options.models or ())} are given")
    video = Path(options.models[0])
    if not video.is_file():
        raise PoseMambaError(f"{video}: no such file; expected a video")
    pipelines = choose(words(options.part))
    try:
        report = race(
            video,
            pipelines,
            detector=detector,
            rounds=options.turns,
            limit_s=options.limit_s,
            command=options.command(),
            json_file=options.json_file,
            say=_say,
        )
    finally:
        _say("")
    print(report.table())
    return int(any(row.status == "failed" for row in report.rows))


def _measure(options: BenchOptions) -> Any:
    from posemamba.bench.bench import Bench
    from posemamba.bench.plan import Preset, find_preset, plan, plan_preset
    from posemamba.bench.report import headline
    from posemamba.bench.specs import parse_spec
    from posemamba.ops.runtime.device import choose_device

    device = choose_device(options.device)
    reference = options.reference
    if options.preset is not None:
        _refuse_beside(options, "--preset", CHOICES[2:])
        preset: Preset = find_preset(options.preset)
        if preset.gpu != (device.type == "cuda"):
            raise PoseMambaError(
                f"--preset {options.preset} is for {'an NVIDIA GPU' if preset.gpu else 'a CPU'}, and this runs on "
                f"{device}: give --device {'cuda' if preset.gpu else 'cpu'} or another preset"
            )
        planned = plan_preset(options.preset, words(options.part))
        taking_part = {str(spec) for case in planned for spec in case.specs}
        if reference is None and preset.reference in taking_part:
            reference = preset.reference
    else:
        if options.part is not None:
            raise PoseMambaError("--part is of a preset: give --preset, too")
        frames = "" if options.frames is None and options.lengths is not None else options.frames or "243"
        planned = plan(
            [parse_spec(text) for text in options.models or ("s",)],
            words(options.task or "forward"),
            _numbers("--clips", options.clips or "1"),
            _numbers("--frames", frames),
            _numbers("--lengths", options.lengths),
        )
    measuring = Bench(
        planned,
        device,
        command=options.command(),
        reference=None if reference is None else parse_spec(reference),
        rounds=options.turns,
        limit_s=options.limit_s,
        json_file=options.json_file,
        say=_say,
    )
    shown = measuring.report.runs[0]
    try:
        for i, rows in enumerate(measuring.run()):
            _say("")
            if i == 0:
                print(headline(shown), flush=True)
            _show(rows, shown.reference)
    finally:
        _say("")
    return measuring.report


def _refuse_beside(options: BenchOptions, option: str, names: Sequence[str], models: bool = True) -> None:
    given = [f"the model {options.models[0]}"] if options.models and models else []
    flags = {"earlier": "--from", "plot_lengths": "--plot-lengths"}
    given += [flags.get(name, f"--{name}") for name in names if getattr(options, name) is not None]
    if given:
        raise PoseMambaError(f"{option} says what is shown: leave out {given[0]}")


def _numbers(option: str, text: str | None) -> list[int]:
    numbers = words(text)
    if not all(word.isdecimal() and int(word) > 0 for word in numbers):
        raise PoseMambaError(f"{option} is '{text}', expected positive numbers with commas between them, e.g. 1,16,64")
    return [int(word) for word in dict.fromkeys(numbers)]


def _show(rows: Any, reference: str | None) -> None:
    """A table for eyes where somebody watches, plain text where not."""
    from posemamba.bench.report import plain_table, rich_table

    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(rich_table(rows, reference))
    else:
        print("\n" + plain_table(rows, reference), flush=True)


def _say(what: str) -> None:
    """A line that changes, where somebody watches; without a thread of its own, which would disturb what is timed."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what[:100]}", end="", file=sys.stderr, flush=True)
