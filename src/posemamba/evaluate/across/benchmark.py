"""Scores of a lifter on another data set's clips: P1 and P2 of the joints that all have, by detected and exact 2D."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posemamba.evaluate.across import aist, pw3d
from posemamba.evaluate.across.clips import Clip
from posemamba.evaluate.views.scores import pose_errors
from posemamba.poses.virtual_camera import Lens
from posemamba.refine.metres import to_metres
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.lifting.lifter import Lifter

READERS: dict[str, tuple[str, Callable[[Path], Iterator[Clip]]]] = {
    "aist": ("AIST++'s annotations", aist.clips),
    "pw3d": ("3DPW's sequence files", pw3d.clips),
}
"""Data sets by the name of their evaluation: what they are called, and their clips."""


def score(name: str, lifter: Lifter, folder: Path | None) -> dict[str, float]:
    """Score a lifter.

    Each clip is lifted with its camera's field of view and put into metres. P1 is after one scale for the whole clip,
    as the height is not given, P2 after each frame is aligned (`posemamba.evaluate.views.scores`). Both are
    millimetres, means over all scored joints.

    Args:
        name: a key of `READERS`.
        lifter: with the weights.
        folder: of the data set.

    Raises:
        PoseMambaError: no folder, no such data in it, or nothing to score.
    """
    what, read = READERS[name]
    if folder is None:
        raise PoseMambaError(f"evaluation '{name}' needs {what}: give their folder by --data")
    sums: dict[str, np.ndarray] = {}
    count = 0
    for clip in read(folder):
        count += 1
        for inputs, keypoints in (("detected", clip.detected), ("exact", clip.exact)):
            if keypoints is None or not np.isfinite(keypoints.xy).any():
                continue
            try:
                poses = to_metres(lifter(keypoints, lens=Lens.of_fov(keypoints.image_size, clip.fov)))
            except PoseMambaError as error:
                raise PoseMambaError(f"{folder}: {clip.name}: {error}") from error
            errors = pose_errors(poses.xyz, clip.xyz, clip.valid)
            if errors.scored and np.isfinite(errors.p2):
                added = errors.scored * np.array([errors.p1, errors.p2, errors.depth, 1.0])
                sums[inputs] = sums.get(inputs, np.zeros(4)) + added
    if not sums:
        raise PoseMambaError(f"{folder}: {count} clips and not a joint that can be scored")
    values = {"clips": float(count)}
    for inputs, total in sums.items():
        titles = ("P1", "P2", "depth")
        values |= {f"{title} mm, {inputs} 2D": float(v) for title, v in zip(titles, total / total[3], strict=False)}
    return values
