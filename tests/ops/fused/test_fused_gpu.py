"""The fast forward pass against the plain model in float64.

On a CPU the kernels run in Triton's interpreter (see conftest), in float32: its bfloat16 is not a GPU's.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from fixtures.changed_models import CHANGES, small_model
from posemamba.models.inputs import prepare_input
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops import fused
from posemamba.ops.fused import gpu
from posemamba.ops.fused.gpu import layers
from posemamba.ops.fused.gpu.layers import forward as run_layers
from posemamba.ops.fused.gpu.layers import forward_and_features
from posemamba.ops.fused.gpu.tiles import Tile
from posemamba.ops.fused.weights import EndWeights, LayerWeights, UnevenWeightsError, Weights
from posemamba.ops.runtime import settings
from posemamba.ops.scan.orders import DIRECTIONS, scan_map
from posemamba.ops.scan.reference import LOG2_E, selective_scan_reference
from posemamba.utils.errors import PoseMambaError

CPU = torch.device("cpu")


def uneven(model: PoseMamba, seed: int = 0) -> PoseMamba:
    """The model with no weight at a value that would hide a mistake: norms not 1, biases and embeddings not 0."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.2 if "norm" in name else 0.1 if "embed" in name or "bias" in name else 0.02
            parameter.add_(scale * torch.randn(parameter.shape, generator=g).to(parameter.device))
    return model.eval()


def small(width: int, depth: int, seed: int = 0, **config: object) -> PoseMamba:
    torch.manual_seed(seed)
    return uneven(PoseMamba(PoseMambaConfig.model_validate({"width": width, "depth": depth, "frames": 9, **config})))


def exact(model: PoseMamba, x: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(model).double()(x.double())


def error(got: Tensor, want: Tensor) -> float:
    """Relative; NaN, which memory that nobody wrote holds, is infinitely wrong."""
    value = float((got.double() - want).norm() / want.norm())
    return value if value == value else float("inf")


def run(model: PoseMamba, x: Tensor, graph: bool | None = None, features: bool = False) -> Tensor:
    """The GPU's pass, whatever device x is on; with graphs, without, or as it chooses."""
    with settings.use(fused={None: "auto", True: "graph", False: "eager"}[graph]):
        y = gpu.run(model, x, features)
    assert y is not None, model.difference()
    return y


# --- kernels in the interpreter


@pytest.fixture
def on_cpu(monkeypatch, poisoned, interpreted) -> None:
    """Kernels in the interpreter, and in place of the GPU's scan the reference."""

    def scan(u, proj, layer, layout):
        B, T, J, D = u.shape
        maps = scan_map(layout.scan_order, T, J, layout.limb_order)
        proj = proj + (maps.limb_rows @ proj.reshape(B, T, J, -1)).view_as(proj) * maps.merging
        dt_weight, A = layer.dt_weight.transpose(1, 2), layer.a2.transpose(1, 2) / LOG2_E
        y = selective_scan_reference(
            u.view(B, T * J, D), proj.reshape(B, T * J, DIRECTIONS, -1), dt_weight, layer.dt_bias, A, layer.skip,
            maps.tokens, maps.partner, maps.merged,
        )  # fmt: skip
        return y[:, None]

    monkeypatch.setattr(layers, "scan", scan)


@pytest.mark.parametrize(
    ("width", "depth", "clips", "frames", "config"),
    [
        pytest.param(64, 1, 1, 1, {}, id="one frame, first and last layer only"),
        pytest.param(16, 2, 3, 4, {"mlp_ratio": 1, "joints": 5, "limb_order": (1, 0, 0, 3, 2)}, id="narrow, 5 joints"),
        pytest.param(32, 2, 2, 3, {"mlp_ratio": 3, "scan_order": "bs_ft"}, id="more hidden width, other order"),
        pytest.param(16, 1, 2, 3, {"confidence": True, "centred": True}, id="with confidence, centred"),
        pytest.param(128, 1, 1, 5, {}, id="L's width, rows that do not fill the blocks"),
    ],
)
def test_agrees_with_float64(width, depth, clips, frames, config, on_cpu):
    model = small(width, depth, **config)
    x = torch.randn(clips, frames, model.config.joints, model.config.channels)
    got, known = forward_and_features(x, Weights(model, torch.float32, CPU), model.layout())
    assert got.dtype == known.dtype == torch.float32
    assert error(got, exact(model, x)) < 1e-6
    with torch.no_grad():
        assert error(known, copy.deepcopy(model).double().features(x.double())) < 1e-6


def test_slabs_are_added_up(monkeypatch, on_cpu):
    """A scan that hands over three slabs a clip, whose sum is right."""
    scan = layers.scan

    def in_slabs(*inputs):
        y = scan(*inputs)
        parts = [torch.randn_like(y), torch.randn_like(y)]
        return torch.cat([*parts, y - parts[0] - parts[1]], dim=1)

    monkeypatch.setattr(layers, "scan", in_slabs)
    model = small(32, 1)
    x = torch.randn(2, 3, 17, 2)
    got = run_layers(x, Weights(model, torch.float32, CPU), model.layout(), Tile(32, 16, 4))
    assert error(got, exact(model, x)) < 1e-6


def test_normalising_survives_a_large_mean(on_cpu):
    """Rows whose mean is far from 0 keep their variance: it is not found as a difference of squares."""
    model = small(32, 1)
    with torch.no_grad():
        model.STEblocks[0].op.Ds.add_(3.0)  # type: ignore[union-attr,operator]
        model.STEblocks[0].op.conv2d.bias.add_(40.0)  # type: ignore[union-attr,operator]
    x = torch.randn(1, 2, 17, 2)
    assert error(run_layers(x, Weights(model, torch.float32, CPU), model.layout()), exact(model, x)) < 1e-4


def test_a_call_follows_changed_weights(on_cpu):
    model, x = small(16, 1), torch.randn(1, 1, 17, 2)
    with torch.inference_mode():
        assert error(run(model, x), exact(model, x)) < 1e-6
    with torch.no_grad():
        model.STEblocks[0].op.in_proj.weight.mul_(2)  # type: ignore[union-attr,operator]
    assert error(run(model, x), exact(model, x)) < 1e-6
    assert not run(model, x).requires_grad


@pytest.mark.parametrize("change", [c for c in CHANGES if not c.reason], ids=lambda change: change.name)
@torch.no_grad()
def test_it_follows_what_it_need_not_refuse(change, on_cpu, monkeypatch):
    model, x = small_model(width=16), torch.randn(1, 2, 17, 2)
    for made in (False, True):
        if made:
            change.make(model, monkeypatch)
            if not change.counted:
                model.reload_weights()
        with settings.use(fused="off"):
            want = model(x)
        assert (run(model, x) - want).abs().max() < 1e-5


# --- weights


def test_weights_follow_the_model_in_place() -> None:
    model = small(32, 2)
    weights = Weights(model, torch.float32, CPU)
    places = [t.data_ptr() for layer in weights.layers for t in vars(layer).values()]
    assert not weights.refresh(model)

    changes = [lambda p: p.mul_(2), lambda p: setattr(p, "data", p.data + 1)]
    for change in changes:
        with torch.no_grad():
            change(model.TTEblocks[1].mlp.fc1.weight)  # type: ignore[union-attr]
        assert weights.refresh(model) and not weights.refresh(model)
        assert torch.equal(weights.layers[3].weight_1, model.TTEblocks[1].mlp.fc1.weight)  # type: ignore[union-attr]

    model.load_state_dict(small(32, 2, seed=1).state_dict(), assign=True)  # parameters are replaced, not written
    assert weights.refresh(model)
    fresh = Weights(model, torch.float32, CPU)
    for kept, made in zip(weights._groups, fresh._groups, strict=True):
        assert isinstance(kept, LayerWeights | EndWeights)
        for name, value in vars(kept).items():
            assert torch.equal(value, getattr(made, name)), name
    assert places == [t.data_ptr() for layer in weights.layers for t in vars(layer).values()]


def test_weights_made_in_inference_mode_can_be_written_later(monkeypatch) -> None:
    monkeypatch.setattr(gpu._FastModel, "compute", lambda self, x, graph, features: x)
    model, x = small(16, 1), torch.randn(1, 2, 17, 2)
    with torch.inference_mode():
        run(model, x)
    (fast,) = gpu._fast_models[model].values()
    with torch.no_grad():
        model.head[1].bias.add_(1)
    assert fast.weights.refresh(model)
    run(model, x)
    assert list(gpu._fast_models[model].values()) == [fast]
    fused.forget(model)
    run(model, x)
    assert list(gpu._fast_models[model].values()) != [fast]


def test_a_weight_of_another_shape_is_not_broadcast() -> None:
    model = small(16, 1)
    weights = Weights(model, torch.float32, CPU)
    model.head[1].bias.data = torch.ones(1)
    with pytest.raises(ValueError, match=r"head\.1\.bias is \(1,\), not \(3,\)"):
        weights.refresh(model)
    with pytest.raises(ValueError, match=r"a weight of shape \(1,\), expected \(3,\)"):
        weights.refresh(model, list(model.parameters()))


def test_weights_of_several_types_are_refused() -> None:
    model, x = small(16, 1), torch.randn(1, 2, 17, 2)
    model.head[1].double()
    with pytest.raises(UnevenWeightsError, match=r"torch\.float32 and torch\.float64"):
        Weights(model, torch.float32, CPU)
    assert gpu.run(model, x) is None


def test_unknown_mode_is_named(monkeypatch) -> None:
    model, x = small(16, 1), torch.randn(1, 2, 17, 2)
    monkeypatch.setenv("POSEMAMBA_FUSED", "fast")
    with torch.no_grad(), pytest.raises(PoseMambaError, match="POSEMAMBA_FUSED is 'fast'"):
        model(x)


# --- on a GPU

BF16_BOUND = 2e-2
"""Relative error in bfloat16. Emulated on a CPU for the bundled weights: 0.6 %, nearly all of it from rounding the
weights; plain autocast has 0.9 %."""


def half() -> torch.autocast:
    return torch.autocast("cuda", torch.bfloat16)


def clips(count: int, frames: int = 243, seed: int = 0, model: PoseMamba | None = None) -> Tensor:
    """People who move smoothly, in normalised coordinates, and with confidence if the model takes it."""
    g = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, 6, frames)[None, :, None, None]
    body, phase = torch.rand(2, count, 1, 17, 2, generator=g)
    sure = torch.rand(count, frames, 17, 1, generator=g)
    joints = torch.cat([(body - 0.5) * 0.5 + 0.1 * torch.sin(t + 6 * phase), sure], -1).cuda()
    return joints[..., :2].contiguous() if model is None else prepare_input(model, joints)


@pytest.fixture(scope="module")
def bundled() -> PoseMamba:
    return PoseMamba.from_pretrained("posemamba-s").cuda()


def large() -> PoseMamba:
    torch.manual_seed(0)
    return uneven(PoseMamba.preset("l").cuda())


@pytest.mark.gpu
@pytest.mark.parametrize("frames", [1, 28])
@pytest.mark.parametrize(("dtype", "width"), [(d, width) for d, widths in gpu.WIDTHS.items() for width in widths])
def test_kernels_agree_with_float64(width, frames, dtype, poisoned):
    model = small(width, 2, frames=28).cuda()
    x = clips(3, frames)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert model.execution(x).path == "gpu"
        got = model(x)
    assert error(got, exact(model, x)) < (BF16_BOUND if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.gpu
def test_whole_s_and_l_agree_with_float64(bundled, poisoned):
    """27 frames, since float64 is computed step by step."""
    for model in (bundled, large()):
        x = clips(2, 27, model=model)
        want = exact(model, x)
        with torch.no_grad():
            assert error(model(x), want) < 1e-4, "float32"
            with half():
                assert error(model(x), want) < BF16_BOUND


@pytest.mark.gpu
def test_features_and_expected_errors(bundled) -> None:
    x = clips(2, 27, model=bundled)
    with torch.no_grad():
        want = copy.deepcopy(bundled).double().with_errors(x.double())
        assert bundled.execution(x).path == "gpu"
        for got, exact_one in zip(bundled.with_errors(x), want, strict=True):
            assert error(got, exact_one) < 1e-4
        with half():
            for _ in range(3):  # a graph from the second time on
                for got, exact_one in zip(bundled.with_errors(x), want, strict=True):
                    assert got.dtype == torch.float32 and error(got, exact_one) < 2 * BF16_BOUND
            assert torch.equal(bundled.features(x), run(bundled, x, graph=False, features=True))
            assert error(bundled.with_errors(x)[0], bundled(x)) < 1e-5  # the head in float32, as there


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 16])
def test_whole_s_at_full_length(bundled, count, request):
    """Against the plain model in float32 on the CPU, whose scan is other code."""
    x = clips(count, model=bundled)
    with torch.no_grad():
        want = copy.deepcopy(bundled).cpu()(x[-1:].cpu()).cuda().double()
        request.getfixturevalue("poisoned")  # Numba, which the CPU's pass may have to compile, cannot with it
        with half():
            assert bundled.execution(x).path == "gpu"
            assert error(run(bundled, x, graph=False)[-1:], want) < BF16_BOUND
            assert error(bundled(x)[-1:], want) < BF16_BOUND


@pytest.mark.gpu
def test_a_graph_gives_what_the_kernels_give(bundled) -> None:
    fused.forget(bundled)
    with torch.no_grad(), half():
        for seed, frames in enumerate((9, 28, 9, 28, 9, 40, 41, 42, 43, 9, 9, 40, 41, 42, 43)):
            x = clips(2, frames, seed, bundled)  # a graph from the second time on; five shapes push one out
            assert torch.equal(run(bundled, x, graph=True), run(bundled, x, graph=False))


@pytest.mark.gpu
def test_outputs_of_replays_are_separate(bundled) -> None:
    xs = [clips(1, 9, seed, bundled) for seed in range(4)]
    with torch.no_grad(), half():
        ys = [run(bundled, x, graph=True) for x in xs]
        for x, y in zip(xs, ys, strict=True):
            assert torch.equal(y, run(bundled, x, graph=False))


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True])
def test_changed_weights_are_noticed(graph) -> None:
    model, x = small(64, 2).cuda(), clips(1, 9)
    with torch.inference_mode(), half():
        for _ in range(3):
            run(model, x, graph=graph)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    with torch.inference_mode(), half():
        assert error(run(model, x, graph=graph), exact(model, x)) < BF16_BOUND
    model.load_state_dict(small(64, 2, seed=1).cuda().state_dict(), assign=True)
    with torch.inference_mode(), half():
        assert error(run(model, x, graph=graph), exact(model, x)) < BF16_BOUND


@pytest.mark.gpu
def test_plain_model_where_it_must_be(bundled, monkeypatch) -> None:
    x = clips(1, 9, model=bundled)
    assert bundled.execution(x).path == "plain", "gradients are wanted"
    with torch.no_grad():
        assert bundled.execution(x).path == "gpu"
        with torch.autocast("cuda", torch.float16):
            assert bundled.execution(x).path == "plain"
        handle = bundled.STEblocks[3].register_forward_hook(lambda *_: None)
        assert bundled.execution(x).path == "plain", "somebody listens to a part"
        handle.remove()
        monkeypatch.setenv("POSEMAMBA_FUSED", "off")
        assert bundled.execution(x).path == "plain"


@pytest.mark.gpu
def test_a_capture_that_fails_says_so(bundled, monkeypatch) -> None:
    from posemamba.ops.fused.gpu import graphs

    def waits(*_: object) -> Tensor:
        return torch.ones(1, device="cuda").item()  # type: ignore[return-value]

    fused.forget(bundled)
    x = clips(1, 9, model=bundled)
    with torch.no_grad(), half():
        run(bundled, x, graph=True)
        monkeypatch.setattr(graphs, "forward_and_features", waits)
        with pytest.raises(PoseMambaError, match="POSEMAMBA_FUSED=eager"):
            run(bundled, x, graph=True)
        monkeypatch.undo()
        want = run(bundled, x, graph=False)
        assert torch.equal(run(bundled, x, graph=True), want)


@pytest.mark.gpu
def test_memory_of_16_clips_of_l() -> None:
    model, x = large(), clips(16)
    with torch.no_grad(), half():
        for _ in range(2):
            run(model, x, graph=False)
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run(model, x, graph=False)
    assert torch.cuda.max_memory_allocated() - before < 300e6
