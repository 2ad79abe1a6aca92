"""Settings of training clips made from motion capture: `data` of a recipe, as a tree of what varies.

`posemamba.data.mocap.draw` draws a clip's random numbers by these settings. The default ranges cover amateurs' and
laboratories' cameras.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0.01, le=100)]
Degrees = Annotated[float, Field(ge=-180, le=180)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class MotionOptions(_Options):
    """Choice of motions, their speed, and changes to them."""

    frame_step: tuple[Factor, Factor] = Field(
        default=(0.4, 3.4),
        description="range of source frames (50 a second) per clip frame: videos of 125 to 15 frames a second; for a "
        "motion that is too short the step is lowered, to 0.5 at the least",
    )
    dance_weight: float = Field(default=0.4, ge=0, le=1e6, description="sampling weight of a frame of the salsa dances")
    bent_trunk_weight: float = Field(
        default=3.0, ge=0, le=1e6, description="sampling weight of a frame whose trunk is tilted by 45 degrees or more"
    )
    raised_leg_weight: float = Field(
        default=1.0, ge=0, le=1e6, description="sampling weight of a frame with a leg raised by 45 degrees or more"
    )
    static_share: Share = Field(default=0.03, description="share of clips in which people hardly move")
    reverse_share: Share = Field(default=0.0, description="share of clips played backwards in time")
    graft_share: Share = Field(
        default=0.0, description="share of clips whose arms or upper body come from another motion"
    )
    joint_perturbation_share: Share = Field(
        default=0.0, description="share of clips with shoulders, hips, neck or spine turned away from the capture"
    )
    large_perturbation_share: Share = Field(
        default=0.0, description="share of perturbed clips that turn hips twice and the spine three times as far"
    )
    tumble_share: Share = Field(
        default=0.0, description="share of clips with the whole body turned over about level axes"
    )
    flip: bool = Field(default=True, description="mirror half of the clips left to right")
    straight_knee_share: Share = Field(
        default=0.0, description="share of clips whose knees are bent by an angle less, down to perfectly straight"
    )
    straight_knee_degrees: tuple[Degrees, Degrees] = Field(
        default=(5, 25), description="range of the angle by which these knees are bent less"
    )
    stiff_knee_share: Share = Field(
        default=0.0, description="share of clips whose knees, in all that people do, bend by a half to none of it"
    )
    standing_share: Share = Field(
        default=0.0, description="share of clips that begin with a person who stands upright, and go on slowly"
    )


class BodyOptions(_Options):
    """Bone lengths of the bodies."""

    bone_scale: bool = Field(
        default=True, description="scale bones, each kind by itself, as far as detectors' joint definitions differ"
    )
    anatomical_share: Share = Field(
        default=0.0, description="share of bodies whose bones vary only as much as people's do (4 %)"
    )
    convention_mix: Share = Field(
        default=0.0,
        description="share of bodies, anatomical ones left out, whose bones lie between the joint definitions of the "
        "motion capture, Human3.6M and MediaPipe",
    )
    detector_share: Share = Field(
        default=0.0, description="share of bodies with the bones of MediaPipe's joints, but for what people differ by"
    )


class CameraOptions(_Options):
    """Places and lenses of the virtual cameras."""

    focal: tuple[Factor, Factor] = Field(
        default=(0.6, 2.5), description="range of focal lengths, in units of the picture's longer side"
    )
    person_height: tuple[Factor, Factor] = Field(
        default=(0.25, 1.0), description="range of an upright person's height, in units of the picture's shorter side"
    )
    aspects: tuple[Factor, ...] = Field(
        min_length=1,
        default=(1.0, 1.0, 0.5625, 0.5625, 0.75, 1.7778),
        description="height / width of the pictures, one of these for each clip",
    )
    follow_share: Share = Field(default=0.3, description="share of cameras that travel along with the person")
    extreme_share: Share = Field(default=0.06, description="share of cameras with extreme pitch, and with roll")
    extreme_pitch: tuple[Degrees, Degrees] = Field(
        default=(-60, 60), description="range of degrees by which cameras with extreme pitch look down"
    )
    level_share: Share = Field(default=0.0, description="share of cameras with extreme pitch that have no roll")
    crop_share: Share = Field(
        default=0.1, description="share of cameras that see a part of the body only; joints beyond are not detected"
    )
    offset: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="how far from the picture's middle the middle of a path may be, of the picture's half",
    )
    roll_share: Share = Field(default=0.0, description="share of cameras that are held askew, by 20 degrees typically")
    look_at_share: Share = Field(
        default=0.0, description="share of clips that are turned as by a virtual camera that looks at the person"
    )
    guessed_focal_share: Share = Field(
        default=0.5,
        description="share of turned clips whose focal length is guessed: 55 degrees along the picture's longer side",
    )
    levelled_share: Share = Field(default=0.0, description="share of turned clips whose roll is taken out")


class DetectorOptions(_Options):
    """Errors of the 2D detector; see `posemamba.data.augment.DetectorErrors`."""

    clean_share: Share = Field(default=0.35, description="share of clips with exact 2D joints")
    occlusion_share: Share = Field(
        default=0.4, description="share of noisy clips in which joints are not detected for some time"
    )
    long_occlusion_share: Share = Field(
        default=0.3, description="share of occlusions that last up to 90 frames instead of up to 20"
    )
    limb_occlusion_share: Share = Field(
        default=0.0, description="share of long occlusions that hide a whole limb or half of one"
    )
    dropout_share: Share = Field(
        default=0.15, description="share of noisy clips in which single joints of single frames are not detected"
    )
    binary_confidence_share: Share = Field(
        default=0.3, description="share of clips whose confidence is 1 where a joint was detected and 0 elsewhere"
    )
    displaced_share: Share = Field(
        default=0.0,
        description="share of noisy clips in which joints are seen at other places of the body, the same in all frames",
    )
    raised_ankle_share: Share = Field(
        default=0.0, description="share of noisy clips in which ankles are seen too high on the shin"
    )
    head_loss_share: Share = Field(default=0.0, description="share of noisy clips without nose and top of the head")
    ankle_loss_share: Share = Field(
        default=0.0, description="share of noisy clips without ankles, hidden below the picture's lower edge"
    )
    confident_share: Share = Field(
        default=0.0, description="share of noisy clips whose confidence is high whatever the error"
    )


class MocapOptions(_Options):
    """Settings of training clips made from motion capture."""

    lengths: dict[int, float] = Field(
        default={243: 0.76, 162: 0.06, 81: 0.08, 27: 0.05, 9: 0.03, 1: 0.02},
        description="frames of a batch's clips: share of the batches that have this length",
    )
    motion: MotionOptions = Field(default_factory=MotionOptions, description="motions, and changes to them")
    body: BodyOptions = Field(default_factory=BodyOptions, description="bone lengths")
    camera: CameraOptions = Field(default_factory=CameraOptions, description="virtual cameras")
    detector: DetectorOptions = Field(default_factory=DetectorOptions, description="errors of the 2D detector")

    @field_validator("lengths")
    @classmethod
    def _lengths_of_clips(cls, lengths: dict[int, float]) -> dict[int, float]:
        if not all(1 <= frames <= 100_000 and 0 <= share <= 1e6 for frames, share in lengths.items()):
            raise ValueError("expected frames from 1 to 100000, and shares from 0 on")
        if lengths and not any(lengths.values()):
            raise ValueError("every share is 0")
        return lengths
