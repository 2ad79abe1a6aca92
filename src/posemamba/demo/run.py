"""The demo: a synthetic walker is filmed, detected with noise, lifted, and compared with the truth.

It reads no file but the weights, and needs only the base installation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.demo.camera import look_at, project
from posemamba.demo.walker import noisy, walk
from posemamba.evaluate.metrics import mpjpe_per_frame, p_mpjpe_per_frame
from posemamba.lifting.lifter import Lifter
from posemamba.models.inputs import fill_missing
from posemamba.poses import Keypoints2D, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens
from posemamba.refine.metres import to_metres
from posemamba.utils.progress import Progress

FPS = 50.0
IMAGE_SIZE = (1280, 720)
FOCAL = 0.9 * IMAGE_SIZE[0]  # pixels; a phone's main camera, roughly
HEIGHT = 1.72  # metres, of the walker
CAMERA = look_at((5.5, -2.5, 1.5), (0.0, 0.0, 0.95))


@dataclass(frozen=True)
class Score:
    """The errors in millimetres, means over frames.

    Attributes:
        p1: MPJPE (P1), the mean distance of the joints.
        p2: PA-MPJPE (P2), the same after each frame is aligned by rotation, translation and scale.
    """

    p1: float
    p2: float


@dataclass(frozen=True)
class Filmed:
    """A filmed walk: the detected joints and the truth.

    Attributes:
        keypoints: noisy, with a few joints lost; Human3.6M's joints, pixels.
        truth: (F, 17, 3) millimetres, relative to the pelvis, in the camera's axes.
        mm_per_pixel: (F,) at the pelvis's depth.
    """

    keypoints: Keypoints2D
    truth: NDArray[np.float64]
    mm_per_pixel: NDArray[np.float64]

    def score(self, xyz: NDArray[np.floating]) -> Score:
        """Score (F, 17, 3) metres in the camera's axes; NaN frames are left out."""
        seen = np.isfinite(xyz).all((1, 2))
        pred = 1000 * (xyz - xyz[:, :1])[seen].astype(np.float64)
        truth = self.truth[seen]
        return Score(float(mpjpe_per_frame(pred, truth, root=0).mean()), float(p_mpjpe_per_frame(pred, truth).mean()))

    @property
    def flat(self) -> NDArray[np.float32]:
        """The keypoints at the pelvis's depth, (F, 17, 3) metres: a baseline that any lifter must beat."""
        xy = fill_missing(self.keypoints.xy)
        flat = np.concatenate([xy - xy[:, :1], np.zeros_like(xy[..., :1])], -1)
        return (flat * self.mm_per_pixel[:, None, None] / 1000).astype(np.float32)


def film(frames: int = 400, seed: int = 0) -> Filmed:
    """Film a person who walks in a circle, 4 to 8 m from the camera, at 50 frames a second.

    Args:
        frames: the number of frames F.
        seed: of the gait and of the detector's errors.
    """
    exact, points = project(walk(frames, FPS, seed=seed), CAMERA, IMAGE_SIZE, FOCAL)
    clean = Keypoints2D(
        exact, np.ones((frames, len(H36M17)), np.float32), H36M17, IMAGE_SIZE, FPS, source="made-up walker"
    )
    root_depth = points[:, 0, 2].astype(np.float64)
    mm_per_pixel = 1000 * root_depth / FOCAL
    truth = 1000 * (points - points[:, :1]).astype(np.float64)
    return Filmed(noisy(clean, seed=seed), truth, mm_per_pixel)


@dataclass(frozen=True)
class DemoResult:
    """The result of the demo.

    Attributes:
        poses: lifted from the noisy keypoints.
        score: the score of `poses`.
        flat_score: the score of the keypoints at depth zero.
    """

    poses: Poses3D
    score: Score
    flat_score: Score


def run_demo(lifter: Lifter, *, frames: int = 400, seed: int = 0, progress: Progress | None = None) -> DemoResult:
    """Film, lift and score.

    Args:
        lifter: with any weights.
        frames, seed: see `film`.
        progress: called with the frames lifted and the frames in total.
    """
    filmed = film(frames, seed)
    network = lifter(filmed.keypoints, lens=Lens(FOCAL, "given"), progress=progress)
    poses = to_metres(network, HEIGHT)
    return DemoResult(poses, filmed.score(poses.xyz), filmed.score(filmed.flat))
