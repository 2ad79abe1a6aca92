"""Helpers shared by the readers of keypoint files: checks, and defaults for facts that a file lacks."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Feet2D, Keypoints2D
from posemamba.poses.ranges import LARGEST_IMAGE, MOST_IN_A_FRAME
from posemamba.poses.skeletons import COCO17, FEET, H36M17, MPI3DHP17, SKELETONS, Skeleton
from posemamba.poses.tracking import Detection, Track, same_body, track
from posemamba.utils.errors import PoseMambaError

_ASSUMED_FPS = 30.0
_SHARED = 0.2  # of an id's frames: an id that people apart share in more of them tells nobody apart
_MOST_SHARING = 8  # detections with one id in a frame that are compared
_COMMON_SIZES = ((640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160), (7680, 4320))


@dataclass
class RawPeople:
    """The content of a keypoint file, before checks and defaults.

    Attributes:
        tracks: all people, most-seen first; coordinates are NaN where missing.
        frames: the number of frames F.
        skeleton, fps, image_size, times: None where the file lacks them; times are (F,) seconds.
        source: the origin of the keypoints, as the file names it.
        shares: True if coordinates are shares of the image's width and height.
        confident: True if the file has confidences; else a joint at (0, 0) counts as not found.
        person: the number that the file gives to its only person.
        numbered: True if the tracks' ids are the people's numbers.
        feet: True if the last four joints of the tracks are heels and foot tips beside the skeleton
            (`posemamba.poses.skeletons.FEET`).
    """

    tracks: list[Track]
    frames: int
    skeleton: Skeleton | None = None
    fps: float | None = None
    image_size: tuple[int, int] | None = None
    times: NDArray[np.float64] | None = None
    source: str | None = None
    shares: bool = False
    confident: bool = True
    person: int = 1
    numbered: bool = False
    feet: bool = False


def detection(xy: NDArray[np.floating], confidence: NDArray[np.floating], name: Hashable = None) -> Detection:
    """Make a detection of (J, 2) pixels and (J,) confidences; joints at (0, 0) without confidence are missing."""
    nowhere = (xy == 0).all(-1) & ~(confidence > 0)
    return Detection(np.where(nowhere[:, None], np.nan, xy), confidence, name)


def follow(path: Path, people: Mapping[int, Sequence[Detection]], frames: int) -> list[Track]:
    """Follow all people of a file from frame to frame; ids that say nothing are taken from the detections.

    Args:
        path: the file, for the error.
        people: the detections of each frame, by its number.
        frames: the number of frames.

    Raises:
        PoseMambaError: there is nobody, or too many in one frame, or people have different numbers of joints.
    """
    frame, most = max(((frame, len(persons)) for frame, persons in people.items()), key=lambda f: f[1], default=(0, 0))
    if most > MOST_IN_A_FRAME:
        raise PoseMambaError(
            f"{path}: {most} people in frame {frame}, expected {MOST_IN_A_FRAME} at most: one entry for each person; "
            "correct it, or cut the picture into parts"
        )
    joints = {len(person.xy) for persons in people.values() for person in persons}
    if not joints:
        raise PoseMambaError(f"{path}: nobody was found in any of its {frames} frames")
    if len(joints) > 1:
        raise PoseMambaError(
            f"{path}: instances with {' and '.join(map(str, sorted(joints)))} joints, expected the same number in all"
        )
    nameless = _shared_ids(people)
    for person in (person for persons in people.values() for person in persons):
        person.id = None if person.id in nameless else person.id
    return track(people)


def _shared_ids(people: Mapping[int, Sequence[Detection]]) -> set[Hashable]:
    """Return the ids that people of one frame share too often to tell them apart.

    Programs without a tracker give everybody the same id. A surplus detection of one body does not count.
    """
    frames: Counter[Hashable] = Counter()
    shared: Counter[Hashable] = Counter()
    for persons in people.values():
        by_id: dict[Hashable, list[Detection]] = {}
        for person in persons:
            if person.id is not None:
                by_id.setdefault(person.id, []).append(person)
        frames.update(list(by_id))
        for name, same in by_id.items():
            pairs = itertools.combinations(same[:_MOST_SHARING], 2)
            shared[name] += len(same) > 1 and not all(same_body(one, other) for one, other in pairs)
    return {name for name, count in shared.items() if count > _SHARED * frames[name] or (count and len(frames) == 1)}


def in_shares(xy: NDArray[np.floating]) -> bool:
    """Return True if coordinates, (..., 2), are shares of the image; people may be a little outside of it."""
    found = np.abs(xy[np.isfinite(xy)])
    return bool(len(found) and np.percentile(found, 95) <= 2)


def finish(
    path: Path,
    raw: RawPeople,
    *,
    skeleton: Skeleton | None,
    fps: float | None,
    image_size: tuple[int, int] | None,
) -> list[Keypoints2D]:
    """Check the values, recognise the skeleton, and fill in facts that the file lacks; see `read_people`.

    Returns:
        All people, in the order of the tracks, with all frames each.

    Raises:
        PoseMambaError: the values cannot be keypoints in pixels, or a fact without a default is missing.
    """
    frames = raw.frames
    if frames == 0:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    nobody = f"{path}: no joint was found in any of its {frames} frames (all NaN or zero)"
    if not raw.tracks:
        raise PoseMambaError(nobody)
    numbers = np.concatenate([t.frames for t in raw.tracks])
    everything = np.concatenate([t.xy for t in raw.tracks])
    confidences = np.concatenate([t.confidence for t in raw.tracks])
    if np.isnan(everything).any(-1).all() or not np.nan_to_num(everything).any():
        raise PoseMambaError(nobody)
    beside = len(FEET) if raw.feet else 0
    skeleton = _skeleton(path, everything[:, : everything.shape[1] - beside], raw.skeleton, skeleton)
    names = (*skeleton.joints, *FEET)
    size = image_size or raw.image_size
    if size is not None and min(size) <= 0:
        raise PoseMambaError(f"{path}: image size {size[0]}x{size[1]}, expected positive numbers of pixels")
    if raw.shares:
        if size is None:
            raise PoseMambaError(
                f"{path}: coordinates are shares of the image's width and height, which the file lacks; "
                "give them: --image-size WIDTHxHEIGHT"
            )
        everything = everything * np.array(size, np.float64)
    with np.errstate(over="ignore"):
        everything = everything.astype(np.float32)
    if len(bad := np.argwhere(np.isinf(everything))):
        entry, joint = bad[0][:2]
        raise PoseMambaError(
            f"{path}: frame {numbers[entry]}, joint {joint} ({names[joint]}) is infinite: "
            f"{everything[entry, joint].tolist()}; expected pixels, or NaN for a joint that was not found"
        )
    if len(bad := np.argwhere(np.isinf(confidences))):
        entry, joint = bad[0]
        raise PoseMambaError(
            f"{path}: frame {numbers[entry]}, joint {joint} ({names[joint]}) has an infinite confidence; "
            "expected 0 to 1"
        )
    nowhere = (everything == 0).all(-1)
    if raw.confident:
        nowhere &= ~(confidences > 0)
    missing = nowhere | np.isnan(everything).any(-1)
    everything[missing] = np.nan
    if missing.all():
        raise PoseMambaError(nobody)
    largest = float(np.nanmax(np.abs(everything)))
    if largest <= 2:
        raise PoseMambaError(
            f"{path}: all coordinates lie within {largest:.3g} of zero: shares of the image, not pixels; "
            "multiply x by the image's width and y by its height"
        )
    if np.nanmax(confidences, initial=0) > 1.5:
        warnings.warn(
            f"{path.name}: confidences up to {np.nanmax(confidences):.3g}, expected 0 to 1: cut off at 1",
            stacklevel=4,
        )
    confidences = np.where(missing, 0, np.clip(np.nan_to_num(confidences), 0, 1)).astype(np.float32)

    assumed = []
    fps = _positive(path, fps, "--fps") or _positive(path, raw.fps, "fps in the file")
    if fps is None:
        fps = _ASSUMED_FPS
        if raw.times is None:
            assumed.append(f"{fps:g} frames per second (--fps)")
        elif frames > 1:
            fps = float((frames - 1) / (raw.times[-1] - raw.times[0]))
    if size is None:
        size = _guess_size(path, everything)
        assumed.append(f"an image of {size[0]}x{size[1]} pixels (--image-size)")
    if assumed:
        warnings.warn(f"{path.name}: the file lacks some facts; assumed: {' and '.join(assumed)}", stacklevel=4)
    source = raw.source or path.name
    ends = np.cumsum([len(t) for t in raw.tracks])[:-1]
    people = []
    for i, (part, xy, confidence) in enumerate(
        zip(raw.tracks, np.split(everything, ends), np.split(confidences, ends), strict=True)
    ):
        xy, confidence = Track(part.frames, xy, confidence).over(frames)
        number = raw.person if len(raw.tracks) == 1 else i + 1
        if raw.numbered and isinstance(part.id, int):
            number = part.id
        feet = Feet2D(xy[:, len(skeleton) :], confidence[:, len(skeleton) :]) if beside else None
        xy, confidence = xy[:, : len(skeleton)], confidence[:, : len(skeleton)]
        people.append(
            Keypoints2D(
                xy=xy,
                confidence=confidence,
                skeleton=skeleton,
                image_size=size,
                fps=fps,
                times=raw.times,
                source=f"{source} (assumed: {' and '.join(assumed)})" if assumed else source,
                person=number,
                feet=feet,
            )
        )
    return people


def _positive(path: Path, fps: float | None, what: str) -> float | None:
    """Return a frame rate after a check that it is positive; None stays."""
    if fps is None:
        return None
    if not (np.isfinite(fps) and fps > 0):
        raise PoseMambaError(f"{path}: {what} is {fps:g}, expected a positive number of frames per second")
    return float(fps)


def _guess_size(path: Path, xy: NDArray[np.float32]) -> tuple[int, int]:
    """Find the smallest common video size that holds the joints; a few may lie outside.

    Raises:
        PoseMambaError: they lie farther apart than in any image.
    """
    found = xy[np.isfinite(xy).all(-1)]
    extent = np.percentile(found, 99, axis=0)
    sizes = [s for size in _COMMON_SIZES for s in (size, size[::-1])]
    for width, height in sizes:
        if extent[0] <= width and extent[1] <= height:
            return width, height
    if extent.max() > LARGEST_IMAGE:
        raise PoseMambaError(
            f"{path}: joints lie {extent.max():.3g} pixels from the image's corner: the numbers are broken; where they "
            "are right give --image-size WIDTHxHEIGHT"
        )
    width, height = np.maximum(np.ceil(extent * 1.1), 1).astype(int).tolist()
    return width, height


def _skeleton(path: Path, xy: NDArray[np.floating], in_file: Skeleton | None, wanted: Skeleton | None) -> Skeleton:
    """Choose the skeleton: the wanted one, the file's, or the one recognised by (F, J, 2) joints."""
    joints = xy.shape[1]
    known = ", ".join(f"{s.name} ({len(s)})" for s in SKELETONS.values())
    named = wanted or in_file
    if named is not None:
        if len(named) != joints:
            origin = "--skeleton" if wanted else "the file"
            raise PoseMambaError(
                f"{path}: holds {joints} joints, but {origin} names {named.name} with {len(named)}; known: {known}"
            )
        return named
    candidates = [s for s in SKELETONS.values() if len(s) == joints]
    if not candidates:
        raise PoseMambaError(f"{path}: holds {joints} joints, which is no known skeleton; known: {known}")
    if len(candidates) == 1:
        return candidates[0]
    if (recognised := recognise_17(xy)) is not None:
        return recognised
    raise PoseMambaError(
        f"{path}: {joints} joints may be any of {', '.join(s.name for s in candidates)}, and their positions "
        "do not show which; name it: --skeleton NAME, or a 'skeleton' in the file"
    )


def recognise_17(xy: NDArray[np.floating]) -> Skeleton | None:
    """Recognise a skeleton of 17 joints (Human3.6M, COCO or MPI-INF-3DHP) by its geometry; None if it is not clear.

    COCO's first five joints are the nose, the eyes and the ears, close to each other. The first five of the others are
    far apart, and their pelvis lies half-way between the hips: joint 0 between 1 and 4 in Human3.6M, 14 between 8 and
    11 in MPI-INF-3DHP.

    Args:
        xy: (F, 17, 2), NaN where missing.
    """
    found = np.isfinite(xy).all(-1) & (xy != 0).any(-1)
    enough = found[:, :5].all(-1) & (found.sum(-1) >= 10)
    xy = np.where(found[..., None], xy, np.nan).astype(np.float64)[enough]
    extent = (np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1) if len(xy) else np.zeros(0)
    xy, extent = xy[extent > 0], extent[extent > 0]
    if not len(xy):
        return None
    spread = np.median(np.linalg.norm(xy[:, 1:5] - xy[:, :1], axis=-1).max(-1) / extent)

    def off_middle(pelvis: int, left: int, right: int) -> float:
        off = np.linalg.norm(xy[:, pelvis] - (xy[:, left] + xy[:, right]) / 2, axis=-1) / extent
        return float(np.nanmedian(off)) if np.isfinite(off).any() else np.inf

    if spread < 0.22:
        return COCO17
    if spread > 0.3:
        h36m, mpi = off_middle(0, 1, 4), off_middle(14, 8, 11)
        if h36m < 0.05 and h36m < 2 * mpi:
            return H36M17
        # in Human3.6M 14, 8 and 11 are shoulders and thorax, which coincide when seen from the side
        if mpi < 0.05 and h36m > 0.1:
            return MPI3DHP17
    return None
