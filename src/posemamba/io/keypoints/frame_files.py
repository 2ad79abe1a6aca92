"""Folders that hold one file for each frame of a clip: the frames' numbers, and the program that wrote them."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posemamba.io.pictures import SUFFIXES, natural_key
from posemamba.utils.errors import PoseMambaError

_OPENPOSE = re.compile(r".*\d+_keypoints\.json")
_VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
_LARGEST = 4_000_000  # bytes: a larger file is no single frame


def find_frames(path: Path, suffix: str) -> dict[int, Path]:
    """Return the files of a folder by the frame numbers in their names.

    The number is the last one in the name that differs from file to file: 12 in ``cam1_000012_keypoints.json``.

    Args:
        path: the folder.
        suffix: the ending of the files, ``.json`` or ``.txt``.

    Raises:
        PoseMambaError: there is no such file, or files of several clips.
    """
    names = [name for name in os.listdir(path) if name.lower().endswith(suffix) and re.search(r"\d", Path(name).stem)]
    if suffix == ".json" and any(map(_OPENPOSE.fullmatch, names)):
        names = [name for name in names if _OPENPOSE.fullmatch(name)]
    if not names:
        raise PoseMambaError(f"{path}: holds no *{suffix} with a frame's number, expected one for each frame")
    names.sort(key=lambda name: natural_key(Path(name)))
    split = {name: re.split(r"(\d+)", Path(name).stem) for name in names}  # text, number, text, ...
    column = _number_column(list(split.values()))
    files: dict[int, Path] = {}
    clips: Counter[tuple[str, str]] = Counter()
    for name, parts in split.items():
        at = column if column < len(parts) else len(parts) - 2
        clips["".join(parts[:at]), "".join(parts[at + 1 :])] += 1
        files[int(parts[at][:18])] = path / name
    if len(clips) == len(names) > 1:  # each name begins in its own way, as times of day do
        return {position: path / name for position, name in enumerate(names)}
    if len(clips) > 1:
        ends = len({end for _, end in clips}) > 1
        found = ", ".join(
            f"'{start}{'*' + end if ends else ''}' ({count} frames)" for (start, end), count in list(clips.items())[:5]
        )
        raise PoseMambaError(f"{path}: holds {len(clips)} clips, {found}; expected one: put each into its own folder")
    if len(files) < len(names):
        raise PoseMambaError(f"{path}: {len(names)} files for {len(files)} frame numbers, expected one for each frame")
    return files


def _number_column(split: list[list[str]]) -> int:
    """Return the position of the frame number in split names: the last number that differs, else the last one."""
    length = min(map(len, split))
    columns = range(1, length, 2)
    differing = [c for c in columns if len({int(parts[c]) for parts in split}) > 1]
    return differing[-1] if differing else columns[-1]


def recognise_folder(path: Path) -> str | None:
    """Return the name of the format of a folder with one file for each frame; None if it holds none.

    OpenPose's are known by their names, others by the first file that shows somebody. Files beside pictures or videos
    belong to these, and do not make a folder one of keypoints.
    """
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except OSError:
        return None
    if any(map(_OPENPOSE.fullmatch, names)):
        return "openpose"
    if any(name.lower().endswith((*SUFFIXES, *_VIDEOS)) for name in names):
        return None
    for suffix in (".json", ".txt"):
        files = [name for name in names if name.lower().endswith(suffix)]
        shapes: dict[str, list[str]] = {}
        for name in files:
            if re.search(r"\d", Path(name).stem):
                shapes.setdefault(re.sub(r"\d+", "0", name), []).append(name)
        likely = max(shapes.values(), key=len, default=[])
        if len(likely) > 1 or (likely and len(files) == 1):  # names that differ in their numbers alone
            found = next(_formats(path, sorted(likely, key=lambda name: natural_key(Path(name)))), None)
            if found is not None:
                return found
    return None


def _formats(path: Path, names: list[str]) -> Iterator[str]:
    """Yield the format of each file that shows one."""
    from posemamba.io.keypoints import mmpose, openpose, ultralytics, yolo

    for name in names:
        try:
            file = path / name
            if file.stat().st_size > _LARGEST:
                continue
            text = file.read_text(encoding="utf-8-sig")
            if name.lower().endswith(".txt"):
                if yolo.recognises(text):
                    yield "yolo"
                continue
            content: Any = json.loads(text)
        except (OSError, ValueError, RecursionError):
            continue
        if openpose.recognises(content):
            yield "openpose"
        elif content and ultralytics.recognises(content):
            yield "ultralytics"
        elif content and mmpose.recognises(content):
            yield "mmpose"
