"""Calibration files of several cameras: Qualisys's ``.qca.txt`` and Pose2Sim's ``.toml``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from posemamba.evaluate.views.cameras import Array, Camera
from posemamba.io.pictures import natural_key
from posemamba.poses.ranges import check_image_size
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

QCA, TOML = ".qca.txt", ".toml"
_SUBPIXELS = 64
"""Parts of a pixel in which Qualisys gives focal lengths and centres."""


def find_calibration(folder: Path) -> Path:
    """Return the calibration file of a folder of views.

    It lies in a subfolder whose name begins with ``calib``, or in one beside the folder, as where several trials share
    it. Of a .toml and a .qca.txt the .toml is taken, as Pose2Sim does.

    Raises:
        PoseMambaError: there is none, or several of one kind.
    """
    for place in (folder, folder.resolve().parent):
        homes = sorted(p for p in place.iterdir() if p.is_dir() and p.name.lower().startswith("calib"))
        for ending in (TOML, QCA):
            files = sorted(f for home in homes for f in home.iterdir() if f.name.lower().endswith(ending))
            if len(files) > 1:
                names = ", ".join(str(f.relative_to(place)) for f in files)
                raise PoseMambaError(f"{folder}: holds {len(files)} calibrations, {names}; choose by --calibration")
            if files:
                return files[0]
    raise PoseMambaError(
        f"{folder}: no calibration, expected calibration/*{QCA} (Qualisys) or calibration/*{TOML} (Pose2Sim); or give "
        "--calibration FILE"
    )


@reader("a calibration")
def read_calibration(path: Path) -> list[Camera]:
    """Read the cameras of a calibration file, sorted by name.

    Raises:
        PoseMambaError: the file is missing, damaged or of another kind.
    """
    if not path.is_file():
        raise PoseMambaError(f"{path}: no such file; expected a calibration, *{QCA} or *{TOML}")
    read_file = next((read for ending, read in _READERS.items() if path.name.lower().endswith(ending)), None)
    if read_file is None:
        raise PoseMambaError(f"{path}: unknown calibration, expected *{QCA} (Qualisys) or *{TOML} (Pose2Sim)")
    try:
        cameras = read_file(path)
    except (OSError, UnicodeDecodeError, ElementTree.ParseError, tomllib.TOMLDecodeError) as error:
        raise PoseMambaError(f"{path}: cannot be read: {error}") from error
    if not cameras:
        raise PoseMambaError(f"{path}: holds no camera; expected a calibration of three cameras or more")
    names = [camera.name for camera in cameras]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PoseMambaError(f"{path}: camera '{twice[0]}' is there twice, expected each once")
    return sorted(cameras, key=lambda camera: natural_key(Path(camera.name or "_")))


def _read_toml(path: Path) -> list[Camera]:
    """Read Pose2Sim's file: a table for each camera; other tables, such as ``[metadata]``, are left out."""
    cameras = []
    for key, table in tomllib.loads(path.read_text(encoding="utf-8-sig")).items():
        if not isinstance(table, dict) or "matrix" not in table:
            continue
        name = str(table.get("name", key))

        def numbers(field: str, *shapes: tuple[int, ...], name: str = name, table: dict[str, Any] = table) -> Array:
            try:
                array = np.array(table[field], np.float64)
            except (KeyError, ValueError, TypeError):
                array = np.array([np.nan])
            if array.shape not in shapes or not np.isfinite(array).all():
                expected = " or ".join("x".join(map(str, shape)) for shape in shapes)
                found = repr(table[field])[:80] if field in table else "missing"
                raise PoseMambaError(f"{path}: camera '{name}': '{field}' is {found}, expected {expected} numbers")
            return array

        fisheye = bool(table.get("fisheye", False))
        distortions = numbers("distortions", (4,)) if fisheye else numbers("distortions", (4,), (5,))
        rotation = numbers("rotation", (3,), (3, 3))
        turn = Rotation.from_rotvec(rotation).as_matrix() if rotation.ndim == 1 else _orthogonal(path, name, rotation)
        width, height = numbers("size", (2,))
        camera = Camera(
            name,
            (float(width), float(height)),
            numbers("matrix", (3, 3)),
            distortions,
            turn,
            numbers("translation", (3,)),
            fisheye,
        )
        cameras.append(check_camera(path, camera))
    return cameras


def _read_qca(path: Path) -> list[Camera]:
    """Read Qualisys's file, XML: intrinsics in 1/64 pixel, places in millimetres.

    A camera's rotation leads from the room's axes to its own: x right, y up, z backwards. Lens distortions are of the
    plane at depth 1, as OpenCV's. Marker cameras, whose ``model`` is neither of video nor unknown, have no pictures and
    are left out.
    """
    cameras = []
    for number, entry in enumerate(ElementTree.parse(path).getroot().iter("camera"), start=1):
        model = entry.get("model", "").lower()
        if model and not any(word in model for word in ("video", "hybrid", "none")):
            continue
        name = entry.get("serial") or f"camera {number}"

        def numbers(part: str, *fields: str, name: str = name, entry: ElementTree.Element = entry) -> Array:
            found = entry.find(part)
            try:
                if found is None:
                    raise ValueError
                values = np.array([float(found.get(field, "missing")) for field in fields])
                if not np.isfinite(values).all():
                    raise ValueError
                return values
            except ValueError:
                raise PoseMambaError(
                    f"{path}: camera '{name}': <{part}> lacks numbers in {', '.join(fields)}; export the calibration "
                    "again"
                ) from None

        left, top, right, bottom = numbers("fov_video", "left", "top", "right", "bottom")
        intrinsics = numbers("intrinsic", "focalLengthU", "focalLengthV", "centerPointU", "centerPointV") / _SUBPIXELS
        matrix = np.array(
            [[intrinsics[0], 0, intrinsics[2] - left], [0, intrinsics[1], intrinsics[3] - top], [0, 0, 1]]
        )
        distortions = numbers(
            "intrinsic",
            *("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2"),
            *(("radialDistortion3",) if entry.find("intrinsic[@radialDistortion3]") is not None else ()),
        )
        turn = numbers("transform", *(f"r{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3))).reshape(3, 3)
        place = numbers("transform", "x", "y", "z") / 1000
        rotation = _orthogonal(path, name, np.diag([1.0, -1, -1]) @ turn)
        size = (right - left + 1, bottom - top + 1)
        cameras.append(check_camera(path, Camera(name, size, matrix, distortions, rotation, -rotation @ place)))
    return cameras


_READERS: dict[str, Callable[[Path], list[Camera]]] = {QCA: _read_qca, TOML: _read_toml}


def _orthogonal(path: Path, name: str, matrix: Array) -> Array:
    """Return the rotation next to a matrix of rounded numbers."""
    u, sizes, vt = np.linalg.svd(matrix)
    if np.abs(sizes - 1).max() > 0.01 or np.linalg.det(u @ vt) < 0:
        raise PoseMambaError(f"{path}: camera '{name}': its rotation is no rotation; export the calibration again")
    return np.asarray(u @ vt)


def check_camera(path: Path, camera: Camera) -> Camera:
    """Return a camera of a file after a check of its numbers.

    Raises:
        PoseMambaError: a picture, focal lengths or a place that no camera has, or no numbers.
    """
    (width, height), focal = camera.size, camera.matrix.diagonal()[:2]
    if not (width > 0 and height > 0 and (focal > 0).all()):
        raise PoseMambaError(
            f"{path}: camera '{camera.name}': {width:g}x{height:g} pixels, focal lengths {focal.round(1).tolist()}; "
            "expected positive numbers"
        )
    check_image_size(f"{path}: camera '{camera.name}': its picture", width, height)
    numbers = (camera.matrix, camera.distortions, camera.rotation, camera.translation)
    if not all((np.abs(array) <= 1e9).all() for array in numbers):  # nor NaN
        raise PoseMambaError(f"{path}: camera '{camera.name}': numbers above 10^9; export the calibration again")
    return camera
