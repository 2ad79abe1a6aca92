"""Two figures of a report: published error over measured cost, and cost over the length of clips.

The first is the paper's Figure 1 with measured time. The second distinguishes linear from quadratic cost.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemamba.bench.plan import SWEEP
from posemamba.bench.report import Report, Row
from posemamba.bench.specs import MODELS, ModelSpec, parse_spec
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.plotting import GREY, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Label = tuple[float, float, str, str]
"""x, y, text, colour."""
PUBLISHED_FRAMES = 243  # frames of the clips of the published errors
COLOURS = {
    "PoseMamba": "#0072B2",
    "MotionBERT": "#D55E00",
    "MotionAGFormer": "#009E73",
    "MixSTE": "#CC79A7",
    "STCFormer": "#E69F00",
    "HGMamba": "#56B4E9",
    "scan": "#555555",
}
MARKERS = "osD^vP*X<>"
LABEL_LINE = 0.048  # height of a line of a label, in heights of the axes


def plot_error_against_cost(report: Report, path: Path) -> None:
    """Plot published error over measured cost per frame, a panel for each number of clips.

    Raises:
        PoseMambaError: no model with a published error was timed on clips of 243 frames.
    """
    panels: dict[int, dict[str, Row]] = defaultdict(dict)
    for row in report.rows:
        fits = row.task == "forward" and row.window == PUBLISHED_FRAMES and row.group != SWEEP
        if fits and row.us_per_frame and _published(row):
            panels[row.clips * row.frames // PUBLISHED_FRAMES].setdefault(row.spec, row)
    if not panels:
        raise PoseMambaError(
            f"{path}: nothing to draw: no forward pass of a model with a published error on clips of "
            f"{PUBLISHED_FRAMES} frames was timed"
        )
    figure = new_figure(width=max(6.4, 4.2 * len(panels)), height=5.2)
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.75 / figure.get_figwidth(), right=0.98, bottom=0.17, top=0.86, wspace=0.06)
    axes[0].set_xscale("log")
    _plain_numbers(axes[0].xaxis)
    costs = [row.us_per_frame or 0.0 for rows in panels.values() for row in rows.values()]
    errors = [MODELS[row.model].published_p1 or 0.0 for rows in panels.values() for row in rows.values()]
    axes[0].set_xlim(min(costs) / 2, max(costs) * 2.5)
    axes[0].set_ylim(min(errors) - 0.6, max(errors) + 0.6)
    settings = list(dict.fromkeys(_settings(row) for rows in panels.values() for row in rows.values()))
    markers = dict(zip(settings, MARKERS, strict=False))
    for ax, (clips, rows) in zip(axes, sorted(panels.items()), strict=True):
        _draw_errors(ax, list(rows.values()), markers)
        ax.set_title(f"{clips} clip{'s' * (clips > 1)} at once", fontsize=10)
        ax.set_xlabel("measured cost, µs per frame")
    axes[0].set_ylabel("published error P1 on Human3.6M, mm")
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=GREY, marker=markers[s], linestyle="", label=s) for s in settings]
    figure.legend(handles=handles, loc="upper center", ncols=min(6, len(handles)), frameon=False, fontsize=9)
    caption = (
        "Error: as published (PoseMamba, AAAI 2025, Table 1: detected 2D joints, 243 frames), not measured here. "
        f"Cost: medians of the forward pass, {_where(report)}."
    )
    save_figure(figure, path, caption)


def plot_cost_against_length(report: Report, path: Path) -> None:
    """Plot the time of one forward pass over the length of the clip, log-log, one line for each spec.

    Raises:
        PoseMambaError: no spec was timed at two lengths.
    """
    gave_up = ("out of memory", "over the limit")
    rows_ = [row for row in report.rows if row.task == "forward" and (row.median_ms or row.status in gave_up)]
    rows_ = [row for row in rows_ if row.group == SWEEP] or rows_
    clips = min((row.clips for row in rows_), default=1)
    lines: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in rows_:
        if row.clips == clips and (row.window == row.frames or "@" in row.spec):
            lines[row.spec][row.frames] = row
    timed = {name: {n: row for n, row in rows.items() if row.median_ms} for name, rows in lines.items()}
    timed = {name: rows for name, rows in timed.items() if len(rows) > 1}
    if not timed:
        raise PoseMambaError(f"{path}: nothing to draw: no forward pass was timed at two lengths or more (--lengths)")
    figure = new_figure(width=8.2, height=5.2)
    ax = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.76, bottom=0.16, top=0.97)
    ax.set_xscale("log")
    ax.set_yscale("log")
    lengths = sorted({n for name in timed for n in lines[name]})
    _guides(ax, lengths, [row for rows in timed.values() for row in rows.values()])
    ends = []
    for i, (name, rows) in enumerate(timed.items()):
        family = _model(name).family
        earlier = sum(_model(other).family == family for other in list(timed)[:i])
        x, colour = sorted(rows), COLOURS.get(family, GREY)
        y = [rows[n].median_ms or 0.0 for n in x]
        style, marker = ("-", "--", ":", "-.")[earlier % 4], MARKERS[i % len(MARKERS)]
        ax.plot(x, y, style, color=colour, marker=marker, markersize=5)
        gone = [f"\n{lines[name][n].status} at {n:,}" for n in sorted(lines[name]) if n > x[-1]][:1]
        ends.append((x[-1], y[-1], "".join([_title(rows[x[-1]]), *gone]), colour))
    ticks = [n for i, n in enumerate(lengths) if i == 0 or n > 1.5 * lengths[i - 1]]  # others' numbers would overlap
    ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
    ax.minorticks_off()
    _plain_numbers(ax.yaxis)
    ax.grid(alpha=0.25)
    ax.set_xlabel("frames of the clip")
    ax.set_ylabel(f"time of the forward pass, {clips} clip{'s' * (clips > 1)}, ms")
    _label_ends(ax, ends)
    own = " but those with '@'" if any("@" in name for name in timed) else ""
    save_figure(figure, path, f"Medians, {_where(report)}. Every model{own} is built for the length.")


# --- parts of the figures


def _draw_errors(ax: Axes, rows: Sequence[Row], markers: dict[str, str]) -> None:
    """Draw each model at its published error: all its settings on one level, its name at the cheapest."""
    models: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        models[row.model].append(row)
    cheapest = {name: min(found, key=lambda row: row.us_per_frame or 0.0) for name, found in models.items()}
    families: dict[str, list[tuple[float, float]]] = defaultdict(list)
    points, names = [], []
    for name, found in models.items():
        p1, colour = MODELS[name].published_p1 or 0.0, COLOURS.get(MODELS[name].family, GREY)
        costs = [row.us_per_frame or 0.0 for row in found]
        ax.plot([min(costs), max(costs)], [p1, p1], color=colour, linewidth=0.8, alpha=0.5)
        for row, cost in zip(found, costs, strict=True):
            best = row is cheapest[name]
            face = colour if best else "white"
            ax.plot(cost, p1, markers[_settings(row)], color=colour, markerfacecolor=face, markersize=7 if best else 6)
            points.append((cost, p1))
        families[MODELS[name].family].append((min(costs), p1))
        names.append((min(costs), p1, MODELS[name].label, colour))
    for family, places in families.items():
        places.sort(key=lambda place: place[1])
        ax.plot(*zip(*places, strict=True), color=COLOURS.get(family, GREY), linewidth=1.2, zorder=1)
        for (x0, y0), (x1, y1) in itertools.pairwise(places):  # names avoid the line, too
            points += [(x0 * (x1 / x0) ** (i / 20), y0 + (y1 - y0) * i / 20) for i in range(1, 20)]
    ax.grid(alpha=0.25)
    _place_names(ax, names, points)


def _place_names(ax: Axes, names: Sequence[Label], points: Sequence[tuple[float, float]]) -> None:
    """Draw a name beside each point, on the side where it covers no point, no other name and no edge."""
    from matplotlib.transforms import Bbox

    renderer = ax.get_figure(root=True).canvas.get_renderer()  # type: ignore[union-attr]
    marks = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in ax.transData.transform(list(points))]
    inside = ax.get_window_extent(renderer)
    sides = ((-2, 6, "left"), (2, -13, "right"), (-2, -13, "left"), (2, 6, "right"), (-8, -3, "right"))
    for x, y, text, colour in sorted(names):
        tries = []
        for dx, dy, align in sides:
            label = ax.annotate(text, (x, y), (dx, dy), textcoords="offset points", ha=align, fontsize=9, color=colour)
            box = label.get_window_extent(renderer)
            covered = sum(box.overlaps(mark) for mark in marks)
            outside = not (inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1)
            tries.append((covered + 3 * outside, label, box))
        best = min(tries, key=lambda one: one[0])
        for one in tries:
            if one is not best:
                one[1].remove()
        marks.append(best[2])


def _label_ends(ax: Axes, ends: Sequence[Label]) -> None:
    """Draw the name of each line right of the axes, near the height of its end, without overlap."""
    to_axes = ax.transData + ax.transAxes.inverted()
    ends = sorted(ends, key=lambda end: end[1])
    places = [(float(px), float(py)) for px, py in to_axes.transform([end[:2] for end in ends])]
    half = [LABEL_LINE / 2 * (text.count("\n") + 1) for _, _, text, _ in ends]
    heights = [place[1] for place in places]
    for i in range(1, len(ends)):
        heights[i] = max(heights[i], heights[i - 1] + half[i - 1] + half[i])
    highest = 1.0
    for i in reversed(range(len(ends))):  # what was pushed out above comes down again
        heights[i] = min(heights[i], highest - half[i])
        highest = heights[i] - half[i]
    for (_, _, text, colour), place, height in zip(ends, places, heights, strict=True):
        ax.annotate(
            text, place, (1.04, height), xycoords="axes fraction", textcoords="axes fraction",
            va="center", fontsize=9, color=colour, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.35, "linewidth": 0.7},
        )  # fmt: skip


def _guides(ax: Axes, lengths: Sequence[int], rows: Sequence[Row]) -> None:
    """Draw the slopes of linear and quadratic cost as a key below the right end of the lines."""
    times = [row.median_ms or 0.0 for row in rows]
    left, right = lengths[-1] / 5, lengths[-1] / 1.7
    growth = right / left
    near = [row.median_ms or 0.0 for row in rows if row.frames >= left]
    low = min(near, default=min(times)) / growth**2 / 2
    for power, name in ((1, "linear"), (2, "quadratic")):
        end = low * growth**power
        ax.plot([left, right], [low, end], color=GREY, linewidth=1, linestyle=(0, (1, 1.5)))
        ax.annotate(name, (right, end), (4, 0), textcoords="offset points", fontsize=8, color=GREY, va="center")
    ax.set_ylim(min(low, *times) / 1.6, max(times) * 1.6)


def _plain_numbers(axis: Any) -> None:
    """Label an axis 1, 2, 5, 10 ... in place of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _model(spec: str) -> ModelSpec:
    return parse_spec(spec).entry


def _published(row: Row) -> bool:
    return row.model in MODELS and MODELS[row.model].published_p1 is not None


def _settings(row: Row) -> str:
    return "+".join([row.precision, *["compile"] * row.compiled, *["graph"] * row.graph])


def _title(row: Row) -> str:
    own = f", clips of {row.window}" if row.window != row.frames else ""
    return f"{_model(row.spec).label}{own}, {_settings(row)}"


def _where(report: Report) -> str:
    run = report.runs[-1]
    return f"{run.device}, torch {run.versions.get('torch', '?')}, {run.date[:10]}"
