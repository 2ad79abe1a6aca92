"""Folders that hold one file for each frame of a clip: the frames' numbers by the files' names."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from posemamba.io.pictures import natural_key
from posemamba.utils.errors import PoseMambaError

OPENPOSE_NAME = re.compile(r".*\d+_keypoints\.json")


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
    if suffix == ".json" and any(map(OPENPOSE_NAME.fullmatch, names)):
        names = [name for name in names if OPENPOSE_NAME.fullmatch(name)]
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
