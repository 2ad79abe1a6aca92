"""The paper's numbers as data against its text, and against the models; tables as text, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re

import pytest

from posemamba.paper.outcomes import Outcome, counted, together
from posemamba.paper.rendering import render
from posemamba.paper.tables import TABLES, Row, Table, on_recipe

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


def test_rows_of_other_models_are_the_papers(shared):
    """Each line of tables 1 and 3 about another model, by its numbers: frames, counts, errors."""
    text = shared("spec", "paper.txt").read_text(encoding="utf-8").replace("\u2019", "'")
    for number, first, marks in ((1, "*MHFormer", "✓×"), (3, "MHFormer", "")):
        lines = lines_of(text, number)
        start = next(i for i, line in enumerate(lines) if line.startswith(first))
        lines = [line for line in lines[start:] if not line.startswith(("PoseMamba", "Table", "(*)")) and line]
        others = TABLES[number].others
        for line, row in zip(lines[: len(others)], others, strict=True):
            assert line.removeprefix("*").startswith(row.label)
            after = line.split(")", 1)[-1] if "(" in line else line.removeprefix(row.label)
            if marks:
                assert row.source in after and ("✓" in after) == row.centre
                after = after.replace(row.source, "")
            printed = [float(n) for n in re.findall(r"(?<![\w.-])\d+(?:\.\d+)?", after)]
            ours = [row.frames, *row.paper.values()]
            unit = 1000 if " 41 M 41 M " in line else 1  # one row has its MACs in millions
            assert [n * unit if i == 2 else n for i, n in enumerate(ours)] == pytest.approx(printed), line
        assert len(others) == {1: 14, 3: 13}[number]


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
    mixste = next(line for line in text.splitlines() if line.startswith("MixSTE (CVPR'22, 2D CPN, T 243)"))
    assert re.search(r"33\.6 +33\.8 .*40\.9 +- ", mixste) and mixste.endswith("| not run")
    assert "human36m_s: 120 epochs" in small and small.endswith("human36m_s_exact: not run")
    assert base.endswith("| not run") and re.search(r"40\.8 +- ", base)
    assert all(line.endswith("| counted") for line in render(TABLES[2], {}).splitlines()[3:])
    assert all(len({line.count("|") for line in render(t, outcomes).splitlines()[1:]}) == 1 for t in TABLES.values())


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: str(table.number))
def test_csv_has_every_number(table):
    outcomes = {"human36m_s": Outcome({"p1": 40.0}, "a, b", {"p1": 0.25}, 3)}
    rows = list(csv.DictReader(io.StringIO(render(table, outcomes, "csv"))))
    assert len(rows) == len(table.all_rows) * len(table.columns)
    for row in rows:
        assert row["table"] == str(table.number)
        if row["group"] == "PoseMamba" and row["column"] != "P1, GT 2D (mm)":
            assert float(row["paper"]) > 0
        if row["state"] == "counted" and row["group"] == "PoseMamba":
            assert float(row["here"]) == pytest.approx(float(row["paper"]), rel=0.06)
        elif row["run"] == "human36m_s" and row["column"].startswith("P1"):
            assert (row["here"], row["deviation"], row["runs"], row["state"]) == ("40", "0.25", "3", "a, b")
        elif row["state"] != "counted" and row["run"] != "human36m_s":
            assert (row["here"], row["state"]) == ("", "not run" if row["run"] else "published alone")
    detectors = {(row["column"], row["detector"]) for row in rows if row["group"] == "PoseMamba"}
    assert ("P1†, GT 2D (mm)", "GT") in detectors or table.number != 1


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: str(table.number))
def test_latex_can_be_pasted(table):
    """As many cells in each line as columns, booktabs' rules, no special character bare; ours apart from published."""
    outcomes = {"human36m_s": Outcome({"p1": 41.23}, "2 seeds: done", {"p1": 0.5}, 2)}
    lines = render(table, outcomes, "latex").splitlines()
    begin = next(line for line in lines if line.startswith(r"\begin{tabular}"))
    columns = len(re.fullmatch(r"\\begin\{tabular\}\{(\w+)\}", begin).group(1))
    assert columns == 1 + len(table.columns) + (3 if table.others else 0)
    for line in lines:
        row, _, note = line.partition(" % ")
        if row.endswith(r"\\"):
            spans = [int(n) for n in re.findall(r"multicolumn\{(\d+)\}", row)]
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + sum(n - 1 for n in spans) == columns
            assert not re.search(r"(?<!\\)[_#†±]", row)
        assert not note or "This code" in "".join(lines[: lines.index(line)])
    assert [line for line in lines if line in (r"\toprule", r"\bottomrule")] == [r"\toprule", r"\bottomrule"]
    assert lines[-1] == r"\end{tabular}" and r"\usepackage{booktabs}" in lines[1]
    if "human36m_s" in table.runs and table.number != 1:
        assert any(r"41.2$\pm$0.5" in line and line.endswith("% 2 seeds: done") for line in lines)


def test_seeds_together_and_motion_capture_in_place_of_the_papers_data():
    seeds = {"first": Outcome({"p1": 40.0, "p2": 30.0}, "120 epochs"), "seed 1": Outcome({"p1": 42.0}, "120 epochs")}
    both = together(seeds)
    assert both.values == {"p1": 41.0} and both.deviations == {"p1": pytest.approx(2**0.5)} and both.runs == 2
    assert both.state == "2 seeds: 120 epochs"
    begun = together({**seeds, "seed 2": Outcome(state="begun, no validation yet")})
    assert begun.runs == 2 and begun.state == "2 seeds: first, seed 1: 120 epochs; seed 2: begun, no validation yet"
    assert together({"first": seeds["first"]}) is seeds["first"]
    moved = on_recipe(TABLES[4], "mocap_81", 81)
    assert list(moved.all_runs)[-2:] == ["mocap_81_s", "mocap_81_s_merge_weight"]
    outcome = Outcome({"exact": 38.0, "noisy": 48.0}, "x", {"exact": 0.4, "noisy": 0.2}, 4)
    text = render(moved, {"mocap_81_s_bidirectional": outcome}, "text")
    assert re.search(
        r"Bidirectional Spatial-Temporal \(bidirectional\) +\| +42\.4 .* 38\.0±0\.4 .* 48\.0±0\.2 \| x", text
    )
