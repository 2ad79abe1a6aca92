"""Runs that are killed at random moments and called again, compared with one that nobody interrupted."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tests.interrupts import work

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_MAY_END = {  # before the command has begun Python ends by the signal itself
    signal.SIGINT: {0, 130, -signal.SIGINT},
    signal.SIGTERM: {0, 143, -signal.SIGTERM},
    signal.SIGKILL: {0, -signal.SIGKILL},
}
_SLACK = 0.1  # seconds by which a busy machine is late
Work = Callable[[Path, Path, Path], int]


def run(folder: Path, runs: int, seed: int, only: str | None = None) -> list[str]:
    """Interrupt each kind of work so often; print and return what is wrong."""
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    work.prepare(folder)
    wrong: list[str] = []
    for kind in [only] if only else KINDS:
        wrong += _runs(kind, folder, runs, random.Random(f"{seed} {kind}"))
    print(f"{len(wrong)} findings", flush=True)
    return wrong


def _runs(kind: str, folder: Path, runs: int, chance: random.Random) -> list[str]:
    task, compare = KINDS[kind]
    whole = folder / f"{kind}_whole"
    longest = math.inf
    for out in (folder / f"{kind}_first", whole):  # the first one compiles kernels
        begin = time.time()
        assert _call(task, folder, out)[0] == 0, (folder / f"{out.name}.said").read_text()
        longest = min(longest, time.time() - begin)
    expected = compare(whole)
    found: list[str] = []
    saved = {}
    for number in range(runs):
        out = folder / f"{kind}_{number}"
        told = []
        problems = []
        killed: list[tuple[int, float]] = []
        for _ in range(chance.choice((1, 1, 2))):
            which = SIGNALS[(number + len(told)) % 3]
            after = chance.uniform(0, longest)
            code, ended = _call(task, folder, out, which, after)
            told.append(f"{which.name} after {after:.2f} s: {code}")
            if code not in _MAY_END[which]:
                problems.append(f"ended with {code} by {which.name}")
            if code:
                killed.append((which, ended))
        if (code := _call(task, folder, out)[0]) != 0:
            problems.append(f"called again it ended with {code}")
        else:
            result = compare(out)
            problems += [
                f"{name} differs" for name in sorted({*expected, *result}) if not _same(name, expected, result)
            ]
            problems += [f"{name} was left over" for name in result if ".unfinished" in name]
        problems += [f"{name} was left in the folder for temporary files" for name in _temporary_files(folder)]
        again = _done_again(folder / f"{out.name}.notes")
        saved[number] = len(again)
        problems += _check_again(kind, again, killed)
        print(f"{kind} {number}: {'; '.join(told)}; again: {len(again)}", *problems, sep="\n    ", flush=True)
        found += [f"{kind} {number}: {problem}" for problem in problems]
    print(
        f"{kind}: {runs} runs of {longest:.1f} s, {sum(saved.values())} done again, {len(found)} findings", flush=True
    )
    return found


def _call(
    task: Work, folder: Path, out: Path, which: signal.Signals | None = None, after: float = 0.0
) -> tuple[int, float]:
    """Run the task in a process, with a signal after some seconds; the exit code, and when it was sent."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _be_child(task, folder, out)
    sent = 0.0
    if which is not None:
        time.sleep(after)
        sent = time.time()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, which)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), sent


def _be_child(task: Work, folder: Path, out: Path) -> None:
    code = 1
    try:
        file = os.open(folder / f"{out.name}.said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        tempfile.tempdir = str(_temporary(folder))
        code = task(folder, out, folder / f"{out.name}.notes")
        sys.stdout.flush()
    except KeyboardInterrupt:  # before the command, or after it
        code = 130
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _temporary(folder: Path) -> Path:
    path = folder / "temporary"
    path.mkdir(exist_ok=True)
    return path


def _temporary_files(folder: Path) -> list[str]:
    """List what is in the folder for temporary files; PyTorch's compiler has a cache there, which stays."""
    return [name for name in os.listdir(_temporary(folder)) if not name.startswith("torchinductor_")]


def _done_again(notes: Path) -> list[tuple[int, float]]:
    """List what was done more than once, and when it was done before."""
    seen: dict[int, float] = {}
    again = []
    for line in notes.read_text().splitlines():
        number, at = line.split()
        if int(number) in seen:
            again.append((int(number), seen[int(number)]))
        seen[int(number)] = float(at)
    return again


def _check_again(kind: str, again: list[tuple[int, float]], killed: list[tuple[int, float]]) -> Iterator[str]:
    """Report what was done twice and need not have been."""
    if kind == "train":
        if len(again) > work.SAVE_EVERY * len(killed):
            yield f"{len(again)} steps were done again after {len(killed)} interruptions"
        return
    lost: Counter[int] = Counter()
    for number, at in again:
        which, end = next((w, e) for w, e in sorted(killed, key=lambda one: one[1]) if e >= at)
        lost[which] += 1
        limit = work.RECORD_SECONDS + 2 * work.FRAME_SECONDS + _SLACK
        if which == signal.SIGKILL and end - at > limit:
            yield f"frame {number} was searched {end - at:.2f} s before the kill and again"
    gentle = sum(which != signal.SIGKILL for which, _ in killed)
    if (frames := lost[signal.SIGINT] + lost[signal.SIGTERM]) > gentle:
        yield f"{frames} frames were searched again after {gentle} gentle interruptions"


def _files(out: Path) -> dict[str, Any]:
    """All files of results."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def _training(out: Path) -> dict[str, Any]:
    """The weights, all that training goes on from, and the log's rows."""
    result: dict[str, Any] = {}
    rows: Counter[tuple[tuple[str, str], ...]] = Counter()
    for path in out.rglob("*"):
        name = str(path.relative_to(out))
        if path.name == "metrics.csv":
            with path.open(newline="") as file:
                rows.update(tuple(sorted((k, v) for k, v in row.items() if v)) for row in csv.DictReader(file))
        elif path.suffix in (".pt", ".ckpt"):
            content = torch.load(path, weights_only=True)
            result[name] = {k: content.get(k) for k in ("state_dict", "optimizer_states", "validation", "global_step")}
            result[name]["step"] = content.get("step")
        elif path.is_file() and path.parent.parent.name != "logs":  # TensorBoard's
            result[name] = b""
    return {**result, "rows": rows}


def _same(name: str, expected: dict[str, Any], result: dict[str, Any]) -> bool:
    if (name in expected) != (name in result):
        return False
    return _equal(expected[name], result[name])


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


KINDS: dict[str, tuple[Work, Callable[[Path], dict[str, Any]]]] = {
    "lift": (work.lift, _files),
    "train": (work.train, _training),
}
