"""Points in space from several calibrated views, robust against views that are wrong.

Shapes: V views, N points.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posemamba.evaluate.views.cameras import Array, Camera

Mask = NDArray[np.bool_]

GOOD_MM = 50.0
"""Largest reprojection error, in millimetres at the point's distance, of a view that agrees with a point."""
LEAST_CONFIDENCE = 0.3
"""Confidence below which a view's joint is not used."""
_ROUNDS = 4  # of the reweighting that turns algebraic into reprojection errors


@dataclass(frozen=True)
class Triangulated:
    """Points in the world.

    Attributes:
        xyz: (N, 3) metres; NaN where fewer than two views agree.
        used: (V, N) the views that agree with each point.
        error_mm: (V, N) reprojection errors at the point's distance; NaN where a view has no point.
    """

    xyz: Array
    used: Mask
    error_mm: Array

    @property
    def valid(self) -> Mask:
        """The points that at least two views agree upon, (N,)."""
        return np.asarray(np.isfinite(self.xyz).all(-1))


def triangulate(
    cameras: Sequence[Camera], xy: ArrayLike, confidence: ArrayLike, *, good_mm: float = GOOD_MM
) -> Triangulated:
    """Triangulate points, each from the views that agree.

    Each pair of views gives a place; the place with which most views agree, weighted by confidence, selects these
    views. The point is then the weighted least-squares solution over them. A view agrees if the ray of its pixel passes
    the point at `good_mm` or nearer.

    Args:
        cameras: V cameras.
        xy: (V, N, 2) pixels; NaN where a view has no point.
        confidence: (V, N) in [0, 1].
        good_mm: see above.
    """
    pixels, weights = np.asarray(xy, np.float64), np.nan_to_num(np.asarray(confidence, np.float64))
    plane = np.stack([camera.undistort(one) for camera, one in zip(cameras, pixels, strict=True)])
    seen = np.isfinite(plane).all(-1) & (weights >= LEAST_CONFIDENCE)
    plane, weights = np.where(seen[..., None], plane, 0.0), np.where(seen, weights, 0.0)
    poses = np.stack([np.hstack([c.rotation, c.translation[:, None]]) for c in cameras])
    best, used = np.full(plane.shape[1], -np.inf), np.zeros_like(seen)
    for pair in itertools.combinations(range(len(cameras)), 2):
        both = seen[list(pair)].all(0)
        if not both.any():
            continue
        points = np.full((plane.shape[1], 3), np.nan)
        points[both] = _solve(poses[list(pair)], plane[list(pair)][:, both], weights[list(pair)][:, both])
        errors = _errors_mm(poses, plane, points)
        agree = seen & (errors <= good_mm)
        # the nearer rays decide between pairs with equally many
        score = np.where(agree, weights * (1 - 0.5 * (errors / good_mm) ** 2), 0).sum(0)
        better = both & agree[list(pair)].all(0) & (score > best)
        best, used = np.where(better, score, best), np.where(better, agree, used)
    points = np.full((plane.shape[1], 3), np.nan)
    enough = used.sum(0) >= 2
    points[enough] = _solve(poses, plane[:, enough], np.where(used, weights, 0.0)[:, enough])
    errors = _errors_mm(poses, plane, points)
    # a view that was within the limit of the pair's point may be just beyond it now
    points[(used & ~(errors <= 1.5 * good_mm)).any(0)] = np.nan
    used &= np.isfinite(points).all(-1)
    return Triangulated(points, used, np.where(seen, errors, np.nan))


def _solve(poses: Array, plane: Array, weights: Array) -> Array:
    """Return the (N, 3) points with the least weighted squares of reprojection errors.

    Args:
        poses: (V, 3, 4) from the world to each camera's axes.
        plane: (V, N, 2) in the plane at depth 1.
        weights: (V, N); 0 leaves a view out.
    """
    rows = plane[..., None] * poses[:, None, None, 2] - poses[:, None, :2]  # (V, N, 2, 4)
    depth = np.ones(weights.shape)
    points = np.full((plane.shape[1], 3), np.nan)
    for _ in range(_ROUNDS):
        weighted = rows * (weights / depth**2)[..., None, None]
        left = np.einsum("vnki,vnkj->nij", weighted[..., :3], rows[..., :3])
        right = -np.einsum("vnki,vnk->ni", weighted[..., :3], rows[..., 3])
        left += 1e-12 * np.trace(left, axis1=1, axis2=2)[:, None, None] * np.eye(3)  # parallel rays
        points = np.linalg.solve(left, right[..., None])[..., 0]
        found = np.einsum("vi,ni->vn", poses[:, 2, :3], points) + poses[:, 2, 3:]
        depth = np.maximum(np.abs(found), 1e-3)
    return points


def _errors_mm(poses: Array, plane: Array, points: Array) -> Array:
    """Return the (V, N) reprojection errors in millimetres at the points' distance; NaN behind a camera."""
    inside = np.einsum("vij,nj->vni", poses[:, :, :3], points) + poses[:, None, :, 3]
    depth = np.where(inside[..., 2] > 0, inside[..., 2], np.nan)
    return np.asarray(1000 * np.linalg.norm(inside[..., :2] / depth[..., None] - plane, axis=-1) * depth)
