"""The command: measures videos or keypoint files, and writes tables, JSON and figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from posemamba.detect import MODES, Detector
from posemamba.pipeline.reading import BLAZEPOSE, DETECTORS, Reading
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import make_folder
from studies.command_line import report, study_parser
from studies.detector_noise.figure import draw
from studies.detector_noise.repeats import repeat
from studies.detector_noise.report import Report, describe, measure_keypoints, measure_repeats


def _measure(path: Path, options: argparse.Namespace) -> Report:
    from posemamba.io.keypoints import is_keypoint_file, read_keypoints

    if options.truth is not None:
        return measure_keypoints(read_keypoints(path), read_keypoints(options.truth))
    if is_keypoint_file(path):
        return measure_keypoints(read_keypoints(path))

    reading = Reading(detector=options.detector)

    def make() -> Detector:
        return reading.make_detector(mode=options.mode)

    repeats = repeat(
        path, make, mode=options.mode, person=options.person, told=lambda name: print(f"  {name}", file=sys.stderr)
    )
    name = f"{options.detector}, --mode {options.mode}" if reading.uses_blazepose else options.detector
    return measure_repeats(repeats, path.name, name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each source; return the exit status."""
    parser = study_parser("detector_noise", "Measure the errors of a 2D detector on videos, or of keypoint files.")
    parser.add_argument("sources", nargs="+", type=Path, metavar="VIDEO", help="a video, or a keypoint file")
    parser.add_argument("--out", type=Path, help="folder for NAME.noise.json and NAME.noise.png of each")
    parser.add_argument("--truth", type=Path, help="keypoint file to take for true (of one keypoint file)")
    parser.add_argument("--detector", choices=DETECTORS, default=BLAZEPOSE)
    parser.add_argument("--mode", choices=MODES, default="detect", help="of BlazePose; track is what lifting does")
    parser.add_argument("--person", default="longest", help="longest, largest or a number")
    options = parser.parse_args(arguments)
    return report(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.truth is not None and len(options.sources) > 1:
        raise PoseMambaError(f"--truth {options.truth}: is of one keypoint file, but {len(options.sources)} are given")
    if options.out is not None:
        make_folder(options.out)
        names = [path.stem for path in options.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise PoseMambaError(
                f"{options.out}: two of the files are named {twice[0]}, and the {twice[0]}.noise.json of one would "
                "replace the other's: measure them one by one into folders of their own"
            )
    for path in options.sources:
        measured = _measure(path, options)
        print(describe(measured), end="\n\n")
        if options.out is not None:
            measured.save(options.out / f"{path.stem}.noise.json")
            draw(measured, options.out / f"{path.stem}.noise.png")
