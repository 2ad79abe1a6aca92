"""Scan orders that a user registers: the kernels agree with the reference in float64, and wrong tables are refused."""

from __future__ import annotations

import pytest
import torch
from test_scan import PATHS, assert_agree, make, run

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.runtime import settings
from posemamba.ops.scan import ORDERS, by_joints, register_order
from posemamba.ops.scan.orders import merges, scan_map
from posemamba.poses.skeletons import LIMB_ORDER
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.plugins import restoring

NEW = {"shuffled": (False, True, True, False), "shuffled_plain": (False,) * 4}


@pytest.fixture(autouse=True)
def orders():
    """Four directions without any structure, with and without limb partners."""

    def tables(frames, joints):
        random = torch.Generator().manual_seed(frames)
        return torch.stack([torch.randperm(frames * joints, generator=random) for _ in range(4)])

    with restoring(always=True):
        for name, merged in NEW.items():
            register_order(name, merged=merged)(tables)
        yield
    scan_map.cache_clear()


@pytest.mark.parametrize(("backend", "device"), PATHS)
@pytest.mark.parametrize("order", ["shuffled", pytest.param("shuffled_plain", marks=pytest.mark.slow)])
def test_kernels_agree_with_the_reference_in_float64(backend, device, order, poisoned):
    values = make(2, 11, 17, 32, 2, seed=3)
    want, names = run(values, "reference", "cpu", torch.float64, order=order)
    got, _ = run(values, backend, device, torch.float32, order=order)
    assert_agree(got, want, names, 2e-5)
    other, _ = run(values, "reference", "cpu", torch.float64, order="bidirectional")
    assert not torch.allclose(other[0], want[0], rtol=1e-2)
    assert merges(order) == any(NEW[order])


@pytest.mark.parametrize(("backend", "device"), PATHS)
def test_a_model_by_its_fast_path(backend, device):
    torch.manual_seed(0)
    config = PoseMambaConfig(width=64, depth=2, frames=9, scan_order="shuffled")
    model, x = PoseMamba(config).eval().to(device), torch.randn(2, 9, 17, 2, device=device)
    with torch.no_grad():
        for _ in range(3):  # a graph on a GPU from the second time on
            assert model.execution(x).path == ("gpu" if device == "cuda" else "cpu")
            got = model(x)
        with settings.use(fused="off"):
            plain = model(x)
        assert (got - plain).abs().max() < 1e-4
        assert (got.cpu().double() - model.double().cpu()(x.double().cpu())).abs().max() < 1e-4


def test_an_order_of_joints_in_their_own_order_is_the_bidirectional_one():
    made = by_joints(9, range(17))
    assert torch.equal(made.int(), scan_map("bidirectional", 9, 17, LIMB_ORDER).tokens)


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        (lambda t, j: torch.arange(t * j), r"are \(153,\) int64, expected \(4, 153\)"),
        (lambda t, j: torch.arange(t * j).repeat(2, 1), r"are \(2, 153\)"),
        (lambda t, j: torch.arange(t * j).repeat(4, 1).float(), "float32, expected"),
        (lambda t, j: torch.zeros(4, t * j, dtype=torch.int64), "direction 0 .* does not visit each token once"),
        (lambda t, j: torch.arange(1, t * j + 1).repeat(4, 1), "from 0 to 152"),
        (lambda t, j: "tables", "returned a str"),
    ],
)
def test_wrong_tables_are_told_before_a_model_is_made(tables, named):
    register_order("wrong")(tables)
    with pytest.raises(ValueError, match=f"scan_order(.|\n)*scan order 'wrong'.*{named}"):
        PoseMambaConfig.preset("s", scan_order="wrong")
    with pytest.raises(PoseMambaError, match=named):
        scan_map("wrong", 9, 17, LIMB_ORDER)


def test_names_are_unique_and_unknown_ones_list_the_known():
    with pytest.raises(PoseMambaError, match="scan order 'fs_ft' is registered already"):
        register_order("fs_ft")(by_joints)
    with pytest.raises(PoseMambaError, match="merged has 2 values, expected 4"):
        register_order("short", merged=(True, False))
    with pytest.raises(ValueError, match=r"unknown scan order none; known: global_local, .*bs_bt, shuffled, shuffled_"):
        PoseMambaConfig.preset("s", scan_order="none")
    assert "short" not in ORDERS
