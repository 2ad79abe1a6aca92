"""The ``keypoints.npz`` of the demos of lifting models: MHFormer, StridedTransformer, MotionAGFormer, PoseMamba.

Its array ``reconstruction`` is (people, F, 17, 2 or 3), pixels and perhaps the confidence, in Human3.6M's order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemamba.io.keypoints.npz import load_arrays
from posemamba.io.keypoints.raw import RawPeople
from posemamba.io.keypoints.source import Source
from posemamba.poses.detections import Track
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError

_KEY = "reconstruction"
_LARGEST_POSE = 20.0
"""Metres: no joint of a 3D pose lies farther from its origin; pixels of a video do."""


def recognises(names: Sequence[str]) -> bool:
    """Return True if an npz of these arrays is of such a demo."""
    return _KEY in names and not {"keypoints", "xy"} & set(names)


def read(source: Source) -> RawPeople:
    """Read all people of a file.

    Raises:
        PoseMambaError: the file is broken, the array has another shape, or holds 3D poses, which demos name alike.
    """
    path = source.path
    values = load_arrays(path, (_KEY,)).get(_KEY)
    if values is None or values.dtype.kind not in "fiu":
        raise PoseMambaError(f"{path}: has no numbers in an array '{_KEY}', as demos of lifting models write it")
    found = values[None] if values.ndim == 3 else values
    if found.ndim != 4 or found.shape[2] != len(H36M17) or found.shape[3] not in (2, 3):
        raise PoseMambaError(
            f"{path}: '{_KEY}' has shape {values.shape}, expected (people, frames, 17, 2), or 3 with the confidence"
        )
    xy, sure = found[..., :2].astype(np.float64), np.ones(found.shape[:3])
    confident = found.shape[3] == 3
    if confident:
        sure = found[..., 2].astype(np.float64)
        if np.nanmin(sure, initial=0) < 0 or np.nanmax(sure, initial=0) > 2 or np.nanmax(xy, initial=0) < _LARGEST_POSE:
            raise PoseMambaError(
                f"{path}: '{_KEY}' holds 3D poses, expected 2D joints in pixels: give the demo's input_2D/keypoints.npz"
            )
    frames = found.shape[1]
    tracks = []
    for person in range(len(found)):
        # what was not found is at 0, 0
        seen = np.flatnonzero((np.nan_to_num(xy[person]) != 0).any((1, 2)))
        if len(seen):
            tracks.append(Track(seen, xy[person, seen], sure[person, seen]))
    tracks.sort(key=lambda track: -len(track))
    return RawPeople(tracks, frames, H36M17, confident=confident)
