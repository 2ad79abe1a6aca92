"""The models that can be trained, kept and loaded in this harness, by the name that recipes and weights files have.

All take 2D joints (B, T, J, 2), or with `config.confidence` (B, T, J, 3), and give (B, T, J, 3), T up to
`config.frames`; all have `config` and `preset`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from posemamba.baselines.motionagformer import MotionAGFormer, MotionAGFormerConfig
from posemamba.baselines.motionbert import MotionBERT, MotionBERTConfig
from posemamba.model import PoseMamba, PoseMambaConfig

KindName: TypeAlias = Literal["posemamba", "motionagformer", "motionbert"]
AnyModel: TypeAlias = PoseMamba | MotionAGFormer | MotionBERT
AnyConfig: TypeAlias = PoseMambaConfig | MotionAGFormerConfig | MotionBERTConfig


@dataclass(frozen=True)
class Kind:
    """One of them.

    Attributes:
        label: its name in sentences.
        model: the class.
        config: the class of its `config`.
        sizes: what `preset` takes; the first is meant where none is said.
        places: the parameter with an entry on axis 1 for each frame, which can be cut for shorter clips; None: none.
    """

    label: str
    model: type[Any]
    config: type[Any]
    sizes: tuple[str, ...]
    places: str | None


KINDS: dict[str, Kind] = {
    "posemamba": Kind("PoseMamba", PoseMamba, PoseMambaConfig, ("s", "b", "l", "x"), "Temporal_pos_embed"),
    "motionagformer": Kind("MotionAGFormer", MotionAGFormer, MotionAGFormerConfig, ("s", "xs", "b", "l"), None),
    "motionbert": Kind("MotionBERT", MotionBERT, MotionBERTConfig, ("base", "lite"), "temp_embed"),
}


def kind_of(model: AnyModel) -> str:
    """The name of a model's kind."""
    return next(name for name, kind in KINDS.items() if isinstance(model, kind.model))


def describe(config: AnyConfig) -> str:
    """A model in a few words, for refusals."""
    name = next(kind.label for kind in KINDS.values() if isinstance(config, kind.config))
    layers = "layers" if isinstance(config, MotionAGFormerConfig) else "pairs of blocks"
    return f"a {name} of width {config.width}, {config.depth} {layers}, {config.frames} frames"
