"""Lifting of sequences window by window, as benchmarks and validation do it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from posemamba.lifting.windows import batch_size, lift_batch, lift_batch_with_errors, windows
from posemamba.models.inputs import input_format
from posemamba.ops.runtime.device import in_parts


def window_starts(frames: int, window: int) -> list[int]:
    """Return the first frames of windows that cover a sequence: end to end, the last one moved back to fit."""
    if frames <= window:
        return [0]
    return [*range(0, frames - window, window), frames - window]


@torch.inference_mode()
def lift_windows(
    model: nn.Module,
    joints: Tensor,
    *,
    window: int | None = None,
    overlap: int = 0,
    flip: bool = True,
    person_size: float | None = None,
    batch: int | None = None,
) -> Tensor:
    """Lift sequences window by window.

    Args:
        model: (B, T, 17, 2) normalised, or 3 with confidence, -> (B, T, 17, 3), T <= window.
        joints: (K, F, 17, 2) normalised, or with confidence (K, F, 17, 3), on the model's device.
        window: the most frames of one window; None: as many as the model was made for.
        overlap: frames over which neighbouring windows are cross-faded, as in `posemamba.lifting.lifter.Lifter`; 0:
            they lie end to end, and a frame in two windows is taken from the earlier one.
        flip: test-time flip: average with the mirrored lifting of the mirrored joints.
        person_size: zoom each window to this size of the person, as in training (`models.inputs.zoom_factor`).
        batch: windows at a time; None: chosen by the device.

    Returns:
        (K, F, 17, 3), in the unit of `joints`, relative to joint 0.
    """
    window = frames_of(model) if window is None else window
    return _by_windows(
        joints, window, batch, lambda given: lift_batch(model, given, flip=flip, person_size=person_size), overlap
    )


def frames_of(model: nn.Module) -> int:
    """Return the frames that a model was made for; 243 if its config does not say."""
    return input_format(model).frames or 243


@torch.inference_mode()
def lift_windows_with_errors(
    model: nn.Module, joints: Tensor, *, window: int | None = None, flip: bool = True, person_size: float | None = None
) -> Tensor:
    """Lift sequences as `lift_windows` does, with each joint's expected error as a fourth number.

    Args:
        model: a model with an error head (`PoseMamba.with_errors`).
        joints, window, flip, person_size: as in `lift_windows`.

    Returns:
        (K, F, 17, 4).
    """

    def lift(given: Tensor) -> Tensor:
        y, errors = lift_batch_with_errors(model, given, flip=flip, person_size=person_size)
        assert errors is not None
        return torch.cat([y, errors[..., None]], -1)

    return _by_windows(joints, frames_of(model) if window is None else window, None, lift)


def _by_windows(
    joints: Tensor, window: int, batch: int | None, lift: Callable[[Tensor], Tensor], overlap: int = 0
) -> Tensor:
    sequences, frames = joints.shape[:2]
    places = windows(frames, window, overlap) if overlap else []
    starts = [place.start for place in places] or window_starts(frames, window)
    cut = torch.stack([joints[:, s : s + window] for s in starts], 1).flatten(0, 1)
    lifted = [in_parts(lift, given) for given in cut.split(batch or batch_size(joints.device))]
    pieces = torch.cat(lifted).unflatten(0, (sequences, len(starts)))
    whole = joints.new_empty(sequences, frames, *pieces.shape[3:])
    if not overlap:
        for number in reversed(range(len(starts))):
            whole[:, starts[number] : starts[number] + window] = pieces[:, number]
        return whole
    done = 0
    for number, place in enumerate(places):
        piece, shared = pieces[:, number], done - place.start
        if number:
            new = torch.from_numpy(place.weights(shared)).to(whole)[:, None, None]
            piece[:, :shared] = (1 - new) * whole[:, place.start : done] + new * piece[:, :shared]
        whole[:, place.start : place.end] = piece
        done = place.end
    return whole
