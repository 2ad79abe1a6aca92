"""What ``posemamba convert`` does: keypoint files into others, saved poses and motions into files of other programs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posemamba.utils.errors import PoseMambaError


@dataclass(frozen=True)
class Options:
    """Of the command line.

    Attributes:
        source, target: paths.
        to: the format to write; None: by the target's name.
        keypoints: options of `posemamba.io.keypoints.convert.convert_keypoints` by name; None: not given.
        refine: options of refinement by name, without the height.
        heights: metres, one at most.
    """

    source: Path
    target: Path
    to: str | None = None
    keypoints: Mapping[str, Any] = field(default_factory=dict)
    refine: tuple[tuple[str, Any], ...] = ()
    heights: tuple[float, ...] = ()


def convert(options: Options) -> list[str]:
    """Convert, and say in a few lines what was written.

    Raises:
        PoseMambaError: the source cannot be read, the options do not fit it, or the target cannot be written.
    """
    kind = _saved(options.source)
    given = {name: value for name, value in options.keypoints.items() if value is not None}
    if kind:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise PoseMambaError(f"--{option} is for keypoints, and {options.source} holds {kind}; leave it out")
        return _export(options, kind)
    if options.refine or options.heights:
        raise PoseMambaError(
            f"{options.source}: holds no lifted poses, and refinement is for these; lift it first (posemamba lift)"
        )
    from posemamba.io.keypoints.convert import convert_keypoints

    people = convert_keypoints(options.source, options.target, to=options.to, **given)
    first = people[0]
    persons = f"{len(people)} people" if len(people) > 1 else "1 person"
    return [f"  {options.target}: {persons}, {len(first)} frames, {first.skeleton.name}"]


def _saved(path: Path) -> str:
    """``poses`` or ``motion`` for what lifting saved; empty for anything else."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return ""
        with np.load(path, allow_pickle=False) as arrays:
            names = set(arrays.files)
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""  # the readers say what is wrong
    if "header" not in names or "xyz" not in names:
        return ""
    return "motion" if "poses_xyz" in names else "poses"


def _export(options: Options, kind: str) -> list[str]:
    from posemamba.cli.lift.refinement import check_refinement, refine_options
    from posemamba.io.motion import EXPORTS, write_motion
    from posemamba.io.motion.npz import load_motion_npz
    from posemamba.paper.clip import load_poses
    from posemamba.refine import refine

    source, target = options.source, options.target
    # the longest suffix first: .tidy.csv ends with .csv, too
    by_name = sorted(EXPORTS.values(), key=lambda e: -len(e.suffix))
    name = options.to or next((e.name for e in by_name if target.name.lower().endswith(e.suffix)), None)
    if name not in EXPORTS:
        known = ", ".join(f"{e.name} ({e.suffix})" for e in EXPORTS.values())
        raise PoseMambaError(f"{target}: {kind} cannot be written as '{name or target.suffix}', expected {known}")
    if len(options.heights) > 1:
        raise PoseMambaError(f"{source}: holds one person, and --height names {len(options.heights)} heights; give one")
    if kind == "motion":
        if options.refine or options.heights:
            raise PoseMambaError(f"{source}: is refined already; give its poses.npz to refine it in another way")
        motion = load_motion_npz(source)
    else:
        wanted = refine_options(options.refine, options.heights[0] if options.heights else None, [name])
        check_refinement(wanted)
        motion = refine(load_poses(source), wanted)
    notes = write_motion(target, motion, name)
    return [f"  {target}", *(f"  {line}" for line in notes)]
