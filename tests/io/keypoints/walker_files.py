"""The made-up walker in keypoint files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from fixtures.command_line import keypoints
from posemamba.poses.skeletons import H36M17

F = 120
WALKER = keypoints(F)


def table(path: Path, numbers: Sequence[int], times: Sequence[float] | None = None, name: str = "time") -> Path:
    """The walker as a csv with these frames, and times if there are any."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["frame", *([name] if times is not None else []), *(f"{j}_{a}" for j in H36M17.joints for a in "xy")]
        )
        for k, number in enumerate(numbers):
            own = [] if times is None else [repr(float(times[k]))]
            writer.writerow([number, *own, *WALKER.xy[number].round(2).ravel().tolist()])
    return path
