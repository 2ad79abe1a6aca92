"""What is varied in training clips of motion capture, and how much: the settings of `data` in a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MocapOptions(BaseModel):
    """What is varied in the training clips. The ranges are those of amateurs' and laboratories' cameras."""

    model_config = ConfigDict(extra="forbid")

    lengths: dict[int, float] = Field(
        default={243: 0.76, 162: 0.06, 81: 0.08, 27: 0.05, 9: 0.03, 1: 0.02},
        description="frames of a batch's clips, and the share of batches that have them",
    )
    step: tuple[float, float] = Field(
        default=(0.4, 3.4),
        description="frames of the source (50 a second) per frame of the clip: videos of 125 to 15 frames a second; "
        "lowered, to 0.5 at the least, where a motion is too short",
    )
    dance_weight: float = Field(default=0.4, ge=0, description="weight of a frame of the salsa dances")
    bent_weight: float = Field(default=3.0, ge=0, description="weight of frames with the trunk 45 degrees tilted")
    raised_weight: float = Field(default=1.0, ge=0, description="weight of frames with a leg raised by 45 degrees")
    clean: float = Field(default=0.35, ge=0, le=1, description="share of clips with exact 2D joints")
    focal: tuple[float, float] = Field(default=(0.6, 2.5), description="focal lengths, of the longer side")
    height: tuple[float, float] = Field(
        default=(0.25, 1.0), description="height of an upright person, of the picture's shorter side"
    )
    aspects: tuple[float, ...] = Field(
        default=(1.0, 1.0, 0.5625, 0.5625, 0.75, 1.7778), description="height/width of the pictures"
    )
    follow: float = Field(default=0.3, ge=0, le=1, description="share of cameras that travel along")
    wild: float = Field(default=0.06, ge=0, le=1, description="share of cameras with roll and steep pitch")
    steep: tuple[float, float] = Field(default=(-60, 60), description="degrees down that these look")
    straight: float = Field(default=0.0, ge=0, le=1, description="share of these without roll")
    still: float = Field(default=0.03, ge=0, le=1, description="share of clips in which people hardly move")
    cropped: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of cameras that see only a part of the body, joints beyond not found",
    )
    lost: float = Field(default=0.4, ge=0, le=1, description="share of noisy clips in which joints are away for a time")
    lost_long: float = Field(
        default=0.3, ge=0, le=1, description="share of these losses that last up to 90 frames, in place of 20"
    )
    lost_limbs: float = Field(default=0.0, ge=0, le=1, description="share of the long losses that are of a whole limb")
    dropped: float = Field(default=0.15, ge=0, le=1, description="share of clips in which joints are lost by chance")
    blind: float = Field(
        default=0.3, ge=0, le=1, description="share of clips whose confidence says only what was found"
    )
    bones: bool = Field(default=True, description="vary the bodies, as much as detectors' joints differ")
    conventions: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of those not natural whose bones lie between the motions', Human3.6M's and MediaPipe's",
    )
    natural: float = Field(default=0.0, ge=0, le=1, description="share of these as much as people differ only")
    grafted: float = Field(default=0.0, ge=0, le=1, description="share of clips with arms or trunk of another motion")
    turned: float = Field(default=0.0, ge=0, le=1, description="share of clips with shoulders, hips or trunk turned")
    far: float = Field(
        default=0.0, ge=0, le=1, description="share of these that turn hips and trunk two to three times as far"
    )
    tumbled: float = Field(default=0.0, ge=0, le=1, description="share of clips with bodies turned over as a whole")
    backwards: float = Field(default=0.0, ge=0, le=1, description="share of motions that run backwards in time")
    flip: bool = Field(default=True, description="mirror half of the clips")
