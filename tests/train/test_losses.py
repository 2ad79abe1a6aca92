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


def test_bone_direction_is_the_angle_of_the_bones_free_of_their_lengths():
    torch.manual_seed(5)
    target = torch.randn(2, 3, 17, 3, dtype=torch.float64)
    assert losses.bone_direction(4 * target + 1, target).item() == pytest.approx(0, abs=1e-12)
    angle = 0.02
    c, s = np.cos(angle), np.sin(angle)
    flat = target * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)  # turned in its plane
    turned = flat @ torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]], dtype=torch.float64)
    assert losses.bone_direction(turned, flat).item() == pytest.approx(2 * np.sin(angle / 2), rel=1e-9)
    pred = target.clone().requires_grad_()
    with torch.no_grad():
        pred[:, :, 3] = pred[:, :, 2]  # a bone without length
    losses.bone_direction(pred, target).backward()
    assert torch.isfinite(pred.grad).all()
    moved = torch.randn(2, 2, 17, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.bone_direction(x, target[:, :2]), (moved,))
