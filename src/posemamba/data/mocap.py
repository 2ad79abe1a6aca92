"""Motion capture seen by virtual cameras: as many training clips as wanted, and the fixed split by subject.

The motion is the CMU Graphics Lab Motion Capture Database converted to Human3.6M's 17 joints: three npz
files with `positions` (frames, 17, 3) float16, metres, z up, 50 frames a second, and for each clip its
length, name, description and subject. The files are not part of this package; the directory that holds them
is given, or `$POSEMAMBA_SHARED/mocap`, or `shared/mocap` beside or in the working directory.

A training batch is a pure function of (seed, step, rank): what is drawn for a clip (motion, camera, body, the
detector's habits) comes from NumPy's Philox generator keyed with them, and the noise of every frame from
PyTorch's generator on the device, seeded with them. So a run that is resumed goes on with the same stream.

Shapes: B clips, T frames of a clip, J = 17 joints, N frames of all motions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from posemamba.data import augment, recombine
from posemamba.data.augment import DetectorErrors
from posemamba.data.cameras import Cameras, see, zoom_factor
from posemamba.errors import PoseMambaError
from posemamba.skeleton import H36M17

ACKNOWLEDGEMENT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)
FILES = ("cmu_amc.npz", "cmu_dance_bvh.npz", "cmu_eval_expmap.npz")
TEST_SUBJECTS = ("cmu_49", "cmu_127")
"""Never trained on: acrobatics and dance; running, jumping, rolling, range of motion."""
VALIDATION_SUBJECTS = ("cmu_02", "cmu_17", "cmu_131")
"""Taken out of training, to choose settings and weights by: walk, run, jump, punch, sword, wash, box, hop."""

SPLITS = ("train", "validation", "test", "all")


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

    Raises:
        PoseMambaError: it is not there, or lacks a file.
    """
    if directory is not None:
        tried = [Path(directory)]
    elif os.environ.get("POSEMAMBA_SHARED"):
        tried = [Path(os.environ["POSEMAMBA_SHARED"]) / "mocap"]
    else:
        tried = [Path("..") / "shared" / "mocap", Path("shared") / "mocap"]
    for path in tried:
        if all((path / name).is_file() for name in FILES):
            return path
    raise PoseMambaError(
        f"no motion capture files ({', '.join(FILES)}) in {' or '.join(map(str, tried))}: "
        "give their directory, or set POSEMAMBA_SHARED to the directory that holds `mocap`"
    )


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


def load_motions(directory: str | Path | None = None, split: str = "train") -> Motions:
    """Read the motion capture of one side of the split by subject.

    Args:
        directory: where the npz files are; None looks where `mocap_directory` says.
        split: ``train``, ``validation`` (VALIDATION_SUBJECTS), ``test`` (TEST_SUBJECTS) or ``all``.

    Raises:
        PoseMambaError: no files, or files of another layout.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, not one of {', '.join(SPLITS)}")
    path = mocap_directory(directory)
    parts: list[Motions] = []
    for name in FILES:
        try:
            with np.load(path / name, allow_pickle=False) as file:
                if tuple(file["parents"].tolist()) != H36M17.parents:
                    raise PoseMambaError(f"{path / name}: its joints are not Human3.6M's 17")
                positions, lengths = file["positions"], file["lengths"].astype(np.int64)
                if len(positions) != lengths.sum():
                    raise PoseMambaError(f"{path / name}: {len(positions)} frames, but clips of {lengths.sum()} in all")
                cuts = np.cumsum(lengths)[:-1]
                parts.append(
                    Motions(
                        positions=np.concatenate([smooth(p) for p in np.split(positions, cuts)]),
                        lengths=lengths,
                        names=tuple(map(str, file["names"])),
                        descriptions=tuple(map(str, file["descriptions"])),
                        subjects=tuple(map(str, file["subjects"])),
                        fps=float(file["fps"]),
                    )
                )
        except (KeyError, OSError, ValueError) as error:
            raise PoseMambaError(f"{path / name}: not the expected layout ({error})") from error
    motions = Motions(
        positions=np.concatenate([p.positions for p in parts]),
        lengths=np.concatenate([p.lengths for p in parts]),
        names=tuple(n for p in parts for n in p.names),
        descriptions=tuple(d for p in parts for d in p.descriptions),
        subjects=tuple(s for p in parts for s in p.subjects),
        fps=parts[0].fps,
    )
    held_out = {*TEST_SUBJECTS, *VALIDATION_SUBJECTS}
    wanted = {
        "train": lambda s: s not in held_out,
        "validation": lambda s: s in VALIDATION_SUBJECTS,
        "test": lambda s: s in TEST_SUBJECTS,
        "all": lambda s: True,
    }[split]
    return motions.select([i for i, s in enumerate(motions.subjects) if wanted(s)])


class MocapOptions(BaseModel):
    """What is varied in the training clips. The ranges are those of amateurs' and laboratories' cameras."""

    model_config = ConfigDict(extra="forbid")

    lengths: dict[int, float] = Field(
        default={243: 0.76, 162: 0.06, 81: 0.08, 27: 0.05, 9: 0.03, 1: 0.02},
        description="frames of a batch's clips, and the share of batches that have them",
    )
    step: tuple[float, float] = Field(
        default=(0.4, 3.4),
        description="frames of the source (50 a second) per frame of the clip: videos of 125 to 15 frames a second; "
        "lowered, to 0.5 at the least, where a motion is too short",
    )
    dance_weight: float = Field(default=0.4, ge=0, description="weight of a frame of the salsa dances")
    bent_weight: float = Field(default=3.0, ge=0, description="weight of frames with the trunk 45 degrees tilted")
    clean: float = Field(default=0.35, ge=0, le=1, description="share of clips with exact 2D joints")
    focal: tuple[float, float] = Field(default=(0.6, 2.5), description="focal lengths, of the longer side")
    height: tuple[float, float] = Field(
        default=(0.25, 1.0), description="height of an upright person, of the picture's shorter side"
    )
    aspects: tuple[float, ...] = Field(
        default=(1.0, 1.0, 0.5625, 0.5625, 0.75, 1.7778), description="height/width of the pictures"
    )
    follow: float = Field(default=0.3, ge=0, le=1, description="share of cameras that travel along")
    wild: float = Field(default=0.06, ge=0, le=1, description="share of cameras with roll and steep pitch")
    still: float = Field(default=0.03, ge=0, le=1, description="share of clips in which people hardly move")
    cropped: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of cameras that see only a part of the body, joints beyond not found",
    )
    lost: float = Field(default=0.4, ge=0, le=1, description="share of noisy clips in which joints are away for a time")
    lost_long: float = Field(
        default=0.3, ge=0, le=1, description="share of these losses that last up to 90 frames, in place of 20"
    )
    dropped: float = Field(default=0.15, ge=0, le=1, description="share of clips in which joints are lost by chance")
    blind: float = Field(
        default=0.3, ge=0, le=1, description="share of clips whose confidence says only what was found"
    )
    bones: bool = Field(default=True, description="vary the bodies")
    grafted: float = Field(default=0.0, ge=0, le=1, description="share of clips with arms or trunk of another motion")
    turned: float = Field(default=0.0, ge=0, le=1, description="share of clips with shoulders, hips or trunk turned")
    backwards: float = Field(default=0.0, ge=0, le=1, description="share of motions that run backwards in time")
    flip: bool = Field(default=True, description="mirror half of the clips")


@dataclass
class ClipBatch:
    """Clips on the device, ready to train on.

    Attributes:
        input: (B, T, J, 2) normalised 2D joints with the detector's errors.
        target: (B, T, J, 3) normalised, relative to joint 0 (`posemamba.data.cameras`).
        mm_per_unit: (B, T).
        exact: (B, T, J, 2) the input without errors.
        confidence: (B, T, J) in [0, 1].
    """

    input: Tensor
    target: Tensor
    mm_per_unit: Tensor
    exact: Tensor
    confidence: Tensor

    @property
    def joints(self) -> Tensor:
        """(B, T, J, 3): input and confidence, from which a model is given what it takes."""
        return torch.cat([self.input, self.confidence[..., None]], -1)

    def zoomed(self, size: float | None) -> ClipBatch:
        """All people seen at one size (`cameras.zoom_factor`, measured on the input); None: as they are."""
        if size is None:
            return self
        k = zoom_factor(self.input, size)
        k4 = k[:, None, None, None]
        return replace(
            self,
            input=self.input * k4,
            target=self.target * k4,
            mm_per_unit=self.mm_per_unit / k[:, None],
            exact=self.exact * k4,
        )


_GROUPS = len(augment.BONE_GROUPS)
_LOST, _SWAPS, _HARDER = 6, 3, 2
_TURNED = len(recombine.TURNED)
# Names and widths of the numbers drawn for each clip; they travel to the device as one array.
_FIELDS = {
    "first": 1,
    "step": 1,
    "begin": 1,
    "end": 1,
    "flip": 1,
    "bones": _GROUPS,
    "nose": 1,
    "azimuth": 1,
    "pitch": 1,
    "roll": 1,
    "focal": 1,
    "aspect": 1,
    "distance": 1,
    "offset": 2,
    "follow": 1,
    "overflow": 1,
    "jitter": 1,
    "tempi": 3,
    "harder": _HARDER,
    "by": _HARDER,
    "bias": 1,
    "spikes": 1,
    "spike_size": 1,
    "lost_start": _LOST,
    "lost_length": _LOST,
    "lost_set": _LOST,
    "swap_start": _SWAPS,
    "swap_length": _SWAPS,
    "swap_what": _SWAPS,
    "derived": 1,
    "dropped": 1,
    "edge": 2,
    "sure": 1,
    "doubt": 1,
    "mood": 1,
    "temper": 1,
    "blind": 1,
    "misled": 1,
    "backwards": 1,
    "graft": 1,
    "graft_first": 1,
    "graft_step": 1,
    "graft_begin": 1,
    "graft_end": 1,
    "steady": 3 * _TURNED,
    "swing": 3 * _TURNED,
    "tempo": _TURNED,
    "phase": _TURNED,
}
_UPRIGHT_METRES = 1.7
# From MediaPipe's short hips and legs to Human3.6M's long ones (docs/detector_noise.md); in the order of BONE_GROUPS.
_BONE_LOW = np.array([1.0, 0.84, 0.82, 0.9, 0.8, 0.7, 0.8, 0.82, 0.78])
_BONE_HIGH = np.array([1.65, 1.26, 1.26, 1.16, 1.3, 1.3, 1.25, 1.22, 1.18])
# Errors last in time, not in frames: shares of the jitter by frames a second (docs/detector_noise.md).
_TEMPI_FPS = np.log([15, 30, 60])
_TEMPI = np.array([[0.3, 0.7, 0.6], [0.53, 0.65, 0.49], [0.72, 0.5, 0.43]])
_LIMB_JOINTS = np.array([2, 3, 5, 6, 12, 13, 15, 16])
# Standard deviation of turns about one axis, radians, in the order of recombine.TURNED.
_TURN = np.deg2rad([7, 12, 18, 18, 9, 9])[:, None]


class MocapSource:
    """Training clips made on a device out of motion capture.

    Args:
        motions: what to draw from.
        options: what to vary.
        seed: with the step and the rank, all that a batch depends on.
        device: where the motions are kept and the batches are made.
    """

    def __init__(
        self, motions: Motions, options: MocapOptions, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.motions, self.options, self.seed = motions, options, seed
        self.device = torch.device(device)
        self.positions = torch.from_numpy(motions.positions).to(self.device)
        self._starts, self._lengths = motions.starts, motions.lengths
        weight = np.ones(len(motions.positions))
        subject = np.repeat(np.array(motions.subjects), motions.lengths)
        weight[np.isin(subject, ("cmu_60", "cmu_61"))] *= options.dance_weight
        trunk = motions.positions[:, 8] - motions.positions[:, 0]
        bent = trunk[:, 2] < np.cos(np.pi / 4) * np.linalg.norm(trunk, axis=-1)
        weight[bent] *= options.bent_weight
        self._cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        ends = self._starts + self._lengths
        self._clip_weight = self._cumulative[ends] - self._cumulative[self._starts]
        self._generator = torch.Generator(self.device)
        total = sum(options.lengths.values())
        self._frames = list(options.lengths)
        self._frames_cumulative = np.cumsum([v / total for v in options.lengths.values()])
        longest = max(self._frames)
        if not (self._lengths - 1 >= 0.5 * (longest - 1)).any():
            raise PoseMambaError(f"no motion is long enough for clips of {longest} frames")

    def batch(self, step: int, size: int, *, rank: int = 0, frames: int | None = None) -> ClipBatch:
        """The clips of one training step; the same for the same seed, step, rank, size and device type.

        Args:
            step: number of the step.
            size: clips of 243 frames; of shorter clips there are more, up to three times as many.
            rank: number of the process that asks, where several train together.
            frames: length of the clips; None draws it from the options.
        """
        random = np.random.Generator(np.random.Philox(key=[self.seed, (step << 16) + rank]))
        if frames is None:
            which = np.searchsorted(self._frames_cumulative, random.random(), side="right")
            frames = self._frames[min(int(which), len(self._frames) - 1)]
            size = min(size * max(self._frames) // frames, 3 * size)
        drawn = self._draw(random, size, frames)
        table = np.concatenate([drawn[name].reshape(size, width) for name, width in _FIELDS.items()], 1)
        # float32 holds frame numbers below 2**24, 93 hours of motion
        on_host = torch.from_numpy(table.astype(np.float32))
        if self.device.type == "cuda":
            on_host = on_host.pin_memory()  # from pageable memory the copy would wait for the device
        on_device = on_host.to(self.device, non_blocking=True)
        fields = dict(zip(_FIELDS, on_device.split(list(_FIELDS.values()), 1), strict=True))
        self._generator.manual_seed((self.seed * 1_000_003 + step) * 4099 + rank)
        with torch.autocast(self.device.type, enabled=False), torch.no_grad():
            return self._make(fields, frames)

    def _draw(self, random: np.random.Generator, size: int, frames: int) -> dict[str, NDArray[np.floating]]:
        """Everything about the clips that is drawn once, (size, width) or (size,) each; angles in radians."""
        o = self.options

        def uniform(low: float, high: float, *width: int) -> NDArray[np.floating]:
            return low + (high - low) * random.random((size, *width))

        def log_uniform(low: float, high: float, *width: int) -> NDArray[np.floating]:
            return np.exp(uniform(np.log(low), np.log(high), *width))

        def chance(p: float, *width: int) -> NDArray[np.bool_]:
            return random.random((size, *width)) < p

        # a frame by weight, among the motions that fill the clip at half speed or faster
        weight = np.cumsum(np.where(self._lengths - 1 >= 0.5 * (frames - 1), self._clip_weight, 0))
        clip = np.searchsorted(weight, uniform(0, weight[-1]), side="right").clip(max=len(weight) - 1)
        begin, length = self._starts[clip], self._lengths[clip]
        low, high = self._cumulative[begin], self._cumulative[begin + length]
        frame = np.searchsorted(self._cumulative, low + (high - low) * uniform(0, 1), side="right") - 1
        step = np.minimum(log_uniform(*o.step), (length - 1) / max(frames - 1, 1))
        span = step * (frames - 1)
        first = np.clip(frame - uniform(0, 1) * span, begin, begin + length - 1 - span)

        wild = chance(o.wild)
        pitch = np.where(chance(0.7), random.normal(8, 9, size), uniform(-35, 35)).clip(-35, 35)
        pitch = np.where(wild, uniform(-60, 60), pitch)
        roll = np.where(wild, uniform(-100, 100), random.normal(0, 3, size).clip(-10, 10))
        aspect = np.array(o.aspects)[(uniform(0, 1) * len(o.aspects)).astype(int)]
        focal = log_uniform(*o.focal) * np.maximum(1, aspect)
        height = log_uniform(*o.height) * np.minimum(1, aspect)
        overflow = np.where(chance(0.5), 1.0, uniform(1.0, 1.25))

        noisy = ~chance(o.clean)
        cropped = chance(o.cropped) & noisy
        overflow = np.where(cropped, uniform(1.25, 2.0), overflow)
        outside_lost = cropped | chance(0.5) & noisy
        edge = np.where(outside_lost[:, None], np.stack([np.ones(size), aspect], 1), 1e3)
        still = np.where(chance(o.still), uniform(0, 0.1), 1.0)
        jitter = log_uniform(0.008, 0.07) * noisy
        lost = chance(0.3, _LOST) & (chance(o.lost) & noisy)[:, None]
        lost_set = np.floor(uniform(0, augment.LOST_ALL, _LOST))
        lost_length = np.where(chance(1 - o.lost_long, _LOST), uniform(2, 20, _LOST), uniform(2, 90, _LOST))
        all_lost = chance(0.08, _LOST)
        lost_set = np.where(all_lost, augment.LOST_ALL, lost_set)
        lost_length = np.where(all_lost, lost_length.clip(max=15), lost_length) * lost
        lost_start = uniform(-0.1 * frames, frames, _LOST)
        no_legs = chance(0.03) & noisy
        lost_set[no_legs, 0], lost_start[no_legs, 0] = augment.LOST_LEGS, 0
        lost_length[no_legs, 0] = frames
        swaps = chance(0.4, _SWAPS) & (chance(0.25) & noisy)[:, None]
        swap_length = np.where(chance(0.75, _SWAPS), uniform(1, 8, _SWAPS), uniform(8, 40, _SWAPS)) * swaps
        log_fps = np.log(self.motions.fps / np.maximum(step * still, 0.1))
        tempi = np.stack([np.interp(log_fps, _TEMPI_FPS, shares) for shares in _TEMPI.T], 1)
        drawn = {
            "first": first - begin,  # small numbers: the table is float32
            "step": step * still,
            "begin": begin,
            "end": begin + length - 1,
            "flip": chance(0.5 if o.flip else 0),
            "bones": _BONE_LOW + (_BONE_HIGH - _BONE_LOW) * uniform(0, 1, _GROUPS)
            if o.bones
            else np.ones((size, _GROUPS)),
            "nose": uniform(0, 0.06) * chance(0.5 if o.bones else 0),
            "azimuth": uniform(0, 2 * np.pi),
            "pitch": np.deg2rad(pitch),
            "roll": np.deg2rad(roll),
            "focal": focal,
            "aspect": aspect,
            "distance": focal * _UPRIGHT_METRES / height,
            "offset": uniform(-0.5, 0.5, 2),
            "follow": np.where(chance(o.follow), uniform(0.4, 1.0), 0.0),
            "overflow": overflow,
            "jitter": jitter,
            "bias": jitter * uniform(0.3, 1.0),
            "spikes": np.where(chance(0.3), uniform(0, 0.03), 0.0) * noisy,
            "spike_size": uniform(0.15, 0.8),
            "lost_start": np.floor(lost_start),
            "lost_length": np.floor(lost_length),
            "lost_set": lost_set,
            "swap_start": np.floor(uniform(0, frames, _SWAPS)),
            "swap_length": np.ceil(swap_length),
            "swap_what": np.searchsorted([0.4, 0.6], uniform(0, 1, _SWAPS)),
            "tempi": tempi / np.linalg.norm(tempi, axis=1, keepdims=True),
            "harder": _LIMB_JOINTS[np.floor(uniform(0, len(_LIMB_JOINTS), _HARDER)).astype(int)],
            "by": np.where(chance(0.5, _HARDER), uniform(1.5, 3, _HARDER), 1.0),
            "derived": chance(0.7) & noisy,
            "dropped": uniform(0, 0.4) * (chance(o.dropped) & noisy),
            "edge": edge,
            "sure": uniform(1.0, 6.5),
            "doubt": log_uniform(3, 30),
            "mood": uniform(0.3, 1.5),
            "temper": uniform(0, 2.2),
            "blind": chance(o.blind) | chance(0.5) & ~noisy,
            "misled": chance(0.5),
        }
        # What follows is drawn last: without it clips are what they were before there was any.
        # The motion that parts are taken from, as fast as the other, from anywhere in it:
        theirs = np.searchsorted(weight, uniform(0, weight[-1]), side="right").clip(max=len(weight) - 1)
        graft_length = self._lengths[theirs]
        graft_step = np.minimum(step, (graft_length - 1) / max(frames - 1, 1))
        graft = np.searchsorted([0.5, 0.65, 0.8], uniform(0, 1))
        turned = chance(0.5, _TURNED) & chance(o.turned)[:, None]
        seconds = step * still * (frames - 1) / self.motions.fps
        return drawn | {
            "backwards": chance(o.backwards),
            "graft": np.where(chance(o.grafted), graft, -1),
            "graft_first": uniform(0, 1) * (graft_length - 1 - graft_step * (frames - 1)),
            "graft_step": graft_step * still,
            "graft_begin": self._starts[theirs],
            "graft_end": self._starts[theirs] + graft_length - 1,
            "steady": _TURN * random.normal(size=(size, _TURNED, 3)) * turned[..., None],
            "swing": 0.5 * _TURN * random.normal(size=(size, _TURNED, 3)) * turned[..., None],
            "tempo": log_uniform(0.1, 0.7, _TURNED) * seconds[:, None],
            "phase": uniform(0, 1, _TURNED),
        }

    def _make(self, fields: dict[str, Tensor], frames: int) -> ClipBatch:
        one = {name: value[:, 0] for name, value in fields.items() if _FIELDS[name] == 1}
        frame = torch.arange(frames, device=self.device)
        frame = torch.where(one["backwards"][:, None] > 0, frame.flip(0), frame)

        def motion(of: str) -> Tensor:
            begin, step = one[of + "begin"], one[of + "step"].double()
            time = (begin.double() + one[of + "first"].double())[:, None] + step[:, None] * frame
            return sample_motion(self.positions, time, begin.long(), one[of + "end"].long())

        bodies = motion("")
        if self.options.grafted:
            bodies = recombine.graft(bodies, motion("graft_"), one["graft"])
        if self.options.turned:
            steady, swing = (fields[name].view(-1, _TURNED, 3) for name in ("steady", "swing"))
            bodies = recombine.turn(bodies, recombine.Turns(steady, swing, fields["tempo"], fields["phase"]))
        flipped = augment.mirror(bodies)
        bodies = torch.where(one["flip"][:, None, None, None] > 0, flipped, bodies)
        bodies = augment.move_nose(augment.vary_bones(bodies, fields["bones"]), one["nose"])
        view = see(
            bodies,
            Cameras(
                offset=fields["offset"],
                **{
                    name: one[name]
                    for name in (
                        "azimuth",
                        "pitch",
                        "roll",
                        "focal",
                        "aspect",
                        "distance",
                        "follow",
                        "overflow",
                    )
                },
            ),
        )
        errors = DetectorErrors(
            jitter=one["jitter"],
            bias=one["bias"],
            spikes=one["spikes"],
            spike_size=one["spike_size"],
            lost_start=fields["lost_start"],
            lost_length=fields["lost_length"],
            lost_set=fields["lost_set"].long(),
            swap_start=fields["swap_start"],
            swap_length=fields["swap_length"],
            swap_what=fields["swap_what"],
            edge=fields["edge"],
            tempi=fields["tempi"],
            harder=fields["harder"].long(),
            by=fields["by"],
            **{
                name: one[name] for name in ("derived", "dropped", "sure", "doubt", "mood", "temper", "blind", "misled")
            },
        )
        noisy, confidence = augment.detect_badly(view.xy, errors, self._generator)
        return ClipBatch(noisy, view.target, view.mm_per_unit, view.xy, confidence)


def sample_motion(positions: Tensor, time: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Motion at times between frames (Catmull and Rom 1974: cubics through the frames, smooth in speed).

    Args:
        positions: (N, J, 3) motions one after another.
        time: (B, T) frame numbers in `positions`, with fractions.
        begin: (B,) first frame of each motion.
        end: (B,) last frame of each motion; nothing is read outside of it.

    Returns:
        (B, T, J, 3).
    """
    whole = time.floor()
    t = (time - whole).to(positions.dtype)[..., None, None]
    around = whole.long()[..., None] + torch.arange(-1, 3, device=positions.device)
    around = torch.minimum(torch.maximum(around, begin[:, None, None]), end[:, None, None])
    p0, p1, p2, p3 = positions[around].unbind(2)
    a = 2 * p1
    b = p2 - p0
    c = 2 * p0 - 5 * p1 + 4 * p2 - p3
    d = 3 * (p1 - p2) + p3 - p0
    return 0.5 * (a + t * (b + t * (c + t * d)))
