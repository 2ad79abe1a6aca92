"""Helpers shared by the readers of keypoint files: checks, and defaults for facts that a file lacks."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.keypoints.places import broken, marks
from posemamba.poses.detections import Detection, Track, same_body
from posemamba.poses.ranges import MOST_IN_A_FRAME
from posemamba.poses.skeletons import COCO17, H36M17, MPI3DHP17, SKELETONS, Skeleton
from posemamba.utils.errors import PoseMambaError

_LARGE = 10_000  # pixels: what lies beyond may be broken; for single joints within see `finishing`
_SHARED = 0.2  # of an id's frames: an id that people apart share in more of them tells nobody apart
_MOST_SHARING = 8  # detections with one id in a frame that are compared


@dataclass
class RawPeople:
    """The content of a keypoint file, before checks and defaults.

    Attributes:
        tracks: all people, most-seen first; coordinates are NaN where missing.
        frames: the number of frames F.
        skeleton, fps, image_size, times: None where the file lacks them; times are (F,) as the file has them, NaN for
            frames without one.
        source: the origin of the keypoints, as the file names it.
        shares: True if coordinates are shares of the image's width and height.
        confident: True if the file has confidences; else a joint at (0, 0) counts as not found.
        person: the number that the file gives to its only person.
        numbered: True if the tracks' ids are the people's numbers.
        first: the number of the first frame; None: the file does not number its frames.
        from_zero: True if the format's numbers count from 0.
        time_unit: seconds of the unit of `times`, if the file names it.
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
    first: int | None = None
    from_zero: bool = False
    time_unit: float | None = None


def detection(xy: NDArray[np.floating], confidence: NDArray[np.floating], name: Hashable = None) -> Detection:
    """Make a detection of (J, 2) pixels and (J,) confidences; places that are none are missing.

    A person all of whose joints are broken stays, to be refused with the rest of the file.
    """
    lost = marks(xy)
    if (np.abs(xy) > _LARGE).any() and not ((far := broken(xy)) | lost).all():
        lost |= far
    return Detection(np.where(lost[:, None], np.nan, xy), confidence, name)


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
    from posemamba.poses.tracking import track  # files of tracks need none

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


def in_order(stamps: Mapping[int, float], first: int, last: int) -> NDArray[np.float64]:
    """Return the times of frames first to last, as the file has them; NaN for frames without one."""
    return np.array([stamps.get(number, np.nan) for number in range(first, last + 1)], np.float64)


def choose_skeleton(
    path: Path, xy: NDArray[np.floating], in_file: Skeleton | None, wanted: Skeleton | None
) -> Skeleton:
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
