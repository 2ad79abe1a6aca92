"""The figures of a report on the mocap benchmark: bars by joint, by camera pitch and by confidence; the worst clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.mocap.report import Report
from posemamba.evaluate.mocap.variants import WorstFrame
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import require
from posemamba.utils.files import atomic_path, writing
from posemamba.utils.plotting import GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"exact": "#0072B2", "noisy": "#D55E00"}
_TRUTH = "#9aa1ad"
_LEFT, _RIGHT, _MIDDLE = "#0072B2", "#D55E00", "#333333"
_FROM_TOP = (10, 9, 8, 7, 0, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6)


def write_figures(report: Report, directory: str | Path) -> list[Path]:
    """Write by_joint.png, by_pitch.png, by_confidence.png (if confidences differ) and worst_VARIANT.png.

    Returns:
        Their paths.

    Raises:
        PoseMambaError: matplotlib is not installed, or a file cannot be written.
    """
    require("matplotlib", "plot")
    figures = {"by_joint": _by_joint(report), "by_pitch": _by_pitch(report)}
    if any(v.by_confidence for v in report.variants.values()):
        figures["by_confidence"] = _by_confidence(report)
    for name, variant in report.variants.items():
        figures[f"worst_{name}"] = _worst(variant.worst, f"{report.result.name}: the worst clips, {name} 2D joints")
    paths = []
    for name, figure in figures.items():
        paths.append(path := Path(directory) / f"{name}.png")
        with writing(path), atomic_path(path) as temporary:
            figure.savefig(temporary)
    return paths


def _figure(width: float, height: float, layout: str | None = "constrained") -> Figure:
    return new_figure(width, height, dpi=120, layout=layout)


def _frame(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _by_joint(report: Report) -> Figure:
    figure = _figure(7.2, 5.6)
    ax = figure.subplots()
    _frame(ax, f"{report.result.name}: error of each joint")
    height = 0.8 / len(report.variants)
    places = np.arange(len(_FROM_TOP))
    for i, (name, variant) in enumerate(report.variants.items()):
        values = [variant.joints[H36M17.joints[j]] for j in _FROM_TOP]
        at = places + (i + 0.5) * height - 0.4
        ax.barh(at, values, height, color=COLOURS.get(name, GREY), label=f"{name} 2D joints")
        for y, value in zip(at, values, strict=True):
            ax.annotate(f"{value:.0f}", (value, y), (2, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_yticks(places, [H36M17.joints[j].replace("_", " ") for j in _FROM_TOP], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlabel("P1 of the joint, mm")
    ax.legend(frameon=False, fontsize=9, loc="best")
    return figure


def _by_pitch(report: Report) -> Figure:
    figure = _figure(7.2, 4.2)
    ax = figure.subplots()
    _frame(ax, f"{report.result.name}: error by the camera's pitch")
    for name, variant in report.variants.items():
        x, y = [p.degrees for p in variant.pitches], [p.p1 for p in variant.pitches]
        colour = COLOURS.get(name, GREY)
        ax.plot(x, y, "o-", color=colour, label=f"{name} 2D joints")
        if all(p.against_others is not None for p in variant.pitches):
            mean = report.result.overall[name].p1
            fair = [mean + (p.against_others or 0.0) for p in variant.pitches]
            ax.plot(x, fair, "o--", color=colour, mfc="white", lw=1, label=f"{name}, if all clips were seen at it")
    ax.set_xticks(x)
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)
    ax.set_xlabel("degrees down (negative: the camera looks up)")
    ax.set_ylabel("P1, mm")
    ax.legend(frameon=False, fontsize=9, ncols=2)
    return figure


def _by_confidence(report: Report) -> Figure:
    figure = _figure(7.2, 4.2)
    ax = figure.subplots()
    variants = {n: v.by_confidence for n, v in report.variants.items() if v.by_confidence is not None}
    words = "; ".join(f"{n} 2D: rank correlation {c.spearman:+.2f}" for n, c in variants.items())
    _frame(ax, f"{report.result.name}: error by the detector's confidence ({words})")
    width = 0.8 / len(variants)
    for i, (name, by_confidence) in enumerate(variants.items()):
        at = np.arange(len(by_confidence.bins)) + (i + 0.5) * width - 0.4
        ax.bar(at, [b.p1 or 0.0 for b in by_confidence.bins], width, color=COLOURS.get(name, GREY), label=name)
        for x, b in zip(at, by_confidence.bins, strict=True):
            text = f"{b.joints:,}\njoints" if b.p1 is None else f"{b.p1:.0f} mm\n{b.joints:,}\njoints"
            ax.annotate(
                text, (x, b.p1 or 0.0), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=8
            )
        ax.set_xticks(np.arange(len(by_confidence.bins)), [b.label for b in by_confidence.bins])
    ax.margins(y=0.22)
    ax.set_xlabel("confidence of the 2D joint")
    ax.set_ylabel("P1 of the joint, mm")
    return figure


def _worst(shots: Sequence[WorstFrame], title: str) -> Figure:
    """Draw three pictures for each clip: the input, and the poses as the camera sees them and from the side."""
    from matplotlib.lines import Line2D

    columns = 2
    rows = max(1, -(-len(shots) // columns))
    height = 0.5 + 2.8 * rows
    figure = _figure(13.0, height, layout=None)  # the layout engine would take seconds for 18 axes
    grid = figure.subplots(rows, 3 * columns, squeeze=False)
    figure.subplots_adjust(0.01, 0.2 / height, 0.99, 1 - 0.85 / height, 0.06, 0.34)
    figure.text(0.01, 1 - 0.3 / height, title, fontsize=12)
    for ax in grid.ravel()[3 * len(shots) :]:
        ax.set_axis_off()
    for axes, shot in zip(grid.reshape(-1, 3), shots, strict=False):
        s = shot.sequence
        axes[0].set_title(
            f"clip {s.clip} {s.name} ({s.description})\ncamera {s.camera}, {abs(s.pitch):g}° "
            f"{'up' if s.pitch < 0 else 'down'}: P1 {s.p1:.0f} mm; frame {s.worst_frame}: {s.worst_p1:.0f} mm",
            fontsize=8, loc="left",
        )  # fmt: skip
        _draw(axes[0], [(shot.joints[:, :2], None)], "2D input")
        lost = shot.joints[:, 2] == 0
        axes[0].plot(*shot.joints[lost, :2].T, "x", color="#b3261e", ms=6, mew=1.6, zorder=5)
        for ax, chosen, name in ((axes[1], (0, 1), "as the camera sees it"), (axes[2], (2, 1), "from the side")):
            _draw(ax, [(shot.target[:, chosen], _TRUTH), (shot.pred[:, chosen], None)], name)
    handles = [
        Line2D([], [], color=_LEFT, lw=3, label="left"),
        Line2D([], [], color=_RIGHT, lw=3, label="right"),
        Line2D([], [], color=_TRUTH, lw=3, label="truth"),
        Line2D([], [], color="#b3261e", marker="x", lw=0, mew=1.6, label="lost, filled in"),
    ]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def _draw(ax: Axes, poses: Sequence[tuple[NDArray[np.floating], str | None]], name: str) -> None:
    """Draw poses (17, 2), y down, in one colour each; None: left and right in their own colours."""
    everything = np.concatenate([points for points, _ in poses])
    middle = (everything.max(0) + everything.min(0)) / 2
    reach = 0.56 * max(float(np.ptp(everything, axis=0).max()), 1e-6)
    for order, (points, one) in enumerate(poses):
        for parent, joint in H36M17.bones:
            side = H36M17.joints[joint].split("_")[0]
            colour = one or {"left": _LEFT, "right": _RIGHT}.get(side, _MIDDLE)
            ax.plot(*points[[parent, joint]].T, color=colour, lw=2.2, solid_capstyle="round", zorder=2 + order)
    ax.set_xlim(middle[0] - reach, middle[0] + reach)
    ax.set_ylim(middle[1] + reach, middle[1] - reach)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal")
    ax.set_xlabel(name, fontsize=8)
    for spine in ax.spines.values():
        spine.set_color("#d5d9e0")
