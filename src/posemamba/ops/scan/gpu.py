"""The selective scan on NVIDIA GPUs: launches of the kernels in cuda/, which document how they work.

With few clips, the sequence is cut into segments that run in parallel to fill the GPU. One pass computes each segment's
last state from a zero state, `scan_carry` the true state that enters each segment, and a second pass the outputs.
The backward pass walks a clip in one go, as training has many clips.

Everything is float32 inside; u, projections and outputs may be bfloat16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import torch
from torch import Tensor

from posemamba.ops.runtime import nvrtc
from posemamba.ops.scan.orders import DIRECTIONS, ScanMap
from posemamba.ops.scan.reference import Parameters
from posemamba.utils.errors import PoseMambaError

TILE = 32  # steps; the forward pass keeps the state before each tile for the backward pass
BLOCKS_WANTED = 4  # blocks for each multiprocessor, for which segments are made
SHORTEST_SEGMENT = 4 * TILE
MOST_REPEATED = 4  # fewer segments gain less than computing their first states costs


@dataclass(frozen=True)
class Layout:
    """The layout of the forward kernel's work (see forward.cu)."""

    warps: int
    parts: int

    @property
    def threads(self) -> int:
        """The threads of a block."""
        return 32 * self.warps

    @property
    def channels(self) -> int:
        """The channels of a block."""
        return self.warps // self.parts * 16


FORWARD = Layout(warps=4, parts=2)
FORWARD_MANY = Layout(warps=4, parts=1)  # does less in all, with fewer warps
FORWARD_WARPS = 16  # of a multiprocessor at once: limits the registers of a thread
BACKWARD = Layout(warps=4, parts=2)
BACKWARD_MANY = Layout(warps=4, parts=1)
BACKWARD_SMALL = Layout(warps=2, parts=2)  # where a block has less shared memory
BACKWARD_BLOCKS = 2  # of a multiprocessor at once


def _multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":
        return 8  # tests, without a GPU
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _layout(u: Tensor, few: Layout, many: Layout, enough: float) -> Layout:
    """Choose the layout: `many` if it makes `enough` blocks for each multiprocessor (measured on an H100)."""
    B, D = u.shape[0], u.shape[-1]
    blocks = B * DIRECTIONS * -(-D // many.channels)
    return many if blocks >= enough * _multiprocessors(u.device) else few


@lru_cache
def _source(*names: str) -> str:
    folder = resources.files("posemamba.ops.scan") / "cuda"
    return "".join((folder / name).read_text(encoding="utf-8") for name in names)


def _kernel(file: str, name: str, threads: int, macros: dict[str, int], device: torch.device) -> nvrtc.Kernel:
    headers = ("common.cuh",) if file == "sum.cu" else ("common.cuh", "inputs.cuh")
    try:
        return nvrtc.kernel(_source("device.cuh", *headers, file), tuple(macros.items()), name, threads, device)
    except (RuntimeError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise PoseMambaError(f"the scan's CUDA kernels do not run here ({first}): use the CPU") from error


def _forward_kernel(
    name: str, layout: Layout, D: int, R: int, half: bool, device: torch.device, output: bool, keep: bool
) -> nvrtc.Kernel:
    macros = dict(
        RANK=R, HALF=half, EXACT=not half, WIDE=D % layout.channels == 0, GRADIENT=0, OUTPUT=output, KEEP=keep,
        THREADS=layout.threads, WARPS=layout.warps, PARTS=layout.parts, CHANNELS=layout.channels, TILE=TILE,
        BLOCKS_PER_SM=FORWARD_WARPS // layout.warps,
    )  # fmt: skip
    return _kernel("forward.cu", name, layout.threads, {k: int(v) for k, v in macros.items()}, device)


def _sum_directions(x: Tensor, maps: ScanMap, credit: bool) -> Tensor:
    """Sum (B, K, T, J, D) over directions, to (B, T, J, D).

    With `credit`, each token also gets the merged directions' values of the tokens whose limb partner it is.
    """
    B, K, T, J, D = x.shape
    half = x.dtype == torch.bfloat16
    pack = 16 // x.element_size()
    wide = D % pack == 0
    macros = dict(RANK=1, HALF=int(half), EXACT=0, WIDE=int(wide), LIMBS=int(credit), DIRECTIONS=K)
    out = x.new_empty(B, T, J, D)
    packs = out.numel() // (pack if wide else 1)
    _kernel("sum.cu", "sum_directions", 256, macros, x.device)(
        (-(-packs // 256), 1, 1), x, out, maps.first_giver, maps.givers, J, _merged_bits(maps), T * J * D, D, packs
    )
    return out


def _merged_bits(maps: ScanMap) -> int:
    return sum(1 << k for k, merged in enumerate(maps.merged) if merged)


def _segments(clips: int, K: int, D: int, L: int, channels: int, device: torch.device) -> tuple[int, int]:
    """Return (steps of a segment, segments)."""
    wanted = BLOCKS_WANTED * _multiprocessors(device)
    blocks = clips * K * -(-D // channels)
    segments = max(1, min(wanted // blocks, L // SHORTEST_SEGMENT))
    if segments < MOST_REPEATED:  # the first pass costs as much as the second
        segments = 1
    steps = -(-L // (segments * TILE)) * TILE
    return steps, -(-L // steps)


def states_shape(u: Tensor, A: Tensor) -> tuple[int, ...]:
    """Return the shape of the states that the forward pass keeps, (B, K, tiles, N, D)."""
    B, T, J, D = u.shape
    K, _, N = A.shape
    return (B, K, -(-T * J // TILE), N, D)


def _check_size(u: Tensor, proj: Tensor) -> None:
    clip = max(math.prod(u.shape[1:]), math.prod(proj.shape[1:]))
    if clip >= 2**31:
        raise PoseMambaError(f"a clip of {u.shape[1]} frames is too long for the GPU's scan: lift it in windows")


def forward_by_direction(
    u: Tensor, proj: Tensor, parameters: Parameters, maps: ScanMap, merge_rows: bool, keep: bool = False,
    layout: Layout | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Run the scan without adding the directions: outputs (B, K, T, J, D) in u's type, and the states before tiles.

    Args:
        u: (B, T, J, D).
        proj: (B, T, J, K, P) in u's type.
        parameters: of the layer.
        maps: the scan order's tables.
        merge_rows: True if the limb partners' projections are still to be added in merged directions.
        keep: return the states that the backward pass needs, else an empty tensor.
        layout: the layout of the work; None chooses.
    """
    layout = layout or _layout(u, FORWARD, FORWARD_MANY, 3)
    B, T, J, D = u.shape
    K, R = parameters.weight.shape[:2]
    N, L, device = parameters.a2.shape[1], T * J, u.device
    _check_size(u, proj)
    u, proj = u.contiguous(), proj.contiguous()
    half = u.dtype == torch.bfloat16
    steps, segments = _segments(B, K, D, L, layout.channels, device)
    y = u.new_empty(B, K, T, J, D)
    states = u.new_empty(states_shape(u, parameters.a2.transpose(1, 2)) if keep else 0, dtype=torch.float32)
    grid = (-(-D // layout.channels), K, B * segments)
    tensors = (u, proj, parameters.weight, parameters.bias, parameters.a2, parameters.skip, maps.steps)
    enter = None
    if segments > 1:
        last, enter = (u.new_empty(B, K, segments, N, D, dtype=torch.float32) for _ in range(2))
        dt_sum = u.new_empty(B, K, segments, D, dtype=torch.float32)
        _forward_kernel("scan_forward", layout, D, R, half, device, output=False, keep=False)(
            grid, *tensors, None, None, None, last, dt_sum, L, D, steps, segments, int(merge_rows)
        )
        total = B * K * N * D
        _forward_kernel("scan_carry", layout, D, R, half, device, output=False, keep=False)(
            (-(-total // layout.threads), 1, 1), last, dt_sum, parameters.a2, enter, D, K, segments, total
        )
    _forward_kernel("scan_forward", layout, D, R, half, device, output=True, keep=keep)(
        grid, *tensors, enter, y, states if keep else None, None, None, L, D, steps, segments, int(merge_rows)
    )
    return y, states


def forward(
    u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap,
    merge_rows: bool, keep: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Run the scan: output (B, T, J, D) in u's type, and the states before tiles (empty unless `keep`).

    Shapes as in operator.py.
    """
    parameters = Parameters.of(dt_weight, dt_bias, A, Ds)
    y, states = forward_by_direction(u, proj, parameters, maps, merge_rows, keep)
    return _sum_directions(y, maps, credit=False), states


def backward(
    dy: Tensor, u: Tensor, proj: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, Ds: Tensor, maps: ScanMap,
    states: Tensor, merge_rows: bool, credit: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Compute the gradients of u in u's type, and of proj and the parameters in float32.

    `credit`: limb partners get their share of u's gradient.
    """
    B, T, J, D = u.shape
    K, R, N, L, device = A.shape[0], dt_weight.shape[-1], A.shape[-1], T * J, u.device
    _check_size(u, proj)
    parameters = Parameters.of(dt_weight, dt_bias, A, Ds)
    u, proj, dy = u.contiguous(), proj.contiguous(), dy.contiguous()
    half = u.dtype == torch.bfloat16
    for layout in (_layout(u, BACKWARD, BACKWARD_MANY, 1.5), BACKWARD, BACKWARD_SMALL):
        macros = dict(
            RANK=R, HALF=half, EXACT=not half, WIDE=D % layout.channels == 0, THREADS=layout.threads,
            WARPS=layout.warps, PARTS=layout.parts, CHANNELS=layout.channels, TILE=TILE, GRADIENT=1,
            BLOCKS_PER_SM=BACKWARD_BLOCKS,
        )  # fmt: skip
        kernel = _kernel("backward.cu", "scan_backward", layout.threads, {k: int(v) for k, v in macros.items()}, device)
        if kernel.fits:
            break

    def empty(*size: int) -> Tensor:
        return torch.empty(size, device=device, dtype=torch.float32)

    du = u.new_empty(B, K, T, J, D)
    dproj = torch.zeros(proj.shape, device=device, dtype=torch.float32)
    dweight, dA, dDs, dbias = empty(B, K, R, D), empty(B, K, N, D), empty(B, K, D), empty(B, K, D)
    kernel(
        (-(-D // layout.channels), K, B), u, proj, parameters.weight, parameters.bias, parameters.a2, parameters.skip,
        maps.steps, dy, states, du, dproj, dweight, dA, dDs, dbias, L, D, int(merge_rows),
    )  # fmt: skip
    return (
        _sum_directions(du, maps, credit),
        dproj,
        dweight.sum(0).transpose(1, 2),
        dbias.sum(0),
        dA.sum(0).transpose(1, 2),
        dDs.sum(0),
    )
