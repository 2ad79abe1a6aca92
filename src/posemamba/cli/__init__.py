"""The command line: ``posemamba lift``, ``convert``, ``quality`` and so on; ``posemamba --help`` lists them.

What is the user's to mend ends in one line on stderr and exit code 2. Heavy packages are imported inside the
commands, so that help comes at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from posemamba.errors import PoseMambaError, require
from posemamba.show.command import show_app
from posemamba.stages import Stages

app = typer.Typer(
    name="posemamba",
    help="3D human pose from video or 2D keypoints, with PoseMamba.",
    pretty_exceptions_enable=False,  # an unexpected error keeps Python's traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Mode(str, Enum):
    """How to look for the person in a video."""

    track = "track"
    detect = "detect"


class Size(str, Enum):
    """The paper's variants."""

    s = "s"
    b = "b"
    l = "l"  # noqa: E741
    x = "x"


Weights = Annotated[
    str,
    typer.Option(help="A known name, a weights file, or a checkpoint of the authors' code."),
]
Device = Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda, ...")]
Flip = Annotated[
    bool,
    typer.Option("--flip/--no-flip", help="Average with the mirrored lifting of the mirrored picture: twice the work."),
]
MocapFolder = Annotated[
    Path | None, typer.Option("--data", help="Folder of the motion capture files.", show_default=False)
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 2 for what is the user's to mend, 130 when interrupted."""
    # PyTorch's threads spin while they wait: beside other busy programs that makes lifting up to ten times
    # slower; with a short spin it stays within two times, and loses nothing on an idle machine
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    arguments = list(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.filterwarnings("always", category=UserWarning, module=r"posemamba\.")
        try:
            code = app(arguments or ["--help"], prog_name="posemamba", standalone_mode=False)
        except PoseMambaError as error:
            return _complain(str(error))
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except Exception as error:
            if not hasattr(error, "format_message"):  # Typer's errors of usage have it
                raise
            where = getattr(getattr(error, "ctx", None), "command_path", "posemamba")
            return _complain(f"{error.format_message().rstrip('.')} (see {where} --help)")
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 2


def _show_warning(message: Warning | str, *unused: Any, **unused_too: Any) -> None:
    print("warning:", " ".join(str(message).split()), file=sys.stderr)


def _print_version(wanted: bool) -> None:
    if wanted:
        from posemamba import __version__

        print(f"posemamba {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    pass


# --- lift and demo


_KEYPOINTS, _PEOPLE = "Keypoint files and pictures", "People and detector"
_REFINE, _RESULTS, _MODEL = "Refinement: written beside the poses (docs/refine.md)", "Results", "Model"
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


@app.command()
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
    from posemamba.inputs import parse_time
    from posemamba.lift_command import Options
    from posemamba.lift_command import lift as run

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
        image_size=_parse_size(image_size),
        video=video,
        person=person,
        detector=detector,
        mode=None if mode is None else mode.value,
        det_model=det_model,
        pose_model=pose_model,
        refine=_refinement(smooth, smooth_method, smooth_cutoff, root_path, fov, upright, camera_pitch),
        heights=_parse_heights(height),
        angles=angles,
        exports=tuple(dict.fromkeys(_words(export))),
        overlay=overlay,
        viewer=viewer,
        viewer_video=viewer_video,
        again=again,
    )
    if code := run(options):
        raise typer.Exit(code)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _refinement(
    smooth: bool,
    method: str | None,
    cutoff: float | None,
    root_path: bool,
    fov: float | None,
    upright: bool,
    pitch: float | None,
) -> tuple[tuple[str, Any], ...]:
    """What was given, by the names of `posemamba.refine.RefineOptions`."""
    given = {
        "smooth": method or ("default" if smooth or cutoff is not None else None),
        "smooth_cutoff": cutoff,
        "root_path": root_path or None,
        "fov": fov,
        "upright": upright or None,
        "camera_pitch": pitch,
    }
    return tuple((name, value) for name, value in given.items() if value is not None)


def _parse_heights(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _words(text))
    except ValueError:
        raise PoseMambaError(f"--height is '{text}', expected metres: 1.78, or of several people 1.78,1.65") from None


@app.command()
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
    upright: Upright = False,
    camera_pitch: CameraPitch = None,
) -> None:
    """Make another format of a keypoint file, or of what was lifted, refined if you like."""
    from posemamba.convert_command import Options
    from posemamba.convert_command import convert as run

    options = Options(
        source,
        target,
        to,
        keypoints={"to_skeleton": to_skeleton, "format": format, "skeleton": skeleton, "fps": fps}
        | {"image_size": _parse_size(image_size)},
        refine=_refinement(smooth, smooth_method, smooth_cutoff, root_path, fov, upright, camera_pitch),
        heights=_parse_heights(height),
    )
    for line in run(options):
        print(line)


@app.command()
def quality(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT...", help="Folders of posemamba lift, or a poses.npz or motion.npz.", show_default=False
        ),
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file for all that was found.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="A timeline for each person: png, svg or pdf.", show_default=False)
    ] = None,
) -> None:
    """Whether results can be trusted: looks for what cannot be, such as bones that change length (docs/quality.md)."""
    from posemamba.quality.command import quality as run

    print(run(results, json_file, picture))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("posemamba-demo"),
    weights: Weights = "posemamba-s",
    frames: Annotated[int, typer.Option(min=1, help="Length of the walk, at 50 frames a second.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Another walk, other errors of the detector.")] = 0,
    flip: Flip = True,
    device: Device = "auto",
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page, if somebody watches.")] = True,
) -> None:
    """Lift a walking person made by formula, compare with the truth, and show the result. Needs no input."""
    from posemamba.demo import run_demo
    from posemamba.lift import Lifter
    from posemamba.lift_command import Results, can_draw, check_out, write_results

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


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise PoseMambaError(f"--image-size is '{text}', expected width and height in pixels, e.g. 1920x1080")
    return int(parts[0]), int(parts[1])


# --- looking inside


@app.command()
def info(
    model: Annotated[Size | None, typer.Option(help="One of the paper's variants.", show_default=False)] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a forward pass.")] = 243,
    weights: Annotated[
        str | None,
        typer.Option(help="A weights file or name: print what it says of itself.", show_default=False),
    ] = None,
) -> None:
    """Parameters and operations of a model, as the paper counts them and in full."""
    from posemamba.measure.count import Counts, count, count_preset

    counts: Counts
    if (model is None) == (weights is None):
        raise PoseMambaError("give --model s, b, l or x, or --weights with a name or file")
    if model is not None:
        counts = count_preset(model.value, frames)
        print(f"PoseMamba-{model.value.upper()}, {frames} frames of 17 joints")
    else:
        import yaml

        from posemamba.baselines.count import count_matrix_products
        from posemamba.model import PoseMamba
        from posemamba.weights import find, is_safetensors, load_model, read_card

        path = find(str(weights))
        network = load_model(path)
        frames = min(frames, network.config.frames)
        print(f"{weights}: {frames} frames of {network.config.joints} joints")
        if is_safetensors(path):
            print(yaml.safe_dump(read_card(path), sort_keys=False, width=100, default_flow_style=None).rstrip())
        if not isinstance(network, PoseMamba):
            parameters, macs = count_matrix_products(network, frames)
            print(f"{parameters:,} parameters, {macs:,} MACs of matrix products, {macs // frames:,} a frame")
            return
        counts = count(network, frames)
    print(f"{'':24}{'parameters':>14}{'MACs':>20}{'MACs/frame':>16}")
    for name, parameters, macs in (
        ("paper's count", counts.paper_parameters, counts.paper_macs),
        ("full count", counts.parameters, counts.macs),
    ):
        print(f"{name:24}{parameters:>14,}{macs:>20,}{macs // counts.frames:>16,}")
    print(f"{'scan, FLOPs':24}{'':14}{counts.scan_flops:>20,}{counts.scan_flops // counts.frames:>16,}")
    print(
        "The paper counts Linear, Conv and LayerNorm modules only. The full count has every parameter and\n"
        "the MACs of all linear maps, x_proj and dt_proj of the scan too; the scan itself is the last line."
    )


@app.command()
def doctor() -> None:
    """What is installed, which scan runs here and why, and whether it works (exit code 1 if not)."""
    from posemamba.doctor import examine

    problems = 0
    for finding in examine():
        mark = "PROBLEM: " if finding.problem else ""
        print(f"{finding.about:18} {mark}{finding.text}", flush=True)
        problems += finding.problem
    print("All is well." if not problems else f"{problems} problem{'s' if problems > 1 else ''}.")
    if problems:
        raise typer.Exit(1)


# --- training and evaluation


@app.command()
def evaluate(
    weights: Annotated[
        str, typer.Argument(help="A known name, a weights file, or the authors' checkpoint.", show_default=False)
    ],
    benchmark: Annotated[
        str, typer.Argument(metavar="DATA", help="mocap, or a data set's file or the folder that holds it.")
    ] = "mocap",
    quick: Annotated[bool, typer.Option("--quick", help="mocap: one camera for each clip in place of four.")] = False,
    flip: Flip = True,
    baselines: Annotated[bool, typer.Option("--baselines", help="mocap: also what any model must beat.")] = False,
    actions: Annotated[bool, typer.Option("--actions", help="mocap: a line for each kind of motion.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file for the model's scores.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="mocap: a folder for tables, figures and all numbers.", show_default=False),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="mocap: what lost joints and the like cost; 23 times as long.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="In bfloat16: what it costs in millimetres.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="Human3.6M: paper (the default) or all-frames, tails of videos too.", show_default=False),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(help="Human3.6M: detected (the default) or exact 2D joints.", show_default=False),
    ] = None,
    data: MocapFolder = None,
    device: Device = "auto",
) -> None:
    """Score weights on motion capture seen by virtual cameras (docs/mocap_benchmark.md), or on a data set's files."""
    if benchmark != "mocap":
        if quick or baselines or actions or data or report or robustness:
            names = "--quick, --baselines, --actions, --report, --robustness and --data"
            raise PoseMambaError(f"{names} are for mocap; leave them out")
        return _evaluate_files(weights, Path(benchmark), (protocol, inputs), flip, half, device, json_file)
    if protocol or inputs:
        raise PoseMambaError("--protocol and --inputs are for Human3.6M, and mocap was to be scored; leave them out")
    if robustness and (baselines or actions or report):
        raise PoseMambaError("--robustness prints a table of its own: leave out --baselines, --actions and --report")
    import torch

    from posemamba.data.mocap import load_motions
    from posemamba.evaluate import mocap_benchmark as bench
    from posemamba.evaluate.mocap_report import Measurements, write_report
    from posemamba.files import make_folder
    from posemamba.lift import Lifter

    if report is not None:
        require("matplotlib", "plot")  # sooner than minutes of lifting, and so are the folders
    for folder in (report, json_file and json_file.parent):
        if folder is not None:
            make_folder(folder)
    lifter = Lifter.from_pretrained(weights, device=device, flip=flip)
    predict = bench.model_predictor(
        lifter.model,
        window=lifter.window,
        flip=flip,
        person_size=lifter.person_size,
        batch=_clips_at_once(lifter.device),
    )
    if robustness:
        from posemamba.evaluate.robustness import run_robustness

        motions, stages = load_motions(data, "test"), Stages()
        with stages(lifter.name) as progress, torch.autocast(lifter.device.type, torch.bfloat16, enabled=half):
            disturbed = run_robustness(predict, name=lifter.name, motions=motions, quick=quick, progress=progress)
        print(disturbed.table())
        if json_file is not None:
            disturbed.save_json(json_file)
        return
    predictors = [(lifter.name, predict)]
    if baselines:
        depths = bench.mean_depths(load_motions(data, "train"))
        predictors += [("depth zero", bench.flat_baseline), ("mean depth", bench.mean_depth_baseline(depths))]
    motions, stages = load_motions(data, "test"), Stages()
    for name, predictor in predictors:
        measured = Measurements(motions.fps) if report is not None and name == lifter.name else None
        observe = None if measured is None else measured.observe
        with stages(name) as progress, torch.autocast(lifter.device.type, torch.bfloat16, enabled=half):
            result = bench.run_benchmark(
                predictor, name=name, motions=motions, quick=quick, progress=progress, observe=observe
            )
        print(result.table(actions=actions))
        if json_file is not None and name == lifter.name:
            result.save_json(json_file)
        if report is not None and measured is not None:
            print(f"wrote {write_report(measured.report(result), report)}")


def _clips_at_once(device: Any) -> int:
    return 1 if device.type == "cpu" else 32


def _evaluate_files(
    weights: str,
    path: Path,
    protocol_inputs: tuple[str | None, str | None],
    flip: bool,
    half: bool,
    device: str,
    json_file: Path | None,
) -> None:
    from posemamba.evaluate.command import Options, evaluate_files, find_data
    from posemamba.lift import Lifter

    find_data(path)  # sooner than the weights
    lifter, stages = Lifter.from_pretrained(weights, device=device, flip=flip), Stages()
    options = Options(*protocol_inputs, flip=flip, batch=_clips_at_once(lifter.device))
    with stages(lifter.name) as progress:
        result = evaluate_files(path, lifter, options, half=half, progress=progress)
    print(result.table())
    if json_file is not None:
        result.save_json(json_file)


data_app = typer.Typer(help="Look at data sets, or write one.")
app.add_typer(data_app, name="data")
app.add_typer(show_app, name="show")


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A data set's file, or the folder that holds it.", show_default=False)],
) -> None:
    """Which files are there, what they hold, and the first thing that is wrong (exit code 2)."""
    from posemamba.data.check import check

    for line in check(path):
        print(line, flush=True)


@data_app.command("export")
def data_export(
    source: Annotated[str, typer.Argument(help="What to write: mocap.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The folder to write into.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", help="Whose layout: human36m or mpi_inf_3dhp.")] = "human36m",
    quick: Annotated[bool, typer.Option("--quick", help="One camera for each clip in place of four.")] = False,
    data: MocapFolder = None,
) -> None:
    """Write the mocap benchmark in the layout of Human3.6M or MPI-INF-3DHP (docs/mpi_inf_3dhp.md)."""
    from posemamba.data.export import FORMATS

    if source != "mocap" or layout not in FORMATS:
        raise PoseMambaError(f"cannot write '{source}' as '{layout}', expected mocap as {' or '.join(FORMATS)}")
    with Stages()(f"{source} as {layout}") as progress:
        path = FORMATS[layout](out, mocap=data, quick=quick, progress=progress)
    print(f"  {path}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, e.g. recipes/mocap_s.yaml.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)],
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so long, with everything saved; call again to go on.", show_default=False),
    ] = None,
    budget_minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for so long, all calls together, in place of the recipe's epochs; the schedule follows.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on with the run that is there.")] = True,
    export_file: Annotated[
        Path | None, typer.Option("--export", help="Write a weights file at the end.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder (or file) of the recipe's data.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="A few steps of everything, to see that it works; nothing is kept.")
    ] = False,
) -> None:
    """Train by a recipe, or go on training (docs/train.md)."""
    for option, minutes in (("--max-minutes", max_minutes), ("--budget-minutes", budget_minutes)):
        if minutes is not None and minutes <= 0:
            raise PoseMambaError(f"{option} is {minutes:g}, expected a positive number")
    from posemamba.train.recipe import load_recipe
    from posemamba.train.run import fast_dev_run as try_out
    from posemamba.train.run import train as run

    content = load_recipe(recipe, **({} if budget_minutes is None else {"budget_minutes": budget_minutes}))
    if data is not None:
        content.data.directory = data
    accelerator = {"cuda": "gpu"}.get(device, device)
    if accelerator not in ("auto", "cpu", "gpu"):
        raise PoseMambaError(f"--device is '{device}', expected auto, cpu or gpu")
    if fast_dev_run:
        tried = try_out(content, accelerator=accelerator, progress_bar=sys.stderr.isatty())
        print(f"{content.name}: {tried.step} steps, validation and export work; nothing was kept")
        return
    result = run(
        content,
        out,
        resume=resume,
        max_minutes=max_minutes,
        accelerator=accelerator,
        progress_bar=sys.stderr.isatty(),
    )
    p1 = ", ".join(f"{name} {value:.1f} mm" for name, value in result.validation_p1.items())
    state = "finished" if result.finished else "stopped, call again to go on"
    of = f" of {result.total_steps}"
    if content.budget_minutes is not None:
        of = f", {result.training_seconds / 60:.1f} of {content.budget_minutes:g} minutes"
    print(f"{content.name}: step {result.step}{of}, {state}" + (f"; P1 {p1}" if p1 else ""))
    print(f"  {result.weights}")
    if export_file is not None:
        _export(result.weights, export_file, half=False)


@app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The figure (png, svg, pdf), or all values as csv.")] = Path(
        "curves.png"
    ),
) -> None:
    """Learning curves of runs: training error and validation P1 over steps (docs/train.md)."""
    from posemamba.train.curves import plot_curves, read_curves, write_curves

    read = [read_curves(run) for run in runs]
    (write_curves if out.suffix.lower() == ".csv" else plot_curves)(read, out)
    print(out)


@app.command()
def table(
    number: Annotated[int, typer.Argument(metavar="N", help="Which table of the paper: 1 to 6.", show_default=False)],
    runs: Annotated[Path, typer.Option(help="Folder of the runs, each named as its recipe.")] = Path("runs"),
    recipes: Annotated[Path, typer.Option(help="Folder of the recipes.")] = Path("recipes"),
    format: Annotated[str, typer.Option(help="text, csv or latex.")] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it there instead of printing it.", show_default=False)
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Train and evaluate what was not yet; days of a GPU.")] = False,
    only: Annotated[
        str | None, typer.Option(help="With --run: these recipes, with commas.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="With --run: the data set's folder or file.", show_default=False)
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="With --run: for all together; call again to go on.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="With --run: auto, cpu or gpu.")] = "auto",
) -> None:
    """The paper's numbers beside those of the runs that are there (docs/tables.md)."""
    from posemamba.evaluate.table_command import Options
    from posemamba.evaluate.table_command import table as show

    show(Options(number, runs, recipes, format, out, run, only, data, max_minutes, device, sys.stderr.isatty()))


@app.command()
def bench(
    contestants: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONTESTANT",
            help="A model and how it is run: MODEL, MODEL:SETTINGS or MODEL@FRAMES:SETTINGS, e.g. s (the default), "
            "l:bf16+graph, motionbert:bf16+compile. Models: s, b, l, x, motionbert, motionbert-lite, "
            "motionagformer-xs, -s, -b, -l; scan-s, scan-l, scan-x: the scan of one layer. Settings: float32 (the "
            "default), tf32 or bf16; compile; graph; recompute. FRAMES: of its clips, if not those of --frames.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Tables to repeat: paper-gpu or paper-cpu.", show_default=False)
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Of the preset, with commas, e.g. forward-16,train.", show_default=False)
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="forward, train or forward,train. Default: forward.", show_default=False)
    ] = None,
    clips: Annotated[
        str | None, typer.Option(help="Clips at once, e.g. 1,16,64. Default: 1.", show_default=False)
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Frames of a clip, e.g. 243,972. Default: 243.", show_default=False)
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="Sweep over the length of one clip, e.g. 27,81,243,729,972,1944,3888.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The contestant that the others are compared with.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each contestant in a table.", min=1)] = 7,
    limit_s: Annotated[
        float, typer.Option(help="Seconds for one contestant in all, looked at between its steps.", min=0)
    ] = 300.0,
    device: Device = "auto",
    earlier: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", help="Show what earlier calls wrote by --json, in place of measuring.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Keep all that is measured there.", show_default=False)
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Error against cost: png, svg or pdf.", show_default=False)] = None,
    plot_lengths: Annotated[
        Path | None, typer.Option(help="Cost against length: png, svg or pdf.", show_default=False)
    ] = None,
) -> None:
    """Race models on this machine: time, memory, cost per frame; correctness is checked first (docs/bench.md)."""
    from posemamba.measure.command import Options
    from posemamba.measure.command import bench as run

    options = Options(
        contestants or (),
        preset,
        part,
        task,
        clips,
        frames,
        lengths,
        reference,
        rounds,
        limit_s,
        device,
        earlier or (),
        json_file,
        plot,
        plot_lengths,
    )
    if not run(options):
        raise typer.Exit(1)


@app.command()
def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="Folder of a training run, or its weights.pt or best.pt; for the authors' format any weights.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", show_default=False)],
    best: Annotated[
        bool, typer.Option("--best", help="Those of the best validation in place of the last ones.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Half precision: half the size.")] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            "--card", help="JSON file whose fields go into the card: hours, hardware, limits.", show_default=False
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="safetensors, or authors: a .bin that the authors' code loads.")
    ] = "safetensors",
) -> None:
    """Make a weights file, with its card, of a training run; or weights of any kind readable for the authors' code."""
    from posemamba.train.run import BEST, WEIGHTS

    path = run / (BEST if best else WEIGHTS) if run.is_dir() else run
    if format == "authors":
        return _export_for_authors(path, out, safetensors_only=bool(half or card))
    if format != "safetensors":
        raise PoseMambaError(f"--format is '{format}', expected safetensors or authors")
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file; expected the folder of a training run")
    _export(path, out, half, _read_card_fields(card))


def _export_for_authors(path: Path, out: Path, safetensors_only: bool) -> None:
    from posemamba.weights.export import export_for_authors

    if safetensors_only:
        raise PoseMambaError("--half and --card are for safetensors files; leave them out")
    if out.suffix not in (".bin", ".pt", ".pth"):
        raise PoseMambaError(f"{out}: expected a name that ends with .bin")
    try:
        export_for_authors(path, out)
    except OSError as error:
        raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    print(f"  {out}")


def _read_card_fields(path: Path | None) -> dict[str, Any]:
    import json

    if path is None:
        return {}
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PoseMambaError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(fields, dict):
        raise PoseMambaError(f"{path}: expected a JSON object of fields for the card, found {type(fields).__name__}")
    return fields


def _export(path: Path, out: Path, half: bool, more: dict[str, Any] | None = None) -> None:
    from posemamba.weights.export import export_weights

    if out.suffix != ".safetensors":
        raise PoseMambaError(f"{out}: expected a name that ends with .safetensors")
    try:
        export_weights(path, out, half=half, more=more)
    except OSError as error:
        raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    print(f"  {out}")
