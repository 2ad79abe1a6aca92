"""The virtual camera of a person: it looks at them, and turns slowly with them.

A camera with one rotation for a whole clip sees people who walk across the picture from the side again. One that turns
in each frame as the joints say takes the body's own movement away, and the detector's jitter in. So its direction is a
smooth curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from posemamba.poses import Keypoints2D
from posemamba.poses.curves import Array
from posemamba.poses.keypoints import Span
from posemamba.poses.virtual_camera import (
    TURNING_CUTOFF,
    Lens,
    VirtualCamera,
    check_roll,
    level_roll,
    look_along,
    mean_ray,
)

__all__ = ["look_at_person", "slow_curves"]


def look_at_person(joints: Keypoints2D, spans: Sequence[Span], lens: Lens, roll: float | None = None) -> VirtualCamera:
    """Make the virtual camera of a clip, with a rotation for each frame.

    Args:
        joints: F frames of 2D joints.
        spans: segments [start, end); they do not influence each other.
        lens: of the real camera.
        roll: degrees by which the real camera is turned clockwise about its axis; None: not known, and not undone.

    Raises:
        PoseMambaError: the roll is no angle from -180 to 180.
    """
    real = VirtualCamera.unturned(joints.image_size, lens)
    radians = None if roll is None else math.radians(check_roll(roll))
    rotation, times = np.tile(np.eye(3), (len(joints), 1, 1)), joints.frame_times()
    for start, end in spans:
        ray, weight = mean_ray(joints.xy[start:end], real.focal, real.centre, joints.confidence[start:end])
        on = weight > 0
        if not on.any():
            continue
        flat, at = ray[on, :2] / ray[on, 2:], times[start:end]
        curve = np.stack([np.interp(at, at[on], c) for c in slow_curves(at[on], flat, weight[on]).T], 1)
        direction = np.concatenate([curve, np.ones((len(curve), 1))], 1)
        rotation[start:end] = look_along(direction, 0.0 if radians is None else level_roll(direction, radians))
    return replace(real, rotation=rotation)


def slow_curves(times: Array, values: Array, weights: Array) -> Array:
    """Fit slow curves, (n, K), to (n, K) values: least squares with a penalty on the squared speed.

    A steady walk is followed without delay, but for the ends; a clip of a second or two is one direction.
    """
    from scipy.linalg import solveh_banded

    if len(times) == 1:
        return values
    gaps = np.maximum(np.diff(times), 1e-6)
    stiff = weights.mean() / (float(np.median(gaps)) * (2 * math.pi * TURNING_CUTOFF) ** 2) / gaps
    bands = np.zeros((2, len(times)))
    bands[0] = weights
    bands[0, :-1] += stiff
    bands[0, 1:] += stiff
    bands[1, :-1] = -stiff
    return np.asarray(solveh_banded(bands, weights[:, None] * values, lower=True))
