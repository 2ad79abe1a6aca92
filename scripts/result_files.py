"""Files of benchmarks/results: a race or a score each, read, checked and written in one layout.

A file has `title`, `command`, `machine`, `date`, `commit` and `source` (where the numbers come from, if the report
itself was not kept), `columns` and `rows`; `heading` is that of the rows' labels.

A column has a `label`, its `unit`, `decimals` (of its floats; whole numbers have none) or significant `digits`,
`signed`, and a `form` if more than the number is printed: ``{} %``, or ``{p1} / {p2}`` of other columns.

A row has a `label`, a `short` one, a `unit` behind all of its numbers, `signed`, `bold` columns, and a number or a text
for each column that it has.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NEEDED = {"title", "command", "machine", "date", "commit", "source", "columns", "rows"}
OF_A_COLUMN = {"label", "unit", "decimals", "digits", "signed", "form"}
OF_A_ROW = {"label", "short", "unit", "signed", "bold"}


class ResultsError(Exception):
    """A mark or a file that does not fit."""


@cache
def load(name: str) -> dict[str, Any]:
    """Read a file of results and check its fields.

    Raises:
        ResultsError: there is no such file, or a field is missing or unknown.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise ResultsError(f"no file {path.relative_to(ROOT)}")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    check(path.name, content)
    return content


def check(name: str, content: dict[str, Any]) -> None:
    """Reject a file whose fields are not those of the layout."""
    if strange := (set(content) - {"heading"}) ^ NEEDED:
        raise ResultsError(f"{name}: missing or unknown: {', '.join(sorted(strange))}")
    if not (content["command"] and content["machine"] and content["source"]):
        raise ResultsError(f"{name}: command, machine and source must say something")
    for key, about in content["columns"].items():
        if "label" not in about or (strange := set(about) - OF_A_COLUMN):
            raise ResultsError(f"{name}: column {key}: needs a label and knows {', '.join(sorted(OF_A_COLUMN))}")
    for key, row in content["rows"].items():
        if strange := set(row) - OF_A_ROW - set(content["columns"]):
            raise ResultsError(f"{name}: row {key}: no such column: {', '.join(sorted(strange))}")


def names() -> list[str]:
    """List the files, without their ending."""
    return sorted(path.stem for path in RESULTS.glob("*.json"))


def layout(content: dict[str, Any]) -> str:
    """Write a file's text: a line for each field, column and row."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    first = ("label", "short", "unit", "signed", *content["columns"], "bold")
    rows = {name: {key: row[key] for key in first if key in row} for name, row in content["rows"].items()}

    def lines(entries: dict[str, Any]) -> str:
        return ",\n".join(f"    {line(key)}: {line(value)}" for key, value in entries.items())

    parts = [
        f"  {line(key)}: {{\n{lines(value)}\n  }}" if key in ("columns", "rows") else f"  {line(key)}: {line(value)}"
        for key, value in {**content, "rows": rows}.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def save(name: str, content: dict[str, Any]) -> None:
    """Write a file of results in the layout of all."""
    check(name, content)
    (RESULTS / f"{name}.json").write_text(layout(content), encoding="utf-8")
    load.cache_clear()
