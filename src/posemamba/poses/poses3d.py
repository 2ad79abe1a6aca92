"""Lifted 3D poses and their file format.

Shapes: F frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.keypoints import Feet2D, Keypoints2D
from posemamba.poses.skeletons import FEET, H36M17
from posemamba.utils.files import atomic_path


@dataclass
class Poses3D:
    """3D joints of one person over time, as the model gives them.

    Attributes:
        xyz: (F, 17, 3) float32 in the camera's frame: x to the right, y down, z away from the camera. Relative to the
            pelvis, in pixels at the pelvis's depth, so the scale is unknown. NaN in frames where nobody was seen.
        confidence: (F, 17) float32 in [0, 1], the 2D confidence after the skeleton's conversion.
        seen: (F,) bool, frames in which the person was seen.
        keypoints: the 2D joints that were lifted, in Human3.6M's skeleton.
        model: name of the weights.
        details: further facts for a reader of the file (options, versions).
        expected_error: (F, 17) float32, each joint's expected error relative to the pelvis, in the unit of `xyz`; it
            scales with the body when `xyz` is converted to metres. NaN where nobody was seen; None: the weights have no
            error head.
        feet: (F, 4, 3) float32, heels and foot tips in the order of `posemamba.poses.skeletons.FEET`, in the unit and
            frame of `xyz`; NaN where a point was not found. None: the source has no feet.
    """

    xyz: NDArray[np.float32]
    confidence: NDArray[np.float32]
    seen: NDArray[np.bool_]
    keypoints: Keypoints2D
    model: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    expected_error: NDArray[np.float32] | None = None
    feet: NDArray[np.float32] | None = None

    units = "pixel"
    frame = "camera: x right, y down, z away from the camera; relative to the pelvis; scale unknown"
    skeleton = H36M17

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.keypoints.fps

    def _header(self) -> dict[str, Any]:
        return {
            "format": "posemamba-poses-1",
            "joints": list(self.skeleton.joints),
            "parents": list(self.skeleton.parents),
            "units": self.units,
            "frame": self.frame,
            "fps": self.fps,
            "image_size": list(self.keypoints.image_size),
            "source": self.keypoints.source,
            "person": self.keypoints.person,
            "model": self.model,
            "details": self.details,
            **({} if self.feet is None else {"feet": list(FEET)}),
        }

    def save_npz(self, path: str | Path) -> None:
        """Write an npz file without pickles.

        Its arrays are xyz, confidence, seen, keypoints_xy, times, expected_error (if known), those of `feet_arrays` (if
        the source has feet), and a JSON text `header`.
        """
        known: dict[str, Any] = {} if self.expected_error is None else {"expected_error": self.expected_error}
        known |= feet_arrays(self.feet, self.keypoints)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                xyz=self.xyz,
                confidence=self.confidence,
                seen=self.seen,
                keypoints_xy=self.keypoints.xy,
                times=self.keypoints.frame_times(),
                header=np.array(json.dumps(self._header())),
                **known,
            )

    @classmethod
    def load_npz(cls, path: str | Path) -> Poses3D:
        """Read a file of `save_npz`."""
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            width, height = header["image_size"]
            keypoints = Keypoints2D(
                xy=file["keypoints_xy"],
                confidence=file["confidence"],
                skeleton=H36M17,
                image_size=(width, height),
                fps=header["fps"],
                times=file["times"],
                source=header["source"],
                person=header.get("person", 1),
                feet=feet_of_arrays(file),
            )
            expected = file.get("expected_error")
            return cls(
                file["xyz"],
                file["confidence"],
                file["seen"],
                keypoints,
                header["model"],
                header["details"],
                expected,
                file.get("feet"),
            )

    def save_json(self, path: str | Path) -> None:
        """Write the poses as JSON: the header, and one object for each frame; null where nobody was seen."""
        times = self.keypoints.frame_times()

        def frame(i: int) -> dict[str, Any]:
            xyz, xy, confidence = (
                np.round(a[i].astype(float), digits)
                for a, digits in ((self.xyz, 3), (self.keypoints.xy, 2), (self.confidence, 3))
            )
            known: dict[str, Any] = {}
            if self.expected_error is not None:
                errors = np.round(self.expected_error[i].astype(float), 3).tolist()
                known["expected_error"] = errors if self.seen[i] else None
            if self.feet is not None:
                known["feet"] = points_or_null(self.feet[i], 3)
            if (feet := self.keypoints.feet) is not None:
                known["feet_keypoints"] = points_or_null(feet.xy[i], 2)
                known["feet_confidence"] = np.round(feet.confidence[i].astype(float), 3).tolist()
            return {
                "frame": i,
                "time": round(float(times[i]), 6),
                "seen": bool(self.seen[i]),
                "xyz": xyz.tolist() if self.seen[i] else None,
                "keypoints": [p if np.isfinite(p).all() else None for p in xy.tolist()],
                "confidence": confidence.tolist(),
                **known,
            }

        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            # frame by frame, as an hour of poses as Python's numbers would take gigabytes
            file.write(json.dumps(self._header(), allow_nan=False)[:-1] + ', "frames": [')
            for i in range(len(self)):
                file.write((", " if i else "") + json.dumps(frame(i), allow_nan=False))
            file.write("]}")


def feet_arrays(
    feet: NDArray[np.float32] | None, keypoints: Keypoints2D, name: str = "feet"
) -> dict[str, NDArray[np.float32]]:
    """Return the feet's arrays of an npz file: `name`, feet_keypoints_xy, feet_confidence; those that there are."""
    arrays = {} if feet is None else {name: feet}
    if keypoints.feet is not None:
        arrays |= {"feet_keypoints_xy": keypoints.feet.xy, "feet_confidence": keypoints.feet.confidence}
    return arrays


def feet_of_arrays(file: Mapping[str, NDArray[Any]]) -> Feet2D | None:
    """Return the 2D feet of an npz file that has them (`feet_arrays`)."""
    return Feet2D(file["feet_keypoints_xy"], file["feet_confidence"]) if "feet_keypoints_xy" in file else None


def points_or_null(points: NDArray[np.floating], digits: int) -> list[list[float] | None]:
    """Round points, (N, 2 or 3), for JSON; None where a coordinate is not a number."""
    return [p if np.isfinite(p).all() else None for p in np.round(points.astype(float), digits).tolist()]


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
        feet: (F, 4, 3) float32, heels and foot tips in the order of `posemamba.poses.skeletons.FEET`, in `units` and
            `frame`; NaN where a point was not found. None: the source has no feet.
    """

    xyz: NDArray[np.float32]
    seen: NDArray[np.bool_]
    units: Literal["pixel", "metre"]
    frame: Literal["camera", "world"]
    absolute: bool
    poses: Poses3D
    steps: tuple[Step, ...] = ()
    feet: NDArray[np.float32] | None = None

    skeleton = H36M17

    @classmethod
    def raw(cls, poses: Poses3D) -> Motion3D:
        """Make a motion of poses without any refinement."""
        feet = None if poses.feet is None else poses.feet.copy()
        return cls(poses.xyz.copy(), poses.seen.copy(), "pixel", "camera", False, poses, feet=feet)

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
