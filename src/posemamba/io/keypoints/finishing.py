"""The last steps of every reader of keypoint files: checks, times, places, and defaults for facts that a file lacks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.matching import Numbering, VideoFacts, check_picture, match_frames
from posemamba.io.keypoints.places import broken, check_pixels, check_shares, in_a_corner, marks, outside
from posemamba.io.keypoints.raw import RawPeople, choose_skeleton
from posemamba.io.keypoints.source import LARGEST_GAP, LARGEST_IMAGE
from posemamba.io.keypoints.times import AGREES_WITH_USER, settle
from posemamba.poses import Feet2D, Keypoints2D
from posemamba.poses.detections import Track
from posemamba.poses.posture import posture
from posemamba.poses.skeletons import FEET, Skeleton
from posemamba.poses.times import check_rate
from posemamba.utils.errors import PoseMambaError

_ASSUMED_FPS = 30.0
_ENOUGH = 5000  # rows by which all are judged
_COMMON_SIZES = ((640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160), (7680, 4320))


def finish(
    path: Path,
    raw: RawPeople,
    *,
    skeleton: Skeleton | None,
    fps: float | None,
    image_size: tuple[int, int] | None,
    video: VideoFacts | None = None,
) -> list[Keypoints2D]:
    """Check the values, recognise the skeleton, and fill in facts that the file lacks; see `read_people`.

    Returns:
        All people, in the order of the tracks, with all frames each.

    Raises:
        PoseMambaError: the values cannot be keypoints in pixels, a fact without a default is missing, or the video
            cannot be theirs.
    """
    if raw.frames == 0:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    if not raw.tracks:
        raise PoseMambaError(_nobody(path, raw))
    beside = len(FEET) if raw.feet else 0
    everything = np.concatenate([t.xy for t in raw.tracks])
    lost = marks(everything)
    if lost.all():
        raise PoseMambaError(_nobody(path, raw))
    far = broken(everything)
    bodies = np.where((lost | far)[..., None], np.nan, everything)[:, : everything.shape[1] - beside]
    skeleton = choose_skeleton(path, bodies, raw.skeleton, skeleton)
    size = _size(path, image_size or raw.image_size)
    seen = None if video is None else video.image_size
    xy, confidence, remarks = _places(path, raw, (lost, far), (*skeleton.joints, *FEET), size or seen)
    assumed: list[str] = []
    times, rate = _timing(path, raw, fps, video, remarks, assumed)
    if video is not None:
        check_picture(path, _some(xy), _some(confidence), size, video)
        if size is None and not raw.shares and (said := in_a_corner(_some(xy), video.image_size)):
            remarks.append(f"{path.name}: {said}")
        size = size or video.image_size
    elif size is None:
        size = _guess_size(xy)
        assumed.append(f"an image of {size[0]}x{size[1]} pixels (--image-size)")
    elif said := outside(_some(xy), _some(confidence), size):
        remarks.append(f"{path.name}: {said}")
    if assumed:
        remarks.append(f"{path.name}: the file lacks some facts; assumed: {' and '.join(assumed)}")
    source = raw.source or path.name
    ends = np.cumsum([len(t) for t in raw.tracks])[:-1]
    people = []
    for i, (part, own, sure) in enumerate(zip(raw.tracks, np.split(xy, ends), np.split(confidence, ends), strict=True)):
        own, sure = Track(part.frames, own, sure).over(raw.frames)
        number = raw.person if len(raw.tracks) == 1 else i + 1
        if raw.numbered and isinstance(part.id, int):
            number = part.id
        feet = Feet2D(own[:, len(skeleton) :], sure[:, len(skeleton) :]) if beside else None
        people.append(
            Keypoints2D(
                xy=own[:, : len(skeleton)],
                confidence=sure[:, : len(skeleton)],
                skeleton=skeleton,
                image_size=size,
                fps=rate,
                times=times,
                source=f"{source} (assumed: {' and '.join(assumed)})" if assumed else source,
                person=number,
                feet=feet,
            )
        )
    if said := posture(max(people, key=lambda p: int(p.seen.sum())).select(_some(np.arange(raw.frames)))).remark:
        remarks.append(f"{path.name}: {said}")
    for remark in remarks:
        warnings.warn(remark, stacklevel=4)
    return people


def _some(rows: NDArray[Any]) -> NDArray[Any]:
    """Return evenly spread rows, enough for a judgement on all."""
    return rows[:: max(1, len(rows) // _ENOUGH)]


def _nobody(path: Path, raw: RawPeople) -> str:
    return f"{path}: no joint was found in any of its {raw.frames} frames (all NaN, or marks such as 0, 0 and -1, -1)"


def _places(
    path: Path,
    raw: RawPeople,
    none: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    names: Sequence[str],
    size: tuple[int, int] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """Return the joints of all tracks one behind the other in pixels, (n, J, 2), NaN where there is no place.

    Args:
        path: the file, for messages.
        raw: its content.
        none: (n, J) places that are marks, and broken ones.
        names: of the joints.
        size: of the picture, if it is known.

    Returns:
        The joints, their confidence (n, J), 0 where there is no place, and remarks for the user.

    Raises:
        PoseMambaError: the values cannot be keypoints in pixels.
    """
    numbers = np.concatenate([t.frames for t in raw.tracks])
    xy = np.concatenate([t.xy for t in raw.tracks]).astype(np.float64, copy=False)
    confidence = np.concatenate([t.confidence for t in raw.tracks]).astype(np.float64)
    if len(bad := np.argwhere(np.isinf(xy))):
        entry, joint = bad[0][:2]
        raise PoseMambaError(
            f"{path}: frame {numbers[entry]}, joint {joint} ({names[joint]}) is infinite: "
            f"{xy[entry, joint].tolist()}; expected pixels, or NaN for a joint that was not found"
        )
    if len(bad := np.argwhere(np.isinf(confidence))):
        entry, joint = bad[0]
        raise PoseMambaError(
            f"{path}: frame {numbers[entry]}, joint {joint} ({names[joint]}) has an infinite confidence; "
            "expected 0 to 1"
        )
    remarks = []
    lost, far = none
    if far.any():
        largest = float(np.abs(xy[far]).max())
        if far.sum() > 0.5 * (~lost).sum():
            raise PoseMambaError(
                f"{path}: joints lie {largest:.3g} pixels from the image's corner: the numbers are broken"
            )
        remarks.append(f"{path.name}: {far.sum()} joints lie up to {largest:.3g} pixels away: taken for not found")
    xy[lost | far] = np.nan
    if raw.shares:
        check_shares(path, _some(xy))
        if size is None:
            raise PoseMambaError(
                f"{path}: coordinates are shares of the image's width and height, and the file gives no usable "
                "size (numbers of pixels); give it: --image-size WIDTHxHEIGHT"
            )
        xy = xy * np.array(size, np.float64)
    largest = float(np.nanmax(np.abs(xy)))
    if largest <= 2:
        check_shares(path, _some(xy))
        raise PoseMambaError(
            f"{path}: all coordinates lie within {largest:.3g} of zero: shares of the image, not pixels; "
            "multiply x by the image's width and y by its height"
        )
    if said := check_pixels(path, _some(xy)):
        remarks.append(f"{path.name}: {said}")
    if np.nanmax(confidence, initial=0) > 1.5:
        remarks.append(
            f"{path.name}: confidences up to {np.nanmax(confidence):.3g}, expected 0 to 1: cut off at 1; "
            "if they are depths or per cent, write the file without depths, or divided by 100"
        )
    missing = np.isnan(xy).any(-1)
    confidence = np.where(missing, 0, np.clip(np.nan_to_num(confidence), 0, 1))
    return xy.astype(np.float32), confidence.astype(np.float32), remarks


def _timing(
    path: Path, raw: RawPeople, given: float | None, video: VideoFacts | None, remarks: list[str], assumed: list[str]
) -> tuple[NDArray[np.float64] | None, float]:
    """Return the frames' times, (F,) seconds or None, and their rate.

    With a video the frames are moved to their places in it.

    Args:
        path, raw, video: the file, its content, the video that it belongs to.
        given: the user's frame rate.
        remarks, assumed: to which what was found out and assumed is added.

    Raises:
        PoseMambaError: times or a rate are none, or the video cannot be that of the frames.
    """
    given = None if given is None else check_rate(given, f"{path}: --fps")
    said = None if raw.fps is None else check_rate(raw.fps, f"{path}: fps in the file")
    own = None
    if raw.times is not None:
        own = settle(path, np.asarray(raw.times, np.float64), raw.time_unit, said, None if video else given)
    if own is not None:
        remarks += own.remarks
    if video is not None:
        times = own.times if own is not None else None if said is None else np.arange(raw.frames) / said
        numbering = Numbering(raw.frames, raw.first, raw.from_zero, times)
        places = match_frames(path, numbering, video)
        for track in raw.tracks:
            track.frames = places[track.frames]
        raw.frames = int(places[-1]) + 1
        if given is None or abs(given / video.fps - 1) <= AGREES_WITH_USER:
            return video.times[: raw.frames], video.fps
        remarks.append(f"{path.name}: --fps is {given:g}, and taken in place of {video.path.name}'s {video.fps:.4g}")
        return None, given
    if own is not None:
        return own.times, own.fps
    fps = given or said
    if fps is None:
        fps = _ASSUMED_FPS
        assumed.append(f"{fps:g} frames per second (--fps)")
    if raw.first is None or not 1 < raw.first < LARGEST_GAP:
        return None, fps
    return (raw.first + np.arange(raw.frames)) / fps, fps  # the times in its video, which is not at hand


def _size(path: Path, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return an image's size after a check that there are such images."""
    if size is not None and not 0 < min(size) <= max(size) <= LARGEST_IMAGE:
        raise PoseMambaError(f"{path}: image size {size[0]}x{size[1]}, expected positive numbers of pixels")
    return size


def _guess_size(xy: NDArray[np.float32]) -> tuple[int, int]:
    """Find the smallest common video size that holds the joints; a few may lie outside."""
    found = xy[np.isfinite(xy).all(-1)]
    extent = np.percentile(found, 99, axis=0)
    sizes = [s for size in _COMMON_SIZES for s in (size, size[::-1])]
    for width, height in sizes:
        if extent[0] <= width and extent[1] <= height:
            return width, height
    width, height = np.maximum(np.ceil(extent * 1.1), 1).astype(int).tolist()
    return width, height
