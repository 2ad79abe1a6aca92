"""How a body stands in the picture over a clip: upright, on its head, or on its side.

Shapes: F frames.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.keypoints import Keypoints2D

MOST = 0.6
"""Share of a clip's frames from which on its posture is worth a word: cartwheels and push-ups are less."""
_STEEP = np.cos(np.radians(60))  # a body within 60 degrees of straight down stands on its head
_FLAT = np.cos(np.radians(30))  # a body within 30 degrees of level lies
_HEAD = ("nose", "head", "head_top", "left_eye", "right_eye", "left_ear", "right_ear")


@dataclass(frozen=True)
class Posture:
    """Shares of the frames in which a body's direction shows.

    Attributes:
        head_down: of those in which it stands on its head.
        on_side: of those in which it lies across the picture.
    """

    head_down: float
    on_side: float

    @property
    def remark(self) -> str:
        """A line for the user if the posture is odd for most of the clip; else ""."""
        if self.head_down > MOST:
            return (
                f"the body stands on its head in {self.head_down:.0%} of the frames: if it was not filmed so, y counts "
                "upwards (expected: y down from the top left corner), or the picture is upside down"
            )
        if self.on_side > MOST:
            return (
                f"the body lies across the picture in {self.on_side:.0%} of the frames: if it was not filmed so, x and "
                "y are exchanged, or the picture is turned"
            )
        return ""


def posture(keypoints: Keypoints2D) -> Posture:
    """Tell how a body stands in the picture, by the order of head, shoulders, hips and legs.

    It stands on its head where each of these lies above the one before, and lies across where each lies farther to one
    side. Legs are the ankles, or else the knees. Where the head or the legs were not found the others count; without
    shoulders or hips nothing shows.
    """
    shoulders, hips = (
        _middle(keypoints, ("left_shoulder", "right_shoulder")),
        _middle(keypoints, ("left_hip", "right_hip")),
    )
    head, legs = _middle(keypoints, _HEAD), _middle(keypoints, ("left_ankle", "right_ankle"))
    for other in (_middle(keypoints, ("left_knee", "right_knee")), hips + 0.1 * (hips - shoulders)):
        legs = np.where(np.isfinite(legs), legs, other)
    head = np.where(np.isfinite(head), head, shoulders + 0.1 * (shoulders - hips))
    steps = np.diff(np.stack([head, shoulders, hips, legs]), axis=0)
    known = np.isfinite(steps).all((0, 2))
    if not known.any():
        return Posture(0.0, 0.0)
    steps = steps[:, known]
    whole = steps.sum(0)
    x, y = (whole / np.maximum(np.linalg.norm(whole, axis=-1, keepdims=True), 1e-9)).T
    head_down = (steps[..., 1] < 0).all(0) & (-y > _STEEP)
    on_side = ((steps[..., 0] > 0).all(0) | (steps[..., 0] < 0).all(0)) & (np.abs(x) > _FLAT)
    return Posture(float(head_down.mean()), float(on_side.mean()))


def _middle(keypoints: Keypoints2D, names: Collection[str]) -> NDArray[np.float64]:
    """Return the middle of those of some joints that were found, (F, 2); NaN without any."""
    chosen = [j for j, name in enumerate(keypoints.skeleton.joints) if name in names]
    found = keypoints.found[:, chosen]
    count = found.sum(-1, keepdims=True)
    total = np.where(found[..., None], keypoints.xy[:, chosen], 0).astype(np.float64).sum(1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
