"""What the parts share: limits, limbs, the person's size, stretches of frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

Array = NDArray[np.floating]

GROSS = 0.3
"""Errors beyond this, a tenth of a standing person's height, are counted and not averaged."""
LOW = 0.5
"""Confidence below which a joint counts as lost."""
LIMBS = {"legs": ((1, 4), (2, 5), (3, 6)), "arms": ((11, 14), (12, 15), (13, 16))}


def person_unit(xy: Array, source: str = "") -> float:
    """`posemamba.models.inputs.person_size` over the frames in which all joints of (F, J, 2) were found.

    Raises:
        PoseMambaError: `source` has no such frame.
    """
    whole = xy[np.isfinite(xy).all((1, 2))]
    if not len(whole):
        raise PoseMambaError(
            f"{source or 'the keypoints'}: no frame in which all joints were found, expected one at least: errors are "
            "measured in sizes of the person"
        )
    centred = whole - whole.mean(1, keepdims=True)
    return float(np.sqrt(np.square(centred).sum(-1).mean()))


def stretches(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of each run of True in (F,)."""
    edges = np.flatnonzero(np.diff(np.r_[False, where, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
