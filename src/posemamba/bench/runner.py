"""One contestant made ready for one case: model, input, the call that is timed, and whether its output is right."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from posemamba.bench.checks import MODEL_BOUNDS
from posemamba.bench.specs import JOINTS, Contestant
from posemamba.bench.timing import Call, held_bytes, peak_bytes, sample_ms
from posemamba.models.posemamba import PoseMamba
from posemamba.ops.scan.selftest import relative_error

Task = Literal["forward", "train"]
TASKS: dict[Task, str] = {
    "forward": "inference, without gradients",
    "train": "a training step: forward, mean distance of the joints from 0, backward, AdamW",
}
WARM_UP = 3  # calls on a GPU before anything is measured or captured: kernels are compiled, workspaces made


class WrongOutputError(Exception):
    """A contestant computes something else than it should; it gets no figure."""


@dataclass(frozen=True)
class Case:
    """What all contestants do side by side.

    Attributes:
        task: a key of `TASKS`.
        frames: of each clip that is asked for.
        clips: at once.
        contestants: who takes part.
        whole: a model published for fewer frames is built for all of them, too, in place of cutting the clips.
        group: part of a preset, or sweep, that it belongs to.
    """

    task: Task
    frames: int
    clips: int
    contestants: tuple[Contestant, ...]
    whole: bool = False
    group: str = ""

    def __str__(self) -> str:
        clips = f"{self.clips} clip{'s' * (self.clips > 1)} of {self.frames:,} frame{'s' * (self.frames > 1)}"
        text = {"forward": "forward", "train": "training step"}[self.task] + ", " + clips
        return f"{text} ({self.group})" if self.group else text


@contextlib.contextmanager
def products(name: str) -> Iterator[None]:
    """How float32 products round inside, by one of `PRECISIONS`; the backward pass needs it, too."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if name == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = name != "float32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def autocast(name: str, device: torch.device) -> torch.autocast:
    """bfloat16 where the precision says so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16")


@torch.no_grad()
def infer(precision: str, module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return a forward pass without gradients in one of `PRECISIONS`."""
    with products(precision), autocast(precision, x.device):
        return module(x)


class Models:
    """The models of one case. Each contestant has its own, as a model may keep things for the way in which it is run;
    what is compiled is shared by the contestant that replays it as a graph."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        self._models: dict[Contestant, nn.Module] = {}
        self._compiled: dict[Contestant, Any] = {}

    def plain(self, contestant: Contestant) -> nn.Module:
        key = self._key(contestant)
        if key not in self._models:
            torch.manual_seed(0)
            model = contestant.entry.build(contestant.window(self.case.frames, self.case.whole)).to(self.device)
            self._models[key] = model.train(self.case.task == "train")
            if contestant.recompute:
                cast(PoseMamba, model).recompute_activations()
        return self._models[key]

    def as_run(self, contestant: Contestant) -> Callable[[Tensor], Tensor]:
        """Return the model itself, or compiled: as a whole, or by layers for training and where the whole takes minutes."""
        key, model = self._key(contestant), self.plain(contestant)
        if not contestant.compiled:
            return model
        entry, train = contestant.entry, self.case.task == "train"
        by_layers = entry.whole if train else entry.by_layers and self.device.type == "cuda"
        if key not in self._compiled and by_layers:
            cast(Any, model).compile_layers()
            self._compiled[key] = model
        elif key not in self._compiled:
            self._compiled[key] = torch.compile(model, dynamic=False)
        return cast(Callable[[Tensor], Tensor], self._compiled[key])

    @staticmethod
    def _key(contestant: Contestant) -> Contestant:
        return replace(contestant, graph=False) if contestant.compiled else contestant

    def input(self, contestant: Contestant) -> Tensor:
        """Random joints, (clips, frames of the model's clips, 17, channels): as many frames for every contestant."""
        case, entry = self.case, contestant.entry
        window = contestant.window(case.frames, case.whole)
        g = torch.Generator().manual_seed(1)
        x = torch.randn(case.clips * case.frames // window, window, JOINTS, entry.channels, generator=g).to(self.device)
        if entry.channels > 2:  # features inside a layer: in the layer's type, and they have a gradient
            x = x.bfloat16() if contestant.precision == "bf16" else x
            x.requires_grad_(case.task == "train")
        return x


@dataclass
class Contender:
    """A contestant that is ready.

    Attributes:
        call: what is timed.
        warm_ms: time of one warm call.
        peak_bytes: memory beyond weights, optimizer and what the others hold; None on a CPU. In inference with what
            it keeps from call to call.
        parameters: of the model.
    """

    contestant: Contestant
    call: Call
    warm_ms: float
    peak_bytes: int | None
    parameters: int


def make_ready(contestant: Contestant, models: Models) -> Contender:
    """Build, check and warm up.

    Raises:
        WrongOutputError: the output is not finite, or not that of the plain version.
    """
    model, x = models.plain(contestant), models.input(contestant)
    ready = _ready_to_train if models.case.task == "train" else _ready_to_infer
    call, peak = ready(contestant, models, x)
    parameters = sum(p.numel() for p in model.parameters())
    if models.device.type == "cuda":
        call()  # takes again the memory that was given back for measuring it
    return Contender(contestant, call, sample_ms(call, models.device), peak, parameters)


def _ready_to_infer(contestant: Contestant, models: Models, x: Tensor) -> tuple[Call, int | None]:
    forward, device = models.as_run(contestant), models.device
    before = held_bytes(device)

    def call() -> Tensor:
        return infer(contestant.precision, forward, x)

    run: Callable[[], Tensor] = call
    for _ in range(WARM_UP if device.type == "cuda" else 0):
        call()
    if contestant.graph:
        run = _captured(device, x, call)
    _check_output(contestant, models, x, run())
    # what it keeps from call to call, copies of weights or graphs, and what a call takes on top of that
    peak, after = peak_bytes(run, device), held_bytes(device)
    return run, None if peak is None else peak + after - before


def _check_output(contestant: Contestant, models: Models, x: Tensor, got: Tensor) -> None:
    """Finite; that of the plain version; for our models also that of the way training takes, in float32."""
    if not got.isfinite().all():
        raise WrongOutputError("the output is not finite")
    model, bound = models.plain(contestant), MODEL_BOUNDS[contestant.precision]
    if contestant != contestant.plain:
        with torch.compiler.set_stance("force_eager"):  # its layers may be compiled in place
            plain = infer(contestant.precision, model, x)
        _refuse(relative_error(got, plain), bound, "the plain version")
    if contestant.entry.ours:
        _refuse(relative_error(got[:1], as_training(model, x[:1].float())), bound, "training's forward pass")


def as_training(model: nn.Module, x: Tensor) -> Tensor:
    """Return the forward pass as training runs it, which inference need not, in float32; nothing is kept for a backward."""
    forget = torch.autograd.graph.saved_tensors_hooks(lambda kept: None, lambda kept: kept)
    with torch.enable_grad(), forget, products("float32"):
        return model(x).detach()


def _refuse(error: float, bound: float, other: str) -> None:
    if not error < bound:
        raise WrongOutputError(f"the output differs from that of {other} by {error:.1e}, expected {bound:.0e}")


def _captured(device: torch.device, x: Tensor, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Return the call as a CUDA graph: what is timed copies the input to where the graph reads it, and replays."""
    x = x.detach()  # the same memory; a clone with a gradient would tie the input to the stream that it was made on
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
    x.zero_()  # so that a replay which does not read its input anew is seen

    def replay() -> Tensor:
        x.copy_(given)
        graph.replay()
        return output

    # a graph holds only memory of its own: what `call` made while it warmed up, as an optimizer's state, must stay
    replay.call = call  # type: ignore[attr-defined]
    return replay


def _ready_to_train(contestant: Contestant, models: Models, x: Tensor) -> tuple[Call, int | None]:
    model, forward, device = models.plain(contestant), models.as_run(contestant), models.device
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=2e-4, weight_decay=0.01, fused=True, capturable=contestant.graph
    )

    def loss_of(run: Callable[[Tensor], Tensor]) -> Tensor:
        with autocast(contestant.precision, device):
            y = run(x)
        return torch.linalg.vector_norm(y.float(), dim=-1).mean()

    def step() -> Tensor:
        with products(contestant.precision):
            loss = loss_of(forward)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        x.grad = None
        return loss.detach()

    want = None
    if contestant.compiled and not contestant.entry.ours:  # ours drops branches at random in training
        with torch.no_grad(), products(contestant.precision), torch.compiler.set_stance("force_eager"):
            want = loss_of(model)
    loss = step()
    if not loss.isfinite():
        raise WrongOutputError("the loss is not finite")
    if want is not None:
        _refuse(relative_error(loss, want), MODEL_BOUNDS[contestant.precision], "the plain version")
    if not contestant.graph:
        return step, peak_bytes(step, device)
    peak = peak_bytes(step, device)  # of what is captured; a replay's own memory is not counted by PyTorch
    replay = _captured(device, x, step)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    if not replay().isfinite() or all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)):
        raise WrongOutputError("the replayed training step moves no weight, or its loss is not finite")
    return replay, peak
