"""BlazePose on the CPU: all people in the picture, 33 joints each with heels and toes; networks in the package.

Its person detector finds people, its landmark network the joints of each (`lite`, `full` or `heavy`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.detect.blazepose.finder import Found, PersonFinder, Square, small_tiles, whole_and_tiles
from posemamba.detect.blazepose.following import Follower
from posemamba.detect.blazepose.landmarks import LandmarkNetwork, Landmarks
from posemamba.detect.blazepose.networks import SIZES, Size
from posemamba.detect.modes import MODES, Mode
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33, Skeleton
from posemamba.utils.errors import PoseMambaError

__all__ = ["SIZES", "BlazePoseDetector", "Size"]

_SMALL_SQUARES = 3  # small squares at each look, in turn
_MOST_SMALL_SQUARES = 60  # at the first look; 16:9 has 21, and a strip has thousands


class BlazePoseDetector:
    """A detector of all people, who are followed from frame to frame.

    Attributes:
        skeleton: BlazePose's 33 joints.
    """

    skeleton: Skeleton = BLAZEPOSE33

    def __init__(self, size: Size = "heavy", *, mode: Mode = "track") -> None:
        """Load the networks.

        Args:
            size: ``lite``, ``full`` or ``heavy``, the slowest and best.
            mode: ``track`` looks for each person near their last place, and for new ones everywhere in the first frame
                and then six times a second.
                ``detect`` looks for everybody in every frame afresh and everywhere in it, and gives no ids.

        Raises:
            PoseMambaError: an unknown size or mode, or LiteRT is not installed.
        """
        if size not in SIZES:
            raise PoseMambaError(f"unknown size of BlazePose '{size}', expected one of {', '.join(SIZES)}")
        if mode not in MODES:
            raise PoseMambaError(f"unknown detection mode '{mode}', expected one of {', '.join(MODES)}")
        self._find_in = PersonFinder()
        self._landmarks = LandmarkNetwork(size)
        self._mode = mode
        self.begin(30.0)

    def begin(self, fps: float) -> None:
        """Forget everybody, as a clip of `fps` frames per second follows."""
        self._looks = 0
        self._follower = Follower(self._landmarks, self._look, fps)

    @property
    def state(self) -> dict[str, Any]:
        """All that the next frame depends on, see `posemamba.detect.ResumableDetector`."""
        return {"looks": self._looks, **self._follower.state} if self._mode == "track" else {}

    def resume(self, fps: float, state: Mapping[str, Any]) -> None:
        """Go on within a clip, see `posemamba.detect.ResumableDetector`."""
        self.begin(fps)
        if self._mode == "track":
            self._looks = int(state["looks"])
            self._follower.resume(state)

    @property
    def doubtful(self) -> set[int]:
        """Ids of people who are perhaps things, as the person finder hardly sees them; final after the last frame."""
        return self._follower.doubtful if self._mode == "track" else set()

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        """Find all people in the next frame, see `posemamba.detect.Detector`; ids tell who is who."""
        if self._mode == "track":
            return [detection_of(landmarks, number) for number, landmarks in self._follower(rgb).items()]
        self.begin(1.0)
        return [detection_of(landmarks, None) for landmarks in self._follower(rgb).values()]

    def close(self) -> None:
        """Do nothing: Python releases the networks."""

    def _look(self, rgb: NDArray[np.uint8], thorough: bool) -> list[Found]:
        """Find people in the whole picture and in large squares; a thorough look takes small ones too.

        In a clip's first frame these are all of them (of a strip the first), later the next few.
        """
        height, width = rgb.shape[:2]
        chosen: list[Square] = []
        if thorough:
            small = small_tiles(width, height)
            count = min(_SMALL_SQUARES if self._looks else _MOST_SMALL_SQUARES, len(small))
            start = self._looks * _SMALL_SQUARES
            chosen = [small[(start + i) % len(small)] for i in range(count)]
            self._looks += 1
        return self._find_in(rgb, whole_and_tiles(width, height), chosen)


def detection_of(landmarks: Landmarks, number: int | None) -> Detection:
    """Return a person's joints as a detector gives them, with their confidence."""
    confidence = landmarks.visibility * np.where(landmarks.presence >= 0.99, 1.0, 0.0) * min(landmarks.score, 1.0)
    return Detection(landmarks.xy.astype(np.float32), confidence.astype(np.float32), number)
