"""A virtual camera that looks at the person: pixels turned before lifting, joints turned back after it.

A lifter is given joints relative to each other, at one size, and cannot see how far from the picture's middle the
person stands. There a body is seen from another side than in the middle, and comes out leaning. So the camera is
turned, on the spot, until it looks at the person: pixels become rays by the focal length, all rays are turned by one
rotation and meet the image plane of a camera with the same focal length and centre.

Frames of reference: the camera's axes, x right, y down, z away from the camera. `VirtualCamera.rotation` leads from the
real camera's axes to the virtual camera's: a point p (column) is at ``rotation @ p`` there. Pinhole cameras without
lens distortion. Pixels are (..., 2), x right and y down from the picture's upper left corner.

A focal length that is guessed bends nothing where the person is (the turned picture is only stretched a little across),
but the person is then seen as far from the true middle as the guess is off.

`posemamba.data.cameras.look_at_people` does the same in training, on tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemamba.utils.blocks import in_blocks
from posemamba.utils.errors import PoseMambaError

__all__ = [
    "GUESSED_FOV",
    "TURNING_CUTOFF",
    "Lens",
    "VirtualCamera",
    "check_fov",
    "check_roll",
    "focal_length",
    "level_roll",
    "look_along",
    "look_at_joints",
    "mean_ray",
    "roll_of",
]

Array = NDArray[np.float64]

GUESSED_FOV = 55.0
"""Degrees along the picture's longer side, where none is given: between phones (60 to 70) and longer lenses."""
TURNING_CUTOFF = 0.1
"""Hertz: how fast the direction changes. Measured, see studies/LOG.md: faster is better for people who walk far with
exact joints, and worse on a short real clip."""
_STEEPEST = math.cos(math.radians(80))
"""Cosine of the angle from the axis beyond which a joint is not in the turned picture: its tangent explodes."""


@dataclass(frozen=True)
class Lens:
    """The field of view of a camera, and the source of that knowledge.

    Attributes:
        focal: focal length in pixels; None: `GUESSED_FOV` along the picture's longer side.
        source: ``given`` by the user, read from the ``file``'s metadata, or a ``guess``.
    """

    focal: float | None = None
    source: Literal["given", "file", "guess"] = "guess"

    @classmethod
    def of_fov(cls, image_size: tuple[int, int], fov: float) -> Lens:
        """Make the lens of a horizontal field of view in degrees, as a user gives it.

        Raises:
            PoseMambaError: a field of view that no lens without distortion has.
        """
        return cls(image_size[0] / 2 / math.tan(math.radians(check_fov(fov)) / 2), "given")

    def focal_in(self, image_size: tuple[int, int]) -> float:
        """Return the focal length in pixels for pictures of that size."""
        return focal_length(image_size) if self.focal is None else self.focal


@dataclass(frozen=True)
class VirtualCamera:
    """A camera at the place of the real one, turned, with its focal length and centre.

    Attributes:
        rotation: (3, 3) from the real camera's axes to the virtual camera's; or (F, 3, 3), one for each frame.
        focal: focal length in pixels, of both.
        centre: (2,) pixels, of both.
        lens: where the focal length is known from (`Lens.source`).
    """

    rotation: Array
    focal: float
    centre: Array
    lens: Literal["given", "file", "guess"] = field(default="given", kw_only=True)

    @classmethod
    def unturned(cls, image_size: tuple[int, int], lens: Lens | None = None) -> VirtualCamera:
        """Return the real camera itself, with the picture's middle as its centre."""
        lens = lens or Lens()
        middle = np.array(image_size, np.float64) / 2
        return cls(np.eye(3), lens.focal_in(image_size), middle, lens=lens.source)

    @property
    def is_turned(self) -> bool:
        """True if it looks anywhere but where the real camera looks."""
        return not np.array_equal(self.rotation, np.broadcast_to(np.eye(3), self.rotation.shape))

    def fov(self, image_size: tuple[int, int]) -> float:
        """Return the real camera's horizontal field of view in degrees."""
        return 2 * math.degrees(math.atan(image_size[0] / 2 / self.focal))

    def see(self, xy: ArrayLike) -> Array:
        """Turn pixels (..., 2) of the real picture into the virtual camera's; with a rotation a frame, (F, N, 2).

        NaN stays NaN. Joints that lie more than 80 degrees from the virtual camera's axis become NaN.
        """
        return self._turned(np.asarray(xy), self.rotation)

    def unsee(self, xy: ArrayLike) -> Array:
        """Turn pixels (..., 2) of the virtual camera's picture back into the real one's: the inverse of `see`."""
        return self._turned(np.asarray(xy), np.swapaxes(self.rotation, -1, -2))

    def turn(self, xyz: ArrayLike) -> Array:
        """Turn points or vectors (..., 3) in the real camera's axes into the virtual camera's axes.

        With a rotation for each frame they are (F, N, 3), here and in `turn_back`.
        """
        return np.asarray(xyz, np.float64) @ np.swapaxes(self.rotation, -1, -2)

    def turn_back(self, xyz: ArrayLike) -> Array:
        """Turn points or vectors (..., 3) in the virtual camera's axes into the real camera's: undo `turn`."""
        return np.asarray(xyz, np.float64) @ self.rotation

    def _turned(self, xy: NDArray[Any], rotation: Array) -> Array:
        if xy.ndim == rotation.ndim == 3 and len(rotation) == len(xy):
            return in_blocks(self._turned_block, xy, rotation)
        return self._turned_block(xy, rotation)

    def _turned_block(self, xy: NDArray[Any], rotation: Array) -> Array:
        rays = _rays(xy.astype(np.float64), self.focal, self.centre) @ np.swapaxes(rotation, -1, -2)
        depth = rays[..., 2:]
        there = depth > _STEEPEST * np.linalg.norm(rays, axis=-1, keepdims=True)
        return np.where(there, rays[..., :2] / np.where(there, depth, 1.0) * self.focal + self.centre, np.nan)


def focal_length(image_size: tuple[int, int], fov: float = GUESSED_FOV) -> float:
    """Return the focal length in pixels of a picture (width, height) with a field of view along its longer side.

    Args:
        image_size: width and height in pixels.
        fov: degrees along the longer side.
    """
    return max(image_size) / 2 / math.tan(math.radians(fov) / 2)


def check_fov(fov: float) -> float:
    """Return a horizontal field of view in degrees.

    Raises:
        PoseMambaError: a field of view that no lens without distortion has.
    """
    if not (math.isfinite(fov) and 2 <= fov <= 170):
        raise PoseMambaError(f"the field of view is {fov:g}, expected 2 to 170 degrees across the picture")
    return float(fov)


def check_roll(roll: float) -> float:
    """Return a camera's roll in degrees.

    Raises:
        PoseMambaError: it is not an angle from -180 to 180.
    """
    if not (math.isfinite(roll) and -180 <= roll <= 180):
        raise PoseMambaError(f"the camera's roll is {roll:g}, expected -180 to 180 degrees")
    return float(roll)


def level_roll(direction: ArrayLike, roll: float) -> Array:
    """Return the roll, for `look_along`, after which upright lines are upright in the picture of a rolled camera.

    Args:
        direction: (..., 3) where the virtual camera looks, in the real camera's axes.
        roll: radians by which the real camera is turned clockwise about its axis; its pitch counts as 0.

    Returns:
        (...) radians.
    """
    up = np.array([-math.sin(roll), -math.cos(roll), 0.0])
    return roll_of(look_along(direction) @ up)


def look_along(direction: ArrayLike, roll: ArrayLike = 0.0) -> Array:
    """Return the rotation (..., 3, 3) after which `direction` is the optical axis.

    It is the smallest one, about an axis in the picture's plane, so that hardly any roll is added. Then the camera is
    rolled about its new axis, so that a picture that is rolled by `roll` comes out level.

    Args:
        direction: (..., 3) in the real camera's axes, of any length, in front of the camera.
        roll: (...) or one number, radians by which the real camera is turned clockwise about its axis, as its holder
            sees it: an upright line leans to the left in its picture. Where `up` is known in the real camera's axes,
            it is ``roll_of(look_along(direction) @ up)``.

    Raises:
        ValueError: a direction is not finite, or not in front of the camera.
    """
    rays = np.asarray(direction, np.float64)
    x, y, z = rays[..., 0], rays[..., 1], rays[..., 2]
    length = np.sqrt(x * x + y * y + z * z)
    wrong = ~(np.isfinite(length) & (z > 0))
    if wrong.any():
        raise ValueError(f"direction is {rays[wrong].tolist()[0]}, expected a finite one in front of the camera")
    x, y, z = x / length, y / length, z / length
    # Rodrigues' formula about (y, -x, 0), written out: no division by a sine that may be zero
    k = 1 / (1 + z)
    rows = [[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]]
    c, s = np.broadcast_arrays(np.cos(roll), np.sin(roll), x)[:2]
    rolled = [
        [c * a - s * b for a, b in zip(*rows[:2], strict=True)],
        [s * a + c * b for a, b in zip(*rows[:2], strict=True)],
        rows[2],
    ]
    return np.stack([np.stack(row, -1) for row in rolled], -2)


def look_at_joints(
    xy: ArrayLike,
    focal: float,
    centre: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    roll: float = 0.0,
) -> VirtualCamera:
    """Turn a camera towards the mean of the joints that are seen, one rotation for all frames.

    Args:
        xy: (F, J, 2) pixels; NaN where a joint was not found.
        focal: focal length in pixels, known or guessed (`focal_length`).
        centre: (2,) pixels, usually the picture's middle.
        weights: (F, J) such as confidence: joints without weight do not count, others all alike; None: all that are
            found count.
        roll: see `look_along`.

    Returns:
        The camera; where no joint is seen it looks where the real one does.
    """
    middle = np.asarray(centre, np.float64)
    rays, counts = mean_ray(xy, focal, middle, weights)
    direction = (rays * counts[:, None]).sum(0) if counts.any() else np.array([0.0, 0.0, 1.0])
    return VirtualCamera(look_along(direction, roll), float(focal), middle)


def mean_ray(xy: ArrayLike, focal: float, centre: Array, weights: ArrayLike | None = None) -> tuple[Array, Array]:
    """Return the mean direction to the joints that are seen in each frame.

    Args:
        xy, focal, centre, weights: as in `look_at_joints`.

    Returns:
        (F, 3) mean of unit vectors, the optical axis where no joint is seen; and (F,) the numbers of joints.
    """
    pixels = np.asarray(xy)
    seen = np.asarray(np.isfinite(pixels).all(-1))
    if weights is not None:
        seen &= np.nan_to_num(np.asarray(weights, np.float64)) > 0

    def sum_rays(pixels: NDArray[Any], seen: NDArray[np.bool_]) -> Array:
        rays = _rays(np.where(seen[..., None], pixels.astype(np.float64), centre), focal, centre)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        return np.asarray((rays * seen[..., None]).sum(1))

    counts, total = seen.sum(1).astype(np.float64), in_blocks(sum_rays, pixels, seen)
    return np.where(counts[:, None] > 0, total / np.maximum(counts, 1)[:, None], [0.0, 0.0, 1.0]), counts


def roll_of(up: ArrayLike) -> Array:
    """Return the roll of a camera, for `look_along`, by the direction that is up in its picture.

    Args:
        up: (..., 2 or more), x and y of what is up, in the real camera's axes (y down); (0, -1) is a level camera.

    Returns:
        (...) radians from -pi to pi.
    """
    way = np.asarray(up, np.float64)
    return np.arctan2(-way[..., 0], -way[..., 1])


def _rays(xy: Array, focal: float, centre: Array) -> Array:
    """(..., 2) pixels to (..., 3) directions in front of the camera, with z = 1."""
    flat = (xy - centre) / focal
    return np.concatenate([flat, np.ones((*xy.shape[:-1], 1))], -1)
