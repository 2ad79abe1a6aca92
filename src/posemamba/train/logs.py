"""The log of a training run as CSV: each row once, whenever the run is killed.

Every call of `train` has a file of its own, which is written whole just before each checkpoint. What was logged after
the checkpoint that a call resumes from is logged again, and taken out of the earlier files.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from posemamba.train.module import pl
from posemamba.utils.files import atomic_path
from posemamba.utils.reading import reading

LOGS = "logs/from_step_*/metrics.csv"
_rank_zero_only = pl.utilities.rank_zero_only


class RowLogger(pl.loggers.logger.Logger):
    """A logger of rows of numbers into ``metrics.csv``.

    Args:
        out: the run's folder.
        version: of this call: the name of the folder in ``logs``.
    """

    def __init__(self, out: Path, version: str) -> None:
        super().__init__()
        self.path, self._version = out / "logs" / version / "metrics.csv", version
        self._rows: list[dict[str, Any]] = []
        self._written = 0

    @property
    def name(self) -> str:
        return "logs"

    @property
    def version(self) -> str:
        return self._version

    @_rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add a row; it is written with the next checkpoint."""
        self._rows.append({**metrics, "step": step})

    def log_hyperparams(self, *unused: Any, **unused_too: Any) -> None:
        """Do nothing: the checkpoint holds the recipe."""

    @_rank_zero_only
    def save(self) -> None:
        """Write all rows; whole or not at all."""
        if len(self._rows) == self._written:
            return
        with atomic_path(self.path) as temporary:
            _write(temporary, self._rows)
        self._written = len(self._rows)

    @_rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()


@_rank_zero_only
def cut_logs(out: Path, step: int) -> None:
    """Remove the rows that a call that resumes from `step` writes again."""
    for path in out.glob(LOGS):
        with reading(path, "a log of training"), path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if (row.get("step") or "").isdecimal() and int(row["step"]) < step]
        if not kept:
            path.unlink()
        elif len(kept) < len(rows):
            with atomic_path(path) as temporary:
                _write(temporary, kept)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    names = sorted({name for row in rows for name in row if name is not None})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
