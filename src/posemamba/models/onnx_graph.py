"""A PoseMamba written out as an ONNX graph of standard operators (opset 20), for one clip of a fixed number of frames.

The scan is ONNX's own `Scan`: one step a token, all four directions together. Everything that does not depend on the
state is computed before it, for all tokens at once. The order of tokens is in index tables, so T is fixed.

Shapes in names: L = T * J tokens, C input channels, E width, D inner width, K directions, N states, R rank of the step
size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_block import STATES, Block, StateSpace2D
from posemamba.ops.scan.orders import DIRECTIONS, scan_map
from posemamba.utils.errors import require

OPSET = 20
"""The first operator set with Gelu."""
IR_VERSION = 9
"""The file format's version that came with that operator set: later ones are refused by older runtimes."""
INPUT, OUTPUT, ERRORS = "joints", "poses", "errors"
"""Names of the graph's input and outputs."""


class _Graph:
    """Nodes and constants of a graph; the body of a `Scan` shares its outer graph's constants and names."""

    def __init__(self, outer: _Graph | None = None) -> None:
        self.onnx: Any = require("onnx", "onnx")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._root: _Graph = self if outer is None else outer._root
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._names = 0

    def name(self) -> str:
        """Return a new name of a value."""
        self._root._names += 1
        return f"v{self._root._names}"

    def constant(self, values: Any) -> str:
        """Keep an array or tensor in the file, equal ones once."""
        root = self._root
        array = np.ascontiguousarray(values.detach().numpy() if isinstance(values, Tensor) else values)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in root._known:
            root._known[key] = f"c{len(root._known)}"
            root.constants.append(self.onnx.numpy_helper.from_array(array, root._known[key]))
        return root._known[key]

    def ints(self, *values: int) -> str:
        """Keep a list of int64: a shape, or axes."""
        return self.constant(np.array(values, np.int64))

    def add(self, kind: str, *inputs: str, outputs: int = 1, out: str | None = None, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of several."""
        names = [out] if out else [self.name() for _ in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def value(self, name: str, *shape: int) -> Any:
        """Describe a float32 value of a graph's input or output."""
        return self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, list(shape))

    def linear(self, x: str, layer: nn.Linear) -> str:
        y: str = self.add("MatMul", x, self.constant(layer.weight.T))
        return y if layer.bias is None else self.add("Add", y, self.constant(layer.bias))

    def norm(self, x: str, layer: nn.LayerNorm) -> str:
        weight, bias = self.constant(layer.weight), self.constant(layer.bias)
        return str(self.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.eps))

    def silu(self, x: str) -> str:
        return str(self.add("Mul", x, self.add("Sigmoid", x)))

    def softplus(self, x: str) -> str:
        """Compute max(x, 0) + log(1 + exp(-|x|)): ONNX Runtime's own Softplus takes much longer."""
        small = self.add("Exp", self.add("Neg", self.add("Abs", x)))
        log = self.add("Log", self.add("Add", small, self.constant(np.float32(1))))
        return str(self.add("Add", self.add("Max", x, self.constant(np.float32(0))), log))


class _Tables:
    """Index tables of a scan order on a grid of T frames, for arrays flattened to (K * L, ...) or (L * K, ...).

    Attributes:
        walk: (L, K), the row of (K * L) that each direction reads at each step.
        back: (K, L), the row of (L * K) in which each direction left each token's output.
        partner: (L,), the limb partner of each token.
        merging: (K, 1, 1) float32, 1 for the directions that merge.
    """

    def __init__(self, model: PoseMamba, frames: int) -> None:
        config = model.config
        maps = scan_map(config.scan_order, frames, config.joints, config.limb_order)
        tokens = maps.tokens.long().numpy()
        directions, length = tokens.shape
        self.walk = (tokens + length * np.arange(directions)[:, None]).T
        self.back = np.argsort(tokens, axis=1) * directions + np.arange(directions)[:, None]
        self.partner = maps.partner.long().numpy()
        self.merging = maps.merging.numpy()[:, :, None]


def _recurrence(g: _Graph, dt_LK1D: str, dtx_LK1D: str, b_LKN1: str, c_LK1N: str, A_KND: Tensor) -> str:
    """Run h = exp(dt A) h + B dt x; y = C h over all tokens: (L, K, 1, D)."""
    K, N, D = A_KND.shape
    body = _Graph(outer=g)
    h, dt, dtx, b, c = (g.name() for _ in range(5))
    decay = body.add("Exp", body.add("Mul", dt, g.constant(A_KND)))
    after = body.add("Add", body.add("Mul", decay, h), body.add("Mul", dtx, b))
    y = body.add("MatMul", c, after)
    inputs = [body.value(h, K, N, D), body.value(dt, K, 1, D), body.value(dtx, K, 1, D)]
    inputs += [body.value(b, K, N, 1), body.value(c, K, 1, N)]
    step = g.onnx.helper.make_graph(body.nodes, "step", inputs, [body.value(after, K, N, D), body.value(y, K, 1, D)])
    start = g.constant(np.zeros((K, N, D), np.float32))
    _, y_LK1D = g.add("Scan", start, dt_LK1D, dtx_LK1D, b_LKN1, c_LK1N, outputs=2, num_scan_inputs=4, body=step)
    return str(y_LK1D)


def _state_space(g: _Graph, op: StateSpace2D, x_LE: str, tables: _Tables, frames: int) -> str:
    """Compute `StateSpace2D`: (L, E)."""
    config = op.config
    J, D, R, K, N = config.joints, config.inner_width, config.dt_rank, DIRECTIONS, STATES
    L = frames * J
    x_LD, z_LD = g.add("Split", g.linear(x_LE, op.in_proj), axis=-1, num_outputs=2, outputs=2)
    grid = g.add("Transpose", g.add("Reshape", x_LD, g.ints(1, frames, J, D)), perm=[0, 3, 1, 2])
    weight, bias = g.constant(op.conv2d.weight), g.constant(op.conv2d.bias)
    grid = g.silu(g.add("Conv", grid, weight, bias, group=D, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
    u_LD = g.add("Reshape", g.add("Transpose", grid, perm=[0, 2, 3, 1]), g.ints(L, D))
    partner, merging = g.constant(tables.partner), g.constant(tables.merging)
    limb_LD = g.add("Gather", u_LD, partner, axis=0)
    merge = bool(tables.merging.any())

    # in the tokens' order, all directions at once: (K, L, ...)
    proj_KLP = g.add("MatMul", u_LD, g.constant(op.x_proj_weight.transpose(1, 2)))
    x_KLD = u_LD
    if merge:
        limb_KLP = g.add("Gather", proj_KLP, partner, axis=1)
        proj_KLP = g.add("Add", proj_KLP, g.add("Mul", limb_KLP, merging))
        x_KLD = g.add("Add", u_LD, g.add("Mul", limb_LD, merging))
    s_KLR, b_KLN, c_KLN = g.add("Split", proj_KLP, g.ints(R, N, N), axis=-1, outputs=3)
    before = g.add("MatMul", s_KLR, g.constant(op.dt_projs_weight.transpose(1, 2)))
    dt_KLD = g.softplus(g.add("Add", before, g.constant(op.dt_projs_bias[:, None])))
    dtx_KLD = g.add("Mul", dt_KLD, x_KLD)

    # in the order of each direction's walk: (L, K, ...)
    def walked(value: str, channels: int, *tail: int) -> str:
        rows = g.add("Reshape", value, g.ints(K * L, channels))
        return str(g.add("Reshape", g.add("Gather", rows, g.constant(tables.walk), axis=0), g.ints(L, K, *tail)))

    A_KND = -torch.exp(op.A_logs.detach()).view(K, D, N).transpose(1, 2)
    inputs = walked(dt_KLD, D, 1, D), walked(dtx_KLD, D, 1, D), walked(b_KLN, N, N, 1), walked(c_KLN, N, 1, N)
    rows = g.add("Reshape", _recurrence(g, *inputs, A_KND), g.ints(L * K, D))
    y_LD = g.add("ReduceSum", g.add("Gather", rows, g.constant(tables.back), axis=0), g.ints(0), keepdims=0)

    Ds_KD = op.Ds.detach().view(K, D)
    y_LD = g.add("Add", y_LD, g.add("Mul", u_LD, g.constant(Ds_KD.sum(0))))
    if merge:
        merged_D = (Ds_KD * torch.from_numpy(tables.merging)[:, 0]).sum(0)
        y_LD = g.add("Add", y_LD, g.add("Mul", limb_LD, g.constant(merged_D)))
    return g.linear(g.add("Mul", g.norm(y_LD, op.out_norm), g.silu(z_LD)), op.out_proj)


def _block(g: _Graph, block: Block, x_LE: str, tables: _Tables, frames: int) -> str:
    x_LE = g.add("Add", x_LE, _state_space(g, block.op, g.norm(x_LE, block.norm), tables, frames))
    hidden = g.add("Gelu", g.linear(g.norm(x_LE, block.norm2), block.mlp.fc1))
    return str(g.add("Add", x_LE, g.linear(hidden, block.mlp.fc2)))


def _centred(g: _Graph, x_LC: str, channels: int) -> str:
    """Take x and y relative to their mean over the clip."""
    xy, *rest = g.add("Split", x_LC, g.ints(2, channels - 2), axis=-1, outputs=2) if channels > 2 else [x_LC]
    xy = g.add("Sub", xy, g.add("ReduceMean", xy, g.ints(0), keepdims=1))
    return str(g.add("Concat", xy, *rest, axis=-1)) if rest else str(xy)


def build_graph(model: PoseMamba, frames: int) -> Any:
    """Write out a model's forward pass as an `onnx.ModelProto`.

    Args:
        model: on the CPU in float32.
        frames: T, at most `model.config.frames`.

    Returns:
        A model with the input `joints` (1, T, J, 2 or 3) and the output `poses` (1, T, J, 3); if the model has an
        error head, also `errors` (1, T, J).

    Raises:
        PoseMambaError: the package onnx is not installed.
    """
    config, g = model.config, _Graph()
    J, tables = config.joints, _Tables(model, frames)
    x = g.add("Reshape", INPUT, g.ints(frames * J, config.channels))
    x = _centred(g, x, config.channels) if config.centred else x
    x = g.linear(x, model.Spatial_patch_to_embedding)
    x = g.add("Add", x, g.constant(model.Spatial_pos_embed[0].repeat(frames, 1)))
    for i, (spatial, temporal) in enumerate(zip(model.STEblocks, model.TTEblocks, strict=True)):
        x = g.norm(_block(g, spatial, x, tables, frames), model.Spatial_norm)  # type: ignore[arg-type]
        if i == 0:
            x = g.add("Add", x, g.constant(model.Temporal_pos_embed[0, :frames].repeat_interleave(J, 0)))
        x = g.norm(_block(g, temporal, x, tables, frames), model.Temporal_norm)  # type: ignore[arg-type]
    norm, linear = model.head
    y = g.linear(g.norm(x, norm), linear)  # type: ignore[arg-type]
    g.add("Reshape", y, g.ints(1, frames, J, 3), out=OUTPUT)
    outputs = [g.value(OUTPUT, 1, frames, J, 3)]
    if model.error_head is not None:
        head = model.error_head
        hidden = g.add("Gelu", g.linear(g.add("Gelu", g.linear(x, head.fc1)), head.fc2))
        g.add("Reshape", g.add("Exp", g.linear(hidden, head.fc3)), g.ints(1, frames, J), out=ERRORS)
        outputs.append(g.value(ERRORS, 1, frames, J))
    inputs = [g.value(INPUT, 1, frames, J, config.channels)]
    graph = g.onnx.helper.make_graph(g.nodes, "PoseMamba", inputs, outputs, g.constants)
    opset = g.onnx.helper.make_opsetid("", OPSET)
    proto = g.onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="posemamba")
    g.onnx.checker.check_model(proto, full_check=True)
    return proto
