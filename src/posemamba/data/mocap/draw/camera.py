"""Drawn cameras of training clips: where they stand, how they are held, and what their pictures show of the body.

Shapes: B clips.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.cameras import Cameras, LookAt
from posemamba.data.mocap.draw.sampler import Array, Sampler, tensor
from posemamba.data.mocap.options import CameraOptions

_UPRIGHT_METRES = 1.7
_ROLL = 20.0  # degrees, standard deviation of the roll of cameras that are held askew


def draw_cameras(s: Sampler, o: CameraOptions) -> tuple[Cameras, NDArray[np.bool_]]:
    """Draw cameras but for what `place` draws, and which have an extreme pitch."""
    extreme = s.chance(o.extreme_share)
    pitch = np.where(s.chance(0.7), s.normal(8, 9), s.uniform(-35, 35)).clip(-35, 35)
    pitch = np.where(extreme, s.uniform(*o.extreme_pitch), pitch)
    roll = np.where(extreme, s.uniform(-100, 100), s.normal(0, 3).clip(-10, 10))
    aspect = s.choice(np.array(o.aspects))
    focal = s.log_uniform(*o.focal) * np.maximum(1, aspect)
    height = s.log_uniform(*o.person_height) * np.minimum(1, aspect)
    overflow = np.where(s.chance(0.5), 1.0, s.uniform(1.0, 1.25))
    zero = torch.zeros(s.size, dtype=torch.float64)
    camera = Cameras(
        azimuth=zero,
        pitch=tensor(np.deg2rad(pitch)),
        roll=tensor(np.deg2rad(roll)),
        focal=tensor(focal),
        aspect=tensor(aspect),
        distance=tensor(focal * _UPRIGHT_METRES / height),
        offset=zero,
        follow=zero,
        overflow=tensor(overflow),
    )
    return camera, extreme


def crop(s: Sampler, o: CameraOptions, camera: Cameras, noisy: Array) -> Tensor:
    """Let some cameras see a part of the body only; return how far from the middle joints are detected."""
    cropped = s.chance(o.crop_share) & noisy
    camera.overflow = tensor(np.where(cropped, s.uniform(1.25, 2.0), camera.overflow.numpy()))
    ends_at_the_edge = cropped | s.chance(0.5) & noisy
    picture = np.stack([np.ones(s.size), camera.aspect.numpy()], 1)
    return tensor(np.where(ends_at_the_edge[:, None], picture, 1e3))


def place(s: Sampler, o: CameraOptions, camera: Cameras) -> None:
    """Draw from where cameras look, where in the picture the person is, and whether cameras follow."""
    camera.azimuth = tensor(s.uniform(0, 2 * np.pi))
    camera.offset = tensor(s.uniform(-o.offset, o.offset, 2))
    camera.follow = tensor(np.where(s.chance(o.follow_share), s.uniform(0.4, 1.0), 0.0))


def hold_level(s: Sampler, o: CameraOptions, camera: Cameras, extreme: Array) -> None:
    """Hold some of the cameras with an extreme pitch without roll."""
    level = s.chance(o.level_share) & extreme
    roll = np.deg2rad(s.normal(0, 3).clip(-10, 10))
    camera.roll = tensor(np.where(level, roll, camera.roll.numpy()))


def hold_askew(s: Sampler, o: CameraOptions, camera: Cameras, extreme: Array) -> None:
    """Hold some cameras askew."""
    askew = s.chance(o.roll_share) & ~extreme
    roll = np.deg2rad(s.normal(0, _ROLL).clip(-60, 60))
    camera.roll = tensor(np.where(askew, roll, camera.roll.numpy()))


def look_at(s: Sampler, o: CameraOptions, seconds: Tensor) -> LookAt:
    """Draw which clips are turned as by a camera that looks at the person; `seconds` (B,) are those of a frame."""
    shares = o.look_at_share, o.guessed_focal_share, o.levelled_share
    turned, guessed, levelled = (tensor(s.chance(x)) for x in shares)
    return LookAt(turned, guessed, levelled, seconds=seconds)
