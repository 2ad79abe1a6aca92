"""The scan as one PyTorch operator, `posemamba::selective_scan`, with its gradient, for every backend.

Shapes: B clips, T frames, J joints, D inner width, K = 4 directions, N states, R rank, P = R + 2N.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from posemamba.ops.scan.orders import ScanMap, scan_map
from posemamba.utils.errors import PoseMambaError

STEP_FLOPS = 9
"""Floating-point operations of a scan per direction, channel, state and token, as the Mamba papers count them."""


def merges_inside(backend: str, limb_gradient: bool) -> bool:
    """Return True if the backend adds limb partners' projections itself."""
    return backend in ("cuda", "numba") and limb_gradient


def _map(u: Tensor, order: str, limb: list[int]) -> ScanMap:
    return scan_map(order, u.shape[1], u.shape[2], tuple(limb), u.device)


@torch.library.custom_op("posemamba::selective_scan", mutates_args=())
def scan_op(
    u: Tensor,
    proj: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    Ds: Tensor,
    order: str,
    limb: list[int],
    limb_gradient: bool,
    backend: str,
    keep_states: bool,
) -> tuple[Tensor, Tensor]:
    """Run the scan: output (B, T, J, D) like u, and states for the backward pass (empty unless `keep_states`)."""
    maps = _map(u, order, limb)
    inside = merges_inside(backend, limb_gradient)
    if backend == "cuda":
        from posemamba.ops.scan import gpu

        return gpu.forward(u, proj, dt_weight, dt_bias, A, Ds, maps, inside, keep_states)
    if backend == "numba":
        from posemamba.ops.scan import cpu

        return cpu.forward(u, proj, dt_weight, dt_bias, A, Ds, maps, inside), u.new_empty(0, dtype=torch.float32)
    raise ValueError(f"backend {backend!r} is no operator; the reference runs under autograd")


@scan_op.register_fake
def _(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor,
    order: str, limb: list[int], limb_gradient: bool, backend: str, keep_states: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    shape = [0]
    if backend == "cuda" and keep_states:
        from posemamba.ops.scan import gpu

        shape = list(gpu.states_shape(u, A))
    return torch.empty_like(u), u.new_empty(shape, dtype=torch.float32)


@torch.library.custom_op("posemamba::selective_scan_backward", mutates_args=())
def scan_backward_op(
    dy: Tensor,
    u: Tensor,
    proj: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    Ds: Tensor,
    states: Tensor,
    order: str,
    limb: list[int],
    limb_gradient: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the gradients of u, proj, dt_weight, dt_bias, A and Ds, in their shapes and types."""
    maps = _map(u, order, limb)
    inputs = (u, proj, dt_weight, dt_bias, A, Ds)
    options = merges_inside(backend, limb_gradient), any(maps.merged) and limb_gradient
    if backend == "cuda":
        from posemamba.ops.scan import gpu

        du, *rest = gpu.backward(dy, *inputs, maps, states, *options)
    elif backend == "numba":
        from posemamba.ops.scan import cpu

        du, *rest = cpu.backward(dy, *inputs, maps, *options)
    else:
        raise ValueError(f"backend {backend!r} is no operator; the reference runs under autograd")
    gradients = [du, *rest]
    du, dproj, dweight, dbias, dA, dDs = (
        grad.to(tensor.dtype).contiguous() for grad, tensor in zip(gradients, inputs, strict=True)
    )
    return du, dproj, dweight, dbias, dA, dDs


@scan_backward_op.register_fake
def _(
    dy: Tensor, u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor,
    states: Tensor, order: str, limb: list[int], limb_gradient: bool, backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return (
        torch.empty_like(u), torch.empty_like(proj), torch.empty_like(dt_weight), torch.empty_like(dt_bias),
        torch.empty_like(A), torch.empty_like(Ds),
    )  # fmt: skip


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, order, limb, limb_gradient, backend, _ = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.options = (order, limb, limb_gradient, backend)


def _gradient(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Any, ...]:
    *tensors, states = ctx.saved_tensors
    gradients = torch.ops.posemamba.selective_scan_backward(dy.contiguous(), *tensors, states, *ctx.options)
    return (*gradients, None, None, None, None, None)


scan_op.register_autograd(_gradient, setup_context=_setup)


def _no_second_derivative(ctx: Any, *gradients: Tensor) -> None:
    raise PoseMambaError(
        "the scan's kernels have no second derivative: compute in float64, or within "
        'posemamba.ops.runtime.settings.use(scan="reference")'
    )


scan_backward_op.register_autograd(_no_second_derivative)


def projection_flops(
    u: tuple[int, ...], proj: object, dt_weight: tuple[int, ...], *rest: object, **more: object
) -> int:
    """Count the operations of the step sizes' projection by the shapes of `scan_op`'s arguments, two for a MAC."""
    K, D, R = dt_weight
    B, T, J, _ = u
    return 2 * B * T * J * K * D * R


def _flops(
    u: tuple[int, ...], proj: object, dt_weight: tuple[int, ...], dt_bias: object, A: tuple[int, ...], *rest: object,
    **more: object,
) -> int:  # fmt: skip
    """Count the operations of a scan, for PyTorch's FlopCounterMode."""
    B, T, J, _ = u
    K, D, N = A
    return projection_flops(u, proj, dt_weight) + STEP_FLOPS * B * T * J * K * D * N


def _backward_flops(dy: object, *forward: Any, **more: object) -> int:
    """Count the gradient as twice the scan, as that of a matrix product is two of its kind."""
    return 2 * _flops(*forward)


register_flop_formula(torch.ops.posemamba.selective_scan)(_flops)
register_flop_formula(torch.ops.posemamba.selective_scan_backward)(_backward_flops)
