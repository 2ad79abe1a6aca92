"""Tables and numbers of pages: printed from the files of benchmarks/results, and read back into them."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection
from typing import Any

from scripts.result_files import ResultsError, load, save

MEASURED = ("mm", "mm/frame", "cm", "degrees", "ms", "s", "MB", "GB")
"""Units of columns in which less is better."""
OPTIONS = {"columns", "rows", "turned", "best", "short"}
PART = re.compile(r"\{(\w*)\}")
NUMBER = r"[-+]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:e[-+]?\d+)?"


def number(name: str, row: str, column: str) -> str:
    """Print the number alone; a text as it is, nothing where the row has none."""
    content, column = _home(name, column)
    if row not in content["rows"]:
        raise ResultsError(f"{name} has no number of row {row!r}, column {column!r}")
    entry = content["rows"][row]
    value = entry.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    return _printed(value, entry, content["columns"][column])


def _printed(value: float, entry: dict[str, Any], about: dict[str, Any]) -> str:
    sign = "+" if about.get("signed") or entry.get("signed") else ""
    if "digits" in about:
        return f"{value:{sign}.{about['digits']}g}"
    return f"{value:{sign},.{0 if isinstance(value, int) else about.get('decimals', 1)}f}"


def cell(name: str, row: str, column: str, best: Collection[str] = ()) -> str:
    """Print the number in its column's form, which may hold the numbers of several columns."""
    content, key = _home(name, column)
    form = content["columns"][key].get("form", "{}")
    parts = [part or key for part in PART.findall(form)]
    values = [number(column.partition(".")[0] if "." in column else name, row, part) for part in parts]
    if not any(values):
        return ""
    if len(values) == 1 and isinstance(content["rows"][row][parts[0]], str):
        form = "{}"
    bold = {*content["rows"][row].get("bold", ()), *best}
    marked = iter([f"**{text}**" if part in bold - {key} else text for part, text in zip(parts, values, strict=True)])
    text = PART.sub(lambda match: next(marked), form)
    return f"**{text}**" if key in bold else text


def table(name: str, options: dict[str, str]) -> str:
    """Write a table of a file, as its mark wants it."""
    content, columns, rows = _chosen(name, options)
    best: dict[str, set[str]] = {row: set() for row in rows}
    if "best" in options:
        for parts, _ in columns:
            for column in _numbers(content, parts[0]) if len(parts) == 1 else parts[:1]:
                for row in _least(content, column, rows):
                    best[row].add(column)
    cells = []
    for row in rows:
        unit = content["rows"][row].get("unit")
        line = []
        for parts, _ in columns:
            text = " / ".join(cell(name, row, part, best[row] if len(parts) == 1 else ()) for part in parts).strip(" /")
            text = f"**{text}**" if len(parts) > 1 and parts[0] in best[row] else text
            line.append(f"{text} {unit}" if unit and text else text)
        cells.append(line)
    labels, headings = _labels(content, rows, "short" in options), [heading for _, heading in columns]
    corner = content.get("heading", "")
    if "turned" in options:
        headings, labels, cells = labels, headings, [list(line) for line in zip(*cells, strict=True)]
    lines = [[corner, *headings], *([label, *line] for label, line in zip(labels, cells, strict=True))]
    printed = ["|" + "|".join(f" {text} " if text else " " for text in line) + "|\n" for line in lines]
    return "".join([printed[0], "|---" * len(lines[0]) + "|\n", *printed[1:]])


def source(name: str, home: str = "../") -> str:
    """Write what was run, and where; `home` leads from the page to the repository's root."""
    content = load(name)
    where = f", on {content['machine']}" if content["machine"] != "not recorded" else "; the machine was not recorded"
    commands = [content["command"]] if isinstance(content["command"], str) else content["command"]
    run = ", then ".join(f"`{command}`" for command in commands)
    return f"{run}{where} ([data]({home}benchmarks/results/{name}.json)). {content['source']}\n"


def take(name: str, options: dict[str, str], text: str) -> None:
    """Read a table's numbers into its file: those of the columns and rows that its mark names.

    Raises:
        ResultsError: it has other lines or columns than its mark.
    """
    content, columns, rows = copy.deepcopy(_chosen(name, options))
    printed = {part for parts, _ in columns for column in parts for part in (column, *_numbers(content, column))}
    lines = [[entry.strip() for entry in line.strip()[1:-1].split("|")] for line in text.strip().splitlines()]
    del lines[1:2]
    if "turned" in options and len({len(line) for line in lines}) == 1:
        lines = [list(line) for line in zip(*lines, strict=True)]
    if [len(line) for line in lines] != [len(columns) + 1] * (len(rows) + 1):
        raise ResultsError(f"{name}: the table has not the {len(rows)} rows and {len(columns)} columns of its mark")
    for line, row, label in zip(lines[1:], rows, _labels(content, rows, "short" in options), strict=True):
        if line[0] not in (label, content["rows"][row]["label"]):
            raise ResultsError(f"{name}: a row begins with {line[0]!r} where the file has {label!r}")
    cells = [line[1:] for line in lines[1:]]
    for row, line in zip(rows, cells, strict=True):
        entry = content["rows"][row]
        unit = entry.get("unit", "")
        bold = [column for column in entry.pop("bold", []) if column not in printed or "best" in options]
        for (parts, _), written in zip(columns, line, strict=True):
            if any("." in part for part in parts):
                raise ResultsError(f"{name}: {', '.join(parts)} are of other files; give a page that shows those")
            plain = written.removesuffix(f" {unit}")
            texts = plain.split(" / ") if len(parts) > 1 else [plain]
            for part, piece in zip(parts, texts, strict=len(texts) > 1):
                found = _take_cell(content, entry, part, piece)
                bold += [] if "best" in options else found
        if bold:
            entry["bold"] = bold
    save(name, content)


def _take_cell(content: dict[str, Any], entry: dict[str, Any], column: str, text: str) -> list[str]:
    """Put the numbers of a cell into its row; returns the columns that are printed bold."""
    form = content["columns"][column].get("form", "{}")
    parts = [part or column for part in PART.findall(form)]
    whole = text.startswith("**") and text.endswith("**") and text.count("**") == 2
    text = text.strip("*") if whole else text
    pattern = "(.+?)".join(re.escape(piece) for piece in PART.sub("\0", form).split("\0"))
    found = re.fullmatch(pattern, text)
    for part in parts:
        entry.pop(part, None)
    if not text:
        return []
    if not found:
        if len(parts) > 1:
            raise ResultsError(f"{content['title']}: {text!r} is not of the form {form!r}")
        entry[column] = text
        return [column] if whole else []
    for part, piece in zip(parts, found.groups(), strict=True):
        if plain := piece.strip("*"):
            value = _value(plain)
            again = value if isinstance(value, str) else _printed(value, entry, content["columns"][part])
            entry[part] = value if _bare(again) == _bare(plain) else plain  # with other decimals it stays a text
    bold = [part for part, piece in zip(parts, found.groups(), strict=True) if piece.startswith("**")]
    return [column] if whole else bold


def _bare(text: str) -> str:
    return text.replace(",", "").removeprefix("+")


def _value(text: str) -> int | float | str:
    if not re.fullmatch(NUMBER, text):
        return text
    plain = text.replace(",", "")
    return int(plain) if re.fullmatch(r"[-+]?\d+", plain) else float(plain)


def _home(name: str, column: str) -> tuple[dict[str, Any], str]:
    """Find a column's file, which may be another one (`file.column`), and its name there."""
    if "." in column:
        name, column = column.split(".")
    content = load(name)
    if column not in content["columns"]:
        raise ResultsError(f"no column {column} in {content['title']!r}")
    return content, column


def _chosen(name: str, options: dict[str, str]) -> tuple[dict[str, Any], list[tuple[list[str], str]], list[str]]:
    """Find the file, the columns (with their headings) and the rows that a mark asks for."""
    content = load(name)
    joined = {part for about in content["columns"].values() for part in PART.findall(about.get("form", ""))}
    columns = []
    for entry in _list(options, "columns", [key for key in content["columns"] if key not in joined]):
        words, _, heading = entry.partition("=")
        parts = [part.strip() for part in words.split("/")]
        labels = [file["columns"][key]["label"] for file, key in (_home(name, part) for part in parts)]
        columns.append((parts, heading or " / ".join(labels)))
    rows = _list(options, "rows", list(content["rows"]))
    if strange := set(rows) - set(content["rows"]):
        raise ResultsError(f"{name} has no row {', '.join(sorted(strange))}")
    return content, columns, rows


def _list(options: dict[str, str], key: str, every: list[str]) -> list[str]:
    return [word.strip() for word in options[key].split(",")] if key in options else every


def _labels(content: dict[str, Any], rows: list[str], short: bool) -> list[str]:
    """List the rows' labels; a label of several rows stands at the first one."""
    entries = [content["rows"][row] for row in rows]
    labels = [str(entry["short"] if short and "short" in entry else entry["label"]) for entry in entries]
    return [label if label != before else "" for label, before in zip(labels, [None, *labels], strict=False)]


def _numbers(content: dict[str, Any], column: str) -> list[str]:
    """List the columns whose numbers a column prints."""
    if "." in column:
        return []
    return [part or column for part in PART.findall(content["columns"][column].get("form", "{}"))]


def _least(content: dict[str, Any], column: str, rows: list[str]) -> list[str]:
    if "." in column or content["columns"][column].get("unit") not in MEASURED:
        return []
    values = {row: content["rows"][row].get(column) for row in rows}
    values = {row: value for row, value in values.items() if isinstance(value, int | float)}
    return [row for row, value in values.items() if value == min(values.values())]
