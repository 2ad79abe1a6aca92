"""The depth-wise convolution with SiLU against PyTorch's in float64: output and gradients, memory poisoned with NaN."""

from __future__ import annotations

import pytest
import torch

from posemamba.ops.conv_silu import conv_silu, conv_silu_backward_op, conv_silu_op


def assert_triton_agrees_with_pytorch(shape: tuple[int, ...], device: str, half_of_wider: bool) -> None:
    g = torch.Generator().manual_seed(0)
    D = shape[-1]
    wide = (*shape[:-1], 2 * D)
    values = [torch.randn(s, generator=g, dtype=torch.float64) for s in (wide, (D, 1, 3, 3), (D,))]
    weight = torch.randn(shape, generator=g, dtype=torch.float64)
    results = []
    for backend, dtype in (("torch", torch.float64), ("triton", torch.float32)):
        x, *tensors = (v.to(device, dtype) for v in values)
        x = x[..., :D] if half_of_wider else x[..., :D].contiguous()
        tensors = [t.requires_grad_() for t in (x, *tensors)]
        y = conv_silu(*tensors, backend=backend)
        loss = (y * weight.to(device, dtype)).sum()
        results.append([y.detach(), *torch.autograd.grad(loss, tensors)])
    for name, want, got in zip(("y", "x", "weight", "bias"), *results, strict=True):
        error = (got.double() - want).abs().max() / want.abs().max()
        assert error < 1e-5, f"{name}: {error:.1e} (NaN: not written)"


SIZES = [(2, 5, 17, 40), (1, 1, 1, 3), (1, 9, 3, 130)]


@pytest.mark.parametrize("programs", [1024, 1])
@pytest.mark.parametrize("half_of_wider", [False, True])
@pytest.mark.parametrize("shape", SIZES)
def test_interpreted_kernels_agree_with_pytorch(shape, half_of_wider, programs, monkeypatch, poisoned, interpreted):
    """With the work cut into many programs or into few."""
    from posemamba.ops.conv_silu import gpu as depthwise_gpu

    monkeypatch.setattr(depthwise_gpu, "PROGRAMS", programs)
    assert_triton_agrees_with_pytorch(shape, "cpu", half_of_wider)


@pytest.mark.parametrize("strided", [False, True])
def test_operators_are_what_pytorch_expects(strided, interpreted):
    x = torch.randn(1, 2, 3, 8)[..., :4] if strided else torch.randn(1, 2, 3, 4)
    weight, bias, dy = torch.randn(4, 1, 3, 3), torch.randn(4), torch.randn(1, 2, 3, 4)
    torch.library.opcheck(conv_silu_backward_op, (dy, x, weight, bias))
    torch.library.opcheck(conv_silu_op, tuple(t.detach().requires_grad_() for t in (x, weight, bias)))


@pytest.mark.gpu
@pytest.mark.parametrize("half_of_wider", [False, True])
@pytest.mark.parametrize("shape", [*SIZES, (1, 33, 3, 130), (2, 243, 17, 128)])
def test_triton_agrees_with_pytorch(shape, half_of_wider, poisoned):
    assert_triton_agrees_with_pytorch(shape, "cuda", half_of_wider)


@pytest.mark.gpu
def test_a_large_batch_in_bfloat16() -> None:
    """More programs than the joints need to be cut for, and the type that is used in earnest."""
    g = torch.Generator(device="cuda").manual_seed(0)
    x = torch.randn(40, 243, 17, 256, device="cuda", generator=g).bfloat16()
    weight, bias = torch.randn(256, 1, 3, 3, device="cuda", generator=g), torch.randn(256, device="cuda", generator=g)
    got, want = conv_silu(x, weight, bias), conv_silu(x[38:].double(), weight.double(), bias.double(), "torch")
    assert (got[38:].double() - want).norm() / want.norm() < 3e-3


def test_channels_last_view_of_a_wider_tensor() -> None:
    """The model hands over half of a wider projection, a view with gaps."""
    wide = torch.randn(2, 4, 5, 12)
    weight, bias = torch.randn(6, 1, 3, 3), torch.randn(6)
    half = wide[..., :6]
    got = conv_silu(half, weight, bias)
    assert got.is_contiguous()
    assert torch.allclose(got, conv_silu(half.contiguous(), weight, bias), atol=1e-6)
    y = bias.clone()
    for a in range(3):
        for b in range(3):
            if 0 <= 1 + a - 1 < 4 and 0 <= 4 + b - 1 < 5:
                y = y + half[0, 1 + a - 1, 4 + b - 1] * weight[:, 0, a, b]
    assert torch.allclose(got[0, 1, 4], y * torch.sigmoid(y), atol=1e-5)


def test_shapes_are_known_without_running() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        x = torch.empty(2, 3, 4, 5)
        assert conv_silu_op(x, torch.empty(5, 1, 3, 3), torch.empty(5)).shape == x.shape
