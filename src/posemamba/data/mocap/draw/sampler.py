"""Random numbers of a batch of clips from one NumPy generator, as arrays with a row for each clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


class Sampler:
    """Random numbers (size, *width) of one generator, in the order of the calls."""

    def __init__(self, random: np.random.Generator, size: int) -> None:
        self.random, self.size = random, size

    def uniform(self, low: float, high: float, *width: int) -> Array:
        return low + (high - low) * self.random.random((self.size, *width))

    def log_uniform(self, low: float, high: float, *width: int) -> Array:
        return np.exp(self.uniform(np.log(low), np.log(high), *width))

    def normal(self, mean: float, std: float, *width: int) -> Array:
        return self.random.normal(mean, std, (self.size, *width))

    def chance(self, share: float, *width: int) -> NDArray[np.bool_]:
        return self.random.random((self.size, *width)) < share

    def choice(self, options: Array, *width: int) -> Array:
        return np.asarray(options)[np.floor(self.uniform(0, len(options), *width)).astype(int)]


def tensor(array: Array) -> Tensor:
    """Return a tensor of the array's memory; a copy where it is not contiguous."""
    return torch.from_numpy(np.ascontiguousarray(array))
