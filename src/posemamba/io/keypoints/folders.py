"""Recognition of folders that hold one file for each frame: the program that wrote them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posemamba.io.keypoints import mmpose, openpose, ultralytics, yolo
from posemamba.io.keypoints.frame_files import OPENPOSE_NAME
from posemamba.io.pictures import SUFFIXES, natural_key

_VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
_LARGEST = 4_000_000  # bytes: a larger file is no single frame


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
    if any(map(OPENPOSE_NAME.fullmatch, names)):
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
