"""Depth-wise 3x3 convolution over (frames, joints) with bias and SiLU, channels last, in one pass on a GPU.

Triton kernels run on GPUs that support them, PyTorch elsewhere. Shapes: B clips, T frames, J joints, D channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from posemamba.ops.runtime.settings import constant_for_compiler


@constant_for_compiler
def _triton_runs(device: torch.device) -> bool:
    from posemamba.ops.runtime import triton as triton_support  # of use on a GPU only

    return triton_support.runs(device)


def conv_silu(x: Tensor, weight: Tensor, bias: Tensor | None, backend: str | None = None) -> Tensor:
    """Compute SiLU of the depth-wise convolution, zero padded.

    Args:
        x: (B, T, J, D), any strides; half of a wider tensor is read without a copy.
        weight: (D, 1, 3, 3), rows are frames, columns joints.
        bias: (D,); None is zero.
        backend: 'triton', 'torch' or None to choose by the device.

    Returns:
        (B, T, J, D) contiguous, in x's type.
    """
    if bias is None:
        bias = weight.new_zeros(len(weight))
    if backend is None:
        on_gpu = x.device.type == "cuda" and x.dtype in (torch.float32, torch.bfloat16)
        backend = "triton" if on_gpu and _triton_runs(x.device) else "torch"
    if backend == "triton":
        return torch.ops.posemamba.conv_silu(x, weight, bias)
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=x.shape[-1])
    return F.silu(y).permute(0, 2, 3, 1).contiguous()


@torch.library.custom_op("posemamba::conv_silu", mutates_args=())
def conv_silu_op(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    from posemamba.ops.conv_silu import gpu as depthwise_gpu

    with torch.cuda.device_of(x):
        return depthwise_gpu.forward(x, weight, bias)


@torch.library.custom_op("posemamba::conv_silu_backward", mutates_args=())
def conv_silu_backward_op(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from posemamba.ops.conv_silu import gpu as depthwise_gpu

    with torch.cuda.device_of(x):
        return depthwise_gpu.backward(dy, x, weight, bias)


@conv_silu_op.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@conv_silu_backward_op.register_fake
def _(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), torch.empty_like(weight), torch.empty_like(bias)


def _setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.ops.posemamba.conv_silu_backward(dy.contiguous(), *ctx.saved_tensors)


conv_silu_op.register_autograd(_gradient, setup_context=_setup)
