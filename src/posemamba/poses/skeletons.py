"""Named skeletons: their joints, bones and left-right pairs, and the limbs of Human3.6M's 17 joints."""

from __future__ import annotations

from dataclasses import dataclass

from posemamba.utils.errors import PoseMambaError


@dataclass(frozen=True)
class Skeleton:
    """A named set of joints.

    Attributes:
        name: the users' name of it, e.g. ``h36m17``.
        joints: the joints' names, in the order of the arrays.
        parents: for each joint the index of its parent, -1 for the root (drawing and bone lengths).
        pairs: (left, right) joint indices that swap when the image is mirrored.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """The bones as (parent, child) joint indices."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p >= 0)

    @property
    def limb_order(self) -> tuple[int, ...]:
        """The joint that a PoseMamba merges with each joint by default: of Human3.6M's the paper's, else its parent."""
        if self.name == "h36m17":
            return LIMB_ORDER
        return tuple(max(parent, 0) if parent >= 0 else joint for joint, parent in enumerate(self.parents))

    @property
    def mirrored(self) -> tuple[int, ...]:
        """The index of the joint that takes each joint's place in a mirrored image."""
        order = list(range(len(self.joints)))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return tuple(order)


H36M17 = Skeleton(
    name="h36m17",
    joints=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "nose",
        "head_top",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    pairs=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
)

LIMBS = {"right leg": (1, 2, 3), "left leg": (4, 5, 6), "left arm": (11, 12, 13), "right arm": (14, 15, 16)}
"""Human3.6M's limbs from the root outwards: hip, knee, ankle; shoulder, elbow, wrist."""
LIMB_SEGMENTS = {
    f"{name.split()[0]} {segment}": ends
    for name, (root, middle, end) in LIMBS.items()
    for segment, ends in zip(
        ("thigh", "shin") if "leg" in name else ("upper arm", "forearm"), ((root, middle), (middle, end)), strict=True
    )
}
"""(upper, lower) joints of thighs, shins, upper arms and forearms, e.g. of ``left thigh``."""
LEG_PAIRS, ARM_PAIRS = H36M17.pairs[:3], H36M17.pairs[3:]
"""(left, right) joints of legs and arms."""

FEET = ("right_heel", "right_toe", "left_heel", "left_toe")
"""The points of the feet that are carried beside Human3.6M's joints: heels and foot tips. The toe is the tip of the
foot: BlazePose's toe (MediaPipe's foot index), and the big toe of Halpe-26 and BODY_25."""
FEET_ANKLES = (3, 3, 6, 6)
"""Human3.6M's ankle of each of `FEET`."""
FEET_SIDES = {"left": (4, 5, 6, 2, 3), "right": (1, 2, 3, 0, 1)}
"""Human3.6M's hip, knee and ankle of a side, then its heel and toe in `FEET`."""
FEET_BONES = ((3, 17), (17, 18), (6, 19), (19, 20))
"""Ankle to heel and heel to toe of both sides, where the points of `FEET` follow Human3.6M's 17 joints."""
FEET_MIRRORED = (2, 3, 0, 1)
"""The point of `FEET` that takes each point's place in a mirrored image."""
H36M17_FEET = Skeleton(
    name="h36m17_feet",
    joints=(*H36M17.joints, *FEET),
    parents=(*H36M17.parents, *FEET_ANKLES),
    pairs=(*H36M17.pairs, (19, 17), (20, 18)),
)
"""Human3.6M's joints, then `FEET` at their ankles, for files of motions; no detector has it."""

# The scan's local order: pelvis, right leg, left leg, left arm, right arm, each limb from its root.
# At position j the token of joint LIMB_ORDER[j] is merged with that of joint j.
LIMB_ORDER = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)


def _left_right_pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return the (left, right) indices of the joints named ``left_*`` and ``right_*``."""
    return tuple(
        (i, joints.index("right_" + name.removeprefix("left_")))
        for i, name in enumerate(joints)
        if name.startswith("left_")
    )


def _both(*names: str) -> tuple[str, ...]:
    """Return each name for the left and then for the right side."""
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


_COCO17_JOINTS = (
    "nose",
    *_both("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
)

COCO17 = Skeleton(
    name="coco17",
    joints=_COCO17_JOINTS,
    parents=(-1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    pairs=_left_right_pairs(_COCO17_JOINTS),
)

_BLAZEPOSE33_JOINTS = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    *_both("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
    *_both("hip", "knee", "ankle", "heel", "toe"),
)

BLAZEPOSE33 = Skeleton(
    name="blazepose33",
    joints=_BLAZEPOSE33_JOINTS,
    parents=(
        *(-1, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0),
        *(7, 8, 11, 12, 13, 14, 15, 16, 15, 16, 15, 16),
        *(11, 12, 23, 24, 25, 26, 27, 28, 29, 30),
    ),
    pairs=_left_right_pairs(_BLAZEPOSE33_JOINTS),
)

_HALPE26_JOINTS = (
    *_COCO17_JOINTS,
    *("head_top", "neck", "pelvis"),
    *_both("big_toe", "small_toe", "heel"),
)

HALPE26 = Skeleton(
    name="halpe26",
    joints=_HALPE26_JOINTS,
    parents=(
        *(18, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14),
        *(0, 19, -1, 15, 16, 15, 16, 15, 16),
    ),
    pairs=_left_right_pairs(_HALPE26_JOINTS),
)

_BODY25_JOINTS = (
    "nose",
    "neck",
    *("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    "pelvis",
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)

BODY25 = Skeleton(
    name="body25",
    joints=_BODY25_JOINTS,
    parents=(
        *(1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13),
        *(0, 0, 15, 16, 14, 14, 14, 11, 11, 11),
    ),
    pairs=_left_right_pairs(_BODY25_JOINTS),
)

# MPI-INF-3DHP's joints that match Human3.6M's, in the order of its files (see data/mpi_inf_3dhp/joints.py).
_3DHP17_JOINTS = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
)

MPI3DHP17 = Skeleton(
    name="3dhp17",
    joints=_3DHP17_JOINTS,
    parents=(16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1),
    pairs=_left_right_pairs(_3DHP17_JOINTS),
)

HAND21 = Skeleton(
    name="hand21",
    joints=(
        "wrist",
        *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
        *(
            f"{finger}_{part}"
            for finger in ("index", "middle", "ring", "little")
            for part in ("mcp", "pip", "dip", "tip")
        ),
    ),
    parents=(-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19),
    pairs=(),
)
"""A hand's joints in the order of OpenPose and MediaPipe. It has no sides: a mirrored left hand is a right one."""

SKELETONS: dict[str, Skeleton] = {s.name: s for s in (H36M17, COCO17, BLAZEPOSE33, HALPE26, BODY25, MPI3DHP17)}
"""Bodies, into each of which keypoint files are converted."""
OTHERS: dict[str, Skeleton] = {HAND21.name: HAND21}
"""Skeletons that a model may have, and no reader converts into: hands, and registered ones."""


def register_skeleton(skeleton: Skeleton) -> Skeleton:
    """Make a skeleton known by its name, to models, weights files and keypoint files.

    Raises:
        PoseMambaError: the name is taken or is none, or joints, parents and pairs do not fit each other.
    """
    name, joints = skeleton.name, len(skeleton)
    if not (name.isascii() and name.isalnum() and name.islower()):
        raise PoseMambaError(f"skeleton {name[:100]!r}: expected a name of lower-case letters and digits")
    if name in SKELETONS or OTHERS.get(name, skeleton) != skeleton:
        raise PoseMambaError(f"skeleton '{name}' is registered already: choose another name")
    if not joints or len(set(skeleton.joints)) < joints or len(skeleton.parents) != joints:
        raise PoseMambaError(f"skeleton '{name}': expected joints of different names, and a parent for each")
    for joint in range(joints):
        way, above = set(), joint
        while above >= 0:
            if above in way or above >= joints:
                raise PoseMambaError(f"skeleton '{name}': the parents of joint {joint} lead to no root")
            way.add(above)
            above = skeleton.parents[above]
    sides = [joint for pair in skeleton.pairs for joint in pair]
    if len(set(sides)) < len(sides) or any(not 0 <= joint < joints for joint in sides):
        raise PoseMambaError(f"skeleton '{name}': pairs name a joint twice, or one that is not there")
    OTHERS[name] = skeleton
    return skeleton


def get_skeleton(name: str) -> Skeleton:
    """Return the skeleton of that name; upper case, hyphens and underscores do not matter (``COCO-17``).

    Raises:
        PoseMambaError: there is no such skeleton.
    """
    plain = "".join(c for c in name.lower() if c.isalnum())
    known = {**SKELETONS, **OTHERS}
    if plain not in known:
        raise PoseMambaError(f"unknown skeleton '{name}': the known ones are {', '.join(known)}")
    return known[plain]
