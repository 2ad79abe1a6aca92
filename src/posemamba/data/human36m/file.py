"""The preprocessed Human3.6M file as MotionBERT's authors pass it on: found, read and checked.

`h36m_sh_conf_cam_source_final.pkl` holds `train` and `test`, each with one entry a frame, videos one after another:
2D joints of a detector in pixels, 3D joints in the picture's unit, camera, video, action; for the test frames also the
millimetres per pixel at the pelvis's depth and the target in millimetres. docs/human36m.md has the whole layout.

Normalised: x/W*2 - 1, y/W*2 - H/W, depth/W*2, with W and H of the frame's camera.
Shapes: F frames of a split, J = 17 joints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader
from posemamba.utils.unpickle import load_pickle

FILE = "h36m_sh_conf_cam_source_final.pkl"
CAMERAS = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
"""Width and height of each camera's pictures, pixels."""
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
SPLITS = tuple(SUBJECTS)
BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
"""Videos of all cameras that no published result scores: their 3D joints are wrong."""
FACTOR, TARGET = "2.5d_factor", "joints_2.5d_image"
CHANNELS = 6
"""Channels of a joint in a frame: detected x, y and confidence, then the label's x, y and depth; normalised."""

_VIDEO = re.compile(r"s_(\d+)_act_(\d+)_subact_(\d+)_ca_(\d+)")
_SHAPES = {"joint_2d": (17, 2), "joint3d_image": (17, 3), TARGET: (17, 3), "confidence": (17,), FACTOR: ()}
_BLOCK = 65536


@dataclass(frozen=True)
class Video:
    """One video: `length` frames from `start` on in its split."""

    name: str
    action: str
    camera: str
    start: int
    length: int

    @property
    def blocked(self) -> bool:
        """Tell whether published results leave the video out."""
        return self.name.rsplit("_ca_", 1)[0] in BLOCKED

    @property
    def subject(self) -> int:
        found = _VIDEO.fullmatch(self.name)
        assert found is not None  # checked when it was read
        return int(found[1])


@dataclass(frozen=True)
class RawSplit:
    """One split as it lies in the file, checked.

    Attributes:
        name: train or test.
        videos: in the file's order.
        joint_2d: (F, J, 2) pixels. joint3d_image: (F, J, 3) pixels. confidence: (F, J).
        factor: (F,) millimetres per pixel at the pelvis's depth, None if the split has none.
        target_mm: (F, J, 3) millimetres, None if the split has none.
    """

    name: str
    videos: tuple[Video, ...]
    joint_2d: NDArray[np.floating]
    joint3d_image: NDArray[np.floating]
    confidence: NDArray[np.floating] | None
    factor: NDArray[np.floating] | None
    target_mm: NDArray[np.floating] | None

    def __len__(self) -> int:
        return len(self.joint_2d)

    def normalised(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Piece by piece: which frames, and their (f, J, 6) `CHANNELS`."""
        for video in self.videos:
            width, height = CAMERAS[video.camera]
            for begin in range(video.start, video.start + video.length, _BLOCK):
                frames = slice(begin, min(begin + _BLOCK, video.start + video.length))
                piece = np.ones((frames.stop - frames.start, 17, CHANNELS), np.float32)
                piece[..., :2] = normalise(self.joint_2d[frames], width, height)
                piece[..., 3:] = normalise(self.joint3d_image[frames], width, height)
                if self.confidence is not None:
                    piece[..., 2] = self.confidence[frames]
                yield frames, piece


def normalise(pixels: NDArray[np.floating], width: int, height: int) -> NDArray[np.float64]:
    """x/W*2 - 1, y/W*2 - H/W and, where there is one, depth/W*2 of (..., 2) or (..., 3) pixels."""
    offset = np.array([1, height / width, 0])[: pixels.shape[-1]]
    return pixels.astype(np.float64) * (2 / width) - offset


def find_file(path: str | Path, name: str = FILE) -> Path:
    """The file itself, or the file of that name in the folder or the nearest of its subfolders.

    Raises:
        PoseMambaError: it is not there; says where it was looked for.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise PoseMambaError(f"{path}: no such file or folder; expected {name} or a folder that holds it")
    found = sorted(path.rglob(name), key=lambda p: (len(p.parts), p))
    if found:
        return found[0]
    folders = sum(p.is_dir() for p in path.rglob("*"))
    packed = next(iter(sorted(path.rglob(f"{Path(name).stem}*.zip"))), None)
    hint = f"; {packed} is there: unpack it" if packed else "; docs/human36m.md says where it comes from"
    for other, recipe in ((FILE, "human36m"), ("data_3d_h36m.npz", "videopose3d")):
        if other != name and (there := next(iter(sorted(path.rglob(other))), None)):
            hint = f"; {there} is there: train on it by the recipe {recipe}"
    raise PoseMambaError(f"{path}: no {name} in this folder or its {folders} subfolders{hint}")


@reader("Human3.6M's file")
def read_file(path: Path) -> dict[str, RawSplit]:
    """Read and check the whole file; the first thing that is wrong is raised.

    Raises:
        PoseMambaError: cut short, asks for code, or not as described at the top of this module.
    """
    content = load_pickle(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(s), dict) for s in SPLITS):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise PoseMambaError(f"{path}: expected the splits train and test, found {found}; is it {FILE}?")
    return {split: _read_split(f"{path} ['{split}']", split, content[split]) for split in SPLITS}


def _read_split(where: str, name: str, fields: dict[str, Any]) -> RawSplit:
    needed = ["joint_2d", "joint3d_image", "camera_name", "source", "action"]
    needed += [FACTOR, TARGET] if name == "test" else []
    if missing := [f"'{field}'" for field in needed if field not in fields]:
        raise PoseMambaError(f"{where}: field {' and '.join(missing)} missing, found {', '.join(map(str, fields))}")
    try:
        counts = {field: len(fields[field]) for field in (*needed, *(f for f in _SHAPES if f in fields))}
    except TypeError:
        raise PoseMambaError(f"{where}: a field holds one value, expected one for each frame") from None
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{field} {count}" for field, count in counts.items())
        raise PoseMambaError(f"{where}: the fields differ in their number of frames: {told}; get the file again")
    if not counts["source"]:
        raise PoseMambaError(f"{where}: holds zero frames")
    arrays = {f: _numbers(where, f, fields[f], shape) for f, shape in _SHAPES.items() if f in fields}
    videos = _videos(where, name, *(_texts(fields[f]) for f in ("source", "camera_name", "action")))
    for field, array in arrays.items():
        if len(bad := np.flatnonzero(~(np.abs(array) < 1e9).reshape(len(array), -1).all(1))):
            raise PoseMambaError(
                f"{where}: '{field}' is NaN or infinite in {len(bad)} frames, first in frame {bad[0]} "
                f"({_video_of(videos, int(bad[0])).name}); expected numbers; get the file again"
            )
    factor = arrays.get(FACTOR)
    if factor is not None and (factor <= 0).any():
        frame = int(np.argmax(factor <= 0))
        raise PoseMambaError(f"{where}: '{FACTOR}' of frame {frame} is {factor[frame]}, expected a positive number")
    return RawSplit(
        name, videos, arrays["joint_2d"], arrays["joint3d_image"], arrays.get("confidence"), factor, arrays.get(TARGET)
    )


def _numbers(where: str, field: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.floating]:
    try:
        array = np.asarray(values)
        array = array if array.dtype.kind == "f" else array.astype(np.float32)
    except (TypeError, ValueError):
        raise PoseMambaError(f"{where}: '{field}' does not hold numbers of one shape") from None
    if array.shape[1:] == (*shape, 1):
        array = array[..., 0]
    if array.shape[1:] != shape:
        raise PoseMambaError(f"{where}: '{field}' has shape {array.shape}, expected {(len(array), *shape)}")
    return array


def is_video(name: object) -> bool:
    """Tell whether this is a video's name, such as s_09_act_02_subact_01_ca_01."""
    return isinstance(name, str) and _VIDEO.fullmatch(name) is not None


def _texts(values: Any) -> list[str]:
    values = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    return [v if type(v) is str else v.decode("latin1") if isinstance(v, bytes) else str(v) for v in values]


def _videos(where: str, split: str, sources: list[str], cameras: list[str], actions: list[str]) -> tuple[Video, ...]:
    starts = [0, *(f for f in range(1, len(sources)) if sources[f] != sources[f - 1])]
    videos = []
    for start, end in zip(starts, [*starts[1:], len(sources)], strict=True):
        name = sources[start]
        if (match := _VIDEO.fullmatch(name)) is None:
            raise PoseMambaError(
                f"{where}: frame {start} is of video '{name}', expected a name as s_09_act_02_subact_01_ca_01"
            )
        if int(match[1]) not in SUBJECTS[split]:
            raise PoseMambaError(
                f"{where}: frame {start} is of subject {int(match[1])} ({name}), expected subjects "
                f"{', '.join(map(str, SUBJECTS[split]))} only"
            )
        if cameras[start] not in CAMERAS:
            raise PoseMambaError(
                f"{where}: unknown camera '{cameras[start]}' in frame {start} ({name}), expected {', '.join(CAMERAS)}"
            )
        for field, values in (("camera_name", cameras), ("action", actions)):
            if len(different := set(values[start:end])) > 1:
                raise PoseMambaError(
                    f"{where}: '{field}' changes within video {name} (frames {start} to {end - 1}): "
                    f"{', '.join(sorted(different))}; expected one"
                )
        videos.append(Video(name, actions[start], cameras[start], start, end - start))
    return tuple(videos)


def _video_of(videos: tuple[Video, ...], frame: int) -> Video:
    return next(v for v in videos if v.start <= frame < v.start + v.length)
