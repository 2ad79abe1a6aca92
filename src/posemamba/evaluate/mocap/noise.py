"""The noisy variant of the mocap benchmark: a detector's errors and confidence, by fixed formulas.

Nothing is random: numbers come from the raw 64-bit stream of PCG64, whose values NumPy guarantees, and become normal
numbers by formulas given here. docs/mocap_benchmark.md describes it in full.

Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from posemamba.models.inputs import fill_missing, person_size

JITTER = 0.02  # of h, at a shoulder
JITTER_OF_JOINT = np.array([1, 1, 1.2, 1.7, 1, 1.2, 1.7, 1, 0.8, 0.8, 1, 1, 1.4, 2.0, 1, 1.4, 2.0])
_LIMB_JOINTS = (2, 3, 5, 6, 12, 13, 15, 16)


class FixedNumbers:
    """A stream of numbers, fixed by its key, that is the same on every machine and with every NumPy."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        raw = self._bits.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def normal(self, *shape: int) -> NDArray[np.float64]:
        return np.sqrt(-2 * np.log(1 - self.uniform(*shape))) * np.cos(2 * np.pi * self.uniform(*shape))


def benchmark_noise(xy: NDArray[np.float64], clip: int, camera: int) -> NDArray[np.float64]:
    """Return (F, J, 2): `benchmark_detections` without their confidence."""
    return _noise(xy, clip, camera)[0]


def benchmark_detections(
    xy: NDArray[np.float64], clip: int, camera: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make the noisy variant of one clip. Lengths are in units of h, 0.3 of an upright person's height in the picture.

    1. jitter: 0.02 h times the joint's difficulty, first-order autoregressive, 0.8 from frame to frame;
    2. displacement: each joint constantly by 0.015 h times its difficulty;
    3. outliers: one joint and frame in 200 off by another 0.3 h;
    4. lost joints: each knee, ankle, elbow and wrist is lost for 15 frames, once in every 150 frames, and filled in as
       in lifting (`fill_missing`);
    5. left-right swaps: left and right leg swapped for 4 frames, once in every 200 frames.

    The confidence is that of `benchmark_confidence`.

    Args:
        xy: (F, J, 2) exact.
        clip, camera: seed the numbers.

    Returns:
        (F, J, 2) noisy, and (F, J) confidence.
    """
    noisy, lost = _noise(xy, clip, camera)
    return noisy, benchmark_confidence(xy, noisy, lost, clip, camera)


def benchmark_confidence(
    exact: NDArray[np.float64], noisy: NDArray[np.float64], lost: NDArray[np.bool_], clip: int, camera: int
) -> NDArray[np.float64]:
    """Compute the detector's confidence: sigmoid(2.2 - 9 e / h + n), and 0 for lost joints.

    e is the distance of the noisy from the exact joint, and h as in `benchmark_detections`. n is unit normal noise,
    independent for each joint, first-order autoregressive with 0.9 from frame to frame, from a stream of its own.

    Args:
        exact, noisy: (F, J, 2).
        lost: (F, J) lost joints.
        clip, camera: seed the numbers.

    Returns:
        (F, J) from 0 to 1.
    """
    white = FixedNumbers(20261123, clip, camera).normal(*exact.shape[:2])
    mood = carried_on(white, 0.9, np.sqrt(1 - 0.9**2))
    error = np.linalg.norm(noisy - exact, axis=-1) / unit_of(exact)
    return np.where(lost, 0.0, expit(2.2 - 9 * error + mood))


def carried_on(white: NDArray[np.float64], keep: float, new: float) -> NDArray[np.float64]:
    """Make first-order autoregressive noise: each frame is `keep` times the one before plus `new` times white noise."""
    slow = white.copy()
    for f in range(1, len(slow)):
        slow[f] = keep * slow[f - 1] + new * white[f]
    return slow


def unit_of(xy: NDArray[np.float64]) -> float:
    """Return h, 0.3 of an upright person's height, in the unit of (F, J, 2) joints."""
    return float(person_size(torch.from_numpy(xy)[None])[0])


def _noise(xy: NDArray[np.float64], clip: int, camera: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the noisy joints, and (F, J) the mask of lost ones."""
    frames, joints = xy.shape[:2]
    fixed = FixedNumbers(20250101, clip, camera)
    h = unit_of(xy)
    constant = 0.015 * fixed.normal(joints, 2)
    white = fixed.normal(frames, joints, 2)
    jitter = carried_on(white, 0.8, 0.6)
    off = (fixed.uniform(frames, joints, 1) < 1 / 200) * 0.3 * fixed.normal(frames, joints, 2)
    seen = xy.copy()
    for start in fixed.uniform(-(-frames // 200)) * frames:
        during = slice(int(start), int(start) + 4)
        seen[during, 1:7] = seen[during, [4, 5, 6, 1, 2, 3]]
    seen += h * (JITTER_OF_JOINT[:, None] * (constant + JITTER * jitter) + off)
    starts = fixed.uniform(len(_LIMB_JOINTS), -(-frames // 150)) * frames
    for joint, begins in zip(_LIMB_JOINTS, starts, strict=True):
        for start in begins:
            seen[int(start) : int(start) + 15, joint] = np.nan
    return fill_missing(seen).astype(np.float64), np.isnan(seen[..., 0])
