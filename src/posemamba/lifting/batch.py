"""A batch of windows through a model, as it was trained: at one size of the person, mirrored too.

Shapes: B windows, T frames of a window, J joints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posemamba.models.inputs import at_one_size, mirror, what_it_takes
from posemamba.models.posemamba import PoseMamba

HELD = 9
"""Frames that a model is shown at the least."""


def batch_size(device: torch.device) -> int:
    """Windows at a time: on a CPU one after another is fastest."""
    return 1 if device.type == "cpu" else 16


@torch.inference_mode()
def lift_batch(model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None) -> Tensor:
    """Lift windows as the model was trained: at one size of the person, and mirrored too.

    Models are at a loss with a few frames, which they hardly saw in training. Fewer than `HELD` of them are shown with
    the first and the last one held, as if people had stood still before and after (docs/decisions/model_inputs.md).

    Args:
        model: (B, T, 17, 2) normalised, or with confidence (B, T, 17, 3), -> (B, T, 17, 3), in evaluation mode.
        x_BTJC: (B, T, 17, 2), or with confidence (B, T, 17, 3), on the model's device; the model gets what
            it takes.
        flip: average with the mirrored lifting of the mirrored picture.
        person_size: zoom each window to this size of the person (`models.inputs.zoom_factor`); None: as seen.

    Returns:
        (B, T, 17, 3) float32, in the unit of `x_BTJC`, relative to joint 0.
    """
    return _lift_batch(model, x_BTJC, flip=flip, person_size=person_size, tell=False)[0]


@torch.inference_mode()
def lift_batch_with_errors(
    model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None
) -> tuple[Tensor, Tensor | None]:
    """As `lift_batch`, and how far each joint is expected to be off, (B, T, 17) in the same unit; None of a model that
    does not tell."""
    return _lift_batch(model, x_BTJC, flip=flip, person_size=person_size, tell=True)


def _lift_batch(
    model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None, tell: bool
) -> tuple[Tensor, Tensor | None]:
    given, zoom = at_one_size(what_it_takes(model, x_BTJC), person_size)
    T = given.shape[1]
    more = max(0, min(HELD, getattr(getattr(model, "config", None), "frames", 0)) - T)
    before, after = given[:, :1].expand(-1, more // 2, -1, -1), given[:, -1:].expand(-1, more - more // 2, -1, -1)
    given = torch.cat([before, given, after], 1) if more else given
    teller = model if tell and isinstance(model, PoseMamba) and model.error_head is not None else None

    def run(x: Tensor) -> Tensor:  # the expected error as a fourth number
        if teller is None:
            return model(x).float()
        y, errors = teller.with_errors(x)
        return torch.cat([y.float(), errors.float()[..., None]], -1)

    y = run(given)
    if flip:
        y = (y + mirror(run(mirror(given)))) / 2
    y = y[:, more // 2 : more // 2 + T]
    relative = torch.cat([y[:, :, :, :3] - y[:, :, :1, :3], y[..., 3:]], -1) / zoom
    if teller is None:
        return relative, None
    errors = relative[..., 3].clone()
    errors[:, :, 0] = 0  # the pelvis, by definition
    return relative[..., :3], errors
