"""A captured step: preparing it changes nothing, what it reads stays, what it writes is noticed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from fixtures import human36m_files
from posemamba.data.clips import ClipBatch
from posemamba.models.motionagformer import MotionAGFormer
from posemamba.models.posemamba import PoseMamba
from posemamba.ops.fused.weights import Weights
from posemamba.ops.scan.orders import scan_map
from posemamba.train.checkpoints import load_weights
from posemamba.train.losses import total_loss
from posemamba.train.muon import Muon, split_parameters
from posemamba.train.recipe import Recipe
from posemamba.train.run import train
from posemamba.train.step_graphs import Outcome, StepGraphs


def clips(count: int = 2, frames: int = 9) -> ClipBatch:
    xy, conf = torch.randn(count, frames, 17, 2), torch.rand(count, frames, 17)
    return ClipBatch(xy, 0.1 * torch.randn(count, frames, 17, 3), torch.ones(count, frames), xy, conf)


def graphs_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> StepGraphs:
    def compute(batch: ClipBatch, weights: object) -> Outcome:
        loss, parts = total_loss(model(batch.input), batch.target, weights)  # type: ignore[arg-type]
        return Outcome(loss, loss.detach(), parts)

    return StepGraphs(compute, model, optimizer, 1.0)


def small(frames: int = 9) -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba.preset("s", depth=1, width=16, frames=frames, drop_path=0.0)


@pytest.mark.parametrize("muon", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_preparing_changes_nothing(monkeypatch: pytest.MonkeyPatch, muon: bool) -> None:
    """Weights, running means of a batch norm, the optimizer's state; at first, and for another shape later."""
    torch.manual_seed(0)
    model = MotionAGFormer.preset("xs", depth=3, frames=9).train()
    groups = split_parameters(model)
    optimizer = Muon(*groups, lr=1e-3, matrix_lr=1e-3) if muon else torch.optim.AdamW(model.parameters(), lr=1e-3)
    monkeypatch.setattr(StepGraphs, "_capture", lambda self, step: step)
    steps = graphs_of(model, optimizer)

    def state() -> list[Tensor]:
        kept = [t for each in optimizer.state.values() for t in each.values() if isinstance(t, Tensor)]
        return [t.clone() for t in (*model.state_dict().values(), *kept)]

    start = state()
    for number, batch in enumerate((clips(2), clips(3))):
        before = state()
        steps.prepare(batch, {"mpjpe": 1.0, "velocity": 0.0})
        after = state()
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=False))
        assert number or all(not t.any() for t in after[len(before) :]), "an optimizer starts from zeros"
        steps.run(batch)
    moved = [not torch.equal(a, b) for a, b in zip(start, state(), strict=False)]
    assert sum(moved) > 0.9 * len(moved)


def test_what_a_replay_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay does not go through PyTorch, and copies of the weights are kept for lifting."""
    model = small().eval()  # copies are of models that infer

    def capture(self: StepGraphs, step: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            for parameter in model.parameters():
                parameter.data += 1.0

        return replay

    monkeypatch.setattr(StepGraphs, "_capture", capture)
    copies = Weights(model, torch.float32, torch.device("cpu"))
    steps, batch = graphs_of(model, torch.optim.AdamW(model.parameters())), clips()
    steps.prepare(batch, {"mpjpe": 1.0})
    copies.refresh(model)
    assert not copies.refresh(model)
    steps.run(batch)
    assert copies.refresh(model)


def test_tables_that_a_graph_reads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StepGraphs, "_capture", lambda self, step: step)
    model = small()
    steps, batch = graphs_of(model, torch.optim.AdamW(model.parameters())), clips()
    steps.prepare(batch, {"mpjpe": 1.0})
    c = model.config
    table = weakref.ref(scan_map(c.scan_order, 9, 17, c.limb_order, batch.input.device).tokens)
    scan_map.cache_clear()
    gc.collect()
    assert table() is not None
    del steps
    gc.collect()
    assert table() is None


@pytest.mark.gpu
def test_on_a_gpu_each_validation_scores_the_weights_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without averaged weights, through the kernels for inference."""
    file = human36m_files.write(tmp_path / human36m_files.FILE)
    scores = []
    for fused in ("on", "off"):
        if fused == "off":
            monkeypatch.setenv("POSEMAMBA_FUSED", fused)
        recipe = Recipe.model_validate(
            {
                "model": {"options": {"width": 64, "depth": 1, "frames": 9, "drop_path": 0.0}},
                "data": {"kind": "human36m", "directory": file, "frames": 9, "stride": 5},
                "batch": 2,
                "epochs": 3,
                "lr": 1e-2,
                "cuda_graphs": True,
            }
        )
        result = train(recipe, tmp_path / fused, accelerator="gpu", progress_bar=False)
        scores.append((result.validation_p1["test"], load_weights(result.weights)[2]["val_p1_test"]))
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)
