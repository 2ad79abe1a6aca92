"""The reference of a view: the person as the other views show them, in the view's axes.

Shapes: V views, F frames, J = 17 joints of Human3.6M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.cameras import Array, Camera
from posemamba.evaluate.views.triangulate import GOOD_MM, triangulate
from posemamba.poses import Keypoints2D
from posemamba.poses.curves import fit_curve, weighted_median

SMOOTH_HZ = 6.0
"""Hertz: half of a faster wave of the reference is taken for noise of the detector."""
_ROUNDS = 20  # of fitting the shifts, at most
_CLOSE = 0.2  # pixels: the shifts are found when a round changes them by less
_FRAMES = 300  # from which shifts are fitted, evenly spread


@dataclass(frozen=True)
class Reference:
    """The reference of a view.

    Attributes:
        camera: the view's, its picture's shift corrected.
        xyz: (F, 17, 3) metres in the camera's axes; NaN where it is not known.
        views: the mean number of views that a joint is triangulated from.
        error_mm: mean reprojection error of these views, at the joints' distance.
        shift: (2,) pixels by which all joints of the view lie beside the reference, which was taken out.
    """

    camera: Camera
    xyz: Array
    views: float
    error_mm: float
    shift: Array

    @property
    def valid(self) -> NDArray[np.bool_]:
        """The joints that are known, (F, 17)."""
        return np.asarray(np.isfinite(self.xyz).all(-1))

    @property
    def xy(self) -> Array:
        """The reference in the view's picture, (F, 17, 2) pixels."""
        return self.camera.project(self.xyz)


def make_reference(
    camera: Camera,
    joints: Keypoints2D,
    other_cameras: Sequence[Camera],
    others: Sequence[Keypoints2D],
    *,
    align: bool = True,
    smooth_hz: float | None = SMOOTH_HZ,
) -> Reference:
    """Triangulate the reference of a view without the view.

    Args:
        camera, joints: the view's; its joints only tell how far its picture is shifted.
        other_cameras, others: at least two other views, of the same F frames, in Human3.6M's joints.
        align: fit a shift of each view's picture first, by which all its joints lie beside those of the others: a
            camera that was touched after its calibration, or a wrong centre. False: the calibration is taken as it is.
        smooth_hz: cutoff of the robust curve through each joint's path; None: no smoothing.
    """
    xy = np.stack([one.xy for one in others]).astype(np.float64)
    confidence = np.stack([one.confidence for one in others]).astype(np.float64)
    views, frames, count = confidence.shape
    cameras = list(other_cameras)
    if align:
        at = np.unique(np.linspace(0, frames - 1, min(frames, _FRAMES)).astype(int))
        cameras = _aligned(cameras, xy[:, at].reshape(views, -1, 2), confidence[:, at].reshape(views, -1))
    found = triangulate(cameras, xy.reshape(views, -1, 2), confidence.reshape(views, -1))
    xyz = camera.to_camera(found.xyz).reshape(frames, count, 3)
    if smooth_hz is not None:
        weights = np.where(found.used, confidence.reshape(views, -1), 0).sum(0).reshape(frames, count)
        xyz = _smoothed(joints.frame_times(), xyz, weights, smooth_hz)
    used = found.used & found.valid
    shift = np.zeros(2)
    if align:
        shift = _shift(camera, joints.xy, joints.confidence, xyz)
        camera = shifted(camera, shift)
    return Reference(
        camera=camera,
        xyz=xyz,
        views=float(used.sum() / max(1, found.valid.sum())),
        error_mm=float(found.error_mm[used].mean()) if used.any() else float("nan"),
        shift=shift,
    )


def shifted(camera: Camera, shift: Array) -> Camera:
    """Return the camera with its centre moved by (2,) pixels."""
    matrix = camera.matrix.copy()
    matrix[:2, 2] += shift
    return replace(camera, matrix=matrix)


def _aligned(cameras: Sequence[Camera], xy: Array, confidence: Array) -> list[Camera]:
    """Return the cameras with shifted centres, with which (V, N, 2) pixels agree best; by turns with their points."""
    aligned, shifts = list(cameras), np.zeros((len(cameras), 2))
    for turn in range(_ROUNDS):
        coarse = max(1, 4 - turn)  # shifts larger than the limit would leave no point to begin with
        points = triangulate(aligned, xy, confidence, good_mm=GOOD_MM * coarse).xyz
        moved = np.stack([_shift(c, xy[v], confidence[v], c.to_camera(points)) for v, c in enumerate(aligned)])
        shifts += moved
        aligned = [shifted(camera, shift) for camera, shift in zip(cameras, shifts, strict=True)]
        if coarse == 1 and np.abs(moved).max() < _CLOSE:
            break
    return aligned


def _shift(camera: Camera, xy: NDArray[np.floating], confidence: NDArray[np.floating], xyz: Array) -> Array:
    """Return the weighted median of the pixels (..., 2) beside the projections of (..., 3) in the camera's axes."""
    apart = np.asarray(xy, np.float64) - camera.project(xyz)
    there = np.isfinite(apart).all(-1) & (confidence > 0)
    if not there.any():
        return np.zeros(2)
    return np.array([weighted_median(apart[there][:, axis], confidence[there].astype(np.float64)) for axis in (0, 1)])


def _smoothed(times: Array, xyz: Array, weights: Array, hertz: float) -> Array:
    """Return a curve through the path of each joint, where it is known."""
    smooth = np.full_like(xyz, np.nan)
    for joint in range(xyz.shape[1]):
        known = np.isfinite(xyz[:, joint]).all(-1)
        if known.sum() < 3:
            smooth[known, joint] = xyz[known, joint]
            continue
        for axis in range(3):
            values, weight = xyz[known, joint, axis], weights[known, joint]
            smooth[known, joint, axis] = fit_curve(times[known], values[:, None], weight[:, None], hertz)
    return smooth
