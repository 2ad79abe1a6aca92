"""A fixed benchmark on real motion: the mocap's test subjects seen by cameras that a rule places.

Nothing is random: cameras follow closed formulas in the clip's and the camera's number (`benchmark_cameras`),
and the noisy variant draws from the raw 64-bit stream of PCG64, whose values NumPy guarantees, turned into
normal numbers by formulas written here. docs/mocap_benchmark.md describes it in full.

Errors are in Human3.6M's convention (`posemamba.data.cameras`): prediction and target relative to the pelvis,
times each frame's millimetres per unit at the pelvis's depth.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from posemamba.data.cameras import Cameras, person_size, project, see
from posemamba.data.missing import fill_missing
from posemamba.data.mocap import MocapOptions, MocapSource, Motions, load_motions, sample_motion
from posemamba.errors import PoseMambaError
from posemamba.evaluate.metrics import mpjpe_per_frame, mpjve_per_frame, p_mpjpe_per_frame
from posemamba.files import atomic_path
from posemamba.lift import batch_size, lift_batch
from posemamba.poses import Progress

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(K, F, 17, 3) of one motion from K cameras, x and y normalised and confidence from 0 to 1, -> (K, F, 17, 3) in the
same unit."""
Observe = Callable[["Scene", str, NDArray[np.floating]], None]
"""Called with a scene, a variant and the (K, F, 17, 3) prediction."""

CAMERAS = 4
VARIANTS = ("exact", "noisy")

_PITCHES = (0.0, 10.0, 20.0, -10.0, 5.0, 15.0, 30.0)  # degrees, down
_FOCALS = (0.8, 1.0, 1.15, 1.5, 2.0)  # of the picture's longer side
_HEIGHTS = (0.35, 0.5, 0.65, 0.8)  # of an upright person in the picture's shorter side, where that fits
_ASPECTS = (0.5625, 1.0, 1.7778)  # height / width
_ROLLS = (0.0, 2.0, -3.0)  # degrees
_OFFSETS = ((0.0, 0.0), (0.3, -0.1), (-0.4, 0.2), (0.1, 0.3))  # of the picture's half


def camera_pitch(clip: int, camera: int) -> float:
    """Degrees down that camera number `camera` of clip number `clip` looks."""
    return _PITCHES[(clip + 2 * camera) % len(_PITCHES)]


def benchmark_cameras(clip: int, cameras: int = CAMERAS) -> Cameras:
    """The cameras of clip number `clip` (i); camera k looks

    - in the direction of azimuth 90 k + 37 i degrees,
    - _PITCHES[(i + 2 k) mod 7] degrees down, rolled by _ROLLS[(i + k) mod 3] degrees,
    - with the focal length _FOCALS[(2 i + 3 k) mod 5] of the longer side and the aspect
      _ASPECTS[(i + 2 k) mod 3],
    - from where 1.7 m fill _HEIGHTS[(i + 3 k) mod 4] of the shorter side, or farther, so far that every joint
      stays in the picture (`cameras.fit_distance`); the middle of the path at _OFFSETS[(3 i + k) mod 4].
    """
    i, k = clip, np.arange(cameras)

    def cycle(values: tuple, index: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array(values)[index % len(values)]

    aspect = cycle(_ASPECTS, i + 2 * k)
    focal = cycle(_FOCALS, 2 * i + 3 * k) * np.maximum(1, aspect)
    height = cycle(_HEIGHTS, i + 3 * k) * np.minimum(1, aspect)
    fields = {
        "azimuth": np.deg2rad((90 * k + 37 * i) % 360),
        "pitch": np.deg2rad(cycle(_PITCHES, i + 2 * k)),
        "roll": np.deg2rad(cycle(_ROLLS, i + k)),
        "focal": focal,
        "aspect": aspect,
        "distance": focal * 1.7 / height,
        "offset": cycle(_OFFSETS, 3 * i + k),
        "follow": np.zeros(cameras),
        "overflow": np.ones(cameras),
    }
    return Cameras(**{name: torch.from_numpy(np.asarray(v, np.float64)) for name, v in fields.items()})


class FixedNumbers:
    """Numbers that are the same on every machine and with every NumPy; `key` says which."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        raw = self._bits.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def normal(self, *shape: int) -> NDArray[np.float64]:
        return np.sqrt(-2 * np.log(1 - self.uniform(*shape))) * np.cos(2 * np.pi * self.uniform(*shape))


JITTER = 0.02  # of h, at a shoulder
JITTER_OF_JOINT = np.array([1, 1, 1.2, 1.7, 1, 1.2, 1.7, 1, 0.8, 0.8, 1, 1, 1.4, 2.0, 1, 1.4, 2.0])
_LIMB_JOINTS = (2, 3, 5, 6, 12, 13, 15, 16)


def benchmark_noise(xy: NDArray[np.float64], clip: int, camera: int) -> NDArray[np.float64]:
    """(F, J, 2): `benchmark_detections` without their confidence."""
    return _noise(xy, clip, camera)[0]


def benchmark_detections(
    xy: NDArray[np.float64], clip: int, camera: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The noisy variant of one exact picture. Lengths in units of h, 0.3 of an upright person's height in it.

    1. jitter: 0.02 h times the joint's difficulty, first-order autoregressive, 0.8 from frame to frame;
    2. each joint constantly displaced by 0.015 h times its difficulty;
    3. one joint and frame in 200 off by another 0.3 h;
    4. for each knee, ankle, elbow and wrist: not found for 15 frames, once in every 150 frames, filled in as
       in lifting (`fill_missing`);
    5. left and right leg exchanged for 4 frames, once in every 200 frames.

    The confidence is that of `benchmark_confidence`.

    Args:
        xy: (F, J, 2) exact.
        clip, camera: what the numbers depend on.

    Returns:
        (F, J, 2) noisy, and (F, J) confidence.
    """
    noisy, lost = _noise(xy, clip, camera)
    return noisy, benchmark_confidence(xy, noisy, lost, clip, camera)


def benchmark_confidence(
    exact: NDArray[np.float64], noisy: NDArray[np.float64], lost: NDArray[np.bool_], clip: int, camera: int
) -> NDArray[np.float64]:
    """How sure the detector is: sigmoid(2.2 - 9 e / h + n), and 0 where a joint was lost.

    e is the distance of the noisy from the exact joint, h as in `benchmark_detections`; n is unit normal, of each joint
    by itself, first-order autoregressive, 0.9 from frame to frame. Its numbers are a stream of their own.

    Args:
        exact, noisy: (F, J, 2).
        lost: (F, J).
        clip, camera: what the numbers depend on.

    Returns:
        (F, J) from 0 to 1.
    """
    white = FixedNumbers(20261123, clip, camera).normal(*exact.shape[:2])
    mood = carried_on(white, 0.9, np.sqrt(1 - 0.9**2))
    error = np.linalg.norm(noisy - exact, axis=-1) / unit_of(exact)
    return np.where(lost, 0.0, expit(2.2 - 9 * error + mood))


def carried_on(white: NDArray[np.float64], keep: float, new: float) -> NDArray[np.float64]:
    """First-order autoregressive noise: each frame is `keep` of the one before and `new` of white noise (F, ...)."""
    slow = white.copy()
    for f in range(1, len(slow)):
        slow[f] = keep * slow[f - 1] + new * white[f]
    return slow


def unit_of(xy: NDArray[np.float64]) -> float:
    """h: 0.3 of an upright person's height."""
    return float(person_size(torch.from_numpy(xy)[None])[0])


def _noise(xy: NDArray[np.float64], clip: int, camera: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The noisy joints, and (F, J) which were lost."""
    frames, joints = xy.shape[:2]
    fixed = FixedNumbers(20250101, clip, camera)
    h = unit_of(xy)
    constant = 0.015 * fixed.normal(joints, 2)
    white = fixed.normal(frames, joints, 2)
    jitter = carried_on(white, 0.8, 0.6)
    off = (fixed.uniform(frames, joints, 1) < 1 / 200) * 0.3 * fixed.normal(frames, joints, 2)
    seen = xy.copy()
    for start in fixed.uniform(-(-frames // 200)) * frames:
        during = slice(int(start), int(start) + 4)
        seen[during, 1:7] = seen[during, [4, 5, 6, 1, 2, 3]]
    seen += h * (JITTER_OF_JOINT[:, None] * (constant + JITTER * jitter) + off)
    starts = fixed.uniform(len(_LIMB_JOINTS), -(-frames // 150)) * frames
    for joint, begins in zip(_LIMB_JOINTS, starts, strict=True):
        for start in begins:
            seen[int(start) : int(start) + 15, joint] = np.nan
    return fill_missing(seen).astype(np.float64), np.isnan(seen[..., 0])


@dataclass(frozen=True)
class Scene:
    """One motion as K cameras see it.

    Attributes:
        clip: its number among the test clips.
        name, description, subject: of the motion.
        cameras: (K,) numbers of the cameras.
        pitches: (K,) degrees down that they look.
        exact, noisy: (K, F, J, 2) normalised 2D joints.
        confidence: (K, F, J) of the noisy joints, 0 where one was lost; that of the exact ones is 1.
        target: (K, F, J, 3) normalised, relative to joint 0.
        mm_per_unit: (K, F).
    """

    clip: int
    name: str
    description: str
    subject: str
    cameras: tuple[int, ...]
    pitches: tuple[float, ...]
    exact: NDArray[np.float32]
    noisy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    target: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]

    def inputs(self, variant: str) -> NDArray[np.float32]:
        """(K, F, J, 3) what a predictor is given: the ``exact`` or ``noisy`` joints, and their confidence."""
        xy = {"exact": self.exact, "noisy": self.noisy}[variant]
        confidence = np.ones_like(self.confidence) if variant == "exact" else self.confidence
        return np.concatenate([xy, confidence[..., None]], -1)

    def millimetres(self, pred: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K, F, J, 3) prediction and target in millimetres, relative to the pelvis."""
        scale = self.mm_per_unit[:, :, None, None].astype(np.float64)
        return (pred - pred[:, :, :1]) * scale, self.target * scale

    def errors(self, pred: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """P1, P2 (K, F) and MPJVE (K, F - 1) in millimetres of (K, F, J, 3) normalised predictions."""
        p, t = self.millimetres(pred)
        return {"p1": mpjpe_per_frame(p, t), "p2": p_mpjpe_per_frame(p, t), "mpjve": mpjve_per_frame(p, t)}


def make_scene(
    motions: Motions,
    clip: int,
    cameras: tuple[int, ...] = tuple(range(CAMERAS)),
    *,
    number: int | None = None,
    fps: float | None = None,
) -> Scene:
    """See clip number `clip` of `motions` with the benchmark's cameras of those numbers.

    Args:
        number: which clip's cameras and noise to use; None: its own.
        fps: frames a second that the cameras take, which stand where they stand; None: the motion's own. The detector's
            errors come frame by frame, whatever the time between two.
    """
    number = clip if number is None else number
    body = torch.from_numpy(motions.clip(clip)).double().expand(max(cameras) + 1, -1, -1, -1)
    placed = benchmark_cameras(number, max(cameras) + 1)
    view = see(body, placed)
    if fps is not None and fps != motions.fps:
        view = project(_resampled(view.camera_xyz, fps / motions.fps), placed.focal)
    chosen = list(cameras)
    exact = view.xy.numpy()[chosen]
    detected = [benchmark_detections(xy, number, k) for xy, k in zip(exact, cameras, strict=True)]
    noisy, confidence = (np.stack(values) for values in zip(*detected, strict=True))
    return Scene(
        clip,
        motions.names[clip],
        motions.descriptions[clip],
        motions.subjects[clip],
        cameras,
        tuple(camera_pitch(number, k) for k in cameras),
        exact.astype(np.float32),
        noisy.astype(np.float32),
        confidence.astype(np.float32),
        view.target.numpy()[chosen].astype(np.float32),
        view.mm_per_unit.numpy()[chosen].astype(np.float32),
    )


def _resampled(positions: Tensor, rate: float) -> Tensor:
    """(K, F, J, 3) at `rate` frames for each frame, from the first on."""
    views, frames = positions.shape[:2]
    time = torch.arange(math.floor((frames - 1) * rate + 1e-9) + 1, dtype=torch.float64) / rate
    first = torch.arange(views) * frames
    return sample_motion(positions.flatten(0, 1), first[:, None] + time, first, first + frames - 1)


def scenes(motions: Motions, *, quick: bool = False) -> Iterator[Scene]:
    """All clips with all cameras; `quick`: clip i with camera i mod 4 only."""
    for i in range(len(motions)):
        yield make_scene(motions, i, (i % CAMERAS,) if quick else tuple(range(CAMERAS)))


@dataclass(frozen=True)
class Score:
    """Means over `frames` frames, millimetres (MPJVE: millimetres per frame of 1/50 s)."""

    frames: int
    p1: float
    p2: float
    mpjve: float


def score_fields(value: object) -> object:
    """A score, or dictionaries of scores, as JSON has them."""
    if isinstance(value, Score):
        return {"p1_mm": value.p1, "p2_mm": value.p2, "mpjve_mm": value.mpjve, "frames": value.frames}
    return {k: score_fields(v) for k, v in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True)
class BenchmarkResult:
    """Scores of one predictor.

    Attributes:
        name: of the predictor.
        cameras: what was run: all cameras of each clip, or one (`quick`).
        overall, subjects, actions: for each variant (``exact``, ``noisy``): the score, and by subject and by
            description of the motion.
    """

    name: str
    cameras: str
    overall: dict[str, Score]
    subjects: dict[str, dict[str, Score]]
    actions: dict[str, dict[str, Score]]

    def table(self, *, actions: bool = False) -> str:
        """Plain text: a line for all, for each subject and, if wanted, for each kind of motion."""
        variants = list(self.overall)
        groups: list[tuple[str, dict[str, Score]]] = [("all", self.overall)]
        for chosen in (self.subjects, self.actions if actions else {}):
            names = sorted(chosen[variants[0]]) if chosen else []
            groups += [(name, {v: chosen[v][name] for v in variants}) for name in names]
        width = max(20, *(len(name) for name, _ in groups))
        lines = [
            f"{self.name}: CMU mocap test ({self.cameras}); P1 and P2 in mm, MPJVE in mm per frame",
            " " * width + "".join(f" | {v + ' 2D':^22}" for v in variants) + " | frames",
            " " * width + f" | {'P1':>6} {'P2':>6} {'MPJVE':>8}" * len(variants) + " |",
        ]
        for name, score in groups:
            cells = "".join(f" | {s.p1:6.1f} {s.p2:6.1f} {s.mpjve:8.2f}" for s in score.values())
            lines.append(f"{name:<{width}}{cells} | {next(iter(score.values())).frames:6d}")
        return "\n".join(lines)

    def save_json(self, path: str | Path) -> None:
        """Everything, as JSON."""
        content = {"format": "posemamba-mocap-benchmark-1", **{k: score_fields(v) for k, v in vars(self).items()}}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run_benchmark(
    predict: Predict,
    *,
    name: str = "predictor",
    directory: str | Path | None = None,
    motions: Motions | None = None,
    variants: tuple[str, ...] = VARIANTS,
    quick: bool = False,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> BenchmarkResult:
    """Score a predictor on the test motions.

    Args:
        predict: (K, F, 17, 3) normalised 2D joints and confidence of one motion from K cameras, any F from 58 to
            1009, to (K, F, 17, 3) in the same unit; the pelvis need not be at 0. `one_by_one` adapts a function of
            one sequence, `model_predictor` a model.
        name: for the table.
        directory: of the mocap files (`posemamba.data.mocap.mocap_directory`).
        motions: other motions than the test split.
        variants: which inputs: ``exact`` 2D joints, ``noisy`` ones.
        quick: one camera for each clip (number i mod 4) in place of four.
        progress: called with the clips done and the clips in all.
        observe: called with every scene, variant and prediction: what else is to be measured in the same pass.

    Raises:
        PoseMambaError: no mocap files, or a prediction of a wrong shape or that is not finite.
    """
    motions = load_motions(directory, "test") if motions is None else motions
    sums: dict[tuple[str, str, str], dict[str, list[NDArray[np.float64]]]] = {}
    for scene in scenes(motions, quick=quick):
        for variant in variants:
            pred = checked(predict, scene.inputs(variant), f"{name}: prediction for {scene.name}")
            errors = scene.errors(pred)
            if observe is not None:
                observe(scene, variant, pred)
            for group in (("all", ""), ("subject", scene.subject), ("action", scene.description)):
                kept = sums.setdefault((variant, *group), {"p1": [], "p2": [], "mpjve": []})
                for key, value in errors.items():
                    kept[key].append(value.ravel())
        if progress is not None:
            progress(scene.clip + 1, len(motions))

    def score(kept: dict[str, list[NDArray[np.float64]]]) -> Score:
        whole = {k: np.concatenate(v) for k, v in kept.items()}
        means = {k: float(v.mean()) for k, v in whole.items()}
        return Score(len(whole["p1"]), **means)

    def by(kind: str) -> dict[str, dict[str, Score]]:
        return {v: {k[2]: score(s) for k, s in sums.items() if k[:2] == (v, kind)} for v in variants}

    return BenchmarkResult(
        name=name,
        cameras="one camera a clip" if quick else f"{CAMERAS} cameras a clip",
        overall={v: s[""] for v, s in by("all").items()},
        subjects=by("subject"),
        actions=by("action"),
    )


def checked(predict: Predict, joints: NDArray[np.float32], what: str) -> NDArray[np.floating]:
    """The prediction for (K, F, J, 3) joints with confidence.

    Raises:
        PoseMambaError: `what` has another shape, or is not finite.
    """
    pred = np.asarray(predict(joints))
    if pred.shape != joints.shape or not np.isfinite(pred).all():
        raise PoseMambaError(f"{what} has shape {pred.shape} (expected {joints.shape}) or is not finite")
    return pred


def one_by_one(predict: Predict) -> Predict:
    """Make a predictor of (F, 17, 3), joints with confidence, -> (F, 17, 3) one of all cameras' sequences."""
    return lambda joints: np.stack([predict(sequence) for sequence in joints])


def window_starts(frames: int, window: int) -> list[int]:
    """First frames of windows that cover a sequence: end to end, the last one moved back to fit."""
    if frames <= window:
        return [0]
    return [*range(0, frames - window, window), frames - window]


@torch.inference_mode()
def lift_windows(
    model: nn.Module,
    joints: Tensor,
    *,
    window: int = 243,
    flip: bool = True,
    person_size: float | None = None,
    batch: int | None = None,
) -> Tensor:
    """Lift sequences window by window, without cross-fading.

    Args:
        model: (B, T, 17, 2) normalised, or 3 with confidence, -> (B, T, 17, 3), T <= window.
        joints: (K, F, 17, 2), or with confidence (K, F, 17, 3), on the model's device; the model gets what it takes.
        window: most frames of one window; a frame that two windows hold is taken from the earlier one.
        flip: average with the mirrored lifting of the mirrored picture.
        person_size: zoom each window to this size of the person, as in training (`cameras.zoom_factor`).
        batch: windows at a time; None: what suits the device.

    Returns:
        (K, F, 17, 3), in the unit of `joints`, relative to joint 0.
    """
    sequences, frames = joints.shape[:2]
    starts = window_starts(frames, window)
    cut = torch.stack([joints[:, s : s + window] for s in starts], 1).flatten(0, 1)
    lifted = [
        lift_batch(model, given, flip=flip, person_size=person_size)
        for given in cut.split(batch or batch_size(joints.device))
    ]
    windows = torch.cat(lifted).unflatten(0, (sequences, len(starts)))
    whole = joints.new_empty(sequences, frames, *windows.shape[3:])
    for number in reversed(range(len(starts))):
        whole[:, starts[number] : starts[number] + window] = windows[:, number]
    return whole


def model_predictor(
    model: nn.Module,
    *,
    window: int = 243,
    flip: bool = True,
    person_size: float | None = None,
    batch: int | None = None,
) -> Predict:
    """A model as a predictor (`lift_windows`), on the device of its parameters, in inference mode."""
    device = next(model.parameters()).device
    model.eval()

    def predict(joints: NDArray[np.float32]) -> NDArray[np.float32]:
        given = torch.from_numpy(np.ascontiguousarray(joints, dtype=np.float32)).to(device)
        lifted = lift_windows(model, given, window=window, flip=flip, person_size=person_size, batch=batch)
        return lifted.cpu().numpy()

    return predict


def flat_baseline(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture itself at depth zero: what anything that claims to see depth must beat."""
    xy = joints[..., :2]
    return np.concatenate([xy - xy[:, :, :1], np.zeros_like(xy[..., :1])], -1)


def mean_depths(motions: Motions, *, batches: int = 32, batch: int = 64) -> NDArray[np.float32]:
    """(17,) each joint's mean depth over training clips, in units of `cameras.person_size`.

    Cameras stand all around, so front and back cancel; what remains is the lean that their pitch gives.
    """
    options = MocapOptions(clean=1.0, flip=False, bones=False)
    source = MocapSource(motions, options, seed=0)
    total = np.zeros(17)
    for step in range(batches):
        clips = source.batch(step, batch, frames=27)
        size = person_size(clips.exact)[:, None, None]
        total += (clips.target[..., 2] / size).mean((0, 1)).double().numpy()
    return (total / batches).astype(np.float32)


def mean_depth_baseline(depths: NDArray[np.float32]) -> Predict:
    """The picture with each joint at the mean depth that `mean_depths` gives, whatever the pose."""

    def predict(joints: NDArray[np.float32]) -> NDArray[np.float32]:
        xy = joints[..., :2]
        size = person_size(torch.from_numpy(np.ascontiguousarray(xy))).numpy()
        depth = np.broadcast_to(size[:, None, None] * depths, xy.shape[:3])
        return np.concatenate([xy - xy[:, :, :1], depth[..., None]], -1).astype(np.float32)

    return predict
