"""Metrics of 3D poses: MPJPE (protocol 1, P1), PA-MPJPE (protocol 2, P2), MPJVE and others, in float64.

Shapes: (..., F, J, 3): F frames, J joints, any dimensions before. Results are in the unit of the poses, millimetres in
this package's tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mpjpe_per_frame(pred: ArrayLike, target: ArrayLike, root: int | None = None) -> NDArray[np.float64]:
    """Compute each frame's MPJPE (protocol 1): the mean distance of joints.

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
    """Align each predicted frame with its target by the best rotation, translation and scale, without reflection.

    Least squares by singular values (Umeyama 1991).

    Args:
        pred, target: (..., F, J, 3).

    Returns:
        (..., F, J, 3) the predictions, moved; NaN in frames with joints that are not finite.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    finite = (np.isfinite(p) & np.isfinite(t)).all((-2, -1), keepdims=True)
    p, t = np.where(finite, p, 0), np.where(finite, t, np.nan)  # LAPACK fails on NaN
    p_mean, t_mean = p.mean(-2, keepdims=True), t.mean(-2, keepdims=True)
    p, t = p - p_mean, t - t_mean
    u, s, vh = np.linalg.svd(np.swapaxes(p, -1, -2) @ np.where(finite, t, 0))
    s[..., -1] *= (sign := np.sign(np.linalg.det(u @ vh)))
    u[..., -1] *= sign[..., None]  # a reflection would fit better: turn the weakest axis back
    scale = s.sum(-1) / np.maximum(np.square(p).sum((-2, -1)), 1e-12)
    return scale[..., None, None] * p @ (u @ vh) + t_mean


def p_mpjpe_per_frame(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Compute each frame's PA-MPJPE (protocol 2), (..., F): the mean distance of joints after `align`."""
    return mpjpe_per_frame(align(pred, target), target)


def n_mpjpe_per_frame(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Compute each frame's N-MPJPE (protocol 3), (..., F): MPJPE after scaling the prediction to the least squares.

    Args:
        pred, target: (..., F, J, 3), relative to the root.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    scale = (t * p).sum((-2, -1)) / np.maximum(np.square(p).sum((-2, -1)), 1e-12)
    return mpjpe_per_frame(scale[..., None, None] * p, t)


def mpjve_per_frame(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Compute the MPJVE: the mean distance between the predicted and the true difference of a frame to the next.

    Per frame, not per second: at 50 frames a second, 1 mm here is 50 mm/s.

    Args:
        pred, target: (..., F, J, 3), relative to the root.

    Returns:
        (..., F - 1).
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    return mpjpe_per_frame(np.diff(p, axis=-3), np.diff(t, axis=-3))


def motion_errors(pred: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the mean distances of joints' velocities and of their accelerations from the true ones.

    Per frame and per frame squared: the first is the MPJVE; the second times the square of the frame rate is the error
    of acceleration per second squared.

    Args:
        pred, target: (..., F, J, 3), relative to the root.

    Returns:
        (..., F - 1) and (..., F - 2), empty where there are too few frames.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    return mpjve_per_frame(p, t), mpjpe_per_frame(np.diff(p, n=2, axis=-3), np.diff(t, n=2, axis=-3))


def joint_errors(pred: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Return the distance of each joint from its target, (..., F, J)."""
    return np.asarray(np.linalg.norm(np.asarray(pred, np.float64) - np.asarray(target, np.float64), axis=-1))


def acceleration(poses: ArrayLike, fps: float) -> NDArray[np.float64]:
    """Return the accelerations, (..., F - 2, J, 3) second differences in time, per second squared."""
    return np.diff(np.asarray(poses, np.float64), n=2, axis=-3) * fps**2


def bone_length_variation(poses: ArrayLike, bones: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Compute the standard deviation over time of each bone's length, in per cent of its mean.

    Args:
        poses: (..., F, J, 3).
        bones: the two joints of each.

    Returns:
        (..., bones).
    """
    p = np.asarray(poses, np.float64)
    first, second = np.array(bones).T
    lengths = np.linalg.norm(p[..., first, :] - p[..., second, :], axis=-1)
    return 100 * lengths.std(-2) / np.maximum(lengths.mean(-2), 1e-12)


def side_flips(
    pred: ArrayLike, target: ArrayLike, pairs: Sequence[tuple[int, int]], *, gain: float = 0.3
) -> NDArray[np.bool_]:
    """Find left-right swaps: frames in which swapping the predicted sides lowers the error clearly.

    Args:
        pred, target: (..., F, J, 3), relative to the root.
        pairs: (left, right) joints, e.g. of both legs.
        gain: the share of these joints' mean error by which swapping must lower it.

    Returns:
        (..., F) bool.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    left, right = (list(side) for side in zip(*pairs, strict=True))
    own = joint_errors(p[..., left + right, :], t[..., left + right, :]).mean(-1)
    exchanged = joint_errors(p[..., right + left, :], t[..., left + right, :]).mean(-1)
    return np.asarray(exchanged < (1 - gain) * own)


def depth_flips(
    pred: ArrayLike, target: ArrayLike, bones: Sequence[tuple[int, int]], *, least: float = 100.0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find depth flips: bones that point away from the camera and were predicted to point towards it, or vice versa.

    Args:
        pred, target: (..., F, J, 3), z away from the camera.
        bones: the two joints of each.
        least: the smallest difference of the two joints' true depths for which a bone is scored.

    Returns:
        (..., F, bones) bool each: the scored bones, and those of them with the wrong sign.
    """
    first, second = np.array(bones).T
    depth = np.asarray(target, np.float64)[..., 2]
    true = depth[..., second] - depth[..., first]
    depth = np.asarray(pred, np.float64)[..., 2]
    given = depth[..., second] - depth[..., first]
    clear = np.abs(true) > least
    return clear, clear & (given * true < 0)
