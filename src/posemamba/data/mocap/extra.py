"""Files of further motion, in `posemamba.data.mocap.motions`'s layout, to train on by ``data.extra``.

Common to all sources: clips at 50 frames a second, cut where a joint jumps, put into the middle of the floor, kept
as float16, written whole or not at all.

Shapes: F frames, 17 joints of Human3.6M; metres, z up.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from posemamba.data.mocap.motions import TEST_SUBJECTS, VALIDATION_SUBJECTS, Motions
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

Array = NDArray[np.float64]
Say = Callable[[str], None]

FPS = 50.0
KEPT = (*TEST_SUBJECTS, *VALIDATION_SUBJECTS)
"""Subjects of validation and test: no motion of theirs may be trained on."""
_JERK = 0.16
"""Metres by which a joint's path may bend over three frames at 50 a second (400 m/s²): more is a glitch."""
_LEAST = 50
"""Frames of the shortest piece that is kept."""


def pieces(xyz: Array) -> list[slice]:
    """Cut (F, 17, 3) at 50 frames a second where it has glitches, into segments of a second or more."""
    bends = np.linalg.norm(np.diff(xyz, 2, axis=0), axis=-1).max(1) > _JERK
    found, begin = [], 0
    for bad in [*(np.flatnonzero(bends) + 1), len(xyz) + 2]:
        end = min(int(bad) - 2, len(xyz))
        if end - begin >= _LEAST:
            found.append(slice(begin, end))
        begin = int(bad) + 3
    return found


def resampled(xyz: Array, fps: float, *, smooth: bool = False) -> Array:
    """Resample (F, 17, 3) to 50 frames a second, linearly in time or by cubic splines, which low rates need."""
    before, at = np.arange(len(xyz)) / fps, np.arange(int((len(xyz) - 1) / fps * FPS + 1e-6) + 1) / FPS
    flat = xyz.reshape(len(xyz), -1)
    if smooth and len(xyz) > 3:
        found = make_interp_spline(before, flat, k=3)(at)
    else:
        found = np.stack([np.interp(at, before, one) for one in flat.T], -1)
    return np.asarray(found).reshape(-1, 17, 3)


def bone_lengths(motions: Motions) -> list[Array]:
    """Measure each subject's bones, (17,) metres each: medians of the joints' distances from those they hang on."""
    subjects, lengths = np.repeat(np.array(motions.subjects), motions.lengths), []
    for who in dict.fromkeys(motions.subjects):
        lengths.append(np.median(np.linalg.norm(_bones(motions.positions[subjects == who]), axis=-1), 0))
        lengths[-1][0] = 0.0
    return lengths


def put_on_body(xyz: Array, lengths: Array) -> Array:
    """Give (F, 17, 3) joints the bones of another body; their directions stay.

    The pelvis goes as far as the legs are longer, so that feet that stood still do.

    Args:
        xyz: metres, z up.
        lengths: (17,) metres from the joint that each joint hangs on; that of the root is not used.
    """
    bones = _bones(xyz)
    own = np.linalg.norm(bones, axis=-1, keepdims=True)
    legs = [2, 3, 5, 6]
    taller = float(lengths[legs].sum() / max(np.median(own[:, legs, 0].sum(1)), 1e-9))
    bones = bones / np.maximum(own, 1e-9) * lengths[:, None]
    placed = np.empty_like(xyz)
    placed[:, 0] = xyz[:, 0] * taller
    for joint, parent in enumerate(H36M17.parents[1:], start=1):  # parents come before their children
        placed[:, joint] = placed[:, parent] + bones[:, joint]
    return placed


def _bones(xyz: NDArray[Any]) -> Array:
    """(F, 17, 3) vectors from the joint that each joint hangs on; the root's is nothing."""
    above = xyz[:, [0, *H36M17.parents[1:]]]
    return np.asarray(xyz - above, np.float64)


@dataclass
class Collection:
    """Clips of one file to be written.

    Attributes:
        say: gets a line for each clip that is left out.
        clips: name, subject, horizontal shift taken off (2,), positions (F, 17, 3).
    """

    say: Say
    clips: list[tuple[str, str, Array, NDArray[np.float16]]] = field(default_factory=list)

    def wanted(self, file: Path, name: str, subject: str, known: Container[str]) -> bool:
        """Tell whether a clip may be taken: no subject of validation or test, no clip that is there already."""
        if subject in KEPT:
            self.say(f"{file.name}: left out, as {subject} is kept for validation and test")
        elif name in known:
            self.say(f"{file.name}: left out, as it is there already")
        else:
            return True
        return False

    def add(self, file: Path, name: str, subject: str, xyz: Array) -> None:
        """Take (F, 17, 3) at 50 frames a second, without its glitches; a name that is taken already gets a number."""
        taken = {clip[0].split("#")[0] for clip in self.clips}
        name = next(one for one in chain([name], (f"{name}-{n}" for n in count(2))) if one not in taken)
        parts = pieces(xyz)
        if not parts:
            self.say(f"{file.name}: left out, shorter than a second without glitches")
        for k, part in enumerate(parts):
            shift = xyz[part, 0, :2].mean(0)
            moved = (xyz[part] - [*shift, 0]).astype(np.float16)
            self.clips.append((name + (f"#{k}" if len(parts) > 1 else ""), subject, shift, moved))

    def write(self, out: Path, *, source: str, licence: str, of: str) -> int:
        """Write the file, and return the number of clips.

        Raises:
            PoseMambaError: there are none; `of` says of what.
        """
        if not self.clips:
            raise PoseMambaError(f"{of} is left")
        names, subjects, shifts, positions = zip(*self.clips, strict=True)
        content: dict[str, NDArray[Any]] = {
            "positions": np.concatenate(positions),
            "lengths": np.array([len(one) for one in positions], np.int32),
            "names": np.array(names),
            "descriptions": np.array(names),
            "subjects": np.array(subjects),
            "xy_offset": np.array(shifts, np.float32),
            "fps": np.array(FPS, np.float32),
            "joints": np.array(H36M17.joints),
            "parents": np.array(H36M17.parents, np.int8),
            "source": np.array(source),
            "licence": np.array(licence),
        }
        with atomic_path(out) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **content)  # type: ignore[arg-type]
        return len(self.clips)
