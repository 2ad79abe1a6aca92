"""AIST++'s annotations: dances before nine cameras, 60 frames a second, triangulated from a detector's joints.

The folder of the annotations has `keypoints3d/SEQUENCE.pkl` (COCO's 17 joints, cm), `keypoints2d/SEQUENCE.pkl` (of
nine cameras), `cameras/mapping.txt` and `cameras/SETTING.json`; sequences of `ignore_list.txt` are left out. The
annotations are Google's, under CC BY 4.0; the videos, which are not needed, are AIST's, with terms of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.across.clips import Clip, make_clip
from posemamba.evaluate.views.calibration import check_camera
from posemamba.evaluate.views.cameras import Camera
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader
from posemamba.utils.unpickle import load_pickle

FPS = 60.0
_METRES = 0.01


def clips(folder: Path) -> Iterator[Clip]:
    """Yield the clips of all sequences and cameras, sequences by name.

    Raises:
        PoseMambaError: no such annotations, or the first thing that is wrong with them.
    """
    ignored = _read_ignored(folder / "ignore_list.txt")
    files = sorted((folder / "keypoints3d").glob("*.pkl"))
    if not files:
        raise PoseMambaError(f"{folder}: no keypoints3d/*.pkl in it; expected the folder of AIST++'s annotations")
    settings = _read_mapping(folder / "cameras" / "mapping.txt")
    for file in files:
        if file.stem in ignored:
            continue
        if file.stem not in settings:
            raise PoseMambaError(f"{folder / 'cameras' / 'mapping.txt'}: no camera setting of {file.stem}")
        xyz = _read_3d(file)
        seen = _read_2d(folder / "keypoints2d" / file.name, len(xyz))
        cameras = _read_cameras(folder / "cameras" / f"{settings[file.stem]}.json")
        if len(seen) != len(cameras):
            raise PoseMambaError(f"{file.stem}: 2D joints of {len(seen)} cameras, {len(cameras)} are calibrated")
        for camera, pixels in zip(cameras, seen, strict=True):
            there: NDArray[np.bool_] = np.asarray(np.isfinite(xyz).all((1, 2)))
            yield make_clip(f"{file.stem}_{camera.name}", camera, camera.to_camera(xyz), there, pixels, FPS)


@reader("AIST++'s list of sequences to ignore")
def _read_ignored(path: Path) -> set[str]:
    return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()


@reader("AIST++'s mapping")
def _read_mapping(path: Path) -> dict[str, str]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(line) != 2 for line in lines):
        raise PoseMambaError(f"{path}: expected a sequence and a camera setting in each line")
    return dict(lines)  # type: ignore[arg-type]


@reader("AIST++'s 3D joints")
def _read_3d(path: Path) -> NDArray[np.float64]:
    content = load_pickle(path)
    name = "keypoints3d_optim" if isinstance(content, dict) and "keypoints3d_optim" in content else "keypoints3d"
    return _METRES * _array(path, content, name, (None, 17, 3))


@reader("AIST++'s 2D joints")
def _read_2d(path: Path, frames: int) -> NDArray[np.float64]:
    return np.nan_to_num(_array(path, load_pickle(path), "keypoints2d", (None, frames, 17, 3)))


def _array(path: Path, content: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    if not isinstance(content, dict) or name not in content:
        raise PoseMambaError(f"{path}: expected '{name}'; is it one of AIST++'s annotations?")
    values = np.asarray(content[name])
    fits = values.ndim == len(shape) and all(w in (None, n) for w, n in zip(shape, values.shape, strict=True))
    if values.dtype.kind != "f" or not fits or not values.size:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise PoseMambaError(f"{path}: '{name}' is {values.shape} {values.dtype}, expected ({wanted}) numbers")
    return values.astype(np.float64)


@reader("AIST++'s cameras")
def _read_cameras(path: Path) -> list[Camera]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cameras = [
            Camera(
                name=str(one["name"]),
                size=(float(one["size"][0]), float(one["size"][1])),
                matrix=np.array(one["matrix"], np.float64).reshape(3, 3),
                distortions=np.array(one["distortions"], np.float64).reshape(-1),
                rotation=rotation(np.array(one["rotation"], np.float64).reshape(3)),
                translation=_METRES * np.array(one["translation"], np.float64).reshape(3),
            )
            for one in content
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PoseMambaError(f"{path}: not AIST++'s cameras ({error})") from error
    if not cameras or any(len(camera.distortions) > 5 for camera in cameras):
        raise PoseMambaError(f"{path}: no camera, or one with more than five distortions")
    return [check_camera(path, camera) for camera in cameras]


def rotation(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) rotation of a rotation vector, as OpenCV's Rodrigues does."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned
