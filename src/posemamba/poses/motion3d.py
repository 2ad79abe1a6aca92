"""A motion: 3D joints after refinement.

Shapes: F frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.poses3d import Poses3D
from posemamba.poses.skeletons import H36M17


@dataclass(frozen=True)
class Step:
    """The record of one refinement step.

    Attributes:
        name: of the step, e.g. ``smooth``, ``scale``, ``root_path``, ``upright``.
        parameters: its parameters, including defaults.
        report: its measurements, such as residuals and spreads; numbers and short texts.
        estimate: True if the result rests on a guess (a typical body, a guessed field of view), not on a measurement.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    estimate: bool = False


@dataclass
class Motion3D:
    """One person's refined motion, with the `Poses3D` from which it was made.

    Attributes:
        xyz: (F, 17, 3) float32 in `units` and `frame`; NaN in frames where nobody was seen.
        seen: (F,) bool, frames in which the person was seen.
        units: ``pixel`` (at the pelvis's depth, scale unknown) or ``metre``.
        frame: ``camera``: x right, y down, z away from the camera. ``world``: x to the camera's right, y away from
            the camera, both level, z up against gravity. Both are right-handed.
        absolute: True if `xyz` holds the root's path (from the camera's centre, or from the world's origin); else every
            frame is relative to the pelvis.
        poses: the poses as the model gave them.
        steps: the refinement steps, in order.
    """

    xyz: NDArray[np.float32]
    seen: NDArray[np.bool_]
    units: Literal["pixel", "metre"]
    frame: Literal["camera", "world"]
    absolute: bool
    poses: Poses3D
    steps: tuple[Step, ...] = ()

    skeleton = H36M17

    @classmethod
    def raw(cls, poses: Poses3D) -> Motion3D:
        """Make a motion of poses without any refinement."""
        return cls(poses.xyz.copy(), poses.seen.copy(), "pixel", "camera", False, poses)

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.poses.fps

    @property
    def person(self) -> int:
        """The person's number in the source, from 1."""
        return self.poses.keypoints.person

    def frame_times(self) -> NDArray[np.float64]:
        """Return the frames' times, (F,) seconds."""
        return self.poses.keypoints.frame_times()

    @property
    def expected_error(self) -> NDArray[np.float32] | None:
        """The joints' expected errors relative to the pelvis, (F, 17) in `units`; None: not known."""
        if self.poses.expected_error is None:
            return None
        parents = np.array(self.skeleton.parents[1:])

        def size(xyz: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.linalg.norm(xyz[:, 1:] - xyz[:, parents], axis=-1).sum(-1)

        with np.errstate(invalid="ignore", divide="ignore"):
            return self.poses.expected_error * (size(self.xyz) / size(self.poses.xyz))[:, None]
