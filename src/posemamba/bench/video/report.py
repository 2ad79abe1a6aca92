"""The report of a race of pipelines on a video: figures, JSON and a table."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, Field, computed_field

from posemamba.bench.video.pipelines import LOOP, Pipeline
from posemamba.utils.files import atomic_path, writing

Status = Literal["not run", "ok", "skipped", "failed"]


class VideoRow(BaseModel):
    """One pipeline."""

    name: str
    what: str
    status: Status = "not run"
    note: str = Field(default="", description="why there are no figures")
    seconds: list[float] = Field(default_factory=list, description="of each turn, from the process's start to its end")
    cpu_seconds: list[float] = Field(default_factory=list, description="processor time of each turn, of all threads")
    frames: int
    peak_bytes: int | None = Field(default=None, description="the most memory that was resident in any turn")
    times_the_loop: float | None = Field(default=None, description="median against the bare loop's")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def median_s(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def median_cpu_s(self) -> float | None:
        return median(self.cpu_seconds) if self.cpu_seconds else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def frames_per_second(self) -> float | None:
        return self.frames / self.median_s if self.median_s else None


class VideoReport(BaseModel):
    """One race."""

    format: Literal["posemamba-bench-video-1"] = "posemamba-bench-video-1"
    command: str
    date: str = Field(description="ISO, with the time zone")
    video: str
    frames: int
    detector: str
    rounds: int
    processors: int
    versions: dict[str, str]
    finished: bool = False
    rows: list[VideoRow]

    @classmethod
    def of(
        cls, video: Path, frames: int, detector: str, rounds: int, command: str, pipelines: Sequence[Pipeline]
    ) -> VideoReport:
        """Make an empty report."""
        versions = {"python": platform.python_version()}
        for package in ("posemamba", "torch", "numba", "ai-edge-litert", "av", "mediapipe"):
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        return cls(
            command=command,
            date=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            video=video.name,
            frames=frames,
            detector=detector,
            rounds=rounds,
            processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            versions=versions,
            rows=[VideoRow(name=one.name, what=one.what, frames=frames) for one in pipelines],
        )

    def compare(self) -> None:
        """Set the ratios to the bare loop, where it has a figure."""
        loop = next((row.median_s for row in self.rows if row.name == LOOP), None)
        for row in self.rows:
            row.times_the_loop = row.median_s / loop if loop and row.median_s else None

    def save(self, path: Path | None) -> None:
        """Write the report as JSON, whole or not at all; None writes nothing.

        Raises:
            PoseMambaError: `path` cannot be written.
        """
        if path is None:
            return
        with writing(path), atomic_path(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def table(self) -> str:
        """Format the figures as lines of text."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [
            f"{self.video}: {self.frames} frames, BlazePose {self.detector}, {self.processors} processors, {versions}",
            f"Whole processes, start included; medians of {self.rounds} turns. Random weights take as long as trained.",
            "",
        ]
        headings = ("pipeline", "seconds", "CPU s", "frames/s", "x loop", "peak MB", "")
        cells: list[tuple[str, ...]] = [headings]
        for row in self.rows:
            if row.median_s is None or row.frames_per_second is None:
                cells.append((row.name, *[""] * 5, f"{row.status}: {row.note}" if row.note else row.status))
                continue
            ratio = "" if row.times_the_loop is None else f"{row.times_the_loop:.2f}"
            peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}"
            cpu = "" if row.median_cpu_s is None else f"{row.median_cpu_s:.1f}"
            fast = f"{row.frames_per_second:.1f}"
            cells.append((row.name, f"{row.median_s:.1f}", cpu, fast, ratio, peak, row.what))
        widths = [max(len(line[i]) for line in cells) for i in range(6)]
        for line in cells:
            text = f"{line[0]:<{widths[0]}}" + "".join(f"  {line[i]:>{widths[i]}}" for i in range(1, 6))
            lines.append(f"{text}  {line[6]}".rstrip())
        return "\n".join(lines)
