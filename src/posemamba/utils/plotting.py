"""Helpers shared by all figures: an empty figure without a window, and saving it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path, writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SUFFIXES = (".png", ".svg", ".pdf")
GREY = "#777777"


def check_plot_file(path: Path) -> None:
    """Check that a figure can be written to a path.

    Raises:
        PoseMambaError: the suffix is not one of `SUFFIXES`, or matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PoseMambaError(f"{path}: a figure's name ends with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    require("matplotlib", "plot")


def new_figure(width: float, height: float, *, dpi: float = 150, layout: str | None = None) -> Figure:
    """Make an empty figure, width and height in inches; `layout` is Matplotlib's layout engine."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)  # no window, whatever the user's settings are
    return figure


def save_figure(figure: Figure, path: Path, caption: str) -> None:
    """Write a figure with a caption below it.

    Raises:
        PoseMambaError: `path` cannot be written.
    """
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * 16))
    figure.text(0.012, 0.012, "\n".join(lines), fontsize=8, color=GREY, va="bottom")
    with writing(path), atomic_path(path) as temporary:
        figure.savefig(temporary, bbox_inches="tight", pad_inches=0.15)
