"""STCFormer (CVPR 2023): attention among joints on half of the channels, among frames on the other half, side by side.

Tang, Qiu, Hao, Hong, Yao: 3D Human Pose Estimation with Spatio-Temporal Criss-cross Attention. Written anew; parameter
names and what the paper leaves open are those of the authors' release (zhenhuat/STCFormer, commit 74f6601), so that
their checkpoints load by name and give the same output.

Shapes in names: B clips, T frames, J joints, C numbers of a joint; E model width, F = E / 2 channels of an axis,
H heads, D = F / H width of a head; N sequences of L tokens each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from posemamba.models.layers import drop_path
from posemamba.models.peer import Peer, PeerConfig

if TYPE_CHECKING:
    from typing_extensions import Self

PARTS = (0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4)
"""The part of the body of each of Human3.6M's joints: trunk and head, right leg, left leg, left arm, right arm."""
PART_WEIGHTS = {"joints": 1e-4, "frames": 1e-9}
"""Weight of the embedding of parts beside each axis's attention."""
PART_DROP = 0.5
"""The share of training steps in which a layer leaves its embedding of parts out, for all clips together."""


class STCFormerConfig(PeerConfig):
    """The configuration of an STCFormer; the defaults are the published base size."""

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"base": {}, "l": {"width": 512}}

    width: int = Field(256, ge=1, le=8192, description="E: channels of a joint's feature")
    depth: int = Field(6, ge=1, le=512, description="layers")
    mlp_ratio: int = Field(4, ge=1, le=64, description="hidden width of an MLP by E")
    heads: int = Field(8, ge=1, le=1024, description="attention heads of each axis")
    dropout: float = Field(0.1, ge=0, lt=1, description="of an MLP's hidden and outgoing channels")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.joints != len(PARTS):
            raise ValueError(f"the parts of the body are those of {len(PARTS)} joints, not of {self.joints}")
        if self.width % (2 * self.heads):
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads for each of two axes")
        return self


class CrissCrossAttention(nn.Module):
    """Attention over joints and over frames, each on half of the channels, with a residual. (B, T, J, E).

    Beside each axis's attention stand a 3x3 depth-wise convolution of its values over (frames, joints), and an
    embedding of the body's parts with a tiny weight.
    """

    def __init__(self, config: STCFormerConfig) -> None:
        super().__init__()
        E, half = config.width, config.width // 2
        self.heads, self.scale = config.heads, half**-0.5
        self.qkv = nn.Linear(E, 3 * E)
        self.layer_norm = nn.LayerNorm(E)
        self.proj = nn.Linear(E, E)
        self.emb = nn.Embedding(max(PARTS) + 1, half // config.heads)
        self.sep2_t = nn.Conv2d(half, half, kernel_size=3, padding=1, groups=half)
        self.sep2_s = nn.Conv2d(half, half, kernel_size=3, padding=1, groups=half)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        qkv_BTJE3 = self.qkv(self.layer_norm(x_BTJE)).unflatten(-1, (-1, 3))  # query, key, value of a channel in a row
        over_joints, over_frames = qkv_BTJE3.chunk(2, dim=3)
        part_JD = self.emb.weight[torch.tensor(PARTS, device=x_BTJE.device)]
        y_BTJHD = self._attend(over_joints, self.sep2_s, part_JD, frames=False)
        z_BTJHD = self._attend(over_frames, self.sep2_t, part_JD, frames=True)
        return x_BTJE + self.proj(torch.cat([y_BTJHD, z_BTJHD], -1).flatten(3))

    def _attend(self, qkv_BTJF3: Tensor, conv: nn.Conv2d, part_JD: Tensor, frames: bool) -> Tensor:
        """Return one axis's channels by head, (B, T, J, H, D)."""
        qkv_BTJHD3 = qkv_BTJF3.unflatten(3, (self.heads, -1))
        sequences = qkv_BTJHD3.permute(5, 0, 2, 3, 1, 4) if frames else qkv_BTJHD3.permute(5, 0, 1, 3, 2, 4)
        q_BNHLD, k_BNHLD, v_BNHLD = sequences.unbind(0)
        y_BNHLD = F.scaled_dot_product_attention(q_BNHLD, k_BNHLD, v_BNHLD, scale=self.scale)
        y_BTJHD = y_BNHLD.permute(0, 3, 1, 2, 4) if frames else y_BNHLD.permute(0, 1, 3, 2, 4)
        near_BTJF = conv(qkv_BTJF3[..., 2].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        part_JD = PART_WEIGHTS["frames" if frames else "joints"] * part_JD
        if self.training:  # one draw for all clips, as in the release
            part_JD = part_JD * (torch.rand((), device=part_JD.device) >= PART_DROP) / (1 - PART_DROP)
        return y_BTJHD + near_BTJF.unflatten(3, (self.heads, -1)) + part_JD[:, None]


class MLP(nn.Module):
    """Linear, GELU, linear, without biases, with dropout after each."""

    def __init__(self, config: STCFormerConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.fc1 = nn.Linear(config.width, config.mlp_ratio * config.width, bias=False)
        self.fc2 = nn.Linear(config.mlp_ratio * config.width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.dropout(F.gelu(self.fc1(x)), self.dropout, self.training)
        return F.dropout(self.fc2(hidden), self.dropout, self.training)


class Block(nn.Module):
    """Criss-cross attention; norm, MLP, residual. (B, T, J, E) to the same."""

    def __init__(self, config: STCFormerConfig) -> None:
        super().__init__()
        self.drop_path = config.drop_path
        self.layer_norm = nn.LayerNorm(config.width)
        self.mlp = MLP(config)
        self.stc_att = CrissCrossAttention(config)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        x_BTJE = self.stc_att(x_BTJE)
        return x_BTJE + drop_path(self.mlp(self.layer_norm(x_BTJE)), self.drop_path if self.training else 0.0)


class STCFormer(Peer[STCFormerConfig]):
    """2D joints (B, T, 17, 2), or 3 with confidence, to 3D joints (B, T, 17, 3), T up to `config.frames`.

    No parameter depends on the number of frames.
    """

    config_class = STCFormerConfig
    title = "STCFormer"

    def __init__(self, config: STCFormerConfig | None = None) -> None:
        super().__init__(config or STCFormerConfig.preset())
        c = self.config
        self.pose_emb = nn.Linear(c.channels, c.width, bias=False)
        self.stcformer = nn.ModuleDict({"stc_block": nn.ModuleList([Block(c) for _ in range(c.depth)])})
        self.regress_head = nn.Linear(c.width, 3, bias=False)

    def ends(self) -> tuple[nn.Module, ...]:
        return self.pose_emb, self.regress_head

    def blocks(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, Block)]

    @classmethod
    def config_of(cls, state: dict[str, Tensor], heads: int) -> STCFormerConfig:
        hidden, width = state["stcformer.stc_block.0.mlp.fc1.weight"].shape
        return STCFormerConfig(
            width=width,
            depth=1 + max(int(name.split(".")[2]) for name in state if name.startswith("stcformer.stc_block.")),
            heads=heads,
            mlp_ratio=hidden // width,
            confidence=state["pose_emb.weight"].shape[1] == 3,
        )

    def forward(self, x_BTJC: Tensor) -> Tensor:
        x_BTJE = F.gelu(self.pose_emb(self.placed(x_BTJC)))
        for block in self.blocks():
            x_BTJE = block(x_BTJE)
        return self.regress_head(x_BTJE)
