"""A decoded frame as a player shows it: RGB, upright, with square pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's numbers of colour spaces


def rotation_of(frame: Any) -> int:
    """Degrees counter-clockwise, a multiple of 90."""
    return int(round((getattr(frame, "rotation", 0) or 0) / 90) * 90) % 360


def as_shown(frame: Any, stream: Any, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    """The frame as RGB, with square pixels, upright; with this (height, width) if one is given."""
    turns = rotation_of(frame) // 90
    if shape is None:
        aspect = float(stream.sample_aspect_ratio or 1)
        stored = frame.height, (round(frame.width * aspect) if aspect > 0 else frame.width)
    else:
        stored = shape if turns % 2 == 0 else (shape[1], shape[0])
    options: dict[str, Any] = {}
    space = int(frame.colorspace)
    # Players take high definition that names no colour space for BT.709, FFmpeg for BT.601. PyAV before 17
    # does so even where BT.709 is named, unless the target differs, which means nothing for RGB.
    if space == _BT709 or (space == _UNSPECIFIED and frame.height >= 720):
        options = {"src_colorspace": "ITU709", "dst_colorspace": "ITU601"}
    rgb = frame.reformat(width=stored[1], height=stored[0], format="rgb24", **options).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, turns))
