"""The command: videos or keypoint files in, tables, JSON and figures out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posemamba.detect import MODES, Detector
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import make_folder
from studies.detector_noise.bodies import Recorder
from studies.detector_noise.figure import draw
from studies.detector_noise.repeats import repeat
from studies.detector_noise.report import Report, describe, measure_keypoints, measure_repeats


def _measure(path: Path, options: argparse.Namespace) -> Report:
    from posemamba.io.keypoints import is_keypoint_file, read_keypoints

    if options.truth is not None:
        return measure_keypoints(read_keypoints(path), read_keypoints(options.truth))
    if is_keypoint_file(path):
        return measure_keypoints(read_keypoints(path))

    recorders: list[Recorder] = []

    def make() -> Detector:
        if options.detector == "rtmpose":
            from posemamba.detect.rtmpose import RTMPoseDetector

            return RTMPoseDetector()
        from posemamba.detect.mediapipe import MediaPipeDetector

        detector = MediaPipeDetector(options.mode)
        recorders.append(Recorder(detector._pose))
        detector._pose = recorders[-1]
        return detector

    repeats = repeat(
        path, make, mode=options.mode, person=options.person, told=lambda name: print(f"  {name}", file=sys.stderr)
    )
    world = np.stack(recorders[0].world) if recorders and recorders[0].world else None
    name = options.detector if options.detector == "rtmpose" else f"{options.detector}, --mode {options.mode}"
    return measure_repeats(repeats, path.name, name, world)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.detector_noise",
        description="Measure the errors of a 2D detector on videos, or of keypoint files.",
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="VIDEO", help="a video, or a keypoint file")
    parser.add_argument("--out", type=Path, help="folder for NAME.noise.json and NAME.noise.png of each")
    parser.add_argument("--truth", type=Path, help="keypoint file to take for true (of one keypoint file)")
    parser.add_argument("--detector", choices=("mediapipe", "rtmpose"), default="mediapipe")
    parser.add_argument("--mode", choices=MODES, default="detect", help="of MediaPipe; track is what lifting does")
    parser.add_argument("--person", default="longest", help="longest, largest or a number")
    options = parser.parse_args(arguments)
    try:
        if options.truth is not None and len(options.sources) > 1:
            raise PoseMambaError(
                f"--truth {options.truth}: is of one keypoint file, but {len(options.sources)} are given"
            )
        if options.out is not None:
            make_folder(options.out)
            names = [path.stem for path in options.sources]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise PoseMambaError(
                    f"{options.out}: two of the files are named {twice[0]}, and the {twice[0]}.noise.json of one would "
                    "replace the other's: measure them one by one into folders of their own"
                )
        for path in options.sources:
            report = _measure(path, options)
            print(describe(report), end="\n\n")
            if options.out is not None:
                report.save(options.out / f"{path.stem}.noise.json")
                draw(report, options.out / f"{path.stem}.noise.png")
    except PoseMambaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
