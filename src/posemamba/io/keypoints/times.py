"""Times of the frames of a keypoint file: their unit, frames without one, and the frame rate that they show.

Shapes: F frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.times import usual_step
from posemamba.utils.errors import PoseMambaError

UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
# Seconds between two frames by which a unit is told; the next unit's begin at 0.002 of its own. A step of 1 may be a
# second, a millisecond or the number of a frame.
_LIKELY, _LIKELY_OF_PARTS = (0.001, 0.9), (0.002, 0.9)
_POSSIBLE = (0.0005, 20.0)  # seconds between two frames, where the file names the unit
_FITS = 2.0  # the factor by which times may be off a given frame rate, as uneven ones are
_AGREES = 0.15  # share by which the rate that a file names may differ from its times'
AGREES_WITH_USER = 0.05
"""Share by which the user's rate may differ from that of the times without a word."""
_DAY = 86_400.0  # seconds: times that begin later are a clock's


@dataclass(frozen=True)
class Timing:
    """The frames' times of a file.

    Attributes:
        times: (F,) seconds, rising.
        fps: the usual number of frames per second.
        remarks: what was found out about them, for the user.
    """

    times: NDArray[np.float64]
    fps: float
    remarks: tuple[str, ...] = ()


def settle(
    path: Path, found: NDArray[np.float64], unit: float | None, fps: float | None, given: float | None
) -> Timing | None:
    """Make seconds of a file's times, and fill in frames that have none.

    Args:
        path: the file, for messages.
        found: (F,) in any unit; NaN for frames without a time.
        unit: seconds of the unit that the file names; None: it names none.
        fps: the file's frame rate, if it has one.
        given: the user's.

    Returns:
        The times; None if there are none, or none by which a rate can be told.

    Raises:
        PoseMambaError: they do not rise, or their unit cannot be told.
    """
    numbers = np.flatnonzero(np.isfinite(found))
    if len(found) == 1 and len(numbers):
        rate, first = given or fps, float(found[0] * (unit or 1.0))
        return Timing(np.array([first if 0 <= first < _DAY else 0.0]), rate) if rate else None
    if len(numbers) < 2:
        return None
    known = found[numbers]
    if (late := np.flatnonzero(np.diff(known) <= 0)).size:
        if given is not None:
            return None
        a, b = numbers[late[0]], numbers[late[0] + 1]
        raise PoseMambaError(
            f"{path}: the times of its frames do not rise: frame {b} is at {found[b]:.10g}, frame {a} at "
            f"{found[a]:.10g}; correct them, or give --fps in their place"
        )
    filled = np.interp(np.arange(len(found)), numbers, known)
    step = usual_step(filled[numbers[0] : numbers[-1] + 1])
    assert step is not None
    for k in np.flatnonzero(~np.isfinite(found)):  # before the first and after the last that are known
        filled[k] = known[0] - step * (numbers[0] - k) if k < numbers[0] else filled[k]
        filled[k] = known[-1] + step * (k - numbers[-1]) if k > numbers[-1] else filled[k]
    mean = float(known[-1] - known[0]) / (numbers[-1] - numbers[0])
    seconds, remarks = _unit(path, known, step, mean, unit, given or fps)
    if abs(known[0] * seconds) > _DAY:
        remarks.append("are a clock's, and are counted from the first frame")
        filled = filled - filled[0]
    times, rate = filled * seconds, float(f"{1 / (step * seconds):.10g}")  # 50, not 50.000000000000014
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise PoseMambaError(f"{path}: the times of its frames are too large to tell one from the next; correct them")
    remarks = [f"{path.name}: its times {remark}" for remark in remarks]
    named = given or fps
    if named is None:
        return Timing(times, rate, tuple(remarks))
    most = _AGREES if given is None else AGREES_WITH_USER
    agrees = any(abs(named * s * seconds - 1) <= most for s in (step, mean))
    if not agrees:
        says = f"says {named:g} frames a second" if given is None else f"--fps is {given:g}"
        remarks.append(f"{path.name}: {says}, its times are those of {rate:.4g} a second, and are kept")
    near = 1 / _FITS < named / rate < _FITS if given is None else abs(named / rate - 1) <= AGREES_WITH_USER
    rate = named if near else rate
    return Timing(times, rate, tuple(remarks))


def _unit(
    path: Path, known: NDArray[np.float64], step: float, mean: float, unit: float | None, fps: float | None
) -> tuple[float, list[str]]:
    """Return the seconds of the unit, and a remark where the file does not say it.

    Args:
        path: the file, for the error.
        known: the times that there are.
        step, mean: the usual and the mean step from frame to frame.
        unit: seconds of the unit that the file names, or None.
        fps: the frame rate, if it is known.

    Raises:
        PoseMambaError: the unit cannot be told.
    """
    if unit is not None and _POSSIBLE[0] <= step * unit <= _POSSIBLE[1]:
        return unit, []
    fits = [
        seconds
        for seconds in UNITS.values()
        if fps is not None and any(1 / _FITS < s * seconds * fps < _FITS for s in (step, mean))
    ]
    counts = abs(step - 1) < 1e-9 and bool((known == np.round(known)).all())
    if counts and fps is not None and not fits:
        return 1 / fps, [f"count frames, and are taken for {fps:g} a second"]
    for seconds in UNITS.values():
        low, high = _LIKELY if seconds == 1 else _LIKELY_OF_PARTS
        if not fits and low <= step * seconds <= high:
            fits = [seconds]
    if not fits:
        raise PoseMambaError(
            f"{path}: its times rise by {step:.6g} from frame to frame"
            + (", by which they may be seconds or numbers of frames" if counts else ", and their unit cannot be told")
            + "; expected seconds, or milli-, micro- or nanoseconds: correct them, or give --fps"
        )
    seconds = fits[0]
    if seconds == 1 and unit is None:
        return seconds, []
    name = next(name for name, size in UNITS.items() if size == seconds)
    return seconds, [f"are taken for {name}: {1 / (step * seconds):.4g} frames a second"]
