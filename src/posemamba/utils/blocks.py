"""Computations frame by frame, done in blocks of frames: long clips need no more working memory than short ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES = 2048
"""Frames of a block: a minute, and some megabytes of working memory."""


def blocks(frames: int) -> Iterator[slice]:
    """Yield the slices of so many frames, in order; an empty one of none."""
    for start in range(0, max(frames, 1), FRAMES):
        yield slice(start, min(start + FRAMES, frames))


def in_blocks(compute: Callable[..., NDArray[Any]], *arrays: NDArray[Any]) -> NDArray[Any]:
    """Return compute(*arrays), where each frame of the result depends on the same frame of the arrays alone.

    Args:
        compute: takes so many arrays, (f, ...) each, and returns one, (f, ...), for any f.
        arrays: (F, ...), of one length.
    """
    frames = len(arrays[0])
    if frames <= FRAMES:
        return compute(*arrays)
    whole: NDArray[Any] | None = None
    for block in blocks(frames):
        part = compute(*(array[block] for array in arrays))
        if whole is None:
            whole = np.empty((frames, *part.shape[1:]), part.dtype)
        whole[block] = part
    assert whole is not None
    return whole
