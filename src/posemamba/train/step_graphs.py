"""A whole training step as one CUDA graph: launched kernel by kernel it takes the host longer than the GPU.

Forward pass, losses, backward pass, clipping and the optimizer's step are captured once for each shape of clips and
replayed on the clips, learning rates and weights of losses that are put in their places before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from posemamba.data.clips import ClipBatch
from posemamba.models.posemamba import PoseMamba
from posemamba.ops.scan.orders import ScanMap, scan_map

WARM_UP = 3  # steps before a capture: kernels are compiled, workspaces made


@dataclass(frozen=True)
class Outcome:
    """The result of a step.

    Attributes:
        loss: what is minimised.
        train_mm: mean distance of joints in millimetres.
        parts: the losses by name, without their weights.
    """

    loss: Tensor
    train_mm: Tensor
    parts: dict[str, Tensor]


class Compute(Protocol):
    """Clips and weights of losses to an outcome whose loss has a gradient; in what precision is up to it."""

    def __call__(self, clips: ClipBatch, weights: Mapping[str, float | Tensor]) -> Outcome: ...


def capture(call: Callable[[], None], device: torch.device, pool: Any) -> Callable[[], None]:
    """`call`, which was called before, as a CUDA graph; its memory comes from `pool`, which graphs in turn share."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        call()
    return graph.replay


class StepGraphs:
    """Training steps of one model, each replayed.

    Args:
        compute: forward pass and losses.
        model: whose parameters and buffers a step changes.
        optimizer: what it does in a step is captured; learning rates may change, other settings may not.
        gradient_clip: by norm; None: not.
    """

    def __init__(
        self, compute: Compute, model: nn.Module, optimizer: torch.optim.Optimizer, gradient_clip: float | None
    ) -> None:
        self.compute, self.model, self.optimizer, self.gradient_clip = compute, model, optimizer, gradient_clip
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._changed = [*self._parameters, *model.buffers()]
        self._device = self._parameters[0].device
        self._pool = torch.cuda.graph_pool_handle() if self._device.type == "cuda" else None
        self._weights: dict[str, Tensor] = {}
        self._steps: dict[torch.Size, tuple[ClipBatch, dict[str, Outcome], Callable[[], None]]] = {}
        self._maps: list[ScanMap] = []
        for group in optimizer.param_groups:  # where a schedule writes to, and the graph reads from
            group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32).to(self._device, copy=True)
            if "capturable" in group and self._device.type == "cuda":
                group["capturable"] = True  # PyTorch's own optimizers ask for it
        for state in optimizer.state.values():  # AdamW's of a run that began on a CPU counts its steps there
            state.update({k: v.to(self._device) for k, v in state.items() if isinstance(v, Tensor)})

    def prepare(self, clips: ClipBatch, weights: Mapping[str, float]) -> None:
        """Capture the step of clips of this shape, if it was not before; nothing is changed by it."""
        for name, weight in weights.items():
            self._weights.setdefault(name, torch.zeros((), device=self._device)).fill_(weight)
        if clips.input.shape in self._steps:
            return
        place = ClipBatch(**{field.name: getattr(clips, field.name).clone() for field in fields(clips)})
        result: dict[str, Outcome] = {}

        def step() -> None:
            result["outcome"] = self._step(place)

        changed = [*self._changed, *self._state()]
        kept = [(tensor, tensor.detach().clone()) for tensor in changed]
        self._warm_up(step)
        known = set(map(id, changed))
        with torch.no_grad():
            for tensor in self._state():
                if id(tensor) not in known:  # made by the first step of all: it starts from zeros
                    tensor.zero_()
            for tensor, before in kept:
                tensor.copy_(before)
        self._steps[clips.input.shape] = place, result, self._capture(step)
        if isinstance(self.model, PoseMamba):  # the graph reads its scans' tables, which their cache may drop
            c, (frames, joints) = self.model.config, clips.input.shape[1:3]
            self._maps.append(scan_map(c.scan_order, frames, joints, c.limb_order, self._device))
        self._forget_gradients()

    def run(self, clips: ClipBatch) -> Outcome:
        """The step of clips of a shape that was prepared; the outcome holds until the next step."""
        place, result, replay = self._steps[clips.input.shape]
        for field in fields(clips):
            getattr(place, field.name).copy_(getattr(clips, field.name))
        replay()
        for (
            tensor
        ) in self._changed:  # PyTorch does not see it, and `posemamba.ops.fused.gpu` keeps copies of the weights
            torch.autograd.graph.increment_version(tensor)
        return result["outcome"]

    def _step(self, clips: ClipBatch) -> Outcome:
        with torch.autocast(self._device.type, enabled=False):  # of the caller; it is for the forward pass alone
            outcome = self.compute(clips, self._weights)
            gradients = torch.autograd.grad(outcome.loss, self._parameters, allow_unused=True)
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
            if self.gradient_clip:
                torch.nn.utils.clip_grad_norm_(self._parameters, self.gradient_clip)
            self.optimizer.step()
        return Outcome(outcome.loss.detach(), outcome.train_mm.detach(), outcome.parts)

    def _warm_up(self, step: Callable[[], None]) -> None:
        if self._device.type != "cuda":
            return step()
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream(self._device).wait_stream(side)
        torch.cuda.synchronize(self._device)

    def _capture(self, step: Callable[[], None]) -> Callable[[], None]:
        self._forget_gradients()
        return capture(step, self._device, self._pool)

    def _state(self) -> list[Tensor]:
        return [t for state in self.optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
