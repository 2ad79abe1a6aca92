"""The scenes of the mocap benchmark: motions seen by virtual cameras, exactly and with a detector's errors.

Nothing is random: cameras and noise follow closed formulas in the clip's and the camera's number (`benchmark_cameras`,
`noise`). docs/mocap_benchmark.md describes them in full.

Errors are in Human3.6M's convention (`posemamba.data.cameras`): prediction and target are relative to the pelvis, times
each frame's millimetres per unit at the pelvis's depth.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.cameras import Cameras, LookAt, View, assumed_focal, look_at_people, project, see
from posemamba.data.mocap.clips import sample_motion
from posemamba.data.mocap.motions import Motions
from posemamba.evaluate.metrics import mpjpe_per_frame, mpjve_per_frame, p_mpjpe_per_frame
from posemamba.evaluate.mocap.noise import benchmark_detections

CAMERAS = 4
VARIANTS = ("exact", "noisy")

_PITCHES = (0.0, 10.0, 20.0, -10.0, 5.0, 15.0, 30.0)  # degrees, down
_FOCALS = (0.8, 1.0, 1.15, 1.5, 2.0)  # of the picture's longer side
_HEIGHTS = (0.35, 0.5, 0.65, 0.8)  # of an upright person in the picture's shorter side, where that fits
_ASPECTS = (0.5625, 1.0, 1.7778)  # height / width
_ROLLS = (0.0, 2.0, -3.0)  # degrees
_OFFSETS = ((0.0, 0.0), (0.3, -0.1), (-0.4, 0.2), (0.1, 0.3))  # of the picture's half
_ASIDE_FOCALS = (0.45, 0.6, 0.8, 1.2)  # 96 to 45 degrees
_ASIDE_ROLLS = (-25.0, 10.0, 0.0, 20.0, -10.0)
_ASIDE_OFFSETS = ((0.7, 0.0), (-0.6, 0.5), (0.5, -0.6), (-0.75, -0.2))


def benchmark_cameras(clip: int, cameras: int = CAMERAS) -> Cameras:
    """Return the cameras of clip number `clip` (i); camera k looks

    - in the direction of azimuth 90 k + 37 i degrees,
    - _PITCHES[(i + 2 k) mod 7] degrees down, rolled by _ROLLS[(i + k) mod 3] degrees,
    - with the focal length _FOCALS[(2 i + 3 k) mod 5] of the longer side and the aspect
      _ASPECTS[(i + 2 k) mod 3],
    - from where 1.7 m fill _HEIGHTS[(i + 3 k) mod 4] of the shorter side, or farther, so far that every joint
      stays in the picture (`cameras.fit_distance`); the middle of the path at _OFFSETS[(3 i + k) mod 4].
    """
    i, k = clip, np.arange(cameras)

    def cycle(values: tuple, index: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array(values)[index % len(values)]

    aspect = cycle(_ASPECTS, i + 2 * k)
    focal = cycle(_FOCALS, 2 * i + 3 * k) * np.maximum(1, aspect)
    height = cycle(_HEIGHTS, i + 3 * k) * np.minimum(1, aspect)
    fields = {
        "azimuth": np.deg2rad((90 * k + 37 * i) % 360),
        "pitch": np.deg2rad(cycle(_PITCHES, i + 2 * k)),
        "roll": np.deg2rad(cycle(_ROLLS, i + k)),
        "focal": focal,
        "aspect": aspect,
        "distance": focal * 1.7 / height,
        "offset": cycle(_OFFSETS, 3 * i + k),
        "follow": np.zeros(cameras),
        "overflow": np.ones(cameras),
    }
    return Cameras(**{name: torch.from_numpy(np.asarray(v, np.float64)) for name, v in fields.items()})


def cameras_aside(clip: int, cameras: Cameras) -> Cameras:
    """Return cameras of clip number `clip` (i) that see the person off the axis, askew, through wide and longer lenses.

    Azimuth, pitch, aspect and size of the person are those of the given cameras; camera k has the focal length
    _ASIDE_FOCALS[(i + k) mod 4] of the longer side, the roll _ASIDE_ROLLS[(2 i + k) mod 5] degrees, and the middle of
    the path at _ASIDE_OFFSETS[(i + 3 k) mod 4].
    """
    k = np.arange(len(cameras.focal))
    longer = cameras.aspect.clamp_min(1)
    focal = torch.from_numpy(np.array(_ASIDE_FOCALS)[(clip + k) % 4]) * longer
    return replace(
        cameras,
        focal=focal,
        roll=torch.from_numpy(np.deg2rad(np.array(_ASIDE_ROLLS)[(2 * clip + k) % 5])),
        distance=cameras.distance * focal / cameras.focal,
        offset=torch.from_numpy(np.array(_ASIDE_OFFSETS)[(clip + 3 * k) % 4]),
    )


@dataclass(frozen=True)
class Scene:
    """One motion seen by K cameras.

    Attributes:
        clip: its number among the test clips.
        name, description, subject: of the motion.
        cameras: (K,) numbers of the cameras.
        pitches: (K,) the cameras' pitches, degrees down.
        exact, noisy: (K, F, J, 2) normalised 2D joints.
        confidence: (K, F, J) of the noisy joints, 0 where one was lost; that of the exact ones is 1.
        target: (K, F, J, 3) normalised, relative to joint 0.
        mm_per_unit: (K, F).
        camera_xyz: (K, F, J, 3) the true joints, metres in the axes of the camera of the joints.
        up: (K, F, 3) the vertical in these axes, upwards.
        focal: (K,) focal length in image widths, as whoever lifts knows or guesses it.
    """

    clip: int
    name: str
    description: str
    subject: str
    cameras: tuple[int, ...]
    pitches: tuple[float, ...]
    exact: NDArray[np.float32]
    noisy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    target: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]
    camera_xyz: NDArray[np.float64]
    up: NDArray[np.float64]
    focal: NDArray[np.float64]

    def inputs(self, variant: str) -> NDArray[np.float32]:
        """Return a predictor's input, (K, F, J, 3): the ``exact`` or ``noisy`` joints, and their confidence."""
        xy = {"exact": self.exact, "noisy": self.noisy}[variant]
        confidence = np.ones_like(self.confidence) if variant == "exact" else self.confidence
        return np.concatenate([xy, confidence[..., None]], -1)

    def part(self, start: int, frames: int) -> Scene:
        """Return so many of the scene's frames from `start` on."""
        over_time = ("exact", "noisy", "confidence", "target", "mm_per_unit", "camera_xyz", "up")
        return replace(self, **{name: getattr(self, name)[:, start : start + frames] for name in over_time})

    def millimetres(self, pred: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert a prediction and the target, (K, F, J, 3) each, to millimetres relative to the pelvis."""
        scale = self.mm_per_unit[:, :, None, None].astype(np.float64)
        return (pred - pred[:, :, :1]) * scale, self.target * scale

    def errors(self, pred: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Score (K, F, J, 3) normalised predictions: P1, P2 (K, F) and MPJVE (K, F - 1), millimetres."""
        p, t = self.millimetres(pred)
        return {"p1": mpjpe_per_frame(p, t), "p2": p_mpjpe_per_frame(p, t), "mpjve": mpjve_per_frame(p, t)}


def make_scene(
    motions: Motions,
    clip: int,
    cameras: tuple[int, ...] = tuple(range(CAMERAS)),
    *,
    number: int | None = None,
    fps: float | None = None,
    change: Callable[[Cameras], Cameras] | None = None,
    body: Callable[[Tensor], Tensor] | None = None,
    look: bool = False,
) -> Scene:
    """Make the scene of a clip, seen by the benchmark's cameras.

    Args:
        motions: the clips.
        clip: the clip's number.
        cameras: the cameras' numbers.
        number: the clip's number for its cameras and noise; None: `clip`.
        fps: frames per second of the cameras; None: the motion's. The detector's errors are the same for each frame
            number, at any frame rate.
        change: makes other cameras from the benchmark's.
        body: makes another body from the motion's (K, F, J, 3), metres in the world.
        look: turn joints and target as by a virtual camera that looks at the noisy joints, with a guessed focal length,
            as lifting does (`posemamba.poses.virtual_camera`).
    """
    number = clip if number is None else number
    positions = torch.from_numpy(motions.clip(clip)).double().expand(max(cameras) + 1, -1, -1, -1)
    placed = benchmark_cameras(number, max(cameras) + 1)
    placed = placed if change is None else change(placed)
    positions = positions if body is None else body(positions)
    view = see(positions, placed)
    if fps is not None and fps != motions.fps:
        view = project(_resampled(view.camera_xyz, fps / motions.fps), placed.focal)
    chosen = list(cameras)
    exact = view.xy.numpy()[chosen]
    detected = [benchmark_detections(xy, number, k) for xy, k in zip(exact, cameras, strict=True)]
    noisy, confidence = (np.stack(values) for values in zip(*detected, strict=True))
    target, mm_per_unit = view.target.numpy()[chosen], view.mm_per_unit.numpy()[chosen]
    camera_xyz, focal = view.camera_xyz.numpy()[chosen], placed.focal.numpy()[chosen]
    start = positions.numpy()[chosen, 0], camera_xyz[:, 0]
    vertical = _rotations(*(p - p[:, :1] for p in start))[..., 2]
    up = np.repeat(vertical[:, None], camera_xyz.shape[1], 1)
    if look:
        all_of = torch.ones(len(chosen), dtype=torch.bool)
        here, cameras_here = _taken(view, chosen), _taken(placed, chosen)
        turned, found = look_at_people(
            here,
            torch.from_numpy(noisy).double(),
            torch.from_numpy(confidence).double(),
            cameras_here,
            LookAt(turned=all_of, guessed=all_of, levelled=~all_of, seconds=all_of / (fps or motions.fps)),
        )
        exact, noisy = turned.xy.numpy(), found.numpy()
        target, mm_per_unit = turned.target.numpy(), turned.mm_per_unit.numpy()
        up = (_rotations(camera_xyz, turned.camera_xyz.numpy()) @ up[..., None])[..., 0]
        camera_xyz, focal = turned.camera_xyz.numpy(), assumed_focal(cameras_here, guessed=all_of).numpy()
    return Scene(
        clip,
        motions.names[clip],
        motions.descriptions[clip],
        motions.subjects[clip],
        cameras,
        tuple(round(math.degrees(float(placed.pitch[k])), 6) for k in cameras),
        exact.astype(np.float32),
        noisy.astype(np.float32),
        confidence.astype(np.float32),
        target.astype(np.float32),
        mm_per_unit.astype(np.float32),
        camera_xyz,
        up,
        focal,
    )


def _rotations(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations about the origin from points (..., J, 3) to points, (..., 3, 3) before a column."""
    u, _, vh = np.linalg.svd(np.swapaxes(after, -1, -2) @ before)
    vh[..., -1, :] *= np.sign(np.linalg.det(u @ vh))[..., None]  # a body in a plane does not say on which side it is
    return np.asarray(u @ vh)


Group = TypeVar("Group", View, Cameras)


def _taken(group: Group, chosen: list[int]) -> Group:
    """Take the cameras of the given indices."""
    return type(group)(**{field.name: getattr(group, field.name)[chosen] for field in fields(group)})


def _resampled(positions: Tensor, rate: float) -> Tensor:
    """Resample (K, F, J, 3) to `rate` frames for each frame, from the first on."""
    views, frames = positions.shape[:2]
    time = torch.arange(math.floor((frames - 1) * rate + 1e-9) + 1, dtype=torch.float64) / rate
    first = torch.arange(views) * frames
    return sample_motion(positions.flatten(0, 1), first[:, None] + time, first, first + frames - 1)


def scenes(motions: Motions, *, quick: bool = False, aside: bool = False, look: bool = False) -> Iterator[Scene]:
    """Yield the scenes of all clips with all cameras.

    Args:
        motions: the clips.
        quick: clip i with camera i mod 4 only.
        aside: by `cameras_aside`.
        look: through a virtual camera that looks at the person (`make_scene`).
    """
    for i in range(len(motions)):
        cameras = (i % CAMERAS,) if quick else tuple(range(CAMERAS))
        yield make_scene(motions, i, cameras, change=partial(cameras_aside, i) if aside else None, look=look)
