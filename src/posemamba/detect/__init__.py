"""Detection of 2D keypoints in videos and pictures.

A detector has a skeleton and finds the people in an RGB frame; `detect_people` runs one over a clip and follows each
person. BlazePose comes with the `video` extra: all people, 33 joints each, no download. RTMPose, with the `rtmpose`
extra, has other joints; its models are downloaded at first use or given as files.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from posemamba.detect.between import check_every, fill_between
from posemamba.detect.modes import MODES, Mode
from posemamba.detect.unfinished import Unfinished
from posemamba.io.video.clip import Frame, Source, VideoInfo
from posemamba.io.video.reading import probe, read_frames
from posemamba.poses import Keypoints2D
from posemamba.poses.detections import Detection, Track
from posemamba.poses.keypoints import choose_people
from posemamba.poses.skeletons import Skeleton
from posemamba.poses.tracking import track
from posemamba.utils.ahead import ahead
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress
from posemamba.utils.reading import reading

__all__ = [
    "DETECTION",
    "MODES",
    "Detection",
    "Detector",
    "FollowingDetector",
    "Mode",
    "ResumableDetector",
    "Unfinished",
    "detect_people",
    "detect_video",
]

DETECTION = 6
"""Version of what `detect_people` finds: raise it with every change of its joints or times, so that kept ones are not
used."""

_MARGIN = 0.1  # share of the image's longer side within which joints outside of the image are kept
_BRIDGE = 0.25  # seconds: shorter gaps in a track are interpolated with confidence 0, as detectors miss single frames
_MOST_PEOPLE = 100  # people kept of a clip, and fewer of a long one:
_LEAST_KEPT, _MOST_VALUES = 10, 3e8  # numbers in the joints of all people kept (1.2 GB), unless these people need more
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


@runtime_checkable
class FollowingDetector(Detector, Protocol):
    """A detector that follows people itself and tells who is who by ids."""

    def begin(self, fps: float) -> None:
        """Forget everybody, as a clip of `fps` frames per second follows."""
        ...

    @property
    def doubtful(self) -> set[int]:
        """Ids of people who are perhaps things; known after the last frame."""
        ...


@runtime_checkable
class ResumableDetector(FollowingDetector, Protocol):
    """A detector that follows people and can go on within a clip, in another process."""

    @property
    def state(self) -> dict[str, Any]:
        """All of the frames up to now that the next one depends on, as JSON takes it."""
        ...

    def resume(self, fps: float, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, as if the frames before it had been given."""
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
    unfinished: Unfinished | None = None,
    every: int = 1,
) -> list[Keypoints2D]:
    """Find the joints of all people in every frame of a video, of pictures, or of a part of them.

    Args:
        source: a video, picture, folder of pictures, or `posemamba.io.video.Clip`.
        mode: ``track`` searches for each person near their place in the frame before: it is steadier and faster.
            ``detect`` searches each frame anew: it jitters more and misses more. Use it for pictures that are no clip.
            Not used with a `detector` of your own.
        progress: called with the frames done and the frames in total.
        detector: a detector to use in place of BlazePose *heavy*; it is not closed.
        unfinished: goes on from the frames in it, and gets those that are found, every ten seconds, and in any case
            when this function ends. Not used with a detector that follows people and is no `ResumableDetector`.
        every: search only each `every`-th frame, and the last; joints in between are interpolated, with less
            confidence (`detect.between`).

    Returns:
        One entry for each person, most-seen first (the largest, of those seen nearly as long), `person` 1, 2, ... in
        that order: (F, J, 2) pixels of the frames as
        shown, in the detector's skeleton (BlazePose: 33 joints), with the frames' times since the source's first
        frame. Joints far outside of the image, and all joints of frames in which the person was not found, are NaN
        with confidence 0. Gaps of up to a quarter of a second are interpolated linearly, with confidence 0.

    Warns:
        UserWarning: there are more than 100 people, or fewer in a long clip; of these the ones seen most are kept. Or
            its times were missing, or started anew; or it is interlaced, or of high dynamic range.

    Raises:
        PoseMambaError: the source cannot be read, nobody is in it, `every` leaves out too much, or the detector is not
            installed.
    """
    if mode not in MODES:
        raise PoseMambaError(f"unknown detection mode '{mode}', expected one of {', '.join(MODES)}")
    info = probe(source)
    if info.frames > 1:
        check_every(every, info.fps)
    rate = info.fps / every
    for remark in info.remarks:
        warnings.warn(remark, stacklevel=2)
    with contextlib.ExitStack() as stack:
        if detector is None:
            from posemamba.detect.blazepose import BlazePoseDetector

            detector = stack.enter_context(contextlib.closing(BlazePoseDetector(mode=mode)))
        following = detector if isinstance(detector, FollowingDetector) else None
        resumable = detector if isinstance(detector, ResumableDetector) else None
        if following is not resumable:
            unfinished = None
        found, times = ([], []) if unfinished is None else _left(unfinished, detector, info)
        if resumable is not None and unfinished is not None and unfinished.state is not None:
            with reading(unfinished.path, _LEFT):
                resumable.resume(rate, unfinished.state)
        elif following is not None:
            following.begin(rate)
        if unfinished is None or not unfinished.complete:
            _detect(source, detector, info, found, times, unfinished, progress, every)
        doubtful = set() if following is None else following.doubtful
    if not any(np.isfinite(person.xy).any() for people in found for person in people):
        if unfinished is not None:
            unfinished.discard()
        raise PoseMambaError(
            f"{source}: nobody was found in any of its {len(times)} frames; expected people with most "
            "of the body in the image; crop the video around them or use keypoints of another "
            "detector"
        )
    searched = np.array([i for i in range(len(times)) if i % every == 0 or i == len(times) - 1])
    tracks = _tracks([found[i] for i in searched], rate, doubtful)
    most = _most_people(len(times), len(detector.skeleton))
    if len(tracks) > most:
        warnings.warn(
            f"{info.path.name}: {len(tracks)} people, or pieces of their tracks; kept: the {most} seen in most frames, "
            f"as all of them over {len(times)} frames would fill the memory; for others take a part (--start, --end)",
            stacklevel=2,
        )
    people = [_keypoints(one, searched, np.array(times), detector.skeleton, info) for one in tracks[:most]]
    first = choose_people(people, "longest")[0]
    people.sort(key=lambda person: person is not first)  # the others stay in their order
    return [replace(person, person=number) for number, person in enumerate(people, start=1)]


_LEFT = "the joints that an interrupted run left (--restart begins anew)"


def _left(unfinished: Unfinished, detector: Detector, info: VideoInfo) -> tuple[list[list[Detection]], list[float]]:
    """Return the people of each frame that an interrupted run left, and the frames' times.

    Raises:
        PoseMambaError: they are not those of this detector, or damaged.
    """
    with reading(unfinished.path, _LEFT):
        found, times = unfinished.take()
        for person in (person for people in found for person in people):
            if person.xy.shape != (len(detector.skeleton), 2) or not isinstance(person.id, int | str | None):
                raise ValueError("joints of another skeleton, or ids that are none")
        if not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise ValueError("times that do not rise")
        return [[inside_picture(person, info.image_size) for person in people] for people in found], times


def _detect(
    source: Source,
    detector: Detector,
    info: VideoInfo,
    found: list[list[Detection]],
    times: list[float],
    unfinished: Unfinished | None,
    progress: Progress | None,
    every: int,
) -> None:
    """Find everybody in the frames that are not in `found` yet, and add them, with their times.

    Of frames that are not searched only the times are added.
    """
    resumable = detector if isinstance(detector, ResumableDetector) else None
    done: tuple[int, Any] = len(times), None  # frames, and the detector's state after them: set at once
    try:
        with ahead(_pictures(source, len(times), every)) as frames:  # decoded while the frame before is searched
            for frame, rgb in frames:
                people = [] if rgb is None else detector(rgb)
                found.append([inside_picture(person, info.image_size) for person in people])
                times.append(frame.offset + frame.time)
                if unfinished is not None and rgb is not None:  # what is kept ends with a frame that was searched
                    done = len(times), None if resumable is None else resumable.state
                    if unfinished.due:
                        unfinished.save(found, times, done[1])
                if progress is not None:
                    progress(len(times), max(info.frames, len(times)))
    except BaseException as error:  # an interruption, too, which may come in the middle of a frame
        # nothing is left behind by a source that is refused at once
        if unfinished is not None and (len(unfinished) or not isinstance(error, PoseMambaError)):
            unfinished.save(found[: done[0]], times[: done[0]], done[1])
        raise
    if unfinished is not None:
        unfinished.save(found, times, done[1] if done[1] is not None else unfinished.state, complete=True)


def _pictures(source: Source, skip: int, every: int) -> Iterator[tuple[Frame, NDArray[np.uint8] | None]]:
    """Yield the frames, with their pictures where they are to be searched: each `every`-th and the last."""
    left: Frame | None = None  # not searched, unless it is the last
    for frame in read_frames(source, skip=skip):
        if left is not None:
            yield left, None
        left = frame if frame.index % every else None
        if left is None:
            yield frame, frame.rgb
    if left is not None:
        yield left, left.rgb


def _most_people(frames: int, joints: int) -> int:
    """Return how many people of a clip are kept, with three numbers for each joint in each frame."""
    return min(_MOST_PEOPLE, max(_LEAST_KEPT, int(_MOST_VALUES / (3 * frames * joints))))


def _tracks(found: list[list[Detection]], fps: float, doubtful: set[int]) -> list[Track]:
    """Join the detections of all frames to tracks, without fragments and doubtful ones if others are there."""
    lost_after = max(1, round(fps))  # a second
    tracks = track(found, lost_after=lost_after)
    enough = min(max(1, round(_FRAGMENT * fps)), max(1, len(found) // 10))
    tracks = [t for t in tracks if len(t) >= enough] or tracks[:1]
    return [t for t in tracks if t.id not in doubtful] or tracks[:1]


def _keypoints(
    one: Track, searched: NDArray[np.int64], times: NDArray[np.float64], skeleton: Skeleton, info: VideoInfo
) -> Keypoints2D:
    xy, confidence = one.over(len(searched))
    xy = bridge(xy, times[searched], _BRIDGE)
    xy, confidence = fill_between(xy, confidence, searched, times)
    return Keypoints2D(
        xy=xy,
        confidence=confidence,
        skeleton=skeleton,
        image_size=info.image_size,
        fps=info.fps,
        times=times,
        source=info.path.name,
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


def inside_picture(person: Detection, image_size: tuple[int, int]) -> Detection:
    """Return the detection without joints far outside of the image."""
    size = np.array(image_size)
    margin = _MARGIN * size.max()
    inside = ((person.xy >= -margin) & (person.xy <= size + margin)).all(-1)  # False for NaN
    return Detection(
        np.where(inside[:, None], person.xy, np.nan).astype(np.float32),
        np.where(inside, np.clip(person.confidence, 0, 1), 0).astype(np.float32),
        person.id,
    )
