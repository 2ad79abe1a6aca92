"""Compare BlazePose's sizes and modes on a video: faults and time.

There is no truth, so the study counts faults that are visible without it: jitter, jumps of the body, left-right swaps
and frames in which nobody was found. Times are ratios to a bare loop, which decodes the same frames and runs the
landmark network once in each, in the same run.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from posemamba.detect import MODES, detect_people
from posemamba.detect.blazepose import SIZES, BlazePoseDetector, Size
from posemamba.detect.blazepose.landmarks import LandmarkNetwork
from posemamba.detect.blazepose.regions import Region
from posemamba.io.video.reading import read_frames
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import find_jumps
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import H36M17
from studies.command_line import report, study_parser


@dataclass(frozen=True)
class Steadiness:
    """Faults of keypoints that are visible without the truth.

    Attributes:
        lost: frames in which nobody was found.
        jumps: times that the body moves by more than its size from one seen frame to the next.
        swaps: frames whose limbs, swapped left for right, lie nearer to the frame before by a tenth of the body's size.
        jitter: median of the joints' second differences in time, in thousandths of the body's size.
        outliers: the 95th percentile of the same.
    """

    lost: int
    jumps: int
    swaps: int
    jitter: float
    outliers: float


def steadiness(keypoints: Keypoints2D) -> Steadiness:
    """Measure keypoints of any skeleton, F frames of one person."""
    body = to_h36m17(keypoints)
    xy = body.xy.astype(np.float64)
    size = float(np.nanmedian((np.nanmax(xy[body.seen], axis=1) - np.nanmin(xy[body.seen], axis=1)).max(-1)))
    bend = np.linalg.norm(np.diff(xy, 2, axis=0), axis=-1) / size
    left, right = np.array(H36M17.pairs).T
    before, after = xy[:-1], xy[1:]
    kept = np.linalg.norm(after[:, [*left, *right]] - before[:, [*left, *right]], axis=-1).mean(-1)
    crossed = np.linalg.norm(after[:, [*left, *right]] - before[:, [*right, *left]], axis=-1).mean(-1)
    return Steadiness(
        int((~keypoints.seen).sum()),
        len(find_jumps(keypoints)),
        int((kept - crossed > 0.1 * size).sum()),
        1000 * float(np.nanmedian(bend)),
        1000 * float(np.nanpercentile(bend, 95)),
    )


def bare_loop(video: str, size: Size) -> float:
    """Decode a video and run the landmark network on the middle of each frame; return the seconds."""
    network = LandmarkNetwork(size)
    begin = time.perf_counter()
    for frame in read_frames(video):
        height, width = frame.rgb.shape[:2]
        network(frame.rgb, Region(np.array([width / 2, height / 2]), 0.8 * height, 0.0))
    return time.perf_counter() - begin


def compare(video: str) -> str:
    """Return the table for one video: all people that each size and mode finds, faults of the first, and times."""
    lines = [
        "| size | `--mode` | people: frames | frames lost | jumps | left-right swaps | jitter: median / 95 % | "
        "times the bare loop |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        for mode in MODES:
            before = bare_loop(video, size)
            begin = time.perf_counter()
            people = detect_people(video, detector=BlazePoseDetector(size, mode=mode))
            spent = time.perf_counter() - begin
            bare = (before + bare_loop(video, size)) / 2  # before and after, as other work comes and goes
            s = steadiness(people[0])
            frames = ", ".join(str(int((p.confidence > 0).any(-1).sum())) for p in people)
            lines.append(
                f"| {size} | `{mode}` | {frames} | {s.lost} of {len(people[0])} | {s.jumps} | {s.swaps} | "
                f"{s.jitter:.1f} / {s.outliers:.0f} | {spent / bare:.2f} |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("detectors", __doc__)
    parser.add_argument("video", metavar="VIDEO", help="a video with one person or several")
    given = parser.parse_args(arguments)
    return report(lambda: print(compare(given.video)))


if __name__ == "__main__":
    sys.exit(main())
