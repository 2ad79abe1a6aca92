"""The summary of several inputs: ``summary.html`` and ``summary.csv`` beside the folders of their results."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from posemamba.cli.lift.earlier_results import find_poses
from posemamba.io.inputs import Input
from posemamba.poses.trust import Trust
from posemamba.show.summary import COLUMNS, MARK, ClipRow, write_summary_csv, write_summary_page
from posemamba.utils.archives import read_npz
from posemamba.utils.errors import PoseMambaError, one_line
from posemamba.utils.reading import reading

PAGE, TABLE = "summary.html", "summary.csv"


class Summary:
    """Outcomes of the inputs of a call, and of earlier ones into the same folder.

    Args:
        out: the folder that holds the folders of results.
        inputs: all inputs of the call, done already or not.
    """

    def __init__(self, out: Path, inputs: Sequence[Input]) -> None:
        self.out, self.inputs = out, inputs
        self._errors: dict[Path, str] = {}
        self._tried: set[Path] = set()

    def done(self, one: Input) -> None:
        """Note that the results of an input are there."""
        self._tried.add(one.path)

    def failed(self, one: Input, error: str) -> None:
        """Note why an input failed."""
        self._errors[one.path] = one_line(" ".join(error.removeprefix(f"{one.path}: ").split()))
        self._tried.add(one.path)

    def write(self) -> list[Path]:
        """Write both files, unless nothing is done and there were none; return them.

        Raises:
            PoseMambaError: they cannot be written, or files of these names are the user's.
        """
        page, table = self.out / PAGE, self.out / TABLE
        if not self._tried or (self._tried == set(self._errors) and not page.exists()):
            return []
        for path, beginning in ((page, MARK), (table, ",".join(COLUMNS))):
            check_ours(path, beginning)
        rows = self._rows()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            write_summary_page(page, rows)
            write_summary_csv(table, rows)
        except OSError as error:
            raise PoseMambaError(f"{self.out}: cannot write the summary there ({error.strerror or error})") from error
        return [page, table]

    def _rows(self) -> list[ClipRow]:
        """Return the rows of this call's inputs in their order, then of other results in the folder."""
        rows: list[ClipRow] = []
        often = Counter(one.path.name for one in self.inputs)
        for one in self.inputs:
            name = shown_name(one.path, often)
            if one.path in self._errors:
                rows.append(ClipRow(name, error=self._errors[one.path]))
            elif one.path not in self._tried:
                rows.append(ClipRow(name, error="not done: the call ended before"))
            else:
                rows += people_rows(one.out, self.out, name)
        known = {one.out.resolve() for one in self.inputs}
        for folder in sorted(path for path in self.out.iterdir() if path.is_dir()) if self.out.is_dir() else []:
            if folder.resolve() not in known and not folder.name.startswith("."):
                rows += people_rows(folder, self.out, folder.name)
        return rows


def shown_name(path: Path, often: Mapping[str, int]) -> str:
    """Return an input's name in the summary: its file's, or all of its path where several inputs have one name.

    Args:
        path: the input.
        often: how many inputs have a file's name.
    """
    return str(path) if not path.name or often[path.name] > 1 else path.name


def people_rows(folder: Path, out: Path, name: str) -> list[ClipRow]:
    """Return a row for each person whose poses lie in a folder of results, with addresses relative to `out`."""
    rows = []
    for path in sorted(find_poses(folder), key=lambda path: (len(path.name), path.name)):
        try:
            rows.append(_person(path, out, name))
        except PoseMambaError as error:
            rows.append(ClipRow(name, error=one_line(str(error))))
    return rows


def _person(path: Path, out: Path, name: str) -> ClipRow:
    """Read the row of one poses.npz."""
    with reading(path, "a result"):
        arrays = read_npz(path, ("header", "times", "seen", "trust_level"))
        header = json.loads(str(arrays["header"]))
        times, frames = arrays["times"], len(arrays["seen"])
        if not frames:
            raise PoseMambaError(f"{path}: has no frames, expected at least one: lift the clip again")
        trust = Trust.from_card(header.get("trust"), arrays.get("trust_level"), frames)
        seconds = float(times[-1] - times[0]) + 1 / float(header["fps"])
        person = int(header.get("person", 1))
    if trust is None:  # of an earlier version
        from posemamba.io.motion.npz import load_poses_npz
        from posemamba.quality.trust import judge

        trust = judge(load_poses_npz(path))
    files = frozenset(os.listdir(path.parent))
    folder = PurePath(os.path.relpath(path.parent, out))
    return ClipRow(name, folder, files, person, frames, float(np.round(seconds, 3)), trust)


def check_ours(path: Path, beginning: str) -> None:
    """Reject a file that a summary would replace and that does not begin as one of ours.

    Raises:
        PoseMambaError: it is the user's.
    """
    if path.exists() and beginning not in _beginning(path):
        raise PoseMambaError(f"{path}: is no summary of posemamba lift, and is kept; rename it")


def _beginning(path: Path) -> str:
    """Return the first characters of a file; "" if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(2000)
    except OSError:
        return ""
