"""Ranges of the numbers that describe a clip: what lies outside of them is a broken number, wherever it comes from."""

from __future__ import annotations

from posemamba.utils.errors import PoseMambaError

SLOWEST, FASTEST = 0.01, 1000.0
"""Frames per second: from a picture every 100 seconds to slow motion; smoothing in time is exact to rounding so far."""
CLOSEST = 1e-4
"""Seconds between two frames."""
LARGEST_IMAGE = 100_000
"""Pixels on a side."""
FARTHEST = 1e7
"""Pixels from the image's corner: float32 tells no pixels apart farther away."""
MOST_IN_A_FRAME = 300
"""People in one frame: the work of following them grows with the square."""


def check_fps(what: str, fps: float) -> float:
    """Return a frame rate after a check of its range.

    Args:
        what: the file or option, for the message.
        fps: frames per second.

    Raises:
        PoseMambaError: it is outside of SLOWEST to FASTEST, or not a number.
    """
    if not SLOWEST <= fps <= FASTEST:
        raise PoseMambaError(
            f"{what} is {fps:g}, expected a positive number of frames per second, {SLOWEST:g} to {FASTEST:g}"
        )
    return float(fps)


def check_image_size(what: str, width: float, height: float) -> None:
    """Check an image's size.

    Raises:
        PoseMambaError: a side is outside of 1 to LARGEST_IMAGE, or not a number.
    """
    if not (1 <= width <= LARGEST_IMAGE and 1 <= height <= LARGEST_IMAGE):
        found = "x".join(f"{min(max(side, -1e99), 1e99):g}" for side in (width, height))
        raise PoseMambaError(f"{what} is {found}, expected positive numbers of pixels, up to {LARGEST_IMAGE} on a side")
