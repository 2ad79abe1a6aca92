import numpy as np
import pytest
import torch

from fixtures.paths import PARITY
from posemamba.train import losses

LOSSES = PARITY / "losses_metrics.npz"


@pytest.fixture(scope="module")
def parity():
    with np.load(LOSSES, allow_pickle=False) as file:
        return {k: torch.from_numpy(np.asarray(file[k])) for k in file.files}


@pytest.mark.parametrize("name", ["mpjpe", "n_mpjpe", "velocity"])
def test_agrees_with_the_released_implementation(parity, name):
    value = getattr(losses, name)(parity["pred"], parity["target"])
    assert value.item() == pytest.approx(parity[f"loss_{name}"].item(), rel=1e-5)


def test_temporal_consistency_and_total_agree_with_the_released_implementation(parity):
    value = losses.temporal_consistency(parity["pred"])
    assert value.item() == pytest.approx(parity["loss_temporal_consistency"].item(), rel=1e-5)
    total, parts = losses.total_loss(parity["pred"], parity["target"])
    assert total.item() == pytest.approx(parity["loss_total_h36m"].item(), rel=1e-5)
    assert set(parts) == set(losses.PAPER_WEIGHTS)


def test_n_mpjpe_is_free_of_scale():
    target = torch.randn(2, 5, 17, 3)
    assert losses.n_mpjpe(target * 7, target).item() == pytest.approx(0, abs=1e-5)


def test_only_weighted_losses_are_computed_and_single_frames_have_no_speed():
    pred, target = torch.randn(2, 1, 17, 3, requires_grad=True), torch.randn(2, 1, 17, 3)
    total, parts = losses.total_loss(pred, target, {"mpjpe": 1.0, "velocity": 0.0})
    assert set(parts) == {"mpjpe"}
    total, _ = losses.total_loss(pred, target)
    total.backward()
    assert torch.isfinite(pred.grad).all()
    assert losses.velocity(pred, target).item() == 0
    with pytest.raises(ValueError, match="weight 0"):
        losses.total_loss(pred, target, {"mpjpe": 0.0})
    with pytest.raises(ValueError, match="wobble"):
        losses.total_loss(pred, target, {"wobble": 1.0})
