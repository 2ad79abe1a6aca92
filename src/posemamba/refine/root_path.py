"""The root's path: the 3D pose is placed before the camera so that it fits the 2D joints, given a field of view.

Let M be a pose in metres, relative to the pelvis, in the convention of Human3.6M's pictures (`posemamba.data.cameras`).
A pinhole camera of focal length f, with the pelvis at (X, Y, Z), sees its joints at

    (u - centre_x)/f = X/Z + M_x/Z        (v - centre_y)/f = Y/Z + M_y/Z

exactly, as M_x and M_y are image positions at the pelvis's depth. So the perspective equations are linear in a = X/Z,
b = Y/Z and q = 1/Z. All frames of a segment are solved at once by least squares over joints. Joints are weighted by 2D
confidence and reweighted to be robust (Huber 1964), with a smoothness prior on a, b and q (squared second derivative).
Then each joint is put on its line of sight at its own depth,

    Z_j = Z + M_z        X_j = Z_j (a + M_x q)        Y_j = Z_j (b + M_y q)

which undoes the convention exactly. As the bones have true lengths only now, the body is scaled to the person's size
once more.

All this is done in the picture of the virtual camera that looks at the person (`posemamba.poses.virtual_camera`), in
which the network lifted. Then everything is turned back into the real camera's axes.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, solveh_banded

from posemamba.poses import Poses3D, Step
from posemamba.poses.curves import huber_weights, roughness, stiffness
from posemamba.refine.common import (
    Array,
    Mask,
    checked,
    feet_positions,
    fit_size,
    joint_weights,
    positions,
    segment_frames,
    with_step,
)
from posemamba.refine.scale import BODY_LENGTH, SIZE_CUTOFF
from posemamba.utils.blocks import in_blocks
from posemamba.utils.errors import PoseMambaError

__all__ = ["in_front", "place_points", "root_path", "rough_distance", "solve_path"]

PATH_CUTOFF = 4.0
"""Hertz: how fast the pelvis may move in the picture."""
_ROUNDS = 8
_FARTHEST = 0.2  # of 1 / distance by the size in the picture: fits that are farther away are no fits
_NEAREST = 0.1  # of the pelvis's depth: the smallest depth of a joint


def root_path(
    motion: Poses3D,
    *,
    cutoff: float = PATH_CUTOFF,
    depth_cutoff: float = SIZE_CUTOFF,
) -> Poses3D:
    """Place the person in front of the camera.

    The lens is assumed to have no distortion, and its optical axis to go through the picture's centre. If tan(fov / 2)
    is wrong by a factor, so is the distance, inversely. A field of view that is guessed marks the step as an estimate.

    Args:
        motion: in metres by `scale`, in the virtual camera's axes, relative to the pelvis.
        cutoff: hertz: how fast the pelvis may move across the picture.
        depth_cutoff: hertz: how fast the distance may change.

    Returns:
        The motion in metres from the camera's centre, in the real camera's axes. The step reports the reprojection
        error in pixels and as a share of the picture's width, the depths, how many joints would have been behind the
        camera, and in how many frames the joints fit at no distance, so that the size in the picture gave it.

    Raises:
        PoseMambaError: the motion is in pixels, in a world, or has a path already.
    """
    if motion.units != "metre" or motion.frame != "camera" or motion.absolute:
        raise PoseMambaError(
            f"the motion is in {motion.units}s in the {motion.frame}'s frame, "
            f"{'with' if motion.absolute else 'without'} a path; expected metres in the camera's frame without a path: "
            "set the scale first, turn upright afterwards"
        )
    heights = [s.parameters["height_m"] for s in motion.steps if s.name == "scale"]
    if not heights:
        raise PoseMambaError("the motion is in metres without a step 'scale', expected one: set the scale by scale()")
    camera, (width, height) = motion.network.camera, motion.network.keypoints.image_size
    cutoff = checked("the path's cutoff", cutoff, 0.05, 1000, "hertz")
    depth_cutoff = checked("the depth's cutoff", depth_cutoff, 0.05, 1000, "hertz")
    focal = camera.focal
    given, times, weights = positions(motion), motion.frame_times(), joint_weights(motion)
    sight = motion.network.seen_xy
    sight -= camera.centre
    sight /= focal
    weights = np.where(np.isfinite(sight).all(-1), weights, 0.0)
    sight[~(weights > 0)] = 0.0
    abq, placed_by_size = np.full((len(motion), 3), np.nan), np.zeros(len(motion), bool)
    for frames in segment_frames(motion):
        body = given[frames, :, :2]
        # the distance by the scale, with almost no weight: it decides only in frames with too few joints
        hint = in_blocks(partial(rough_distance, focal), motion.network.xyz[frames, :, :2], body)
        solved = solve_path(times[frames], body, sight[frames], weights[frames], hint, cutoff)
        abq[frames], placed_by_size[frames] = in_front(solved, body, sight[frames], weights[frames], hint)
    seen = motion.seen
    error = in_blocks(_misses, given, abq, sight)[weights > 0] * focal
    del sight, weights
    clamped = int((1 + given[..., 2] * abq[:, 2:] < _NEAREST)[seen].sum())
    placed = in_blocks(place_points, given, abq)
    del given
    size, _, _ = fit_size(motion, placed, depth_cutoff)
    factor = (BODY_LENGTH * heights[-1] / size)[:, None, None]
    placed *= factor
    placed = camera.turn_back(placed)
    feet = feet_positions(motion)
    feet = None if feet is None else camera.turn_back(in_blocks(place_points, feet, abq) * factor)
    step = Step(
        "root_path",
        {
            "fov_deg": camera.fov((width, height)),
            "fov_from": camera.lens,
            "focal_px": focal,
            "cutoff_hz": cutoff,
            "depth_cutoff_hz": depth_cutoff,
            "huber_deviations": 1.5,
        },
        {
            "reprojection_median_px": float(np.median(error)),
            "reprojection_rms_px": float(np.sqrt(np.mean(error**2))),
            "reprojection_median_of_width": float(np.median(error) / width),
            "depth_least_m": float(placed[seen, 0, 2].min()),
            "depth_most_m": float(placed[seen, 0, 2].max()),
            "joints_kept_before_the_camera": clamped,
            "frames_placed_by_size": int(placed_by_size.sum()),
        },
        estimate=camera.lens == "guess" or any(s.estimate for s in motion.steps if s.name == "scale"),
    )
    return with_step(motion, step, placed, feet=feet, absolute=True)


def in_front(abq: Array, body: Array, sight: Array, weights: Array, hint: Array) -> tuple[Array, Mask]:
    """Place frames that fit at no distance in front of the camera, or hardly at any, by their size in the picture.

    Args:
        abq: (n, 3) solved.
        body, sight, weights, hint: as in `solve_path`.

    Returns:
        (n, 3), and (n,) the frames that were placed so.
    """
    bad = abq[:, 2] < _FARTHEST * hint
    total = np.maximum(weights.sum(1), 1e-12)[:, None]
    middle = (weights[..., None] * (sight - body * hint[:, None, None])).sum(1) / total
    return np.where(bad[:, None], np.concatenate([middle, hint[:, None]], 1), abq), bad


def rough_distance(focal: float, raw: NDArray[np.float32], body: Array) -> Array:
    """Return a rough q, (n,), by the body's size in the picture, of (n, J, 2) pixels and metres."""
    seen = raw.astype(np.float64) / focal
    return np.asarray((seen * body).sum((1, 2)) / np.maximum((body * body).sum((1, 2)), 1e-12))


def _picture(given: Array, abq: Array) -> Array:
    """Return where points are in the picture, (F, N, 2) in focal lengths from its centre; as of `place_points`."""
    return np.asarray(abq[:, None, :2] + given[..., :2] * abq[:, None, 2:])


def _misses(given: Array, abq: Array, sight: Array) -> Array:
    """Return the distances of placed joints from the detector's in the picture, (F, J) in focal lengths."""
    return np.asarray(np.linalg.norm(_picture(given, abq) - sight, axis=-1))


def place_points(given: Array, abq: Array) -> Array:
    """Put points on their lines of sight.

    Args:
        given: (F, N, 3) metres, relative to the pelvis, in the convention of the module.
        abq: (F, 3) the module's a, b and q.

    Returns:
        (F, N, 3) metres from the camera.
    """
    depth = 1 / abq[:, None, 2:]
    own = np.maximum(depth + given[..., 2:], _NEAREST * depth)
    return np.concatenate([_picture(given, abq) * own, own], -1)


def solve_path(
    times: Array, body: Array, sight: Array, weights: Array, hint: Array, cutoff: float, rounds: int = _ROUNDS
) -> Array:
    """Solve the module's equations for a, b and q, (n, 3).

    Args:
        times: (n,) seconds.
        body: (n, J, 2) metres, relative to the pelvis.
        sight: (n, J, 2) image positions in focal lengths from the centre.
        weights: (n, J) of the joints.
        hint: (n,) a rough q.
        cutoff: hertz, for all three; the distance is smoothed further by the body's size (`fit_size`).
        rounds: of reweighting.
    """
    n, penalty = len(times), roughness(times)
    lever = in_blocks(lambda body: (body**2).sum(-1), body)
    spread = float((weights * lever).sum() / max(weights.sum(), 1e-12))
    robust, solution = np.ones_like(weights), np.zeros((n, 3))
    for _ in range(rounds):
        w = weights * robust
        total = w.sum(1)
        bands = np.zeros((7, n, 3))  # lower bands of a symmetric matrix; unknowns a, b, q of one frame side by side
        bands[0, :, :2] = total[:, None] + 1e-9
        bands[0, :, 2] = (w * lever).sum(1) + 1e-3 * spread
        bands[2, :, 0] = (w * body[..., 0]).sum(1)
        bands[1, :, 1] = (w * body[..., 1]).sum(1)
        weight = total.mean() + 1e-9
        for unknown, stiff in (
            (0, stiffness(times, cutoff) * weight),
            (1, stiffness(times, cutoff) * weight),
            (2, stiffness(times, cutoff) * weight * spread),
        ):
            bands[[0, 3, 6], :, unknown] += stiff * penalty
        right = in_blocks(_right_side, w, body, sight)
        right[:, 2] += 1e-3 * spread * hint
        try:
            solution = solveh_banded(bands.reshape(7, 3 * n), right.ravel(), lower=True).reshape(n, 3)
        except (LinAlgError, ValueError) as error:
            raise PoseMambaError(
                f"the root's path has no solution from {times[0]:.2f} s to {times[-1]:.2f} s ({error}), expected some "
                "2D joints in these frames: correct them"
            ) from error
        robust = huber_weights(in_blocks(_misses, body, solution, sight), weights)
    return solution


def _right_side(w: Array, body: Array, sight: Array) -> Array:
    """Return the right side of the equations, (n, 3), without the hint's part."""
    return np.stack(
        [*(w[..., None] * sight).sum(1).T, (w[..., None] * body * sight).sum((1, 2))],
        axis=1,
    )
