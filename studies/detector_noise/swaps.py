"""Left and right taken for each other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studies.detector_noise.common import LIMBS, Array, stretches

_SWAP_GAIN = 0.1  # left and right exchanged if a limb's joints then lie nearer by this, on average


@dataclass(frozen=True)
class Swaps:
    """Left and right taken for each other.

    Attributes:
        frames: share of frames.
        stretches: how many, by what was exchanged: legs, arms or both.
        lengths: frames of each stretch.
        breadth: median breadth of the shoulders in those frames, in units of the trunk; NaN without any.
        breadth_all: the same of all frames. Small numbers are views from the side.
    """

    frames: float
    stretches: dict[str, int]
    lengths: tuple[int, ...]
    breadth: float
    breadth_all: float


def exchanged(xy: Array, reference: Array, unit: float) -> dict[str, NDArray[np.bool_]]:
    """For legs and arms (F,): whether left and right exchanged would lie clearly nearer to the reference (F, J, 2)."""
    result = {}
    for limb, pairs in LIMBS.items():
        left, right = np.array(pairs).T
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # joints not found
            kept, crossed = (
                np.nanmean(np.linalg.norm(xy[:, [*a, *b]] - reference[:, [*left, *right]], axis=-1), axis=1)
                for a, b in ((left, right), (right, left))
            )
        result[limb] = kept - crossed > _SWAP_GAIN * unit
    return result


def exchanged_over_time(xy: Array, unit: float) -> dict[str, NDArray[np.bool_]]:
    """The same without a reference: every limb is given the sides on which its joints move least from frame to frame.

    Which of the two ways is right is not known: the more frequent one is taken for it.
    """
    result = {}
    for limb, pairs in LIMBS.items():
        left, right = np.array(pairs).T
        state = np.zeros(len(xy), bool)
        last: Array | None = None
        for i in range(len(xy)):
            here, there = xy[i, [*left, *right]], xy[i, [*right, *left]]
            if not np.isfinite(here).all():
                continue
            if last is not None:
                gain = (np.linalg.norm(here - last, axis=-1) - np.linalg.norm(there - last, axis=-1)).mean()
                state[i] = gain > _SWAP_GAIN * unit
            last = there if state[i] else here
        result[limb] = ~state if state.mean() > 0.5 else state
    return result


def count_swaps(what: Sequence[dict[str, NDArray[np.bool_]]], xy: Array) -> Swaps:
    """Count stretches of `exchanged` over repeats; xy (F, J, 2) says from which side the body was seen."""
    counts = {"legs": 0, "arms": 0, "both": 0}
    lengths: list[int] = []
    any_at = []
    for one in what:
        either = one["legs"] | one["arms"]
        any_at.append(either)
        for start, end in stretches(either):
            legs, arms = (bool(one[k][start:end].any()) for k in ("legs", "arms"))
            counts["both" if legs and arms else "legs" if legs else "arms"] += 1
            lengths.append(end - start)
    trunk = np.linalg.norm(xy[:, 8] - xy[:, 0], axis=-1)
    breadth = np.linalg.norm(xy[:, 11] - xy[:, 14], axis=-1) / trunk
    at = np.array(any_at)
    inside = np.concatenate([breadth[row] for row in at]) if len(at) else np.empty(0)
    inside, everywhere = inside[np.isfinite(inside)], breadth[np.isfinite(breadth)]
    return Swaps(
        float(at.mean()),
        counts,
        tuple(lengths),
        float(np.median(inside)) if len(inside) else float("nan"),
        float(np.median(everywhere)) if len(everywhere) else float("nan"),
    )
