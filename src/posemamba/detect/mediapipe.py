"""MediaPipe's BlazePose detector: one person, 33 landmarks, on the CPU, with the model in MediaPipe's wheel.

Only the legacy interface and its `full` model (complexity 1) work without a download.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.skeletons import BLAZEPOSE33, Skeleton
from posemamba.poses.tracking import Detection
from posemamba.utils.errors import PoseMambaError

# Information and warnings that MediaPipe, TensorFlow Lite and absl log when all is well.
_CHATTER = re.compile(rb"(INFO|WARNING): |[IW]\d{4} [\d:. ]+\S+\] |[IW]\d{4} \d\d:\d\d:\d\d")


class MediaPipeDetector:
    """A detector of the most prominent person.

    Raises:
        PoseMambaError: MediaPipe is not installed, or is a release without the legacy interface.
    """

    skeleton: Skeleton = BLAZEPOSE33
    single = True  # in mode track it follows by itself, so its detections are one track, including jumps

    def __init__(self, mode: str = "track", *, keep_world: bool = False) -> None:
        """Load the model.

        Args:
            mode: ``track`` or ``detect``, see `posemamba.detect.detect_video`.
            keep_world: append MediaPipe's own 3D landmarks to `world` for each frame with a person: (33, 4) x, y, z in
                metres from the middle of the hips, and visibility.
        """
        self.world: list[NDArray[np.float64]] = []
        self._keep_world = keep_world
        self.single = mode == "track"  # in mode detect frames may show different people, so they are followed
        pose_class = _pose_class()
        with _quiet():
            self._pose = pose_class(
                static_image_mode=mode == "detect",
                model_complexity=1,
                smooth_landmarks=True,
                enable_segmentation=False,
            )
            # the models load in their own threads; after a black frame they are loaded and have logged
            self(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        """Find one person or nobody, see `posemamba.detect.Detector`."""
        height, width = rgb.shape[:2]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype", category=UserWarning)
            result = self._pose.process(rgb)
        if self._keep_world and result.pose_world_landmarks is not None:
            places = result.pose_world_landmarks.landmark
            self.world.append(np.array([(p.x, p.y, p.z, p.visibility) for p in places]))
        landmarks = result.pose_landmarks
        if landmarks is None:
            return []
        values = np.array([(p.x, p.y, p.visibility) for p in landmarks.landmark], np.float32)
        # MediaPipe's coordinates are shares of the image's width and height
        return [Detection(values[:, :2] * np.array([width, height], np.float32), values[:, 2])]

    def close(self) -> None:
        """Release the model."""
        self._pose.close()


def _pose_class() -> Any:
    try:
        with _quiet():
            from mediapipe.python.solutions.pose import Pose
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        advice = (
            f"MediaPipe 0.10.14 does not support Python {version}; use Python 3.10 to 3.12, or keypoints of another "
            "detector"
            if sys.version_info >= (3, 13)
            else "pip install mediapipe==0.10.14"
        )
        raise PoseMambaError(
            f"finding people in video needs the Python package 'mediapipe' 0.10.14, which did not import "
            f"({error}): {advice}"
        ) from error
    return Pose


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back native code's output to stderr, and pass on all but known log lines.

    Some lines come before any log level can be set, so the file descriptor is redirected.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no stderr at all, as in a windowed program
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            if rest := b"".join(line for line in held if not _CHATTER.match(line)):
                os.write(2, rest)
