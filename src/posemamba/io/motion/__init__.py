"""Export of motions for other programs: tables for statistics, TRC for OpenSim, BVH and glTF for animation.

One file holds one person. Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.bvh import write_bvh
from posemamba.io.motion.common import Export
from posemamba.io.motion.csv import write_csv, write_csv_tidy
from posemamba.io.motion.glb import write_glb
from posemamba.io.motion.trc import write_trc
from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import writing

__all__ = ["EXPORTS", "Export", "write_bvh", "write_csv", "write_csv_tidy", "write_glb", "write_motion", "write_trc"]

EXPORTS: dict[str, Export] = {
    export.name: export
    for export in (
        Export("csv", ".csv", "table, one row a frame: spreadsheets, pandas, R", False),
        Export("csv-tidy", ".tidy.csv", "table, one row a joint and frame: pandas, R", False),
        Export("trc", ".trc", "markers: OpenSim", True),
        Export("bvh", ".bvh", "skeleton and rotations: Blender, MotionBuilder, Unity", True),
        Export("glb", ".glb", "animated skeleton with a body: viewers, Blender, web pages, game engines", True),
    )
}
"""The export formats by name."""


def write_motion(
    path: str | Path, motion: Poses3D, format: str, *, columns: Mapping[str, NDArray[np.floating]] | None = None
) -> tuple[str, ...]:
    """Write one person's motion, whole or not at all.

    Args:
        path: the file, with any suffix (`EXPORTS` names the usual ones).
        motion: the motion; in metres for trc, bvh and glb.
        format: a name in `EXPORTS`.
        columns: for the two tables, further columns (F,) by name, with units in the name (``left_knee_deg``).

    Returns:
        Notes for the user, one line each, on what the file may not show: held frames, resampled times, a root that
        stays in place.

    Raises:
        PoseMambaError: the format is unknown, the motion is in pixels where metres are needed, nobody was seen, times
            do not increase, columns do not fit, or the path cannot be written.
    """
    if format not in EXPORTS:
        raise PoseMambaError(f"unknown format '{format}' for motions: the known ones are {', '.join(EXPORTS)}")
    tables = {"csv": write_csv, "csv-tidy": write_csv_tidy}
    if columns and format not in tables:
        raise PoseMambaError(f"{path}: {format} has no place for columns {', '.join(columns)}: use csv for them")
    with writing(path):
        if format in tables:
            return tables[format](path, motion, columns=columns)
        return {"trc": write_trc, "bvh": write_bvh, "glb": write_glb}[format](path, motion)
