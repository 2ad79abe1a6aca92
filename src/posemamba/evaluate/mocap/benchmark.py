"""A fixed benchmark on motion capture: predictors scored on its test subjects (docs/mocap_benchmark.md).

`scenes` has the inputs and the errors.

Shapes: F frames, K cameras, J = 17 joints.
"""

from __future__ import annotations

import json
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from posemamba.data.mocap.motions import Motions, load_motions
from posemamba.evaluate.angles import AngleMeasurements, AngleScore, angle_table
from posemamba.evaluate.mocap.scenes import CAMERAS, VARIANTS, Scene, scenes
from posemamba.evaluate.windows import lift_windows
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A predictor: (K, F, 17, 3) of one motion from K cameras, normalised x and y and confidence from 0 to 1, to
(K, F, 17, 3) in the same unit."""
Observe = Callable[[Scene, str, NDArray[np.floating]], None]
"""Called with a scene, a variant and the (K, F, 17, 3) prediction."""


@dataclass(frozen=True)
class Score:
    """MPJPE (`p1`), PA-MPJPE (`p2`) and MPJVE, means over `frames` frames.

    P1 and P2 are in millimetres, MPJVE in millimetres per frame of 1/50 s.
    """

    frames: int
    p1: float
    p2: float
    mpjve: float


def score_fields(value: object) -> object:
    """Convert a score, or dictionaries of scores, to JSON's types."""
    if isinstance(value, Score):
        return {"p1_mm": value.p1, "p2_mm": value.p2, "mpjve_mm": value.mpjve, "frames": value.frames}
    if isinstance(value, AngleScore):
        return asdict(value)
    return {k: score_fields(v) for k, v in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True)
class BenchmarkResult:
    """The scores of one predictor.

    Attributes:
        name: the predictor's name.
        split: of the motions: ``test``, ``validation`` or ``train``.
        cameras: all cameras of each clip, or one (`quick`).
        overall, subjects, actions: for each variant (``exact``, ``noisy``) the score, the scores by subject, and those
            by description of the motion.
        angles: for each variant the errors of joint angles (`posemamba.evaluate.angles`).
    """

    name: str
    split: str
    cameras: str
    overall: dict[str, Score]
    subjects: dict[str, dict[str, Score]]
    actions: dict[str, dict[str, Score]]
    angles: dict[str, dict[str, dict[str, AngleScore]]]

    def table(self, *, actions: bool = False) -> str:
        """Format a table: a line for all frames, for each subject and, with `actions`, for each kind of motion."""
        variants = list(self.overall)
        groups: list[tuple[str, dict[str, Score]]] = [("all", self.overall)]
        for chosen in (self.subjects, self.actions if actions else {}):
            names = sorted(chosen[variants[0]]) if chosen else []
            groups += [(name, {v: chosen[v][name] for v in variants}) for name in names]
        width = max(20, *(len(name) for name, _ in groups))
        lines = [
            f"{self.name}: CMU mocap {self.split} ({self.cameras}); P1 and P2 in mm, MPJVE in mm per frame",
            " " * width + "".join(f" | {v + ' 2D':^22}" for v in variants) + " | frames",
            " " * width + f" | {'P1':>6} {'P2':>6} {'MPJVE':>8}" * len(variants) + " |",
        ]
        for name, score in groups:
            cells = "".join(f" | {s.p1:6.1f} {s.p2:6.1f} {s.mpjve:8.2f}" for s in score.values())
            lines.append(f"{name:<{width}}{cells} | {next(iter(score.values())).frames:6d}")
        return "\n".join(lines)

    def angle_table(self) -> str:
        """Format a table of the joint angles' errors, degrees."""
        return f"{self.name}: mean absolute error (bias) of joint angles, by the view\n{angle_table(self.angles)}"

    def save_json(self, path: str | Path) -> None:
        """Write the result as JSON."""
        content = {"format": "posemamba-mocap-benchmark-1", **{k: score_fields(v) for k, v in vars(self).items()}}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run_benchmark(
    predict: Predict | Sequence[Predict],
    *,
    name: str = "predictor",
    directory: str | Path | None = None,
    motions: Motions | None = None,
    split: str = "test",
    variants: tuple[str, ...] = VARIANTS,
    quick: bool = False,
    aside: bool = False,
    look: bool = False,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> BenchmarkResult:
    """Score a predictor on the test motions.

    Args:
        predict: see `Predict`; F is from 58 to 1009, and the pelvis need not be at 0. `one_by_one` adapts a function
            of one sequence, `model_predictor` a model. Of several, as of several GPUs (`devices.predictors_on`), each
            has a scene at a time; the scores do not depend on their number.
        name: for the table.
        directory: of the mocap files (`posemamba.data.mocap.motions.mocap_directory`).
        motions: in place of the split's.
        split: part of the split by subject.
        variants: the inputs: ``exact`` 2D joints, ``noisy`` ones.
        quick: one camera for each clip (number i mod 4) in place of four.
        aside: cameras off the axis, askew, of all lenses (`scenes.cameras_aside`) in place of the usual ones.
        look: joints through a virtual camera that looks at the person, as lifting does.
        progress: called with the clips done and the clips in total.
        observe: called with every scene, variant and prediction, for further measurements in the same pass.

    Raises:
        PoseMambaError: there are no mocap files, or a prediction has a wrong shape or is not finite.
    """
    motions = load_motions(directory, split) if motions is None else motions
    sums: dict[tuple[str, str, str], dict[str, list[NDArray[np.float64]]]] = {}
    angles = {variant: AngleMeasurements() for variant in variants}
    predictors = [predict] if callable(predict) else list(predict)
    all_scenes = scenes(motions, quick=quick, aside=aside, look=look)
    for scene, predictions in _predicted(predictors, all_scenes, variants, name):
        for variant, pred in zip(variants, predictions, strict=True):
            errors = scene.errors(pred)
            angles[variant].observe(scene, variant, pred)
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
        split=split,
        cameras=", ".join(
            (
                "one camera a clip" if quick else f"{CAMERAS} cameras a clip",
                *(["off the axis"] if aside else []),
                *(["through a virtual camera"] if look else []),
            )
        ),
        overall={v: s[""] for v, s in by("all").items()},
        subjects=by("subject"),
        actions=by("action"),
        angles={variant: measured.scores() for variant, measured in angles.items()},
    )


def _predicted(
    predictors: Sequence[Predict], all_scenes: Iterable[Scene], variants: Sequence[str], name: str
) -> Iterator[tuple[Scene, list[NDArray[np.floating]]]]:
    """Yield scenes in order, each with the predictions for its variants."""

    def predict(predictor: Predict, scene: Scene) -> list[NDArray[np.floating]]:
        what = f"{name}: prediction for {scene.name}"
        return [checked(predictor, scene.inputs(variant), what) for variant in variants]

    if len(predictors) == 1:
        for scene in all_scenes:
            yield scene, predict(predictors[0], scene)
        return
    free: queue.Queue[Predict] = queue.Queue()
    for predictor in predictors:
        free.put(predictor)

    def predict_on_a_free_one(scene: Scene) -> list[NDArray[np.floating]]:
        predictor = free.get()
        try:
            return predict(predictor, scene)
        finally:
            free.put(predictor)

    waiting: deque[tuple[Scene, Future[list[NDArray[np.floating]]]]] = deque()
    with ThreadPoolExecutor(len(predictors)) as threads:
        for scene in all_scenes:
            waiting.append((scene, threads.submit(predict_on_a_free_one, scene)))
            if len(waiting) > 2 * len(predictors):
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()


def checked(predict: Predict, joints: NDArray[np.float32], what: str) -> NDArray[np.floating]:
    """Return the checked prediction for (K, F, J, 3) joints with confidence.

    Raises:
        PoseMambaError: the prediction, named `what`, has another shape, or is not finite.
    """
    pred = np.asarray(predict(joints))
    if pred.shape != joints.shape or not np.isfinite(pred).all():
        raise PoseMambaError(f"{what} has shape {pred.shape} (expected {joints.shape}) or is not finite")
    return pred


def one_by_one(predict: Predict) -> Predict:
    """Make a predictor of all cameras' sequences from one of a single sequence, (F, 17, 3) -> (F, 17, 3)."""
    return lambda joints: np.stack([predict(sequence) for sequence in joints])


def model_predictor(
    model: nn.Module,
    *,
    window: int | None = None,
    overlap: int = 0,
    flip: bool = True,
    person_size: float | None = None,
    batch: int | None = None,
) -> Predict:
    """Make a predictor from a model (`lift_windows`), on the device of its parameters, in inference mode."""
    device = next(model.parameters()).device
    model.eval()

    def predict(joints: NDArray[np.float32]) -> NDArray[np.float32]:
        given = torch.from_numpy(np.ascontiguousarray(joints, dtype=np.float32)).to(device)
        lifted = lift_windows(
            model, given, window=window, overlap=overlap, flip=flip, person_size=person_size, batch=batch
        )
        return lifted.cpu().numpy()

    return predict
