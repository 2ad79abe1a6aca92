"""MPI-INF-3DHP's two files as P-STMO's authors packed them: found, read and checked.

`data_train_3dhp.npz` holds ``data[sequence][0][camera]`` with `data_2d` (F, 17, 2) pixels and `data_3d` (F, 17, 3)
millimetres in the camera's frame, x right, y down, z away; `data_test_3dhp.npz` holds ``data['TS1'..'TS6']`` with the
same and `valid` (F,).

Normalised: x/W*2-1, y/W*2-H/W. Shapes: V videos, F frames of one, N frames of all, 17 joints in Human3.6M's order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.data.copies import read_numbers
from posemamba.data.mpi_inf_3dhp.joints import to_h36m
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader
from posemamba.utils.unpickle import load_npz_object

TRAIN_FILE, TEST_FILE = "data_train_3dhp.npz", "data_test_3dhp.npz"
SQUARE, WIDE = (2048, 2048), (1920, 1080)
WIDE_SEQUENCES = ("TS5", "TS6")
"""Test sequences filmed outdoors with another camera: pictures of 1920 x 1080 pixels."""

SCORED = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
"""Frames marked as valid in the published test set, as its README counts them."""


def image_size(sequence: str) -> tuple[int, int]:
    """Width and height of a sequence's pictures in pixels."""
    return WIDE if sequence in WIDE_SEQUENCES else SQUARE


@dataclass(frozen=True)
class Video:
    """One sequence as one camera saw it, joints in Human3.6M's order.

    Attributes:
        name: ``S1 Seq1 camera 0``, or ``TS1``.
        width, height: of the picture, pixels.
        xy: (F, 17, 2) float32 normalised 2D joints.
        mm: (F, 17, 3) float32 millimetres in the camera's frame, relative to joint 0.
        valid: (F,) bool, whether the frame is scored.
    """

    name: str
    width: int
    height: int
    xy: NDArray[np.float32]
    mm: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @property
    def mm_per_unit(self) -> float:
        """Millimetres per unit of the normalised target."""
        return self.width / 2


@dataclass(frozen=True)
class Videos:
    """Videos one after another; the fields of `Video`, and frames of each.

    Attributes:
        names: (V,) texts.
        lengths: (V,) frames of each.
        sizes: (V, 2) width and height.
        xy, mm, valid: (N, 17, 2), (N, 17, 3), (N,), mapped into memory.
    """

    names: NDArray[np.str_]
    lengths: NDArray[np.int64]
    sizes: NDArray[np.int64]
    xy: NDArray[np.float32]
    mm: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """(V,) first frame of each video."""
        return np.cumsum(self.lengths) - self.lengths

    def __iter__(self) -> Iterator[Video]:
        for name, start, length, (width, height) in zip(self.names, self.starts, self.lengths, self.sizes, strict=True):
            part = slice(int(start), int(start + length))
            xy, mm = read_numbers(self.xy, part), read_numbers(self.mm, part)
            yield Video(str(name), int(width), int(height), xy, mm, self.valid[part])


def find_file(directory: Path, name: str) -> Path | None:
    """The file of that name in the folder or the nearest of its subfolders."""
    return min(directory.rglob(name), key=lambda path: (len(path.parts), path), default=None)


@reader("MPI-INF-3DHP's file")
def read_file(path: Path, test: bool) -> Videos:
    """Read and check one file; everything in memory.

    Raises:
        PoseMambaError: it is of another layout, or not readable.
    """
    data = load_npz_object(path, "data")
    expected = "['TS1'..'TS6']" if test else "['S1 Seq1'][0][camera]"
    if not isinstance(data, dict) or not data:
        raise PoseMambaError(f"{path}: 'data' holds a {type(data).__name__}, expected a dictionary {expected}")
    videos: list[Video] = []
    for name, content in data.items():
        if test:
            videos.append(_video(path, str(name), str(name), content, test=True))
            continue
        cameras = content[0] if isinstance(content, Sequence) and len(content) else content
        if not isinstance(cameras, dict) or not cameras:
            raise PoseMambaError(f"{path}: '{name}' holds a {type(content).__name__}, expected {expected}")
        for camera, one in cameras.items():
            videos.append(_video(path, f"{name} camera {camera}", str(name), one, test=False))
    return Videos(
        names=np.array([v.name for v in videos]),
        lengths=np.array([len(v.xy) for v in videos], np.int64),
        sizes=np.array([(v.width, v.height) for v in videos], np.int64),
        xy=np.concatenate([v.xy for v in videos]),
        mm=np.concatenate([v.mm for v in videos]),
        valid=np.concatenate([v.valid for v in videos]),
    )


def _video(path: Path, name: str, sequence: str, content: Any, *, test: bool) -> Video:
    where = f"{path}: '{name}'"
    fields = ("data_2d", "data_3d", "valid") if test else ("data_2d", "data_3d")
    if not isinstance(content, dict) or any(field not in content for field in fields):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise PoseMambaError(f"{where} holds {found}, expected {', '.join(fields)}")
    try:
        arrays = {field: np.asarray(content[field], np.float64) for field in fields}
    except (TypeError, ValueError):
        raise PoseMambaError(f"{where}: {', '.join(fields)} are not all arrays of numbers") from None
    xy, mm = arrays["data_2d"], arrays["data_3d"]
    for field, array, width in (("data_2d", xy, 2), ("data_3d", mm, 3)):
        if array.ndim != 3 or array.shape[1:] != (17, width) or not len(array):
            raise PoseMambaError(f"{where}: {field} has shape {array.shape}, expected (frames, 17, {width})")
        if not (np.abs(array) < 1e9).all():
            raise PoseMambaError(f"{where}: {field} has values that are not finite; get the file again")
    valid = arrays["valid"].ravel() if test else np.ones(len(xy))
    if not len(xy) == len(mm) == len(valid):
        raise PoseMambaError(
            f"{where}: {', '.join(fields)} have different numbers of frames: {len(xy)}, {len(mm)}"
            + (f", {len(valid)}" if test else "")
        )
    if not np.isin(valid, (0, 1)).all():
        raise PoseMambaError(f"{where}: valid has other values than 0 and 1")
    width, height = image_size(sequence)
    xy, mm = to_h36m(xy), to_h36m(mm)
    mm = mm - mm[:, :1]
    extent = float(np.linalg.norm(mm, axis=-1).mean())
    if not 50 < extent < 5000:
        raise PoseMambaError(
            f"{where}: data_3d's joints are {extent:.3g} from the pelvis on average, expected some 500 (millimetres)"
        )
    normalised = xy / width * 2 - np.array([1, height / width])
    return Video(name, width, height, normalised.astype(np.float32), mm.astype(np.float32), valid.astype(bool))
