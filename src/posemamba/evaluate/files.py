"""Scores on a data set's own files; the data set is recognised by its files.

Another data set is one more entry of `EVALUATORS`, by its key in `posemamba.data.check.DATA_SETS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from posemamba.data.check import recognise
from posemamba.evaluate.registered import EVALUATIONS
from posemamba.lifting.lifter import Lifter
from posemamba.models.inputs import at_one_size, prepare_input
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress


class Result(Protocol):
    """The scores of an evaluation."""

    def table(self) -> str: ...
    def save_json(self, path: str | Path) -> None: ...


@dataclass(frozen=True)
class FileOptions:
    """Options of scoring on a data set's files; None means the default.

    Attributes:
        protocol, inputs: of Human3.6M; with VideoPose3D's files inputs may be a detector's name.
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


def _human36m(path: Path, lifter: Lifter, options: FileOptions, progress: Progress | None) -> Result:
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


def _videopose3d(path: Path, lifter: Lifter, options: FileOptions, progress: Progress | None) -> Result:
    from posemamba.data.human36m.videopose3d import VideoPose3D
    from posemamba.evaluate.videopose3d import PROTOCOL, evaluate

    if options.protocol not in (None, PROTOCOL):
        raise PoseMambaError(
            f"{path}: VideoPose3D's files are scored by protocol {PROTOCOL}, not '{options.protocol}', which needs "
            "MotionBERT's file; leave out --protocol"
        )
    return evaluate(
        raw_predictor(lifter),
        VideoPose3D.open(path, options.inputs or "detected", splits=("test",)),
        options.flip,
        progress,
        name=lifter.name,
        frames=lifter.window,
        batch=options.batch,
        metres=lifter.metres,
        confidence=True,
    )


def _mpi_inf_3dhp(path: Path, lifter: Lifter, options: FileOptions, progress: Progress | None) -> Result:
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


EVALUATORS: dict[str, Callable[[Path, Lifter, FileOptions, Progress | None], Result]] = {
    "human36m": _human36m,
    "videopose3d": _videopose3d,
    "mpi_inf_3dhp": _mpi_inf_3dhp,
}


def find_data(path: Path) -> str:
    """The key of the one data set at `path`.

    Raises:
        PoseMambaError: none, or several.
    """
    if not path.exists():
        raise PoseMambaError(
            f"unknown benchmark '{path}', expected mocap, a path to a data set's files, a folder of calibrated views, "
            f"or a registered evaluation ({', '.join(EVALUATIONS) or 'there is none'})"
        )
    there = [data for data, _ in recognise(path) if data.key in EVALUATORS]
    if len(there) != 1:
        names = " and ".join(data.name for data in there) or "no data set that can be scored"
        raise PoseMambaError(f"{path}: holds {names}, expected one; give the path of its file")
    return there[0].key


def evaluate_files(
    path: Path, lifter: Lifter, options: FileOptions, *, half: bool = False, progress: Progress | None = None
) -> Result:
    """Score a lifter on the data set at `path`; `half`: in bfloat16."""
    key = find_data(path)
    with torch.autocast(lifter.device.type, torch.bfloat16, enabled=half):
        return EVALUATORS[key](path, lifter, options, progress)
