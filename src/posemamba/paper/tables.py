"""Tables 1 to 6 of the paper as data: what it prints, and the settings of the runs that aim at its numbers.

N is the number of blocks (twice the config's depth), d_m the width, T the frames of a clip. Errors are millimetres.
Parameters and operations are counted as the paper counts them (`posemamba.models.counting`). A row that is trained has
the settings of its run (`Row.settings`), changes to the recipe human36m or mpi_inf_3dhp, or to another (`on_recipe`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from posemamba.ops.scan.orders import OrderName
from posemamba.utils.errors import PoseMambaError

SIZES = {(20, 64): "s", (20, 128): "b", (40, 128): "l", (40, 256): "x"}
"""The paper's variants by blocks and width."""
COUNTED = ("param", "macs", "macs_frame")
"""Columns that are counted and not scored."""
RECIPE_FRAMES = (243, 81)
"""Frames that the recipes human36m and mpi_inf_3dhp have."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: ``param``, ``macs``, ``macs_frame`` are counted; ``p1`` and ``p2`` are scores of a run. ``p1_exact`` and
            ``p1_exact_own`` are P1 of the run on true 2D joints: with the given x and y in place of the predicted, as
            the released code scores the paper's column with a dagger, and as predicted. ``exact`` and ``noisy`` are P1
            on motion capture.
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
        blocks, width, frames: N, d_m and T; no N and d_m of other models.
        paper: its numbers by column.
        run: name of the run that aims at them, and of its folder; empty if the row is only counted.
        run_exact: name of the run that aims at P1 on the true 2D joints.
        order: of the scans.
        without: losses that are left out.
        kind, preset: architecture and size of the model; no architecture: there is none here, nothing is counted.
        source: where it was published.
        detector: short name of the 2D joints of ``p1`` and ``p2``: SH (Stacked Hourglass), CPN, GT (ground truth).
        centre: of each clip, the centre frame alone is estimated.
        options: further changes to the recipe.
        own_frames: the recipe's clips have the row's frames already.
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
    kind: str = "posemamba"
    preset: str = ""
    source: str = "AAAI'25"
    detector: str = "SH"
    centre: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    own_frames: bool = False

    def run_of(self, column: str) -> str:
        """Return the run that a column's number is a score of; empty for counted columns."""
        if column in ("p1_exact", "p1_exact_own"):
            return self.run_exact
        return self.run if column in ("p1", "p2", "exact", "noisy") else ""

    @property
    def run_detector(self) -> str:
        """The 2D joints of the row's run here: those of the recipe's file, whatever the published ones were."""
        return "GT" if self.detector == "GT" else "SH"

    def detector_of(self, column: str) -> str:
        """Return the 2D joints that a column's number is of; empty for counted columns."""
        if column in COUNTED:
            return ""
        return "GT" if column in ("p1_exact", "p1_exact_own") else self.detector

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(name for name in (self.run, self.run_exact) if name)

    @property
    def size(self) -> str:
        """The variant that the row's model is, or is derived from: S where it has neither's depth and width."""
        return self.preset or SIZES.get((self.blocks, self.width), "s")

    def settings(self, run: str) -> dict[str, Any]:
        """Return what a run sets in the recipe of the table's data, by dotted names; the size is `size`."""
        changed: dict[str, Any] = {"model.kind": self.kind} if self.kind != "posemamba" else {}
        if self.kind == "posemamba" and (self.blocks, self.width) not in SIZES:
            blocks, width = next(shape for shape, size in SIZES.items() if size == self.size)
            changed |= {"model.options.depth": self.blocks // 2} if self.blocks != blocks else {}
            changed |= {"model.options.width": self.width} if self.width != width else {}
        if self.order != "global_local":
            changed["model.options.scan_order"] = self.order
        if self.frames not in RECIPE_FRAMES and not self.own_frames:
            changed |= {"model.options.frames": self.frames, "data.frames": self.frames}
        changed |= {f"losses.{name}": 0 for name in self.without}
        return changed | ({"data.inputs": "exact"} if run == self.run_exact else {}) | dict(self.options)


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        recipe: that its runs are made by, each with its row's settings; empty if all is counted.
        rows: about PoseMamba, as printed.
        shown: fields of a row that tell it from the others.
        others: rows about other models, as printed.
        trials: rows that the paper does not have.
    """

    number: int
    title: str
    recipe: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    shown: tuple[str, ...] = ()
    others: tuple[Row, ...] = ()
    trials: tuple[Row, ...] = ()

    @property
    def all_rows(self) -> tuple[Row, ...]:
        return self.others + self.rows + self.trials

    @property
    def runs(self) -> dict[str, Row]:
        """The paper's runs of PoseMamba by name, each once, in the order of the rows, with a row that each is of."""
        return {name: row for row in self.rows for name in row.runs}

    @property
    def all_runs(self) -> dict[str, Row]:
        """These, the trials, and the runs of other models."""
        return self.runs | {name: row for row in self.trials + self.others for name in row.runs}


def on_recipe(table: Table, recipe: str, frames: int) -> Table:
    """Return a table whose runs are made by another recipe, of motion capture: P1 on exact and on noisy 2D joints.

    Args:
        table: that has runs.
        recipe: its name, which those of the runs begin with.
        frames: of its clips.

    Raises:
        PoseMambaError: a table without runs.
    """
    if not table.recipe:
        raise PoseMambaError(f"table {table.number} is counted, there is nothing to train: leave out --recipe")

    def moved(row: Row) -> Row:
        run = f"{recipe}_{row.run.removeprefix(f'{table.recipe}_')}"
        return replace(row, run=run, run_exact="", frames=frames, own_frames=True)

    paper = tuple(replace(c, title=f"paper's {c.title}") for c in table.columns if c.key == "p1")
    columns = (*paper, Column("exact", "P1, exact 2D (mm)", 1), Column("noisy", "P1, noisy 2D (mm)", 1))
    title = f"{table.title.split(',')[0]}, recipe {recipe} in place of the paper's data"
    rows, trials = tuple(map(moved, table.rows)), tuple(map(moved, table.trials))
    return replace(table, recipe=recipe, title=title, columns=columns, rows=rows, trials=trials, others=())


def _columns(**digits: int) -> tuple[Column, ...]:
    titles = {
        "param": "Param (M)",
        "macs": "MACs (G)",
        "macs_frame": "MACs/frame (M)",
        "p1": "P1 (mm)",
        "p2": "P2 (mm)",
        "p1_exact": "P1†, GT 2D (mm)",
        "p1_exact_own": "P1, GT 2D (mm)",
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
    return Row(label, 20, width, frames, {"p1": p1}, run, detector="GT")


def _other(
    label: str, source: str, frames: int, detector: str, kind: str = "", size: str = "", centre: bool = False,
    run: str = "", **paper: float,
) -> Row:  # fmt: skip
    exact = f"{run}_exact" if run and "p1_exact" in paper else ""
    return Row(
        label, 0, 0, frames, paper, run, exact, kind=kind, preset=size, source=source, detector=detector, centre=centre
    )


def _h36m(
    label: str, source: str, frames: int, detector: str, numbers: tuple[float | None, ...], kind: str = "",
    size: str = "", centre: bool = False,
) -> Row:  # fmt: skip
    """A row of table 1; numbers are Param, MACs, MACs/frame, P1, P2 and P1 with a dagger."""
    keys = ("param", "macs", "macs_frame", "p1", "p2", "p1_exact")
    run = f"human36m_{kind}_{size}" if kind else ""
    paper = {key: number for key, number in zip(keys, numbers, strict=True) if number is not None}
    return _other(label, source, frames, detector, kind, size, centre, run, **paper)


def _3dhp(label: str, source: str, frames: int, mpjpe: float, kind: str = "", size: str = "") -> Row:
    run = f"mpi_inf_3dhp_{kind}_{size}{frames}" if kind else ""
    return _other(label, source, frames, "GT", kind, size, run=run, p1=mpjpe)


# Detectors are not in the paper but for an asterisk (HRNet) at MHFormer; they are those of the authors' repositories
# (docs/tables.md), a question mark where these do not say.
TABLE_1_OTHERS = (
    _h36m("MHFormer", "CVPR'22", 351, "CPN", (30.9, 7.0, 20, 43.0, 34.4, 30.5), centre=True),
    _h36m("MixSTE", "CVPR'22", 243, "CPN", (33.6, 139.0, 572, 40.9, 32.6, 21.6), "mixste", "base"),
    _h36m("P-STMO", "ECCV'22", 243, "CPN", (6.2, 0.7, 3, 42.8, 34.4, 29.3), centre=True),
    _h36m("Stridedformer", "TMM'22", 351, "CPN", (4.0, 0.8, 2, 43.7, 35.2, 28.5), centre=True),
    _h36m("Einfalt et al.", "WACV'23", 351, "CPN", (10.4, 0.5, 1, 44.2, 35.7, None), centre=True),
    _h36m("STCFormer", "CVPR'23", 243, "CPN", (4.7, 19.6, 80, 41.0, 32.0, 21.3), "stcformer", "base"),
    _h36m("STCFormer-L", "CVPR'23", 243, "CPN", (18.9, 78.2, 321, 40.5, 31.8, None), "stcformer", "l"),
    _h36m("PoseFormerV2", "CVPR'23", 243, "CPN", (14.4, 4.8, 20, 45.2, 35.6, None), centre=True),
    _h36m("GLA-GCN", "ICCV'23", 243, "CPN", (1.3, 1.5, 6, 44.4, 34.8, 21.0), centre=True),
    _h36m("MotionBERT", "ICCV'23", 243, "SH", (42.3, 174.8, 719, 39.2, 32.9, 17.8), "motionbert", "base"),
    _h36m("HDFormer", "IJCAI'23", 96, "?", (3.7, 0.6, 6, 42.6, 33.1, 21.6)),
    _h36m("HSTFormer", "arXiv'23", 81, "?", (22.7, 1.0, 12, 42.7, 33.7, 27.8)),
    _h36m("DC-GCT", "arXiv'23", 81, "?", (3.1, 0.041, 41, 44.7, None, None), centre=True),
    _h36m("MotionAGFormer-L", "WACV'24", 243, "SH", (19.0, 78.3, 322, 38.4, 32.5, 17.3), "motionagformer", "l"),
)
TABLE_3_OTHERS = (
    _3dhp("MHFormer", "CVPR'22", 9, 58.0),
    _3dhp("MixSTE", "CVPR'22", 27, 54.9, "mixste", "base"),
    _3dhp("P-STMO", "ECCV'22", 81, 32.2),
    _3dhp("Einfalt et al.", "WACV'23", 81, 46.9),
    _3dhp("STCFormer", "CVPR'23", 81, 23.1, "stcformer", "base"),
    _3dhp("PoseFormerV2", "CVPR'23", 81, 27.8),
    _3dhp("GLA-GCN", "ICCV'23", 81, 27.7),
    _3dhp("HSTFormer", "arXiv'23", 81, 41.4),
    _3dhp("HDFormer", "IJCAI'23", 96, 37.2),
    _3dhp("MotionAGFormer-XS", "WACV'24", 27, 19.2, "motionagformer", "xs"),
    _3dhp("MotionAGFormer-S", "WACV'24", 81, 17.1, "motionagformer", "s"),
    _3dhp("MotionAGFormer-B", "WACV'24", 81, 18.2, "motionagformer", "b"),
    _3dhp("MotionAGFormer-L", "WACV'24", 81, 16.2, "motionagformer", "l"),
)
_H36M, _MPI = "human36m", "mpi_inf_3dhp"

TABLES: dict[int, Table] = {
    table.number: table
    for table in (
        Table(
            1,
            "Human3.6M, detected 2D (P1, P2) and true 2D; with a dagger predicted x and y gave way to the given ones",
            _H36M,
            _columns(param=1, macs=1, macs_frame=0, p1=1, p2=1, p1_exact=1, p1_exact_own=1),
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
            ("source", "detector", "frames"),
            others=TABLE_1_OTHERS,
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
            "MPI-INF-3DHP, true 2D (P1 is the paper's MPJPE)",
            _MPI,
            _columns(p1=2),
            (
                _mpi("PoseMamba-S", 64, 27, "mpi_inf_3dhp_s27", 17.79),
                _mpi("PoseMamba-S", 64, 81, "mpi_inf_3dhp_s81", 15.27),
                _mpi("PoseMamba-B", 128, 81, "mpi_inf_3dhp_b81", 14.51),
            ),
            ("source", "frames"),
            others=TABLE_3_OTHERS,
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
            trials=(
                Row(
                    "Global-Local, merge with its own weight",
                    20,
                    64,
                    243,
                    {},
                    "human36m_s_merge_weight",
                    options={"model.options.merge_weight": True},
                ),
            ),
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
