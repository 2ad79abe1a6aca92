"""The benchmark run: checks, then each case with its specs timed in turns; the report is saved after each step."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from posemamba.bench import checks
from posemamba.bench.report import Check, Report, Row, Run
from posemamba.bench.runner import Case, Models, Runner, WrongOutputError, infer, make_ready
from posemamba.bench.specs import BenchSpec
from posemamba.bench.timing import block_ms, calls_in_block, free_memory, make_workspaces, turns
from posemamba.ops.runtime.device import is_out_of_memory
from posemamba.ops.scan import selftest
from posemamba.utils.errors import PoseMambaError

Say = Callable[[str], None]
ENVIRONMENT = ("POSEMAMBA_SCAN", "POSEMAMBA_FUSED")  # variables that change how PoseMamba runs


class Bench:
    """A benchmark of cases on one device.

    >>> bench = Bench(plan(...), torch.device("cpu"), command="posemamba bench s")
    >>> for rows in bench.run():  # of one case after the other
    ...     print(plain_table(rows, None))

    Attributes:
        report: all rows from the start; rows that were not reached yet have the status ``not run``.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        device: torch.device,
        *,
        command: str,
        reference: BenchSpec | None = None,
        rounds: int = 7,
        limit_s: float = 300.0,
        json_file: Path | None = None,
        say: Say = lambda what: None,
    ) -> None:
        """Plan the run.

        Args:
            cases: of `plan`.
            device: the device to measure on.
            command: the command line, for the report.
            reference: the spec that others are compared with; one of the cases' specs.
            rounds: turns of every spec in a case.
            limit_s: seconds that one spec may take in total, checked between its steps.
            json_file: the report's file, written again after each step.
            say: called with a line on each step.

        Raises:
            PoseMambaError: a setting is not for this device, or the reference is not timed.
        """
        specs = [spec for case in cases for spec in case.specs]
        for spec in specs:
            spec.refuse_device(device)
        if reference is not None and reference not in specs:
            timed = ", ".join(dict.fromkeys(map(str, specs)))
            raise PoseMambaError(f"the reference '{reference}' is not timed, expected one of {timed}")
        self.cases, self.device = list(cases), device
        self.rounds, self.limit_s, self.json_file, self.say = rounds, limit_s, json_file, say
        self._rows = [[Row.of(case, spec) for spec in case.specs] for case in cases]
        self._spent: dict[BenchSpec, float] = defaultdict(float)
        run = describe_run(device, command, rounds, limit_s)
        run.reference = None if reference is None else str(reference)
        self.report = Report(runs=[run], rows=[row for rows in self._rows for row in rows])

    def run(self) -> Iterator[list[Row]]:
        """Check, then time; yields the rows of each case when it is done.

        Raises:
            PoseMambaError: a check failed, so nothing is timed.
        """
        self._save()
        on_device = torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext()
        compiled = any(spec.compiled for case in self.cases for spec in case.specs)
        with on_device, _room_for_variants() if compiled else contextlib.nullcontext():
            for check in run_checks(self.cases, self.device, self.say):
                self.report.runs[0].checks.append(check)
            make_workspaces(self.device)
            for case, rows in zip(self.cases, self._rows, strict=True):
                self._time(case, rows)
                yield rows
        self.report.runs[0].finished = True
        self._save()

    def _save(self) -> None:
        self.report.save(self.json_file)

    def _time(self, case: Case, rows: list[Row]) -> None:
        models = Models(case, self.device)
        ready: dict[BenchSpec, Runner] = {}
        pairs = list(zip(case.specs, rows, strict=True))
        one_by_one = self._one_by_one(case)
        if not one_by_one:
            for spec, row in pairs:
                self._make_ready(spec, row, models, ready)
        for number in range(self.rounds):
            for spec, row in turns(pairs, number):
                if one_by_one and row.status in ("not run", "ok"):
                    self._make_ready(spec, row, models, ready)
                if spec in ready:
                    self._take_turn(case, number, ready[spec], row)
                if one_by_one or row.status != "ok":
                    ready.pop(spec, None)
                    free_memory(self.device)
            self._save()
        ready.clear()
        del models
        if any(spec.compiled for spec in case.specs):
            torch.compiler.reset()  # compiled code keeps models alive
        free_memory(self.device)

    def _one_by_one(self, case: Case) -> bool:
        """Return True for cases of which one spec at a time is in memory.

        Graphs of training steps keep all memory that a step needs, and would fill a GPU together.
        """
        return case.task == "train" and self.device.type == "cuda"

    def _make_ready(self, spec: BenchSpec, row: Row, models: Models, ready: dict[BenchSpec, Runner]) -> None:
        if self._spent[spec] > self.limit_s:
            if row.times_ms:
                row.note = self._cut_short(row)
            else:
                row.status, row.note = "over the limit", f"its {self.limit_s:g} s were spent before"
            return
        self.say(f"{models.case}: {spec}")
        begin = time.perf_counter()
        with self._accounted(spec, row):
            ready[spec] = runner = make_ready(spec, models)
            if row.peak_bytes is None:
                row.peak_bytes, row.parameters = runner.peak_bytes, runner.parameters
        if row.setup_s is None:
            row.setup_s = time.perf_counter() - begin
        else:  # made ready again for another turn, which does not count
            self._spent[spec] -= time.perf_counter() - begin
        free_memory(self.device)
        self._save()

    def _take_turn(self, case: Case, number: int, runner: Runner, row: Row) -> None:
        spec = runner.spec
        if self._spent[spec] > self.limit_s:
            if not row.times_ms:  # only the call after warming up was timed
                row.times_ms, row.status = [runner.warm_ms], "ok"
            row.note = self._cut_short(row)
            return
        self.say(f"{case}: round {number + 1} of {self.rounds}, {spec}")
        with self._accounted(spec, row):
            row.times_ms += block_ms(runner.call, self.device, calls_in_block(runner.warm_ms))
            row.status = "ok"

    def _cut_short(self, row: Row) -> str:
        return f"calls: only {len(row.times_ms)}, as its {self.limit_s:g} s were spent"

    @contextlib.contextmanager
    def _accounted(self, spec: BenchSpec, row: Row) -> Iterator[None]:
        """Count the seconds of the block; an error in it ends the row, not the run."""
        begin = time.perf_counter()
        try:
            yield
        except Exception as error:  # compilers and kernels raise any kind of error; other specs go on
            row.status = "failed"
            row.note = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
            if isinstance(error, WrongOutputError):
                row.status, row.note = "wrong", str(error)
            elif is_out_of_memory(error):
                row.status, row.note = "out of memory", ""
            row.times_ms = []
        finally:
            self._spent[spec] += time.perf_counter() - begin
        if row.status not in ("not run", "ok"):
            free_memory(self.device)  # now that the error no longer holds its frames


@contextlib.contextmanager
def _room_for_variants() -> Iterator[None]:
    from posemamba.ops.runtime import compiling  # takes a second

    with torch._dynamo.config.patch({compiling.LIMIT: compiling.MANY_VARIANTS, compiling.FAIL_ON_LIMIT: True}):
        yield


def run_checks(cases: Sequence[Case], device: torch.device, say: Say = lambda what: None) -> Iterator[Check]:
    """Check the scan, its gradients and our models, in the timed precisions, against float64.

    Raises:
        PoseMambaError: an error exceeds its bound, so nothing may be timed.
    """
    say("checking against float64")
    yield _passed("scan", selftest.check_scan(device), selftest.SCAN_BOUND)
    yield _passed("scan's gradients", selftest.check_scan_gradients(device), selftest.GRADIENT_BOUND)
    ours = {c: None for case in cases for c in case.specs if c.entry.ours}
    frames = min(243, max(case.frames for case in cases))
    for width in sorted({c.entry.scan_width for c in ours if c.entry.scan_width is not None}):
        error = selftest.check_scan(device, clips=1, frames=frames, inner_width=width)
        yield _passed(f"scan of {frames} frames, width {width}", error, selftest.SCAN_BOUND)
    for name, precision in dict.fromkeys((c.model, c.precision) for c in ours if c.entry.channels == 2):
        say(f"checking {name} in {precision} against float64")
        torch.manual_seed(0)
        model = BenchSpec(name).entry.build(checks.MODEL_FRAMES)
        error = checks.check_model(model, device, lambda m, x, p=precision: infer(p, m, x))  # type: ignore[misc]
        yield _passed(f"{name} in {precision}", error, checks.MODEL_BOUNDS[precision])


def _passed(what: str, error: float, bound: float) -> Check:
    if not error < bound:
        raise PoseMambaError(f"{what}: differs from float64 by {error:.1e}, expected {bound:.0e}: no timings")
    return Check(what=what, error=error, bound=bound)


def describe_run(device: torch.device, command: str, rounds: int, limit_s: float) -> Run:
    """Describe a run: machine, versions and date."""
    cpu = _processor()
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    if device.type == "cuda" and torch.version.cuda:
        versions["cuda"] = torch.version.cuda
    for package in ("posemamba", "triton", "numba", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    threads = torch.get_num_threads()
    return Run(
        command=command,
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cpu}, {threads} threads",
        cpu=cpu,
        threads=threads,
        versions=versions,
        environment={name: os.environ[name] for name in ENVIRONMENT if os.environ.get(name)},
        rounds=rounds,
        limit_s=limit_s,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
