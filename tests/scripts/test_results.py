"""Numbers of pages against the files of benchmarks/results, and these against the weights' cards."""

from __future__ import annotations

import json

import pytest

from posemamba.weights.files import read_card
from posemamba.weights.names import bundled
from scripts import results


def test_pages_say_what_the_files_say() -> None:
    assert not results.differences(), "python scripts/results.py --write"


def test_every_file_is_read_and_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in results.pages())
    files = sorted(path.stem for path in results.RESULTS.glob("*.json"))
    assert files and not [name for name in files if not results.load(name) or f"results: {name}" not in text]


def test_a_changed_number_is_found() -> None:
    table = "<!-- results: real_clip | rows: posemamba-s -->\n<!-- end -->\n"
    page = f"{table}50.9<!-- = real_clip posemamba-s p1 --> mm, 1 / 2<!-- = real_clip posemamba-l p1/p2 -->\n"
    written = results.rewritten(page)
    assert "| 50.2 | 37.3 | 40.4 |" in written
    assert "50.2<!-- = real_clip posemamba-s p1 --> mm, 50.1 / 36.6<!-- = " in written
    assert results.rewritten(written) == written
    assert results.rewritten(written.replace("37.3", "36.3")) == written


@pytest.mark.parametrize(
    "mark",
    [
        "<!-- results: no_such_file -->\n<!-- end -->",
        "<!-- results: real_clip | columns: p9 -->\n<!-- end -->",
        "<!-- results: real_clip | tuned -->\n<!-- end -->",
        "1<!-- = real_clip posemamba-x p1 -->",
    ],
)
def test_marks_that_fit_nothing_are_errors(mark: str) -> None:
    with pytest.raises(results.ResultsError):
        results.rewritten(mark)


def test_a_table_turned_with_columns_together() -> None:
    options = {"columns": "p1/p2=P1 / P2, depth", "rows": "before_s, before_l", "turned": "", "short": "", "best": ""}
    assert results.table("real_clip", options) == (
        "| | S | L |\n|---|---|---|\n| P1 / P2 | **51.4 / 37.9** | 52.4 / 38.3 |\n| depth | **40.8** | 42.4 |\n"
    )


def test_the_benchmark_is_what_the_weights_cards_say() -> None:
    rows = json.loads((results.RESULTS / "mocap_benchmark.json").read_text(encoding="utf-8"))["rows"]
    for name in bundled():
        said = read_card(name)["card"]["benchmark_mm"]
        for which in ("exact", "noisy"):
            for metric, value in said[which].items():
                assert rows[name][f"{metric.lower()}_{which}"] == value, (name, metric, which)
