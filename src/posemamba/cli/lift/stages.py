"""Stages of lifting in processes of their own: joints found, people lifted, results written; a row goes through all.

A row is a dictionary. It begins with `index`, `number` ("3 of 20, "), `source` and `out` (paths or addresses), `kind`,
`name` (in the summary) and `before` (digest and error, where it failed in an earlier run that is not to be repeated).
When it is through it has `status` (done, lifted, failed, failed before or fatal), `error`, `digest`, `frames`, `cells`
(rows of the summary), and what is printed: `said` and `warned`.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from posemamba.cli.explaining import explain
from posemamba.cli.lift.checks import check_out
from posemamba.cli.lift.earlier_results import RESULT, mark_of_place
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.run import FatalError, Job, Worker
from posemamba.cli.lift.summary import people_rows
from posemamba.io.addresses import RemoteFolder, address_of, fetch, join, stand_in
from posemamba.io.inputs import Input, digest
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.show.summary import summary_cells
from posemamba.utils.errors import PoseMambaError, one_line
from posemamba.utils.reading import cause

Row = dict[str, Any]
DONE, LIFTED, FAILED, FAILED_BEFORE, FATAL = "done", "lifted", "failed", "failed before", "fatal"
ENDED = 3
"""Times that a process may end in the middle of an input, by a crash or with its node, before the input failed."""


class Counter(Protocol):
    """A count of the times that work on a row began and did not end."""

    def begin(self, index: int) -> int: ...
    def end(self, index: int) -> None: ...


@dataclass(frozen=True)
class Setup:
    """Settings that each process of a stage is given.

    Attributes:
        options: of the command.
        out: the folder, or address, of all results.
        folder: the working folder, on which relative paths rest.
        mark: a file that every machine must see; empty: all inputs and results are at addresses.
        plugins: modules to import first.
        version: of the package, which must be the same on all machines.
        attempts: counts what ended a process; None: nothing does.
    """

    options: LiftOptions
    out: str
    folder: str
    mark: str = ""
    plugins: tuple[str, ...] = ()
    version: str = ""
    attempts: Counter | None = None


@dataclass
class _Place:
    """Place of the files of a row on this machine."""

    one: Input
    remote: RemoteFolder | None = None
    fetch: Callable[[], None] | None = None
    temporary: Path | None = None
    names: dict[str, str] = field(default_factory=dict)

    def told(self, text: str) -> str:
        """Return a text with the addresses that the user knows in place of this machine's paths."""
        for here, there in self.names.items():
            text = text.replace(here, there)
        return text

    def clear(self) -> None:
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)


class _Stage:
    """Base of all stages: the worker, places of files, and errors, which end a row and nothing else."""

    lifts = True

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._places: dict[int, _Place] = {}
        self._worker: Worker | None = None

    @property
    def worker(self) -> Worker:
        """The worker; made when the first row comes, so that what is wrong is told with it.

        Raises:
            FatalError: another version of the package is here, or a plugin is missing.
        """
        if self._worker is None:
            from posemamba.utils.installation import __version__
            from posemamba.utils.plugins import load

            if self._setup.version != __version__:
                raise FatalError(
                    f"a machine of the cluster has posemamba {__version__}, this one {self._setup.version}: install "
                    "the same on all"
                )
            if self._setup.mark:
                if not os.path.exists(self._setup.mark) or not os.path.isdir(self._setup.folder):
                    raise FatalError(
                        f"{self._setup.out}: a machine of the cluster does not see this folder, or the working folder "
                        f"{self._setup.folder}: use a disk that all share, or addresses such as s3://bucket/folder"
                    )
                os.chdir(self._setup.folder)
            try:
                load(self._setup.plugins, here=True)
            except PoseMambaError as error:
                raise FatalError(str(error)) from error
            self._worker = Worker(self._setup.options, lifts=self.lifts, quiet=True)
        return self._worker

    def _place(self, row: Row) -> _Place:
        """Return where a row's files are here: a stand-in of a remote input, and what is there of remote results."""
        index = row["index"]
        if index in self._places:
            return self._places[index]
        source, out = address_of(row["source"]), address_of(row["out"])
        place = _Place(Input(Path(row["source"]), Path(row["out"]), row["kind"]))
        self._places[index] = place
        if source is None and out is None:
            return place
        place.temporary = Path(tempfile.mkdtemp(prefix="posemamba_"))
        if source is not None:
            (place.temporary / "in").mkdir()
            local = stand_in(source, place.temporary / "in")
            place.one = Input(local, place.one.out, place.one.kind)
            place.names[str(local)] = source
            place.fetch = lambda: fetch(source, local)
        if out is not None:
            folder = place.temporary / Path(row["out"]).name
            place.remote = remote = RemoteFolder(out, folder)
            remote.look()
            place.one = Input(place.one.path, folder, place.one.kind)
            place.names[str(folder)] = out
            bring = place.fetch

            def prepare() -> None:
                remote.forget_results()
                if bring is not None:
                    bring()

            place.fetch = prepare
        return place

    @contextlib.contextmanager
    def _trying(self, row: Row) -> Iterator[None]:
        """Collect what the block prints and warns of; an error ends the row."""
        said, aside = io.StringIO(), io.StringIO()
        with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=UserWarning, module=r"posemamba\.")
            try:
                with contextlib.redirect_stderr(aside):  # bars; errors are told by the row
                    yield
            except KeyboardInterrupt:  # nobody gets the row
                with contextlib.suppress(OSError, ValueError):
                    lines = [line for line in aside.getvalue().splitlines() if line.startswith("interrupted")]
                    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr, flush=True)
                raise
            except FatalError as error:
                row |= {"status": FATAL, "error": str(error)}
            except PoseMambaError as error:
                row |= {"status": FAILED, "error": str(error)}
            except Exception as error:
                if self._worker is not None:
                    self._worker.reset()
                line = explain(error)
                row |= {"status": FAILED, "error": f"{row['source']}: {line or cause(error)}"}
                if line is None:
                    row["trace"] = "".join(traceback.format_exception(error))
        told = self._places[row["index"]].told if row["index"] in self._places else str
        row["said"] = row.get("said", "") + told(said.getvalue())
        row["warned"] = [*row.get("warned", ()), *(told(str(each.message)) for each in warned)]
        if "status" in row:
            row["error"] = one_line(" ".join(told(row.get("error", "")).split()))
            row.pop("job", None)
            self._end(row)

    def _end(self, row: Row) -> None:
        if (place := self._places.pop(row["index"], None)) is not None:
            place.clear()
        if self._setup.attempts is not None:
            self._setup.attempts.end(row["index"])

    def _begin(self, row: Row) -> None:
        """Find the joints of a row's input, unless it is done: then it gets a `job`."""
        with self._trying(row):
            attempts = self._setup.attempts
            if attempts is not None and attempts.begin(row["index"]) >= ENDED:
                raise PoseMambaError(
                    f"{row['source']}: the process that lifts it ended {ENDED} times in the middle of it, as where "
                    "memory runs out; lift it alone to see why"
                )
            worker, place = self.worker, self._place(row)
            one = place.one
            if place.remote is None:
                check_out(one.out, one.path, one.kind)
            if one.path.exists():
                row["digest"] = worker.digest(one)
                if row.get("before") and row["before"][0] == row["digest"]:
                    row |= {"status": FAILED_BEFORE, "error": f"{row['source']}: {row['before'][1]}"}
                    return
            job = worker.begin(one, row["number"], place.fetch)
            if job is None:
                row |= {"status": DONE, "cells": self._cells(row, place)}
            else:
                if (source := address_of(row["source"])) is not None:
                    job.results.marks = [mark_of_place(source), digest({}, one.path)]
                row["job"] = job

    def _lift(self, rows: list[Row]) -> None:
        """Lift the people of all rows that have a job, together where that works."""
        rows = [row for row in rows if "job" in row]
        if not rows:
            return
        try:
            self.worker.lift([row["job"] for row in rows])
        except FatalError as error:
            for row in rows:
                row.pop("job")
                row |= {"status": FATAL, "error": str(error)}
        except Exception as error:
            if len(rows) > 1:
                for row in rows:
                    self._lift([row])
                return
            with self._trying(rows[0]):
                raise error

    def _finish(self, row: Row) -> None:
        """Write the results of a row that has a job."""
        if "job" not in row:
            return
        with self._trying(row):
            job: Job = row["job"]
            worker, place = self.worker, self._place(row)
            if job.one.path != place.one.path or job.one.out != place.one.out:  # begun elsewhere
                if place.fetch is not None:
                    place.fetch()
                worker.move(job, place.one)
            try:
                worker.finish(job)
            except BaseException:
                if place.remote is not None and (place.remote.local / KEYPOINTS).exists():
                    place.remote.send(lambda name: False)
                raise
            row |= {"status": LIFTED, "frames": job.frames, "cells": self._cells(row, place)}
            if place.remote is not None:
                place.remote.send(lambda name: RESULT.fullmatch(name) is not None)

    def _cells(self, row: Row, place: _Place) -> list[list[str]]:
        """Return the rows of the summary that tell of an input's results."""
        folder = place.one.out
        root = folder.parent if place.remote is not None else Path(self._setup.out)
        return [summary_cells(each) for each in people_rows(folder, root, row["name"])]


class FindJoints(_Stage):
    """The first stage: inputs are read, and joints found in videos. It needs no weights."""

    lifts = False

    def __call__(self, rows: list[Row]) -> list[Row]:
        for row in rows:
            self._begin(row)
            if "job" in row:
                unfinished = row["job"].results.unfinished
                if unfinished is not None:  # the writer removes its file
                    unfinished.close()
                    row["job"].results.unfinished = None
                if (place := self._places.pop(row["index"], None)) is not None:
                    place.clear()
        return rows


class LiftJoints(_Stage):
    """The second stage, on a GPU: people of many inputs are lifted in one batch."""

    def __call__(self, rows: list[Row]) -> list[Row]:
        self._lift(rows)
        return rows


class WriteResults(_Stage):
    """The last stage: poses are refined, and all results written."""

    lifts = False

    def __call__(self, rows: list[Row]) -> list[Row]:
        for row in rows:
            self._finish(row)
        return rows


class LiftInputs(_Stage):
    """All stages in one process, where no GPU is shared."""

    def __call__(self, rows: list[Row]) -> list[Row]:
        for row in rows:
            self._begin(row)
            self._lift([row])
            self._finish(row)
        return rows


def results_of(out: str, name: str) -> str:
    """Return the folder of an input's results in the folder, or at the address, of all."""
    address = address_of(out)
    return str(Path(out) / name) if address is None else join(address, name)


def row_of(index: int, one: Input, total: int) -> Row:
    """Return the first stage's row of an input.

    Args:
        index: from 0 on.
        one: the input, with the folder of its results.
        total: the inputs of the call.
    """
    row = {"index": index, "number": f"{index + 1} of {total}, ", "source": address_of(one.path) or str(one.path)}
    return row | {"out": str(one.out), "kind": one.kind, "name": one.path.name, "before": None}
