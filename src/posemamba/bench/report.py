"""The report of a benchmark: its rows, its JSON file and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from posemamba.bench.runner import Case, Task
from posemamba.bench.specs import BenchSpec
from posemamba.bench.timing import quartiles
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path, writing

if TYPE_CHECKING:
    from rich.table import Table

_MOST = 10**15
"""The most of anything that is counted, in a file that is no damaged one."""
Milliseconds = Annotated[float, Field(ge=1e-6, le=_MOST)]
Status = Literal["not run", "ok", "out of memory", "over the limit", "wrong", "failed"]


class Row(BaseModel):
    """The measurements of one spec in one case."""

    model_config = ConfigDict(extra="ignore")  # files hold the computed fields, too

    spec: str
    model: str
    precision: str
    compiled: bool
    graph: bool
    group: str = Field("", description="part of a preset, or sweep")
    task: Task
    frames: int = Field(ge=1, le=_MOST, description="frames of each clip of the case")
    clips: int = Field(ge=1, le=_MOST, description="clips of the case, at once")
    window: int = Field(ge=1, le=_MOST, description="frames of the clips that the model takes, as many frames in total")
    status: Status = "not run"
    note: str = Field("", description="the reason why there is no figure, or why there are fewer times than usual")
    times_ms: list[Milliseconds] = Field(default_factory=list, description="times of single calls, in order")
    peak_bytes: int | None = Field(None, ge=0, le=_MOST, description="beyond weights and optimizer; null on a CPU")
    parameters: int | None = None
    setup_s: float | None = Field(None, description="building, compiling, checking and warming up, the first time")
    speed: float | None = Field(None, description="in multiples of the reference in its case")
    memory: float | None = Field(None, description="peak_bytes in multiples of the reference in its case")

    @classmethod
    def of(cls, case: Case, spec: BenchSpec) -> Row:
        """Make the row of a spec in a case, before it is run."""
        return cls(
            spec=str(spec),
            model=spec.model,
            precision=spec.precision,
            compiled=spec.compiled,
            graph=spec.graph,
            group=case.group,
            task=case.task,
            frames=case.frames,
            clips=case.clips,
            window=spec.window(case.frames, case.whole),
        )

    @property
    def case(self) -> tuple[str, Task, int, int]:
        return self.group, self.task, self.frames, self.clips

    @property
    def total_frames(self) -> int:
        return self.frames * self.clips

    @computed_field  # type: ignore[prop-decorator]
    @property
    def median_ms(self) -> float | None:
        return quartiles(self.times_ms)[1] if self.times_ms else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def quartiles_ms(self) -> tuple[float, float] | None:
        return quartiles(self.times_ms)[::2] if self.times_ms else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def us_per_frame(self) -> float | None:
        return None if self.median_ms is None else self.median_ms * 1e3 / self.total_frames

    @computed_field  # type: ignore[prop-decorator]
    @property
    def frames_per_second(self) -> float | None:
        return None if not self.median_ms else self.total_frames / self.median_ms * 1e3


class Check(BaseModel):
    """A comparison with float64 before all timing: the error, relative to the largest value, and its bound."""

    what: str
    error: float
    bound: float = Field(gt=0)


class Run(BaseModel):
    """One run of `posemamba bench`: its command, machine, versions and checks."""

    command: str
    date: str = Field(description="ISO, with the time zone")
    device: str
    cpu: str
    threads: int
    versions: dict[str, str]
    environment: dict[str, str] = Field(default_factory=dict, description="variables that change how PoseMamba runs")
    rounds: int
    limit_s: float
    reference: str | None = None
    checks: list[Check] = Field(default_factory=list)
    finished: bool = False


class Report(BaseModel):
    """The report of one or several runs on one device."""

    format: Literal["posemamba-bench-1"] = "posemamba-bench-1"
    runs: list[Run]
    rows: list[Row]

    def save(self, path: Path | None) -> None:
        """Write the report as JSON, whole or not at all; None writes nothing.

        Raises:
            PoseMambaError: `path` cannot be written.
        """
        if path is None:
            return
        for rows in cases(self.rows):
            compare(rows, next((run.reference for run in self.runs if run.reference), None))
        with writing(path), atomic_path(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_reports(paths: Sequence[Path]) -> Report:
    """Read the reports of several files as one; of a row in several files, the last measured one is kept.

    Raises:
        PoseMambaError: a file is no report, or the reports are of different devices.
    """
    reports = [_read(path) for path in paths]
    devices = {run.device for report in reports for run in report.runs}
    if len(devices) > 1:
        raise PoseMambaError(
            f"the files are of different devices ({', '.join(sorted(devices))}), expected one: give them one at a time"
        )
    rows: dict[tuple[object, ...], Row] = {}
    for row in (row for report in reports for row in report.rows):
        key = (*row.case, row.spec)
        if key not in rows or row.status == "ok" or rows[key].status == "not run":
            rows[key] = row
    return Report(runs=[run for report in reports for run in report.runs], rows=list(rows.values()))


def _read(path: Path) -> Report:
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:  # no JSON, no text, or other fields
        raise PoseMambaError(f"{path}: not a file that posemamba bench --json wrote") from error


# --- the table


def headline(run: Run) -> str:
    """Format the device, versions and checks of a run."""
    packages = [name for name in ("torch", "cuda", "posemamba") if name in run.versions]
    variables = [f"{name}={value}" for name, value in run.environment.items()]
    text = ", ".join([run.device, *(f"{name} {run.versions[name]}" for name in packages), *variables])
    if run.checks:
        worst = max(run.checks, key=lambda check: check.error / check.bound)
        text += f"\n{len(run.checks)} checks against float64 passed; closest to its bound: {worst.what}, "
        text += f"{worst.error:.1e} of {worst.bound:.0e}"
    return text


def cases(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows of each case, in the order of the cases' first rows."""
    rows = list(rows)
    order = {key: i for i, key in enumerate(dict.fromkeys(row.case for row in rows))}
    for _, group in groupby(sorted(rows, key=lambda row: order[row.case]), key=lambda row: row.case):
        yield list(group)


def compare(rows: Sequence[Row], reference: str | None) -> Row | None:
    """Set `speed` and `memory` in the rows of one case; returns the reference's row, None if it has no figure."""
    other = next((row for row in rows if row.spec == reference and row.us_per_frame), None)
    for row in rows:
        row.speed = row.memory = None
        if other is not None and other.us_per_frame and row.us_per_frame:
            row.speed = other.us_per_frame / row.us_per_frame
            row.memory = row.peak_bytes / other.peak_bytes if row.peak_bytes is not None and other.peak_bytes else None
    return other


def _digits(value: float) -> str:
    """Format a number with three digits, or all digits before the point."""
    places = next((n for n, least in enumerate((100, 10, 1)) if value >= least), 3)
    return f"{value:,.{places}f}"


def _cells(row: Row, memory: bool, compared: bool) -> list[str]:
    """Return the cells of a row; without figures the third and last one has the reason."""
    cells = [row.spec, f"{row.total_frames // row.window} x {row.window}"]
    if row.median_ms is None or row.quartiles_ms is None or row.us_per_frame is None or row.frames_per_second is None:
        return [*cells, f"{row.status}: {row.note}" if row.note else row.status]
    cells += [_digits(row.median_ms), " - ".join(map(_digits, row.quartiles_ms)), _digits(row.us_per_frame)]
    cells.append(f"{row.frames_per_second:,.0f}")
    if memory:
        cells.append("" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:,.0f}")
    if compared:
        cells.append("" if row.speed is None else f"{row.speed:.2f}")
    if compared and memory:
        cells.append("" if row.memory is None else f"{row.memory:.2f}")
    return cells


def _table(rows: Sequence[Row], reference: str | None) -> tuple[str, list[str], list[list[str]]]:
    """Return the title, headings and cells of one case."""
    group, task, frames, clips = rows[0].case
    title = str(Case(task, frames, clips, (), group=group))
    compared = compare(rows, reference) is not None
    memory = any(row.peak_bytes is not None for row in rows)
    headings = ["spec", "clips", "median ms", "quartiles", "us/frame", "frames/s", *["MB"] * memory]
    if compared:
        headings += ["speed", *["memory"] * memory]
        title += f"; speed{' and memory' * memory}: times that of {reference}"
    return title, headings, [_cells(row, memory, compared) for row in rows]


def plain_table(rows: Sequence[Row], reference: str | None) -> str:
    """Format the rows of one case as lines of text."""
    title, headings, lines = _table(rows, reference)
    figures = [headings, *(cells for cells in lines if len(cells) > 3)]
    widths = [max(len(cells[i]) for cells in figures) for i in range(len(headings))]
    widths[:2] = [max(len(cells[i]) for cells in (headings, *lines)) for i in range(2)]
    text = [title]
    for cells, note in ((headings, ""), *zip(lines, (f"  {row.note}".rstrip() for row in rows), strict=True)):
        head = f"  {cells[0]:<{widths[0]}}  {cells[1]:>{widths[1]}}"
        if len(cells) == 3:
            text.append(f"{head}  {cells[2]}")
        else:
            shown = zip(cells[2:], widths[2:], strict=False)
            text.append(head + "".join(f"  {cell:>{width}}" for cell, width in shown) + note)
    return "\n".join(text)


def rich_table(rows: Sequence[Row], reference: str | None) -> Table:
    """Format the rows of one case for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title, headings, lines = _table(rows, reference)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i == 0 else "right", overflow="fold", no_wrap=i == 0)
    reasons = []
    for cells, row in zip(lines, rows, strict=True):
        if len(cells) == 3:
            reasons.append(f"{cells[0]}: {cells[2]}")
            cells = [*cells[:2], "-"]
        elif row.note:
            reasons.append(f"{cells[0]}: {row.note}")
        table.add_row(*(Text(cell) for cell in cells))
    table.caption, table.caption_justify = "\n".join(reasons) or None, "left"
    return table
