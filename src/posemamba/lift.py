"""Lift 2D joints to 3D: clips of any length, through a model that sees at most some hundred frames at once.

The steps, in order:

1. joints of another skeleton are converted to Human3.6M's (`skeleton.to_h36m17`);
2. the clip is split where the person is not seen for longer than `Lifter.max_gap` seconds, and where the detector
   jumps to somebody else (`poses.find_jumps`): what lies further apart does not influence each other;
3. in each stretch, joints that were not found get a place (`data.missing`), as the model needs one;
4. the stretch is cut into overlapping windows, each is lifted, and neighbours are cross-faded;
5. the result is made relative to the pelvis and NaN where the person was not seen.

Shapes: F frames, B windows, T frames of a window, J = 17 joints.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba import scan
from posemamba.data.augment import mirror
from posemamba.data.cameras import at_one_size
from posemamba.data.missing import fill_missing
from posemamba.errors import PoseMambaError
from posemamba.memory import in_parts
from posemamba.model import PoseMamba, what_it_takes
from posemamba.poses import Keypoints2D, Poses3D, Progress, find_jumps
from posemamba.skeleton import H36M17, to_h36m17
from posemamba.weights import find, is_safetensors, load_model, name_of, read_card

_Stretch = tuple[int, int, int]
"""A person's number, and frames [start, end)."""

__all__ = ["Lifter", "Window", "batch_size", "choose_device", "lift_batch", "split_at_gaps", "windows"]


HELD = 9
"""Frames that a model is shown at the least."""


def batch_size(device: torch.device) -> int:
    """Windows at a time: on a CPU one after another is fastest."""
    return 1 if device.type == "cpu" else 16


@torch.inference_mode()
def lift_batch(model: nn.Module, x_BTJC: Tensor, *, flip: bool, person_size: float | None) -> Tensor:
    """Lift windows as the model was trained: at one size of the person, and mirrored too.

    Models are at a loss with a few frames, which they hardly saw in training. Fewer than `HELD` of them are shown with
    the first and the last one held, as if people had stood still before and after (docs/decisions.md).

    Args:
        model: (B, T, 17, 2) normalised, or with confidence (B, T, 17, 3), -> (B, T, 17, 3), in evaluation mode.
        x_BTJC: (B, T, 17, 2), or with confidence (B, T, 17, 3), on the model's device; the model gets what
            it takes.
        flip: average with the mirrored lifting of the mirrored picture.
        person_size: zoom each window to this size of the person (`data.cameras.zoom_factor`); None: as seen.

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


class Lifter:
    """Turns 2D joints into 3D poses: ``lifter(keypoints)`` for one person, `lift_people` for several.

    >>> lifter = Lifter.from_pretrained("posemamba-s")
    >>> poses = lifter(keypoints)  # Keypoints2D -> Poses3D

    Attributes:
        model: (B, T, 17, 2) normalised (or 3: with confidence) -> (B, T, 17, 3), T up to `window`; on `device`, in
            evaluation mode.
        name: of the weights; goes into the results.
        device: where it runs.
        flip: lift the mirrored picture too and average: more accurate, twice the time.
        person_size: show the person to the model at this size, as it was trained (`data.cameras.zoom_factor`;
            root mean square distance of the joints from their mean, in normalised units); None: as seen.
        window: most frames that the model is given at once.
        overlap: least frames that two neighbouring windows share.
        max_gap: seconds without the person beyond which the clip is split.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str = "",
        device: torch.device | str | None = None,
        flip: bool = True,
        person_size: float | None = None,
        window: int | None = None,
        overlap: int | None = None,
        max_gap: float = 1.0,
    ) -> None:
        """A lifter around a model that is there already; the attributes, with these defaults:

        Args:
            model: a `PoseMamba`, or any module like it (then `window` must be given); moved to `device`.
            name: of the weights.
            device: None or "auto": an NVIDIA GPU if there is one, else the CPU.
            flip: see above.
            person_size: see above.
            window: None: as many frames as the model was made for.
            overlap: None: a third of the window.
            max_gap: see above.

        Raises:
            PoseMambaError: a device that is not there, or numbers that do not fit the model.
        """
        config = getattr(model, "config", None)
        joints, most = getattr(config, "joints", len(H36M17)), getattr(config, "frames", None)
        if joints != len(H36M17):
            raise PoseMambaError(
                f"{name or 'the model'} was made for {joints} joints, lifting needs Human3.6M's {len(H36M17)}"
            )
        window = most if window is None else window
        if window is None or window < 1 or (most is not None and window > most):
            raise PoseMambaError(f"window is {window} frames, expected 1 to {most or 'what the model takes'}")
        overlap = window // 3 if overlap is None else overlap
        if not 0 <= overlap <= window // 2:
            raise PoseMambaError(f"overlap is {overlap} frames, expected 0 to half of the window's {window}")
        if person_size is not None and not (math.isfinite(person_size) and person_size > 0):
            raise PoseMambaError(f"person_size is {person_size}, expected a positive number or None")
        self.name, self.flip, self.person_size = name, flip, person_size
        self.window, self.overlap, self.max_gap = window, overlap, max_gap
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()

    def __repr__(self) -> str:
        return f"Lifter({self.name!r}, device='{self.device}', flip={self.flip}, window={self.window})"

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "posemamba-s",
        *,
        device: torch.device | str | None = None,
        flip: bool = True,
        window: int | None = None,
    ) -> Lifter:
        """A lifter with trained weights.

        Args:
            source: a known name (`posemamba.weights.find`), a safetensors file, or a checkpoint of the authors'
                code (`posemamba.weights.load_model`). The size at which people are to be shown is read from
                the file's card.
            device, flip: see `Lifter`.
            window: None: as many frames as the model was made for; fewer answer sooner, and are less accurate.

        Raises:
            PoseMambaError: no such weights, a damaged or foreign file, a device that is not there.
        """
        chosen = choose_device(device)
        path = find(source)
        model = load_model(path)
        size = None
        if is_safetensors(path):  # the authors' checkpoints hold no card, and were trained without zoom
            card = read_card(path).get("card") or {}
            size = card.get("person_size")
            if size is not None and (isinstance(size, bool) or not isinstance(size, int | float)):
                raise PoseMambaError(f"{path}: person_size in its card is {size!r}, expected a number")
        return cls(model, name=name_of(path), device=chosen, flip=flip, person_size=size, window=window)

    def __call__(self, keypoints: Keypoints2D, *, progress: Progress | None = None) -> Poses3D:
        """Lift a clip.

        Args:
            keypoints: F frames, from 1 to any number; NaN where a joint was not found.
            progress: called as progress(frames done, frames to do).

        Returns:
            F frames; camera's frame (x right, y down, z away), relative to the pelvis, in pixels at the
            pelvis's depth. NaN where `seen` is false: none of the 17 joints was found. In the other frames a
            joint that was not found has confidence 0: it was lifted from the place that `data.missing` gives
            it. `details` says how many there are, and with what options the clip was lifted.

        Warns:
            UserWarning: some joints were found in less than half of the frames in which the person was seen.

        Raises:
            PoseMambaError: zero frames, infinite coordinates, nobody seen in any frame, an image without
                size, or a skeleton without a conversion.
        """
        return self.lift_people([keypoints], progress=progress)[0]

    def lift_people(self, people: Sequence[Keypoints2D], *, progress: Progress | None = None) -> list[Poses3D]:
        """Lift several people, windows of all of them together: what a GPU needs to be busy.

        Args:
            people: any number of them, each as in `__call__`; their clips may differ in length.
            progress: called as progress(frames done, frames to do), frames of all people.

        Returns:
            For each the same as `lifter(keypoints)`, to rounding.

        Warns, raises: as `__call__`.
        """
        prepared = [_prepared(keypoints) for keypoints in people]
        lifted = [np.full((len(joints), len(H36M17), 4), np.nan, np.float32) for joints in prepared]
        stretches = [
            (person, start, end)
            for person, joints in enumerate(prepared)
            for start, end in split_at_gaps(joints.seen, joints.frame_times(), self.max_gap, find_jumps(joints))
        ]
        # longest first, then in order: windows of one length can be lifted together
        stretches.sort(key=lambda s: -min(s[2] - s[1], self.window))
        total, done = sum(end - start for _, start, end in stretches), 0
        for (person, start, _), at, piece in self._lift_stretches(prepared, stretches):
            lifted[person][start + at : start + at + len(piece)] = piece
            done += len(piece)
            if progress is not None:
                progress(done, total)
        return [
            self._result(joints, one, sum(p == person for p, _, _ in stretches))
            for person, (joints, one) in enumerate(zip(prepared, lifted, strict=True))
        ]

    def _result(self, joints: Keypoints2D, lifted: NDArray[np.float32], stretches: int) -> Poses3D:
        found, seen = joints.found, joints.seen
        lifted[~seen] = np.nan
        errors = np.ascontiguousarray(lifted[..., 3])
        return Poses3D(
            xyz=np.ascontiguousarray(lifted[..., :3]),
            expected_error=None if np.isnan(errors).all() else errors,
            confidence=np.where(found, joints.confidence, 0).astype(np.float32),
            seen=seen,
            keypoints=joints,
            model=self.name,
            details=self._details(int((~seen).sum()), int((~found[seen]).sum()), stretches),
        )

    def _details(self, unseen: int, filled: int, stretches: int) -> dict[str, Any]:
        from posemamba import __version__

        return {
            "posemamba": __version__,
            "flip_averaging": self.flip,
            "window": self.window,
            "overlap": self.overlap,
            "person_size": self.person_size,
            "max_gap_seconds": self.max_gap,
            "stretches": stretches,
            "frames_not_seen": unseen,
            "joints_filled_in": filled,
        }

    def _lift_stretches(
        self, people: Sequence[Keypoints2D], stretches: Sequence[_Stretch]
    ) -> Iterator[tuple[_Stretch, int, NDArray[np.float32]]]:
        """Lift stretches [start, end) of people; yields (stretch, first frame in it, (f, J, 4) pixels: joints and the
        error to expect, or NaN), final.

        Only a few windows are held at a time. A stretch's windows come in order, one stretch after the other.
        """
        held = np.empty((0, len(H36M17), 4), np.float32)  # lifted, but the next window has a say in it
        for group in _batches(self._cut(people, stretches), batch_size(self.device)):
            normalised = []
            for stretch, _, cut in group:
                width, height = people[stretch[0]].image_size
                scale = np.array([2 / width, 2 / width, 1], np.float32)
                normalised.append(cut * scale - np.array([1, height / width, 0], np.float32))
            for (stretch, place, _), one in zip(group, self._lift(np.stack(normalised)), strict=True):
                lifted = one * np.float32(people[stretch[0]].image_size[0] / 2)
                shared = len(held)
                if shared:
                    new = place.weights(shared)[:, None, None]
                    lifted[:shared] = (1 - new) * held + new * lifted[:shared]
                ready = place.next_start - place.start
                held = lifted[ready:]  # empty after a stretch's last window
                yield stretch, place.start, lifted[:ready]

    def _cut(
        self, people: Sequence[Keypoints2D], stretches: Sequence[_Stretch]
    ) -> Iterator[tuple[_Stretch, Window, NDArray[np.float32]]]:
        """The windows of all stretches, (T, J, 3) each: pixels and confidence; joints that were not found are somewhere
        likely, with confidence 0."""
        for stretch in stretches:
            person, start, end = stretch
            joints = people[person]
            sure = np.where(joints.found[start:end], joints.confidence[start:end], 0)
            sure = np.clip(np.nan_to_num(sure), 0, 1).astype(np.float32)  # a model was never shown other numbers
            filled = np.concatenate([fill_missing(joints.xy[start:end]), sure[..., None]], -1)
            for place in windows(len(filled), self.window, self.overlap):
                yield stretch, place, filled[place.start : place.end]

    def _lift(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, T, J, 3) normalised, with confidence, -> (B, T, J, 4) in the same unit: relative to the pelvis, and the
        error to expect, or NaN."""

        def lift(x: Tensor) -> Tensor:
            y, errors = lift_batch_with_errors(self.model, x, flip=self.flip, person_size=self.person_size)
            errors = torch.full_like(y[..., 0], torch.nan) if errors is None else errors
            return torch.cat([y, errors[..., None]], -1)

        return in_parts(lift, torch.from_numpy(given).to(self.device)).cpu().numpy()


def _prepared(keypoints: Keypoints2D) -> Keypoints2D:
    """The clip in Human3.6M's joints.

    Raises:
        PoseMambaError: it cannot be lifted.
    """
    name, frames = keypoints.source or "keypoints", len(keypoints)
    if frames == 0:
        raise PoseMambaError(f"{name}: holds zero frames, expected at least one")
    if np.isinf(keypoints.xy).any():
        frame, joint = np.argwhere(np.isinf(keypoints.xy))[0][:2]
        raise PoseMambaError(f"{name}: frame {frame}, joint {joint} is infinite, expected pixels, or NaN for not found")
    if min(keypoints.image_size) <= 0:
        width, height = keypoints.image_size
        raise PoseMambaError(f"{name}: the image is {width}x{height} pixels, expected positive numbers")
    joints = to_h36m17(keypoints)
    if not joints.seen.any():
        raise PoseMambaError(f"{name}: none of the joints that lifting needs was found in any of its {frames} frames")
    _warn_of_guesses(name, joints)
    return joints


def _batches(
    cuts: Iterator[tuple[_Stretch, Window, NDArray[np.float32]]], size: int
) -> Iterator[list[tuple[_Stretch, Window, NDArray[np.float32]]]]:
    """Up to `size` windows of one length at a time, in order."""
    group: list[tuple[_Stretch, Window, NDArray[np.float32]]] = []
    for cut in cuts:
        if group and (len(group) == size or len(cut[2]) != len(group[0][2])):
            yield group
            group = []
        group.append(cut)
    if group:
        yield group


def _warn_of_guesses(name: str, keypoints: Keypoints2D) -> None:
    share = keypoints.found[keypoints.seen].mean(0)
    if (share < 0.5).any():
        rare = ", ".join(keypoints.skeleton.joints[j] for j in np.flatnonzero(share < 0.5))
        warnings.warn(
            f"{name}: {rare}: found in less than half of the frames in which the person was seen; elsewhere "
            "these joints are guesses (confidence 0)",
            stacklevel=5,
        )


@dataclass(frozen=True)
class Window:
    """A piece of a clip that is lifted at once.

    Attributes:
        start, end: frames [start, end).
        next_start: where the next window starts (the clip's end for the last one).
        fade: (first, length) in frames of the whole clip: where it takes over from the window before.
    """

    start: int
    end: int
    next_start: int
    fade: tuple[int, int]

    def weights(self, shared: int) -> NDArray[np.float32]:
        """(shared,) its share in its first frames, from 0 to 1; the window before has the rest."""
        first, length = self.fade
        position = (np.arange(self.start, self.start + shared) - first + 1) / (length + 1)
        return (np.sin(0.5 * np.pi * np.clip(position, 0, 1)) ** 2).astype(np.float32)


def windows(frames: int, window: int, overlap: int) -> list[Window]:
    """Windows over a clip: all of one length and evenly spread, so that the last is as good as the others.

    Neighbours share at least `overlap` frames. They are cross-faded over `overlap` frames in the middle of
    those that they share: away from both windows' ends, where a model knows least.

    Args:
        frames: of the clip; up to `window` of them make one window.
        window: frames of a window.
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


def split_at_gaps(
    seen: NDArray[np.bool_], times: NDArray[np.float64], max_gap: float, cuts: NDArray[np.integer] | Sequence[int] = ()
) -> list[tuple[int, int]]:
    """Stretches [start, end) that begin and end with a seen frame, apart by more than `max_gap` seconds.

    Args:
        seen: (F,).
        times: (F,) seconds.
        max_gap: longest time between two seen frames of a stretch; neighbouring frames are not split for it.
        cuts: seen frames with which a stretch begins in any case.
    """
    index = np.flatnonzero(seen)
    if not len(index):
        return []
    apart = (np.diff(index) > 1) & (np.diff(times[index]) > max_gap)
    apart |= np.isin(index[1:], cuts)
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(index, np.flatnonzero(apart) + 1)]


def choose_device(device: torch.device | str | None = None) -> torch.device:
    """The device by name; None or "auto": an NVIDIA GPU on which the scan's kernels run, else the CPU.

    Raises:
        PoseMambaError: no such device.
    """
    if device is None or device == "auto":
        fast = torch.cuda.is_available() and scan.why("cuda")[0] != "reference"
        return torch.device("cuda" if fast else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or ["not available"])[0].rstrip(".")[:120]
        raise PoseMambaError(f"device '{device}' cannot be used ({reason}): try cpu, cuda or auto") from error
    return chosen
