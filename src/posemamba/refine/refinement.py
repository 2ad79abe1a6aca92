"""Options of refinement, and its steps in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from posemamba.poses import Motion3D, Poses3D
from posemamba.refine.bones import steady_bones
from posemamba.refine.feet import steady_feet
from posemamba.refine.root_path import check_fov, root_path
from posemamba.refine.scale import check_height, scale
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
    height_m: float | None = Field(default=None, description="standing height in metres: the result is in metres")
    typical_height: bool = Field(default=False, description="metres from a typical height where height_m is not given")
    root_path: bool = Field(
        default=False,
        description="the person's path, in metres from the camera; from a typical height without height_m",
    )
    fov: float | None = Field(
        default=None, description="root_path: horizontal field of view in degrees; None: a guessed one"
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
        default=None, description="degrees by which the camera is turned clockwise about its axis; None: level"
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
            ("fov", self.fov is not None, "root_path", self.root_path),
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
        if self.fov is not None:
            check_fov(self.fov)
        if turning:
            check_camera_angles(self.camera_pitch, self.camera_roll)

    @property
    def smoothing_method(self) -> Method:
        """The smoothing that `smooth` names."""
        return DEFAULT_METHOD if self.smooth in (None, "default") else cast(Method, self.smooth)


def refine(poses: Poses3D, options: RefineOptions) -> Motion3D:
    """Refine poses by the chosen steps: smoothing, scale, path, steady bones and feet, upright world, in this order.

    Args:
        poses: as the model gave them; they are not changed.
        options: the steps and their parameters.

    Returns:
        The motion, with an entry in `Motion3D.steps` for each step.

    Raises:
        PoseMambaError: options that contradict each other or are out of range, or nobody was seen in any frame.
    """
    options.check()
    motion = Motion3D.raw(poses)
    if options.smooth is not None:
        motion = smooth(
            motion,
            options.smoothing_method,
            options.smooth_cutoff,
            beta=options.smooth_beta,
            both_ways=options.smooth_both_ways,
        )
    if options.height_m is not None or options.typical_height or options.root_path:
        motion = scale(motion, options.height_m)
    if options.root_path:
        motion = root_path(motion, options.fov)
    if options.steady_bones:
        motion = steady_bones(motion)
    if options.steady_feet:
        motion = steady_feet(motion)
    if options.upright or options.camera_pitch is not None:
        motion = upright(motion, options.camera_pitch, options.camera_roll)
    return motion
