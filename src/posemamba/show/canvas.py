"""Drawing on pictures in YUV 4:2:0, as videos are decoded and encoded, so that no frame is converted as a whole.

Only the parts of a picture that change are touched. Lines are drawn by Pillow twice as large and shrunk, which makes
them smooth; their four bands are Y, U, V and opacity instead of red, green, blue and opacity.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.picture import ArrayPicture, Planes
from posemamba.show.people import Colour

Point = Sequence[float] | NDArray[np.floating]
_MOST = np.uint32(0x7F7F7F7F)


@functools.lru_cache
def yuv(colour: Colour) -> Colour:
    """Return a colour in BT.709 with limited range."""
    red, green, blue = colour
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    u, v = (blue - y) / 1.8556, (red - y) / 1.5748
    return round(16 + y * 219 / 255), round(128 + u * 224 / 255), round(128 + v * 224 / 255)


class Patch:
    """A small picture with opacity, to be blended into a canvas; its sides are even.

    Attributes:
        width, height: pixels.
    """

    def __init__(self, bands: NDArray[np.uint8]) -> None:
        """Take (height, width, 4) uint8: Y, U, V and opacity."""
        from PIL import Image

        self.height, self.width = bands.shape[:2]
        small = _halved(bands)
        self._luma, self._opacity = (Image.fromarray(np.ascontiguousarray(bands[..., i])) for i in (0, 3))
        self._blue, self._red, self._small_opacity = (
            Image.fromarray(np.ascontiguousarray(small[..., i])) for i in (1, 2, 3)
        )

    @classmethod
    def from_rgba(cls, image: Any) -> Patch:
        """Make a patch of a Pillow picture in RGBA; what is missing to even sides is transparent."""
        rgba = np.asarray(image)
        rgba = np.pad(rgba, ((0, rgba.shape[0] % 2), (0, rgba.shape[1] % 2), (0, 0)), mode="edge")
        red, green, blue = (rgba[..., i].astype(np.float32) for i in range(3))
        y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        bands = np.stack(
            [
                16 + y * (219 / 255),
                128 + (blue - y) * (224 / 255 / 1.8556),
                128 + (red - y) * (224 / 255 / 1.5748),
                rgba[..., 3],
            ],
            -1,
        )
        return cls(np.round(bands).astype(np.uint8))

    def blend(self, planes: Sequence[Any], x: int, y: int) -> None:
        """Blend it into three Pillow pictures, its corner at even pixels."""
        luma, blue, red = planes
        luma.paste(self._luma, (x, y), self._opacity)
        blue.paste(self._blue, (x // 2, y // 2), self._small_opacity)
        red.paste(self._red, (x // 2, y // 2), self._small_opacity)


class Canvas:
    """A picture to draw on.

    Attributes:
        width, height: pixels, even numbers.
    """

    def __init__(self, planes: Sequence[Any]) -> None:
        """Take Pillow's pictures of the three planes."""
        self._planes = tuple(planes)
        self.width, self.height = self._planes[0].size

    @classmethod
    def blank(cls, width: int, height: int, colour: Colour) -> Canvas:
        """Make an empty canvas of one colour."""
        from PIL import Image

        sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
        return cls([Image.new("L", size, value) for size, value in zip(sizes, yuv(colour), strict=True)])

    @classmethod
    def from_rgb(cls, image: Any) -> Canvas:
        """Make a canvas of a Pillow picture in RGB, of even sides."""
        return cls.from_planes(ArrayPicture(np.asarray(image)).planes(*image.size))

    @classmethod
    def from_planes(cls, planes: Planes) -> Canvas:
        """Make a canvas of a picture's planes, which are copied."""
        from PIL import Image

        return cls([Image.fromarray(np.array(plane)) for plane in planes])

    def copy(self) -> Canvas:
        """Return a canvas of the same picture, to draw on."""
        return Canvas([plane.copy() for plane in self._planes])

    @property
    def planes(self) -> Planes:
        """The picture as encoders take it."""
        y, u, v = (np.asarray(plane) for plane in self._planes)
        return y, u, v

    def put(self, other: Canvas, x: int, y: int) -> None:
        """Copy another canvas to this one, its corner at even pixels."""
        for share, mine, theirs in zip((1, 2, 2), self._planes, other._planes, strict=True):
            mine.paste(theirs, (x // share, y // share))

    def blend(self, patch: Patch, x: float, y: float) -> None:
        """Blend a patch into the picture, its top left corner at (x, y) to the nearest two pixels."""
        patch.blend(self._planes, 2 * round(x / 2), 2 * round(y / 2))


class Sketch:
    """Smooth lines and dots between points, over a part of a canvas; `onto` blends them into it when all are drawn."""

    def __init__(self, canvas: Canvas, points: NDArray[np.floating], low: Point, high: Point, behind: Colour) -> None:
        """Prepare a part of a canvas.

        Args:
            canvas: on which it is drawn.
            points: (N, 2) pixels of the canvas.
            low, high: (x, y) corners of what will be drawn; what lies outside of the canvas is left out.
            behind: the colour of the outermost lines, with which their edges mix.
        """
        from PIL import Image, ImageDraw

        size = np.array([canvas.width, canvas.height])
        self._canvas = canvas
        self._low = np.maximum(np.floor(np.asarray(low) / 2) * 2, 0).astype(int)
        ends = np.minimum(np.ceil(np.asarray(high) / 2) * 2, size).astype(int)
        self.empty = bool((ends <= self._low).any())
        if not self.empty:
            self._places = [tuple(place) for place in (2 * (points - self._low)).tolist()]
            self._image: Any = Image.new("RGBA", tuple((2 * (ends - self._low)).tolist()), (*yuv(behind), 0))
            self._draw: Any = ImageDraw.Draw(self._image)

    def line(self, start: int, end: int, width: float, colour: Colour, opacity: float) -> None:
        """Draw a line between two points over what is there; it hides that also where it is not opaque."""
        ends = [self._places[start], self._places[end]]
        self._draw.line(ends, (*yuv(colour), round(255 * opacity)), max(1, round(2 * width)))

    def dot(self, point: int, radius: float, colour: Colour, opacity: float) -> None:
        """Draw a disc around a point over what is there."""
        x, y = self._places[point]
        box = (x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius)
        self._draw.ellipse(box, (*yuv(colour), round(255 * opacity)))

    def onto(self) -> None:
        """Blend all of it into the canvas."""
        if not self.empty:
            self._canvas.blend(Patch(_halved(np.asarray(self._image))), *self._low.tolist())


def _halved(bands: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink (H, W, 4) to a half: means of four pixels, of all bands at once and up to two levels too low."""
    packed = np.ascontiguousarray(bands).view(np.uint32)[..., 0]
    rows = ((packed[::2] >> 1) & _MOST) + ((packed[1::2] >> 1) & _MOST)
    both = ((rows[:, ::2] >> 1) & _MOST) + ((rows[:, 1::2] >> 1) & _MOST)
    return both[..., None].view(np.uint8)
