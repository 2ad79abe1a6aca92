"""The scan's weights against the gradient that autograd takes of the scan, and the maps made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemamba.models.inputs import zoom_factor
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_block import StateSpace2D
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.scan import scan
from posemamba.ops.scan.orders import ORDERS
from posemamba.paper.scan_map import (
    channel_weights,
    clip_maps,
    layer_inputs,
    plot_maps,
    save_maps,
    scan_inputs,
    scan_maps,
)
from posemamba.utils.errors import PoseMambaError

T, J = 5, 7
LIMB = (0, 0, 1, 2, 0, 4, 2)


def small(order: str, depth: int = 1) -> PoseMambaConfig:
    return PoseMambaConfig.model_validate(
        {"width": 8, "depth": depth, "frames": 9, "joints": J, "limb_order": LIMB, "scan_order": order}
    )


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_weights_and_maps_are_the_scan_s_jacobian(order: str) -> None:
    """float64; step sizes, B and C held: they are an argument of their own (`proj`), so the tokens' gradient leaves
    them alone."""
    op = StateSpace2D(small(order)).double()
    with torch.no_grad():
        op.dt_projs_weight *= 3
        op.Ds.normal_()
    x = torch.randn(1, T, J, 8, dtype=torch.float64)
    given = scan_inputs(op, x)
    u, proj, _ = op.inputs(x)
    parameters = (op.dt_projs_weight, op.dt_projs_bias, op.A_logs, op.Ds)

    def output(tokens: torch.Tensor) -> torch.Tensor:
        return scan(tokens, proj.detach(), *parameters, limb=LIMB, order=order, backend="reference")

    L, D = T * J, u.shape[-1]
    jacobian = torch.autograd.functional.jacobian(output, u.detach(), vectorize=True).reshape(L, D, L, D)
    for d in range(0, D, 5):
        weights = torch.from_numpy(channel_weights(given, d, skip=True))
        assert torch.allclose(weights, jacobian[:, d, :, d], rtol=0, atol=1e-10)
        assert jacobian[:, d, :, (d + 1) % D].abs().max() == 0  # channels do not mix
    size = torch.stack([jacobian[:, d, :, d] for d in range(D)]).abs().mean(0).view(T, J, T, J).numpy()
    maps = scan_maps(given, skip=True)
    assert np.allclose(maps.joints, size.sum(2).mean(0), rtol=0, atol=1e-10)
    assert np.allclose(maps.frames, size.sum(3).mean(1), rtol=0, atol=1e-10)
    with torch.no_grad():  # without the skip: as if D were 0
        op.Ds.zero_()
    bare = torch.autograd.functional.jacobian(output, u.detach(), vectorize=True).reshape(L, D, L, D)
    assert torch.allclose(torch.from_numpy(channel_weights(given, 4)), bare[:, 4, :, 4], rtol=0, atol=1e-10)


def test_layers_see_what_the_model_gives_them() -> None:
    """A hook on the plain model sees the same inputs; the last pair is the default."""
    model = PoseMamba(small("global_local", depth=2)).eval()
    x = torch.randn(1, 9, J, 2)
    seen = []
    for block in (model.STEblocks[1], model.TTEblocks[1]):
        block.op.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    h = model.Spatial_patch_to_embedding(x) + model.Spatial_pos_embed[:, None]
    for i, (spatial, temporal) in enumerate(zip(model.STEblocks, model.TTEblocks, strict=True)):
        h = model.Spatial_norm(run(spatial, h))
        h = h + model.Temporal_pos_embed[:, :9, None] if i == 0 else h
        h = model.Temporal_norm(run(temporal, h))
    for ours, hooked in zip(layer_inputs(model, x, 1), seen[:2], strict=True):
        assert torch.allclose(ours, hooked, atol=1e-5)


def run(block: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x + block.op(block.norm(x))
    return x + block.mlp(block.norm2(x))


@pytest.mark.slow
def test_a_model_is_shown_the_confidence_that_it_takes() -> None:
    config = small("global_local").model_copy(update={"confidence": True, "centred": True})
    model, rng = PoseMamba(config).eval(), np.random.default_rng(0)
    joints = rng.uniform(size=(9, J, 3)).astype(np.float32)

    def weight(given: np.ndarray, size: float | None) -> np.ndarray:
        return clip_maps(model, given, person_size=size).spatial.joints

    x = torch.from_numpy(joints)[None]
    zoom = zoom_factor(x[..., :2], 0.5)
    shown = torch.cat([x[..., :2] * zoom, x[..., 2:]], -1)
    expected = scan_maps(scan_inputs(model.STEblocks[0].op, layer_inputs(model, shown, 0)[0]))
    assert np.allclose(weight(joints, 0.5), expected.joints, rtol=1e-4)
    assert not np.allclose(weight(joints[..., :2], 0.5), expected.joints, rtol=1e-3)  # without it all are certain


@pytest.mark.slow
def test_a_figure_is_written_or_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = PoseMamba(small("global_local", depth=2)).eval()
    xy = np.random.default_rng(0).normal(size=(12, J, 2)).astype(np.float32)
    calls: list[tuple[int, int | None]] = []
    maps = clip_maps(model, xy, first_frame=2, title="made up", progress=lambda *c: calls.append(c))
    assert calls[-1] == (32, 32)
    assert (maps.layer, maps.spatial.frames.shape, maps.temporal.joints.shape) == (1, (9, 9), (J, J))
    plot_maps(tmp_path / "map.png", maps)
    save_maps(tmp_path / "map.npz", maps)
    assert (tmp_path / "map.png").stat().st_size > 20_000
    with np.load(tmp_path / "map.npz") as file:
        assert np.array_equal(file["temporal_frames"], maps.temporal.frames)
    for wrong, problem in (({"layer": 2}, "has 2 pairs"), ({"first_frame": 12}, "has 12 frames")):
        with pytest.raises(PoseMambaError, match=problem):
            clip_maps(model, xy, **wrong)
    with pytest.raises(PoseMambaError, match="figure's name ends"):
        plot_maps(tmp_path / "map.gif", maps)
