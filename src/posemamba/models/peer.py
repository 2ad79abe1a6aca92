"""Common parts of other authors' lifters: config, input, what training calls, their checkpoints.

Shapes: B clips, T frames, J joints, C numbers of a joint, E model width.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from posemamba.models.inputs import with_confidence
from posemamba.models.layers import matrices_between_layers
from posemamba.ops.fused.weights import centre
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import cause
from posemamba.weights.files import build, check_extent, read_checkpoint

if TYPE_CHECKING:
    from typing_extensions import Self


class PeerConfig(BaseModel):
    """The configuration of a peer; the defaults of a subclass are a published size.

    Class attributes:
        sizes: fields of each published size; the first is the default.
        counted: what `depth` counts, in the plural.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    counted: ClassVar[str] = "layers"

    width: int = Field(512, ge=1, le=8192, description="E: channels of a joint's feature")
    depth: int = Field(8, ge=1, le=512, description="layers")
    frames: int = Field(243, ge=1, le=100_000, description="most frames of one clip")
    joints: int = Field(17, ge=1, le=1000, description="J")
    mlp_ratio: int = Field(2, ge=1, le=64, description="hidden width of an MLP by E")
    drop_path: float = Field(0.0, ge=0, lt=1, description="rate of stochastic depth")
    confidence: bool = Field(False, description="take each joint's confidence as a third number (not as published)")
    centred: bool = Field(False, description="see x and y relative to their mean over the clip (not as published)")

    @model_validator(mode="after")
    def _is_no_giant(self) -> Self:
        check_extent(self.widest, self.depth, self.frames, self.mlp_ratio)
        return self

    @classmethod
    def preset(cls, size: str | None = None, **changes: object) -> Self:
        """The config of a published size; `changes` override single fields."""
        name = next(iter(cls.sizes)) if size is None else size.lower()
        return cls.model_validate({**cls.sizes[name], **changes})

    @property
    def widest(self) -> int:
        """The largest number of channels of a layer, but for an MLP's hidden ones."""
        return self.width

    @property
    def channels(self) -> int:
        """C, numbers of a joint in the input: x and y, or x, y and confidence."""
        return 3 if self.confidence else 2


Config = TypeVar("Config", bound=PeerConfig)


class Peer(nn.Module, Generic[Config]):
    """A lifter of other authors, (B, T, J, C) to (B, T, J, 3).

    Class attributes:
        config_class: of `config`.
        title: its name in sentences.
        key: where its authors' checkpoints have the parameters.
        embeds_confidence: the embedding always takes three numbers: without confidence a joint counts as certain (1).
    """

    config_class: ClassVar[type[PeerConfig]]
    title: ClassVar[str]
    key: ClassVar[str] = "model_pos"
    embeds_confidence: ClassVar[bool] = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def ends(self) -> tuple[nn.Module, ...]:
        """Return the layers that read or make coordinates."""
        raise NotImplementedError

    def blocks(self) -> list[nn.Module]:
        """Return the layers that `compile_layers` compiles, alike."""
        raise NotImplementedError

    @classmethod
    def config_of(cls, state: dict[str, Tensor], heads: int) -> PeerConfig:
        """Read the config off the shapes of the authors' parameters; whatever odd ones lead to may be raised."""
        raise NotImplementedError

    def full_precision_layers(self) -> tuple[nn.Module, ...]:
        """Return the layers that training must keep from autocast and TF32: those that read or make coordinates."""
        return self.ends()

    def matrix_parameters(self, scans: bool = False) -> list[nn.Parameter]:
        """Return the matrices between layers, not those of the embedding and of the head."""
        return matrices_between_layers(self, self.ends())

    def compile_layers(self, **options: Any) -> None:
        """Compile the layers by torch.compile, once for all that are alike: a whole model compiles for minutes.

        Args:
            options: of torch.compile.
        """
        from posemamba.ops.runtime.compiling import allow_many_variants  # torch._dynamo takes a second to import

        allow_many_variants()
        for module in self.blocks():
            module.compile(dynamic=False, **options)

    @classmethod
    def preset(cls, size: str | None = None, **changes: object) -> Self:
        """Make a fresh model of a published size; `changes` override single config fields."""
        return cls(cls.config_class.preset(size, **changes))  # type: ignore[arg-type]

    @classmethod
    def from_pretrained(cls, path: str | Path, heads: int = 8) -> Self:
        """Load a trained model in evaluation mode, from a checkpoint of its authors' code.

        Args:
            path: the checkpoint; everything but the number of heads is read off the shapes in it.
            heads: attention heads, which change no shape; 8 in all that is published.

        Raises:
            PoseMambaError: no such file, a damaged or foreign one, names or shapes that do not fit.
        """
        return cls._load(Path(path), heads=heads)

    @classmethod
    def _load(cls, path: Path, **told: int) -> Self:
        """Load a checkpoint in evaluation mode; `told` are the config fields that change no shape."""
        if not path.is_file():
            raise PoseMambaError(f"{path}: no such file; expected a checkpoint of {cls.title}")
        state = read_checkpoint(path, cls.key)
        try:
            config = cls.config_of(state, **told)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "config"
            raise PoseMambaError(f"{path}: not a {cls.title}: {place}: {first['msg']}") from error
        except Exception as error:  # whatever names and shapes lead to
            raise PoseMambaError(
                f"{path}: not a {cls.title} of {len(state)} parameters: odd or missing ones ({cause(error)})"
            ) from error
        what = f"a {cls.title} of width {config.width}, {config.depth} {config.counted}, {config.frames} frames"
        model: Self = build(path, lambda: cls(config), config.depth, state, what)  # type: ignore[arg-type]
        return model.eval()

    def placed(self, x_BTJC: Tensor) -> Tensor:
        """Return the checked input as it is embedded: if `centred`, x and y relative to their mean over a clip.

        Raises:
            ValueError: another shape than the model takes.
        """
        c, shape = self.config, tuple(x_BTJC.shape)
        channels = (2, 3) if self.embeds_confidence else (c.channels,)
        if len(shape) != 4 or not 1 <= shape[1] <= c.frames or shape[2] != c.joints or shape[3] not in channels:
            numbers = "2 or with confidence 3" if self.embeds_confidence else c.channels
            raise ValueError(
                f"input is {shape}; expected (clips, 1 to {c.frames} frames, {c.joints} joints, {numbers})"
            )
        x_BTJC = centre(x_BTJC) if c.centred else x_BTJC
        return with_confidence(x_BTJC) if self.embeds_confidence else x_BTJC
