"""Keypoint files: reading those of other programs, and writing our own.

`read_people` and `read_keypoints` recognise a file by its content, not by its name, and report errors in one line.
"""

from __future__ import annotations

import codecs
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemamba.io.keypoints import limits
from posemamba.io.keypoints.finishing import finish
from posemamba.io.keypoints.matching import VideoFacts
from posemamba.io.keypoints.npz import write_keypoints_npz
from posemamba.io.keypoints.raw import RawPeople
from posemamba.io.keypoints.source import Source, describe, listed
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import Skeleton, get_skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import is_special, reading

__all__ = ["Format", "is_keypoint_file", "known_formats", "read_keypoints", "read_people", "write_keypoints_npz"]

MAX_PEOPLE = 100
"""The most people that `read_people` returns, as each has arrays over all frames."""

_WHAT = "a keypoint file"
_FRAGMENT = 3  # frames: a shorter track is a false detection or a piece of another one


@dataclass(frozen=True)
class Format:
    """A format of keypoint files.

    Attributes:
        name: the value of `format` in `read_keypoints`.
        suffix: the usual suffix of the files; ``/`` for a folder.
        description: one line.
        read: reads such a file.
        kinds: the kinds of file that it can be: npz, json, csv, hdf5 or folder.
    """

    name: str
    suffix: str
    description: str
    read: Callable[[Source], RawPeople]
    kinds: tuple[str, ...]


def _reader(module: str, name: str = "read") -> Callable[[Source], RawPeople]:
    """Return a reader of this package whose module is imported when it is called."""

    def read(source: Source) -> RawPeople:
        people: RawPeople = getattr(importlib.import_module(f"posemamba.io.keypoints.{module}"), name)(source)
        return people

    return read


_FORMATS = (
    Format(
        "npz",
        ".npz",
        "NumPy arrays: keypoints (F, J, 2) or (F, J, 3), or of several people (P, F, J, 2 or 3), and perhaps "
        "confidence, fps, image_size, skeleton, times",
        _reader("npz"),
        ("npz",),
    ),
    Format(
        "mmpose",
        ".json or /",
        "the predictions that MMPose's inferencer and demos save, one file or one a frame",
        _reader("mmpose"),
        ("json", "folder"),
    ),
    Format(
        "alphapose",
        ".json",
        "AlphaPose's results: COCO-17, Halpe-26 or whole bodies",
        _reader("alphapose"),
        ("json",),
    ),
    Format(
        "openpose",
        "/",
        "a folder of OpenPose's JSON by frame, as OpenPose, Pose2Sim and users of rtmlib write it",
        _reader("openpose"),
        ("folder",),
    ),
    Format(
        "ultralytics",
        ".json or /",
        "Ultralytics' to_json(): a list of frames, or one file a frame",
        _reader("ultralytics"),
        ("json", "folder"),
    ),
    Format("yolo", "/", "a folder of YOLO's pose labels, one .txt a frame", _reader("yolo"), ("folder",)),
    Format("coco", ".json", "COCO's annotations: images, annotations, categories", _reader("coco"), ("json",)),
    Format("mediapipe", ".json or .csv", "MediaPipe's 33 landmarks by frame", _reader("mediapipe"), ("json", "csv")),
    Format(
        "detectron2",
        ".npz",
        "detections of VideoPose3D's inference script",
        _reader("detectron2", "read_detections"),
        ("npz",),
    ),
    Format(
        "videopose3d",
        ".npz",
        "a data set of VideoPose3D with one clip",
        _reader("detectron2", "read_data_set"),
        ("npz",),
    ),
    Format(
        "reconstruction",
        ".npz",
        "the 2D joints that the demos of MHFormer, MotionAGFormer and others keep",
        _reader("reconstruction"),
        ("npz",),
    ),
    Format(
        "deeplabcut",
        ".csv or .h5",
        "DeepLabCut's tracks, body parts by name",
        _reader("deeplabcut"),
        ("csv", "hdf5"),
    ),
    Format("csv", ".csv", "a table with <joint>_x and <joint>_y of any known skeleton", _reader("table"), ("csv",)),
    Format(
        "posemamba",
        ".npz",
        "the keypoints.npz that posemamba lift keeps: everybody whom the detector found, and a header",
        _reader("detected"),
        ("npz",),
    ),
)


def known_formats() -> tuple[Format, ...]:
    """Return the formats that `read_keypoints` and `read_people` can read."""
    return _FORMATS


def is_keypoint_file(path: str | Path) -> bool:
    """Return True if a path looks like keypoints, valid or not: a file of a known kind, or a folder with one a frame.

    False for videos, and for files that are missing, empty or not readable.
    """
    path = Path(path)
    try:
        if path.is_dir():
            from posemamba.io.keypoints.folders import recognise_folder

            return recognise_folder(path) is not None
        if is_special(path):
            return False
        with path.open("rb") as file:
            head = file.read(4096)
    except (OSError, ValueError):  # a name that no file can have is none either
        return False
    return bool(head) and Source(path, head).kind in ("npz", "npy", "json", "csv", "pickle", "hdf5")


def read_keypoints(
    path: str | Path,
    *,
    format: str = "auto",
    skeleton: str | None = None,
    fps: float | None = None,
    image_size: tuple[int, int] | None = None,
) -> Keypoints2D:
    """Read one person's 2D joints over time, in pixels, x right and y down from the image's top left corner.

    Joints that are NaN, or at exactly (0, 0), (-1, -1) or another such mark, are missing, as are those far outside of
    the rest of the body. If the file holds
    several people, the one followed over most frames is taken.

    Args:
        path: the file, or a folder with one file for each frame.
        format: one of `known_formats`, or ``auto``: by the file's content.
        skeleton: name of the joints' skeleton; None: the file's, else recognised by the number of joints and their
            positions.
        fps: frames per second; None: the file's, else 30 is assumed.
        image_size: (width, height) of the image in pixels; None: the file's, else the smallest common video size that
            holds all joints is assumed. Required if coordinates are shares of the image.

    Warns:
        UserWarning: one of several people was taken; joints are missing in all frames; the frame rate or the image's
            size was assumed (the result's `source` notes this too); the unit of times was recognised; places are none,
            or lie outside of the picture; or the body stands on its head or lies in most frames.

    Raises:
        PoseMambaError: there is no such file, its format or skeleton is unknown or not recognised, it is broken, or its
            values cannot be keypoints in pixels.
    """
    path = Path(path)
    with reading(path, _WHAT):
        raw, wanted = _read(path, format, skeleton)
        if len(raw.tracks) > 1:
            best = raw.tracks[0]
            most = np.bincount(np.concatenate([t.frames for t in raw.tracks])).max()
            warnings.warn(
                f"{path.name}: {len(raw.tracks)} people, or pieces of their tracks, up to {most} in a frame; took the "
                f"one followed longest, seen in {len(best)} of {raw.frames} frames",
                stacklevel=2,
            )
            raw.tracks = [best]
        limits.check(path, raw, 1, fps, image_size)
        person = finish(path, raw, skeleton=wanted, fps=fps, image_size=image_size)[0]
        limits.check_times(path, person)
        return person


def read_people(
    path: str | Path,
    *,
    format: str = "auto",
    skeleton: str | None = None,
    fps: float | None = None,
    image_size: tuple[int, int] | None = None,
    video: str | Path | None = None,
) -> list[Keypoints2D]:
    """Read all people in a keypoint file, each followed over all its frames.

    Identities in the file are kept until one jumps to another person; without them, people are followed by
    `posemamba.poses.tracking.track`. All people have all frames of the file, so frame i is the same moment for each.
    Frames in which a person was not seen are NaN with confidence 0.

    Args:
        path, format, skeleton, fps, image_size: see `read_keypoints`.
        video: the video, or folder of pictures, that they were found in. Frame i of the result is then frame i of the
            video: frames are matched by their numbers, or else by their count or times. It gives the times, and the
            rate and the picture's size if the file and the caller do not.

    Returns:
        At least one person and at most `MAX_PEOPLE`, most-seen first; `person` is 1, 2, ... in that order, or the
        number that the file gives.

    Warns:
        UserWarning: people were left out, seen in fewer than 3 frames or beyond `MAX_PEOPLE`; or as `read_keypoints`.

    Raises:
        PoseMambaError: as `read_keypoints`; or the video cannot be that of the keypoints.
    """
    path = Path(path)
    with reading(path, _WHAT):
        raw, wanted = _read(path, format, skeleton)
        kept = [t for t in raw.tracks if len(t) >= _FRAGMENT or raw.frames <= 10 or raw.numbered] or raw.tracks[:1]
        if left := len(raw.tracks) - len(kept[:MAX_PEOPLE]):
            warnings.warn(
                f"{path.name}: {left} {'track' if left == 1 else 'tracks'} left out, "
                f"seen in fewer than {_FRAGMENT} frames"
                + (f" or beyond the {MAX_PEOPLE} people seen most" if len(kept) > MAX_PEOPLE else ""),
                stacklevel=2,
            )
        raw.tracks = kept[:MAX_PEOPLE]
        limits.check(path, raw, len(raw.tracks), fps, image_size)
        facts = None if video is None else VideoFacts.of(Path(video))
        people = finish(path, raw, skeleton=wanted, fps=fps, image_size=image_size, video=facts)
        limits.check_times(path, people[0])
        return people


def _read(path: Path, format: str, skeleton: str | None) -> tuple[RawPeople, Skeleton | None]:
    names = [f.name for f in _FORMATS]
    if format not in ("auto", *names):
        raise PoseMambaError(f"unknown keypoint format '{format}', expected auto or one of {', '.join(names)}")
    wanted = None if skeleton is None else get_skeleton(skeleton)
    source = Source.open(path, _list_formats())
    reader = _FORMATS[names.index(_recognise(source) if format == "auto" else format)]
    if source.kind not in reader.kinds:
        found = {"folder": "a directory", "other": "of no known kind"}.get(source.kind, f"a {source.kind} file")
        raise PoseMambaError(
            f"{path}: is {found}, expected {' or '.join(reader.kinds)} for format '{reader.name}' "
            f"({reader.description}); let the format be recognised, or name another"
        )
    return reader.read(source), wanted


def _list_formats() -> str:
    return ", ".join(f"{f.name}: {f.suffix}" for f in _FORMATS)


def _recognise(source: Source) -> str:
    """Recognise the format by the content; returns its name."""
    kind = source.kind
    if kind == "folder":
        from posemamba.io.keypoints.folders import recognise_folder

        if (folder := recognise_folder(source.path)) is not None:
            return folder
        inner = [f.name for f in sorted(source.path.iterdir()) if f.is_dir() and recognise_folder(f) is not None]
        if inner:
            raise PoseMambaError(
                f"{source.path}: holds {len(inner)} folders of keypoints ({listed(inner[:5])}); give one of them"
            )
        raise PoseMambaError(
            f"{source.path}: is a directory without *_keypoints.json of OpenPose or another file for each frame, "
            f"expected keypoints ({_list_formats()})"
        )
    if kind == "npz":
        from posemamba.io.keypoints import detected

        if detected.recognises(source.names):
            return "posemamba"
        if {"positions_2d", "boxes"} & set(source.names):
            from posemamba.io.keypoints import detectron2

            if detectron2.recognises_data_set(source.names):
                return "videopose3d"
            if detectron2.recognises_detections(source.names):
                return "detectron2"
        if "reconstruction" in source.names:
            from posemamba.io.keypoints import reconstruction

            if reconstruction.recognises(source.names):
                return "reconstruction"
        return "npz"
    if kind == "json":
        return _recognise_json(source)
    if kind == "csv":
        from posemamba.io.keypoints import deeplabcut, table
        from posemamba.io.keypoints.names import is_blazepose

        if deeplabcut.recognises(source.head):
            return "deeplabcut"
        names = table.header_names(source)
        return "mediapipe" if is_blazepose(names) else "csv"
    if kind == "hdf5":
        return "deeplabcut"
    if kind == "npy":
        found = "a single NumPy array (.npy); save it as npz: numpy.savez(file, keypoints=array, fps=...)"
    elif kind == "pickle":
        found = "a Python pickle, which can run code and is not opened; save its arrays as npz"
    elif kind == "other" and _is_yolo(source):
        found = "one file of YOLO's labels is one frame; give the folder of all of them"
    elif source.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found = "text in UTF-16; save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
    else:
        found = f"neither npz nor JSON nor csv (it begins with {source.head[:8]!r})"
    raise PoseMambaError(f"{source.path}: {found}; known keypoint formats: {_list_formats()}")


def _is_yolo(source: Source) -> bool:
    from posemamba.io.keypoints import yolo

    return yolo.recognises(source.head.decode("utf-8", "replace"))


def _recognise_json(source: Source) -> str:
    from posemamba.io.keypoints import alphapose, coco, mediapipe, mmpose, openpose, ultralytics

    content = source.json
    if coco.recognises(content):
        return "coco"
    if ultralytics.recognises(content):
        return "ultralytics"
    if alphapose.recognises(content):
        return "alphapose"
    if openpose.recognises(content):
        raise PoseMambaError(f"{source.path}: one frame of OpenPose ('people'), expected the folder of all its *.json")
    if mmpose.recognises(content):
        return "mmpose"
    if mediapipe.recognises(content):
        return "mediapipe"
    if mediapipe.holds_world_alone(content):
        raise PoseMambaError(
            f"{source.path}: holds MediaPipe's world landmarks alone, metres from the body's middle; expected "
            "'pose_landmarks', its places in the picture: write these"
        )
    what = describe(content[0]) if isinstance(content, list) and content else describe(content)
    raise PoseMambaError(
        f"{source.path}: JSON with {what}; expected MMPose's [{{'frame_id': ..., 'instances': [...]}}], AlphaPose's "
        "[{'image_id': ..., 'keypoints': [...]}], MediaPipe's [{'pose_landmarks': [...]}], Ultralytics' "
        "[[{'keypoints': {'x': [...], 'y': [...]}}]] or COCO's {'images': [...], 'annotations': [...]}"
    )
