"""glTF 2.0 in one binary file (ISO/IEC 12113:2022): a skinned skeleton and its animation.

Units are metres and seconds, with y up, as the standard requires. Each bone is a long octahedron, blue on the left side
and orange on the right, bound wholly to its node, so that viewers show a body and Blender an armature.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.common import Y_UP, Array, check, held_frames, notes, with_feet, with_pauses, y_up
from posemamba.io.motion.humanoids import OWN, fit_rig
from posemamba.io.motion.rig import Node, Rig
from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

# glTF's numbers for types of elements and of buffers
FLOAT, BYTE, VERTICES = 5126, 5121, 34962
# Shares of red, green and blue light (linear, not sRGB)
COLOURS = {"left": (0.02, 0.14, 0.40), "right": (0.60, 0.10, 0.01), "middle": (0.25, 0.27, 0.32)}


def write_glb(path: str | Path, motion: Poses3D, *, rig: str = OWN) -> tuple[str, ...]:
    """Write a skeleton of median bone lengths with a visible body, its rotations and the root's path, float32.

    Frames keep their own times; in a pause without frames the pose before is held. Bones have the motion's directions;
    joints are off by as much as the motion's bones vary in length. Frames in which the person was not seen hold the
    pose before. The rest pose is a T (`rig`) that stands on the floor. ``asset.extras`` has units, axes, frames per
    second, the number of held frames and the notes.

    Args:
        path: the file.
        motion: in metres.
        rig: names and hierarchy of the joints (`humanoids.RIGS`).

    Returns:
        Notes for the user, one line each.

    Raises:
        PoseMambaError: the motion is in pixels, nobody was seen, times do not increase, or the rig is unknown.
    """
    check(path, motion, "glb")
    xyz, times = y_up(motion), motion.frame_times()
    if (np.diff(times.astype(np.float32)) <= 0).any():
        raise PoseMambaError(
            f"{path}: glb stores times as float32, too coarse for the frames near {times[-1]:.0f} s: "
            "count the times from the clip's start, or write csv, trc or bvh"
        )
    shown, held = held_frames(xyz, motion.seen)
    keys, times, of_pauses = with_pauses(times)
    xyz, of_feet = with_feet(motion, xyz[shown[keys]], shown[keys])
    remarks = (*notes(motion, held), *of_feet, *of_pauses)
    fitted = fit_rig(motion, xyz, times, rig)
    file = _Buffer()
    content = _scene(file, fitted, motion.person)
    content["animations"] = [_animation(file, fitted, times)]
    content["asset"] = {
        "version": "2.0",
        "generator": "posemamba",
        "extras": {
            "units": "metres, seconds",
            "axes": Y_UP,
            "frames_per_second": motion.fps,
            "frames": len(motion),
            "held_frames": held,
            "notes": list(remarks),
        },
    }
    content |= {"accessors": file.accessors, "bufferViews": file.views, "buffers": [{"byteLength": file.size}]}
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        # header, then the chunks: length, type, content
        out.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + file.size))
        out.write(struct.pack("<I4s", len(text), b"JSON") + text)
        out.write(struct.pack("<I4s", file.size, b"BIN\0"))
        for array in file.arrays:
            out.write(array.data)
    return remarks


class _Buffer:
    """The binary chunk: consecutive arrays, each described by a view and an accessor."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.size = 0

    def add(self, values: NDArray[Any], kind: str, *, vertices: bool = False, bounds: bool = False) -> int:
        """Add an array (float32, or uint8 in fours) and return its accessor's number.

        Args:
            values: (elements, numbers), or (elements,) for SCALAR.
            kind: SCALAR, VEC3, VEC4 or MAT4.
            vertices: the array belongs to a mesh.
            bounds: store its least and largest values, as times and positions require.
        """
        array = np.ascontiguousarray(values, values.dtype if values.dtype == np.uint8 else "<f4")
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self.size, "byteLength": array.nbytes}
        accessor: dict[str, Any] = {
            "bufferView": len(self.views),
            "componentType": BYTE if array.dtype == np.uint8 else FLOAT,
            "count": len(array),
            "type": kind,
        }
        if vertices:
            view["target"] = VERTICES
        if bounds:
            table = array.reshape(len(array), -1)
            accessor |= {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
        self.arrays.append(array)
        self.views.append(view)
        self.accessors.append(accessor)
        self.size += array.nbytes  # a multiple of 4, so the next array is aligned
        return len(self.accessors) - 1


def _scene(file: _Buffer, rig: Rig, person: int) -> dict[str, Any]:
    """Make nodes, skin, mesh and materials; node i is the rig's node i, the mesh's node comes last."""
    nodes: list[dict[str, Any]] = []
    places = np.empty_like(rig.offsets)
    offsets = rig.offsets.copy()
    offsets[0, 1] = _standing(rig)
    for i, node in enumerate(rig.nodes):
        places[i] = offsets[i] + (places[node.parent] if node.parent >= 0 else 0)
        entry: dict[str, Any] = {"name": node.name, "translation": offsets[i].tolist()}
        if children := [j for j, other in enumerate(rig.nodes) if other.parent == i]:
            entry["children"] = children
        nodes.append(entry)
    unbind = np.tile(np.eye(4), (len(nodes), 1, 1))
    unbind[:, 3, :3] = -places  # column after column, as the format stores matrices
    bind = file.add(unbind.reshape(-1, 16), "MAT4")
    name = f"person {person}"
    primitives = []
    for material, side in enumerate(COLOURS):
        bones = [i for i, n in enumerate(rig.nodes) if n.bone and _side(n) == side]
        parts = [_octahedron(places[i], places[i] + rig.ends[i]) for i in bones]
        owners = np.zeros((sum(len(p) for p, _ in parts), 4), np.uint8)
        owners[:, 0] = np.repeat(bones, [len(p) for p, _ in parts])
        attributes = {
            "POSITION": file.add(np.concatenate([p for p, _ in parts]), "VEC3", vertices=True, bounds=True),
            "NORMAL": file.add(np.concatenate([n for _, n in parts]), "VEC3", vertices=True),
            "JOINTS_0": file.add(owners, "VEC4", vertices=True),
            "WEIGHTS_0": file.add(np.tile([1.0, 0, 0, 0], (len(owners), 1)), "VEC4", vertices=True),
        }
        primitives.append({"attributes": attributes, "material": material})
    return {
        "scene": 0,
        "scenes": [{"nodes": [0, len(nodes)]}],
        "nodes": [*nodes, {"name": name, "mesh": 0, "skin": 0}],
        "skins": [{"name": name, "joints": list(range(len(nodes))), "skeleton": 0, "inverseBindMatrices": bind}],
        "meshes": [{"name": name, "primitives": primitives}],
        "materials": [
            {
                "name": side,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*colour, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.7,
                },
            }
            for side, colour in COLOURS.items()
        ],
    }


def _standing(rig: Rig) -> float:
    """Return the root's height at which the rest pose's feet are on the floor, in metres."""
    below = np.zeros(len(rig.nodes))
    for i, node in enumerate(rig.nodes[1:], 1):
        below[i] = below[node.parent] + rig.offsets[i, 1]
    return float(-below.min())


def _side(node: Node) -> str:
    return next((side for side in ("left", "right") if side in node.name.lower()), "middle")


def _octahedron(start: Array, end: Array) -> tuple[Array, Array]:
    """Return (24, 3) corners of eight triangles, counter-clockwise from outside, and their normals.

    The octahedron is thickest near its start.
    """
    along = end - start
    length = float(np.linalg.norm(along))
    along = along / length if length > 1e-9 else np.array([0.0, 1.0, 0.0])
    side = np.cross(along, [0.0, 0.0, 1.0])  # no bone points along z in the rest pose, though feet nearly do
    side = side / np.linalg.norm(side)
    radius = max(0.002, min(0.12 * length, 0.03))
    ring = [start + 0.15 * length * along + radius * v for v in (side, np.cross(along, side))]
    ring += [2 * (start + 0.15 * length * along) - p for p in ring]
    corners = np.array(
        [t for i in range(4) for t in ((start, ring[(i + 1) % 4], ring[i]), (end, ring[i], ring[(i + 1) % 4]))]
    )
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=-1, keepdims=True)
    # the format needs unit normals, also for a triangle without area
    normals = np.where(area > 0, normals / np.where(area > 0, area, 1), along)
    return corners.reshape(-1, 3), np.repeat(normals, 3, axis=0)


def _animation(file: _Buffer, rig: Rig, times: NDArray[np.float64]) -> dict[str, Any]:
    """Make samplers and channels: the root's path and every node's rotation, linear between frames."""
    seconds = file.add(times, "SCALAR", bounds=True)
    outputs = [(0, "translation", file.add(rig.root, "VEC3"))]
    for i, node in enumerate(rig.nodes):
        if node.turns and not node.fixed:
            q = rig.rotations[:, i]
            # q and -q are the same rotation, but naive players interpolate the long way between them
            signs = np.cumprod(np.concatenate([[1.0], np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)]))
            xyzw = (signs[:, None] * q)[:, [1, 2, 3, 0]]
            outputs.append((i, "rotation", file.add(xyzw, "VEC4")))
    return {
        "name": "motion",
        "samplers": [{"input": seconds, "output": output, "interpolation": "LINEAR"} for _, _, output in outputs],
        "channels": [
            {"sampler": k, "target": {"node": node, "path": path}} for k, (node, path, _) in enumerate(outputs)
        ],
    }
