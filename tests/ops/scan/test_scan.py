"""Every scan path against the float64 reference: outputs and all gradients, at odd sizes, memory poisoned with NaN."""

from __future__ import annotations

import pytest
import torch

from posemamba.ops.scan import ORDERS, _warn_of_reference, choose_backend, selective_scan
from posemamba.ops.scan.operator import scan_backward_op, scan_op
from posemamba.ops.scan.orders import scan_map
from posemamba.poses.skeletons import LIMB_ORDER
from posemamba.utils.errors import PoseMambaError

PATHS = [
    pytest.param("numba", "cpu", id="numba"),
    pytest.param("cuda", "cuda", id="cuda", marks=pytest.mark.gpu),
]
# (clips, frames, joints, inner width, rank): L = 1, 17, 63, 65, 4131; widths that do not fill a block
SIZES = [
    pytest.param((2, 1, 1, 16, 1), id="L1"),
    pytest.param((2, 1, 17, 32, 2), id="L17"),
    pytest.param((1, 63, 1, 40, 3), id="L63"),
    pytest.param((3, 13, 5, 128, 4), id="L65"),
    pytest.param((1, 243, 17, 48, 8), id="L4131", marks=pytest.mark.slow),
]


def make(B: int, T: int, J: int, D: int, R: int, seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    K, N = 4, 16

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return {
        "u": normal(B, T, J, D),
        "x_proj_weight": normal(K, R + 2 * N, D) / D**0.5,
        "dt_weight": normal(K, D, R) * 0.5,
        "dt_bias": normal(K, D) * 1.5 - 3,
        "A_log": torch.log(torch.arange(1, N + 1, dtype=torch.float64)).repeat(K * D, 1) + normal(K * D, N) * 0.2,
        "Ds": 1 + normal(K * D) * 0.1,
    }


def limb_of(joints: int) -> tuple[int, ...]:
    return LIMB_ORDER if joints == 17 else tuple(max(0, j - 1) for j in range(joints))


def run(values: dict[str, torch.Tensor], backend: str, device: str, dtype: torch.dtype, **options: object):
    tensors = {name: v.to(device, dtype).requires_grad_() for name, v in values.items()}
    limb = limb_of(values["u"].shape[2])
    y = selective_scan(**tensors, limb=limb, backend=backend, **options)  # type: ignore[arg-type]
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = torch.autograd.grad((y * weight.to(device, dtype)).sum(), list(tensors.values()))
    return [y.detach(), *gradients], ["y", *tensors]


def assert_agree(got, want, names, tolerance: float) -> None:
    for name, a, b in zip(names, got, want, strict=True):
        error = (a.double().cpu() - b.cpu()).abs().max() / b.abs().max().clamp(min=1e-12)
        if b.abs().max() == 0:
            error = a.abs().max().double().cpu()
        assert error <= tolerance, f"{name}: {error:.2e} of the largest value (NaN: not written)"


@pytest.mark.parametrize(("backend", "device"), PATHS)
@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_float64_reference(backend, device, size, poisoned):
    values = make(*size)
    want, names = run(values, "reference", "cpu", torch.float64)
    got, _ = run(values, backend, device, torch.float32)
    assert_agree(got, want, names, 2e-5)


@pytest.mark.parametrize(("backend", "device"), PATHS)
@pytest.mark.parametrize("order", ORDERS)
def test_every_order(backend, device, order, poisoned):
    values = make(2, 5, 17, 32, 2, seed=3)
    want, names = run(values, "reference", "cpu", torch.float64, order=order)
    got, _ = run(values, backend, device, torch.float32, order=order)
    assert_agree(got, want, names, 1e-5)


@pytest.mark.parametrize(("backend", "device"), PATHS)
def test_published_gradient_leaves_the_limb_term_out(backend, device):
    values = make(1, 4, 17, 32, 2, seed=4)
    want, names = run(values, "reference", "cpu", torch.float64, limb_gradient=False)
    got, _ = run(values, backend, device, torch.float32, limb_gradient=False)
    assert_agree(got, want, names, 1e-5)
    full, _ = run(values, "reference", "cpu", torch.float64)
    assert torch.allclose(full[0], want[0]) and not torch.allclose(full[1], want[1], rtol=1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("clips", [1, 16])
def test_segments_and_bfloat16(clips, poisoned):
    """Enough clips to run unsegmented, and one that is cut into segments; then bfloat16 in and out."""
    values = make(clips, 61, 17, 128, 4, seed=5)
    want, names = run(values, "reference", "cuda", torch.float64)
    want = [w.cpu() for w in want]
    got, _ = run(values, "cuda", "cuda", torch.float32)
    assert_agree(got, want, names, 2e-5)
    half = {name: v.cuda().to(torch.bfloat16 if name == "u" else torch.float32) for name, v in values.items()}
    with torch.autocast("cuda", torch.bfloat16), torch.no_grad():
        y = selective_scan(**half, limb=LIMB_ORDER, backend="cuda")
    assert y.dtype == torch.bfloat16
    assert (y.double().cpu() - want[0]).norm() / want[0].norm() < 1e-2


@pytest.mark.slow
def test_operator_is_registered_correctly() -> None:
    values = {name: v.float() for name, v in make(1, 3, 17, 32, 2).items()}
    proj = torch.randn(1, 3, 17, 4, 34)
    args = [values["u"], proj, values["dt_weight"], values["dt_bias"], -torch.ones(4, 32, 16), torch.ones(4, 32)]
    for tensor in args:
        tensor.requires_grad_()
    torch.library.opcheck(scan_op, (*args, "global_local", list(LIMB_ORDER), True, "numba", True))
    plain = [tensor.detach() for tensor in args]
    torch.library.opcheck(
        scan_backward_op,
        (torch.randn_like(plain[0]), *plain, torch.empty(0), "global_local", list(LIMB_ORDER), True, "numba"),
    )


def test_every_direction_visits_every_token_once() -> None:
    for order in ORDERS:
        tokens = scan_map(order, 7, 17, LIMB_ORDER).tokens
        assert (tokens.sort(1).values == torch.arange(7 * 17)).all()
    paper = scan_map("global_local", 2, 3, (0, 0, 1)).tokens.tolist()
    assert paper == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]


def test_nan_stays_where_the_recurrence_carries_it() -> None:
    """A NaN in one channel of one clip must not leak into other channels of the scan, nor into other clips."""
    values = {name: v.float() for name, v in make(2, 3, 17, 32, 2).items()}
    proj = torch.randn(2, 3, 17, 4, 34)
    u = values["u"].clone()
    u[0, 1, 4, 7] = float("nan")
    A, Ds = -torch.ones(4, 32, 16), torch.ones(4, 32)
    y, _ = scan_op(
        u, proj, values["dt_weight"], values["dt_bias"], A, Ds, "global_local", list(LIMB_ORDER), True, "numba", False
    )
    bad = y.isnan()
    assert bad[0, ..., 7].any()
    assert not bad[1].any()
    assert not bad[0, ..., :7].any() and not bad[0, ..., 8:].any()


def test_backend_choice(monkeypatch) -> None:
    cpu = torch.device("cpu")
    assert choose_backend(cpu, torch.float32) == "numba"
    assert choose_backend(cpu, torch.float64) == "reference"
    assert choose_backend(cpu, torch.float32, "reference") == "reference"
    monkeypatch.setenv("POSEMAMBA_SCAN", "reference")
    assert choose_backend(cpu, torch.float32) == "reference"
    assert choose_backend(cpu, torch.float32, "numba") == "numba"
    with pytest.raises(PoseMambaError, match="unknown scan backend 'fast'"):
        choose_backend(cpu, torch.float32, "fast")
    with pytest.raises(PoseMambaError, match="does not run on device 'cpu'"):
        choose_backend(cpu, torch.float32, "cuda")


def test_the_slow_reference_is_never_chosen_in_silence(monkeypatch) -> None:
    monkeypatch.delenv("POSEMAMBA_SCAN", raising=False)
    _warn_of_reference.cache_clear()  # another test may have been warned
    with pytest.warns(UserWarning, match="step by step in plain PyTorch"):
        assert choose_backend(torch.device("mps"), torch.float32) == "reference"
