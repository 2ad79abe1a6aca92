"""The overlay's 3D panel: people on a floor, seen from another viewpoint than the camera's.

Shapes: P people, F frames, J = 17 joints, or 21 with heels and foot tips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.show.canvas import Canvas, Patch
from posemamba.show.people import Colour, Sides, colours

YAW, PITCH = math.radians(-35), math.radians(12)  # the viewpoint: to the camera's right, a little above
PAPER: Colour = (246, 247, 249)
GRID: Colour = (206, 212, 221)
SHADOW: Colour = (190, 197, 208)
INK: Colour = (26, 29, 35)
SOFT: Colour = (89, 96, 109)
_ABOVE, _BELOW = 1.9, 2.6
"""Lines of text kept free above and below the figures."""


@dataclass(frozen=True)
class View:
    """A fixed view, which projects points of the poses to pixels of the panel."""

    centre: NDArray[np.float64]
    distance: float
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project (..., 3) metres to (..., 3): x and y in the panel, and the depth."""
        x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64) - self.centre, -1, 0)
        x, z = x * math.cos(YAW) - z * math.sin(YAW), x * math.sin(YAW) + z * math.cos(YAW)
        y, z = y * math.cos(PITCH) - z * math.sin(PITCH), y * math.sin(PITCH) + z * math.cos(PITCH)
        near = self.scale * self.distance / np.maximum(self.distance + z, 0.05 * self.distance)
        return np.stack([x * near + self.shift[0], y * near + self.shift[1], z], -1)


class Panel:
    """The panel without people, and the view of it.

    Attributes:
        canvas: the empty panel.
        view: projects to its pixels.
        floor: y of the floor, metres.
        line_width: of a bone, pixels.
    """

    def __init__(self, width: int, height: int, font: Any, points: NDArray[np.float64], several: bool) -> None:
        """Choose the view.

        Args:
            width, height: pixels, even numbers.
            font: of its words.
            points: (N, 3) metres: joints of all people in many frames, which must fit in.
            several: more than one person, side by side.
        """
        self._font, self._line, self._several = font, 1.3 * font.size, several
        self.width, self.height = width, height
        points = points[np.isfinite(points).all(-1)]
        if not len(points):
            points = np.array([[-0.9, -0.9, -0.9], [0.9, 0.9, 0.9]])
        # without the outermost thousandth, as a stray joint must not shrink everything else
        low, high = np.percentile(points, [0.1, 99.9], axis=0)
        radius = max(float(np.linalg.norm(high - low)) / 2, 1e-3)
        self._body = radius if not several else max(0.6 * float(high[1] - low[1]), 1e-3)
        self.floor = float(high[1])
        self.view = self._fit(np.clip(points, low, high), View((low + high) / 2, 5 * radius))
        self.line_width = float(np.clip(self.view.scale * self._body / 45, 2.5, 0.014 * height))
        self.canvas = self._empty(radius)

    def _fit(self, points: NDArray[np.float64], view: View) -> View:
        """Make the figures as large as the panel allows."""
        extent = view.project(points)[:, :2]
        (left, top), (right, bottom) = extent.min(0), extent.max(0)
        room_x = self.width - 2 * self._line
        room_y = self.height - (_ABOVE + _BELOW) * self._line
        scale = min(room_x / max(right - left, 1e-6), room_y / max(bottom - top, 1e-6))
        x = self.width / 2 - scale * (left + right) / 2
        y = self.height - _BELOW * self._line - scale * bottom
        y -= max(0.0, (room_y - scale * (bottom - top)) / 2)
        return View(view.centre, view.distance, scale, (x, y))

    def on_floor(self, xyz: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project the shadow of (J, 3) joints."""
        return self.view.project(np.stack([xyz[:, 0], np.full(len(xyz), self.floor), xyz[:, 2]], -1))

    def _empty(self, radius: float) -> Canvas:
        """Draw the floor, the caption, the legend and the arrow of the camera's direction."""
        from PIL import Image, ImageDraw

        double = Image.new("RGB", (2 * self.width, 2 * self.height), PAPER)
        draw = ImageDraw.Draw(double)
        cell = _round_length(self._body / 2.5)
        across, along = (
            max(1, round(r / cell)) for r in ((0.9 if self._several else 0.65) * radius, 0.65 * self._body)
        )
        xs, zs = (np.arange(-n, n + 1) * cell for n in (across, along))
        for line_ends in [[(x, zs[0]), (x, zs[-1])] for x in xs] + [[(xs[0], z), (xs[-1], z)] for z in zs]:
            ends = self.view.project(np.array([(x, self.floor, z) for x, z in line_ends]))[:, :2]
            draw.line([tuple(2 * p) for p in ends], fill=GRID, width=2)
        panel = double.reduce(2)
        draw = ImageDraw.Draw(panel)
        line, font = self._line, self._font
        caption = f"3D, turned by {-math.degrees(YAW):.0f}°, grid of {cell:g} m"
        caption += ", side by side" if self._several else ""
        draw.text((0.6 * line, 0.55 * line), caption, SOFT, font)
        x, y = 0.6 * line, self.height - 0.95 * line
        sides: Sides = colours(1, dark=False)[0] if not self._several else ((74, 79, 89), (170, 176, 187), SOFT)
        for name, colour in zip(("left", "right"), sides, strict=False):
            draw.line([x, y, x + line, y], fill=colour, width=max(3, round(self.line_width)))
            draw.text((x + 1.25 * line, y), name, INK, font, anchor="lm")
            x += 1.25 * line + draw.textlength(name, font) + 0.8 * line
        self._prepare_arrow(zs[0])
        return Canvas.from_rgb(panel)

    def _prepare_arrow(self, near: float) -> None:
        """Prepare the camera's arrow at the grid's near edge, or as near as the panel shows it; it covers shadows."""
        from PIL import Image, ImageDraw

        wing, font = 0.05 * self._body, self._font
        lowest = self.height - 3.4 * font.size  # above the legend
        for _ in range(40):
            if self.view.project(np.array([0.0, self.floor, near]))[1] <= lowest:
                break
            near *= 0.95
        tip = near + 5 * wing
        arrow = [(0, near), (0, tip), (-wing, tip - 1.6 * wing), (0, tip), (wing, tip - 1.6 * wing)]
        places = self.view.project(np.array([(x, self.floor, z) for x, z in arrow]))[:, :2]
        double = Image.new("RGBA", (2 * self.width, 2 * self.height), (*SOFT, 0))
        draw = ImageDraw.Draw(double)
        draw.line([tuple(2 * p) for p in places], fill=SOFT, width=4, joint="curve")
        mark = double.reduce(2)
        text = ImageDraw.Draw(mark)
        text.text(tuple(places[0] + (0, 0.3 * font.size)), "camera", SOFT, font, anchor="ma")
        left, top, right, bottom = mark.getbbox() or (0, 0, 2, 2)
        self.arrow_corner = left // 2 * 2, top // 2 * 2
        self.arrow = Patch.from_rgba(mark.crop((*self.arrow_corner, right, bottom)))


def _round_length(limit: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above `limit`."""
    power = 10.0 ** math.floor(math.log10(limit))
    return max(m * power for m in (1, 2, 5) if m * power <= limit * (1 + 1e-9))
