"""The fast forward pass on a CPU against the plain model in float64, unwritten memory as NaN; and when it stands in."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.fused import cpu as fused_cpu


def make(width: int = 64, **changes: object) -> PoseMamba:
    """A small model whose norms, biases and embeddings are not at their first values."""
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig.model_validate({"width": width, "depth": 2, "frames": 13, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1 or len(parameter) == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def error(model: PoseMamba, x: Tensor) -> float:
    """Of the fast pass, relative to the largest output."""
    with torch.no_grad():
        assert model.execution(x).path == "cpu"
        want = copy.deepcopy(model).double()(x.double())
        return ((model(x) - want).abs().max() / want.abs().max()).item()


# the reference takes its time for each step of the scan: the longest clips, and each further width, run with -m slow
@pytest.mark.parametrize(
    ("width", "clips", "frames"),
    [(64, 1, 1), (64, 3, 5), (128, 1, 1), (192, 1, 1)]
    + [
        pytest.param(*size, marks=pytest.mark.slow)
        for size in ((64, 2, 13), (128, 2, 13), (128, 3, 5), (192, 3, 5), (192, 2, 13))
    ],
)
def test_agrees_with_the_plain_model_in_float64(width, clips, frames, request):
    model, x = make(width), torch.randn(clips, frames, 17, 2)
    error(model, x)  # Numba compiles before the functions that allocate are replaced
    request.getfixturevalue("poisoned")
    assert error(model, x) < 5e-6


def test_other_configurations() -> None:
    limb = tuple(reversed(range(5)))
    model = make(scan_order="bs_ft", mlp_ratio=4, joints=5, limb_order=limb, published_gradient=True)
    assert error(model, torch.randn(1, 9, 5, 2)) < 5e-6
    assert error(make(scan_order="bidirectional"), torch.randn(1, 9, 17, 2)) < 5e-6
    assert error(make(confidence=True, centred=True), torch.rand(2, 9, 17, 3)) < 5e-6


def test_features_are_those_of_the_plain_model() -> None:
    model, x = make(error_width=8), torch.randn(2, 9, 17, 2)
    with torch.no_grad():
        want = copy.deepcopy(model).double().with_errors(x.double())
        assert model.execution(x).path == "cpu"
        for got, exact in zip(model.with_errors(x), want, strict=True):
            torch.testing.assert_close(got.double(), exact, rtol=1e-5, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):  # the heads stay in float32
            y, errors = model.with_errors(x)
            known = model.features(x).float()
        assert y.dtype == errors.dtype == torch.float32
        torch.testing.assert_close(y, model.head(known), rtol=1e-5, atol=1e-5)


def test_changed_weights_are_noticed() -> None:
    model, x = make(), torch.randn(1, 4, 17, 2)
    assert error(model, x) < 5e-6
    with torch.no_grad():
        model.STEblocks[1].op.A_logs += 0.3  # type: ignore[operator,union-attr]
    assert error(model, x) < 5e-6
    model.load_state_dict(make(frames=13, drop_path=0.1).state_dict())
    assert error(model, x) < 5e-6


def test_inference_mode_leaves_nothing_behind_that_training_could_not_use() -> None:
    model, x = make(), torch.randn(1, 4, 17, 2)
    with torch.inference_mode():
        fast = model(x)
    model.train()(x).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01
    assert error(model.eval(), x) < 5e-6
    assert fast.shape == (1, 4, 17, 3)


def test_a_fingerprint_tells_single_bits_and_the_order_of_numbers() -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(size) for size in (1, 7, 16, 17, 100, 3 * fused_cpu.PIECE + 5)]
    tensors.append(torch.randn(6, 8)[:, ::2])  # strided: what lies between counts, too
    taken = fused_cpu._Fingerprint(tensors)
    assert not taken.changed()
    for tensor in tensors:
        flat = tensor.view(-1) if tensor.is_contiguous() else tensor[:, 1]
        for i in {0, len(flat) // 2, len(flat) - 1}:
            bits = flat[i : i + 1].view(torch.int32)
            for bit in (0, 31):
                bits ^= torch.tensor(2**bit - (2**32 if bit == 31 else 0), dtype=torch.int32)
                assert taken.changed()
                bits ^= torch.tensor(2**bit - (2**32 if bit == 31 else 0), dtype=torch.int32)
        assert not taken.changed()
        for i, j in ((0, 1), (3, 19), (0, len(flat) - 1)):
            if j < len(flat) and i != j:
                flat[[i, j]] = flat[[j, i]]
                assert taken.changed()
                flat[[i, j]] = flat[[j, i]]
    signs = torch.ones(64)
    signs[2] = -1
    taken = fused_cpu._Fingerprint([signs])
    signs[[2, 34]] = signs[[34, 2]]  # numbers that differ in the topmost bit alone
    assert taken.changed()
