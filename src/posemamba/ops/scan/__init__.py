"""The selective scan over (frames, joints): one operator with three backends.

`selective_scan` is the whole interface. The backends are 'cuda' for NVIDIA GPUs, 'numba' for CPUs, and 'reference' for
any device and precision. One is chosen by the tensors' device and type; the argument `backend` or the environment
variable POSEMAMBA_SCAN forces one. `why(device)` returns the choice and its reason, for `posemamba doctor`.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from posemamba.ops.runtime import settings
from posemamba.ops.runtime.settings import constant_for_compiler
from posemamba.ops.scan.operator import merges_inside, scan_op
from posemamba.ops.scan.orders import ORDERS, OrderName, by_joints, merges, register_order, scan_map
from posemamba.ops.scan.reference import selective_scan_reference
from posemamba.utils.errors import PoseMambaError

__all__ = [
    "BACKENDS",
    "ORDERS",
    "Backend",
    "OrderName",
    "by_joints",
    "choose_backend",
    "project",
    "register_order",
    "scan",
    "selective_scan",
    "why",
]

Backend = Literal["auto", "cuda", "numba", "reference"]
BACKENDS = ("cuda", "numba", "reference")


def why(device: torch.device | str, dtype: torch.dtype = torch.float32) -> tuple[str, str]:
    """Return the backend for tensors of this device and type when none is forced, and the reason for it."""
    device = torch.device(device)
    if dtype == torch.float64:
        return "reference", "float64 tensors: only the reference computes in float64"
    if device.type == "cuda":
        if torch.version.cuda is None:
            return "reference", "a GPU that is not NVIDIA's: no kernel for it, slow"
        capability = torch.cuda.get_device_capability(device)
        if capability < (8, 0):
            return "reference", f"GPU of compute capability {capability[0]}.{capability[1]}, the kernels need 8.0: slow"
        return "cuda", "NVIDIA GPU: CUDA kernels, compiled at first use by the NVRTC that comes with PyTorch"
    if device.type == "cpu":
        return "numba", "CPU: vectorised Numba kernels"
    if device.type == "meta":
        return "numba", "meta tensors: shapes alone, which the operator tells without a kernel"
    return "reference", f"no kernel for device type '{device.type}': slow, use a CPU or an NVIDIA GPU"


@lru_cache(maxsize=8)
def _warn_of_reference(reason: str) -> None:
    """Warn that the slow reference runs, once for each reason."""
    warnings.warn(f"the scan runs step by step in plain PyTorch: {reason}", stacklevel=4)


def _is_transformed() -> bool:
    """Tell whether torch.func or forward-mode derivatives are at work, which follow single operations."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


@constant_for_compiler
def choose_backend(device: torch.device, dtype: torch.dtype, asked: str | None = None) -> str:
    """Return the backend that runs: `asked`, else what `posemamba.ops.use` forces, else what suits the device.

    Raises:
        PoseMambaError: the name is unknown, or that backend cannot run on this device.
    """
    name = asked if asked not in (None, "auto") else settings.scan_backend()
    if name == "auto" and _is_transformed():
        return "reference"
    if name == "auto":
        chosen, reason = why(device, dtype)
        if chosen == "reference" and dtype != torch.float64:
            _warn_of_reference(reason)
        return chosen
    if name not in BACKENDS:
        raise PoseMambaError(f"unknown scan backend '{name}', expected auto, {' or '.join(BACKENDS)}")
    needs = {"cuda": device.type == "cuda", "numba": device.type in ("cpu", "meta"), "reference": True}
    if not needs[name]:
        raise PoseMambaError(f"the scan backend '{name}' does not run on device '{device}': leave it on auto")
    return str(name)


def project(
    u: Tensor, x_proj_weight: Tensor, *, limb: tuple[int, ...], order: str = "global_local",
    limb_gradient: bool = True, backend: str | None = None,
) -> Tensor:  # fmt: skip
    """Project tokens by W_k for `scan`, to (B, T, J, K, P). Arguments as in `selective_scan`.

    As W (x + x_limb) = W x + W x_limb, limb partners are merged on these narrow projections, here or by the backend.
    """
    B, T, J, D = u.shape
    K, P = x_proj_weight.shape[:2]
    if len(limb) != J:
        raise ValueError(f"limb order has {len(limb)} joints, the grid has {J}")
    proj = F.linear(u, x_proj_weight.reshape(K * P, D)).view(B, T, J, K, P)
    if merges(order) and not merges_inside(choose_backend(u.device, u.dtype, backend), limb_gradient):
        maps = scan_map(order, T, J, limb, u.device)
        partner = proj if limb_gradient else F.linear(u.detach(), x_proj_weight.reshape(K * P, D)).view_as(proj)
        limb_proj = (maps.limb_rows.to(proj.dtype) @ partner.reshape(B, T, J, K * P)).view_as(proj)
        proj = torch.addcmul(proj, limb_proj, maps.merging.to(proj.dtype))
    return proj.contiguous()


def scan(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A_log: Tensor, Ds: Tensor, *, limb: tuple[int, ...],
    order: str = "global_local", limb_gradient: bool = True, backend: str | None = None,
) -> Tensor:  # fmt: skip
    """Run `selective_scan` on tokens that `project` has projected with the same options."""
    B, T, J, D = u.shape
    K, P = proj.shape[-2:]
    N = A_log.shape[-1]
    weight_dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    A = -torch.exp(A_log.to(weight_dtype)).view(K, D, N)
    parameters = (dt_weight.to(weight_dtype), dt_bias.to(weight_dtype), A, Ds.to(weight_dtype).view(K, D))
    chosen = choose_backend(u.device, u.dtype, backend)
    if chosen == "reference":
        maps, dtype = scan_map(order, T, J, limb, u.device), weight_dtype
        y = selective_scan_reference(
            u.reshape(B, T * J, D).to(dtype), proj.reshape(B, T * J, K, P).to(dtype), *parameters,
            maps.tokens, maps.partner, maps.merged, limb_gradient,
        )  # fmt: skip
        return y.view(B, T, J, D).to(u.dtype)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (u, proj, *parameters))
    y, _ = scan_op(u, proj, *parameters, order, list(limb), limb_gradient, chosen, keep)
    return y


def selective_scan(
    u: Tensor,
    x_proj_weight: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A_log: Tensor,
    Ds: Tensor,
    *,
    limb: tuple[int, ...],
    order: str = "global_local",
    limb_gradient: bool = True,
    backend: str | None = None,
) -> Tensor:
    """Scan a grid of tokens in four directions and add the outputs. Paper equations 2 to 6, figures 3 and 4.

    For direction k, at token x (a merged direction reads u[t, j] + u[t, limb[j]]):
    (s, B, C) = W_k x; dt = softplus(P_k s + b_k); h = exp(dt A_k) h + dt B x; y = <C, h> + D_k x.

    Args:
        u: (B, T, J, D) tokens in natural order.
        x_proj_weight: (K, R + 2N, D), W_k.
        dt_weight, dt_bias: (K, D, R) and (K, D), P_k and b_k.
        A_log: (K * D, N); A = -exp(A_log).
        Ds: (K * D,), the skip weights D_k.
        limb: for each joint the joint merged with it.
        order: one of `ORDERS`.
        limb_gradient: False leaves the limb partner out of u's gradient, as the published training did.
        backend: 'cuda', 'numba', 'reference' or None to choose by the device.

    Returns:
        (B, T, J, D), the sum over directions in natural order, in u's type; the state is float32 (float64 for float64).
    """
    options = {"limb": limb, "order": order, "limb_gradient": limb_gradient, "backend": backend}
    proj = project(u, x_proj_weight, **options)  # type: ignore[arg-type]
    return scan(u, proj, dt_weight, dt_bias, A_log, Ds, **options)  # type: ignore[arg-type]
