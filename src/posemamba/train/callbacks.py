"""Callbacks: checkpoints, best weights, rollback after divergence, the time of training and its limit; progress bar."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from posemamba.train.checkpoints import BEST, LAST, keeping, load_weights, save_weights, scores
from posemamba.train.divergence import DivergenceGuard, is_finite
from posemamba.train.module import pl
from posemamba.utils.errors import PoseMambaError


class ProgressBar(pl.callbacks.TQDMProgressBar):
    """Lightning's progress bar with the loss and the error in millimetres of the last logged step."""

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        return {**super().get_metrics(trainer, pl_module), **{k: f"{v:.3g}" for k, v in pl_module.shown.items()}}


class CheckpointCallback(pl.Callback):
    """A callback that saves resumable checkpoints and the best weights, rolls back divergence, and watches the time.

    Args:
        out: the run's folder.
        begin: when the call of `train` began, by `time.monotonic`.
        max_minutes: stop by then, counted from `begin`; None: never.
        clock: seconds, by which the time of training is measured.
    """

    def __init__(self, out: Path, begin: float, max_minutes: float | None, clock: Callable[[], float]) -> None:
        self.out, self.begin, self.clock = out, begin, clock
        self.seconds = 0.0  # of training, by this process's clock
        self._mark = 0.0  # up to when time was counted, or left out
        self._lengths: set[int] = set()  # of clips that this call has seen
        self.deadline = None if max_minutes is None else begin + 60 * max_minutes
        self.best: float | None = None
        self.spent = 0.0  # seconds of the longest validation and saving: kept in reserve
        self.validated = False
        self._validation_begin = 0.0
        self._guard: DivergenceGuard | None = None
        if (out / BEST).exists():
            best = load_weights(out / BEST)[2].get("p1")
            self.best = best if best is not None and math.isfinite(best) else None

    def _save(self, trainer: Any, module: Any) -> None:
        if not is_finite(module.model):
            if self._guard is not None and self._guard.ready and not trainer.should_stop:
                return  # the next logged step puts them back
            raise PoseMambaError(
                f"the weights of step {trainer.global_step} are not finite and not saved in {self.out / LAST}: "
                "lower lr or gradient_clip, or train in 32-true"
            )
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.out / LAST)  # takes part, writes nothing
            return
        with keeping(self.out / LAST) as temporary:
            for logger in trainer.loggers:  # first: a resumed run logs what comes after the checkpoint only
                logger.save()
            trainer.save_checkpoint(temporary)

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["recipe"] = module.recipe.model_dump(mode="json")
        checkpoint["validation"] = dict(module.validation)
        checkpoint["training_seconds"] = module.training_seconds
        checkpoint["slower"] = module.slower

    def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        module.validation = dict(checkpoint["validation"])
        module.training_seconds = self.seconds = float(checkpoint["training_seconds"])
        module.slower = float(checkpoint["slower"])

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self._mark = self.clock()
        if module.recipe.recover is not None and trainer.world_size == 1:
            self._guard = DivergenceGuard(module.recipe.recover)
            self._guard.keep(trainer.global_step, module)

    def _guard_step(self, step: int, module: Any) -> None:
        """Keep a state of training now and then; roll back to one after divergence."""
        assert self._guard is not None
        logged = (step - 1) % module.recipe.log_every == 0  # a step's number is counted from 0, and is over by now
        if logged and self._guard.diverged(module.shown["train_mm"]):
            print(f"\nstep {step}: {self._guard.roll_back(module)}", flush=True)
        elif step % module.recipe.save_every == 0:
            self._guard.keep(step, module)

    def _count(self, trainer: Any, module: Any) -> None:
        """Add the step's time, but for the first step with clips of a length: it compiles kernels.

        It counts from the end of the step before: what is done between two steps, as by a progress bar, takes time.
        """
        step, recipe = trainer.global_step, module.recipe
        if module.clip_frames in self._lengths:
            self.seconds += self.clock() - self._mark
        self._lengths.add(module.clip_frames)
        if trainer.world_size == 1 or recipe.budget_minutes is None:
            module.training_seconds = self.seconds
        elif step % 10 == 0:  # all processes must have one learning rate, and end at the same step
            module.training_seconds = self.seconds = float(trainer.strategy.broadcast(self.seconds))

    def on_train_batch_end(self, trainer: Any, module: Any, *unused: Any) -> None:
        step = trainer.global_step
        if self._guard is not None:
            self._guard_step(step, module)
        passed = step % trainer.val_check_interval == 0
        if module.device.type == "cuda" and (passed or step % module.recipe.save_every == 0):
            torch.cuda.synchronize(module.device)  # what is still to be computed is training's time
        self._count(trainer, module)
        over = module.recipe.done(step, module.training_seconds)
        late = self.deadline is not None and time.monotonic() + 1.5 * self.spent + 2 > self.deadline
        if trainer.world_size > 1 and self.deadline is not None:
            # clocks differ, and all processes must stop at the same step; asking waits for the device
            late = step % 10 == 0 and trainer.strategy.reduce_boolean_decision(late, all=False)
        # a benchmark is scored after whole passes only, so that stops change nothing; and always then
        known = passed if module.recipe.data.kind != "mocap" else self.validated
        used = over and module.recipe.budget_minutes is not None
        if late or used:
            trainer.should_stop = True
            if not known and not used:  # Lightning validates when it stops; how long that takes is not known
                trainer.limit_val_batches = 0
        due = late or over or step % module.recipe.save_every == 0
        # where a validation follows it saves, as a kill in between would leave the validation out for good
        if due and not ((passed or used) and trainer.limit_val_batches):
            begin = time.monotonic()
            self._save(trainer, module)
            self.spent = max(self.spent, time.monotonic() - begin)
        self._mark = self.clock()

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self._validation_begin = time.monotonic()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.spent = max(self.spent, time.monotonic() - self._validation_begin)
        self.validated = True
        self._keep_best(trainer, module)
        self._save(trainer, module)
        self._mark = self.clock()

    def _keep_best(self, trainer: Any, module: Any) -> None:
        values = module.validation_p1
        if not values or not trainer.is_global_zero:
            return
        p1 = sum(values.values()) / len(values)
        if not math.isfinite(p1):
            told = ", ".join(f"{name} {value:g} mm" for name, value in values.items())
            stays = f"{BEST} keeps those of {self.best:.1f} mm" if self.best is not None else f"no {BEST} is kept"
            print(f"\nstep {trainer.global_step}: the validation is not finite ({told}): {stays}", flush=True)
            return
        if self.best is None or p1 < self.best:
            self.best = p1
            save_weights(self.out / BEST, module, trainer.global_step, p1=p1, **scores(module))
