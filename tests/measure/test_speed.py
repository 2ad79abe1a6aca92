"""The bench prints what it measured, and nothing if the scan is wrong."""

from __future__ import annotations

import pytest
import torch

from posemamba.errors import PoseMambaError
from posemamba.measure import speed

CPU = torch.device("cpu")


def test_table_has_a_row_for_each_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "median_ms", lambda function, *unused, **options: function() or 1.5)
    lines = list(speed.speed_table(CPU, ["s", "l"], [1, 2], frames=2, half=False))
    assert "CPU" in lines[0]
    rows = [line.split() for line in lines if line.startswith(" ")]
    assert [row[:2] for row in rows] == [
        *(["1", "128"], ["2", "128"], ["1", "256"], ["2", "256"]),
        *(["1", "s"], ["2", "s"], ["1", "l"], ["2", "l"]),
    ]


def test_no_figure_if_the_scan_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = speed.selective_scan
    monkeypatch.setattr(speed, "selective_scan", lambda **inputs: right(**inputs) * (1 + ("backend" not in inputs)))
    lines = []
    with pytest.raises(PoseMambaError, match="no timings"):
        lines.extend(speed.speed_table(CPU, ["s"], [1], frames=2, half=False))
    assert not lines


def test_median_is_of_the_calls_after_warming_up() -> None:
    calls: list[int] = []
    assert speed.median_ms(lambda: calls.append(1), CPU, repeats=4, warm_up=2) >= 0
    assert len(calls) == 6
