"""Numbers of pages, written from the files of benchmarks/results.

    python scripts/results.py                       # list what pages say otherwise than the files, and exit with 1
    python scripts/results.py --write               # write the pages' tables and numbers anew
    python scripts/results.py --take docs/onnx.md   # read the tables of a page into the files, then write all pages

After a new measurement change the file, and `--write`; or put the table that a study prints between the marks of a
page, and `--take`. Command, machine, date and commit are changed in the file by hand. The layout of a file is in
`result_files.py`.

A table stands between two marks. Columns and rows are chosen by their names, all where none are named. `a/b` puts two
columns into one, `name=Heading` gives it another heading, `file.column` is one of another file. `turned` has a line for
each column, `best` prints the least number of each column bold, `short` names rows shortly::

    <!-- results: real_clip | columns: p1, p2/depth=P2 / depth | rows: posemamba-s | best -->
    ...
    <!-- end -->

`<!-- source: real_clip -->` writes what was run, likewise up to `<!-- end -->`, and `<!-- files -->` a list of all
files. A number in a sentence is followed by a mark that says what it is: ``50.2<!-- = real_clip posemamba-s p1 -->``,
or ``50.2 / 37.3<!-- = ... p1/p2 -->``.

A table of measured numbers without marks is a fault; ``<!-- by hand: why -->`` before it says that it is none. So is a
number with a unit without a mark in the sentences of the pages in `SENTENCES`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from scripts.result_files import RESULTS, ResultsError, load, names  # noqa: E402
from scripts.result_tables import NUMBER, OPTIONS, number, source, table, take  # noqa: E402

__all__ = ["RESULTS", "ResultsError", "differences", "load", "pages", "rewritten", "unmarked"]
PAGES = ("README.md", "docs/**/*.md")
SENTENCES = ("README.md", "docs/results.md")
BLOCK = re.compile(r"(<!-- (results|source|files)(?:: (.+?))? -->\n)(.*?)(<!-- end -->)", re.DOTALL)
MARKED = re.compile(rf"({NUMBER}(?: / {NUMBER})*)(<!-- = (\S+) (.+?) (\S+) -->)")
ANY_MARK = re.compile(r"<!-- (?:= |results: |source: |files)")
GENERATED = re.compile(
    r"<!-- (?:results|source|files|angles)\b[^\n]* -->\n.*?<!-- end -->\n|^```.*?^```$", re.DOTALL | re.MULTILINE
)
"""What a command writes (docs/angles.md has tables of the weights' own card), and code."""
TABLE = re.compile(r"(?:^\|.*\n){3,}", re.MULTILINE)
UNIT = r"\s?(?:mm|cm|ms|m/s²|kB|MB|GB|MiB|dB|s\b|px|%|times\b|degrees\b)"
MEASURED = re.compile(rf"(?<![\w.-]){NUMBER}{UNIT}(?!\w)")
FIGURES = re.compile(rf"(?<![\w.-]){NUMBER}(?:{UNIT})?(?!\w)")
WORDS = 2
"""As many words a cell of a table may have beside its numbers; with more it is a sentence."""


def _options(words: list[str]) -> dict[str, str]:
    pairs = (word.strip().partition(":") for word in words)
    found = {key: value.strip() for key, _, value in pairs}
    if strange := set(found) - OPTIONS:
        raise ResultsError(f"unknown in a mark: {', '.join(sorted(strange))}")
    return found


def _blocks(text: str) -> list[tuple[str, dict[str, str], str]]:
    """List the tables of a page: file, options and text of each."""
    return [
        (match[3].split("|")[0].strip(), _options(match[3].split("|")[1:]), match[4])
        for match in BLOCK.finditer(text)
        if match[2] == "results"
    ]


def rewritten(text: str, home: str = "../") -> str:
    """Write a page's tables and marked numbers as the files have them; `home` leads from it to the root."""
    known = 0

    def block(match: re.Match[str]) -> str:
        nonlocal known
        known += 1
        name, *words = (match[3] or "").split("|")
        if match[2] == "files":
            made = files(home)
        else:
            made = table(name.strip(), _options(words)) if match[2] == "results" else source(name.strip(), home)
        return f"{match[1]}{made}{match[5]}"

    def value(match: re.Match[str]) -> str:
        nonlocal known
        known += 1
        return " / ".join(number(match[3], match[4], column) for column in match[5].split("/")) + match[2]

    new = MARKED.sub(value, BLOCK.sub(block, text))
    if known != len(ANY_MARK.findall(text)):
        raise ResultsError("a mark without `<!-- end -->`, or without a number before it")
    return new


def files(home: str) -> str:
    """Write a list of all files: the pages that show them, and their data."""
    shown: dict[str, list[str]] = {}
    for page in pages():
        for name in {name for name, _, _ in _blocks(page.read_text(encoding="utf-8"))}:
            shown.setdefault(name, []).append(page.relative_to(ROOT).as_posix())
    entries: dict[str, list[str]] = {}
    for name in names():
        where = sorted(shown.get(name, []), key=lambda page: (page in SENTENCES, "decisions" in page, page))
        home_page = where[0] if where and where[0] not in SENTENCES else "docs/results.md"
        entries.setdefault(home_page, []).append(f"[{load(name)['title']}]({home}benchmarks/results/{name}.json)")
    lines = []
    for name in sorted(entries, key=lambda page: (page not in SENTENCES, "decisions" in page, page)):
        title = (ROOT / name).read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")
        link = "this page" if name == "docs/results.md" else f"[{title}]({name.removeprefix('docs/')})"
        lines.append(f"| {link} | {'; '.join(entries[name])} |\n")
    return "".join(["| page | what was measured |\n|---|---|\n", *lines])


def pages() -> list[Path]:
    """List the pages that may hold marks."""
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def _both(page: Path) -> tuple[str, str]:
    """Read a page's text, and write it as the files would have it."""
    text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT)
    try:
        return text, rewritten(text, "../" * (len(name.parts) - 1))
    except ResultsError as error:
        raise ResultsError(f"{name}: {error}") from error


def differences() -> list[str]:
    """List the lines that the files would write otherwise, and what has no mark."""
    found = []
    for page in pages():
        name = page.relative_to(ROOT)
        text, new = _both(page)
        for old, made in zip(text.splitlines(), new.splitlines(), strict=False):
            if old != made:
                found.append(f"{name}: says {old!r}, the files of benchmarks/results {made!r}")
        if len(text.splitlines()) != len(new.splitlines()):
            found.append(f"{name}: a table has another number of lines than its file")
        found += [f"{name}: {fault}" for fault in unmarked(text, sentences=name.as_posix() in SENTENCES)]
    return found


def unmarked(text: str, sentences: bool = False) -> list[str]:
    """Name the tables of measured numbers, and with `sentences` also the numbers, that no file answers for."""
    text = GENERATED.sub("\n", text)
    found = []
    for match in TABLE.finditer(text):
        lines = [re.split(r"(?<!\\)\|", line.strip().strip("|"))[1:] for line in match[0].splitlines()[2:]]
        cells = [MARKED.sub("", cell) for line in lines for cell in line if cell.strip()]
        count = sum(_is_figures(cell) for cell in cells)
        by_hand = text[: match.start()].rstrip().rsplit("\n", 1)[-1].startswith("<!-- by hand: ")
        if count >= 4 and count >= len(cells) / 3 and not by_hand:
            found.append(f"a table of {count} measured numbers without marks: {match[0].splitlines()[0]}")
    if sentences:
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)|<!-- (?!= ).*?-->", "", TABLE.sub("", MARKED.sub("", text)))
        found += [f"a number without a mark: {match[0]!r}" for match in MEASURED.finditer(plain)]
    return found


def _is_figures(cell: str) -> bool:
    return bool(FIGURES.search(cell)) and len(re.findall(r"[^\W\d]+", FIGURES.sub("", cell))) <= WORDS


def write() -> None:
    """Write the pages' tables and numbers anew."""
    for page in pages():
        text, new = _both(page)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(ROOT))


def _take_page(page: Path) -> None:
    """Read the tables that a page has otherwise than the files into these."""
    if not page.is_file():
        raise ResultsError(f"no page {page}")
    changed = [block for block in _blocks(page.read_text(encoding="utf-8")) if table(*block[:2]) != block[2]]
    for block in changed:
        take(*block)


def main(arguments: list[str]) -> int:
    """Check the pages or write them anew."""
    try:
        if "--take" in arguments:
            for name in arguments[arguments.index("--take") + 1 :]:
                _take_page(ROOT / name)
        if "--take" in arguments or "--write" in arguments:
            write()
            return 0
        found = differences()
    except ResultsError as error:
        print("error:", error, file=sys.stderr)
        return 2
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
