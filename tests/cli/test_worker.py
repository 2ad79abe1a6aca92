"""The worker of the application: events of a command, its end with stdin, and one worker a job at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.command_line import keypoints, write_video
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.utils.files import lock


def start(tmp_path: Path, *arguments: object) -> subprocess.Popen[str]:
    request = {"arguments": [str(argument) for argument in arguments], "lock": str(tmp_path / "lock")}
    worker = subprocess.Popen(
        [sys.executable, "-m", "posemamba.cli.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(request) + "\n")
    worker.stdin.flush()
    return worker


def events(worker: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert worker.stdout is not None
    return [json.loads(line) for line in worker.stdout]


@pytest.mark.slow
def test_events_of_a_lift(tmp_path: Path, weights: Path) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints())
    worker = start(tmp_path, "lift", tmp_path / "k.npz", "-o", tmp_path / "out", "--weights", weights, "--no-overlay")
    told = events(worker)
    assert worker.wait() == 0
    names = [event["event"] for event in told]
    assert names[0] == "people" and names[-1] == "result" and told[-1]["frames"] == 12
    stages = [event["stage"] for event in told if event["event"] == "stage"]
    assert stages == ["lifting", "page", "writing"] == [e["stage"] for e in told if e["event"] == "stage done"]
    assert told[-1]["people"][0]["word"] in ("good", "use with care", "do not trust")


@pytest.mark.slow
def test_an_error_is_an_event_and_a_closed_stdin_an_interruption(tmp_path: Path) -> None:
    worker = start(tmp_path, "lift", tmp_path / "gone.mp4")
    (error,) = events(worker)
    assert worker.wait() == 2 and error == {"event": "error", "text": f"{tmp_path / 'gone.mp4'}: no such file"}

    video = write_video(tmp_path / "long.mp4", frames=160)
    worker = start(tmp_path, "lift", video, "-o", tmp_path / "out")
    assert worker.stdout is not None and worker.stdin is not None
    for line in worker.stdout:
        if json.loads(line)["event"] == "progress":
            break
    worker.stdin.close()
    assert worker.wait(60) == 130


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fcntl, which locks a job's folder")
def test_a_worker_waits_for_an_earlier_one_of_the_same_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posemamba.cli import worker

    told: list[dict[str, Any]] = []
    read, write = os.pipe()
    os.write(write, json.dumps({"arguments": ["--version"], "lock": str(tmp_path / "lock")}).encode() + b"\n")
    monkeypatch.setattr(worker, "_first_line", lambda: os.read(read, 1 << 16))
    monkeypatch.setattr(worker, "_watch", lambda: None)
    monkeypatch.setattr(worker, "_open_events", lambda: told.append)
    monkeypatch.setattr(worker, "_EARLIER", 0.3)
    with (tmp_path / "lock").open("w") as held:
        assert lock(held.fileno())
        assert worker.main() == 2
    assert told == [{"event": "error", "text": "another process works at the same job; end it, then go on"}]
    os.close(read)
    os.close(write)
