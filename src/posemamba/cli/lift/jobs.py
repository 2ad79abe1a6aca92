"""Several inputs at a time on one machine: processes that find joints and write results, and a lifter on each GPU."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.connection import wait as wait_for
from typing import Any

from posemamba.cli.lift.stages import FAILED, FindJoints, LiftInputs, LiftJoints, Row, Setup, WriteResults
from posemamba.io.inputs import Input
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.processors import processors

CORES_OF_A_JOB = 2
"""Processors for each process by default: decoding, finding joints and drawing keep about two busy."""
JOBS_OF_A_CORE, FEW_JOBS = 4, 8
"""Processes for each processor at the most, and the number that is allowed anywhere: more of them only take memory."""
WINDOWS_JOBS = 61
"""The most processes of a pool on Windows, which waits for no more."""
ROWS_OF_A_JOB = 2
"""Inputs that are under way for each process, one of which waits for it."""
TOGETHER = 64
"""The most inputs whose windows a GPU lifts together."""
FEWEST = 24
"""Keypoint files for each process at the least: it takes as long to start as a few dozen take to lift."""

_stages: dict[str, Callable[[list[Row]], list[Row]]] = {}
"""Stages of a pool's process, by name; empty in other processes."""


def default_jobs(inputs: Sequence[Input], cores: int | None = None) -> int:
    """Return how many inputs to lift at a time: 1 where more processes would not be faster.

    Args:
        inputs: those of the call.
        cores: the processors; None: those that this process may use.
    """
    long = sum(one.kind != "keypoints" for one in inputs)
    useful = long + (len(inputs) - long) // FEWEST
    return max(1, min((cores or processors()) // CORES_OF_A_JOB, useful, most_jobs(cores)))


def most_jobs(cores: int | None = None) -> int:
    """Return how many processes may be asked for; `cores` as in `default_jobs`."""
    most = max(FEW_JOBS, JOBS_OF_A_CORE * (cores or processors()))
    return min(most, WINDOWS_JOBS) if os.name == "nt" else most


def check_jobs(jobs: int) -> None:
    """Reject a number of processes that this machine cannot run.

    Raises:
        PoseMambaError: it is none, or far more than there are processors.
    """
    most = most_jobs()
    if not 1 <= jobs <= most:
        raise PoseMambaError(
            f"--jobs is {jobs}, expected a number of processes from 1 to {most} on this machine ({processors()} "
            "processors); leave it out for what is fastest"
        )


def lift_rows(rows: Iterable[Row], jobs: int, setup: Setup, devices: Sequence[str] = ()) -> Generator[Row, None, None]:
    """Lift rows, so many at a time, and yield them in the order in which they are done.

    An input whose process ends without an error, as where memory runs out, fails alone: those that were under way
    beside it are lifted again, one by one.

    Args:
        rows: see `posemamba.cli.lift.stages`.
        jobs: processes.
        setup: what each process is given.
        devices: GPUs, with a lifting process each beside them; none: each process lifts what it finds.
    """
    left = iter(rows)
    while True:
        lost: list[Row] = []
        yield from _lift_rows(left, jobs, setup, devices, lost)
        for row in lost:
            again: list[Row] = []
            yield from _lift_rows(iter([row]), 1, setup, devices, again)
            for each in again:
                why = "the process that lifted it ended without an error, as where memory runs out"
                yield each | {"status": FAILED, "error": f"{each['source']}: {why}"}
        if not lost:
            return


def _lift_rows(rows: Iterator[Row], jobs: int, setup: Setup, devices: Sequence[str], lost: list[Row]) -> Iterator[Row]:
    """Lift rows until all are done, or a process ends: those that are under way then are put into `lost`."""
    first = "find" if devices else "lift"
    found: list[Row] = []
    under_way: dict[Future[list[Row]], tuple[list[Row], ProcessPoolExecutor | None]] = {}
    with contextlib.ExitStack() as pools:
        pool = pools.enter_context(_pool(jobs, setup))
        # a process for each GPU: within one, graphs that are captured on a GPU forbid the others to work
        of_device = [replace(setup, options=replace(setup.options, device=device)) for device in devices]
        free = [pools.enter_context(_pool(1, each)) for each in of_device]

        def work(name: str, batch: list[Row], lifter: ProcessPoolExecutor | None = None) -> None:
            try:
                under_way[(lifter or pool).submit(_run, name, batch)] = batch, lifter
            except BrokenProcessPool:
                lost.extend(map(_anew, batch))
                raise

        try:
            while True:
                while free and found:
                    batch, found = found[:TOGETHER], found[TOGETHER:]
                    work("lift only", batch, free.pop())
                while len(under_way) < ROWS_OF_A_JOB * jobs and (row := next(rows, None)) is not None:
                    work(first, [row])
                if not under_way:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    results = future.result()
                    _, of = under_way.pop(future)
                    if of is not None:
                        free.append(of)
                    for row in results:
                        if "job" not in row:
                            yield row
                        elif of is None:
                            found.append(row)
                        else:
                            work("write", [row])
        except BrokenProcessPool:
            lost += [_anew(row) for each, _ in under_way.values() for row in each] + [_anew(row) for row in found]


def _anew(row: Row) -> Row:
    """Return a row as it began."""
    return {name: row[name] for name in ("index", "number", "source", "out", "kind", "name", "before")}


@contextlib.contextmanager
def _pool(jobs: int, setup: Setup) -> Iterator[ProcessPoolExecutor]:
    """Make a pool of processes that share this machine's processors; an interruption reaches them, too."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = before or str(max(1, processors() // jobs))
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(setup,))
    try:
        yield pool
    except BaseException:  # also a generator that is closed
        for child in multiprocessing.active_children():
            with contextlib.suppress(OSError, TypeError):
                os.kill(child.pid or 0, signal.SIGINT)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)


def _start(setup: Setup) -> None:
    """Make the stages of a process of the pool; they load what they need when they are used."""
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # while nothing is done
    _stages.update(
        {
            "find": FindJoints(setup),
            "lift only": LiftJoints(setup),
            "write": WriteResults(setup),
            "lift": LiftInputs(setup),
        }
    )
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process soon after the one that started it: that one may have been killed."""
    if (parent := multiprocessing.parent_process()) is not None:
        wait_for([parent.sentinel])
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
        os._exit(1)


def _run(name: str, rows: list[Row]) -> list[Row]:
    """Send rows through a stage of this process, which an interruption ends."""

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once: what was found is kept now
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        return _stages[name](rows)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
