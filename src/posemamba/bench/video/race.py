"""The race: each pipeline in a process of its own, in turns, timed from its start to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemamba.bench.video.pipelines import Pipeline
from posemamba.bench.video.report import VideoReport
from posemamba.bench.video.worker import ABSENT, PREPARE
from posemamba.utils.errors import PoseMambaError

_LONGEST_NOTE = 300
_LOOK = 0.02  # seconds from one look at a process to the next


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
        for one, row in taking_part if number % 2 == 0 else reversed(taking_part):
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
                    row.status, row.note = "skipped" if done.absent else "failed", done.note
                continue
            row.status = "ok"
            row.seconds.append(done.seconds)
            if done.cpu_s is not None:
                row.cpu_seconds.append(done.cpu_s)
            row.peak_bytes = max(filter(None, (row.peak_bytes, done.peak_bytes)), default=None)
            report.compare()
            report.save(json_file)
    report.finished = True
    report.save(json_file)
    return report


@dataclass(frozen=True)
class _Done:
    """The end of a process.

    Attributes:
        seconds: from its start to its end.
        cpu_s, peak_bytes: processor time and the most resident memory; None where the system does not tell.
        frames: that it printed; 0: none.
        note: why it failed; "": it did not.
        absent: it failed for want of something that is not installed here.
    """

    seconds: float
    cpu_s: float | None = None
    peak_bytes: int | None = None
    frames: int = 0
    note: str = ""
    absent: bool = False


def _run(words: Sequence[str], folder: Path, limit_s: float | None) -> _Done:
    """Run a process to its end, or until the limit."""
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    env.pop("POSEMAMBA_DEBUG", None)
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(words, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env)
        try:
            code, cpu_s, peak = _wait(process, limit_s)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - begin
    if code is None:
        return _Done(seconds, note=f"over the limit of {limit_s:g} s (--limit-s)")
    if code:
        note = _reason((folder / "stderr").read_text(errors="replace"), code)
        return _Done(seconds, note=note, absent=code == ABSENT)
    return _Done(seconds, cpu_s, peak, _frames((folder / "stdout").read_text(errors="replace")))


def _wait(process: subprocess.Popen[bytes], limit_s: float | None) -> tuple[int | None, float | None, int | None]:
    """Return the exit code, None past the limit; processor seconds and peak memory, None where they are not known."""
    end = None if limit_s is None else time.monotonic() + limit_s
    wait4: Any = getattr(os, "wait4", None)  # not on Windows
    peak: int | None = None
    while True:
        peak = _peak_so_far(process.pid) or peak
        if wait4 is not None:
            pid, status, usage = wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                if peak is None and sys.platform == "darwin":
                    peak = usage.ru_maxrss
                return process.returncode, usage.ru_utime + usage.ru_stime, peak
        elif process.poll() is not None:
            return process.returncode, None, peak
        if end is not None and time.monotonic() > end:
            process.kill()
            process.wait()
            return None, None, None
        time.sleep(_LOOK)


def _peak_so_far(pid: int) -> int | None:
    """Return the most bytes of a process that were resident until now, where Linux tells.

    What it tells after the end (ru_maxrss) counts this process, too, from which the other was forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return None if line is None else int(line.split()[1]) * 1024


def _frames(printed: str) -> int:
    for line in reversed(printed.splitlines()):
        if line.startswith("{"):
            return int(json.loads(line)["frames"])
    return 0


def _reason(printed: str, code: int) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {code}").removeprefix("error: ")[-_LONGEST_NOTE:]
