"""Pictures as frames: one file, the files of a folder in natural order, or an animated picture, read like a video."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.pictures import find_pictures
from posemamba.io.video.clip import Clip, Frame, VideoInfo, nothing_between
from posemamba.io.video.opening import is_heif
from posemamba.io.video.picture import MOST_PIXELS, ArrayPicture
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.reading import cause

PICTURES_PER_SECOND = 30.0
_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "TIFF", "PPM", "GIF", "AVIF", "HEIF")
"""Pillow's names of the formats that are read; it knows others that run programs (EPS) or reach for other files."""
_ANIMATED = ("WEBP", "PNG", "GIF", "AVIF")
"""Those whose files may hold a clip; files of others hold thumbnails or the other eye's view."""
_UNSTATED = 0.1  # seconds that browsers show a picture that states no time


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as (height, width, 3) RGB uint8, upright by its EXIF orientation; 16-bit ones are reduced to 8.

    Of an animated one the first picture is read.

    Raises:
        PoseMambaError: there is no such file, it is no picture, is damaged, or exceeds Pillow's limit of size
            (decompression bombs).
    """
    with _opened(path) as image:
        return _upright(image)


def is_animated(path: Path) -> bool:
    """Return True if a file is an animated picture, WebP for example; False if it cannot be read."""
    try:
        with _opened(path) as image:
            return _count(image) > 1
    except PoseMambaError:
        return False


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a picture with Pillow; its errors within the block are reported as those of the file."""
    require("PIL", "video")
    from PIL import Image, UnidentifiedImageError

    if is_heif(path):
        with contextlib.suppress(ImportError):
            import pillow_heif

            pillow_heif.register_heif_opener()
        if lacking := _bytes_lacking(path):  # libheif makes a picture of what is there, and the rest grey
            raise PoseMambaError(f"{path}: the picture is cut short, {lacking} bytes are lacking; copy it again")
    Image.init()  # else it knows the commonest formats alone
    try:
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PoseMambaError(
                    f"{path}: a picture of {image.width} x {image.height} pixels, expected {MOST_PIXELS:,} at most; "
                    "make it smaller"
                )
            yield image
    except FileNotFoundError:
        raise PoseMambaError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        if is_heif(path) and not {"HEIF", "AVIF"} <= set(Image.OPEN):
            raise PoseMambaError(
                f"{path}: a HEIC or AVIF picture, which the installed Pillow does not read; convert it to jpg or "
                "png, or install the Python package pillow-heif beside Pillow"
            ) from None
        raise PoseMambaError(
            f"{path}: not a picture that can be read; expected a png, jpg, webp, tif or bmp file"
        ) from None
    except (PoseMambaError, ImportError):
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise PoseMambaError(f"{path}: the picture is cut short or damaged ({cause(error)}); copy it again") from error


def _bytes_lacking(path: Path) -> int:
    """Return how many bytes the boxes of a HEIF file declare beyond its end."""
    end = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        while len(head := file.read(16)) >= 8:
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            if size < 8:  # to the end of the file, or damaged
                return 0
            place += size
            if place > end:
                return place - end
            file.seek(place)
    return 0


def _upright(image: Any) -> NDArray[np.uint8]:
    """Return the picture that an opened file is at, turned and flipped by its EXIF orientation."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):  # Pillow would clip values at 255 instead of scaling them
        grey = np.array(upright, dtype=np.float32)
        grey /= 256 if grey.max(initial=0) > 255 else 1
        upright = Image.fromarray(np.clip(grey, 0, 255, out=grey).astype(np.uint8))
    return np.asarray(upright.convert("RGB"))


def _count(image: Any) -> int:
    """Return the number of pictures in an opened file."""
    return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1


def _durations(path: Path) -> list[float]:
    """Return the seconds that each picture of an animated one is shown; one entry for a still one."""
    with _opened(path) as image:
        durations = []
        for index in range(_count(image)):
            image.seek(index)
            image.load()
            durations.append(float(image.info.get("duration") or 0) / 1000 or _UNSTATED)
        return durations


def picture_times(clip: Clip) -> tuple[list[float], float, float]:
    """Return the times of all pictures in seconds, the frames per second on average, and the length in seconds."""
    files = find_pictures(clip.path)
    durations = [] if clip.path.is_dir() else _durations(files[0])
    count = max(len(files), len(durations))
    if len(durations) < 2 or clip.fps is not None:
        fps = clip.fps or PICTURES_PER_SECOND
        return [i / fps for i in range(count)], fps, count / fps
    ends = np.cumsum(durations)
    return [0.0, *ends[:-1].tolist()], count / float(ends[-1]), float(ends[-1])


def _animation(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures of a file, one or all of an animated picture."""
    count = len(_durations(path))
    with _opened(path) as image:
        for index in range(count):
            if index:
                image.seek(index)
            yield _upright(image)


def probe_pictures(clip: Clip) -> VideoInfo:
    """Read the properties of a sequence of pictures as of a video."""
    times, fps, length = picture_times(clip)
    inside = [i for i, time in enumerate(times) if clip.holds(time)]
    if not inside:
        raise nothing_between(clip, length)
    files = find_pictures(clip.path)
    height, width = read_picture(files[inside[0]] if clip.path.is_dir() else files[0]).shape[:2]
    steps = np.diff(times)
    return VideoInfo(
        path=clip.path,
        width=width,
        height=height,
        fps=fps,
        frames=len(inside),
        duration=len(inside) / fps,
        variable_rate=bool(len(steps)) and bool(steps.max() > 1.5 * np.median(steps)),
        rotation=0,
        codec="pictures",
    )


def read_pictures(clip: Clip, skip: int = 0) -> Iterator[Frame]:
    """Yield the pictures of a sequence as frames, all of one size, from number `skip` on."""
    times, _, _ = picture_times(clip)
    if clip.path.is_dir():
        files = find_pictures(clip.path)
        pictures = ((t, file, read_picture(file)) for t, file in zip(times, files, strict=True) if clip.holds(t))
    else:
        animation = _animation(clip.path)
        pictures = ((t, clip.path, rgb) for t, rgb in zip(times, animation, strict=True) if clip.holds(t))
    shape: tuple[int, ...] = ()
    first, origin = clip.path, 0.0
    for index, (time, file, rgb) in enumerate(pictures):
        if not shape:
            shape, first, origin = rgb.shape, file, time
        if rgb.shape != shape:
            raise PoseMambaError(
                f"{file}: is {rgb.shape[1]} x {rgb.shape[0]} pixels, {first.name} is {shape[1]} x {shape[0]}; "
                "the pictures of a sequence must be of one size: put others into a folder of their own"
            )
        if index >= skip:
            yield Frame(index, time - origin, ArrayPicture(rgb), origin)
