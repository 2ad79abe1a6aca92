"""A keypoint file and its video: which frame of the video each frame of the file is, told before any work.

Shapes: F frames of the file, N of the video, J joints.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.places import outside
from posemamba.poses.times import usual_step
from posemamba.utils.errors import PoseMambaError

_SAME_SHAPE = 0.01  # share by which the shapes of a picture and of a video may differ
_SAME_RATE = 0.1


@dataclass(frozen=True)
class VideoFacts:
    """The facts of a video by which keypoints are matched to it.

    Attributes:
        path: the video.
        times: (N,) seconds from its first frame.
        fps: its usual frames per second.
        image_size: (width, height) in pixels.
    """

    path: Path
    times: NDArray[np.float64]
    fps: float
    image_size: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> VideoFacts:
        """Read the facts of a video, or of a folder of pictures.

        Warns:
            UserWarning: its times were missing, or started anew.

        Raises:
            PoseMambaError: it cannot be read.
        """
        from posemamba.io.video.reading import frame_times, probe

        if not path.exists():
            raise PoseMambaError(f"{path}: no such file")
        info = probe(path)
        for remark in info.remarks:
            warnings.warn(remark, stacklevel=5)
        return cls(path, frame_times(path), info.fps, info.image_size)


@dataclass(frozen=True)
class Numbering:
    """How a file numbers its frames.

    Attributes:
        frames: how many there are, F.
        first: the number of the first; None: the file has no numbers, and frames are in order.
        from_zero: True if the format's numbers count from 0; else they may count from 1.
        times: (F,) seconds as the file gives them, or by its own frame rate; None: it has neither.
    """

    frames: int
    first: int | None
    from_zero: bool
    times: NDArray[np.float64] | None

    @property
    def last(self) -> int:
        """The number of the last frame, in a file that numbers its frames."""
        return (self.first or 0) + self.frames - 1


def match_frames(path: Path, own: Numbering, video: VideoFacts) -> NDArray[np.intp]:
    """Tell which frame of the video, from 0 on, each frame of a keypoint file is.

    Args:
        path: the file, for messages.
        own: how it numbers its frames.
        video: the video.

    Returns:
        (F,) rising.

    Warns:
        UserWarning: the file leaves it open; it says what was taken.

    Raises:
        PoseMambaError: the video cannot be that of the keypoints.
    """
    count = len(video.times)
    if own.first is not None:
        # a part of a video that was numbered anew, as by an export
        anew = own.first in (0, 1) and own.times is not None and own.times[0] > 1.5 / video.fps
        if anew and own.times is not None and (found := _at_times(own.times, video)) is not None:
            return found
        places = _by_number(path, own, video)
        _compare_rates(path, own, video)
        return places
    if own.frames > count:
        raise PoseMambaError(
            f"{path}: has {own.frames} frames, and {video.path} only {count}: give the video that they were made from"
        )
    if own.frames == count:
        _compare_rates(path, own, video)
        return np.arange(count)
    if own.times is not None:
        return _by_time(path, own.times, video)
    _say(
        f"{path.name}: has {own.frames} frames without numbers or times, {video.path.name} {count}: they are taken for "
        "its first"
    )
    return np.arange(own.frames)


def _compare_rates(path: Path, own: Numbering, video: VideoFacts) -> None:
    """Say that frames that are the video's come at another rate than these."""
    step = None if own.times is None else usual_step(own.times)
    if step is not None and abs(step * video.fps - 1) > _SAME_RATE:
        _say(
            f"{path.name}: its frames are {1 / step:.4g} a second, those of {video.path.name} {video.fps:.4g}: the "
            "video's times are taken"
        )


def _by_number(path: Path, own: Numbering, video: VideoFacts) -> NDArray[np.intp]:
    first, count = own.first or 0, len(video.times)
    if own.last > count or (own.last == count and first == 0):
        raise PoseMambaError(
            f"{path}: its frames are numbered up to {own.last}, and {video.path} has only {count}: give the video that "
            "they were made from"
        )
    if first < 0:
        raise PoseMambaError(f"{path}: its frames are numbered from {first} on, expected 0 or 1, 2, ...: correct them")
    if own.last == count:
        base = 1
    elif own.from_zero or first == 0:
        base = 0
    elif own.times is not None and (told := _base_by_time(own.times, first, video)) is not None:
        base = told
    else:
        base = int(first == 1)
        if first > 1 and own.last < count - 1:  # else numbers from 0 reach its end
            _say(
                f"{path.name}: its frames are numbered {first} to {own.last}, and nothing tells whether from 0 or "
                f"1: number 0 is taken for the first of {video.path.name}; if it is 1, the joints are one frame late"
            )
    if base and own.last < count:
        _say(f"{path.name}: its frames are numbered from 1: number 1 is taken for the first of {video.path.name}")
    return np.arange(own.frames) + first - base


def _base_by_time(times: NDArray[np.float64], first: int, video: VideoFacts) -> int | None:
    """Return 0 or 1 if the frames' own times lie at the video's for numbers from 0 or from 1; None if at neither."""
    for base in (0, 1):
        theirs = video.times[first - base : first - base + len(times)]
        if len(theirs) == len(times) and np.abs(times - theirs).max() < 0.25 / video.fps:
            return base
    return None


def _at_times(times: NDArray[np.float64], video: VideoFacts) -> NDArray[np.intp] | None:
    """Find the video's frames at these times; None if it has none at some of them."""
    after = np.searchsorted(video.times, times).clip(1, max(len(video.times) - 1, 1)).clip(max=len(video.times) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(video.times[before] - times) <= np.abs(video.times[after] - times)
    index = np.where(nearer, before, after)
    apart = np.abs(video.times[index] - times).max()
    return index if apart <= 0.51 / video.fps and (np.diff(index) > 0).all() else None


def _by_time(path: Path, times: NDArray[np.float64], video: VideoFacts) -> NDArray[np.intp]:
    """Find each frame at its time in the video.

    Raises:
        PoseMambaError: it has no frames at these times.
    """
    if (index := _at_times(times, video)) is not None:
        return index
    step = usual_step(times)
    says = "" if step is None else f", {1 / step:.4g} a second"
    raise PoseMambaError(
        f"{path}: its {len(times)} frames from {times[0]:.3f} to {times[-1]:.3f} s{says} are not among the "
        f"{len(video.times)} of {video.path}, {video.fps:.4g} a second; give the video that they were made from, or "
        "number the frames"
    )


def check_picture(
    path: Path,
    xy: NDArray[np.floating],
    confidence: NDArray[np.floating],
    size: tuple[int, int] | None,
    video: VideoFacts,
) -> None:
    """Check that joints can lie in a video's picture.

    Args:
        path: the file, for the error.
        xy: (n, J, 2) pixels, NaN where not found.
        confidence: (n, J).
        size: of the picture that the joints belong to, as given; None: not known.
        video: the video.

    Raises:
        PoseMambaError: the size has another shape than the video, or joints lie outside of it.
    """
    width, height = video.image_size
    if size is not None and abs(size[0] / size[1] - width / height) > _SAME_SHAPE * width / height:
        raise PoseMambaError(
            f"{path}: belongs to pictures of {size[0]} x {size[1]} pixels, and {video.path} shows {width} x {height}, "
            "another shape: give the video that they were made from"
        )
    if said := outside(xy, confidence, size or video.image_size):
        raise PoseMambaError(f"{path}: {said}; give the video that they were made from, not {video.path}")


def _say(text: str) -> None:
    warnings.warn(text, stacklevel=6)
