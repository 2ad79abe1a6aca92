"""How far one person's poses can be trusted, as results carry it. `posemamba.quality.trust` makes it.

Shapes: F frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE, LOOK, AVOID = 0, 1, 2
"""The levels of frames: nothing speaks against it; to be looked at; not to be trusted."""
WORDS = ("good", "use with care", "do not trust")
"""The verdicts, from the best to the worst."""


@dataclass(frozen=True)
class Trust:
    """The verdict on one person's poses, and a level for each frame.

    Attributes:
        word: ``good``, ``use with care`` or ``do not trust``.
        sentence: one plain line without the word: the reasons, and how many frames they are about.
        reasons: what speaks against the clip as a whole, in plain words; empty for a good one.
        levels: (F,) uint8; 0: nothing speaks against the frame, 1: to be looked at, 2: not to be trusted. Frames in
            which the person is away for a while are 2. A clip not to be trusted has no frame of level 0.
        stretches: (first, last, level, reason) of all frames above level 0, in order of time; both frames included.
        expected_mm: the weights' own estimate of the joints' mean error, millimetres; None: not known.
        seen_share: share of the clip's frames in which the person was found.
    """

    word: str
    sentence: str
    reasons: list[str]
    levels: NDArray[np.uint8]
    stretches: list[tuple[int, int, int, str]]
    expected_mm: float | None
    seen_share: float

    @property
    def line(self) -> str:
        """The word and the sentence."""
        return f"{self.word}: {self.sentence}"

    def page(self) -> dict[str, Any]:
        """Return what the viewer shows, in JSON's types."""
        return {
            "word": self.word,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "stretches": [list(stretch) for stretch in self.stretches],
        }

    def as_card(self) -> dict[str, Any]:
        """Return all but the levels in JSON's types."""
        return {**self.page(), "expected_mm": self.expected_mm, "seen_share": self.seen_share}

    @classmethod
    def from_card(cls, card: Any, levels: Any, frames: int) -> Trust | None:
        """Read `as_card` and the levels of a clip; None: neither is there.

        Raises:
            ValueError: they are no verdict on a clip of so many frames.
        """
        if card is None and levels is None:
            return None
        array = np.asarray(levels)
        if array.shape != (frames,) or array.dtype != np.uint8 or (array > AVOID).any():
            raise ValueError(f"trust_level is {array.dtype} {array.shape}, expected 0, 1 or 2 for each frame")
        texts = isinstance(card, dict) and isinstance(card.get("sentence"), str) and card.get("word") in WORDS
        if not texts or not all(isinstance(reason, str) for reason in card["reasons"]):
            raise ValueError(f"trust {card!r}")
        stretches = [(int(a), int(b), int(level), str(why)) for a, b, level, why in card["stretches"]]
        if not all(0 <= a <= b < frames and level in (LOOK, AVOID) for a, b, level, _ in stretches):
            raise ValueError(f"trust's stretches {stretches!r}")
        expected = None if card["expected_mm"] is None else float(card["expected_mm"])
        return cls(
            card["word"],
            card["sentence"],
            list(card["reasons"]),
            array,
            stretches,
            expected,
            float(card["seen_share"]),
        )
