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
    """One thing that refinement did to a motion.

    Attributes:
        name: of the step, e.g. ``smooth``, ``scale``, ``root_path``, ``upright``.
        parameters: what it was told, with every default written out.
        report: what it found: sizes of residuals, spreads; numbers and short texts.
        estimate: the result rests on a guess (a typical body, a guessed field of view), not on a measurement.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    estimate: bool = False


@dataclass
class Motion3D:
    """One person's motion as others use it: refined from `Poses3D`, which stays beside it as the model gave it.

    Attributes:
        xyz: (F, 17, 3) float32 in `units` and `frame`; NaN in frames where nobody was seen.
        seen: (F,) bool.
        units: ``pixel`` (at the pelvis's depth, scale unknown) or ``metre``.
        frame: ``camera``: x right, y down, z away from the camera. ``world``: x to the camera's right, y away from
            the camera, both level, z up against gravity; right-handed both.
        absolute: the root's path is in `xyz` (from the camera's centre, or from the world's origin); else every frame
            is relative to the pelvis.
        poses: what was refined.
        steps: what was done, in order.
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
        """Return the poses with nothing done to them."""
        return cls(poses.xyz.copy(), poses.seen.copy(), "pixel", "camera", False, poses)

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def fps(self) -> float:
        return self.poses.fps

    @property
    def person(self) -> int:
        return self.poses.keypoints.person

    def frame_times(self) -> NDArray[np.float64]:
        """Return (F,) seconds."""
        return self.poses.keypoints.frame_times()

    @property
    def expected_error(self) -> NDArray[np.float32] | None:
        """(F, 17) how far each joint is expected to be off, relative to the pelvis, in `units`; None: not known."""
        if self.poses.expected_error is None:
            return None
        parents = np.array(self.skeleton.parents[1:])

        def size(xyz: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.linalg.norm(xyz[:, 1:] - xyz[:, parents], axis=-1).sum(-1)

        with np.errstate(invalid="ignore", divide="ignore"):
            return self.poses.expected_error * (size(self.xyz) / size(self.poses.xyz))[:, None]
