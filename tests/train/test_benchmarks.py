"""Training on the benchmarks: real passes, validation by the protocol, the same after a kill; fakes, made-up files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fixtures import human36m_files

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from posemamba.data.clips import ClipBatch
from posemamba.train import losses, muon
from posemamba.train.checkpoints import load_weights
from posemamba.train.dry_run import fast_dev_run
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Recipe
from posemamba.train.run import TrainingResult, train
from posemamba.train.sources import MpiInf3dhpBenchmark, open_data
from posemamba.utils.errors import PoseMambaError

SMALL = {"options": {"width": 16, "depth": 1, "frames": 9}}


class Clips:
    """Seven clips, passed through in order, that remember who asked for them."""

    parts = 1

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self.scored = 0

    def prepare(self, device: torch.device) -> None:
        pass

    def steps_of_pass(self, clips: int) -> int:
        return -(-7 // clips)

    def batch(self, step: int, size: int, *, rank: int, world: int) -> ClipBatch:
        self.asked.append((step, rank, world))
        made = torch.Generator().manual_seed(step)
        x = torch.randn(size, 9, 17, 2, generator=made)
        target = torch.cat([x, x.sum(-1, keepdim=True)], -1)
        return ClipBatch(x, target - target[:, :, :1], torch.full((size, 9), 2200.0), x, torch.ones(size, 9, 17))

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[torch.Tensor, float]]:
        self.scored += 1
        x = torch.randn(2, 9, 17, 2, generator=torch.Generator().manual_seed(99))
        return {"p1_test": ((model(x)[..., 2] - x.sum(-1)).abs().mean(), 1.0), "p2_test": (torch.tensor(5.0), 2.0)}


def recipe(**changes: object) -> Recipe:
    settings = {"model": SMALL, "data": {"kind": "human36m", "frames": 9, "stride": 5}, "batch": 2, "epochs": 3}
    return Recipe.model_validate({**settings, "save_every": 3, "log_every": 2, **changes})


def fit(settings: Recipe, out: Path, data: object = None, **options: object) -> TrainingResult:
    return train(settings, out, data=data, accelerator="cpu", progress_bar=False, **options)  # type: ignore[arg-type]


def same(a: Path, b: Path) -> bool:
    one, other = load_weights(a)[0], load_weights(b)[0]
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_epochs_are_passes_and_the_best_of_them_is_kept(tmp_path):
    data = Clips()
    result = fit(recipe(), tmp_path, data)
    assert result.finished and result.step == result.total_steps == 12  # 3 passes of 4 steps
    assert [step for step, *_ in data.asked] == list(range(12)) and set(data.asked[0][1:]) == {0, 1}
    assert data.scored == 3 and set(result.validation_p1) == {"test"}
    _, kept, details = load_weights(result.best)
    assert details["val_p1_test"] == details["p1"] == result.best_p1 <= result.validation_p1["test"]
    assert details["val_p2_test"] == 2.5 and kept.steps_per_epoch == 4
    with open(tmp_path / "logs" / "from_step_0" / "metrics.csv") as file:
        assert "val_p2_test" in file.readline()


def test_last_scores_the_test_set_once_at_the_end(tmp_path):
    data = Clips()
    result = fit(recipe(validation="last"), tmp_path, data)
    assert data.scored == 1 and same(result.best, result.weights)
    assert load_weights(result.best)[2]["step"] == 12


@pytest.mark.slow
def test_two_runs_of_one_seed_are_identical_and_of_another_are_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(recipe(seed=seed, epochs=1), tmp_path / name, Clips())
    assert same(tmp_path / "a" / "weights.pt", tmp_path / "b" / "weights.pt")
    assert not same(tmp_path / "a" / "weights.pt", tmp_path / "c" / "weights.pt")


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
import test_benchmarks as t

class Dies(t.Clips):
    def batch(self, step, size, *, rank, world):
        if step == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(step, size, rank=rank, world=world)

t.fit(t.recipe(), t.Path({out!r}), Dies())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL to kill a run with")
def test_killed_in_the_middle_of_an_epoch_it_goes_on_as_if_nothing_had_happened(tmp_path):
    here = Path(__file__).resolve().parent
    program = KILLED.format(paths=[str(here), str(here.parent)], out=str(tmp_path / "cut"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    assert not (tmp_path / "cut" / "weights.pt").exists()
    data = Clips()
    cut, whole = fit(recipe(), tmp_path / "cut", data), fit(recipe(), tmp_path / "whole", Clips())
    assert data.asked[0][0] == 6  # saved in the middle of the second pass; step 6 was done, and is done again
    assert same(cut.weights, whole.weights) and same(cut.best, whole.best)
    assert (cut.best_p1, cut.validation_p1) == (whole.best_p1, whole.validation_p1)


@pytest.mark.slow
def test_killed_in_a_validation_it_is_made_up_for(tmp_path):
    class Dies(Clips):
        def score(self, model: nn.Module, part: int) -> dict[str, tuple[torch.Tensor, float]]:
            if self.scored == 1:
                raise KeyboardInterrupt
            return super().score(model, part)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(recipe(), tmp_path / "cut", Dies())
    data = Clips()
    cut, whole = fit(recipe(), tmp_path / "cut", data), fit(recipe(), tmp_path / "whole", Clips())
    assert data.scored == 2 and same(cut.weights, whole.weights) and cut.best_p1 == whole.best_p1
    again = fit(recipe(), tmp_path / "cut", Clips())  # nothing left to do; what it knows it still says
    assert again.finished and again.validation_p1 == whole.validation_p1


@pytest.mark.slow
def test_stopped_after_every_step_it_ends_as_if_never_stopped(tmp_path):
    scored = 0
    for step in range(1, 9):
        data = Clips()
        cut = fit(recipe(epochs=2), tmp_path / "cut", data, max_minutes=0.0)
        assert cut.step == step and cut.finished == (step == 8)
        scored += data.scored
    whole = fit(recipe(epochs=2), tmp_path / "whole", Clips())
    assert scored == 2 and cut.best_p1 == whole.best_p1
    assert same(cut.weights, whole.weights) and same(cut.best, whole.best)


def test_losses_of_weight_0_are_not_computed(tmp_path, monkeypatch):
    def fails(*unused: object) -> None:
        raise AssertionError("computed")

    for name in ("n_mpjpe", "velocity", "temporal_consistency"):
        monkeypatch.setattr(losses, name, fails)
    off = {"mpjpe": 1, "n_mpjpe": 0, "velocity": 0, "temporal_consistency": 0}
    assert fit(recipe(losses=off, epochs=1), tmp_path, Clips()).finished


def test_a_run_goes_on_with_the_same_data_only(tmp_path):
    fit(recipe(), tmp_path, Clips(), max_minutes=0.0)
    data = {"kind": "human36m", "frames": 9, "stride": 5}
    with pytest.raises(PoseMambaError, match=r"data\.inputs = 'detected', the recipe says 'exact'"):
        fit(recipe(data={**data, "inputs": "exact"}), tmp_path, Clips())
    with pytest.raises(PoseMambaError, match="is of a run on human36m, not mpi_inf_3dhp"):
        fit(recipe(data={"kind": "mpi_inf_3dhp", "frames": 9}), tmp_path, Clips())
    with pytest.raises(PoseMambaError, match="give its place by --data"):
        fit(recipe(), tmp_path / "other")


# --- the data sets' own formats


@pytest.mark.slow
def test_human36m_trains_and_is_scored_by_its_protocol(tmp_path):
    from posemamba.data.human36m.dataset import Human36M
    from posemamba.evaluate.human36m import evaluate
    from posemamba.train.export import load_kept

    file = human36m_files.write(tmp_path / human36m_files.FILE)
    settings = recipe(data={"kind": "human36m", "frames": 9, "stride": 5, "directory": str(tmp_path)}, batch=4)
    clips = len(Human36M.open(file).train_source(frames=9, stride=5))
    result = fit(settings, tmp_path / "run")
    assert result.finished and result.step == 3 * -(-clips // 4)
    model, _, details = load_kept(result.best)
    scored = evaluate(model.eval(), Human36M.open(file), frames=9)
    assert details["val_p1_test"] == pytest.approx(scored.p1_mm, rel=1e-5)
    assert details["val_p2_test"] == pytest.approx(scored.p2_mm, rel=1e-5)
    assert same(result.weights, fit(settings, tmp_path / "again").weights)


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_on_a_gpu_compiled_and_graphed_training_learns_what_plain_training_does(tmp_path, optimizer, monkeypatch):
    """From the same start, through the same clips; float32, so that only the order of sums differs. So is Muon: in
    bfloat16 a start that differs by 1e-7 ends up 13 % of the way apart, in float32 by less than 0.1 %."""
    monkeypatch.setattr(muon, "GPU_TYPE", torch.float32)
    file = human36m_files.write(tmp_path / human36m_files.FILE)
    weights = []
    for fast in (False, True):
        settings = recipe(
            data={"kind": "human36m", "directory": file, "frames": 9, "stride": 5},
            model={"options": {**SMALL["options"], "drop_path": 0.0}},
            compile=fast,
            cuda_graphs=fast,
            optimizer=optimizer,
            warmup_steps=8,
            velocity_ramp=6,
            gradient_clip=1.0,
            ema=0.5,
            validation="last",
        )
        result = train(settings, tmp_path / str(fast), accelerator="gpu", progress_bar=False)
        assert result.finished and set(result.validation_p1) == {"test"}
        weights.append(load_weights(result.weights)[0])
    start = build_model(settings).state_dict()
    for name, before in start.items():
        plain, fast_ones = (each[name].double() for each in weights)
        moved = (plain - before.double()).norm()
        assert (plain - fast_ones).norm() <= 0.02 * moved + 1e-6, name


def mpi_files(folder: Path, frames: int = 40) -> None:
    random = np.random.default_rng(0)

    def video() -> dict[str, np.ndarray]:
        mm = random.normal(0, 300, (frames, 17, 3)) + np.array([0, 0, 4000])
        return {"data_2d": random.uniform(0, 2000, (frames, 17, 2)), "data_3d": mm}

    tests = {f"TS{n}": {**video(), "valid": (np.arange(frames) % 8 == 0).astype(float)} for n in (1, 5)}
    for name, content in (("train", {"S1 Seq1": [{"0": video()}, 25]}), ("test", tests)):
        np.savez(folder / f"data_{name}_3dhp.npz", data=np.array(content, dtype=object))


def test_mpi_inf_3dhp_trains_and_is_scored_by_its_protocol(tmp_path):
    mpi_files(tmp_path)
    settings = recipe(data={"kind": "mpi_inf_3dhp", "frames": 9, "stride": 9, "directory": str(tmp_path)}, epochs=2)
    result = fit(settings, tmp_path / "run")
    _, _, details = load_weights(result.best)
    assert result.step == 2 * 3  # five clips, two at a time
    data = open_data(settings)
    assert isinstance(data, MpiInf3dhpBenchmark)
    from posemamba.evaluate.mpi_inf_3dhp import evaluate
    from posemamba.train.export import load_kept

    scored = evaluate(load_kept(result.best)[0].eval(), data.files, 9).overall
    for name, value in (("p1", scored.mpjpe), ("pck", scored.pck), ("auc", scored.auc)):
        assert details[f"val_{name}_test"] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("confidence", [False, True])
def test_fast_dev_run_does_everything_and_keeps_nothing(tmp_path, monkeypatch, confidence):
    mpi_files(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    data = {"kind": "mpi_inf_3dhp", "frames": 9, "stride": 9, "directory": str(tmp_path)}
    model = {"options": {**SMALL["options"], "confidence": confidence}}
    settings = recipe(data=data, model=model, epochs=50)
    result = fast_dev_run(settings, accelerator="cpu", progress_bar=False)
    assert result.finished and result.step == 2 and "test" in result.validation_p1
    assert not list((tmp_path / "temporary").iterdir())
