"""Motion capture: its files, and their fixed split by subject.

The motion is the CMU Graphics Lab Motion Capture Database converted to Human3.6M's 17 joints: three npz
files with `positions` (frames, 17, 3) float16, metres, z up, 50 frames a second, and for each clip its
length, name, description and subject. The files are not part of this package: `mocap_directory` looks for them.

`posemamba.data.mocap.clips` makes training clips of it.

Shapes: F frames of a clip, J = 17 joints, N frames of all motions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.ranges import check_fps
from posemamba.poses.skeletons import H36M17
from posemamba.utils.archives import read_npz
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.installation import data_folder, expand
from posemamba.utils.reading import cause

ACKNOWLEDGEMENT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)
FILES = ("cmu_amc.npz", "cmu_dance_bvh.npz", "cmu_eval_expmap.npz")
TEST_SUBJECTS = ("cmu_49", "cmu_127")
"""Subjects of the benchmark, never trained on: acrobatics and dance; running, jumping, rolling, range of motion."""
VALIDATION_SUBJECTS = ("cmu_02", "cmu_17", "cmu_131")
"""Subjects to choose settings and weights by, not trained on: walk, run, jump, punch, sword, wash, box, hop."""

SPLITS = ("train", "validation", "test", "all")
FOLDER = "POSEMAMBA_DATA"
"""The environment variable with the folder of the motion capture files."""


@dataclass(frozen=True)
class Motions:
    """Motions one after another.

    Attributes:
        positions: (N, J, 3) float32, metres, world with z up, lightly smoothed (`smooth`).
        lengths: (clips,) frames of each clip.
        names, descriptions, subjects: one text for each clip.
        fps: frames per second.
    """

    positions: NDArray[np.float32]
    lengths: NDArray[np.int64]
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    subjects: tuple[str, ...]
    fps: float

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """(clips,) first frame of each clip in `positions`."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)

    def clip(self, index: int) -> NDArray[np.float32]:
        """(F, J, 3) the positions of one clip."""
        start = int(self.starts[index])
        return self.positions[start : start + int(self.lengths[index])]

    def select(self, chosen: Sequence[int]) -> Motions:
        """The clips of the given indices, in that order."""
        return replace(
            self,
            positions=np.concatenate([self.clip(i) for i in chosen]),
            lengths=self.lengths[list(chosen)],
            names=tuple(self.names[i] for i in chosen),
            descriptions=tuple(self.descriptions[i] for i in chosen),
            subjects=tuple(self.subjects[i] for i in chosen),
        )


def mocap_directory(directory: str | Path | None = None) -> Path:
    """Find the directory of the motion capture files.

    It is the given one, else the one that the environment variable POSEMAMBA_DATA names, else ``posemamba/mocap`` in
    the user's data folder.

    Raises:
        PoseMambaError: it is not there, or lacks a file.
    """
    if directory is not None:
        path = Path(directory)
    elif os.environ.get(FOLDER):
        path = expand(os.environ[FOLDER], FOLDER)
    else:
        path = data_folder() / "mocap"
    if missing := [name for name in FILES if not (path / name).is_file()]:
        raise PoseMambaError(
            f"{path}: no motion capture files there ({', '.join(missing)} missing): give their folder by --data or "
            f"{FOLDER} (docs/train.md says where they come from)"
        )
    return path


def smooth(positions: NDArray[np.floating]) -> NDArray[np.float32]:
    """Take the steps of float16 (1 to 2 mm) out of one clip: a quadratic fit to seven frames.

    Savitzky and Golay 1964. At 50 frames a second a motion of 3 Hz keeps 99 % of its height, one of 6 Hz
    89 %; random steps keep 58 %.

    Args:
        positions: (F, J, 3).
    """
    weights = np.array([-2, 3, 6, 7, 6, 3, -2], dtype=np.float32) / 21
    p = positions.astype(np.float32)
    if len(p) < 4:
        return p
    before = 2 * p[:1] - p[3:0:-1]  # point reflection keeps the speed at the ends
    after = 2 * p[-1:] - p[-2:-5:-1]
    padded = np.concatenate([before, p, after])
    total = weights[0] * padded[: len(p)]
    for k in range(1, 7):
        total += weights[k] * padded[k : k + len(p)]
    return total


def read_motions(path: str | Path) -> Motions:
    """Read one npz file of motions, each clip smoothed.

    Raises:
        PoseMambaError: no such file, or one of another layout.
    """
    path = Path(path)
    if not path.is_file():
        raise PoseMambaError(f"{path}: no such file of motions")
    try:
        file = read_npz(path)
        if tuple(file["parents"].tolist()) != H36M17.parents:
            raise PoseMambaError(f"{path}: its joints are not Human3.6M's 17")
        positions, lengths = file["positions"], file["lengths"].astype(np.int64)
        if positions.dtype.kind != "f" or positions.shape[1:] != (17, 3) or not np.isfinite(positions).all():
            raise PoseMambaError(
                f"{path}: positions are {positions.dtype} {positions.shape}, expected finite numbers (frames, 17, 3)"
            )
        if len(positions) and np.abs(positions).max() > 1e4:
            raise PoseMambaError(f"{path}: positions up to {np.abs(positions).max():g}, expected metres")
        if lengths.ndim != 1 or not len(lengths) or (lengths < 1).any() or (lengths > len(positions)).any():
            raise PoseMambaError(f"{path}: clips of {lengths.tolist()[:8]} frames, expected 1 at least for each")
        if len(positions) != lengths.sum():
            raise PoseMambaError(f"{path}: {len(positions)} frames, but clips of {lengths.sum()} in all")
        texts = {key: tuple(map(str, file[key])) for key in ("names", "descriptions", "subjects")}
        for key, said in texts.items():
            if len(said) != len(lengths):
                raise PoseMambaError(f"{path}: {len(said)} {key}, but {len(lengths)} clips")
        clips = [smooth(p) for p in np.split(positions, np.cumsum(lengths)[:-1])]
        fps = check_fps(f"{path}: fps", float(file["fps"]))
        return Motions(np.concatenate(clips), lengths, **texts, fps=fps)
    except PoseMambaError:
        raise
    except Exception as error:  # whatever a damaged array leads to
        raise PoseMambaError(f"{path}: not the expected layout ({cause(error)})") from error


def load_motions(
    directory: str | Path | None = None, split: str = "train", extra: Sequence[str | Path] = ()
) -> Motions:
    """Read the motion capture of one side of the split by subject.

    Args:
        directory: where the npz files are; None looks where `mocap_directory` says.
        split: ``train``, ``validation`` (VALIDATION_SUBJECTS), ``test`` (TEST_SUBJECTS) or ``all``.
        extra: further files of the same layout. They are for training: no other split has them.

    Raises:
        PoseMambaError: no files, files of another layout or frame rate, no clip of the split, or a held-out subject in
            an extra file.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, not one of {', '.join(SPLITS)}")
    path = mocap_directory(directory)
    parts = [read_motions(path / name) for name in FILES]
    held_out = {*TEST_SUBJECTS, *VALIDATION_SUBJECTS}
    for name in extra if split == "train" else ():
        more = read_motions(name)
        if more.fps != parts[0].fps:
            raise PoseMambaError(f"{name}: {more.fps:g} frames a second, expected {parts[0].fps:g}: resample it")
        if found := sorted(held_out & set(more.subjects)):
            raise PoseMambaError(
                f"{name}: has {', '.join(found)}, who are kept for validation and test: take them out of it"
            )
        parts.append(more)
    motions = Motions(
        positions=np.concatenate([p.positions for p in parts]),
        lengths=np.concatenate([p.lengths for p in parts]),
        names=tuple(n for p in parts for n in p.names),
        descriptions=tuple(d for p in parts for d in p.descriptions),
        subjects=tuple(s for p in parts for s in p.subjects),
        fps=parts[0].fps,
    )
    wanted = {
        "train": lambda s: s not in held_out,
        "validation": lambda s: s in VALIDATION_SUBJECTS,
        "test": lambda s: s in TEST_SUBJECTS,
        "all": lambda s: True,
    }[split]
    chosen = [i for i, s in enumerate(motions.subjects) if wanted(s)]
    if not chosen:
        raise PoseMambaError(
            f"{path}: no clip of the split '{split}' in {', '.join(FILES)}: get the files again "
            "(docs/train.md says where they come from)"
        )
    return motions.select(chosen)
