"""What ``posemamba evaluate`` does: on motion capture, and on a data set's own files, where it finds which set it is.

Another data set is one more entry of `EVALUATORS`, by its key in `posemamba.data.check.DATA_SETS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from posemamba.data.check import recognise
from posemamba.data.mocap import motions as mocap
from posemamba.evaluate.mocap import benchmark as bench
from posemamba.lifting.lifter import Lifter
from posemamba.models.inputs import at_one_size, prepare_input
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import make_folder
from posemamba.utils.progress import Progress, Stages


class Result(Protocol):
    """What an evaluation gives."""

    def table(self) -> str: ...
    def save_json(self, path: str | Path) -> None: ...


@dataclass(frozen=True)
class Options:
    """Of the command line; None: not given.

    Attributes:
        protocol, inputs: of Human3.6M.
        flip: average with the mirrored prediction of the mirrored picture.
        batch: clips at a time.
    """

    protocol: str | None = None
    inputs: str | None = None
    flip: bool = True
    batch: int = 16


def raw_predictor(lifter: Lifter) -> Callable[[Tensor], Tensor]:
    """(B, T, 17, 2), or 3 with confidence, -> (B, T, 17, 3) normalised, as the model gives it: root and mirroring are
    the protocol's."""

    def predict(x: Tensor) -> Tensor:
        given, zoom = at_one_size(prepare_input(lifter.model, x.to(lifter.device)), lifter.person_size)
        return lifter.model(given).float() / zoom

    return predict


def _human36m(path: Path, lifter: Lifter, options: Options, progress: Progress | None) -> Result:
    from posemamba.data.human36m.dataset import Human36M
    from posemamba.evaluate.human36m import evaluate

    return evaluate(
        raw_predictor(lifter),
        Human36M.open(path),
        options.protocol or "paper",
        options.inputs or "detected",
        options.flip,
        progress,
        name=lifter.name,
        frames=lifter.window,
        batch=options.batch,
        confidence=True,
    )


def _mpi_inf_3dhp(path: Path, lifter: Lifter, options: Options, progress: Progress | None) -> Result:
    from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp
    from posemamba.evaluate.mpi_inf_3dhp import evaluate

    if options.protocol or options.inputs:
        raise PoseMambaError(f"{path}: --protocol and --inputs are for Human3.6M, this is MPI-INF-3DHP; leave them out")
    return evaluate(
        raw_predictor(lifter),
        MpiInf3dhp.open(path),
        lifter.window,
        options.flip,
        progress,
        name=lifter.name,
        batch=options.batch,
    )


EVALUATORS: dict[str, Callable[[Path, Lifter, Options, Progress | None], Result]] = {
    "human36m": _human36m,
    "mpi_inf_3dhp": _mpi_inf_3dhp,
}


def find_data(path: Path) -> str:
    """The key of the one data set at `path`.

    Raises:
        PoseMambaError: none, or several.
    """
    if not path.exists():
        raise PoseMambaError(f"unknown benchmark '{path}', expected mocap or a path to a data set's files")
    there = [data for data, _ in recognise(path) if data.key in EVALUATORS]
    if len(there) != 1:
        names = " and ".join(data.name for data in there) or "no data set that can be scored"
        raise PoseMambaError(f"{path}: holds {names}, expected one; give the path of its file")
    return there[0].key


def evaluate_files(
    path: Path, lifter: Lifter, options: Options, *, half: bool = False, progress: Progress | None = None
) -> Result:
    """Score a lifter on the data set at `path`; `half`: in bfloat16."""
    key = find_data(path)
    with torch.autocast(lifter.device.type, torch.bfloat16, enabled=half):
        return EVALUATORS[key](path, lifter, options, progress)


@dataclass(frozen=True)
class MocapChoices:
    """Of the command line, for motion capture seen by virtual cameras.

    Attributes:
        quick: one camera for each clip in place of four.
        flip: average with the mirrored prediction of the mirrored picture.
        baselines: also what any model must beat.
        actions: a line for each kind of motion.
        robustness: what disturbances cost, in place of the scores.
        half: in bfloat16.
        json_file: where the model's scores go.
        report: folder of tables, figures and all numbers.
        data: folder of the motion capture files.
        split: ``test``, ``validation`` or ``train``.
        clips: so many of the split's clips, evenly spread; None: all.
        window: frames of a window; None: as many as the model was made for.
        overlap: cross-faded windows, as in lifting, in place of windows end to end.
    """

    quick: bool = False
    flip: bool = True
    baselines: bool = False
    actions: bool = False
    robustness: bool = False
    half: bool = False
    json_file: Path | None = None
    report: Path | None = None
    data: Path | None = None
    split: str = "test"
    clips: int | None = None
    window: int | None = None
    overlap: bool = False

    def motions(self) -> mocap.Motions:
        """What is lifted.

        Raises:
            PoseMambaError: no motion capture, no such split, fewer clips.
        """
        if self.split not in ("test", "validation", "train"):
            raise PoseMambaError(f"--split {self.split}: expected test, validation or train")
        motions = mocap.load_motions(self.data, self.split)
        if self.clips is None:
            return motions
        if not 1 <= self.clips <= len(motions):
            raise PoseMambaError(f"--clips {self.clips}: expected 1 to {len(motions)}, the {self.split} clips")
        return motions.select([i * len(motions) // self.clips for i in range(self.clips)])


def print_mocap_scores(weights: str, device: str, choices: MocapChoices) -> None:
    """Score weights on the mocap benchmark; print the tables, write the files.

    Raises:
        PoseMambaError: no such weights, no motion capture, a place that cannot be written to, Matplotlib missing.
    """
    if choices.report is not None:
        require("matplotlib", "plot")  # sooner than minutes of lifting, and so are the folders
    for folder in (choices.report, choices.json_file and choices.json_file.parent):
        if folder is not None:
            make_folder(folder)
    lifter = Lifter.from_pretrained(weights, device=device, flip=choices.flip, window=choices.window)
    motions = choices.motions()
    predict = bench.model_predictor(
        lifter.model,
        window=lifter.window,
        overlap=lifter.overlap if choices.overlap else 0,
        flip=choices.flip,
        person_size=lifter.person_size,
        batch=_clips_at_once(lifter.device),
    )
    if choices.robustness:
        _print_robustness(lifter, predict, motions, choices)
    else:
        _print_benchmark(lifter, predict, motions, choices)


def _print_robustness(lifter: Lifter, predict: bench.Predict, motions: mocap.Motions, choices: MocapChoices) -> None:
    from posemamba.evaluate.mocap.robustness import run_robustness

    with Stages()(lifter.name) as progress, torch.autocast(lifter.device.type, torch.bfloat16, enabled=choices.half):
        disturbed = run_robustness(predict, name=lifter.name, motions=motions, quick=choices.quick, progress=progress)
    print(disturbed.table())
    if choices.json_file is not None:
        disturbed.save_json(choices.json_file)


def _print_benchmark(lifter: Lifter, predict: bench.Predict, motions: mocap.Motions, choices: MocapChoices) -> None:
    from posemamba.evaluate.depth_baselines import flat_baseline, mean_depth_baseline, mean_depths
    from posemamba.evaluate.mocap.figures import write_figures
    from posemamba.evaluate.mocap.report import Measurements, write_report

    predictors = [(lifter.name, predict)]
    if choices.baselines:
        depths = mean_depths(mocap.load_motions(choices.data, "train"))
        predictors += [("depth zero", flat_baseline), ("mean depth", mean_depth_baseline(depths))]
    stages = Stages()
    for name, predictor in predictors:
        measured = Measurements(motions.fps) if choices.report is not None and name == lifter.name else None
        observe = None if measured is None else measured.observe
        with stages(name) as progress, torch.autocast(lifter.device.type, torch.bfloat16, enabled=choices.half):
            result = bench.run_benchmark(
                predictor,
                name=name,
                motions=motions,
                split=choices.split,
                quick=choices.quick,
                progress=progress,
                observe=observe,
            )
        print(result.table(actions=choices.actions))
        if choices.json_file is not None and name == lifter.name:
            result.save_json(choices.json_file)
        if choices.report is not None and measured is not None:
            whole = measured.report(result)
            write_figures(whole, choices.report)
            print(f"wrote {write_report(whole, choices.report)}")


def print_file_scores(
    weights: str, path: Path, device: str, options: Options, *, half: bool = False, json_file: Path | None = None
) -> None:
    """Score weights on the data set at `path`; print the table, write the file."""
    find_data(path)  # sooner than the weights
    lifter = Lifter.from_pretrained(weights, device=device, flip=options.flip)
    options = replace(options, batch=_clips_at_once(lifter.device))
    with Stages()(lifter.name) as progress:
        result = evaluate_files(path, lifter, options, half=half, progress=progress)
    print(result.table())
    if json_file is not None:
        result.save_json(json_file)


def _clips_at_once(device: torch.device) -> int:
    return 1 if device.type == "cpu" else 32
