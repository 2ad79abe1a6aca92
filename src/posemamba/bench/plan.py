"""The plan of a benchmark: the cases of a call, and presets, whose parts can be run one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posemamba.bench.runner import TASKS, Case, Task
from posemamba.bench.specs import BenchSpec, parse_spec
from posemamba.utils.errors import PoseMambaError

SWEEP = "lengths"  # group of the cases of a sweep over lengths
LENGTHS = (27, 81, 243, 729, 972, 1944, 3888)


def plan(
    specs: Sequence[BenchSpec],
    tasks: Sequence[str],
    clips: Sequence[int],
    frames: Sequence[int],
    lengths: Sequence[int] = (),
    group: str = "",
) -> list[Case]:
    """Plan all combinations, then the forward passes of a sweep over lengths.

    Args:
        specs: the specs to time.
        tasks: keys of `TASKS`; specs that recompute activations skip the forward pass.
        clips: numbers of clips at once.
        frames: frames of a clip; longer clips are cut for models that were published for fewer than 243.
        lengths: of the sweep; every model is built for them, unless its spec gives frames with '@'.
        group: name of the cases, for a part of a preset.

    Raises:
        PoseMambaError: a task is unknown, there is nothing to time, or clips do not divide into those of a model.
    """
    if len(set(specs)) < len(specs):
        twice = next(c for i, c in enumerate(specs) if c in specs[:i])
        raise PoseMambaError(f"'{twice}' is given twice: give it once")
    cases = []
    for task in tasks:
        if task not in TASKS:
            raise PoseMambaError(f"unknown task '{task}': known are {', '.join(TASKS)}")
        known: Task = "train" if task == "train" else "forward"
        timed = tuple(spec for spec in specs if known == "train" or not spec.recompute)
        if not timed:
            raise PoseMambaError(
                "all specs recompute activations, which is for training; expected one without 'recompute' for the "
                "forward pass"
            )
        cases += [Case(known, T, B, timed, group=group) for T in frames for B in clips]
    cases += [Case("forward", T, clips[0], tuple(specs), whole=True, group=SWEEP) for T in lengths]
    if not cases:
        raise PoseMambaError("nothing to time: give a task, clips, and frames or lengths")
    for case in cases:
        for spec in case.specs:
            spec.window(case.frames, case.whole)
    return cases


@dataclass(frozen=True)
class Preset:
    """A published set of tables.

    Attributes:
        gpu: True for an NVIDIA GPU, False for a CPU.
        reference: the spec that others are compared with.
        parts: name to specs, task, clips, frames and lengths of `plan`.
    """

    gpu: bool
    reference: str
    parts: dict[str, tuple[str, str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]]


_OURS = "s:bf16 s:bf16+graph b:bf16 b:bf16+graph l:bf16 l:bf16+graph x:bf16 x:bf16+graph"
_PEERS = " ".join(
    f"{model}:{settings}"
    for model in ("motionbert", "motionagformer-l")
    for settings in ("tf32", "bf16+compile", "bf16+compile+graph")
)
_OURS_TRAIN = " ".join(
    f"{size}:bf16+compile+graph{more}" for size in "sblx" for more in ("", "+recompute") if size != "x" or more
)
_PEERS_TRAIN = "motionbert:tf32 motionbert:bf16+compile motionagformer-l:tf32 motionagformer-l:bf16+compile"
_PEERS_CPU = " ".join(
    f"{model}:{settings}" for model in ("motionagformer-s", "motionbert") for settings in ("compile", "bf16+compile")
)

PRESETS: dict[str, Preset] = {
    "paper-gpu": Preset(
        gpu=True,
        reference="motionbert:bf16+compile",
        parts={
            "forward-1": (f"{_OURS} {_PEERS}", "forward", (1,), (243,), ()),
            "forward-16": (f"{_OURS} {_PEERS}", "forward", (16,), (243,), ()),
            "forward-64": (f"{_OURS} {_PEERS}", "forward", (64,), (243,), ()),
            "train": (f"{_OURS_TRAIN} {_PEERS_TRAIN}", "train", (16,), (243,), ()),
            "long": ("l:bf16 l:bf16+graph motionbert:bf16", "forward", (1, 16), (243, 972), ()),
            "lengths": (
                "s:bf16+graph l:bf16+graph motionbert:bf16+graph motionagformer-l:bf16+graph",
                "forward", (1,), (), LENGTHS,
            ),
        },
    ),
    "paper-cpu": Preset(
        gpu=False,
        reference="motionbert",
        parts={
            "forward": ("s l motionagformer-s motionbert", "forward", (1,), (243,), ()),
            "best": (f"s l {_PEERS_CPU}", "forward", (1,), (243,), ()),
            "train": ("s", "train", (1,), (243,), ()),
        },
    ),
}  # fmt: skip


def plan_preset(name: str, parts: Sequence[str]) -> list[Case]:
    """Plan the cases of a preset's parts, or of all parts if none is named.

    Raises:
        PoseMambaError: the preset or a part is unknown.
    """
    preset = find_preset(name)
    for part in parts:
        if part not in preset.parts:
            raise PoseMambaError(f"unknown part '{part}' of {name}: known are {', '.join(preset.parts)}")
    cases = []
    for part in parts or preset.parts:
        specs, task, clips, frames, lengths = preset.parts[part]
        cases += plan([parse_spec(text) for text in specs.split()], [task], clips, frames, lengths, part)
    return cases


def find_preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        PoseMambaError: there is no such preset.
    """
    if name not in PRESETS:
        raise PoseMambaError(f"unknown preset '{name}': known are {', '.join(PRESETS)}, and video")
    return PRESETS[name]
