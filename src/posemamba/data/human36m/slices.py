"""MotionBERT's sliced folder: one pickle a clip, as its `convert_h36m.py` writes them, to train on.

`train/00000000.pkl` and on, and `test/`: `data_input` (T, 17, 3), normalised x and y and the detector's confidence, and
`data_label` (T, 17, 3), normalised and not relative to the pelvis. The slices hold no millimetres: validation takes
`TYPICAL_MM_PER_UNIT` for all, so that its errors are approximate. The published test needs the unsliced file.

Shapes: B clips, T frames of a clip, J = 17 joints.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba.data.clips import ClipBatch
from posemamba.data.human36m.dataset import TYPICAL_MM_PER_UNIT
from posemamba.models.inputs import mirror, prepare_input
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader
from posemamba.utils.unpickle import load_pickle


def find_slices(directory: Path) -> tuple[list[Path], list[Path]]:
    """Find the slices of both splits in a folder, or in the one of its subfolders that has them.

    Raises:
        PoseMambaError: there is no folder `train` with pickles, or there are several.
    """
    if not directory.is_dir():
        raise PoseMambaError(f"{directory}: no such folder; expected MotionBERT's slices, with train/ and test/")
    homes = [path.parent for path in (directory / "train", *sorted(directory.glob("*/train"))) if path.is_dir()]
    homes = [home for home in homes if any((home / "train").glob("*.pkl"))]
    if len(homes) != 1:
        names = ", ".join(home.name for home in homes)
        found = f"several, in {names}: give one of them" if homes else "none"
        raise PoseMambaError(f"{directory}: expected MotionBERT's slices, train/*.pkl and test/*.pkl, found {found}")
    train, test = (sorted((homes[0] / split).glob("*.pkl")) for split in ("train", "test"))
    if not test:
        raise PoseMambaError(f"{homes[0]}: no test/*.pkl beside the training slices")
    return train, test


@reader("a slice of MotionBERT's")
def read_slice(path: Path, frames: int) -> NDArray[np.float32]:
    """Read a clip: (T, 17, 6) x, y and confidence of the input, and the label.

    Raises:
        PoseMambaError: not such a file, a clip of another length, or numbers that are not finite.
    """
    content = load_pickle(path)
    if not isinstance(content, dict) or not {"data_input", "data_label"} <= content.keys():
        raise PoseMambaError(f"{path}: expected data_input and data_label of a clip; is it one of MotionBERT's slices?")
    parts = [np.asarray(content[name]) for name in ("data_input", "data_label")]
    for name, part in zip(("data_input", "data_label"), parts, strict=True):
        if part.dtype.kind != "f" or part.ndim != 3 or part.shape[1:] != (17, 3):
            raise PoseMambaError(f"{path}: {name} is {part.shape} {part.dtype}, expected (frames, 17, 3) numbers")
        if len(part) != frames:
            raise PoseMambaError(f"{path}: a clip of {len(part)} frames, the recipe has {frames}: set data.frames")
    clip = np.concatenate(parts, -1).astype(np.float32)
    if not np.isfinite(clip).all():
        raise PoseMambaError(f"{path}: NaN or infinity in the clip; make the slices anew")
    return clip


class Slices:
    """Clips of a sliced folder, read when they are asked for; what training asks of a data set.

    Args:
        directory: see `find_slices`.
        frames: T.
        seed: of the passes' orders and of mirroring.
        flip: mirror half of the clips, drawn anew in each pass; test-time flip in validation.
        batch: clips of one part of validation.
    """

    def __init__(self, directory: Path, frames: int, seed: int, flip: bool, batch: int) -> None:
        self.train, self.test = find_slices(directory)
        self.frames, self.seed, self.flip, self.size = frames, seed, flip, batch
        read_slice(self.train[0], frames)
        self.parts = -(-len(self.test) // batch)
        self.device = torch.device("cpu")

    def prepare(self, device: torch.device) -> None:
        """Give batches on that device."""
        self.device = device

    def steps_of_pass(self, clips: int) -> int | None:
        """Return the steps, of `clips` clips of all processes, that see every clip once."""
        return -(-len(self.train) // clips)

    def batch(self, step: int, size: int, *, rank: int, world: int) -> ClipBatch:
        """Return the clips of a step: passes follow each other without a gap, each in an order of its own."""
        places = (step * world + rank) * size + np.arange(size)
        chosen, turned = [], []
        for place in places:
            random = np.random.default_rng((self.seed, int(place) // len(self.train)))
            order, flips = random.permutation(len(self.train)), random.random(len(self.train)) < 0.5
            chosen.append(self.train[int(order[place % len(self.train)])])
            turned.append(bool(flips[place % len(self.train)]) and self.flip)
        return self._clips(chosen, turned)

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        """Return the sum of errors over the frames of a part of the test slices, roughly in millimetres."""
        files = self.test[part * self.size : (part + 1) * self.size]
        clips = self._clips(files, [False] * len(files))
        given = prepare_input(model, clips.joints)
        pred = model(given).float()
        if self.flip:
            pred = (pred + mirror(model(mirror(given)).float())) / 2
        distance = (pred - pred[:, :, :1] - clips.target).norm(dim=-1).mean(-1) * clips.mm_per_unit
        return {"p1_test": (distance.sum(), float(distance.numel()))}

    def _clips(self, files: list[Path], turned: list[bool]) -> ClipBatch:
        clips = torch.from_numpy(np.stack([read_slice(file, self.frames) for file in files])).to(self.device)
        given, label = clips[..., :3], clips[..., 3:]
        flips = torch.tensor(turned, device=self.device)[:, None, None, None]
        given, label = torch.where(flips, mirror(given), given), torch.where(flips, mirror(label), label)
        scale = given.new_full(given.shape[:2], TYPICAL_MM_PER_UNIT)
        xy = given[..., :2].contiguous()
        return ClipBatch(xy, label - label[:, :, :1], scale, label[..., :2].contiguous(), given[..., 2].contiguous())
