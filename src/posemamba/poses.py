"""What flows through the program: 2D keypoints in, 3D poses out, and a motion made of them by refinement.

Shapes: F frames, J joints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.files import atomic_path
from posemamba.skeleton import H36M17, Skeleton

Progress = Callable[[int, "int | None"], None]
"""Called as progress(done, total); total is None where it is not known."""


@dataclass
class Keypoints2D:
    """2D joints of one person over time.

    Attributes:
        xy: (F, J, 2) float32, pixels, x to the right and y down from the image's top left corner;
            NaN where a joint was not found.
        confidence: (F, J) float32 in [0, 1]; 0 where a joint was not found.
        skeleton: which joints these are.
        image_size: (width, height) of the image in pixels.
        fps: frames per second.
        times: (F,) float64, seconds from the start of the source; None means frame / fps.
        source: where the keypoints come from (a file name, a detector).
        person: number of the person in the source, from 1; stable over the clip.
    """

    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    skeleton: Skeleton
    image_size: tuple[int, int]
    fps: float
    times: NDArray[np.float64] | None = None
    source: str = ""
    person: int = 1

    def __post_init__(self) -> None:
        self.xy = np.asarray(self.xy, dtype=np.float32)
        self.confidence = np.asarray(self.confidence, dtype=np.float32)
        frames, joints = self.xy.shape[:2]
        if self.xy.shape != (frames, len(self.skeleton), 2) or self.confidence.shape != (frames, joints):
            raise ValueError(
                f"xy {self.xy.shape} and confidence {self.confidence.shape} do not fit "
                f"{len(self.skeleton)} joints of skeleton {self.skeleton.name}"
            )

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(F, J): which joints were found."""
        return np.asarray(np.isfinite(self.xy).all(-1))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(F,): frames in which at least one joint was found."""
        return np.asarray(self.found.any(-1))

    def frame_times(self) -> NDArray[np.float64]:
        """(F,) seconds."""
        return np.arange(len(self)) / self.fps if self.times is None else self.times


def find_jumps(keypoints: Keypoints2D) -> NDArray[np.intp]:
    """Frames whose joints lie more than a body's size from those seen before: somebody else, or another scene.

    Frames in which less than half of the joints were found are passed over.
    """
    index = np.flatnonzero(keypoints.found.mean(-1) >= 0.5)
    if len(index) < 2:
        return index[:0]
    xy = np.where(keypoints.found[index, :, None], keypoints.xy[index], np.nan)
    centre = np.nanmedian(xy, axis=1)
    size = (np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)
    step = np.linalg.norm(np.diff(centre, axis=0), axis=-1)
    return index[1:][step > np.minimum(size[1:], size[:-1])]


@dataclass
class Poses3D:
    """3D joints of one person over time, as the model gives them.

    Attributes:
        xyz: (F, 17, 3) float32 in the camera's frame: x to the right, y down, z away from the camera; relative
            to the pelvis; in pixels at the pelvis's depth (so up to scale: a metre is an unknown number of them).
            NaN in frames where nobody was seen.
        confidence: (F, 17) float32 in [0, 1]: the 2D confidence carried through the skeleton's conversion.
        seen: (F,) bool: frames in which the person was seen; nothing is invented for the others.
        keypoints: the 2D joints that were lifted, in Human3.6M's skeleton.
        model: name of the weights.
        details: whatever else a reader of the file should know (options, versions).
        expected_error: (F, 17) float32, how far each joint is expected to be off, relative to the pelvis, in the unit
            of `xyz`; a share of the body's size in pixels is one of its size in metres. NaN where nobody was seen;
            None: the weights do not tell.
    """

    xyz: NDArray[np.float32]
    confidence: NDArray[np.float32]
    seen: NDArray[np.bool_]
    keypoints: Keypoints2D
    model: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    expected_error: NDArray[np.float32] | None = None

    units = "pixel"
    frame = "camera: x right, y down, z away from the camera; relative to the pelvis; scale unknown"
    skeleton = H36M17

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def fps(self) -> float:
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
        }

    def save_npz(self, path: str | Path) -> None:
        """Write arrays xyz, confidence, seen, keypoints_xy, times, if it is known expected_error, and a JSON text
        `header`; no pickles."""
        known: dict[str, Any] = {} if self.expected_error is None else {"expected_error": self.expected_error}
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
        """Read what `save_npz` wrote."""
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
            )
            expected = file.get("expected_error")
            return cls(
                file["xyz"], file["confidence"], file["seen"], keypoints, header["model"], header["details"], expected
            )

    def save_json(self, path: str | Path) -> None:
        """Write the same as JSON: one object a frame, null where nobody was seen."""
        times = self.keypoints.frame_times()

        def frame(i: int) -> dict[str, Any]:
            xyz, xy, confidence = (
                np.round(a[i].astype(float), digits)
                for a, digits in ((self.xyz, 3), (self.keypoints.xy, 2), (self.confidence, 3))
            )
            told: dict[str, Any] = {}
            if self.expected_error is not None:
                errors = np.round(self.expected_error[i].astype(float), 3).tolist()
                told["expected_error"] = errors if self.seen[i] else None
            return {
                "frame": i,
                "time": round(float(times[i]), 6),
                "seen": bool(self.seen[i]),
                "xyz": xyz.tolist() if self.seen[i] else None,
                "keypoints": [p if np.isfinite(p).all() else None for p in xy.tolist()],
                "confidence": confidence.tolist(),
                **told,
            }

        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            # frame by frame: an hour of poses as Python's numbers would take gigabytes
            file.write(json.dumps(self._header(), allow_nan=False)[:-1] + ', "frames": [')
            for i in range(len(self)):
                file.write((", " if i else "") + json.dumps(frame(i), allow_nan=False))
            file.write("]}")


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
        """The poses with nothing done to them."""
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
        """(F,) seconds."""
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
