"""A summary of many clips as a table and as a page: each person's verdict, and what failed."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path, PurePath
from urllib.parse import quote

import numpy as np

from posemamba.poses.trust import AVOID, LOOK, WORDS, Trust
from posemamba.utils.errors import one_line
from posemamba.utils.files import atomic_path

MARK = '<meta name="generator" content="posemamba summary">'
COLUMNS = (
    *("name", "person", "verdict", "seen_percent", "expected_error_mm", "frames", "seconds"),
    *("not_to_be_trusted_percent", "stretches", "reason", "error", "results", "page", "overlay"),
)
"""The columns of the table."""
_OVERLAYS = ("overlay.mp4", "overlay.png")


@dataclass(frozen=True)
class ClipRow:
    """One person of one clip, or a clip that failed.

    Attributes:
        name: of the clip.
        folder: its results, relative to the summary; None: there are none.
        files: names of the files in it.
        person: the person's number.
        frames, seconds: the clip's length.
        trust: the verdict; None: it failed.
        error: why it failed, in one line.
    """

    name: str
    folder: PurePath | None = None
    files: frozenset[str] = frozenset()
    person: int | None = None
    frames: int = 0
    seconds: float = 0.0
    trust: Trust | None = None
    error: str = ""

    def file(self, *names: str) -> str:
        """Return the address of the first of these files that is there, relative to the summary; else ""."""
        name = next((name for name in names if name in self.files), None)
        return "" if name is None or self.folder is None else quote(os.fsencode(self.folder / name))


def write_summary_csv(path: Path, rows: Iterable[ClipRow]) -> None:
    """Write a line for each person and each clip that failed, under `COLUMNS`; shares are in percent."""
    write_table(path, COLUMNS, map(summary_cells, rows))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table whose cells are safe to open in a spreadsheet (`safe_cell`); rows may come one by one."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def summary_cells(row: ClipRow) -> list[str]:
    """Return the cells of a row, under `COLUMNS`."""
    folder = "" if row.folder is None else str(row.folder)
    cells: list[object] = [row.name, "", "failed", *[""] * 7, row.error, folder, "", ""]
    if (trust := row.trust) is not None:
        cells[1:10] = [
            row.person,
            trust.word,
            _percent(trust.seen_share),
            "" if trust.expected_mm is None else f"{trust.expected_mm:.0f}",
            row.frames,
            f"{row.seconds:.3f}",
            _percent(float((trust.levels == AVOID).mean())),
            "; ".join(stretch_text(*stretch) for stretch in trust.stretches if stretch[2] == AVOID),
            trust.sentence,
        ]
        cells[-2:] = [row.file("viewer.html"), row.file(*_OVERLAYS)]
    return [safe_cell(cell) for cell in cells]


def write_summary_page(path: Path, rows: Sequence[ClipRow]) -> None:
    """Write the same as a page that needs nothing but itself, with links to the clips' pages and overlays."""
    template = (files("posemamba.show") / "summary.html").read_text(encoding="utf-8")
    body = "\n".join(_table_row(i, row) for i, row in enumerate(rows))
    page = template.replace("{{counts}}", _counts(rows)).replace("{{rows}}", body)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def stretch_text(first: int, last: int, level: int, reason: str) -> str:
    """Return a stretch of frames and its reason in words."""
    return f"{first if first == last else f'{first}-{last}'} ({reason})"


def safe_cell(value: object) -> str:
    """Return a cell's text, which no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = one_line(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _percent(share: float) -> str:
    """Return a share in percent, with a decimal where it would else be 0 or 100 and is not."""
    whole = f"{100 * share:.0f}"
    return f"{100 * share:.1f}" if whole in ("0", "100") and share not in (0, 1) else whole


def _text(value: object) -> str:
    return escape(one_line(str(value)))


def _counts(rows: Sequence[ClipRow]) -> str:
    clips = len({(row.name, row.folder) for row in rows})
    people = sum(row.trust is not None for row in rows)
    words = [row.trust.word if row.trust else "failed" for row in rows]
    parts = [f"{clips} clip{'s' * (clips != 1)}"]
    if people != clips - words.count("failed"):
        parts.append(f"{people} people")
    parts += [f"{words.count(word)} {word}" for word in (*WORDS, "failed") if word in words]
    return _text(", ".join(parts))


_KINDS = {**dict(zip(WORDS, ("good", "care", "avoid"), strict=True)), "failed": "failed"}


def _table_row(number: int, row: ClipRow) -> str:
    """Return the HTML of one row; ``data-sort`` is what a column is sorted by."""
    trust = row.trust
    word = trust.word if trust else "failed"
    order = (*WORDS, "failed").index(word)
    cells = [
        ("Clip", row.name.casefold(), f'<b class="name">{_text(row.name)}</b>'),
        ("Person", row.person or 0, "" if row.person is None else str(row.person)),
        ("Verdict", order, f'<span class="badge {_KINDS[word]}">{word}</span>'),
    ]
    if trust is None:
        cells += [("Seen", -1, ""), ("Expected error", -1, ""), ("Frames", -1, "")]
        cells.append(("Why", 0, f'<span class="error">{_text(row.error)}</span>'))
    else:
        expected = trust.expected_mm
        cells += [
            ("Seen", trust.seen_share, f"{_percent(trust.seen_share)}&nbsp;%"),
            ("Expected error", expected or 0, "not known" if expected is None else f"{expected:.0f}&nbsp;mm"),
            ("Frames", row.frames, _strip(trust) + f"<small>{row.frames} frames, {row.seconds:.1f} s</small>"),
            ("Why", 0, _why(trust)),
        ]
    links = [
        f'<a href="{escape(address)}">{text}</a>'
        for text, address in (("page", row.file("viewer.html")), ("overlay", row.file(*_OVERLAYS)))
        if address
    ]
    if not links and row.folder is not None and row.files:
        links = [f'<a href="{escape(quote(os.fsencode(row.folder)))}/">files</a>']
    cells.append(("Links", 0, " ".join(links)))
    content = "".join(
        f'<td data-label="{label}" data-sort="{_text(key)}">' + (f"<div>{cell}</div>" if cell else "") + "</td>"
        for label, key, cell in cells
    )
    return f'<tr data-number="{number}" class="{_KINDS[word]}">{content}</tr>'


def _why(trust: Trust) -> str:
    """Return the sentence, and the stretches behind a fold."""
    marked = [stretch for stretch in trust.stretches if stretch[2] == AVOID]
    text = _text(trust.sentence)
    if not marked:
        return text
    items = "".join(f"<li>{_text(stretch_text(*stretch))}</li>" for stretch in marked[:100])
    more = f"<li>and {len(marked) - 100} more</li>" if len(marked) > 100 else ""
    return f"{text}<details><summary>frames not to be trusted</summary><ul>{items}{more}</ul></details>"


def _strip(trust: Trust) -> str:
    """Draw the clip's frames as a strip, in which those to be looked at and not to be trusted are coloured."""
    frames = max(1, len(trust.levels))
    marks = "".join(
        f'<rect class="l{level}" x="{1000 * first / frames:.1f}" '
        f'width="{max(4.0, 1000 * (last - first + 1) / frames):.1f}" height="10"/>'
        for first, last, level, _ in sorted(trust.stretches, key=lambda s: s[2])
    )
    avoid, look = (float(np.mean(trust.levels == level)) for level in (AVOID, LOOK))
    label = f"{avoid:.0%} of the frames not to be trusted, {look:.0%} to be looked at"
    return (
        f'<svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{label}"><title>{label}</title>'
        f'<rect class="l0" width="1000" height="10"/>{marks}</svg>'
    )
