"""Human3.6M as the paper trains and tests on it: clips cut out of the preprocessed file.

Clips of T frames start every `stride` frames of a video; a tail that fills no clip is left out, a video shorter than
a clip is stretched to one by repeating frames. docs/human36m.md has the file and the protocols.

Shapes: B clips, T frames of a clip, F frames of a split, J = 17 joints, N clips of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posemamba.data.clips import ClipBatch
from posemamba.data.copies import read_numbers
from posemamba.data.human36m.cache import Split, in_memory, mapped
from posemamba.data.human36m.file import CAMERAS, Video, find_file
from posemamba.models.inputs import mirror
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError

INPUTS = ("detected", "exact")
"""2D joints of the file's detector (Stacked Hourglass), or the label's own x and y."""
PROTOCOLS = ("paper", "all-frames")
"""The protocol: clips end to end without the tails of videos, as published; or every frame."""
TYPICAL_MM_PER_UNIT = 2200.0
"""Millimetres per unit of training frames, which the file lacks: 5 m away with a focal length of 1.145 image widths."""


@dataclass(frozen=True)
class Clips:
    """Places of clips in a split.

    Attributes:
        frames: T.
        start: (N,) first frame.
        length: (N,) frames of the split that it covers: T, or fewer where a short video is stretched.
        video: (N,) number of the video.
    """

    frames: int
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    video: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def index(self, clip: int) -> NDArray[np.int64]:
        """(T,) the split's frames that make the clip."""
        return self.start[clip] + np.arange(self.frames) * self.length[clip] // self.frames


def cut_clips(videos: tuple[Video, ...], frames: int, stride: int, *, tails: bool = False) -> Clips:
    """Clips of `frames` every `stride` frames of each video; `tails`: another at the end where frames remain."""
    if frames < 1 or stride < 1:
        raise PoseMambaError(f"clips of {frames} frames every {stride} frames: expected positive numbers")
    rows = []
    for number, video in enumerate(videos):
        last = video.length - frames
        starts = list(range(0, last + 1, stride)) if last >= 0 else [0]
        if tails and last > starts[-1]:
            starts.append(last)
        rows += [(video.start + start, min(frames, video.length), number) for start in starts]
    return Clips(frames, *np.array(rows, np.int64).T)


def _check_inputs(inputs: str) -> None:
    if inputs not in INPUTS:
        raise PoseMambaError(f"inputs is '{inputs}', expected {' or '.join(INPUTS)}")


class Human36M:
    """The preprocessed file, opened: ``Human36M.open(path)``.

    Attributes:
        path: of the file.
        train, test: the splits.
    """

    def __init__(self, path: Path, splits: dict[str, Split]) -> None:
        self.path, self.train, self.test = path, splits["train"], splits["test"]

    @classmethod
    def open(cls, path: str | Path, cache: bool = True) -> Human36M:
        """Open the file, or that of its name in a folder or its subfolders.

        Args:
            path: the .pkl or the folder.
            cache: convert it once into mapped arrays (`human36m_cache`); else read all of it into memory.

        Raises:
            PoseMambaError: not there, or the first thing that is wrong with it.
        """
        file = find_file(path)
        return cls(file, mapped(file) if cache else in_memory(file))

    def train_source(
        self,
        frames: int = 243,
        stride: int = 81,
        seed: int = 0,
        flip: bool = True,
        inputs: str = "detected",
        device: torch.device | str = "cpu",
    ) -> Human36MSource:
        """Training clips (`Human36MSource`)."""
        return Human36MSource(self.train, frames, stride, seed, flip, inputs, device)

    def test_clips(self, frames: int = 243, *, protocol: str = "paper") -> Clips:
        """Return the places of the test clips, those of blocked videos included.

        Args:
            frames: T.
            protocol: ``paper``: end to end, tails left out; ``all-frames``: another clip at each video's end.
        """
        if protocol not in PROTOCOLS:
            raise PoseMambaError(f"protocol is '{protocol}', expected {' or '.join(PROTOCOLS)}")
        return cut_clips(self.test.videos, frames, frames, tails=protocol == "all-frames")

    def test_batches(self, clips: Clips, size: int, *, inputs: str = "detected") -> Iterator[TestBatch]:
        """The test clips, `size` at a time, without those of blocked videos."""
        _check_inputs(inputs)
        chosen = [i for i in range(len(clips)) if not self.test.videos[int(clips.video[i])].blocked]
        for first in range(0, len(chosen), size):
            group = chosen[first : first + size]
            index = np.stack([clips.index(i) for i in group])
            joints = torch.from_numpy(np.stack([_read(self.test, clips, i) for i in group]))
            assert self.test.factor is not None and self.test.target_mm is not None  # checked by human36m_file
            videos = [self.test.videos[int(clips.video[i])] for i in group]
            half = np.array([CAMERAS[video.camera][0] / 2 for video in videos])
            yield TestBatch(
                input=joints[..., 3:5] if inputs == "exact" else joints[..., :2],
                label=joints[..., 3:],
                mm_per_unit=read_numbers(self.test.factor, index).astype(np.float64) * half[:, None],
                target_mm=read_numbers(self.test.target_mm, index),
                index=index,
                confidence=torch.ones_like(joints[..., 2]) if inputs == "exact" else joints[..., 2],
            )


@dataclass(frozen=True)
class TestBatch:
    """Test clips.

    Attributes:
        input: (B, T, J, 2) normalised 2D joints.
        label: (B, T, J, 3) normalised, not relative to the root.
        mm_per_unit: (B, T) millimetres per normalised unit.
        target_mm: (B, T, J, 3) millimetres, not relative to the root.
        index: (B, T) frames of the split.
        confidence: (B, T, J) the detector's; 1 for exact joints.
    """

    __test__ = False  # not one of pytest's

    input: Tensor
    label: Tensor
    mm_per_unit: NDArray[np.float64]
    target_mm: NDArray[np.float32]
    index: NDArray[np.int64]
    confidence: Tensor


def _read(split: Split, clips: Clips, clip: int) -> NDArray[np.float32]:
    """(T, J, 6) one clip; read in one piece where it is not stretched."""
    if clips.length[clip] == clips.frames:
        start = int(clips.start[clip])
        return read_numbers(split.joints, slice(start, start + clips.frames))
    return read_numbers(split.joints, clips.index(clip))


class Human36MSource:
    """Training clips of Human3.6M on a device.

    A batch is a pure function of (seed, step, rank, world, size): the clips of all epochs form one row, each epoch in
    an order drawn from (seed, epoch), and batch `step` of process `rank` takes the `size` clips that follow on those
    of the processes and steps before it. So every epoch has each clip once, and a resumed run goes on where it was.

    Args:
        split: of the file.
        frames, stride: of the clips.
        seed: of orders and mirroring.
        flip: mirror half of the clips, drawn anew each epoch.
        inputs: ``detected`` or ``exact`` 2D joints.
        device: where batches are wanted.
    """

    def __init__(
        self,
        split: Split,
        frames: int = 243,
        stride: int = 81,
        seed: int = 0,
        flip: bool = True,
        inputs: str = "detected",
        device: torch.device | str = "cpu",
    ) -> None:
        _check_inputs(inputs)
        self.split, self.seed, self.flip, self.inputs = split, seed, flip, inputs
        self.device = torch.device(device)
        self.clips = cut_clips(split.videos, frames, stride)
        mm = [TYPICAL_MM_PER_UNIT] * len(split.videos)
        if split.factor is not None:
            factors = read_numbers(split.factor, [v.start for v in split.videos])
            mm = [float(f) * CAMERAS[v.camera][0] / 2 for f, v in zip(factors, split.videos, strict=True)]
        self._mm_per_unit = np.array(mm, np.float32)
        self._orders: dict[int, tuple[NDArray[np.int64], NDArray[np.bool_]]] = {}

    def __len__(self) -> int:
        """Clips of an epoch."""
        return len(self.clips)

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(N,) the epoch's clips, and which of its places are mirrored."""
        if epoch not in self._orders:
            random = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
            drawn = random.permutation(len(self)), random.random(len(self)) < 0.5
            self._orders = {**{e: o for e, o in self._orders.items() if abs(e - epoch) == 1}, epoch: drawn}
        return self._orders[epoch]

    def places(self, step: int, size: int, *, rank: int = 0, world: int = 1) -> tuple[list[int], list[bool]]:
        """Numbers of the clips of one batch, and which are mirrored."""
        first = (step * world + rank) * size
        chosen, mirrored = [], []
        for place in range(first, first + size):
            order, flips = self._order(place // len(self))
            chosen.append(int(order[place % len(self)]))
            mirrored.append(self.flip and bool(flips[place % len(self)]))
        return chosen, mirrored

    def batch(self, step: int, size: int, *, rank: int = 0, world: int = 1) -> ClipBatch:
        """The clips of one training step.

        Args:
            step: number of the step, from 0 on over all epochs.
            size: clips of each process.
            rank, world: number of the process that asks, and how many there are.

        Returns:
            The target is relative to joint 0, as the released training has it; `mm_per_unit` is
            `TYPICAL_MM_PER_UNIT` unless the file says more.
        """
        chosen, mirrored = self.places(step, size, rank=rank, world=world)
        on_gpu = self.device.type == "cuda"
        host = torch.empty(size, self.clips.frames, len(H36M17), 6, pin_memory=on_gpu)
        for row, clip in enumerate(chosen):
            host.numpy()[row] = _read(self.split, self.clips, clip)
        small = torch.from_numpy(np.stack([mirrored, self._mm_per_unit[self.clips.video[chosen]]]).astype(np.float32))
        small = small.pin_memory() if on_gpu else small  # from pageable memory the copy would wait for the device
        joints = host.to(self.device, non_blocking=True)
        flips, mm = small.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, enabled=False), torch.no_grad():
            flipped = mirror(joints)  # x of the detector changes its sign, ...
            flipped = torch.cat([flipped[..., :3], -flipped[..., 3:4], flipped[..., 4:]], -1)  # ... and the label's
            joints = torch.where(flips[:, None, None, None] > 0, flipped, joints)
            label, exact = joints[..., 3:], joints[..., 3:5].contiguous()
            of_exact = self.inputs == "exact"
            return ClipBatch(
                input=exact if of_exact else joints[..., :2].contiguous(),
                target=label - label[:, :, :1],
                mm_per_unit=mm[:, None].expand(-1, self.clips.frames),
                exact=exact,
                confidence=torch.ones_like(joints[..., 2]) if of_exact else joints[..., 2].contiguous(),
            )
