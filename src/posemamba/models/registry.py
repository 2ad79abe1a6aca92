"""Architectures that can be trained, saved and loaded here, by the name that recipes and weights files give them.

Every architecture takes 2D joints (B, T, J, 2), or (B, T, J, 3) with `config.confidence`, and returns (B, T, J, 3), for
T up to `config.frames`. Every one has `config` and `preset`. `register_model` adds one.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from posemamba.models.posemamba import PoseMamba, read_released_checkpoint
from posemamba.utils import plugins
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import build, is_safetensors, parse_config, read_card, read_weights
from posemamba.weights.names import find

if TYPE_CHECKING:
    from posemamba.models.hgmamba import HGMamba, HGMambaConfig
    from posemamba.models.mixste import MixSTE, MixSTEConfig
    from posemamba.models.motionagformer import MotionAGFormer, MotionAGFormerConfig
    from posemamba.models.motionbert import MotionBERT, MotionBERTConfig
    from posemamba.models.posemamba_config import PoseMambaConfig
    from posemamba.models.stcformer import STCFormer, STCFormerConfig

AnyModel: TypeAlias = "PoseMamba | MotionAGFormer | MotionBERT | MixSTE | STCFormer | HGMamba"
AnyConfig: TypeAlias = (
    "PoseMambaConfig | MotionAGFormerConfig | MotionBERTConfig | MixSTEConfig | STCFormerConfig | HGMambaConfig | "
    "ModelConfig"
)
Model = TypeVar("Model", bound=type[nn.Module])


@dataclass(frozen=True)
class Architecture:
    """A trainable model architecture; its module is imported when it is used.

    Attributes:
        label: the class's name, also in sentences.
        home: the module of the class and of its config, which is called as the class with "Config" after it.
        config_home: the module of the config where that is another one; "": it is `home`.
        sizes: what `preset` takes; the first is the default.
        positional_embedding: name of the parameter with an entry on axis 1 for each frame, which can be cut for
            shorter clips; None: the architecture has none.
    """

    label: str
    home: str
    sizes: tuple[str, ...]
    positional_embedding: str | None
    config_home: str = field(default="", kw_only=True)

    @property
    def model(self) -> type[Any]:
        """The class of the model."""
        model: type[Any] = getattr(importlib.import_module(self.home), self.label)
        return model

    @property
    def config(self) -> type[Any]:
        """The class of the model's `config`."""
        config: type[Any] = getattr(importlib.import_module(self.config_home or self.home), f"{self.label}Config")
        return config

    def made(self, part: object, suffix: str = "") -> bool:
        """Tell whether a model, or with the suffix "Config" a config, is of this architecture, without importing it."""
        home = self.config_home or self.home if suffix else self.home
        return any((c.__module__, c.__name__) == (home, self.label + suffix) for c in type(part).__mro__)


class ModelConfig(BaseModel):
    """The configuration of a registered architecture, saved with its weights; a subclass has fields of its own.

    Class attributes:
        presets: fields of each size; the first size is the default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"s": {}}

    frames: int = Field(243, ge=1, le=100_000, description="most frames of one clip")
    joints: int = Field(17, ge=1, le=1000, description="J")
    confidence: bool = Field(False, description="take each joint's confidence as a third number")

    @classmethod
    def preset(cls, size: str, **changes: object) -> ModelConfig:
        """The config of a size; `changes` override single fields."""
        return cls.model_validate({**cls.presets[size], **changes})


@dataclass(frozen=True)
class RegisteredArchitecture(Architecture):
    """An architecture that `register_model` added, with its classes.

    Attributes:
        model_class: made with one argument, the config, which it keeps as `config`.
        config_class: of the config.
    """

    model_class: type[nn.Module]
    config_class: type[ModelConfig]

    @property
    def model(self) -> type[Any]:
        return self.model_class

    @property
    def config(self) -> type[Any]:
        return self.config_class

    def made(self, part: object, suffix: str = "") -> bool:
        return isinstance(part, self.config_class if suffix else self.model_class)


ARCHITECTURES: plugins.Registry[Architecture] = plugins.Registry(
    "architecture",
    {
        "posemamba": Architecture(
            "PoseMamba",
            "posemamba.models.posemamba",
            ("s", "b", "l", "x"),
            "Temporal_pos_embed",
            config_home="posemamba.models.posemamba_config",
        ),
        "motionagformer": Architecture(
            "MotionAGFormer", "posemamba.models.motionagformer", ("s", "xs", "b", "l"), None
        ),
        "motionbert": Architecture("MotionBERT", "posemamba.models.motionbert", ("base", "lite"), "temp_embed"),
        "mixste": Architecture("MixSTE", "posemamba.models.mixste", ("base",), "Temporal_pos_embed"),
        "stcformer": Architecture("STCFormer", "posemamba.models.stcformer", ("base", "l"), None),
        "hgmamba": Architecture("HGMamba", "posemamba.models.hgmamba", ("b", "s", "xs"), None),
    },
)
"""All architectures, by the name of `model.kind` in recipes."""


def register_model(name: str, config: type[ModelConfig]) -> Callable[[Model], Model]:
    """Register an architecture: a module of one argument, its config, that keeps it as `config`.

    Args:
        name: for `model.kind`.
        config: its config's class.

    Raises:
        PoseMambaError: the name is taken, or a class is of another kind.
    """
    if not (isinstance(config, type) and issubclass(config, ModelConfig) and config.presets):
        raise PoseMambaError(f"architecture '{name}': its config must be a subclass of ModelConfig, with presets")

    def add(model: Model) -> Model:
        if not (isinstance(model, type) and issubclass(model, nn.Module)):
            raise PoseMambaError(f"architecture '{name}': expected a class of torch.nn.Module")
        label, home, sizes = model.__name__, model.__module__, tuple(config.presets)
        ARCHITECTURES.add(name, RegisteredArchitecture(label, home, sizes, None, model, config))
        return model

    return add


def architecture_of(model: AnyModel) -> str:
    """Return the registry's name of a model's architecture."""
    return next(name for name, entry in ARCHITECTURES.items() if entry.made(model))


def describe(config: AnyConfig) -> str:
    """Describe a model in a few words, for error messages."""
    name = next(entry.label for entry in ARCHITECTURES.values() if entry.made(config, "Config"))
    if isinstance(config, ModelConfig):
        return f"a {name}, {config.frames} frames"
    return f"a {name} of width {config.width}, {config.depth} {config.counted}, {config.frames} frames"


def layers_of(config: AnyConfig) -> int:
    """Return the layers that a model of this config has at the least, for `build`; 0: not known."""
    return 0 if isinstance(config, ModelConfig) else config.depth


def save_model(
    path: str | Path, model: AnyModel, card: Mapping[str, Any], half: bool = False, shard_bytes: int | None = None
) -> list[Path]:
    """Write a model's weights with its config and a card as a safetensors file, whole or not at all.

    Args:
        path: the file; with `shard_bytes` several files beside each other (`posemamba.weights.shards`).
        model: of a registered architecture.
        card: training data, licence, errors: anything JSON can hold.
        half: store parameters in half precision; the statistics of a batch norm stay as they are.
        shard_bytes: the largest size of one file; None: one file.

    Returns:
        The files.
    """
    from posemamba.weights.writing import write_weights

    return write_weights(path, model, architecture_of(model), model.config, card, half, shard_bytes)


def load_model(source: str | Path, **changes: object) -> AnyModel:
    """Load a trained model of any registered architecture, in evaluation mode and float32.

    Args:
        source: a known name, a safetensors file of this package, a folder in Hugging Face's layout, ``hf://owner/name``
            on the Hugging Face Hub, or a PoseMamba checkpoint (`model_pos` or another common key).
        changes: config fields that a checkpoint does not hold, e.g. scan_order for an ablation's checkpoint.

    Raises:
        PoseMambaError: no such weights, a damaged or foreign file, names or shapes that do not fit.
    """
    path = find(source)
    config: AnyConfig
    if is_safetensors(path):
        metadata, state = read_weights(path)
        name = metadata["model"]
        if name not in ARCHITECTURES:
            raise PoseMambaError(
                f"{path}: weights of a '{name}', known are {', '.join(ARCHITECTURES)}"
                + (_plugins_of(metadata) or ": is this version too old?")
            )
        try:
            config = parse_config(path, ARCHITECTURES[name].config, metadata)
        except PoseMambaError as error:
            raise PoseMambaError(f"{error}{_plugins_of(metadata)}") from error
        card = read_card(path).get("card", {})
    else:
        name, (config, state), card = "posemamba", read_released_checkpoint(path), {}
    if changes:
        config = type(config).model_validate({**config.model_dump(), **changes})
    make = ARCHITECTURES[name].model
    model: AnyModel = build(path, lambda: make(config), layers_of(config), state, describe(config))
    if isinstance(model, PoseMamba):
        model.card = card
    return model.eval()


def _plugins_of(metadata: Mapping[str, str]) -> str:
    """The words on plugins that the card names and that are not loaded; the file itself never loads one."""
    try:
        return plugins.told_of(json.loads(metadata["card"])["recipe"]["plugins"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""
