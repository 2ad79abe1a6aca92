"""Clips of other data sets: 2D joints as COCO's 17, and the true places of those of Human3.6M's joints that both have.

Shapes: F frames. Metres in the camera's axes, x right, y down, z away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.cameras import Camera
from posemamba.poses import Keypoints2D
from posemamba.poses.ranges import FARTHEST
from posemamba.poses.skeletons import COCO17, H36M17
from posemamba.utils.errors import PoseMambaError

SHARED = tuple(name for name in H36M17.joints if name.endswith(("hip", "knee", "ankle", "shoulder", "elbow", "wrist")))
"""Joints that COCO, SMPL and Human3.6M have under one name; what they mean by it differs by some centimetres."""
_FARTHEST = 1e4
"""Metres from the camera: no joint that it sees is farther away."""


@dataclass(frozen=True)
class Clip:
    """A person in one camera.

    Attributes:
        name: of sequence, camera and person.
        detected: the data set's own 2D joints; None: it has none.
        exact: the projections of the true joints.
        xyz: (F, 17, 3) Human3.6M's joints; the pelvis is the middle of the hips.
        valid: (F, 17), of which joints and frames the place is known.
        fov: horizontal field of view in degrees.
    """

    name: str
    detected: Keypoints2D | None
    exact: Keypoints2D
    xyz: NDArray[np.float64]
    valid: NDArray[np.bool_]
    fov: float


def make_clip(
    name: str,
    camera: Camera,
    xyz: NDArray[np.float64],
    known: NDArray[np.bool_],
    detected: NDArray[np.float64] | None,
    fps: float,
) -> Clip:
    """Make a clip of COCO's joints.

    Args:
        name: for messages.
        camera: with its picture's size.
        xyz: (F, 17, 3) in the camera's axes; NaN for joints that the data set does not have.
        known: (F,) frames that may be scored.
        detected: (F, 17, 3) pixels and confidence, 0 where a joint was not found; None: there are none.
        fps: frames per second.

    Raises:
        PoseMambaError: joints farther away than any that a camera sees.
    """
    for what, values, most in (("3D joints in metres", xyz, _FARTHEST), ("2D joints in pixels", detected, FARTHEST)):
        if values is not None and (np.abs(values) > most).any():
            found = np.nanmax(np.abs(values))
            raise PoseMambaError(f"{name}: {what} go up to {found:.3g}, expected up to {most:g}; get the file again")
    size = (round(camera.size[0]), round(camera.size[1]))
    seen = camera.project(xyz)
    seen = np.where(np.abs(seen) <= FARTHEST, seen, np.nan)  # beside the lens, and far outside of the picture
    exact = Keypoints2D(
        seen.astype(np.float32), np.isfinite(seen[..., 0]).astype(np.float32), COCO17, size, fps, source=name
    )
    found = None
    if detected is not None:
        pixels = np.where(detected[..., 2:] > 0, detected[..., :2], np.nan)
        sure = np.clip(detected[..., 2], 0, 1)
        found = Keypoints2D(pixels.astype(np.float32), sure.astype(np.float32), COCO17, size, fps, source=name)
    ours = np.full((len(xyz), len(H36M17), 3), np.nan)
    for joint in SHARED:
        ours[:, H36M17.joints.index(joint)] = xyz[:, COCO17.joints.index(joint)]
    hips = [H36M17.joints.index(f"{side}_hip") for side in ("left", "right")]
    ours[:, 0] = ours[:, hips].mean(1)
    return Clip(name, found, exact, ours, np.isfinite(ours).all(-1) & known[:, None], camera.fov())


Clips = Iterator[Clip]
