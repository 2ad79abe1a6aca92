"""Lift 2D joints to 3D: clips of any length, through a model that sees at most some hundred frames at once.

The steps, in order:

1. joints of another skeleton are converted to Human3.6M's (`poses.mapping.to_h36m17`);
2. the clip is split where the person is not seen for longer than `Lifter.max_gap` seconds, and where the detector
   jumps to somebody else (`poses.keypoints.find_jumps`): what lies further apart does not influence each other;
3. in each stretch, joints that were not found get a place (`models.missing`), as the model needs one;
4. the stretch is cut into overlapping windows, each is lifted, and neighbours are cross-faded;
5. the result is made relative to the pelvis and NaN where the person was not seen.

Shapes: F frames, B windows, T frames of a window, J = 17 joints.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba.lifting.batch import batch_size, lift_batch_with_errors
from posemamba.lifting.windows import Window, windows
from posemamba.models.missing import fill_missing
from posemamba.models.registry import load_model
from posemamba.ops.runtime.device import choose_device
from posemamba.ops.runtime.memory import in_parts
from posemamba.poses import Keypoints2D, Poses3D
from posemamba.poses.keypoints import find_jumps, split_at_gaps
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress
from posemamba.weights.files import is_safetensors, read_card
from posemamba.weights.names import find
from posemamba.weights.shards import name_of

_Stretch = tuple[int, int, int]
"""A person's number, and frames [start, end)."""


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
        person_size: show the person to the model at this size, as it was trained (`models.inputs.zoom_factor`;
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
            source: a known name (`posemamba.weights.names.find`), a safetensors file, or a checkpoint of the authors'
                code (`posemamba.models.registry.load_model`). The size at which people are to be shown is read from
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
            joint that was not found has confidence 0: it was lifted from the place that `models.missing` gives
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
        from posemamba.utils.version import __version__

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
