"""Overlapping windows over a clip, and the weights by which neighbours are cross-faded.

Shapes: F frames, T frames of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba.models.inputs import at_one_size, input_format, mirror, prepare_input
from posemamba.models.posemamba import PoseMamba


@dataclass(frozen=True)
class Window:
    """A window of a clip, which is lifted at once.

    Attributes:
        start, end: frames [start, end).
        next_start: where the next window starts (the clip's end for the last one).
        fade: (first, length) in frames of the clip: the cross-fade from the window before.
    """

    start: int
    end: int
    next_start: int
    fade: tuple[int, int]

    def weights(self, shared: int) -> NDArray[np.float32]:
        """Return (shared,) this window's weights in its first frames, from 0 to 1; the window before has the rest."""
        first, length = self.fade
        position = (np.arange(self.start, self.start + shared) - first + 1) / (length + 1)
        return (np.sin(0.5 * np.pi * np.clip(position, 0, 1)) ** 2).astype(np.float32)


def windows(frames: int, window: int, overlap: int) -> list[Window]:
    """Cut a clip into windows of one length, evenly spread, so that the last is as accurate as the others.

    Neighbours share at least `overlap` frames. They are cross-faded over `overlap` frames in the middle of those that
    they share, away from both windows' ends, where a model is least accurate.

    Args:
        frames: the clip's frames; up to `window` of them make one window.
        window: the frames of a window.
        overlap: at most half of `window`.
    """
    if frames <= window:
        return [Window(0, frames, frames, (0, 0))]
    count = 1 + -(-(frames - window) // (window - overlap))
    starts = [i * (frames - window) // (count - 1) for i in range(count)]
    placed = []
    for start, before, after in zip(starts, [None, *starts], [*starts[1:], frames], strict=False):
        shared = 0 if before is None else before + window - start
        fade = min(overlap, shared)
        placed.append(Window(start, start + window, after, (start + (shared - fade) // 2, fade)))
    return placed


HELD = 9
"""The fewest frames that are given to a model."""


def batch_size(device: torch.device) -> int:
    """Return the windows to lift at a time; on a CPU one is fastest."""
    return 1 if device.type == "cpu" else 16


@torch.inference_mode()
def lift_batch(model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None) -> Tensor:
    """Lift windows as the model was trained: at one size of the person, with test-time flip.

    Models are inaccurate on a few frames, which they hardly saw in training. Fewer than `HELD` frames are extended by
    holding the first and the last one, as if people had stood still before and after (docs/decisions/model_inputs.md).

    Args:
        model: (B, T, 17, 2) normalised, or with confidence (B, T, 17, 3), -> (B, T, 17, 3), in evaluation mode.
        x_BTJC: (B, T, 17, 2) normalised, or with confidence (B, T, 17, 3), on the model's device
            (`models.inputs.prepare_input`).
        flip: test-time flip: average with the mirrored lifting of the mirrored joints.
        person_size: zoom each window to this size of the person (`models.inputs.zoom_factor`); None: as seen.

    Returns:
        (B, T, 17, 3) float32, in the unit of `x_BTJC`, relative to joint 0.
    """
    return _lift_batch(model, x_BTJC, flip=flip, person_size=person_size, errors=False)[0]


@torch.inference_mode()
def lift_batch_with_errors(
    model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None
) -> tuple[Tensor, Tensor | None]:
    """Lift windows as `lift_batch` does, with the expected error of each joint.

    Returns:
        The joints, and their expected errors (B, T, 17) in the same unit; None for a model without an error head.
    """
    return _lift_batch(model, x_BTJC, flip=flip, person_size=person_size, errors=True)


def _lift_batch(
    model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None, errors: bool
) -> tuple[Tensor, Tensor | None]:
    given, zoom = at_one_size(prepare_input(model, x_BTJC), person_size)
    T = given.shape[1]
    more = max(0, min(HELD, input_format(model).frames or 0) - T)
    before, after = given[:, :1].expand(-1, more // 2, -1, -1), given[:, -1:].expand(-1, more - more // 2, -1, -1)
    given = torch.cat([before, given, after], 1) if more else given
    estimator = model if errors and isinstance(model, PoseMamba) and model.error_head is not None else None

    def run(x: Tensor) -> Tensor:  # with the expected error as a fourth number
        if estimator is None:
            return model(x).float()
        y, expected = estimator.with_errors(x)
        return torch.cat([y.float(), expected.float()[..., None]], -1)

    y = run(given)
    if flip:
        skeleton = input_format(model).skeleton
        y = (y + mirror(run(mirror(given, skeleton=skeleton)), skeleton=skeleton)) / 2
    y = y[:, more // 2 : more // 2 + T]
    relative = torch.cat([y[:, :, :, :3] - y[:, :, :1, :3], y[..., 3:]], -1) / zoom
    if estimator is None:
        return relative, None
    expected = relative[..., 3].clone()
    expected[:, :, 0] = 0  # the pelvis, by definition
    return relative[..., :3], expected
