"""Lifted 3D poses: as the network gives them, and in metres.

Shapes: F frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.angle_table import AngleErrorTable
from posemamba.poses.keypoints import Keypoints2D
from posemamba.poses.skeletons import H36M17
from posemamba.poses.trust import Trust
from posemamba.poses.virtual_camera import VirtualCamera

PLACING = ("scale", "root_path")
"""Names of the steps that put the network's poses into metres before the camera."""


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
class NetworkPoses:
    """The 3D joints of one person over time as the network gives them, in the picture of a virtual camera.

    The network is shown the 2D joints as a camera sees them that looks at the person (`camera`). Its x and y are places
    in that camera's picture, at the pelvis's depth, so joints nearer than the pelvis are too large. `Poses3D` is made
    of them: metres, in perspective, in the real camera's axes.

    Attributes:
        xyz: (F, 17, 3) float32 in the virtual camera's axes: x to the right, y down, z away from the camera. Relative
            to the pelvis, in pixels at the pelvis's depth. NaN in frames where nobody was seen.
        confidence: (F, 17) float32 in [0, 1], the 2D confidence after the skeleton's conversion.
        seen: (F,) bool, frames in which the person was seen.
        keypoints: the 2D joints that were lifted, in Human3.6M's skeleton, as the real camera sees them.
        model: name of the weights.
        details: further facts for a reader of the file (options, versions).
        expected_error: (F, 17) float32, each joint's expected error relative to the pelvis, in the unit of `xyz`. NaN
            where nobody was seen; None: the weights have no error head.
        feet: (F, 4, 3) float32, heels and foot tips in the order of `posemamba.poses.skeletons.FEET`, in the unit and
            frame of `xyz`; NaN where a point was not found. None: the source has no feet.
        camera: the virtual camera; None, when made: the real one, with a guessed field of view.
        roll_deg: degrees by which the real camera is turned clockwise about its axis, if that was given.
        angle_errors: the weights' table of the angles' expected errors (`posemamba.angle_errors`); None: they have
            none.
    """

    xyz: NDArray[np.float32]
    confidence: NDArray[np.float32]
    seen: NDArray[np.bool_]
    keypoints: Keypoints2D
    model: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    expected_error: NDArray[np.float32] | None = None
    feet: NDArray[np.float32] | None = None
    camera: VirtualCamera = None  # type: ignore[assignment]  # never None once made
    roll_deg: float | None = None
    angle_errors: AngleErrorTable | None = None

    skeleton = H36M17

    def __post_init__(self) -> None:
        if self.camera is None:
            self.camera = VirtualCamera.unturned(self.keypoints.image_size)

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.keypoints.fps

    @property
    def seen_xy(self) -> NDArray[np.float64]:
        """The 2D joints as the virtual camera sees them, (F, 17, 2) pixels; NaN where not found."""
        return self.camera.see(self.keypoints.xy)


@dataclass
class Poses3D:
    """The 3D joints of one person over time, in metres, in perspective, with the pelvis's path: the result of lifting.

    Attributes:
        xyz: (F, 17, 3) float32 in `units` and `frame`; NaN in frames where nobody was seen.
        seen: (F,) bool, frames in which the person was seen.
        units: ``metre``; within refinement also ``pixel`` (at the pelvis's depth).
        frame: ``camera``: x right, y down, z away from the camera. ``world``: x to the camera's right, y away from
            the camera, both level, z up against gravity. Both are right-handed.
        absolute: True if `xyz` holds the pelvis's path (from the camera's centre, or from the world's origin), as in
            every result; else every frame is relative to the pelvis.
        network: the joints as the network gave them.
        steps: placing (`scale`, `root_path`), then the refinement steps, in order.
        feet: (F, 4, 3) float32, heels and foot tips in the order of `posemamba.poses.skeletons.FEET`, in `units` and
            `frame`; NaN where a point was not found. None: the source has no feet.
        trust: the verdict, with a level for each frame; None: not judged yet (`posemamba.judge`).
    """

    xyz: NDArray[np.float32]
    seen: NDArray[np.bool_]
    units: Literal["pixel", "metre"]
    frame: Literal["camera", "world"]
    absolute: bool
    network: NetworkPoses
    steps: tuple[Step, ...] = ()
    feet: NDArray[np.float32] | None = None
    trust: Trust | None = None

    skeleton = H36M17

    @classmethod
    def raw(cls, poses: NetworkPoses) -> Poses3D:
        """Make a motion of the network's poses without any step, in the virtual camera's axes."""
        feet = None if poses.feet is None else poses.feet.copy()
        return cls(poses.xyz.copy(), poses.seen.copy(), "pixel", "camera", False, poses, feet=feet)

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.network.fps

    @property
    def person(self) -> int:
        """The person's number in the source, from 1."""
        return self.network.keypoints.person

    @property
    def keypoints(self) -> Keypoints2D:
        """The 2D joints that were lifted, in Human3.6M's skeleton."""
        return self.network.keypoints

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The 2D confidences, (F, 17) in [0, 1]."""
        return self.network.confidence

    @property
    def model(self) -> str:
        """The name of the weights."""
        return self.network.model

    @property
    def details(self) -> dict[str, Any]:
        """Further facts for a reader of the file (options, versions)."""
        return self.network.details

    @property
    def refined(self) -> tuple[Step, ...]:
        """The steps after the placing in metres."""
        return tuple(step for step in self.steps if step.name not in PLACING)

    def frame_times(self) -> NDArray[np.float64]:
        """Return the frames' times, (F,) seconds."""
        return self.network.keypoints.frame_times()

    @property
    def expected_error(self) -> NDArray[np.float32] | None:
        """The joints' expected errors relative to the pelvis, (F, 17) in `units`; None: not known."""
        if self.network.expected_error is None:
            return None
        parents = np.array(self.skeleton.parents[1:])

        def size(xyz: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.linalg.norm(xyz[:, 1:] - xyz[:, parents], axis=-1).sum(-1)

        with np.errstate(invalid="ignore", divide="ignore"):
            return self.network.expected_error * (size(self.xyz) / size(self.network.xyz))[:, None]
