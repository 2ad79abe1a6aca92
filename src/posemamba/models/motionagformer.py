"""MotionAGFormer (WACV 2024): lifts a clip of 2D joints to 3D with two streams, one of attention and one of graphs.

Mehraban, Adeli, Taati: MotionAGFormer: Enhancing 3D Human Pose Estimation with a Transformer-GCNFormer Network. Written
anew; parameter names and details of the arithmetic are those of the authors' release (TaatiTeam/MotionAGFormer, commit
4756fd1), so that their checkpoints load by name and give the same output.

Reads from top to bottom like the paper: config and presets, the two token mixers, the block, the layer, the model.

Shapes in names: B clips, T frames, J joints, C channels; E model width, R width of the representation, H heads. A mixer
sees G groups of L tokens: the joints of each frame (G = B T, L = J) or the frames of each joint (G = B J, L = T).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from posemamba.models.layers import MLP, drop_path, filled
from posemamba.models.peer import Peer, PeerConfig
from posemamba.poses.skeletons import H36M17

if TYPE_CHECKING:
    from typing_extensions import Self

JOINTS = 17
LAYER_SCALE = 1e-5

# Bones along which the released graph passes nothing to the joint named first, though it does the other way.
ONE_WAY = {(0, 4), (8, 11), (8, 14)}


class MotionAGFormerConfig(PeerConfig):
    """The configuration of a MotionAGFormer; the defaults are the published size B."""

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "b": {},
        "xs": {"depth": 12, "width": 64, "frames": 27},
        "s": {"depth": 26, "width": 64, "frames": 81},
        "l": {"depth": 26},
    }

    width: int = Field(128, ge=1, le=8192, description="E: channels of a joint's feature")
    depth: int = Field(16, ge=1, le=512, description="layers of both streams")
    frames: int = Field(
        243, ge=1, le=100_000, description="T: frames of every clip, as the graph's batch norm is per frame"
    )
    heads: int = Field(8, ge=1, le=1024, description="H")
    neighbours: int = Field(2, ge=1, le=1000, description="most similar frames that a frame gathers from")
    rep_width: int = Field(512, ge=1, le=8192, description="R: channels before the regression head")
    mlp_ratio: int = Field(4, ge=1, le=64, description="hidden width of an MLP over E")
    drop_path: float = Field(0.0, ge=0, lt=1, description="rate of stochastic depth, of all layers; 0 as published")
    confidence: bool = Field(False, description="ask for each joint's confidence; else every joint counts as certain")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.joints != JOINTS:
            raise ValueError(f"the graph of bones is that of {JOINTS} joints, not of {self.joints}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of the {self.heads} heads")
        if self.neighbours > self.frames:
            raise ValueError(f"{self.neighbours} neighbours among {self.frames} frames")
        return self

    @property
    def widest(self) -> int:
        return max(self.width, self.rep_width)


class Attention(nn.Module):
    """Multi-head self-attention among the tokens of each group. (G, L, E)."""

    def __init__(self, config: MotionAGFormerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x_GLE: Tensor) -> Tensor:
        q, k, v = self.qkv(x_GLE).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (G, H, L, E / H)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def bone_graph() -> Tensor:
    """The graph of the joints, (J, J): row i is 1 at the joints that joint i gathers from, itself not among them."""
    graph_JJ = torch.zeros(JOINTS, JOINTS)
    for parent, child in H36M17.bones:
        for i, j in ((parent, child), (child, parent)):
            graph_JJ[i, j] = (i, j) not in ONE_WAY
    return graph_JJ


def similarity_graph(x_GLE: Tensor, neighbours: int) -> Tensor:
    """Return each group's neighbours, (G, L, L): row i is 1 at the tokens most similar to i by inner product.

    Rounding decides between near ties (a joint that rests), so the output there may jump between devices or precisions.
    """
    # float32 under autocast, too: in bfloat16 many of a clip's frames would be ties
    with torch.autocast("cuda" if x_GLE.is_cuda else "cpu", enabled=False):
        similarity_GLL = x_GLE.float() @ x_GLE.float().mT
    least_GL1 = similarity_GLL.topk(neighbours, dim=-1).values[..., -1:]
    return (similarity_GLL >= least_GL1).to(x_GLE.dtype)


class BlockConfig(Protocol):
    """Fields of a config that a block reads."""

    @property
    def width(self) -> int: ...
    @property
    def mlp_ratio(self) -> int: ...
    @property
    def drop_path(self) -> float: ...


class GraphConv(nn.Module):
    """Graph convolution among the tokens of each group, batch norm per token, residual. (G, L, E).

    Joints are joined by bones; frames, with `neighbours` given, by the similarity of a joint's features in them.
    """

    graph: Tensor

    def __init__(self, config: BlockConfig, tokens: int, neighbours: int | None) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.U = nn.Linear(config.width, config.width)
        self.V = nn.Linear(config.width, config.width)
        self.batch_norm = nn.BatchNorm1d(tokens)
        for linear in (self.U, self.V):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / config.width))
        if neighbours is None:
            self.register_buffer("graph", bone_graph(), persistent=False)

    def forward(self, x_GLE: Tensor) -> Tensor:
        graph = self.graph if self.neighbours is None else similarity_graph(x_GLE.detach(), self.neighbours)
        scale = graph.sum(-1, keepdim=True).rsqrt()  # both sides by the row's degree, though the graph is directed
        gathered_GLE = scale * (graph @ (scale * self.V(x_GLE)))
        return F.relu(x_GLE + self.batch_norm(gathered_GLE + self.U(x_GLE)))


class Block(nn.Module):
    """Norm, mixer, scale, residual; norm, MLP, scale, residual. (G, L, E) of `clips` clips, one after the other."""

    def __init__(self, config: BlockConfig, mixer: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = MLP(config.width, config.mlp_ratio)
        self.layer_scale_1 = nn.Parameter(torch.full((config.width,), LAYER_SCALE))
        self.layer_scale_2 = nn.Parameter(torch.full((config.width,), LAYER_SCALE))
        self.drop_path = config.drop_path

    def forward(self, x_GLE: Tensor, clips: int) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        x_GLE = x_GLE + drop_path(self.layer_scale_1 * self.mixer(self.norm1(x_GLE)), rate, clips)
        return x_GLE + drop_path(self.layer_scale_2 * self.mlp(self.norm2(x_GLE)), rate, clips)


def stream(spatial: Block, temporal: Block, x_BTJE: Tensor) -> Tensor:
    """One block among the joints of each frame, then one among the frames of each joint. (B, T, J, E)."""
    B, T, J, _ = x_BTJE.shape
    x_BTJE = spatial(x_BTJE.flatten(0, 1), B).unflatten(0, (B, T))
    return temporal(x_BTJE.transpose(1, 2).flatten(0, 1), B).unflatten(0, (B, J)).transpose(1, 2)


class Layer(nn.Module):
    """The stream of attention and that of graphs, mixed per joint and frame. (B, T, J, E)."""

    def __init__(self, config: MotionAGFormerConfig) -> None:
        super().__init__()
        self.att_spatial = Block(config, Attention(config))
        self.att_temporal = Block(config, Attention(config))
        self.graph_spatial = Block(config, GraphConv(config, JOINTS, None))
        self.graph_temporal = Block(config, GraphConv(config, config.frames, config.neighbours))
        self.fusion = nn.Linear(2 * config.width, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        a_BTJE = stream(self.att_spatial, self.att_temporal, x_BTJE)
        g_BTJE = stream(self.graph_spatial, self.graph_temporal, x_BTJE)
        share_BTJ2 = self.fusion(torch.cat((a_BTJE, g_BTJE), dim=-1)).softmax(dim=-1)
        return share_BTJ2[..., :1] * a_BTJE + share_BTJ2[..., 1:] * g_BTJE


class MotionAGFormer(Peer[MotionAGFormerConfig]):
    """2D joints (B, T, 17, 2), or with confidence (B, T, 17, 3), to 3D joints (B, T, 17, 3), T up to `config.frames`.

    Without confidence every joint counts as certain (1). Coordinates are those of `posemamba.PoseMamba`. The
    layers see `config.frames` frames always: of a shorter clip each frame is shown as often as fills them, as in the
    authors' demonstration, and the first time counts.
    """

    config_class = MotionAGFormerConfig
    title = "MotionAGFormer"
    key = "model"
    embeds_confidence = True

    def __init__(self, config: MotionAGFormerConfig | None = None) -> None:
        config = config or MotionAGFormerConfig.preset()
        super().__init__(config)
        E, R = config.width, config.rep_width
        self.joints_embed = nn.Linear(3, E)
        self.pos_embed = nn.Parameter(torch.zeros(1, JOINTS, E))
        self.layers = nn.Sequential(*(Layer(config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(E)
        self.rep_logit = nn.ModuleDict({"fc": nn.Linear(E, R)})
        self.head = nn.Linear(R, 3)

    def ends(self) -> tuple[nn.Module, ...]:
        return self.joints_embed, self.head

    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    @classmethod
    def from_pretrained(cls, path: str | Path, heads: int = 8, neighbours: int = 2) -> Self:
        """Load a trained model in evaluation mode, from a checkpoint of its authors' code.

        Args:
            path: the checkpoint; everything but the two numbers below is read off the shapes in it.
            heads: attention heads, which change no shape; 8 in all published sizes.
            neighbours: frames that a frame gathers from, which change no shape; 2 in all published sizes.

        Raises:
            PoseMambaError: no such file, a damaged or foreign one, names or shapes that do not fit.
        """
        return cls._load(Path(path), heads=heads, neighbours=neighbours)

    @classmethod
    def config_of(cls, state: dict[str, Tensor], heads: int, neighbours: int = 2) -> MotionAGFormerConfig:
        hidden, width = state["layers.0.att_spatial.mlp.fc1.weight"].shape
        return MotionAGFormerConfig(
            width=width,
            depth=len({name.split(".")[1] for name in state if name.startswith("layers.")}),
            frames=len(state["layers.0.graph_temporal.mixer.batch_norm.weight"]),
            heads=heads,
            neighbours=neighbours,
            rep_width=len(state["rep_logit.fc.bias"]),
            mlp_ratio=hidden // max(width, 1),
        )

    def forward(self, x_BTJC: Tensor) -> Tensor:
        return filled(self._lift, self.placed(x_BTJC), self.config.frames)

    def _lift(self, x_BTJC: Tensor) -> Tensor:
        x_BTJE = self.layers(self.joints_embed(x_BTJC) + self.pos_embed)
        return self.head(torch.tanh(self.rep_logit["fc"](self.norm(x_BTJE))))
