"""DeepLabCut's csv and h5.

The csv has three header rows, ``scorer``, ``bodyparts`` and ``coords`` (x, y, likelihood), or four with ``individuals``
after the first. Rows are frames, numbered, or named by their picture where they were labelled by hand. The h5 file is
the same table, as pandas writes it (`posemamba.io.keypoints.pandas_hdf5`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.names import match
from posemamba.io.keypoints.raw import RawPeople
from posemamba.io.keypoints.source import Source, check_finite, check_frames
from posemamba.io.keypoints.table import cells, pick, rows
from posemamba.poses.detections import Track
from posemamba.poses.skeletons import Skeleton
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected DeepLabCut's header rows: scorer, perhaps individuals, bodyparts and coords"
_ONE = "individual"  # the name in files of a single animal


def recognises(head: bytes) -> bool:
    """Return True if a csv begins as DeepLabCut's do."""
    return head.lstrip(b"\xef\xbb\xbf")[:6] == b"scorer"


def read(source: Source) -> RawPeople:
    """Read all individuals whose body parts, by their names, are those of a person.

    Raises:
        PoseMambaError: the header rows are others, or no individual has the limbs of a person.
    """
    return _read_hdf5(source.path) if source.kind == "hdf5" else _read_csv(source.path)


def _read_csv(path: Path) -> RawPeople:
    with rows(path) as reader:
        head: dict[str, list[str]] = {}
        line = 0
        for row in reader:
            line += 1
            head[row[0].strip() if row else ""] = row
            if line == 4 or (row and row[0].strip() == "coords"):
                break
        if not {"bodyparts", "coords"} <= set(head):
            raise PoseMambaError(f"{path}: begins with the rows {', '.join(map(repr, head))}; {_EXPECTED}")
        parts, coords = head["bodyparts"], head["coords"]
        individuals = head.get("individuals", [_ONE] * len(parts))
        if not len(parts) == len(coords) == len(individuals):
            raise PoseMambaError(f"{path}: header rows of {len(individuals)}, {len(parts)} and {len(coords)} cells")
        columns = zip(individuals[1:], parts[1:], coords[1:], strict=True)
        bodies = _Bodies.find(path, [(who.strip(), part.strip(), axis.strip()) for who, part, axis in columns])
        wanted = [column + 1 for column in bodies.columns]  # the first holds the rows' names
        names, values = [], []
        data = chain([row], reader) if row and row[0].strip() != "coords" else reader
        for row in data:
            line += 1
            if row and any(cell.strip() for cell in row):
                names.append(row[0].strip())
                got = cells(path, line, pick(path, line, row, wanted))
                check_finite(f"{path}: line {line}", got.reshape(-1, len(bodies.axes))[:, :2])
                values.append(got)
    return bodies.people(path, names, np.array(values))


def _read_hdf5(path: Path) -> RawPeople:
    from posemamba.io.keypoints.pandas_hdf5 import read_table

    table = read_table(path)
    columns = [(name[1] if len(name) > 3 else _ONE, name[-2], name[-1]) for name in table.columns]
    bodies = _Bodies.find(path, columns)
    values = table.values[:, bodies.columns]
    check_finite(str(path), values.reshape(-1, len(bodies.axes))[:, :2])
    return bodies.people(path, table.rows, values)


@dataclass(frozen=True)
class _Bodies:
    """The individuals of a table that have a person's body, and the columns of their joints.

    Attributes:
        skeleton: of all of them.
        names: of the individuals, P.
        present: the indices of the skeleton's joints that the table has, K.
        axes: x, y, and likelihood if all have it, A.
        columns: P x K x A indices of columns, one behind the other.
    """

    skeleton: Skeleton
    names: list[str]
    present: list[int]
    axes: tuple[str, ...]
    columns: list[int]

    @classmethod
    def find(cls, path: Path, columns: Sequence[tuple[str, str, str]]) -> _Bodies:
        """Find them by (individual, body part, axis) of all columns.

        Raises:
            PoseMambaError: no individual has the limbs of a person, they differ in their parts, or points are 3D.
        """
        tree: dict[str, dict[str, dict[str, int]]] = {}
        for column, (who, part, axis) in enumerate(columns):
            if axis in ("x", "y", "z", "likelihood"):
                tree.setdefault(who, {}).setdefault(part, {})[axis] = column
        chosen: list[tuple[str, Skeleton, list[dict[str, int] | None]]] = []
        refused = []
        for who, found in tree.items():
            whole = {part: axes for part, axes in found.items() if {"x", "y"} <= set(axes)}
            try:
                skeleton, order = match(path, list(whole))
            except PoseMambaError as error:  # unique body parts of the scene come as an individual "single"
                refused.append((who, error))
                continue
            chosen.append((who, skeleton, [None if i is None else list(whole.values())[i] for i in order]))
        if not chosen:
            raise refused[0][1] if refused else PoseMambaError(f"{path}: names no body part with x and y; {_EXPECTED}")
        if any("z" in axes for _, _, groups in chosen for axes in groups if axes):
            raise PoseMambaError(f"{path}: holds x, y and z: triangulated 3D points, expected a camera's 2D tracks")
        if refused:
            names = ", ".join(f"'{who}'" for who, _ in refused)
            warnings.warn(f"{path.name}: {names} left out: no body of a person", stacklevel=4)
        skeleton = chosen[0][1]
        lacking = [[g is None for g in groups] for _, _, groups in chosen]
        if any(other is not skeleton for _, other, _ in chosen) or any(those != lacking[0] for those in lacking):
            raise PoseMambaError(f"{path}: individuals with different body parts, expected the same for all")
        confident = all("likelihood" in axes for _, _, groups in chosen for axes in groups if axes)
        axes = ("x", "y", "likelihood") if confident else ("x", "y")
        return cls(
            skeleton,
            [who for who, _, _ in chosen],
            [j for j, group in enumerate(chosen[0][2]) if group is not None],
            axes,
            [group[axis] for _, _, groups in chosen for group in groups if group is not None for axis in axes],
        )

    def people(self, path: Path, rows: Sequence[str], values: NDArray[np.floating]) -> RawPeople:
        """Return the individuals as people, by the names or numbers of the rows and the (rows, P x K x A) values.

        Raises:
            PoseMambaError: there are no rows, or their numbers are no frames.
        """
        if not len(values):
            raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
        frames, first = _frames(rows)
        check_frames(path, dict.fromkeys(frames.tolist()))
        confident = "likelihood" in self.axes
        everything = values.reshape(len(values), len(self.names), len(self.present), len(self.axes))
        tracks = []
        for i, who in enumerate(self.names):
            joints = np.full((len(values), len(self.skeleton), 3), np.nan)
            joints[..., 2] = 0
            joints[:, self.present, : len(self.axes)] = everything[:, i]
            if not confident:
                joints[:, self.present, 2] = np.isfinite(everything[:, i]).all(-1)
            seen = np.isfinite(joints[..., :2]).all(-1).any(-1)
            if seen.any():
                tracks.append(Track(frames[seen], joints[seen, :, :2], joints[seen, :, 2], who))
        tracks.sort(key=lambda t: -len(t))
        return RawPeople(tracks, int(frames[-1]) + 1, self.skeleton, confident=confident, first=first)


def _frames(names: Iterable[str]) -> tuple[np.ndarray, int | None]:
    """Return frame numbers from 0 on, and the first row's own number.

    These are the rows' numbers if they increase; else the order of the rows, without a number.

    Pictures that were labelled by hand are named by their frames; frames that were not labelled stay gaps.
    """
    names = list(names)
    digits = [re.findall(r"\d+", PurePath(name.replace("\\", "/")).stem) for name in names]
    try:
        numbers = np.array([int(d[-1]) for d in digits], np.int64)
    except (IndexError, OverflowError, ValueError):  # no number, or one of thousands of digits
        return np.arange(len(names)), None
    steps = np.diff(numbers)
    if not ((steps > 0).all() and (steps <= 100_000).all()):
        return np.arange(len(names)), None
    return numbers - numbers[0], int(numbers[0])
