"""Learning curves from logs: calls that go on from one another are one curve."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from posemamba import cli
from posemamba.train.curves import plot_curves, read_curves
from posemamba.utils.errors import PoseMambaError


def log(run: Path, begin: int, rows: str) -> None:
    folder = run / "logs" / f"from_step_{begin}"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(rows)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Killed after step 100, with the last save at 80; then to the end."""
    run = tmp_path / "mine"
    log(run, 0, "epoch,step,train_mm,val_p1_exact\n0,0,200,\n0,50,150,\n0,60,,140\n0,90,120,\n0,100,110,105\n")
    log(run, 80, "epoch,step,train_mm,val_p1_exact,lr\n0,90,121,,0.1\n0,120,100,,0.05\n1,120,,98,\n")
    return run


def test_what_was_done_again_counts_once(run: Path) -> None:
    curves = read_curves(run)
    assert curves.of("train_mm") == ([0, 50, 90, 120], [200, 150, 121, 100])
    assert curves.of("val_p1_exact") == ([60, 120], [140, 98])  # not what was lost
    assert curves.of("lr") == ([90, 120], [0.1, 0.05]) and curves.of("nothing") == ([], [])


def test_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, picture = tmp_path / "all.csv", tmp_path / "all.png"
    assert cli.main(["curves", str(run), "-o", str(table)]) == 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [r["step"] for r in rows] == ["0", "50", "60", "90", "120"]
    assert rows[-1] == {"run": "mine", "step": "120", "lr": "0.05", "train_mm": "100", "val_p1_exact": "98"}
    pytest.importorskip("matplotlib")
    assert cli.main(["curves", str(run), str(run), "-o", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()


def test_problems_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["curves", str(tmp_path), "-o", str(tmp_path / "x.png")]) == 2
    assert "no logs of a training run" in capsys.readouterr().err
    assert cli.main(["curves", str(run), "-o", str(tmp_path / "x.gif")]) == 2
    assert "expected a name that ends with .png" in capsys.readouterr().err and not (tmp_path / "x.gif").exists()
    log(tmp_path / "other", 0, "step,train_mm\n1,abc\n")
    log(tmp_path / "far", 0, f"step,train_mm\n1{'0' * 400},5\n")
    for name in ("other", "far"):
        with pytest.raises(PoseMambaError, match="not a log"):
            read_curves(tmp_path / name)
    log(tmp_path / "empty", 0, "step,lr\n1,0.1\n")
    pytest.importorskip("matplotlib")
    with pytest.raises(PoseMambaError, match="nothing to draw"):
        plot_curves([read_curves(tmp_path / "empty")], tmp_path / "x.png")
