"""Detection of 2D keypoints in videos and pictures.

A detector has a skeleton and finds the people in an RGB frame; `detect_people` runs one over a clip and follows each
person. MediaPipe comes with the `video` extra: one person, 33 joints, no download. RTMPose, with the `rtmpose` extra,
finds several people; its models are downloaded at first use or given as files.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Source, VideoInfo
from posemamba.io.video.reading import probe, read_frames
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import find_jumps
from posemamba.poses.skeletons import Skeleton
from posemamba.poses.tracking import Detection, Track, track
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress

__all__ = ["DETECTION", "MODES", "Detection", "Detector", "Mode", "detect_people", "detect_video"]

DETECTION = 1
"""Version of what `detect_people` finds: raise it with every change of its joints, so that kept ones are not used."""

Mode = Literal["track", "detect"]
MODES: tuple[Mode, ...] = ("track", "detect")

_MARGIN = 0.1  # share of the image's longer side within which joints outside of the image are kept
_BRIDGE = 0.25  # seconds: shorter gaps in a track are interpolated with confidence 0, as detectors miss single frames
_FRAGMENT = 0.2  # seconds: in a longer clip, a shorter track is a false detection or a piece of another track


class Detector(Protocol):
    """A detector of people in frames, which are given in order."""

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the joints that it finds."""
        ...

    def __call__(self, rgb: NDArray[np.uint8]) -> Sequence[Detection]:
        """Find all people in (height, width, 3) uint8.

        Returns:
            For each person (J, 2) pixels, x right and y down from the top left corner, and (J,) confidence in [0, 1];
            empty for nobody.
        """
        ...

    def close(self) -> None:
        """Release the detector's resources."""
        ...


def detect_video(
    source: Source,
    *,
    mode: Mode = "track",
    progress: Progress | None = None,
    detector: Detector | None = None,
) -> Keypoints2D:
    """Find one person's joints in every frame; of several people the one seen longest.

    Args, returns, raises: as `detect_people`, which returns all people.
    """
    return detect_people(source, mode=mode, progress=progress, detector=detector)[0]


def detect_people(
    source: Source,
    *,
    mode: Mode = "track",
    progress: Progress | None = None,
    detector: Detector | None = None,
) -> list[Keypoints2D]:
    """Find the joints of all people in every frame of a video, of pictures, or of a part of them.

    Args:
        source: the video, picture, folder of pictures, or `posemamba.io.video.Clip`.
        mode: MediaPipe only. ``track`` searches near the person of the frame before: it is steadier and stays with one
            person. ``detect`` searches each frame anew and follows the people found: it recovers at once from a mistake
            and rarely changes to another person, but jitters more and misses more. Use ``detect`` for single pictures.
        progress: called with the frames done and the frames in total.
        detector: a detector to use in place of MediaPipe; it is not closed.

    Returns:
        One entry for each person, most-seen first, `person` 1, 2, ... in that order: (F, J, 2) pixels of the frames as
        shown, in the detector's skeleton (MediaPipe: BlazePose-33), with the frames' times since the source's first
        frame. Joints far outside of the image, and all joints of frames in which the person was not found, are NaN
        with confidence 0. Where people are followed (not in MediaPipe's ``track``), gaps of up to a quarter of a second
        are interpolated linearly, with confidence 0. MediaPipe's confidence is its visibility, which is unreliable:
        many wrong joints have a high one.

    Warns:
        UserWarning: the joints of MediaPipe's only person jump by more than a body's size, as if to another person.

    Raises:
        PoseMambaError: the source cannot be read, nobody is in it, or the detector is not installed.
    """
    if mode not in MODES:
        raise PoseMambaError(f"unknown detection mode '{mode}', expected one of {', '.join(MODES)}")
    info = probe(source)
    with contextlib.ExitStack() as stack:
        if detector is None:
            from posemamba.detect.mediapipe import MediaPipeDetector

            detector = stack.enter_context(contextlib.closing(MediaPipeDetector(mode)))
        follow = not getattr(detector, "single", False)
        found: list[list[Detection]] = []
        times: list[float] = []
        for frame in read_frames(source):
            found.append([_inside(person, info.image_size) for person in detector(frame.rgb)])
            times.append(frame.offset + frame.time)
            if progress is not None:
                progress(len(times), max(info.frames, len(times)))
    if not any(np.isfinite(person.xy).any() for people in found for person in people):
        raise PoseMambaError(
            f"{source}: nobody was found in any of its {len(times)} frames; expected people with most "
            "of the body in the image; crop the video around them or use keypoints of another "
            "detector"
        )
    tracks = _tracks(found, info.fps) if follow else [_only(found)]
    people = [
        _keypoints(one, number, np.array(times), detector.skeleton, info, follow)
        for number, one in enumerate(tracks, start=1)
    ]
    if not follow:
        _warn_of_jumps(people[0])
    return people


def _tracks(found: list[list[Detection]], fps: float) -> list[Track]:
    lost_after = max(1, round(fps))  # a second
    tracks = track(found, lost_after=lost_after)
    enough = min(max(1, round(_FRAGMENT * fps)), max(1, len(found) // 10))
    return [t for t in tracks if len(t) >= enough] or tracks[:1]


def _only(found: list[list[Detection]]) -> Track:
    """Build one track from a single-person detector, without following identities."""
    frames = [i for i, people in enumerate(found) if people and np.isfinite(people[0].xy).any()]
    return Track(
        np.array(frames, np.int64),
        np.stack([found[i][0].xy for i in frames]),
        np.stack([found[i][0].confidence for i in frames]),
    )


def _keypoints(
    one: Track, number: int, times: NDArray[np.float64], skeleton: Skeleton, info: VideoInfo, followed: bool
) -> Keypoints2D:
    xy, confidence = one.over(len(times))
    return Keypoints2D(
        # without following, the person after a gap may be another one
        xy=bridge(xy, times, _BRIDGE) if followed else xy,
        confidence=confidence,
        skeleton=skeleton,
        image_size=info.image_size,
        fps=info.fps,
        times=times,
        source=info.path.name,
        person=number,
    )


def bridge(xy: NDArray[np.float32], times: NDArray[np.float64], longest: float) -> NDArray[np.float32]:
    """Fill frames without any joint by linear interpolation, in gaps of up to `longest` seconds.

    Args:
        xy: (F, J, 2), NaN where missing.
        times: (F,) seconds.
        longest: seconds from the last frame before a gap to the first after it.

    Returns:
        (F, J, 2), filled for joints that both ends have; the caller sets their confidence to 0.
    """
    filled = xy.copy()
    seen = np.flatnonzero(np.isfinite(xy).any((1, 2)))
    for a, b in itertools.pairwise(seen):
        if b - a > 1 and times[b] - times[a] <= longest + 1e-6:
            share = ((times[a + 1 : b] - times[a]) / (times[b] - times[a]))[:, None, None]
            filled[a + 1 : b] = xy[a] + share * (xy[b] - xy[a])
    return filled


def _inside(person: Detection, image_size: tuple[int, int]) -> Detection:
    """Return the detection without joints far outside of the image."""
    size = np.array(image_size)
    margin = _MARGIN * size.max()
    inside = ((person.xy >= -margin) & (person.xy <= size + margin)).all(-1)  # False for NaN
    return Detection(
        np.where(inside[:, None], person.xy, np.nan).astype(np.float32),
        np.where(inside, np.clip(person.confidence, 0, 1), 0).astype(np.float32),
        person.id,
    )


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
