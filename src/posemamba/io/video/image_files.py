"""Pictures as frames: one file, or the files of a folder in natural order, read like a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.pictures import find_pictures
from posemamba.io.video.clip import MOST_PIXELS, Clip, Frame, VideoInfo, nothing_between
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.reading import cause

PICTURES_PER_SECOND = 30.0
_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "TIFF", "PPM", "GIF")
"""Pillow's names of the formats that are read; it knows others that run programs (EPS) or reach for other files."""


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as (height, width, 3) RGB uint8, upright by its EXIF orientation; 16-bit ones are reduced to 8.

    Raises:
        PoseMambaError: there is no such file, it is no picture, is damaged, or exceeds Pillow's limit of size
            (decompression bombs).
    """
    require("PIL", "video")
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.init()  # else it knows the commonest formats alone
    try:
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PoseMambaError(
                    f"{path}: a picture of {image.width} x {image.height} pixels, expected {MOST_PIXELS:,} at most; "
                    "make it smaller"
                )
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith(("I", "F")):  # Pillow would clip values at 255 instead of scaling them
                grey = np.array(upright, dtype=np.float32)
                grey /= 256 if grey.max(initial=0) > 255 else 1
                upright = Image.fromarray(np.clip(grey, 0, 255, out=grey).astype(np.uint8))
            return np.asarray(upright.convert("RGB"))
    except FileNotFoundError:
        raise PoseMambaError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise PoseMambaError(
            f"{path}: not a picture that can be read; expected a png, jpg, webp, tif or bmp file"
        ) from None
    except (PoseMambaError, ImportError):
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise PoseMambaError(f"{path}: the picture is cut short or damaged ({cause(error)}); copy it again") from error


def probe_pictures(clip: Clip) -> VideoInfo:
    """Read the properties of a sequence of pictures as of a video."""
    files = find_pictures(clip.path)
    fps = clip.fps or PICTURES_PER_SECOND
    inside = [i for i in range(len(files)) if clip.holds(i / fps)]
    if not inside:
        raise nothing_between(clip, len(files) / fps)
    height, width = read_picture(files[inside[0]]).shape[:2]
    return VideoInfo(clip.path, width, height, fps, len(inside), len(inside) / fps, False, 0, "pictures")


def read_pictures(clip: Clip) -> Iterator[Frame]:
    """Yield the pictures of a sequence as frames, all of one size."""
    fps = clip.fps or PICTURES_PER_SECOND
    inside = [(i / fps, file) for i, file in enumerate(find_pictures(clip.path)) if clip.holds(i / fps)]
    shape: tuple[int, ...] = ()
    for index, (time, file) in enumerate(inside):
        rgb = read_picture(file)
        shape = shape or rgb.shape
        if rgb.shape != shape:
            raise PoseMambaError(
                f"{file}: is {rgb.shape[1]} x {rgb.shape[0]} pixels, {inside[0][1].name} is {shape[1]} x {shape[0]}; "
                "the pictures of a sequence must be of one size: put others into a folder of their own"
            )
        yield Frame(index, time - inside[0][0], rgb, inside[0][0])
