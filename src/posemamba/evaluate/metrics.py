"""Errors of 3D poses. Per frame, batched, NumPy arrays in float64 inside.

Shapes: (..., F, J, 3): F frames, J joints; any dimensions before. The unit of the result is that of the
poses, millimetres in this package's tables.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mpjpe_per_frame(pred: ArrayLike, target: ArrayLike, root: int | None = None) -> NDArray[np.float64]:
    """Protocol 1: mean distance of joints.

    Args:
        pred, target: (..., F, J, 3).
        root: joint that both are made relative to first; None takes them as they are.

    Returns:
        (..., F).
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    if root is not None:
        p, t = p - p[..., root : root + 1, :], t - t[..., root : root + 1, :]
    return np.linalg.norm(p - t, axis=-1).mean(-1)


def align(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Lay each predicted frame on its target: the best rotation, translation and scale, without reflection.

    Least squares by singular values (Umeyama 1991).

    Args:
        pred, target: (..., F, J, 3).

    Returns:
        (..., F, J, 3) the predictions, moved.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    p_mean, t_mean = p.mean(-2, keepdims=True), t.mean(-2, keepdims=True)
    p, t = p - p_mean, t - t_mean
    u, s, vh = np.linalg.svd(np.swapaxes(p, -1, -2) @ t)
    s[..., -1] *= (sign := np.sign(np.linalg.det(u @ vh)))
    u[..., -1] *= sign[..., None]  # a reflection would fit better: turn the weakest axis back
    scale = s.sum(-1) / np.maximum(np.square(p).sum((-2, -1)), 1e-12)
    return scale[..., None, None] * p @ (u @ vh) + t_mean


def p_mpjpe_per_frame(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Protocol 2: mean distance of joints after `align`. (..., F)."""
    return mpjpe_per_frame(align(pred, target), target)


def mpjve_per_frame(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Mean distance between the predicted and the true difference of a frame to the next (MPJVE).

    Per frame, not per second: at 50 frames a second, 1 mm here is 50 mm/s.

    Args:
        pred, target: (..., F, J, 3), relative to the root.

    Returns:
        (..., F - 1).
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    return mpjpe_per_frame(np.diff(p, axis=-3), np.diff(t, axis=-3))
