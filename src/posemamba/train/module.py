"""The Lightning module: clips made on the device, the paper's losses, averaged weights, validation.

Nothing waits for the device in a step: losses are read when they are logged. Data, and the random numbers of
the model itself, are pure functions of (recipe.seed, step, rank), so that a resumed run repeats what an
uninterrupted one would have done.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from posemamba.data.clips import ClipBatch
from posemamba.models.inputs import input_format, prepare_input
from posemamba.models.layers import in_full_precision
from posemamba.models.posemamba import PoseMamba
from posemamba.train.losses import total_loss
from posemamba.train.optimizers import make_optimizer
from posemamba.train.recipe import Recipe
from posemamba.train.step_graphs import Outcome, StepGraphs
from posemamba.train.training_data import TrainingData
from posemamba.utils.errors import PoseMambaError, install_command

if TYPE_CHECKING:
    import lightning.pytorch as pl
else:
    try:
        import lightning.pytorch as pl
    except ImportError:
        try:
            import pytorch_lightning as pl
        except ImportError as error:
            raise PoseMambaError(
                f"training needs the Python package 'lightning', which did not import ({error}): "
                + install_command("train")
            ) from error

TYPICAL_MM_PER_UNIT = 2200.0
"""Human3.6M's: 5 m away with a focal length of 1.145 image widths."""


class _Count(IterableDataset):
    """Numbers 0 .. n - 1: Lightning's loop needs something to go over; the clips are made on the device."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))


def _numbers(count: int) -> DataLoader:
    return DataLoader(_Count(count), batch_size=None, num_workers=0)


@torch.compiler.disable
def _in_float32(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return in_full_precision(forward, x.float())


def keep_ends_in_float32(model: nn.Module) -> None:
    """Run the layers that a model names so (`full_precision_layers`) in float32 under autocast, without TF32."""
    named: Callable[[], Iterable[nn.Module]] = getattr(model, "full_precision_layers", tuple)
    for layer in named():
        layer.forward = functools.partial(_in_float32, layer.forward)


class LiftingModule(pl.LightningModule):
    """Train a lifting model by a recipe.

    Args:
        model: (B, T, 17, 2), or with confidence (B, T, 17, 3), -> (B, T, 17, 3).
        recipe: all settings.
        data: what to train and validate on; put on the device by `setup`.

    Attributes:
        model: what is trained.
        ema: the average of its weights, what is validated and kept (the model itself, if `recipe.ema` is 0).
        validation: scores of the last validation by name (`TrainingData.score`).
        training_seconds: time of all steps up to now, kept by `posemamba.train.callbacks`.
        clip_frames: frames of the last step's clips.
        slower: factor of all learning rates; less than 1 after training was put back (`posemamba.train.divergence`).
        shown: loss and error of the last step that was logged, for a progress bar. Not by Lightning's `log`, which in
            every step from then on would wait for the device, to show them again.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, data: TrainingData) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = model
        self.averaged = copy.deepcopy(model).requires_grad_(False) if recipe.ema else None
        for each in (self.model, self.averaged):
            if each is not None:
                keep_ends_in_float32(each)
        self.data = data
        self.validation: dict[str, float] = {}
        self.training_seconds = 0.0
        self.slower = 1.0
        self.clip_frames = 0
        self.shown: dict[str, float] = {}
        self._ready = False
        self._sums: dict[str, Tensor] = {}
        self._graphs: StepGraphs | None = None

    @property
    def ema(self) -> nn.Module:
        return self.model if self.averaged is None else self.averaged

    @property
    def validation_p1(self) -> dict[str, float]:
        """The P1 of the last validation in millimetres by variant: ``exact`` and ``noisy``, or ``test``."""
        return {name.removeprefix("p1_"): value for name, value in self.validation.items() if name.startswith("p1_")}

    def setup(self, stage: str) -> None:
        """Put the data on the device, and compile the model where the recipe says so."""
        if self._ready:
            return
        self._ready = True
        device = self.trainer.strategy.root_device  # the module itself may not be there yet
        if self.recipe.compile and device.type == "cuda":
            cast(Any, self.model).compile_layers()
        if self.recipe.recompute and isinstance(self.model, PoseMamba):
            self.model.recompute_activations()
        self.data.prepare(device)

    def teardown(self, stage: str) -> None:
        """Give back the memory of the graphs, which would otherwise wait for the garbage collector."""
        self._graphs = None

    def train_dataloader(self) -> DataLoader:
        return _numbers(self.recipe.steps_per_epoch)

    def val_dataloader(self) -> DataLoader:
        return _numbers(self.data.parts)

    def configure_optimizers(self) -> Any:
        """Make the recipe's optimizer; its learning rates are set step by step."""
        r, optimizer = self.recipe, make_optimizer(self.model, self.recipe)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.slower * r.lr_at(step, self.training_seconds) / r.lr
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def graphed(self) -> bool:
        """Whole steps are replayed as CUDA graphs; Lightning then has nothing to do but to count them."""
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return self.recipe.cuda_graphs and on_gpu and self.trainer.world_size == 1

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm. Lightning refuses to under mixed precision with a fused optimiser, fearing for a gradient
        scaler that bfloat16 does not have."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def _outcome(self, clips: ClipBatch, weights: Mapping[str, float | Tensor]) -> Outcome:
        r = self.recipe
        pred = self.model(prepare_input(self.model, clips.joints)).float()
        target = clips.target
        if r.loss_unit == "body":
            scale = (clips.mm_per_unit.mean(1) / TYPICAL_MM_PER_UNIT)[:, None, None, None]
            pred, target = pred * scale, target * scale
        loss, parts = total_loss(pred, target, weights, input_format(self.model).skeleton)
        error = (pred - target).detach().norm(dim=-1).mean((1, 2))
        unit = TYPICAL_MM_PER_UNIT if r.loss_unit == "body" else clips.mm_per_unit.mean(1)
        return Outcome(loss, (error * unit).mean(), parts)

    def _outcome_in_precision(self, clips: ClipBatch, weights: Mapping[str, float | Tensor]) -> Outcome:
        """For a graph: casts of weights must be made again at each replay."""
        half = self.recipe.precision != "32-true"
        device = clips.input.device.type
        with torch.autocast(device, torch.bfloat16 if half else None, enabled=half, cache_enabled=False):
            return self._outcome(clips, weights)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        r, step = self.recipe, self.global_step
        clips = self.data.batch(step, r.batch, rank=self.global_rank, world=self.trainer.world_size)
        self.clip_frames = clips.input.shape[1]
        weights = r.losses_at(step)
        if self.graphed:
            if self._graphs is None:
                optimizer = cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))
                self._graphs = StepGraphs(self._outcome_in_precision, self.model, optimizer, r.gradient_clip)
            self._graphs.prepare(clips, {name: weights[name] for name, weight in r.losses.items() if weight})
        torch.manual_seed((r.seed * 1_000_003 + step) * 4099 + self.global_rank)  # stochastic depth
        outcome = self._outcome(clips, weights) if self._graphs is None else self._graphs.run(clips)
        if step % r.log_every == 0:
            if r.recover is None and not bool(torch.isfinite(outcome.loss)):
                raise PoseMambaError(
                    f"the loss of step {step} is not finite: lower lr or gradient_clip, or train in 32-true"
                )
            named = {f"loss/{name}": value for name, value in outcome.parts.items()}
            self.shown = {"loss": float(outcome.loss.detach()), "train_mm": float(outcome.train_mm)}
            values = {**self.shown, **{name: float(value) for name, value in named.items()}}
            for logger in self.loggers:
                lr = self.slower * r.lr_at(step, self.training_seconds)
                logger.log_metrics({**values, "lr": lr, "frames": self.clip_frames}, step=step)
        return outcome.loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self._graphs is None:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        if self._graphs is None:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Step, and then average the weights: before any callback may save a checkpoint."""
        done = self.global_step
        if self.graphed and optimizer_closure is not None:
            optimizer_closure()  # the optimizer's step is in the graph
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.averaged is None:
            return
        decay = min(self.recipe.ema, (2 + done) / (11 + done))  # short at first, when weights move fast
        with torch.no_grad():
            kept: list[Tensor] = list(self.averaged.parameters())
            torch._foreach_lerp_(kept, [p.detach() for p in self.model.parameters()], 1 - decay)
            for buffer, now in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                buffer.copy_(now)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Learning rates as numbers, whether steps are graphs or not: a run may go on in the other way."""
        for state in checkpoint["optimizer_states"]:
            for group in state["param_groups"]:
                group["lr"] = float(group["lr"])
        for state in checkpoint["lr_schedulers"]:
            state["_last_lr"] = [float(lr) for lr in state["_last_lr"]]

    def on_validation_epoch_start(self) -> None:
        """Start anew, and say that the weights were changed: `posemamba.ops.fused.gpu` keeps copies of them by their
        versions, which not every operation counts (`torch._foreach_lerp_` on a GPU does not)."""
        self._sums = {}
        for parameter in self.ema.parameters():
            torch.autograd.graph.increment_version(parameter)

    def validation_step(self, batch: int, batch_idx: int) -> None:
        for name, (value, count) in self.data.score(self.ema, int(batch)).items():
            total = torch.stack([value.to(self.device), torch.tensor(count, device=self.device)])
            self._sums[name] = self._sums.get(name, 0) + total

    def on_validation_epoch_end(self) -> None:
        for name, total in self._sums.items():
            self.validation[name] = (total[0] / total[1]).item()
            self.log(f"val_{name}", self.validation[name], prog_bar=True)
