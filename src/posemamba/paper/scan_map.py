"""Influence of joints and frames on each other through the scan: the paper's figure 5, from the recurrence itself.

With the step sizes dt, B and C that an input gives, the scan of one direction is linear in its tokens x:
h_i = exp(dt_i A) h_(i-1) + dt_i B_i x_i and y_i = <C_i, h_i> + D x_i. So the weight of token j on the output i >= j is

    w_ij = sum over states n of  C_i[n] exp(A_n (dt_(j+1) + ... + dt_i)) dt_j B_j[n],

for each channel; the directions' weights add up, each in its own order, and a merged direction gives its token's weight
to the limb partner, too. That is exact: no gradient is taken and nothing is cut off. (Through dt, B and C tokens also
steer the scan; that is not linear, and not in the map, as attention maps leave out how queries and keys came about.)

Shapes: T frames, J joints, L = T * J tokens in natural order (t * J + j), D channels, N states, K directions, R rank.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from posemamba.models.inputs import prepare_input
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_block import StateSpace2D
from posemamba.ops.runtime.caching import kept
from posemamba.ops.scan import project
from posemamba.ops.scan.orders import scan_map as order_tables
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class ScanInputs:
    """Inputs of one scan of one clip, float64, and the walks over its tokens.

    Attributes:
        dt: (K, D, L) step sizes at the steps of each direction.
        B, C: (K, L, N) at the steps of each direction.
        A: (K, D, N), negative.
        skip: (K, D) the weights of the tokens themselves.
        step_of: (K, L) int64: the step at which a direction visits a token.
        partner: (L,) int64: the limb partner of each token.
        merged: (K,) whether a direction reads the limb partner, too.
        frames, joints: T and J.
    """

    dt: Tensor
    B: Tensor
    C: Tensor
    A: Tensor
    skip: Tensor
    step_of: Tensor
    partner: Tensor
    merged: tuple[bool, ...]
    frames: int
    joints: int


@dataclass(frozen=True)
class Maps:
    """Weights summed over where they come from, means over where they go and over channels, of absolute values.

    Attributes:
        joints: (J, J): [a, b] is how much joint b, in all frames together, feeds joint a in a frame (the mean one).
        frames: (T, T): [s, t] is how much frame t, all joints together, feeds a joint (the mean one) in frame s.
    """

    joints: NDArray[np.float64]
    frames: NDArray[np.float64]


def layer_inputs(model: PoseMamba, x: Tensor, layer: int) -> tuple[Tensor, Tensor]:
    """Return the inputs of the state-space layers in the spatial and temporal block `layer`, (1, T, J, E) each.

    Args:
        model: in evaluation mode.
        x: (1, T, J, 2) as the model takes it.
        layer: from 0.
    """
    with torch.no_grad():
        h = model.Spatial_patch_to_embedding(model.config.placed(x)) + model.Spatial_pos_embed[:, None]
        for i in range(layer + 1):
            spatial: Any = model.STEblocks[i]
            temporal: Any = model.TTEblocks[i]
            before_spatial = h
            h = model.apply_block(spatial, model.Spatial_norm, h, None)
            if i == 0:
                h = h + model.Temporal_pos_embed[:, : x.shape[1], None]
            before_temporal = h
            h = model.apply_block(temporal, model.Temporal_norm, h, None)
        return spatial.norm(before_spatial), temporal.norm(before_temporal)


@torch.no_grad()
def scan_inputs(op: StateSpace2D, x: Tensor) -> ScanInputs:
    """Step sizes, B and C of a state-space layer for one input, in float64.

    Args:
        op: the layer.
        x: (1, T, J, E), its input.
    """
    op = copy.deepcopy(op).double()
    u, _, _ = op.inputs(x.double())
    _, frames, joints, D = u.shape
    K, R = op.dt_projs_weight.shape[0], op.dt_projs_weight.shape[2]
    N = op.A_logs.shape[-1]
    config = op.config
    # 'reference': with it limb partners are merged here, not inside of a kernel
    options: dict[str, Any] = {"limb": config.limb_order, "order": config.scan_order, "backend": "reference"}
    proj = project(u, op.x_proj_weight, **options).reshape(frames * joints, K, R + 2 * N)
    tables = order_tables(config.scan_order, frames, joints, config.limb_order)
    tokens = tables.tokens.long()
    s, B, C = (torch.stack([part[tokens[k], k] for k in range(K)]) for part in proj.split([R, N, N], dim=-1))
    dt = F.softplus(op.dt_projs_weight @ s.transpose(1, 2) + op.dt_projs_bias[..., None])
    return ScanInputs(
        dt=dt,
        B=B,
        C=C,
        A=-torch.exp(op.A_logs).view(K, D, N),
        skip=op.Ds.detach().view(K, D),
        step_of=torch.argsort(tokens, dim=1),
        partner=tables.partner.long(),
        merged=tables.merged,
        frames=frames,
        joints=joints,
    )


@kept
@numba.njit(parallel=True, nogil=True)
def _add_channel(decay, gain, C, skip, step_of, token_at, merged, limb, to_joints, to_frames, full):  # type: ignore[no-untyped-def]
    """One channel: follow what each source frame's tokens leave in the state, step by step, direction by direction.

    decay, gain, C: (K, L, N), exp(dt A), dt B and C at the steps; skip: (K,). The joints of a source frame are followed
    side by side (lanes), each from its own step on. Adds to to_joints (T, J, J), [source frame, output joint, source
    joint], and to_frames (T, T), [source frame, output frame]; with `full` (L, L) also writes the signed weights there.
    """
    K, L, N = decay.shape
    T, J = to_joints.shape[0], to_joints.shape[1]
    width = (J + 7) // 8 * 8
    for t in numba.prange(T):
        own = np.zeros((L, J))
        shared = np.zeros((L, J))  # what the limb partner gives as well
        h = np.empty((N, width))
        y = np.empty(width)
        starts = np.empty(J, np.int64)
        for k in range(K):
            total = shared if merged[k] else own
            for b in range(J):
                starts[b] = step_of[k, t * J + b]
            order = np.argsort(starts)
            upcoming = 0
            h[:] = 0.0
            for q in range(starts[order[0]], L):
                y[:] = 0.0
                if upcoming < J and starts[order[upcoming]] == q:  # no two tokens have one step
                    lane = order[upcoming]
                    upcoming += 1
                    for n in range(N):
                        for s in range(width):
                            h[n, s] *= decay[k, q, n]
                        h[n, lane] = gain[k, q, n]
                        for s in range(width):
                            y[s] += C[k, q, n] * h[n, s]
                    y[lane] += skip[k]
                else:
                    for n in range(N):
                        a, c = decay[k, q, n], C[k, q, n]
                        for s in range(width):
                            left = h[n, s] * a
                            h[n, s] = left
                            y[s] += c * left
                i = token_at[k, q]
                for b in range(J):
                    total[i, b] += y[b]
        for i in range(L):
            for b in range(J):
                own[i, b] += shared[i, b]
            for b in range(J):
                own[i, limb[b]] += shared[i, b]
            for b in range(J):
                size = abs(own[i, b])
                to_joints[t, i % J, b] += size
                to_frames[t, i // J] += size
        if full.shape[0] == L:
            for i in range(L):
                for b in range(J):
                    full[i, t * J + b] = own[i, b]


def _run_channel(
    scan: ScanInputs, d: int, skip: bool, to_joints: NDArray[Any], to_frames: NDArray[Any], full: NDArray[Any]
) -> None:
    decay = torch.exp(scan.dt[:, d, :, None] * scan.A[:, d, None, :])
    gain = scan.dt[:, d, :, None] * scan.B
    own_way = scan.skip[:, d] if skip else torch.zeros_like(scan.skip[:, d])
    add: Any = _add_channel  # a compiled function has no types
    add(
        *(x.contiguous().numpy() for x in (decay, gain, scan.C, own_way, scan.step_of)),
        torch.argsort(scan.step_of, dim=1).numpy(),
        np.array(scan.merged),
        scan.partner[: scan.joints].numpy(),
        to_joints,
        to_frames,
        full,
    )


def channel_weights(scan: ScanInputs, d: int, *, skip: bool = False) -> NDArray[np.float64]:
    """(L, L): the weight of each token (column) on each output (row) in channel d, with its sign; for small grids."""
    T, J = scan.frames, scan.joints
    full = np.zeros((T * J, T * J))
    _run_channel(scan, d, skip, np.zeros((T, J, J)), np.zeros((T, T)), full)
    return full


def scan_maps(scan: ScanInputs, *, skip: bool = False, progress: Progress | None = None) -> Maps:
    """The maps of one scan, from all pairs of tokens in all channels, in float64.

    Time goes with L squared times D times N. Beside the scan's inputs memory holds some L J numbers for each thread;
    no map of all pairs of tokens is ever made.

    Args:
        scan: of `scan_inputs`.
        skip: count the tokens' own way past the recurrence (D x), too.
        progress: called as progress(channels done, D).
    """
    T, J, D = scan.frames, scan.joints, scan.dt.shape[1]
    to_joints, to_frames = np.zeros((T, J, J)), np.zeros((T, T))
    for d in range(D):
        _run_channel(scan, d, skip, to_joints, to_frames, np.zeros((0, 0)))
        if progress is not None:
            progress(d + 1, D)
    # sums over source frames and joints are done; means over output frames and joints, and over channels
    return Maps(to_joints.sum(0) / (T * D), to_frames.T / (J * D))


@dataclass(frozen=True)
class LayerMaps:
    """The maps of one pair of blocks for one clip.

    Attributes:
        layer: from 0; of `layers`.
        spatial, temporal: of the two blocks.
        title: model and clip.
        first_frame: number in the clip of the first frame.
        joint_names: (J,).
    """

    layer: int
    layers: int
    spatial: Maps
    temporal: Maps
    title: str
    first_frame: int
    joint_names: tuple[str, ...]


def clip_maps(
    model: PoseMamba,
    joints: NDArray[np.float32],
    *,
    layer: int | None = None,
    first_frame: int = 0,
    person_size: float | None = None,
    skip: bool = False,
    title: str = "",
    joint_names: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> LayerMaps:
    """The maps of one pair of blocks of a model, for one window of a clip.

    Args:
        model: on the CPU, in evaluation mode.
        joints: (F, J, 2) normalised, or (F, J, 3) with confidence; `model.config.frames` from `first_frame` on are
            taken, or what is left.
        layer: from 0, negative from the end; None: the last one, as in the paper.
        first_frame: see above.
        person_size: the size at which the model is shown people (`Lifter.person_size`).
        skip: see `scan_maps`.
        title, joint_names: for the figure.
        progress: called as progress(channels done, channels of both blocks).

    Raises:
        PoseMambaError: no such layer or frame.
    """
    from posemamba.models.inputs import at_one_size

    if model.config.merge_weight:
        raise PoseMambaError("maps of a model with merge_weight, a trial, cannot be drawn")
    layers = model.config.depth
    number = layers - 1 if layer is None else layer + layers if layer < 0 else layer
    if not 0 <= number < layers:
        raise PoseMambaError(f"--layer is {layer}: the model has {layers} pairs of blocks, 0 to {layers - 1}")
    if not 0 <= first_frame < len(joints):
        raise PoseMambaError(f"--start is {first_frame}: the clip has {len(joints)} frames, 0 to {len(joints) - 1}")
    window = np.ascontiguousarray(joints[first_frame : first_frame + model.config.frames])
    x, _ = at_one_size(prepare_input(model, torch.from_numpy(window)[None].float()), person_size)
    D = model.config.inner_width
    made: list[Maps] = []
    for i, (block, given) in enumerate(
        zip((model.STEblocks[number], model.TTEblocks[number]), layer_inputs(model, x, number), strict=True)
    ):

        def step(done: int, total: int | None, before: int = i * D) -> None:
            if progress is not None:
                progress(before + done, 2 * D)

        made.append(scan_maps(scan_inputs(block.op, given), skip=skip, progress=step))  # type: ignore[union-attr, arg-type]
    return LayerMaps(number, layers, made[0], made[1], title, first_frame, joint_names)


def plot_maps(path: str | Path, maps: LayerMaps) -> None:
    """Draw the four maps of a pair of blocks as the paper's figure 5: rows receive, columns give.

    Each map has its own scale, logarithmic, from its least to its greatest value.

    Raises:
        PoseMambaError: matplotlib is not installed, or the file cannot be written.
    """
    from posemamba.utils.plotting import check_plot_file

    path = Path(path)
    check_plot_file(path)
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 10.4), dpi=130, layout="constrained")
    axes = figure.subplots(2, 2)
    frames = len(maps.spatial.frames)
    for row, (block, made) in enumerate((("spatial", maps.spatial), ("temporal", maps.temporal))):
        names = [name.replace("_", " ") for name in maps.joint_names] or [str(j) for j in range(len(made.joints))]
        _heat(figure, axes[row, 0], made.joints)
        axes[row, 0].set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axes[row, 0].set_yticks(range(len(names)), names, fontsize=8)
        axes[row, 0].set_title(f"{block} block: joints", fontsize=11)
        first, last = maps.first_frame - 0.5, maps.first_frame + frames - 0.5
        _heat(figure, axes[row, 1], made.frames, extent=(first, last, last, first))
        axes[row, 1].set_title(f"{block} block: frames", fontsize=11)
    for ax in axes.flat:
        ax.set_xlabel("gives", fontsize=9)
        ax.set_ylabel("receives", fontsize=9)
    of = f"pair of blocks {maps.layer} of 0 to {maps.layers - 1}"
    figure.suptitle(
        f"{maps.title}, {of}\n"
        "weight in the scan: sum over what gives, mean over what receives, mean of absolute values over channels",
        fontsize=10,
    )
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error})") from error


def _heat(figure: Any, ax: Axes, values: NDArray[np.float64], **options: Any) -> None:
    from matplotlib.colors import LogNorm

    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if positive.size else (1e-6, 1.0)
    norm = LogNorm(max(low, 1e-4 * high), high if high > low else 2 * low)
    image = ax.imshow(values, norm=norm, cmap="magma", interpolation="nearest", **options)
    figure.colorbar(image, ax=ax, shrink=0.85)


def save_maps(path: str | Path, maps: LayerMaps) -> None:
    """Write the four maps as an npz file: ``spatial_joints``, ``spatial_frames``, ``temporal_joints``, ..."""
    arrays: dict[str, Any] = {
        f"{block}_{kind}": getattr(getattr(maps, block), kind)
        for block in ("spatial", "temporal")
        for kind in ("joints", "frames")
    }
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, layer=maps.layer, first_frame=maps.first_frame, joint_names=list(maps.joint_names), **arrays
            )
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error})") from error
