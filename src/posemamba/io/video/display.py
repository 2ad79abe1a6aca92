"""Frames as players show them: turned and flipped by the display matrix, with square pixels.

A display matrix takes the place (x, y) of a stored pixel, y down, to (a x + c y, b x + d y).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HDR = {16: "PQ", 18: "HLG"}
"""FFmpeg's numbers of transfer functions with a high dynamic range."""
_ASPECTS = (0.1, 10.0)
"""Widths of a pixel, in heights, that a camera or a tape may have; others are broken numbers."""


Matrix = tuple[int, int, int, int]
"""A display matrix' a, b, c and d, in units of 1/65536."""


UPRIGHT: Matrix = (1 << 16, 0, 0, 1 << 16)
"""The matrix of frames that are shown as they are stored."""


def display_matrix(frame: Any) -> Matrix:
    """Return a frame's display matrix; the identity without one.

    PyAV keeps a frame that was asked for it until Python collects cycles, which it does by the number of objects and
    not by their size: ask the first frame of a video alone.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None or len(raw := bytes(data)) < 36:
        return UPRIGHT
    a, b, _, c, d = (int(value) for value in np.frombuffer(raw, np.int32, 5))
    return a, b, c, d


def is_transposed(matrix: Matrix) -> bool:
    """Return True if frames are shown with their width as height."""
    a, b, c, d = matrix
    return abs(a) + abs(d) < abs(b) + abs(c)


def turned(matrix: Matrix, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn and flip (height, width, ...) stored pixels as a display matrix says; odd angles to the nearest."""
    a, b, c, d = matrix
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def is_mirrored(matrix: Matrix) -> bool:
    """Return True if frames are shown as in a mirror."""
    a, b, c, d = matrix
    return a * d - b * c < 0


def pixel_aspect(stream: Any) -> float:
    """Return the width of a stored pixel in its heights; 1 where the stream names none that can be."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if _ASPECTS[0] <= aspect <= _ASPECTS[1] else 1.0


def list_remarks(path: Path, frame: Any) -> tuple[str, ...]:
    """Return lines on what a player would do with such frames that is not done here."""
    remarks = []
    if frame.interlaced_frame:
        remarks.append(
            "interlaced: fast limbs show combs, and are found less well; deinterlace it first: "
            "ffmpeg -i IN -vf bwdif -c:a copy OUT"
        )
    if (name := _HDR.get(int(getattr(frame, "color_trc", 2)))) is not None:
        remarks.append(
            f"of high dynamic range ({name}), decoded without tone mapping: colours are pale; if people are missed, "
            "export it as SDR"
        )
    return tuple(f"{path.name}: {remark}" for remark in remarks)
