"""The block and its state-space layer: against the authors' outputs, and where parts of it are replaced or hooked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_posemamba import tiny
from torch import nn

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig


def test_block_agrees(shared):
    data = np.load(shared("parity", "tiny_block.npz"))
    block = PoseMamba.from_pretrained(str(shared("parity", "tiny_d32_depth4_t9.bin"))).STEblocks[1]
    x = torch.from_numpy(data["input"])
    with torch.no_grad():
        assert np.abs(block.op(x).numpy() - data["ssm_output"]).max() < 5e-6  # type: ignore[operator]
        assert np.abs(block(x).numpy() - data["block_output"]).max() < 5e-6


def test_drop_path_drops_whole_branches_of_single_clips() -> None:
    torch.manual_seed(0)
    block = PoseMamba(PoseMambaConfig(width=16, depth=2, frames=3, drop_path=0.5)).STEblocks[1]
    x = torch.randn(4000, 1, 17, 16)
    scales = block.draw_scales(x)  # type: ignore[operator]
    assert set(scales.unique().tolist()) == {0.0, 2.0}
    assert abs(scales.mean().item() - 1) < 0.05
    with torch.no_grad():
        branch = block.op(block.norm(x)) * scales[0]  # type: ignore[operator]
        want = x + branch + scales[1] * block.mlp(block.norm2(x + branch))  # type: ignore[operator]
        assert torch.allclose(block(x, scales), want)
    assert block.eval().draw_scales(x) is None  # type: ignore[operator]


def test_a_block_by_itself_drops_paths_in_training() -> None:
    block, x = tiny(drop_path=0.5).STEblocks[1], torch.randn(8, 2, 17, 16)
    torch.manual_seed(1)
    scales = block.draw_scales(x)  # type: ignore[operator]
    torch.manual_seed(1)
    with torch.no_grad():
        assert 0 < (scales == 0).sum() < scales.numel()
        assert torch.equal(block(x), block(x, scales))
        block.eval()
        assert torch.equal(block(x), block(x, None)) and not torch.equal(block(x), block(x, scales))


def gradients(model: PoseMamba, x: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    model(x).square().mean().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("recompute", [False, True])
def test_hooks_on_the_state_space_fire_with_its_input(recompute: bool) -> None:
    model, x = tiny(drop_path=0), torch.randn(2, 3, 17, 2)
    want = gradients(model, x)
    model.recompute_activations(recompute)
    block: Any = model.TTEblocks[1]
    seen: list[torch.Tensor] = []
    handles = [
        block.norm.register_forward_hook(lambda module, inputs, y: seen.append(y)),
        block.op.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0])),
        block.op.register_forward_hook(lambda module, inputs, y: seen.append(y)),
        block.op.register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0])),
    ]
    got = gradients(model, x)
    normed, inside, y, dy = seen
    assert torch.equal(normed, inside) and y.shape == dy.shape == inside.shape
    assert torch.equal(y, block.op(inside))
    for handle in handles:
        handle.remove()
    for a, b, c in zip(want, got, gradients(model, x), strict=True):
        assert torch.allclose(a, b, atol=1e-7) and torch.allclose(a, c, atol=1e-7)


class Mean(nn.Module):
    """Not a state-space layer: the mean over frames, times a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x.mean(1, keepdim=True).expand_as(x)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", ["op", "mlp", "norm", "norm2"])
def test_parts_of_another_class_take_their_place(name: str, recompute: bool) -> None:
    model, x = tiny(drop_path=0).eval(), torch.randn(2, 3, 17, 2)
    model.recompute_activations(recompute)
    before = model(x)
    setattr(model.STEblocks[1], name, Mean())
    y = model(x)
    assert not torch.allclose(y, before, atol=1e-3)
    with torch.no_grad():
        assert torch.allclose(model(x), y, atol=1e-6)
    gradients(model, x)
    scale = getattr(model.STEblocks[1], name).scale
    assert scale.grad is not None and scale.grad != 0


def test_a_learned_weight_of_the_limb_merge_lies_between_two_orders(tmp_path) -> None:
    """0, where it begins, is the order without merging, 1 the paper's: outputs and all gradients."""
    small = {"width": 64, "depth": 1, "frames": 9, "drop_path": 0.0}
    trial = PoseMamba(PoseMambaConfig(merge_weight=True, **small))
    assert {p.item() for n, p in trial.named_parameters() if n.endswith("merge_weight")} == {0.0}
    x = torch.randn(2, 9, 17, 2)
    for weight, order in ((0.0, "bidirectional"), (1.0, "global_local")):
        other = PoseMamba(PoseMambaConfig(scan_order=order, **small))
        other.load_state_dict(trial.state_dict(), strict=False)
        for name, parameter in trial.named_parameters():
            if name.endswith("merge_weight"):
                parameter.data.fill_(weight)
        trial.zero_grad()
        y, wanted = trial(x), other(x)
        torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-5)
        y.square().mean().backward()
        wanted.square().mean().backward()
        gradients = dict(trial.named_parameters())
        for name, parameter in other.named_parameters():
            torch.testing.assert_close(gradients[name].grad, parameter.grad, rtol=1e-3, atol=1e-6, msg=name)
        assert all(p.grad.abs() > 0 for n, p in gradients.items() if n.endswith("merge_weight"))
    weight = trial.double().STEblocks[0].op.merge_weight
    x = x[:1, :3].double()

    def loss(value: float) -> torch.Tensor:
        weight.data.fill_(value)
        return trial(x).square().mean()

    (slope,) = torch.autograd.grad(loss(0.3), weight)
    numeric = (loss(0.3 + 1e-5) - loss(0.3 - 1e-5)) / 2e-5
    assert slope.item() == pytest.approx(numeric.item(), rel=1e-4)
    trial.float().eval().save_pretrained(tmp_path)
    with torch.inference_mode():
        assert trial.execution(x.float()).reason == "the limb merge has weights of its own (merge_weight)"
        torch.testing.assert_close(PoseMamba.from_pretrained(tmp_path)(x.float()), trial(x.float()))
    with pytest.raises(ValueError, match="merge_weight is for the scan order global_local"):
        PoseMambaConfig(merge_weight=True, scan_order="fs_ft")
