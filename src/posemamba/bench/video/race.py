"""The race: each pipeline in a process of its own, in turns, timed from its start to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from posemamba.bench.timing import turns
from posemamba.bench.video.pipelines import Pipeline
from posemamba.bench.video.report import VideoReport
from posemamba.bench.video.worker import PREPARE
from posemamba.utils.errors import PoseMambaError

_LONGEST_NOTE = 160


def race(
    video: Path,
    pipelines: Sequence[Pipeline],
    *,
    detector: str = "heavy",
    rounds: int = 3,
    limit_s: float = 300.0,
    command: str = "",
    json_file: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> VideoReport:
    """Run the pipelines in turns, each in a process of its own.

    Kernels are compiled before, in a process that is not timed. A pipeline that lacks a package, fails, or takes longer
    than its limit gets the reason in place of figures; the others go on.

    Args:
        video: the input.
        pipelines: what takes part.
        detector: BlazePose's size in all of them.
        rounds: turns of each.
        limit_s: seconds for one pipeline in all.
        command: for the report.
        json_file: the report is written there after each turn.
        say: called with a line about what is done now.

    Raises:
        PoseMambaError: the video cannot be read, or the report not written.
    """
    say("preparing")
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "posemamba.bench.video.worker", PREPARE, str(video), detector]
        done = _run(words, Path(folder), None)
        if done.note:
            raise PoseMambaError(done.note if str(video) in done.note else f"{video}: {done.note}")
    report = VideoReport.of(video, done.frames, detector, rounds, command, pipelines)
    report.save(json_file)
    taking_part = [(one, row) for one, row in zip(pipelines, report.rows, strict=True)]
    for one, row in taking_part:
        if reason := one.missing():
            row.status, row.note = "skipped", reason
    for number in range(rounds):
        for one, row in turns(taking_part, number):
            if row.status not in ("ok", "not run"):
                continue
            left = limit_s - sum(row.seconds)
            if left <= 0:
                continue
            say(f"round {number + 1} of {rounds}: {one.name}")
            with tempfile.TemporaryDirectory() as folder:
                done = _run(one.arguments(video, Path(folder) / "out", detector), Path(folder), left)
            if done.note:
                if not row.seconds:
                    row.status, row.note = "failed", done.note
                continue
            row.status = "ok"
            row.seconds.append(done.seconds)
            row.peak_bytes = max(filter(None, (row.peak_bytes, done.peak_bytes)), default=None)
            report.compare()
            report.save(json_file)
    report.finished = True
    report.save(json_file)
    return report


class _Done:
    """The end of a process: its seconds, peak memory and frames, or a note why there are none."""

    def __init__(self, seconds: float, peak_bytes: int | None, frames: int, note: str = "") -> None:
        self.seconds, self.peak_bytes, self.frames, self.note = seconds, peak_bytes, frames, note


def _run(words: Sequence[str], folder: Path, limit_s: float | None) -> _Done:
    """Run a process to its end, or until the limit."""
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    env.pop("POSEMAMBA_DEBUG", None)
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(words, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env)
        try:
            code, peak = _wait(process, limit_s)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - begin
    if code is None:
        return _Done(seconds, None, 0, f"over the limit of {limit_s:.0f} s (--limit-s)")
    if code:
        return _Done(seconds, None, 0, _reason((folder / "stderr").read_text(errors="replace"), code))
    return _Done(seconds, peak, _frames((folder / "stdout").read_text(errors="replace")))


def _wait(process: subprocess.Popen[bytes], limit_s: float | None) -> tuple[int | None, int | None]:
    """Return the exit code, None past the limit, and the most memory that was resident, None where it is not known."""
    end = None if limit_s is None else time.monotonic() + limit_s
    wait4: Any = getattr(os, "wait4", None)  # not on Windows
    while True:
        if wait4 is not None:
            pid, status, usage = wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                unit = 1 if sys.platform == "darwin" else 1024
                return process.returncode, usage.ru_maxrss * unit
        elif process.poll() is not None:
            return process.returncode, None
        if end is not None and time.monotonic() > end:
            process.kill()
            process.wait()
            return None, None
        time.sleep(0.02)


def _frames(printed: str) -> int:
    for line in reversed(printed.splitlines()):
        if line.startswith("{"):
            return int(json.loads(line)["frames"])
    return 0


def _reason(printed: str, code: int) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {code}").removeprefix("error: ")[-_LONGEST_NOTE * 2 :]
