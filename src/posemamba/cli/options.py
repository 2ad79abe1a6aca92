"""Options that several commands take, and how their text is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from posemamba.utils.errors import PoseMambaError

Device = Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda, ...")]
Flip = Annotated[
    bool,
    typer.Option("--flip/--no-flip", help="Average with the mirrored lifting of the mirrored picture: twice the work."),
]
MocapFolder = Annotated[
    Path | None, typer.Option("--data", help="Folder of the motion capture files.", show_default=False)
]

_REFINE = "Refinement: written beside the poses (docs/refine.md)"
Smooth = Annotated[
    bool, typer.Option("--smooth", help="Take jitter out, by the method that measured best.", rich_help_panel=_REFINE)
]
SmoothMethod = Annotated[
    str | None,
    typer.Option(
        help="Smooth by butterworth, savitzky-golay or one-euro.", show_default=False, rich_help_panel=_REFINE
    ),
]
SmoothCutoff = Annotated[
    float | None,
    typer.Option(help="Smooth at this many hertz: lower is smoother.", show_default=False, rich_help_panel=_REFINE),
]
Height = Annotated[
    str | None,
    typer.Option(
        help="Metres: the person's standing height, e.g. 1.78; of several people 1.78,1.65.",
        show_default=False,
        rich_help_panel=_REFINE,
    ),
]
RootPath = Annotated[
    bool,
    typer.Option(
        "--root-path", help="Estimate where the person is, in metres from the camera.", rich_help_panel=_REFINE
    ),
]
Fov = Annotated[
    float | None,
    typer.Option(
        help="Of the camera, degrees from side to side, for --root-path; else guessed.",
        show_default=False,
        rich_help_panel=_REFINE,
    ),
]
SteadyBones = Annotated[
    bool,
    typer.Option("--steady-bones", help="Give every bone one length over the whole clip.", rich_help_panel=_REFINE),
]
SteadyFeet = Annotated[
    bool,
    typer.Option("--steady-feet", help="Feet that stand in the picture stand still.", rich_help_panel=_REFINE),
]
Upright = Annotated[
    bool, typer.Option("--upright", help="Turn the world upright by how the person stands.", rich_help_panel=_REFINE)
]
CameraPitch = Annotated[
    float | None,
    typer.Option(
        help="Degrees by which the camera looks down: turns the world upright.",
        show_default=False,
        rich_help_panel=_REFINE,
    ),
]


def words(text: str | None) -> list[str]:
    """Of a list with commas."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def refinement(
    smooth: bool,
    method: str | None,
    cutoff: float | None,
    root_path: bool,
    fov: float | None,
    steady_bones: bool,
    steady_feet: bool,
    upright: bool,
    pitch: float | None,
) -> tuple[tuple[str, Any], ...]:
    """What was given, by the names of `posemamba.refine.RefineOptions`."""
    given = {
        "smooth": method or ("default" if smooth or cutoff is not None else None),
        "smooth_cutoff": cutoff,
        "root_path": root_path or None,
        "fov": fov,
        "steady_bones": steady_bones or None,
        "steady_feet": steady_feet or None,
        "upright": upright or None,
        "camera_pitch": pitch,
    }
    return tuple((name, value) for name, value in given.items() if value is not None)


def parse_heights(text: str | None) -> tuple[float, ...]:
    """Metres, of each person."""
    try:
        return tuple(float(word) for word in words(text))
    except ValueError:
        raise PoseMambaError(f"--height is '{text}', expected metres: 1.78, or of several people 1.78,1.65") from None


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Width and height in pixels."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise PoseMambaError(f"--image-size is '{text}', expected width and height in pixels, e.g. 1920x1080")
    return int(parts[0]), int(parts[1])
