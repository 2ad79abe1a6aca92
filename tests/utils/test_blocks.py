"""Computations in blocks of frames."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.utils.blocks import FRAMES, blocks, in_blocks


@pytest.mark.parametrize("frames", [0, 1, FRAMES, FRAMES + 1, 3 * FRAMES - 5])
def test_blocks_give_what_the_whole_gives(frames: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(frames, 3)), rng.normal(size=(frames, 3)).astype(np.float32)
    sizes: list[int] = []

    def compute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        sizes.append(len(a))
        return np.stack([a, b.astype(np.float64)], 1)

    found = in_blocks(compute, a, b)
    assert np.array_equal(found, np.stack([a, b], 1)) and found.dtype == np.float64
    assert sum(sizes) == frames and max(sizes) <= FRAMES
    assert np.concatenate([np.arange(frames)[block] for block in blocks(frames)]).tolist() == list(range(frames))
