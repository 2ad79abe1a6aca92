"""A skeleton of rigid bones in place of joint positions, as animation formats need it.

Joint positions give a bone's direction, but neither its twist nor a constant length. These rules complete them, the
same in every frame and independent of other frames:

- Each bone's length is its median over the clip.
- The rest pose is a T: y up, facing z, the left side at x, arms level, everything else upright.
- The pelvis and the thorax are rotated by three of their points: x along the line from the right to the left hip
  (shoulder), y as near as possible to the trunk.
- Every other bone is rotated by the shortest rotation, in its parent's frame, from its rest direction to its
  direction, so without twist. Near the opposite of the rest direction (an arm straight across the body, a thigh
  straight up) the resulting twist changes fast; the position stays right.

Hips and shoulders are not rigidly connected (the three bones at the pelvis move against each other by a few degrees).
So a joint with several children has one node for its own rotation and, at the same place, one more for each child:
``pelvis_to_left_hip``. Bones thus have exactly the motion's directions; only their lengths differ.

Shapes: F frames, N nodes. Quaternions are w, x, y, z. Lengths are metres, y is up (`common.y_up`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemamba.io.motion.common import Array
from posemamba.poses.skeletons import H36M17, Skeleton

_X, _Y = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
# Right end, left end, lower and upper point, which give x and y of the frames of joints with several children
_FRAMES = {
    "pelvis": ("right_hip", "left_hip", "pelvis", "spine"),
    "thorax": ("right_shoulder", "left_shoulder", "spine", "thorax"),
}


@dataclass(frozen=True)
class Node:
    """A node of the rig.

    Attributes:
        name: the joint about which it rotates, or ``<joint>_to_<child>``.
        parent: index of its parent node, -1 for the root.
        joint: the skeleton's joint at which it is.
        target: the joint at its bone's other end; None for a node without a bone.
        points: its bone's rest direction.
        turns: True if it has a rotation; else it only marks the end of a limb.
    """

    name: str
    parent: int
    joint: int
    target: int | None
    points: tuple[float, float, float]
    turns: bool


@dataclass
class Rig:
    """A motion of rigid bones.

    Attributes:
        nodes: parents before their children, depth first.
        offsets: (N, 3) metres, the node's position in its parent's rest frame; 0 for the root.
        ends: (N, 3) metres, the end of the node's bone in its own frame; 0 for nodes without a bone.
        rotations: (F, N, 4) unit quaternions in the parent's frame.
        root: (F, 3) metres, the root's position.
    """

    nodes: tuple[Node, ...]
    offsets: Array
    ends: Array
    rotations: Array
    root: Array


def rest_direction(name: str) -> tuple[float, float, float]:
    """Return the rest direction of the bone that ends in a joint."""
    side = {"left": 1.0, "right": -1.0}.get(name.split("_")[0], 0.0)
    if name.endswith(("hip", "shoulder", "elbow", "wrist")):
        return (side, 0.0, 0.0)
    return (0.0, -1.0, 0.0) if name.endswith(("knee", "ankle")) else (0.0, 1.0, 0.0)


def make_nodes(skeleton: Skeleton = H36M17) -> tuple[Node, ...]:
    """Return the skeleton's nodes."""
    nodes: list[Node] = []

    def add(joint: int, parent: int) -> None:
        name = skeleton.joints[joint]
        children = [j for j, p in enumerate(skeleton.parents) if p == joint]
        if len(children) == 1:
            nodes.append(Node(name, parent, joint, children[0], rest_direction(skeleton.joints[children[0]]), True))
            add(children[0], len(nodes) - 1)
            return
        nodes.append(Node(name, parent, joint, None, (0.0, 0.0, 0.0), bool(children)))
        here = len(nodes) - 1
        for child in children:
            towards = skeleton.joints[child]
            nodes.append(Node(f"{name}_to_{towards}", here, joint, child, rest_direction(towards), True))
            add(child, len(nodes) - 1)

    add(skeleton.parents.index(-1), -1)
    return tuple(nodes)


def make_rig(xyz: Array) -> Rig:
    """Fit lengths and rotations to joint positions.

    Args:
        xyz: (F, 17, 3) Human3.6M's joints, all finite, y up.
    """
    skeleton, nodes = H36M17, make_nodes()
    bones = {child: xyz[:, child] - xyz[:, parent] for parent, child in skeleton.bones}
    lengths = {child: float(np.median(np.linalg.norm(bone, axis=-1))) for child, bone in bones.items()}
    ends = np.array([np.multiply(n.points, lengths[n.target] if n.target is not None else 0.0) for n in nodes])
    offsets = np.array(
        [ends[n.parent] if n.parent >= 0 and nodes[n.parent].target == n.joint else np.zeros(3) for n in nodes]
    )
    still = np.zeros((len(xyz), 4))
    still[:, 0] = 1
    local, world = np.empty((len(xyz), len(nodes), 4)), np.empty((len(xyz), len(nodes), 4))
    for i, node in enumerate(nodes):
        above = world[:, node.parent] if node.parent >= 0 else still
        if node.target is not None:
            rest = np.array(node.points)
            towards = turn(inverse(above), _unit(bones[node.target], turn(above, rest)))
            local[:, i] = shortest(rest, towards, _Y if node.points[0] else _X)
        elif node.turns:
            right, left, low, high = (xyz[:, skeleton.joints.index(n)] for n in _FRAMES[node.name])
            local[:, i] = multiply(inverse(above), _frame(left - right, high - low, above))
        else:
            local[:, i] = still
        world[:, i] = multiply(above, local[:, i])
    return Rig(nodes, offsets, ends, local, xyz[:, skeleton.parents.index(-1)])


def _frame(across: Array, up: Array, otherwise: Array) -> Array:
    """Return (F, 4) rotations that turn x to `across` and y as near as possible to `up`; `otherwise` if undefined."""
    x = _unit(across, turn(otherwise, _X))
    first = shortest(_X, x, _Y)
    y = turn(first, _Y)
    level = _unit(up - (up * x).sum(-1, keepdims=True) * x, y)
    return multiply(shortest(y, level, x), first)


def _unit(v: Array, otherwise: Array) -> Array:
    """Normalise vectors to length 1; those without a direction become `otherwise`."""
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.where(length > 1e-9, v / np.maximum(length, 1e-9), otherwise)


# --- quaternions


def multiply(a: Array, b: Array) -> Array:
    """Return the quaternion product (..., 4): first b's rotation, then a's."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    w = aw * bw - (av * bv).sum(-1, keepdims=True)
    return np.concatenate([w, aw * bv + bw * av + np.cross(av, bv)], -1)


def inverse(q: Array) -> Array:
    """Return the inverse rotation, (..., 4)."""
    return q * np.array([1.0, -1, -1, -1])


def turn(q: Array, v: Array) -> Array:
    """Rotate vectors, (..., 3), by quaternions, (..., 4)."""
    twice = 2 * np.cross(q[..., 1:], v)
    return np.asarray(v + q[..., :1] * twice + np.cross(q[..., 1:], twice))


def shortest(a: Array, b: Array, axis: Array) -> Array:
    """Return the shortest rotations (..., 4) from unit vectors a to b; about `axis` where these are opposite."""
    half = a + b
    length = np.linalg.norm(half, axis=-1, keepdims=True)
    half = half / np.maximum(length, 1e-7)
    q = np.concatenate([(a * half).sum(-1, keepdims=True), np.cross(a, half)], -1)
    about = np.concatenate([np.zeros_like(half[..., :1]), np.broadcast_to(axis, half.shape)], -1)
    q = np.where(length > 1e-7, q, about)
    return np.asarray(q / np.linalg.norm(q, axis=-1, keepdims=True))


def matrices(q: Array) -> Array:
    """Convert quaternions to rotation matrices (..., 3, 3), for column vectors."""
    return np.stack([turn(q, axis) for axis in np.eye(3)], -1)
