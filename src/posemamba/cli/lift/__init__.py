"""``posemamba lift``: the loop over inputs. Options, work and results are modules beside it."""

from __future__ import annotations

import sys

from posemamba.cli.lift.options import LiftOptions


def lift(options: LiftOptions) -> int:
    """Lift videos, pictures or 2D keypoints to 3D poses: poses.npz, poses.json, overlay.mp4 and viewer.html.

    Earlier results in the folder are replaced when all is done, and stay as they were if anything fails.

    Of several inputs one that fails does not stop the others (exit code 1). More: docs/lift.md.
    """
    from posemamba.cli.lift.results import check_options, check_out
    from posemamba.cli.lift.run import FatalError, Worker
    from posemamba.io.inputs import find_inputs
    from posemamba.utils.errors import PoseMambaError

    inputs = find_inputs(options.sources, options.out, keypoints=options.format is not None)
    check_options(options, inputs)
    for one in inputs:
        check_out(one.out, one.path, one.kind)
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
