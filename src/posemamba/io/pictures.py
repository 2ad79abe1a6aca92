"""Pictures and folders of them, by their names."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".heic", ".heif", ".hif", ".avif"),
)


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts names naturally: frame2 before frame10; equal numbers (1 and 01) by the whole name."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p], path.name


def is_pictures(path: Path) -> bool:
    """Return True for a picture, by its name, or a folder with pictures; hidden files do not count."""
    if path.is_dir():
        return any(_is_picture(file) for file in path.iterdir())
    return _is_picture(path)


def find_pictures(path: Path) -> list[Path]:
    """Return the picture itself, or the folder's pictures in natural order."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.iterdir() if _is_picture(file)), key=natural_key)


def _is_picture(file: Path) -> bool:
    if file.name in ("people.jpg", "overlay.png") and (
        (file.parent / "keypoints.npz").is_file() or any(file.parent.glob("poses*.npz"))
    ):
        return False  # a result of posemamba lift
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir()
