"""``posemamba live`` as a user calls it: nonsense refused, a video to lines and to a result, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from posemamba.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.mp4"], "no such file"),
        (["file:///etc/passwd"], "an address of 'file'"),
        (["."], "a folder"),
        (["0", "--fast"], "--fast is for videos"),
        (["VIDEO", "--axes", "maya"], "touchdesigner"),
        (["VIDEO", "--osc", "localhost"], "HOST:PORT"),
        (["VIDEO", "--seconds", "-1"], "--seconds"),
        (["VIDEO", "-o", "no/folder/poses.jsonl"], "cannot be written"),
        (["VIDEO", "--record", "VIDEO"], "is a file"),
        (["VIDEO", "-o", "VIDEO"], "would be overwritten"),
        ([""], "the source is empty"),
        (["VIDEO", "--delay", "40"], "0 to 13"),
        (["VIDEO", "--detector", "huge"], "huge"),
        (["VIDEO", "--height", "17"], "height"),
        (["VIDEO", "--weights", "nothing"], "nothing"),
    ],
)
def test_nonsense_is_refused_in_a_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.mp4").write_bytes(b"no video")
    assert main(["live", *(a.replace("VIDEO", "walk.mp4") for a in arguments)]) == 2
    printed = capsys.readouterr()
    assert words in printed.err.splitlines()[-1] and printed.err.splitlines()[-1].startswith("error:")
    assert [path.name for path in tmp_path.iterdir()] == ["walk.mp4"]
    assert (tmp_path / "walk.mp4").read_bytes() == b"no video"


@pytest.mark.parametrize("earlier", [pytest.param(None, marks=pytest.mark.slow), "poses of before"])
def test_a_file_that_is_no_video_leaves_nothing(
    earlier: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "walk.mp4").write_bytes(b"no video")
    out, poses = tmp_path / "out", tmp_path / "poses.jsonl"
    if earlier is not None:
        poses.write_text(earlier)
    assert main(["live", str(tmp_path / "walk.mp4"), "--record", str(out), "-o", str(poses)]) == 2
    assert "not a video" in capsys.readouterr().err
    assert not list(out.iterdir())
    assert (poses.read_text() if poses.exists() else None) == earlier


@pytest.mark.slow
def test_a_video_becomes_lines_and_a_result(shared: Callable[..., Path], tmp_path: Path) -> None:
    video, out, lines = shared("video/sports2d_demo.mp4"), tmp_path / "out", tmp_path / "poses.jsonl"
    part = tmp_path / "part.mkv"
    from posemamba.io.video.clip import Clip
    from posemamba.io.video.reading import read_frames
    from posemamba.io.video.writer import VideoWriter

    with VideoWriter(part, fps=30) as writer:
        for frame in read_frames(Clip(video, 0, 1)):
            writer.write(frame.picture.scaled_rgb(640, 360), frame.time)
    assert main(["live", str(part), "--fast", "-o", str(lines), "--record", str(out), "--height", "1.8"]) == 0
    first, *poses = [json.loads(line) for line in lines.read_text().splitlines()]
    assert first["type"] == "start" and [pose["index"] for pose in poses] == list(range(30))
    assert sum(pose["seen"] for pose in poses) > 25
    from posemamba.io.motion.npz import load_poses_npz

    kept = load_poses_npz(out / "poses.npz")
    assert len(kept) == 30 and kept.model == "posemamba-s" and (out / "overlay.mp4").is_file()
    assert kept.steps[0].parameters["height_m"] == 1.8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_ctrl_c_ends_it_cleanly(shared: Callable[..., Path]) -> None:
    command = [sys.executable, "-m", "posemamba", "live", str(shared("video/sports2d_demo.mp4"))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(4):
            json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "poses of" in err.splitlines()[-1] and "Traceback" not in err
    assert all(json.loads(line)["type"] == "pose" for line in out.splitlines())
