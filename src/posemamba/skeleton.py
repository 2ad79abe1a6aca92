"""Named skeletons and the mapping of any of them to Human3.6M's 17 joints, the ones that the model knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """A named set of joints.

    Attributes:
        name: how users name it, e.g. ``h36m17``.
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
        """(parent, child) joint indices."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p >= 0)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each joint the index of the joint that takes its place in a mirrored image."""
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

# The scan's local order: pelvis, right leg, left leg, left arm, right arm, each limb from its root.
# At position j the token of joint LIMB_ORDER[j] is merged with that of joint j.
LIMB_ORDER = (0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16)
