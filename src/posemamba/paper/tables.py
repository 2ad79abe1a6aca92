"""Tables 1 to 6 of the paper, their rows about PoseMamba: its numbers as data, and how they are printed beside ours.

N is the number of blocks (twice the config's depth), d_m the width, T the frames of a clip. Errors are millimetres.
Parameters and operations are counted as the paper counts them (`posemamba.models.counting`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import torch

from posemamba.ops.scan.orders import OrderName

Format = Literal["text", "csv", "latex"]
EPOCHS = 120


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        key: ``param``, ``macs``, ``macs_frame`` are counted; ``p1``, ``p2`` and ``p1_exact`` come of a run.
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
        recipe: name of the recipe that aims at them; empty if the row is only counted.
        recipe_exact: of the one that aims at P1 on the true 2D joints.
        order: of the scans.
    """

    label: str
    blocks: int
    width: int
    frames: int
    paper: Mapping[str, float]
    recipe: str = ""
    recipe_exact: str = ""
    order: OrderName = "global_local"

    def recipe_of(self, column: str) -> str:
        """The recipe that a column's number comes of; empty for what is counted."""
        if column == "p1_exact":
            return self.recipe_exact
        return self.recipe if column in ("p1", "p2") else ""

    @property
    def recipes(self) -> tuple[str, ...]:
        return tuple(name for name in (self.recipe, self.recipe_exact) if name)


@dataclass(frozen=True)
class Table:
    """A table of the paper; `shown` are the fields of a row that tell it from the others."""

    number: int
    title: str
    data: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    shown: tuple[str, ...] = ()

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of all recipes, each once, in the order of the rows."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.recipes))


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


def _variant(label: str, blocks: int, width: int, *, recipe: str = "", **paper: float) -> Row:
    exact = f"{recipe}_exact" if "p1_exact" in paper else ""
    return Row(label, blocks, width, 243, paper, recipe, exact)


def _ablation(label: str, recipe: str, p1: float, p2: float | None = None, order: OrderName = "global_local") -> Row:
    """A row of table 4, which counts, or of table 5, which has P2."""
    paper = {"param": 0.860, "macs": 3.587, "p1": p1} if p2 is None else {"p1": p1, "p2": p2}
    return Row(label, 20, 64, 243, paper, recipe, order=order)


def _setting(blocks: int, width: int, recipe: str, param: float, macs: float, p1: float) -> Row:
    return _variant(f"{blocks} {width}", blocks, width, recipe=recipe, param=param, macs=macs, p1=p1)


def _mpi(label: str, width: int, frames: int, recipe: str, p1: float) -> Row:
    return Row(label, 20, width, frames, {"p1": p1}, recipe)


_H36M, _MPI = "Human3.6M", "MPI-INF-3DHP"

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
                    recipe="human36m_s",
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
                    recipe="human36m_b",
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
                    recipe="human36m_l",
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
                    recipe="human36m_x",
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
                _ablation("Unidirectional Spatial-Temporal 1", "human36m_s_fs_ft", 43.1, order="fs_ft"),
                _ablation("Unidirectional Spatial-Temporal 2", "human36m_s_fs_bt", 43.2, order="fs_bt"),
                _ablation("Unidirectional Spatial-Temporal 3", "human36m_s_bs_ft", 43.8, order="bs_ft"),
                _ablation("Unidirectional Spatial-Temporal 4", "human36m_s_bs_bt", 43.0, order="bs_bt"),
                _ablation("Bidirectional Spatial-Temporal", "human36m_s_bidirectional", 42.4, order="bidirectional"),
                _ablation("Bidirectional Global-Local Spatial-Temporal", "human36m_s", 41.8),
            ),
            ("order",),
        ),
        Table(
            5,
            "Losses, Human3.6M (P1 and P2 are the paper's MPJPE and PMPJPE)",
            _H36M,
            _columns(p1=1, p2=1),
            (
                _ablation("MPJPE Loss", "human36m_s_loss_mpjpe", 43.7, 36.5),
                _ablation("MPJPE Loss + 2D-Loss", "human36m_s_loss_2d", 43.5, 36.2),
                _ablation("MPJPE Loss + T-Loss", "human36m_s_loss_t", 42.1, 35.1),
                _ablation("Ours (MPJPE Loss + T-Loss + 2D-Loss)", "human36m_s", 41.8, 35.0),
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
    """A model's parameters in millions, MACs in 10^9 and MACs of a frame in millions, counted as the paper does."""
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
    """What a recipe gave here.

    Attributes:
        values: ``p1`` and ``p2`` in millimetres, as far as they are known.
        state: one line: ``not run``, or what was run and how it differs from the paper's.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    state: str = "not run"


NOT_RUN = Outcome()


def here(row: Row, column: str, outcomes: Mapping[str, Outcome]) -> float | None:
    """Our number for a row and column; None if there is none."""
    recipe = row.recipe_of(column)
    if not recipe:
        return counted(row.blocks, row.width, row.frames)[column]
    return outcomes.get(recipe, NOT_RUN).values.get("p2" if column == "p2" else "p1")


def state(row: Row, outcomes: Mapping[str, Outcome]) -> str:
    """What to say of a row's runs; each by its recipe's name, unless all say the same."""
    said = {name: outcomes.get(name, NOT_RUN).state for name in row.recipes}
    if len(set(said.values())) <= 1:
        return next(iter(said.values()), "counted")
    return "; ".join(f"{name}: {text}" for name, text in said.items())


def render(table: Table, outcomes: Mapping[str, Outcome], format: Format = "text") -> str:
    """The table, the paper's numbers beside ours, ending with a line break.

    ``csv`` has a line for each number: table, row, column, paper, here, recipe, state.
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
    writer.writerow(("table", "row", "column", "paper", "here", "recipe", "state"))
    for row in table.rows:
        for column in table.columns:
            recipe, ours = row.recipe_of(column.key), here(row, column.key, outcomes)
            said = outcomes.get(recipe, NOT_RUN).state if recipe else "counted"
            paper = _number(row.paper[column.key], column.digits)
            full = "" if ours is None else f"{ours:.6g}"
            writer.writerow((table.number, _name(table, row), column.title, paper, full, recipe, said))
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
