"""Checks before the work: options that do not fit, folders that cannot be written, packages that are missing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from posemamba.cli.lift.earlier_results import RESULT
from posemamba.cli.lift.options import LiftOptions
from posemamba.io.inputs import Input, Kind
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.io.keypoints.detected import is_detected
from posemamba.utils.errors import PoseMambaError, require


def check_options(options: LiftOptions, inputs: Sequence[Input]) -> None:
    """Reject options that do not fit each other or the inputs.

    Raises:
        PoseMambaError: there is such an option.
    """
    from posemamba.refine.scale import check_height

    options.reading.check(inputs)
    if options.exports:
        from posemamba.io.motion import EXPORTS

        if unknown := [name for name in options.exports if name not in EXPORTS]:
            more = "; Blender makes fbx of a glb" if unknown[0] == "fbx" else ""
            known = ", ".join(EXPORTS)
            raise PoseMambaError(f"--export names '{unknown[0]}', expected some of {known}, with commas{more}")
    options.check_export(options.exports)
    options.view.checked()
    if options.refinement:
        options.refine_options().check()
    for height in options.heights:
        check_height(height)


def check_out(out: Path, source: Path | None = None, kind: Kind = "keypoints") -> None:
    """Reject a folder for results that cannot be written.

    Args:
        out: the folder.
        source, kind: the input, and how it is read; joints of videos and pictures are kept in the folder.

    Raises:
        PoseMambaError: it is a file, cannot be made, or results would overwrite the source or keypoints of the user's.
    """
    if out.exists() and not out.is_dir():
        raise PoseMambaError(f"{out}: is a file, expected a folder for the results (-o)")
    if out.is_symlink() and not out.exists():
        raise PoseMambaError(f"{out}: is a link that leads nowhere; choose another folder (-o)")
    nearest = next(d for d in (out.absolute(), *out.absolute().parents) if d.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise PoseMambaError(f"{out}: cannot be made or written to; choose another folder (-o)")
    if source is not None and source.resolve().parent == out.resolve() and RESULT.fullmatch(source.name):
        raise PoseMambaError(f"{source}: would be overwritten by the results; choose another folder (-o)")
    if kind != "keypoints" and (out / KEYPOINTS).exists() and not is_detected(out / KEYPOINTS):
        raise PoseMambaError(
            f"{out / KEYPOINTS}: is no result of posemamba lift, or damaged, and would be overwritten; "
            "delete it, or choose another folder (-o)"
        )


def can_draw(must: bool) -> bool:
    """Tell whether the packages for overlay.mp4 are installed; warn if not.

    Raises:
        PoseMambaError: they are not, and the overlay `must` be drawn.
    """
    try:
        require("av", "video")
        require("PIL", "video")
        return True
    except PoseMambaError as error:
        if must:
            raise
        warnings.warn(f"overlay.mp4 is left out: {error}", stacklevel=2)
        return False
