"""Checks made before lifting: options that fit each other and the inputs, folders that can be written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.results import RESULT
from posemamba.io.inputs import Input
from posemamba.utils.errors import PoseMambaError, require


def check_options(options: LiftOptions, inputs: Sequence[Input]) -> None:
    """Reject options that do not fit each other or the inputs.

    Raises:
        PoseMambaError: there is such an option.
    """
    options.reading.check(inputs)
    if options.exports:
        from posemamba.io.motion import EXPORTS

        if unknown := [name for name in options.exports if name not in EXPORTS]:
            raise PoseMambaError(f"--export names '{unknown[0]}', expected some of {', '.join(EXPORTS)}, with commas")
    if options.wants_motion:
        for height in options.heights or (None,):
            options.refine_options(height, options.exports).check()


def check_out(out: Path, source: Path | None = None) -> None:
    """Reject a folder for results that cannot be written.

    Raises:
        PoseMambaError: it is a file, cannot be made, or results would overwrite the source.
    """
    if out.exists() and not out.is_dir():
        raise PoseMambaError(f"{out}: is a file, expected a folder for the results (-o)")
    nearest = next(d for d in (out.absolute(), *out.absolute().parents) if d.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise PoseMambaError(f"{out}: cannot be made or written to; choose another folder (-o)")
    if source is not None and source.resolve().parent == out.resolve() and RESULT.fullmatch(source.name):
        raise PoseMambaError(f"{source}: would be overwritten by the results; choose another folder (-o)")


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
