"""A fused forward pass computes what the model's modules compute, whatever was changed; and says when it does not run.

The same list of changes goes through the kernels on a CPU, through the GPU's code with its computation left out, and
on a GPU.
"""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from fixtures.changed_models import CHANGES, Change, small_model
from posemamba.models.posemamba import PoseMamba, _blueprint
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.ops.fused import gpu
from posemamba.ops.runtime import settings

each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)


def plainly(model: PoseMamba, x: Tensor) -> Tensor:
    torch.manual_seed(2)  # a part in training mode drops paths
    with settings.use(fused="off"):
        return model(x)


def run(model: PoseMamba, x: Tensor) -> Tensor:
    torch.manual_seed(2)
    return model(x)


@torch.no_grad()
def check(change: Change, model: PoseMamba, x: Tensor, fast: str, patch: pytest.MonkeyPatch, bound: float) -> None:
    """Before the change, with it, and after it was taken back: the right path, the plain model's numbers."""
    before = plainly(model, x)
    for _ in range(3 if fast == "gpu" else 1):  # a graph on a GPU from the second time on
        assert model.execution(x).path == fast
        assert (run(model, x) - before).abs().max() < bound
    undo = change.make(model, patch)
    if fast == "gpu" and not change.counted and not change.reason:
        model.reload_weights()
    got = []
    for _ in range(2):
        got.append(run(model, x))
        choice = model.execution(x)
        assert (choice.path, change.reason in choice.reason) == ("plain" if change.reason else fast, True), choice
    want = plainly(model, x)
    assert all((one - want).abs().max() < bound for one in got)
    features = model.features(x)
    assert torch.equal(features, model.features(x)) or change.name == "part_in_training_mode"
    assert not change.matters or (want - before).abs().max() > 10 * bound, "this changes nothing: no test of anything"
    if undo is None:
        return
    undo()
    if fast == "gpu" and not change.counted:
        model.reload_weights()
    assert model.execution(x).path == fast
    restored, after = run(model, x), plainly(model, x)
    assert (restored - after).abs().max() < bound
    if change.restores:
        assert torch.equal(after, before)


@each_change
def test_on_a_cpu_it_computes_the_changed_model(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    check(change, small_model(), torch.randn(2, 3, 17, 2), "cpu", monkeypatch, 1e-5)


@pytest.mark.gpu
@each_change
def test_on_a_gpu_it_computes_the_changed_model(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    check(change, small_model().cuda(), torch.randn(2, 7, 17, 2, device="cuda"), "gpu", monkeypatch, 1e-4)


@each_change
@torch.no_grad()
def test_the_gpu_s_pass_asks_the_same_guard(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels replaced by the plain model on the weights that they would have read."""
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    computed: list[float] = []

    def compute(self: gpu._FastModel, x_BTJC: Tensor, graph: bool, features: bool) -> Tensor:
        computed.append(sum(float(t.double().sum()) for layer in self.weights.layers for t in vars(layer).values()))
        return x_BTJC.new_zeros(*x_BTJC.shape[:3], 3)

    monkeypatch.setattr(gpu._FastModel, "compute", compute)
    with monkeypatch.context() as patch:
        assert gpu.run(model, x) is not None and gpu.run(model, x) is not None
        assert len(computed) == 2
        undo = change.make(model, patch)
        if not change.counted:
            model.reload_weights()
        y = gpu.run(model, x)
        assert (y is None) == bool(change.reason)
        launched = len(computed)
        if change.reason:
            assert gpu.run(model, x) is None and len(computed) == launched, "launched for nothing, again and again"
        elif change.matters:
            current = computed[-1]
            model.reload_weights()
            gpu.run(model, x)
            assert current == computed[-1], "the weights were not read again"
        if undo is not None:
            undo()
            assert gpu.run(model, x) is not None


@torch.no_grad()
def test_a_changed_part_is_caught_at_the_first_call_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is known of the model yet, and weights may not be where they are looked for."""
    for change in CHANGES:
        if change.reason:
            with monkeypatch.context() as patch, contextlib.suppress(pytest.skip.Exception):
                model, x = small_model(), torch.randn(1, 3, 17, 2)
                undo = change.make(model, patch)
                assert model.intact_parameters() is None and model.difference(), change.name
                assert gpu.run(model, x) is None and torch.isfinite(run(model, x)).all()
                if undo is not None:
                    undo()


# --- who else must see single operations


class Watcher(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class DispatchWatcher(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("cpu")
    try:
        yield
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (Watcher, "Watcher follows PyTorch's operations"),
        (DispatchWatcher, "DispatchWatcher follows PyTorch's operations"),
        (torch.enable_grad, "gradients are wanted"),
        (lambda: torch.autocast("cpu", torch.bfloat16), "autocast is on"),
        (lambda: settings.use(fused="off"), "switched off"),
        (lambda: settings.use(scan="reference"), "the scan's backend is 'reference'"),
        (torch.autograd.forward_ad.dual_level, "forward-mode derivatives"),
        (torch.inference_mode, ""),
        (default_device, ""),
    ],
)
@torch.no_grad()
def test_a_reason_is_given_by(context: Callable[[], contextlib.AbstractContextManager], reason: str) -> None:
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    assert model.execution(x).path == "cpu"
    with context():
        choice = model.execution(x)
        assert (choice.path, reason in choice.reason) == ("plain" if reason else "cpu", True), choice
        y = model(x)
    assert (y - plainly(model, x)).abs().max() < (1e-5 if "autocast" not in reason else 0.1)
    assert model.execution(x).path == "cpu"


@torch.no_grad()
def test_a_reason_is_given_for_input_and_model() -> None:
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    for other, given, reason in (
        (model, nn.Parameter(x), "the input is a Parameter"),
        (model, x.double(), "input torch.float64, model torch.float32"),
        (small_model().double(), x.double(), "input torch.float64, model torch.float64"),
        (small_model(width=32), x, "a width of 32: the fused kernels on a CPU want a multiple of 64"),
        (small_model().train(), x, "the model is in training mode"),
        (small_model().to("meta"), x, "the input is on a CPU, the model on 'meta'"),
        (model, x.to("meta"), "no fused kernels for device type 'meta'"),
    ):
        choice = other.execution(given)
        assert choice.path == "plain" and reason in choice.reason, choice
    mixed = small_model()
    mixed.STEblocks[1].norm.double()
    assert mixed.execution(x).reason == "parameters are torch.float32 and torch.float64"
    with pytest.raises(RuntimeError, match=r"type|dtype"):
        mixed(x)


@torch.no_grad()
def test_transforms_and_traces_see_the_operations() -> None:
    model, x = small_model(), torch.randn(2, 3, 17, 2)
    want = model(x)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() > 0
    paths = []

    def one(clip: Tensor) -> Tensor:
        paths.append(model.execution(clip[None]))
        return clip.sum()

    torch.func.vmap(one)(x)
    assert paths[0].path == "plain" and "torch.func" in paths[0].reason
    doubled = {name: 2 * value for name, value in model.named_parameters()}
    assert not torch.allclose(torch.func.functional_call(model, doubled, (x,)), want)
    assert torch.equal(model(x), want) and model.execution(x).path == "cpu"
    other = torch.randn(2, 3, 17, 2)
    with pytest.warns(torch.jit.TracerWarning):
        traced = torch.jit.trace(model, x, check_trace=False)
    assert (traced(other) - model(other)).abs().max() < 1e-5


# --- the guard


@torch.no_grad()
def test_hooks_on_the_model_itself_run_around_a_fused_pass() -> None:
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    want = model(x)
    model.register_forward_hook(lambda module, inputs, y: 2 * y)
    assert model.execution(x).path == "cpu" and torch.equal(model(x), 2 * want)


@torch.no_grad()
def test_copies_of_a_model_are_models_of_their_own() -> None:
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    want = model(x)
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)):
        assert made.execution(x).path == "cpu" and torch.equal(made(x), want)
    other = copy.deepcopy(model)
    other.head[1].bias.data += 1
    assert torch.equal(model(x), want) and (other(x) - want - 1).abs().max() < 1e-5


def test_looking_at_a_model_draws_no_random_numbers_and_keeps_none_alive() -> None:
    import gc
    import weakref

    torch.manual_seed(0)
    before = torch.get_rng_state()
    _blueprint.cache_clear()
    _blueprint(PoseMambaConfig(width=64, depth=1, frames=5))
    assert torch.equal(torch.get_rng_state(), before)

    model, x = small_model(), torch.randn(1, 3, 17, 2)
    with torch.no_grad():
        model(x)
        gpu._fast_models.setdefault(model, {})

        def hook(*_: object, kept: PoseMamba = model) -> None:
            """A way from a part back to the model."""

        model.STEblocks[0].register_forward_hook(hook)
        model(x)
    alive = weakref.ref(model)
    del model, hook
    gc.collect()
    assert alive() is None


@torch.no_grad()
def test_reload_weights_reads_them_again() -> None:
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    want = model(x)
    model.reload_weights()
    assert torch.equal(model(x), want)


@pytest.mark.slow
@torch.no_grad()
def test_compiled_layers_do_not_stand_in_the_way() -> None:
    model, x = small_model(), torch.randn(1, 3, 17, 2)
    want = model(x)
    model.compile_layers()
    assert model.execution(x).path == "cpu" and torch.equal(model(x), want)
