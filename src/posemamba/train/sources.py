"""Data sets as training uses them: clips of a step, length of a pass, scores on people who are not trained on.

Motion capture makes clips without end. The benchmarks, Human3.6M and MPI-INF-3DHP, are trained on pass by pass and
validated on their test sets by their protocols, which is how the paper picks its epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from posemamba.data.clips import ClipBatch
from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.motions import Motions, load_motions
from posemamba.evaluate.mocap.scenes import VARIANTS, make_scene
from posemamba.evaluate.windows import lift_windows, window_starts
from posemamba.models.inputs import prepare_input
from posemamba.train.recipe import DataOptions, Human36MData, MocapData, MpiInf3dhpData, Recipe, VideoPose3DData
from posemamba.train.training_data import TrainingData
from posemamba.utils.errors import PoseMambaError

VALIDATION_CAMERAS = (0, 2)
Data = TypeVar("Data", Human36MData, VideoPose3DData, MpiInf3dhpData)


def open_data(recipe: Recipe, motions: tuple[Motions, Motions] | None = None) -> TrainingData:
    """Open the data of a recipe.

    Args:
        recipe: of any kind of data.
        motions: (training, validation) in place of mocap's files.

    Raises:
        PoseMambaError: no such files.
    """
    data = recipe.data
    if isinstance(data, MocapData):
        return Mocap(recipe, data, motions)
    if isinstance(data, Human36MData):
        return Human36MBenchmark(recipe, data)
    if isinstance(data, VideoPose3DData):
        return VideoPose3DBenchmark(recipe, data)
    if isinstance(data, DataOptions):
        return data.open(recipe)
    return MpiInf3dhpBenchmark(recipe, data)


# --- mocap


class Mocap:
    """Motion capture seen by virtual cameras; validated on subjects left out, with exact and noisy 2D joints."""

    def __init__(self, recipe: Recipe, data: MocapData, motions: tuple[Motions, Motions] | None) -> None:
        self.recipe, self.data, self.motions = recipe, data, motions
        self.parts = 0
        self._source: MocapSource | None = None
        self._windows: list[dict[str, Tensor]] = []

    def prepare(self, device: torch.device) -> None:
        training, validation = self.motions or (
            load_motions(self.data.directory, "train", self.data.extra),
            load_motions(self.data.directory, "validation"),
        )
        self._source = MocapSource(training, self.data, self.recipe.seed, device)
        look = self.data.camera.look_at_share > 0
        windows = validation_windows(validation, max(self.data.lengths), self.recipe.batch * 2, look=look)
        self._windows = [{k: v.to(device) for k, v in w.items()} for w in windows]
        self.parts = len(windows)

    def steps_of_pass(self, clips: int) -> int | None:
        return None

    def batch(self, step: int, size: int, *, rank: int, world: int) -> ClipBatch:
        assert self._source is not None
        return self._source.batch(step, size, rank=rank).zoomed(self.recipe.person_size)

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        window = self._windows[part]
        scores = {}
        for variant in VARIANTS:
            pred = lift_windows(
                model,
                window[variant],  # with confidence: the model gets what it takes
                window=window["target"].shape[1],
                flip=False,
                person_size=self.recipe.person_size,
                batch=len(window[variant]),
            )
            distance = (pred - window["target"]).norm(dim=-1).mean(-1) * window["mm_per_unit"]
            scores[f"p1_{variant}"] = (distance.sum(), float(distance.numel()))
        return scores


def validation_windows(motions: Motions, frames: int, batch: int, *, look: bool = False) -> list[dict[str, Tensor]]:
    """Cut validation motions, seen by two of the benchmark's cameras, into windows.

    With `look` they are seen through a virtual camera that looks at the person, as the training clips then are.

    Windows of `frames`, end to end, the last moved back to fit; motions that are shorter give windows of a
    third as many frames, and none if they are shorter still.

    Returns:
        Batches: ``exact`` and ``noisy`` (B, T, J, 3) with confidence, ``target`` (B, T, J, 3), ``mm_per_unit`` (B, T).
    """
    keys = (*VARIANTS, "target", "mm_per_unit")
    cut: dict[int, list[dict[str, Tensor]]] = {}
    for clip in range(len(motions)):
        scene = make_scene(motions, clip, VALIDATION_CAMERAS, look=look)
        length = int(motions.lengths[clip])
        size = frames if length >= frames else max(1, frames // 3)
        if length < size:
            continue
        arrays = {k: torch.from_numpy(scene.inputs(k) if k in VARIANTS else getattr(scene, k)) for k in keys}
        for start in window_starts(length, size):
            cut.setdefault(size, []).append({k: v[:, start : start + size] for k, v in arrays.items()})
    batches = []
    for windows in cut.values():
        whole = {k: torch.cat([w[k] for w in windows]) for k in keys}
        pieces = {k: v.split(batch) for k, v in whole.items()}
        batches += [{k: pieces[k][i] for k in keys} for i in range(len(pieces["exact"]))]
    return batches


# --- the two benchmarks


def predictor(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Wrap a model for the benchmarks' evaluations: (B, T, 17, 2 or 3) on the CPU to (B, T, 17, 3)."""
    device = next(model.parameters()).device
    return lambda x: model(prepare_input(model, x.to(device))).float()


class _Benchmark(Generic[Data]):
    """A benchmark: real passes over its clips, and one part of validation, the whole test set."""

    parts = 1
    needs = ""

    def __init__(self, recipe: Recipe, data: Data) -> None:
        if data.directory is None:
            raise PoseMambaError(f"recipe {recipe.name} needs {self.needs}: give its place by --data or data.directory")
        self.recipe, self.directory = recipe, data.directory
        self.data: Data = data
        self.files = self._open(self.directory)
        self.source = self._clips(torch.device("cpu"))

    def _open(self, directory: Path) -> Any:
        raise NotImplementedError

    def _clips(self, device: torch.device, **more: Any) -> Any:
        d = self.data
        return self.files.train_source(
            frames=d.frames, stride=d.stride, seed=self.recipe.seed, flip=d.flip, device=device, **more
        )

    def prepare(self, device: torch.device) -> None:
        if device.type != "cpu":
            self.source = self._clips(device)

    def steps_of_pass(self, clips: int) -> int | None:
        if not len(self.source):
            raise PoseMambaError(f"{self.directory}: no training clips in it")
        return -(-len(self.source) // clips)

    def batch(self, step: int, size: int, *, rank: int, world: int) -> ClipBatch:
        return self.source.batch(step, size, rank=rank, world=world)


class Human36MBenchmark(_Benchmark[Human36MData]):
    """Human3.6M; scores are P1 and P2, means over actions, in millimetres.

    With exact joints also ``given_xy_p1`` and ``given_xy_p2``, the published column with a dagger.
    """

    needs = "Human3.6M's file"

    def _open(self, directory: Path) -> Any:
        from posemamba.data.human36m.dataset import Human36M

        return Human36M.open(directory)

    def _clips(self, device: torch.device, **more: Any) -> Any:
        return super()._clips(device, inputs=self.data.inputs)

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        from posemamba.evaluate.human36m import evaluate

        d = self.data
        result = evaluate(predictor(model), self.files, d.protocol, d.inputs, d.flip, frames=d.frames, confidence=True)
        measures = ("p1", "p2", "given_xy_p1", "given_xy_p2")
        values = {name: getattr(result, f"{name}_mm") for name in measures}
        return {f"{name}_test": (torch.tensor(mm), 1.0) for name, mm in values.items() if mm is not None}


class VideoPose3DBenchmark(_Benchmark[VideoPose3DData]):
    """Human3.6M of VideoPose3D's files; scores are its MPJPE (named p1) and P-MPJPE (p2), means over actions, in mm."""

    needs = "VideoPose3D's files of Human3.6M"

    def _open(self, directory: Path) -> Any:
        from posemamba.data.human36m.videopose3d import VideoPose3D

        return VideoPose3D.open(directory, self.data.inputs)

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        from posemamba.evaluate.videopose3d import evaluate

        d = self.data
        mean = evaluate(predictor(model), self.files, d.flip, frames=d.frames, confidence=True).mean
        return {"p1_test": (torch.tensor(mean.mpjpe_mm), 1.0), "p2_test": (torch.tensor(mean.p_mpjpe_mm), 1.0)}


class MpiInf3dhpBenchmark(_Benchmark[MpiInf3dhpData]):
    """MPI-INF-3DHP; scores are MPJPE in millimetres (named p1), PCK and AUC in per cent."""

    needs = "MPI-INF-3DHP's files"

    def _open(self, directory: Path) -> Any:
        from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp

        return MpiInf3dhp.open(directory)

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        from posemamba.evaluate.mpi_inf_3dhp import evaluate

        overall = evaluate(predictor(model), self.files, self.data.frames, self.data.flip).overall
        values = {"p1_test": overall.mpjpe, "pck_test": overall.pck, "auc_test": overall.auc}
        return {name: (torch.tensor(value), 1.0) for name, value in values.items()}


# --- clips of a registered data set


class TensorClips:
    """Clips in memory, trained on pass by pass; validation scores P1 on others.

    Args:
        recipe: its seed draws the order of each pass.
        training, validation: clips of one length each (`clip_batch`).

    Raises:
        PoseMambaError: there are no clips.
    """

    def __init__(self, recipe: Recipe, training: ClipBatch, validation: ClipBatch) -> None:
        if not len(training.input) or not len(validation.input):
            raise PoseMambaError(f"recipe {recipe.name}: no clips to train on, or none to validate on")
        self.recipe, self.training, self.validation = recipe, training, validation
        self.parts = -(-len(validation.input) // recipe.batch)

    def prepare(self, device: torch.device) -> None:
        self.training, self.validation = self.training.to(device), self.validation.to(device)

    def steps_of_pass(self, clips: int) -> int | None:
        return -(-len(self.training.input) // clips)

    def batch(self, step: int, size: int, *, rank: int, world: int) -> ClipBatch:
        """Return the clips of a step: passes follow each other without a gap, each in an order of its own."""
        count = len(self.training.input)
        places = (step * world + rank) * size + np.arange(size)
        chosen = np.empty(size, np.int64)
        for epoch in np.unique(places // count):
            order = np.random.default_rng((self.recipe.seed, int(epoch))).permutation(count)
            here = places // count == epoch
            chosen[here] = order[places[here] % count]
        return self.training.select(torch.from_numpy(chosen))

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[Tensor, float]]:
        """Return the sum of errors over frames, in millimetres, and their number."""
        size, count = self.recipe.batch, len(self.validation.input)
        clips = self.validation.select(torch.arange(part * size, min(count, (part + 1) * size)))
        pred = model(prepare_input(model, clips.joints)).float()
        pred = pred - pred[:, :, :1]
        distance = (pred - clips.target).norm(dim=-1).mean(-1) * clips.mm_per_unit
        return {"p1_test": (distance.sum(), float(distance.numel()))}
