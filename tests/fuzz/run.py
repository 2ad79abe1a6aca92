"""Cases drawn and given to worker processes, with a watchdog; and the table of how they ended."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tests.fuzz import worker
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import MEMORY, Outcome

SECONDS = 5.0
"""Computing time of a case."""
PATIENCE = 40.0
"""Computing time after which a case is ended."""
CLOCK = 240.0
"""Seconds of a clock after which it is ended in any case: it waits for something. Others may take the machine."""


@dataclass
class Report:
    """How many cases of each target ended how.

    Attributes:
        counts: target to kind of outcome to number.
        slowest: target to seconds.
        largest: target to bytes.
        findings: (target, case, outcome) of all that must not be.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    largest: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    findings: list[tuple[str, int, Outcome]] = field(default_factory=list)

    def add(self, name: str, number: int, outcome: Outcome) -> None:
        if outcome.kind in ("refused", "accepted"):
            patient = outcome.kind == "accepted" and TARGETS[name].draws
            if outcome.seconds > (PATIENCE if patient else SECONDS):
                outcome.kind = "slow"
            elif outcome.peak > MEMORY:
                outcome.kind = "memory"
        self.counts[name][outcome.kind] += 1
        self.slowest[name] = max(self.slowest[name], outcome.seconds)
        self.largest[name] = max(self.largest[name], outcome.peak)
        if outcome.kind not in ("refused", "accepted"):
            self.findings.append((name, number, outcome))
            print(
                f"{outcome.kind}: {outcome.where[:160]}   [--only '{name}' --case {number}]",
                file=sys.stderr,
                flush=True,
            )

    def tell(self, every: int = 500) -> None:
        """Print the number of cases and findings now and then."""
        done = sum(sum(count.values()) for count in self.counts.values())
        if done % every == 0:
            print(f"{done} cases, {len(self.findings)} findings", file=sys.stderr, flush=True)

    def table(self) -> str:
        head = ("", "cases", "refused", "accepted", "findings", "slowest s", "most MB")
        rows = [head]
        total: Counter[str] = Counter()
        for name in TARGETS:
            if name not in self.counts:
                continue
            count = self.counts[name]
            total.update(count)
            rows.append(self._row(name, count, self.slowest[name], self.largest[name]))
        rows.append(
            self._row("all", total, max(self.slowest.values(), default=0), max(self.largest.values(), default=0))
        )
        return "\n".join(f"{row[0]:24}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows)

    @staticmethod
    def _row(name: str, count: Counter[str], seconds: float, peak: int) -> tuple[str, ...]:
        whole, good = sum(count.values()), count["refused"] + count["accepted"]
        numbers = (whole, count["refused"], count["accepted"], whole - good)
        return (name, *map(str, numbers), f"{seconds:.2f}", f"{peak / 1e6:.0f}")

    def places(self) -> list[tuple[int, str, str]]:
        """The findings by place: how many, where, and a case to make it again."""
        groups: dict[str, list[tuple[str, int, Outcome]]] = defaultdict(list)
        for name, number, outcome in self.findings:
            key = outcome.where.split(": ")[0] if outcome.kind == "traceback" else f"{outcome.kind} {name}"
            groups[key].append((name, number, outcome))
        found = [
            (
                len(group),
                f"{group[0][2].kind}: {group[0][2].where[:160]}",
                f"--only '{group[0][0]}' --case {group[0][1]}",
            )
            for group in groups.values()
        ]
        return sorted(found, reverse=True)


def cases(count: int, seed: int, only: str | None) -> Iterator[tuple[str, int]]:
    """Draw targets, each by its share, and number their cases."""
    names = [name for name in TARGETS if only is None or only in name]
    draw = random.Random(seed)
    numbers: Counter[str] = Counter()
    for name in draw.choices(names, [TARGETS[name].share for name in names], k=count):
        yield name, numbers[name]
        numbers[name] += 1


class _Worker:
    """A process that takes cases; ended and begun anew where one does not end."""

    def __init__(self, seeds: Path, only: str | None) -> None:
        self.seeds, self.only = seeds, only
        self.case: tuple[str, int] | None = None
        self.begin()

    def begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, other = context.Pipe()
        self.process = context.Process(target=worker.work, args=(other, self.seeds, self.only), daemon=True)
        self.process.start()
        other.close()
        self.started, self.before, self.ready = time.monotonic(), 0.0, False

    def give(self, case: tuple[str, int], seed: int, keep: Path | None) -> None:
        self.case, self.started, self.before = case, time.monotonic(), self.computing()
        self.connection.send((*case, seed, keep))

    def computing(self) -> float:
        """Return the seconds that the process has computed."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # no Linux, or ended
            return time.monotonic()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def late(self) -> bool:
        """Tell whether its case takes too long."""
        return self.case is not None and (
            time.monotonic() - self.started > CLOCK or self.computing() - self.before > PATIENCE
        )

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def run(
    count: int,
    seed: int = 1,
    *,
    only: str | None = None,
    case: int | None = None,
    workers: int = 1,
    minutes: float | None = None,
    keep: Path | None = None,
    seeds: Path | None = None,
) -> Report:
    """Run cases.

    Args:
        count: how many.
        seed: the same seed gives the same cases.
        only: part of a target's name; None: all targets.
        case: this one alone, of the first target that `only` names.
        workers: processes.
        minutes: end after so long.
        keep: a folder for the cases' files.
        seeds: the folder of whole files; None: made anew.
    """
    from tests.fuzz.seeds import make

    if case is not None:
        todo = iter([(next(name for name in TARGETS if only is not None and only in name), case)])
    else:
        todo = cases(count, seed, only)
    report, until = Report(), None if minutes is None else time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="seeds") as made:
        if seeds is None:
            seeds = Path(made)
            make(seeds)
        team = [_Worker(seeds, only) for _ in range(workers)]
        waiting = list(team)
        try:
            while waiting:
                for connection in wait([one.connection for one in waiting], timeout=1.0):
                    one = next(w for w in waiting if w.connection is connection)
                    try:
                        answer = one.connection.recv()
                    except (EOFError, ConnectionError):
                        answer = Outcome("traceback", "the process ended", text="the process ended")
                        _replace(one)
                    if isinstance(answer, Outcome) and one.case is not None:
                        report.add(*one.case, answer)
                        one.case = None
                        report.tell()
                    if answer == "ready":
                        one.ready = True
                    if one.ready and one.case is None:
                        following = None if until is not None and time.monotonic() > until else next(todo, None)
                        if following is None:
                            waiting.remove(one)
                        else:
                            one.give(following, seed, keep)
                for one in waiting:
                    if one.late():
                        assert one.case is not None
                        report.add(*one.case, Outcome("slow", f"did not end in {PATIENCE:.0f} s", PATIENCE))
                        one.case = None
                        _replace(one)
        finally:
            for one in team:
                one.end()
    return report


def _replace(one: _Worker) -> None:
    one.end()
    one.begin()
