"""Parts that several models share: stochastic depth (Huang et al. 2016), MLP, attention, full precision, matrices."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Axis = Literal["joints", "frames"]


def drop_path(branch: Tensor, rate: float, clips: int | None = None) -> Tensor:
    """Drop a residual branch for a random share of the clips, and scale it up for the others (stochastic depth).

    Args:
        branch: (B, ...), or (G, ...) with the groups of each clip one after the other.
        rate: share of the clips that skip the branch; 0 returns it unchanged and draws no random number.
        clips: B, where the first axis counts groups.
    """
    if rate == 0:
        return branch
    clips = len(branch) if clips is None else clips
    kept = torch.rand(clips, device=branch.device) >= rate
    scale = (kept / (1 - rate)).to(branch.dtype).repeat_interleave(len(branch) // clips, output_size=len(branch))
    return scale.view(-1, *[1] * (branch.ndim - 1)) * branch


def filled(lift: Callable[[Tensor], Tensor], x_BTJC: Tensor, frames: int) -> Tensor:
    """Lift clips by a function of clips of `frames` frames: of shorter ones each frame is shown as often as fills them.

    Args:
        lift: (B, `frames`, J, C) to (B, `frames`, J, 3).
        x_BTJC: T up to `frames`.
        frames: of the clips that `lift` takes.

    Returns:
        (B, T, J, 3): of each frame the first time that it was shown.
    """
    given = x_BTJC.shape[1]
    if given == frames:
        return lift(x_BTJC)
    shown = torch.arange(frames, device=x_BTJC.device) * given // frames
    first = -(torch.arange(given, device=x_BTJC.device) * frames // -given)
    return lift(x_BTJC[:, shown])[:, first]


class MLP(nn.Module):
    """Linear, GELU, linear, on each token."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class AxialAttention(nn.Module):
    """Multi-head self-attention among the joints of each frame or the frames of each joint. (B, T, J, E).

    N sequences of L tokens each, H heads of width D = E / H.
    """

    def __init__(self, width: int, heads: int, axis: Axis) -> None:
        super().__init__()
        self.heads, self.axis = heads, axis
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        x_BNLE = x_BTJE if self.axis == "joints" else x_BTJE.transpose(1, 2)
        B, N, L, E = x_BNLE.shape
        qkv_3NHLD = self.qkv(x_BNLE).view(B * N, L, 3, self.heads, E // self.heads).permute(2, 0, 3, 1, 4)
        y_NHLD = F.scaled_dot_product_attention(*qkv_3NHLD.unbind(0))
        y_BNLE = self.proj(y_NHLD.transpose(1, 2).reshape(B, N, L, E))
        return y_BNLE if self.axis == "joints" else y_BNLE.transpose(1, 2)


_lock = threading.Lock()
_highest = {"depth": 0, "before": "highest"}


@contextlib.contextmanager
def _no_rounding_of_products() -> Iterator[None]:
    """Forbid TF32 and the like, for all threads, until the last that asked for it is done."""
    with _lock:
        if _highest["depth"] == 0:
            _highest["before"] = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
        _highest["depth"] += 1  # type: ignore[operator]
    try:
        yield
    finally:
        with _lock:
            _highest["depth"] -= 1  # type: ignore[operator]
            if _highest["depth"] == 0:
                torch.set_float32_matmul_precision(_highest["before"])  # type: ignore[arg-type]


def in_full_precision(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return layer(x), computed without autocast and TF32.

    For layers that read or make coordinates. bfloat16 holds these to 1 part in 256: steps of 2 to 4 pixels in a
    picture 1000 pixels wide, and of several millimetres in the result, more than a joint moves from one frame to the
    next.
    """
    if not torch.amp.is_autocast_available(x.device.type):  # the meta device has none
        return layer(x)
    with torch.autocast(x.device.type, enabled=False):
        if torch.compiler.is_compiling() or torch.get_float32_matmul_precision() == "highest":
            return layer(x)
        with _no_rounding_of_products():
            return layer(x)


def matrices_between_layers(model: nn.Module, ends: Iterable[nn.Module | None] = ()) -> list[nn.Parameter]:
    """Return the weights of a model's linear layers, but for its `ends` and for gates and the like of 3 rows or less.

    Args:
        model: any.
        ends: its embedding and heads, with all that is in them.
    """
    outside = {part for end in ends if end is not None for part in end.modules()}
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and m not in outside]
    return [layer.get_parameter("weight") for layer in layers if min(layer.weight.shape) > 3]
