"""Train by a recipe: start, stop when the time is up, go on where it stopped."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from posemamba.baselines.kinds import KINDS, AnyModel, describe, kind_of
from posemamba.data.mocap import Motions
from posemamba.errors import PoseMambaError
from posemamba.files import atomic_path
from posemamba.train.recipe import Recipe

if TYPE_CHECKING:
    from posemamba.train.module import LiftingModule
    from posemamba.train.sources import TrainingData

LAST = "last.ckpt"
BEST = "best.pt"
WEIGHTS = "weights.pt"
_NEVER = 10**12
"""More steps than any run has."""


@dataclass(frozen=True)
class TrainingResult:
    """How a call of `train` ended.

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


def save_weights(path: Path, module: LiftingModule, **details: float | int) -> None:
    """Write the averaged weights with the recipe and `details`; whole or not at all."""
    content = {
        "state_dict": {k: v.detach().cpu().clone() for k, v in module.ema.state_dict().items()},
        "recipe": module.recipe.model_dump(mode="json"),
        "step": module.global_step,
        "details": details,
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], Recipe, dict[str, Any]]:
    """Read what training kept (``weights.pt`` or ``best.pt``): the state dict, the recipe, details and step.

    Raises:
        PoseMambaError: not such a file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        recipe = Recipe.model_validate(content["recipe"])
        return content["state_dict"], recipe, {"step": content["step"], **content["details"]}
    except Exception as error:  # on bytes that are no pickle its reader raises whatever comes
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PoseMambaError(f"{path}: not weights that training kept ({first})") from error


def build_model(recipe: Recipe) -> AnyModel:
    """The recipe's model with fresh weights (the recipe's seed), or those that it says to start from.

    Raises:
        PoseMambaError: an option that the model does not know, by name, or weights of another model.
    """
    from pydantic import ValidationError

    torch.manual_seed(recipe.seed)
    try:
        model: AnyModel = KINDS[recipe.model.kind].model.preset(recipe.model.size, **recipe.model.options)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise PoseMambaError(f"recipe {recipe.name}: model.options: {problems}") from error
    if recipe.start_from is not None:
        _start(model, recipe.start_from)
    return model


def _start(model: AnyModel, source: str) -> None:
    """Load weights of a model like this one, of as many frames or more, and with or without confidence.

    Where the model takes a confidence and the weights do not know it, it starts with no influence: the result is the
    same. Of more frames the places of the first ones are taken. Both are said in a printed line, and so is what the
    recipe's model does otherwise with the same weights, such as another scan order.

    Raises:
        PoseMambaError: no such weights, or those of another model.
    """
    from posemamba.model import PoseMamba
    from posemamba.weights import find, is_safetensors, load_model, load_strictly

    path, kind, config = find(source), KINDS[kind_of(model)], model.config
    if isinstance(model, PoseMamba) or is_safetensors(path):
        given = load_model(path)
    else:  # a checkpoint of its authors' code, which does not hold the number of heads
        given = kind.model.from_pretrained(path, heads=model.config.heads)
    if type(given) is not type(model):
        raise PoseMambaError(f"{path}: weights of {describe(given.config)}, the recipe's model is {describe(config)}")
    state, said = given.state_dict(), []
    if kind.places is not None and given.config.frames > config.frames:
        state[kind.places] = state[kind.places][:, : config.frames]
        said.append(f"places of the first {config.frames} of {given.config.frames} frames")
    ours = isinstance(model, PoseMamba)
    if ours and given.config.confidence and not config.confidence:
        raise PoseMambaError(
            f"{path}: takes each joint's confidence, the recipe's model does not: set model.options.confidence: true"
        )
    if ours and config.confidence and not given.config.confidence:
        embedding = "Spatial_patch_to_embedding.weight"
        state[embedding] = F.pad(state[embedding], (0, 1))
        said.append("confidence begins without influence")
    load_strictly(path, model, state, describe(config))
    if is_safetensors(path):  # other checkpoints do not say what they were
        was, now = given.config.model_dump(), config.model_dump()
        told = ("frames", "drop_path", "published_gradient", *(("confidence",) if ours else ()))
        meant = [k for k in now if k not in told]
        said += [f"{k} {now[k]}, which was {was[k]}" for k in meant if now[k] != was[k]]
    if said:
        print(f"start from {source}: {', '.join(said)}")


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
    """Train, or go on training.

    In `out_dir`: ``last.ckpt`` (resumable: weights, average, optimiser, step), ``best.pt`` and ``weights.pt``
    (averaged weights alone; `load_weights`), ``logs/`` (CSV and, where tensorboard is installed, its files).
    All are written whole or not at all, so a run may be killed at any time and loses no more than
    `recipe.save_every` steps.

    Args:
        recipe: what to train.
        out_dir: where everything goes.
        resume: go on from ``last.ckpt`` if it is there; otherwise a directory that holds one is refused.
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
    from posemamba.train.module import LiftingModule, pl
    from posemamba.train.sources import open_data

    out = Path(out_dir)
    last = out / LAST
    if last.exists() and not resume:
        raise PoseMambaError(f"{last} exists: resume it, or choose another directory")
    data = open_data(recipe, motions) if data is None else data
    steps = data.steps_of_pass(recipe.batch * recipe.devices)
    if steps is not None:
        recipe = recipe.of_pass(steps)
    out.mkdir(parents=True, exist_ok=True)
    start, seconds = _check_resumable(last, recipe) if last.exists() else (0, 0.0)
    torch.set_float32_matmul_precision(recipe.matmul_precision)
    if model is None:  # a run that goes on has its weights in the checkpoint
        model = build_model(recipe.model_copy(update={"start_from": None}) if start else recipe)
    module = LiftingModule(model, recipe, data)
    keeper = _keeper_class(pl)(out, begin, max_minutes, clock)
    callbacks: list[Any] = [keeper]
    if progress_bar:
        callbacks.append(pl.callbacks.TQDMProgressBar(refresh_rate=max(1, recipe.log_every // 2)))
    # the CSV logger starts a file anew, so every call logs into a directory of its own
    loggers: list[Any] = [pl.loggers.CSVLogger(str(out), name="logs", version=f"from_step_{start}")]
    try:
        import tensorboard  # noqa: F401

        loggers.append(pl.loggers.TensorBoardLogger(str(out), name="logs", version=f"from_step_{start}"))
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
            trainer.fit(module, ckpt_path=str(last) if start else None)
        else:
            content = torch.load(last, map_location="cpu", weights_only=True)
            module.load_state_dict(content["state_dict"])
            module.validation, module.training_seconds = content.get("validation", {}), seconds
    best = out / BEST
    weights = out / WEIGHTS
    step = max(start, trainer.global_step)
    if trainer.is_global_zero and (step > start or not weights.exists()):
        save_weights(weights, module, **_scores(module))
    return TrainingResult(
        step=step,
        total_steps=recipe.total_steps,
        training_seconds=module.training_seconds,
        finished=recipe.done(step, module.training_seconds),
        validation_p1=dict(module.validation_p1),
        best_p1=keeper.best,
        last=last,
        weights=weights,
        best=best if best.exists() else None,
    )


def _validation_interval(recipe: Recipe) -> int:
    """Steps from one validation to the next; a run that ends validates anyway."""
    if recipe.validation == "best":
        return recipe.validate_every
    return recipe.total_steps if recipe.budget_minutes is None else _NEVER


def _scores(module: LiftingModule) -> dict[str, float]:
    """What is kept beside weights: scores of the last validation, and the time it took to get there."""
    return {f"val_{k}": v for k, v in module.validation.items()} | {"training_seconds": module.training_seconds}


def fast_dev_run(
    recipe: Recipe, *, accelerator: str = "auto", progress_bar: bool = True, steps: int = 2
) -> TrainingResult:
    """A few steps of everything, to see that it works here: train, stop, go on, validate, export; nothing is kept.

    Without a GPU a step has two clips. On a benchmark the model lifts the first pictures of the test set only and zeros
    stand for the rest, so that errors mean nothing.

    Raises:
        PoseMambaError: whatever the real run would meet.
    """
    from posemamba.train.sources import open_data
    from posemamba.weights import load_model
    from posemamba.weights.export import export_weights

    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    small = recipe.model_copy(
        update={
            "epochs": 1,
            "budget_minutes": None,
            "devices": 1,  # several would need one folder between them
            "batch": min(recipe.batch, 2) if on_cpu else recipe.batch,  # recipes are for GPUs and their memory
            "steps_per_epoch": steps,
            "validate_every": steps,
            "save_every": 1,
            "log_every": 1,
            "warmup_steps": min(recipe.warmup_steps, steps),
        }
    )
    options: dict[str, Any] = {"accelerator": accelerator, "progress_bar": progress_bar}
    with tempfile.TemporaryDirectory(prefix="posemamba-") as folder:
        data = _FirstOnly(open_data(small))
        train(small, folder, data=data, max_minutes=0.0, **options)
        result = train(small, folder, data=data, **options)
        export_weights(result.weights, Path(folder) / "weights.safetensors")
        load_model(Path(folder) / "weights.safetensors")
    return result


class _FirstOnly:
    """Any training data, without an end, and with only the beginning of its validation."""

    def __init__(self, data: TrainingData, calls: int = 2) -> None:
        self.data, self.calls = data, calls
        self.batch = data.batch
        self.parts = 1

    def prepare(self, device: torch.device) -> None:
        self.data.prepare(device)

    def steps_of_pass(self, clips: int) -> int | None:
        self.data.steps_of_pass(clips)  # says if there are no clips
        return None

    def score(self, model: nn.Module, part: int) -> dict[str, tuple[torch.Tensor, float]]:
        return self.data.score(_Lazy(model, self.calls), part)


class _Lazy(nn.Module):
    """A model for its first calls, zeros afterwards."""

    def __init__(self, model: nn.Module, calls: int) -> None:
        super().__init__()
        self.model, self.calls = model, calls
        self.config = getattr(model, "config", None)  # says whether it takes confidence

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls -= 1
        return self.model(x) if self.calls >= 0 else x.new_zeros((*x.shape[:3], 3))


def _check_resumable(last: Path, recipe: Recipe) -> tuple[int, float]:
    """Step and seconds of training of a checkpoint, if this recipe can go on from it."""
    try:
        content = torch.load(last, map_location="cpu", weights_only=True, mmap=True)
        step, kept, seconds = int(content["global_step"]), content["recipe"], content.get("training_seconds")
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise PoseMambaError(f"{last}: not a checkpoint of this program; move it away to start anew") from error
    now = recipe.model_dump(mode="json")
    if (was := kept["data"].get("kind", "mocap")) != recipe.data.kind:
        raise PoseMambaError(f"{last} is of a run on {was}, not {recipe.data.kind}: choose another directory")
    if recipe.data.kind != "mocap":
        for field, value in recipe.data.model_dump(mode="json", exclude={"directory"}).items():
            if kept["data"].get(field) != value:
                raise PoseMambaError(
                    f"{last} was made with data.{field} = {kept['data'].get(field)!r}, the recipe says {value!r}: "
                    "choose another directory or the old recipe"
                )
    # checkpoints from before there was a choice
    kept = {"optimizer": "adamw", **kept, "model": {"kind": "posemamba", **kept["model"]}}
    for field in ("model", "seed", "steps_per_epoch", "person_size", "optimizer"):
        if kept[field] != now[field]:
            raise PoseMambaError(
                f"{last} was made with {field} = {kept[field]!r}, the recipe says {now[field]!r}: "
                "choose another directory or the old recipe"
            )
    if bool(kept["ema"]) != bool(now["ema"]):
        raise PoseMambaError(f"{last}: one of its recipe and this one keeps averaged weights, the other not")
    if recipe.budget_minutes is not None and seconds is None:
        raise PoseMambaError(f"{last} does not say how long it was trained: go on without a budget in minutes")
    return step, float(seconds or 0.0)


def _keeper_class(pl: Any) -> Any:
    """The callback that saves, keeps the best and watches the time; made here as Lightning is optional."""

    class Keeper(pl.Callback):
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
            if (out / BEST).exists():
                self.best = load_weights(out / BEST)[2].get("p1")

        def _save(self, trainer: Any) -> None:
            if not trainer.is_global_zero:
                trainer.save_checkpoint(self.out / LAST)  # takes part, writes nothing
                return
            with atomic_path(self.out / LAST) as temporary:
                trainer.save_checkpoint(temporary)

        def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
            checkpoint["recipe"] = module.recipe.model_dump(mode="json")
            checkpoint["validation"] = dict(module.validation)
            checkpoint["training_seconds"] = module.training_seconds

        def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
            module.validation = dict(checkpoint.get("validation", {}))
            module.training_seconds = self.seconds = float(checkpoint.get("training_seconds", 0.0))

        def on_train_start(self, trainer: Any, module: Any) -> None:
            self._mark = self.clock()

        def _count(self, trainer: Any, module: Any) -> None:
            """Add the step's time, but for the first step with clips of a length: it compiles kernels.

            It counts from the end of the step before: between two steps the progress bar waits for the device.
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
                self._save(trainer)
                self.spent = max(self.spent, time.monotonic() - begin)
            self._mark = self.clock()

        def on_validation_start(self, trainer: Any, module: Any) -> None:
            self._validation_begin = time.monotonic()

        def on_validation_end(self, trainer: Any, module: Any) -> None:
            self.spent = max(self.spent, time.monotonic() - self._validation_begin)
            self.validated = True
            self._keep_best(trainer, module)
            self._save(trainer)
            self._mark = self.clock()

        def _keep_best(self, trainer: Any, module: Any) -> None:
            values = module.validation_p1
            if not values or not trainer.is_global_zero:
                return
            p1 = sum(values.values()) / len(values)
            if self.best is None or p1 < self.best:
                self.best = p1
                save_weights(self.out / BEST, module, p1=p1, **_scores(module))

    return Keeper
