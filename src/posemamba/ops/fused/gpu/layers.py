"""PoseMamba's forward pass in four kernels a layer: convolution, projection, scan, and all that follows the scan.

Shapes: B clips, T frames, J joints, M = B * T * J tokens; E model width, D = 2E, K directions, P = R + 2N.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from posemamba.ops.fused.gpu.tiles import Tile, choose_tile
from posemamba.ops.fused.weights import LayerWeights, ModelLayout, Weights
from posemamba.ops.scan import gpu
from posemamba.ops.scan.orders import DIRECTIONS, scan_map


def scan(u_BTJD: Tensor, proj_BTJKP: Tensor, layer: LayerWeights, layout: ModelLayout) -> Tensor:
    """The scan as slabs (B, S, T * J, D) that have yet to be added up; `proj` before limbs are merged."""
    B, T, J, D = u_BTJD.shape
    maps = scan_map(layout.scan_order, T, J, layout.limb_order, u_BTJD.device)
    y, _ = gpu.forward_by_direction(u_BTJD, proj_BTJKP, layer.scan, maps, merge_rows=True)
    return y.view(B, -1, T * J, D)


def _launch_options(tile: Tile, dtype: torch.dtype) -> dict[str, Any]:
    """Compile-time arguments that both kernels share."""
    options: dict[str, Any] = dict(BLOCK_M=tile.rows, CHUNK=tile.chunk, STAGES=tile.stages, num_warps=tile.warps)
    options["PRECISION"] = "tf32" if dtype == torch.bfloat16 else "tf32x3"  # of float32 operands only
    if tile.registers is not None:
        options["maxnreg"] = tile.registers
    return options


def embed(x_BTJC: Tensor, weights: Weights, stream_ME: Tensor, tile: Tile) -> Tensor:
    """The 2D joints' embedding, written to the stream; returns the first layer's in-projection (B, T, J, D)."""
    from posemamba.ops.fused.gpu.kernels import embed_kernel

    B, T, J, C = x_BTJC.shape
    M, E = stream_ME.shape
    ends, first = weights.ends, weights.layers[0]
    inner_BTJD = first.weight_x.new_empty(B, T, J, 2 * E)
    embed_kernel[(-(-M // tile.rows),)](
        x_BTJC, ends.embed_weight, ends.embed_bias, ends.joint_embedding, first.norm_weight, first.norm_bias,
        first.weight_x, stream_ME, inner_BTJD, M, J, C=C, E=E, **_launch_options(tile, inner_BTJD.dtype),
    )  # fmt: skip
    return inner_BTJD


def tail(y_BSLD: Tensor, weights: Weights, i: int, stream_ME: Tensor, frames: int, tile: Tile) -> Tensor:
    """Compute what follows layer i's scan: change the stream; return the next in-projection (B, T, J, D), or after
    the last layer the 3D joints (B, T, J, 3), float32."""
    from posemamba.ops.fused.gpu.kernels import tail_kernel

    B, S, L, D = y_BSLD.shape
    M, E = stream_ME.shape
    J = L // frames
    ends, layer = weights.ends, weights.layers[i]
    after: tuple[Tensor, ...]
    if i % 2 == 0:
        model_norm = (ends.spatial_norm_weight, ends.spatial_norm_bias)
    else:
        model_norm = (ends.temporal_norm_weight, ends.temporal_norm_bias)
    if i + 1 == len(weights.layers):
        place, out = "last", stream_ME.new_empty(B, frames, J, 3)
        after = (ends.head_norm_weight, ends.head_norm_bias, ends.head_weight, ends.head_bias)
    else:
        place, out = "first" if i == 0 else "middle", layer.weight_x.new_empty(B, frames, J, D)
        following = weights.layers[i + 1]
        after = (following.norm_weight, following.norm_bias, following.weight_x, ends.frame_embedding)
    tail_kernel[(-(-M // tile.rows),)](
        stream_ME, y_BSLD, layer.norm_weight, layer.norm_bias, layer.weight_z,
        layer.out_norm_weight, layer.out_norm_bias, layer.weight_out, layer.norm2_weight, layer.norm2_bias,
        layer.weight_1, layer.bias_1, layer.weight_2, layer.bias_2, *model_norm, *after, out, M, L, J,
        SLABS=S, E=E, H=layer.weight_1.shape[0], PLACE=place, **_launch_options(tile, layer.weight_x.dtype),
    )  # fmt: skip
    return out


def forward(x_BTJC: Tensor, weights: Weights, layout: ModelLayout, tile: Tile | None = None) -> Tensor:
    """2D joints (B, T, J, C) to 3D joints (B, T, J, 3), float32. Call it without gradients and autocast."""
    return forward_and_features(x_BTJC, weights, layout, tile)[0]


def forward_and_features(
    x_BTJC: Tensor, weights: Weights, layout: ModelLayout, tile: Tile | None = None
) -> tuple[Tensor, Tensor]:
    """Compute `forward` and the last layer's features of each joint, (B, T, J, E), float32.

    Of tensors as large as the clips, at most these are alive at once: the float32 stream, the scan's input, the
    projections and the scan's slabs.
    """
    from posemamba.ops.conv_silu.gpu import convolve

    B, T, J, _ = x_BTJC.shape
    x_BTJC = layout.placed(x_BTJC.float()).contiguous()
    layers = weights.layers
    dtype = layers[0].weight_x.dtype
    tile = tile or choose_tile(layout.width, B * T * J, dtype, x_BTJC.device)
    stream_ME = x_BTJC.new_empty(B * T * J, layout.width)
    inner = embed(x_BTJC, weights, stream_ME, tile)
    for i, layer in enumerate(layers):
        u = convolve(inner, layer.taps, layer.conv_bias, activate=True)
        del inner
        proj = F.linear(u, layer.x_proj).view(B, T, J, DIRECTIONS, -1)
        y = scan(u, proj, layer, layout)
        del u, proj
        inner = tail(y, weights, i, stream_ME, T, tile)
        del y
    return inner, stream_ME.view(B, T, J, -1)
