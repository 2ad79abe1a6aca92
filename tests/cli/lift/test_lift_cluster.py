"""Lifting on Ray: a cluster that loses a node and its driver, and what is told before anything is done."""

from __future__ import annotations

import contextlib
import csv
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posemamba
from fixtures.clips import BAD, write_clips
from fixtures.command_line import lifted, refused, snapshot, write_video
from posemamba.cli.lift.cluster import Record, collect, list_all, plan, rows_of
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.stages import Setup
from posemamba.pipeline.reading import Reading
from posemamba.utils.errors import PoseMambaError

CLIPS, VIDEOS = 188, 8


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of three nodes of one processor each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    pytest.importorskip("ray.data", reason="needs the extra 'cluster'")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    made = None
    for left in (2, 1, 0):  # Ray waits fifteen seconds for its own processes, and a busy machine may need more
        try:
            made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
            made.others = [made.add_node(**node) for _ in range(2)]
            break
        except Exception:
            if made is not None:
                made.shutdown()
            if not left:
                raise
    yield made
    made.shutdown()


def _command(folder: Path, out: Path, weights: Path, *more: str) -> list[str]:
    files = [str(path) for path in sorted(folder.iterdir())]
    options = ["--weights", str(weights), "--no-overlay", "--no-viewer", "--device", "cpu", "--plugin", "walkers"]
    return [sys.executable, "-m", "posemamba", "lift", *files, "-o", str(out), *options, *more]


def _done(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("*/poses.npz")}


def _wait(condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not go on"
        time.sleep(0.05)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_lost_node_and_a_killed_driver_lose_and_repeat_nothing(cluster: Any, weights: Path, tmp_path: Path) -> None:
    inputs = write_clips(tmp_path / "clips", CLIPS, VIDEOS)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    alone = subprocess.run(
        _command(inputs, tmp_path / "alone", weights), cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert alone.returncode == 1, alone.stderr

    out = tmp_path / "many"
    command = _command(inputs, out, weights, "--cluster", cluster.address)
    with (tmp_path / "driver.log").open("w") as log:
        driver = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        _wait(lambda: len(_done(out)) >= 30 or driver.poll() is not None)
        cluster.remove_node(cluster.others.pop(), allow_graceful=False)
        before = len(_done(out))
        _wait(lambda: len(_done(out)) >= min(before + 60, 150) or driver.poll() is not None)
        assert driver.poll() is None, (tmp_path / "driver.log").read_text()
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    first = _done(out)
    assert len(first) < CLIPS + VIDEOS

    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    now = _done(out)
    assert {path: now[path] for path in first} == first, "what was done was not lifted again"
    assert again.stdout.count("done already") >= len(first)
    single, many = snapshot(tmp_path / "alone"), snapshot(out)
    for name in ("summary.html", "failed.csv"):  # of one machine, and of a cluster alone
        single.pop(name, None), many.pop(name, None)
    assert single.keys() == many.keys()
    assert [name for name, content in single.items() if many[name] != content] == []
    assert len(_table(out / "summary.csv")) == CLIPS + VIDEOS + len(BAD)
    failed = {Path(row["source"]).name: row["error"] for row in _table(out / "failed.csv")}
    assert failed.keys() == BAD.keys() and all(failed.values())
    for name in BAD:
        assert sum(line.startswith("error: ") and name in line for line in again.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_input_that_ends_its_process_fails_alone(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="needs the extra 'cluster'")
    folder = write_clips(tmp_path / "clips", 4, 1)
    write_video(folder / "bright.mp4", 6, 240)
    command = _command(folder, tmp_path / "out", weights, "--cluster", "local")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    assert len(_done(tmp_path / "out")) == 5
    failed = {Path(row["source"]).name: row["error"] for row in _table(tmp_path / "out" / "failed.csv")}
    assert failed.keys() == {*BAD, "bright.mp4"} and "ended 3 times" in failed["bright.mp4"]
    assert "Traceback" not in run.stderr and "Warning" not in run.stderr, run.stderr


def _through(rows: list[Any], setup: Setup) -> list[Any]:
    """The three stages of machines with GPUs, each in a process of its own as far as its memory shows."""
    for stage in plan(setup, 1):
        work = stage.work(**stage.arguments)
        batches = [rows[i : i + stage.batch] for i in range(0, len(rows), stage.batch)]
        rows = [row for batch in batches for row in pickle.loads(pickle.dumps(work(pickle.loads(pickle.dumps(batch)))))]
    return rows


def test_through_three_stages_from_an_address_to_an_address(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it but Ray, with a CPU in a GPU's place: skipped, failed, repeated and listed as it should be."""
    import fsspec

    inputs = write_clips(tmp_path / "clips", 2, 1)
    files = [inputs / name for name in ("clip_000.npz", "clip_001.npz", "video_0.mp4", "bad_cut.npz")]
    memory, base = fsspec.filesystem("memory"), f"memory://{tmp_path.name}"
    for file in files:
        memory.put_file(str(file), f"{base}/in/{file.name}")
    monkeypatch.chdir(tmp_path)
    options = LiftOptions(
        sources=[Path(f"{base}/in")], out=Path(f"{base}/out"), weights=str(weights), overlay=False, device="cpu"
    )
    out, source = f"{base}/out", options.sources
    setup = Setup(options, out, str(tmp_path), "", ("walkers",), posemamba.__version__)

    def run(retry: bool = False) -> tuple[int, list[str]]:
        record = Record(out, list_all(source, options.out), retry)
        code = collect(_through(list(rows_of(record.inputs, out, record.before)), setup), record)
        return code, [f"{row['name']}: {row['error'][:9] or row['verdict']}" for row in memory_table("summary.csv")]

    def memory_table(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(memory.cat_file(f"{base}/out/{name}").decode().splitlines()))

    with restoring_detectors():
        code, table = run()
        assert code == 1 and [row.partition(":")[0] for row in table] == sorted(file.name for file in files)
        said = capsys.readouterr()
        assert "3 clips, 33 frames in" in said.out and f"{base}/in/bad_cut.npz" in said.err and "/tmp" not in said.err
        assert [row["source"] for row in memory_table("failed.csv")] == [f"{base}/in/bad_cut.npz"]
        made = {name: memory.cat_file(f"{base}/out/{name}") for name in ("clip_000/poses.npz", "video_0/keypoints.npz")}
        assert run() == (code, table)
        said = capsys.readouterr()
        assert said.out.count("done already") == 3 and "failed before; --retry-failed" in said.err
        assert {name: memory.cat_file(f"{base}/out/{name}") for name in made} == made
        memory.put_file(str(files[0]), f"{base}/in/bad_cut.npz")
        code, table = run(retry=True)
        assert code == 0 and not memory.exists(f"{base}/out/failed.csv") and "failed" not in " ".join(table)
        # the same poses as from a file here
        assert lifted(files[1], "-o", tmp_path / "here", "--weights", weights, "--no-overlay", "--device", "cpu") == 0
    memory.get_file(f"{base}/out/clip_001/poses.npz", str(tmp_path / "there.npz"))
    here, there = posemamba.read_poses(tmp_path / "here" / "poses.npz"), posemamba.read_poses(tmp_path / "there.npz")
    np.testing.assert_array_equal(here.xyz, there.xyz)
    memory.rm(base, recursive=True)


@contextlib.contextmanager
def restoring_detectors() -> Iterator[None]:
    made = Reading.make_detector
    try:
        yield
    finally:
        Reading.make_detector = made


def test_what_is_wrong_is_told_in_one_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("posemamba.cluster.session.load_ray", lambda: None)
    assert "--retry-failed is for --cluster" in refused(capsys, "lift", source, "--retry-failed")
    assert "which --cluster takes" in refused(capsys, "lift", "s3://bucket/clip.mp4")
    for address, words in (
        ("memory://nothing.npz", "no such file or folder"),
        ("nowhere://a/b.npz", "cannot be opened"),
    ):
        assert words in refused(capsys, "lift", address, "-o", tmp_path / "o", "--cluster", "local")
    (tmp_path / "file").touch()
    assert "is a file, expected a folder" in refused(
        capsys, "lift", source, "-o", tmp_path / "file", "--cluster", "local"
    )
    assert "memory of one process" in refused(capsys, "lift", source, "-o", "memory://out", "--cluster", "local")
    assert not (tmp_path / "o").exists()
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "ray", None)
    said = refused(capsys, "lift", source, "-o", tmp_path / "o", "--cluster", "local")
    assert 'install "ray[data]' in said and not (tmp_path / "o").exists()


def test_a_damaged_table_of_failures_is_told_in_a_line_and_kept(tmp_path: Path) -> None:
    damaged = f'source,error,digest\n"{"x" * 200_000}'
    (tmp_path / "failed.csv").write_text(damaged)
    with pytest.raises(PoseMambaError, match=r"failed\.csv: cannot be read as a table of posemamba lift"):
        Record(str(tmp_path), [])
    assert (tmp_path / "failed.csv").read_text() == damaged
