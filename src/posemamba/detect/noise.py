"""How wrong a 2D detector is, and in which way: ``python -m posemamba.detect.noise VIDEO [--out DIR]``.

Three ways to see errors, each of which sees a part of them:

- **repeats**: every frame of a video is given to the detector several times, slightly changed (mirrored, shifted,
  turned by 3 degrees, smaller, darker, compressed). What the answers differ by is error, of any tempo; what all of them
  have in common is not seen. Needs pixels.
- **truth**: keypoints against others that are taken for true (`--truth FILE`): annotated, or projected from several
  cameras. Sees everything but what the truth itself has wrong.
- **alone**: keypoints over time; only what trembles faster than a body can (third differences). Needs nothing else.

All sizes are in units of `posemamba.data.cameras.person_size` (a person who stands upright is 3.3 of them tall), root
mean squares of one coordinate, on Human3.6M's 17 joints. Tempi are those of `posemamba.data.augment.detect_badly`.

Shapes: R repeats, F frames, J = 17 joints, N pairs of numbers.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import expit, logit
from scipy.stats import spearmanr

from posemamba.data.augment import DIFFICULTY, DetectorErrors, detect_badly
from posemamba.data.missing import fill_missing
from posemamba.detect import MODES, Detector, Mode, choose_people, detect_people
from posemamba.errors import PoseMambaError, require
from posemamba.files import atomic_path
from posemamba.poses import Keypoints2D
from posemamba.skeleton import H36M17, Skeleton, to_h36m17
from posemamba.tracking import Detection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.floating]

TEMPI = (12, 4)
"""Frames over which the slow and the quick part of `detect_badly`'s jitter change."""
GROSS = 0.3
"""Errors beyond this, a tenth of a standing person's height, are counted and not averaged."""
LOW = 0.5
"""Confidence below which a joint counts as lost."""
TYPICAL_JITTER = 0.024
"""Of made-up clips: the middle of the range 0.008 to 0.07, in logarithms; bias 0.65 of it."""
TYPICAL_TEMPI = (0.72, 0.5, 0.43)
TYPICAL_CONFIDENCE = {"sure": 3.75, "doubt": 9.5, "mood": 0.9, "temper": 1.1}
"""Of made-up clips: the middle of the ranges."""
_LAGS = 40
_ELSEWHERE = 0.5  # answers farther than this from the plain one, in the median of the joints, are of somebody else
_SWAP_GAIN = 0.1  # left and right exchanged if a limb's joints then lie nearer by this, on average
_LIMBS = {"legs": ((1, 4), (2, 5), (3, 6)), "arms": ((11, 14), (12, 15), (13, 16))}
_TOGETHER = {
    "hip, knee": ((1, 2), (4, 5)),
    "knee, ankle": ((2, 3), (5, 6)),
    "shoulder, elbow": ((11, 12), (14, 15)),
    "elbow, wrist": ((12, 13), (15, 16)),
    "left and right ankle": ((3, 6),),
    "left and right wrist": ((13, 16),),
    "wrist, ankle of a side": ((13, 6), (16, 3)),
}
_BONES = {  # name: the ends of the left and of the right one, in the order of augment.BONE_GROUPS
    "hips": ((0, 1), (0, 4)),
    "thighs": ((1, 2), (4, 5)),
    "shins": ((2, 3), (5, 6)),
    "trunk": ((0, 7), (7, 8)),  # added up, not averaged
    "neck": ((8, 9),),
    "head": ((9, 10),),
    "shoulders": ((8, 11), (8, 14)),
    "upper_arms": ((11, 12), (14, 15)),
    "forearms": ((12, 13), (15, 16)),
}


# ---------------------------------------------------------------------------------------------------------- tempi


@dataclass(frozen=True)
class Tempi:
    """How an error's variance divides; shares that add up to 1.

    Attributes:
        constant: stays over the clip. NaN where it cannot be seen (keypoints alone).
        slow, quick: changes over about 12 and 4 frames. Slow is NaN where it cannot be seen.
        white: new in every frame.
    """

    constant: float
    slow: float
    quick: float
    white: float

    def of_jitter(self) -> tuple[float, float, float]:
        """Weights of slow, quick and white noise whose squares add up to 1, without the constant part."""
        parts = np.array([self.slow, self.quick, self.white])
        total = np.nansum(parts)
        slow, quick, white = np.sqrt(parts / total) if total > 0 else parts
        return float(slow), float(quick), float(white)


def _tempo(every: int, lags: int) -> Array:
    """(lags,) autocovariance of unit values joined by lines, one in `every` frames: a cubic B-spline."""
    x = np.arange(lags) / every
    inner, outer = 2 / 3 - x**2 + x**3 / 2, (2 - x) ** 3 / 6
    spline: Array = np.where(x < 1, inner, np.where(x < 2, outer, 0.0))
    return spline / spline[0]


def _products(series: Array, lags: int) -> Array:
    """(lags, J) mean product of each joint with itself some frames later; series (R, F, J, 2), NaN where unknown."""
    found = np.isfinite(series)
    x = np.where(found, series, 0.0)
    frames = series.shape[1]
    rows = []
    for lag in range(min(lags, frames - 1)):
        total = (x[:, lag:] * x[:, : frames - lag]).sum((0, 1, 3))
        count = (found[:, lag:] & found[:, : frames - lag]).sum((0, 1, 3))
        rows.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return np.array(rows)


def autocorrelation(residual: Array, lags: int = _LAGS) -> Array:
    """(lags,) mean over joints of the autocorrelation of errors (R, F, J, 2), their constant part included."""
    products = _products(residual, lags)
    used = products[0] > 0
    return np.asarray(np.nanmean(products[:, used] / products[0, used], axis=1))


def fit_tempi(residual: Array) -> Tempi:
    """Divide errors (R, F, J, 2) by tempo: least squares on their autocorrelation, shares not negative."""
    measured = autocorrelation(residual)
    lags = len(measured)
    white = np.eye(1, lags)[0]
    shapes = np.stack([np.ones(lags), _tempo(TEMPI[0], lags), _tempo(TEMPI[1], lags), white], 1)
    # lag 0 is the sum of all parts and its equation must hold; later lags come from fewer frames
    weight = np.r_[10.0, np.linspace(1, 0.3, lags - 1)]
    shares, _ = nnls(shapes * weight[:, None], measured * weight)
    return Tempi(*(float(s) for s in shares / max(shares.sum(), 1e-12)))


def fast_part(xy: Array) -> tuple[Array, Tempi]:
    """What trembles too fast to be motion: third differences of places over time, of neighbouring and of every second
    frame.

    Of a movement of 1 Hz at 30 frames a second they keep 1 and 7 % of the height, of white noise 4.5 times its size.

    Args:
        xy: (F, J, 2) in units of the person's size, NaN where not found.

    Returns:
        (J,) size of quick and white jitter together, and their shares.
    """
    lags, shapes, measured = 7, [], []
    for stride in (1, 2):
        kernel = np.zeros(3 * stride + 1)
        kernel[::stride] = 1, -3, 3, -1
        bend = np.stack([k * xy[i : len(xy) - 3 * stride + i] for i, k in enumerate(kernel) if k]).sum(0)[None]
        measured.append(_products(np.where(np.abs(bend) > 8 * GROSS, np.nan, bend), lags))
        spread = np.convolve(kernel, kernel[::-1])
        span = lags + len(spread)
        for tempo in (_tempo(TEMPI[1], span), np.eye(1, span)[0]):
            both_sides = np.r_[tempo[:0:-1], tempo]
            shapes.append(np.convolve(both_sides, spread, mode="same")[span - 1 : span - 1 + lags])
    table = np.array(shapes).reshape(2, 2, lags).swapaxes(1, 2).reshape(2 * lags, 2)
    products = np.concatenate(measured)
    used = np.isfinite(products).all(0) & (products[0] > 0)
    size = np.full(xy.shape[1], np.nan)
    shares = np.zeros(2)
    for joint in np.flatnonzero(used):
        parts, _ = nnls(table, products[:, joint])
        size[joint] = np.sqrt(parts.sum())
        shares += parts / max(parts.sum(), 1e-12) / used.sum()
    return size, Tempi(np.nan, np.nan, float(shares[0]), float(shares[1]))


# ---------------------------------------------------------------------------------------------------------- repeats


@dataclass(frozen=True)
class Change:
    """A change of a picture that must not change the answer.

    Attributes:
        name: in tables.
        picture: what is shown to the detector instead.
        back: places (J, 2) in that picture to those in the picture before; given its (width, height).
        mirrored: left and right change places.
    """

    name: str
    picture: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    back: Callable[[Array, tuple[int, int]], Array] = lambda xy, size: xy
    mirrored: bool = False


def _shift(right: float, down: float) -> Change:
    """By shares of the longer side; the picture's edge is repeated."""

    def pixels(shape: tuple[int, ...]) -> tuple[int, int]:
        return round(right * max(shape[:2])), round(down * max(shape[:2]))

    def picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        dx, dy = pixels(rgb.shape)
        rows = np.clip(np.arange(rgb.shape[0]) - dy, 0, rgb.shape[0] - 1)
        columns = np.clip(np.arange(rgb.shape[1]) - dx, 0, rgb.shape[1] - 1)
        return np.ascontiguousarray(rgb[rows][:, columns])

    return Change(f"shifted by {right:.1%}, {down:.1%}", picture, lambda xy, size: xy - np.array(pixels(size)))


def _turn(degrees: float) -> Change:
    from PIL import Image

    def picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        turned = Image.fromarray(rgb).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(114, 114, 114))
        return np.asarray(turned)

    def back(xy: Array, size: tuple[int, int]) -> Array:
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        middle = np.array(size) / 2
        return np.asarray((xy - middle) @ np.array([[c, s], [-s, c]]) + middle)

    return Change(f"turned by {degrees:g} degrees", picture, back)


def _smaller(share: float) -> Change:
    from PIL import Image

    def sizes(size: tuple[int, int]) -> tuple[int, int]:
        return round(size[0] * share), round(size[1] * share)

    def picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = rgb.shape[:2]
        return np.asarray(Image.fromarray(rgb).resize(sizes((width, height)), Image.Resampling.BILINEAR))

    return Change(f"scaled by {share:g}", picture, lambda xy, size: xy * np.array(size) / np.array(sizes(size)))


def _compressed(quality: int) -> Change:
    from PIL import Image

    def picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with io.BytesIO() as file:
            Image.fromarray(rgb).save(file, "jpeg", quality=quality)
            return np.asarray(Image.open(file).convert("RGB"))

    return Change(f"JPEG of quality {quality}", picture)


def changes() -> tuple[Change, ...]:
    """The ways in which each frame is shown; the first is as it is."""
    darker = (255 * (np.arange(256) / 255) ** 1.5).astype(np.uint8)
    return (
        Change("as it is", lambda rgb: rgb),
        Change(
            "mirrored",
            lambda rgb: np.ascontiguousarray(rgb[:, ::-1]),
            lambda xy, size: xy * [-1, 1] + [size[0], 0],
            mirrored=True,
        ),
        _shift(0.013, 0.009),
        _turn(3),
        _turn(-3),
        _smaller(0.7),
        Change("darker", lambda rgb: darker[rgb]),
        _compressed(25),
    )


class ChangedDetector:
    """A detector that is shown changed pictures, and whose answers are changed back."""

    def __init__(self, detector: Detector, change: Change) -> None:
        self.detector, self.change = detector, change
        self.skeleton: Skeleton = detector.skeleton
        self.single: bool = getattr(detector, "single", False)

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        """Everybody, in the pixels of the frame as it was."""
        size = rgb.shape[1], rgb.shape[0]
        order = list(self.skeleton.mirrored if self.change.mirrored else range(len(self.skeleton)))
        return [
            Detection(self.change.back(one.xy, size)[order], one.confidence[order], one.id)
            for one in self.detector(self.change.picture(rgb))
        ]

    def close(self) -> None:
        """Nothing: the detector is its owner's."""


@dataclass(frozen=True)
class Repeats:
    """One person as found in each way of showing the frames, Human3.6M's joints.

    Attributes:
        names: (R,) of the changes.
        xy: (R, F, J, 2) pixels, NaN where not found, or where somebody else was.
        confidence: (R, F, J), 0 there.
        image_size, fps: of the video.
        elsewhere: (R,) share of the person's frames in which only somebody else, or nobody, was found.
    """

    names: tuple[str, ...]
    xy: Array
    confidence: Array
    image_size: tuple[int, int]
    fps: float
    elsewhere: tuple[float, ...]


def repeat(
    source: str | Path,
    make: Callable[[], Detector],
    *,
    mode: Mode = "detect",
    person: str = "longest",
    told: Callable[[str], None] = lambda line: None,
) -> Repeats:
    """Detect one person in a video once for each of `changes`.

    Args:
        source: the video.
        make: gives a fresh detector: some remember the frame before.
        mode, person: as in `posemamba.detect`; the person as found in the frames as they are.
        told: called with the name of each change before its turn.
    """
    first: Keypoints2D | None = None
    xy, confidence, elsewhere = [], [], []
    for change in changes():
        told(change.name)
        with closing(make()) as detector, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # jumps to somebody else are sorted out below
            people = detect_people(source, mode=mode, detector=ChangedDetector(detector, change))
        bodies = [to_h36m17(p) for p in people]
        if first is None:
            first = choose_people(bodies, person)[0]
        found, trust = _same_person(first, bodies)
        xy.append(found)
        confidence.append(trust)
        theirs = (first.confidence > 0).any(-1)
        elsewhere.append(1 - np.isfinite(found[theirs]).any((1, 2)).mean())
    assert first is not None
    return Repeats(
        tuple(c.name for c in changes()),
        np.stack(xy),
        np.stack(confidence),
        first.image_size,
        first.fps,
        tuple(float(e) for e in elsewhere),
    )


def _same_person(wanted: Keypoints2D, people: Sequence[Keypoints2D]) -> tuple[Array, Array]:
    """(F, J, 2) and (F, J): in each frame whoever lies nearest to the wanted person, if near enough."""
    size = person_unit(wanted.xy)
    xy = np.full(wanted.xy.shape, np.nan)
    confidence = np.zeros(wanted.confidence.shape)
    best = np.full(len(wanted), _ELSEWHERE * size)
    for one in people:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # frames without anybody
            away = np.nanmedian(np.linalg.norm(one.xy - wanted.xy, axis=-1), axis=1)
        nearer = away < best
        nearer &= (one.confidence > 0).any(-1)  # gaps that were bridged are not answers
        xy[nearer], confidence[nearer], best[nearer] = one.xy[nearer], one.confidence[nearer], away[nearer]
    return xy, confidence


def person_unit(xy: Array) -> float:
    """`posemamba.data.cameras.person_size` over the frames in which all joints of (F, J, 2) were found.

    Raises:
        PoseMambaError: there is no such frame.
    """
    whole = xy[np.isfinite(xy).all((1, 2))]
    if not len(whole):
        raise PoseMambaError("no frame in which all joints were found: sizes cannot be told")
    centred = whole - whole.mean(1, keepdims=True)
    return float(np.sqrt(np.square(centred).sum(-1).mean()))


# ---------------------------------------------------------------------------------------------------------- swaps


@dataclass(frozen=True)
class Swaps:
    """Left and right taken for each other.

    Attributes:
        frames: share of frames.
        stretches: how many, by what was exchanged: legs, arms or both.
        lengths: frames of each stretch.
        breadth: median breadth of the shoulders in those frames, in units of the trunk; NaN without any.
        breadth_all: the same of all frames. Small numbers are views from the side.
    """

    frames: float
    stretches: dict[str, int]
    lengths: tuple[int, ...]
    breadth: float
    breadth_all: float


def exchanged(xy: Array, reference: Array, unit: float) -> dict[str, NDArray[np.bool_]]:
    """For legs and arms (F,): whether left and right exchanged would lie clearly nearer to the reference (F, J, 2)."""
    result = {}
    for limb, pairs in _LIMBS.items():
        left, right = np.array(pairs).T
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # joints not found
            kept, crossed = (
                np.nanmean(np.linalg.norm(xy[:, [*a, *b]] - reference[:, [*left, *right]], axis=-1), axis=1)
                for a, b in ((left, right), (right, left))
            )
        result[limb] = kept - crossed > _SWAP_GAIN * unit
    return result


def exchanged_over_time(xy: Array, unit: float) -> dict[str, NDArray[np.bool_]]:
    """The same without a reference: every limb is given the sides on which its joints move least from frame to frame.

    Which of the two ways is right is not known: the more frequent one is taken for it.
    """
    result = {}
    for limb, pairs in _LIMBS.items():
        left, right = np.array(pairs).T
        state = np.zeros(len(xy), bool)
        last: Array | None = None
        for i in range(len(xy)):
            here, there = xy[i, [*left, *right]], xy[i, [*right, *left]]
            if not np.isfinite(here).all():
                continue
            if last is not None:
                gain = (np.linalg.norm(here - last, axis=-1) - np.linalg.norm(there - last, axis=-1)).mean()
                state[i] = gain > _SWAP_GAIN * unit
            last = there if state[i] else here
        result[limb] = ~state if state.mean() > 0.5 else state
    return result


def count_swaps(what: Sequence[dict[str, NDArray[np.bool_]]], xy: Array) -> Swaps:
    """Count stretches of `exchanged` over repeats; xy (F, J, 2) says from which side the body was seen."""
    counts = {"legs": 0, "arms": 0, "both": 0}
    lengths: list[int] = []
    any_at = []
    for one in what:
        either = one["legs"] | one["arms"]
        any_at.append(either)
        for start, end in stretches(either):
            legs, arms = (bool(one[k][start:end].any()) for k in ("legs", "arms"))
            counts["both" if legs and arms else "legs" if legs else "arms"] += 1
            lengths.append(end - start)
    trunk = np.linalg.norm(xy[:, 8] - xy[:, 0], axis=-1)
    breadth = np.linalg.norm(xy[:, 11] - xy[:, 14], axis=-1) / trunk
    at = np.array(any_at)
    inside = np.concatenate([breadth[row] for row in at]) if len(at) else np.empty(0)
    inside, everywhere = inside[np.isfinite(inside)], breadth[np.isfinite(breadth)]
    return Swaps(
        float(at.mean()),
        counts,
        tuple(lengths),
        float(np.median(inside)) if len(inside) else float("nan"),
        float(np.median(everywhere)) if len(everywhere) else float("nan"),
    )


def stretches(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of each run of True in (F,)."""
    edges = np.flatnonzero(np.diff(np.r_[False, where, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


# ---------------------------------------------------------------------------------------------------------- errors


@dataclass(frozen=True)
class ErrorSizes:
    """Sizes of errors (R, F, J, 2) in units of the person.

    Attributes:
        joints: (J,) of each joint, the constant part included, errors beyond GROSS left out.
        size: of the changing part at a joint of difficulty 1, over all joints.
        constant: of the constant part, likewise.
        difficulty: (J,) size of each joint's error in that of the shoulders and hips.
        tempi: shares.
        mean_distance: mean length of the error, gross ones included: what a report of 2D errors would give.
        gross: (J,) share of errors beyond GROSS.
        tails: length of the error in its root mean square of each joint, at 50, 90, 95 and 99 %. Normal errors: 0.83,
            1.52, 1.73, 2.15.
        swelling: standard deviation of the logarithm of the error's size over time (12 frames), above what normal
            errors would give; 0.5 in `detect_badly`.
    """

    joints: tuple[float, ...]
    size: float
    constant: float
    difficulty: tuple[float, ...]
    tempi: Tempi
    mean_distance: float
    gross: tuple[float, ...]
    tails: tuple[float, ...]
    swelling: float


def measure_errors(residual: Array) -> ErrorSizes:
    """Sizes, tempi and tails of errors (R, F, J, 2), in units of the person's size; NaN where unknown."""
    length = np.linalg.norm(residual, axis=-1)
    known = np.isfinite(length)
    count = np.maximum(known.sum((0, 1)), 1)
    gross = (np.where(known, length, 0) > GROSS).sum((0, 1)) / count
    fine = np.where((length > GROSS)[..., None], np.nan, residual)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # joints that were never found
        joints = np.sqrt(np.nanmean(np.square(fine), axis=(0, 1, 3)))
        tempi = fit_tempi(fine)
        at_one = np.sqrt(np.nanmean(np.square(joints / np.array(DIFFICULTY))))
        relative = np.linalg.norm(fine, axis=-1) / (joints * np.sqrt(2))
        steady = np.nanmean(joints[[1, 4, 11, 14]])
        tails = np.nanpercentile(relative, [50, 90, 95, 99])
        return ErrorSizes(
            joints=tuple(map(float, joints)),
            size=float(at_one * np.sqrt(1 - tempi.constant)),
            constant=float(at_one * np.sqrt(tempi.constant)),
            difficulty=tuple(map(float, joints / steady)),
            tempi=tempi,
            mean_distance=float(np.nanmean(length)),
            gross=tuple(map(float, gross)),
            tails=tuple(map(float, tails)),
            swelling=_swelling(fine),
        )


def _swelling(residual: Array) -> float:
    """How much the size of the trembling changes from stretch to stretch of 12 frames, beyond chance.

    Differences from frame to frame are taken: they are nearly independent of each other, so that the scatter of the
    logarithm of n of them is known (trigamma(n/2)/4).
    """
    from scipy.special import polygamma

    step = np.diff(residual, axis=1)
    frames = step.shape[1] // 12 * 12
    if frames < 24:
        return float("nan")
    parts = step[:, :frames].reshape(len(step), -1, 12, *step.shape[2:])
    energy = np.square(parts).mean((2, 4))  # NaN where one is unknown
    log = np.where(energy > 0, 0.5 * np.log(np.where(energy > 0, energy, 1)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanmean(np.nanvar(log, axis=1))
    independent = 24 / 1.5  # neighbouring differences are correlated
    return float(np.sqrt(max(spread - polygamma(1, independent / 2) / 4, 0)))


def consensus(xy: Array) -> tuple[Array, Array]:
    """What several answers (R, F, J, 2) have in common, and how each differs from it.

    Returns:
        (F, J, 2) the mean of those near the median, NaN where fewer than half were found, and (R, F, J, 2) differences,
        enlarged for the part of each answer in the mean.
    """
    found = np.isfinite(xy).all(-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nobody found
        middle = np.nanmedian(xy, axis=0)
        away = np.linalg.norm(xy - middle, axis=-1)
        near = found & (away <= 3 * np.nanmedian(away, axis=0) + 1e-9)
        count = near.sum(0)
        mean = np.where(near[..., None], xy, 0).sum(0) / np.maximum(count, 1)[..., None]
    mean[np.asarray(found.sum(0)) < max(2, len(xy) / 2)] = np.nan
    grown = np.where(near, np.sqrt(count / np.maximum(count - 1, 1)), 1.0)
    return mean, (xy - mean) * grown[..., None]


# ---------------------------------------------------------------------------------------------------------- confidence


@dataclass(frozen=True)
class ConfidenceFit:
    """confidence = sigmoid(sure - doubt e + mood n), e the error in units of the person, n unit noise.

    Attributes:
        sure, doubt, mood: fitted to the logits (of confidence within 0.001 and 0.999) by least squares.
        mood_of_joints: the part of `mood` that is constant for a joint.
        memory: correlation of the changing part of n from one frame to the next.
        rank: Spearman's correlation of error and confidence, all joints.
        rank_within: the same within each joint, mean.
        bins: for each range of confidence: its upper end, share of joints, median error, 90th percentile.
        above: share of joints above 0.9, and below LOW.
    """

    sure: float
    doubt: float
    mood: float
    mood_of_joints: float
    memory: float
    rank: float
    rank_within: float
    bins: tuple[tuple[float, float, float, float], ...]
    above: tuple[float, float]


_EDGES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def fit_confidence(error: Array, confidence: Array) -> ConfidenceFit | None:
    """How confidence (R, F, J) goes with the error's length (R, F, J), NaN where unknown; None if it says nothing."""
    known = np.isfinite(error) & (confidence > 0)
    e, c = error[known], confidence[known]
    if len(e) < 100 or np.ptp(c) < 1e-3:
        return None
    # beyond GROSS a straight line in the logit would hang on a few points
    y = logit(np.clip(confidence, 1e-3, 1 - 1e-3))
    x = np.minimum(np.where(known, error, 0), GROSS)
    slope, sure = np.polyfit(x[known], y[known], 1)
    rest = np.where(known, y - sure - slope * x, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        of_joint = np.nanmean(rest, axis=(0, 1))
        changing = rest - of_joint
        memory = np.nanmean(changing[:, 1:] * changing[:, :-1]) / np.nanmean(np.square(changing))
        within = [
            spearmanr(error[..., j][known[..., j]], confidence[..., j][known[..., j]])[0]
            for j in range(error.shape[-1])
            if known[..., j].sum() > 20 and np.ptp(confidence[..., j][known[..., j]]) > 0
        ]
    bins = []
    for low, high in zip((0.0, *_EDGES[:-1]), _EDGES, strict=True):
        inside = (c > low) & (c <= high)
        some = inside.sum() >= 10
        bins.append(
            (
                high,
                float(inside.mean()),
                float(np.median(e[inside])) if some else float("nan"),
                float(np.percentile(e[inside], 90)) if some else float("nan"),
            )
        )
    return ConfidenceFit(
        sure=float(sure),
        doubt=float(-slope),
        mood=float(np.nanstd(rest)),
        mood_of_joints=float(np.nanstd(of_joint)),
        memory=float(memory),
        rank=float(spearmanr(e, c)[0]),
        rank_within=float(np.mean(within)) if within else float("nan"),
        bins=tuple(bins),
        above=(float((c > 0.9).mean()), float((c < LOW).mean())),
    )


@dataclass(frozen=True)
class DropOuts:
    """Joints with confidence below LOW, and joints not found, in frames in which the person was seen.

    Attributes:
        frames: share of frames without the person at all, between the first and the last seen.
        joints: (J,) share of seen frames in which the joint is low.
        lengths: median and 90th percentile of the stretches, frames.
        stretches: how many.
        together: correlation (phi) of two joints' being low, for pairs of joints; NaN where one never is.
    """

    frames: float
    joints: tuple[float, ...]
    lengths: tuple[float, float]
    stretches: int
    together: dict[str, float]


def drop_outs(confidence: Array, found: NDArray[np.bool_]) -> DropOuts:
    """Stretches of low confidence; confidence and found are (R, F, J)."""
    lengths: list[int] = []
    lows, unseen = [], []
    for trust, there in zip(confidence, found, strict=True):
        seen = there.any(-1)
        if not seen.any():
            continue
        first, last = np.flatnonzero(seen)[[0, -1]]
        unseen.append(float((~seen[first : last + 1]).mean()))
        low = (trust < LOW) & seen[:, None]
        lengths += [b - a for j in range(low.shape[1]) for a, b in stretches(low[:, j])]
        lows.append(low[seen])
    low = np.concatenate(lows) if lows else np.zeros((1, confidence.shape[-1]), bool)
    together = {}
    for name, pairs in _TOGETHER.items():
        a, b = (np.concatenate([low[:, pair[side]] for pair in pairs]).astype(float) for side in (0, 1))
        together[name] = float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")
    middle = np.percentile(lengths, [50, 90]) if lengths else np.full(2, np.nan)
    return DropOuts(
        frames=float(np.mean(unseen)) if unseen else 1.0,
        joints=tuple(map(float, low.mean(0))),
        lengths=(float(middle[0]), float(middle[1])),
        stretches=len(lengths),
        together=together,
    )


# ---------------------------------------------------------------------------------------------------------- bodies


def bone_lengths(places: Array) -> dict[str, Array]:
    """Mean length of left and right in each frame, of augment.BONE_GROUPS; places (F, J, 2 or 3). The trunk: a sum."""
    result = {}
    for name, ends in _BONES.items():
        lengths = np.stack([np.linalg.norm(places[:, a] - places[:, b], axis=-1) for a, b in ends])
        result[name] = lengths.sum(0) if name == "trunk" else lengths.mean(0)
    return result


@lru_cache(maxsize=1)
def training_bodies(draws: int = 4000) -> dict[str, tuple[float, float, float]] | None:
    """5th, 50th and 95th percentile of bone lengths in training, in units of the trunk; None without motion capture."""
    from posemamba.data import mocap

    try:
        motions = mocap.load_motions(split="train")
    except PoseMambaError:
        return None
    each = []
    for subject in sorted(set(motions.subjects)):
        clips = [i for i, s in enumerate(motions.subjects) if s == subject]
        lengths = bone_lengths(motions.select(clips).positions[::50])
        each.append([float(np.median(lengths[name])) for name in _BONES])
    random = np.random.default_rng(0)
    bodies = np.array(each)[random.integers(len(each), size=draws)]
    bodies *= random.uniform(mocap._BONE_LOW, mocap._BONE_HIGH, bodies.shape)
    bodies /= bodies[:, [list(_BONES).index("trunk")]]
    low, middle, high = np.percentile(bodies, [5, 50, 95], axis=0)
    return {name: (float(low[i]), float(middle[i]), float(high[i])) for i, name in enumerate(_BONES)}


def seen_proportions(xy: Array) -> dict[str, float]:
    """Lengths in units of the trunk as seen: breadths in the fifth of the frames in which the shoulders are broadest,
    bones at their 90th percentile, since turned away they look shorter. Rough: perspective is not taken out."""
    lengths = bone_lengths(xy)
    trunk = np.nanpercentile(lengths["trunk"], 90)
    frontal = lengths["shoulders"] >= np.nanpercentile(lengths["shoulders"], 80)
    return {
        name: float(
            np.nanmedian(one[frontal] / lengths["trunk"][frontal])
            if name in ("hips", "shoulders")
            else np.nanpercentile(one, 90) / trunk
        )
        for name, one in lengths.items()
    }


class _Recorder:
    """Stands for MediaPipe's `Pose` and keeps what it says of the third dimension."""

    def __init__(self, pose: Any) -> None:
        self.pose = pose
        self.world: list[Array] = []

    def process(self, rgb: NDArray[np.uint8]) -> Any:
        result = self.pose.process(rgb)
        if result.pose_world_landmarks is not None:
            self.world.append(np.array([(p.x, p.y, p.z, p.visibility) for p in result.pose_world_landmarks.landmark]))
        return result

    def close(self) -> None:
        self.pose.close()


def world_proportions(world: Array) -> dict[str, tuple[float, float]]:
    """Median metres, and in units of the trunk, of MediaPipe's own 3D landmarks (F, 33, 4: x, y, z, visibility)."""
    from posemamba.skeleton import BLAZEPOSE33

    def converted(axes: list[int]) -> Array:  # the conversion is linear in each coordinate
        return to_h36m17(Keypoints2D(world[..., axes], world[..., 3], BLAZEPOSE33, (1, 1), 30.0)).xy

    lengths = bone_lengths(np.concatenate([converted([0, 1]), converted([2, 2])[..., :1]], -1))
    return {
        name: (float(np.nanmedian(one)), float(np.nanmedian(one / lengths["trunk"]))) for name, one in lengths.items()
    }


# ---------------------------------------------------------------------------------------------------------- made up


def made_up(xy: Array, copies: int = 8, seed: int = 0, **settings: float) -> tuple[Array, Array]:
    """Errors and confidence that `detect_badly` gives to a motion, for comparison.

    Args:
        xy: (F, J, 2), NaN where unknown.
        copies: R.
        seed: of the noise.
        settings: fields of `DetectorErrors`, of every copy; else TYPICAL_JITTER, 0.65 of it as bias, the middle of the
            ranges of confidence, and nothing else.

    Returns:
        (R, F, J, 2) in units of the person's size, and (R, F, J).
    """
    whole = torch.from_numpy(fill_missing(xy)).float()[None].expand(copies, -1, -1, -1)
    usual = {
        "jitter": TYPICAL_JITTER,
        "bias": 0.65 * TYPICAL_JITTER,
        "edge": 1e9,
        "by": 1.0,
        **TYPICAL_CONFIDENCE,
    }
    widths = {"edge": (2,), **{f"{kind}_{what}": (1,) for kind in ("lost", "swap") for what in ("start", "length")}}
    widths |= {"lost_set": (1,), "swap_what": (1,), "harder": (1,), "by": (1,), "tempi": (3,)}
    values = {
        field.name: torch.full((copies, *widths.get(field.name, ())), {**usual, **settings}.get(field.name, 0.0))
        for field in fields(DetectorErrors)
    }
    values |= {"lost_set": values["lost_set"].long(), "harder": values["harder"].long()}
    values["tempi"] = torch.tensor(TYPICAL_TEMPI).expand(copies, -1)
    noisy, confidence = detect_badly(whole, DetectorErrors(**values), torch.Generator().manual_seed(seed))
    error = (noisy - whole).numpy().astype(np.float64) / person_unit(whole[0].numpy())
    return error, confidence.numpy().astype(np.float64)


# ---------------------------------------------------------------------------------------------------------- reports


@dataclass
class Report:
    """All that was measured; parts that could not be are None.

    Attributes:
        source, way, detector: what was measured and how.
        person: pixels of `person_size`.
        frames, fps: of the person.
        errors: of repeats, or against the truth.
        made_up: the same of `detect_badly`'s typical settings on the same motion.
        by_change: for each change of the picture: size of the constant difference from what all have in common (root
            mean square over joints) and the share of frames in which somebody else was found.
        mirror_bias: (J, 2) half the mean difference of the answer to the picture and to its mirror image.
        fast: (J,) size of what trembles too fast to be motion, and shares of quick and white; of the plain answer.
        made_up_fast: size of the same in the made-up errors, at a joint of difficulty 1.
        swaps, confidence, drop_outs: see there.
        seen: proportions as seen.
        world: MediaPipe's own 3D proportions: metres, and in trunks.
        training: 5th, 50th, 95th percentile of training bodies, in trunks.
    """

    source: str
    way: str
    detector: str
    person: float
    frames: int
    fps: float
    errors: ErrorSizes | None
    made_up: ErrorSizes
    by_change: dict[str, tuple[float, float]] | None
    mirror_bias: list[list[float]] | None
    fast: tuple[list[float], Tempi]
    made_up_fast: float
    swaps: Swaps
    confidence: ConfidenceFit | None
    drop_outs: DropOuts
    seen: dict[str, float]
    world: dict[str, tuple[float, float]] | None
    training: dict[str, tuple[float, float, float]] | None
    curves: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write JSON; what could not be measured is null."""

        def clean(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: clean(v) for k, v in value.items()}
            if isinstance(value, (list, tuple)):
                return [clean(v) for v in value]
            if isinstance(value, float):
                return round(value, 5) if np.isfinite(value) else None
            return value

        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(clean(asdict(self)), indent=1) + "\n", encoding="utf-8")


def _at_one(size: Sequence[float] | Array) -> float:
    return float(np.sqrt(np.nanmean(np.square(np.asarray(size) / np.array(DIFFICULTY)))))


def measure_repeats(repeats: Repeats, source: str, detector: str, world: Array | None = None) -> Report:
    """What the answers to the changed pictures say of the detector."""
    common, _ = consensus(repeats.xy)
    unit = person_unit(common)
    swapped = [exchanged(one, common, unit) for one in repeats.xy]
    right = repeats.xy.copy()
    for limb, pairs in _LIMBS.items():
        joints = np.array(pairs).ravel()
        for r, one in enumerate(swapped):
            right[r][np.ix_(one[limb].nonzero()[0], joints)] = np.nan
    common, difference = consensus(right)
    residual = difference / unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        constant = np.nanmean(np.where(np.abs(residual) > GROSS, np.nan, residual), axis=1)
        by_change = {
            name: (float(np.sqrt(np.nanmean(np.square(constant[r])))), repeats.elsewhere[r])
            for r, name in enumerate(repeats.names)
        }
        plain, mirrored = right[0], right[repeats.names.index("mirrored")]
        mirror_bias = np.nanmedian((plain - mirrored) / 2, axis=0) / unit
    return _report(
        source,
        f"{len(repeats.names)} repeats",
        detector,
        repeats.fps,
        unit,
        common,
        residual,
        repeats.xy,
        repeats.confidence,
        count_swaps(swapped, common),
        by_change=by_change,
        mirror_bias=np.round(mirror_bias, 5).tolist(),
        world=world_proportions(world) if world is not None else None,
    )


def measure_keypoints(keypoints: Keypoints2D, truth: Keypoints2D | None = None) -> Report:
    """What keypoints alone, or against the truth, say of the detector; any skeletons, the same frames."""
    body = to_h36m17(keypoints)
    answered = np.asarray((body.confidence > 0).any(-1))
    xy = np.where(answered[:, None, None], body.xy, np.nan).astype(np.float64)
    if truth is None:
        unit, residual, way, base = person_unit(xy), None, "keypoints alone", xy
        exchange = exchanged_over_time(xy, unit)
    else:
        base = to_h36m17(truth).xy.astype(np.float64)
        if base.shape != xy.shape:
            raise PoseMambaError(
                f"{truth.source or 'the truth'}: {len(base)} frames, but {keypoints.source or 'the keypoints'} have "
                f"{len(xy)}: they must be the same frames"
            )
        unit, way = person_unit(base), "against the truth"
        exchange = exchanged(xy, base, unit)
        right = xy.copy()
        for limb, pairs in _LIMBS.items():
            right[np.ix_(exchange[limb].nonzero()[0], np.array(pairs).ravel())] = np.nan
        residual = ((right - base) / unit)[None]
    return _report(
        keypoints.source,
        way,
        "",
        keypoints.fps,
        unit,
        base,
        residual,
        xy[None],
        body.confidence[None].astype(np.float64),
        count_swaps([exchange], base),
    )


def _report(
    source: str,
    way: str,
    detector: str,
    fps: float,
    unit: float,
    common: Array,
    residual: Array | None,
    xy: Array,
    confidence: Array,
    swaps: Swaps,
    *,
    by_change: dict[str, tuple[float, float]] | None = None,
    mirror_bias: list[list[float]] | None = None,
    world: dict[str, tuple[float, float]] | None = None,
) -> Report:
    invented, _ = made_up(common)
    fast, shares = fast_part(xy[0] / unit)
    pretended = [fast_part(one)[0] for one in invented]
    curves: dict[str, Any] = {"made_up": [round(float(v), 4) for v in autocorrelation(invented)]}
    fit = None
    if residual is not None:
        curves["measured"] = [
            round(float(v), 4) for v in autocorrelation(np.where(np.abs(residual) > GROSS, np.nan, residual))
        ]
        fit = fit_confidence(np.linalg.norm(residual, axis=-1), confidence)
    return Report(
        source=source,
        way=way,
        detector=detector,
        person=unit,
        frames=int(np.isfinite(common).any((1, 2)).sum()),
        fps=fps,
        errors=None if residual is None else measure_errors(residual),
        made_up=measure_errors(invented),
        by_change=by_change,
        mirror_bias=mirror_bias,
        fast=(fast.tolist(), shares),
        made_up_fast=float(np.median([_at_one(one) for one in pretended])),
        swaps=swaps,
        confidence=fit,
        drop_outs=drop_outs(confidence, np.asarray(np.isfinite(xy).all(-1))),
        seen=seen_proportions(common),
        world=world,
        training=training_bodies(),
        curves=curves,
    )


def describe(report: Report) -> str:
    """The tables, in Markdown."""
    e, m = report.errors, report.made_up
    lines = [
        f"{report.source}: {report.way}, {report.detector or 'detector not known'}; {report.frames} frames at "
        f"{report.fps:g}/s; size of the person {report.person:.1f} pixels",
        "",
        "| | measured | made up, typical |",
        "|---|---|---|",
    ]

    def row(name: str, value: Callable[[ErrorSizes], str]) -> None:
        lines.append(f"| {name} | {value(e) if e else '-'} | {value(m)} |")

    row("changing error at a shoulder", lambda x: f"{x.size:.4f}")
    row("constant error at a shoulder", lambda x: f"{x.constant:.4f}")
    row("mean distance", lambda x: f"{x.mean_distance:.4f}")
    row(
        "weights slow / quick / white",
        lambda x: " / ".join(f"{w:.2f}" for w in x.tempi.of_jitter()),
    )
    row("length at 50, 90, 95, 99 %", lambda x: ", ".join(f"{t:.2f}" for t in x.tails))
    row("swelling", lambda x: f"{x.swelling:.2f}")
    row(f"beyond {GROSS}", lambda x: f"{np.mean(x.gross):.2%}")
    fast, shares = report.fast
    lines += [
        f"| quick and white at a shoulder, by third differences | {_at_one(fast):.4f} | {report.made_up_fast:.4f} |",
        f"| of that white, by variance | {shares.white:.0%} | |",
        "",
        "| joint | difficulty measured | `DIFFICULTY` | size | quick and white | beyond | low confidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for j, name in enumerate(H36M17.joints):
        measured = (f"{e.difficulty[j]:.2f}", f"{e.joints[j]:.4f}", f"{e.gross[j]:.1%}") if e else ("-",) * 3
        lines.append(
            f"| {name} | {measured[0]} | {DIFFICULTY[j]:g} | {measured[1]} | {fast[j]:.4f} | {measured[2]} | "
            f"{report.drop_outs.joints[j]:.1%} |"
        )
    if report.by_change:
        lines += ["", "| change of the picture | constant difference | nobody, or somebody else |", "|---|---|---|"]
        lines += [f"| {name} | {size:.4f} | {lost:.1%} |" for name, (size, lost) in report.by_change.items()]
    d, s = report.drop_outs, report.swaps
    lines += [
        "",
        f"Confidence below {LOW}: {d.stretches} stretches, median {d.lengths[0]:.0f} frames, 90 % under "
        f"{d.lengths[1]:.0f}; nobody in {d.frames:.1%} of the frames. Together (phi): "
        + ", ".join(f"{k} {v:.2f}" for k, v in d.together.items()),
        f"Left and right exchanged in {s.frames:.1%} of the frames: "
        + ", ".join(f"{k} {v}" for k, v in s.stretches.items())
        + (f"; median {np.median(s.lengths):.0f}, longest {max(s.lengths)} frames" if s.lengths else "")
        + f"; shoulders {s.breadth:.2f} trunks broad there, {s.breadth_all:.2f} in all frames",
    ]
    if c := report.confidence:
        lines += [
            f"Confidence = sigmoid({c.sure:.2f} - {c.doubt:.1f} e + {c.mood:.2f} n); {c.mood_of_joints:.2f} of n stays "
            f"with the joint, the rest lasts {c.memory:.2f} from frame to frame; rank correlation {c.rank:.2f}, within "
            f"joints {c.rank_within:.2f}; {c.above[0]:.0%} above 0.9, {c.above[1]:.0%} below {LOW}",
            "",
            "| confidence up to | share | median error | 90 % |",
            "|---|---|---|---|",
        ]
        lines += [f"| {b[0]:g} | {b[1]:.1%} | {b[2]:.3f} | {b[3]:.3f} |" for b in c.bins]
    lines += [
        "",
        "| bone, in trunks | seen | own 3D | own 3D, cm | training 5 %, 50 %, 95 % |",
        "|---|---|---|---|---|",
    ]
    for name in _BONES:
        world = f"{report.world[name][1]:.3f} | {100 * report.world[name][0]:.1f}" if report.world else "- | -"
        trained = ", ".join(f"{v:.3f}" for v in report.training[name]) if report.training else "-"
        lines.append(f"| {name} | {report.seen[name]:.3f} | {world} | {trained} |")
    return "\n".join(lines)


def draw(report: Report, path: Path) -> None:
    """Four panels: tempi, joints, confidence, bodies."""
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    figure.suptitle(f"{Path(report.source).name}: {report.way}", fontsize=11)
    _draw_tempi(axes[0, 0], report)
    _draw_joints(axes[0, 1], report)
    _draw_confidence(axes[1, 0], report)
    _draw_bodies(axes[1, 1], report)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


_SEEN, _MADE = "#0072B2", "#D55E00"


def _draw_tempi(axes: Axes, report: Report) -> None:
    axes.set_title("does an error last?", fontsize=10)
    axes.plot(report.curves["made_up"], color=_MADE, label="made up, with its constant part")
    if "measured" in report.curves:
        axes.plot(report.curves["measured"], color=_SEEN, label="measured")
    axes.axhline(0, color="0.7", lw=0.8)
    axes.set(xlabel="frames later", ylabel="correlation with itself", ylim=(-0.25, 1.05))
    axes.legend(fontsize=8, frameon=False)


def _draw_joints(axes: Axes, report: Report) -> None:
    axes.set_title("which joints?", fontsize=10)
    places = np.arange(len(H36M17))
    if report.errors:
        axes.bar(places - 0.2, report.errors.joints, 0.4, color=_SEEN, label="measured")
        axes.bar(places + 0.2, report.made_up.joints, 0.4, color=_MADE, label="made up, typical")
        axes.set_ylabel("error of a coordinate, in sizes of the person")
    else:
        axes.bar(places, report.fast[0], 0.6, color=_SEEN, label="quick and white jitter")
        axes.set_ylabel("jitter of a coordinate, in sizes of the person")
    axes.set_xticks(places, [n.replace("_", " ") for n in H36M17.joints], rotation=60, ha="right", fontsize=8)
    axes.legend(fontsize=8, frameon=False)


def _draw_confidence(axes: Axes, report: Report) -> None:
    axes.set_title("does it know?", fontsize=10)
    c = report.confidence
    if c is None:
        why = "needs repeats or the truth" if report.errors is None else "the confidence is the same everywhere"
        axes.text(0.5, 0.5, why, ha="center", transform=axes.transAxes, color="0.5")
        return
    error = np.linspace(0, GROSS, 100)
    axes.plot(error, expit(c.sure - c.doubt * error), color=_SEEN, label="fitted, with one mood up and down")
    axes.fill_between(
        error,
        expit(c.sure - c.doubt * error - c.mood),
        expit(c.sure - c.doubt * error + c.mood),
        color=_SEEN,
        alpha=0.15,
    )
    lower = (0.0, *_EDGES[:-1])
    axes.plot(
        [b[2] for b in c.bins], [(a + b[0]) / 2 for a, b in zip(lower, c.bins, strict=True)], "o", color=_SEEN,
        label="median error of each range of confidence",
    )  # fmt: skip
    typical = expit(TYPICAL_CONFIDENCE["sure"] - TYPICAL_CONFIDENCE["doubt"] * error)
    axes.plot(error, typical, color=_MADE, label="made up, middle of the ranges")
    axes.set(xlabel="error, in sizes of the person", ylabel="confidence", xlim=(0, GROSS), ylim=(0, 1.02))
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=1)


def _draw_bodies(axes: Axes, report: Report) -> None:
    axes.set_title("which bodies?", fontsize=10)
    places = np.arange(len(_BONES))
    if report.training:
        low, middle, high = np.array([report.training[name] for name in _BONES]).T
        axes.errorbar(
            places, middle, [middle - low, high - middle], fmt="_", color=_MADE, capsize=4, label="training, 5 to 95 %"
        )
    axes.plot(places - 0.12, [report.seen[name] for name in _BONES], "o", color=_SEEN, label="as seen")
    if report.world:
        axes.plot(places + 0.12, [report.world[n][1] for n in _BONES], "s", mfc="none", color=_SEEN, label="own 3D")
    axes.set_xticks(places, [n.replace("_", " ") for n in _BONES], rotation=60, ha="right", fontsize=8)
    axes.set_ylabel("length, in trunks")
    axes.legend(fontsize=8, frameon=False)


def _measure(path: Path, options: argparse.Namespace) -> Report:
    from posemamba.formats import is_keypoint_file, read_keypoints

    if options.truth is not None:
        return measure_keypoints(read_keypoints(path), read_keypoints(options.truth))
    if is_keypoint_file(path):
        return measure_keypoints(read_keypoints(path))

    recorders: list[_Recorder] = []

    def make() -> Detector:
        if options.detector == "rtmpose":
            from posemamba.detect.rtmpose import RTMPoseDetector

            return RTMPoseDetector()
        from posemamba.detect.mediapipe import MediaPipeDetector

        detector = MediaPipeDetector(options.mode)
        recorders.append(_Recorder(detector._pose))
        detector._pose = recorders[-1]
        return detector

    repeats = repeat(
        path, make, mode=options.mode, person=options.person, told=lambda name: print(f"  {name}", file=sys.stderr)
    )
    world = np.stack(recorders[0].world) if recorders and recorders[0].world else None
    name = options.detector if options.detector == "rtmpose" else f"{options.detector}, --mode {options.mode}"
    return measure_repeats(repeats, path.name, name, world)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m posemamba.detect.noise",
        description="Measure the errors of a 2D detector on videos, or of keypoint files.",
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="VIDEO", help="a video, or a keypoint file")
    parser.add_argument("--out", type=Path, help="folder for NAME.noise.json and NAME.noise.png of each")
    parser.add_argument("--truth", type=Path, help="keypoint file to take for true (of one keypoint file)")
    parser.add_argument("--detector", choices=("mediapipe", "rtmpose"), default="mediapipe")
    parser.add_argument("--mode", choices=MODES, default="detect", help="of MediaPipe; track is what lifting does")
    parser.add_argument("--person", default="longest", help="longest, largest or a number")
    options = parser.parse_args(arguments)
    try:
        if options.truth is not None and len(options.sources) > 1:
            raise PoseMambaError(
                f"--truth {options.truth}: is of one keypoint file, but {len(options.sources)} are given"
            )
        for path in options.sources:
            report = _measure(path, options)
            print(describe(report), end="\n\n")
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                report.save(options.out / f"{path.stem}.noise.json")
                draw(report, options.out / f"{path.stem}.noise.png")
    except PoseMambaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
