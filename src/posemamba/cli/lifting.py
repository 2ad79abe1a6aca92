"""From 2D to 3D: ``lift`` and ``demo``; and what was lifted in other formats, ``convert``."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from posemamba.cli.options import (
    CameraPitch,
    Device,
    Flip,
    Fov,
    Height,
    RootPath,
    Smooth,
    SmoothCutoff,
    SmoothMethod,
    SteadyBones,
    SteadyFeet,
    Upright,
    parse_heights,
    parse_size,
    refinement,
    words,
)
from posemamba.utils.progress import Stages

_KEYPOINTS, _PEOPLE, _RESULTS, _MODEL = "Keypoint files and pictures", "People and detector", "Results", "Model"


class Mode(str, Enum):
    """How to look for the person in a video."""

    track = "track"
    detect = "detect"


def lift(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Videos, pictures, files of 2D keypoints; folders of videos or of the pictures of a clip.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder for the results; of several inputs one in it for each.", show_default=False
        ),
    ],
    start: Annotated[str | None, typer.Option(help="Begin there: seconds, or 1:02:03.", show_default=False)] = None,
    end: Annotated[str | None, typer.Option(help="End there: seconds, or 1:02:03.", show_default=False)] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what is done already.")] = False,
    person: Annotated[
        str | None,
        typer.Option(
            help="Who: longest (the default), largest, all, or a number.", show_default=False, rich_help_panel=_PEOPLE
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="mediapipe (the default), or rtmpose, rtmpose-lightweight, rtmpose-performance: finds everybody.",
            show_default=False,
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="MediaPipe: look where the person was (track, the default), or afresh in each frame.",
            show_default=False,
            rich_help_panel=_PEOPLE,
        ),
    ] = None,
    det_model: Annotated[
        Path | None,
        typer.Option(
            help="RTMPose: your ONNX file of a YOLOX person detector.", show_default=False, rich_help_panel=_PEOPLE
        ),
    ] = None,
    pose_model: Annotated[
        Path | None,
        typer.Option(help="RTMPose: your ONNX file of the joints.", show_default=False, rich_help_panel=_PEOPLE),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frames per second, if the file does not say.", show_default=False, rich_help_panel=_KEYPOINTS
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(
            help="The video they belong to, for its size, frame rate and pictures.",
            show_default=False,
            rich_help_panel=_KEYPOINTS,
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(help="The image's size in pixels, WxH.", show_default=False, rich_help_panel=_KEYPOINTS),
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            help="The joints' skeleton, e.g. coco17; recognised.", show_default=False, rich_help_panel=_KEYPOINTS
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="The file's format (docs/keypoint_formats.md); recognised.",
            show_default=False,
            rich_help_panel=_KEYPOINTS,
        ),
    ] = None,
    smooth: Smooth = False,
    smooth_method: SmoothMethod = None,
    smooth_cutoff: SmoothCutoff = None,
    height: Height = None,
    root_path: RootPath = False,
    fov: Fov = None,
    steady_bones: SteadyBones = False,
    steady_feet: SteadyFeet = False,
    upright: Upright = False,
    camera_pitch: CameraPitch = None,
    angles: Annotated[
        bool, typer.Option("--angles", help="Joint angles in degrees: angles.csv.", rich_help_panel=_RESULTS)
    ] = False,
    export: Annotated[
        str | None,
        typer.Option(
            help="The motion as csv, csv-tidy, trc, bvh or glb, several with commas.",
            show_default=False,
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    overlay: Annotated[
        bool | None,
        typer.Option(
            "--overlay/--no-overlay",
            help="Write overlay.mp4 (default: yes).",
            show_default=False,
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    viewer: Annotated[
        bool, typer.Option("--viewer/--no-viewer", help="Write viewer.html.", rich_help_panel=_RESULTS)
    ] = True,
    viewer_video: Annotated[
        bool,
        typer.Option(
            "--viewer-video", help="Put small pictures of the video into viewer.html.", rich_help_panel=_RESULTS
        ),
    ] = False,
    weights: Annotated[
        str, typer.Option(help="A name, a weights file, or the authors' checkpoint.", rich_help_panel=_MODEL)
    ] = "posemamba-s",
    flip: Annotated[
        bool,
        typer.Option(
            "--flip/--no-flip", help="Average with the mirrored picture: twice the work.", rich_help_panel=_MODEL
        ),
    ] = True,
    device: Annotated[
        str, typer.Option(help="Where the model runs: auto, cpu, cuda, ...", rich_help_panel=_MODEL)
    ] = "auto",
) -> None:
    """Lift videos, pictures or 2D keypoints to 3D poses: poses.npz, poses.json, overlay.mp4 and viewer.html.

    Earlier results in the folder are replaced when all is done, and stay as they were if anything fails.

    Of several inputs one that fails does not stop the others (exit code 1). More: docs/lift.md.
    """
    from posemamba.cli.lift.command import Options
    from posemamba.cli.lift.command import lift as run
    from posemamba.io.inputs import parse_time

    options = Options(
        tuple(sources),
        out,
        weights=weights,
        flip=flip,
        device=device,
        start=parse_time("--start", start),
        end=parse_time("--end", end),
        fps=fps,
        format=format,
        skeleton=skeleton,
        image_size=parse_size(image_size),
        video=video,
        person=person,
        detector=detector,
        mode=None if mode is None else mode.value,
        det_model=det_model,
        pose_model=pose_model,
        refine=refinement(
            smooth, smooth_method, smooth_cutoff, root_path, fov, steady_bones, steady_feet, upright, camera_pitch
        ),
        heights=parse_heights(height),
        angles=angles,
        exports=tuple(dict.fromkeys(words(export))),
        overlay=overlay,
        viewer=viewer,
        viewer_video=viewer_video,
        again=again,
    )
    if code := run(options):
        raise typer.Exit(code)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("posemamba-demo"),
    weights: Annotated[
        str, typer.Option(help="A known name, a weights file, or a checkpoint of the authors' code.")
    ] = "posemamba-s",
    frames: Annotated[int, typer.Option(min=1, help="Length of the walk, at 50 frames a second.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Another walk, other errors of the detector.")] = 0,
    flip: Flip = True,
    device: Device = "auto",
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page, if somebody watches.")] = True,
) -> None:
    """Lift a walking person made by formula, compare with the truth, and show the result. Needs no input."""
    from posemamba.cli.lift.checks import can_draw, check_out
    from posemamba.cli.lift.results import Results, write_results
    from posemamba.demo.run import run_demo
    from posemamba.lifting.lifter import Lifter

    check_out(out)

    lifter = Lifter.from_pretrained(weights, device=device, flip=flip)
    stages = Stages()
    with stages("lifting") as progress:
        result = run_demo(lifter, frames=frames, seed=seed, progress=progress)
    written = write_results(out, Results([result.poses], overlay=can_draw(must=False)), stages)
    print(f"A made-up walker, {frames} frames, 2D joints with a detector's errors; lifted by {lifter.name}; {stages}")
    print("Error against the truth, mm            P1     P2   (mean distance of joints; after alignment)")
    print(f"  lifted                          {result.score.p1:7.1f}{result.score.p2:7.1f}")
    print(f"  every joint at the pelvis's depth{result.flat_score.p1:6.1f}{result.flat_score.p2:7.1f}")
    for path in written:
        print(f"  {path}")
    page = (out / "viewer.html").resolve()
    if open_page and sys.stdout.isatty():
        import webbrowser

        if webbrowser.open(page.as_uri()):
            return
    print(f"Open in a browser: {page.as_uri()}")


def convert(
    source: Annotated[
        Path, typer.Argument(help="Keypoints of any known format; or a poses.npz or motion.npz.", show_default=False)
    ],
    target: Annotated[
        Path,
        typer.Argument(
            help="Keypoints: .npz, .csv, .json or a folder. Poses, motions: .csv, .tidy.csv, .trc, .bvh or .glb.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str | None, typer.Option(help="The format to write, if the name's end does not say.", show_default=False)
    ] = None,
    to_skeleton: Annotated[
        str | None,
        typer.Option(help="Write these joints, e.g. h36m17.", show_default=False, rich_help_panel="Keypoints"),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="The source's format; recognised.", show_default=False, rich_help_panel="Keypoints"),
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(help="The source's skeleton; recognised.", show_default=False, rich_help_panel="Keypoints"),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second.", show_default=False, rich_help_panel="Keypoints")
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(help="The image's size in pixels, WxH.", show_default=False, rich_help_panel="Keypoints"),
    ] = None,
    smooth: Smooth = False,
    smooth_method: SmoothMethod = None,
    smooth_cutoff: SmoothCutoff = None,
    height: Height = None,
    root_path: RootPath = False,
    fov: Fov = None,
    steady_bones: SteadyBones = False,
    steady_feet: SteadyFeet = False,
    upright: Upright = False,
    camera_pitch: CameraPitch = None,
) -> None:
    """Make another format of a keypoint file, or of what was lifted, refined if you like."""
    from posemamba.cli._convert import Options
    from posemamba.cli._convert import convert as run

    options = Options(
        source,
        target,
        to,
        keypoints={"to_skeleton": to_skeleton, "format": format, "skeleton": skeleton, "fps": fps}
        | {"image_size": parse_size(image_size)},
        refine=refinement(
            smooth, smooth_method, smooth_cutoff, root_path, fov, steady_bones, steady_feet, upright, camera_pitch
        ),
        heights=parse_heights(height),
    )
    for line in run(options):
        print(line)
