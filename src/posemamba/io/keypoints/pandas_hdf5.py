"""Tables of numbers that pandas wrote to HDF5 (`DataFrame.to_hdf`), as DeepLabCut does: read by h5py, without pickles.

pandas and PyTables keep the columns' names as pickles in the file's attributes, and run them when they open it. Here
only lists of texts are taken out of them, by their opcodes; whatever would call or import something is refused.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.archives import room_of
from posemamba.utils.errors import PoseMambaError, install_command
from posemamba.utils.reading import reading

_USUAL = "df_with_missing"  # DeepLabCut's name of the table
_CSV = "deeplabcut.analyze_videos_converth5_to_csv(FOLDER), or analyze_videos(..., save_as_csv=True), makes csv of it"
_MOST_COLUMNS, _MOST = 30_000, 1_000_000
"""Columns of a table, and names of its rows, by hand or numbered."""


@dataclass(frozen=True)
class PandasTable:
    """A table with names of several levels over its columns.

    Attributes:
        columns: the names of each column, from the outermost level.
        rows: the name or number of each row.
        values: (rows, columns), NaN where missing.
    """

    columns: list[tuple[str, ...]]
    rows: list[str]
    values: NDArray[np.float64]


def read_table(path: Path) -> PandasTable:
    """Read the table of an HDF5 file, in either of pandas' layouts, ``fixed`` and ``table``.

    Raises:
        PoseMambaError: h5py is not installed, the file is damaged, holds no such table, or more than its size allows.
    """
    try:
        import h5py
    except ImportError as error:
        advice = install_command("hdf5")
        raise PoseMambaError(f"{path}: an HDF5 file, for which h5py is needed ({error}): {advice}; or {_CSV}") from None
    with reading(path, "an HDF5 file of DeepLabCut"), h5py.File(path, "r") as file:
        own = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        tables = [name for name in own if isinstance(file[name], h5py.Group) and "pandas_type" in file[name].attrs]
        if not tables:
            found = ", ".join(map(repr, list(file)[:8])) or "nothing"
            raise PoseMambaError(f"{path}: an HDF5 file that holds {found}, expected a table of DeepLabCut; {_CSV}")
        group = _Group(path, file[_USUAL if _USUAL in tables else tables[0]])
        kind = group.text("pandas_type")
        if kind == "frame_table":
            table = _appendable(group)
        elif kind == "frame":
            table = _fixed(group)
        else:
            raise PoseMambaError(f"{path}: an HDF5 file with a {kind!r:.40} of pandas, expected a table; {_CSV}")
    depths = {len(name) for name in table.columns}
    if len(depths) != 1 or not depths <= {3, 4}:
        raise PoseMambaError(
            f"{path}: columns with {' or '.join(map(str, sorted(depths))) or 'no'} names, expected DeepLabCut's "
            "scorer, perhaps individual, body part and axis"
        )
    return table


class _Group:
    """A group of an HDF5 file whose arrays are read only from the file itself, and only as large as it can hold."""

    def __init__(self, path: Path, group: Any) -> None:
        self.path, self.group, self.left = path, group, room_of(path)

    def text(self, name: str, of: Any = None) -> str:
        """Return a text of the group's attributes, or of another object's."""
        value = (self.group if of is None else of).attrs[name]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def dataset(self, name: str) -> Any:
        """Return an array that has not been read yet.

        Raises:
            PoseMambaError: it lies in another file, or declares more than such a file can hold.
        """
        import h5py

        link = self.group.get(name, getlink=True)
        found = self.group[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
            raise PoseMambaError(f"{self.path}: '{name}' is no array in the file itself: damaged; {_CSV}")
        self.left -= math.prod(found.shape or (0,)) * max(found.dtype.itemsize, 8)
        if self.left < 0:
            raise PoseMambaError(
                f"{self.path}: '{name}' declares {' x '.join(map(str, found.shape))} values, more than a file of its "
                "size holds: damaged, or made to fill the memory; write it again"
            )
        return found

    def array(self, name: str, kinds: str) -> NDArray[Any]:
        """Read an array of one of the kinds of NumPy's types."""
        found = self.dataset(name)
        if found.dtype.kind not in kinds:
            raise PoseMambaError(f"{self.path}: '{name}' is of type {found.dtype}, which is not read; {_CSV}")
        return np.asarray(found[()])

    def level_names(self, prefix: str) -> list[tuple[str, ...]]:
        """Return the names of an axis with several levels, each an array of names and one of their indices."""
        levels = []
        for level in range(int(self.group.attrs[f"{prefix}_nlevels"])):
            names = [text.decode("utf-8", "replace") for text in self.array(f"{prefix}_level{level}", "S").tolist()]
            index = self.array(f"{prefix}_label{level}", "iu")
            if index.min(initial=0) < 0 or index.size > _MOST:
                raise PoseMambaError(f"{self.path}: '{prefix}' has columns or rows without a name, or too many; {_CSV}")
            levels.append([names[i] for i in index.tolist()])
        return list(zip(*levels, strict=True))


def _fixed(group: _Group) -> PandasTable:
    """Read pandas' fixed layout: the names as arrays, and the numbers in blocks of columns."""
    columns = group.level_names("axis0") if group.text("axis0_variety") == "multi" else []
    if group.text("axis1_variety") == "multi":
        rows = [name[-1] for name in group.level_names("axis1")]
    else:
        rows = _row_names(group.array("axis1", "iuS"))
    places = {name: i for i, name in enumerate(columns)}
    blocks = []
    for block in range(int(group.group.attrs["nblocks"])):
        items = [places[name] for name in group.level_names(f"block{block}_items")]
        found = group.array(f"block{block}_values", "fiu")
        turned = bool(group.group[f"block{block}_values"].attrs.get("transposed", False))
        blocks.append((items, found if turned else found.T))
    if sum(found.size for _, found in blocks) != len(rows) * len(columns):
        raise PoseMambaError(f"{group.path}: {len(rows)} rows of {len(columns)} columns with other numbers: damaged")
    values = np.full((len(rows), len(columns)), np.nan)
    for items, found in blocks:
        values[:, items] = found
    return PandasTable(columns, rows, values)


def _appendable(group: _Group) -> PandasTable:
    """Read pandas' layout ``table``: one array of rows, whose fields are the index and blocks of columns."""
    stored = group.dataset("table")
    fields = stored.dtype.fields or {}
    blocks = sorted(name for name in fields if name.startswith("values_block_"))
    kinds = {name: (fields[name][0].base.kind, fields[name][0].shape) for name in blocks}
    if not blocks or any(kind not in "fiu" or len(shape) != 1 for kind, shape in kinds.values()):
        raise PoseMambaError(f"{group.path}: a table of the fields {', '.join(fields)[:80]}, expected numbers; {_CSV}")
    columns: list[tuple[str, ...]] = []
    for name in blocks:
        columns += text_tuples(group.path, stored.attrs[f"{name}_kind"])
    read = stored[()]
    values = np.concatenate([read[name].astype(np.float64) for name in blocks], axis=1)
    if values.shape[1] != len(columns):
        raise PoseMambaError(f"{group.path}: {values.shape[1]} columns with {len(columns)} names: damaged")
    index = next((n for n in ("index", "level_2", "level_0") if n in fields and fields[n][0].kind in "iuS"), None)
    return PandasTable(columns, _row_names(np.arange(len(read)) if index is None else read[index]), values)


def _row_names(index: NDArray[Any]) -> list[str]:
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in index.tolist()]


def text_tuples(path: Path, pickled: Any) -> list[tuple[str, ...]]:
    """Take a list of tuples of texts out of a pickle, without running it.

    Args:
        path: the file, for the error.
        pickled: the pickle.

    Raises:
        PoseMambaError: it holds anything else, or its opcodes make no such list.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    mark = object()

    def popped() -> list[Any]:
        at = len(stack) - 1 - stack[::-1].index(mark)
        taken = stack[at + 1 :]
        del stack[at:]
        return taken

    for opcode, value, _ in pickletools.genops(bytes(pickled)):
        name = opcode.name
        if name in ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "STRING", "SHORT_BINSTRING", "BINSTRING"):
            stack.append(str(value))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if value is None else int(value)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(value or 0)])
        elif name == "MARK":
            stack.append(mark)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("LIST", "TUPLE"):
            stack.append(popped() if name == "LIST" else tuple(popped()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("APPEND", "APPENDS"):
            taken = popped() if name == "APPENDS" else [stack.pop()]
            if not isinstance(stack[-1], list):
                raise PoseMambaError(f"{path}: the names of its columns are damaged; {_CSV}")
            stack[-1].extend(taken)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise PoseMambaError(f"{path}: the names of its columns hold more than texts ({name}), not opened; {_CSV}")
    found: Sequence[Any] = stack[-1] if stack and isinstance(stack[-1], list) else ()
    if not found or len(found) > _MOST_COLUMNS:
        raise PoseMambaError(f"{path}: {len(found)} names of columns, expected 1 to {_MOST_COLUMNS}; {_CSV}")
    for one in found:
        if not isinstance(one, tuple) or not all(isinstance(text, str) for text in one):
            raise PoseMambaError(f"{path}: a column is named {one!r:.60}, expected texts; {_CSV}")
    return list(found)
