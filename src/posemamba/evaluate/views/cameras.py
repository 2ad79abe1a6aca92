"""Calibrated cameras with lens distortion, in OpenCV's conventions.

Frames of reference: the world in metres, right-handed, any axes; a camera's axes in metres, x right, y down, z away.
Pixels (..., 2): x right and y down, from the picture's upper left corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemamba.utils.errors import PoseMambaError

Array = NDArray[np.float64]

_SAME_SIZE = 1.5  # pixels: some programs write width - 1
_SAME_SHAPE = 0.01  # relative difference of two aspect ratios: encoders round widths to multiples of 8 or 16
_ROUNDS = 100  # of the inversion of the distortion, at most


@dataclass(frozen=True)
class Camera:
    """A calibrated camera.

    Attributes:
        name: of the camera in the calibration.
        size: (width, height) of its pictures in pixels.
        matrix: (3, 3) focal lengths and centre in pixels.
        distortions: k1, k2, p1, p2 and k3 of Brown's model, zeros left out at the end; k1 to k4 of OpenCV's fisheye
            model.
        rotation: (3, 3) from the world's axes to the camera's.
        translation: (3,) metres; a point X of the world is at ``rotation @ X + translation``.
        fisheye: the distortions are those of OpenCV's fisheye model.
    """

    name: str
    size: tuple[float, float]
    matrix: Array
    distortions: Array
    rotation: Array
    translation: Array
    fisheye: bool = False

    def to_camera(self, xyz: ArrayLike) -> Array:
        """Turn points (..., 3) of the world into the camera's axes."""
        return np.asarray(xyz, np.float64) @ self.rotation.T + self.translation

    def project(self, xyz: ArrayLike) -> Array:
        """Project points (..., 3) in the camera's axes to pixels (..., 2); NaN for points that are not before it."""
        points = np.asarray(xyz, np.float64)
        depth = np.where(points[..., 2:] > 0, points[..., 2:], np.nan)
        bent = self._bend(points[..., :2] / depth)
        focal, skew, centre = self.matrix.diagonal()[:2], self.matrix[0, 1], self.matrix[:2, 2]
        sheared = np.stack([bent[..., 1] * skew, np.zeros(bent.shape[:-1])], -1)
        return np.asarray(bent * focal + sheared + centre)

    def undistort(self, xy: ArrayLike) -> Array:
        """Turn pixels (..., 2) into the plane at depth 1 in the camera's axes, without the lens's distortion.

        NaN stays NaN, and pixels that no ray reaches become NaN.
        """
        pixels = np.asarray(xy, np.float64)
        focal, centre = self.matrix.diagonal()[:2], self.matrix[:2, 2]
        bent = (pixels - centre) / focal
        bent[..., 0] -= bent[..., 1] * self.matrix[0, 1] / focal[0]
        if self.fisheye:
            return self._unbend_fisheye(bent)
        plane = bent.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # far outside of the picture, where no ray leads
            for _ in range(_ROUNDS):
                off = self._bend(plane) - bent
                plane -= off
                if not (np.abs(off) > 1e-13).any():
                    break
            return np.where(np.abs(self._bend(plane) - bent).max(-1, keepdims=True) < 1e-9, plane, np.nan)

    def fov(self) -> float:
        """Return the horizontal field of view in degrees."""
        return 2 * math.degrees(math.atan(self.size[0] / 2 / float(self.matrix[0, 0])))

    def for_size(self, size: tuple[int, int], where: str) -> Camera:
        """Return the camera for pictures of another size: scaled with the aspect kept, and centred.

        Args:
            size: (width, height) of the pictures in pixels.
            where: the pictures' name, for the error.

        Raises:
            PoseMambaError: the pictures have another shape, so that they were cut, turned, or are of another camera.
        """
        (width, height), (w, h) = size, self.size
        if abs(width - w) <= _SAME_SIZE and abs(height - h) <= _SAME_SIZE:
            return replace(self, size=(float(width), float(height)))
        if abs(width / height / (w / h) - 1) > _SAME_SHAPE:
            raise PoseMambaError(
                f"{where}: its pictures are {width}x{height} pixels, camera '{self.name}' was calibrated for "
                f"{w:g}x{h:g}, which is another shape; give the videos as they were calibrated, not cut or turned"
            )
        scale = min(width / w, height / h)
        move = np.array([[scale, 0, (width - scale * w) / 2], [0, scale, (height - scale * h) / 2], [0, 0, 1]])
        return replace(self, size=(float(width), float(height)), matrix=move @ self.matrix)

    def _bend(self, plane: Array) -> Array:
        """Distort points (..., 2) of the plane at depth 1."""
        if self.fisheye:
            radius = np.linalg.norm(plane, axis=-1, keepdims=True)
            angle = np.arctan(radius)
            return np.asarray(plane * np.where(radius > 1e-12, self._fisheye(angle) / np.maximum(radius, 1e-12), 1.0))
        k1, k2, p1, p2, k3 = np.pad(self.distortions, (0, 5 - len(self.distortions)))
        r2 = np.square(plane).sum(-1, keepdims=True)
        product = plane[..., :1] * plane[..., 1:]
        tangential = 2 * product * [p1, p2] + (r2 + 2 * plane**2) * [p2, p1]
        return np.asarray(plane * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) + tangential)

    def _fisheye(self, angle: Array) -> Array:
        a2 = angle**2
        k1, k2, k3, k4 = self.distortions
        return np.asarray(angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4)))))

    def _unbend_fisheye(self, bent: Array) -> Array:
        radius = np.linalg.norm(bent, axis=-1, keepdims=True)
        angle = np.minimum(radius, 1.5)
        k1, k2, k3, k4 = self.distortions
        with np.errstate(all="ignore"):  # far outside of the picture, where no ray leads
            for _ in range(_ROUNDS):  # Newton's method
                a2 = angle**2
                slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
                step = (self._fisheye(angle) - radius) / slope
                angle = angle - step
                if not (np.abs(step) > 1e-13).any():
                    break
            reached = (np.abs(self._fisheye(angle) - radius) < 1e-9) & (angle >= 0) & (angle < math.pi / 2)
            stretch = np.where(radius > 1e-12, np.tan(angle) / np.maximum(radius, 1e-12), 1.0)
            return np.where(reached, bent * stretch, np.nan)
