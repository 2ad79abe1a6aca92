"""MPI-INF-3DHP's 17 joints and Human3.6M's: which stands for which, there and back.

They are put into Human3.6M's order on the way in, as the scan's limb order is defined on it, and back into the files'
on the way out.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

JOINTS = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
)
"""The files' joints, in their order: those that the official utilities call 'relevant', Human3.6M's joints."""

# Which of JOINTS stands for each of Human3.6M's joints. Limbs are the same joints on both sides.
_TABLE: tuple[tuple[str, str, str], ...] = (
    ("pelvis", "pelvis", "the root of both"),
    ("right_hip", "right_hip", ""),
    ("right_knee", "right_knee", ""),
    ("right_ankle", "right_ankle", ""),
    ("left_hip", "left_hip", ""),
    ("left_knee", "left_knee", ""),
    ("left_ankle", "left_ankle", ""),
    ("spine", "spine", "half-way up the trunk in both"),
    ("thorax", "neck", "the base of the neck, where both let the arms begin"),
    ("nose", "head", "between neck and top of the head; Human3.6M's 'nose' is no tip of the nose either"),
    ("head_top", "head_top", ""),
    ("left_shoulder", "left_shoulder", ""),
    ("left_elbow", "left_elbow", ""),
    ("left_wrist", "left_wrist", ""),
    ("right_shoulder", "right_shoulder", ""),
    ("right_elbow", "right_elbow", ""),
    ("right_wrist", "right_wrist", ""),
)
FROM_3DHP = tuple(JOINTS.index(theirs) for _, theirs, _ in _TABLE)
"""For each of Human3.6M's joints the index of the file's joint that stands for it."""
TO_3DHP = tuple(FROM_3DHP.index(joint) for joint in range(len(JOINTS)))
"""For each of the file's joints the index of Human3.6M's; undoes FROM_3DHP."""


def to_h36m(joints: NDArray[Any]) -> NDArray[Any]:
    """(..., 17, C) in the file's joint order to Human3.6M's."""
    return joints[..., list(FROM_3DHP), :]


def to_3dhp(joints: NDArray[Any]) -> NDArray[Any]:
    """(..., 17, C) in Human3.6M's joint order to the file's."""
    return joints[..., list(TO_3DHP), :]
