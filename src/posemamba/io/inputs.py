"""Inputs to lift (videos, pictures, keypoint files, folders of them), and the folders of their results."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posemamba.io.keypoints import is_keypoint_file
from posemamba.io.pictures import find_pictures, is_pictures, natural_key
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading

Kind = Literal["video", "pictures", "keypoints"]
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts"),
    ".ogv",
)
KEYPOINT_SUFFIXES = (".npz", ".npy", ".json", ".csv", ".pkl", ".h5", ".hdf5")
TABLES = ("summary.csv", "failed.csv")
"""Names of tables that ``posemamba lift`` writes beside the folders of results."""


@dataclass(frozen=True)
class Input:
    """An input to lift.

    Attributes:
        path: the file or folder.
        out: the folder for its results.
        kind: how it is read.
    """

    path: Path
    out: Path
    kind: Kind


def find_inputs(sources: Sequence[Path], out: Path, *, keypoints: bool = False) -> list[Input]:
    """List the inputs to lift, in order; missing and broken files are inputs too, and reported by their readers.

    Links in a folder that lead nowhere are left out with a warning.

    Args:
        sources: files, or folders of keypoints by frame (one input), of videos (one each), of pictures (one input) or
            of keypoint files (one each).
        out: the folder for results. With several inputs, or a folder of files, each gets a folder of its name in it.
        keypoints: all sources are keypoint files, whatever they look like.

    Raises:
        PoseMambaError: the only source is a folder in which there is nothing to lift.
    """
    found: list[tuple[Path, Kind]] = []
    many = len(sources) > 1
    for source in sources:
        try:
            with reading(source, "an input"):
                is_folder = source.is_dir() and not keypoints
                contents = list(source.iterdir()) if is_folder else []
        except PoseMambaError:
            if not many:
                raise
            found.append((source, "video"))  # its reader will report it
            continue
        if not is_folder:
            found.append((source, "keypoints" if keypoints else _kind(source)))
        elif is_keypoint_file(source):
            found.append((source, "keypoints"))
        elif videos := sorted((f for f in contents if _is_video(f)), key=natural_key):
            _warn_of_lost(source, _lost(contents, VIDEO_SUFFIXES))
            found += [(video, "video") for video in videos]
            many = True
        elif is_pictures(source):
            found.append((source, "pictures"))
        elif not (results := _holds_results(source)) and (
            files := sorted((f for f in contents if _is_keypoints(f)), key=natural_key)
        ):
            _warn_of_lost(source, _lost(contents, KEYPOINT_SUFFIXES))
            found += [(file, "keypoints") for file in files]
            many = True
        elif len(sources) > 1:
            found.append((source, "pictures"))  # its reader will report it
        elif results:
            raise PoseMambaError(
                f"{source}: holds results of posemamba lift, expected a video, pictures or keypoints; posemamba "
                "convert makes other files of them"
            )
        else:
            lost = _lost(contents, (*VIDEO_SUFFIXES, *KEYPOINT_SUFFIXES))
            inner = [f.name for f in sorted(source.iterdir(), key=natural_key) if f.is_dir() and is_keypoint_file(f)]
            raise PoseMambaError(
                f"{source}: is a directory without videos, pictures or keypoints; expected some of them"
                + (f": give one or more of its folders of keypoints, {', '.join(inner[:5])}" if inner else "")
                + (f"; {_told_of_lost(lost)}" if lost else "")
            )
    if not many:
        return [Input(path, out, kind) for path, kind in found]
    names = folder_names([path for path, _ in found])
    return [Input(path, out / name, kind) for (path, kind), name in zip(found, names, strict=True)]


def default_folder(sources: Sequence[Path]) -> Path:
    """Return the folder for results in the working folder: ``NAME_posemamba`` of one source, else one for all."""
    names = folder_names(sources) if len(sources) == 1 else []
    return Path(f"{names[0]}_posemamba" if names and names[0] else "posemamba_results")


def _kind(path: Path) -> Kind:
    """Tell how a file is read: by its suffix, else by its content."""
    if path.suffix.lower() in KEYPOINT_SUFFIXES:
        return "keypoints"
    if is_pictures(path):
        return "pictures"
    return "keypoints" if path.suffix.lower() not in VIDEO_SUFFIXES and is_keypoint_file(path) else "video"


def _is_video(file: Path) -> bool:
    if file.name == "overlay.mp4" and any(file.parent.glob("poses*.npz")):
        return False  # a result of posemamba lift
    return file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith(".") and file.is_file()


def _is_keypoints(file: Path) -> bool:
    """Tell by its name whether a file in a folder holds a clip's keypoints."""
    if file.name in TABLES or file.name.startswith("."):
        return False
    return file.suffix.lower() in KEYPOINT_SUFFIXES and file.is_file()


def _lost(files: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """Return the links to such files that lead nowhere, in order; hidden ones do not count."""
    named = (f for f in files if f.suffix.lower() in suffixes and not f.name.startswith("."))
    return sorted((f for f in named if f.is_symlink() and not f.exists()), key=natural_key)


def _told_of_lost(links: Sequence[Path]) -> str:
    names = ", ".join(link.name for link in links[:5]) + (", ..." if len(links) > 5 else "")
    return f"{len(links)} link{'s lead' if len(links) > 1 else ' leads'} nowhere: {names}"


def _warn_of_lost(folder: Path, links: Sequence[Path]) -> None:
    if links:
        warnings.warn(f"{folder}: {_told_of_lost(links)}; left out", stacklevel=3)


def _holds_results(folder: Path) -> bool:
    return (folder / "poses.npz").is_file() or (folder / "poses_1.npz").is_file()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def folder_names(paths: Sequence[Path]) -> list[str]:
    """Return a folder name for each path: its stem; where two agree, also its suffix, its folder's name or a number."""
    names = [path.stem if not _is_folder(path) else path.resolve().name for path in paths]
    for better in (
        lambda path: path.name.replace(".", "_"),
        lambda path: f"{path.absolute().parent.name}_{path.name.replace('.', '_')}",
    ):
        twice = {name for name, count in Counter(n.lower() for n in names).items() if count > 1}
        names = [better(path) if name.lower() in twice else name for name, path in zip(names, paths, strict=True)]
    taken: set[str] = set()
    for i, name in enumerate(names):
        number, free = 2, name
        while free.lower() in taken:
            free, number = f"{name}_{number}", number + 1
        taken.add(free.lower())
        names[i] = free
    return names


def digest(options: dict[str, Any], *files: Path | None) -> str:
    """Return a short hash of options and of files' names, sizes and times of change."""
    parts: list[Any] = [options]
    for path in files:
        for file in [] if path is None else _files(path):
            try:
                state = file.stat()
                parts.append([file.name, state.st_size, state.st_mtime_ns])
            except (OSError, ValueError):
                parts.append([str(file)])  # its reader will report it
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _files(path: Path) -> list[Path]:
    if not _is_folder(path):
        return [path]
    return find_pictures(path) if is_pictures(path) else sorted(path.iterdir())


def parse_time(option: str, text: str | None) -> float | None:
    """Parse a time, ``12.5``, ``1:05`` (minutes) or ``1:02:03.5`` (hours), into seconds.

    Args:
        option: the option's name, for the error.
        text: the time, or None.

    Raises:
        PoseMambaError: the text is none of these.
    """
    if text is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text.strip()):
        raise PoseMambaError(f"{option} is '{text}', expected seconds, or minutes and seconds: 75, 1:15, 0:01:15.5")
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = 60 * seconds + float(part)
    return seconds
