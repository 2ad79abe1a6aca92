"""MPI-INF-3DHP as P-STMO's authors packed it and MotionAGFormer, and through it the paper, train on it.

Two npz files that the user brings (docs/mpi_inf_3dhp.md): `data_train_3dhp.npz` holds
``data[sequence][0][camera]`` with `data_2d` (F, 17, 2) pixels and `data_3d` (F, 17, 3) millimetres in the camera's
frame, x right, y down, z away; `data_test_3dhp.npz` holds ``data['TS1'..'TS6']`` with the same and `valid` (F,).

Joints are put into Human3.6M's order on the way in, as the scan's limb order is defined on it (`FROM_3DHP`), and back
into the file's on the way out (`to_3dhp`). Input: x/W*2-1, y/W*2-H/W. Target: millimetres / W * 2, relative to the
pelvis. Unlike Human3.6M's target this is metric in x and y too, so one unit is W/2 millimetres in every frame.

The first reading unpacks a file into arrays in a folder beside it (or in the user's cache folder), which are mapped
into memory from then on.

Shapes: V videos, F frames of one, N frames of all, B clips, T frames of a clip, 17 joints.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.data.augment import mirror
from posemamba.data.clips import ClipBatch
from posemamba.data.unpickle import load_npz_object
from posemamba.errors import PoseMambaError

TRAIN_FILE, TEST_FILE = "data_train_3dhp.npz", "data_test_3dhp.npz"
SQUARE, WIDE = (2048, 2048), (1920, 1080)
WIDE_SEQUENCES = ("TS5", "TS6")
"""Test sequences filmed outdoors with another camera: pictures of 1920 x 1080 pixels."""

SCORED = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
"""Frames marked as valid in the published test set, as its README counts them."""

JOINTS = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
)
"""The files' joints, in their order: those that the official utilities call 'relevant', Human3.6M's joints."""

# Which of JOINTS stands for each of Human3.6M's joints. Limbs are the same joints on both sides.
_TABLE: tuple[tuple[str, str, str], ...] = (
    ("pelvis", "pelvis", "the root of both"),
    ("right_hip", "right_hip", ""),
    ("right_knee", "right_knee", ""),
    ("right_ankle", "right_ankle", ""),
    ("left_hip", "left_hip", ""),
    ("left_knee", "left_knee", ""),
    ("left_ankle", "left_ankle", ""),
    ("spine", "spine", "half-way up the trunk in both"),
    ("thorax", "neck", "the base of the neck, where both let the arms begin"),
    ("nose", "head", "between neck and top of the head; Human3.6M's 'nose' is no tip of the nose either"),
    ("head_top", "head_top", ""),
    ("left_shoulder", "left_shoulder", ""),
    ("left_elbow", "left_elbow", ""),
    ("left_wrist", "left_wrist", ""),
    ("right_shoulder", "right_shoulder", ""),
    ("right_elbow", "right_elbow", ""),
    ("right_wrist", "right_wrist", ""),
)
FROM_3DHP = tuple(JOINTS.index(theirs) for _, theirs, _ in _TABLE)
"""For each of Human3.6M's joints the index of the file's joint that stands for it."""
TO_3DHP = tuple(FROM_3DHP.index(joint) for joint in range(len(JOINTS)))
"""For each of the file's joints the index of Human3.6M's; undoes FROM_3DHP."""

_CACHE_VERSION = "1"
_ARRAYS = ("names", "lengths", "sizes", "xy", "mm", "valid")


def to_h36m(joints: NDArray[Any]) -> NDArray[Any]:
    """(..., 17, C) in the file's joint order to Human3.6M's."""
    return joints[..., list(FROM_3DHP), :]


def to_3dhp(joints: NDArray[Any]) -> NDArray[Any]:
    """(..., 17, C) in Human3.6M's joint order to the file's."""
    return joints[..., list(TO_3DHP), :]


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
            yield Video(str(name), int(width), int(height), self.xy[part], self.mm[part], self.valid[part])


class MpiInf3dhp:
    """A user's copy of MPI-INF-3DHP. Files are read when they are first needed.

    Attributes:
        train_path, test_path: of the two files; None where one is missing.
        directory: where they were looked for.
    """

    def __init__(self, directory: Path, train_path: Path | None, test_path: Path | None) -> None:
        self.directory, self.train_path, self.test_path = directory, train_path, test_path

    @classmethod
    def open(cls, directory: str | Path) -> MpiInf3dhp:
        """Find the files in a folder or, else, the nearest of its subfolders; or beside the one that is given.

        One of the two is enough, until the other is needed.

        Raises:
            PoseMambaError: there is no such folder, or neither file in it.
        """
        directory = Path(directory)
        if directory.is_file() and directory.name in (TRAIN_FILE, TEST_FILE):
            directory = directory.parent
        if not directory.is_dir():
            raise PoseMambaError(f"{directory}: no such folder; expected the one of {TRAIN_FILE} and {TEST_FILE}")
        found = [_find(directory, name) for name in (TRAIN_FILE, TEST_FILE)]
        if found == [None, None]:
            raise PoseMambaError(
                f"{directory}: neither {TRAIN_FILE} nor {TEST_FILE} in it or its subfolders; "
                "docs/mpi_inf_3dhp.md says where they come from"
            )
        return cls(directory, *found)

    @cached_property
    def train(self) -> Videos:
        """The training videos.

        Raises:
            PoseMambaError: the file is missing or of another layout.
        """
        return _read_cached(self._needed(self.train_path, TRAIN_FILE), test=False)

    @cached_property
    def test(self) -> Videos:
        """The test sequences.

        Raises:
            PoseMambaError: the file is missing or of another layout.
        """
        return _read_cached(self._needed(self.test_path, TEST_FILE), test=True)

    def _needed(self, path: Path | None, name: str) -> Path:
        if path is None:
            raise PoseMambaError(f"{self.directory}: no {name} in it or its subfolders, which this needs")
        return path

    def train_source(
        self,
        frames: int = 81,
        stride: int = 9,
        seed: int = 0,
        flip: bool = True,
        device: torch.device | str = "cpu",
    ) -> TrainSource:
        """Training clips as MotionAGFormer cuts them (`TrainSource`)."""
        return TrainSource(self.train, frames=frames, stride=stride, seed=seed, flip=flip, device=device)


class TrainSource:
    """Clips of the training videos, in a shuffled order that is drawn anew for each epoch.

    As in MotionAGFormer, a clip begins at every `stride`-th frame of a video; where fewer than `frames` remain, these
    are stretched to a clip by repeating frames. Exact 2D joints are the input.

    A batch is a pure function of (seed, step, rank). Batches go on over the end of an epoch: after
    ``len(source) / (size * world)`` steps every clip has been seen once, whatever the number of processes.

    Args:
        videos: what to cut.
        frames: T.
        stride: frames from one clip's start to the next one's.
        seed: of the order and of the mirroring.
        flip: mirror half of the clips, drawn anew for each epoch.
        device: where batches come out; on other devices than CPUs all frames are kept there.
    """

    def __init__(
        self,
        videos: Videos,
        *,
        frames: int = 81,
        stride: int = 9,
        seed: int = 0,
        flip: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        if frames < 1 or stride < 1:
            raise PoseMambaError(f"clips of {frames} frames, one every {stride}: expected 1 or more of both")
        self.frames, self.stride, self.seed, self.flip = frames, stride, seed, flip
        self.device = torch.device(device)
        within = [np.arange(0, length, stride) for length in videos.lengths]
        video = np.repeat(np.arange(len(videos)), [len(starts) for starts in within])
        offsets = np.concatenate([np.zeros(0, np.int64), *within])
        self._begin = videos.starts[video] + offsets
        self._length = np.minimum(frames, videos.lengths[video] - offsets)
        self._mm_per_unit = (videos.sizes[video, 0] / 2).astype(np.float32)
        # Row n: which of the n frames that remain stand at each place of the clip.
        self._stretch = np.stack(
            [np.floor(np.linspace(0, n, frames, endpoint=False)).astype(np.int64) for n in range(frames + 1)]
        )
        self._xy, self._mm = videos.xy, videos.mm
        self._on_device: tuple[torch.Tensor, torch.Tensor] | None = None
        if self.device.type != "cpu":
            self._on_device = (_tensor(videos.xy).to(self.device), _tensor(videos.mm).to(self.device))
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def __len__(self) -> int:
        return len(self._begin)

    def batch(self, step: int, size: int, *, rank: int = 0, world: int = 1) -> ClipBatch:
        """The clips of one training step.

        Args:
            step: number of the step.
            size: B, clips of each process.
            rank, world: number of the process that asks, and how many there are.

        Returns:
            `size` clips of T frames on the device; `input` and `exact` are the same, `confidence` is 1.
        """
        places = (step * world + rank) * size + np.arange(size)
        epochs, places = np.divmod(places, len(self))
        clips, mirrored = np.empty(size, np.int64), np.empty(size, bool)
        for epoch in np.unique(epochs):
            order, flips = self._epoch(int(epoch))
            now = epochs == epoch
            clips[now], mirrored[now] = order[places[now]], flips[places[now]]
        rows = self._begin[clips, None] + self._stretch[self._length[clips]]
        scale = torch.from_numpy(self._mm_per_unit[clips]).to(self.device)[:, None]
        turn = torch.from_numpy(mirrored).to(self.device)[:, None, None, None]
        if self._on_device is None:
            xy, mm = torch.from_numpy(self._xy[rows]), torch.from_numpy(self._mm[rows])
        else:
            index = torch.from_numpy(rows).to(self.device)
            xy, mm = self._on_device[0][index], self._on_device[1][index]
        target = mm / scale[..., None, None]
        xy, target = torch.where(turn, mirror(xy), xy), torch.where(turn, mirror(target), target)
        confidence = torch.ones(xy.shape[:3], device=self.device)
        return ClipBatch(xy, target, scale.expand(-1, self.frames), xy, confidence)

    def _draw_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        random = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        order = random.permutation(len(self))
        return order, (random.random(len(self)) < 0.5) & self.flip


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.array(array))  # a copy: mapped files cannot be written to


def _find(directory: Path, name: str) -> Path | None:
    return min(directory.rglob(name), key=lambda path: (len(path.parts), path), default=None)


# --- reading


def _read(path: Path, test: bool) -> Videos:
    """Read and check one file; everything in memory."""
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
        if not np.isfinite(array).all():
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


def describe(files: dict[str, Path]) -> Iterator[str]:
    """Read and check the files of these names in full: lines about what they hold.

    Raises:
        PoseMambaError: the first thing that is wrong.
    """
    if TRAIN_FILE in files:
        videos = _read(files[TRAIN_FILE], test=False)
        subjects = {str(name).split()[0] for name in videos.names}
        sequences = {str(name).split(" camera ")[0] for name in videos.names}
        cameras = {str(name).split(" camera ")[1] for name in videos.names}
        yield (
            f"train: {len(videos.xy):,} frames, {len(videos)} videos: {len(sequences)} sequences of {len(subjects)} "
            f"subjects, cameras {', '.join(sorted(cameras))}"
        )
        yield f"  clips of 81 frames every 9: {len(TrainSource(videos)):,}"
        yield from _ranges(videos)
    if TEST_FILE in files:
        videos = _read(files[TEST_FILE], test=True)
        yield f"test: {len(videos.xy):,} frames, {int(videos.valid.sum()):,} of them scored"
        for video in videos:
            published = f" (published: {SCORED[video.name]})" if video.name in SCORED else ""
            yield (
                f"  {video.name}: {video.width} x {video.height} pixels, {len(video.xy):,} frames, "
                f"{int(video.valid.sum()):,} scored{published}"
            )
        yield from _ranges(videos)


def _ranges(videos: Videos) -> Iterator[str]:
    inside = np.mean([(np.abs(v.xy) <= [1, v.height / v.width]).all(-1).mean() for v in videos])
    yield f"  2D joints inside the picture: {100 * float(inside):.1f} %"
    yield f"  distance from the pelvis: {float(np.linalg.norm(videos.mm, axis=-1).max()):,.0f} mm at most"


# --- the unpacked copy


def _read_cached(path: Path, test: bool) -> Videos:
    """Map the unpacked copy of a file into memory; unpack it first where there is none or it is of another file."""
    try:
        stat = path.stat()
    except OSError as error:
        raise PoseMambaError(f"{path}: not readable ({error.strerror or error})") from None
    name = f"{_CACHE_VERSION}-{stat.st_size}-{stat.st_mtime_ns}"
    folders = _cache_folders(path)
    for folder in folders:
        if (videos := _load(folder / name)) is not None:
            return videos
    videos = _read(path, test)
    for folder in folders:
        with contextlib.suppress(OSError):
            _save(videos, folder, name)
            if (mapped := _load(folder / name)) is not None:
                return mapped
    return videos  # nowhere to write: they stay in memory


def _cache_folders(path: Path) -> list[Path]:
    """Where unpacked copies may be: beside the file, else in the user's cache folder."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "posemamba"
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return [path.with_name(f"{path.name}.posemamba"), user / f"{path.stem}-{key}"]


def _load(folder: Path) -> Videos | None:
    try:
        small = {n: np.load(folder / f"{n}.npy", allow_pickle=False) for n in ("names", "lengths", "sizes")}
        large = {n: np.load(folder / f"{n}.npy", mmap_mode="r", allow_pickle=False) for n in ("xy", "mm", "valid")}
    except (OSError, ValueError, EOFError):
        return None
    frames = int(small["lengths"].sum())
    whole = len(small["names"]) == len(small["lengths"]) == len(small["sizes"])
    return Videos(**small, **large) if whole and all(len(a) == frames for a in large.values()) else None


def _save(videos: Videos, folder: Path, name: str) -> None:
    """Write a folder `name` in `folder`, whole or not at all, and remove copies of earlier files."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".unfinished."))
    try:
        for array in _ARRAYS:
            np.save(temporary / f"{array}.npy", getattr(videos, array), allow_pickle=False)
        temporary.chmod(0o755)  # mkdtemp makes folders private
        if _load(folder / name) is None:  # else another process was faster
            shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):  # again
                temporary.replace(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for other in folder.iterdir():
        if other.name != name and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
