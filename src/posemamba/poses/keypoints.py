"""2D joints of one person over time, and where such a clip breaks into pieces.

Shapes: F frames, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import Skeleton


@dataclass
class Keypoints2D:
    """2D joints of one person over time.

    Attributes:
        xy: (F, J, 2) float32, pixels, x to the right and y down from the image's top left corner;
            NaN where a joint was not found.
        confidence: (F, J) float32 in [0, 1]; 0 where a joint was not found.
        skeleton: which joints these are.
        image_size: (width, height) of the image in pixels.
        fps: frames per second.
        times: (F,) float64, seconds from the start of the source; None means frame / fps.
        source: where the keypoints come from (a file name, a detector).
        person: number of the person in the source, from 1; stable over the clip.
    """

    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    skeleton: Skeleton
    image_size: tuple[int, int]
    fps: float
    times: NDArray[np.float64] | None = None
    source: str = ""
    person: int = 1

    def __post_init__(self) -> None:
        self.xy = np.asarray(self.xy, dtype=np.float32)
        self.confidence = np.asarray(self.confidence, dtype=np.float32)
        frames, joints = self.xy.shape[:2]
        if self.xy.shape != (frames, len(self.skeleton), 2) or self.confidence.shape != (frames, joints):
            raise ValueError(
                f"xy {self.xy.shape} and confidence {self.confidence.shape} do not fit "
                f"{len(self.skeleton)} joints of skeleton {self.skeleton.name}"
            )

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(F, J): which joints were found."""
        return np.asarray(np.isfinite(self.xy).all(-1))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(F,): frames in which at least one joint was found."""
        return np.asarray(self.found.any(-1))

    def frame_times(self) -> NDArray[np.float64]:
        """(F,) seconds."""
        return np.arange(len(self)) / self.fps if self.times is None else self.times


def find_jumps(keypoints: Keypoints2D) -> NDArray[np.intp]:
    """Frames whose joints lie more than a body's size from those seen before: somebody else, or another scene.

    Frames in which less than half of the joints were found are passed over.
    """
    index = np.flatnonzero(keypoints.found.mean(-1) >= 0.5)
    if len(index) < 2:
        return index[:0]
    xy = np.where(keypoints.found[index, :, None], keypoints.xy[index], np.nan)
    centre = np.nanmedian(xy, axis=1)
    size = (np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)
    step = np.linalg.norm(np.diff(centre, axis=0), axis=-1)
    return index[1:][step > np.minimum(size[1:], size[:-1])]


def split_at_gaps(
    seen: NDArray[np.bool_], times: NDArray[np.float64], max_gap: float, cuts: NDArray[np.integer] | Sequence[int] = ()
) -> list[tuple[int, int]]:
    """Stretches [start, end) that begin and end with a seen frame, apart by more than `max_gap` seconds.

    Args:
        seen: (F,).
        times: (F,) seconds.
        max_gap: longest time between two seen frames of a stretch; neighbouring frames are not split for it.
        cuts: seen frames with which a stretch begins in any case.
    """
    index = np.flatnonzero(seen)
    if not len(index):
        return []
    apart = (np.diff(index) > 1) & (np.diff(times[index]) > max_gap)
    apart |= np.isin(index[1:], cuts)
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(index, np.flatnonzero(apart) + 1)]
