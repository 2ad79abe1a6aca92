"""Errors of joint angles: mean absolute error and bias in degrees, by the side from which the camera sees the joint.

The angles are those of `posemamba.refine.angles` (angles.csv). Predictions are put into true perspective first, as in
lifting, and compared with the angles of the true joints in metres. Both sides of the body count together.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.mocap.scenes import Scene
from posemamba.poses.angle_table import plain_name
from posemamba.refine.angle_accuracy import in_perspective, view_of
from posemamba.refine.angles import STRAIGHT, Angle, measure_angles
from posemamba.utils.tables import markdown_table

VIEWS = ((0, 30), (30, 60), (60, 90))
"""Degrees between the line of sight and the normal of the angle's plane: from the side, between, edge-on."""
STRAIGHT_LIMB = "straight"
"""The name of the bin of straight limbs: true flexion below `posemamba.refine.angles.STRAIGHT` degrees."""
_LIMBS = ("knee_flexion", "elbow_flexion")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class AngleScore:
    """The error of an angle over `frames` frames (of both sides): mean absolute error and mean error, in degrees.

    The bias is above 0 where the angle is told too large.
    """

    mae_deg: float
    bias_deg: float
    frames: int


Scores = Mapping[str, Mapping[str, AngleScore]]
"""Scores by the angle's name without side and by the bin: ``all``, ``0-30``, ``30-60``, ``60-90`` degrees,
``straight``. Bins without frames are left out."""


@dataclass
class AngleMeasurements:
    """Collected errors of angles: call `add` for each clip, or `observe` in a benchmark, then `scores`."""

    _sums: dict[tuple[str, str], Array] = field(default_factory=dict)

    def add(self, told: Mapping[str, Angle], true: Mapping[str, Angle], points: Array) -> None:
        """Add a clip.

        Args:
            told, true: of the same names (`posemamba.refine.angles.measure_angles`).
            points: (F, N, 3) the true joints in the axes of the camera, from its centre.
        """
        for name, angle in true.items():
            error = angle_difference(told[name].degrees, angle.degrees)
            for where, frames in bins(plain_name(name), angle, points).items():
                kept = error[frames & np.isfinite(error)]
                sums = self._sums.setdefault((plain_name(name), where), np.zeros(3))
                sums += [np.abs(kept).sum(), kept.sum(), len(kept)]

    def observe(self, scene: Scene, variant: str, pred: NDArray[np.floating]) -> None:
        """Add a prediction, (K, F, 17, 3), of the benchmark."""
        for camera, told, true, _ in scene_angles(scene, variant, pred):
            self.add(told, true, scene.camera_xyz[camera])

    def scores(self) -> dict[str, dict[str, AngleScore]]:
        """Return the scores of all that was added (`Scores`)."""
        found: dict[str, dict[str, AngleScore]] = {}
        for (name, where), (absolute, signed, frames) in self._sums.items():
            if frames:
                found.setdefault(name, {})[where] = AngleScore(
                    float(absolute / frames), float(signed / frames), int(frames)
                )
        return found


def scene_angles(
    scene: Scene, variant: str, pred: NDArray[np.floating]
) -> Iterator[tuple[int, dict[str, Angle], dict[str, Angle], Array]]:
    """Yield the camera's index, the told and the true angles, and the told joints (F, 17, 3) before the camera.

    Args:
        scene: one motion seen by K cameras.
        variant: of the input that was lifted; where the person is in the picture is read from it.
        pred: (K, F, 17, 3 or more) normalised predictions.
    """
    given = scene.inputs(variant).astype(np.float64)
    for k, focal in enumerate(scene.focal):
        xyz = pred[k, ..., :3] - pred[k, :, :1, :3]
        points, _ = in_perspective(xyz, given[k, ..., :2], given[k, ..., 2], 2 * float(focal))
        yield k, measure_angles(points, up=scene.up[k]), measure_angles(scene.camera_xyz[k], up=scene.up[k]), points


def angle_difference(told: Array, true: Array) -> Array:
    """Return told less true, (F,) degrees from -180 to 180."""
    return np.asarray((told - true + 180) % 360 - 180)


def bins(name: str, angle: Angle, points: Array) -> dict[str, NDArray[np.bool_]]:
    """Return the frames of each bin, (F,) bool.

    Args:
        name: of the angle, without side.
        angle: the true one.
        points: (F, N, 3) the true joints in the axes of the camera, from its centre.
    """
    view, _ = view_of(angle, points)
    straight = angle.degrees < STRAIGHT if name in _LIMBS else np.zeros(len(view), bool)
    found = {"all": np.ones(len(view), bool)}
    for low, high in VIEWS:
        found[f"{low}-{high}"] = ~straight & (view >= low) & ((view < high) | (high == VIEWS[-1][1]))
    return found | ({STRAIGHT_LIMB: straight} if name in _LIMBS else {})


def angle_table(variants: Mapping[str, Scores]) -> str:
    """Format a Markdown table: a row for each angle and input, a column for each bin, mean absolute error and bias."""
    names = ["all", *(f"{low}-{high}" for low, high in VIEWS), STRAIGHT_LIMB]
    header = ["angle, 2D", *(n if n.isalpha() else f"{n}°" for n in names), "frames"]
    rows = []
    for name in next(iter(variants.values()), {}):
        for variant, scores in variants.items():
            own = scores[name]
            cells = [f"{s.mae_deg:.1f} ({s.bias_deg:+.1f})" if (s := own.get(n)) else "" for n in names]
            rows.append([f"{name.replace('_', ' ')}, {variant}", *cells, f"{own['all'].frames}"])
    return markdown_table(header, rows)
