"""The pipelines that are raced on a video: their names, what each does, and what they need."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from posemamba.utils.errors import PoseMambaError

LOOP = "loop"
"""The name of the pipeline that the others are compared with."""


@dataclass(frozen=True)
class Pipeline:
    """A way from a video's file to poses.

    Attributes:
        name: as ``--part`` takes it.
        what: what it does, for the table.
        package: an importable package that it needs beside posemamba's extra ``video``; None: none.
        command: options of ``posemamba lift`` that it runs; None: it is run by `worker`.
    """

    name: str
    what: str
    package: str | None = None
    command: tuple[str, ...] | None = None

    def missing(self) -> str:
        """Return why it cannot run here; "" if it can."""
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            return f"the package {self.package} is not installed"
        return ""

    def arguments(self, video: Path, out: Path, detector: str) -> list[str]:
        """Return the command line of its process.

        Args:
            video: the input.
            out: a folder for what it writes.
            detector: BlazePose's size: lite, full or heavy.
        """
        if self.command is None:
            return [sys.executable, "-m", "posemamba.bench.video.worker", self.name, str(video), detector]
        words = ["lift", str(video), "-o", str(out), "--detector", detector, "--device", "cpu", "--again"]
        return [sys.executable, "-m", "posemamba", *words, *self.command]


PIPELINES = (
    Pipeline(LOOP, "bare loop: decoding, the same detector in every frame"),
    Pipeline("posemamba", "posemamba lift: joints, 3D, overlay, page", command=()),
    Pipeline("posemamba-poses", "posemamba lift without drawing: joints, 3D", command=("--no-overlay", "--no-viewer")),
    Pipeline("mediapipe", "MediaPipe's Pose: decoding, one person's joints and its own 3D", package="mediapipe"),
    Pipeline("motionbert", "the same detector, then MotionBERT as built here, random weights; no drawing"),
    Pipeline("motionagformer", "the same detector, then MotionAGFormer-B as built here, random weights; no drawing"),
)


def choose(names: list[str]) -> list[Pipeline]:
    """Return the pipelines of these names, in the order of the race; all for no names.

    Raises:
        PoseMambaError: an unknown name.
    """
    known = [one.name for one in PIPELINES]
    if unknown := [name for name in names if name not in known]:
        raise PoseMambaError(f"unknown part '{unknown[0]}' of video: known are {', '.join(known)}")
    return [one for one in PIPELINES if not names or one.name in names]
