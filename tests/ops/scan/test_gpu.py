"""The CUDA kernels' own source, run on the CPU thread by thread, against the float64 reference."""

from __future__ import annotations

import pytest
import torch
from test_scan import assert_agree, limb_of, make, run

from posemamba.ops.scan import gpu, selective_scan
from posemamba.ops.scan.operator import scan_backward_op, scan_op
from posemamba.ops.scan.orders import scan_map

# (clips, frames, joints, inner width, rank); blocks of channels full and not, ranks of all alignments
SIZES = [
    pytest.param((2, 1, 1, 16, 1), id="L1", marks=pytest.mark.slow),
    pytest.param((1, 63, 1, 40, 3), id="L63", marks=pytest.mark.slow),
    pytest.param((2, 13, 5, 128, 4), id="L65", marks=pytest.mark.slow),
    pytest.param((1, 40, 17, 64, 8), id="segments", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_float64_reference(size, poisoned, cuda_on_cpu):
    values = make(*size)
    want, names = run(values, "reference", "cpu", torch.float64)
    got, _ = run(values, "cuda", "cpu", torch.float32)
    assert_agree(got, want, names, 2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("option", [{"order": "fs_bt"}, {"limb_gradient": False}], ids=["unmerged", "published"])
def test_options(option, poisoned, cuda_on_cpu):
    values = make(2, 13, 5, 128, 4)
    want, names = run(values, "reference", "cpu", torch.float64, **option)
    got, _ = run(values, "cuda", "cpu", torch.float32, **option)
    assert_agree(got, want, names, 2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(2, 13, 5, 128, 4), (1, 5, 5, 48, 8)], ids=["many", "few"])
def test_gradients_in_bfloat16(size, poisoned, cuda_on_cpu):
    """As near to float32's as rounding what goes in and out to 8 bits, four directions over, allows."""
    values = make(*size)
    want, names = run(values, "cuda", "cpu", torch.float32)
    tensors = {name: v.float().requires_grad_() for name, v in values.items()}
    weight = torch.randn(values["u"].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        u = tensors["u"].bfloat16()
        y = selective_scan(**{**tensors, "u": u}, limb=limb_of(size[2]), backend="cuda")
    assert y.dtype == torch.bfloat16
    got = [y, *torch.autograd.grad((y.float() * weight.float()).sum(), list(tensors.values()))]
    for name, a, b in zip(names, got, want, strict=True):
        assert (a.float() - b).norm() < 1.5e-2 * b.norm(), name


@pytest.mark.slow
def test_operator_is_registered_correctly(cuda_on_cpu):
    values = {name: v.float() for name, v in make(1, 3, 17, 32, 2).items()}
    proj = torch.randn(1, 3, 17, 4, 34)
    args = [values["u"], proj, values["dt_weight"], values["dt_bias"], -torch.ones(4, 32, 16), torch.ones(4, 32)]
    for tensor in args:
        tensor.requires_grad_()
    options = ("global_local", list(limb_of(17)), True, "cuda")
    torch.library.opcheck(scan_op, (*args, *options, True))
    plain = [tensor.detach() for tensor in args]
    _, states = scan_op(*plain, *options, True)
    torch.library.opcheck(scan_backward_op, (torch.randn_like(plain[0]), *plain, states, *options))


@pytest.mark.slow
@pytest.mark.parametrize("layout", [gpu.Layout(4, 1), gpu.Layout(4, 2), gpu.Layout(2, 2)], ids=str)
def test_every_layout_of_the_forward_kernel(layout, poisoned, cuda_on_cpu):
    """bfloat16 in and out: rounding the outputs alone makes an error of 2e-3."""
    B, T, J, D, R = 2, 13, 5, 128, 4
    values = make(B, T, J, D, R)
    K, N = 4, 16
    maps = scan_map("global_local", T, J, limb_of(J))
    proj = (values["u"] @ values["x_proj_weight"].reshape(-1, D).T).view(B, T, J, K, R + 2 * N)
    u, proj = values["u"].bfloat16(), proj.bfloat16()
    A = -torch.exp(values["A_log"]).view(K, D, N)
    parameters = gpu.Parameters.of(values["dt_weight"], values["dt_bias"], A, values["Ds"].view(K, D))
    exact, _ = gpu.forward_by_direction(u.float(), proj.float(), parameters, maps, merge_rows=True)
    got, _ = gpu.forward_by_direction(u, proj, parameters, maps, merge_rows=True, layout=layout)
    assert got.dtype == torch.bfloat16
    assert (got.float() - exact).norm() < 4e-3 * exact.norm()
