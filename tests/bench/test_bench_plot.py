"""The two figures: who is in them, what they say, and that they are written whole or not at all."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from posemamba.bench.bench import describe_run
from posemamba.bench.plan import LENGTHS, plan
from posemamba.bench.report import Report, Row
from posemamba.bench.specs import parse_spec
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("matplotlib")
from posemamba.bench import plot

NAMES = "s:bf16 l:bf16 l:bf16+graph motionbert:tf32 motionagformer-l:bf16+compile motionagformer-b"


def report(names: str = NAMES, clips: tuple[int, ...] = (1, 16), **options: Any) -> Report:
    """Made-up times: 1 ms for our shortest clips, more for others."""
    rows = []
    options = {"frames": [243], "lengths": [], **options}
    for case in plan([parse_spec(name) for name in names.split()], ["forward", "train"], clips, **options):
        for i, spec in enumerate(case.specs):
            row = Row.of(case, spec)
            power = 1 if spec.entry.ours else 2
            row.times_ms, row.status = [(1 + i) * case.clips * (case.frames / 27) ** power], "ok"
            rows.append(row)
    return Report(runs=[describe_run(torch.device("cpu"), "posemamba bench", 7, 300)], rows=rows)


def words(path: Path, draw: Any, found: Report) -> list[str]:
    """All texts of a figure."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(found, path)
    text = path.read_text(encoding="utf-8")
    return [part.split("<")[0] for part in text.split(">") if part.split("<")[0].strip()]


def test_error_against_cost(tmp_path: Path) -> None:
    said = words(tmp_path / "figure.svg", plot.plot_error_against_cost, report())
    for name in ("PoseMamba-S", "PoseMamba-L", "MotionBERT", "MotionAGFormer-L"):
        assert said.count(name) == 2, f"{name} once in each panel"
    assert "MotionAGFormer-B" not in said, "no published error in the paper"
    assert "1 clip at once" in said and "16 clips at once" in said
    assert {"bf16", "bf16+graph", "bf16+compile", "tf32"} < set(said)
    assert "not measured here" in " ".join(said) and "Table 1" in " ".join(said)


def test_cost_against_length(tmp_path: Path) -> None:
    found = report("s:bf16 motionagformer-l:bf16 motionagformer-l@27", clips=(1,), frames=[], lengths=LENGTHS)
    for row in found.rows:
        if row.model == "motionagformer-l" and row.frames >= 1944 and row.window > 27:
            row.status, row.times_ms = "out of memory", []
        if row.model == "s" and row.frames >= 3888:
            row.status, row.times_ms = "over the limit", []
    said = words(tmp_path / "figure.svg", plot.plot_cost_against_length, found)
    assert {"PoseMamba-S, bf16", "MotionAGFormer-L, bf16", "linear", "quadratic"} < set(said)
    assert "MotionAGFormer-L, clips of 27, float32" in said
    assert "over the limit at 3,888" in said
    assert "out of memory at 1,944" in said and "out of memory at 3,888" not in said
    assert {"27", "243", "3,888"} < set(said) and "972" not in said, "numbers of lengths that lie close are left out"


@pytest.mark.parametrize("draw", [plot.plot_error_against_cost, plot.plot_cost_against_length])
def test_names_cover_neither_each_other_nor_leave_the_figure(draw: Any, tmp_path: Path, monkeypatch: Any) -> None:
    figures: list[Any] = []
    make = plot.new_figure

    def kept(**size: float) -> Any:
        figures.append(make(**size))
        return figures[-1]

    monkeypatch.setattr(plot, "new_figure", kept)
    names = "s:bf16 l:bf16 x:bf16 motionbert:bf16 motionagformer-l:bf16"
    draw(report(names, clips=(1,), lengths=[27, 81, 3888]), tmp_path / "figure.png")
    (figure,) = figures
    labels = [text for ax in figure.axes for text in ax.texts if text.get_text().split(",")[0].count("Pose")]
    labels += [text for ax in figure.axes for text in ax.texts if text.get_text().startswith("Motion")]
    boxes = [text.get_window_extent() for text in labels]
    assert len(boxes) == 5
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i]), labels[i].get_text()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("draw", "found", "message"),
    [
        (plot.plot_error_against_cost, report("motionagformer-b"), "no forward pass of a model with a published error"),
        (plot.plot_error_against_cost, report("s", frames=[27]), "on clips of 243 frames"),
        (plot.plot_cost_against_length, report("s"), "at two lengths or more"),
    ],
)
def test_nothing_to_draw_is_said(draw: Any, found: Report, message: str, tmp_path: Path) -> None:
    with pytest.raises(PoseMambaError, match=message):
        draw(found, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_numbers_that_no_run_has_are_refused(tmp_path: Path, capsys: Any) -> None:
    from posemamba import cli

    whole = json.loads(report("s motionbert", lengths=LENGTHS).model_dump_json())
    file = tmp_path / "a.json"
    for name, value in (("frames", 0), ("clips", -1), ("window", 0), ("times_ms", [0.0]), ("peak_bytes", 10**400)):
        whole["rows"][0], before = {**whole["rows"][0], name: value}, whole["rows"][0]
        file.write_text(json.dumps(whole))
        whole["rows"][0] = before
        assert cli.main(["bench", "--from", str(file)]) == 2
        assert "not a file that posemamba bench --json wrote" in capsys.readouterr().err
    one = {**whole, "rows": [{**whole["rows"][0], "model": "unknown"}]}
    file.write_text(json.dumps(one))
    command = [
        "bench",
        "--from",
        str(file),
        "--plot-lengths",
        str(tmp_path / "a.png"),
        "--json",
        str(tmp_path / "b.json"),
    ]
    assert cli.main(command) == 2
    assert "nothing to draw" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from posemamba import cli

    monkeypatch.chdir(tmp_path)
    report(lengths=LENGTHS).save(Path("a.json"))
    command = "bench --from a.json --plot error.png --plot-lengths length.pdf --json merged.json"
    assert cli.main(command.split()) == 0
    assert Path("error.png").read_bytes().startswith(b"\x89PNG") and Path("length.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads(Path("merged.json").read_text()) == json.loads(Path("a.json").read_text())
    capsys.readouterr()
    assert cli.main(["bench", "--from", "a.json", "--plot", "/proc/nowhere/error.png"]) == 2
    assert "cannot write there" in capsys.readouterr().err

    there = importlib.import_module

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named '{name}'")
        return there(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert cli.main(["bench", "--from", "a.json", "--plot", "again.png"]) == 2
    said = capsys.readouterr().err
    assert 'install "matplotlib>=' in said and len(said.splitlines()) == 1
    assert not Path("again.png").exists()
