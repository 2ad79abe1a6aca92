"""The cost of a frame in each stage, on a tiny video with a detector that finds a walker."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies.many_inputs import Cost, main

from fixtures.command_line import write_video
from fixtures.documents import Walkers


def test_money_is_arithmetic() -> None:
    assert Cost("decode", 4.0).line(100, 25, 2.0) == "| decode | 4.00 | 250 | 10 | 20 |"


@pytest.mark.slow
def test_a_line_for_each_stage(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "video.mp4", 8)
    monkeypatch.setattr("posemamba.detect.blazepose.BlazePoseDetector", Walkers)
    assert main([str(video), "--weights", str(weights), "--price", "2"]) == 0
    lines = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines()[3:]]
    assert len(lines) == 5 and lines[2][1].startswith("read and lift keypoint files")
    for line in lines:
        milliseconds, hours, money = (float(line[i].replace(",", "")) for i in (2, 4, 5))
        assert milliseconds > 0 and money == pytest.approx(2 * hours, abs=1)
