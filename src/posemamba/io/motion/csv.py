"""Tables of comma-separated values (RFC 4180), with one header line and no comments.

A comment line would break Excel and `pandas.read_csv`, so units are in the names of columns (``pelvis_x_m``,
``pelvis_x_px``), and the axes in the last column, the same text in each row. The frame rate follows from the times,
which need not be even. Coordinates are in the motion's own frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.common import AXES, Array, feet_confidence, feet_of, rows
from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

UNITS = {"metre": ("m", 6), "pixel": ("px", 3)}  # suffix of the columns, decimals

_TRUST = ["trust_level"]
Columns = Mapping[str, NDArray[np.floating]]


def write_csv(path: str | Path, motion: Poses3D, *, columns: Columns | None = None) -> tuple[str, ...]:
    """Write one row for each frame: frame, time_s, seen, x, y, z and confidence of each joint, further columns, axes.

    Of poses that were judged, trust_level follows seen (`posemamba.Trust`: 0, 1, or 2 for not to be trusted).
    Heels and foot tips follow the joints, if any was seen. Frames count from 0, seen is 0 or 1, cells of unknown joints
    are empty. Lengths have 6 decimals in metres and 3 in pixels, times 6, confidences 4, further columns 6.

    Args:
        path: the file.
        motion: in metres or pixels.
        columns: further columns (F,) by their names; NaN becomes an empty cell.

    Returns:
        Notes for the user (none).

    Raises:
        PoseMambaError: a further column has the wrong length, or a name that is taken or would break the header.
    """
    unit, decimals = UNITS[motion.units]
    names = ["frame", "time_s", "seen", *_TRUST[: _judged(motion)]]
    points, joints = _joints(motion, decimals)
    names += [f"{j}_{part}" for j in points for part in (f"x_{unit}", f"y_{unit}", f"z_{unit}", "confidence")]
    extra = _extra(path, motion, columns, names)
    template = ",".join(
        [
            "%d,%.6f,%d" + ",%d" * _judged(motion),
            *([f"%.{decimals}f"] * 3 + ["%.4f"]) * joints.shape[1],
            *["%.6f"] * extra.shape[1],
            axes_text(motion),
        ]
    )
    numbers = [
        np.concatenate([_frames(motion), _levels(motion)], 1),
        joints.reshape(len(motion), joints.shape[1] * joints.shape[2]),
        extra,
    ]
    _write(path, [*names, *(columns or {}), "axes"], template, numbers)
    return ()


def write_csv_tidy(path: str | Path, motion: Poses3D, *, columns: Columns | None = None) -> tuple[str, ...]:
    """Write one row for each frame and joint: frame, time_s, joint, x, y, z, confidence, further columns, axes.

    Every frame has 17 rows, and 4 of heels and foot tips, if any was seen; cells of unknown joints are empty. Further
    columns belong to the frame and repeat in its rows. Of poses that were judged, trust_level follows confidence.
    Decimals, arguments, notes and errors are those of `write_csv`.
    """
    unit, decimals = UNITS[motion.units]
    names = ["frame", "time_s", "joint", f"x_{unit}", f"y_{unit}", f"z_{unit}", "confidence"]
    names += _TRUST[: _judged(motion)]
    extra = _extra(path, motion, columns, names)
    # the template is of a whole frame, in which the joints' names are text
    cells = ",".join(
        [*[f"%.{decimals}f"] * 3, "%.4f", *["%d"] * _judged(motion), *["%.6f"] * extra.shape[1], axes_text(motion)]
    )
    points, joints = _joints(motion, decimals)
    template = "\r\n".join(f"%d,%.6f,{joint},{cells}" for joint in points)
    count = len(points)
    frames = np.repeat(_frames(motion)[:, None, :2], count, axis=1)
    of_frame = np.concatenate([_levels(motion), extra], 1)
    table = np.concatenate([frames, joints, np.repeat(of_frame[:, None], count, axis=1)], -1)
    _write(path, [*names, *(columns or {}), "axes"], template, [table.reshape(len(motion), count * table.shape[2])])
    return ()


def axes_text(motion: Poses3D) -> str:
    """Return a row's description of its coordinates, without commas: ``world x=right y=away z=up pelvis=0``."""
    directions = " ".join(f"{name}={where}" for name, where in zip("xyz", AXES[motion.frame], strict=True))
    return f"{motion.frame} {directions}" + ("" if motion.absolute else " pelvis=0")


def _joints(motion: Poses3D, decimals: int) -> tuple[tuple[str, ...], Array]:
    """Return the points' names, N of them, and (F, N, 4) their x, y, z and confidence; feet only if any was seen."""
    feet = feet_of(motion)
    xyz = motion.xyz if feet is None else np.concatenate([motion.xyz, feet], 1)
    confidence = motion.network.confidence
    if feet is not None:
        confidence = np.concatenate([confidence, feet_confidence(motion)], 1)
    points = (*motion.skeleton.joints, *(() if feet is None else FEET))
    return points, np.concatenate([_tidy(xyz, decimals), _tidy(confidence[..., None], 4)], -1)


def _frames(motion: Poses3D) -> Array:
    """Return (F, 3): frame number, time in seconds, seen."""
    return np.stack([np.arange(len(motion)), motion.frame_times(), motion.seen], -1).astype(np.float64)


def _judged(motion: Poses3D) -> int:
    """Return the number of columns with levels of trust: 1 if the poses were judged, else 0."""
    return int(motion.trust is not None)


def _levels(motion: Poses3D) -> Array:
    """Return the (F, 1) levels of trust; (F, 0) if the poses were not judged."""
    return np.empty((len(motion), 0)) if motion.trust is None else motion.trust.levels[:, None].astype(np.float64)


def _tidy(values: NDArray[np.floating], decimals: int) -> Array:
    """Round, without negative zeros."""
    return np.asarray(np.round(values.astype(np.float64), decimals) + 0.0, np.float64)


def _extra(path: str | Path, motion: Poses3D, columns: Columns | None, names: list[str]) -> Array:
    """Check the further columns and return them as (F, number of columns)."""
    for name, values in (columns or {}).items():
        if np.shape(values) != (len(motion),):
            raise PoseMambaError(
                f"{path}: column '{name}' has shape {np.shape(values)}, the motion {len(motion)} frames"
            )
        if name in (*names, "axes") or not name or set(name) & set(',"\r\n'):
            raise PoseMambaError(
                f"{path}: a column cannot be named '{name}': the name is taken, or has a comma, quote or line end"
            )
    if not columns:
        return np.empty((len(motion), 0))
    return _tidy(np.stack([np.asarray(v, np.float64) for v in columns.values()], -1), 6)


def _write(path: str | Path, names: list[str], template: str, numbers: list[Array]) -> None:
    # RFC 4180's line ends, on every system
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(names) + "\r\n")
        for text in rows(template + "\r\n", numbers, chunk=512):
            file.write(text)
