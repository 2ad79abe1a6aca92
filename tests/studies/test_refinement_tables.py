"""The command behind the tables of docs/refine.md, on walks made by formula seen by the benchmark's cameras."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.data.mocap.motions import Motions
from posemamba.demo.walker import walk
from studies import refinement_tables as measure

pytestmark = pytest.mark.slow  # about ten seconds


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [walk(frames, 50.0, seed=seed) for seed, frames in enumerate((90, 60))]
    motions = Motions(
        positions=np.concatenate(clips),
        lengths=np.array([90, 60]),
        names=("a", "b"),
        descriptions=("walk", "walk"),
        subjects=("x", "y"),
        fps=50.0,
    )
    monkeypatch.setattr(measure, "load_motions", lambda directory, split: motions)


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"][2:]


def test_the_root_of_exact_poses_is_found_where_the_benchmark_put_it(
    walks: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure.main(["root"]) == 0
    found = {(row[0], row[1]): float(row[2]) for row in rows(capsys.readouterr().out)}
    assert found["truth", "known, height known, 1 Hz"] < 5  # centimetres
    assert found["lifted", "known, height known, 0.25 Hz"] < 150


def test_smoothing_beats_none_on_noise(walks: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(["smoothing"]) == 0
    table = {row[0]: [float(cell) for cell in row[1:]] for row in rows(capsys.readouterr().out)}
    assert table["butterworth 4 Hz"][2] < table["none"][2]
    assert table["butterworth 4 Hz"][3] < 0.2 * table["none"][3]


def test_standing_feet_come_to_rest(walks: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(["feet"]) == 0
    table = {row[0]: [float(cell or "nan") for cell in row[1:3]] for row in rows(capsys.readouterr().out)}
    assert table["lifted, exact 2D: steady feet"][0] < 0.2 < table["lifted, exact 2D: as they are"][0]


def test_no_motions_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSEMAMBA_DATA", str(tmp_path))
    assert measure.main(["upright"]) == 2
    assert "no motion capture files" in capsys.readouterr().err
