"""Finding people anywhere in a picture, with BlazePose's person detector.

The network sees 224 x 224 pixels and finds people who fill a good part of them. So it looks at the whole picture, at
three large squares of it, and in turn at small squares, in which people far away are large enough.

Shapes: A anchors, N candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.detect.blazepose.networks import Network
from posemamba.detect.blazepose.regions import Region, cut_square

Square = tuple[float, float, float]
"""Left, top and side of an upright square, in pixels."""

LEAST_SCORE = 0.5
_SAME = 0.3  # overlap of two candidates' boxes from which on they are one person
_TILES = 3  # large squares along the picture's longer side, as high as the shorter side
_SMALL = 0.5  # side of the small squares as a share of the shorter side
# Grid of anchors: stride in pixels of the input, anchors in each cell.
_ANCHORS = ((8, 2), (16, 2), (32, 6))


@dataclass(frozen=True)
class Found:
    """A person that the detector found.

    Attributes:
        score: 0 to 1.
        box: (4,) left, top, right, bottom of the circle around the body, in pixels.
        region: the square for the landmarks.
    """

    score: float
    box: NDArray[np.float64]
    region: Region


class PersonFinder:
    """A finder of all people in a picture."""

    def __init__(self, threads: int | None = None) -> None:
        self._network = Network("person_detector", threads)
        self._anchors = _anchors(self._network.side)

    def __call__(self, rgb: NDArray[np.uint8], squares: Sequence[Square], small: Sequence[Square] = ()) -> list[Found]:
        """Find people in some squares of a picture; a person seen in several squares is one.

        Args:
            rgb: (height, width, 3) uint8.
            squares: from `whole_and_tiles`.
            small: from `small_tiles`. They show parts of near people, so what they hold is not averaged with what the
                larger squares hold.

        Returns:
            Those in the larger squares, the best first, then those in the small ones, who may be the same or a part.
        """
        return self._people(rgb, squares) + self._people(rgb, small)

    def _people(self, rgb: NDArray[np.uint8], squares: Sequence[Square]) -> list[Found]:
        if not squares:
            return []
        found = [self._look(rgb, square) for square in squares]
        scores, boxes, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return [
            Found(score, box, Region.around(hips, circle))
            for score, box, (hips, circle) in _merge(scores, boxes, points)
        ]

    def _look(
        self, rgb: NDArray[np.uint8], square: Square
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return scores (N,), boxes (N, 4) and points (N, 2, 2): the hips' middle and a point of the circle."""
        side = self._network.side
        left, top, length = square
        picture = cut_square(rgb, left, top, length, side).astype(np.float32) / 127.5 - 1
        outputs = self._network(picture)
        values, logits = outputs[(len(self._anchors), 12)], outputs[(len(self._anchors), 1)][:, 0]
        scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))
        kept = np.flatnonzero(scores >= LEAST_SCORE)
        raw = values[kept].astype(np.float64) / side
        points = raw[:, 4:8].reshape(-1, 2, 2) + self._anchors[kept, None]
        # the detector's own box holds the face; the circle around the body tells people apart better
        radius = np.hypot(*(points[:, 1] - points[:, 0]).T)[:, None]
        boxes = np.concatenate([points[:, 0] - radius, points[:, 0] + radius], axis=1)
        corner = np.array([left, top])
        return scores[kept], boxes * length + np.tile(corner, 2), points * length + corner


def whole_and_tiles(width: int, height: int) -> list[Square]:
    """Return the square around the whole picture, and three squares along its longer side (none for a square one)."""
    long, short = max(width, height), min(width, height)
    squares: list[Square] = [((width - long) / 2, (height - long) / 2, long)]
    if long < 1.2 * short:
        return squares
    for place in np.linspace(0, long - short, _TILES):
        squares.append((place, 0.0, short) if width > height else (0.0, place, short))
    return squares


def small_tiles(width: int, height: int) -> list[Square]:
    """Return small squares that cover the picture and overlap by half."""
    side = _SMALL * min(width, height)
    columns, rows = (max(1, int(np.ceil((length - side) / (side / 2)))) + 1 for length in (width, height))
    return [(x, y, side) for y in np.linspace(0, height - side, rows) for x in np.linspace(0, width - side, columns)]


def overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of intersection in union of a box (4,) with others (N, 4), (N,)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=-1) + np.prod(box[2:] - box[:2])
    return np.asarray(both / np.maximum(areas - both, 1e-12))


def _merge(
    scores: NDArray[np.float64], boxes: NDArray[np.float64], points: NDArray[np.float64]
) -> list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    """Merge candidates that overlap into one of their means, weighted by score (weighted non-maximum suppression)."""
    left = np.argsort(-scores)
    people = []
    while len(left):
        best = left[0]
        same = overlap(boxes[best], boxes[left]) > _SAME
        same[0] = True
        group, left = left[same], left[~same]
        weights = scores[group] / scores[group].sum()
        people.append((float(scores[best]), weights @ boxes[group], np.einsum("n,nij->ij", weights, points[group])))
    return people


def _anchors(side: int) -> NDArray[np.float64]:
    """Return the anchors' centres as shares of the input, (A, 2)."""
    centres = []
    for stride, count in _ANCHORS:
        cells = (np.arange(side // stride) + 0.5) / (side // stride)
        grid = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)
