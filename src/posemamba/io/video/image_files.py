"""Pictures as frames: one file, or the files of a folder in the order in which people number them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError, require

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PICTURES_PER_SECOND = 30.0


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts names as people number them: frame2 before frame10; equal numbers (1 and 01) by the whole name."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p], path.name


def is_pictures(path: Path) -> bool:
    """Whether this is a picture by its name, or a folder that holds some (hidden files do not count)."""
    if path.is_dir():
        return any(_is_picture(file) for file in path.iterdir())
    return _is_picture(path)


def find_pictures(path: Path) -> list[Path]:
    """The picture itself, or the folder's pictures in natural order."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.iterdir() if _is_picture(file)), key=natural_key)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir()


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(height, width, 3) RGB uint8, turned upright as the camera noted; 16-bit pictures are reduced to 8.

    Raises:
        PoseMambaError: no such file, no picture, a damaged one, or one too large to be honest.
    """
    require("PIL", "video")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith(("I", "F")):  # Pillow would cut values off at 255 in place of scaling them
                values = np.asarray(upright, dtype=np.float64)
                grey = values / 256 if values.max(initial=0) > 255 else values
                upright = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
            return np.asarray(upright.convert("RGB"))
    except FileNotFoundError:
        raise PoseMambaError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise PoseMambaError(
            f"{path}: not a picture that can be read; expected a png, jpg, webp, tif or bmp file"
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PoseMambaError(f"{path}: the picture is cut short or damaged ({error}); copy it again") from None
