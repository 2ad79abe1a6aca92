"""The joints of one person, with BlazePose's landmark network in three sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from posemamba.detect.blazepose.networks import Network, Size
from posemamba.detect.blazepose.regions import Region

JOINTS = 33
_POINTS = 39  # the joints, and six more: the first two give the region for the next frame
_VALUES = 5  # x, y, z, visibility, presence
_MAP = 64  # side of the heat maps
_REACH = 3  # cells of the heat map on each side of a joint that refine its place
_SURE = 0.5  # least peak of a heat map that refines


@dataclass(frozen=True)
class Landmarks:
    """BlazePose's joints of one person in one frame.

    Attributes:
        xy: (33, 2) pixels of the picture.
        visibility: (33,) 0 to 1, how likely a joint is in the picture and not hidden.
        presence: (33,) 0 to 1, how likely it is in the picture.
        score: 0 to 1, how likely the region holds a person.
        hips, circle: (2,) pixels: the middle of the hips, and a point above it on the circle around the body.
    """

    xy: NDArray[np.float64]
    visibility: NDArray[np.float64]
    presence: NDArray[np.float64]
    score: float
    hips: NDArray[np.float64]
    circle: NDArray[np.float64]

    @cached_property
    def region(self) -> Region:
        """The region in which to look for the person in the next frame."""
        return Region.around(self.hips, self.circle)

    @cached_property
    def box(self) -> NDArray[np.float64]:
        """Left, top, right and bottom of the joints, (4,) pixels."""
        return np.concatenate([self.xy.min(0), self.xy.max(0)])

    @property
    def extent(self) -> float:
        """The longer side of the box in pixels."""
        return float((self.box[2:] - self.box[:2]).max())


class LandmarkNetwork:
    """A network that finds the joints of the person in a region."""

    def __init__(self, size: Size, threads: int | None = None) -> None:
        self._network = Network(f"landmarks_{size}", threads)

    def __call__(self, rgb: NDArray[np.uint8], region: Region) -> Landmarks:
        """Find the joints of the person in a region of a (height, width, 3) uint8 picture."""
        side = self._network.side
        outputs = self._network(region.cut(rgb, side).astype(np.float32) / np.float32(255))
        points = outputs[(_POINTS * _VALUES,)].reshape(_POINTS, _VALUES).astype(np.float64)
        score = float(outputs[(1,)][0])
        places = refine_by_heat_maps(points[:, :2] / side, outputs[(_MAP, _MAP, _POINTS)]) * side
        matrix, shift = region.to_picture(side)
        xy = places @ matrix.T + shift
        return Landmarks(
            xy=xy[:JOINTS],
            visibility=_sigmoid(points[:JOINTS, 3]),
            presence=_sigmoid(points[:JOINTS, 4]),
            score=score,
            hips=xy[JOINTS],
            circle=xy[JOINTS + 1],
        )


def refine_by_heat_maps(places: NDArray[np.float64], maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Move points to the centre of their heat around them, where it has a clear peak.

    Args:
        places: (N, 2) x and y as shares of the region.
        maps: (rows, columns, N) logits.

    Returns:
        (N, 2) shares; points outside of the maps, and those without a peak of 0.5 within three cells, unchanged.
    """
    rows, columns, count = maps.shape
    inside = np.asarray(((places >= 0) & (places < 1)).all(-1))  # False for NaN
    cells = np.floor(np.where(inside[:, None], places, 0) * [columns, rows]).astype(int)
    steps = np.arange(-_REACH, _REACH + 1)
    x, y = cells[:, 0, None] + steps, cells[:, 1, None] + steps
    on_map = ((x >= 0) & (x < columns))[:, None, :] & ((y >= 0) & (y < rows))[:, :, None]
    around = maps[
        np.clip(y, 0, rows - 1)[:, :, None], np.clip(x, 0, columns - 1)[:, None, :], np.arange(count)[:, None, None]
    ]
    heat = np.where(on_map, _sigmoid(around.astype(np.float64)), 0.0)
    total = heat.sum((1, 2))
    sure = inside & (heat.max((1, 2)) >= _SURE)
    centre = np.stack([(heat * x[:, None, :]).sum((1, 2)), (heat * y[:, :, None]).sum((1, 2))], axis=-1)
    moved = centre / np.where(sure, total, 1)[:, None] / [columns, rows]
    return np.where(sure[:, None], moved, places)


def _sigmoid(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -100, 100))))
