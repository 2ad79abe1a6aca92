"""What the checks share: a clip prepared for them, stretches of frames, and what a check finds.

Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from posemamba.poses import Motion3D, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.refine.common import SURE, Array, Mask, fit_size, runs
from posemamba.refine.root_path import GUESSED_FOV
from posemamba.refine.scale import BODY_LENGTH, SIZE_CUTOFF, TYPICAL_HEIGHT

JOINTS = tuple(name.replace("_", " ") for name in H36M17.joints)
LIMBS = {
    "right thigh": (1, 2),
    "right shin": (2, 3),
    "left thigh": (4, 5),
    "left shin": (5, 6),
    "left upper arm": (11, 12),
    "left forearm": (12, 13),
    "right upper arm": (14, 15),
    "right forearm": (15, 16),
}
LEGS, ARMS = ((4, 1), (5, 2), (6, 3)), ((11, 14), (12, 15), (13, 16))
"""Pairs of left and right joints."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong in some frames.

    Attributes:
        check: which check found it, one of `posemamba.quality.CHECKS`.
        part: of the body; empty: the person.
        first, last: frame numbers, both included.
        start, end: their times in seconds.
        text: what, in plain words with numbers.
    """

    check: str
    part: str
    first: int
    last: int
    start: float
    end: float
    text: str


@dataclass
class Found:
    """Of one check.

    Attributes:
        numbers: by name; None where it could not be measured.
        faults: frames that it marks.
        series: name to (F,) for the picture; NaN where nothing is known.
        remarks: lines for the reader that no number says.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    series: dict[str, Array] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@dataclass
class Clip:
    """One person's result, prepared.

    Attributes:
        poses: as the model gave them.
        motion: refined; None: there is none.
        times: (F,) seconds.
        usable: (F,) frames with a pose.
        sure: (F, 17) the detector is sure of the joint here and in the frames beside, and nothing was filled in.
        xyz: (F, 17, 3) from the pelvis in body lengths, camera's frame, perspective undone; NaN where not usable.
        size: (F,) the body's length in pixels, smooth over time.
        metre: metres of a body length, by the height given or a typical one.
    """

    poses: Poses3D
    motion: Motion3D | None
    times: Array
    usable: Mask
    sure: Mask
    xyz: Array
    size: Array
    metre: float

    @property
    def refined(self) -> Motion3D | None:
        """The motion, if anything was done to the poses."""
        return self.motion if self.motion is not None and self.motion.steps else None

    @property
    def xy(self) -> Array:
        """(F, 17, 2) the detector's joints, pixels; NaN where not found."""
        return self.poses.keypoints.xy.astype(np.float64)

    def fault(self, check: str, part: str, first: int, last: int, text: str) -> Fault:
        return Fault(check, part, int(first), int(last), float(self.times[first]), float(self.times[last]), text)

    def frames_in(self, seconds: float) -> int:
        """How many steps from frame to frame make that time; at least 1."""
        return max(1, round(seconds * self.poses.fps))


def prepare(poses: Poses3D, motion: Motion3D | None = None) -> Clip:
    """Prepare a clip; one in which nobody was seen has no usable frame.

    Raises:
        PoseMambaError: frame times that do not rise, or a pose without size.
    """
    usable = poses.seen & np.isfinite(poses.xyz).all((1, 2))
    found = poses.keypoints.found & (np.nan_to_num(poses.confidence) > SURE)
    around = np.pad(found, ((1, 1), (0, 0)), mode="edge")
    sure = around[:-2] & around[1:-1] & around[2:] & usable[:, None]
    xyz = np.full(poses.xyz.shape, np.nan)
    size = np.full(len(poses), np.nan)
    if usable.any():
        xyz[usable] = _without_perspective(poses, motion)[usable]
        size, _, _ = fit_size(replace(Motion3D.raw(poses), seen=usable), xyz, SIZE_CUTOFF)
        xyz = xyz / size[:, None, None]
    heights = [step.parameters["height_m"] for step in motion.steps if step.name == "scale"] if motion else []
    metre = BODY_LENGTH * float(heights[-1] if heights else TYPICAL_HEIGHT)
    return Clip(poses, motion, poses.keypoints.frame_times(), usable, sure, xyz, size, metre)


def _without_perspective(poses: Poses3D, motion: Motion3D | None) -> Array:
    """(F, 17, 3) pixels: joints moved to where their depth puts them on their line of sight.

    The lifted x, y are places in the picture: what is nearer than the pelvis is too large, so its bones would change
    their length as they turn. In pixels at the pelvis's depth the pelvis is one focal length away.
    """
    width, height = poses.keypoints.image_size
    focal = max(width, height) / 2 / math.tan(math.radians(GUESSED_FOV) / 2)
    for step in motion.steps if motion else ():
        if step.name == "root_path":
            focal = float(step.parameters["focal_px"])
    xyz = poses.xyz.astype(np.float64)
    xy = poses.keypoints.xy.astype(np.float64)
    aside = np.nan_to_num(frame_median(xy - xyz[..., :2]) - [width / 2, height / 2])
    depth = np.maximum(xyz[..., 2:], -0.9 * focal)
    xyz[..., :2] += depth / focal * (xyz[..., :2] + aside[:, None])
    return xyz


def frame_median(values: Array) -> Array:
    """(F, K) medians over the joints of (F, J, K), NaN left out; NaN where there is nothing else."""
    known: Mask = np.asarray(np.isfinite(values).all(-1))
    out = np.full((len(values), values.shape[-1]), np.nan)
    any_known = known.any(-1)
    out[any_known] = np.nanmedian(np.where(known[..., None], values, np.nan)[any_known], axis=1)
    return out


def frame_mean(values: Array) -> Array:
    """(F, N) to (F,): the mean of what is not NaN; NaN where nothing is."""
    known = np.isfinite(values).sum(1)
    return np.where(known > 0, np.nansum(values, axis=1) / np.maximum(known, 1), np.nan)


def joined(mask: Mask, gap: int) -> Mask:
    """The mask, with gaps of up to `gap` frames between two True filled."""
    filled = np.array(mask, bool)
    for a, b in runs(~filled):
        if a > 0 and b < len(filled) - 1 and b - a < gap:
            filled[a : b + 1] = True
    return filled


def number(value: float) -> float | None:
    """For JSON: None in place of NaN."""
    return float(value) if np.isfinite(value) else None


def percentile(values: Array, share: float) -> float:
    """NaN of nothing."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, share)) if len(finite) else math.nan
