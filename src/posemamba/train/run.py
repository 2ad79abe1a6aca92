"""Train by a recipe: start, stop when the time is up, resume where it stopped."""

from __future__ import annotations

import errno
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from posemamba.data.mocap.motions import Motions
from posemamba.ops.runtime.device import is_out_of_memory
from posemamba.train.checkpoints import BEST, LAST, WEIGHTS, check_resumable, load_weights, save_weights, scores
from posemamba.train.initialisation import build_model, config_of
from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import make_folder, writing
from posemamba.weights.files import load_safely

if TYPE_CHECKING:
    from posemamba.train.training_data import TrainingData

_DISK = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))
_NEVER = 10**12
"""More steps than any run has."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a call of `train`.

    Attributes:
        step: steps done in all, over all calls.
        total_steps: steps of the recipe; a budget in minutes goes before it.
        training_seconds: time of the steps in all, over all calls: without validation, saving, and the first step with
            clips of a length in each call, in which kernels are compiled.
        finished: all steps of the recipe are done, or its budget is used; otherwise the time was up (call again).
        validation_p1: the last P1 in millimetres by variant: ``exact`` and ``noisy`` of mocap, ``test`` of a benchmark;
            empty if there was none.
        best_p1: the best so far (of mocap the mean of the two), millimetres.
        last: the resumable checkpoint.
        weights: the averaged weights of the last step (`load_weights`).
        best: those of the best validation; None if there was no validation yet.
    """

    step: int
    total_steps: int
    training_seconds: float
    finished: bool
    validation_p1: dict[str, float]
    best_p1: float | None
    last: Path
    weights: Path
    best: Path | None


def train(
    recipe: Recipe,
    out_dir: str | Path,
    *,
    resume: bool = True,
    max_minutes: float | None = None,
    model: nn.Module | None = None,
    motions: tuple[Motions, Motions] | None = None,
    data: TrainingData | None = None,
    accelerator: str = "auto",
    progress_bar: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingResult:
    """Train, or resume training.

    In `out_dir`: ``last.ckpt`` (resumable: weights, average, optimiser, step), ``best.pt`` and ``weights.pt``
    (averaged weights alone; `load_weights`), ``logs/`` (CSV and, where tensorboard is installed, its files).
    All are written whole or not at all, so a run may be killed at any time and loses no more than
    `recipe.save_every` steps.

    Args:
        recipe: what to train.
        out_dir: where everything goes.
        resume: resume from ``last.ckpt`` if it is there; otherwise a directory that holds one is refused.
        max_minutes: stop by then, counted from this call, with everything saved; time for a last validation
            is kept in reserve if there was one before, otherwise there is none. On a benchmark a validation that is
            due is made first, however long it takes.
        model: train this one in place of the recipe's.
        motions: (training, validation) in place of mocap's files in `recipe.data.directory`.
        data: in place of all that `recipe.data` says.
        accelerator: as Lightning names it: ``auto``, ``gpu``, ``cpu``.
        progress_bar: show Lightning's.
        clock: seconds, by which `recipe.budget_minutes` is measured.

    Raises:
        PoseMambaError: no Lightning, no data, another model's checkpoint, a loss that is not finite.
    """
    begin = time.monotonic()
    from posemamba.train.callbacks import CheckpointCallback, ProgressBar
    from posemamba.train.logs import RowLogger, cut_logs
    from posemamba.train.module import LiftingModule, pl
    from posemamba.train.sources import open_data

    out = Path(out_dir)
    last = out / LAST
    if out.exists() and not out.is_dir():
        raise PoseMambaError(f"{out}: is a file, expected a folder for the run: name another one (-o)")
    if last.exists() and not resume:
        raise PoseMambaError(f"{last} exists: resume it, or choose another directory")
    if model is None:
        config_of(recipe)  # what it cannot be built of is told before anything is read or written
    data = open_data(recipe, motions) if data is None else data
    steps = data.steps_of_pass(recipe.batch * recipe.devices)
    if steps is not None:
        recipe = recipe.of_pass(steps)
    make_folder(out)
    start, seconds = check_resumable(last, recipe) if last.exists() else (0, 0.0)
    torch.set_float32_matmul_precision(recipe.matmul_precision)
    if model is None:  # a resumed run has its weights in the checkpoint
        model = build_model(recipe.model_copy(update={"start_from": None}) if start else recipe)
    module = LiftingModule(model, recipe, data)
    checkpoints = CheckpointCallback(out, begin, max_minutes, clock)
    callbacks: list[Any] = [checkpoints]
    if progress_bar:
        callbacks.append(ProgressBar(refresh_rate=max(1, recipe.log_every // 2)))
    if not recipe.done(start, seconds):
        with writing(out / "logs"):
            cut_logs(out, start)
    loggers: list[Any] = [RowLogger(out, f"from_step_{start}")]
    try:
        import tensorboard  # noqa: F401

        loggers.append(pl.loggers.TensorBoardLogger(str(out), "logs", f"from_step_{start}", purge_step=start))
    except ImportError:
        pass
    with warnings.catch_warnings():
        # Lightning warns about loaders of numbers and mid-epoch resuming; both are meant here.
        warnings.filterwarnings("ignore", module="(lightning|pytorch_lightning).*")
        for noisy in ("lightning.pytorch", "pytorch_lightning"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=recipe.devices,
            precision=recipe.precision,
            max_steps=recipe.total_steps if recipe.budget_minutes is None else -1,
            max_epochs=-1,
            gradient_clip_val=recipe.gradient_clip,
            val_check_interval=_validation_interval(recipe),
            check_val_every_n_epoch=None,
            log_every_n_steps=recipe.log_every,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress_bar,
            callbacks=callbacks,
            logger=loggers,
        )
        if not recipe.done(start, seconds):
            try:
                trainer.fit(module, ckpt_path=str(last) if start else None)
            except OSError as error:
                if error.errno not in _DISK:
                    raise
                raise PoseMambaError(
                    f"{out}: cannot write there ({error.strerror}): make room, and the same call goes on from the last "
                    "checkpoint"
                ) from error
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise PoseMambaError(_too_much(recipe, out)) from error
        else:
            content = load_safely(last)
            module.load_state_dict(content["state_dict"])
            module.validation, module.training_seconds = content["validation"], seconds
    best = out / BEST
    weights = out / WEIGHTS
    step = max(start, trainer.global_step)
    if trainer.is_global_zero and _step_of(weights) != step:
        save_weights(weights, module, step, **scores(module))
    return TrainingResult(
        step=step,
        total_steps=recipe.total_steps,
        training_seconds=module.training_seconds,
        finished=recipe.done(step, module.training_seconds),
        validation_p1=dict(module.validation_p1),
        best_p1=checkpoints.best,
        last=last,
        weights=weights,
        best=best if best.exists() else None,
    )


def _step_of(weights: Path) -> int | None:
    """Return the step of the weights that a call before wrote; None: there are none, or they are damaged."""
    try:
        return int(load_weights(weights)[2]["step"])
    except PoseMambaError:
        return None


def _too_much(recipe: Recipe, out: Path) -> str:
    ways = f"lower batch (now {recipe.batch})"
    if recipe.model.kind == "posemamba" and not recipe.recompute:
        ways += ", or set recompute: true, which halves it"
    return f"recipe {recipe.name}: memory ran out: {ways}; what was saved before is in {out}"


def _validation_interval(recipe: Recipe) -> int:
    """Steps from one validation to the next; a run that ends validates anyway."""
    if recipe.validation == "best":
        return recipe.validate_every
    return recipe.total_steps if recipe.budget_minutes is None else _NEVER
