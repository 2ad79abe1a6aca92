"""Tables as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table.

    >>> print(markdown_table(["joint", "mm"], [["wrist", "41.2"]]))
    | joint | mm |
    | --- | --- |
    | wrist | 41.2 |
    """
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])
