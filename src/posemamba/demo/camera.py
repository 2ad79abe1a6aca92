"""A pinhole camera without lens distortion, to film a synthetic walker for demos and tests.

World: metres, z up. Camera: x to the right, y down, z away from the camera. Image: pixels from the top left
corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class CameraPose:
    """The position and orientation of a camera.

    Attributes:
        position: (3,) metres, in the world.
        rotation: (3, 3), its rows are the camera's x, y and z axes in the world: `rotation @ v` turns a world
            vector into a camera vector.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]


def look_at(position: Sequence[float], target: Sequence[float]) -> CameraPose:
    """Place an upright camera (the world's z axis up in the image) at `position`, looking at `target`.

    Args:
        position: (3,) metres.
        target: (3,) metres; not straight above or below `position`.

    Raises:
        ValueError: the view is vertical or has no length, so there is no upright direction.
    """
    eye = np.asarray(position, dtype=np.float64)
    ahead = np.asarray(target, dtype=np.float64) - eye
    right = np.cross(ahead, (0.0, 0.0, 1.0))
    if np.linalg.norm(right) < 1e-9 * max(1.0, float(np.linalg.norm(ahead))):
        raise ValueError(f"a camera at {tuple(position)} looking at {tuple(target)} has no upright direction")
    ahead /= np.linalg.norm(ahead)
    right /= np.linalg.norm(right)
    return CameraPose(eye, np.stack([right, np.cross(ahead, right), ahead]))


def project(
    points_world: ArrayLike, camera: CameraPose, image_size: tuple[int, int], focal: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Project world points into the image; the principal point is the image's centre.

    Args:
        points_world: (..., 3) metres.
        camera: from `look_at`.
        image_size: (width, height) in pixels.
        focal: focal length in pixels.

    Returns:
        (..., 2) pixels, NaN for points which are not in front of the camera, and (..., 3) points in the
        camera's frame in metres; both float32.
    """
    points = (np.asarray(points_world, dtype=np.float64) - camera.position) @ camera.rotation.T
    depth = np.where(points[..., 2:] > 1e-6, points[..., 2:], np.nan)
    pixels = focal * points[..., :2] / depth + np.asarray(image_size, dtype=np.float64) / 2
    return pixels.astype(np.float32), points.astype(np.float32)


def pixel_units(points_camera: ArrayLike, focal: float) -> NDArray[np.float32]:
    """Turn a person's camera-space joints into the units of `NetworkPoses`: pixels at the depth of the pelvis.

    Args:
        points_camera: (..., J, 3) metres, the pelvis first.
        focal: focal length in pixels.

    Returns:
        (..., J, 3) float32, relative to the pelvis.
    """
    points = np.asarray(points_camera, dtype=np.float64)
    pelvis = points[..., :1, :]
    return ((points - pelvis) * (focal / pelvis[..., 2:])).astype(np.float32)
