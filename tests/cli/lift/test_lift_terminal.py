"""Results that are whole wherever the printed lines go, and joints that are kept where lifting is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.command_line import lifted, write_video
from fixtures.documents import Walkers
from posemamba import cli
from posemamba.io.keypoints.detected import read_detected


def _call(source: Path, out: Path, weights: Path) -> list[str]:
    words = ["lift", source, "-o", out, "--weights", weights, "--no-overlay", "--no-viewer"]
    return [sys.executable, "-m", "posemamba", *map(str, words)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_terminal_costs_no_results(source: Path, weights: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            _call(source, tmp_path / "out", weights), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: cannot print what was done")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["poses.json", "poses.npz"]


@pytest.mark.slow
def test_nobody_reads_and_ascii_alone(source: Path, weights: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            _call(source, tmp_path / "one", weights), stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert (tmp_path / "one" / "poses.npz").is_file()
    named = tmp_path / "ge\u0308he\u4eba.npz"
    named.write_bytes(source.read_bytes())
    ascii_alone = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        _call(named, tmp_path / "two", weights), env=ascii_alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "\\u4eba" in done.stdout, done.stderr


def test_joints_are_kept_where_lifting_is_interrupted(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = write_video(tmp_path / "video.mp4"), tmp_path / "out"
    monkeypatch.setattr("posemamba.detect.blazepose.BlazePoseDetector", Walkers)
    arguments = ["lift", str(video), "-o", str(out), "--weights", str(weights), "--no-overlay", "--no-viewer"]

    def interrupted(*unused: object, **unused_too: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("posemamba.pipeline.lift.lift_input", interrupted)
        assert cli.main(arguments) == 130
    assert f"kept: {out / 'keypoints.npz'}" in capsys.readouterr().err
    assert len(read_detected(out / "keypoints.npz").people) == 2
    assert lifted(*arguments[1:]) == 0
    assert "joints kept by an earlier call" in capsys.readouterr().out
    assert (out / "poses.npz").is_file()
