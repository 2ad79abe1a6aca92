"""Score live poses on calibrated, synchronised views of one person: by detector, frame rate and delay.

Each video is given to a `posemamba.live.LiveSession` frame by frame, all frames or each N-th, as a camera with a lower
rate would film. Its poses are compared with the reference (P1: the pelvis in place and the scale fitted; P2:
Procrustes; depth; speed: the error of joints' movement from frame to frame) and with what offline lifting makes of the
same 2D joints with the same weights (mean distance relative to the pelvis, no scale fitted). With ``--drop SHARE``
frames are left out at random, as under load.

The folder holds ``videos/NAME.mp4`` and ``reference/NAME.npz``, see ``studies/real_video.py``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.scores import SCORED, pose_errors
from posemamba.io.video.reading import read_frames
from posemamba.lifting import even_frames
from posemamba.lifting.lifter import Lifter
from posemamba.live.session import LiveSession, Seen
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import BLAZEPOSE33
from posemamba.refine.metres import to_metres
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.tables import markdown_table
from studies.command_line import report, study_parser
from studies.real_video import View

DELAYS = (0, 2, 5, 13)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Errors of one view in millimetres: against the reference, and against offline lifting; `speed` a frame."""

    p1: float
    p2: float
    depth: float
    speed: float
    offline: float


def detect(video: Path, detector: str) -> list[Seen]:
    """Find the person in all frames of a video as a live session does."""
    watching = LiveSession(detector=detector, lifter=_LIFTERS["posemamba-s27", False])
    return [watching.detect(frame.rgb, frame.time) for frame in read_frames(video)]


def live(seen: list[Seen], delay: int, lifter: Lifter) -> Array:
    """Return the live poses of these frames, (F, 17, 3) metres in the camera's axes; NaN where nobody was seen."""
    watching = LiveSession(delay=delay, lifter=lifter)
    poses = [pose for one in seen if (pose := watching.lift(one)) is not None] + watching.finish()
    return np.stack([np.full((17, 3), np.nan) if pose.xyz is None else pose.xyz for pose in poses]).astype(np.float64)


def offline(seen: list[Seen], lifter: Lifter) -> Array:
    """Return what offline lifting makes of the same 2D joints."""
    xy = np.full((len(seen), len(BLAZEPOSE33), 2), np.nan, np.float32)
    confidence = np.zeros(xy.shape[:2], np.float32)
    for i, one in enumerate(seen):
        if one.found is not None:
            xy[i], confidence[i] = one.found.xy, one.found.confidence
    times = np.array([one.time for one in seen])
    keypoints = Keypoints2D(
        xy, confidence, BLAZEPOSE33, seen[0].image_size, 1 / float(np.median(np.diff(times))), times
    )
    return to_metres(lifter(keypoints)).xyz.astype(np.float64)


def compare(xyz: Array, whole: Array, view: View, frames: NDArray[np.int64]) -> Scored:
    """Score poses of some frames of a view."""
    ref, valid = view.xyz[frames], view.valid[frames]
    known = np.isfinite(xyz).all((1, 2))
    found = pose_errors(xyz[known], ref[known], valid[known])
    joints = list(SCORED)
    own, true = (p[:, joints] - p[:, :1] for p in (xyz, ref))
    both = (valid[1:] & valid[:-1])[:, joints] & (known[1:] & known[:-1])[:, None]
    speed = np.linalg.norm(np.diff(own, axis=0) - np.diff(true, axis=0), axis=-1)[both].mean()
    other = whole[:, joints] - whole[:, :1]
    off = np.linalg.norm(own - other, axis=-1)[known & np.isfinite(other).all((1, 2))].mean()
    return Scored(found.p1, found.p2, found.depth, 1000 * float(speed), 1000 * float(off))


_LIFTERS: dict[tuple[str, bool], Lifter] = {}


def lifter_of(weights: str, flip: bool) -> Lifter:
    """Return a lifter, loaded once."""
    if (weights, flip) not in _LIFTERS:
        _LIFTERS[weights, flip] = Lifter.from_pretrained(weights, device="cpu", flip=flip)
    return _LIFTERS[weights, flip]


def score(folder: Path, detectors: list[str], steps: list[int], flips: list[bool], drop: float, weights: str) -> str:
    """Return the table: a row for each detector, frame rate and delay, means of all views."""
    videos = sorted((folder / "videos").glob("*.mp4"))
    if not videos:
        raise PoseMambaError(f"{folder}: no videos/*.mp4, expected a folder of calibrated views")
    head = [
        "detector",
        "frames a second",
        "flip",
        "delay",
        "P1 / P2 / depth, mm",
        "speed, mm a frame",
        "to offline, mm",
    ]
    rows = []
    for detector in detectors:
        lifter_of("posemamba-s27", False)
        seen = {video: detect(video, detector) for video in videos}
        for step in steps:
            for flip in flips:
                lifter = lifter_of(weights, flip)
                for delay in (*DELAYS, None):
                    scores, rate = [], 0.0
                    for number, video in enumerate(videos):
                        view = View.read(folder / "reference" / f"{video.stem}.npz")
                        frames = np.arange(0, min(len(view.xyz), len(seen[video])), step)
                        kept = np.random.default_rng(number).random(len(frames)) >= drop
                        frames = frames[kept | (frames == 0)]
                        chosen = [seen[video][i] for i in frames]
                        whole = offline(chosen, lifter)
                        xyz = whole if delay is None else live(chosen, delay, lifter)
                        scores.append(compare(xyz, whole, view, frames))
                        rate = step and 1 / float(np.median(np.diff([one.time for one in seen[video]]))) / step
                    mean = {name: float(np.mean([vars(one)[name] for one in scores])) for name in vars(scores[0])}
                    rows.append(
                        [
                            detector,
                            f"{rate:.0f}",
                            "yes" if flip else "no",
                            "offline" if delay is None else str(delay),
                            f"{mean['p1']:.1f} / {mean['p2']:.1f} / {mean['depth']:.1f}",
                            f"{mean['speed']:.1f}",
                            "" if delay is None else f"{mean['offline']:.1f}",
                        ]
                    )
                    print(rows[-1], file=sys.stderr, flush=True)
    return markdown_table(head, rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("live_delay", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds videos/ and reference/")
    parser.add_argument("--detector", nargs="+", default=["lite", "full"], help="lite, full, heavy")
    parser.add_argument("--step", type=int, nargs="+", default=[1, 4], help="take each so many-th frame")
    parser.add_argument("--flip", choices=["no", "yes", "both"], default="no", help="test-time flip")
    parser.add_argument("--drop", type=float, default=0.0, help="share of the frames that is left out at random")
    parser.add_argument("--weights", default="posemamba-s27", help="a bundled name, or a weights file")
    parser.add_argument("--as-they-come", action="store_true", help="do not make uneven frames even")
    given = parser.parse_args(arguments)
    if given.as_they_come:
        even_frames.EVEN = float("inf")
    flips = {"no": [False], "yes": [True], "both": [False, True]}[given.flip]
    return report(lambda: print(score(given.folder, given.detector, given.step, flips, given.drop, given.weights)))


if __name__ == "__main__":
    sys.exit(main())
