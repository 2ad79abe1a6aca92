"""A process that runs one case after another, within limits of memory, and says how each ended."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

MEMORY = 2 << 30
"""Bytes beyond those of the idle process."""


_LEAKED = re.compile(r"warning: .*(?:encountered in|Mean of empty slice|All-NaN|Degrees of freedom).*")
"""Warnings of NumPy that reach the terminal."""


@dataclass
class Outcome:
    """How a case ended.

    Attributes:
        kind: refused, accepted, traceback, slow, memory, untidy (not one line, or something was written).
        where: what a traceback ended in, or the first line of what was said.
        seconds: of computing.
        peak: bytes beyond those of the idle process.
        text: the whole traceback, or all that was printed.
    """

    kind: str
    where: str
    seconds: float = 0.0
    peak: int = 0
    text: str = ""


def run_case(name: str, number: int, seed: int, seeds: Path, keep: Path | None = None) -> Outcome:
    """Make a case's file, run it, and judge how it ended; a negative number stands for a whole file."""
    from posemamba.utils.errors import PoseMambaError

    draw = random.Random(f"{name}/{number}/{seed}")
    target = TARGETS[name]
    seed_name = draw.choice(list(target.seeds))
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = Path(made)
        (folder / "in").mkdir()
        file = folder / "in" / Path(target.place or seed_name).name
        content = (seeds / seed_name).read_bytes()
        file.write_bytes(content if number < 0 else mutated(draw, target.seeds[seed_name], content))
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, keep / file.name)
        said, printed = io.StringIO(), io.StringIO()
        state = random.getstate()
        _reset_peak()
        before, begin = _memory("VmRSS"), time.process_time()
        code: int | None = None
        outcome: Outcome
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed), warnings.catch_warnings():
                code = target.run(file, folder, seeds, draw)
            outcome = Outcome("accepted", "") if code is None else _judge(code, said.getvalue(), folder)
        except PoseMambaError as error:
            line = str(error)
            kind = "refused" if len(line.splitlines()) == 1 else "untidy"
            outcome = Outcome(kind, line)
        except SystemExit as error:
            outcome = Outcome("traceback", f"SystemExit {error.code}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = Outcome("traceback", _where(error), text="".join(traceback.format_exception(error)[-60:]))
        outcome.seconds = time.process_time() - begin
        outcome.peak = max(0, _memory("VmHWM") - before)
        random.setstate(state)
        outcome.text = outcome.text or said.getvalue()
    return outcome


def _judge(code: int | None, said: str, folder: Path) -> Outcome:
    if "Traceback (most recent call last)" in said:
        return Outcome("traceback", said.strip().splitlines()[-1], text=said)
    errors = [line for line in said.splitlines() if not line.startswith("warning:")]
    if leaked := _LEAKED.search(said):
        return Outcome("untidy", f"a warning that tells the user nothing: {leaked[0]}", text=said)
    if code != 2:
        return Outcome("accepted", errors[0] if errors else "")
    if len(errors) != 1 or not errors[0].startswith("error: "):
        return Outcome("untidy", f"{len(errors)} lines: {errors[:3]}", text=said)
    written = [str(path.relative_to(folder)) for path in folder.glob("out*") if path.is_file() or any(path.rglob("*"))]
    written = [name for name in written if name != "out" or not (folder / "out" / "keypoints.npz").exists()]
    if written and not (folder / "out" / "poses.npz").exists():
        return Outcome("untidy", f"refused, and {written} written", text=said)
    return Outcome("refused", errors[0])


def _where(error: BaseException) -> str:
    """The innermost line of this package, and the kind of exception."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/posemamba/" in frame.filename]
    place = f"{ours[-1].filename.split('/posemamba/')[-1]}:{ours[-1].lineno}" if ours else "outside"
    return f"{type(error).__name__} at {place}: {(str(error).splitlines() or [''])[0][:100]}"


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def work(connection: Connection, seeds: Path, only: str | None = None) -> None:
    """Run the cases that come through a pipe; all are of targets whose name holds `only`."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ["POSEMAMBA_CACHE"] = tempfile.mkdtemp(prefix="fuzzcache")
    os.environ.pop("POSEMAMBA_DEBUG", None)
    os.environ["POSEMAMBA_DATA"] = str(seeds / "none")
    import torch

    torch.set_num_threads(1)
    import av  # noqa: F401
    import PIL.Image  # noqa: F401

    import posemamba.lifting.lifter
    import posemamba.pipeline.lift
    import posemamba.train.run  # noqa: F401

    for number in (-1, -2, -3, -4):  # whole files, by different commands: imports count for no case
        for name in (name for name in TARGETS if only is None or only in name):
            with contextlib.suppress(Exception):
                run_case(name, number, 0, seeds)
    size = _memory("VmSize") + MEMORY + (512 << 20)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.send("ready")
    while (case := connection.recv()) is not None:
        name, number, seed, keep = case
        outcome: Any = run_case(name, number, seed, seeds, keep)
        connection.send(outcome)
    shutil.rmtree(os.environ["POSEMAMBA_CACHE"], ignore_errors=True)
