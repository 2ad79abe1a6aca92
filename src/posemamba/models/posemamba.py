"""PoseMamba (AAAI 2025): lifts a clip of 2D joints to 3D with selective state-space blocks, all frames at once.

Reads from top to bottom like the paper: config and presets, the state-space layer, the block, the whole model.

Shapes in names: B clips, T frames, J joints, C channels; E model width, D = 2E inner width, R = ceil(E / 16) rank of
the step size, N = 16 states, K = 4 scan directions.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posemamba.models.integrity import Blueprint, Code, is_untouched
from posemamba.models.layers import MLP, in_full_precision, matrices_between_layers
from posemamba.ops import fused
from posemamba.ops.conv_silu import conv_silu
from posemamba.ops.fused.weights import EndWeights, LayerWeights, ModelLayout, centre
from posemamba.ops.scan import OrderName, project, scan
from posemamba.ops.scan.orders import DIRECTIONS, check_order
from posemamba.poses.skeletons import H36M17, LIMB_ORDER, get_skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import cause
from posemamba.weights import hub
from posemamba.weights.files import (
    build,
    check_extent,
    is_safetensors,
    parse_config,
    read_card,
    read_checkpoint,
    read_weights,
)
from posemamba.weights.names import find
from posemamba.weights.writing import write_folder

STATES = 16
EPS = 1e-6
"""The epsilon of the norms before and after blocks."""
INNER_EPS = HEAD_EPS = 1e-5
"""The epsilon of the norm after the scan and of the head's."""
Size = Literal["s", "b", "l", "x"]


class PoseMambaConfig(BaseModel):
    """The configuration of a PoseMamba, saved with its weights.

    The paper's N, the number of blocks, is twice `depth`: one spatial and one temporal block at each depth.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    counted: ClassVar[str] = "pairs of blocks"

    width: int = Field(64, ge=8, le=8192, description="E, the paper's d_m: channels of a joint's feature")
    depth: int = Field(10, ge=1, le=512, description="pairs of a spatial and a temporal block")
    frames: int = Field(243, ge=1, le=100_000, description="most frames of one clip: entries of the temporal embedding")
    joints: int = Field(17, ge=1, le=1000, description="J")
    skeleton: str = Field(H36M17.name, description="which joints these are, by a known or registered skeleton's name")
    confidence: bool = Field(False, description="take each joint's confidence as a third number (not the paper's)")
    centred: bool = Field(False, description="see x and y relative to their mean over the clip (not the paper's)")
    error_width: int = Field(
        0,
        ge=0,
        le=8192,
        description="hidden width of the head that tells how far off a joint may be; 0: none (not the paper's)",
    )
    mlp_ratio: int = Field(2, ge=1, le=64, description="the paper's alpha")
    scan_order: OrderName = Field(
        "global_local", description="the paper's order, one of Table 4's ablations, or a registered one"
    )
    limb_order: tuple[int, ...] = Field(LIMB_ORDER, description="joint merged with each joint in a merged scan")
    drop_path: float = Field(0.2, ge=0, lt=1, description="drop rate of the last pair of blocks, linear from 0")
    published_gradient: bool = Field(
        False,
        description="leave the limb partner out of the gradient, as the authors' released training code did",
    )
    merge_weight: bool = Field(
        False,
        description="merge each joint's limb partner times a number that each layer learns, 0 at first (a trial)",
    )

    @model_validator(mode="after")
    def _is_no_giant(self) -> PoseMambaConfig:
        check_extent(self.width, self.depth, self.frames, self.mlp_ratio)
        return self

    @model_validator(mode="before")
    @classmethod
    def _skeleton_tells_joints_and_limbs(cls, fields: Any) -> Any:
        name = fields.get("skeleton", H36M17.name) if isinstance(fields, dict) else H36M17.name
        if not isinstance(name, str) or name == H36M17.name:
            return fields
        try:
            skeleton = get_skeleton(name)
        except PoseMambaError as error:
            raise ValueError(str(error)) from error
        told = {"joints": len(skeleton), "limb_order": skeleton.limb_order, **fields, "skeleton": skeleton.name}
        if told["joints"] != len(skeleton):
            raise ValueError(f"skeleton {skeleton.name} has {len(skeleton)} joints, not {told['joints']}")
        return told

    @model_validator(mode="after")
    def _limb_order_fits(self) -> PoseMambaConfig:
        if len(self.limb_order) != self.joints or any(not 0 <= j < self.joints for j in self.limb_order):
            raise ValueError(f"limb_order must name one of the {self.joints} joints for each of them")
        return self

    @model_validator(mode="after")
    def _merge_weight_fits(self) -> PoseMambaConfig:
        if self.merge_weight and (self.scan_order != "global_local" or self.published_gradient):
            raise ValueError("merge_weight is for the scan order global_local, without published_gradient")
        return self

    @field_validator("scan_order")
    @classmethod
    def _order_is_there(cls, order: str, info: ValidationInfo) -> str:
        try:  # frames and joints are missing where they are wrong themselves
            check_order(order, min(info.data.get("frames", 1), 9), info.data.get("joints", len(LIMB_ORDER)))
        except PoseMambaError as error:
            raise ValueError(str(error)) from error
        return order

    @classmethod
    def preset(cls, size: str, **changes: object) -> PoseMambaConfig:
        """The paper's variants (Table 2): 's', 'b', 'l' or 'x'; `changes` override single fields."""
        width, depth = {"s": (64, 10), "b": (128, 10), "l": (128, 20), "x": (256, 20)}[size.lower()]
        return cls.model_validate({"width": width, "depth": depth, **changes})

    @property
    def channels(self) -> int:
        """Numbers of a joint in the input: x and y, or x, y and confidence."""
        return 3 if self.confidence else 2

    def placed(self, x_BTJC: Tensor) -> Tensor:
        """Return the input as it is embedded: if `centred`, x and y relative to their mean over a clip."""
        return centre(x_BTJC) if self.centred else x_BTJC

    @property
    def inner_width(self) -> int:
        """D."""
        return 2 * self.width

    @property
    def dt_rank(self) -> int:
        """R."""
        return math.ceil(self.width / 16)


class StateSpace2D(nn.Module):
    """The state-space layer on a (frames, joints) grid: gate, 3x3 depth-wise conv, four scans, norm. (B, T, J, E)."""

    def __init__(self, config: PoseMambaConfig) -> None:
        super().__init__()
        E, D, R, K, N = config.width, config.inner_width, config.dt_rank, DIRECTIONS, STATES
        self.config = config
        self.in_proj = nn.Linear(E, 2 * D, bias=False)
        self.conv2d = nn.Conv2d(D, D, kernel_size=3, padding=1, groups=D)
        self.x_proj_weight = nn.Parameter(torch.empty(K, R + 2 * N, D))
        self.dt_projs_weight = nn.Parameter(torch.empty(K, D, R))
        self.dt_projs_bias = nn.Parameter(torch.empty(K, D))
        self.A_logs = nn.Parameter(torch.empty(K * D, N))
        self.Ds = nn.Parameter(torch.empty(K * D))
        self.merge_weight = nn.Parameter(torch.empty(1)) if config.merge_weight else None
        self.out_norm = nn.LayerNorm(D, eps=INNER_EPS)
        self.out_proj = nn.Linear(D, E, bias=False)
        self._scan_options: dict[str, Any] = {
            "limb": config.limb_order,
            "order": "bidirectional" if config.merge_weight else config.scan_order,  # it merges by itself
            "limb_gradient": not config.published_gradient,
        }
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Linear and conv: PyTorch's defaults. A_log = log(1..16); D = 1; step sizes log-uniform in [0.001, 0.1]."""
        if self.A_logs.is_meta:  # shapes alone; PyTorch would import SymPy and its compiler for it, 1.5 s
            return
        for weight in self.x_proj_weight:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))  # as nn.Linear
        bound = self.config.dt_rank**-0.5
        nn.init.uniform_(self.dt_projs_weight, -bound, bound)
        with torch.no_grad():
            low, high = math.log(1e-3), math.log(1e-1)
            dt = torch.exp(torch.rand_like(self.dt_projs_bias) * (high - low) + low).clamp(min=1e-4)
            self.dt_projs_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
            rates = torch.arange(1, STATES + 1, dtype=torch.float32, device=self.A_logs.device)
            self.A_logs.copy_(torch.log(rates).expand_as(self.A_logs))
            self.Ds.fill_(1.0)
            if self.merge_weight is not None:
                self.merge_weight.fill_(0.0)

    def inputs(self, x_BTJE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The tokens to scan, their projections, and the gate: (B, T, J, D), (B, T, J, K, R + 2N), (B, T, J, D)."""
        x_BTJD, z_BTJD = self.in_proj(x_BTJE).chunk(2, dim=-1)
        u_BTJD = self._convolve(x_BTJD)
        return u_BTJD, project(u_BTJD, self.x_proj_weight, **self._scan_options), z_BTJD

    def _convolve(self, x_BTJD: Tensor) -> Tensor:
        """Compute SiLU of `conv2d`: in one pass, as long as that is the convolution that it was."""
        conv = self.conv2d
        if is_untouched(conv, nn.Conv2d) and _is_3x3(conv):
            return conv_silu(x_BTJD, conv.weight, conv.bias)
        return F.silu(conv(x_BTJD.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).contiguous()

    def output(self, u_BTJD: Tensor, proj_BTJKP: Tensor, z_BTJD: Tensor) -> Tensor:
        """Scan, norm and gate: (B, T, J, E)."""
        if self.merge_weight is None:
            y_BTJD = self._scan(u_BTJD, proj_BTJKP, self.Ds)
        else:
            y_BTJD = self._scan_merged_by_weight(u_BTJD, proj_BTJKP, self.merge_weight)
        return self.out_proj(self.out_norm(y_BTJD) * F.silu(z_BTJD))

    def _scan(self, u_BTJD: Tensor, proj_BTJKP: Tensor, Ds: Tensor) -> Tensor:
        weights = self.dt_projs_weight, self.dt_projs_bias, self.A_logs
        return scan(u_BTJD, proj_BTJKP, *weights, Ds, **self._scan_options)

    def _scan_merged_by_weight(self, u_BTJD: Tensor, proj_BTJKP: Tensor, weight: Tensor) -> Tensor:
        """Scan u + weight * u[limb] in directions 0 and 2 and u in the others: two scans, each of two directions.

        A direction is left out by zeros for C and D, which its output is linear in. 0 is the order without merging, 1
        the paper's.
        """
        limb = list(self.config.limb_order)
        merged_BTJD = u_BTJD + weight.to(u_BTJD.dtype) * u_BTJD[:, :, limb]
        merged_BTJKP = proj_BTJKP + weight.to(proj_BTJKP.dtype) * proj_BTJKP[:, :, limb]
        merging_K = torch.tensor([1.0, 0.0, 1.0, 0.0], device=u_BTJD.device)
        y_BTJD = torch.zeros((), dtype=u_BTJD.dtype, device=u_BTJD.device)
        for u, proj, kept_K in ((merged_BTJD, merged_BTJKP, merging_K), (u_BTJD, proj_BTJKP, 1 - merging_K)):
            others, C = proj.split([proj.shape[-1] - STATES, STATES], dim=-1)
            proj = torch.cat([others, C * kept_K.to(C.dtype)[:, None]], -1)
            Ds = (self.Ds.view(DIRECTIONS, -1) * kept_K.to(self.Ds.dtype)[:, None]).flatten()
            y_BTJD = y_BTJD + self._scan(u, proj, Ds)
        return y_BTJD

    def forward(self, x_BTJE: Tensor) -> Tensor:
        return self.output(*self.inputs(x_BTJE))


def _is_3x3(conv: nn.Conv2d) -> bool:
    """Tell whether `conv_silu` computes the convolution: depth-wise, 3x3, padded with zeros."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == conv.in_channels == conv.out_channels
        and conv.padding_mode == "zeros"
    )


def recomputed(function: Callable[[Tensor], Any], x: Tensor, recompute: bool) -> Any:
    """function(x); with `recompute`, what it computes on the way is made again in the backward pass, not kept."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
    return function(x)


class Block(nn.Module):
    """Paper equation 8: norm, state space, residual; norm, MLP, residual. Spatial and temporal blocks are alike."""

    def __init__(self, config: PoseMambaConfig, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.op = StateSpace2D(config)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = MLP(config.width, config.mlp_ratio)
        self.drop_path = drop_path
        self.recompute = False

    def draw_scales(self, x_BTJE: Tensor) -> Tensor | None:
        """Stochastic depth: (2, B, 1, 1, 1), 0 for a branch that a clip drops, else larger by as much; None when not
        training."""
        if not self.training:
            return None
        keep = 1 - self.drop_path
        kept = torch.rand(2, len(x_BTJE), 1, 1, 1, device=x_BTJE.device) < keep
        return kept / keep

    def forward(self, x_BTJE: Tensor, scales: Tensor | None = None) -> Tensor:
        """Compute the block.

        Args:
            x_BTJE: (B, T, J, E).
            scales: of the two branches, by `draw_scales`, which is called if they are left out.
        """
        if scales is None:
            scales = self.draw_scales(x_BTJE)
        op, mlp = (1, 1) if scales is None else (scales[0], scales[1])
        x_BTJE = x_BTJE + op * self._op(x_BTJE)
        return x_BTJE + mlp * recomputed(self._mlp, x_BTJE, self.recompute)

    def _op(self, x_BTJE: Tensor) -> Tensor:
        if self.recompute and is_untouched(self.op, StateSpace2D):
            return self.op.output(*recomputed(self._scan_inputs, x_BTJE, True))
        return self.op(self.norm(x_BTJE))

    def _scan_inputs(self, x_BTJE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.op.inputs(self.norm(x_BTJE))

    def _mlp(self, x_BTJE: Tensor) -> Tensor:
        return self.mlp(self.norm2(x_BTJE))

    def tensors(self) -> LayerWeights:
        """Return the parameters as the fused kernels of `posemamba.ops.fused` want them."""
        op, mlp = self.op, self.mlp
        return LayerWeights.of(
            norm=(self.norm.weight, self.norm.bias),
            in_proj=op.in_proj.weight,
            conv=(op.conv2d.weight, op.conv2d.bias),  # type: ignore[arg-type]
            x_proj=op.x_proj_weight,
            dt_projs=(op.dt_projs_weight, op.dt_projs_bias),
            A_logs=op.A_logs,
            Ds=op.Ds,
            out_norm=(op.out_norm.weight, op.out_norm.bias),
            out_proj=op.out_proj.weight,
            norm2=(self.norm2.weight, self.norm2.bias),
            fc1=(mlp.fc1.weight, mlp.fc1.bias),
            fc2=(mlp.fc2.weight, mlp.fc2.bias),
        )


def apply_block(block: Block, norm: nn.LayerNorm, x_BTJE: Tensor, scales: Tensor | None) -> Tensor:
    """A block and the norm after it: a function, so that compiling it once serves all layers."""
    return norm(block(x_BTJE, scales))


@lru_cache(maxsize=1)
def _compiled_apply_block() -> Callable[..., Tensor]:
    """Compile `apply_block`, once for all models."""
    from posemamba.ops.runtime.compiling import allow_many_variants  # torch._dynamo takes a second to import

    allow_many_variants()
    return torch.compile(apply_block, dynamic=False)


class ErrorHead(nn.Module):
    """A head that predicts each joint's error from the last layer's features: (B, T, J, E) to (B, T, J), > 0.

    It learns by itself when the model is done (`posemamba.train.expected_error`), and changes nothing that the model
    lifts.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 1)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        hidden = F.gelu(self.fc2(F.gelu(self.fc1(x_BTJE))))
        return self.fc3(hidden)[..., 0].exp()


class PoseMamba(nn.Module):
    """2D joints (B, T, J, 2) to 3D joints (B, T, J, 3), T up to `config.frames`.

    With `config.confidence` the input is (B, T, J, 3): x, y and the detector's confidence from 0 (not found) to 1.

    Input and output are in Human3.6M's normalised image coordinates (x / W * 2 - 1, y / W * 2 - H / W, depth / W * 2);
    the output is relative to the pelvis as far as training made it so. Attribute names that look odd are those of the
    authors' checkpoints, so that these load by name.
    """

    def __init__(self, config: PoseMambaConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PoseMambaConfig.preset("s")
        self.card: dict[str, Any] = {}  # of the weights that were loaded: their data, licence, errors, person_size
        E = config.width
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.Spatial_patch_to_embedding = nn.Linear(config.channels, E)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, config.joints, E))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, config.frames, E))
        self.STEblocks = nn.ModuleList([Block(config, rate) for rate in rates])
        self.TTEblocks = nn.ModuleList([Block(config, rate) for rate in rates])
        self.Spatial_norm = nn.LayerNorm(E, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(E, eps=EPS)
        self.head = nn.Sequential(nn.LayerNorm(E, eps=HEAD_EPS), nn.Linear(E, 3))
        self.error_head = ErrorHead(E, config.error_width) if config.error_width else None
        self.apply_block: Callable[..., Tensor] = apply_block

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what torch.compile made, which can be neither pickled nor copied: a copy's layers run plainly."""
        state = self.__dict__.copy()
        if self._layers_compiled:
            state["apply_block"] = apply_block
        return state

    @property
    def _layers_compiled(self) -> bool:
        return _compiled_apply_block.cache_info().currsize > 0 and self.apply_block is _compiled_apply_block()

    def compile_layers(self) -> None:
        """Train in fewer, larger kernels by torch.compile: a minute once for each input shape, then faster steps.

        Copies of the model and models that are loaded from pickles are not compiled.
        """
        self.apply_block = _compiled_apply_block()

    def recompute_activations(self, recompute: bool = True) -> None:
        """Train in half the memory: matrix products and convolutions before a scan, and MLPs, are computed again in the
        backward pass; the scans, which cost most, are not."""
        for module in self.modules():
            if isinstance(module, Block):
                module.recompute = recompute

    @classmethod
    def preset(cls, size: str, **changes: object) -> PoseMamba:
        """A fresh PoseMamba of the paper's size 's', 'b', 'l' or 'x'; `changes` override single config fields."""
        return cls(PoseMambaConfig.preset(size, **changes))

    @classmethod
    def from_pretrained(cls, source: str | Path, **changes: object) -> PoseMamba:
        """Load a trained PoseMamba in evaluation mode, by name ('posemamba-s') or from a file.

        Args:
            source: a known name, a safetensors file of this package, a folder that `save_pretrained` wrote,
                ``hf://owner/name`` on the Hugging Face Hub, or a checkpoint (`model_pos` or another common key).
            changes: config fields that a checkpoint does not hold, e.g. scan_order for an ablation's checkpoint.

        Raises:
            PoseMambaError: no such weights, a damaged or foreign file, another architecture's weights.
        """
        path = find(source)
        if is_safetensors(path):
            metadata, state = read_weights(path)
            if metadata["model"] != "posemamba":
                raise PoseMambaError(f"{source}: weights of a {metadata['model']}, not of a PoseMamba")
            config, card = parse_config(path, PoseMambaConfig, metadata), read_card(path).get("card", {})
        else:
            (config, state), card = read_released_checkpoint(path), {}
        if changes:
            config = PoseMambaConfig.model_validate({**config.model_dump(), **changes})
        what = f"a PoseMamba of width {config.width}, {config.depth} pairs of blocks"
        model: PoseMamba = build(path, lambda: cls(config), config.depth, state, what)
        model.card = card
        return model.eval()

    def save_pretrained(self, folder: str | Path, card: Mapping[str, Any] | None = None, half: bool = False) -> None:
        """Write the model as a folder in Hugging Face's layout: config.json, model.safetensors, README.md.

        `from_pretrained(folder)`, `load_model` and ``--weights folder`` read it. All files are exchanged together. A
        README.md that is there stays.

        Args:
            folder: made if it is not there.
            card: training data, licence, errors, person_size; None: `self.card`, that of the weights it was loaded
                from.
            half: store the parameters in half precision.

        Raises:
            PoseMambaError: the folder cannot be written.
        """
        write_folder(folder, self, "posemamba", self.config, self.card if card is None else card, half)

    def push_to_hub(
        self,
        repository: str,
        card: Mapping[str, Any] | None = None,
        *,
        private: bool | None = None,
        revision: str | None = None,
        message: str = "Upload PoseMamba",
        token: str | None = None,
        half: bool = False,
    ) -> str:
        """Upload the model to the Hugging Face Hub as `save_pretrained` writes it; needs huggingface_hub.

        Args:
            repository: ``owner/name``, made if it is not there.
            card, half: as in `save_pretrained`.
            private: of a repository that is made; None: the owner's default.
            revision: the branch; None: the main one.
            message: of the commit.
            token: None: the one that huggingface_hub knows.

        Returns:
            What `from_pretrained` takes: ``hf://owner/name``.

        Raises:
            PoseMambaError: huggingface_hub is not installed, or the Hub refuses or cannot be reached.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, card, half)
            return hub.upload(
                Path(folder), repository, private=private, revision=revision, message=message, token=token
            )

    @property
    def dtype(self) -> torch.dtype:
        """The parameters' type."""
        return self.Spatial_pos_embed.dtype

    @property
    def device(self) -> torch.device:
        """The parameters' device."""
        return self.Spatial_pos_embed.device

    def full_precision_layers(self) -> tuple[nn.Module, ...]:
        """Return the layers that training must keep from autocast and TF32: none, the model does so itself."""
        return ()

    def matrix_parameters(self, scans: bool = False) -> list[nn.Parameter]:
        """Return the matrices between layers, not those of the embedding and the heads.

        Args:
            scans: also the projections to step sizes, inputs and outputs of scans, each a matrix for each direction.
        """
        ends = self.Spatial_patch_to_embedding, self.head, self.error_head
        scanning = [p for name, p in self.named_parameters() if name.endswith(("x_proj_weight", "dt_projs_weight"))]
        return matrices_between_layers(self, ends) + (scanning if scans else [])

    def forward(self, x_BTJC: Tensor) -> Tensor:
        self._check(x_BTJC)
        y_BTJ3 = fused.run(self, x_BTJC)  # inference: what follows, in a few kernels a layer
        return self._head(self._features(x_BTJC)) if y_BTJ3 is None else y_BTJ3

    def features(self, x_BTJC: Tensor) -> Tensor:
        """Compute what the last layer knows of each joint, (B, T, J, E): `head` makes the output of it."""
        self._check(x_BTJC)
        x_BTJE = fused.run(self, x_BTJC, features=True)
        return self._features(x_BTJC) if x_BTJE is None else x_BTJE

    def execution(self, x_BTJC: Tensor) -> fused.Choice:
        """Tell how `model(x)` computes here and now, and why: `path` is 'gpu', 'cpu' or 'plain'.

        >>> with torch.inference_mode():
        ...     print(model.execution(x).reason)
        """
        self._check(x_BTJC)
        return fused.choose(self, x_BTJC)

    def reload_weights(self) -> None:
        """Drop the copies of the weights that fused kernels made, and their memory: the next call reads them anew.

        Needed on a GPU alone, and after one thing alone: writing into a parameter past PyTorch, as
        `parameter.data.mul_(2)` does.
        """
        fused.forget(self)

    def with_errors(self, x_BTJC: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and how far each joint is expected to be off, (B, T, J), in the output's unit.

        Off, that is relative to the pelvis: the distance that P1 is the mean of.

        Raises:
            PoseMambaError: a model without a head for it (`config.error_width` is 0).
        """
        if self.error_head is None:
            raise PoseMambaError("these weights do not tell what error to expect; `posemamba calibrate` adds that")
        x_BTJE = self.features(x_BTJC)
        return self._head(x_BTJE), in_full_precision(self.error_head, x_BTJE.to(self.dtype))

    def _check(self, x_BTJC: Tensor) -> None:
        config, shape = self.config, tuple(x_BTJC.shape)
        if (
            len(shape) != 4
            or not (shape[0] and 1 <= shape[1] <= config.frames)
            or shape[2:]
            != (
                config.joints,
                config.channels,
            )
        ):
            raise ValueError(
                f"input is {shape}; expected (clips, 1 to {config.frames} frames, {config.joints} joints, "
                f"{config.channels}), one clip at least"
            )

    def _head(self, x_BTJE: Tensor) -> Tensor:
        return in_full_precision(self.head, x_BTJE.to(self.dtype))

    def _features(self, x_BTJC: Tensor) -> Tensor:
        T = x_BTJC.shape[1]
        x_BTJC = self.config.placed(x_BTJC).to(self.dtype)
        x_BTJE = in_full_precision(self.Spatial_patch_to_embedding, x_BTJC) + self.Spatial_pos_embed[:, None]
        for i, (spatial, temporal) in enumerate(zip(self.STEblocks, self.TTEblocks, strict=True)):
            x_BTJE = self._layer(spatial, self.Spatial_norm, x_BTJE)
            if i == 0:
                x_BTJE = x_BTJE + self.Temporal_pos_embed[:, :T, None]
            x_BTJE = self._layer(temporal, self.Temporal_norm, x_BTJE)
        return x_BTJE

    def _layer(self, block: Any, norm: nn.LayerNorm, x_BTJE: Tensor) -> Tensor:
        return self.apply_block(block, norm, x_BTJE, block.draw_scales(x_BTJE))

    # For posemamba.ops.fused, whose kernels know tensors only

    def layout(self) -> ModelLayout:
        """Return what the fused kernels must know besides tensors."""
        c = self.config
        return ModelLayout(c.width, c.scan_order, c.limb_order, c.centred, EPS, INNER_EPS, HEAD_EPS)

    def tensors(self) -> Iterator[LayerWeights | EndWeights]:
        """Yield the layers' weights, spatial and temporal in turn, and at last those of embedding, norms and head."""
        for pair in zip(self.STEblocks, self.TTEblocks, strict=True):
            for block in pair:
                yield block.tensors()  # type: ignore[operator]
        embedding, (norm, linear) = self.Spatial_patch_to_embedding, self.head
        yield EndWeights(
            embed_weight=embedding.weight,
            embed_bias=embedding.bias,
            joint_embedding=self.Spatial_pos_embed[0],
            frame_embedding=self.Temporal_pos_embed[0],
            spatial_norm_weight=self.Spatial_norm.weight,
            spatial_norm_bias=self.Spatial_norm.bias,
            temporal_norm_weight=self.Temporal_norm.weight,
            temporal_norm_bias=self.Temporal_norm.bias,
            head_norm_weight=norm.weight,  # type: ignore[arg-type]
            head_norm_bias=norm.bias,  # type: ignore[arg-type]
            head_weight=linear.weight,  # type: ignore[arg-type]
            head_bias=linear.bias,  # type: ignore[arg-type]
        )

    def intact_parameters(self) -> list[Tensor] | None:
        """Return all parameters but the error head's; None if the model is not as its class and config build it."""
        if type(self.config) is not PoseMambaConfig or not self._applies_blocks_as_built or not _CODE.is_as_before():
            return None
        if self.config.merge_weight:
            return None
        return _blueprint(self.config).parameters_of(self)

    def difference(self) -> str:
        """Name the first thing in which the model is not as its class and config build it; '' if it is."""
        if type(self.config) is not PoseMambaConfig:
            return f"the model's config is a {type(self.config).__name__}"
        if not self._applies_blocks_as_built:
            return "the model has an apply_block of its own"
        if self.config.merge_weight:
            return "the limb merge has weights of its own (merge_weight)"
        return _CODE.difference() or _blueprint(self.config).difference(self)

    @property
    def _applies_blocks_as_built(self) -> bool:
        return self.apply_block is _APPLY_BLOCK or self._layers_compiled


_APPLY_BLOCK = apply_block
_CODE = Code(
    classes=(PoseMamba, Block, StateSpace2D, MLP),
    calls=(nn.Module, nn.Linear, nn.LayerNorm, nn.Conv2d, nn.Sequential),
    functions=(
        (PoseMambaConfig, ("placed",)),
        (F, ("linear", "layer_norm", "conv2d", "silu", "gelu", "softplus")),
    ),
)


@lru_cache(maxsize=16)
def _blueprint(config: PoseMambaConfig) -> Blueprint:
    """Build a model of this config for comparison."""
    # where functions of PyTorch are replaced it may not go to the meta device, and draws random numbers
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        blank = PoseMamba(config)
    attributes = {
        nn.LayerNorm: ("normalized_shape", "eps"),
        nn.Conv2d: ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
        StateSpace2D: ("_scan_options",),
    }
    return Blueprint(blank, attributes, apart=("error_head",))


def read_released_checkpoint(path: Path) -> tuple[PoseMambaConfig, dict[str, Tensor]]:
    """Read a checkpoint as the released training code saves it; the config is read off the shapes."""
    state = read_checkpoint(path, "model_pos")
    try:
        config = PoseMambaConfig(
            width=state["Spatial_patch_to_embedding.weight"].shape[0],
            depth=1 + max(int(name.split(".")[1]) for name in state if name.startswith("STEblocks.")),
            frames=state["Temporal_pos_embed"].shape[1],
            joints=state["Spatial_pos_embed"].shape[1],
            confidence=state["Spatial_patch_to_embedding.weight"].shape[1] == 3,
            mlp_ratio=state["STEblocks.0.mlp.fc1.weight"].shape[0] // state["STEblocks.0.mlp.fc1.weight"].shape[1],
        )
    except ZeroDivisionError as error:
        raise PoseMambaError(f"{path}: not a PoseMamba's: its STEblocks.0.mlp.fc1.weight is empty; damaged") from error
    except Exception as error:  # whatever names and shapes lead to
        raise PoseMambaError(
            f"{path}: its {len(state)} parameters (under 'model_pos' or a like key) are not a PoseMamba's: odd or "
            f"missing ones ({cause(error)})"
        ) from error
    return config, state
