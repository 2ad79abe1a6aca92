"""More motion capture: BVH files of any body whose joints have names, to Human3.6M's 17 joints.

BVH (Biovision's hierarchy and motion; Meredith and Maddock 2001, "Motion Capture File Formats Explained") says neither
units nor which joint is which. Units are guessed from the length of the legs, joints are known by the names that
MotionBuilder, Mixamo, 3ds Max (Biped), Character Creator, MakeHuman, Blender and this package give them. Joints may
have positions of their own (Blender, Xsens, a reference above the hips), in place of their offsets or beside them.

Bodies differ in where their joints lie, and the head's end is anywhere in or on it: nose and top of the head are set
above the head's joint by what they are apart in `cmu_amc.npz`, and the spine's joint is put on the line of the trunk.

Shapes: F frames, N nodes of the file, 17 joints; metres, z up.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from posemamba.data.mocap.extra import Array, Collection, Say, put_on_body, resampled
from posemamba.poses.ranges import FASTEST
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader

SIDED = {
    "hip": (
        *("{side}upleg", "{side}upperleg", "{side}thigh", "{side}hip", "{s}thigh", "{s}thighbend", "{s}femur"),
        *("{s}hip", "thigh{s}", "upperleg{s}"),
    ),
    "knee": (
        *("{side}leg", "{side}lowleg", "{side}lowerleg", "{side}calf", "{side}shin", "{side}knee", "{s}calf"),
        *("{s}tibia", "{s}knee", "{s}shin", "calf{s}", "shin{s}", "lowerleg{s}"),
    ),
    "ankle": ("{side}foot", "{side}ankle", "{s}foot", "{s}ankle", "foot{s}"),
    "shoulder": (
        *("{side}arm", "{side}uparm", "{side}upperarm", "{s}upperarm", "{s}shldr", "{s}shldrbend", "{s}humerus"),
        *("upperarm{s}", "{side}shoulder", "{s}shoulder"),  # last: where there is one of the others, a clavicle
    ),
    "elbow": (
        *("{side}forearm", "{side}lowarm", "{side}lowerarm", "{side}elbow", "{s}forearm", "{s}forearmbend"),
        *("{s}radius", "{s}elbow", "forearm{s}", "lowerarm{s}"),
    ),
    "wrist": ("{side}hand", "{side}wrist", "{s}hand", "{s}wrist", "hand{s}"),
}
"""Names of the joints of a side, letters and digits only, the likelier name first."""
MIDDLE = {
    "neck": ("neck1", "upperneck", "neckupper", "necktwist01", "neck01", "neck", "thorax"),
    "head": ("head", "face"),
    "head_end": ("endsitehead", "headtopend", "headend", "headnub"),
}
END_OF = {"ankle": "knee", "wrist": "elbow"}
"""Joints that may be the end of the bone before where a limb lacks them, as in this package's own files."""
OWN = {"pelvis": "pelvis", "spine": "spine", "neck": "thorax", "nose": "nose", "head_top": "endsitenose"}
"""Joints of the middle as this package's own files have them, which need no guess."""
UNITS = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "the CMU database's unit": 0.0254 / 0.45}
_SLOWEST = 5.0
"""Frames a second: fewer show no motion."""
_LEG = 0.83
"""Metres from hip to ankle of a typical adult."""
_NOSE, _TOP = 0.035, 0.177
"""Heights above the head's joint, legs: where cmu_amc.npz has them."""
_SPINE = 0.47
"""Share of the way from pelvis to thorax, likewise."""
_PREFIXES = re.compile(r"^(.*:|mixamorig\d*_?|cc_base_|bip\d+[ _]?|def[-_])", re.IGNORECASE)
_CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)
_CMU = re.compile(r"(?:cmu\D*)?0*(\d{1,3})_0*(\d{1,2})(?:\D.*)?", re.IGNORECASE)
"""Subject and take in names that conversions of the CMU database have: 49_01, CMU_Sample_05_01, 02_01_mirrored."""
_UP = {
    "+y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "+x": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "-x": [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
    "+z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
}


def _plain(name: str) -> str:
    end = "EndSite" if name.startswith("EndSite") else ""  # an end is named by its joint
    return end.lower() + re.sub(r"[^a-z0-9]", "", _PREFIXES.sub("", name[len(end) :]).lower())


def find_joints(names: Sequence[str]) -> dict[str, int]:
    """Which of a file's nodes are hips, knees, ankles, shoulders, elbows and wrists (``left_hip``), neck and head.

    The end of the head (``head_end``) is among them where it has a node. A file of this package's own has ``pelvis``,
    ``spine``, ``nose`` and ``head_top`` in place of the head.

    Raises:
        PoseMambaError: one is not there, or not under a known name.
    """
    nodes = {_plain(name): i for i, name in reversed(list(enumerate(names)))}
    found: dict[str, int] = {}
    for side in ("left", "right"):
        for joint, known in SIDED.items():
            said = [one.format(side=side, s=side[0]) for one in known]
            if joint in END_OF:
                said.append("endsite" + _plain(names[found[f"{side}_{END_OF[joint]}"]]))
            found[f"{side}_{joint}"] = _first(nodes, said, f"{side} {joint}")
    if all(name in nodes for name in OWN.values()):
        return found | {joint: nodes[name] for joint, name in OWN.items()}
    for joint, known in MIDDLE.items():
        if joint != "head_end" or any(name in nodes for name in known):
            found[joint] = _first(nodes, known, joint)
    return found


def _first(nodes: dict[str, int], names: Sequence[str], what: str) -> int:
    for name in names:
        if name in nodes:
            return nodes[name]
    raise PoseMambaError(f"no {what} among its joints: looked for {', '.join(names)}: rename it to one of these")


def human36m_joints(nodes: Array, names: Sequence[str], parents: Sequence[int]) -> Array:
    """(F, N, 3) places of a file's nodes, any unit, to (F, 17, 3) of Human3.6M's joints.

    Raises:
        PoseMambaError: a joint is not there, or not under a known name.
    """
    at = find_joints(names)
    place = {joint: nodes[:, i] for joint, i in at.items()}
    legs = [place[f"{side}_{joint}"] for side in ("right", "left") for joint in ("hip", "knee", "ankle")]
    arms = [place[f"{side}_{joint}"] for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")]
    if "nose" in place:
        return np.stack([place["pelvis"], *legs, *(place[j] for j in ("spine", "neck", "nose", "head_top")), *arms], 1)
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


def up_axis(*motions: Array) -> str:
    """Which axis is up, such as +y, of (F, 17, 3) joints: where the head is of the ankles, on average over the frames.

    Of several motions of one file, the first that says so clearly: a person who lies or crawls all the time does not.
    """
    for xyz in motions:
        tall = xyz[:, 10] - (xyz[:, 3] + xyz[:, 6]) / 2
        mean = (tall / np.maximum(np.linalg.norm(tall, axis=-1, keepdims=True), 1e-9)).mean(0)
        axis = int(np.argmax(np.abs(mean)))
        if np.abs(mean[axis]) > 2 * np.delete(np.abs(mean), axis).max():
            break
    return "+-"[int(mean[axis] < 0)] + "xyz"[axis]


def metres_per_unit(xyz: Array) -> tuple[str, float]:
    """The unit in which (F, 17, 3) joints have an adult's legs, and its metres.

    Raises:
        PoseMambaError: in none.
    """
    leg = _leg([xyz[:, i] for i in range(1, 7)])
    name = min(UNITS, key=lambda unit: abs(np.log(max(leg, 1e-12) * UNITS[unit] / _LEG)))
    if not 0.6 < leg * UNITS[name] / _LEG < 1.6:
        raise PoseMambaError(f"legs of {leg:g} units are nobody's in {', '.join(UNITS)}: give --unit, its metres")
    return name, UNITS[name]


@dataclass
class _Node:
    """A joint of a file, or the end of one.

    Attributes:
        name: as the file has it, spaces as underscores; of an end ``EndSite`` and its joint's name.
        parent: index of the node above, -1 for a root.
        offset: (3,) from the node above, in the file's unit.
        channels: columns of the motion, axis (0 to 2) and whether it is a rotation, in the file's order.
    """

    name: str
    parent: int
    offset: Array = field(default_factory=lambda: np.zeros(3))
    channels: list[tuple[int, int, bool]] = field(default_factory=list)


def _hierarchy(text: str) -> list[_Node]:
    """Read the part of a file before its motion; parents come before their children.

    Raises:
        ValueError: it is none.
    """
    tokens = iter([word for line in text.splitlines() for word in _words(line)])
    nodes: list[_Node] = []
    above: list[int] = []
    column = 0
    if next(tokens, "").upper() != "HIERARCHY":
        raise ValueError("it does not begin with HIERARCHY")
    for word in tokens:
        kind = word.upper()
        if kind in ("ROOT", "JOINT", "END"):
            parent = above[-1] if above else -1
            name = _next(tokens)
            nodes.append(_Node(f"EndSite{nodes[parent].name}" if kind == "END" else name, parent))
        elif kind == "{":
            above.append(len(nodes) - 1)
        elif kind == "}":
            above.pop()
        elif kind == "OFFSET":
            nodes[-1].offset = np.array([float(_next(tokens)) for _ in range(3)])
        elif kind == "CHANNELS":
            for _ in range(int(_next(tokens))):
                said = _next(tokens)
                channel = _CHANNEL.fullmatch(said)
                if channel is None:
                    raise ValueError(f"unknown channel {said}")
                nodes[-1].channels.append((column, "xyz".index(channel[1].lower()), channel[2].lower() == "rotation"))
                column += 1
        else:
            raise ValueError(f"{word} where ROOT, JOINT, End Site, OFFSET or CHANNELS was expected")
    if above or not nodes:
        raise ValueError("its hierarchy does not end")
    return nodes


def _words(line: str) -> list[str]:
    """Split a line of a hierarchy into words; a joint's name, which may have spaces, is one."""
    words = line.replace("{", " { ").split()
    if words and words[0].upper() in ("ROOT", "JOINT"):
        end = words.index("{") if "{" in words else len(words)
        words[1:end] = ["_".join(words[1:end])] if end > 1 else []
    return words


def _next(tokens: Iterator[str]) -> str:
    word = next(tokens, None)
    if word is None:
        raise ValueError("its hierarchy does not end")
    return word


def _motion(text: str, columns: int) -> tuple[Array, float]:
    """Read the part of a file after ``MOTION``: (F, columns) numbers, and seconds a frame.

    Raises:
        ValueError: it is none, or has another number of frames or columns than it says.
    """
    head = re.match(r"\s*Frames\s*:\s*(\d{1,9})\s+Frame\s*Time\s*:\s*(\S{1,40})", text, re.IGNORECASE)
    if head is None:
        raise ValueError("no frames")
    frames, seconds = int(head[1]), float(head[2])
    numbers = np.array(text[head.end() :].split(), np.float64)
    if not frames or len(numbers) != frames * columns:
        raise ValueError(f"{len(numbers)} numbers, expected {frames} frames of {columns}")
    if not np.isfinite(numbers).all() or not (np.isfinite(seconds) and seconds > 0):
        raise ValueError("numbers that are none")
    return numbers.reshape(frames, columns), seconds


def _places(nodes: Sequence[_Node], motion: Array) -> Array:
    """Place all nodes, (F, N, 3), by the (F, columns) numbers of the channels."""
    where = np.zeros((len(motion), len(nodes), 3))
    turned = np.zeros((len(motion), len(nodes), 3, 3))
    added = _positions_are_added(nodes, motion)
    for i, node in enumerate(nodes):
        local = np.tile(node.offset, (len(motion), 1))
        own = np.tile(np.eye(3), (len(motion), 1, 1))
        for column, axis, rotation in node.channels:
            if rotation:
                own = own @ _about(axis, np.radians(motion[:, column]))
            else:
                local[:, axis] = motion[:, column] + (node.offset[axis] if added and node.parent >= 0 else 0)
        if node.parent < 0:
            where[:, i], turned[:, i] = local, own
        else:
            above = turned[:, node.parent]
            where[:, i] = where[:, node.parent] + (above @ local[..., None])[..., 0]
            turned[:, i] = above @ own
    return where


def _positions_are_added(nodes: Sequence[_Node], motion: Array) -> bool:
    """Tell whether positions of joints other than the root come on top of their offsets, or in place of them.

    Programs differ. Bones are about as long in motion as at rest: positions near to nothing are added.
    """
    apart, alone = 0.0, 0.0
    for node in nodes:
        for column, axis, rotation in node.channels:
            if not rotation and node.parent >= 0:
                apart += float(np.abs(motion[:, column] - node.offset[axis]).mean())
                alone += float(np.abs(motion[:, column]).mean())
    return alone < apart


def _about(axis: int, angles: Array) -> Array:
    """(F, 3, 3) rotations about an axis by (F,) radians."""
    c, s = np.cos(angles), np.sin(angles)
    turn = np.tile(np.eye(3), (len(angles), 1, 1))
    j, k = (axis + 1) % 3, (axis + 2) % 3
    turn[:, j, j], turn[:, j, k], turn[:, k, j], turn[:, k, k] = c, -s, s, c
    return turn


@dataclass(frozen=True)
class BvhFile:
    """The nodes of a BVH file, in its own units and axes.

    Attributes:
        names: of the N nodes; ends of chains are named after their parents.
        parents: (N,) each node's parent, -1 for the root.
        positions: (F, N, 3).
        rest: (1, N, 3) without any rotation.
        fps: frames per second.
    """

    names: list[str]
    parents: list[int]
    positions: Array
    rest: Array
    fps: float


def read_nodes(path: Path) -> BvhFile:
    """Read the places of all nodes of a file.

    Raises:
        PoseMambaError: the file is no BVH file.
    """
    try:
        head, mark, body = path.read_bytes().decode("ascii", "replace").partition("MOTION")
        nodes = _hierarchy(head)
        columns = sum(len(node.channels) for node in nodes)
        if not mark:
            raise ValueError("it has no MOTION")
        motion, seconds = _motion(body, columns)
        if motion.shape[0] * len(nodes) > 1_000_000 + 4 * motion.size:
            raise ValueError(f"{len(nodes)} nodes, most of which do not move, in {len(motion)} frames")
        if not _SLOWEST <= 1 / seconds <= FASTEST:
            raise ValueError(f"{1 / seconds:g} frames a second, expected {_SLOWEST:g} to {FASTEST:g}")
        places, rest = _places(nodes, motion), _places([_Node(n.name, n.parent, n.offset) for n in nodes], motion[:1])
        if not (np.abs(places) < 1e9).all() or not (np.abs(rest) < 1e9).all():
            raise ValueError("places of nodes that are no numbers, or too large")
    except Exception as error:  # whatever a damaged file leads to
        raise PoseMambaError(f"{path}: not a BVH file that can be read: {' '.join(str(error).split())}") from error
    return BvhFile([node.name for node in nodes], [node.parent for node in nodes], places, rest, 1 / seconds)


@reader("a BVH file")
def read_bvh(path: Path, *, unit: float | None = None) -> tuple[Array, float, str]:
    """Read the joints of a file: (F, 17, 3) metres, z up; its frames a second; what its unit was taken for.

    Raises:
        PoseMambaError: the file is no BVH file, has unknown joints, or not an adult's legs.
    """
    file = read_nodes(path)
    try:
        xyz, still = (human36m_joints(one, file.names, file.parents) for one in (file.positions, file.rest))
        xyz = xyz @ np.array(_UP[up_axis(xyz, still)], float).T
        said, scale = ("given", unit) if unit else metres_per_unit(xyz)
        leg = scale * _leg([xyz[:, i] for i in range(1, 7)])
        if not 0.2 < leg < 2:
            raise PoseMambaError(f"legs of {leg:g} m are nobody's: --unit {scale:g} is not the metres of a unit")
    except PoseMambaError as error:
        raise PoseMambaError(f"{path}: {error}") from error
    return xyz * scale, file.fps, said


def convert(
    folder: Path,
    out: Path,
    *,
    unit: float | None = None,
    subject: str | None = None,
    licence: str = "unknown",
    cmu: bool = True,
    known: Container[str] = (),
    bodies: Sequence[Array] = (),
    say: Say = lambda line: None,
) -> int:
    """Write the motions of a folder, and those below it, as one npz file.

    Files that cannot be read, or whose joints are not known, are left out. Most BVH files that go about are conversions
    of the CMU database, by its names (``49_01.bvh``, ``02_01_walk.bvh``): those of its subjects that are kept for
    validation and test are left out, too.

    Args:
        folder: holds BVH files.
        out: the file to write.
        unit: metres for each of the files' units; by default what gives an adult's legs.
        subject: who moves; by default the name of each file's folder.
        licence: of the motions, kept in the file.
        cmu: take names such as 49_01 for the CMU database's.
        known: names of clips that are not wanted, such as cmu_05_01.
        bodies: (17,) bone lengths in metres, by turns those of the files' bodies; none: bodies stay as they are.
        say: told of each file that is left out, and of the units.

    Returns:
        The number of clips.

    Raises:
        PoseMambaError: no motions, or none that can be taken.
    """
    if unit is not None and not 0 < unit < 100:
        raise PoseMambaError(f"{folder}: --unit is {unit:g}, expected metres, more than 0 and less than 100")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".bvh")
    if not files:
        where = "no BVH files in it, nor in the folders below"
        if folder.is_file():
            where = "a file, expected the folder that holds the BVH files"
        raise PoseMambaError(f"{folder}: {where}")
    found, units = Collection(say), dict[str, int]()
    for file in files:
        who = subject or file.parent.resolve().name
        name = f"{who}_{file.stem}"
        take = _CMU.fullmatch(file.stem)
        if cmu and take is not None:
            who, name = f"cmu_{int(take[1]):02d}", f"cmu_{int(take[1]):02d}_{int(take[2]):02d}"
        if not found.wanted(file, name, who, known):
            continue
        try:
            xyz, fps, said = read_bvh(file, unit=unit)
        except PoseMambaError as error:
            say(f"left out: {error}")
            continue
        if bodies:
            xyz = put_on_body(xyz, bodies[sum(units.values()) % len(bodies)])
        units[said] = units.get(said, 0) + 1
        found.add(file, name, who, resampled(xyz, fps, smooth=True))
    if units:
        say("units of length: " + ", ".join(f"{name} ({count} of the files)" for name, count in units.items()))
    return found.write(out, source="BVH files", licence=licence, of=f"{folder}: nothing of its {len(files)} files")
