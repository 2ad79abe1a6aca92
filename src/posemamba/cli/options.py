"""Options of commands, each declared once as a field of a dataclass.

A command is a function of one dataclass. `command` makes an option of the command line of each field: its type, name
and help stand in the field's annotation, its default is the field's.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from posemamba.cli.heights import parse_heights
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.refine.refinement import RefineOptions

USE, RESEARCH = "Use", "Research"
"""Groups of commands in ``posemamba --help``."""


def command(
    app: typer.Typer, group: str | None = None, name: str | None = None, plugins: bool = False
) -> Callable[[Callable[[Any], int | None]], Callable[[Any], int | None]]:
    """Register a function of one dataclass of options as a command.

    The function's docstring is the command's help. What it returns is the exit code; None is 0. The name is the
    function's, with hyphens.

    Args:
        app: the application, or a group of commands such as ``posemamba data``.
        group: heading in the application's help.
        name: of the command, where it is not the function's.
        plugins: it has the option ``--plugin``, too.
    """

    def register(function: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
        hints = get_type_hints(function)
        options = hints[next(iter(inspect.signature(function).parameters))]

        def run(**values: Any) -> None:
            if code := function(options(**values)):
                raise typer.Exit(code)

        run.__doc__ = function.__doc__
        annotations = get_type_hints(options, include_extras=True)
        run.__annotations__ = {field.name: annotations[field.name] for field in fields(options)}
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what Typer reads
            [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.default is MISSING else field.default,
                    annotation=annotations[field.name],
                )
                for field in fields(options)
            ]
        )
        made = with_plugins(run) if plugins else run
        app.command(name or function.__name__.replace("_", "-"), rich_help_panel=group)(made)
        return function

    return register


def with_plugins(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command's function with the option ``--plugin`` behind its own: modules that are imported first."""
    hints = get_type_hints(function, include_extras=True)
    given = [p.replace(annotation=hints[p.name]) for p in inspect.signature(function).parameters.values()]
    hints["plugin"] = _Plugin

    def run(plugin: list[str] | None = None, **values: Any) -> Any:
        if plugin:
            from posemamba.utils.plugins import load

            load(plugin, here=True)
        return function(**values)

    last = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Plugin)
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {name: hints[name] for name in (*(p.name for p in given), "plugin")}
    run.__signature__ = inspect.Signature([*given, last])  # type: ignore[attr-defined]  # what Typer reads
    return run


def option(help: str, *names: str, panel: str | None = None, default: bool = False, **more: Any) -> Any:
    """Declare an option; its default is shown in the help only where `default` is true."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=default, **more)


def argument(help: str, **more: Any) -> Any:
    """Declare an argument without a name."""
    return typer.Argument(help=help, show_default=False, **more)


Device = Annotated[str, option("Where the model runs: auto, cpu, cuda, ...", default=True)]
Flip = Annotated[
    bool, option("Test-time flip: average with the flipped input's poses, twice the work.", "--flip/--no-flip")
]
MocapFolder = Annotated[Path | None, option("Folder of the motion capture files.", "--data")]

_Plugin = Annotated[
    list[str] | None,
    option("Import this module of yours first, also from the working folder; may be repeated.", metavar="MODULE"),
]

RESULTS = "Results"
_REFINE = "Size and refinement (docs/refine.md)"


@dataclass(frozen=True, kw_only=True)
class RefinementOptions:
    """Options of refinement, for every command that refines poses."""

    smooth: Annotated[bool, option("Remove jitter, by the method that measured best.", "--smooth", panel=_REFINE)] = (
        False
    )
    smooth_method: Annotated[
        str | None, option("Smooth by butterworth, savitzky-golay or one-euro.", panel=_REFINE)
    ] = None
    smooth_cutoff: Annotated[float | None, option("Smooth at this many hertz: lower is smoother.", panel=_REFINE)] = (
        None
    )
    height: Annotated[
        str | None,
        option("Standing height: 1.78, 178cm or 5'10\"; of several people 1.78,1.65; else 1.70.", panel=_REFINE),
    ] = None
    steady_bones: Annotated[
        bool, option("Give every bone one length over the whole clip.", "--steady-bones", panel=_REFINE)
    ] = False
    steady_feet: Annotated[
        bool, option("Hold feet still that stand still in the picture.", "--steady-feet", panel=_REFINE)
    ] = False
    upright: Annotated[bool, option("Turn the world upright by how the person stands.", "--upright", panel=_REFINE)] = (
        False
    )
    camera_pitch: Annotated[
        float | None,
        option("Degrees by which the camera looks down: turns the world upright.", panel=_REFINE),
    ] = None

    @property
    def refinement(self) -> dict[str, Any]:
        """The options that were given, by their names in `posemamba.refine.RefineOptions`, without the height."""
        wanted = self.smooth or self.smooth_cutoff is not None
        given = {
            "smooth": self.smooth_method or ("default" if wanted else None),
            "smooth_cutoff": self.smooth_cutoff,
            "steady_bones": self.steady_bones or None,
            "steady_feet": self.steady_feet or None,
            "upright": self.upright or None,
            "camera_pitch": self.camera_pitch,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def heights(self) -> tuple[float, ...]:
        """Standing heights in metres, one for all people or one for each; empty: not given."""
        return parse_heights(self.height)[0]

    def refine_options(self, height: float | None = None) -> RefineOptions:
        """Return the chosen refinement; with a height, poses are put into metres by it first."""
        from posemamba.refine.refinement import RefineOptions

        return RefineOptions.checked({**self.refinement, "height_m": height})


@dataclass(frozen=True, kw_only=True)
class ExportOptions(RefinementOptions):
    """Options of exported poses, for every command that writes such files."""

    angles: Annotated[
        bool, option("Joint angles in degrees, and how far off they may be: angles.csv.", "--angles", panel=RESULTS)
    ] = False
    world: Annotated[
        str | None,
        option(
            "floor: upright, on the floor, from the origin (the default of trc, bvh, glb); camera: as the poses are.",
            panel=RESULTS,
        ),
    ] = None
    rig: Annotated[
        str | None,
        option("Joints of bvh and glb by the names and hierarchy of mixamo, rokoko or unity.", panel=RESULTS),
    ] = None

    @property
    def world_name(self) -> str | None:
        """Return the place of the person in exports, as `posemamba.io.motion.write_motion` takes it."""
        return None if self.world is None else self.world.strip().lower()

    @property
    def rig_name(self) -> str:
        """The rig of exports, as `posemamba.io.motion.write_motion` takes it."""
        from posemamba.io.motion import OWN

        return OWN if self.rig is None else self.rig.strip().lower()

    def check_export(self, exports: Sequence[str]) -> None:
        """Reject a place or a rig that there is not, or that none of the exports has.

        Raises:
            PoseMambaError: there is such an option.
        """
        from posemamba.io.motion import EXPORTS, check_rig, check_world

        check_world(self.world_name)
        check_rig(self.rig_name)
        for name, asked, fitting in (
            ("world", self.world is not None, list(EXPORTS)),
            ("rig", self.rig is not None, [export.name for export in EXPORTS.values() if export.has_rig]),
        ):
            if asked and not set(exports) & set(fitting):
                raise PoseMambaError(
                    f"--{name} is for {', '.join(fitting)}, and none of them is written; leave it out, or name one"
                )


def words(text: str | None) -> list[str]:
    """Split a comma-separated list into stripped, non-empty words."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parse ``1920x1080`` into width and height in pixels."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise PoseMambaError(f"--image-size is '{text}', expected width and height in pixels, e.g. 1920x1080")
    return int(parts[0]), int(parts[1])
