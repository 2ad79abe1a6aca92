"""A report's figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import require
from posemamba.utils.files import atomic_path
from studies.detector_noise.bodies import BONES
from studies.detector_noise.common import GROSS
from studies.detector_noise.confidence import EDGES
from studies.detector_noise.invented import TYPICAL_CONFIDENCE
from studies.detector_noise.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SEEN, _MADE = "#0072B2", "#D55E00"


def draw(report: Report, path: Path) -> None:
    """Four panels: tempi, joints, confidence, bodies."""
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    figure.suptitle(f"{Path(report.source).name}: {report.way}", fontsize=11)
    _draw_tempi(axes[0, 0], report)
    _draw_joints(axes[0, 1], report)
    _draw_confidence(axes[1, 0], report)
    _draw_bodies(axes[1, 1], report)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _draw_tempi(axes: Axes, report: Report) -> None:
    axes.set_title("does an error last?", fontsize=10)
    axes.plot(report.curves["made_up"], color=_MADE, label="made up, with its constant part")
    if "measured" in report.curves:
        axes.plot(report.curves["measured"], color=_SEEN, label="measured")
    axes.axhline(0, color="0.7", lw=0.8)
    axes.set(xlabel="frames later", ylabel="correlation with itself", ylim=(-0.25, 1.05))
    axes.legend(fontsize=8, frameon=False)


def _draw_joints(axes: Axes, report: Report) -> None:
    axes.set_title("which joints?", fontsize=10)
    places = np.arange(len(H36M17))
    if report.errors:
        axes.bar(places - 0.2, report.errors.joints, 0.4, color=_SEEN, label="measured")
        axes.bar(places + 0.2, report.made_up.joints, 0.4, color=_MADE, label="made up, typical")
        axes.set_ylabel("error of a coordinate, in sizes of the person")
    else:
        axes.bar(places, report.fast[0], 0.6, color=_SEEN, label="quick and white jitter")
        axes.set_ylabel("jitter of a coordinate, in sizes of the person")
    axes.set_xticks(places, [n.replace("_", " ") for n in H36M17.joints], rotation=60, ha="right", fontsize=8)
    axes.legend(fontsize=8, frameon=False)


def _draw_confidence(axes: Axes, report: Report) -> None:
    axes.set_title("does it know?", fontsize=10)
    c = report.confidence
    if c is None:
        why = "needs repeats or the truth" if report.errors is None else "the confidence is the same everywhere"
        axes.text(0.5, 0.5, why, ha="center", transform=axes.transAxes, color="0.5")
        return
    error = np.linspace(0, GROSS, 100)
    axes.plot(error, expit(c.sure - c.doubt * error), color=_SEEN, label="fitted, with one mood up and down")
    axes.fill_between(
        error,
        expit(c.sure - c.doubt * error - c.mood),
        expit(c.sure - c.doubt * error + c.mood),
        color=_SEEN,
        alpha=0.15,
    )
    lower = (0.0, *EDGES[:-1])
    axes.plot(
        [b[2] for b in c.bins], [(a + b[0]) / 2 for a, b in zip(lower, c.bins, strict=True)], "o", color=_SEEN,
        label="median error of each range of confidence",
    )  # fmt: skip
    typical = expit(TYPICAL_CONFIDENCE["intercept"] - TYPICAL_CONFIDENCE["error_slope"] * error)
    axes.plot(error, typical, color=_MADE, label="made up, middle of the ranges")
    axes.set(xlabel="error, in sizes of the person", ylabel="confidence", xlim=(0, GROSS), ylim=(0, 1.02))
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=1)


def _draw_bodies(axes: Axes, report: Report) -> None:
    axes.set_title("which bodies?", fontsize=10)
    places = np.arange(len(BONES))
    if report.training:
        low, middle, high = np.array([report.training[name] for name in BONES]).T
        axes.errorbar(
            places, middle, [middle - low, high - middle], fmt="_", color=_MADE, capsize=4, label="training, 5 to 95 %"
        )
    axes.plot(places - 0.12, [report.seen[name] for name in BONES], "o", color=_SEEN, label="as seen")
    axes.set_xticks(places, [n.replace("_", " ") for n in BONES], rotation=60, ha="right", fontsize=8)
    axes.set_ylabel("length, in trunks")
    axes.legend(fontsize=8, frameon=False)
