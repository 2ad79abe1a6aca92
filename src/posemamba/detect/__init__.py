"""2D keypoints out of video, behind one small interface.

A detector is anything that has a skeleton and turns an RGB frame into joints; `detect_video` runs one over a
video. The one that comes with the `video` extra is MediaPipe's BlazePose: one person, 33 joints, no download.
"""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from posemamba.errors import PoseMambaError
from posemamba.poses import Keypoints2D, Progress
from posemamba.skeleton import Skeleton
from posemamba.video import probe, read_frames

__all__ = ["MODES", "Detector", "Mode", "detect_video"]

Mode = Literal["track", "detect"]
MODES: tuple[Mode, ...] = ("track", "detect")

# A joint that a detector guesses outside of the image is kept within this share of the image's longer side.
_MARGIN = 0.1


class Detector(Protocol):
    """Finds the joints of one person in a frame; frames come in order."""

    @property
    def skeleton(self) -> Skeleton:
        """Which joints it finds."""
        ...

    def __call__(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Look for somebody in (height, width, 3) uint8.

        Returns:
            (J, 2) pixels, x right and y down from the top left corner, and (J,) confidence in [0, 1]; or
            None for nobody.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


def detect_video(
    path: str | Path,
    *,
    mode: Mode = "track",
    progress: Progress | None = None,
    detector: Detector | None = None,
) -> Keypoints2D:
    """Find one person's joints in every frame of a video.

    Args:
        path: the video.
        mode: ``track`` looks where the person was in the frame before: steadier, and stays with one person;
            ``detect`` looks afresh in each frame: recovers at once from a mistake, but jitters, may jump from
            one person to another and finds fewer. Only for MediaPipe.
        progress: called with the frames done and the frames there are.
        detector: another one than MediaPipe's; it is not closed.

    Returns:
        (F, 33, 2) pixels of the frames as shown, in skeleton BlazePose-33 (or the detector's), with the
        frames' times. Joints far outside of the image, and all joints of frames in which nobody was found,
        are NaN with confidence 0. MediaPipe's confidence is its visibility, a weak one: many wrong joints
        have a high one.

    Warns:
        UserWarning: the joints jump by more than a body's size, as if to somebody else.

    Raises:
        PoseMambaError: the video cannot be read, nobody is in it, or MediaPipe is not installed.
    """
    if mode not in MODES:
        raise PoseMambaError(f"unknown detection mode '{mode}', expected one of {', '.join(MODES)}")
    info = probe(path)
    with contextlib.ExitStack() as stack:
        if detector is None:
            from posemamba.detect.mediapipe import MediaPipeDetector

            detector = stack.enter_context(contextlib.closing(MediaPipeDetector(mode)))
        joints = len(detector.skeleton)
        nobody = np.full((joints, 2), np.nan, np.float32), np.zeros(joints, np.float32)
        found, times = [], []
        for frame in read_frames(path):
            found.append(_inside(detector(frame.rgb) or nobody, info.image_size))
            times.append(frame.time)
            if progress is not None:
                progress(len(times), max(info.frames, len(times)))
    keypoints = Keypoints2D(
        xy=np.stack([xy for xy, _ in found]),
        confidence=np.stack([confidence for _, confidence in found]),
        skeleton=detector.skeleton,
        image_size=info.image_size,
        fps=info.fps,
        times=np.array(times),
        source=Path(path).name,
    )
    if not keypoints.seen.any():
        raise PoseMambaError(
            f"{path}: nobody was found in any of its {len(keypoints)} frames; expected one person with most "
            "of the body in the image; crop the video around the person or bring keypoints of another "
            "detector"
        )
    _warn_of_jumps(keypoints)
    return keypoints


def _inside(
    detection: tuple[NDArray[np.float32], NDArray[np.float32]], image_size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The detection without what lies far outside of the image."""
    xy, confidence = detection
    size = np.array(image_size)
    margin = _MARGIN * size.max()
    inside = ((xy >= -margin) & (xy <= size + margin)).all(-1)  # False for NaN
    return (
        np.where(inside[:, None], xy, np.nan).astype(np.float32),
        np.where(inside, np.clip(confidence, 0, 1), 0).astype(np.float32),
    )


def find_jumps(keypoints: Keypoints2D) -> NDArray[np.intp]:
    """Indices of the seen frames whose joints lie more than a body's size from those seen before."""
    index = np.flatnonzero(keypoints.seen)
    if len(index) < 2:
        return index[:0]
    xy = keypoints.xy[index]
    centre = np.nanmedian(xy, axis=1)
    size = (np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)
    step = np.linalg.norm(np.diff(centre, axis=0), axis=-1)
    return index[1:][step > np.minimum(size[1:], size[:-1])]


def _warn_of_jumps(keypoints: Keypoints2D) -> None:
    jumps = find_jumps(keypoints)
    if len(jumps):
        times = keypoints.frame_times()
        where = ", ".join(f"{times[i]:.2f} s" for i in jumps[:5]) + (", ..." if len(jumps) > 5 else "")
        warnings.warn(
            f"{keypoints.source}: the detected person jumps by more than a body's size at {where}: perhaps "
            "somebody else; this detector follows one person only",
            stacklevel=3,
        )
