"""The workers of the application: processes that run ``posemamba lift``, one job each.

A worker gets its arguments in a line of JSON on stdin, and tells what happens in lines of JSON on stdout. When its
stdin ends it stops and keeps what it has found: so it is cancelled, and so it ends when the server is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posemamba.app.estimate import FINDING, LIFTING
from posemamba.app.jobs import Job, Store
from posemamba.app.options import arguments, in_words

GRACE = 20.0
"""Seconds that a worker has to keep what it found before it is killed."""
_LONGEST_EVENT = 1 << 20  # bytes
_LONGEST_LOG = 1 << 20  # bytes
_NOTES = 20


class Runner:
    """The queue of jobs, and the workers at work.

    Args:
        store: the jobs.
        command: starts a worker.
        at_once: so many jobs run at the same time; the others wait for their turn.
    """

    def __init__(self, store: Store, command: Sequence[str], at_once: int = 1) -> None:
        self._store, self._command, self._at_once = store, list(command), at_once
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._workers: dict[str, asyncio.subprocess.Process] = {}
        self._cancelled: set[str] = set()
        self._asked: set[str] = set()  # who stopped for the choice of a person
        self._stopping = False
        self.clocks: dict[str, Clock] = {}

    def start(self) -> None:
        """Begin with the jobs that wait, and go on with those that ran when the server ended."""
        for job in self._store:
            if job.state == "running":
                job.state = "waiting"
        self._fill()

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn."""
        job.state, job.queued, job.begun, job.ended = "waiting", time.time(), 0.0, 0.0
        job.stage, job.done, job.total, job.frames, job.seconds = "", 0, 0, 0, {}
        job.message, job.notes, job.result = "", [], {}
        self._save(job)
        self._fill()

    async def cancel(self, job: Job) -> None:
        """Stop a job; what its worker has found so far is kept, and used when it goes on."""
        if job.state == "waiting":
            job.state = "cancelled"
            self._save(job)
        elif (task := self._tasks.get(job.id)) is not None:
            self._cancelled.add(job.id)
            await self._end(job.id)
            await asyncio.wait([task])

    async def stop(self) -> None:
        """Stop all workers; their jobs go on when the server is started again."""
        self._stopping = True
        tasks = list(self._tasks.values())
        await asyncio.gather(*(self._end(id) for id in list(self._tasks)))
        if tasks:
            await asyncio.wait(tasks)

    def _fill(self) -> None:
        waiting = sorted((job for job in self._store if job.state == "waiting"), key=lambda job: job.queued)
        for job in waiting[: max(0, self._at_once - len(self._tasks))]:
            if not self._stopping:
                job.state, job.begun = "running", time.time()
                self._save(job)
                self.clocks[job.id] = Clock()
                self._tasks[job.id] = asyncio.create_task(self._work(job))

    async def _end(self, id: str) -> None:
        """Ask a worker to stop, and kill it where it does not."""
        worker = self._workers.get(id)
        if worker is None:
            return
        if worker.stdin is not None:
            worker.stdin.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(worker.wait(), GRACE)
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()

    async def _work(self, job: Job) -> None:
        try:
            code = await self._run(job)
        except OSError as error:
            code, job.message = 1, f"the work cannot be started ({error.strerror or error})"
        except Exception as error:  # a fault of this program: the job must not run for ever, nor its worker
            logging.getLogger(__name__).exception("job %s", job.id)
            await self._end(job.id)
            code, job.message = 1, f"the work cannot be followed ({type(error).__name__}: {error})"
        finally:
            self._tasks.pop(job.id, None)
            self._workers.pop(job.id, None)
            self.clocks.pop(job.id, None)
        if not self._stopping and self._store.get(job.id) is job:
            self._finish(job, code)
        self._cancelled.discard(job.id)
        self._asked.discard(job.id)
        self._fill()

    async def _run(self, job: Job) -> int:
        """Run a job's worker to its end; return the exit code."""
        folder = self._store.path(job)
        given = ["lift", str(self._store.input(job)), f"--out={self._store.results(job)}"]
        given += arguments(job.options, job.kind, job.person)
        if (video := self._store.video(job)) is not None:
            given.append(f"--video={video}")
        request = {"arguments": given, "lock": str(folder / ".working")}
        log = folder / "log.txt"
        with log.open("ab" if _size(log) < _LONGEST_LOG else "wb") as file:
            worker = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                limit=_LONGEST_EVENT,
                env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"},
                start_new_session=os.name == "posix",  # Ctrl-C in the terminal is for the server alone
            )
        self._workers[job.id] = worker
        assert worker.stdin is not None and worker.stdout is not None
        with contextlib.suppress(ConnectionError):
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            await worker.stdin.drain()
        if self._stopping or job.id in self._cancelled:
            worker.stdin.close()
        while True:
            try:
                line = await worker.stdout.readline()
            except ValueError:  # longer than any event
                continue
            if not line:
                return await worker.wait()
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                self._hear(job, json.loads(line))

    def _hear(self, job: Job, event: dict[str, Any]) -> None:
        """Take an event of a worker."""
        name = event["event"]
        if name == "stage":
            job.stage, job.done, job.total = str(event["stage"]), 0, 0
            self.clocks[job.id].begin()
        elif name == "progress" and event["stage"] == job.stage:
            job.done, job.total = int(event["done"]), int(event["total"] or 0)
            if job.stage in (FINDING, LIFTING):
                job.frames = max(job.frames, job.total)
            self.clocks[job.id].note(job.done)
        elif name == "stage done":
            job.seconds[str(event["stage"])] = float(event["seconds"])
        elif name == "people":
            job.people = list(event["people"])
        elif name == "choose":
            self._asked.add(job.id)
        elif name == "result":
            job.result = {key: event[key] for key in ("frames", "seconds", "people")}
        elif name in ("error", "warning"):
            text = in_words(self._store.without_places(job, str(event["text"])))
            if name == "error":
                job.message = text
            elif text not in job.notes and len(job.notes) < _NOTES:
                job.notes.append(text)

    def _finish(self, job: Job, code: int) -> None:
        job.ended = time.time()
        if job.id in self._cancelled and code != 0:
            job.state, job.message = "cancelled", ""
        elif code == 0:
            job.state = "choose" if job.id in self._asked else "done"
        else:
            job.state = "failed"
            if not job.message:
                how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
                job.message = f"the work {how}; perhaps memory ran out. The log says more: {self._store.path(job)}"
        self._save(job)

    def _save(self, job: Job) -> None:
        """Write a job's state; on a full disk the work goes on, and the next start has an earlier state."""
        try:
            self._store.save(job)
        except OSError as error:
            logging.getLogger(__name__).warning("job %s: its state cannot be written: %s", job.id, error)


class Clock:
    """The pace of a stage: seconds a frame since its first report."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Note that a stage begins."""
        self.since, self._first, self._last = time.monotonic(), (0, 0.0), (0, 0.0)

    def note(self, done: int) -> None:
        """Note how many frames are done; those of an earlier run come with the first report, and do not count."""
        now = time.monotonic()
        if self._first[1] == 0.0:
            self._first = done, now
        self._last = done, now

    @property
    def frame_seconds(self) -> float | None:
        """Seconds a frame; None: not known yet."""
        frames = self._last[0] - self._first[0]
        return (self._last[1] - self._first[1]) / frames if frames > 0 else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
