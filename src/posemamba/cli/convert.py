"""``posemamba convert``: keypoint files into other formats, saved poses into files of other programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from posemamba.cli.heights import parse_heights
from posemamba.cli.options import ExportOptions, argument, option, parse_size
from posemamba.io.pictures import natural_key
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading

if TYPE_CHECKING:
    from posemamba.poses import Poses3D

_KEYPOINTS = "Keypoints"
_KEYPOINT_OPTIONS = ("to_skeleton", "format", "skeleton", "fps", "image_size")


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(ExportOptions):
    """Options of ``posemamba convert``; None means that an option was not given."""

    source: Annotated[
        Path, argument("Keypoints of any known format; or a poses.npz, or the folder with it.", metavar="SOURCE")
    ]
    target: Annotated[
        Path,
        argument(
            "Keypoints: .npz, .csv, .json or a folder. Poses: .csv, .tidy.csv, .trc, .bvh or .glb.", metavar="TARGET"
        ),
    ]
    to: Annotated[str | None, option("The format to write, if the name's end does not say.")] = None
    to_skeleton: Annotated[str | None, option("Write these joints, e.g. h36m17.", panel=_KEYPOINTS)] = None
    format: Annotated[str | None, option("The source's format; recognised.", panel=_KEYPOINTS)] = None
    skeleton: Annotated[str | None, option("The source's skeleton; recognised.", panel=_KEYPOINTS)] = None
    fps: Annotated[float | None, option("Frames per second.", panel=_KEYPOINTS)] = None
    image_size: Annotated[str | None, option("The image's size in pixels, WxH.", panel=_KEYPOINTS)] = None


def convert(options: ConvertOptions) -> None:
    """Convert a keypoint file, or what was lifted, to another format; refine the poses if asked to."""
    given = {name: getattr(options, name) for name in _KEYPOINT_OPTIONS if getattr(options, name) is not None}
    from posemamba.io.motion.npz import are_poses

    options = replace(options, source=_poses_in(options.source))
    if are_poses(options.source):
        if given:
            name = next(iter(given)).replace("_", "-")
            raise PoseMambaError(f"--{name} is for keypoints, and {options.source} holds poses; leave it out")
        _export(options)
        return
    of_poses = {"--angles": options.angles, "--world": options.world, "--rig": options.rig}
    asked = next((name for name, value in of_poses.items() if value), "refinement")
    if options.refinement or options.heights or asked != "refinement":
        raise PoseMambaError(
            f"{options.source}: holds no lifted poses, and {asked} is for these; lift it first (posemamba lift)"
        )
    from posemamba.io.keypoints.convert import convert_keypoints
    from posemamba.io.motion import EXPORTS

    alone = [e.suffix for e in EXPORTS.values() if e.needs_metres]  # keypoints are written as csv, too
    if options.to is None and options.target.suffix.lower() in alone:
        raise PoseMambaError(
            f"{options.source}: holds no lifted poses, and {options.target.suffix} is made of these: give a poses.npz "
            "of posemamba lift"
        )
    if options.image_size is not None:
        given["image_size"] = parse_size(options.image_size)
    people = convert_keypoints(options.source, options.target, to=options.to, **given)
    first = people[0]
    persons = f"{len(people)} people" if len(people) > 1 else "1 person"
    print(f"  {options.target}: {persons}, {len(first)} frames, {first.skeleton.name}")


def _poses_in(source: Path) -> Path:
    """Return the poses in a folder of results, or the source itself.

    Raises:
        PoseMambaError: there are several people's.
    """
    with reading(source, "a folder of results"):
        people = sorted(source.glob("poses_*.npz"), key=natural_key) if source.is_dir() else []
    if source.is_dir() and (source / "poses.npz").is_file():
        return source / "poses.npz"
    if len(people) > 1:
        names = ", ".join(path.name for path in people[:5]) + (", ..." if len(people) > 5 else "")
        raise PoseMambaError(f"{source}: holds the poses of {len(people)} people, name one of them: {names}")
    return people[0] if people else source


def _export(options: ConvertOptions) -> None:
    from posemamba.io.motion import EXPORTS, write_motion
    from posemamba.io.motion.npz import load_poses_npz
    from posemamba.quality.trust import judge
    from posemamba.refine.refinement import refine

    source, target = options.source, options.target
    # the longest suffix first: .tidy.csv ends with .csv, too
    by_name = sorted(EXPORTS.values(), key=lambda e: -len(e.suffix))
    name = options.to or next((e.name for e in by_name if target.name.lower().endswith(e.suffix)), None)
    if options.angles and name != "csv":
        raise PoseMambaError(f"{target}: --angles writes a table, expected a name that ends with .csv")
    if name not in EXPORTS:
        known = ", ".join(f"{e.name} ({e.suffix})" for e in EXPORTS.values())
        more = "; Blender makes fbx of a glb" if (name or target.suffix).lower().endswith("fbx") else ""
        raise PoseMambaError(f"{target}: poses cannot be written as '{name or target.suffix}', expected {known}{more}")
    options.check_export([] if options.angles else [name])
    heights, understood = parse_heights(options.height)
    if understood:
        print(understood)
    if len(heights) > 1:
        raise PoseMambaError(f"{source}: holds one person, and --height names {len(heights)} heights; give one")
    wanted = options.refine_options(heights[0] if heights else None)
    wanted.check()
    poses = load_poses_npz(source)
    if poses.refined and (options.refinement or heights):
        raise PoseMambaError(
            f"{source}: is refined already ({', '.join(step.name for step in poses.refined)}); refine poses of "
            "'posemamba lift' without refinement"
        )
    if poses.trust is None:  # of an earlier version
        poses.trust = judge(poses)
    refined = refine(poses, wanted)
    if options.angles:
        notes = _write_angles(target, refined)
    else:
        notes = write_motion(target, refined, name, world=options.world_name, rig=options.rig_name)
    print(f"  {target}", *(f"  {line}" for line in notes), sep="\n")


def _write_angles(path: Path, poses: Poses3D) -> tuple[str, ...]:
    """Write the table of joint angles; returns notes for the user."""
    from posemamba.io.motion.npz import save_angles_csv
    from posemamba.refine.angle_accuracy import angle_errors
    from posemamba.refine.angles import joint_angles
    from posemamba.utils.files import writing

    with writing(path):
        save_angles_csv(path, poses, joint_angles(poses), angle_errors(poses))
    if poses.network.angle_errors is None:
        return (f"no expected errors, as the weights {poses.model} do not tell those of angles (posemamba calibrate)",)
    return ()
