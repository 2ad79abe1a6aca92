"""CUDA graphs of the forward pass: for few clips, starting the kernels takes longer than running them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from posemamba.ops.fused.gpu.layers import forward, forward_and_features
from posemamba.ops.fused.weights import ModelLayout, Weights
from posemamba.ops.scan.orders import ScanMap, scan_map
from posemamba.utils.errors import PoseMambaError

MOST = 4  # graphs of one model: so many shapes of input


@dataclass
class _Captured:
    """A captured forward pass and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    y: Tensor
    features: Tensor
    maps: ScanMap
    """Kept, since its cache may drop it."""


class Graphs:
    """The forward passes of one model, captured when a shape comes up for the second time.

    Use a model on one stream at a time: all calls with one shape share their memory.
    """

    def __init__(self, weights: Weights, layout: ModelLayout) -> None:
        self._weights, self._layout = weights, layout
        self._captured: OrderedDict[tuple[int, ...], _Captured] = OrderedDict()
        self._seen: OrderedDict[tuple[int, ...], None] = OrderedDict()
        self._pool = torch.cuda.graph_pool_handle()  # shared, since outputs are copied out before the next replay
        self._lock = threading.Lock()

    def __call__(self, x_BTJC: Tensor, features: bool = False) -> Tensor | None:
        """The output, or what the last layer knows; None for a shape that is new: run that without a graph."""
        shape = tuple(x_BTJC.shape)
        with self._lock:
            if shape not in self._captured and shape not in self._seen:
                self._seen[shape] = None
                if len(self._seen) > 4 * MOST:
                    self._seen.popitem(last=False)
                return None
            if shape not in self._captured:
                while len(self._captured) >= MOST:
                    self._captured.popitem(last=False)
                self._captured[shape] = self._capture(x_BTJC)
            self._captured.move_to_end(shape)
            captured = self._captured[shape]
            captured.x.copy_(x_BTJC)
            captured.graph.replay()
            return (captured.features if features else captured.y).clone()

    def _capture(self, x_BTJC: Tensor) -> _Captured:
        try:
            x = x_BTJC.float().clone(memory_format=torch.contiguous_format)
            before = torch.cuda.Stream()
            before.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(before):  # kernels are compiled and libraries make their workspaces
                forward(x, self._weights, self._layout)
            torch.cuda.current_stream().wait_stream(before)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                y, features = forward_and_features(x, self._weights, self._layout)
        except Exception as error:
            self._pool = torch.cuda.graph_pool_handle()  # the old one may still count as being captured into
            raise PoseMambaError(
                f"no CUDA graph could be made of the forward pass for {tuple(x_BTJC.shape)} ({error}): set "
                "POSEMAMBA_FUSED=eager to do without graphs"
            ) from error
        _, T, J, _ = x.shape
        return _Captured(
            graph, x, y, features, scan_map(self._layout.scan_order, T, J, self._layout.limb_order, x.device)
        )
