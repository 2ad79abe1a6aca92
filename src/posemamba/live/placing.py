"""Metres and the place before the camera, from the frames up to now.

The same equations as offline (`posemamba.refine.scale`, `posemamba.refine.root_path`), over the last few seconds, and
with few rounds of reweighting, as each frame begins where the one before ended.

Shapes: n frames, 17 joints, E = 16 bones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.curves import fit_curve, weighted_median
from posemamba.poses.skeletons import H36M17
from posemamba.refine.common import Array, body_length, bone_lengths, bone_trust
from posemamba.refine.root_path import PATH_CUTOFF, in_front, place_points, rough_distance, solve_path
from posemamba.refine.scale import BODY_LENGTH, SIZE_CUTOFF, TYPICAL_HEIGHT

__all__ = ["Placer"]

_ROUNDS = 2
"""Rounds of reweighting in each frame."""
_PARENTS, _CHILDREN = np.array(H36M17.bones).T


class Placer:
    """The size of one person, as known up to now, and with it the place of each frame.

    Args:
        height_m: the person's standing height in metres; None: a typical one.
        focal: the camera's focal length in pixels.
    """

    def __init__(self, height_m: float | None, focal: float) -> None:
        self._length = BODY_LENGTH * (TYPICAL_HEIGHT if height_m is None else height_m)
        self._focal = focal
        self._shares: dict[str, Array] = {}  # logarithms of the bones' shares, in pixels and placed

    def forget(self) -> None:
        """Forget the body's proportions, as somebody else comes."""
        self._shares = {}

    def __call__(self, times: Array, xyz: Array, sight: Array, weights: Array, frame: int, points: Array) -> Array:
        """Place one frame.

        Args:
            times: (n,) seconds, rising; the frames around the wanted one.
            xyz: (n, 17, 3) the network's joints, in pixels at the pelvis's depth.
            sight: (n, 17, 2) the 2D joints in pixels from the picture's middle, both as the virtual camera sees them;
                NaN where not found.
            weights: (n, 17) of the 2D joints, above 0.
            frame: the index of the wanted one.
            points: (N, 3) what is to be placed of it, in the unit of `xyz`: its joints, and more.

        Returns:
            (N, 3) metres from the camera, in the axes of its virtual camera.
        """
        factor = self._length / self._size("pixel", times, xyz, weights)
        metres = xyz * factor[:, None, None]
        known = np.asarray(np.isfinite(sight).all(-1))
        used = np.where(known, weights, 0.0)
        seen = np.where(known[..., None], sight, 0.0) / self._focal
        body = metres[..., :2]
        hint = rough_distance(self._focal, xyz[..., :2].astype(np.float32), body)
        solved = solve_path(times, body, seen, used, hint, PATH_CUTOFF, _ROUNDS)
        abq, _ = in_front(solved, body, seen, used, hint)
        placed = place_points(metres, abq)
        size = self._size("metre", times, placed, weights)
        whole = place_points(points[None] * factor[frame], abq[frame : frame + 1])[0]
        return np.asarray(whole * (self._length / size[frame]))

    def _size(self, unit: str, times: Array, xyz: Array, weights: Array) -> Array:
        """Fit the length of the body in each frame, (n,), in the unit of the joints; see `refine.common.fit_size`."""
        bones = bone_lengths(xyz)
        log = np.log(np.maximum(bones, 1e-3 * np.maximum(bones.sum(1, keepdims=True), 1e-9)))
        trust = np.minimum(weights[:, _PARENTS], weights[:, _CHILDREN]) * bone_trust(xyz, bones)
        share = self._shares.get(unit)
        if share is None:
            share = np.median(log - np.log(bones.sum(1))[:, None], 0)
        size = fit_curve(times, log - share, trust, SIZE_CUTOFF, _ROUNDS)
        relative = log - size[:, None]
        share = np.array([weighted_median(relative[:, e], trust[:, e]) for e in range(len(share))])
        self._shares[unit] = share
        return np.asarray(np.exp(size) * body_length(np.exp(share)))


def joint_weights(confidence: NDArray[np.floating]) -> Array:
    """Return the weights of 2D joints by their confidence: little, but above 0, for joints that were filled in."""
    return np.asarray(0.01 + 0.99 * np.clip(np.nan_to_num(confidence.astype(np.float64)), 0, 1))
