"""Curves of a table's runs: the score of each row over training steps, the mean and range of its seeds."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean

from posemamba.paper.collect import folders_of
from posemamba.paper.tables import Table
from posemamba.train.curves import COLOURS, SUFFIXES, Curves, read_curves
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path

Points = dict[int, list[float]]
"""Scores in millimetres, by step, of the seeds that were scored there."""
SCORES = ("val_p1_test", "val_p1_exact", "val_p1_noisy")


def table_curves(table: Table, runs: Path) -> dict[str, dict[str, Points]]:
    """Read the scores of a table's runs: by run and score, the scores of all seeds by step.

    Args:
        table: which.
        runs: the folder with a folder for each run.

    Raises:
        PoseMambaError: no run has a log with scores, or a log is damaged.
    """
    found: dict[str, dict[str, Points]] = {}
    for name in table.all_runs:
        folders = [folder for folder in folders_of(runs, name).values() if (folder / "logs").is_dir()]
        scores = _together([read_curves(folder) for folder in folders])
        if scores:
            found[name] = scores
    if not found:
        raise PoseMambaError(f"{runs}: no scores over steps in it of runs of table {table.number}: train them first")
    return found


def _together(seeds: list[Curves]) -> dict[str, Points]:
    scores: dict[str, Points] = {}
    for curves in seeds:
        for name in SCORES:
            for step, value in curves.values.get(name, {}).items():
                scores.setdefault(name, {}).setdefault(step, []).append(value)
    return scores


def write_table_curves(table: Table, runs: Path, path: Path) -> None:
    """Write the scores of a table's runs over steps as a figure, or as CSV: run, score, step, mean, least, most, seeds.

    Args:
        table: which.
        runs: the folder with a folder for each run.
        path: ends with .png, .svg, .pdf or .csv.

    Raises:
        PoseMambaError: another kind of file, no scores, no matplotlib, or a place that cannot be written to.
    """
    kind = path.suffix.lower()
    if kind not in (*SUFFIXES, ".csv"):
        raise PoseMambaError(f"{path}: expected a name that ends with {', '.join(SUFFIXES)} or .csv")
    found = table_curves(table, runs)
    try:
        with atomic_path(path) as temporary:
            (_write_csv if kind == ".csv" else _draw)(table, found, temporary)
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error})") from error


def _write_csv(table: Table, found: dict[str, dict[str, Points]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("run", "score", "step", "mean_mm", "least_mm", "most_mm", "seeds"))
        for run, scores in found.items():
            for score, points in scores.items():
                for step, values in sorted(points.items()):
                    numbers = (f"{v:.6g}" for v in (mean(values), min(values), max(values)))
                    writer.writerow((run, score.removeprefix("val_"), step, *numbers, len(values)))


def _draw(table: Table, found: dict[str, dict[str, Points]], path: Path) -> None:
    require("matplotlib", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [score for score in SCORES if any(score in scores for scores in found.values())]
    figure = Figure(figsize=(4.6 * len(names) + 3.2, 4.2), dpi=150)
    FigureCanvasAgg(figure)
    for axes, score in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for (run, scores), colour in zip(found.items(), COLOURS * len(found), strict=False):
            points = sorted(scores.get(score, {}).items())
            steps, values = [step for step, _ in points], [values for _, values in points]
            seeds = max(map(len, values), default=0)
            label = f"{table.all_runs[run].label} ({seeds} seed{'s' if seeds != 1 else ''})"
            axes.plot(steps, list(map(mean, values)), color=colour, marker="o", markersize=3, label=label)
            axes.fill_between(steps, list(map(min, values)), list(map(max, values)), color=colour, alpha=0.2)
        title = {"val_p1_test": "test P1", "val_p1_exact": "validation P1, exact 2D", "val_p1_noisy": "noisy 2D"}[score]
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("mm, mean and range of the seeds")
    figure.axes[-1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, format=path.suffix.lower().removeprefix("."))
