"""The benchmark: checks, then every case with its contestants taking turns; what is known is kept after each step."""

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
from posemamba.bench.runner import Case, Contender, Models, WrongOutputError, infer, make_ready
from posemamba.bench.specs import Contestant
from posemamba.bench.timing import block_ms, calls_in_block, free_memory, make_workspaces, turns
from posemamba.ops.runtime.memory import is_out_of_memory
from posemamba.ops.scan import selftest
from posemamba.utils.errors import PoseMambaError

Say = Callable[[str], None]
ENVIRONMENT = ("POSEMAMBA_SCAN", "POSEMAMBA_FUSED")  # variables that change how our models run


class Bench:
    """Times cases on one device.

    >>> bench = Bench(plan(...), torch.device("cpu"), command="posemamba bench s")
    >>> for rows in bench.run():  # of one case after the other
    ...     print(plain_table(rows, None))

    Attributes:
        report: all rows from the start; those not reached yet say so.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        device: torch.device,
        *,
        command: str,
        reference: Contestant | None = None,
        rounds: int = 7,
        limit_s: float = 300.0,
        json_file: Path | None = None,
        say: Say = lambda what: None,
    ) -> None:
        """
        Args:
            cases: of `plan`.
            device: where to measure.
            command: for the record.
            reference: whom the others are compared with; has to take part.
            rounds: turns of every contestant in a case.
            limit_s: seconds that one contestant may take in all; looked at between its steps.
            json_file: where the report is kept, written again after each step.
            say: told what is going on.

        Raises:
            PoseMambaError: a setting that is not for this device, a reference that does not take part.
        """
        contestants = [contestant for case in cases for contestant in case.contestants]
        for contestant in contestants:
            contestant.refuse_device(device)
        if reference is not None and reference not in contestants:
            taking_part = ", ".join(dict.fromkeys(map(str, contestants)))
            raise PoseMambaError(f"the reference '{reference}' is none of the contestants: {taking_part}")
        self.cases, self.device = list(cases), device
        self.rounds, self.limit_s, self.json_file, self.say = rounds, limit_s, json_file, say
        self._rows = [[Row.of(case, contestant) for contestant in case.contestants] for case in cases]
        self._spent: dict[Contestant, float] = defaultdict(float)
        run = describe_run(device, command, rounds, limit_s)
        run.reference = None if reference is None else str(reference)
        self.report = Report(runs=[run], rows=[row for rows in self._rows for row in rows])

    def run(self) -> Iterator[list[Row]]:
        """Check, then time; yields the rows of each case when it is done.

        Raises:
            PoseMambaError: a check failed: nothing is timed.
        """
        self._save()
        on_device = torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext()
        compiled = any(contestant.compiled for case in self.cases for contestant in case.contestants)
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
        ready: dict[Contestant, Contender] = {}
        pairs = list(zip(case.contestants, rows, strict=True))
        one_by_one = self._one_by_one(case)
        if not one_by_one:
            for contestant, row in pairs:
                self._make_ready(contestant, row, models, ready)
        for number in range(self.rounds):
            for contestant, row in turns(pairs, number):
                if one_by_one and row.status in ("not run", "ok"):
                    self._make_ready(contestant, row, models, ready)
                if contestant in ready:
                    self._take_turn(case, number, ready[contestant], row)
                if one_by_one or row.status != "ok":
                    ready.pop(contestant, None)
                    free_memory(self.device)
            self._save()
        ready.clear()
        del models
        if any(contestant.compiled for contestant in case.contestants):
            torch.compiler.reset()  # compiled code keeps models alive
        free_memory(self.device)

    def _one_by_one(self, case: Case) -> bool:
        """Graphs of training steps keep all that a step needs: together they would fill a GPU."""
        return case.task == "train" and self.device.type == "cuda"

    def _make_ready(self, contestant: Contestant, row: Row, models: Models, ready: dict[Contestant, Contender]) -> None:
        if self._spent[contestant] > self.limit_s:
            if row.times_ms:
                row.note = self._cut_short(row)
            else:
                row.status, row.note = "over the limit", f"its {self.limit_s:g} s were spent before"
            return
        self.say(f"{models.case}: {contestant}")
        begin = time.perf_counter()
        with self._accounted(contestant, row):
            ready[contestant] = contender = make_ready(contestant, models)
            if row.peak_bytes is None:
                row.peak_bytes, row.parameters = contender.peak_bytes, contender.parameters
        if row.setup_s is None:
            row.setup_s = time.perf_counter() - begin
        else:  # again for another turn: that is not the contestant's to pay
            self._spent[contestant] -= time.perf_counter() - begin
        free_memory(self.device)
        self._save()

    def _take_turn(self, case: Case, number: int, contender: Contender, row: Row) -> None:
        contestant = contender.contestant
        if self._spent[contestant] > self.limit_s:
            if not row.times_ms:  # the call after warming up is all there is
                row.times_ms, row.status = [contender.warm_ms], "ok"
            row.note = self._cut_short(row)
            return
        self.say(f"{case}: round {number + 1} of {self.rounds}, {contestant}")
        with self._accounted(contestant, row):
            row.times_ms += block_ms(contender.call, self.device, calls_in_block(contender.warm_ms))
            row.status = "ok"

    def _cut_short(self, row: Row) -> str:
        return f"calls: only {len(row.times_ms)}, as its {self.limit_s:g} s were spent"

    @contextlib.contextmanager
    def _accounted(self, contestant: Contestant, row: Row) -> Iterator[None]:
        """Count the seconds; what goes wrong is the row's end, not the run's."""
        begin = time.perf_counter()
        try:
            yield
        except Exception as error:  # whatever a compiler or a kernel raises, the others go on
            row.status = "failed"
            row.note = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
            if isinstance(error, WrongOutputError):
                row.status, row.note = "wrong", str(error)
            elif is_out_of_memory(error):
                row.status, row.note = "out of memory", ""
            row.times_ms = []
        finally:
            self._spent[contestant] += time.perf_counter() - begin
        if row.status not in ("not run", "ok"):
            free_memory(self.device)  # after the error has let go of its frames


@contextlib.contextmanager
def _room_for_variants() -> Iterator[None]:
    from posemamba.ops.runtime import compiling  # takes a second

    with torch._dynamo.config.patch({compiling.LIMIT: compiling.MANY_VARIANTS, compiling.FAIL_ON_LIMIT: True}):
        yield


def run_checks(cases: Sequence[Case], device: torch.device, say: Say = lambda what: None) -> Iterator[Check]:
    """The scan, its gradients and our models in the precisions that are timed, against float64.

    Raises:
        PoseMambaError: one of them is off by more than its bound: no figure is to be given.
    """
    say("checking against float64")
    yield _passed("scan", selftest.check_scan(device), selftest.SCAN_BOUND)
    yield _passed("scan's gradients", selftest.check_scan_gradients(device), selftest.GRADIENT_BOUND)
    ours = {c: None for case in cases for c in case.contestants if c.entry.ours}
    frames = min(243, max(case.frames for case in cases))
    for width in sorted({c.entry.scan_width for c in ours if c.entry.scan_width is not None}):
        error = selftest.check_scan(device, clips=1, frames=frames, inner_width=width)
        yield _passed(f"scan of {frames} frames, width {width}", error, selftest.SCAN_BOUND)
    for name, precision in dict.fromkeys((c.model, c.precision) for c in ours if c.entry.channels == 2):
        say(f"checking {name} in {precision} against float64")
        torch.manual_seed(0)
        model = Contestant(name).entry.build(checks.MODEL_FRAMES)
        error = checks.check_model(model, device, lambda m, x, p=precision: infer(p, m, x))  # type: ignore[misc]
        yield _passed(f"{name} in {precision}", error, checks.MODEL_BOUNDS[precision])


def _passed(what: str, error: float, bound: float) -> Check:
    if not error < bound:
        raise PoseMambaError(f"{what}: differs from float64 by {error:.1e}, expected {bound:.0e}: no timings")
    return Check(what=what, error=error, bound=bound)


def describe_run(device: torch.device, command: str, rounds: int, limit_s: float) -> Run:
    """Machine, versions and date."""
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
