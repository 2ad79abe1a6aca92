"""The views in a folder laid out as Pose2Sim's projects: videos, each with its calibrated camera, and their 2D joints.

A folder holds ``videos/`` and, in it or beside it, a folder ``calibration``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemamba.evaluate.views.calibration import QCA, find_calibration, read_calibration
from posemamba.evaluate.views.cameras import Camera
from posemamba.io.inputs import VIDEO_SUFFIXES, Input, find_inputs
from posemamba.io.keypoints import is_keypoint_file
from posemamba.io.keypoints.detected import FILE, Detected, read_detected, write_detected
from posemamba.pipeline.reading import Reading
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import writing
from posemamba.utils.progress import Progress

LEAST_VIEWS = 3
_SAME_RATE = 0.005  # relative difference of two frame rates: those of short clips are measured, not declared


@dataclass(frozen=True)
class VideoView:
    """A calibrated video.

    Attributes:
        input: the video; the last part of its `out` is the view's name.
        camera: for pictures of the video's size.
        fps, frames: of the video.
    """

    input: Input
    camera: Camera
    fps: float
    frames: int

    @property
    def name(self) -> str:
        return self.input.out.name


@dataclass(frozen=True)
class Folder:
    """The views of a folder.

    Attributes:
        views: at least three.
        calibration: the file of the cameras.
        frames: those that all videos have, from the start.
        notes: what was assumed, a line each.
    """

    views: tuple[VideoView, ...]
    calibration: Path
    frames: int
    notes: tuple[str, ...]


def is_views_folder(path: Path) -> bool:
    """Return True for a folder with ``videos`` or a calibration, complete or not, or with videos themselves."""
    if not path.is_dir():
        return False
    for entry in path.iterdir():
        name = entry.name.lower()
        if (name == "videos" or name.startswith("calib")) if entry.is_dir() else name.endswith((QCA, *VIDEO_SUFFIXES)):
            return True
    return False


def find_views(folder: Path, calibration: Path | None = None) -> Folder:
    """Find a folder's videos and cameras, and check that they belong together.

    Args:
        folder: holds ``videos/``; other files in it are left alone.
        calibration: its file; None: found by `find_calibration`.

    Raises:
        PoseMambaError: something is missing, or videos and cameras differ in number, size or frame rate.
    """
    from posemamba.io.video.reading import probe

    if not folder.is_dir():
        raise PoseMambaError(f"{folder}: no such folder; expected one with videos/ and calibration/")
    home = next((p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() == "videos"), None)
    if home is None:
        raise PoseMambaError(f"{folder}: has no folder 'videos'; expected the synchronised videos, one of each view")
    if not any(file.suffix.lower() in VIDEO_SUFFIXES for file in home.iterdir()):
        raise PoseMambaError(f"{home}: holds no video; expected the synchronised videos, one of each view")
    inputs = find_inputs([home], Path())
    path = find_calibration(folder) if calibration is None else calibration
    cameras = read_calibration(path)
    order, by_order = match_names([one.out.name for one in inputs], [c.name for c in cameras], f"{folder}, {path.name}")
    if len(inputs) < LEAST_VIEWS:
        raise PoseMambaError(
            f"{folder}: holds {len(inputs)} views, expected at least {LEAST_VIEWS}: the reference of a view is "
            "triangulated from two others"
        )
    notes = []
    if by_order:
        pairs = ", ".join(f"{i.path.name} {cameras[c].name}" for i, c in zip(inputs, order, strict=True))
        notes.append(f"videos and cameras have different names; taken in the order of both: {pairs}")
    views = []
    for one, camera in zip(inputs, order, strict=True):
        info = probe(one.path)
        fitted = cameras[camera].for_size(info.image_size, str(one.path))
        if max(abs(a - b) for a, b in zip(cameras[camera].size, info.image_size, strict=True)) > 1:
            w, h = cameras[camera].size
            notes.append(
                f"{one.path.name}: {info.width}x{info.height} pixels, calibrated for {w:g}x{h:g}: taken for scaled "
                "and centred"
            )
        views.append(VideoView(one, fitted, info.fps, info.frames))
    slow, fast = (pick(views, key=lambda view: view.fps) for pick in (min, max))
    if fast.fps / slow.fps - 1 > _SAME_RATE:
        raise PoseMambaError(
            f"{folder}: {slow.input.path.name} has {slow.fps:.6g} frames per second, {fast.input.path.name} "
            f"{fast.fps:.6g}; expected synchronised videos of one frame rate"
        )
    return Folder(tuple(views), path, min(view.frames for view in views), tuple(notes))


def match_names(videos: Sequence[str], cameras: Sequence[str], where: str) -> tuple[list[int], bool]:
    """Match videos with cameras: by equal names, by a name within the other, else by the order of both.

    Args:
        videos: their names without suffix, sorted.
        cameras: their names, sorted.
        where: for the error.

    Returns:
        The index of each video's camera; and True if the order decided.

    Raises:
        PoseMambaError: the numbers differ, or some names say otherwise than the order does.
    """
    if len(videos) != len(cameras):
        raise PoseMambaError(
            f"{where}: {len(videos)} videos ({', '.join(videos)}) and {len(cameras)} cameras ({', '.join(cameras)}); "
            "expected one video of each camera; move others away, or give another --calibration"
        )
    known: list[int | None] = []
    for video in videos:
        equal = [i for i, camera in enumerate(cameras) if camera.lower() == video.lower()]
        within = equal or [i for i, camera in enumerate(cameras) if _holds(video, camera) or _holds(camera, video)]
        known.append(within[0] if len(within) == 1 else None)
    matched = [camera for camera in known if camera is not None]
    if len(set(matched)) == len(cameras):
        return matched, False
    if any(camera not in (None, i) for i, camera in enumerate(known)):
        raise PoseMambaError(
            f"{where}: videos {', '.join(videos)} match the cameras {', '.join(cameras)} neither by name nor in order; "
            "name each video after its camera"
        )
    return list(range(len(videos))), True


def _holds(text: str, part: str) -> bool:
    """Tell whether a name is within another, with no digit before or after it that belongs to the same number."""
    first, last = ("(?<!\\d)" if part[:1].isdigit() else ""), ("(?!\\d)" if part[-1:].isdigit() else "")
    return bool(part) and re.search(first + re.escape(part.lower()) + last, text.lower()) is not None


def read_joints(
    view: VideoView, reading: Reading, kept: Path | None, frames: int, progress: Progress | None = None
) -> tuple[list[Keypoints2D], str]:
    """Return everybody's 2D joints in a view, and where they are from.

    Args:
        view: with its video.
        reading: the detector.
        kept: a folder with joints of earlier: ``NAME/keypoints.npz`` as `posemamba lift` keeps it, or a keypoint file
            or OpenPose's folder called NAME or NAME_json. What is not there is detected and put there. None: detect.
        frames: the first frames of the video, which are kept.
        progress: called as progress(frames done, frames to do) while joints are detected.

    Raises:
        PoseMambaError: kept joints are of another video or detector, or nobody is found.
    """
    file = None if kept is None else _find_kept(view, kept)
    if file is not None:
        people, source = _read_kept(view, reading, file)
    else:
        source = reading.detector_of(view.input)
        detector = reading.make_detector(mode=reading.mode_of(view.input))
        try:
            people = reading.everybody(view.input, detector=detector, progress=progress)
        finally:
            detector.close()
        if kept is not None:
            target = kept / view.name / FILE
            with writing(target):
                write_detected(target, Detected(people, source, reading.detection_digest(view.input)))
            source = f"{source}, kept in {kept}"
    cut = [person.select(np.arange(min(frames, len(person)))) for person in people]
    cut = [person for person in cut if person.seen.any()]
    if not cut:
        raise PoseMambaError(f"{view.input.path}: nobody in its first {frames} frames, which all views have")
    return cut, source


def _find_kept(view: VideoView, kept: Path) -> Path | None:
    own = kept / view.name / FILE
    if own.is_file():
        return own
    if not kept.is_dir():
        return None
    names = {view.name.lower(), f"{view.name.lower()}_json", view.input.path.name.lower()}
    found = [
        path
        for path in sorted(kept.iterdir())
        if (path.name.lower() in names or path.stem.lower() in names) and is_keypoint_file(path)
    ]
    if len(found) > 1:
        raise PoseMambaError(
            f"{kept}: holds {' and '.join(path.name for path in found)} for the view {view.name}, expected one of them"
        )
    return found[0] if found else None


def _read_kept(view: VideoView, reading: Reading, file: Path) -> tuple[list[Keypoints2D], str]:
    if file.name == FILE:
        detected = read_detected(file)
        people, wanted = detected.people, reading.detector_of(view.input)
        source = f"{detected.detector or 'an unknown detector'}, found in {file.parent.parent}"
        if reading.detector is not None and detected.detector != wanted:
            raise PoseMambaError(
                f"{file}: holds the joints of {detected.detector or 'an unknown detector'}, --detector asks for "
                f"{wanted}; leave it out, or give another folder"
            )
    else:
        given = Reading(video=view.input.path)
        people, source = given.everybody(Input(file, view.input.out, "keypoints")), f"files in {file.parent}"
    size = tuple(round(side) for side in view.camera.size)
    if people[0].image_size != size or len(people[0]) > view.frames:
        raise PoseMambaError(
            f"{file}: {len(people[0])} frames of {'x'.join(map(str, people[0].image_size))} pixels, but "
            f"{view.input.path} has {view.frames} of {'x'.join(map(str, size))}; give the joints of this video"
        )
    return people, source
