"""Export of motions for other programs: tables for statistics, TRC for OpenSim, BVH and glTF for animation.

One file holds one person. Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.common import Export, check
from posemamba.io.motion.humanoids import OWN, RIGS, check_rig
from posemamba.poses import Poses3D
from posemamba.refine.floor import NAME as FLOOR
from posemamba.refine.floor import stand
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import writing
from posemamba.utils.lazy import lazy_names

if TYPE_CHECKING:
    from posemamba.io.motion.bvh import write_bvh as write_bvh
    from posemamba.io.motion.csv import write_csv as write_csv
    from posemamba.io.motion.csv import write_csv_tidy as write_csv_tidy
    from posemamba.io.motion.glb import write_glb as write_glb
    from posemamba.io.motion.trc import write_trc as write_trc

_WRITERS = {
    "write_bvh": "posemamba.io.motion.bvh",
    "write_csv": "posemamba.io.motion.csv",
    "write_csv_tidy": "posemamba.io.motion.csv",
    "write_glb": "posemamba.io.motion.glb",
    "write_trc": "posemamba.io.motion.trc",
}
__getattr__, __dir__, _names = lazy_names(__name__, _WRITERS)
__all__ = [
    *_names,
    "EXPORTS",
    "OWN",
    "RIGS",
    "WORLDS",
    "Export",
    "check_rig",
    "check_world",
    "on_floor",
    "write_motion",
]

EXPORTS: dict[str, Export] = {
    export.name: export
    for export in (
        Export("csv", ".csv", "table, one row a frame: spreadsheets, pandas, R", False),
        Export("csv-tidy", ".tidy.csv", "table, one row a joint and frame: pandas, R", False),
        Export("trc", ".trc", "markers: OpenSim", True),
        Export("bvh", ".bvh", "skeleton and rotations: Blender, MotionBuilder, Unity", True, True),
        Export("glb", ".glb", "animated skeleton with a body: viewers, Blender, web pages, game engines", True, True),
    )
}
"""The export formats by name."""
WORLDS = ("floor", "camera")
"""Place of an exported person: on the floor, or where the poses are."""


def write_motion(
    path: str | Path,
    motion: Poses3D,
    format: str,
    *,
    columns: Mapping[str, NDArray[np.floating]] | None = None,
    world: str | None = None,
    rig: str = OWN,
) -> tuple[str, ...]:
    """Write one person's motion, whole or not at all.

    Args:
        path: the file, with any suffix (`EXPORTS` names the usual ones).
        motion: the motion; in metres for trc, bvh and glb. Several people who shall stay at their distances are put on
            the floor together before: `posemamba.refine.floor.stand`.
        format: a name in `EXPORTS`.
        columns: for the two tables, further columns (F,) by name, with units in the name (``left_knee_deg``).
        world: ``floor``: upright, on the floor, beginning at the origin (`posemamba.refine.floor`); ``camera``: where
            the poses are. None: the floor for trc, bvh and glb, where the poses are for the tables.
        rig: for bvh and glb, names and hierarchy of the joints: ``posemamba``, ``mixamo``, ``rokoko`` or ``unity``.

    Returns:
        Notes for the user, one line each, on what the file may not show: held frames, resampled times, a root that
        stays in place.

    Raises:
        PoseMambaError: format, world or rig are unknown, the motion is in pixels where metres are needed, nobody was
            seen, times do not increase, columns do not fit, or the path cannot be written.
    """
    if format not in EXPORTS:
        raise PoseMambaError(f"unknown format '{format}' for motions: the known ones are {', '.join(EXPORTS)}")
    table = format.startswith("csv")
    if columns and not table:
        raise PoseMambaError(f"{path}: {format} has no place for columns {', '.join(columns)}: use csv for them")
    if rig != OWN and not EXPORTS[format].has_rig:
        raise PoseMambaError(f"{path}: {format} has no rig, so none is named '{rig}': use bvh or glb for it")
    check_world(world)
    if on_floor(format, world) and all(step.name != FLOOR for step in motion.steps):
        check(path, motion, format if EXPORTS[format].needs_metres else f"{format} on the floor")
        motion = stand([motion])[0]
    write = __getattr__(f"write_{format.replace('-', '_')}")
    more: dict[str, Any] = {"columns": columns} if table else {"rig": rig} if EXPORTS[format].has_rig else {}
    with writing(path):
        notes: tuple[str, ...] = write(path, motion, **more)
        return notes


def on_floor(format: str, world: str | None) -> bool:
    """Tell whether a file of a format shows a person on the floor; the arguments are `write_motion`'s."""
    return (world or ("floor" if EXPORTS[format].needs_metres else "camera")) == "floor"


def check_world(world: str | None) -> None:
    """Reject the name of a place that there is not.

    Raises:
        PoseMambaError: it is not in `WORLDS`, nor None.
    """
    if world is not None and world not in WORLDS:
        raise PoseMambaError(f"--world is '{world}', expected {' or '.join(WORLDS)}")
