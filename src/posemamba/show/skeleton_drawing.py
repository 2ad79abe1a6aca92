"""Skeletons on a canvas: bones with rims, that are seen on white and on black, and text with a rim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import FEET, H36M17
from posemamba.show.canvas import Canvas, Patch, Sketch
from posemamba.show.people import BONES, Colour, Sides

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
THIN = 0.6
"""The width of a foot's bones and points as a share of the others'."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class Brush:
    """How bones are drawn.

    Attributes:
        width: of a bone in pixels.
        rim: colour and opacity of a line on both sides of each bone; None: without.
        outline: colour and opacity of a line around the whole skeleton; None: without.
        edge: the rim's width in pixels; the outline is as wide.
    """

    width: float
    rim: tuple[Colour, float] | None = None
    outline: tuple[Colour, float] | None = None
    edge: float = 2.0


class Skeletons:
    """The joints and bones of all skeletons of a clip, with or without feet."""

    def __init__(self, feet: bool) -> None:
        self.bones = BONES if feet else H36M17.bones
        names = (*H36M17.joints, *(FEET if feet else ()))
        self._sides = [0 if n.startswith("left") else 1 if n.startswith("right") else 2 for n in names]
        self._shares = [1.0 if joint < len(H36M17) else THIN for joint in range(len(names))]

    def draw(
        self,
        canvas: Canvas,
        within: Box,
        points: NDArray[np.floating],
        confidence: NDArray[np.floating],
        sides: Sides,
        brush: Brush,
    ) -> None:
        """Draw one skeleton, far bones first; joints of low confidence are faint.

        Args:
            canvas: to draw on.
            within: the part of it outside of which nothing is drawn.
            points: (J, 3) x, y in pixels and the depth, NaN where not found.
            confidence: (J,) from 0 to 1.
            sides: its colours.
            brush: its lines.
        """
        found = np.isfinite(points).all(-1)
        if not found.any():
            return
        margin = brush.width + 2 * brush.edge + 2
        low = np.maximum(points[found, :2].min(0) - margin, within[:2])
        high = np.minimum(points[found, :2].max(0) + margin, within[2:])
        behind = next((line[0] for line in (brush.outline, brush.rim) if line is not None), sides[2])
        sketch = Sketch(canvas, points[:, :2], low, high, behind)
        if sketch.empty:
            return
        bones = [(p, j) for p, j in self.bones if found[p] and found[j]]
        bones.sort(key=lambda bone: -(points[bone[0], 2] + points[bone[1], 2]))
        width, edge, trust = brush.width, brush.edge, np.clip(np.nan_to_num(confidence), 0, 1).tolist()
        joints = np.flatnonzero(found).tolist()
        if brush.outline is not None:
            for p, j in bones:
                sketch.line(p, j, self._shares[j] * width + 4 * edge, *brush.outline)
            for joint in joints:
                sketch.dot(joint, self._shares[joint] * 0.8 * width + 2 * edge, *brush.outline)
        if brush.rim is not None:
            for joint in joints:
                sketch.dot(joint, self._shares[joint] * 0.8 * width + edge, *brush.rim)
        for p, j in bones:
            if brush.rim is not None:
                sketch.line(p, j, self._shares[j] * width + 2 * edge, *brush.rim)
            sketch.line(p, j, self._shares[j] * width, sides[self._sides[j]], 0.2 + 0.8 * min(trust[p], trust[j]))
        for joint in joints:
            sketch.dot(joint, self._shares[joint] * 0.8 * width, sides[self._sides[joint]], 0.3 + 0.7 * trust[joint])
        sketch.onto()

    def colour(self, sides: Sides, joint: int) -> Colour:
        """Return a joint's colour."""
        return sides[self._sides[joint]]


def text_patch(text: str, font: Any, colour: Colour, rim: Colour | None = None) -> Patch:
    """Make a patch of a word, on nothing, with a rim of another colour."""
    from PIL import Image, ImageDraw

    stroke = 0 if rim is None else max(1, round(font.size / 9))
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    image = Image.new("RGBA", (int(right - left) + 2, int(bottom - top) + 2), (*(rim or colour), 0))
    draw = ImageDraw.Draw(image)
    draw.text((1 - left, 1 - top), text, (*colour, 255), font, stroke_width=stroke, stroke_fill=(*(rim or colour), 255))
    return Patch.from_rgba(image)


def badge_patch(lines: Sequence[tuple[str, Colour, Colour]], font: Any) -> Patch:
    """Make a patch of badges under each other: words, their colour, and the colour behind them."""
    from PIL import Image, ImageDraw

    high = round(1.5 * font.size)
    widths = [round(font.getlength(text) + 1.0 * font.size) for text, _, _ in lines]
    step = high + max(2, round(0.25 * font.size))
    image = Image.new("RGBA", (max(max(widths), high), step * len(lines)), (*lines[0][2], 0))
    draw = ImageDraw.Draw(image)
    for i, ((text, colour, behind), width) in enumerate(zip(lines, widths, strict=True)):
        box = (0, i * step, max(width, high) - 1, i * step + high - 1)
        draw.rounded_rectangle(box, 0.35 * font.size, fill=(*behind, 255))
        draw.text(((box[0] + box[2]) / 2, i * step + high / 2), text, (*colour, 255), font, anchor="mm")
    return Patch.from_rgba(image)
