"""Sets of joints that hold a known skeleton among others: whole bodies with faces and hands, OpenPose's variants.

They are told apart by their number of joints, as files name no skeleton.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.raw import recognise_17
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33, BODY25, COCO17, FEET, HALPE26, Skeleton

_ABSENT = -1


@dataclass(frozen=True)
class Layout:
    """The joints of a skeleton within a larger or differently ordered set.

    Attributes:
        skeleton: the skeleton; None: recognised by how the joints lie.
        joints: the index of each of its joints in the set, -1 for one that the set lacks; None: as they are.
        feet: the indices of the heels and foot tips (`posemamba.poses.skeletons.FEET`) that the skeleton lacks.
    """

    skeleton: Skeleton | None
    joints: tuple[int, ...] | None = None
    feet: tuple[int, ...] = ()

    def take(
        self, xy: NDArray[np.floating], confidence: NDArray[np.floating]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the (K, 2) pixels and (K,) confidences of the skeleton's joints, then of the feet.

        Args:
            xy, confidence: (J, 2) and (J,) of the whole set.
        """
        if self.joints is None and not self.feet:
            return xy, confidence
        joints = tuple(range(len(self.skeleton or ()))) if self.joints is None else self.joints
        order = np.array((*joints, *self.feet))
        absent = order == _ABSENT
        return np.where(absent[:, None], np.nan, xy[order]), np.where(absent, 0.0, confidence[order])


# OpenPose's 18 have the neck second and the right side first.
_COCO_OF_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
# BODY_25B is COCO-17, then upper neck, head top and feet, left before right. Its neck lies higher than Halpe's.
_HALPE_OF_25B = (*range(17), 18, _ABSENT, _ABSENT, 19, 22, 20, 23, 21, 24)
_BODY_25B = Layout(HALPE26, _HALPE_OF_25B)
_BODY_25 = Layout(BODY25)

LAYOUTS: Mapping[int, Layout] = {
    17: Layout(None),
    18: Layout(COCO17, _COCO_OF_18),
    23: Layout(COCO17, None, (22, 20, 19, 17)),
    25: _BODY_25,
    26: Layout(HALPE26),
    33: Layout(BLAZEPOSE33),
    133: Layout(COCO17, None, (22, 20, 19, 17)),
    134: Layout(COCO17, _COCO_OF_18, (23, 21, 20, 18)),
    135: _BODY_25B,
    136: Layout(HALPE26, tuple(range(26))),
}
"""The layouts by their number of joints. 133 is COCO-WholeBody, 23 its body and feet, 134 all of it in OpenPose's order
with a neck, 135 OpenPose's BODY_135, 136 Halpe with face and hands."""

KNOWN = "17 (COCO, Human3.6M), 18 or 25 (OpenPose), 23 (COCO with feet), 26 (Halpe), 33 (MediaPipe), 133 to 136 (whole)"
"""The numbers of joints that are read, for errors."""


def take_bodies(frames: Mapping[int, Sequence[Detection]], joints: int) -> tuple[Skeleton | None, bool]:
    """Reduce all detections of a file to the skeleton in them.

    Args:
        frames: the detections by frame, all of `joints` joints; changed in place.
        joints: one of `LAYOUTS`.

    Returns:
        The skeleton, None if its joints' places are to show it, and whether heels and foot tips follow its joints.
    """
    layout = LAYOUTS[joints]
    people = [person for persons in frames.values() for person in persons]
    if layout is _BODY_25 and _is_25b(np.stack([person.xy for person in people[:2000]])):
        layout = _BODY_25B
    for person in people:
        person.xy, person.confidence = layout.take(person.xy, person.confidence)
    return layout.skeleton, bool(layout.feet) and len(layout.feet) == len(FEET)


def _is_25b(xy: NDArray[np.floating]) -> bool:
    """Return True if (n, 25, 2) joints are BODY_25B's: 1 to 4 lie in the face, and 15 to 18, BODY_25's face, do not."""
    if recognise_17(xy[:, :17]) is not COCO17:
        return False
    face, other = (np.linalg.norm(xy[:, part] - xy[:, :1], axis=-1).max(-1) for part in (slice(1, 5), slice(15, 19)))
    return bool(np.nanmedian(other) > 3 * np.nanmedian(face)) if np.isfinite(face + other).any() else False
