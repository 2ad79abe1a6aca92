"""Places of joints that are none: marks for joints that were not found, broken numbers, other units and axes.

Shapes: J joints, n rows of a person in a frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.source import LARGEST_IMAGE
from posemamba.poses.curves import known_median
from posemamba.utils.errors import PoseMambaError

_FAR = 20.0  # times the median distance from the body's middle: no joint is so far away
_ENOUGH = 8  # joints of a body by which its size can be told
_NEGATIVE_SHARES = 1 / 3  # of the coordinates that should be shares of the picture: they are centred on something
_OUTSIDE = 1 / 3  # of the joints left of the picture or above it
_SMALLEST = 5.0  # pixels: the longer side of a body that can be seen
_BEYOND, _MARGIN = 0.1, 0.1
"""Share of the sure joints that lie beyond the picture's right and bottom sides, by more than the second share of its
longer side, from which on the picture is another one."""
_SURE = 0.5


def marks(xy: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return (..., J) which of (..., J, 2) joints are marks for "not found": NaN, (0, 0), (-1, -1) and their kind.

    Whole numbers up to 0 that are the same in x and y: no detector places a joint at such a point exactly.
    """
    x, y = xy[..., 0], xy[..., 1]
    return np.asarray(np.isnan(xy).any(-1) | ((x == y) & (x <= 0) & (np.floor(x) == x)))


def broken(xy: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return (..., J) which of (..., J, 2) joints lie beyond any picture, or by far outside of the rest of the body.

    Infinite ones are not among them, as they are refused.
    """
    finite = np.isfinite(xy).all(-1)
    huge = finite & (np.abs(xy) >= LARGEST_IMAGE).any(-1)
    known = finite & ~huge & ~marks(xy)
    body = np.where(known[..., None], xy, np.nan).astype(np.float32)
    middle = np.stack([known_median(body[..., axis]) for axis in (0, 1)], -1)
    away = np.square(body - middle[..., None, :]).sum(-1)
    usual = np.where(known.sum(-1) >= _ENOUGH, known_median(away), np.nan)[..., None]
    with np.errstate(invalid="ignore"):
        return np.asarray(huge | ((usual > 0) & (away > _FAR**2 * usual)))


def check_shares(path: Path, xy: NDArray[np.floating]) -> None:
    """Check that numbers of the size of shares of the picture, (n, J, 2), can be such.

    Raises:
        PoseMambaError: they lie on both sides of zero, as metres from the body's middle do.
    """
    found = xy[np.isfinite(xy).all(-1)]
    if len(found) and float((found < 0).mean()) > _NEGATIVE_SHARES:
        low, high = found.min(), found.max()
        raise PoseMambaError(
            f"{path}: coordinates from {low:.3g} to {high:.3g}, {(found < 0).mean():.0%} of them negative: metres "
            "from the body's middle (MediaPipe's world landmarks), or shares from the picture's middle; expected "
            "pixels, or shares of the picture from 0 to 1"
        )


def check_pixels(path: Path, xy: NDArray[np.floating]) -> str:
    """Check that numbers, (n, J, 2), can be pixels.

    Returns:
        A remark if many of them lie outside of any picture; else "".

    Raises:
        PoseMambaError: the body would be smaller than can be seen.
    """
    found = np.isfinite(xy).all(-1)
    rows = found.sum(-1) >= _ENOUGH
    if rows.any():
        high = np.where(found[rows][..., None], xy[rows], -np.inf).max(1)
        low = np.where(found[rows][..., None], xy[rows], np.inf).min(1)
        size = float(np.median((high - low).max(-1)))
        if size < _SMALLEST:
            raise PoseMambaError(
                f"{path}: the body is {size:.2g} long, and too small to be seen if these are pixels; expected pixels: "
                "multiply shares by the picture's width and height, and project metres by a camera"
            )
    outside = (xy[found] < 0).mean(0)
    if outside.max(initial=0) > _OUTSIDE:
        axis = int(np.argmax(outside))
        return (
            f"{outside[axis]:.0%} of the joints have a negative {'xy'[axis]}, and lie "
            f"{('left of', 'above')[axis]} the picture; expected pixels, x right and y down from its top left corner"
        )
    return ""


def outside(xy: NDArray[np.floating], confidence: NDArray[np.floating], size: tuple[int, int]) -> str:
    """Say that many joints lie beyond the right and bottom sides of their picture; "" if they do not.

    Legs that a detector guesses below the picture do not count where it is not sure of them.

    Args:
        xy: (n, J, 2) pixels, NaN where not found.
        confidence: (n, J).
        size: (width, height) of the picture.
    """
    width, height = size
    found = np.isfinite(xy).all(-1)
    sure = found & (confidence > _SURE)
    sure = sure if sure.any() else found
    beyond = (xy[sure] > np.array(size) + _MARGIN * max(size)).any(-1)
    if not len(beyond) or beyond.mean() <= _BEYOND:
        return ""
    right, bottom = np.percentile(xy[sure], 99, axis=0)
    exchanged = right <= height < bottom <= width or bottom <= width < right <= height
    return (
        f"{beyond.mean():.0%} of the joints lie outside of the picture of {width} x {height} pixels, up to x "
        f"{right:.0f} and y {bottom:.0f}" + (" (x and y exchanged would fit)" if exchanged else "")
    )


def in_a_corner(xy: NDArray[np.floating], size: tuple[int, int]) -> str:
    """Say that all joints, (n, J, 2), lie in the upper left quarter of a picture that may not be theirs; else ""."""
    found = xy[np.isfinite(xy).all(-1)]
    if not len(found) or (np.percentile(found, 99, axis=0) > 0.52 * np.array(size)).any():
        return ""
    return (
        f"all joints lie in the upper left quarter of the picture of {size[0]} x {size[1]} pixels: if they were found "
        "in smaller pictures, give the size of these: --image-size"
    )
