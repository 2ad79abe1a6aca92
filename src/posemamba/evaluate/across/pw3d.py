"""3DPW: people outdoors before a moving camera, 30 frames a second, SMPL bodies from inertial sensors and video.

`sequenceFiles/{train,validation,test}/*.pkl`, pickles of Python 2, of which the test split is scored. Used:
`jointPositions` (SMPL's 24 joints, metres, world), `cam_poses`, `cam_intrinsics`, `campose_valid`, `poses2d`
(OpenPose's 18 joints). The data set may be used for research, not commercially, and not be passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.across.clips import Clip, make_clip
from posemamba.evaluate.views.calibration import check_camera
from posemamba.evaluate.views.cameras import Camera
from posemamba.poses.skeletons import COCO17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader
from posemamba.utils.unpickle import load_pickle

FPS = 30.0
_SMPL = {
    **{"left_hip": 1, "right_hip": 2, "left_knee": 4, "right_knee": 5, "left_ankle": 7, "right_ankle": 8},
    **{"left_shoulder": 16, "right_shoulder": 17, "left_elbow": 18, "right_elbow": 19},
    **{"left_wrist": 20, "right_wrist": 21},
}
"""SMPL's joints that COCO has, too."""
_OPENPOSE18 = {
    **{"nose": 0, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4, "left_shoulder": 5, "left_elbow": 6},
    **{"left_wrist": 7, "right_hip": 8, "right_knee": 9, "right_ankle": 10, "left_hip": 11, "left_knee": 12},
    **{"left_ankle": 13, "right_eye": 14, "left_eye": 15, "right_ear": 16, "left_ear": 17},
}


def clips(folder: Path) -> Iterator[Clip]:
    """Yield the clips of all people in the test sequences, sequences by name.

    Raises:
        PoseMambaError: no such files, or the first thing that is wrong with one.
    """
    homes = (folder / "sequenceFiles" / "test", folder / "test", folder)
    files = next((found for home in homes if (found := sorted(home.glob("*.pkl")))), [])
    if not files:
        raise PoseMambaError(f"{folder}: no sequenceFiles/test/*.pkl in it; expected 3DPW's sequence files")
    for file in files:
        yield from read_sequence(file)


@reader("3DPW's sequence")
def read_sequence(path: Path) -> list[Clip]:
    """Read the people of a sequence.

    Raises:
        PoseMambaError: not such a file, or fields that do not fit each other.
    """
    content = load_pickle(path)
    needed = ("jointPositions", "cam_poses", "cam_intrinsics", "campose_valid", "poses2d")
    if not isinstance(content, dict) or (missing := [name for name in needed if name not in content]):
        named = ", ".join(missing) if isinstance(content, dict) else "all"
        raise PoseMambaError(f"{path}: expected a sequence of 3DPW, missing: {named}")
    poses = _numbers(path, "cam_poses", content["cam_poses"], (None, 4, 4))
    matrix = _numbers(path, "cam_intrinsics", content["cam_intrinsics"], (3, 3))
    size = (float(np.round(2 * matrix[0, 2])), float(np.round(2 * matrix[1, 2])))
    camera = check_camera(path, Camera(path.stem, size, matrix, np.zeros(0), np.eye(3), np.zeros(3)))
    people = []
    for person, joints in enumerate(content["jointPositions"]):
        places = _numbers(path, "jointPositions", joints, (None, 72)).reshape(-1, 24, 3)
        frames = min(len(places), len(poses))
        seen = _numbers(path, "poses2d", content["poses2d"][person], (None, 3, 18))[:frames].swapaxes(1, 2)
        valid = np.asarray(content["campose_valid"][person])[:frames] > 0
        if not frames == len(seen) == len(valid):
            raise PoseMambaError(f"{path}: person {person} has fields of different lengths")
        turned = np.einsum("fab,fjb->fja", poses[:frames, :3, :3], places[:frames]) + poses[:frames, None, :3, 3]
        xyz, pixels = np.full((frames, 17, 3), np.nan), np.zeros((frames, 17, 3))
        for at, name in enumerate(COCO17.joints):
            if name in _SMPL:
                xyz[:, at] = turned[:, _SMPL[name]]
            pixels[:, at] = seen[:, _OPENPOSE18[name]]
        people.append(make_clip(f"{path.stem}_{person}", camera, xyz, valid, np.nan_to_num(pixels), FPS))
    return people


def _numbers(path: Path, name: str, values: Any, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(w in (None, n) for w, n in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in "fi" or not fits or not array.size:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise PoseMambaError(f"{path}: '{name}' is {array.shape} {array.dtype}, expected ({wanted}) numbers")
    return array.astype(np.float64)
