"""The random numbers of a batch of training clips: a tree of typed groups, copied to a device as one table.

Each group is applied by the module that defines it, those of the motion, which are here, by `MocapSource`.

Shapes: B clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

import torch
from torch import Tensor

from posemamba.data import augment
from posemamba.data.cameras import Cameras, LookAt
from posemamba.data.mocap import recombine


@dataclass
class Segment:
    """A piece of a motion, sampled at constant speed; (B,) each.

    Attributes:
        begin, end: first and last frame of the motion among the frames of all motions.
        first: where the clip begins, in frames from `begin`.
        step: frames of the motion per frame of the clip.
    """

    begin: Tensor
    end: Tensor
    first: Tensor
    step: Tensor


@dataclass
class Graft:
    """Parts of another motion.

    Attributes:
        part: (B,) index of recombine.GRAFTS; negative: none.
        segment: where they come from.
    """

    part: Tensor
    segment: Segment


@dataclass
class Motion:
    """Which motion is shown, and how it is changed.

    Attributes:
        segment: the captured motion.
        reverse: (B,) bool: it runs backwards in time.
        graft: parts of another motion.
        perturbation: rotations of ball joints.
        tumble: rotation of the whole body.
        flip: (B,) bool: mirrored left to right.
        straighter: (B,) radians by which knees are bent less.
        stiffness: (B,) from 0 to 1, the share of their bend that knees lose.
    """

    segment: Segment
    reverse: Tensor
    graft: Graft
    perturbation: recombine.Rotations
    tumble: recombine.Rotations
    flip: Tensor
    straighter: Tensor
    stiffness: Tensor


@dataclass
class ClipNumbers:
    """All random numbers of a batch's clips, but for the noise of single frames."""

    motion: Motion
    body: augment.Body
    camera: Cameras
    detector: augment.DetectorErrors
    displacement: augment.Displacement
    look: LookAt

    @property
    def clips(self) -> int:
        return len(self.motion.flip)


Group = TypeVar("Group")


def leaves(group: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Dotted names and tensors of a tree of dataclasses, in the order of their fields."""
    for field in fields(group):  # type: ignore[arg-type]
        value, path = getattr(group, field.name), f"{name}{field.name}"
        if is_dataclass(value):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def to_device(group: Group, device: torch.device) -> Group:
    """Copy a tree of dataclasses to a device, as one float32 table; integers become int64 there, booleans bool.

    One copy for all numbers, from pinned memory, as each would wait for the device. float32 holds frame numbers below
    2**24, 93 hours of motion.
    """
    tensors = [tensor for _, tensor in leaves(group)]
    table = torch.cat([t.reshape(len(t), -1).float() for t in tensors], 1)
    if device.type == "cuda":
        table = table.pin_memory()
    columns = table.to(device, non_blocking=True).split([t[0].numel() for t in tensors], 1)
    moved = (
        column.view(t.shape) if t.is_floating_point() else column.view(t.shape).to(t.dtype)
        for column, t in zip(columns, tensors, strict=True)
    )
    return _rebuilt(group, moved)


def _rebuilt(group: Group, tensors: Iterator[Tensor]) -> Group:
    values = {}
    for field in fields(group):  # type: ignore[arg-type]
        value = getattr(group, field.name)
        values[field.name] = _rebuilt(value, tensors) if is_dataclass(value) else next(tensors)
    return type(group)(**values)
