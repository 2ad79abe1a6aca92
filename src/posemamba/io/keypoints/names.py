"""Recognition of joints by their common names: ``LShoulder``, ``shoulder_l``, ``LEFT_SHOULDER``, ``shoulder2``."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from posemamba.io.keypoints.source import listed
from posemamba.poses.skeletons import BLAZEPOSE33, COCO17, SKELETONS, Skeleton
from posemamba.utils.errors import PoseMambaError

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_ALIASES = {
    "foot_index": "toe",
    "inner_eye": "eye_inner",
    "outer_eye": "eye_outer",
    "bigtoe": "big_toe",
    "smalltoe": "small_toe",
    "mid_hip": "pelvis",
    "midhip": "pelvis",
    "hips": "pelvis",
    "hip_center": "pelvis",
    "root": "pelvis",
    "neck_nose": "nose",
    "headtop": "head_top",
    "top_head": "head_top",
    "torso": "spine",
    "chest": "thorax",
}
_WITHOUT_SIDE = {"hip": "pelvis"}
_STAND_INS = {"head": "head_top", "foot": "ankle", "neck": "thorax"}
"""Names that stand for another joint if that one is not named, and the skeleton has no joint of the name itself."""

_PARTS = {name.removeprefix("left_") for s in SKELETONS.values() for name in s.joints if name.startswith("left_")}
_LIMBS = tuple(
    f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)


def canonical(name: str) -> str:
    """Return the skeletons' name of a joint, or the name in lower case if it is none of their joints.

    A number 1 or 2 means the right or the left side, as in DeepLabCut's model of people.
    """
    words = [w.lower() for w in _WORDS.findall(name)]
    side = next((_SIDES[w] for w in words if w in _SIDES), None)
    rest = [w for w in words if w not in _SIDES]
    if side is None and len(rest) == 1 and rest[0][:1] in ("l", "r") and rest[0][1:] in _PARTS:
        side, rest = _SIDES[rest[0][0]], [rest[0][1:]]  # lshoulder
    if side is None and len(rest) == 2 and rest[1] in ("1", "2") and rest[0] in _PARTS:
        side, rest = ("right" if rest[1] == "1" else "left"), rest[:1]
    part = "_".join(rest)
    part = _ALIASES.get(part, part)
    if side is None:
        return _WITHOUT_SIDE.get(part, part)
    return f"{side}_{part}"


def match(path: Path, names: Sequence[str]) -> tuple[Skeleton, list[int | None]]:
    """Match names to a skeleton: the largest of which every joint is named, else COCO-17 if all of its limbs are.

    Returns:
        The skeleton, and for each of its joints the index of the name; None for a joint that is not named.

    Warns:
        UserWarning: joints of COCO-17 are not named.

    Raises:
        PoseMambaError: a limb's joint is not named.
    """
    index: dict[str, int] = {}
    for i, name in enumerate(names):
        index.setdefault(canonical(name), i)

    def find(joint: str, skeleton: Skeleton) -> int | None:
        if joint in index:
            return index[joint]
        for name, stands_for in _STAND_INS.items():
            plain = joint.removeprefix("left_").removeprefix("right_")
            if plain == stands_for and (other := joint.replace(plain, name)) not in skeleton.joints:
                return index.get(other)
        return None

    for skeleton in sorted(SKELETONS.values(), key=len, reverse=True):
        order = [find(joint, skeleton) for joint in skeleton.joints]
        if None not in order:
            return skeleton, order
    skeleton = COCO17
    order = [find(joint, skeleton) for joint in skeleton.joints]
    missing = [joint for joint, i in zip(skeleton.joints, order, strict=True) if i is None]
    if lacking := [joint for joint in missing if joint in _LIMBS]:
        raise PoseMambaError(
            f"{path}: body parts {listed(names[:40])}; for a pose it lacks {', '.join(lacking)}: name parts as in "
            "left_shoulder, LShoulder or shoulder_l"
        )
    warnings.warn(f"{path.name}: lacks {', '.join(missing)}; these joints are missing in all frames", stacklevel=5)
    return skeleton, order


def is_blazepose(names: Sequence[str]) -> bool:
    """Return True if all of MediaPipe's 33 landmarks are named."""
    return set(BLAZEPOSE33.joints) <= {canonical(name) for name in names}
