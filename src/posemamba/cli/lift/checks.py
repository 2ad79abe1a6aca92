"""What is told before the work, and not after all of it: options that do not fit, places that cannot be written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posemamba.cli.lift.options import Options
from posemamba.cli.lift.refinement import check_refinement, known_exports, refine_options
from posemamba.cli.lift.results import RESULT
from posemamba.io.inputs import Input
from posemamba.utils.errors import PoseMambaError, require

DETECTORS = ("mediapipe", "rtmpose", "rtmpose-lightweight", "rtmpose-performance")


def check_options(options: Options, inputs: Sequence[Input]) -> None:
    """Say now, and not after all the work, what does not fit."""
    kinds = {one.kind for one in inputs}
    words = {"video": "a video", "pictures": "pictures", "keypoints": "a keypoint file"}
    for needed, given in (
        (("keypoints",), {"--format": options.format, "--skeleton": options.skeleton}),
        (("keypoints",), {"--image-size": options.image_size, "--video": options.video}),
        (("keypoints", "pictures"), {"--fps": options.fps}),
        (("video", "pictures"), {"--mode": options.mode, "--detector": options.detector}),
        (("video", "pictures"), {"--det-model": options.det_model, "--pose-model": options.pose_model}),
    ):
        for name, value in given.items():
            if value is not None and not kinds & set(needed):
                what = {"keypoints": "keypoint files", "video": "videos", "pictures": "pictures"}
                raise PoseMambaError(
                    f"{name} is for {' and '.join(what[kind] for kind in needed)}, and {inputs[0].path} is taken for "
                    f"{words[inputs[0].kind]}; leave it out"
                )
    if options.fps is not None and not (np.isfinite(options.fps) and options.fps > 0):
        raise PoseMambaError(f"--fps is {options.fps:g}, expected a positive number of frames per second")
    if options.video is not None and len(inputs) > 1:
        raise PoseMambaError(
            f"--video belongs to one keypoint file, and there are {len(inputs)} inputs; lift one by one"
        )
    if options.start is not None and options.end is not None and options.end <= options.start:
        raise PoseMambaError(f"--end is {options.end:g} s, expected more than --start, {options.start:g} s")
    person = options.person or "longest"
    if person not in ("longest", "largest", "all") and not (person.isdecimal() and int(person) > 0):
        raise PoseMambaError(f"--person is '{person}', expected longest, largest, all or a number from 1 on")
    detector = options.detector or "mediapipe"
    if detector not in DETECTORS:
        raise PoseMambaError(f"--detector is '{detector}', expected one of {', '.join(DETECTORS)}")
    if detector != "mediapipe" and options.mode is not None:
        raise PoseMambaError(f"--mode is for MediaPipe, and --detector is {detector}; leave it out")
    if detector == "mediapipe" and (options.det_model or options.pose_model):
        raise PoseMambaError("--det-model and --pose-model are for --detector rtmpose; give that too")
    if unknown := [name for name in options.exports if name not in known_exports()]:
        raise PoseMambaError(
            f"--export names '{unknown[0]}', expected some of {', '.join(known_exports())}, with commas"
        )
    if options.wants_motion:
        check_refinement(refine_options(options.refine, None, options.exports))
        for height in options.heights:
            check_refinement(refine_options(options.refine, height, options.exports))


def check_out(out: Path, source: Path | None = None) -> None:
    """Say now, and not after all the work, that results cannot go there.

    Raises:
        PoseMambaError: they cannot, or would overwrite the source.
    """
    if out.exists() and not out.is_dir():
        raise PoseMambaError(f"{out}: is a file, expected a folder for the results (-o)")
    nearest = next(d for d in (out.absolute(), *out.absolute().parents) if d.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise PoseMambaError(f"{out}: cannot be made or written to; choose another folder (-o)")
    if source is not None and source.resolve().parent == out.resolve() and RESULT.fullmatch(source.name):
        raise PoseMambaError(f"{source}: would be overwritten by the results; choose another folder (-o)")


def can_draw(must: bool) -> bool:
    """Whether the packages for overlay.mp4 are there; if not, say so, and raise if they `must` be."""
    try:
        require("av", "video")
        require("PIL", "video")
        return True
    except PoseMambaError as error:
        if must:
            raise
        warnings.warn(f"overlay.mp4 is left out: {error}", stacklevel=2)
        return False
