"""Regions of a picture that a network looks at, cut out as its square input.

Pixels are continuous: x right and y down from the picture's top left corner, so the first pixel's middle is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import require

ROI_PER_RADIUS = 2.5
"""Side of a person's region per distance from the middle of the hips to the furthest point of the body."""


@dataclass(frozen=True)
class Region:
    """A square in the picture, turned so that a person's trunk stands upright in it.

    Attributes:
        centre: (2,) pixels.
        side: pixels.
        angle: radians by which the square is turned clockwise, as seen in the picture.
    """

    centre: NDArray[np.float64]
    side: float
    angle: float

    @classmethod
    def around(cls, hips: NDArray[np.floating], circle: NDArray[np.floating]) -> Region:
        """Build a person's region.

        Args:
            hips: (2,) middle of the hips.
            circle: (2,) point straight above it, on the circle around the hips that holds the whole body.
        """
        up = np.asarray(circle, np.float64) - hips
        angle = np.pi / 2 - np.arctan2(-up[1], up[0])
        return cls(np.asarray(hips, np.float64), float(ROI_PER_RADIUS * np.hypot(*up)), float(angle))

    def to_picture(self, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the map from a cut-out of `side` pixels to the picture: a (2, 2) matrix and a (2,) shift."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        matrix = np.array([[cos, -sin], [sin, cos]]) * (self.side / side)
        return matrix, self.centre - matrix @ np.full(2, side / 2)

    def cut(self, rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """Cut the region out of a picture, (side, side, 3); black where it reaches beyond the picture."""
        image = require("PIL.Image", "video")
        matrix, shift = self.to_picture(side)
        corners = shift + np.array([[0, 0], [side, 0], [0, side], [side, side]]) @ matrix.T
        height, width = rgb.shape[:2]
        # only the part of the picture that is needed goes through Pillow, which copies it
        low = np.clip(np.floor(corners.min(0)) - 2, 0, [width, height]).astype(int)
        high = np.clip(np.ceil(corners.max(0)) + 2, 0, [width, height]).astype(int)
        if not (high > low).all():
            return np.zeros((side, side, 3), np.uint8)
        part = np.ascontiguousarray(rgb[low[1] : high[1], low[0] : high[0]])
        start = shift - low
        data = (matrix[0, 0], matrix[0, 1], start[0], matrix[1, 0], matrix[1, 1], start[1])
        turned = image.fromarray(part).transform((side, side), image.AFFINE, data, resample=image.BILINEAR)
        return np.asarray(turned)


def cut_square(rgb: NDArray[np.uint8], left: float, top: float, length: float, side: int) -> NDArray[np.uint8]:
    """Cut an upright square out of a picture and resize it, (side, side, 3); black beyond the picture.

    Args:
        rgb: (height, width, 3).
        left, top: its corner in pixels, possibly outside of the picture.
        length: its side in pixels.
        side: that of the result.
    """
    image = require("PIL.Image", "video")
    height, width = rgb.shape[:2]
    low = np.maximum([left, top], 0.0)
    high = np.minimum([left + length, top + length], [width, height])
    result = np.zeros((side, side, 3), np.uint8)
    scale = side / length
    corner = np.round((low - [left, top]) * scale).astype(int)
    size = np.maximum(np.round((high - low) * scale).astype(int), 1)
    size = np.minimum(size, side - corner)
    if not (high > low).all() or not (size > 0).all():
        return result
    a, b = np.floor(low).astype(int), np.ceil(high).astype(int)
    part = np.ascontiguousarray(rgb[a[1] : b[1], a[0] : b[0]])
    box = (*(low - a), *(high - a))
    small = image.fromarray(part).resize((int(size[0]), int(size[1])), image.BILINEAR, box=box)
    result[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]] = np.asarray(small)
    return result
