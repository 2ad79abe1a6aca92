"""What ``posemamba lift`` does: finds inputs, lifts each, refines, and writes each one's results together."""

from __future__ import annotations

import sys

from posemamba.cli.lift.checks import check_options, check_out
from posemamba.cli.lift.options import Options
from posemamba.cli.lift.worker import FatalError, Worker
from posemamba.io.inputs import find_inputs
from posemamba.utils.errors import PoseMambaError

__all__ = ["Options", "lift"]


def lift(options: Options) -> int:
    """Lift all inputs; the exit code: 0, 1 if some failed, 2 if all of several did.

    Raises:
        PoseMambaError: options that do not fit, or the only input cannot be lifted.
    """
    inputs = find_inputs(options.sources, options.out, keypoints=options.format is not None)
    check_options(options, inputs)
    for one in inputs:
        check_out(one.out, one.path)
    worker = Worker(options)
    if len(inputs) == 1:
        worker.do(inputs[0])
        return 0
    failed = 0
    for one in inputs:
        try:
            worker.do(one)
        except FatalError:
            raise
        except PoseMambaError as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr, flush=True)
            failed += 1
    if failed:
        print(f"{len(inputs) - failed} of {len(inputs)} inputs are done, {failed} failed", file=sys.stderr)
    return 0 if not failed else 2 if failed == len(inputs) else 1
