"""More motion capture: BVH files of any body whose joints have names, to Human3.6M's 17 joints.

BVH (Biovision's hierarchy and motion; Meredith and Maddock 2001, "Motion Capture File Formats Explained") says neither
units nor which joint is which. Units are guessed from the length of the legs, joints are known by the names that
MotionBuilder, Mixamo, 3ds Max (Biped), Character Creator, MakeHuman and this package give them. pybvh reads the files.

Bodies differ in where their joints lie, and the head's end is anywhere in or on it: nose and top of the head are set
above the head's joint by what they are apart in `cmu_amc.npz`, and the spine's joint is put on the line of the trunk.

Shapes: F frames, N nodes of the file, 17 joints; metres, z up.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from posemamba.data.extra import Array, Collection, Say, resampled
from posemamba.errors import PoseMambaError, require

SIDED = {
    "hip": ("{side}upleg", "{side}thigh", "{side}hip", "{s}thigh", "{s}hip", "thigh{s}", "upperleg{s}"),
    "knee": ("{side}leg", "{side}lowleg", "{side}calf", "{side}shin", "{side}knee", "{s}calf", "{s}knee", "{s}shin"),
    "ankle": ("{side}foot", "{side}ankle", "{s}foot", "{s}ankle", "foot{s}"),
    "shoulder": (
        "{side}arm",
        "{side}uparm",
        "{side}upperarm",
        "{s}upperarm",
        "{s}shldr",
        "{side}shoulder",
        "{s}shoulder",
    ),
    "elbow": ("{side}forearm", "{side}lowarm", "{side}elbow", "{s}forearm", "{s}elbow", "forearm{s}"),
    "wrist": ("{side}hand", "{side}wrist", "{s}hand", "{s}wrist", "hand{s}"),
}
"""What joints of a side are called, letters and digits only, the likelier name first."""
MIDDLE = {"neck": ("neck1", "necktwist01", "neck", "thorax"), "head": ("head",)}
END_OF = {"ankle": "knee", "wrist": "elbow"}
"""Where a limb has no such joint, the end of the one before may be it, as in this package's own files."""
UNITS = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "the CMU database's unit": 0.0254 / 0.45}
_LEG = 0.83
"""Metres from hip to ankle of a typical adult."""
_NOSE, _TOP = 0.035, 0.177
"""Heights above the head's joint, legs: where cmu_amc.npz has them."""
_SPINE = 0.47
"""Share of the way from pelvis to thorax, likewise."""
_PREFIXES = re.compile(r"^(.*:|mixamorig\d*_?|cc_base_|bip\d+[ _]?|def[-_])", re.IGNORECASE)
_UP = {
    "+y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "+x": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "-x": [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
    "+z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _PREFIXES.sub("", name).lower())


def find_joints(names: Sequence[str]) -> dict[str, int]:
    """Which of a file's nodes are hips, knees, ankles, shoulders, elbows and wrists (``left_hip``), neck and head.

    Raises:
        PoseMambaError: one is not there, or not under a known name.
    """
    nodes = {_plain(name): i for i, name in reversed(list(enumerate(names)))}
    found: dict[str, int] = {}
    for side in ("left", "right"):
        for joint, known in SIDED.items():
            said = [one.format(side=side, s=side[0]) for one in known]
            if joint in END_OF and not any(name in nodes for name in said):
                said = ["endsite" + _plain(names[found[f"{side}_{END_OF[joint]}"]])]
            found[f"{side}_{joint}"] = _first(nodes, said, f"{side} {joint}")
    for joint, known in MIDDLE.items():
        found[joint] = _first(nodes, known, joint)
    if "endsitehead" in nodes:
        found["head_end"] = nodes["endsitehead"]
    return found


def _first(nodes: dict[str, int], names: Sequence[str], what: str) -> int:
    for name in names:
        if name in nodes:
            return nodes[name]
    raise PoseMambaError(f"no {what} among its joints: looked for {', '.join(names)}")


def human36m_joints(nodes: Array, names: Sequence[str], parents: Sequence[int]) -> Array:
    """(F, N, 3) places of a file's nodes, any unit, to (F, 17, 3) of Human3.6M's joints.

    Raises:
        PoseMambaError: a joint is not there, or not under a known name.
    """
    at = find_joints(names)
    place = {joint: nodes[:, i] for joint, i in at.items()}
    legs = [place[f"{side}_{joint}"] for side in ("right", "left") for joint in ("hip", "knee", "ankle")]
    arms = [place[f"{side}_{joint}"] for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")]
    pelvis, thorax, head = (legs[0] + legs[3]) / 2, place["neck"], place["head"]
    trunk, node = [], parents[at["neck"]]
    while node > 0:  # the root lies anywhere about the pelvis
        trunk.append(nodes[:, node])
        node = parents[node]
    up = place["head_end"] - head if "head_end" in place else head - thorax
    length = np.linalg.norm(up, axis=-1, keepdims=True)
    up = np.where(length > 1e-6, up, head - thorax)
    up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-9) * _leg(legs)
    middle = [_along([pelvis, *reversed(trunk), thorax], _SPINE), thorax, head + _NOSE * up, head + _TOP * up]
    return np.stack([pelvis, *legs, *middle, *arms], 1)


def _leg(legs: Sequence[Array]) -> float:
    """Median length of a leg, from hip over knee to ankle, of two times three (F, 3)."""
    both = [np.linalg.norm(legs[i] - legs[i + 1], axis=-1) for i in (0, 1, 3, 4)]
    return float(np.median(sum(both) / 2))


def _along(line: Sequence[Array], share: float) -> Array:
    """The place at a share of the length of a line through (F, 3) points."""
    points = np.stack(line, 1)
    steps = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    left = share * steps.sum(1)
    found = points[:, 0].copy()
    for i in range(steps.shape[1]):
        part = np.clip(left / np.maximum(steps[:, i], 1e-9), 0.0, 1.0)
        found = found + part[:, None] * (points[:, i + 1] - points[:, i])
        left = np.maximum(left - steps[:, i], 0.0)
    return found


def metres_per_unit(xyz: Array) -> tuple[str, float]:
    """The unit in which (F, 17, 3) joints have an adult's legs, and its metres.

    Raises:
        PoseMambaError: in none.
    """
    leg = _leg([xyz[:, i] for i in range(1, 7)])
    name = min(UNITS, key=lambda unit: abs(np.log(max(leg, 1e-12) * UNITS[unit] / _LEG)))
    if not 0.6 < leg * UNITS[name] / _LEG < 1.6:
        raise PoseMambaError(f"legs of {leg:g} units are nobody's in {', '.join(UNITS)}: give --unit, metres for each")
    return name, UNITS[name]


def read_bvh(path: Path, *, unit: float | None = None) -> tuple[Array, float, str]:
    """(F, 17, 3) joints of a file, metres, z up; its frames a second; what its unit was taken for.

    Raises:
        PoseMambaError: pybvh is not there, or the file is no BVH file, has unknown joints, or not an adult's legs.
    """
    bvh = require("pybvh", "bvh")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its guess which way is up, which by the motion is right
            file = bvh.Bvh.from_file(path)
            nodes, up = np.asarray(file.node_positions(), dtype=np.float64), file.world_up
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise PoseMambaError(f"{path}: not a BVH file that can be read: {' '.join(str(error).split())}") from error
    index = {id(node): i for i, node in enumerate(file.nodes)}
    parents = [index.get(id(node.parent), -1) for node in file.nodes]
    try:
        if not np.isfinite(nodes).all() or not len(nodes) or not file.frame_time > 0:
            raise PoseMambaError("no frames, or numbers that are none")
        xyz = human36m_joints(nodes, [node.name for node in file.nodes], parents) @ np.array(_UP[up], float).T
        said, scale = ("the unit given", unit) if unit else metres_per_unit(xyz)
    except PoseMambaError as error:
        raise PoseMambaError(f"{path}: {error}") from error
    return xyz * scale, 1 / file.frame_time, said


def convert(
    folder: Path,
    out: Path,
    *,
    unit: float | None = None,
    subject: str | None = None,
    licence: str = "unknown",
    cmu: bool = True,
    known: Container[str] = (),
    say: Say = lambda line: None,
) -> int:
    """Write the motions of a folder, and those below it, as one npz file.

    Files that cannot be read, or whose joints are not known, are left out. Most BVH files that go about are conversions
    of the CMU database, by its names (``49_01.bvh``): those of its subjects that are kept for validation and test are
    left out, too.

    Args:
        folder: holds BVH files.
        out: the file to write.
        unit: metres for each of the files' units; by default what gives an adult's legs.
        subject: who moves; by default the name of each file's folder.
        licence: of the motions, kept in the file.
        cmu: take names such as 49_01 for the CMU database's.
        known: names of clips that are not wanted, such as cmu_05_01.
        say: told of each file that is left out, and of the units.

    Returns:
        The number of clips.

    Raises:
        PoseMambaError: no motions, or none that can be taken; or pybvh is not there.
    """
    require("pybvh", "bvh")
    if unit is not None and not 0 < unit < 100:
        raise PoseMambaError(f"{unit:g} metres for each unit, expected more than 0 and less than 100")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".bvh")
    if not files:
        raise PoseMambaError(f"{folder}: no BVH files in it, nor in the folders below")
    found, units = Collection(say), dict[str, int]()
    for file in files:
        who = subject or file.parent.resolve().name
        name = f"{who}_{file.stem}"
        take = re.fullmatch(r"0*(\d+)_0*(\d+)", file.stem)
        if cmu and take is not None:
            who, name = f"cmu_{int(take[1]):02d}", f"cmu_{int(take[1]):02d}_{int(take[2]):02d}"
        if not found.wanted(file, name, who, known):
            continue
        try:
            xyz, fps, said = read_bvh(file, unit=unit)
        except PoseMambaError as error:
            say(f"left out: {error}")
            continue
        units[said] = units.get(said, 0) + 1
        found.add(file, name, who, resampled(xyz, fps, smooth=True))
    say("units: " + (", ".join(f"{name} ({count} files)" for name, count in units.items()) or "none"))
    return found.write(out, source="BVH files", licence=licence, of=f"{folder}: nothing of its {len(files)} files")
