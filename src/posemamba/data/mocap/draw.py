"""What chance decides once about each training clip: motion, camera, body, and the detector's habits.

Shapes: N frames of all motions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.data import augment
from posemamba.data.mocap import recombine
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.utils.errors import PoseMambaError

_GROUPS = len(augment.BONE_GROUPS)
_LOST, _SWAPS, _HARDER = 6, 3, 2
_TURNED = len(recombine.TURNED)
FIELDS = {
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
    "over_steady": 3,
    "over_swing": 3,
    "over_tempo": 1,
    "over_phase": 1,
}
"""Names and widths of the numbers drawn for each clip; they travel to the device as one array."""

_UPRIGHT_METRES = 1.7
# From MediaPipe's short hips and legs to Human3.6M's long ones (docs/detector_noise.md); in the order of BONE_GROUPS.
BONE_LOW = np.array([1.0, 0.84, 0.82, 0.9, 0.8, 0.7, 0.8, 0.82, 0.78])
BONE_HIGH = np.array([1.65, 1.26, 1.26, 1.16, 1.3, 1.3, 1.25, 1.22, 1.18])
# The motions' bones, Human3.6M's and MediaPipe's over the motions' (docs/detector_noise.md): what people's joints are
# taken to be differs more than people do, but all bones go together.
CONVENTIONS = np.log(
    [
        [1.0] * _GROUPS,
        [1.62, 1.20, 1.17, 1.0, 1.09, 1.09, 0.90, 1.06, 1.01],
        [1.02, 0.92, 0.84, 1.0, 1.00, 0.88, 0.93, 0.90, 0.85],
    ]
)
_PEOPLE = 0.04  # standard deviation, of a factor, of how people's bones differ from those of somebody else
# Errors last in time, not in frames: shares of the jitter by frames a second (docs/detector_noise.md).
_TEMPI_FPS = np.log([15, 30, 60])
_TEMPI = np.array([[0.3, 0.7, 0.6], [0.53, 0.65, 0.49], [0.72, 0.5, 0.43]])
_LIMB_JOINTS = np.array([2, 3, 5, 6, 12, 13, 15, 16])
# Standard deviation of turns about one axis, radians, in the order of recombine.TURNED.
_TURN = np.deg2rad([7, 12, 18, 18, 9, 9])[:, None]
_FAR = np.array([2, 1, 1, 1, 3, 3])[:, None]  # times that: legs raised to the side or behind, trunks that bend


class ClipDrawer:
    """Draws what training clips are made by; all chance comes from the generators that are given.

    Args:
        motions: what to draw from.
        options: what to vary.

    Attributes:
        longest: frames of the longest clips.

    Raises:
        PoseMambaError: no motion is long enough for these.
    """

    def __init__(self, motions: Motions, options: MocapOptions) -> None:
        self._options, self._fps = options, motions.fps
        self._starts, self._lengths = motions.starts, motions.lengths
        weight = np.ones(len(motions.positions))
        subject = np.repeat(np.array(motions.subjects), motions.lengths)
        weight[np.isin(subject, ("cmu_60", "cmu_61"))] *= options.dance_weight
        trunk = motions.positions[:, 8] - motions.positions[:, 0]
        bent = trunk[:, 2] < np.cos(np.pi / 4) * np.linalg.norm(trunk, axis=-1)
        weight[bent] *= options.bent_weight
        legs = motions.positions[:, (3, 6)] - motions.positions[:, (1, 4)]
        raised = (-legs[..., 2] < np.cos(np.pi / 4) * np.linalg.norm(legs, axis=-1)).any(1)
        weight[raised] *= options.raised_weight
        self._cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        ends = self._starts + self._lengths
        self._clip_weight = self._cumulative[ends] - self._cumulative[self._starts]
        total = sum(options.lengths.values())
        self._frames = list(options.lengths)
        self._shares = np.cumsum([v / total for v in options.lengths.values()])
        self.longest = max(self._frames)
        if not (self._lengths - 1 >= 0.5 * (self.longest - 1)).any():
            raise PoseMambaError(f"no motion is long enough for clips of {self.longest} frames")

    def frames(self, random: np.random.Generator) -> int:
        """Frames of a batch's clips, one of the options' lengths."""
        which = np.searchsorted(self._shares, random.random(), side="right")
        return self._frames[min(int(which), len(self._frames) - 1)]

    def draw(self, random: np.random.Generator, size: int, frames: int) -> dict[str, NDArray[np.floating]]:
        """Everything about the clips that is drawn once, (size, width) or (size,) each; angles in radians."""
        o = self._options

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
        pitch = np.where(wild, uniform(*o.steep), pitch)
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
        short = chance(1 - o.lost_long, _LOST)
        lost_length = np.where(short, uniform(2, 20, _LOST), uniform(2, 90, _LOST))
        all_lost = chance(0.08, _LOST)
        lost_set = np.where(all_lost, augment.LOST_ALL, lost_set)
        lost_length = np.where(all_lost, lost_length.clip(max=15), lost_length) * lost
        lost_start = uniform(-0.1 * frames, frames, _LOST)
        no_legs = chance(0.03) & noisy
        lost_set[no_legs, 0], lost_start[no_legs, 0] = augment.LOST_LEGS, 0
        lost_length[no_legs, 0] = frames
        swaps = chance(0.4, _SWAPS) & (chance(0.25) & noisy)[:, None]
        swap_length = np.where(chance(0.75, _SWAPS), uniform(1, 8, _SWAPS), uniform(8, 40, _SWAPS)) * swaps
        log_fps = np.log(self._fps / np.maximum(step * still, 0.1))
        tempi = np.stack([np.interp(log_fps, _TEMPI_FPS, shares) for shares in _TEMPI.T], 1)
        drawn = {
            "first": first - begin,  # small numbers: the table is float32
            "step": step * still,
            "begin": begin,
            "end": begin + length - 1,
            "flip": chance(0.5 if o.flip else 0),
            "bones": BONE_LOW + (BONE_HIGH - BONE_LOW) * uniform(0, 1, _GROUPS)
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
        seconds = step * still * (frames - 1) / self._fps
        recombined = {
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
        # of what is away for long, more whole limbs; steep cameras that are held straight; people as they are, where a
        # proportion that every bone has by itself leaves open how far a limb points away
        limb = chance(o.lost_limbs, _LOST) & ~short & ~all_lost
        limb[no_legs, 0] = False
        which = np.array(augment.LOST_LIMBS)[np.floor(uniform(0, len(augment.LOST_LIMBS), _LOST)).astype(int)]
        straight = chance(o.straight) & wild
        level = np.deg2rad(random.normal(0, 3, size).clip(-10, 10))
        natural = chance(o.natural)[:, None] & bool(o.bones)
        alike = np.exp(_PEOPLE * random.normal(size=(size, _GROUPS)))
        # bodies turned over, about an axis that lies level, and joints turned far
        level_axis = 2 * np.pi * random.random((2, size))
        axes = np.stack([np.cos(level_axis), np.sin(level_axis), np.zeros_like(level_axis)], -1)
        over = chance(o.tumbled)[:, None]
        tumbled = {
            "over_steady": axes[0] * uniform(0, np.pi, 1) * over,
            "over_swing": axes[1] * uniform(0, np.pi / 2, 1) * over,
            "over_tempo": log_uniform(0.1, 0.7) * seconds,
            "over_phase": uniform(0, 1),
        }
        between = random.dirichlet([0.5, 0.5, 0.5], size) @ CONVENTIONS  # mostly near to one of them
        conventional = chance(o.conventions)[:, None] & bool(o.bones)
        bones = np.where(conventional, alike * np.exp(between), drawn["bones"])
        far = np.where(chance(o.far)[:, None, None], _FAR, 1)
        changed = {
            "steady": recombined["steady"] * far,
            "swing": recombined["swing"] * far,
            "bones": np.where(natural, alike, bones),
            "lost_set": np.where(limb, which, lost_set),
            "roll": np.where(straight, level, np.deg2rad(roll)),
        }
        return drawn | recombined | tumbled | changed
