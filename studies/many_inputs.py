"""Measure the processor time that a frame takes in each stage of a lift, and compute what many hours of video cost.

Everything runs with one thread, as in each process of a cluster, and what is counted is the processor's time, which
other programs disturb little. The cost is arithmetic: hours of video, frames a second and prices are options.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch

from posemamba.io.inputs import find_inputs
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import save_poses_json, save_poses_npz
from posemamba.io.video.reading import read_frames
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.lift import lift_input
from posemamba.pipeline.many import lift_many
from posemamba.pipeline.reading import Reading
from posemamba.show.overlay import write_overlay
from posemamba.show.viewer import write_viewer
from studies.command_line import report, study_parser

T = TypeVar("T")
CLIPS = 8
"""Keypoint files of the clip's joints that are lifted together."""


@dataclass(frozen=True)
class Cost:
    """What a stage costs.

    Attributes:
        name: of the stage.
        ms: of one core for a frame.
    """

    name: str
    ms: float

    def line(self, hours: float, fps: float, price: float) -> str:
        """Return a line of the table: frames a second of a core, hours of a core, and money."""
        core_hours = self.ms / 1000 * fps * hours
        money = f"{core_hours * price:,.0f}"
        return f"| {self.name} | {self.ms:.2f} | {1000 / self.ms:,.0f} | {core_hours:,.0f} | {money} |"


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what the work returns, and the processor's seconds that it took."""
    before = time.process_time()
    result = work()
    return result, time.process_time() - before


def measure(video: Path, weights: list[str], detector: str) -> list[Cost]:
    """Return the cost of each stage for the frames of a video."""
    reading = Reading(detector=detector, person="longest")
    (one,) = find_inputs([video], Path())
    frames, decoding = timed(lambda: sum(1 for frame in read_frames(video) if frame.rgb.size))
    found = reading.make_detector(mode="track")
    people, finding = timed(lambda: reading.people(one, detector=found))
    costs = [
        Cost("decode", 1e3 * decoding / frames),
        Cost(f"decode and find joints, {detector}", 1e3 * finding / frames),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(CLIPS):
            write_keypoints_npz(folder / f"{number}.npz", people[0])
        for weight in weights:
            lifter = Lifter.from_pretrained(weight, device="cpu")
            lifter.warm_up()
            poses = lift_input(one, reading, people, lifter)
            lifted, seconds = timed(lambda lifter=lifter: list(lift_many([folder], lifter=lifter)))
            total = sum(len(each.poses[0]) for each in lifted)
            costs.append(Cost(f"read and lift keypoint files, {weight}", 1e3 * seconds / total))

        def write() -> None:
            save_poses_npz(folder / "poses.npz", poses[0])
            save_poses_json(folder / "poses.json", poses[0])

        costs.append(Cost("write poses", 1e3 * timed(write)[1] / frames))

        def draw() -> None:
            write_overlay(folder / "overlay.mp4", video, poses)
            write_viewer(folder / "viewer.html", poses)

        costs.append(Cost("overlay and page", 1e3 * timed(draw)[1] / frames))
    return costs


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("many_inputs", __doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--weights", nargs="+", default=["posemamba-s", "posemamba-l"])
    parser.add_argument("--detector", default="heavy", help="BlazePose's size (default: heavy)")
    parser.add_argument("--hours", type=float, default=10_000, help="hours of video (default: 10000)")
    parser.add_argument("--fps", type=float, default=30, help="its frames a second (default: 30)")
    parser.add_argument("--price", type=float, default=1.0, help="of a core for an hour, in your currency (default: 1)")
    given = parser.parse_args(arguments)

    def table() -> None:
        print(f"{given.hours:,g} hours at {given.fps:g} frames a second, a core's hour at {given.price:g}")
        print("| stage | ms of a core for a frame | frames a second of a core | core hours | money |")
        print("|---|---|---|---|---|")
        for cost in measure(given.video, given.weights, given.detector):
            print(cost.line(given.hours, given.fps, given.price), flush=True)

    return report(table)


if __name__ == "__main__":
    sys.exit(main())
