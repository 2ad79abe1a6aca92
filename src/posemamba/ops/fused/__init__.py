"""A model's forward pass without gradients in a few kernels a layer, on a GPU or a CPU.

`run` is the one way in: it computes the pass by kernels, or says that the model's own modules must. `choose` says which
of them it will be, and why. The kernels see a model's tensors and its layout alone (`weights.Source`), so they stand in
only for a model that computes exactly what its class and its config say, where nobody looks at single operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from posemamba.ops.fused.weights import Source, unevenness
from posemamba.ops.runtime import settings

__all__ = ["Choice", "choose", "forget", "run"]

Path = Literal["gpu", "cpu", "plain"]


@dataclass(frozen=True)
class Choice:
    """The way a forward pass runs, and the reason.

    Attributes:
        path: 'gpu' or 'cpu' for the fused kernels there, 'plain' for the model's modules one after another.
        reason: for a person to read.
    """

    path: Path
    reason: str


def run(model: Source, x_BTJC: Tensor, features: bool = False) -> Tensor | None:
    """Compute a forward pass by fused kernels.

    Args:
        model: any.
        x_BTJC: (B, T, J, C), of a shape that the model takes.
        features: return what the last layer knows of each joint, not the output.

    Returns:
        (B, T, J, 3) or, of features, (B, T, J, E) in the parameters' type; None if the model's modules must compute it.

    Raises:
        PoseMambaError: a way to run that is unknown or cannot be had is forced.
    """
    path = _suitable(model, x_BTJC).path
    if path == "plain":
        return None
    if path == "gpu":
        from posemamba.ops.fused import gpu

        return gpu.run(model, x_BTJC, features)
    from posemamba.ops.fused import cpu

    return cpu.run(model, x_BTJC, features)


def choose(model: Source, x_BTJC: Tensor) -> Choice:
    """Tell how `run` computes a forward pass, without computing it. Arguments and errors as `run`'s."""
    choice = _suitable(model, x_BTJC)
    if choice.path == "plain":
        return choice
    parameters = model.intact_parameters()
    reason = model.difference() if parameters is None else unevenness(parameters)
    return Choice("plain", reason) if reason else choice


def forget(model: Source) -> None:
    """Drop what is kept of a model; its weights are read anew at the next call."""
    from posemamba.ops.fused import cpu, gpu

    cpu.forget(model)
    gpu.forget(model)


def _suitable(model: Source, x_BTJC: Tensor) -> Choice:
    """Choose by everything but the model's parts, which take longer to look at."""
    if torch.compiler.is_compiling():  # first, for the compiler to see nothing of what follows
        return Choice("plain", "torch.compile or torch.export is at work")
    if model.training:
        return Choice("plain", "the model is in training mode; call its eval()")
    if torch.is_grad_enabled():
        return Choice("plain", "gradients are wanted; call the model under torch.no_grad() or torch.inference_mode()")
    if settings.fused_mode() == "off":
        return Choice("plain", "switched off, by POSEMAMBA_FUSED=off or posemamba.ops.runtime.settings.use")
    device = x_BTJC.device.type
    if reason := _witness(x_BTJC):
        return Choice("plain", reason)
    if device == "cuda":
        from posemamba.ops.fused import gpu

        reason = gpu.why_not(model, x_BTJC)
        return Choice("plain", reason) if reason else Choice("gpu", "fused kernels on an NVIDIA GPU")
    if device == "cpu":
        from posemamba.ops.fused import cpu

        reason = cpu.why_not(model, x_BTJC)
        return Choice("plain", reason) if reason else Choice("cpu", "fused kernels on a CPU")
    return Choice("plain", f"there are no fused kernels for device type '{device}'")


def _witness(x: Tensor) -> str:
    """Name what follows or changes PyTorch's single operations: it would not see those of a fused pass."""
    if type(x) is not Tensor:
        return f"the input is a {type(x).__name__}, not a plain tensor"
    for mode in _get_current_dispatch_mode_stack():
        return f"{type(mode).__name__} follows PyTorch's operations"
    for mode in _get_current_function_mode_stack():
        if type(mode) is not DeviceContext:  # torch.set_default_device: where new tensors are made
            return f"{type(mode).__name__} follows PyTorch's operations"
    if torch.jit.is_tracing():
        return "torch.jit.trace is at work"
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a transform of torch.func is at work"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are wanted"
    return ""
