"""Converted copies of data sets' files, which are mapped into memory: their numbers are checked where they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

_LARGEST = 1e9
"""The largest number of a file that its reader accepts; a copy's are smaller."""


def read_numbers(array: NDArray[Any], index: Any = ...) -> NDArray[Any]:
    """Read a part of an array that may be a mapped file.

    Args:
        array: the whole array.
        index: the part.

    Raises:
        PoseMambaError: the part holds NaN, infinite or huge numbers, which no whole copy has.
    """
    part: NDArray[Any] = array[index]
    if not (np.abs(part) < _LARGEST).all():
        name = getattr(array, "filename", None)
        if name is None:
            raise PoseMambaError("a data set's joints are NaN, infinite or huge; get its files again")
        raise PoseMambaError(
            f"{name}: holds NaN, infinite or huge numbers: this converted copy of a data set is damaged; delete its "
            f"folder {Path(name).parent}: it is made again"
        )
    return part
