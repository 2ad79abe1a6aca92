"""Ways of looking for people in the frames of a clip."""

from __future__ import annotations

from typing import Literal

Mode = Literal["track", "detect"]
MODES: tuple[Mode, ...] = ("track", "detect")
