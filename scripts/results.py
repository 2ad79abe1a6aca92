"""Numbers of pages, written from the files of benchmarks/results.

    python scripts/results.py            # list what pages say otherwise than the files; exit code 1 if anything
    python scripts/results.py --write    # write the pages' tables and numbers anew

A file holds a race or a score: what was run, by which command, on which machine, in which commit (the one that wrote it
down, where the report itself was not kept: `source`), its columns and its rows. Pages have marks.

A table stands between two marks. Columns and rows are chosen by their names, all where none are named. `a/b` puts two
columns into one, `name=Heading` gives it another heading, `file.column` is one of another file. `turned` has a line for
each column, `best` prints the least number of each column bold, `short` names rows shortly::

    <!-- results: real_clip | columns: p1, p2/depth=P2 / depth | rows: posemamba-s | best -->
    ...
    <!-- end -->

`<!-- source: real_clip -->` writes what was run, likewise up to `<!-- end -->`. A number in a sentence is followed by a
mark that says what it is: ``50.2<!-- = real_clip posemamba-s p1 -->``, or ``50.2 / 37.3<!-- = ... p1/p2 -->``.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/**/*.md")
NEEDED = {"title", "command", "machine", "date", "commit", "source", "columns", "rows"}
BLOCK = re.compile(r"(<!-- (results|source): (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_ONE = r"[-+]?[\d,]*\d(?:\.\d+)?"
NUMBER = re.compile(rf"({_ONE}(?: / {_ONE})*)(<!-- = (\S+) (.+?) (\S+) -->)")
MEASURED = ("mm", "mm/frame", "degrees", "ms", "s", "MB", "GB")
"""Units of columns in which less is better."""


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
    if set(content) != NEEDED:
        raise ResultsError(f"{path.name}: missing or unknown: {', '.join(sorted(set(content) ^ NEEDED))}")
    if not (content["command"] and content["machine"] and content["source"]):
        raise ResultsError(f"{path.name}: command, machine and source must say something")
    for key, row in content["rows"].items():
        if strange := set(row) - {"label", "short", "unit"} - set(content["columns"]):
            raise ResultsError(f"{path.name}: row {key}: no such column: {', '.join(sorted(strange))}")
    return content


def shown(name: str, row: str, column: str) -> str:
    """The number as pages print it: decimals of its column, none from a hundred on where it has none itself."""
    if "." in column:
        name, column = column.split(".")
    content = load(name)
    if row not in content["rows"] or column not in content["columns"]:
        raise ResultsError(f"{name} has no number of row {row!r}, column {column!r}")
    value, about = content["rows"][row].get(column), content["columns"][column]
    if value is None or isinstance(value, str):
        return value or ""
    decimals = 0 if isinstance(value, int) else about.get("decimals", 1)
    return f"{value:{'+' if about.get('signed') else ''},.{decimals}f}"


def table(name: str, options: dict[str, str]) -> str:
    """Write a table of a file, as its mark wants it."""
    content = load(name)
    columns = [_column(entry, content) for entry in _list(options, "columns", content["columns"])]
    rows = _list(options, "rows", content["rows"])
    cells = [[" / ".join(shown(name, row, part) for part in parts).strip(" /") for parts, _ in columns] for row in rows]
    if "best" in options:
        least = [parts[0] if _about(parts[0], content).get("unit") in MEASURED else "" for parts, _ in columns]
        _embolden(cells, [[content["rows"][row].get(column) for column in least] for row in rows])
    units = [content["rows"][row].get("unit") for row in rows]
    cells = [
        [f"{cell} {unit}" if unit and cell else cell for cell in line] for line, unit in zip(cells, units, strict=True)
    ]
    labels = [_label(content["rows"][row], "short" in options) for row in rows]
    headings = [heading for _, heading in columns]
    if "turned" in options:
        headings, labels, cells = labels, headings, [list(line) for line in zip(*cells, strict=True)]
    lines = [["", *headings], ["---"] * (len(headings) + 1)]
    lines += [[label, *line] for label, line in zip(labels, cells, strict=True)]
    return "".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|\n" for line in lines).replace(
        "| --- " * (len(headings) + 1) + "|", "|---" * (len(headings) + 1) + "|"
    )


def _label(row: dict[str, Any], short: bool) -> str:
    return str(row.get("short", row["label"]) if short else row["label"])


def _list(options: dict[str, str], key: str, every: dict[str, Any]) -> list[str]:
    return [word.strip() for word in options[key].split(",")] if key in options else list(every)


def _column(entry: str, content: dict[str, Any]) -> tuple[list[str], str]:
    names, _, heading = entry.partition("=")
    parts = [part.strip() for part in names.split("/")]
    return parts, heading or " / ".join(_about(part, content)["label"] for part in parts)


def _about(column: str, content: dict[str, Any]) -> dict[str, Any]:
    if "." in column:
        name, column = column.split(".")
        content = load(name)
    if column not in content["columns"]:
        raise ResultsError(f"no column {column} in {content['title']!r}")
    about: dict[str, Any] = content["columns"][column]
    return about


def _embolden(cells: list[list[str]], values: list[list[Any]]) -> None:
    for column in range(len(cells[0])):
        numbers = [line[column] for line in values if isinstance(line[column], int | float)]
        for line, row in zip(cells, values, strict=True):
            if numbers and row[column] == min(numbers):
                line[column] = f"**{line[column]}**"


def source(name: str) -> str:
    """Write what was run, and where."""
    content = load(name)
    where = f", on {content['machine']}" if content["machine"] != "not recorded" else "; the machine was not recorded"
    commands = [content["command"]] if isinstance(content["command"], str) else content["command"]
    run = ", then ".join(f"`{command}`" for command in commands)
    return f"{run}{where} ([data](../benchmarks/results/{name}.json)). {content['source']}\n"


def _options(words: list[str]) -> dict[str, str]:
    pairs = (word.strip().partition(":") for word in words)
    found = {key: value.strip() for key, _, value in pairs}
    if strange := set(found) - {"columns", "rows", "turned", "best", "short"}:
        raise ResultsError(f"unknown in a mark: {', '.join(sorted(strange))}")
    return found


def rewritten(text: str) -> str:
    """A page with its tables and marked numbers as the files have them."""

    def block(match: re.Match[str]) -> str:
        name, *words = match[3].split("|")
        made = table(name.strip(), _options(words)) if match[2] == "results" else source(name.strip())
        return f"{match[1]}{made}{match[5]}"

    text = BLOCK.sub(block, text)

    def number(match: re.Match[str]) -> str:
        return " / ".join(shown(match[3], match[4], column) for column in match[5].split("/")) + match[2]

    return NUMBER.sub(number, text)


def pages() -> list[Path]:
    """The pages that may hold marks."""
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def differences() -> list[str]:
    """Each line of a page that the files would write otherwise."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for old, new in zip(text.splitlines(), rewritten(text).splitlines(), strict=False):
            if old != new:
                found.append(f"{page.relative_to(ROOT)}: says {old!r}, the files of benchmarks/results {new!r}")
        if len(text.splitlines()) != len(rewritten(text).splitlines()):
            found.append(f"{page.relative_to(ROOT)}: a table has another number of lines than its file")
    return found


def main(arguments: list[str]) -> int:
    """Check the pages or write them anew."""
    try:
        if "--write" in arguments:
            for page in pages():
                text = page.read_text(encoding="utf-8")
                if (new := rewritten(text)) != text:
                    page.write_text(new, encoding="utf-8")
                    print(page.relative_to(ROOT))
            return 0
        found = differences()
    except ResultsError as error:
        print("error:", error, file=sys.stderr)
        return 2
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
