"""``posemamba evaluate``: errors on motion capture seen by virtual cameras, a data set's files, or calibrated views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from posemamba.cli.options import Device, Flip, MocapFolder, argument, option
from posemamba.utils.errors import PoseMambaError, require

if TYPE_CHECKING:
    import torch

    from posemamba.data.mocap.motions import Motions
    from posemamba.evaluate.mocap.benchmark import Predict
    from posemamba.evaluate.views.benchmark import ViewsOptions
    from posemamba.lifting.lifter import Lifter

_MOCAP, _FILES, _VIEWS = "Motion capture", "Human3.6M", "Calibrated views"


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of ``posemamba evaluate``; None means that an option was not given."""

    weights: Annotated[str, argument("A known name, a weights file, or a released checkpoint.")]
    benchmark: Annotated[
        str,
        argument(
            "mocap; a data set's file or the folder that holds it; a folder with videos/ and calibration/, three or "
            "more calibrated views of one person; or the name of a registered evaluation.",
            metavar="DATA",
        ),
    ] = "mocap"
    quick: Annotated[bool, option("One camera for each clip instead of four.", "--quick", panel=_MOCAP)] = False
    aside: Annotated[
        bool,
        option("Cameras off the axis and askew, of all lenses, instead of the usual ones.", "--aside", panel=_MOCAP),
    ] = False
    look: Annotated[
        bool,
        option(
            "Through a virtual camera that looks at the person, its lens guessed, as lifting.", "--look", panel=_MOCAP
        ),
    ] = False
    flip: Flip = True
    baselines: Annotated[bool, option("Also score what any model must beat.", "--baselines", panel=_MOCAP)] = False
    actions: Annotated[bool, option("Print a line for each kind of motion.", "--actions", panel=_MOCAP)] = False
    json_file: Annotated[Path | None, option("A file for the model's scores.", "--json")] = None
    report: Annotated[Path | None, option("A folder for tables, figures and all numbers.", panel=_MOCAP)] = None
    robustness: Annotated[
        bool,
        option("Measure what lost joints and the like cost; 23 times as long.", "--robustness", panel=_MOCAP),
    ] = False
    split: Annotated[str, option("test, validation or train.", panel=_MOCAP, default=True)] = "test"
    clips: Annotated[int | None, option("So many of the clips, evenly spread, instead of all.", panel=_MOCAP)] = None
    window: Annotated[int | None, option("Frames of a window, instead of the model's most.", panel=_MOCAP)] = None
    overlap: Annotated[
        bool, option("Overlapping windows that fade, as in lifting; not end to end.", "--overlap", panel=_MOCAP)
    ] = False
    half: Annotated[bool, option("In bfloat16: what it costs in millimetres.", "--half")] = False
    protocol: Annotated[
        str | None,
        option(
            "paper (the default) or all-frames, tails of videos too; of VideoPose3D's files videopose3d.", panel=_FILES
        ),
    ] = None
    inputs: Annotated[
        str | None,
        option(
            "detected (the default) or exact 2D joints; of VideoPose3D's files also a detector's name, as cpn.",
            panel=_FILES,
        ),
    ] = None
    calibration: Annotated[
        Path | None, option("Qualisys's .qca.txt or Pose2Sim's .toml, if not in calibration/.", panel=_VIEWS)
    ] = None
    keypoints: Annotated[
        Path | None,
        option(
            "2D joints: used from NAME/keypoints.npz in this folder, as lift keeps them; detected and kept there where "
            "missing.",
            panel=_VIEWS,
        ),
    ] = None
    detector: Annotated[str | None, option("Another detector, as of lift.", panel=_VIEWS)] = None
    fov: Annotated[
        str | None,
        option(
            "Horizontal field of view in degrees, or calibrated: each camera's own; else as lift, a guess.",
            panel=_VIEWS,
        ),
    ] = None
    align: Annotated[
        bool,
        option(
            "Take out a shift of each view's picture against the others (default), or trust the calibration.",
            "--align/--no-align",
            panel=_VIEWS,
        ),
    ] = True
    data: MocapFolder = None
    device: Device = "auto"


def evaluate(options: EvaluateOptions) -> None:
    """Score weights on motion capture seen by virtual cameras, a data set's files, or calibrated videos.

    More: docs/mocap_benchmark.md, docs/human36m.md, docs/mpi_inf_3dhp.md, docs/views.md.
    """
    from posemamba.evaluate.registered import is_registered

    o = options
    registered = o.benchmark != "mocap" and is_registered(o.benchmark)
    views = o.benchmark != "mocap" and not registered and _is_views(Path(o.benchmark))
    if not views and (o.calibration or o.keypoints or o.detector or o.fov or not o.align):
        what = "is not" if o.benchmark == "mocap" or Path(o.benchmark).exists() else "does not exist"
        raise PoseMambaError(
            "--calibration, --keypoints, --detector, --fov and --no-align are for a folder of calibrated views, with "
            f"videos/ and calibration/; '{o.benchmark}' {what}"
        )
    if o.benchmark != "mocap":
        ours = (o.quick, o.baselines, o.actions, o.report, o.robustness, o.split != "test", o.clips, o.window)
        if any((*ours, o.overlap, o.aside, o.look, o.data and not registered)):
            names = (
                "--quick, --baselines, --actions, --report, --robustness, --split, --clips, --window, --overlap, "
                "--aside, --look and --data"
            )
            raise PoseMambaError(f"{names} are for mocap; leave them out")
        if registered:
            _score_registered(o)
        elif views:
            _score_views(o)
        else:
            _score_files(o)
        return
    if o.protocol or o.inputs:
        raise PoseMambaError("--protocol and --inputs are for Human3.6M, and mocap was to be scored; leave them out")
    if o.robustness and (o.baselines or o.actions or o.report or o.aside or o.look):
        raise PoseMambaError(
            "--robustness prints a table of its own: leave out --baselines, --actions, --report, --aside and --look"
        )
    _score_mocap(o)


def _motions(options: EvaluateOptions) -> Motions:
    """Load the motions to evaluate.

    Raises:
        PoseMambaError: no motion capture, no such split, fewer clips.
    """
    from posemamba.data.mocap.motions import load_motions

    if options.split not in ("test", "validation", "train"):
        raise PoseMambaError(f"--split {options.split}: expected test, validation or train")
    motions = load_motions(options.data, options.split)
    if options.clips is None:
        return motions
    if not 1 <= options.clips <= len(motions):
        raise PoseMambaError(f"--clips {options.clips}: expected 1 to {len(motions)}, the {options.split} clips")
    return motions.select([i * len(motions) // options.clips for i in range(options.clips)])


def _score_mocap(choices: EvaluateOptions) -> None:
    """Score weights on the mocap benchmark; print the tables, write the files."""
    from posemamba.evaluate.mocap.benchmark import model_predictor
    from posemamba.evaluate.mocap.devices import Loading, predictors_on
    from posemamba.lifting.lifter import Lifter
    from posemamba.ops.runtime.device import gpus_for
    from posemamba.utils.files import make_folder

    if choices.report is not None:
        require("matplotlib", "plot")  # before minutes of lifting, and so are the folders
    for folder in (choices.report, choices.json_file and choices.json_file.parent):
        if folder is not None:
            make_folder(folder)
    lifter = Lifter.from_pretrained(choices.weights, device=choices.device, flip=choices.flip, window=choices.window)
    motions = _motions(choices)
    predict = model_predictor(
        lifter.model,
        window=lifter.window,
        overlap=lifter.overlap if choices.overlap else 0,
        flip=choices.flip,
        person_size=lifter.person_size,
        batch=_clips_at_once(lifter.device),
    )
    if choices.robustness:
        _print_robustness(lifter, predict, motions, choices)
        return
    devices = gpus_for(choices.device)
    if len(devices) < 2:
        _print_benchmark(lifter, [predict], motions, choices)
        return
    overlap, batch = lifter.overlap if choices.overlap else 0, _clips_at_once(lifter.device)
    loading = Loading(choices.weights, choices.window, overlap, choices.flip, batch, choices.half)
    with predictors_on(devices, loading) as predictors:
        _print_benchmark(lifter, predictors, motions, choices)


def _print_robustness(lifter: Lifter, predict: Predict, motions: Motions, choices: EvaluateOptions) -> None:
    import torch

    from posemamba.evaluate.mocap.robustness import run_robustness
    from posemamba.utils.progress import Stages

    with Stages()(lifter.name) as progress, torch.autocast(lifter.device.type, torch.bfloat16, enabled=choices.half):
        disturbed = run_robustness(predict, name=lifter.name, motions=motions, quick=choices.quick, progress=progress)
    print(disturbed.table())
    if choices.json_file is not None:
        disturbed.save_json(choices.json_file)


def _print_benchmark(lifter: Lifter, predict: Sequence[Predict], motions: Motions, choices: EvaluateOptions) -> None:
    import torch

    from posemamba.data.mocap.motions import load_motions
    from posemamba.evaluate.depth_baselines import flat_baseline, mean_depth_baseline, mean_depths
    from posemamba.evaluate.mocap.benchmark import run_benchmark
    from posemamba.evaluate.mocap.figures import write_figures
    from posemamba.evaluate.mocap.report import Measurements, write_report
    from posemamba.utils.progress import Stages

    predictors: list[tuple[str, Predict | Sequence[Predict]]] = [(lifter.name, predict)]
    if choices.baselines:
        depths = mean_depths(load_motions(choices.data, "train"))
        predictors += [("depth zero", flat_baseline), ("mean depth", mean_depth_baseline(depths))]
    stages = Stages()
    for name, predictor in predictors:
        measured = Measurements(motions.fps) if choices.report is not None and name == lifter.name else None
        observe = None if measured is None else measured.observe
        with stages(name) as progress, torch.autocast(lifter.device.type, torch.bfloat16, enabled=choices.half):
            result = run_benchmark(
                predictor,
                name=name,
                motions=motions,
                split=choices.split,
                quick=choices.quick,
                aside=choices.aside,
                look=choices.look,
                progress=progress,
                observe=observe,
            )
        print(result.table(actions=choices.actions))
        if name == lifter.name:
            print(result.angle_table())
        if choices.json_file is not None and name == lifter.name:
            result.save_json(choices.json_file)
        if choices.report is not None and measured is not None:
            whole = measured.report(result)
            write_figures(whole, choices.report)
            print(f"wrote {write_report(whole, choices.report)}")


def _score_files(options: EvaluateOptions) -> None:
    """Score weights on a data set's files; print the table, write the file."""
    from posemamba.evaluate.files import FileOptions, evaluate_files, find_data
    from posemamba.lifting.lifter import Lifter
    from posemamba.utils.progress import Stages

    path = Path(options.benchmark)
    find_data(path)  # before the weights are read
    lifter = Lifter.from_pretrained(options.weights, device=options.device, flip=options.flip)
    chosen = FileOptions(options.protocol, options.inputs, options.flip, _clips_at_once(lifter.device))
    with Stages()(lifter.name) as progress:
        result = evaluate_files(path, lifter, chosen, half=options.half, progress=progress)
    print(result.table())
    if options.json_file is not None:
        result.save_json(options.json_file)


def _score_registered(options: EvaluateOptions) -> None:
    """Score weights by a registered evaluation; print the scores, write the file."""
    from posemamba.evaluate.registered import evaluate_registered
    from posemamba.lifting.lifter import Lifter

    if options.protocol or options.inputs:
        raise PoseMambaError("--protocol and --inputs are for Human3.6M; leave them out")
    lifter = Lifter.from_pretrained(options.weights, device=options.device, flip=options.flip)
    result = evaluate_registered(options.benchmark, lifter, options.data, half=options.half)
    print(result.table())
    if options.json_file is not None:
        result.save_json(options.json_file)


def _is_views(path: Path) -> bool:
    """Tell whether a path is a folder of calibrated views and not a data set."""
    from posemamba.evaluate.views.folder import is_views_folder

    if not is_views_folder(path):
        return False
    from posemamba.data.check import DATA_SETS

    return not any(data.find(path) for data in DATA_SETS)


def _score_views(options: EvaluateOptions) -> None:
    """Score weights on calibrated views; print the tables, write the file."""
    import torch

    from posemamba.evaluate.views.benchmark import evaluate_views
    from posemamba.evaluate.views.folder import find_views
    from posemamba.lifting.lifter import Lifter
    from posemamba.utils.files import make_folder
    from posemamba.utils.progress import Stages

    if options.protocol or options.inputs:
        raise PoseMambaError("--protocol and --inputs are for Human3.6M, and calibrated views were to be scored")
    folder, chosen = Path(options.benchmark), _views_options(options)
    find_views(folder, options.calibration)  # before the weights are read
    for place in (options.keypoints, options.json_file and options.json_file.parent):
        if place is not None:
            make_folder(place)
    lifter = Lifter.from_pretrained(options.weights, device=options.device, flip=options.flip)
    with torch.autocast(lifter.device.type, torch.bfloat16, enabled=options.half):
        result = evaluate_views(folder, lifter, chosen, stages=Stages())
    print(result.table())
    if options.json_file is not None:
        result.save_json(options.json_file)


def _views_options(options: EvaluateOptions) -> ViewsOptions:
    from posemamba.evaluate.views.benchmark import ViewsOptions
    from posemamba.pipeline.lift import View
    from posemamba.pipeline.reading import Reading

    fov: float | str | None = options.fov
    if fov is not None and fov != "calibrated":
        try:
            fov = View(float(fov)).checked().fov
        except ValueError:
            raise PoseMambaError(f"--fov is '{fov}', expected degrees, or calibrated") from None
    return ViewsOptions(
        reading=Reading(detector=options.detector),
        fov=fov,  # type: ignore[arg-type]  # a number or the one word
        calibration=options.calibration,
        keypoints=options.keypoints,
        align=options.align,
    )


def _clips_at_once(device: torch.device) -> int:
    return 1 if device.type == "cpu" else 32
