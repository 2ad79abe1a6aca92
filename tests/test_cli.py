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

from posemamba import cli
from posemamba.data.mocap import Motions
from posemamba.files import atomic_files
from posemamba.formats import write_keypoints_npz
from posemamba.model import PoseMamba
from posemamba.poses import Keypoints2D, Poses3D
from posemamba.skeleton import COCO17, H36M17
from posemamba.tracking import Detection
from posemamba.walker import walk
from posemamba.weights import bundled, save_model

pytest_plugins = ("motion_fixtures",)

FILES = ["overlay.mp4", "poses.json", "poses.npz", "viewer.html"]
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


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, PoseMamba.preset("s", width=16, depth=1, frames=27), {"person_size": 0.25})
    return path


def keypoints(frames: int = 12) -> Keypoints2D:
    xy = walk(frames, 50)[..., [0, 2]] * np.float32([80, -80]) + np.float32([160, 200])
    return Keypoints2D(xy, np.ones((frames, 17), np.float32), H36M17, (320, 240), 50, source="walker")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "keypoints.npz"
    write_keypoints_npz(path, keypoints())
    return path


def write_video(path: Path, frames: int = 6, shade: int = 90) -> Path:
    pytest.importorskip("av")
    from posemamba.video import VideoWriter

    with VideoWriter(path, 25) as writer:
        for i in range(frames):
            writer.write(np.full((240, 320, 3), shade + i, np.uint8))
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder, hidden files too."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command line on something wrong; the one line that it says."""
    assert cli.main([str(a) for a in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if not line.startswith("warning:")]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


# --- lift


def test_lifts_a_keypoint_file(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    out = tmp_path / "new" / "out"
    assert cli.main(["lift", str(source), "-o", str(out), "--weights", str(weights)]) == 0
    assert sorted(p.name for p in out.iterdir()) == FILES
    poses = Poses3D.load_npz(out / "poses.npz")
    assert poses.xyz.shape == (12, 17, 3) and poses.model == "tiny" and poses.details["flip_averaging"]
    content = json.loads((out / "poses.json").read_text())
    assert len(content["frames"]) == 12 and content["joints"][0] == "pelvis"
    np.testing.assert_allclose(content["frames"][3]["xyz"], poses.xyz[3], atol=6e-4)
    said = capsys.readouterr()
    assert "12 frames" in said.out and "seen in 12" in said.out and "one camera does not tell" in said.out
    assert str(out / "poses.npz") in said.out and said.err == ""


def test_lifts_mmposes_json(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xy = np.random.default_rng(0).uniform(50, 300, (5, 17, 2)).round(1).tolist()
    frames = [{"frame_id": i, "instances": [{"keypoints": p, "keypoint_scores": [0.9] * 17}]} for i, p in enumerate(xy)]
    path = tmp_path / "predictions.txt"  # told by its content
    path.write_text(json.dumps(frames))
    arguments = ["lift", path, "-o", tmp_path / "out", "--weights", weights, "--no-overlay", "--no-flip"]
    arguments += ["--skeleton", COCO17.name, "--fps", "25", "--image-size", "640x480", "--device", "cpu"]
    assert cli.main([str(a) for a in arguments]) == 0
    poses = Poses3D.load_npz(tmp_path / "out" / "poses.npz")
    assert poses.fps == 25 and poses.keypoints.image_size == (640, 480)
    assert poses.details["flip_averaging"] is False


def test_one_frame(weights: Path, tmp_path: Path) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints(1))
    assert cli.main(["lift", str(tmp_path / "k.npz"), "-o", str(tmp_path / "o"), "--weights", str(weights)]) == 0
    assert len(Poses3D.load_npz(tmp_path / "o" / "poses.npz")) == 1


def test_results_of_an_earlier_call_are_replaced_together(source: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    for name in FILES:
        (out / name).write_text("old")
    arguments = [
        "lift",
        str(source),
        "-o",
        str(out),
        "--weights",
        str(weights),
        "--no-overlay",
        "--no-viewer",
    ]
    assert cli.main(arguments) == 0
    assert sorted(snapshot(out)) == ["notes.txt", "poses.json", "poses.npz"]  # nothing of another clip
    assert (out / "notes.txt").read_text() == "mine"


def test_with_the_video_that_keypoints_belong_to(source: Path, weights: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=12)
    arguments = ["lift", source, "-o", tmp_path / "out", "--weights", weights, "--video", video]
    assert cli.main([str(a) for a in arguments]) == 0
    assert Poses3D.load_npz(tmp_path / "out" / "poses.npz").fps == 25


def test_without_the_video_extra_the_overlay_is_left_out(
    source: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert cli.main(["lift", str(source), "-o", str(tmp_path / "out"), "--weights", str(weights)]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES[1:]
    assert "pip install 'posemamba[video]'" in capsys.readouterr().err


# --- input that is wrong


def bad_sources(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name of the case: the file, and what its message must say."""
    good = keypoints().xy

    def npz(name: str, **arrays: object) -> Path:
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        return folder / f"{name}.npz"

    infinite = good.copy()
    infinite[3, 4] = np.inf
    empty = folder / "nothing in it"
    empty.mkdir()
    (folder / "empty.mp4").touch()
    (folder / "empty.npz").touch()
    (folder / "text.mp4").write_text("not a video at all\n" * 50)
    (folder / "broken.json").write_text('[{"frame_id": 0, "instances": [')
    whole = npz("whole", keypoints=good)
    (folder / "cut.npz").write_bytes(whole.read_bytes()[:700])
    video = write_video(folder / "whole.mp4", frames=50)
    (folder / "cut.mp4").write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    return {
        "no such file": (folder / "nothing.mp4", "no such file"),
        "an empty directory": (empty, "is a directory without videos, pictures"),
        "empty video": (folder / "empty.mp4", "empty"),
        "empty keypoints": (folder / "empty.npz", "empty"),
        "no video": (folder / "text.mp4", "not a video"),
        "truncated video": (folder / "cut.mp4", "cut short"),
        "truncated npz": (folder / "cut.npz", "cut short"),
        "broken JSON": (folder / "broken.json", "not JSON"),
        "only NaN": (npz("nan", keypoints=np.full_like(good, np.nan)), "no joint was found"),
        "infinity": (npz("inf", keypoints=infinite), "infinite"),
        "wrong shape": (npz("shape", keypoints=good[..., 0]), "shape"),
        "unknown joints": (npz("joints", keypoints=good[:, :11]), "11 joints"),
        "zero frames": (npz("zero", keypoints=good[:0]), "zero frames"),
        "a pickle": (npz("pickle", keypoints=np.array([{}], object)), "pickle"),
        "other arrays": (npz("other", positions=good), "positions"),
    }


def test_bad_input_is_one_line_and_touches_nothing(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for name in FILES:
        (earlier / name).write_text("an earlier result")
    before = snapshot(earlier)
    (tmp_path / "bad").mkdir()
    for case, (path, message) in bad_sources(tmp_path / "bad").items():
        said = refused(capsys, "lift", path, "-o", earlier, "--weights", weights)
        assert message in said and path.name in said, f"{case}: {said}"
        assert snapshot(earlier) == before, case
        refused(capsys, "lift", path, "-o", tmp_path / "new" / "deep", "--weights", weights)
        assert not (tmp_path / "new").exists(), case


def test_a_video_with_nobody_in_it(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mediapipe")
    video = write_video(tmp_path / "wall.mp4")
    assert "nobody was found" in refused(capsys, "lift", video, "-o", tmp_path / "out", "--weights", weights)
    assert not (tmp_path / "out").exists()


def test_bad_weights(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:5000])
    (tmp_path / "text.bin").write_text("hello\n" * 100)
    torch.save({"something": torch.zeros(3)}, tmp_path / "else.pth")
    torch.save({"model_pos": PoseMamba.preset("s", width=16, depth=1).state_dict()}, tmp_path / "whole.bin")
    (tmp_path / "cut.bin").write_bytes((tmp_path / "whole.bin").read_bytes()[:9000])
    (tmp_path / "empty.bin").touch()
    (tmp_path / "words.bin").write_text("something else")
    for name, message in {
        "cut.safetensors": "truncated",
        "text.bin": "not a checkpoint",
        "words.bin": "not a checkpoint",
        "else.pth": "model_pos",
        "cut.bin": "truncated",
        "empty.bin": "not a checkpoint",
        "nothing": "neither a file nor a known name",
    }.items():
        said = refused(capsys, "lift", source, "-o", tmp_path / "out", "--weights", tmp_path / name)
        assert message in said and name in said
        assert not (tmp_path / "out").exists()


def test_bad_options(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "clip.mp4")
    out = ["-o", tmp_path / "out", "--weights", weights]
    (tmp_path / "file").touch()
    cases: list[tuple[list[object], str]] = [
        (["lift", source, *out, "--image-size", "large"], "--image-size"),
        (["lift", source, *out, "--image-size", "0x480"], "image size"),
        (["lift", source, *out, "--fps", "0"], "--fps"),
        (["lift", source, *out, "--skeleton", "octopus"], "octopus"),
        (["lift", source, *out, "--format", "csv"], "csv"),
        (["lift", source, *out, "--mode", "track"], "--mode"),
        (["lift", source, *out, "--device", "abacus"], "abacus"),
        (["lift", source, *out, "--video", tmp_path / "none.mp4"], "no such file"),
        (["lift", source, *out, "--video", video], "frames"),  # shorter than the keypoints
        (["lift", video, *out, "--fps", "30"], "--fps"),
        (["lift", video, *out, "--mode", "guess"], "guess"),
        (["lift", source, "--weights", weights], "--out"),
        (["lift", source, "-o", tmp_path / "file", "--weights", weights], "is a file"),
        (["lift", source, "-o", tmp_path / "file" / "out", "--weights", weights], "cannot be made"),
        (["lift"], "source"),
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
    assert not (tmp_path / "out").exists() and not (tmp_path / "run").exists()


def test_the_source_is_never_overwritten(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "overlay.mp4")
    before = video.read_bytes()
    assert "overwritten" in refused(capsys, "lift", video, "-o", tmp_path, "--weights", weights)
    assert video.read_bytes() == before


def test_a_failure_while_writing_leaves_the_earlier_result(
    source: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    arguments = ["lift", str(source), "-o", str(out), "--weights", str(weights), "--no-overlay"]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    before = snapshot(out)
    arguments.append("--again")

    def full(*unused: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Poses3D, "save_json", full)
    assert "No space left" in refused(capsys, *arguments)
    assert snapshot(out) == before

    def interrupted(*unused: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Poses3D, "save_json", interrupted)
    assert cli.main(arguments) == 130
    assert capsys.readouterr().err.strip() == ""
    assert snapshot(out) == before

    def broken(*unused: object) -> None:
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr(Poses3D, "save_json", broken)
    with pytest.raises(RuntimeError, match="a fault"):  # keeps its traceback
        cli.main(arguments)
    assert snapshot(out) == before


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


def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from posemamba import doctor

    monkeypatch.setattr(doctor, "_extras", lambda: iter(()))  # MediaPipe takes long to load
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


def test_evaluate(
    weights: Path,
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("posemamba.data.mocap.load_motions", lambda *unused: motions)
    arguments = ["evaluate", str(weights), "--quick", "--baselines", "--json", str(tmp_path / "scores.json")]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: CMU mocap test" in said for name in ("tiny", "depth zero", "mean depth"))
    assert json.loads((tmp_path / "scores.json").read_text())["name"] == "tiny"


def test_evaluate_in_full(
    weights: Path,
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("posemamba.data.mocap.load_motions", lambda *unused: motions.select([2]))
    assert cli.main(["evaluate", str(weights), "mocap", "--quick", "--report", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert "tiny: CMU mocap test" in said and str(tmp_path / "report" / "report.md") in said
    assert {f.suffix for f in (tmp_path / "report").iterdir()} == {".md", ".json", ".png"}
    assert json.loads((tmp_path / "report" / "report.json").read_text())["name"] == "tiny"
    arguments = ["evaluate", str(weights), "--quick", "--robustness", "--json", str(tmp_path / "rises.json")]
    assert cli.main(arguments) == 0
    assert "20 % of joints lost, by chance" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "rises.json").read_text())["rows"]) == 22
    assert "leave out --baselines" in refused(capsys, "evaluate", weights, "--robustness", "--baselines")
    assert "are for mocap" in refused(capsys, "evaluate", weights, tmp_path, "--robustness")
    (tmp_path / "file").touch()
    monkeypatch.setattr("posemamba.data.mocap.load_motions", None)  # nothing is lifted before a place is refused
    for option, place in (("--report", tmp_path / "file"), ("--json", tmp_path / "file" / "scores.json")):
        assert "file: cannot be a folder" in refused(capsys, "evaluate", weights, option, place)


def test_train_and_export(mocap_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    from posemamba.train.checkpoints import WEIGHTS, save_weights
    from posemamba.train.recipe import load_recipe
    from posemamba.train.start import build_model

    recipe = tmp_path / "recipe.yaml"
    small = "name: small\nperson_size: 0.25\nmodel: {options: {width: 16, depth: 1, frames: 27}}\n"
    recipe.write_text(small + "data: {lengths: {27: 1}}\n")
    content = load_recipe(recipe)

    class Trained:
        """What `save_weights` looks at."""

        ema, recipe, global_step = build_model(content), content, 7

    run = tmp_path / "run"
    run.mkdir()
    save_weights(run / WEIGHTS, Trained(), val_p1_exact=71.234)  # type: ignore[arg-type]
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
    for arguments in ((), ("--help",)):
        done = program(*arguments)
        assert done.returncode == 0 and done.stderr == ""
        for command in (*COMMANDS, "data", "show"):
            assert re.search(rf"^\W*{command}  ", done.stdout, re.MULTILINE), command
    for command, option in COMMANDS.items():
        result = CliRunner().invoke(cli.app, [command, "--help"])
        assert result.exit_code == 0 and option in result.output, command
    assert cli.main(["--version"]) == 0


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
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES
    poses = Poses3D.load_npz(tmp_path / "out" / "poses.npz")
    assert len(poses) == 230 and 200 < poses.seen.sum() <= 230
    assert np.isnan(poses.xyz[~poses.seen]).all() and np.isfinite(poses.xyz[poses.seen]).all()


# --- several inputs, several people, what is done already


def lifted(*arguments: object) -> int:
    return cli.main(["lift", *map(str, arguments)])


def two_walkers(path: Path, frames: int = 40) -> Path:
    """MMPose's predictions of two people side by side, in changing order; the second is larger, and seen less."""
    small, large = keypoints(frames).xy * 0.6, keypoints(frames).xy + np.float32([220, 0])
    content = []
    for i in range(frames):
        people = [{"keypoints": p[i].tolist(), "keypoint_scores": [0.9] * 17} for p in (small, large)]
        content.append({"frame_id": i, "instances": people[: 1 + (i < 30)][:: -1 if i % 2 else 1]})
    path.write_text(json.dumps(content))
    return path


TOLD = ["--skeleton", "h36m17", "--fps", "50", "--image-size", "640x480", "--no-overlay"]


def test_several_inputs_and_one_that_is_bad(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_keypoints_npz(tmp_path / folder / "same.npz", keypoints())
    (tmp_path / "bad.npz").write_bytes(b"PK and no more")
    out = tmp_path / "out"
    sources = [tmp_path / "a" / "same.npz", tmp_path / "bad.npz", tmp_path / "b" / "same.npz", tmp_path / "none.mp4"]
    options = ["-o", out, "--weights", weights, "--no-overlay", "--no-viewer"]
    assert lifted(*sources, *options) == 1
    said = capsys.readouterr()
    errors = said.err.splitlines()
    assert errors[0].startswith("error: ") and "bad.npz" in errors[0] and "none.mp4: no such file" in errors[1]
    assert errors[2] == "2 of 4 inputs are done, 2 failed" and len(errors) == 3
    assert {p.name for p in out.iterdir()} == {"a_same_npz", "b_same_npz"}
    assert lifted(tmp_path / "bad.npz", tmp_path / "none.mp4", *options) == 2
    capsys.readouterr()
    # wrong for all of them: told once, and at once
    assert "no weights" in refused(capsys, "lift", *sources, *options[:2], "--weights", tmp_path / "no weights")


def test_what_is_done_is_not_done_again(
    source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = [source, "-o", out, "--weights", weights, "--no-overlay"]

    def is_skipped(*more: object) -> bool:
        before = {p: p.stat().st_mtime_ns for p in out.iterdir()} if out.exists() else {}
        assert lifted(*arguments, *more) == 0
        same = before == {p: p.stat().st_mtime_ns for p in out.iterdir()}
        assert ("done already" in capsys.readouterr().out) == same
        return same

    assert not is_skipped() and is_skipped() and is_skipped("--device", "cpu")
    assert not is_skipped("--again")
    assert not is_skipped("--no-flip") and is_skipped("--no-flip") and not is_skipped()
    (out / "viewer.html").unlink()
    assert not is_skipped() and is_skipped()
    os.utime(source, ns=(1, 1))
    assert not is_skipped()
    (out / "poses.npz").write_bytes(b"PK something else")
    assert not is_skipped()


def test_one_of_several_people_or_all(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = two_walkers(tmp_path / "two.json"), tmp_path / "out"
    arguments = [path, "-o", out, "--weights", weights, *TOLD]
    assert lifted(*arguments) == 0
    assert "2 people" in capsys.readouterr().err
    longest = Poses3D.load_npz(out / "poses.npz")
    assert longest.seen.all() and longest.keypoints.person == 1
    assert lifted(*arguments, "--person", "largest") == 0
    largest = Poses3D.load_npz(out / "poses.npz")
    assert largest.seen.sum() == 30 and largest.keypoints.person == 2
    assert lifted(*arguments, "--person", "all", "--smooth", "--height", "1.8,1.6", "--export", "csv") == 0
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [f"{name}_{n}.{end}" for n in (1, 2) for name, end in [("poses", "npz"), ("poses", "json"), ("motion", "npz")]]
        + [f"motion_{n}.{end}" for n in (1, 2) for end in ("json", "csv")]
        + ["viewer.html"]
    )
    for number, alone in ((1, longest), (2, largest)):
        np.testing.assert_allclose(Poses3D.load_npz(out / f"poses_{number}.npz").xyz, alone.xyz, atol=0.01)
    from posemamba.motion_files import load_motion_npz

    motions = [load_motion_npz(out / f"motion_{n}.npz") for n in (1, 2)]
    assert [m.steps[1].parameters["height_m"] for m in motions] == [1.8, 1.6] and motions[1].person == 2
    capsys.readouterr()
    assert "3 heights for 2 people" in refused(capsys, "lift", *arguments, "--person", "all", "--height", "1.8,1.7,1.6")
    assert "--person is 3, but there are persons 1 to 2" in refused(capsys, "lift", *arguments, "--person", "3")
    assert lifted(*arguments, "--person", "2") == 0
    assert sorted(p.name for p in out.iterdir()) == ["poses.json", "poses.npz", "viewer.html"]


def test_refined_and_exported_beside_the_raw_poses(
    source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from posemamba.motion_files import load_motion_npz

    raw, out = tmp_path / "raw", tmp_path / "out"
    shared_options = ["--weights", weights, "--no-overlay", "--no-viewer"]
    assert lifted(source, "-o", raw, *shared_options) == 0
    more = ["--smooth", "--root-path", "--camera-pitch", "5", "--angles", "--export", "csv,trc,bvh,glb,csv-tidy"]
    assert lifted(source, "-o", out, *shared_options, *more) == 0
    said = capsys.readouterr().out
    assert "scale (estimated)" in said and "root_path (estimated)" in said and "metres, world" in said
    ends = ("bvh", "csv", "glb", "json", "npz", "tidy.csv", "trc")
    assert sorted(p.name for p in out.iterdir()) == ["angles.csv", *(f"motion.{e}" for e in ends), *FILES[1:3]]
    plain, poses = Poses3D.load_npz(raw / "poses.npz"), Poses3D.load_npz(out / "poses.npz")
    np.testing.assert_array_equal(plain.xyz, poses.xyz)
    motion = load_motion_npz(out / "motion.npz")
    assert (motion.units, motion.frame, motion.absolute) == ("metre", "world", True)
    assert [step.name for step in motion.steps] == ["smooth", "scale", "root_path", "upright"]
    np.testing.assert_array_equal(motion.poses.xyz, poses.xyz)
    content = json.loads((out / "motion.json").read_text())
    assert content["steps"][1]["estimate"] is True and content["units"] == "metre"
    np.testing.assert_allclose(content["frames"][4]["xyz"], motion.xyz[4], atol=1e-6)
    header, *rows = (out / "angles.csv").read_text().splitlines()
    assert "left_knee_flexion_deg" in header and len(rows) == 12 and "nan" not in "".join(rows)
    # the same from what was saved
    for saved, name in (
        (raw / "poses.npz", "walk.bvh"),
        (out / "motion.npz", "again.bvh"),
        (raw / "poses.npz", "a.tidy.csv"),
    ):
        options = [] if saved.name == "motion.npz" else ["--smooth", "--root-path", "--camera-pitch", "5"]
        assert cli.main(["convert", str(saved), str(tmp_path / name), *options]) == 0
    assert (
        (tmp_path / "walk.bvh").read_text() == (out / "motion.bvh").read_text() == (tmp_path / "again.bvh").read_text()
    )
    assert (tmp_path / "a.tidy.csv").read_text() == (out / "motion.tidy.csv").read_text()
    assert cli.main(["convert", str(source), str(tmp_path / "k.csv"), "--to-skeleton", "h36m17"]) == 0
    assert "left_knee_x" in (tmp_path / "k.csv").read_text().splitlines()[0]
    capsys.readouterr()
    for arguments, message in (
        ([raw / "poses.npz", tmp_path / "x.mp4"], "cannot be written as '.mp4'"),
        ([raw / "poses.npz", tmp_path / "x.bvh", "--skeleton", "coco17"], "--skeleton is for keypoints"),
        ([raw / "poses.npz", tmp_path / "x.bvh", "--height", "9"], "height"),
        ([out / "motion.npz", tmp_path / "x.bvh", "--smooth"], "refined already"),
        ([source, tmp_path / "x.csv", "--height", "1.8"], "lift it first"),
        ([tmp_path / "none.npz", tmp_path / "x.csv"], "no such file"),
    ):
        assert message in refused(capsys, "convert", *arguments)
    assert not list(tmp_path.glob("x.*"))


def test_refinement_that_cannot_be_is_told_before_the_work(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posemamba.lift.Lifter.from_pretrained", lambda *a, **k: pytest.fail("too late"))
    video = write_video(tmp_path / "clip.mp4")
    for arguments, message in (
        (["--height", "tall"], "--height is 'tall'"),
        (["--height", "178"], "height"),
        (["--fov", "60"], "--root-path"),
        (["--root-path", "--fov", "400"], "field of view"),
        (["--smooth-method", "magic"], "smooth"),
        (["--export", "fbx"], "csv, csv-tidy, trc, bvh, glb"),
        (["--start", "noon"], "--start is 'noon'"),
        (["--start", "1:00", "--end", "30"], "--end is 30 s"),
        (["--person", "best"], "--person is 'best'"),
        (["--detector", "yolo"], "--detector is 'yolo'"),
        (["--detector", "rtmpose", "--mode", "track"], "--mode is for MediaPipe"),
        (["--pose-model", "p.onnx"], "--detector rtmpose"),
    ):
        assert message in refused(capsys, "lift", video, "-o", tmp_path / "out", *arguments), arguments
    assert not (tmp_path / "out").exists()


class Two:
    """A detector that finds two people wherever it looks."""

    skeleton = H36M17

    def __call__(self, rgb: np.ndarray) -> list[Detection]:
        xy = keypoints(1).xy[0]
        return [Detection(xy + np.float32([shift, int(rgb[0, 0, 0]) % 7]), np.ones(17)) for shift in (0, 90)]

    def close(self) -> None:
        pass


def test_parts_of_videos_and_pictures_with_everybody(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of videos, each into its own folder, from one second on; pictures; one overlay with everybody."""
    from PIL import Image

    from posemamba.video import probe

    monkeypatch.setattr("posemamba.detect.rtmpose.RTMPoseDetector", lambda *a, **k: Two())
    (tmp_path / "films").mkdir()
    (tmp_path / "frames").mkdir()
    for name in ("one.mp4", "two.mp4"):
        write_video(tmp_path / "films" / name, frames=40)
    for i in range(12):
        Image.fromarray(np.full((240, 320, 3), 60 + i, np.uint8)).save(tmp_path / "frames" / f"f{i}.png")
    out, options = tmp_path / "out", ["--weights", weights, "--detector", "rtmpose", "--person", "all"]
    assert lifted(tmp_path / "films", "-o", out, *options, "--start", "0:01", "--end", "1.4") == 0
    names = ["overlay.mp4", *(f"poses_{n}.{end}" for n in (1, 2) for end in ("json", "npz")), "viewer.html"]
    for name in ("one", "two"):
        assert sorted(p.name for p in (out / name).iterdir()) == names
        poses = Poses3D.load_npz(out / name / "poses_2.npz")
        np.testing.assert_allclose(poses.keypoints.frame_times(), np.arange(25, 35) / 25)
        info = probe(out / name / "overlay.mp4")
        assert info.frames == 10 and info.duration == pytest.approx(0.4)
    pictures = tmp_path / "pictures"
    assert lifted(tmp_path / "frames", "-o", pictures, *options, "--fps", "10", "--start", "0.2") == 0
    poses = Poses3D.load_npz(pictures / "poses_1.npz")
    assert poses.fps == 10 and len(poses) == 10 and poses.keypoints.frame_times()[0] == pytest.approx(0.2)
    assert probe(pictures / "overlay.mp4").frames == 10
    capsys.readouterr()
    assert lifted(tmp_path / "frames" / "f3.png", "-o", tmp_path / "single", *options[:4]) == 0
    said = capsys.readouterr()
    assert (
        "2 people; took the one seen longest" in said.err and len(Poses3D.load_npz(tmp_path / "single/poses.npz")) == 1
    )
    assert "lasts 1.60 s" in refused(
        capsys, "lift", tmp_path / "films" / "one.mp4", "-o", out, *options, "--start", "9"
    )
