"""MixSTE (CVPR 2022): attention among the joints of a frame and among the frames of a joint, in turn.

Zhang, Tu, Yang, Chen, Yuan: MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D Human Pose Estimation in Video.
Written anew; parameter names and what the paper leaves open are those of the authors' release (JinluZhang1126/MixSTE,
commit 72a36be), so that their checkpoints load by name and give the same output. PoseMamba is built like it: where that
has state-space blocks, this has attention.

Shapes in names: B clips, T frames, J joints, C numbers of a joint, E model width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from posemamba.models.layers import MLP, AxialAttention, Axis, drop_path
from posemamba.models.peer import Peer, PeerConfig

if TYPE_CHECKING:
    from typing_extensions import Self

EPS, HEAD_EPS = 1e-6, 1e-5
"""Epsilons of the norms of the blocks and of the head's."""


class MixSTEConfig(PeerConfig):
    """The configuration of a MixSTE; the defaults are the published size."""

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"base": {}}
    counted: ClassVar[str] = "pairs of blocks"

    depth: int = Field(8, ge=1, le=512, description="pairs of a spatial and a temporal block, the paper's d_l")
    heads: int = Field(8, ge=1, le=1024, description="attention heads")
    drop_path: float = Field(0.1, ge=0, lt=1, description="drop rate of the last pair of blocks, linear from 0")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")
        return self


class Block(nn.Module):
    """Norm, attention over one axis, residual; norm, MLP, residual. (B, T, J, E) to the same."""

    def __init__(self, config: MixSTEConfig, axis: Axis, rate: float) -> None:
        super().__init__()
        self.drop_path = rate
        self.norm1 = nn.LayerNorm(config.width, eps=EPS)
        self.attn = AxialAttention(config.width, config.heads, axis)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = MLP(config.width, config.mlp_ratio)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        x_BTJE = x_BTJE + drop_path(self.attn(self.norm1(x_BTJE)), rate)
        return x_BTJE + drop_path(self.mlp(self.norm2(x_BTJE)), rate)


class MixSTE(Peer[MixSTEConfig]):
    """2D joints (B, T, J, 2), or 3 with confidence, to 3D joints (B, T, J, 3), T up to `config.frames`."""

    config_class = MixSTEConfig
    title = "MixSTE"

    def __init__(self, config: MixSTEConfig | None = None) -> None:
        super().__init__(config or MixSTEConfig.preset())
        c, E = self.config, self.config.width
        rates = torch.linspace(0, c.drop_path, c.depth, device="cpu").tolist()
        self.Spatial_patch_to_embedding = nn.Linear(c.channels, E)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, c.joints, E))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, c.frames, E))
        self.STEblocks = nn.ModuleList([Block(c, "joints", rate) for rate in rates])
        self.TTEblocks = nn.ModuleList([Block(c, "frames", rate) for rate in rates])
        self.Spatial_norm = nn.LayerNorm(E, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(E, eps=EPS)
        self.head = nn.Sequential(nn.LayerNorm(E, eps=HEAD_EPS), nn.Linear(E, 3))

    def ends(self) -> tuple[nn.Module, ...]:
        return self.Spatial_patch_to_embedding, self.head

    def blocks(self) -> list[nn.Module]:
        return [*self.STEblocks, *self.TTEblocks]

    @classmethod
    def config_of(cls, state: dict[str, Tensor], heads: int) -> MixSTEConfig:
        hidden, width = state["STEblocks.0.mlp.fc1.weight"].shape
        return MixSTEConfig(
            width=width,
            depth=1 + max(int(name.split(".")[1]) for name in state if name.startswith("STEblocks.")),
            frames=state["Temporal_pos_embed"].shape[1],
            joints=state["Spatial_pos_embed"].shape[1],
            heads=heads,
            mlp_ratio=hidden // width,
            confidence=state["Spatial_patch_to_embedding.weight"].shape[1] == 3,
        )

    def forward(self, x_BTJC: Tensor) -> Tensor:
        T = x_BTJC.shape[1]
        x_BTJE = self.Spatial_patch_to_embedding(self.placed(x_BTJC)) + self.Spatial_pos_embed[:, None]
        for i, (spatial, temporal) in enumerate(zip(self.STEblocks, self.TTEblocks, strict=True)):
            x_BTJE = self.Spatial_norm(spatial(x_BTJE))
            if i == 0:
                x_BTJE = x_BTJE + self.Temporal_pos_embed[:, :T, None]
            x_BTJE = self.Temporal_norm(temporal(x_BTJE))
        return self.head(x_BTJE)
