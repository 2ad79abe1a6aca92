"""Reading of npz files without pickles, and with the size that they declare checked before memory is taken."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading

ROOM, RATIO = 16 << 20, 64
"""Bytes that a file's arrays may take, with 8 bytes or more for each number: so many, and so many for each of its
bytes. Real clips take 2 to 20 for each byte; files made to fill the memory 1000."""
_WHAT = "an npz file"


def room_of(path: Path, room: int = ROOM, ratio: int = RATIO) -> int:
    """Return the bytes that the content of a compressed file may take when it is unpacked."""
    return room + ratio * path.stat().st_size


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the shape and type of an array in NumPy's format; the stream is then at its data.

    Raises:
        ValueError: no such array. Damaged headers raise other exceptions, too.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"an array of version {version}")
    # the third version differs in names of fields alone, which no array here has
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def npz_names(path: Path) -> list[str]:
    """Return the names of an npz's arrays.

    Raises:
        PoseMambaError: it is no zip file, or damaged.
    """
    with reading(path, _WHAT), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_npz(path: Path, wanted: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read an npz file's arrays, half floats as float32; nothing in it is unpickled.

    Args:
        path: the file.
        wanted: names of arrays; None: all. Others are not read, those that are not there are left out.

    Raises:
        PoseMambaError: it is no npz file or damaged, a wanted array is pickled, holds text that is no Unicode, or
            declares more than such a file can hold.
    """
    path = Path(path)
    arrays: dict[str, NDArray[Any]] = {}
    with reading(path, _WHAT), zipfile.ZipFile(path) as archive:
        left = room_of(path)
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if wanted is not None and name not in wanted:
                continue
            if name in arrays:
                raise PoseMambaError(f"{path}: holds '{name}' twice: damaged; write it again")
            with archive.open(entry) as stream:
                shape, dtype = read_header(stream)
            if dtype.hasobject:
                raise PoseMambaError(
                    f"{path}: '{name}' holds pickled Python objects, which can run code and are not opened; save plain "
                    "arrays: numpy.savez(file, keypoints=array of numbers (frames, joints, 2), fps=...)"
                )
            left = check_size(f"{path}: '{name}'", shape, dtype, left)
            with archive.open(entry) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
            if dtype.kind == "f" and dtype.itemsize < 4:  # half floats overflow in sums, and beside numbers of pixels
                arrays[name] = arrays[name].astype(np.float32)
            if dtype.kind == "U":
                _check_text(path, name, arrays[name])
    return arrays


def check_size(where: str, shape: tuple[int, ...], dtype: np.dtype[Any], left: int) -> int:
    """Return the bytes that are left of a file's room after one more array.

    Raises:
        PoseMambaError: it needs more.
    """
    if dtype.fields is not None or dtype.subdtype is not None:
        raise PoseMambaError(f"{where} has the structured type {dtype}, expected numbers or text")
    if any(length < 0 for length in shape) or (left := left - math.prod(shape) * max(dtype.itemsize, 8)) < 0:
        raise PoseMambaError(
            f"{where} declares {' x '.join(map(str, shape))} values of {dtype}, more than a file of its size holds: "
            "damaged, or made to fill the memory; write it again"
        )
    return left


def _check_text(path: Path, name: str, array: NDArray[Any]) -> None:
    codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
    if len(codes) and (codes.max() > 0x10FFFF or ((codes >= 0xD800) & (codes < 0xE000)).any()):
        raise PoseMambaError(f"{path}: '{name}' holds text with characters that Unicode lacks: damaged; write it again")
