"""The focal length that a video's or picture's metadata states."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

from posemamba.io.pictures import find_pictures, is_pictures
from posemamba.utils.errors import require

_EXIF, _FOCAL_35MM = 0x8769, 0xA405
_QUICKTIME = "camera.focal_length.35mm_equivalent"
"""End of the key in QuickTime and MP4 files, which Apple writes after ``com.apple.quicktime.``."""
_POSSIBLE = (4.0, 2000.0)  # millimetres: fisheyes to telescopes


def focal_length_35mm(path: Path) -> float | None:
    """Return the focal length in millimetres of 35 mm film: of a video, a picture, or the first picture that states it.

    It belongs to 36 mm along the longer side of the picture. Metadata that cannot be read counts as none.

    Args:
        path: a video, a picture, or a folder of pictures.
    """
    try:
        if is_pictures(path):
            require("PIL", "video")
            found = (_of_picture(file) for file in find_pictures(path)[:20])
            return next((value for value in found if value is not None), None)
        require("av", "video")
        return _of_video(path)
    except Exception:  # whatever damaged metadata lead to
        return None


def _of_picture(path: Path) -> float | None:
    from PIL import Image

    with contextlib.suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError), Image.open(path) as image:
        return _number(image.getexif().get_ifd(_EXIF).get(_FOCAL_35MM))
    return None


def _of_video(path: Path) -> float | None:
    import av

    options = {"protocol_whitelist": "file"}
    with contextlib.suppress(av.FFmpegError, ValueError), av.open(f"file:{path}", options=options) as container:
        for metadata in (container.metadata, *(stream.metadata for stream in container.streams.video)):
            for key, value in metadata.items():
                if key.lower().endswith(_QUICKTIME) and (number := _number(value)) is not None:
                    return number
    return None


def _number(value: Any) -> float | None:
    """Return a focal length that a camera can have; None for 0, which means not known, and for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    low, high = _POSSIBLE
    return number if math.isfinite(number) and low <= number <= high else None
