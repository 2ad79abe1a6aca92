"""Learning curves of training runs, from the logs that they keep: a figure and the same numbers as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
LOGS = "logs/from_step_*/metrics.csv"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B", "#7F3C8D")
Style = Literal["-", "--", ":"]
STYLES: dict[str, Style] = {"exact": "-", "test": "-", "noisy": "--"}
_MOST_STEPS = 10**15  # no training has more, and no axis shows them
_SMOOTH = 9  # values that the running median of the training error is of: a batch of single frames errs by far more


@dataclass
class Curves:
    """The logged values of a run.

    Attributes:
        name: of the run's folder.
        steps: in order; a step that was done again after a stop counts once, as it was done last.
        values: by name (``train_mm``, ``lr``, ``val_p1_exact`` ...), step to value.
    """

    name: str
    values: dict[str, dict[int, float]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values, in order of steps; empty if nothing was logged under this name."""
        points = sorted(self.values.get(name, {}).items())
        return [step for step, _ in points], [value for _, value in points]


def read_curves(run: Path) -> Curves:
    """The logs of all calls that made a run.

    Args:
        run: its folder, as given to ``posemamba train -o``.

    Raises:
        PoseMambaError: no logs there, or a damaged one.
    """
    files = [path for path in run.glob(LOGS) if _step_of(path) is not None]
    files.sort(key=lambda path: _step_of(path) or 0)
    if not files:
        raise PoseMambaError(f"{run}: no logs of a training run in it (expected {LOGS}): give the folder of `train -o`")
    curves = Curves(run.name or str(run))
    for path in files:
        begin = _step_of(path) or 0
        for values in curves.values.values():  # what the call before did after its last save was done anew
            for step in [step for step in values if step >= begin]:
                del values[step]
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    step = int(row["step"])
                    if abs(step) > _MOST_STEPS:
                        raise ValueError(f"step {row['step'][:40]}")
                    for name, text in row.items():
                        if name not in ("step", "epoch") and text:
                            curves.values.setdefault(name, {})[step] = float(text)
        except Exception as error:  # whatever a damaged file leads to
            raise PoseMambaError(f"{path}: not a log of a training run ({error})") from error
    return curves


def _step_of(path: Path) -> int | None:
    """Return the step with which a log begins, by its folder's name; None: a folder of another name."""
    number = path.parent.name.rsplit("_", 1)[-1]
    return int(number) if number.isascii() and number.isdecimal() else None


def plot_curves(runs: Sequence[Curves], path: Path) -> None:
    """Training error (running median) and validation P1 in millimetres over steps, a colour for each run.

    Raises:
        PoseMambaError: an unknown kind of figure, no matplotlib, or nothing to draw.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PoseMambaError(f"{path}: expected a name that ends with {', '.join(SUFFIXES)} or .csv")
    require("matplotlib", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not any(run.values.get("train_mm") for run in runs):
        raise PoseMambaError(f"{path}: nothing to draw: no training error was logged")
    figure = Figure(figsize=(9.0, 4.4), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    styles: dict[str, Style] = {}
    for run, colour in zip(runs, COLOURS * len(runs), strict=False):
        _draw(axes, run, colour, styles)
    axes.set_xlabel("step")
    axes.set_ylabel("mm")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=8)
    axes.grid(alpha=0.3, which="both")
    colours = zip(runs, COLOURS * len(runs), strict=False)
    handles = [Line2D([], [], color=colour, label=run.name) for run, colour in colours]
    handles.append(Line2D([], [], color="#777777", alpha=0.5, linewidth=0.8, label="training error"))
    for variant, style in styles.items():
        label = "test P1" if variant == "test" else f"validation P1, {variant} 2D"
        handles.append(Line2D([], [], color="#777777", linestyle=style, marker="o", markersize=3, label=label))
    # Beside the axes: curves fill all of them.
    axes.legend(handles=handles, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error})") from error


def _draw(axes: Axes, run: Curves, colour: str, styles: dict[str, Style]) -> None:
    steps, values = run.of("train_mm")
    smooth = [median(values[max(0, i - _SMOOTH // 2) : i + _SMOOTH // 2 + 1]) for i in range(len(values))]
    axes.plot(steps, smooth, color=colour, alpha=0.5, linewidth=0.8)
    for name in sorted(run.values):
        if name.startswith("val_p1_"):
            variant = name.removeprefix("val_p1_")
            styles[variant] = STYLES.get(variant, ":")
            axes.plot(*run.of(name), color=colour, linestyle=styles[variant], marker="o", markersize=3)


def write_curves(runs: Sequence[Curves], path: Path) -> None:
    """All logged values as CSV: run, step and a column for each name, empty where it was not logged.

    Raises:
        PoseMambaError: a place that cannot be written to.
    """
    names = sorted({name for run in runs for name in run.values})
    try:
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["run", "step", *names])
            for run in runs:
                for step in sorted({step for values in run.values.values() for step in values}):
                    cells = [run.values.get(name, {}).get(step) for name in names]
                    writer.writerow([run.name, step, *("" if c is None else f"{c:.6g}" for c in cells)])
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error})") from error
