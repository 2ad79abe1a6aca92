"""The fields of a training recipe, checked before anything starts, and the schedules that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from posemamba.data.mocap.options import MocapOptions
from posemamba.models.registry import ARCHITECTURES
from posemamba.train import recipe_files
from posemamba.train.losses import LOSSES, PAPER_WEIGHTS
from posemamba.train.optimizers import OPTIMIZERS
from posemamba.utils import plugins
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import cause

if TYPE_CHECKING:
    from posemamba.train.training_data import TrainingData

_TOLD = 8
"""Problems of one recipe that a message names."""


_STEPS = 1_000_000_000
"""Steps: more are a broken number."""


class ModelRecipe(BaseModel):
    """The model of a recipe."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(default="posemamba", description="architecture")
    size: str = Field(default="", description="variant of the architecture's paper; left out: s, for MotionBERT base")
    options: dict[str, Any] = Field(default={}, description="fields of its config that differ from the variant's")

    @model_validator(mode="before")
    @classmethod
    def _size_of_its_kind(cls, values: Any) -> Any:
        named = values.get("kind", "posemamba") if isinstance(values, dict) else None
        kind = ARCHITECTURES.get(named) if isinstance(named, str) else None  # an unknown one is told below
        return values if kind is None else {"size": kind.sizes[0], **values}

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        ARCHITECTURES.require(kind)
        return kind

    @model_validator(mode="after")
    def _known_size(self) -> ModelRecipe:
        sizes = ARCHITECTURES[self.kind].sizes
        if self.size not in sizes:
            raise ValueError(f"size is {self.size!r}, {ARCHITECTURES[self.kind].label} has {', '.join(sizes)}")
        return self

    @property
    def frames(self) -> int | None:
        """The most frames that the model takes; None: model.options.frames is not a number."""
        most = self.options.get("frames", ARCHITECTURES[self.kind].config.preset(self.size).frames)
        return most if isinstance(most, int) else None


class MocapData(MocapOptions):
    """Motion capture seen by virtual cameras (`posemamba.data.mocap.clips`): no clip is seen twice."""

    kind: Literal["mocap"] = "mocap"
    directory: Path | None = Field(default=None, description="folder of the npz files; None: see `mocap_directory`")
    extra: list[Path] = Field(default=[], description="further files of the same layout to train on")


class Human36MData(BaseModel):
    """Human3.6M, MotionBERT's file (`posemamba.data.human36m.dataset`); the stride and length are the paper's."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["human36m"]
    directory: Path | None = Field(default=None, description="the file, or the folder that holds it")
    frames: int = Field(default=243, ge=1, le=100_000, description="frames of a clip")
    stride: int = Field(
        default=81, ge=1, le=100_000, description="frames from the start of a training clip to the next one's"
    )
    inputs: Literal["detected", "exact"] = Field(
        default="detected", description="2D joints: the detector's, or the true ones (the paper's 'ground truth')"
    )
    flip: bool = Field(default=True, description="mirror half of the clips; test-time flip averaging")
    protocol: Literal["paper", "all-frames"] = Field(
        default="paper", description="'paper' leaves out the tails of videos that do not fill a clip, as the authors do"
    )


class VideoPose3DData(BaseModel):
    """Human3.6M, VideoPose3D's files (`posemamba.data.human36m.videopose3d`); the target is metres."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["videopose3d"]
    directory: Path | None = Field(
        default=None, description="the file of the 3D positions, or the folder that holds it"
    )
    frames: int = Field(default=243, ge=1, le=100_000, description="frames of a clip")
    stride: int = Field(
        default=81, ge=1, le=100_000, description="frames from the start of a training clip to the next one's"
    )
    inputs: str = Field(default="detected", description="2D joints: 'detected', 'exact' or the name of a detector")
    flip: bool = Field(default=True, description="mirror half of the clips; test-time flip averaging")


class MpiInf3dhpData(BaseModel):
    """MPI-INF-3DHP, P-STMO's files (`posemamba.data.mpi_inf_3dhp.dataset`); 2D joints are the true ones."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["mpi_inf_3dhp"]
    directory: Path | None = Field(default=None, description="the folder of the two npz files")
    frames: int = Field(default=81, ge=1, le=100_000, description="frames of a clip")
    stride: int = Field(
        default=9, ge=1, le=100_000, description="frames from the start of a training clip to the next one's"
    )
    flip: bool = Field(default=True, description="mirror half of the clips; test-time flip averaging")


class DataOptions(BaseModel):
    """The fields of `data` of a registered data set; a subclass has fields of its own, and opens the data."""

    model_config = ConfigDict(extra="forbid")

    kind: str = ""
    directory: Path | None = Field(default=None, description="where its files are; --data")
    frames: int = Field(default=81, ge=1, le=100_000, description="frames of a clip, the longest if they differ")

    def open(self, recipe: Recipe) -> TrainingData:
        """Open the data: `posemamba.train.sources.TensorClips`, or anything like it."""
        raise NotImplementedError


DATA: plugins.Registry[type[Any]] = plugins.Registry(
    "data set",
    {
        "mocap": MocapData,
        "human36m": Human36MData,
        "videopose3d": VideoPose3DData,
        "mpi_inf_3dhp": MpiInf3dhpData,
    },
)
"""Data sets to train on, by `data.kind`."""
_OWN = tuple(DATA)
_DEFAULTS: dict[str, type[Any]] = dict(DATA)
Options = TypeVar("Options", bound=type[DataOptions])


def register_data(name: str) -> Callable[[Options], Options]:
    """Register a data set to train on: a subclass of `DataOptions`, whose fields are those of `data` in recipes.

    Raises:
        PoseMambaError: the name is taken, or the class is of another kind.
    """

    def add(options: Options) -> Options:
        if not (isinstance(options, type) and issubclass(options, DataOptions)):
            raise PoseMambaError(f"data set '{name}': expected a subclass of DataOptions")
        kind: Any = (Literal[name], name)
        made = create_model(options.__name__, __base__=options, __module__=options.__module__, kind=kind)
        made.__doc__ = options.__doc__
        DATA.add(name, made)
        return options

    return add


@register_data("motionbert_slices")
class MotionBERTSlices(DataOptions):
    """Human3.6M as MotionBERT's sliced folder, one pickle a clip; validation errors are approximate millimetres."""

    frames: int = Field(default=243, ge=1, le=100_000, description="frames of each slice")
    flip: bool = Field(default=True, description="mirror half of the clips; test-time flip averaging")

    def open(self, recipe: Recipe) -> TrainingData:
        from posemamba.data.human36m.slices import Slices

        if self.directory is None:
            raise PoseMambaError(f"recipe {recipe.name} needs MotionBERT's slices: give their folder by --data")
        return Slices(self.directory, self.frames, recipe.seed, self.flip, recipe.batch)


def _kind_of(value: Any) -> str:
    kind = value.get("kind", "mocap") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in _OWN else "registered"


def _registered(value: Any) -> Any:
    """The options of a registered data set, checked by their class."""
    if isinstance(value, DataOptions):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"expected fields and values of a data set, such as {{kind: mocap}}, not {str(value)[:100]}")
    try:
        return DATA.require(str(value.get("kind"))).model_validate(value)
    except ValidationError as error:
        found = error.errors()[:_TOLD]
        raise ValueError("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)) from error


AnyData = Annotated[
    Annotated[MocapData, Tag("mocap")]
    | Annotated[Human36MData, Tag("human36m")]
    | Annotated[VideoPose3DData, Tag("videopose3d")]
    | Annotated[MpiInf3dhpData, Tag("mpi_inf_3dhp")]
    | Annotated[SerializeAsAny[DataOptions], BeforeValidator(_registered), Tag("registered")],
    Discriminator(_kind_of),
    BeforeValidator(lambda value: {"kind": "mocap", **value} if isinstance(value, dict) else value),
]


class Recipe(BaseModel):
    """A training run. Every field has the paper's value unless a comment says otherwise."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(default="run", description="goes into the weights' card")
    plugins: list[str] = Field(
        default=[], max_length=100, description="modules to import first, which register what the recipe names"
    )
    model: ModelRecipe = Field(default_factory=ModelRecipe)
    data: AnyData = Field(default_factory=MocapData)
    start_from: str | None = Field(
        default=None, description="weights to start from in place of random ones: a bundled name or a file"
    )

    losses: dict[str, float] = Field(default=dict(PAPER_WEIGHTS), description="weights by name")
    velocity_ramp: int = Field(
        default=0, ge=0, le=_STEPS, description="steps in which the velocity loss's weight grows from 0 to its value"
    )
    loss_unit: Literal["normalised", "body"] = Field(
        "normalised",
        description="'body' scales each clip by its millimetres per unit / 2200 (typical of Human3.6M), so "
        "that a person seen small counts as much as one seen large",
    )
    person_size: float | None = Field(
        default=None,
        gt=0,
        description="show all people at this size (`models.inputs.zoom_factor`); the lifter must do the same",
    )

    seed: int = Field(default=0, ge=0, lt=2**32)
    budget_minutes: float | None = Field(
        default=None,
        gt=0,
        le=1e7,
        description="train for so long in place of epochs, and let the schedule follow the time; validation, saving "
        "and compiling are not counted",
    )
    epochs: int = Field(default=120, ge=1, le=1_000_000)
    steps_per_epoch: int = Field(
        default=1000, ge=1, le=_STEPS, description="of mocap; on a benchmark an epoch is one pass over its clips"
    )
    batch: int = Field(default=4, ge=1, le=65_536, description="clips a step and process")
    lr: float = Field(default=2e-4, gt=0, le=1000)
    optimizer: str = Field(
        default="adamw",
        description="'muon': for the matrices inside blocks, AdamW for the rest (not the paper's); or a registered one",
    )
    optimizer_options: dict[str, Any] = Field(default={}, description="arguments of a registered optimizer")
    matrix_lr: float = Field(
        default=3e-3, gt=0, le=1000, description="'muon': learning rate of the matrices; same schedule"
    )
    muon_scans: bool = Field(
        default=False,
        description="'muon': the projections to step sizes, inputs and outputs of scans are matrices, too",
    )
    schedule: Literal["exponential", "cosine"] = "exponential"
    lr_decay: float = Field(default=0.99, gt=0, le=1, description="'exponential': factor for each epoch")
    final_lr: float = Field(default=0.0, ge=0, le=1000, description="'cosine': where it ends")
    warmup_steps: int = Field(default=0, ge=0, le=_STEPS)
    weight_decay: float = Field(default=0.01, ge=0, le=1000)
    weight_decay_of: Literal["all", "matrices"] = Field(
        default="all",
        description="'matrices': weights of layers and of scans' projections; not biases, norms, rates and skips",
    )
    gradient_clip: float | None = Field(default=None, gt=0, description="norm of all gradients")
    recover: float | None = Field(
        default=None,
        gt=1,
        description="on divergence (a training error that stays above so many times what it was), roll back to an "
        "earlier state and halve the learning rates; on one process",
    )
    ema: float = Field(
        default=0.0, ge=0, lt=1, description="decay of the averaged weights that are kept; 0: no average"
    )
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    matmul_precision: Literal["highest", "high"] = Field(
        default="highest", description="'high' lets float32 matrix products run in TF32"
    )

    compile: bool = Field(
        default=False, description="on a GPU, layers by torch.compile: a minute at the start, then faster steps"
    )
    cuda_graphs: bool = Field(
        default=False,
        description="on one GPU, launch a step as one: small models are limited by launching",
    )
    recompute: bool = Field(
        default=False, description="half the memory: cheap activations are computed again in the backward pass"
    )
    devices: int = Field(default=1, ge=1, le=1024, description="processes, one GPU each")
    validation: Literal["best", "last"] = Field(
        default="best",
        description="'best' validates as it goes and keeps the best weights too: on a benchmark that picks the epoch "
        "by the test set, as the paper does; 'last' validates once, at the end",
    )
    validate_every: int = Field(
        default=1000, ge=1, le=_STEPS, description="steps; on a benchmark an epoch if it is not given"
    )
    save_every: int = Field(default=250, ge=1, le=_STEPS, description="steps between resumable checkpoints")
    log_every: int = Field(default=50, ge=1, le=_STEPS, description="steps")

    @field_validator("losses")
    @classmethod
    def _known_losses(cls, losses: dict[str, float]) -> dict[str, float]:
        if unknown := [name for name in losses if name not in LOSSES]:
            raise ValueError(LOSSES.unknown(unknown))
        if not any(losses.values()):
            raise ValueError("every weight is 0")
        return losses

    @field_validator("plugins")
    @classmethod
    def _names_of_modules(cls, names: list[str]) -> list[str]:
        try:
            return [plugins.check_name(name) for name in names]
        except PoseMambaError as error:
            raise ValueError(str(error)) from error

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, optimizer: str) -> str:
        OPTIMIZERS.require(optimizer)
        return optimizer

    @model_validator(mode="after")
    def _fits_the_optimizer(self) -> Recipe:
        if self.optimizer in ("adamw", "muon"):
            if self.optimizer_options:
                raise ValueError("optimizer_options are for registered optimizers; adamw and muon have fields")
        elif self.cuda_graphs:
            raise ValueError("cuda_graphs is for the optimizers adamw and muon")
        return self

    @model_validator(mode="after")
    def _fits_the_data(self) -> Recipe:
        most, label = self.model.frames, ARCHITECTURES[self.model.kind].label
        if isinstance(self.data, MocapData):
            if most is not None and (longest := max(self.data.lengths, default=0)) > most:
                raise ValueError(
                    f"data.lengths has clips of {longest} frames, this {label} takes {most} at most: leave them out "
                    "there, or set model.options.frames"
                )
            return self
        if self.person_size is not None or (self.loss_unit == "body" and not isinstance(self.data, DataOptions)):
            raise ValueError("loss_unit: body and person_size are for mocap; benchmarks are scored as they are")
        if most is not None and self.data.frames > most:
            raise ValueError(
                f"data.frames is {self.data.frames}, the model takes {most} at most: set model.options.frames"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_model(self) -> Recipe:
        if self.model.options.get("error_width"):
            raise ValueError(
                "model.options.error_width: expected errors are fitted afterwards, by 'posemamba calibrate'"
            )
        if self.model.kind != "posemamba" and self.recompute:
            raise ValueError(f"recompute is for PoseMamba, not {ARCHITECTURES[self.model.kind].label}")
        return self

    def of_pass(self, steps: int) -> Recipe:
        """Return this recipe with epochs of `steps` steps, one pass over a benchmark's clips.

        Raises:
            PoseMambaError: it has another number of steps itself.
        """
        if "steps_per_epoch" in self.model_fields_set and self.steps_per_epoch != steps:
            raise PoseMambaError(
                f"recipe {self.name}: steps_per_epoch is {self.steps_per_epoch}, a pass over the data takes {steps}: "
                "leave it out"
            )
        every = self.validate_every if "validate_every" in self.model_fields_set else steps
        return self.model_copy(update={"steps_per_epoch": steps, "validate_every": every})

    @property
    def total_steps(self) -> int:
        """Steps of the run; with a budget in minutes, the steps that the budget replaces."""
        return self.epochs * self.steps_per_epoch

    def done(self, step: int, seconds: float) -> bool:
        """Tell whether a run ends after so many steps and seconds of training."""
        return step >= self.total_steps if self.budget_minutes is None else seconds >= 60 * self.budget_minutes

    def losses_at(self, step: int) -> dict[str, float]:
        """Return the losses' weights in a step (counted from 0)."""
        ramp = min(1.0, step / self.velocity_ramp) if self.velocity_ramp else 1.0
        return {name: weight * ramp if name == "velocity" else weight for name, weight in self.losses.items()}

    def lr_at(self, step: int, seconds: float = 0.0) -> float:
        """Return the learning rate of a step (counted from 0) that comes after so many seconds of training.

        Seconds count with a budget in minutes only: its time replaces `epochs`; warming up takes `warmup_steps` anyway.
        """
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        span = max(1, self.total_steps - self.warmup_steps)
        epochs, done = step // self.steps_per_epoch, min(1.0, max(0, step - self.warmup_steps) / span)
        if self.budget_minutes is not None:
            done = min(1.0, seconds / (60 * self.budget_minutes))
            epochs = int(done * self.epochs)
        if self.schedule == "exponential":
            return warm * self.lr * self.lr_decay**epochs
        return warm * (self.final_lr + (self.lr - self.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))


def load_recipe(source: str | Path, *, size: str | None = None, settings: Sequence[str] = (), **changes: Any) -> Recipe:
    """Read a recipe: a bundled one by its name, or a YAML file.

    A file may say `base: NAME`, or the path of another file: it takes over all fields of that recipe that it does not
    have itself. Mappings are merged field by field, but for `data.lengths`, whose shares belong together. `sizes` may
    have fields by the model's size. A recipe without a name is named by its file and size, e.g. mocap_s.

    Args:
        source: name or path.
        size: of the model, in place of the recipe's.
        settings: changes as text, e.g. ``model.options.depth=6``.
        changes: top-level fields to replace.

    Raises:
        PoseMambaError: no such recipe, not YAML, or a field that is unknown or out of range, by name.
    """
    content = {**recipe_files.read(source, size, _load_plugins), **changes}
    _load_plugins(source, content)
    recipe = _checked(source, content)
    if settings:
        recipe = _checked(source, recipe_files.apply(settings, content, recipe.model_dump()))
    return recipe.model_copy(update={"plugins": list(dict.fromkeys([*recipe.plugins, *plugins.loaded()]))})


def _load_plugins(source: str | Path, content: Mapping[str, Any]) -> None:
    """Import the plugins that a recipe names: its other fields may be of them."""
    names = content.get("plugins", [])
    if isinstance(names, list) and all(isinstance(name, str) for name in names):  # else it is told with other faults
        try:
            plugins.load(names)
        except PoseMambaError as error:
            raise PoseMambaError(f"{source}: plugins: {error}") from error


def _checked(source: str | Path, content: Mapping[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        told = [_problem(each, content) for each in problems[:_TOLD]]
        told += [f"and {len(problems) - _TOLD} more"] if len(problems) > _TOLD else []
        raise PoseMambaError(f"{source}: {'; '.join(told)}") from error
    except (TypeError, ValueError, OverflowError, RecursionError, AttributeError) as error:  # of odd structures
        raise PoseMambaError(f"{source}: not a recipe ({cause(error)})") from error


def _problem(problem: Any, content: Mapping[str, Any]) -> str:
    """Describe one of pydantic's errors: the field and what is wrong with it."""
    where = [str(part) for part in problem["loc"]]
    data = content.get("data")
    kind = data.get("kind", "mocap") if isinstance(data, dict) else "mocap"
    if where[:1] == ["data"] and where[1:2] and where[1] in (*_OWN, "registered"):
        del where[1]  # the kind, which pydantic names as if it were a field
    name = ".".join(where)
    if problem["type"] == "extra_forbidden":
        known = {**Recipe().model_dump(), "data": _DEFAULTS.get(kind, MocapData)(kind=kind).model_dump()}
        guess = recipe_files.nearest(name, [each for each, _ in recipe_files.names(known)])
        return f"{name}: unknown field" + (f"; did you mean {guess}?" if guess else "")
    if not where:
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {str(problem['msg']).removeprefix('Value error, ')}, got {repr(problem['input'])[:200]}"
