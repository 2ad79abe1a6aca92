"""Frames shown to a detector several times, slightly changed, and what its answers have in common."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.detect import Detector, Mode, detect_people
from posemamba.poses import Keypoints2D
from posemamba.poses.detections import Detection
from posemamba.poses.keypoints import choose_people
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import Skeleton
from posemamba.utils.errors import PoseMambaError
from studies.detector_noise.common import Array, person_unit

_ELSEWHERE = 0.5  # answers farther than this from the plain one, in the median of the joints, are of somebody else


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

    Raises:
        PoseMambaError: the video cannot be read, or nobody, or not this person, is in it.
    """
    first: Keypoints2D | None = None
    xy, confidence, elsewhere = [], [], []
    for change in changes():
        told(change.name)
        with closing(make()) as detector, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # jumps to somebody else are sorted out below
            try:
                people = detect_people(source, mode=mode, detector=ChangedDetector(detector, change))
            except PoseMambaError:
                if first is None:
                    raise
                people = []  # the video can be read: whom the plain pictures show is not found in the changed ones
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
