"""The figure of `posemamba quality`: a timeline of each person's measurements, with the marked frames.

The curves are confidence, bone lengths, turning limbs, reprojection and, if the weights estimate it, expected error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posemamba.quality.body import BONES_OFF, TURN_LIMITS
from posemamba.quality.common import MIN_CONFIDENCE, Array
from posemamba.quality.detection import EXPECTED_LOOK
from posemamba.quality.measure import Quality
from posemamba.quality.scene import REPROJECTION_FRAME
from posemamba.quality.verdict import verdict
from posemamba.utils.plotting import GREY, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RED, ORANGE, BLUE = "#D55E00", "#E69F00", "#0072B2"
_MOST_POINTS = 4000  # of a curve: more than a picture has


def draw(path: Path, people: Sequence[Quality]) -> None:
    """Write the figure of one or several people as png, svg or pdf.

    Raises:
        PoseMambaError: it cannot be written there.
    """
    strips = [
        ("confidence", "confidence", 1.0, MIN_CONFIDENCE, 1.0),
        ("bones", "bones off\nlength, %", 100.0, BONES_OFF, 0.4),
        ("turning", "fastest limb,\ndegrees/s", 1.0, min(TURN_LIMITS.values()), 2500.0),
        ("reprojection", "off the 2D,\n% of body", 100.0, REPROJECTION_FRAME, 0.1),
    ]
    if any(np.isfinite(quality.series["expected error"]).any() for quality in people):
        strips.append(("expected error", "expected\nerror, mm", 1.0, EXPECTED_LOOK, 120.0))
    rows = len(strips) + 1
    height = 0.8 + 1.1 * len(strips) * len(people)
    figure = new_figure(width=11, height=height)
    grid = figure.add_gridspec(
        rows * len(people), 1, left=0.09, right=0.99, top=1 - 0.3 / height, bottom=-0.3 / height, hspace=0.25
    )
    for i, quality in enumerate(people):
        axes: list[Axes] = []
        for k, (name, label, unit, limit, most) in enumerate(strips):
            ax = figure.add_subplot(grid[rows * i + k], sharex=axes[0] if axes else None)
            _strip(ax, quality, unit * quality.series[name], unit * limit)
            ax.set_ylabel(label, fontsize=7)
            ax.set_ylim(0, max(unit * most, 1.02 * float(np.nanmax(np.append(unit * quality.series[name], 0)))))
            ax.tick_params(labelsize=7, labelbottom=k == len(strips) - 1)
            axes.append(ax)
        axes[0].set_title(f"person {quality.person}: {verdict(quality).word}", fontsize=9, loc="left")
        axes[-1].set_xlabel("seconds", fontsize=8)
        half = 0.5 * _step(quality)
        axes[0].set_xlim(quality.times[0] - half, quality.times[-1] + half)
    caption = (
        f"{people[0].source}. Vermilion: not to be trusted; orange: to be looked at; grey: the person was not seen; "
        "dashed: the limit."
    )
    save_figure(figure, path, caption)


def _step(quality: Quality) -> float:
    return float(np.median(np.diff(quality.times))) if len(quality.times) > 1 else 1.0


def _strip(ax: Axes, quality: Quality, values: Array, limit: float) -> None:
    judged, half = verdict(quality), 0.5 * _step(quality)
    for spans, colour in ((judged.avoid, RED), (judged.look, ORANGE)):
        for first, last in spans:
            ax.axvspan(quality.times[first] - half, quality.times[last] + half, color=colour, alpha=0.25, linewidth=0)
    for fault in quality.faults:
        if fault.check == "not seen":
            ax.axvspan(fault.start - half, fault.end + half, color=GREY, alpha=0.3, linewidth=0)
    every = -(-len(values) // _MOST_POINTS)
    style = "." if np.isfinite(values).sum() < 3 else "-"
    ax.plot(quality.times[::every], values[::every], style, color=BLUE, linewidth=0.9)
    ax.axhline(limit, color=GREY, linewidth=0.8, linestyle="--")
    ax.grid(axis="x", alpha=0.25)
