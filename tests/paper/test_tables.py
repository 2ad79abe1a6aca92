"""The paper's numbers as data against its text, and against the models; tables as text, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re

import pytest

from posemamba.paper.tables import TABLES, Outcome, Row, Table, counted, render

ROWS = [(table, row) for table in TABLES.values() for row in table.rows]
IDS = [f"{table.number}-{row.label}-{row.frames}" for table, row in ROWS]


def printed(table: Table, row: Row) -> str:
    """The row as the paper prints it."""
    p = row.paper
    if table.number == 1:
        counts = f"{p['param']:.1f} M {p['macs']:.1f} G {p['macs_frame']:.0f} M"
        return f"{row.label} {row.frames} × {counts} {p['p1']:.1f}/{p['p2']:.1f} {p['p1_exact']:.1f}"
    if table.number == 2:
        return f"{row.label} {row.blocks} {row.width} {row.frames} {p['param']:.3f} M {p['macs']:.3f} G"
    if table.number == 3:
        return f"{row.label} {row.frames} {p['p1']:.2f}"
    if table.number == 4:
        return f"{row.label} {p['param']:.3f} M {p['macs']:.3f} G {p['p1']:.1f}"
    if table.number == 5:
        return f"{row.label} {p['p1']:.1f}/{p['p2']:.1f}"
    return f"{row.label} {p['param']:.3f} M {p['macs']:.1f} G {p['p1']:.1f}"


def lines_of(text: str, number: int) -> list[str]:
    """The lines between one table's caption, or whatever comes before it, and its own caption."""
    lines = text.splitlines()
    end = next(i for i, line in enumerate(lines) if line.startswith(f"Table {number}:"))
    return lines[max(0, end - 24) : end]


@pytest.mark.parametrize(("table", "row"), ROWS, ids=IDS)
def test_the_papers_numbers_are_the_papers(shared, table, row):
    text = shared("spec", "paper.txt").read_text(encoding="utf-8")
    assert printed(table, row) in lines_of(text, table.number)


def test_no_row_of_the_paper_is_left_out(shared):
    text = shared("spec", "paper.txt").read_text(encoding="utf-8")
    about_us = re.compile(r"^(PoseMamba-|Unidirectional|Bidirectional .*M|MPJPE Loss|Ours|\d+ \d+ [\d.]+ M).*(\d|G)$")
    for number, table in TABLES.items():
        found = [line for line in lines_of(text, number) if about_us.match(line)]
        ours = [printed(table, row) for row in table.rows]
        assert [line for line in found if line in ours] == ours, number
        others = {printed(t, row) for t in TABLES.values() for row in t.rows}
        assert set(found) <= others


@pytest.mark.parametrize(("table", "row"), ROWS, ids=IDS)
def test_models_are_as_large_as_the_paper_says(table, row):
    ours = counted(row.blocks, row.width, row.frames)
    for column in table.columns:
        if column.key in ours:
            assert f"{ours[column.key]:.{column.digits}f}" == f"{row.paper[column.key]:.{column.digits}f}"


def test_rows_that_were_not_run_say_so_and_others_have_their_numbers():
    outcomes = {"human36m_s": Outcome({"p1": 41.23, "p2": 34.56}, "120 epochs, best by the test set: 117")}
    text = render(TABLES[1], outcomes)
    small, base = (next(line for line in text.splitlines() if f"PoseMamba-{z}" in line) for z in "SB")
    assert re.search(r"41\.8 +41\.2 .*35\.0 +34\.6 .*20\.0 +- ", small)
    assert "human36m_s: 120 epochs" in small and small.endswith("human36m_s_exact: not run")
    assert base.endswith("| not run") and re.search(r"40\.8 +- ", base)
    assert all(line.endswith("| counted") for line in render(TABLES[2], {}).splitlines()[3:])
    assert all(len({line.count("|") for line in render(t, outcomes).splitlines()[1:]}) == 1 for t in TABLES.values())


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: str(table.number))
def test_csv_has_every_number(table):
    rows = list(csv.DictReader(io.StringIO(render(table, {"human36m_s": Outcome({"p1": 40.0}, "a, b")}, "csv"))))
    assert len(rows) == len(table.rows) * len(table.columns)
    for row in rows:
        assert float(row["paper"]) > 0 and row["table"] == str(table.number)
        if row["state"] == "counted":
            assert float(row["here"]) == pytest.approx(float(row["paper"]), rel=0.06)
        elif row["run"] == "human36m_s" and row["column"].startswith("P1"):
            assert (row["here"], row["state"]) == ("40", "a, b")
        elif row["run"] != "human36m_s":
            assert (row["here"], row["state"]) == ("", "not run")


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: str(table.number))
def test_latex_has_as_many_cells_in_each_line_as_columns(table):
    lines = render(table, {}, "latex").splitlines()
    columns = 2 + 2 * len(table.columns)
    for line in lines:
        if line.endswith(r"\\"):
            heads = line.count(r"\multicolumn{2}")
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + heads == columns
        assert not re.search(r"(?<!\\)_", line) or line.startswith("%")
    assert lines[1].startswith(r"\begin{tabular}") and lines[-1] == r"\end{tabular}"
