"""The configuration of a PoseMamba, and the paper's variants of it.

In names: E model width, D = 2E inner width, R = ceil(E / 16) rank of the step size, J joints.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from torch import Tensor

from posemamba.ops.fused.weights import centre
from posemamba.ops.scan import OrderName
from posemamba.ops.scan.orders import check_order
from posemamba.poses.skeletons import H36M17, LIMB_ORDER, get_skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import check_extent


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
