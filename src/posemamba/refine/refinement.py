"""Options of refinement, and its steps in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from posemamba.poses import Poses3D
from posemamba.refine.bones import steady_bones
from posemamba.refine.feet import steady_feet
from posemamba.refine.metres import to_metres
from posemamba.refine.scale import check_height
from posemamba.refine.smooth import DEFAULT_METHOD, Method, check_smoothing, smooth
from posemamba.refine.upright import check_camera_angles, upright
from posemamba.utils.errors import PoseMambaError


class RefineOptions(BaseModel):
    """The refinement steps to apply, and their parameters. The defaults apply none."""

    model_config = ConfigDict(extra="forbid")

    smooth: Literal["default", "one-euro", "butterworth", "savitzky-golay"] | None = Field(
        default=None, description="smoothing filter; `default`: the one that measured best (docs/refine.md)"
    )
    smooth_cutoff: float | None = Field(default=None, description="hertz; lower is smoother; None: the method's own")
    smooth_beta: float | None = Field(
        default=None, description="one-euro: hertz per body length a second of speed; None: the measured one"
    )
    smooth_both_ways: bool = Field(default=True, description="one-euro: without delay; False: no later frame is used")
    height_m: float | None = Field(
        default=None, description="standing height in metres, in place of the one that the poses were made with"
    )
    steady_bones: bool = Field(default=False, description="every bone keeps one length, the same on the left and right")
    steady_feet: bool = Field(default=False, description="feet that stand still in the picture stand still in 3D")
    upright: bool = Field(
        default=False, description="turn the camera's frame to a level world, by camera_pitch or else by an estimate"
    )
    camera_pitch: float | None = Field(
        default=None, description="degrees by which the camera looks down (negative: up); implies upright"
    )
    camera_roll: float | None = Field(
        default=None,
        description="degrees by which the camera is turned clockwise about its axis; None: as in lifting, or level",
    )

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> RefineOptions:
        """Build the options from a dictionary.

        Raises:
            PoseMambaError: an unknown option, or a value of the wrong type.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            known = ", ".join(cls.model_fields)
            if first["type"] == "extra_forbidden":
                raise PoseMambaError(f"refinement has no option '{where}', expected one of {known}") from error
            raise PoseMambaError(f"refinement's {where} is {first['input']!r}: {first['msg']}") from error

    def check(self) -> None:
        """Reject options that contradict each other or have no meaning, without any poses.

        An option of a step that was not asked for would otherwise be lost without a word.

        Raises:
            PoseMambaError: there is such an option.
        """
        turning = self.upright or self.camera_pitch is not None
        for name, given, needed, asked in (
            ("smooth_cutoff", self.smooth_cutoff is not None, "smooth", self.smooth is not None),
            ("smooth_beta", self.smooth_beta is not None, "smooth", self.smooth is not None),
            ("smooth_both_ways=False", not self.smooth_both_ways, "smooth", self.smooth is not None),
            ("camera_roll", self.camera_roll is not None, "upright or camera_pitch", turning),
        ):
            if given and not asked:
                raise PoseMambaError(
                    f"{name} is given but not {needed}, to which it belongs: give that too, or leave both"
                )
        if self.smooth is not None:
            check_smoothing(self.smoothing_method, self.smooth_cutoff, self.smooth_beta, self.smooth_both_ways)
        if self.height_m is not None:
            check_height(self.height_m)
        if turning:
            check_camera_angles(self.camera_pitch, self.camera_roll)

    @property
    def smoothing_method(self) -> Method:
        """The smoothing that `smooth` names."""
        return DEFAULT_METHOD if self.smooth in (None, "default") else cast(Method, self.smooth)


def refine(motion: Poses3D, options: RefineOptions) -> Poses3D:
    """Refine poses by the chosen steps: smoothing, steady bones and feet, upright world, in this order.

    Args:
        motion: the result of lifting; it is not changed.
        options: the steps and their parameters. With a height the poses are put into metres by it once more, first.

    Returns:
        The poses, with an entry in `Poses3D.steps` for each step.

    Raises:
        PoseMambaError: options that contradict each other or are out of range, nobody was seen in any frame, or a
            height is given for poses that are refined already.
    """
    options.check()
    if options.height_m is not None:
        if motion.refined:
            raise PoseMambaError(
                f"the poses are refined already ({', '.join(s.name for s in motion.refined)}), and a height belongs "
                "before that: give the height in lifting, or poses without refinement"
            )
        motion = to_metres(motion.network, options.height_m)
    if options.smooth is not None:
        motion = smooth(
            motion,
            options.smoothing_method,
            options.smooth_cutoff,
            beta=options.smooth_beta,
            both_ways=options.smooth_both_ways,
        )
    if options.steady_bones:
        motion = steady_bones(motion)
    if options.steady_feet:
        motion = steady_feet(motion)
    if options.upright or options.camera_pitch is not None:
        roll = motion.network.roll_deg if options.camera_roll is None else options.camera_roll
        motion = upright(motion, options.camera_pitch, roll)
    return motion
