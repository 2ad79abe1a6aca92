"""Motions to write: the made-up walker, seen or not, in any frame and unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from posemamba.demo.walker import walk
from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17

MISSING = (0, 1, 7, 8, 9, 29)  # at the start, in the middle, at the end
FRAMES = 30


@pytest.fixture
def make_motion() -> Callable[..., Poses3D]:
    """make(xyz=..., missing=frames not seen, times, fps, other fields of Poses3D): metres in the world by default."""

    def make(
        xyz: Any = None,
        missing: tuple[int, ...] = MISSING,
        times: Any = None,
        fps: float = 25.0,
        **fields: Any,
    ) -> Poses3D:
        xyz = np.array(walk(FRAMES, fps, seed=3) if xyz is None else xyz, np.float32)
        xyz[list(missing)] = np.nan
        seen = np.isfinite(xyz).all((1, 2))
        confidence = np.where(seen[:, None], np.linspace(0.5, 1, 17), 0)
        keypoints = Keypoints2D(np.zeros((len(xyz), 17, 2)), confidence, H36M17, (640, 480), fps, times, person=2)
        poses = NetworkPoses(xyz, keypoints.confidence, seen, keypoints)
        values: dict[str, Any] = {"units": "metre", "frame": "world", "absolute": True} | fields
        return Poses3D(xyz, seen, network=poses, **values)

    return make
