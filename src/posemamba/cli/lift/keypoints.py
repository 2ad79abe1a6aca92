"""The 2D joints of an input: found in a video or pictures, or read from a keypoint file."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemamba.cli.lift.options import Options
from posemamba.io.inputs import Input
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.progress import Stages

if TYPE_CHECKING:
    from posemamba.detect import Detector, Mode
    from posemamba.io.video import Clip
    from posemamba.poses import Keypoints2D


def find_joints(one: Input, options: Options, detector: Detector | None, stages: Stages) -> list[Keypoints2D]:
    """Of the chosen people in a video or pictures; detector: None: MediaPipe."""
    from posemamba.detect import choose_people, detect_people
    from posemamba.io.video.image_files import PICTURES_PER_SECOND

    o = options
    if one.kind == "pictures":
        require("PIL", "video")
        if o.fps is None and one.path.is_dir():
            warnings.warn(
                f"{one.path.name}: pictures have no frame rate; assumed: {PICTURES_PER_SECOND:g} frames per second "
                "(--fps)",
                stacklevel=2,
            )
    with stages("finding joints") as progress:
        people = detect_people(
            clip_of(one.path, one.kind, o),
            mode=mode_of(one, o),
            detector=detector,
            progress=progress,
        )
    if len(people) > 1 and o.person is None:
        warnings.warn(
            f"{one.path.name}: {len(people)} people; took the one seen longest, in {int(people[0].seen.sum())} of "
            f"{len(people[0])} frames (--person)",
            stacklevel=2,
        )
    if detector is None and o.person == "all":
        warnings.warn(
            f"{one.path.name}: MediaPipe finds one person in a frame; --detector rtmpose finds everybody",
            stacklevel=2,
        )
    return choose_people(people, o.person or "longest")


def read_joints(path: Path, options: Options) -> list[Keypoints2D]:
    """Of the chosen people in a keypoint file, from `start` to `end`."""
    from posemamba.detect import choose_people

    return choose_people(_read(path, options), options.person or "longest")


def _read(path: Path, options: Options) -> list[Keypoints2D]:
    from posemamba.io.keypoints import read_keypoints, read_people

    o, fps, size = options, options.fps, options.image_size
    if o.video is not None:
        from posemamba.io.video import probe

        if not o.video.exists():
            raise PoseMambaError(f"{o.video}: no such file")
        info = probe(o.video)
        fps, size = fps or info.fps, size or info.image_size
    told: dict[str, Any] = {"format": o.format or "auto", "skeleton": o.skeleton, "fps": fps, "image_size": size}
    people = [read_keypoints(path, **told)] if o.person is None else read_people(path, **told)
    if o.start is None and o.end is None:
        return people
    clip = clip_of(path, "keypoints", o)
    times = people[0].frame_times()
    inside = np.array([clip.holds(t) for t in times - times[0]])
    if not inside.any():
        raise PoseMambaError(
            f"{path}: has no frame between --start and --end, it lasts {times[-1] - times[0]:.2f} s; choose others"
        )
    return [
        replace(p, xy=p.xy[inside], confidence=p.confidence[inside], times=times[inside])
        for p in people
        if p.seen[inside].any() or o.person is None
    ]


def clip_of(path: Path, kind: str, options: Options) -> Clip:
    """The part of the source that was asked for."""
    from posemamba.io.video import Clip

    return Clip(path, options.start, options.end, options.fps if kind == "pictures" else None)


def mode_of(one: Input, options: Options) -> Mode:
    """Of MediaPipe; there is nothing to follow in a single picture."""
    single = one.kind == "pictures" and not one.path.is_dir()
    return "detect" if options.mode == "detect" or (options.mode is None and single) else "track"
