"""Numbers of pages against the files of benchmarks/results, and these against the weights' cards."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from posemamba.weights.files import read_card
from posemamba.weights.names import bundled
from scripts import result_files, result_tables, results

CONTENT = {
    "title": "A race",
    "command": "race",
    "machine": "one core",
    "date": None,
    "commit": None,
    "source": "The race's own report.",
    "heading": "model",
    "columns": {
        "both": {"label": "P1 (told)", "form": "{p1} ({told})"},
        "p1": {"label": "P1", "unit": "mm", "decimals": 1},
        "told": {"label": "told", "unit": "mm", "decimals": 1},
        "share": {"label": "share", "unit": "%", "form": "{} %"},
        "rise": {"label": "rise", "decimals": 2, "signed": True},
        "small": {"label": "small", "digits": 3},
    },
    "rows": {
        "s": {
            "label": "S",
            "p1": 50.0,
            "told": 48.3,
            "share": 7,
            "rise": 0.5,
            "small": 6e-08,
            "bold": ["p1", "rise"],
        },
        "t": {"label": "S", "p1": 41.5, "told": 40.0, "share": 12, "rise": -1.25, "small": 721},
        "l": {"label": "L", "share": "none", "small": 0.0283},
    },
}
TABLE = (
    "| model | P1 (told) | share | rise | small |\n|---|---|---|---|---|\n"
    "| S | **50.0** (48.3) | 7 % | **+0.50** | 6e-08 |\n| | 41.5 (40.0) | 12 % | -1.25 | 721 |\n"
    "| L | | none | | 0.0283 |\n"
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file of results and one page that shows it."""
    for module in (results, result_files):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(result_files, "RESULTS", tmp_path / "benchmarks" / "results")
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    result_files.save("race", json.loads(json.dumps(CONTENT)))
    page = f"# A page\n\n<!-- results: race -->\n{TABLE}<!-- end -->\n\nL is 41.5<!-- = race t p1 --> mm off.\n"
    (tmp_path / "docs" / "deep" / "page.md").write_text(page, encoding="utf-8")
    return tmp_path


def _pages(folder: Path) -> str:
    return (folder / "docs" / "deep" / "page.md").read_text(encoding="utf-8")


def test_pages_say_what_the_files_say() -> None:
    assert not results.differences(), "python scripts/results.py --write"


def test_every_file_is_shown_and_has_one_layout() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in results.pages())
    assert result_files.names()
    for name in result_files.names():
        assert f"results: {name}" in text or f"<!-- = {name} " in text, name
        written = (result_files.RESULTS / f"{name}.json").read_text(encoding="utf-8")
        assert written == result_files.layout(result_files.load(name)), name


def test_any_changed_number_of_a_page_is_found() -> None:
    """Change the last digit of each table and of each marked number, in all pages."""
    changed = 0
    for page in results.pages():
        text = page.read_text(encoding="utf-8")
        spans = [match.span(4) for match in results.BLOCK.finditer(text) if match[2] == "results"]
        spans += [match.span(1) for match in results.MARKED.finditer(text)]
        broken = list(text)
        for start, end in spans:
            last = max(place for place in range(start, end) if text[place].isdecimal())
            broken[last] = str((int(text[last]) + 1) % 10)
        changed += len(spans)
        home = "../" * (len(page.relative_to(results.ROOT).parts) - 1)
        assert results.rewritten("".join(broken), home) == text, page
    assert changed > 100


def test_a_check_fails_and_names_page_and_both_numbers(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert results.main([]) == 0
    page = repository / "docs" / "deep" / "page.md"
    page.write_text(_pages(repository).replace("41.5<", "41.4<"), encoding="utf-8")
    assert results.main([]) == 1
    said = capsys.readouterr().out
    assert "docs/deep/page.md" in said and "41.4<" in said and "41.5<" in said
    assert results.main(["--write"]) == 0 and results.main([]) == 0
    page.write_text(f"{_pages(repository)}\n{TABLE}", encoding="utf-8")
    assert results.main([]) == 1 and "without marks" in capsys.readouterr().out


def test_a_changed_file_changes_table_and_sentence(repository: Path) -> None:
    content = json.loads(json.dumps(CONTENT))
    content["rows"]["t"]["p1"] = 39.0
    result_files.save("race", content)
    assert results.main([]) == 1
    assert results.main(["--write"]) == 0
    assert "| | 39.0 (40.0) |" in _pages(repository) and "39.0<!-- = race t p1 -->" in _pages(repository)


def test_a_table_is_taken_into_its_file(repository: Path) -> None:
    """As a study prints it: without commas, another number bold, a gap filled, more decimals than the column has."""
    new = TABLE.replace("**50.0** (48.3)", "1250.5 (48.3)").replace("41.5 (40.0)", "**40.9** (39.75)")
    new = new.replace("| L | | none |", "| L | 30.0 (31.0) | 9 % |").replace("7 %", "none")
    page = repository / "docs" / "deep" / "page.md"
    page.write_text(_pages(repository).replace(TABLE, new), encoding="utf-8")
    assert results.main(["--take", "docs/deep/page.md"]) == 0
    rows = result_files.load("race")["rows"]
    assert rows["s"] == {**CONTENT["rows"]["s"], "p1": 1250.5, "share": "none", "bold": ["rise"]}
    assert rows["t"] == {**CONTENT["rows"]["t"], "p1": 40.9, "told": "39.75", "bold": ["p1"]}
    assert rows["l"] == {"label": "L", "p1": 30.0, "told": 31.0, "share": 9, "small": 0.0283}
    assert "| S | 1,250.5 (48.3) | none |" in _pages(repository)
    assert "40.9<!-- = race t p1 --> mm off" in _pages(repository)
    right = _pages(repository)
    for wrong in (
        right.replace("| L | 30.0", "| M | 30.0"),
        right.replace("| L | 30.0 (31.0) | 9 % | | 0.0283 |\n", ""),
    ):
        page.write_text(wrong, encoding="utf-8")
        assert results.main(["--take", "docs/deep/page.md"]) == 2 and result_files.load("race")["rows"] == rows


def test_all_tables_survive_being_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: dict[str, Any] = {}
    monkeypatch.setattr(result_tables, "save", lambda name, content: saved.update({name: content}))
    for name in result_files.names():
        before = result_files.layout(result_files.load(name))
        for turned in ({}, {"turned": ""}):
            result_tables.take(name, turned, result_tables.table(name, turned))
            assert result_files.layout(saved[name]) == before, name


@pytest.mark.parametrize(
    "mark",
    [
        "<!-- results: no_such_file -->\n<!-- end -->",
        "<!-- results: race | columns: p9 -->\n<!-- end -->",
        "<!-- results: race | rows: s, x -->\n<!-- end -->",
        "<!-- results: race | tuned -->\n<!-- end -->",
        "<!-- results: race -->\n| no end |",
        "1<!-- = race x p1 -->",
        "1<!-- = race s p9 -->",
        "many<!-- = race s p1 -->",
    ],
)
def test_marks_that_fit_nothing_are_errors(mark: str, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "docs" / "other.md").write_text(f"{mark}\n", encoding="utf-8")
    assert results.main([]) == 2
    assert "docs/other.md: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value"),
    [("machine", ""), ("columns", {"p1": {}}), ("rows", {"s": {"label": "S", "p9": 1.0}}), ("more", 1)],
)
def test_files_of_another_layout_are_refused(field: str, value: Any, repository: Path) -> None:
    path = repository / "benchmarks" / "results" / "race.json"
    path.write_text(json.dumps({**CONTENT, field: value}), encoding="utf-8")
    result_files.load.cache_clear()
    assert results.main([]) == 2


def test_measured_tables_and_numbers_need_marks() -> None:
    table = "| | P1, mm | share |\n|---|---|---|\n| S | 50.2 | 7 % |\n| L | 48.6 | 8 % |\n"
    words = "| option | what it does |\n|---|---|\n| a | waits for 0.2 s, then goes on |\n| b | 4 of the 5 mm |\n" * 2
    assert len(results.unmarked(f"Text.\n\n{table}")) == 1
    assert not results.unmarked(f"<!-- by hand: limits -->\n{table}") and not results.unmarked(words)
    assert not results.unmarked(f"<!-- results: race -->\n{table}<!-- end -->\n")
    sentence = "S is `--every 2 s` 50.2 mm off, 7<!-- = race s share --> % of them, in 3 frames."
    assert results.unmarked(sentence, sentences=True) == ["a number without a mark: '50.2 mm'"]


def test_a_table_turned_with_columns_together() -> None:
    options = {"columns": "p1/p2=P1 / P2, depth", "rows": "before_s, before_l", "turned": "", "short": "", "best": ""}
    assert result_tables.table("real_clip", options) == (
        "| | S | L |\n|---|---|---|\n| P1 / P2 | **51.4 / 37.9** | 52.4 / 38.3 |\n| depth | **40.8** | 42.4 |\n"
    )


def test_the_benchmark_is_what_the_weights_cards_say() -> None:
    rows = json.loads((results.RESULTS / "mocap_benchmark.json").read_text(encoding="utf-8"))["rows"]
    for name in bundled():
        said = read_card(name)["card"]["benchmark_mm"]
        for which in ("exact", "noisy"):
            for metric, value in said[which].items():
                assert rows[name][f"{metric.lower()}_{which}"] == value, (name, metric, which)


def test_means_over_seeds_are_those_of_the_seeds() -> None:
    rows = result_files.load("table4")["rows"]
    mean = rows["mean"]
    for order in ("merged", "bidirectional", "difference"):
        for which in ("exact", "noisy"):
            values = [row[f"{order}_{which}"] for key, row in rows.items() if key.isdigit()]
            said, spread = map(float, mean[f"{order}_{which}"].split(" ± "))
            assert abs(statistics.mean(values) - said) < 0.11 and abs(statistics.stdev(values) - spread) < 0.11
