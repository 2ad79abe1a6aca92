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

- A foot, where there is one, is rotated by its heel and tip and the shank: z along the sole, x to the left as seen from
  it. In frames in which it was not seen it keeps its last rotation against the shank. Where no foot was seen at all,
  rigs that need one have level feet that point where the shank does.

Hips and shoulders are not rigidly connected (the three bones at the pelvis move against each other by a few degrees).
So a joint with several children has one node for its own rotation and, at the same place, one more for each child:
``pelvis_to_left_hip``. Bones thus have exactly the motion's directions; only their lengths differ.

Shapes: F frames, N nodes. Quaternions are w, x, y, z. Lengths are metres, y is up (`common.y_up`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.common import Array
from posemamba.poses.curves import fit_curve
from posemamba.poses.skeletons import FEET_SIDES, H36M17, H36M17_FEET, Skeleton
from posemamba.refine.scale import ANKLE_HEIGHT, TYPICAL_HEIGHT

_ANKLES = (6, 3)
_BOTH = 0.01  # metres by which a point is higher than another one, from which it counts little
_STEP_HERTZ = 4.0  # faster changes of the root's height are not made
_X, _Y = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
# Right end, left end, lower and upper point, which give x and y of the frames of joints with several children
_FRAMES = {
    "pelvis": ("right_hip", "left_hip", "pelvis", "spine"),
    "thorax": ("right_shoulder", "left_shoulder", "spine", "thorax"),
}


Place = tuple[tuple[tuple[float, float, float], int, float], ...]
"""A place in a node's rest frame: a sum of rest directions, each times a share of the bone's length that ends there."""


@dataclass(frozen=True)
class Node:
    """A node of the rig.

    Attributes:
        name: the joint about which it rotates, or ``<joint>_to_<child>``; in other programs' rigs their name.
        parent: index of its parent node, -1 for the root.
        joint: the skeleton's joint at which it is, or, between two joints, whose rotation it has.
        target: the joint towards which it turns; None: it turns as its joint's frame, or not at all.
        points: the rest direction towards the target.
        turns: True if it is a joint; else it only marks the end of a limb.
        place: where it is in its parent's rest frame.
        bone: where its bone ends in its own rest frame; empty: it has none.
        fixed: a joint whose rotation is not known, and always 0.
    """

    name: str
    parent: int
    joint: int
    target: int | None
    points: tuple[float, float, float]
    turns: bool
    place: Place = ()
    bone: Place = ()
    fixed: bool = False


@dataclass
class Rig:
    """A motion of rigid bones.

    Attributes:
        nodes: parents before their children, depth first.
        offsets: (N, 3) metres, the node's position in its parent's rest frame; 0 for the root.
        ends: (N, 3) metres, the end of the node's bone in its own frame; 0 for nodes without a bone.
        rotations: (F, N, 4) unit quaternions in the parent's frame.
        root: (F, 3) metres, the root's position.
        soles: (F,) heights of ankles, heels and foot tips above the root, metres, by the joint's number; those that the
            nodes have.
        skeleton: the joints to which the nodes refer.
    """

    nodes: tuple[Node, ...]
    offsets: Array
    ends: Array
    rotations: Array
    root: Array
    soles: dict[int, Array]
    skeleton: Skeleton = H36M17


def rest_direction(name: str) -> tuple[float, float, float]:
    """Return the rest direction of the bone that ends in a joint."""
    side = {"left": 1.0, "right": -1.0}.get(name.split("_")[0], 0.0)
    if name.endswith(("heel", "toe")):  # a typical foot whose sole is level
        return (0.0, -0.83, -0.558) if name.endswith("heel") else (0.0, -0.345, 0.939)
    if name.endswith(("hip", "shoulder", "elbow", "wrist")):
        return (side, 0.0, 0.0)
    return (0.0, -1.0, 0.0) if name.endswith(("knee", "ankle")) else (0.0, 1.0, 0.0)


def make_nodes(skeleton: Skeleton = H36M17) -> tuple[Node, ...]:
    """Return the skeleton's nodes."""
    nodes: list[Node] = []

    def add(joint: int, parent: int) -> None:
        name = skeleton.joints[joint]
        place: Place = nodes[parent].bone if parent >= 0 else ()
        children = [j for j, p in enumerate(skeleton.parents) if p == joint]
        if len(children) == 1:
            nodes.append(towards(children[0], name, parent, joint, place))
            add(children[0], len(nodes) - 1)
            return
        nodes.append(Node(name, parent, joint, None, (0.0, 0.0, 0.0), bool(children), place))
        here = len(nodes) - 1
        for child in children:
            nodes.append(towards(child, f"{name}_to_{skeleton.joints[child]}", here, joint, ()))
            add(child, len(nodes) - 1)

    def towards(child: int, name: str, parent: int, joint: int, place: Place) -> Node:
        rest = rest_direction(skeleton.joints[child])
        return Node(name, parent, joint, child, rest, True, place, ((rest, child, 1.0),))

    add(skeleton.parents.index(-1), -1)
    return tuple(nodes)


def make_rig(xyz: Array, make: Callable[[Skeleton], tuple[Node, ...]] = make_nodes) -> Rig:
    """Fit lengths and rotations to joint positions.

    Args:
        xyz: (F, 17, 3) Human3.6M's joints, all finite, y up; or (F, 21, 3), with heels and foot tips after them
            (`H36M17_FEET`), NaN where these were not seen.
        make: returns the nodes of a skeleton.
    """
    skeleton = H36M17 if xyz.shape[1] == len(H36M17) else H36M17_FEET
    nodes = make(skeleton)
    bones = {child: xyz[:, child] - xyz[:, parent] for parent, child in skeleton.bones}
    lengths = {child: _usual_length(bone) for child, bone in bones.items()}
    for child, length in lengths.items():
        if not np.isfinite(length):  # one foot was never seen: it is as the other one
            lengths[child] = lengths[skeleton.mirrored[child]]
    for child, other in _ends_of_feet(skeleton):
        if not np.isfinite(lengths[child]):  # seen on neither side: as long as a level sole needs
            lengths[child] = lengths[other] * rest_direction(skeleton.joints[other])[1]
            lengths[child] /= rest_direction(skeleton.joints[child])[1]
    ends, offsets = (
        np.array([sum((np.multiply(v, share * lengths[j]) for v, j, share in place), np.zeros(3)) for place in places])
        for places in ([n.bone for n in nodes], [n.place for n in nodes])
    )
    still = np.zeros((len(xyz), 4))
    still[:, 0] = 1
    local, world = np.empty((len(xyz), len(nodes), 4)), np.empty((len(xyz), len(nodes), 4))
    for i, node in enumerate(nodes):
        above = world[:, node.parent] if node.parent >= 0 else still
        known: NDArray[np.bool_] = np.ones(len(xyz), bool)
        if node.target is not None:
            known = np.asarray(np.isfinite(bones[node.target]).all(-1))
            rest = np.array(node.points)
            towards = turn(inverse(above), _unit(bones[node.target], turn(above, rest)))
            local[:, i] = shortest(rest, towards, _Y if node.points[0] else _X)
        elif node.turns and not node.fixed:
            name = skeleton.joints[node.joint]
            if name in _FRAMES:
                across, up = _trunk_frame(xyz, name)
            elif skeleton is H36M17:  # a foot that nobody saw is level
                across, up = turn(above, _X), np.broadcast_to(_Y, (len(xyz), 3))
            else:
                across, up = _foot_frame(xyz, node.joint)
            known = np.asarray(np.isfinite(up).all(-1))
            local[:, i] = multiply(inverse(above), _frame(across, up, above))
        else:
            local[:, i] = still
        local[:, i] = _held(local[:, i], known, still)
        world[:, i] = multiply(above, local[:, i])
    joints = [j for j in (*_ANKLES, *range(len(H36M17), len(skeleton))) if any(node.joint == j for node in nodes)]
    soles = {joint: _height(nodes, offsets, world, joint) for joint in joints}
    return Rig(nodes, offsets, ends, local, xyz[:, skeleton.parents.index(-1)], soles, skeleton)


def put_on_feet(rig: Rig, xyz: Array, times: Array) -> Rig:
    """Correct the root's height by the legs' lengths, which vary in the poses: the lowest sole is as high as there.

    Args:
        rig: fitted to `xyz`, (F, 17 or 21, 3); it is not changed.
        times: (F,) seconds.
    """
    joints = list(rig.soles)
    wanted = xyz[:, joints, 1]
    off = wanted - (rig.root[:, 1:2] + np.stack([rig.soles[j] for j in joints], 1))
    heights = wanted - np.where(np.isin(joints, _ANKLES), ANKLE_HEIGHT * TYPICAL_HEIGHT, 0.0)
    # from one point to the next, without a step
    share = np.exp(-np.nan_to_num(heights - np.nanmin(heights, 1, keepdims=True), nan=np.inf) / _BOTH)
    change = (np.nan_to_num(off) * share).sum(1) / share.sum(1)
    new = np.concatenate([[True], np.abs(np.diff(xyz[:, : len(H36M17)], axis=0)).max((1, 2)) > 1e-9])  # not held ones
    if new.sum() > 2:
        smooth = fit_curve(times[new], change[new, None], np.ones((int(new.sum()), 1)), _STEP_HERTZ)
        change = smooth[np.cumsum(new) - 1]
    return replace(rig, root=rig.root + change[:, None] * _Y)


def _height(nodes: tuple[Node, ...], offsets: Array, world: Array, joint: int) -> Array:
    """Return a joint's height above the root in each frame, (F,)."""
    at = next(i for i, node in enumerate(nodes) if node.joint == joint)
    height = np.zeros(len(world))
    while nodes[at].parent >= 0:
        height += turn(world[:, nodes[at].parent], offsets[at])[:, 1]
        at = nodes[at].parent
    return height


def _ends_of_feet(skeleton: Skeleton) -> list[tuple[int, int]]:
    """Return heel and tip of each foot, and tip and heel, as joint numbers; none for a skeleton without feet."""
    if len(skeleton) == len(H36M17):
        return []
    pairs = [(len(H36M17) + heel, len(H36M17) + toe) for _, _, _, heel, toe in FEET_SIDES.values()]
    return pairs + [(toe, heel) for heel, toe in pairs]


def _usual_length(bone: Array) -> float:
    """Return the median length of (F, 3) vectors that are known; NaN if none is."""
    length = np.linalg.norm(bone, axis=-1)
    known = np.isfinite(length)
    return float(np.median(length[known])) if known.any() else np.nan


def _trunk_frame(xyz: Array, name: str) -> tuple[Array, Array]:
    """Return the directions of x and y, (F, 3) each, of the pelvis or the thorax."""
    right, left, low, high = (xyz[:, H36M17.joints.index(n)] for n in _FRAMES[name])
    return left - right, high - low


def _foot_frame(xyz: Array, ankle: int) -> tuple[Array, Array]:
    """Return the directions of x and y, (F, 3) each, of a foot: x across the sole and the shank, y up from the sole."""
    knee, heel, toe = next((k, h, t) for _, k, a, h, t in FEET_SIDES.values() if a == ankle)
    sole = xyz[:, len(H36M17) + toe] - xyz[:, len(H36M17) + heel]
    across = np.cross(xyz[:, knee] - xyz[:, ankle], sole)
    return across, np.cross(sole, across)


def _held(rotations: Array, known: NDArray[np.bool_], still: Array) -> Array:
    """Replace unknown rotations, (F, 4), by the last known one before, else the first after, else none."""
    if known.all():
        return rotations
    if not known.any():
        return still
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.asarray(rotations[np.where(last < 0, np.argmax(known), last)])


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
