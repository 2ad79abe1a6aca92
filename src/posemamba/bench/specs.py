"""Benchmark specs: a model, the length of its clips and its settings, `MODEL[@FRAMES][:SETTING[+SETTING...]]`.

`l:bf16+graph` is PoseMamba-L under bfloat16 autocast, replayed as a CUDA graph. `motionagformer-l@243:tf32` is that
model on clips of 243 frames, into which the case's clips are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from posemamba.models.hgmamba import HGMamba
from posemamba.models.mixste import MixSTE
from posemamba.models.motionagformer import MotionAGFormer
from posemamba.models.motionbert import MotionBERT
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.stcformer import STCFormer
from posemamba.ops.scan import selective_scan
from posemamba.ops.scan.selftest import scan_inputs
from posemamba.poses.skeletons import LIMB_ORDER
from posemamba.utils.errors import PoseMambaError

JOINTS = 17
PRECISIONS = {
    "float32": "every product in float32 (the default)",
    "tf32": "float32 whose matrix products may round to TF32; GPUs only",
    "bf16": "autocast to bfloat16; products that stay float32 may use TF32",
}
WAYS = {
    "compile": "torch.compile for the timed shapes",
    "graph": "the forward pass, or the whole training step, replayed as a CUDA graph; GPUs only",
    "recompute": "less memory: cheap activations computed again in the backward pass; our models' training step only",
}
GRAMMAR = "MODEL[@FRAMES][:SETTING[+SETTING...]], e.g. l:bf16+graph"


class OneScan(nn.Module):
    """The scan of one layer of a PoseMamba with its projections, (B, T, J, D) to the same shape."""

    def __init__(self, size: str) -> None:
        super().__init__()
        config = PoseMambaConfig.preset(size)
        weights = scan_inputs(1, 1, config.inner_width, config.dt_rank, torch.device("cpu"), torch.float32)
        del weights["u"]
        self.weights = nn.ParameterDict(weights)

    def forward(self, u_BTJD: Tensor) -> Tensor:
        return selective_scan(u_BTJD, **dict(self.weights.items()), limb=LIMB_ORDER)


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be timed.

    Attributes:
        label: its name in figures.
        build: makes it for clips of that many frames, with fresh weights.
        family: the models that a line joins in the figure of error over cost.
        scan_width: D of its scan, for our models, which are checked against float64 before anything is timed.
        own_frames: frames of its clips as published, if fewer than 243; longer clips are cut into such.
        published_p1: MPJPE (P1) in mm on Human3.6M, 243 frames: Table 1 of the PoseMamba paper; of 2D joints by Stacked
            Hourglass, of MixSTE and STCFormer by CPN.
        channels: of the input; 2 are the coordinates of a joint, more are features inside a layer.
        by_layers: True if it is compiled by layers for inference on a GPU, too, as the whole takes minutes.
    """

    label: str
    build: Callable[[int], nn.Module]
    family: str
    scan_width: int | None = None
    own_frames: int | None = None
    published_p1: float | None = None
    channels: int = 2
    by_layers: bool = False

    @property
    def ours(self) -> bool:
        """True for PoseMamba and its scans."""
        return self.scan_width is not None

    @property
    def whole(self) -> bool:
        """True for a whole model, which has layers to compile in training; False for one scan."""
        return self.channels == 2


def _posemamba(size: str, published_p1: float) -> ModelSpec:
    return ModelSpec(
        f"PoseMamba-{size.upper()}",
        lambda frames: PoseMamba.preset(size, frames=frames),
        "PoseMamba",
        scan_width=PoseMambaConfig.preset(size).inner_width,
        published_p1=published_p1,
    )


def _motionagformer(size: str, own_frames: int | None = None, published_p1: float | None = None) -> ModelSpec:
    return ModelSpec(
        f"MotionAGFormer-{size.upper()}",
        lambda frames: MotionAGFormer.preset(size, frames=frames),
        "MotionAGFormer",
        own_frames=own_frames,
        published_p1=published_p1,
        by_layers=True,
    )


def _one_scan(size: str) -> ModelSpec:
    width = PoseMambaConfig.preset(size).inner_width
    return ModelSpec(f"scan, width {width}", lambda frames: OneScan(size), "scan", scan_width=width, channels=width)


MODELS: dict[str, ModelSpec] = {
    "s": _posemamba("s", 41.8),
    "b": _posemamba("b", 40.8),
    "l": _posemamba("l", 38.1),
    "x": _posemamba("x", 37.1),
    "motionbert": ModelSpec(
        "MotionBERT", lambda frames: MotionBERT.preset("base", frames=frames), "MotionBERT", published_p1=39.2
    ),
    "motionbert-lite": ModelSpec(
        "MotionBERT-Lite", lambda frames: MotionBERT.preset("lite", frames=frames), "MotionBERT"
    ),
    "motionagformer-xs": _motionagformer("xs", own_frames=27),
    "motionagformer-s": _motionagformer("s", own_frames=81),
    "motionagformer-b": _motionagformer("b"),
    "motionagformer-l": _motionagformer("l", published_p1=38.4),
    "hgmamba": ModelSpec("HGMamba-B", lambda frames: HGMamba.preset(frames=frames), "HGMamba", by_layers=True),
    "mixste": ModelSpec("MixSTE", lambda frames: MixSTE.preset(frames=frames), "MixSTE", published_p1=40.9),
    "stcformer": ModelSpec("STCFormer", lambda frames: STCFormer.preset(frames=frames), "STCFormer", published_p1=41.0),
    "stcformer-l": ModelSpec(
        "STCFormer-L", lambda frames: STCFormer.preset("l", frames=frames), "STCFormer", published_p1=40.5
    ),
    "scan-s": _one_scan("s"),
    "scan-l": _one_scan("l"),
    "scan-x": _one_scan("x"),
}


@dataclass(frozen=True)
class BenchSpec:
    """A model and the settings with which it is run.

    Attributes:
        model: a key of `MODELS`.
        frames: of its clips; None: as many as in the case, or the model's own number if that is less.
        precision: a key of `PRECISIONS`.
        compiled, graph, recompute: the `WAYS`.
        entry: the model's entry in `MODELS`.
    """

    model: str
    frames: int | None = None
    precision: str = "float32"
    compiled: bool = False
    graph: bool = False
    recompute: bool = False
    entry: ModelSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entry", MODELS[self.model])

    def __str__(self) -> str:
        ways = [(self.precision, self.precision != "float32"), ("compile", self.compiled), ("graph", self.graph)]
        ways.append(("recompute", self.recompute))
        settings = "+".join(name for name, wanted in ways if wanted)
        return self.model + (f"@{self.frames}" if self.frames else "") + (f":{settings}" if settings else "")

    @property
    def plain(self) -> BenchSpec:
        """The same spec without torch.compile, CUDA graph and recomputation, with which it has to agree."""
        return replace(self, compiled=False, graph=False, recompute=False)

    def window(self, frames: int, whole: bool = False) -> int:
        """Return the frames of the clips that the model takes in a case.

        Args:
            frames: of the case's clips.
            whole: True if models published for fewer frames are built for all frames.

        Raises:
            PoseMambaError: the case's clips do not divide into the model's.
        """
        own = self.frames or (None if whole else self.entry.own_frames)
        window = frames if own is None or (own > frames and self.frames is None) else own
        if frames % window:
            raise PoseMambaError(
                f"'{self}' takes clips of {window} frames, which do not divide {frames}: choose others"
            )
        return window

    def refuse_device(self, device: torch.device) -> None:
        """Check that all settings are for this device.

        Raises:
            PoseMambaError: one is not.
        """
        for setting in [self.precision] * (self.precision == "tf32") + ["graph"] * self.graph:
            if device.type != "cuda":
                raise PoseMambaError(f"'{self}': the setting '{setting}' is for NVIDIA GPUs, and this runs on {device}")


def parse_spec(text: str) -> BenchSpec:
    """Parse `MODEL[@FRAMES][:SETTING[+SETTING...]]`.

    Raises:
        PoseMambaError: the model or a setting is unknown, there are two precisions, or frames are no positive number.
    """
    head, colon, tail = text.strip().lower().partition(":")
    name, at, number = head.partition("@")
    if name not in MODELS:
        raise PoseMambaError(f"unknown model '{name}' in '{text}': known are {', '.join(MODELS)}")
    if at and not (number.isdecimal() and int(number) > 0):
        raise PoseMambaError(f"'{text}': '@{number}' is no number of frames; expected {GRAMMAR}")
    settings = tail.split("+") if colon else []
    for setting in settings:
        if setting not in PRECISIONS and setting not in WAYS:
            known = ", ".join([*PRECISIONS, *WAYS])
            raise PoseMambaError(f"unknown setting '{setting}' in '{text}': known are {known}")
    if len(set(settings)) < len(settings):
        raise PoseMambaError(f"'{text}': a setting is given twice")
    if "recompute" in settings and not (MODELS[name].ours and MODELS[name].whole):
        raise PoseMambaError(f"'{text}': the setting 'recompute' is for whole PoseMambas")
    precisions = [setting for setting in settings if setting in PRECISIONS]
    if len(precisions) > 1:
        raise PoseMambaError(f"'{text}': {' and '.join(precisions)} exclude each other")
    return BenchSpec(
        name,
        frames=int(number) if at else None,
        precision=precisions[0] if precisions else "float32",
        compiled="compile" in settings,
        graph="graph" in settings,
        recompute="recompute" in settings,
    )
