"""Human3.6M converted once into arrays that are mapped and not read: a start takes seconds, memory stays free.

The cache is a folder beside the file, `<file name>.posemamba`, or, where that cannot be written, in the user's cache
folder (`posemamba.utils.installation.cache_folder`). It holds, for each split, `<split>.npy` (F, 17, 6) float32
(`human36m_file.CHANNELS`), where the file has them `<split>_factor.npy` and `<split>_target_mm.npy`, and
`index.json`: version, the file's size and time of change, the videos. It is used only where version, size and time
agree, and is put in place whole; it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.data.human36m.file import CAMERAS, CHANNELS, SPLITS, RawSplit, Video, is_video, read_file
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.installation import known_cache_folders

VERSION = 1
_INDEX = "index.json"


@dataclass(frozen=True)
class Split:
    """One split, ready to cut clips from; the arrays may be mapped files, and are read-only then.

    Attributes:
        name: train or test.
        videos: in the file's order.
        joints: (F, 17, 6) float32 normalised (`human36m_file.CHANNELS`).
        factor: (F,) float32 millimetres per pixel at the pelvis's depth, or None.
        target_mm: (F, 17, 3) float32, or None.
    """

    name: str
    videos: tuple[Video, ...]
    joints: NDArray[np.float32]
    factor: NDArray[np.float32] | None
    target_mm: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.joints)


def in_memory(file: Path) -> dict[str, Split]:
    """The whole file, converted, in memory."""
    splits = {}
    for name, raw in read_file(file).items():
        joints = np.empty((len(raw), 17, CHANNELS), np.float32)
        for frames, piece in raw.normalised():
            joints[frames] = piece
        extra = [None if array is None else array.astype(np.float32) for array in (raw.factor, raw.target_mm)]
        splits[name] = Split(name, raw.videos, joints, *extra)
    return splits


def mapped(file: Path) -> dict[str, Split]:
    """The file's cache, made if there is none that fits.

    Raises:
        PoseMambaError: the file is not as expected (`human36m_file.read_file`), or no place for the cache.
    """
    file = file.resolve()
    stamp = _stamp(file)
    places = (file.with_name(file.name + ".posemamba"), *_user_cache(file))
    for folder in places:
        if (splits := _open(folder, stamp)) is not None:
            return splits
    content, reasons = read_file(file), []
    for folder in places:
        try:
            _write(folder, content, stamp)
        except OSError as error:
            reasons.append(f"{folder} ({error.strerror or error})")
            continue
        if (splits := _open(folder, stamp)) is not None:
            return splits
        reasons.append(f"{folder} (was changed meanwhile)")
    raise PoseMambaError(
        f"{file}: no place for its converted copy: {', '.join(reasons)}; make room or set POSEMAMBA_CACHE"
    )


def _stamp(file: Path) -> dict[str, int]:
    status = file.stat()
    return {"version": VERSION, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _user_cache(file: Path) -> list[Path]:
    name = f"{file.name}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"
    return [folder / name for folder in known_cache_folders()]


def _write(folder: Path, content: dict[str, RawSplit], stamp: dict[str, int]) -> None:
    """Write beside `folder` and put the result in its place; another process may do the same at that time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        temporary.chmod(0o755)
        for name, raw in content.items():
            with (temporary / f"{name}.npy").open("wb") as stream:  # not mapped: a full disk would end the program
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(raw), 17, CHANNELS)}
                np.lib.format.write_array_header_1_0(stream, header)
                for _, piece in raw.normalised():  # in the file's order
                    stream.write(piece.astype("<f4", copy=False).tobytes())
            for part, array in (("factor", raw.factor), ("target_mm", raw.target_mm)):
                if array is not None:
                    np.save(temporary / f"{name}_{part}.npy", array.astype(np.float32))
        index = {**stamp, "videos": {name: [asdict(v) for v in raw.videos] for name, raw in content.items()}}
        (temporary / _INDEX).write_text(json.dumps(index), encoding="utf-8")
        if _open(folder, stamp) is not None:
            return  # another process was faster
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier file; who has it mapped keeps it
        with contextlib.suppress(OSError):  # again: another process was faster
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(folder: Path, stamp: dict[str, int]) -> dict[str, Split] | None:
    """The splits of a cache that is whole and fits, else None."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if any(index[key] != value for key, value in stamp.items()):
            return None
        splits = {}
        for name in SPLITS:
            extra = [
                np.load(path, mmap_mode="r", allow_pickle=False)
                if (path := folder / f"{name}_{part}.npy").exists()
                else None
                for part in ("factor", "target_mm")
            ]
            videos = tuple(Video(**video) for video in index["videos"][name])
            splits[name] = Split(
                name, videos, np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False), *extra
            )
            if not _is_whole(splits[name]):
                return None
        return splits
    except Exception:  # damaged: it is made again
        return None


def _is_whole(split: Split) -> bool:
    """Tell whether videos and arrays fit each other, as `read_file` checks them; numbers are checked when read."""
    start = 0
    for video in split.videos:
        if type(video.start) is not int or type(video.length) is not int or not isinstance(video.action, str):
            return False
        if video.start != start or video.length < 1 or video.camera not in CAMERAS or not is_video(video.name):
            return False
        start += video.length
    parts: list[tuple[NDArray[np.float32] | None, tuple[int, ...]]] = [(split.joints, (start, 17, CHANNELS))]
    parts += [(split.factor, (start,)), (split.target_mm, (start, 17, 3))]
    if split.name == "test" and any(array is None for array, _ in parts):
        return False
    return all(array is None or (array.shape == shape and array.dtype == np.float32) for array, shape in parts)


def _map(path: Path) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def describe(file: Path) -> str:
    """One line: whether there is a converted copy, and where."""
    file = file.resolve()
    stamp = _stamp(file)
    for folder in (file.with_name(file.name + ".posemamba"), *_user_cache(file)):
        if folder.exists():
            return f"converted copy: {folder}" + ("" if _open(folder, stamp) else " (does not fit, will be made again)")
    return "converted copy: none yet, made at the first use"
