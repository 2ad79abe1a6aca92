"""The table from which the expected errors of joint angles are computed; weights carry it in their card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "posemamba-angle-errors-1"
TERMS = ("view", "depth", "joints", "share")
"""Terms of an expected error, besides the angle; `posemamba.refine.angle_accuracy.terms` computes it."""


def plain_name(angle: str) -> str:
    """Return an angle's name without its side: both sides share a row of the table."""
    return angle.removeprefix("left_").removeprefix("right_")


@dataclass(frozen=True)
class AngleErrorTable:
    """The expected absolute error of each angle: exp(base + the sum of slope x term), times `factor`, degrees.

    Attributes:
        rows: by the angle's name without side, the base and a slope for each of `TERMS`, 0 or more.
        factor: by the angle's name without side, how much larger errors are on real video than on motion capture.
        source: what rows and factors were measured on.
    """

    rows: Mapping[str, tuple[float, ...]]
    factor: Mapping[str, float]
    source: str = ""

    def as_card(self) -> dict[str, Any]:
        """Return the table in JSON's types."""
        return {
            "format": FORMAT,
            "terms": list(TERMS),
            "rows": {name: [round(v, 4) for v in row] for name, row in self.rows.items()},
            "factor": {name: round(v, 3) for name, v in self.factor.items()},
            "source": self.source,
        }

    @classmethod
    def from_card(cls, value: object) -> AngleErrorTable | None:
        """Read what `as_card` returned; None for None, and for a later format, which this version cannot read.

        Raises:
            ValueError: a damaged table.
        """
        if value is None:
            return None
        try:
            if not isinstance(value, Mapping):
                raise TypeError(f"a {type(value).__name__}")
            if value["format"] != FORMAT:
                return None
            rows = {str(name): tuple(float(v) for v in row) for name, row in value["rows"].items()}
            factor = {str(name): float(v) for name, v in value["factor"].items()}
            numbers = [v for row in (*rows.values(), factor.values()) for v in row]
            if any(len(row) != 1 + len(TERMS) for row in rows.values()) or not all(map(math.isfinite, numbers)):
                raise ValueError(f"expected {1 + len(TERMS)} finite numbers for each angle")
            return cls(rows, factor, str(value["source"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"the table of the angles' expected errors is damaged: {error}") from None
