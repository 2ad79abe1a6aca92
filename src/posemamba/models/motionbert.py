"""MotionBERT's DSTformer (Zhu et al., 'MotionBERT: A Unified Perspective on Learning Human Motion Representations',
ICCV 2023): two streams of attention over joints and over frames, in either order, fused token by token.

Written anew. What the paper leaves open (norms, initial values) is as in the authors' repository Walter0807/MotionBERT;
attribute names are those of the parameters in their checkpoints, so that these load by name.

Shapes in names: B clips, T frames, J joints, C channels; E model width, H heads, D = E / H width of a head; N sequences
of L tokens each, the joints of a frame or the frames of a joint.
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


class MotionBERTConfig(PeerConfig):
    """The configuration of a DSTformer; the defaults are the published base size of 42 million parameters."""

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"base": {}, "lite": {"width": 256, "mlp_ratio": 4}}
    counted: ClassVar[str] = "pairs of blocks"

    width: int = Field(512, ge=1, le=8192, description="E, the paper's C_f: channels of a joint's feature")
    representation: int = Field(
        512, ge=1, le=8192, description="the paper's C_e: channels of the motion representation"
    )
    depth: int = Field(5, ge=1, le=512, description="the paper's N: pairs of blocks, one in each stream")
    heads: int = Field(8, ge=1, le=1024, description="H")
    frames: int = Field(243, ge=1, le=100_000, description="most frames of one clip: entries of the temporal embedding")
    drop_path: float = Field(0.0, ge=0, lt=1, description="drop rate of the last pair, linear from 0; 0 as published")
    confidence: bool = Field(False, description="ask for each joint's confidence; else every joint counts as certain")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")
        return self

    @property
    def widest(self) -> int:
        return max(self.width, self.representation)


class Block(nn.Module):
    """Attention and MLP over one axis, then over the other, each after a norm and added. (B, T, J, E) to the same."""

    def __init__(self, config: MotionBERTConfig, first: Axis, drop_path: float = 0.0) -> None:
        super().__init__()
        self.first, self.drop_path = first, drop_path
        self.norm1_s = nn.LayerNorm(config.width, eps=1e-6)
        self.attn_s = AxialAttention(config.width, config.heads, "joints")
        self.norm2_s = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp_s = MLP(config.width, config.mlp_ratio)
        self.norm1_t = nn.LayerNorm(config.width, eps=1e-6)
        self.attn_t = AxialAttention(config.width, config.heads, "frames")
        self.norm2_t = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp_t = MLP(config.width, config.mlp_ratio)

    def _over_joints(self, x_BTJE: Tensor) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        x_BTJE = x_BTJE + drop_path(self.attn_s(self.norm1_s(x_BTJE)), rate)
        return x_BTJE + drop_path(self.mlp_s(self.norm2_s(x_BTJE)), rate)

    def _over_frames(self, x_BTJE: Tensor) -> Tensor:
        rate = self.drop_path if self.training else 0.0
        x_BTJE = x_BTJE + drop_path(self.attn_t(self.norm1_t(x_BTJE)), rate)
        return x_BTJE + drop_path(self.mlp_t(self.norm2_t(x_BTJE)), rate)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        if self.first == "joints":
            return self._over_frames(self._over_joints(x_BTJE))
        return self._over_joints(self._over_frames(x_BTJE))


class MotionBERT(Peer[MotionBERTConfig]):
    """2D joints with confidence (B, T, J, 3) to 3D joints (B, T, J, 3), T up to `config.frames`.

    Two channels (B, T, J, 2) are joints of confidence 1. Coordinates as PoseMamba's: both models were published for
    the same normalised Human3.6M.
    """

    config_class = MotionBERTConfig
    title = "MotionBERT"
    embeds_confidence = True

    def __init__(self, config: MotionBERTConfig | None = None) -> None:
        config = config or MotionBERTConfig.preset()
        super().__init__(config)
        E = config.width
        self.joints_embed = nn.Linear(3, E)
        self.pos_embed = nn.Parameter(torch.empty(1, config.joints, E))
        self.temp_embed = nn.Parameter(torch.empty(1, config.frames, 1, E))
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.blocks_st = nn.ModuleList([Block(config, "joints", rate) for rate in rates])
        self.blocks_ts = nn.ModuleList([Block(config, "frames", rate) for rate in rates])
        self.ts_attn = nn.ModuleList([nn.Linear(2 * E, 2) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(E, eps=1e-6)
        self.pre_logits = nn.ModuleDict({"fc": nn.Linear(E, config.representation)})
        self.head = nn.Linear(config.representation, 3)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as published: truncated normal of deviation 0.02, biases 0, both streams of the same weight."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for gate in self.ts_attn:
            assert isinstance(gate, nn.Linear)
            nn.init.zeros_(gate.weight)
            nn.init.constant_(gate.bias, 0.5)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.temp_embed, std=0.02)

    def ends(self) -> tuple[nn.Module, ...]:
        return self.joints_embed, self.head

    def blocks(self) -> list[nn.Module]:
        return [*self.blocks_st, *self.blocks_ts]

    @classmethod
    def config_of(cls, state: dict[str, Tensor], heads: int) -> MotionBERTConfig:
        hidden, width = state["blocks_st.0.mlp_s.fc1.weight"].shape
        return MotionBERTConfig(
            width=width,
            representation=state["head.weight"].shape[1],
            depth=sum(name.startswith("blocks_st.") and name.endswith(".norm1_s.weight") for name in state),
            heads=heads,
            mlp_ratio=hidden // width,
            frames=state["temp_embed"].shape[1],
            joints=state["pos_embed"].shape[1],
        )

    def forward(self, x_BTJC: Tensor) -> Tensor:
        return self.head(self.represent(x_BTJC))

    def represent(self, x_BTJC: Tensor) -> Tensor:
        """The motion representation, the paper's E: what the head reads. (B, T, J, 2 or 3) to (B, T, J, C_e)."""
        x_BTJE = self.joints_embed(self.placed(x_BTJC))
        x_BTJE = x_BTJE + self.pos_embed[:, None] + self.temp_embed[:, : x_BTJC.shape[1]]
        for joints_first, frames_first, gate in zip(self.blocks_st, self.blocks_ts, self.ts_attn, strict=True):
            st_BTJE, ts_BTJE = joints_first(x_BTJE), frames_first(x_BTJE)
            weight_BTJ2 = gate(torch.cat([st_BTJE, ts_BTJE], dim=-1)).softmax(dim=-1)
            x_BTJE = st_BTJE * weight_BTJ2[..., :1] + ts_BTJE * weight_BTJ2[..., 1:]
        return torch.tanh(self.pre_logits["fc"](self.norm(x_BTJE)))
