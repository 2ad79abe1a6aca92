"""MPI-INF-3DHP's files unpacked once into arrays that are mapped and not read.

The first reading unpacks a file into arrays in a folder beside it, `<file name>.posemamba`, or, where that cannot be
written, in the user's cache folder (`posemamba.utils.installation.cache_folder`). From then on these are mapped into
memory, as long as the file's size and time of change agree. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.data.mpi_inf_3dhp.file import Videos, read_file
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.installation import known_cache_folders

_CACHE_VERSION = "1"
_ARRAYS = ("names", "lengths", "sizes", "xy", "mm", "valid")


def read_cached(path: Path, test: bool) -> Videos:
    """Map the unpacked copy of a file into memory; unpack it first where there is none or it is of another file.

    Raises:
        PoseMambaError: the file is not as expected (`mpi_inf_3dhp_file.read_file`).
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise PoseMambaError(f"{path}: not readable ({error.strerror or error})") from None
    name = f"{_CACHE_VERSION}-{stat.st_size}-{stat.st_mtime_ns}"
    folders = _cache_folders(path)
    for folder in folders:
        if (videos := _load(folder / name)) is not None:
            return videos
    videos = read_file(path, test)
    for folder in folders:
        with contextlib.suppress(OSError):
            _save(videos, folder, name)
            if (mapped := _load(folder / name)) is not None:
                return mapped
    return videos  # nowhere to write: they stay in memory


def _cache_folders(path: Path) -> list[Path]:
    """Return the folders for unpacked copies: beside the file, else in the user's cache folder."""
    key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return [
        path.with_name(f"{path.name}.posemamba"),
        *(folder / f"{path.stem}-{key}" for folder in known_cache_folders()),
    ]


def _load(folder: Path) -> Videos | None:
    try:
        small = {n: np.load(folder / f"{n}.npy", allow_pickle=False) for n in ("names", "lengths", "sizes")}
        large = {n: np.load(folder / f"{n}.npy", mmap_mode="r", allow_pickle=False) for n in ("xy", "mm", "valid")}
        return Videos(**small, **large) if _are_whole(small, large) else None
    except Exception:  # damaged: it is made again
        return None


def _are_whole(small: dict[str, NDArray[Any]], large: dict[str, NDArray[Any]]) -> bool:
    """Tell whether arrays fit each other, as `read_file` makes them; joints are checked where they are read."""
    videos, frames = len(small["lengths"]), int(small["lengths"].sum())
    kinds = {"names": "U", "lengths": "i", "sizes": "i", "xy": "f", "mm": "f", "valid": "b"}
    shapes: dict[str, tuple[int, ...]] = {"names": (videos,), "lengths": (videos,), "sizes": (videos, 2)}
    shapes |= {"xy": (frames, 17, 2), "mm": (frames, 17, 3), "valid": (frames,)}
    arrays = small | large
    fit = all(array.shape == shapes[name] and array.dtype.kind == kinds[name] for name, array in arrays.items())
    return fit and all((small[name] > 0).all() for name in ("lengths", "sizes"))


def _save(videos: Videos, folder: Path, name: str) -> None:
    """Write a folder `name` in `folder`, whole or not at all, and remove copies of earlier files."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".unfinished."))
    try:
        for array in _ARRAYS:
            np.save(temporary / f"{array}.npy", getattr(videos, array), allow_pickle=False)
        temporary.chmod(0o755)  # mkdtemp makes folders private
        if _load(folder / name) is None:  # else another process was faster
            shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):  # again
                temporary.replace(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for other in folder.iterdir():
        if other.name != name and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
