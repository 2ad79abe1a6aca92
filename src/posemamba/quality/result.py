"""What the checks found of one person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from posemamba.quality.common import Array, Fault, Mask

CHECKS = ("not seen", "doubt", "jump", "swap", "bone", "flip", "bend", "feet", "floor", "reprojection", "uncertain")
"""What a fault can be of."""


@dataclass
class Quality:
    """What was found of one person.

    Attributes:
        person: the number in the source.
        source: what was lifted.
        times: (F,) seconds.
        seen: (F,).
        numbers: by section, then by name; JSON's types.
        faults: in order of time.
        series: name to (F,): confidence, bones, turning, reprojection, expected error.
        remarks: for the reader.
    """

    person: int
    source: str
    times: Array
    seen: Mask
    numbers: dict[str, dict[str, Any]]
    faults: list[Fault]
    series: dict[str, Array]
    remarks: list[str]

    def marked(self, chosen: Callable[[Fault], bool] = lambda fault: True) -> Mask:
        """(F,) frames with a fault that is chosen."""
        mask = np.zeros(len(self.times), bool)
        for fault in self.faults:
            if chosen(fault):
                mask[fault.first : fault.last + 1] = True
        return mask
