"""The full report on a lifter from one run of the mocap benchmark.

`Measurements.observe` collects while `benchmark.run_benchmark` lifts. `Report` holds the measurements; `write_report`
writes them as report.json and report.md, and `figures.write_figures` draws the figures that report.md shows
(`posemamba evaluate WEIGHTS mocap --report DIR` does both).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.mocap import report_text as mocap_report_text
from posemamba.evaluate.mocap.benchmark import BenchmarkResult, score_fields
from posemamba.evaluate.mocap.scenes import Scene
from posemamba.evaluate.mocap.variants import VariantMeasurements, VariantReport
from posemamba.utils.files import atomic_path


class Measurements:
    """The measurements of a benchmark run: give `observe` to `run_benchmark`, then call `report`."""

    def __init__(self, fps: float = 50.0) -> None:
        self._variants: dict[str, VariantMeasurements] = defaultdict(lambda: VariantMeasurements(fps))

    def observe(self, scene: Scene, variant: str, pred: NDArray[np.floating]) -> None:
        """Measure a prediction (`benchmark.Observe`)."""
        self._variants[variant].add(scene, scene.inputs(variant), *scene.millimetres(pred))

    def report(self, result: BenchmarkResult) -> Report:
        """Make the report, with the scores of the same run."""
        return Report(result, {name: variant.report() for name, variant in self._variants.items()})


@dataclass(frozen=True)
class Report:
    """One predictor's report.

    Attributes:
        result: the benchmark's scores: overall, by subject and by action.
        variants: the further measurements, by variant.
    """

    result: BenchmarkResult
    variants: dict[str, VariantReport]

    def save_json(self, path: str | Path) -> None:
        """Write the report as JSON."""
        content = {
            "format": "posemamba-mocap-report-1",
            "name": self.result.name,
            "cameras": self.result.cameras,
            "scores": {k: score_fields(getattr(self.result, k)) for k in ("overall", "subjects", "actions")},
            "angles": score_fields(self.result.angles),
            "variants": {name: variant.as_json() for name, variant in self.variants.items()},
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def markdown(self) -> str:
        """Format the report as Markdown, with links to the figures of `figures.write_figures`."""
        return mocap_report_text.markdown(self.result, self.variants)


def write_report(report: Report, directory: str | Path) -> Path:
    """Write report.json and report.md, which shows the figures of `figures.write_figures`; returns report.md's path."""
    directory = Path(directory)
    report.save_json(directory / "report.json")
    with atomic_path(directory / "report.md") as temporary:
        temporary.write_text(report.markdown(), encoding="utf-8")
    return directory / "report.md"
