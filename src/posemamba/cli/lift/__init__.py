"""``posemamba lift``: the loop over inputs. Options, work and results are modules beside it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from posemamba.cli.explaining import explain
from posemamba.cli.heights import parse_heights
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.terminal import cannot_print, drop_output
from posemamba.utils.errors import PoseMambaError, one_line
from posemamba.utils.reading import cause

if TYPE_CHECKING:
    from posemamba.cli.lift.run import Job, Worker
    from posemamba.cli.lift.summary import Summary
    from posemamba.io.inputs import Input

T = TypeVar("T")

_NAMED = 20
"""Inputs that failed, by name, in the last line."""


def lift(options: LiftOptions) -> int:
    """Lift videos, pictures or 2D keypoints to 3D poses: poses.npz, poses.json, overlay.mp4 and viewer.html.

    Earlier results in the folder are replaced when all is done, and stay as they were if anything fails.

    Of several inputs one that fails does not stop the others (exit code 1). More: docs/lift.md.
    """
    from posemamba.cli.lift.checks import check_options, check_out
    from posemamba.cli.lift.earlier_results import own_folder
    from posemamba.cli.lift.run import Worker
    from posemamba.io.inputs import default_folder, find_inputs

    if options.cluster is not None:
        from posemamba.cli.lift.cluster import lift_on_cluster

        return lift_on_cluster(options)
    _check_paths(options)
    out = options.out or default_folder(options.sources)
    inputs = find_inputs(options.sources, out, keypoints=options.format is not None)
    if options.out is None:
        inputs = [replace(one, out=own_folder(one.out, one.path)) for one in inputs]
        options = replace(options, out=out)
    check_options(options, inputs)
    if understood := parse_heights(options.height)[1]:
        print(understood)
    if options.jobs is not None:
        from posemamba.cli.lift.jobs import check_jobs

        check_jobs(options.jobs)
    worker = Worker(options)
    if len(inputs) == 1:
        check_out(inputs[0].out, inputs[0].path, inputs[0].kind)
        worker.do(inputs[0])
        return 0
    check_out(out)
    from posemamba.cli.lift.summary import Summary

    summary = Summary(out, inputs)
    try:
        several = _lift_in_jobs(inputs, options, worker, summary)
        return _lift_all(inputs, worker, summary) if several is None else several()
    finally:
        _summarize(summary)


def _check_paths(options: LiftOptions) -> None:
    """Reject what needs ``--cluster``.

    Raises:
        PoseMambaError: there is an address, or an option of clusters.
    """
    if options.retry_failed:
        raise PoseMambaError(
            "--retry-failed is for --cluster, and without it all that failed is tried again; leave it out"
        )
    for path in (*options.sources, *([] if options.out is None else [options.out])):
        if ":" in str(path):
            from posemamba.io.addresses import address_of

            if (address := address_of(path)) is not None:
                raise PoseMambaError(
                    f"{address}: is an address, which --cluster takes: on this machine alone --cluster local"
                )


class Outcomes:
    """Outcomes of several inputs: one that fails is reported in a line, and the others go on."""

    def __init__(self, inputs: Sequence[Input], worker: Worker, summary: Summary) -> None:
        self._inputs, self._worker, self._summary = inputs, worker, summary
        self._failed: list[Path] = []
        self._unprinted: OSError | None = None
        self._clips = self._frames = 0

    def tried(self, one: Input, work: Callable[[], T]) -> T | None:
        """Return what the work on an input returns; None: it failed, or what was done could not be printed."""
        from posemamba.cli.lift.run import FatalError

        try:
            return work()
        except FatalError:
            raise
        except PoseMambaError as error:
            _complain(str(error), error if os.environ.get("POSEMAMBA_DEBUG") else None)
            self.failed(one, str(error))
        except Exception as error:
            if isinstance(error, OSError) and cannot_print(error):  # this one's files are written
                drop_output()
                self._unprinted = error
                self._summary.done(one)
                return None
            self._worker.reset()
            line = explain(error)  # without one it is a fault of this program's; the others go on all the same
            said = f"{one.path}: {line or cause(error)}"
            _complain(said, error if line is None else None)
            self.failed(one, said)
        return None

    def done(self, one: Input, frames: int = 0) -> None:
        """Note that an input's results are there.

        Args:
            one: the input.
            frames: those that were lifted now; 0: it was done already.
        """
        self._summary.done(one)
        self._frames += frames
        self._clips += frames > 0

    def failed(self, one: Input, said: str) -> None:
        """Note why an input failed, which was printed."""
        self._summary.failed(one, said)
        self._failed.append(one.path)

    def end(self, seconds: float) -> int:
        """Print how fast all went and what failed; return the exit code."""
        if self._clips:
            speed = f"{self._frames / max(seconds, 1e-3):,.0f} frames a second"
            try:
                print(
                    f"{self._clips} clip{'s' * (self._clips != 1)}, {self._frames:,} frames in {seconds:.1f} s: {speed}"
                )
            except OSError as error:  # the reader of the output has gone
                drop_output()
                self._unprinted = error
        inputs, failed = len(self._inputs), self._failed
        if failed:
            names = ", ".join(str(path) for path in failed[:_NAMED]) + (", ..." if len(failed) > _NAMED else "")
            print(f"{inputs - len(failed)} of {inputs} inputs are done, {len(failed)} failed: {names}", file=sys.stderr)
        if self._unprinted is not None:
            why = self._unprinted.strerror or self._unprinted
            raise PoseMambaError(f"cannot print what was done ({why}); files are written")
        return 0 if not failed else 2 if len(failed) == inputs else 1


def _lift_all(inputs: Sequence[Input], worker: Worker, summary: Summary) -> int:
    """Lift several inputs, keypoint files in batches of many; return the exit code."""
    from posemamba.cli.lift.checks import check_out

    outcomes, start = Outcomes(inputs, worker, summary), time.monotonic()

    def begin(number: int, one: Input) -> Job | None:
        check_out(one.out, one.path, one.kind)
        job = worker.begin(one, f"{number} of {len(inputs)}, ")
        if job is None:
            outcomes.done(one)
        return job

    waiting: list[Job] = []
    for number, one in enumerate(inputs, 1):
        if waiting and one.kind != "keypoints":  # finding joints takes long
            _finish(waiting, worker, outcomes)
        job = outcomes.tried(one, partial(begin, number, one))
        if job is not None:
            waiting.append(job)
            if one.kind != "keypoints" or worker.is_batch(waiting):
                _finish(waiting, worker, outcomes)
    _finish(waiting, worker, outcomes)
    return outcomes.end(time.monotonic() - start)


def _lift_in_jobs(
    inputs: Sequence[Input], options: LiftOptions, worker: Worker, summary: Summary
) -> Callable[[], int] | None:
    """Return what lifts the inputs several at a time; None: one after another is as fast."""
    from posemamba.cli.lift.jobs import default_jobs

    jobs = min(options.jobs or default_jobs(inputs), len(inputs))
    if jobs == 1:
        return None
    return partial(_lift_rows, inputs, options, jobs, Outcomes(inputs, worker, summary))


def _lift_rows(inputs: Sequence[Input], options: LiftOptions, jobs: int, outcomes: Outcomes) -> int:
    """Lift inputs, several at a time; return the exit code."""
    from posemamba.cli.lift.jobs import lift_rows
    from posemamba.cli.lift.run import FatalError
    from posemamba.cli.lift.stages import DONE, FAILED, FATAL, Setup, row_of
    from posemamba.ops.runtime.device import gpus_for
    from posemamba.utils.installation import __version__
    from posemamba.utils.plugins import loaded

    start, said = time.monotonic(), set[str]()
    setup = Setup(replace(options, sources=[]), str(options.out), os.getcwd(), "", tuple(loaded()), __version__)
    if sys.stderr.isatty():  # there are no bars
        print(f"{len(inputs)} inputs, {jobs} at a time; each is told when it is done", file=sys.stderr)
    rows = (row_of(index, one, len(inputs)) for index, one in enumerate(inputs))
    with contextlib.closing(lift_rows(rows, jobs, setup, gpus_for(options.device))) as done:
        for row in done:
            one = inputs[row["index"]]
            for text in row.get("warned", ()):
                warnings.warn(text, stacklevel=2)
            if row["status"] == FATAL:
                raise FatalError(row["error"])
            if row["status"] == FAILED:
                print(row.get("trace", ""), end="", file=sys.stderr)
                _complain(row["error"])
                outcomes.failed(one, row["error"])
                continue
            outcomes.tried(one, partial(_print_new, row["said"], said))
            outcomes.done(one, 0 if row["status"] == DONE else row["frames"])
    return outcomes.end(time.monotonic() - start)


def _print_new(text: str, said: set[str]) -> None:
    """Print lines, but those of notes once: those that name no file and say no verdict."""
    for line in text.splitlines():
        if line not in said or line.startswith("  "):
            print(line)
        said.add(line)


def _finish(jobs: list[Job], worker: Worker, outcomes: Outcomes) -> None:
    """Lift inputs together, write the results of each, and empty the list."""
    from posemamba.cli.lift.run import FatalError

    together = len(jobs) > 1
    if together:
        try:
            worker.lift(jobs)
        except FatalError:
            raise
        except Exception:  # whichever of them it was: each by itself
            together = False

    def finish(job: Job) -> None:
        if not together:
            worker.lift_one(job)
        worker.finish(job)
        outcomes.done(job.one, job.frames)

    for job in jobs:
        outcomes.tried(job.one, partial(finish, job))
    jobs.clear()


def _summarize(summary: Summary) -> None:
    """Write the summary and name its files; one that cannot be written fails nothing else."""
    try:
        written = summary.write()
    except PoseMambaError as error:
        _complain(str(error))
        return
    if written:
        with contextlib.suppress(OSError):  # the reader of the output has gone
            print("summary of all:", *(f"  {path}" for path in written), sep="\n", flush=True)


def _complain(message: str, error: BaseException | None = None) -> None:
    """Print an error in one line, and before it where it comes from."""
    if error is not None:
        traceback.print_exception(error)
    print("error:", one_line(" ".join(message.split())), file=sys.stderr, flush=True)
