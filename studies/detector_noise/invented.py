"""The synthetic errors of training clips, for comparison."""

from __future__ import annotations

import numpy as np
import torch

from posemamba.data.augment import DetectorErrors, add_detector_errors
from posemamba.models.inputs import fill_missing
from studies.detector_noise.common import Array, person_unit

TYPICAL_JITTER = 0.024
"""Jitter of a typical training clip: the middle of the range 0.008 to 0.07, in logarithms; bias 0.65 of it."""
TYPICAL_TEMPI = (0.72, 0.5, 0.43)
TYPICAL_CONFIDENCE = {"intercept": 3.75, "error_slope": 9.5, "slow_noise": 0.9, "joint_noise": 1.1}
"""Confidence of a typical training clip: the middle of the ranges."""


def made_up(
    xy: Array, copies: int = 8, seed: int = 0, jitter: float = TYPICAL_JITTER, bias: float = 0.65 * TYPICAL_JITTER
) -> tuple[Array, Array]:
    """Add the synthetic errors of training clips to a motion.

    Args:
        xy: (F, J, 2), NaN where unknown.
        copies: R.
        seed: of the noise.
        jitter, bias: standard deviations, of every copy. Confidence is typical; there are no other errors.

    Returns:
        (R, F, J, 2) errors in units of the person's size, and (R, F, J) confidence.
    """
    whole = torch.from_numpy(fill_missing(xy)).float()[None].expand(copies, -1, -1, -1)
    errors = DetectorErrors.none(copies)
    errors.jitter.std[:], errors.jitter.bias_std[:] = jitter, bias
    errors.jitter.autocorrelation[:] = torch.tensor(TYPICAL_TEMPI)
    errors.confidence.binary[:] = False
    for name, value in TYPICAL_CONFIDENCE.items():
        getattr(errors.confidence, name)[:] = value
    noisy, confidence = add_detector_errors(whole, errors, torch.Generator().manual_seed(seed))
    error = (noisy - whole).numpy().astype(np.float64) / person_unit(whole[0].numpy())
    return error, confidence.numpy().astype(np.float64)
