"""HGMamba (IJCNN 2025): a stream of two-way Mamba scans over joints and frames beside a stream of graphs of body parts.

Cui, Hayama: HGMamba: Enhancing 3D Human Pose Estimation with a HyperGCN-Mamba Network. Written anew; parameter names
and the arithmetic are those of the authors' release (HuCui2022/HGMamba, commit ee219c3), which has the paper's graph of
parts and not that of the body. Checkpoints of that code load by name; none is published. The frame is MotionAGFormer's.

Shapes in names: B clips, T frames, J joints, C numbers of a joint; E model width, D = 2E inner width, N = 16 states,
R = ceil(E / 16) rank of the step size; G groups of L tokens.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from posemamba.models.layers import filled
from posemamba.models.motionagformer import Block, GraphConv, stream
from posemamba.models.peer import Peer, PeerConfig
from posemamba.ops.scan import scan
from posemamba.ops.scan.orders import SEQUENCE

if TYPE_CHECKING:
    from typing_extensions import Self

STATES, TAPS = 16, 4
"""States of a channel, and tokens that the causal convolution before a scan sees."""
PARTS = (
    (0, 7, 8),
    (8, 9, 10),
    (0, 1, 2),
    (2, 3),
    (0, 4, 5),
    (5, 6),
    (8, 14, 15),
    (8, 11, 12),
    (15, 16),
    (12, 13),
)
"""Human3.6M's joints of each part of the body: trunk, head, upper and lower legs, upper and lower arms."""
JOINTS = 17


class HGMambaConfig(PeerConfig):
    """The configuration of an HGMamba; the defaults are the published size B."""

    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "b": {},
        "s": {"depth": 26, "width": 64, "frames": 81},
        "xs": {"depth": 12, "width": 64, "frames": 27},
    }

    width: int = Field(128, ge=1, le=8192, description="E: channels of a joint's feature")
    depth: int = Field(16, ge=1, le=512, description="layers of both streams")
    frames: int = Field(243, ge=1, le=100_000, description="T: frames of every clip, as a batch norm is per frame")
    mlp_ratio: int = Field(4, ge=1, le=64, description="hidden width of an MLP by E")
    neighbours: int = Field(2, ge=1, le=1000, description="most similar frames that a frame gathers from")
    rep_width: int = Field(512, ge=1, le=8192, description="channels before the regression head")
    shuffle: float = Field(
        0.5, ge=0, le=1, description="share of training steps in which the last layer shuffles joints, linear from 0"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.joints != JOINTS:
            raise ValueError(f"the parts of the body are those of {JOINTS} joints, not of {self.joints}")
        if self.neighbours > self.frames:
            raise ValueError(f"{self.neighbours} neighbours among {self.frames} frames")
        return self


class TwoWayMamba(nn.Module):
    """Mamba over a sequence forwards and backwards, with weights of their own between shared linear maps. (G, L, E)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        D, R = 2 * width, math.ceil(width / 16)
        self.in_proj = nn.Linear(width, 2 * D, bias=False)
        for end in ("", "_b"):
            conv = nn.Conv1d(D, D, TAPS, groups=D, padding=TAPS - 1)
            rates = torch.arange(1, STATES + 1, dtype=torch.float32).repeat(D, 1)
            self.add_module(f"conv1d{end}", conv)
            self.add_module(f"x_proj{end}", nn.Linear(D, R + 2 * STATES, bias=False))
            self.add_module(f"dt_proj{end}", _step_size(R, D))
            self.register_parameter("A_b_log" if end else "A_log", nn.Parameter(rates.log()))
            self.register_parameter(f"D{end}", nn.Parameter(torch.ones(D)))
        self.out_proj = nn.Linear(D, width, bias=False)

    def forward(self, x_GLE: Tensor) -> Tensor:
        x_GLD, z_GLD = self.in_proj(x_GLE).chunk(2, dim=-1)
        backwards = self._scan(x_GLD.flip(1), "_b").flip(1)
        return self.out_proj((self._scan(x_GLD, "") + backwards) * F.silu(z_GLD))

    def _scan(self, x_GLD: Tensor, end: str) -> Tensor:
        conv, project, rate = (self.get_submodule(f"{name}{end}") for name in ("conv1d", "x_proj", "dt_proj"))
        u_GLD = F.silu(conv(x_GLD.mT)[..., : x_GLD.shape[1]].mT)
        u_GL1D = u_GLD.contiguous()[:, :, None]
        y_GL1D = scan(
            u_GL1D,
            project(u_GL1D)[..., None, :].contiguous(),
            rate.weight[None],  # type: ignore[index]
            rate.bias[None],  # type: ignore[index]
            self.get_parameter("A_b_log" if end else "A_log"),
            self.get_parameter(f"D{end}"),
            limb=(0,),
            order=SEQUENCE,
        )
        return y_GL1D[:, :, 0]


def _step_size(rank: int, channels: int) -> nn.Linear:
    """The map to step sizes, log-uniform in [0.001, 0.1] after softplus of its bias, as Mamba's."""
    linear = nn.Linear(rank, channels)
    if not linear.weight.is_meta:
        nn.init.uniform_(linear.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            low, high = math.log(1e-3), math.log(1e-1)
            dt = torch.exp(torch.rand(channels) * (high - low) + low).clamp(min=1e-4)
            linear.bias.copy_(dt + torch.log(-torch.expm1(-dt)))
    return linear


def _named(mamba: TwoWayMamba) -> nn.Sequential:
    """Put it one level deeper, under the name that checkpoints have for it."""
    return nn.Sequential(OrderedDict(forward_backward_mamba=mamba))


class PartConv(nn.Module):
    """Convolution over the hypergraph of body parts, its weights learned, batch norm per joint, residual. (G, J, E).

    `V`, `alpha1` and `alpha2` are in the release's checkpoints, and used by nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.U = nn.Linear(width, width)
        self.V = nn.Linear(width, width)
        self.batch_norm = nn.BatchNorm1d(JOINTS)
        self.alpha1 = nn.Parameter(torch.ones(1))
        self.p_adj = nn.Parameter(part_graph())
        self.conv_part = nn.Conv2d(width, width, 1)
        self.alpha2 = nn.Parameter(torch.ones(1))
        for linear in (self.U, self.V):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / width))

    def forward(self, x_GJE: Tensor) -> Tensor:
        graph_JJ = self.p_adj / (self.p_adj.sum(0) + 1e-3)
        gathered_GJE = F.linear(graph_JJ.mT @ x_GJE, self.conv_part.weight[..., 0, 0], self.conv_part.bias)
        return F.relu(x_GJE + self.batch_norm(gathered_GJE + self.U(x_GJE)))


def part_graph() -> Tensor:
    """The hypergraph of the body's parts, (J, J), normalised by the degrees of joints and parts."""
    member_JP = torch.zeros(JOINTS, len(PARTS), device="cpu")
    for part, joints in enumerate(PARTS):
        member_JP[list(joints), part] = 1
    scaled_JP = member_JP * member_JP.sum(1, keepdim=True).rsqrt()
    return scaled_JP / member_JP.sum(0) @ scaled_JP.T


class Layer(nn.Module):
    """The stream of scans and that of graphs, mixed per joint and frame. (B, T, J, E)."""

    def __init__(self, config: HGMambaConfig, shuffle: float) -> None:
        super().__init__()
        E, self.shuffle = config.width, shuffle
        self.mamba_spatial = Block(config, _named(TwoWayMamba(E)))
        self.mamba_temporal = Block(config, _named(TwoWayMamba(E)))
        self.graph_spatial = Block(config, PartConv(E))
        self.graph_temporal = Block(config, GraphConv(config, config.frames, config.neighbours))
        self.fusion = nn.Linear(2 * E, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, x_BTJE: Tensor) -> Tensor:
        m_BTJE = self._scans(x_BTJE)
        g_BTJE = stream(self.graph_spatial, self.graph_temporal, x_BTJE)
        share_BTJ2 = self.fusion(torch.cat((m_BTJE, g_BTJE), dim=-1)).softmax(dim=-1)
        return share_BTJ2[..., :1] * m_BTJE + share_BTJ2[..., 1:] * g_BTJE

    def _scans(self, x_BTJE: Tensor) -> Tensor:
        """Scan frame by frame and joint by joint, side by side; in training at times with the joints shuffled."""
        B, T, J, _ = x_BTJE.shape
        if self.training and self.shuffle:
            shuffled = torch.rand((), device=x_BTJE.device) < self.shuffle
            order = torch.where(
                shuffled, torch.randperm(J, device=x_BTJE.device), torch.arange(J, device=x_BTJE.device)
            )
            x_BTJE = x_BTJE[:, :, order]
        by_frame = self.mamba_spatial(x_BTJE.flatten(1, 2), B).unflatten(1, (T, J))
        by_joint = self.mamba_temporal(x_BTJE.transpose(1, 2).flatten(1, 2), B).unflatten(1, (J, T)).transpose(1, 2)
        y_BTJE = by_frame + by_joint
        return y_BTJE[:, :, order.argsort()] if self.training and self.shuffle else y_BTJE


class HGMamba(Peer[HGMambaConfig]):
    """2D joints (B, T, 17, 2), or with confidence (B, T, 17, 3), to 3D joints (B, T, 17, 3), T up to `config.frames`.

    Without confidence every joint counts as certain (1). The layers see `config.frames` frames always: of a shorter
    clip each frame is shown as often as fills them, and the first time counts.
    """

    config_class = HGMambaConfig
    title = "HGMamba"
    key = "model"
    embeds_confidence = True

    def __init__(self, config: HGMambaConfig | None = None) -> None:
        super().__init__(config or HGMambaConfig.preset())
        c = self.config
        self.joints_embed = nn.Linear(3, c.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, JOINTS, c.width))
        self.norm = nn.LayerNorm(c.width)
        rates = torch.linspace(0, c.shuffle, c.depth, device="cpu").tolist()
        self.layers = nn.Sequential(*(Layer(c, rate) for rate in rates))
        self.rep_logit = nn.ModuleDict({"fc": nn.Linear(c.width, c.rep_width)})
        self.head = nn.Linear(c.rep_width, 3)

    def ends(self) -> tuple[nn.Module, ...]:
        return self.joints_embed, self.head

    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    @classmethod
    def config_of(cls, state: dict[str, Tensor], heads: int) -> HGMambaConfig:
        hidden, width = state["layers.0.mamba_spatial.mlp.fc1.weight"].shape
        return HGMambaConfig(
            width=width,
            depth=len({name.split(".")[1] for name in state if name.startswith("layers.")}),
            frames=len(state["layers.0.graph_temporal.mixer.batch_norm.weight"]),
            rep_width=len(state["rep_logit.fc.bias"]),
            mlp_ratio=hidden // width,
        )

    def forward(self, x_BTJC: Tensor) -> Tensor:
        return filled(self._lift, self.placed(x_BTJC), self.config.frames)

    def _lift(self, x_BTJC: Tensor) -> Tensor:
        x_BTJE = self.layers(self.norm(self.joints_embed(x_BTJC)) + self.pos_embed)
        return self.head(torch.tanh(self.rep_logit["fc"](self.norm(x_BTJE))))
