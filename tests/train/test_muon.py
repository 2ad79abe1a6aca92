"""Muon: its AdamW is PyTorch's, its steps are orthogonal, it goes on from a checkpoint, it learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from posemamba.models.posemamba import PoseMamba
from posemamba.train.muon import Muon, orthogonal, split_parameters, undecayed


def test_rest_is_adamw() -> None:
    torch.manual_seed(0)
    one = nn.ParameterList([nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.randn(7))]).double()
    other = copy.deepcopy(one)
    ours = Muon([], list(one), lr=1e-2, matrix_lr=1.0, weight_decay=0.1)
    theirs = torch.optim.AdamW(other, lr=1e-2, weight_decay=0.1)
    for _ in range(5):
        for p, q in zip(one, other, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    for p, q in zip(one, other, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_steps_keep_directions_and_level_sizes() -> None:
    """Singular vectors stay, singular values end near 1, for wide and tall matrices."""
    torch.manual_seed(0)
    for shape in ((3, 8, 20), (3, 20, 8), (2, 8, 8)):
        x = torch.randn(shape, dtype=torch.float64)
        u, _, v = torch.linalg.svd(x, full_matrices=False)
        values = u.mT @ orthogonal(x) @ v.mT
        diagonal = values.diagonal(dim1=1, dim2=2)
        assert (diagonal > 0.3).all() and (diagonal < 1.3).all()
        assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-6


def test_several_matrices_of_one_parameter_are_steps_of_their_own() -> None:
    torch.manual_seed(0)
    one = nn.Parameter(torch.randn(3, 8, 20, dtype=torch.float64))
    each = [nn.Parameter(matrix.detach().clone()) for matrix in one]
    optimizers = [Muon(list(p), [], lr=1.0, matrix_lr=0.1) for p in ([one], each)]
    for _ in range(3):
        one.grad = torch.randn_like(one)
        for p, gradient in zip(each, one.grad, strict=True):
            p.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(one, torch.stack([p.detach() for p in each]))
    model = PoseMamba.preset("s", width=16, depth=2, frames=9)
    matrices, others = split_parameters(model, scans=True)
    assert len(matrices) == (4 + 2) * 4 and len(matrices) + len(others) == len(list(model.parameters()))


def test_decay_of_matrices_leaves_all_else() -> None:
    """Rates, skips, norms, biases and places keep their values where there is no gradient to move them."""
    model = PoseMamba.preset("s", width=16, depth=2, frames=9)
    kept = undecayed(model)
    optimizer = Muon(*split_parameters(model), lr=0.1, matrix_lr=0.1, weight_decay=0.5, undecayed=set(map(id, kept)))
    for p in model.parameters():
        torch.nn.init.constant_(p, 1.0)
        p.grad = torch.zeros_like(p)
    optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, torch.ones_like(p))}
    assert {name.rsplit(".", 1)[-1] for name in moved} == {"weight", "x_proj_weight", "dt_projs_weight"}
    assert len(moved) + len(kept) == len(list(model.parameters()))
    for name in ("TTEblocks.1.op.A_logs", "TTEblocks.1.op.Ds", "Spatial_pos_embed", "Spatial_norm.weight"):
        assert name not in moved and model.get_parameter(name).numel()
    assert all(torch.allclose(model.get_parameter(name), torch.tensor(0.95)) for name in moved)


@pytest.mark.slow
def test_splits_a_model_and_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=16, depth=2, frames=9, drop_path=0.0)
    matrices, others = split_parameters(model)
    assert len(matrices) == 4 * 4 and len(matrices) + len(others) == len(list(model.parameters()))
    x = torch.randn(2, 9, 17, 2)
    target = torch.cat([x, x.sum(-1, keepdim=True)], -1)

    def steps(model: nn.Module, optimizer: Muon, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            loss = (model(x) - target).norm(dim=-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def make(model: nn.Module) -> Muon:
        return Muon(*split_parameters(model), lr=1e-3, matrix_lr=1e-2)

    optimizer = make(model)
    losses = steps(model, optimizer, 20)
    assert losses[-1] < 0.7 * losses[0]
    again = copy.deepcopy(model)
    resumed = make(again)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert steps(model, optimizer, 3) == steps(again, resumed, 3)
    old = copy.deepcopy(optimizer.state_dict())
    for state in old["state"].values():
        state["steps"] = int(state["steps"])  # as checkpoints had it once
    older = make(copied := copy.deepcopy(model))
    older.load_state_dict(old)
    assert steps(model, optimizer, 2) == steps(copied, older, 2)
