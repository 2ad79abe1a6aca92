"""``posemamba lift --cluster``: inputs streamed through the stages on Ray, what failed, and the summary of all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posemamba.cli.lift.checks import check_options, check_out
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.stages import (
    DONE,
    FAILED,
    FAILED_BEFORE,
    FATAL,
    FindJoints,
    LiftInputs,
    LiftJoints,
    Row,
    Setup,
    WriteResults,
    results_of,
    row_of,
)
from posemamba.cli.lift.summary import check_ours, shown_name
from posemamba.cluster.stream import Attempts, Stage, gpus, stream
from posemamba.io.addresses import address_of, check_writable, join, list_inputs, read_bytes, remove_file, send_file
from posemamba.io.inputs import TABLES, Input, default_folder, find_inputs, folder_names
from posemamba.show.summary import COLUMNS, ClipRow, safe_cell, summary_cells, write_table
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import lock, make_folder, nobody_uses
from posemamba.utils.reading import reading
from posemamba.weights.names import find

SUMMARY, FAILURES = TABLES
FAILURE_COLUMNS = ("source", "error", "digest")
GPU_SHARE, TOGETHER = 0.5, 64
"""The share of a GPU that a lifting process takes, and the inputs whose windows it lifts together."""
SEND_EVERY = 30.0
"""Seconds from one copy of failed.csv to an address to the next."""
_MARK = ".cluster-"


def lift_on_cluster(options: LiftOptions) -> int:
    """Lift all inputs on a cluster; return the exit code.

    Raises:
        PoseMambaError: something that every input would meet: a missing package, no cluster, no rights to write.
    """
    from posemamba.cluster.session import connect, load_ray
    from posemamba.utils.installation import __version__
    from posemamba.utils.plugins import loaded

    if options.jobs is not None:
        raise PoseMambaError("--jobs is for one machine, and a cluster's nodes say how much they take; leave it out")
    load_ray()
    out = options.out or default_folder(options.sources)
    inputs = list_all(options.sources, out, keypoints=options.format is not None)
    options = replace(options, out=out)
    check_options(options, inputs)
    find(options.weights)
    if (address := address_of(out)) is None:
        check_out(out)
        make_folder(out)
    elif address.startswith("memory:"):
        raise PoseMambaError(f"{address}: is the memory of one process, which others cannot write to: name a folder")
    else:
        check_writable(address)
    record = Record(str(out), inputs, options.retry_failed)
    if sys.stderr.isatty():  # there are no bars
        print(f"{len(inputs)} inputs; each is told when it is done", file=sys.stderr)
    with connect(options.cluster or "local"), _mark(None if address else out) as mark:
        setup = Setup(
            replace(options, sources=[], cluster=None, retry_failed=False, jobs=None),
            str(out.absolute()) if address is None else address,
            os.getcwd(),
            mark,
            tuple(loaded()),
            __version__,
            Attempts(),
        )
        return collect(
            stream(rows_of(inputs, setup.out, record.before), plan(setup, 0 if options.device == "cpu" else gpus())),
            record,
        )


@contextlib.contextmanager
def _mark(out: Path | None) -> Iterator[str]:
    """Yield the path of a file by which machines know the folder of all results; "" without a folder."""
    if out is None:
        yield ""
        return
    for left in out.glob(f"{_MARK}*"):  # by a driver that was killed
        with nobody_uses(left) as free:
            if free:
                left.unlink(missing_ok=True)
    path = out.absolute() / f"{_MARK}{uuid.uuid4().hex[:12]}"
    with path.open("w") as file:
        lock(file.fileno())
        try:
            yield str(path)
        finally:
            path.unlink(missing_ok=True)


def plan(setup: Setup, gpus: int) -> list[Stage]:
    """Return the stages: with GPUs one for each kind of work, else one, which needs no way between processes.

    One process of each must find room on two processors, or nothing would ever begin.
    """
    if not gpus:
        return [Stage("lift", LiftInputs, {"setup": setup})]
    return [
        Stage("find", FindJoints, {"setup": setup}),
        Stage("lift", LiftJoints, {"setup": setup}, batch=TOGETHER, cpus=0.25, gpus=GPU_SHARE),
        Stage("write", WriteResults, {"setup": setup}, cpus=0.5),
    ]


def list_all(sources: Sequence[Path], out: Path, *, keypoints: bool = False) -> list[Input]:
    """List the inputs at paths and addresses, each with the folder or address of its results.

    Raises:
        PoseMambaError: nothing is at an address, or nothing to lift in the only folder.
    """
    here = [source for source in sources if address_of(source) is None]
    found = find_inputs(here, out, keypoints=keypoints) if here else []
    single = len(sources) == 1 and len(found) == 1 and found[0].out == out
    for source in sources:
        if (address := address_of(source)) is not None:
            listed = list_inputs(address)
            single = len(sources) == 1 and listed[0][0] == address
            found += [Input(Path(name), out, "keypoints" if keypoints else kind) for name, kind in listed]
    if single:
        return found
    names = folder_names([one.path for one in found])
    return [replace(one, out=Path(results_of(str(out), name))) for one, name in zip(found, names, strict=True)]


def rows_of(inputs: Sequence[Input], out: str, before: dict[str, tuple[str, str]]) -> Iterator[Row]:
    """Yield the first stage's row of each input."""
    often = Counter(one.path.name for one in inputs)
    single = len(inputs) == 1 and (address_of(inputs[0].out) or str(inputs[0].out.absolute())) == out
    for index, one in enumerate(inputs):
        row = row_of(index, one, len(inputs))
        where = out if single else results_of(out, one.out.name)
        yield row | {"out": where, "name": shown_name(one.path, often), "before": before.get(safe_cell(row["source"]))}


@dataclass
class _Counts:
    done: int = 0
    lifted: int = 0
    frames: int = 0
    failed: int = 0


class Record:
    """Outcomes of the inputs: failures in a file as they come, the rest in a temporary one until the summary.

    The memory that it takes does not grow with what is done.

    Args:
        out: the folder, or address, of all results.
        inputs: all inputs of the call.
        retry: forget what failed earlier.
    """

    def __init__(self, out: str, inputs: Sequence[Input], retry: bool = False) -> None:
        self.out, self.inputs = out, inputs
        self._address = address_of(out)
        self._local = Path(tempfile.mkdtemp(prefix="posemamba_")) if self._address else Path(out)
        if self._address:
            for name in TABLES:
                if (content := read_bytes(join(self._address, name))) is not None:
                    (self._local / name).write_bytes(content)
        check_ours(self._local / SUMMARY, ",".join(COLUMNS))
        check_ours(self._local / FAILURES, ",".join(FAILURE_COLUMNS))
        earlier = {row[0]: (row[2], row[1]) for row in _read_table(self._local / FAILURES, len(FAILURE_COLUMNS))}
        self.before = {} if retry else earlier
        self._earlier = earlier
        self._spool = tempfile.TemporaryFile(prefix="posemamba_")  # noqa: SIM115  # closed by `write`
        self._places = array("q", [-1]) * len(inputs)
        self._failures: dict[str, tuple[str, str]] = {}
        self._file: io.TextIOBase | None = None
        self._sent = time.monotonic()
        self.counts = _Counts()

    def take(self, row: Row) -> bool:
        """Note what became of a row; False if it came before, as when a lost node's work was repeated."""
        index, status = row["index"], row["status"]
        if self._places[index] >= 0:
            return False
        cells = row.get("cells", [])
        if status in (FAILED, FAILED_BEFORE):
            error = row["error"].removeprefix(f"{row['source']}: ")
            cells = [summary_cells(ClipRow(row["name"], error=error))]
            self._fail(safe_cell(row["source"]), error, row.get("digest", ""), status == FAILED)
            self.counts.failed += 1
        else:
            self.counts.done += 1
            self.counts.lifted += status != DONE
            self.counts.frames += row.get("frames", 0)
        self._places[index] = self._spool.seek(0, os.SEEK_END)
        self._spool.write(json.dumps(cells).encode() + b"\n")
        return True

    def _fail(self, source: str, error: str, digest: str, new: bool) -> None:
        self._failures[source] = digest, error
        if not new:
            return
        if self._file is None:
            path = self._local / FAILURES
            begun = path.exists()
            self._file = path.open("a", encoding="utf-8", newline="")
            if not begun:
                csv.writer(self._file).writerow(FAILURE_COLUMNS)
        csv.writer(self._file).writerow([source, safe_cell(error), digest])
        self._file.flush()  # a driver that is killed leaves it
        if self._address and time.monotonic() - self._sent > SEND_EVERY:
            self._sent = time.monotonic()
            send_file(self._local / FAILURES, join(self._address, FAILURES))

    def write(self) -> list[str]:
        """Write both tables; return where they are. Failures of inputs that are done now go.

        Raises:
            PoseMambaError: they cannot be written.
        """
        if self._file is not None:
            self._file.close()
        tried = {
            safe_cell(address_of(one.path) or str(one.path))
            for one, place in zip(self.inputs, self._places, strict=True)
            if place >= 0
        }
        failures = {source: each for source, each in self._earlier.items() if source not in tried} | self._failures
        written = []
        try:
            if failures:
                rows = ([source, safe_cell(error), digest] for source, (digest, error) in failures.items())
                write_table(self._local / FAILURES, FAILURE_COLUMNS, rows)
                written.append(FAILURES)
            else:
                (self._local / FAILURES).unlink(missing_ok=True)
            write_table(self._local / SUMMARY, COLUMNS, self._rows())
            written.append(SUMMARY)
        except OSError as error:
            raise PoseMambaError(f"{self.out}: cannot write the summary there ({error.strerror or error})") from error
        self._spool.close()
        if self._address:
            for name in written:
                send_file(self._local / name, join(self._address, name))
            if FAILURES not in written:
                remove_file(join(self._address, FAILURES))
            shutil.rmtree(self._local, ignore_errors=True)
            return [join(self._address, name) for name in written]
        return [str(self._local / name) for name in written]

    def discard(self) -> None:
        """Write nothing, and remove what was kept meanwhile."""
        self._spool.close()
        if self._address:
            shutil.rmtree(self._local, ignore_errors=True)

    def _rows(self) -> Iterator[Sequence[str]]:
        """Yield the summary's rows: of this call's inputs in their order, then of earlier ones in the same folder."""
        often = Counter(one.path.name for one in self.inputs)
        for one, place in zip(self.inputs, self._places, strict=True):
            if place < 0:
                yield summary_cells(ClipRow(shown_name(one.path, often), error="not done: the call ended before"))
                continue
            self._spool.seek(place)
            yield from json.loads(self._spool.readline())
        known = {one.out.name for one in self.inputs}
        at = COLUMNS.index("results")
        for cells in _read_table(self._local / SUMMARY, len(COLUMNS)):
            if cells[at] and Path(cells[at]).parts[0] not in known:
                yield cells


def _read_table(path: Path, columns: int) -> Iterator[list[str]]:
    """Yield the whole rows of a table; none if there is none.

    Raises:
        PoseMambaError: it is damaged.
    """
    if not path.exists():
        return
    with reading(path, "a table of posemamba lift"), path.open(encoding="utf-8", newline="", errors="replace") as file:
        rows = csv.reader(file)
        next(rows, None)
        yield from (row for row in rows if len(row) == columns)


def collect(rows: Iterable[Row], record: Record, tell: Callable[[str], Any] = print) -> int:
    """Print what becomes of each input, and write the tables also where the stream ends early; return the exit code.

    Raises:
        PoseMambaError: an error that every input would meet.
    """
    start, shown = time.monotonic(), set[str]()
    try:
        for row in rows:
            if row["status"] == FATAL:
                raise PoseMambaError(row["error"])
            if not record.take(row):
                continue
            for text in row.get("warned", ()):
                if text not in shown:
                    shown.add(text)
                    print("warning:", one_line_of(text), file=sys.stderr)
            if row.get("trace"):
                print(row["trace"], file=sys.stderr)
            if row["status"] in (FAILED, FAILED_BEFORE):
                again = " (failed before; --retry-failed tries again)" if row["status"] == FAILED_BEFORE else ""
                print(f"error: {row['error']}{again}", file=sys.stderr, flush=True)
            else:
                tell(row["said"].partition("\n")[0])
    finally:
        counts, seconds = record.counts, time.monotonic() - start
        if counts.done or counts.failed:
            for path in record.write():
                tell(f"  {path}")
        else:
            record.discard()
    if counts.lifted:
        speed = f"{counts.frames / max(seconds, 1e-3):,.0f} frames a second"
        tell(f"{counts.lifted} clip{'s' * (counts.lifted != 1)}, {counts.frames:,} frames in {seconds:.1f} s: {speed}")
    total = len(record.inputs)
    if counts.failed:
        print(
            f"{total - counts.failed} of {total} inputs are done, {counts.failed} failed: {FAILURES}", file=sys.stderr
        )
    return 0 if not counts.failed else 2 if counts.failed == total else 1


def one_line_of(text: str) -> str:
    """Return a warning's text in one line."""
    return " ".join(text.split())
