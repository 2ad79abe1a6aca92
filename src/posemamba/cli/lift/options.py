"""The options of ``posemamba lift``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """Of the command line; None: not given.

    Attributes:
        sources, out: files or folders; the folder for results.
        weights, flip, device: of the lifter.
        start, end: seconds.
        fps: of keypoints and pictures.
        format, skeleton, image_size, video: of keypoint files.
        person: longest, largest, all or a number.
        detector, mode, det_model, pose_model: of videos and pictures.
        refine: the options of refinement by name, without `height_m`.
        heights: metres; one for all people, or one for each.
        angles: write them.
        exports: names in `posemamba.io.motion.EXPORTS`.
        overlay: None: where it can be drawn.
        viewer, viewer_video: write the page; with the video's pictures.
        again: also what is done already.
    """

    sources: tuple[Path, ...]
    out: Path
    weights: str = "posemamba-s"
    flip: bool = True
    device: str = "auto"
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    format: str | None = None
    skeleton: str | None = None
    image_size: tuple[int, int] | None = None
    video: Path | None = None
    person: str | None = None
    detector: str | None = None
    mode: str | None = None
    det_model: Path | None = None
    pose_model: Path | None = None
    refine: tuple[tuple[str, Any], ...] = ()
    heights: tuple[float, ...] = ()
    angles: bool = False
    exports: tuple[str, ...] = ()
    overlay: bool | None = None
    viewer: bool = True
    viewer_video: bool = False
    again: bool = False

    @property
    def wants_motion(self) -> bool:
        return bool(self.refine or self.heights or self.angles or self.exports)
