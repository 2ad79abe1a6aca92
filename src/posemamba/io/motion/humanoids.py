"""Rigs with the joint names and the hierarchy that other programs expect, made of the same 17 joints and feet.

Each lies in the T pose of `rig`, faces z, and has no nodes but those that the program knows: hips and legs are fixed to
one node, a chain of spine nodes lies along the trunk, collar bones begin beside the neck. So joints are off by a few
millimetres to a centimetre more than in the project's own rig; the directions of limbs are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from posemamba.io.motion.common import Array
from posemamba.io.motion.rig import Node, Place, Rig, make_rig, put_on_feet, rest_direction
from posemamba.poses import Poses3D
from posemamba.poses.skeletons import Skeleton
from posemamba.refine.floor import NAME as FLOOR
from posemamba.utils.errors import PoseMambaError

OWN = "posemamba"
"""The name of the project's own rig."""
_COLLAR = 0.25  # where a collar bone begins, as a share of the way from the neck to the shoulder
_BALL = 0.7  # where the toes begin, as a share of the way from the heel to the foot's tip
_HAND, _FOOT = 0.4, 0.5  # lengths of a hand and, where feet were not seen, of a foot, as shares of forearm and shank


@dataclass(frozen=True)
class Names:
    """A program's names of joints; of the left side with ``Left``, which the right side replaces.

    Attributes:
        spine: from the hips to the chest, at least three.
        arm: collar bone, upper arm, forearm, hand.
        leg: thigh, shank, foot, toes.
        head_end, toe_end: of the ends of head and toes.
        prefix: before each name.
    """

    spine: tuple[str, ...]
    arm: tuple[str, str, str, str]
    leg: tuple[str, str, str, str]
    head_end: str = "Head_end"
    toe_end: str = "LeftToes_end"
    prefix: str = ""


HUMANOIDS = {
    "mixamo": Names(
        spine=("Spine", "Spine1", "Spine2"),
        arm=("LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand"),
        leg=("LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase"),
        head_end="HeadTop_End",
        toe_end="LeftToe_End",
        prefix="mixamorig:",
    ),
    "rokoko": Names(
        spine=("Spine1", "Spine2", "Spine3", "Spine4"),
        arm=("LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand"),
        leg=("LeftThigh", "LeftShin", "LeftFoot", "LeftToe"),
        toe_end="LeftToeTip",
    ),
    "unity": Names(
        spine=("Spine", "Chest", "UpperChest"),
        arm=("LeftShoulder", "LeftUpperArm", "LeftLowerArm", "LeftHand"),
        leg=("LeftUpperLeg", "LeftLowerLeg", "LeftFoot", "LeftToes"),
    ),
}
"""The programs' names by the name of the rig: Mixamo's characters, Rokoko's Newton skeleton, Unity's humanoid."""
RIGS = (OWN, *HUMANOIDS)
"""The names of all rigs."""


def fit_rig(motion: Poses3D, xyz: Array, times: Array, name: str = OWN) -> Rig:
    """Fit a rig by its name to joint positions; see `posemamba.io.motion.rig.make_rig`.

    Args:
        motion: tells whether the person was put on the floor: their lower foot then is as high as in the poses.
        xyz: (F, 17 or 21, 3) of it, y up.
        times: (F,) seconds, rising.
        name: in `RIGS`.

    Raises:
        PoseMambaError: there is no such rig.
    """
    check_rig(name)
    rig = make_rig(xyz) if name == OWN else make_rig(xyz, partial(humanoid_nodes, name))
    return put_on_feet(rig, xyz, times) if any(step.name == FLOOR for step in motion.steps) else rig


def check_rig(name: str) -> None:
    """Reject the name of a rig that there is not.

    Raises:
        PoseMambaError: it is not in `RIGS`.
    """
    if name not in RIGS:
        raise PoseMambaError(f"--rig is '{name}', expected one of {', '.join(RIGS)}")


def humanoid_nodes(name: str, skeleton: Skeleton) -> tuple[Node, ...]:
    """Return the nodes of a rig in `HUMANOIDS`, parents before their children, depth first.

    Args:
        name: of the rig.
        skeleton: `H36M17`, or `H36M17_FEET` where feet were seen.
    """
    names = HUMANOIDS[name]
    numbers = {joint: i for i, joint in enumerate(skeleton.joints)}
    feet = "left_toe" in numbers
    nodes: list[Node] = []

    def add(
        name: str,
        parent: int,
        joint: str,
        place: tuple[tuple[str, float], ...],
        *,
        aim: str | None = None,
        bone: tuple[tuple[str, float], ...] = (),
        fixed: bool = False,
        turns: bool = True,
    ) -> int:
        target = None if aim is None else numbers[aim]
        points = (0.0, 0.0, 0.0) if aim is None else rest_direction(aim)
        where, end = _numbered(place, numbers), _numbered(bone or (((aim, 1.0),) if aim else ()), numbers)
        nodes.append(
            Node(names.prefix + name, parent, numbers[joint], target, points, turns, place=where, bone=end, fixed=fixed)
        )
        return len(nodes) - 1

    hips = add("Hips", -1, "pelvis", (), bone=(("spine", 0.35),))
    for side in ("Left", "Right"):
        thigh, shank, foot, toes, toe_end = (n.replace("Left", side) for n in (*names.leg, names.toe_end))
        s = side.lower()
        at = add(thigh, hips, f"{s}_hip", ((f"{s}_hip", 1),), aim=f"{s}_knee")
        at = add(shank, at, f"{s}_knee", ((f"{s}_knee", 1),), aim=f"{s}_ankle")
        if not feet:
            at = add(foot, at, f"{s}_ankle", ((f"{s}_ankle", 1),))
            _end(nodes, at, skeleton, f"{s}_toe", f"{s}_ankle", _FOOT, f"{names.prefix}{foot}_end")
            continue
        heel, tip = f"{s}_heel", f"{s}_toe"
        ball = ((tip, _BALL), (heel, 1 - _BALL))
        at = add(foot, at, f"{s}_ankle", ((f"{s}_ankle", 1),), bone=ball)
        to_tip = ((tip, 1 - _BALL), (heel, _BALL - 1))
        at = add(toes, at, f"{s}_ankle", ball, bone=to_tip, fixed=True)
        add(toe_end, at, tip, to_tip, turns=False)
    at, share = hips, 0.35
    # up to the joint in the trunk's middle, then on to the neck in equal parts; the last one turns as shoulders do
    at = add(names.spine[0], at, "pelvis", (("spine", share),), aim="spine", bone=(("spine", 1 - share),))
    between = names.spine[1:-1]
    part = 0.6 / len(between)
    at = add(between[0], at, "spine", (("spine", 1 - share),), aim="thorax", bone=(("thorax", part),))
    for more in between[1:]:
        at = add(more, at, "spine", (("thorax", part),), bone=(("thorax", part),), fixed=True)
    chest = add(names.spine[-1], at, "thorax", (("thorax", part),), bone=(("thorax", 0.4),))
    neck = add("Neck", chest, "thorax", (("thorax", 0.4),), aim="nose")
    head = add("Head", neck, "nose", (("nose", 1),), aim="head_top")
    add(names.head_end, head, "head_top", (("head_top", 1),), turns=False)
    for side in ("Left", "Right"):
        collar, upper, fore, hand = (n.replace("Left", side) for n in names.arm)
        s = side.lower()
        shoulder = f"{s}_shoulder"
        begin, rest = (("thorax", 0.4), (shoulder, _COLLAR)), ((shoulder, 1 - _COLLAR),)
        at = add(collar, chest, "thorax", begin, aim=shoulder, bone=rest)
        at = add(upper, at, shoulder, rest, aim=f"{s}_elbow")
        at = add(fore, at, f"{s}_elbow", ((f"{s}_elbow", 1),), aim=f"{s}_wrist")
        at = add(hand, at, f"{s}_wrist", ((f"{s}_wrist", 1),), bone=((f"{s}_wrist", _HAND),), fixed=True)
        add(f"{hand}_end", at, f"{s}_wrist", ((f"{s}_wrist", _HAND),), turns=False)
    return tuple(nodes)


def _numbered(place: tuple[tuple[str, float], ...], numbers: dict[str, int]) -> Place:
    """Turn the names of joints into their rest directions and numbers."""
    return tuple((rest_direction(joint), numbers[joint], float(share)) for joint, share in place)


def _end(nodes: list[Node], parent: int, skeleton: Skeleton, like: str, length: str, share: float, name: str) -> None:
    """Add the end of a limb that was not seen: in a typical direction, its length a share of another bone's."""
    joint = skeleton.joints.index(length)
    place = ((rest_direction(like), joint, share),)
    nodes.append(Node(name, parent, joint, None, (0.0, 0.0, 0.0), False, place=place))
