"""DeepLabCut's csv.

It has three header rows, ``scorer``, ``bodyparts`` and ``coords`` (x, y, likelihood), or four with ``individuals``
after the first. Rows are frames, numbered, or named by their picture where they were labelled by hand.
"""

from __future__ import annotations

import re
import warnings
from itertools import chain
from pathlib import PurePath

import numpy as np

from posemamba.io.keypoints.names import match
from posemamba.io.keypoints.raw import RawPeople
from posemamba.io.keypoints.source import Source, check_finite
from posemamba.io.keypoints.table import cells, pick, rows
from posemamba.poses.skeletons import Skeleton
from posemamba.poses.tracking import Track
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
    path = source.path
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
        columns: dict[str, dict[str, dict[str, int]]] = {}
        for column, (who, part, axis) in enumerate(zip(individuals, parts, coords, strict=True)):
            if column and axis.strip() in ("x", "y", "likelihood"):
                columns.setdefault(who.strip(), {}).setdefault(part.strip(), {})[axis.strip()] = column
        chosen: list[tuple[str, Skeleton, list[dict[str, int] | None]]] = []
        refused = []
        for who, found in columns.items():
            whole = {part: axes for part, axes in found.items() if {"x", "y"} <= set(axes)}
            try:
                skeleton, order = match(path, list(whole))
            except PoseMambaError as error:  # unique body parts of the scene come as an individual "single"
                refused.append((who, error))
                continue
            chosen.append((who, skeleton, [None if i is None else list(whole.values())[i] for i in order]))
        if not chosen:
            raise refused[0][1] if refused else PoseMambaError(f"{path}: names no body part with x and y; {_EXPECTED}")
        if refused:
            names = ", ".join(f"'{who}'" for who, _ in refused)
            warnings.warn(f"{path.name}: {names} left out: no body of a person", stacklevel=4)
        skeleton = chosen[0][1]
        lacking = [[g is None for g in groups] for _, _, groups in chosen]
        if any(other is not skeleton for _, other, _ in chosen) or any(those != lacking[0] for those in lacking):
            raise PoseMambaError(f"{path}: individuals with different body parts, expected the same for all")
        confident = all("likelihood" in axes for _, _, groups in chosen for axes in groups if axes)
        axes = ("x", "y", "likelihood") if confident else ("x", "y")
        wanted = [g[a] for _, _, groups in chosen for g in groups if g is not None for a in axes]
        present = [j for j, g in enumerate(chosen[0][2]) if g is not None]
        numbers, values = [], []
        data = chain([row], reader) if row and row[0].strip() != "coords" else reader
        for row in data:
            line += 1
            if row and any(cell.strip() for cell in row):
                numbers.append(row[0].strip())
                got = cells(path, line, pick(path, line, row, wanted)).reshape(len(chosen) * len(present), -1)
                check_finite(f"{path}: line {line}", got[:, :2])
                values.append(got)
    if not values:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    frames, first = _frames(numbers)
    count = int(frames[-1]) + 1
    everything = np.stack(values).reshape(len(values), len(chosen), len(present), len(axes))
    tracks = []
    for i, (who, _, _) in enumerate(chosen):
        joints = np.full((len(values), len(skeleton), 3), np.nan)
        joints[..., 2] = 0
        joints[:, present, : len(axes)] = everything[:, i]
        if not confident:
            joints[:, present, 2] = np.isfinite(everything[:, i]).all(-1)
        seen = np.isfinite(joints[..., :2]).all(-1).any(-1)
        if seen.any():
            tracks.append(Track(frames[seen], joints[seen, :, :2], joints[seen, :, 2], who))
    tracks.sort(key=lambda t: -len(t))
    return RawPeople(tracks, count, skeleton, confident=confident, first=first)


def _frames(names: list[str]) -> tuple[np.ndarray, int | None]:
    """Return frame numbers from 0 on, and the first row's own number.

    These are the rows' numbers if they increase; else the order of the rows, without a number.

    Pictures that were labelled by hand are named by their frames; frames that were not labelled stay gaps.
    """
    digits = [re.findall(r"\d+", PurePath(name.replace("\\", "/")).stem) for name in names]
    try:
        numbers = np.array([int(d[-1]) for d in digits], np.int64)
    except (IndexError, OverflowError):
        return np.arange(len(names)), None
    steps = np.diff(numbers)
    if not ((steps > 0).all() and (steps <= 100_000).all()):
        return np.arange(len(names)), None
    return numbers - numbers[0], int(numbers[0])
