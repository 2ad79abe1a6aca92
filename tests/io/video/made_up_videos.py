"""Videos to read: bars of known colours, and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.writer import VideoWriter

COLOURS = np.array(
    [[200, 30, 40], [20, 180, 60], [40, 50, 220], [250, 250, 250], [10, 10, 10], [128, 90, 200]], np.uint8
)


def bars(height: int, width: int) -> NDArray[np.uint8]:
    """Vertical bars of the six colours."""
    return np.tile(COLOURS[np.arange(width) * len(COLOURS) // width], (height, 1, 1))


def write_noise(path: Path, frames: int = 45, size: tuple[int, int] = (120, 160)) -> Path:
    """A video whose bytes are spread over its length (noise does not compress away)."""
    rng = np.random.default_rng(0)
    with VideoWriter(path, 30) as writer:
        for _ in range(frames):
            writer.write(rng.integers(0, 255, (*size, 3), dtype=np.uint8))
    return path
