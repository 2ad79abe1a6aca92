"""The errors that training makes up, for comparison."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch

from posemamba.data.augment import DetectorErrors, detect_badly
from posemamba.models.missing import fill_missing
from studies.detector_noise.common import Array, person_unit

TYPICAL_JITTER = 0.024
"""Of made-up clips: the middle of the range 0.008 to 0.07, in logarithms; bias 0.65 of it."""
TYPICAL_TEMPI = (0.72, 0.5, 0.43)
TYPICAL_CONFIDENCE = {"sure": 3.75, "doubt": 9.5, "mood": 0.9, "temper": 1.1}
"""Of made-up clips: the middle of the ranges."""


def made_up(xy: Array, copies: int = 8, seed: int = 0, **settings: float) -> tuple[Array, Array]:
    """Errors and confidence that `detect_badly` gives to a motion, for comparison.

    Args:
        xy: (F, J, 2), NaN where unknown.
        copies: R.
        seed: of the noise.
        settings: fields of `DetectorErrors`, of every copy; else TYPICAL_JITTER, 0.65 of it as bias, the middle of the
            ranges of confidence, and nothing else.

    Returns:
        (R, F, J, 2) in units of the person's size, and (R, F, J).
    """
    whole = torch.from_numpy(fill_missing(xy)).float()[None].expand(copies, -1, -1, -1)
    usual = {
        "jitter": TYPICAL_JITTER,
        "bias": 0.65 * TYPICAL_JITTER,
        "edge": 1e9,
        "by": 1.0,
        **TYPICAL_CONFIDENCE,
    }
    widths = {"edge": (2,), **{f"{kind}_{what}": (1,) for kind in ("lost", "swap") for what in ("start", "length")}}
    widths |= {"lost_set": (1,), "swap_what": (1,), "harder": (1,), "by": (1,), "tempi": (3,)}
    values = {
        field.name: torch.full((copies, *widths.get(field.name, ())), {**usual, **settings}.get(field.name, 0.0))
        for field in fields(DetectorErrors)
    }
    values |= {"lost_set": values["lost_set"].long(), "harder": values["harder"].long()}
    values["tempi"] = torch.tensor(TYPICAL_TEMPI).expand(copies, -1)
    noisy, confidence = detect_badly(whole, DetectorErrors(**values), torch.Generator().manual_seed(seed))
    error = (noisy - whole).numpy().astype(np.float64) / person_unit(whole[0].numpy())
    return error, confidence.numpy().astype(np.float64)
