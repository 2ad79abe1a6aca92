"""``posemamba lift``: the loop over inputs. Options, work and results are modules beside it."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from posemamba.cli.explaining import explain
from posemamba.cli.heights import parse_heights
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.terminal import cannot_print, drop_output
from posemamba.utils.errors import PoseMambaError, one_line
from posemamba.utils.reading import cause

if TYPE_CHECKING:
    from posemamba.cli.lift.run import Worker
    from posemamba.cli.lift.summary import Summary
    from posemamba.io.inputs import Input

_NAMED = 20
"""Inputs that failed, by name, in the last line."""


def lift(options: LiftOptions) -> int:
    """Lift videos, pictures or 2D keypoints to 3D poses: poses.npz, poses.json, overlay.mp4 and viewer.html.

    Earlier results in the folder are replaced when all is done, and stay as they were if anything fails.

    Of several inputs one that fails does not stop the others (exit code 1). More: docs/lift.md.
    """
    from posemamba.cli.lift.results import check_options, check_out, own_folder
    from posemamba.cli.lift.run import Worker
    from posemamba.io.inputs import default_folder, find_inputs

    out = options.out or default_folder(options.sources)
    inputs = find_inputs(options.sources, out, keypoints=options.format is not None)
    if options.out is None:
        inputs = [replace(one, out=own_folder(one.out, one.path)) for one in inputs]
        options = replace(options, out=out)
    check_options(options, inputs)
    if understood := parse_heights(options.height)[1]:
        print(understood)
    worker = Worker(options)
    if len(inputs) == 1:
        check_out(inputs[0].out, inputs[0].path, inputs[0].kind)
        worker.do(inputs[0])
        return 0
    check_out(out)
    from posemamba.cli.lift.summary import Summary

    summary = Summary(out, inputs)
    try:
        return _lift_all(inputs, worker, summary)
    finally:
        _summarize(summary)


def _lift_all(inputs: Sequence[Input], worker: Worker, summary: Summary) -> int:
    """Lift several inputs one after another; return the exit code."""
    from posemamba.cli.lift.results import check_out
    from posemamba.cli.lift.run import FatalError

    failed: list[Path] = []
    unprinted: OSError | None = None
    for number, one in enumerate(inputs, 1):
        try:
            check_out(one.out, one.path, one.kind)
            worker.do(one, f"{number} of {len(inputs)}, ")
            summary.done(one)
            continue
        except FatalError:
            raise
        except PoseMambaError as error:
            _complain(str(error), error if os.environ.get("POSEMAMBA_DEBUG") else None)
            summary.failed(one, str(error))
        except Exception as error:
            if isinstance(error, OSError) and cannot_print(error):  # this one's files are written
                drop_output()
                unprinted = error
                summary.done(one)
                continue
            worker.reset()
            line = explain(error)  # without one it is a fault of this program's; the others go on all the same
            said = f"{one.path}: {line or cause(error)}"
            _complain(said, error if line is None else None)
            summary.failed(one, said)
        failed.append(one.path)
    if failed:
        names = ", ".join(str(path) for path in failed[:_NAMED]) + (", ..." if len(failed) > _NAMED else "")
        print(
            f"{len(inputs) - len(failed)} of {len(inputs)} inputs are done, {len(failed)} failed: {names}",
            file=sys.stderr,
        )
    if unprinted is not None:
        raise PoseMambaError(f"cannot print what was done ({unprinted.strerror or unprinted}); files are written")
    return 0 if not failed else 2 if len(failed) == len(inputs) else 1


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
