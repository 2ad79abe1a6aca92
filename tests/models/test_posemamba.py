"""The model against the authors' outputs, and what must hold of any PoseMamba."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from posemamba.models.posemamba import PoseMamba, PoseMambaConfig
from posemamba.ops.scan import ORDERS


@pytest.mark.parametrize("order", ORDERS)
def test_tiny_checkpoint_agrees_in_every_scan_order(shared, order):
    data = np.load(shared("parity", "tiny_forward.npz"))
    model = PoseMamba.from_pretrained(str(shared("parity", "tiny_d32_depth4_t9.bin")), scan_order=order)
    with torch.no_grad():
        output = model(torch.from_numpy(data["input"]))
    assert np.abs(output.numpy() - data[f"output_{order}"]).max() < 5e-6


def test_tiny_checkpoint_agrees_on_fewer_frames(shared):
    data = np.load(shared("parity", "tiny_forward.npz"))
    model = PoseMamba.from_pretrained(str(shared("parity", "tiny_d32_depth4_t9.bin")))
    with torch.no_grad():
        output = model(torch.from_numpy(data["input"][:, :5]))
    assert np.abs(output.numpy() - data["output_global_local_first5frames"]).max() < 5e-6


def test_block_agrees(shared):
    data = np.load(shared("parity", "tiny_block.npz"))
    block = PoseMamba.from_pretrained(str(shared("parity", "tiny_d32_depth4_t9.bin"))).STEblocks[1]
    x = torch.from_numpy(data["input"])
    with torch.no_grad():
        assert np.abs(block.op(x).numpy() - data["ssm_output"]).max() < 5e-6  # type: ignore[operator]
        assert np.abs(block(x).numpy() - data["block_output"]).max() < 5e-6


def test_full_size_s_agrees(shared):
    data = np.load(shared("parity", "s_forward.npz"))
    model = PoseMamba.from_pretrained(str(shared("parity", "s_243.bin")))
    with torch.no_grad():
        output = model(torch.from_numpy(data["input"]))
    assert np.abs(output.numpy() - data["output"]).max() < 1e-5


def test_training_moves_every_parameter() -> None:
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig(width=16, depth=2, frames=9, drop_path=0)).train()
    model(torch.randn(2, 9, 17, 2)).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


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


@pytest.mark.slow
def test_compiled_layers_are_one_compilation_and_agree() -> None:
    model = PoseMamba(PoseMambaConfig(width=16, depth=3, frames=4)).train()
    x = torch.randn(2, 4, 17, 2)

    def step() -> list[torch.Tensor]:
        model.zero_grad()
        torch.manual_seed(1)
        loss = model(x).square().mean()
        loss.backward()
        return [loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]

    want = step()
    graphs: list[object] = []

    def count(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    model.apply_block = torch.compile(model.apply_block, dynamic=False, fullgraph=True, backend=count)
    for a, b in zip(step(), want, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert len(graphs) == 1


@torch.no_grad()
def test_a_centred_model_sees_no_place() -> None:
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig(width=16, depth=1, frames=9, confidence=True, centred=True)).double()
    plain = PoseMamba(PoseMambaConfig(width=16, depth=1, frames=9, confidence=True)).double()
    plain.load_state_dict(model.state_dict())
    x = torch.rand(2, 3, 17, 3, dtype=torch.float64)
    moved = x + torch.tensor([[0.7, -0.2, 0], [0, 3, 0]], dtype=torch.float64)[:, None, None]
    assert torch.allclose(model(x), model(moved), atol=1e-12)
    middle = torch.cat([x[..., :2].mean((1, 2), keepdim=True), torch.zeros(2, 1, 1, 1, dtype=torch.float64)], -1)
    assert torch.allclose(model(x), plain(x - middle), atol=1e-12)
    assert not torch.allclose(plain(x), plain(moved), atol=1e-3)


def test_wrong_input_shapes_are_named() -> None:
    model = PoseMamba(PoseMambaConfig(width=16, depth=1, frames=9))
    for shape in ((1, 10, 17, 2), (1, 9, 16, 2), (1, 9, 17, 3)):
        with pytest.raises(ValueError, match="expected"):
            model(torch.zeros(shape))


def test_config_refuses_nonsense() -> None:
    for wrong in ({"wdth": 3}, {"scan_order": "zigzag"}, {"joints": 5}, {"drop_path": 1.5}):
        with pytest.raises(ValueError):
            PoseMambaConfig.model_validate(wrong)
