"""MPI-INF-3DHP as P-STMO's authors packed it and MotionAGFormer, and through it the paper, train on it.

Two npz files that the user brings (docs/mpi_inf_3dhp.md; `mpi_inf_3dhp_file`). Their joints are put into Human3.6M's
order (`mpi_inf_3dhp_joints`).

Input: x/W*2-1, y/W*2-H/W. Target: millimetres / W * 2, relative to the pelvis. Unlike Human3.6M's target this is
metric in x and y too, so one unit is W/2 millimetres in every frame.

Shapes: B clips, T frames of a clip, 17 joints.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.data.clips import ClipBatch
from posemamba.data.copies import read_numbers
from posemamba.data.mpi_inf_3dhp.cache import read_cached
from posemamba.data.mpi_inf_3dhp.file import SCORED, TEST_FILE, TRAIN_FILE, Videos, find_file, read_file
from posemamba.models.inputs import mirror
from posemamba.utils.errors import PoseMambaError


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
        found = [find_file(directory, name) for name in (TRAIN_FILE, TEST_FILE)]
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
        return read_cached(self._needed(self.train_path, TRAIN_FILE), test=False)

    @cached_property
    def test(self) -> Videos:
        """The test sequences.

        Raises:
            PoseMambaError: the file is missing or of another layout.
        """
        return read_cached(self._needed(self.test_path, TEST_FILE), test=True)

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
            xy, mm = (torch.from_numpy(read_numbers(array, rows)) for array in (self._xy, self._mm))
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
    return torch.from_numpy(np.array(read_numbers(array)))  # a copy: mapped files cannot be written to


def describe(files: dict[str, Path]) -> Iterator[str]:
    """Read and check the files of these names in full: lines about what they hold.

    Raises:
        PoseMambaError: the first thing that is wrong.
    """
    if TRAIN_FILE in files:
        videos = read_file(files[TRAIN_FILE], test=False)
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
        videos = read_file(files[TEST_FILE], test=True)
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
