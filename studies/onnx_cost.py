"""Compare the time of ONNX Runtime on an exported file with the package's own path, on this CPU.

Both lift the same clip in turns, in one process, each with the same number of threads. The ratios are medians over
pairs of runs: of the processor's time, which other programs disturb little, and of the clock's.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from posemamba.models.onnx_export import export_onnx, sample_input
from posemamba.models.posemamba import PoseMamba
from posemamba.utils.onnx_runtime import load_onnx_runtime
from studies.command_line import report, study_parser

WEIGHTS = ("posemamba-s27", "posemamba-s81", "posemamba-s")


def compare(model: PoseMamba, threads: int, pairs: int) -> str:
    """Return a line of a table: frames, threads, path, milliseconds of processor time of both, the two ratios."""
    runtime = load_onnx_runtime("onnx")
    frames = model.config.frames
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting is not work
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, Path(folder) / "m.onnx")
        session = runtime.InferenceSession(Path(folder) / "m.onnx", options, providers=["CPUExecutionProvider"])
    torch.set_num_threads(threads)
    x = sample_input(model, frames, seed=1)
    given = torch.from_numpy(x)
    runs: list[Callable[[], object]] = [lambda: session.run(["poses"], {"joints": x}), lambda: model(given)]
    with torch.inference_mode():
        path = model.execution(given).path
        for run in runs * 2:
            run()
        taken = []
        for i in range(pairs):
            pair = [(0.0, 0.0), (0.0, 0.0)]
            for which in (0, 1) if i % 2 else (1, 0):
                clock, cpu = time.perf_counter(), time.process_time()
                runs[which]()
                pair[which] = (time.process_time() - cpu, time.perf_counter() - clock)
            taken.append(pair)
    onnx, own = (1e3 * statistics.median(pair[which][0] for pair in taken) for which in (0, 1))
    cpu, clock = (statistics.median(pair[0][of] / pair[1][of] for pair in taken) for of in (0, 1))
    return f"| {frames} | {threads} | {path} | {onnx:.0f} | {own:.0f} | {cpu:.1f} | {clock:.1f} |"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("onnx_cost", __doc__)
    parser.add_argument("weights", nargs="*", default=WEIGHTS, help=f"names or files (default: {', '.join(WEIGHTS)})")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads of each (default: 1 2)")
    parser.add_argument("--pairs", type=int, default=10, help="runs of each (default: 10)")
    given = parser.parse_args(arguments)

    def table() -> None:
        print(
            f"{os.cpu_count()} processors\n| frames | threads | path | ONNX, CPU ms | own, CPU ms | CPU ratio | ratio |"
        )
        print("|---|---|---|---|---|---|---|")
        for name in given.weights:
            model = PoseMamba.from_pretrained(name)
            for threads in given.threads:
                print(compare(model, threads, given.pairs), flush=True)

    return report(table)


if __name__ == "__main__":
    sys.exit(main())
