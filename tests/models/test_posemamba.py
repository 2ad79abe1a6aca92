"""The model against the authors' outputs, and what must hold of any PoseMamba."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from posemamba.models.posemamba import PoseMamba, apply_block
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.runtime import settings
from posemamba.ops.scan import ORDERS
from posemamba.utils.errors import PoseMambaError


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
    many = ((1, 10, 17, 2), (1, 9, 16, 2), (1, 9, 17, 3), (1, 0, 17, 2), (1, 9, 17, 2, 1))
    for shape in (*many, (0, 9, 17, 2), (9, 17, 2), (17, 2), ()):
        for call in (model, model.features, model.execution):
            expected = r"expected \(clips, 1 to 9 frames, 17 joints, 2\), one clip at least"
            with pytest.raises(ValueError, match=expected) as error:
                call(torch.zeros(shape))
            assert f"input is {shape};" in str(error.value)


def tiny(**changes: Any) -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba(PoseMambaConfig.model_validate({"width": 16, "depth": 2, "frames": 4, **changes}))


@pytest.mark.parametrize("changes", [{}, {"recompute": True}, {"centred": True, "confidence": True}])
@pytest.mark.parametrize("training", [False, True])
def test_ends_stay_in_float32(training: bool, changes: dict[str, bool]) -> None:
    """Under autocast, and where the rest may be rounded to TF32 or bfloat16."""
    config = {name: value for name, value in changes.items() if name != "recompute"}
    model = tiny(drop_path=0, **config).train(training)
    model.recompute_activations("recompute" in changes)
    x = torch.randn(2, 3, 17, model.config.channels)
    want = model(x)
    seen: dict[str, tuple[object, ...]] = {}

    def look(name: str) -> Any:
        def hook(module: Any, inputs: Any, y: torch.Tensor) -> None:
            seen[name] = inputs[0].dtype, y.dtype, torch.get_float32_matmul_precision()

        return hook

    for name in ("Spatial_patch_to_embedding", "head.1", "STEblocks.1.mlp.fc1"):
        model.get_submodule(name).register_forward_hook(look(name))
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            got = model(x)
            features = model.features(x)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    for name in ("Spatial_patch_to_embedding", "head.1"):
        assert seen[name] == (torch.float32, torch.float32, "highest")
    assert seen["STEblocks.1.mlp.fc1"][1:] == (torch.bfloat16, "high")
    assert got.dtype == features.dtype == torch.float32
    assert 0 < (got - want).abs().max() < 0.03
    assert torch.equal(got, model.head(features))


@pytest.mark.filterwarnings("ignore:the scan runs step by step")
def test_shapes_are_computed_without_memory() -> None:
    model = tiny().eval().to("meta")
    with torch.no_grad():
        assert model(torch.empty(2, 3, 17, 2, device="meta")).shape == (2, 3, 17, 3)


def test_input_is_taken_in_any_precision() -> None:
    model, x = tiny().eval(), torch.randn(2, 3, 17, 2)
    assert torch.allclose(model(x.double()), model(x), atol=1e-6)
    half = copy.deepcopy(model).bfloat16()
    with torch.no_grad():
        assert half(x).dtype == torch.bfloat16
        assert (half(x) - model(x)).abs().max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_compiled_as_a_whole_for_any_clips_and_frames(training: bool) -> None:
    torch._dynamo.reset()
    model = tiny(drop_path=0, frames=9).train(training)
    graphs: list[object] = []

    def count(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, dynamic=True, fullgraph=True, backend=count)
    with torch.set_grad_enabled(training):
        for clips, frames in ((3, 4), (5, 3), (4, 7)):  # not 2 first, which PyTorch would take for x and y
            x = torch.randn(clips, frames, 17, 2)
            with settings.use(fused="off"):
                assert torch.allclose(compiled(x), model(x), atol=1e-6)
    assert len(graphs) == 1


@pytest.mark.slow
def test_a_model_with_compiled_layers_is_copied_and_pickled_without_them() -> None:
    model, x = tiny().eval(), torch.randn(1, 3, 17, 2)
    want = model(x)
    model.compile_layers()
    compiled = model.apply_block
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert made.apply_block is apply_block and torch.equal(made(x), want)
        made.compile_layers()
        assert made.apply_block is compiled
    assert model.apply_block is compiled


@pytest.mark.slow
def test_jacobians_and_second_derivatives() -> None:
    """torch.func in float32 by the reference; double backward in float64, and a clear word where kernels have none."""
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig(width=16, depth=1, frames=2, drop_path=0.0)).eval()
    exact = PoseMamba(model.config).double().eval()
    exact.load_state_dict(model.state_dict())
    x = torch.randn(1, 1, 17, 2)
    wanted = torch.autograd.functional.jacobian(exact, x.double())
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(model)(x).double(), wanted, rtol=1e-4, atol=1e-5)

    def loss(y: torch.Tensor) -> torch.Tensor:
        return exact(y)[0, :, :2]

    assert torch.autograd.gradgradcheck(loss, (x.double().requires_grad_(),), fast_mode=True)
    y = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(y).square().sum(), y, create_graph=True)
    with pytest.raises(PoseMambaError, match=r'no second derivative: compute in float64, or .*use\(scan="reference"\)'):
        slope.sum().backward()
