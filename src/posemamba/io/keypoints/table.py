"""Tables (csv) of named or numbered joints: our own, Human3.6M's, and common layouts of MediaPipe's landmarks.

Wide, one row a frame: ``frame, time, person, <joint>_x, <joint>_y, <joint>_confidence, ...`` (also ``_z``, left out,
and ``_visibility``, ``_likelihood``, ``_score``), or numbered ``x0, y0, z0, v0, x1, ...``. Long, one row a joint:
``frame, landmark, x, y, z, visibility``. Without a header 34 columns are Human3.6M's 17 joints, x and y.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.names import match
from posemamba.io.keypoints.raw import RawPeople, detection, follow, in_order, in_shares
from posemamba.io.keypoints.source import Source, check_finite, check_frames
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33, H36M17, SKELETONS, Skeleton
from posemamba.utils.errors import PoseMambaError

_EXPECTED = "expected a header that names joints, as in frame,left_hip_x,left_hip_y,left_hip_confidence,..."
_AXIS = {"x": "x", "y": "y", "z": "z"} | dict.fromkeys(
    ("v", "c", "vis", "visibility", "conf", "confidence", "likelihood", "score", "prob"), "confidence"
)
_IGNORED = {"z", "presence", "pres", "p"}
_NAMED = re.compile(r"(?P<joint>.*?[^ _.:\-])[ _.:\-]+(?P<axis>[a-z]+)", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:(?P<a>[xyzvcp])[ _]?(?P<i>\d+))|(?:[a-z_ ]*?(?P<j>\d+)[ _.](?P<b>[a-z]+))", re.IGNORECASE)
_FRAME = {"frame", "frameid", "frameindex", "frameidx", "framenumber", "framenum", "frameno"}
_PERSON = {"person", "personid", "trackid", "track", "poseid", "poseindex", "posenum", "individual"}
_LANDMARK = {
    "landmark",
    "landmarkid",
    "landmarkindex",
    "landmarkidx",
    "landmarkname",
    "joint",
    "jointname",
    "keypoint",
} | {
    *("keypointid", "keypointname", "bodypart", "pointindex", "name", "index", "id"),
}
_TIME: dict[str, float | None] = {
    **dict.fromkeys(("time", "times", "timestamp", "timestamps", "unixtime"), None),
    **{
        name + end: unit
        for name in ("time", "timestamp")
        for end, unit in (("sec", 1.0), ("seconds", 1.0), ("ms", 1e-3), ("msec", 1e-3), ("us", 1e-6), ("ns", 1e-9))
    },
}
"""Columns of the frames' times, and seconds of their units; None: to be told by the numbers."""

_DECIMAL = re.compile(r"(?<=\d),(?=\d)")
_NUMBER = re.compile(r"\s*[-+]?\d+,\d+(e[-+]?\d+)?\s*", re.IGNORECASE)
_LOOK = 1 << 16
"""Characters after the first line in which a decimal comma is looked for."""


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _NUMBER.fullmatch(cell) else cell


@contextmanager
def rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """Yield an iterator over the rows of a csv file, with any separator; decimal commas become points.

    A comma is a decimal one only where another character separates the columns, as spreadsheets write it where numbers
    have decimal commas.

    Raises:
        PoseMambaError: the file is not readable as text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            names = _DECIMAL.sub("", first) if ";" in first or "\t" in first else first
            mark = max(",;\t", key=names.count)
            decimal = mark != "," and _DECIMAL.search(first + file.read(_LOOK))
            file.seek(0)
            reader = csv.reader(file, delimiter=mark)
            yield ([_with_point(cell) for cell in row] for row in reader) if decimal else reader
    except UnicodeDecodeError:
        raise PoseMambaError(f"{path}: not a text file in UTF-8; write it again as csv") from None
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
    except csv.Error as error:
        raise PoseMambaError(f"{path}: not a readable csv file ({error})") from None


def cells(path: Path, line: int, values: tuple[str, ...]) -> NDArray[np.float64]:
    """Convert cells of a row to numbers; empty cells and words for missing values are NaN.

    Raises:
        PoseMambaError: a cell is not a number.
    """
    try:
        return np.array(list(map(float, values)))
    except ValueError:
        pass
    made = np.full(len(values), np.nan)
    for i, text in enumerate(values):
        try:
            made[i] = float(text)
        except ValueError:
            if text.strip().lower() not in ("", "none", "null", "na", "n/a"):
                raise PoseMambaError(f"{path}: line {line} holds {text!r:.40} in place of a number") from None
    return made


def pick(path: Path, line: int, row: list[str], columns: list[int]) -> tuple[str, ...]:
    """Return the cells of a row in these columns.

    Raises:
        PoseMambaError: the row is too short.
    """
    try:
        got = itemgetter(*columns)(row)
    except IndexError:
        raise PoseMambaError(
            f"{path}: line {line} has {len(row)} cells, expected {max(columns) + 1}: cut short, or not of this table"
        ) from None
    return got if isinstance(got, tuple) else (got,)


@dataclass
class _Header:
    """The meaning of the columns: joints' axes by name or number, and facts of the row."""

    joints: dict[str, dict[str, int]] = field(default_factory=dict)
    numbered: bool = False
    frame: int | None = None
    person: int | None = None
    landmark: int | None = None
    time: tuple[int, float | None] | None = None


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _header(first: list[str]) -> _Header | None:
    """Parse a header row; None if it is none that is known."""
    header = _Header()
    numbered: dict[int, dict[str, int]] = {}
    long: dict[str, int] = {}
    for column, cell in enumerate(first):
        text = cell.strip().removeprefix("#").strip()
        plain = _plain(text)
        if plain in _AXIS and plain not in long:
            long[plain] = column
        if plain in _FRAME and header.frame is None:
            header.frame = column
        elif plain in _PERSON:
            header.person = column
        elif plain in _TIME and header.time is None:
            header.time = column, _TIME[plain]
        elif plain in _LANDMARK and header.landmark is None:
            header.landmark = column
        elif found := _NUMBERED.fullmatch(text):
            axis = _AXIS.get((found["a"] or found["b"]).lower())
            if axis:
                numbered.setdefault(int(found["i"] or found["j"]), {})[axis] = column
        elif (found := _NAMED.fullmatch(text)) and found["axis"].lower() in _AXIS:
            header.joints.setdefault(found["joint"], {})[_AXIS[found["axis"].lower()]] = column
    whole = {name: axes for name, axes in header.joints.items() if {"x", "y"} <= set(axes)}
    if {"x", "y"} <= set(long) and header.landmark is not None:
        header.joints = {"": {_AXIS[name]: column for name, column in reversed(long.items())}}
        return header
    header.landmark = None
    counted = {i: axes for i, axes in sorted(numbered.items()) if {"x", "y"} <= set(axes)}
    if len(counted) > len(whole):
        header.joints, header.numbered = {str(i): axes for i, axes in counted.items()}, True
        return header
    header.joints = whole
    return header if whole else None


def header_names(source: Source) -> list[str]:
    """Return the names or numbers of joints in the first row; none if it is not a header of joints."""
    with rows(source.path) as reader:
        header = _header(next(reader, []))
    return [] if header is None else list(header.joints)


def read(source: Source) -> RawPeople:
    """Read all people of a table; a column with people's numbers gives their identities.

    Raises:
        PoseMambaError: the header names no joints, joints are missing, or cells are not numbers.
    """
    path = source.path
    with rows(path) as reader:
        first = next(reader, [])
        header = _header(first)
        if header is None:
            try:
                values = [float(cell) for cell in first]
            except ValueError:
                values = []
            if len(values) != 34:
                raise PoseMambaError(
                    f"{path}: the first line is {','.join(first)[:80]!r}; {_EXPECTED}, or 34 numbers without a header: "
                    "x and y of Human3.6M's 17 joints"
                )
            header = _Header({name: {"x": 2 * j, "y": 2 * j + 1} for j, name in enumerate(H36M17.joints)})
            with rows(path) as again:
                return _wide(path, header, again, 1)
        return _long(path, header, reader) if header.landmark is not None else _wide(path, header, reader, 2)


def _joints(path: Path, header: _Header) -> tuple[Skeleton | None, list[str | None]]:
    """Return the skeleton, and for each of its joints the name of its group of columns."""
    names = list(header.joints)
    if not header.numbered:
        skeleton, order = match(path, names)
        return skeleton, [None if i is None else names[i] for i in order]
    if len(names) >= 33 and [int(n) for n in names[:33]] in (list(range(33)), list(range(1, 34))):
        return BLAZEPOSE33, list(names[:33])  # faces and hands may follow
    if len(names) not in {len(s) for s in SKELETONS.values()}:
        raise PoseMambaError(f"{path}: the header numbers {len(names)} joints, which is no known skeleton; {_EXPECTED}")
    return None, list(names)


def _wide(path: Path, header: _Header, reader: Iterator[list[str]], start: int) -> RawPeople:
    skeleton, groups = _joints(path, header)
    kept = [header.joints[g] for g in groups if g is not None]
    confident = all("confidence" in axes for axes in kept)
    columns = [axes[a] for axes in kept for a in (("x", "y", "confidence") if confident else ("x", "y"))]
    facts = [c for c in (header.frame, header.time and header.time[0]) if c is not None]
    present = [j for j, g in enumerate(groups) if g is not None]
    collected = _Collected(path)
    for line, row in enumerate(reader, start):
        if not row or not any(cell.strip() for cell in row):
            continue
        values = cells(path, line, pick(path, line, row, columns)).reshape(len(kept), -1)
        facts_of_row = cells(path, line, pick(path, line, row, facts)) if facts else np.zeros(0)
        name = row[header.person].strip() if header.person is not None and header.person < len(row) else None
        joints = np.full((len(groups), 3), np.nan)
        joints[:, 2] = 0
        joints[present, : values.shape[1]] = values
        if not confident:
            joints[present, 2] = np.isfinite(values).all(-1)
        collected.add(line, joints, header, facts_of_row, name or None)
    return collected.finish(skeleton, header, confident)


def _long(path: Path, header: _Header, reader: Iterator[list[str]]) -> RawPeople:
    axes = header.joints[""]
    confident = "confidence" in axes
    columns = [axes[a] for a in (("x", "y", "confidence") if confident else ("x", "y"))]
    facts = [c for c in (header.frame, header.time and header.time[0]) if c is not None]
    assert header.landmark is not None
    if header.frame is None:
        raise PoseMambaError(f"{path}: one row for each joint, but no column 'frame': add one")
    bodies: dict[tuple[float, str | None], dict[str, NDArray[np.float64]]] = {}
    rows_by_key: dict[tuple[float, str | None], tuple[int, NDArray[np.float64]]] = {}
    names: dict[str, None] = {}
    for line, row in enumerate(reader, 2):
        if not row or not any(cell.strip() for cell in row):
            continue
        landmark, *rest = pick(path, line, row, [header.landmark, *columns, *facts])
        values = cells(path, line, tuple(rest))
        name = row[header.person].strip() if header.person is not None and header.person < len(row) else None
        key = float(values[len(columns)]), name or None
        bodies.setdefault(key, {})[landmark.strip()] = values[: len(columns)]
        rows_by_key.setdefault(key, (line, values[len(columns) :]))
        names[landmark.strip()] = None
    if not bodies:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    numbered = all(name.isdecimal() for name in names)
    header.numbered = numbered
    header.joints = {n: {} for n in (sorted(names, key=int) if numbered else names)}
    skeleton, groups = _joints(path, header)
    collected = _Collected(path)
    for key, body in bodies.items():
        joints = np.full((len(groups), 3), np.nan)
        joints[:, 2] = 0
        for j, group in enumerate(groups):
            if group is not None and group in body:
                joints[j, : len(body[group])] = body[group]
                joints[j, 2] = joints[j, 2] if confident else 1
        collected.add(rows_by_key[key][0], joints, header, rows_by_key[key][1], key[1])
    return collected.finish(skeleton, header, confident)


class _Collected:
    """The rows of a table, collected by frame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: dict[int, list[Detection]] = {}
        self.times: dict[int, float] = {}

    def add(
        self,
        line: int,
        joints: NDArray[np.float64],
        header: _Header,
        facts_of_row: NDArray[np.float64],
        name: str | None,
    ) -> None:
        """Add one person of one frame, (J, 3), with the row's frame number and time, NaN where it lacks them."""
        number = len(self.frames)
        if header.frame is not None:
            if not np.isfinite(facts_of_row[0]) or facts_of_row[0] != round(facts_of_row[0]):
                raise PoseMambaError(f"{self.path}: line {line} has frame {facts_of_row[0]:g}, expected 0, 1, 2, ...")
            number = int(facts_of_row[0])
        if header.person is None and number in self.frames and self.frames[number]:
            raise PoseMambaError(
                f"{self.path}: line {line} is frame {number} again; expected each frame once, or a column 'person'"
            )
        check_finite(f"{self.path}: line {line}", joints[:, :2])
        people = self.frames.setdefault(number, [])
        if np.isfinite(joints[:, :2]).all(-1).any():
            people.append(detection(joints[:, :2], joints[:, 2], name))
        if header.time is not None:
            self.times[number] = float(facts_of_row[-1])

    def finish(self, skeleton: Skeleton | None, header: _Header, confident: bool) -> RawPeople:
        first, last = check_frames(self.path, self.frames)
        people = {number - first: persons for number, persons in self.frames.items()}
        frames = last - first + 1
        shares = in_shares(np.concatenate([p.xy for persons in people.values() for p in persons] or [np.zeros((0, 2))]))
        tracks = follow(self.path, people, frames)
        return RawPeople(
            tracks,
            frames,
            skeleton,
            times=None if header.time is None else in_order(self.times, first, last),
            time_unit=None if header.time is None else header.time[1],
            shares=shares,
            confident=confident,
            first=None if header.frame is None else first,
        )
