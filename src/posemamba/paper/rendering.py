"""Printing of a table of the paper beside what was counted and run here: text, CSV, LaTeX with booktabs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Literal

from posemamba.paper.outcomes import NOT_RUN, Outcome, here, state
from posemamba.paper.tables import COUNTED, Row, Table

Format = Literal["text", "csv", "latex"]
_GROUPS = {"others": "other models", "rows": "PoseMamba", "trials": "not in the paper"}


def render(table: Table, outcomes: Mapping[str, Outcome], format: Format = "text") -> str:
    """Format a table, the paper's numbers beside ours, ending with a line break.

    ``csv`` has a line for each number, ``latex`` is for ``\\usepackage{booktabs}``: first what is published, then what
    was counted and run with this code.
    """
    return {"text": _text, "csv": _csv, "latex": _latex}[format](table, outcomes)


def _groups(table: Table) -> dict[str, tuple[Row, ...]]:
    """The table's rows by what they are about, groups without rows left out."""
    return {title: getattr(table, name) for name, title in _GROUPS.items() if getattr(table, name)}


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    small = value and round(value, digits) == 0
    return f"{value:.2g}" if small else f"{value:.{digits}f}"


def _name(table: Table, row: Row) -> str:
    if table.number == 6:
        return f"N {row.blocks}, d_m {row.width}"
    names = {"blocks": "N", "width": "d_m", "frames": "T", "detector": "2D"}
    more = [f"{names.get(shown, '')} {getattr(row, shown)}".strip() for shown in table.shown]
    more += ["centre frame"] if row.centre else []
    more = [text for text in more if text]
    return f"{row.label} ({', '.join(more)})" if more else row.label


def _cells(table: Table, row: Row, outcomes: Mapping[str, Outcome]) -> list[tuple[str, str]]:
    return [(_number(row.paper.get(c.key), c.digits), here(row, c.key, outcomes).text(c.digits)) for c in table.columns]


def _text(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    groups = _groups(table)
    width = max(len(_name(table, row)) for row in table.all_rows)
    cells = {id(row): _cells(table, row, outcomes) for row in table.all_rows}
    right = [max(6, *(len(c[i][1]) for c in cells.values())) for i in range(len(table.columns))]
    widths = [max(r + 7, len(c.title)) for c, r in zip(table.columns, right, strict=True)]

    def line(first: str, cells: Sequence[tuple[str, str]], last: str) -> str:
        pairs = (f"{a:>{w - r - 1}} {b:>{r}}" for (a, b), w, r in zip(cells, widths, right, strict=True))
        return f"{first:<{width}} | {' | '.join(pairs)} | {last}".rstrip()

    titles = " | ".join(f"{c.title:^{w}}" for c, w in zip(table.columns, widths, strict=True))
    lines = [
        f"Table {table.number} of the paper: {table.title}",
        f"{'':{width}} | {titles} |",
        line("", [("paper", "here")] * len(widths), "here"),
    ]
    for title, rows in groups.items():
        lines += [line(f"{title}:", [("", "")] * len(widths), "")] if len(groups) > 1 else []
        lines += [line(_name(table, row), cells[id(row)], state(row, outcomes)) for row in rows]
    return "\n".join(lines) + "\n"


def _csv(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = "table group row source detector frames column paper here deviation runs run state"
    writer.writerow(head.split())
    for group, rows in _groups(table).items():
        for row in rows:
            for column in table.columns:
                run, ours = row.run_of(column.key), here(row, column.key, outcomes)
                of_run = outcomes.get(run, NOT_RUN).state if run else "published alone"
                if column.key in COUNTED and row.kind:
                    of_run = "counted"
                paper = row.paper.get(column.key)
                facts = (row.source, row.detector_of(column.key), row.frames, column.title)
                numbers = (_number(paper, column.digits) if paper is not None else "", _full(ours.value))
                spread = (_full(ours.deviation), ours.runs or "")
                writer.writerow((table.number, group, _name(table, row), *facts, *numbers, *spread, run, of_run))
    return out.getvalue()


def _full(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _safe(text: str) -> str:
    for special in "&%_#":
        text = text.replace(special, f"\\{special}")
    return text.replace("†", r"$^\dagger$").replace("±", r"$\pm$")


def _latex(table: Table, outcomes: Mapping[str, Outcome]) -> str:
    facts = {"Venue": "source", "$T$": "frames", "2D": "detector"} if table.others else {}
    count = 1 + len(facts) + len(table.columns)
    ours = [row for row in table.all_rows if any(here(row, c.key, outcomes).value is not None for c in table.columns)]
    published = {"others": "Published, other models", "rows": "Published, PoseMamba"}
    groups = [(title, getattr(table, name), False) for name, title in published.items() if getattr(table, name)]
    groups += [("This code", tuple(ours), True)] if ours else []

    def line(row: Row, run_here: bool) -> str:
        cells = []
        for c in table.columns:
            paper = _number(row.paper.get(c.key), c.digits)
            text = here(row, c.key, outcomes).text(c.digits) if run_here else paper
            cells.append("--" if text == "-" else _safe(text))
        own = {"source": "", "detector": row.run_detector} if run_here else {}
        more = [_safe(str(own.get(name, getattr(row, name)))) for name in facts.values()]
        label = row.label if facts else _name(table, row)
        cells = [_safe(label) + (r"$^\ast$" if row.centre else ""), *more, *cells]
        note = f" % {state(row, outcomes)}" if run_here else ""
        return rf"{' & '.join(cells)} \\{note}"

    heads = ["Method" if facts else "", *facts, *(_safe(c.title) for c in table.columns)]
    lines = [
        f"% Table {table.number} of the paper: {table.title}",
        r"% \usepackage{booktabs}",
        *([r"% $^\ast$: estimates the centre frame only"] if any(row.centre for row in table.others) else []),
        rf"\begin{{tabular}}{{l{'c' * len(facts)}{'r' * len(table.columns)}}}",
        r"\toprule",
        rf"{' & '.join(heads)} \\",
    ]
    for title, rows, run_here in groups:
        lines += [r"\midrule", rf"\multicolumn{{{count}}}{{l}}{{\emph{{{title}}}}} \\"]
        lines += [line(row, run_here) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
