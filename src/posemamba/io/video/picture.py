"""Pictures of frames, converted when they are asked for, at the size and in the colours that their user needs.

FFmpeg's scaler converts and scales in one step; what nobody asks for costs nothing. H = height, W = width.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.display import UPRIGHT, Matrix, is_transposed, turned
from posemamba.utils.errors import require

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""A picture in YUV 4:2:0, BT.709 with limited range: (H, W) luma and twice (H/2, W/2) chroma; H and W are even."""
MOST_PIXELS = 100_000_000
"""Pixels of the largest picture that is read: 100 megapixels, three times an 8K picture."""
_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's numbers of colour spaces
_MOST_SCALERS = 8
_scalers = threading.local()  # a scaler must not be used by two threads at a time


class DecodedPicture:
    """The picture of a decoded frame, as players show it: turned and flipped, with square pixels.

    Attributes:
        width, height: pixels as shown.
    """

    def __init__(
        self, frame: Any, aspect: float = 1.0, shape: tuple[int, int] | None = None, matrix: Matrix = UPRIGHT
    ) -> None:
        """Take a frame.

        Args:
            frame: PyAV's frame.
            aspect: the width of a stored pixel in its heights.
            shape: (height, width) to be shown at; None: by the frame's own size.
            matrix: the display matrix of the video's first frame.

        Raises:
            ValueError: it has too many pixels.
        """
        self._frame, self._matrix, self._transposed = frame, matrix, is_transposed(matrix)
        if shape is None:
            stored = frame.height, max(1, round(frame.width * aspect))
            self.height, self.width = stored[::-1] if self._transposed else stored
        else:
            self.height, self.width = shape
        if self.height * self.width > MOST_PIXELS:
            raise ValueError(f"pictures of {self.width} x {self.height} pixels, expected {MOST_PIXELS:,} at most")

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8."""
        return self.scaled_rgb(self.width, self.height)

    def scaled_rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the picture at another size, (height, width, 3) uint8."""
        # FFmpeg decodes unnamed colour spaces as BT.601. PyAV before 17 does so even where BT.709 is named, unless the
        # target's colour space differs, which has no effect on RGB.
        options = {"src_colorspace": "ITU709", "dst_colorspace": "ITU601"} if self._is_bt709 else {}
        return turned(self._matrix, self._scaled(width, height, "rgb24", options).to_ndarray())

    def planes(self, width: int, height: int) -> Planes:
        """Return the picture at a size of even numbers as encoders take it."""
        options = {"src_colorspace": "ITU709"} if self._is_bt709 else {}
        options |= {"dst_colorspace": "ITU709", "dst_color_range": "MPEG"}
        frame = self._scaled(width, height, "yuv420p", options)
        y, u, v = (turned(self._matrix, _plane(plane)) for plane in frame.planes)
        return y, u, v

    @property
    def _is_bt709(self) -> bool:
        """True if the colours are BT.709: players take those of high definition without a named space for it."""
        space = int(self._frame.colorspace)
        return space == _BT709 or (space == _UNSPECIFIED and self._frame.height >= 720)

    def _scaled(self, width: int, height: int, format: str, options: dict[str, str]) -> Any:
        # averages over areas do not flicker where much is left out
        how = {"interpolation": "AREA"} if width * height < 0.5 * self.width * self.height else {}
        if self._transposed:
            width, height = height, width
        scaler = _scaler((self._frame.width, self._frame.height, self._frame.format.name, width, height, format))
        return scaler.reformat(self._frame, width=width, height=height, format=format, **options, **how)


class ArrayPicture:
    """A picture that is there as an array.

    Attributes:
        rgb: (height, width, 3) uint8.
        width, height: pixels.
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb
        self.height, self.width = rgb.shape[:2]

    def scaled_rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the picture at another size, (height, width, 3) uint8."""
        return self.rgb if (width, height) == (self.width, self.height) else self._decoded.scaled_rgb(width, height)

    def planes(self, width: int, height: int) -> Planes:
        """Return the picture at a size of even numbers as encoders take it."""
        return self._decoded.planes(width, height)

    @cached_property
    def _decoded(self) -> DecodedPicture:
        av = require("av", "video")
        return DecodedPicture(av.VideoFrame.from_ndarray(np.ascontiguousarray(self.rgb), format="rgb24"))


Picture = DecodedPicture | ArrayPicture


def small_rgb(picture: Picture, height: int) -> NDArray[np.uint8]:
    """Return a picture at most so many pixels high, (height, width, 3) uint8."""
    share = min(1.0, height / picture.height)
    return picture.scaled_rgb(max(1, round(picture.width * share)), max(1, round(picture.height * share)))


def _scaler(key: tuple[Any, ...]) -> Any:
    """Return this thread's scaler from one size and format to another: making one takes longer than its work."""
    own: dict[tuple[Any, ...], Any] = _scalers.__dict__.setdefault("own", {})
    if key not in own:
        if len(own) >= _MOST_SCALERS:
            own.clear()
        own[key] = require("av.video.reformatter", "video").VideoReformatter()
    return own[key]


def _plane(plane: Any) -> NDArray[np.uint8]:
    """Return a plane's pixels, (height, width), in the plane's own memory."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
