"""Tables 1 to 6 of the paper, their rows about PoseMamba: the numbers as data, and their printing beside ours.

N is the number of blocks (twice the config's depth), d_m the width, T the frames of a clip. Errors are millimetres.
Parameters and operations are counted as the paper counts them (`posemamba.models.counting`). A row that is trained has
the settings of its run (`Row.settings`), changes to the recipe human36m or mpi_inf_3dhp.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import torch

from posemamba.ops.scan.orders import OrderName

Format = Literal["text", "csv", "latex"]
SIZES = {(20, 64): "s", (20, 128): "b", (40, 128): "l", (40, 256): "x"}
"""The paper's variants by blocks and width."""
RECIPE_FRAMES = (243, 81)
"""Frames that the recipes human36m and mpi_inf_3dhp have."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: ``param``, ``macs``, ``macs_frame`` are counted; ``p1``, ``p2`` and ``p1_exact`` are scores of a run.
        title: with the unit.
        digits: after the point, as in the paper.
    """

    key: str
    title: str
    digits: int


@dataclass(frozen=True)
class Row:
    """A row of the paper.

    Attributes:
        label: as the paper has it.
        blocks, width, frames: N, d_m and T.
        paper: its numbers by column.
        run: name of the run that aims at them, and of its folder; empty if the row is only counted.
        run_exact: name of the run that aims at P1 on the true 2D joints.
        order: of the scans.
        without: losses that are left out.
    """

    label: str
    blocks: int
    width: int
    frames: int
    paper: Mapping[str, float]
    run: str = ""
    run_exact: str = ""
    order: OrderName = "global_local"
    without: tuple[str, ...] = ()

    def run_of(self, column: str) -> str:
        """Return the run that a column's number is a score of; empty for counted columns."""
        if column == "p1_exact":
            return self.run_exact
        return self.run if column in ("p1", "p2") else ""

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(name for name in (self.run, self.run_exact) if name)

    @property
    def size(self) -> str:
        """The variant that the row's model is, or is derived from: S where it has neither's depth and width."""
        return SIZES.get((self.blocks, self.width), "s")

    def settings(self, run: str) -> dict[str, Any]:
        """Return what a run sets in the recipe of the table's data, by dotted names; the size is `size`."""
        changed: dict[str, Any] = {}
        if (self.blocks, self.width) not in SIZES:
            blocks, width = next(shape for shape, size in SIZES.items() if size == self.size)
            changed |= {"model.options.depth": self.blocks // 2} if self.blocks != blocks else {}
            changed |= {"model.options.width": self.width} if self.width != width else {}
        if self.order != "global_local":
            changed["model.options.scan_order"] = self.order
        if self.frames not in RECIPE_FRAMES:
            changed |= {"model.options.frames": self.frames, "data.frames": self.frames}
        changed |= {f"losses.{name}": 0 for name in self.without}
        return changed | ({"data.inputs": "exact"} if run == self.run_exact else {})


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        recipe: that its runs are made by, each with its row's settings; empty if all is counted.
        shown: fields of a row that tell it from the others.
    """

    number: int
    title: str
    recipe: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    shown: tuple[str, ...] = ()

    @property
    def runs(self) -> dict[str, Row]:
        """All runs by name, each once, in the order of the rows, with a row that each is of."""
        return {name: row for row in self.rows for name in row.runs}


def _columns(**digits: int) -> tuple[Column, ...]:
    titles = {
        "param": "Param (M)",
        "macs": "MACs (G)",
        "macs_frame": "MACs/frame (M)",
        "p1": "P1 (mm)",
        "p2": "P2 (mm)",
        "p1_exact": "P1, exact 2D (mm)",
    }
    return tuple(Column(key, titles[key], n) for key, n in digits.items())


def _variant(label: str, blocks: int, width: int, *, run: str = "", **paper: float) -> Row:
    exact = f"{run}_exact" if "p1_exact" in paper else ""
    return Row(label, blocks, width, 243, paper, run, exact)


def _order(label: str, run: str, p1: float, order: OrderName) -> Row:
    return Row(label, 20, 64, 243, {"param": 0.860, "macs": 3.587, "p1": p1}, run, order=order)


_T_LOSS, _2D_LOSS = ("velocity", "temporal_consistency"), ("n_mpjpe",)


def _losses(label: str, run: str, p1: float, p2: float, without: tuple[str, ...] = ()) -> Row:
    return Row(label, 20, 64, 243, {"p1": p1, "p2": p2}, run, without=without)


def _setting(blocks: int, width: int, run: str, param: float, macs: float, p1: float) -> Row:
    return _variant(f"{blocks} {width}", blocks, width, run=run, param=param, macs=macs, p1=p1)


def _mpi(label: str, width: int, frames: int, run: str, p1: float) -> Row:
    return Row(label, 20, width, frames, {"p1": p1}, run)


_H36M, _MPI = "human36m", "mpi_inf_3dhp"

TABLES: dict[int, Table] = {
    table.number: table
    for table in (
        Table(
            1,
            "Human3.6M, detected 2D (P1, P2) and exact 2D (the paper's P1 with a dagger)",
            _H36M,
            _columns(param=1, macs=1, macs_frame=0, p1=1, p2=1, p1_exact=1),
            (
                _variant(
                    "PoseMamba-S",
                    20,
                    64,
                    run="human36m_s",
                    param=0.9,
                    macs=3.6,
                    macs_frame=15,
                    p1=41.8,
                    p2=35.0,
                    p1_exact=20.0,
                ),
                _variant(
                    "PoseMamba-B",
                    20,
                    128,
                    run="human36m_b",
                    param=3.4,
                    macs=13.9,
                    macs_frame=57,
                    p1=40.8,
                    p2=34.3,
                    p1_exact=16.8,
                ),
                _variant(
                    "PoseMamba-L",
                    40,
                    128,
                    run="human36m_l",
                    param=6.7,
                    macs=27.9,
                    macs_frame=115,
                    p1=38.1,
                    p2=32.5,
                    p1_exact=15.6,
                ),
                _variant(
                    "PoseMamba-X",
                    40,
                    256,
                    run="human36m_x",
                    param=26.5,
                    macs=109.9,
                    macs_frame=452,
                    p1=37.1,
                    p2=31.5,
                    p1_exact=14.8,
                ),
            ),
        ),
        Table(
            2,
            "The variants",
            "",
            _columns(param=3, macs=3),
            (
                _variant("PoseMamba-S", 20, 64, param=0.860, macs=3.587),
                _variant("PoseMamba-B", 20, 128, param=3.358, macs=13.943),
                _variant("PoseMamba-L", 40, 128, param=6.714, macs=27.881),
                _variant("PoseMamba-X", 40, 256, param=26.535, macs=109.909),
            ),
            ("blocks", "width", "frames"),
        ),
        Table(
            3,
            "MPI-INF-3DHP, exact 2D (P1 is the paper's MPJPE)",
            _MPI,
            _columns(p1=2),
            (
                _mpi("PoseMamba-S", 64, 27, "mpi_inf_3dhp_s27", 17.79),
                _mpi("PoseMamba-S", 64, 81, "mpi_inf_3dhp_s81", 15.27),
                _mpi("PoseMamba-B", 128, 81, "mpi_inf_3dhp_b81", 14.51),
            ),
            ("frames",),
        ),
        Table(
            4,
            "Scan orders, Human3.6M (P1 is the paper's MPJPE)",
            _H36M,
            _columns(param=3, macs=3, p1=1),
            (
                # the paper shows the four one-way orders in a figure without names: taken in the order of docs/model.md
                _order("Unidirectional Spatial-Temporal 1", "human36m_s_fs_ft", 43.1, "fs_ft"),
                _order("Unidirectional Spatial-Temporal 2", "human36m_s_fs_bt", 43.2, "fs_bt"),
                _order("Unidirectional Spatial-Temporal 3", "human36m_s_bs_ft", 43.8, "bs_ft"),
                _order("Unidirectional Spatial-Temporal 4", "human36m_s_bs_bt", 43.0, "bs_bt"),
                _order("Bidirectional Spatial-Temporal", "human36m_s_bidirectional", 42.4, "bidirectional"),
                _order("Bidirectional Global-Local Spatial-Temporal", "human36m_s", 41.8, "global_local"),
            ),
            ("order",),
        ),
        Table(
            5,
            "Losses, Human3.6M (P1 and P2 are the paper's MPJPE and PMPJPE)",
            _H36M,
            _columns(p1=1, p2=1),
            (
                _losses("MPJPE Loss", "human36m_s_loss_mpjpe", 43.7, 36.5, _2D_LOSS + _T_LOSS),
                _losses("MPJPE Loss + 2D-Loss", "human36m_s_loss_2d", 43.5, 36.2, _T_LOSS),
                _losses("MPJPE Loss + T-Loss", "human36m_s_loss_t", 42.1, 35.1, _2D_LOSS),
                _losses("Ours (MPJPE Loss + T-Loss + 2D-Loss)", "human36m_s", 41.8, 35.0),
            ),
        ),
        Table(
            6,
            "Depth and width, Human3.6M",
            _H36M,
            _columns(param=3, macs=1, p1=1),
            (
                _setting(12, 64, "human36m_n12_d64", 0.516, 2.2, 43.0),
                _setting(16, 64, "human36m_n16_d64", 0.688, 2.9, 42.0),
                _setting(20, 64, "human36m_s", 0.860, 3.6, 41.8),
                _setting(24, 64, "human36m_n24_d64", 1.031, 4.3, 41.5),
                _setting(32, 64, "human36m_n32_d64", 1.375, 5.7, 41.5),
                _setting(40, 64, "human36m_n40_d64", 1.719, 7.2, 41.1),
                _setting(48, 64, "human36m_n48_d64", 2.062, 8.6, 41.1),
                _setting(40, 32, "human36m_n40_d32", 0.450, 1.9, 43.1),
                _setting(40, 64, "human36m_n40_d64", 1.719, 7.2, 41.1),
                _setting(40, 128, "human36m_l", 6.714, 27.9, 38.1),
                _setting(40, 256, "human36m_x", 26.535, 109.9, 37.1),
                _setting(12, 256, "human36m_n12_d256", 7.963, 33.0, 39.1),
                _setting(20, 128, "human36m_b", 3.358, 13.9, 40.8),
            ),
            ("blocks", "width"),
        ),
    )
}


@lru_cache(maxsize=32)
def counted(blocks: int, width: int, frames: int) -> dict[str, float]:
    """Count a model's parameters in millions, MACs in 10^9 and MACs of a frame in millions, as the paper does."""
    from posemamba.models.counting import count
    from posemamba.models.posemamba import PoseMamba, PoseMambaConfig

    with torch.device("meta"):
        model = PoseMamba(PoseMambaConfig(width=width, depth=blocks // 2, frames=frames))
    counts = count(model)
    return {
        "param": counts.paper_parameters / 1e6,
        "macs": counts.paper_macs / 1e9,
        "macs_frame": counts.paper_macs / frames / 1e6,
    }


@dataclass(frozen=True)
class Outcome:
    """The result of a run here.

    Attributes:
        values: ``p1`` and ``p2`` in millimetres, as far as they are known.
        state: one line: ``not run``, or how far the run went and how it departs from the paper's.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    state: str = "not run"


NOT_RUN = Outcome()


def here(row: Row, column: str, outcomes: Mapping[str, Outcome]) -> float | None:
    """Return our number for a row and column; None if there is none."""
    run = row.run_of(column)
    if not run:
        return counted(row.blocks, row.width, row.frames)[column]
    return outcomes.get(run, NOT_RUN).values.get("p2" if column == "p2" else "p1")


def state(row: Row, outcomes: Mapping[str, Outcome]) -> str:
    """Describe a row's runs in a line; each by its name, unless all are in the same state."""
    states = {name: outcomes.get(name, NOT_RUN).state for name in row.runs}
    if len(set(states.values())) <= 1:
        return next(iter(states.values()), "counted")
    return "; ".join(f"{name}: {text}" for name, text in states.items())


def render(table: Table, outcomes: Mapping[str, Outcome], format: Format = "text") -> str:
    """Format a table, the paper's numbers beside ours, ending with a line break.

    ``csv`` has a line for each number: table, row, column, paper, here, run, state.
    """
    return {"text": _text, "csv": _csv, "latex": _latex}[format](table, outcomes)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _name(table: Table, row: Row) -> str:
    if table.number == 6:
        return f"N {row.blocks}, d_m {row.width}"
    names = {"blocks": "N", "width": "d_m", "frames": "T", "order": ""}
    more = ", ".join(f"{names[s]} {getattr(row, s)}".strip() for s in table.shown)
    return f"{row.label} ({more})" if more else row.label


def _cells(table: Table, row: Row, outcomes: Mapping[str, Outcome]) -> list[tuple[str, str]]:
    return [
        (_number(row.paper.get(c.key), c.digits), _number(here(row, c.key, outcomes), c.digits)) for c in table.columns
    ]


def _text(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    width = max(len(_name(table, row)) for row in table.rows)
    widths = [max(13, len(c.title)) for c in table.columns]

    def line(first: str, cells: Sequence[tuple[str, str]], last: str) -> str:
        middle = " | ".join(f"{a:>{w // 2}} {b:>{w - w // 2 - 1}}" for (a, b), w in zip(cells, widths, strict=True))
        return f"{first:<{width}} | {middle} | {last}".rstrip()

    titles = " | ".join(f"{c.title:^{w}}" for c, w in zip(table.columns, widths, strict=True))
    lines = [
        f"Table {table.number} of the paper: {table.title}",
        f"{'':{width}} | {titles} |",
        line("", [("paper", "here")] * len(widths), "here"),
        *(line(_name(table, row), _cells(table, row, outcomes), state(row, outcomes)) for row in table.rows),
    ]
    return "\n".join(lines) + "\n"


def _csv(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("table", "row", "column", "paper", "here", "run", "state"))
    for row in table.rows:
        for column in table.columns:
            run, ours = row.run_of(column.key), here(row, column.key, outcomes)
            of_run = outcomes.get(run, NOT_RUN).state if run else "counted"
            paper = _number(row.paper[column.key], column.digits)
            full = "" if ours is None else f"{ours:.6g}"
            writer.writerow((table.number, _name(table, row), column.title, paper, full, run, of_run))
    return out.getvalue()


def _latex(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    def safe(text: str) -> str:
        return text.replace("&", r"\&").replace("%", r"\%").replace("_", r"\_")

    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{safe(c.title)}}}" for c in table.columns)
    lines = [
        f"% Table {table.number} of the paper: {table.title}",
        rf"\begin{{tabular}}{{l{'rr' * len(table.columns)}l}}",
        r"\hline",
        rf" & {heads} & \\",
        rf" & {' & '.join(['paper & here'] * len(table.columns))} & \\",
        r"\hline",
    ]
    for row in table.rows:
        cells = " & ".join(f"{a} & {'--' if b == '-' else b}" for a, b in _cells(table, row, outcomes))
        lines.append(rf"{safe(_name(table, row))} & {cells} & {safe(state(row, outcomes))} \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"
