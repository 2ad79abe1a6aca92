"""Several inputs at a time on one machine: the same files, an input that ends its process, an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import posemamba
from fixtures.clips import BAD, write_clips
from fixtures.command_line import refused, snapshot, write_video
from posemamba.cli.lift.jobs import default_jobs, lift_rows, most_jobs
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.stages import Setup, row_of
from posemamba.io.inputs import Input, Kind, find_inputs

OPTIONS = ["--no-overlay", "--no-viewer", "--device", "cpu", "--plugin", "walkers"]


def test_how_many_at_a_time(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def of(kind: Kind, number: int) -> list[Input]:
        return [Input(Path("a"), Path("b"), kind)] * number

    assert default_jobs(of("video", 9), 2) == 1, "two processors are busy with one input"
    assert default_jobs(of("video", 9), 16) == 8 and default_jobs(of("video", 3), 16) == 3
    assert default_jobs(of("keypoints", 20), 16) == 1 and default_jobs(of("keypoints", 200), 16) == 8
    assert default_jobs(of("video", 500), 400) == 200 < most_jobs(400) == 1600 and most_jobs(1) == 8
    for jobs in (0, -1, most_jobs() + 1, 1_000_000):
        told = refused(capsys, "lift", source, "--jobs", jobs)
        assert f"--jobs is {jobs}, expected a number of processes from 1 to {most_jobs()}" in told
    assert "--jobs is for one machine" in refused(capsys, "lift", source, "--jobs", 2, "--cluster", "local")


def _lift(folder: Path, *arguments: object, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "posemamba", "lift", *map(str, arguments), *OPTIONS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


@pytest.mark.slow
def test_the_same_files_and_an_input_that_ends_its_process_fails_alone(weights: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", 14, 3)
    files = sorted(folder.iterdir())
    alone = _lift(tmp_path, *files, "-o", "alone", "--weights", weights)
    said = alone.communicate()
    assert alone.returncode == 1, said
    bright = write_video(folder / "bright.mp4", 6, 240)
    together = _lift(tmp_path, bright, *files, "-o", "many", "--weights", weights, "--jobs", 2)
    out, err = together.communicate()
    assert together.returncode == 1 and out.count("person seen in") == 17, err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(BAD) + 1 and sum("bright.mp4" in line and "ended without" in line for line in errors) == 1
    single, many = snapshot(tmp_path / "alone"), snapshot(tmp_path / "many")
    for tables in (single, many):
        tables.pop("summary.html"), tables.pop("summary.csv")
    assert single == many


@pytest.mark.slow
def test_with_a_lifter_on_each_of_two_devices(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs in the place of GPUs: what is found in two processes is lifted in two others, several inputs in a batch."""
    folder = write_clips(tmp_path / "clips", 14, 3)
    assert _lift(tmp_path, *sorted(folder.iterdir()), "-o", "alone", "--weights", weights).wait() == 1
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "many"
    options = LiftOptions(sources=[], out=out, weights=str(weights), overlay=False, viewer=False)
    inputs = find_inputs(sorted(folder.iterdir()), out)
    setup = Setup(options, str(out), str(tmp_path), "", ("walkers",), posemamba.__version__)
    rows = [row_of(index, one, len(inputs)) for index, one in enumerate(inputs)]
    done = list(lift_rows(rows, 2, setup, ("cpu", "cpu")))
    assert sorted(row["index"] for row in done) == list(range(len(inputs)))
    assert sum(row["status"] == "failed" for row in done) == len(BAD)
    single = snapshot(tmp_path / "alone")
    assert {k: v for k, v in single.items() if not k.startswith("summary")} == snapshot(out)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_an_interruption_ends_all_processes_and_keeps_the_joints(weights: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", 0, 0)
    videos = [write_video(folder / f"long_{i}.mp4", 200, 10) for i in range(2)]
    running = _lift(tmp_path, *videos, "-o", "out", "--weights", weights, "--jobs", 2, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "began").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 143
    assert "interrupted; kept: the joints of" in told and "Traceback" not in told
    with pytest.raises(ProcessLookupError):  # nobody of its session is left, a moment later
        for _ in range(200):
            os.killpg(running.pid, 0)
            time.sleep(0.1)
    assert list((tmp_path / "out").glob("*/keypoints.unfinished"))
    assert not list((tmp_path / "out").glob("*/poses.npz"))
