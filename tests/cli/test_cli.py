"""The command line: what it writes; whatever is wrong ends in one line and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fixtures.command_line import FILES, keypoints, refused, snapshot
from posemamba import cli
from posemamba.data.mocap.motions import Motions
from posemamba.evaluate.mocap.robustness import PERTURBATIONS
from posemamba.io.motion.npz import load_poses_npz
from posemamba.utils.files import atomic_files
from posemamba.weights.names import bundled

COMMANDS = {  # and an option of each
    "lift": "--weights",
    "convert": "--to-skeleton",
    "quality": "--picture",
    "demo": "--frames",
    "info": "--model",
    "doctor": "--help",
    "evaluate": "--robustness",
    "bench": "--preset",
    "train": "--budget-minutes",
    "curves": "--out",
    "table": "--only",
    "export": "--half",
}


# --- what is wrong, or fails


def test_bad_options(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[tuple[list[object], str]] = [
        (["lift"], "SOURCE"),
        (["lift", "--bad"], "--bad"),
        (["fly"], "fly"),
        (["demo", "--frames", "0"], "--frames"),
        (["info"], "--model"),
        (["info", "--model", "m"], "'m'"),
        (["evaluate", weights, "h36m"], "h36m"),
        (["evaluate", weights, "mocap", "--data", tmp_path], "no motion capture files"),
        (["train", tmp_path / "none.yaml", "-o", tmp_path / "run"], "none.yaml"),
        (["train", tmp_path / "none.yaml", "-o", tmp_path / "run", "--budget-minutes", "0"], "--budget-minutes is 0"),
        (["export", tmp_path / "none", "-o", tmp_path / "x.safetensors"], "no such file"),
    ]
    for arguments, message in cases:
        assert message in refused(capsys, *arguments), arguments
    assert not (tmp_path / "run").exists()


def test_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with pytest.raises(ValueError, match="no"), atomic_files(out) as folder:
        (folder / "one").write_text("1")
        raise ValueError("no")
    assert snapshot(tmp_path) == {}
    with atomic_files(out) as folder:
        (folder / "one").write_text("1")
        assert not (out / "one").exists()
    assert snapshot(out) == {"one": b"1"}


def test_warnings_are_one_line_each(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "k.npz", keypoints=keypoints().xy)  # does not say frame rate and image size
    arguments = ["lift", tmp_path / "k.npz", "-o", tmp_path / "o", "--weights", weights, "--no-overlay"]
    assert cli.main([str(a) for a in arguments]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("warning: k.npz: ") and "assumed" in lines[0]
    assert warnings.showwarning is not cli._show_warning


# --- the other commands


def test_demo(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "demo",
        "-o",
        str(tmp_path / "demo"),
        "--weights",
        str(weights),
        "--frames",
        "20",
        "--no-open",
    ]
    assert cli.main(arguments) == 0
    assert {"poses.npz", "poses.json", "viewer.html"} <= {p.name for p in (tmp_path / "demo").iterdir()}
    said = capsys.readouterr().out
    assert "every joint at the pelvis's depth" in said and "file://" in said


def test_info(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--model", "l"]) == 0
    said = capsys.readouterr().out
    for number in ("6,713,859", "27,881,407,872", "9,450,499"):
        assert number in said
    assert cli.main(["info", "--weights", str(weights)]) == 0
    assert "person_size: 0.25" in capsys.readouterr().out


@pytest.mark.slow
def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from posemamba.cli import examination as doctor

    monkeypatch.setattr(doctor, "_extras", lambda: iter(()))  # it loads networks
    monkeypatch.setattr(doctor, "_forward_time", lambda device: doctor.Finding("speed", "not measured"))
    code = cli.main(["doctor"])
    said = capsys.readouterr().out
    assert "numba: CPU: vectorised Numba kernels" in said and "agrees with the float64 reference" in said
    assert code == (0 if bundled() else 1)
    monkeypatch.setenv("POSEMAMBA_SCAN", "reference")
    cli.main(["doctor"])
    assert "reference: forced by POSEMAMBA_SCAN; otherwise numba" in capsys.readouterr().out
    monkeypatch.setenv("POSEMAMBA_SCAN", "abacus")
    assert cli.main(["doctor"]) == 1
    assert "PROBLEM: unknown scan backend 'abacus'" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluate(
    weights: Path,
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("posemamba.data.mocap.motions.load_motions", lambda *unused: motions.select([0, 2]))
    arguments = ["evaluate", str(weights), "--quick", "--baselines", "--json", str(tmp_path / "scores.json")]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: CMU mocap test" in said for name in ("tiny", "depth zero", "mean depth"))
    whole = json.loads((tmp_path / "scores.json").read_text())
    assert whole["name"] == "tiny" and whole["split"] == "test"
    parts = [
        *arguments[:3],
        "--split",
        "validation",
        "--clips",
        "1",
        "--window",
        "5",
        "--overlap",
        "--json",
        arguments[-1],
    ]
    assert cli.main(parts) == 0
    assert "tiny: CMU mocap validation (one camera a clip)" in capsys.readouterr().out
    part = json.loads((tmp_path / "scores.json").read_text())
    assert part["overall"]["exact"]["frames"] == motions.lengths[0] < whole["overall"]["exact"]["frames"]
    assert "expected test, validation or train" in refused(capsys, "evaluate", weights, "--split", "val")
    assert "expected 1 to 2" in refused(capsys, "evaluate", weights, "--clips", "99")
    assert "window is 999 frames" in refused(capsys, "evaluate", weights, "--window", "999")


@pytest.mark.slow
def test_evaluate_in_full(
    weights: Path,
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("posemamba.data.mocap.motions.load_motions", lambda *unused: motions.select([2]))
    assert cli.main(["evaluate", str(weights), "mocap", "--quick", "--report", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "tiny: CMU mocap test" in said and str(tmp_path / "report" / "report.md") in said
    assert {f.suffix for f in (tmp_path / "report").iterdir()} == {".md", ".json", ".png"}
    assert json.loads((tmp_path / "report" / "report.json").read_text())["name"] == "tiny"
    arguments = ["evaluate", str(weights), "--quick", "--robustness", "--json", str(tmp_path / "rises.json")]
    assert cli.main(arguments) == 0
    assert "20 % of joints lost, by chance" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "rises.json").read_text())["rows"]) == len(PERTURBATIONS)
    assert "leave out --baselines" in refused(capsys, "evaluate", weights, "--robustness", "--baselines")
    assert "are for mocap" in refused(capsys, "evaluate", weights, tmp_path, "--robustness")
    assert "are for mocap" in refused(capsys, "evaluate", weights, tmp_path, "--split", "train")
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        "posemamba.data.mocap.motions.load_motions", None
    )  # nothing is lifted before a place is refused
    for option, place in (("--report", tmp_path / "file"), ("--json", tmp_path / "file" / "scores.json")):
        assert "file: cannot be a folder" in refused(capsys, "evaluate", weights, option, place)


def test_train_and_export(mocap_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    from posemamba.train.checkpoints import WEIGHTS, save_weights
    from posemamba.train.initialisation import build_model
    from posemamba.train.recipe import load_recipe

    recipe = tmp_path / "recipe.yaml"
    small = "name: small\nperson_size: 0.25\nmodel: {options: {width: 16, depth: 1, frames: 27}}\n"
    recipe.write_text(small + "data: {lengths: {27: 1}}\n")
    content = load_recipe(recipe)

    class Trained:
        """What `save_weights` looks at."""

        ema, recipe = build_model(content), content

    run = tmp_path / "run"
    run.mkdir()
    save_weights(run / WEIGHTS, Trained(), 7, val_p1_exact=71.234)  # type: ignore[arg-type]
    out = tmp_path / "mine.safetensors"
    assert cli.main(["export", str(run), "-o", str(out), "--half"]) == 0
    capsys.readouterr()
    assert cli.main(["info", "--weights", str(out)]) == 0
    said = capsys.readouterr().out
    assert "steps: 7" in said and "mocap.cs.cmu.edu" in said and "exact: 71.23" in said
    assert "directory" not in said
    assert "ends with .safetensors" in refused(capsys, "export", run, "-o", tmp_path / "mine.pt")
    assert "no such file" in refused(capsys, "export", run, "-o", out, "--best")
    torch.save({"something": "else"}, run / "best.pt")
    assert "not weights that training kept" in refused(capsys, "export", run, "-o", out, "--best")


# --- as a program


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "posemamba.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "100"})


def test_help_is_quick_and_needs_no_torch() -> None:
    script = "import sys, posemamba, posemamba.cli; assert not {'torch', 'numpy', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    app = cli.make_app()
    done, asked = program(), CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"})
    assert done.returncode == asked.exit_code == 0 and done.stderr == ""
    for command in (*COMMANDS, "data", "show"):
        for shown in (done.stdout, asked.output):
            assert re.search(rf"^\W*{command}  ", shown, re.MULTILINE), command
    for command, option in COMMANDS.items():
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0 and option in result.output, command
    assert cli.main(["--version"]) == 0
    assert cli.command_of("lift") is cli.command_of("lift"), "made once"


@pytest.mark.slow
def test_a_program_that_fails_says_one_line(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 1000)
    done = program("lift", tmp_path / "bad.mp4", "-o", tmp_path / "out", "--weights", weights)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_shared_video(shared: object, weights: Path, tmp_path: Path) -> None:
    video = shared("video", "sports2d_demo.mp4")  # type: ignore[operator]
    done = program("lift", video, "-o", tmp_path / "out", "--weights", weights)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*FILES, "keypoints.npz", "people.jpg"])
    poses = load_poses_npz(tmp_path / "out" / "poses.npz")
    assert len(poses) == 230 and 200 < poses.seen.sum() <= 230
    assert np.isnan(poses.xyz[~poses.seen]).all() and np.isfinite(poses.xyz[poses.seen]).all()
