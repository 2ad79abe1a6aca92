"""TRC, Motion Analysis' table of markers, as OpenSim reads it (OpenSim's documentation, "Marker (.trc) Files").

Cells are separated by tabs. There are a first line with the type, a line of keys and one of their values, two lines of
labels, an empty line, and one line for each frame. OpenSim's ground has y up, so the axes are turned (`common.y_up`).
The first line's last field, after the file's name, names the axes: readers use only the first word of that line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posemamba.io.motion.common import Y_UP, check, feet_of, notes, rows, y_up
from posemamba.poses import Poses3D
from posemamba.utils.files import atomic_path

FEET_MARKERS = ("RHeel", "RBigToe", "LHeel", "LBigToe")
"""The feet's markers, as OpenSim's models of detected joints name them, in the order of the feet."""
KEYS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers"),
    *("Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


def write_trc(path: str | Path, motion: Poses3D) -> tuple[str, ...]:
    """Write the joints as markers, in metres with 6 decimals, y up; frames count from 1.

    Frames keep their own times; DataRate and CameraRate are the motion's frames per second. The three cells of an
    unknown joint are empty, which OpenSim reads as a marker that was not seen. Heels and foot tips follow the joints,
    if any was seen.

    Args:
        path: the file.
        motion: in metres.

    Returns:
        Notes for the user, one line each.

    Raises:
        PoseMambaError: the motion is in pixels, nobody was seen, or times do not increase.
    """
    check(path, motion, "trc")
    feet = feet_of(motion)
    frames, markers = len(motion), (*motion.skeleton.joints, *(() if feet is None else FEET_MARKERS))
    rate = f"{motion.fps:.6f}".rstrip("0").rstrip(".")
    remark = f"posemamba; metres; {Y_UP}" + ("" if motion.absolute else "; pelvis at the origin")
    values = [rate, rate, str(frames), str(len(markers)), "m", rate, "1", str(frames)]
    header = [
        ["PathFileType", "4", "(X/Y/Z)", Path(path).name, remark],
        list(KEYS),
        values,
        # a marker's name stands over its x; from here on every line ends with a tab, as OpenSim's own do: without it
        # OpenSim drops an empty last cell, and misses it where the last marker was not seen
        ["Frame#", "Time", *(cell for name in markers for cell in (name, "", "")), ""],
        ["", "", *(f"{axis}{i + 1}" for i in range(len(markers)) for axis in "XYZ"), ""],
        [],
    ]
    xyz = y_up(motion)
    xyz = np.round(xyz if feet is None else np.concatenate([xyz, y_up(motion, feet)], 1), 6) + 0.0
    xyz[~motion.seen] = np.nan
    xyz[~np.isfinite(xyz).all(-1)] = np.nan  # a joint is known or not
    counted = np.stack([np.arange(frames) + 1.0, motion.frame_times()], -1)
    template = "\t".join(["%d", "%.6f", *["%.6f"] * (3 * len(markers))]) + "\t\n"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines("\t".join(line) + "\n" for line in header)
        for text in rows(template, [counted, xyz.reshape(frames, 3 * len(markers))]):
            file.write(text)
    unseen = int((~np.isfinite(xyz).any((1, 2))).sum())
    empty = (f"{unseen} of {frames} frames, in which the person was not seen, are empty",) if unseen else ()
    return empty + notes(motion)
