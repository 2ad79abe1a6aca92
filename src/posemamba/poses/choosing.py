"""Choice among the people of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemamba.poses.keypoints import Keypoints2D
from posemamba.utils.errors import PoseMambaError


def choose_people(people: Sequence[Keypoints2D], which: str) -> list[Keypoints2D]:
    """Choose one person, or all.

    Args:
        people: at least one, of one clip; `person` numbers them.
        which: ``longest``: seen in most frames; ``largest``: largest in the picture (median of the frames), among those
            seen at least half as long as the longest; ``all``; or a person's number.

    Raises:
        PoseMambaError: there is no such person, or `which` is none of these.
    """
    if which == "all":
        return list(people)
    seen = [int(p.seen.sum()) for p in people]
    if which == "longest":
        return [people[int(np.argmax(seen))]]
    if which == "largest":
        sizes = [_median_size(p) if 2 * n >= max(seen) else -1.0 for p, n in zip(people, seen, strict=True)]
        return [people[int(np.argmax(sizes))]]
    numbers = [p.person for p in people]
    if not which.isdecimal():
        raise PoseMambaError(f"--person is '{which}', expected longest, largest, all or a number")
    if int(which) not in numbers:
        there = (
            f"there is only {numbers[0]}" if len(numbers) == 1 else f"there are persons {numbers[0]} to {numbers[-1]}"
        )
        raise PoseMambaError(
            f"{people[0].source or 'the clip'}: --person is {which}, but {there}; see who is who in the "
            "overlay of --person all"
        )
    return [people[numbers.index(int(which))]]


def _median_size(keypoints: Keypoints2D) -> float:
    """Return the median of the longer sides of the joints' boxes, in pixels."""
    xy = keypoints.xy[keypoints.seen]
    return float(np.median((np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1)).max(-1)))
