"""Runners: one spec made ready for one case, with model, input, the timed call, and a check of its output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from posemamba.bench.checks import MODEL_BOUNDS
from posemamba.bench.specs import JOINTS, BenchSpec
from posemamba.bench.timing import Call, held_bytes, peak_bytes, sample_ms
from posemamba.models.posemamba import PoseMamba
from posemamba.ops.scan.selftest import relative_error

Task = Literal["forward", "train"]
TASKS: dict[Task, str] = {
    "forward": "inference, without gradients",
    "train": "a training step: forward, mean distance of the joints from 0, backward, AdamW",
}
WARM_UP = 3  # calls on a GPU before measuring or capturing, in which kernels are compiled and workspaces made


class WrongOutputError(Exception):
    """An error for a spec whose output is wrong; it gets no figure."""


@dataclass(frozen=True)
class Case:
    """A case in which all specs are compared.

    Attributes:
        task: a key of `TASKS`.
        frames: frames of each clip.
        clips: clips at once.
        specs: the specs to time.
        whole: True if models published for fewer frames are built for all frames, in place of cutting the clips.
        group: the part of a preset, or the sweep, to which the case belongs.
    """

    task: Task
    frames: int
    clips: int
    specs: tuple[BenchSpec, ...]
    whole: bool = False
    group: str = ""

    def __str__(self) -> str:
        clips = f"{self.clips} clip{'s' * (self.clips > 1)} of {self.frames:,} frame{'s' * (self.frames > 1)}"
        text = {"forward": "forward", "train": "training step"}[self.task] + ", " + clips
        return f"{text} ({self.group})" if self.group else text


@contextlib.contextmanager
def products(name: str) -> Iterator[None]:
    """Set the rounding of float32 products within the block by one of `PRECISIONS`; backward passes need it, too."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if name == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = name != "float32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def autocast(name: str, device: torch.device) -> torch.autocast:
    """Return the autocast of one of `PRECISIONS`: to bfloat16 for ``bf16``, else disabled."""
    return torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16")


@torch.no_grad()
def infer(precision: str, module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run a forward pass without gradients in one of `PRECISIONS`."""
    with products(precision), autocast(precision, x.device):
        return module(x)


class Models:
    """The models of one case.

    Each spec has its own model, as models may cache data for the way in which they run. A compiled model is shared with
    the spec that replays it as a graph.
    """

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        self._models: dict[BenchSpec, nn.Module] = {}
        self._compiled: dict[BenchSpec, Any] = {}

    def plain(self, spec: BenchSpec) -> nn.Module:
        key = self._key(spec)
        if key not in self._models:
            torch.manual_seed(0)
            model = spec.entry.build(spec.window(self.case.frames, self.case.whole)).to(self.device)
            self._models[key] = model.train(self.case.task == "train")
            if spec.recompute:
                cast(PoseMamba, model).recompute_activations()
        return self._models[key]

    def as_run(self, spec: BenchSpec) -> Callable[[Tensor], Tensor]:
        """Return the model, compiled if the spec says so: as a whole, or by layers if that takes less time."""
        key, model = self._key(spec), self.plain(spec)
        if not spec.compiled:
            return model
        entry, train = spec.entry, self.case.task == "train"
        by_layers = entry.whole if train else entry.by_layers and self.device.type == "cuda"
        if key not in self._compiled and by_layers:
            cast(Any, model).compile_layers()
            self._compiled[key] = model
        elif key not in self._compiled:
            self._compiled[key] = torch.compile(model, dynamic=False)
        return cast(Callable[[Tensor], Tensor], self._compiled[key])

    @staticmethod
    def _key(spec: BenchSpec) -> BenchSpec:
        return replace(spec, graph=False) if spec.compiled else spec

    def input(self, spec: BenchSpec) -> Tensor:
        """Make random joints, (clips, frames of the model's clips, 17, channels), as many frames for every spec."""
        case, entry = self.case, spec.entry
        window = spec.window(case.frames, case.whole)
        g = torch.Generator().manual_seed(1)
        x = torch.randn(case.clips * case.frames // window, window, JOINTS, entry.channels, generator=g).to(self.device)
        if entry.channels > 2:  # features inside a layer have the layer's type, and a gradient
            x = x.bfloat16() if spec.precision == "bf16" else x
            x.requires_grad_(case.task == "train")
        return x


@dataclass
class Runner:
    """A spec that is ready to be timed.

    Attributes:
        spec: the spec.
        call: the call to time.
        warm_ms: time of one warm call, milliseconds.
        peak_bytes: memory beyond weights, optimizer and other runners' memory; None on a CPU. In inference it includes
            the memory that the runner keeps between calls.
        parameters: the number of the model's parameters.
    """

    spec: BenchSpec
    call: Call
    warm_ms: float
    peak_bytes: int | None
    parameters: int


def make_ready(spec: BenchSpec, models: Models) -> Runner:
    """Build a spec's model, check its output and warm it up.

    Raises:
        WrongOutputError: the output is not finite, or differs from the plain version's.
    """
    model, x = models.plain(spec), models.input(spec)
    ready = _ready_to_train if models.case.task == "train" else _ready_to_infer
    call, peak = ready(spec, models, x)
    parameters = sum(p.numel() for p in model.parameters())
    if models.device.type == "cuda":
        call()  # allocates again the memory that was freed for measuring
    return Runner(spec, call, sample_ms(call, models.device), peak, parameters)


def _ready_to_infer(spec: BenchSpec, models: Models, x: Tensor) -> tuple[Call, int | None]:
    forward, device = models.as_run(spec), models.device
    before = held_bytes(device)

    def call() -> Tensor:
        return infer(spec.precision, forward, x)

    run: Callable[[], Tensor] = call
    for _ in range(WARM_UP if device.type == "cuda" else 0):
        call()
    if spec.graph:
        run = _captured(device, x, call)
    _check_output(spec, models, x, run())
    # the memory kept between calls (copies of weights, graphs), and that of a call on top
    peak, after = peak_bytes(run, device), held_bytes(device)
    return run, None if peak is None else peak + after - before


def _check_output(spec: BenchSpec, models: Models, x: Tensor, got: Tensor) -> None:
    """Check that an output is finite, and that of the plain version; for our models also that of training in float32.

    Raises:
        WrongOutputError: it is not.
    """
    if not got.isfinite().all():
        raise WrongOutputError("the output is not finite")
    model, bound = models.plain(spec), MODEL_BOUNDS[spec.precision]
    if spec != spec.plain:
        with torch.compiler.set_stance("force_eager"):  # its layers may be compiled in place
            plain = infer(spec.precision, model, x)
        _check(relative_error(got, plain), bound, "the plain version")
    if spec.entry.ours:
        _check(relative_error(got[:1], as_training(model, x[:1].float())), bound, "training's forward pass")


def as_training(model: nn.Module, x: Tensor) -> Tensor:
    """Run the forward pass as training does, in float32, without keeping tensors for a backward pass."""
    forget = torch.autograd.graph.saved_tensors_hooks(lambda kept: None, lambda kept: kept)
    with torch.enable_grad(), forget, products("float32"):
        return model(x).detach()


def _check(error: float, bound: float, other: str) -> None:
    if not error < bound:
        raise WrongOutputError(f"the output differs from that of {other} by {error:.1e}, expected {bound:.0e}")


def _captured(device: torch.device, x: Tensor, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture a call as a CUDA graph; the timed call copies the input to where the graph reads it, and replays."""
    x = x.detach()  # the same memory; a clone with a gradient would tie the input to the stream of its creation
    given = x.clone()
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        output = call()
    x.zero_()  # so that a replay that does not read its input is found

    def replay() -> Tensor:
        x.copy_(given)
        graph.replay()
        return output

    # a graph owns only its own memory: tensors that `call` made while warming up, as an optimizer's state, must stay
    replay.call = call  # type: ignore[attr-defined]
    return replay


def _ready_to_train(spec: BenchSpec, models: Models, x: Tensor) -> tuple[Call, int | None]:
    model, forward, device = models.plain(spec), models.as_run(spec), models.device
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01, fused=True, capturable=spec.graph)

    def loss_of(run: Callable[[Tensor], Tensor]) -> Tensor:
        with autocast(spec.precision, device):
            y = run(x)
        return torch.linalg.vector_norm(y.float(), dim=-1).mean()

    def step() -> Tensor:
        with products(spec.precision):
            loss = loss_of(forward)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        x.grad = None
        return loss.detach()

    want = None
    if spec.compiled and not spec.entry.ours:  # ours drops branches at random in training
        with torch.no_grad(), products(spec.precision), torch.compiler.set_stance("force_eager"):
            want = loss_of(model)
    loss = step()
    if not loss.isfinite():
        raise WrongOutputError("the loss is not finite")
    if want is not None:
        _check(relative_error(loss, want), MODEL_BOUNDS[spec.precision], "the plain version")
    if not spec.graph:
        return step, peak_bytes(step, device)
    peak = peak_bytes(step, device)  # of the captured step, as PyTorch does not count a replay's memory
    replay = _captured(device, x, step)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    if not replay().isfinite() or all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)):
        raise WrongOutputError("the replayed training step moves no weight, or its loss is not finite")
    return replay, peak
