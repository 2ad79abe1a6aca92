"""The quality of one person's poses, as all checks measured it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from posemamba.quality.common import Array, Fault, Mask

CHECKS = ("not seen", "doubt", "jump", "swap", "bone", "flip", "bend", "feet", "floor", "reprojection", "uncertain")
"""The values of `Fault.check`."""


@dataclass
class Quality:
    """The quality of one person's poses.

    Attributes:
        person: the person's number in the source.
        source: the name of what was lifted.
        times: (F,) seconds.
        seen: (F,) frames in which the person was seen.
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
        """Return (F,) the frames with a chosen fault."""
        mask = np.zeros(len(self.times), bool)
        for fault in self.faults:
            if chosen(fault):
                mask[fault.first : fault.last + 1] = True
        return mask
