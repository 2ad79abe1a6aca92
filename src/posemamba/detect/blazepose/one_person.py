"""One person's joints in frames that come while they are taken: BlazePose with as little work as that needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.detect.blazepose import detection_of
from posemamba.detect.blazepose.finder import Found, PersonFinder, small_tiles, whole_and_tiles
from posemamba.detect.blazepose.following import Follower, is_followed
from posemamba.detect.blazepose.landmarks import LandmarkNetwork
from posemamba.detect.blazepose.networks import SIZES, Size
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33, Skeleton
from posemamba.utils.errors import PoseMambaError

__all__ = ["OnePersonDetector"]

_SEARCHES, _CHECKS = 5.0, 1.0  # looks a second with the person finder: without anybody, and at who is followed
_LOST = 1.0  # seconds after which somebody else is followed
_FRAMES_PER_SECOND = 15.0  # for the follower's limits: about what comes from a camera on a small machine


class OnePersonDetector:
    """A detector that follows one person, the largest at first sight.

    While the person is followed, the person finder runs once a second and looks at the whole picture alone, to tell
    people from things; without anybody it also looks at parts of the picture.
    """

    skeleton: Skeleton = BLAZEPOSE33

    def __init__(self, size: Size = "lite", *, threads: int | None = 1) -> None:
        """Load the networks.

        Args:
            size: ``lite``, ``full`` or ``heavy``.
            threads: on which each network runs; one by default, as lifting runs beside it.

        Raises:
            PoseMambaError: an unknown size, or LiteRT is not installed.
        """
        if size not in SIZES:
            raise PoseMambaError(f"unknown size of BlazePose '{size}', expected one of {', '.join(SIZES)}")
        self._find_in = PersonFinder(threads)
        self._landmarks = LandmarkNetwork(size, threads)
        self.begin()

    def begin(self) -> None:
        """Forget everybody."""
        self._follower = Follower(self._landmarks, self._look, _FRAMES_PER_SECOND)
        self._number: int | None = None
        self._time = self._looked = self._seen = -np.inf
        self._looks = 0

    def __call__(self, rgb: NDArray[np.uint8], time: float) -> Detection | None:
        """Find the person in the next frame.

        Args:
            rgb: (height, width, 3) uint8.
            time: seconds, rising.

        Returns:
            (33, 2) pixels and (33,) confidence; None: nobody is there.
        """
        self._time = time
        people = self._follower(rgb)
        if self._number not in people and people and (self._number is None or time - self._seen > _LOST):
            self._number = max(people, key=lambda number: people[number].extent)
        if self._number is None or self._number not in people:
            return None
        if len(people) > 1 and self._number not in self._follower.doubtful:
            self._follower.keep(self._number)
        elif len(people) > 1:  # perhaps a thing: somebody whom the finder sees clearly takes its place
            clear = [number for number in people if number not in self._follower.doubtful]
            if clear:
                self._number = max(clear, key=lambda number: people[number].extent)
                self._follower.keep(self._number)
        self._seen = time
        return detection_of(people[self._number], self._number)

    def _look(self, rgb: NDArray[np.uint8], thorough: bool) -> list[Found]:
        """Find people, when it is time to; while somebody is followed for sure only that person."""
        height, width = rgb.shape[:2]
        people = self._follower.people
        followed = people.get(self._number) if self._number is not None else None
        if self._time - self._looked < 1 / (_SEARCHES if followed is None else _CHECKS):
            return []
        self._looked = self._time
        squares = whole_and_tiles(width, height)
        if followed is not None:
            found = self._find_in(rgb, squares[:1])
            if self._number in self._follower.doubtful:
                return found
            return [one for one in found if is_followed(one, followed)]
        small = small_tiles(width, height) if thorough else []
        chosen = [small[self._looks % len(small)]] if small else []
        self._looks += 1
        return self._find_in(rgb, squares, chosen)
