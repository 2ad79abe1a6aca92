"""Types and helpers shared by the checks: the prepared clip, faults, and the result of a check.

Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from posemamba.poses import NetworkPoses, Poses3D
from posemamba.poses.keypoints import Span
from posemamba.poses.skeletons import H36M17
from posemamba.refine.common import MIN_CONFIDENCE, Array, Mask, fit_size, true_spans
from posemamba.refine.scale import BODY_LENGTH, SIZE_CUTOFF, TYPICAL_HEIGHT

JOINTS = tuple(name.replace("_", " ") for name in H36M17.joints)


@dataclass(frozen=True)
class Fault:
    """A fault of the poses over some frames.

    Attributes:
        check: the check that found it, one of `posemamba.quality.CHECKS`.
        part: the part of the body; empty: the whole person.
        first, last: frame numbers, both included.
        start, end: their times in seconds.
        text: a description in plain words, with numbers.
    """

    check: str
    part: str
    first: int
    last: int
    start: float
    end: float
    text: str


@dataclass
class CheckResult:
    """The result of one check.

    Attributes:
        numbers: measurements by name; None where one could not be made.
        faults: the frames that the check marks.
        series: name to (F,) curves for the figure; NaN where unknown.
        remarks: further lines for the reader.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    series: dict[str, Array] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@dataclass
class JudgedClip:
    """One person's poses, prepared for the checks.

    Attributes:
        network: as the network gave them, in the virtual camera's picture.
        motion: the result, made of them.
        times: (F,) seconds.
        usable: (F,) frames with a pose.
        certain: (F, 17) joints that were found with enough confidence in this frame and in its neighbours.
        xyz: (F, 17, 3) relative to the pelvis, in body lengths, in the virtual camera's axes, perspective undone,
            without refinement; NaN where not usable.
        size: (F,) the body's length in pixels of the virtual camera's picture, smooth over time.
        metre: metres of a body length, from the given height or a typical one.
        turned_xy: (F, 17, 2) the detector's joints in the virtual camera's picture, pixels; NaN where not found.
    """

    network: NetworkPoses
    motion: Poses3D
    times: Array
    usable: Mask
    certain: Mask
    xyz: Array
    size: Array
    metre: float
    turned_xy: Array

    @property
    def refined(self) -> Poses3D | None:
        """The motion, if it has any refinement step."""
        return self.motion if self.motion.refined else None

    @property
    def xy(self) -> Array:
        """The detector's joints in the real picture, (F, 17, 2) pixels; NaN where not found."""
        return self.network.keypoints.xy.astype(np.float64)

    def fault(self, check: str, part: str, span: Span, text: str) -> Fault:
        """Make a fault of the frames of a span."""
        first, last = span[0], span[1] - 1
        return Fault(check, part, first, last, float(self.times[first]), float(self.times[last]), text)

    def frames_in(self, seconds: float) -> int:
        """Return the number of frames in that time, rounded, at least 1."""
        return max(1, round(seconds * self.network.fps))


def prepare(motion: Poses3D) -> JudgedClip:
    """Prepare one person's poses for the checks.

    Args:
        motion: a result; without anybody seen, no frame is usable.

    Raises:
        PoseMambaError: the frame times do not rise, or all joints of a frame are in one place.
    """
    poses = motion.network
    turned = poses.seen_xy
    usable = poses.seen & np.isfinite(poses.xyz).all((1, 2))
    found = poses.keypoints.found & (np.nan_to_num(poses.confidence) > MIN_CONFIDENCE)
    around = np.pad(found, ((1, 1), (0, 0)), mode="edge")
    certain = around[:-2] & around[1:-1] & around[2:] & usable[:, None]
    xyz = np.full(poses.xyz.shape, np.nan)
    size = np.full(len(poses), np.nan)
    if usable.any():
        xyz[usable] = _without_perspective(poses, turned)[usable]
        size, _, _ = fit_size(replace(Poses3D.raw(poses), seen=usable), xyz, SIZE_CUTOFF)
        xyz = xyz / size[:, None, None]
    heights = [step.parameters["height_m"] for step in motion.steps if step.name == "scale"]
    metre = BODY_LENGTH * float(heights[-1] if heights else TYPICAL_HEIGHT)
    return JudgedClip(poses, motion, poses.keypoints.frame_times(), usable, certain, xyz, size, metre, turned)


def _without_perspective(poses: NetworkPoses, turned_xy: Array) -> Array:
    """Undo the perspective of the network's poses: move joints to where their depth puts them on their lines of sight.

    The network's x, y are image positions, so bones nearer than the pelvis are too long, and change their length as
    they turn. In pixels at the pelvis's depth the pelvis is one focal length away.

    Returns:
        (F, 17, 3) pixels at the pelvis's depth.
    """
    camera = poses.camera
    xyz = poses.xyz.astype(np.float64)
    aside = np.nan_to_num(frame_median(turned_xy - xyz[..., :2]) - camera.centre)
    depth = np.maximum(xyz[..., 2:], -0.9 * camera.focal)
    xyz[..., :2] += depth / camera.focal * (xyz[..., :2] + aside[:, None])
    return xyz


def frame_median(values: Array) -> Array:
    """Return (F, K) medians over the joints of (F, J, K) without NaN; NaN where nothing is known."""
    known: Mask = np.asarray(np.isfinite(values).all(-1))
    out = np.full((len(values), values.shape[-1]), np.nan)
    any_known = known.any(-1)
    out[any_known] = np.nanmedian(np.where(known[..., None], values, np.nan)[any_known], axis=1)
    return out


def frame_mean(values: Array) -> Array:
    """Return the (F,) means of (F, N) without NaN; NaN where nothing is known."""
    known = np.isfinite(values).sum(1)
    return np.where(known > 0, np.nansum(values, axis=1) / np.maximum(known, 1), np.nan)


def joined(mask: Mask, gap: int) -> Mask:
    """Return the mask with gaps of up to `gap` frames between two True filled."""
    filled = np.array(mask, bool)
    for a, b in true_spans(~filled):
        if a > 0 and b < len(filled) and b - a <= gap:
            filled[a:b] = True
    return filled


def number(value: float) -> float | None:
    """Convert a number for JSON: None in place of NaN."""
    return float(value) if np.isfinite(value) else None


def known_mean(values: Array) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def percentile(values: Array, share: float) -> float:
    """Return a percentile of the values that are not NaN; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, share)) if len(finite) else math.nan
