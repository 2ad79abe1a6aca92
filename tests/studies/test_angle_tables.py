"""Tables of a card put into their places of a page, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from posemamba.evaluate.angle_table import ToldAndTrue, angles_card, read_angles_card
from posemamba.evaluate.angles import AngleScore
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from studies import angle_tables

SCORES = {"noisy": {"knee_flexion": {"all": AngleScore(5.25, -1.5, 200), "0-30": AngleScore(3.0, 0.5, 20)}}}
TOLD = {
    "knee_flexion": ToldAndTrue(
        5.5, 5.25, ((3.5, 3.0), (None, None), (7.0, 6.5)), (8.0, 7.5), 0.2, ((3.0, 3.1),) * 5, 0.4
    )
}
PAGE = "a\n\n<!-- angles: measured -->\n<!-- end -->\n\nb\n\n<!-- angles: told -->\nold\n<!-- end -->\n\nc\n"


def test_tables_of_the_card_are_put_into_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, page = tmp_path / "w.safetensors", tmp_path / "page.md"
    model = PoseMamba.preset("s", width=16, depth=1, frames=27)
    save_model(weights, model, {"angles": angles_card(SCORES, TOLD)})
    page.write_text(PAGE)
    for _ in range(2):  # the second time over the first one's tables
        assert angle_tables.main([str(weights), "--write", str(page)]) == 0
        lines = page.read_text().splitlines()
        assert [line for line in lines if line and not line.startswith(("|", "<!--"))] == ["a", "b", "c"]
        assert "| knee flexion, noisy | 5.2 (-1.5) | 3.0 (+0.5) |  |  |  | 200 |" in lines
        told = next(line for line in lines if line.startswith("| knee flexion |"))
        assert told.startswith("| knee flexion | 5.2 (5.5) | 3.0 (3.5) |  | 6.5 (7.0) | 20 % | 7.5 (8.0) | 3.1 (3.0), ")
    page.write_text("nothing")
    assert angle_tables.main([str(weights), "--write", str(page)]) == 2
    assert "no place '<!-- angles: measured -->'" in capsys.readouterr().err and page.read_text() == "nothing"
    save_model(weights, model, {})
    assert angle_tables.main([str(weights)]) == 2
    assert "its card has no errors of angles" in capsys.readouterr().err


def test_what_a_card_holds_is_read_back() -> None:
    scores, told = read_angles_card(angles_card(SCORES, TOLD))
    assert scores == SCORES
    assert told["knee_flexion"].rank == 0.4 and list(told["knee_flexion"].views[1]) == [None, None]
