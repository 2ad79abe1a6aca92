"""Overlapping windows over a clip, and the weights by which neighbours are cross-faded.

Shapes: F frames, T frames of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """A window of a clip, which is lifted at once.

    Attributes:
        start, end: frames [start, end).
        next_start: where the next window starts (the clip's end for the last one).
        fade: (first, length) in frames of the clip: the cross-fade from the window before.
    """

    start: int
    end: int
    next_start: int
    fade: tuple[int, int]

    def weights(self, shared: int) -> NDArray[np.float32]:
        """Return (shared,) this window's weights in its first frames, from 0 to 1; the window before has the rest."""
        first, length = self.fade
        position = (np.arange(self.start, self.start + shared) - first + 1) / (length + 1)
        return (np.sin(0.5 * np.pi * np.clip(position, 0, 1)) ** 2).astype(np.float32)


def windows(frames: int, window: int, overlap: int) -> list[Window]:
    """Cut a clip into windows of one length, evenly spread, so that the last is as accurate as the others.

    Neighbours share at least `overlap` frames. They are cross-faded over `overlap` frames in the middle of those that
    they share, away from both windows' ends, where a model is least accurate.

    Args:
        frames: the clip's frames; up to `window` of them make one window.
        window: the frames of a window.
        overlap: at most half of `window`.
    """
    if frames <= window:
        return [Window(0, frames, frames, (0, 0))]
    count = 1 + -(-(frames - window) // (window - overlap))
    starts = [i * (frames - window) // (count - 1) for i in range(count)]
    placed = []
    for start, before, after in zip(starts, [None, *starts], [*starts[1:], frames], strict=False):
        shared = 0 if before is None else before + window - start
        fade = min(overlap, shared)
        placed.append(Window(start, start + window, after, (start + (shared - fade) // 2, fade)))
    return placed
