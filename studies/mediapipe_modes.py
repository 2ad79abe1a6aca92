"""Compare MediaPipe's two modes, track and detect, on a video.

There is no truth, so the study counts faults that are visible without it: jitter, jumps of the body, left-right swaps
and frames in which nobody was found.
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np

from posemamba.detect import MODES, detect_people
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


def compare(video: str) -> str:
    """Return the table for one video: all people that each mode finds, and the faults of the person seen longest."""
    lines = [
        "| `--mode` | people: frames | frames lost | jumps | left-right swaps | jitter: median / 95 % | ms/frame |",
        "|---|---|---|---|---|---|---|",
    ]
    for mode in MODES:
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            people = detect_people(video, mode=mode)
        keypoints = people[0]
        spent = 1000 * (time.perf_counter() - begin) / len(keypoints)
        s, frames = steadiness(keypoints), ", ".join(str(int((p.confidence > 0).any(-1).sum())) for p in people)
        lines.append(
            f"| `{mode}` | {frames} | {s.lost} of {len(keypoints)} | {s.jumps} | {s.swaps} | {s.jitter:.1f} "
            f"/ {s.outliers:.0f} | {spent:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("mediapipe_modes", __doc__)
    parser.add_argument("video", metavar="VIDEO", help="a video with one person or several")
    given = parser.parse_args(arguments)
    return report(lambda: print(compare(given.video)))


if __name__ == "__main__":
    sys.exit(main())
