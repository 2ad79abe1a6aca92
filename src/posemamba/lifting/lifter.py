"""The lifter: 2D joints of clips of any length to 3D, by a model that takes at most a few hundred frames at once.

The steps, in order:

1. joints of another skeleton are converted to Human3.6M's (`poses.mapping.to_h36m17`);
2. the clip is cut into segments where the person is not seen for longer than `Lifter.max_gap` seconds, and where the
   detector jumps to another person (`poses.keypoints.find_jumps`); segments do not influence each other;
3. the joints are seen by a virtual camera that looks at the person and turns slowly with them (`lifting.looking`);
4. joints that were not found get a position (`models.missing`), as the model needs one;
5. the segment is cut into overlapping windows, each window is lifted, and neighbours are cross-faded;
6. the result is made relative to the pelvis, and NaN where the person was not seen;
7. heels and foot tips, where the source has any, are placed at the lifted ankles (`lifting.feet`).

`refine.metres` makes metres in the real camera's axes of the result.

Shapes: F frames, B windows, T frames of a window, J = 17 joints.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba.lifting.even_frames import even_frames
from posemamba.lifting.feet import lift_feet
from posemamba.lifting.looking import look_at_person
from posemamba.lifting.windows import Window, batch_size, lift_batch_with_errors, windows
from posemamba.models.inputs import fill_missing, input_format
from posemamba.models.registry import load_model
from posemamba.ops.runtime.device import choose_device, in_parts
from posemamba.poses import Feet2D, Keypoints2D, NetworkPoses
from posemamba.poses.angle_table import AngleErrorTable
from posemamba.poses.keypoints import Span, find_jumps, split_at_gaps
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens, VirtualCamera
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress
from posemamba.utils.reading import reading
from posemamba.weights.files import is_safetensors, read_card
from posemamba.weights.names import find, title

INTERPOLATED = 0.2
"""Share of the confidence with which the model is given joints that were interpolated. On real video more is a little
better, on motion capture less is much better (docs/lift.md)."""
_Segment = tuple[int, int, int]
"""Index of the person, and frames [start, end)."""


class Lifter:
    """A lifter of 2D joints to 3D poses: ``lifter(keypoints)`` for one person, `lift_people` for several.

    >>> lifter = Lifter.from_pretrained("posemamba-s")
    >>> poses = lifter(keypoints)  # Keypoints2D -> NetworkPoses

    Attributes:
        model: (B, T, 17, 2) normalised (or 3: with confidence) -> (B, T, 17, 3), T up to `window`; on `device`, in
            evaluation mode.
        name: the weights' name, which is noted in the results.
        device: the model's device.
        flip: test-time flip: lift the mirrored joints too and average; more accurate, twice the time.
        person_size: zoom each person to this size, as in training (`models.inputs.zoom_factor`; root mean square
            distance of the joints from their mean, in normalised units); None: as seen.
        window: the most frames that the model is given at once.
        overlap: the fewest frames that two neighbouring windows share.
        max_gap: seconds without the person beyond which the clip is cut.
        virtual_camera: lift as a camera sees the person that looks at them; False: as the real one does.
        angle_errors: the weights' table of the angles' expected errors, which is put into the results; None: none.
        metres: the model gives metres in the camera's frame, as its training data had them, instead of the picture's
            unit; evaluation needs to know.
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
        virtual_camera: bool = True,
        angle_errors: AngleErrorTable | None = None,
        metres: bool = False,
    ) -> None:
        """Make a lifter of a model; the arguments are the class's attributes, with these defaults.

        Args:
            model: a `PoseMamba`, or any module like it (then `window` must be given); moved to `device`.
            name: the weights' name.
            device: None or "auto": an NVIDIA GPU if there is one, else the CPU.
            flip: see the class.
            person_size: see the class.
            window: None: as many frames as the model was made for.
            overlap: None: a third of the window.
            max_gap: see the class.
            virtual_camera, angle_errors, metres: see the class.

        Raises:
            PoseMambaError: the device is not available, or numbers do not fit the model.
        """
        expected = input_format(model)
        most = expected.frames
        if expected.joints != len(H36M17) or expected.skeleton != H36M17:
            raise PoseMambaError(
                f"{name or 'the model'} was made for {expected.joints} joints ({expected.skeleton.name}), expected "
                f"Human3.6M's {len(H36M17)}: use other weights, or from Python posemamba.lifting.joints.lift_joints"
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
        self.virtual_camera, self.angle_errors, self.metres = virtual_camera, angle_errors, metres
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
        """Make a lifter with trained weights.

        Args:
            source: a known name (`posemamba.weights.names.find`), a safetensors file, a folder in Hugging Face's
                layout, ``hf://owner/name``, or a checkpoint of the authors' code
                (`posemamba.models.registry.load_model`). `person_size` is read from the file's card.
            device, flip: see `Lifter`.
            window: None: as many frames as the model was made for; with fewer it is faster and less accurate.

        Raises:
            PoseMambaError: there are no such weights, the file is damaged or of another kind, or the device is not
                available.
        """
        chosen = choose_device(device)
        path = find(source)
        model = load_model(path)
        size, table, metres = None, None, False
        if is_safetensors(path):  # the authors' checkpoints have no card, and were trained without zoom
            card = read_card(path).get("card", {})
            size, metres = card.get("person_size"), card.get("unit") == "metres"
            try:
                with reading(path, "a weights file"):
                    table = AngleErrorTable.from_card(card.get("angle_errors"))
            except PoseMambaError as error:
                raise PoseMambaError(
                    f"{path}: {error.__cause__ or error}; make it anew: posemamba calibrate"
                ) from error
        return cls(
            model,
            name=title(source, path),
            device=chosen,
            flip=flip,
            person_size=size,
            window=window,
            angle_errors=table,
            metres=metres,
        )

    def __call__(
        self,
        keypoints: Keypoints2D,
        *,
        lens: Lens | None = None,
        roll: float | None = None,
        progress: Progress | None = None,
    ) -> NetworkPoses:
        """Lift a clip.

        Args:
            keypoints: F frames, from 1 to any number; NaN where a joint was not found.
            lens: the camera's field of view; None: a guess.
            roll: degrees by which the camera is turned clockwise about its axis; None: not known, and not undone.
            progress: called as progress(frames done, frames to do).

        Returns:
            F frames in the axes of a virtual camera that looks at the person (x right, y down, z away), relative to the
            pelvis, in pixels at the pelvis's depth; `posemamba.to_metres` makes metres of them. They are NaN where
            `seen` is False: none of the 17 joints was found. In other frames a joint that was not found has confidence
            0; it was lifted from the position that `models.missing` gives it. `details` has the number of such joints,
            and the options of the lifting.

        Warns:
            UserWarning: some joints were found in less than half of the frames in which the person was seen.

        Raises:
            PoseMambaError: there are no frames, infinite coordinates, or nobody in any frame; times do not rise; the
                image has no size; the skeleton has no conversion; or the model gives metres.
        """
        return self.lift_people([keypoints], lens=lens, roll=roll, progress=progress)[0]

    def lift_people(
        self,
        people: Sequence[Keypoints2D],
        *,
        lens: Lens | Sequence[Lens | None] | None = None,
        roll: float | None = None,
        progress: Progress | None = None,
        interpolated: Sequence[NDArray[np.bool_]] | None = None,
    ) -> list[NetworkPoses]:
        """Lift several people, of one clip or of many, with windows of all of them in one batch: a GPU is kept busy.

        Args:
            people: any number of people, each as in `__call__`; their clips may differ in length.
            lens: of the camera that saw them all, as in `__call__`, or a list with one for each person.
            roll: of all cameras, as in `__call__`.
            progress: called as progress(frames done, frames to do), frames of all people.
            interpolated: (F,) for each person, frames whose joints no detector has seen: the model is given
                `INTERPOLATED` of their confidence, as their smooth motion misleads it; None: none.

        Returns:
            For each person the same as `lifter(keypoints)`, up to rounding.

        Warns, raises: as `__call__`.
        """
        if self.metres:
            raise PoseMambaError(
                f"{self.name}: gives metres in the camera's frame (trained on VideoPose3D's files), which can be "
                "evaluated and not lifted with; lift with weights trained on another kind of data, or the bundled ones"
            )
        prepared = [_prepared(keypoints) for keypoints in people]
        spans = [split_at_gaps(p.seen, p.frame_times(), self.max_gap, find_jumps(p)) for p in prepared]
        lenses = [lens] * len(prepared) if lens is None or isinstance(lens, Lens) else lens
        cameras = [
            self._camera(p, own, one or Lens(), roll) for p, own, one in zip(prepared, spans, lenses, strict=True)
        ]
        turned = [_seen_by(camera, p) for camera, p in zip(cameras, prepared, strict=True)]
        lifted = [np.full((len(joints), len(H36M17), 4), np.nan, np.float32) for joints in prepared]
        segments = [(person, start, end) for person, own in enumerate(spans) for start, end in own]
        # longest first, then in order: windows of one length can be lifted together
        segments.sort(key=lambda s: -min(s[2] - s[1], self.window))
        told = turned
        if interpolated is not None:
            told = [
                replace(
                    p, confidence=np.where(mask[:, None], INTERPOLATED * p.confidence, p.confidence).astype(np.float32)
                )
                for p, mask in zip(turned, interpolated, strict=True)
            ]
        # frames that a camera left out are put in, in stretches of their own behind the people
        given, wanted = list(told), {}
        for i, (person, start, end) in enumerate(segments):
            if (even := even_frames(told[person], start, end)) is not None:
                wanted[len(given)] = person, start + np.arange(end - start), even[1]
                segments[i] = len(given), 0, len(even[0])
                given.append(even[0])
        total, done = sum(end - start for _, start, end in segments), 0
        for (person, start, _), at, piece in self._lift_segments(given, segments):
            if person in wanted:
                owner, frames, places = wanted[person]
                now = (places >= at) & (places < at + len(piece))
                lifted[owner][frames[now]] = piece[places[now] - at]
            else:
                lifted[person][start + at : start + at + len(piece)] = piece
            done += len(piece)
            if progress is not None:
                progress(done, total)
        return [
            self._result(joints, seen, camera, roll, one, len(own))
            for joints, seen, camera, one, own in zip(prepared, turned, cameras, lifted, spans, strict=True)
        ]

    def warm_up(self) -> None:
        """Lift a few made-up frames on a CPU, so that kernels are compiled, or read from their cache, before the first
        clip; elsewhere nothing is done.
        """
        if self.device.type == "cpu":
            joints = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1, len(H36M17), 3))
            self._lift(joints.astype(np.float32))

    def lift_window(
        self, xy: NDArray[np.floating], confidence: NDArray[np.floating], image_size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Lift one window of a segment, as the virtual camera sees it; for poses that are wanted while frames come.

        Args:
            xy: (T, 17, 2) pixels, T up to `window`; NaN where a joint was not found. At least one joint is there.
            confidence: (T, 17) in [0, 1].
            image_size: (width, height) in pixels.

        Returns:
            (T, 17, 4) in pixels at the pelvis's depth: joints relative to the pelvis, and their expected errors, or NaN
            if the weights do not tell them.
        """
        return self._lift(_normalised(_given(xy, confidence), image_size)[None])[0] * np.float32(image_size[0] / 2)

    def _camera(self, joints: Keypoints2D, spans: Sequence[Span], lens: Lens, roll: float | None) -> VirtualCamera:
        if not self.virtual_camera:
            return VirtualCamera.unturned(joints.image_size, lens)
        return look_at_person(joints, spans, lens, roll)

    def _result(
        self,
        joints: Keypoints2D,
        turned: Keypoints2D,
        camera: VirtualCamera,
        roll: float | None,
        lifted: NDArray[np.float32],
        segments: int,
    ) -> NetworkPoses:
        found, seen = turned.found, joints.seen
        lifted[~seen] = np.nan
        errors = np.ascontiguousarray(lifted[..., 3])
        xyz = np.ascontiguousarray(lifted[..., :3])
        return NetworkPoses(
            xyz=xyz,
            expected_error=None if np.isnan(errors).all() else errors,
            confidence=np.where(found, joints.confidence, 0).astype(np.float32),
            seen=seen,
            keypoints=joints,
            model=self.name,
            details=self._details(int((~seen).sum()), int((~found[seen]).sum()), segments),
            feet=lift_feet(xyz, turned),
            camera=camera,
            roll_deg=roll,
            angle_errors=self.angle_errors,
        )

    def _details(self, unseen: int, filled: int, segments: int) -> dict[str, Any]:
        from posemamba.utils.installation import __version__

        return {
            "posemamba": __version__,
            "test_time_flip": self.flip,
            "window": self.window,
            "overlap": self.overlap,
            "person_size": self.person_size,
            "max_gap_seconds": self.max_gap,
            "virtual_camera": self.virtual_camera,
            "segments": segments,
            "frames_not_seen": unseen,
            "joints_filled_in": filled,
        }

    def _lift_segments(
        self, people: Sequence[Keypoints2D], segments: Sequence[_Segment]
    ) -> Iterator[tuple[_Segment, int, NDArray[np.float32]]]:
        """Lift segments, one after the other, each window by window; only a few windows are kept at a time.

        Yields:
            The segment, a frame in it, and the final joints and expected errors (or NaN) from that frame on,
            (f, J, 4) in pixels.
        """
        held = np.empty((0, len(H36M17), 4), np.float32)  # lifted, but still to be cross-faded with the next window
        for group in _batches(self._cut(people, segments), batch_size(self.device)):
            normalised = []
            for segment, _, cut in group:
                normalised.append(_normalised(cut, people[segment[0]].image_size))
            for (segment, window, _), one in zip(group, self._lift(np.stack(normalised)), strict=True):
                lifted = one * np.float32(people[segment[0]].image_size[0] / 2)
                shared = len(held)
                if shared:
                    new = window.weights(shared)[:, None, None]
                    lifted[:shared] = (1 - new) * held + new * lifted[:shared]
                ready = window.next_start - window.start
                held = lifted[ready:]  # empty after a segment's last window
                yield segment, window.start, lifted[:ready]

    def _cut(
        self, people: Sequence[Keypoints2D], segments: Sequence[_Segment]
    ) -> Iterator[tuple[_Segment, Window, NDArray[np.float32]]]:
        """Cut segments into windows.

        Yields:
            The segment, the window in it, and (T, J, 3) pixels and confidence; joints that were not found have a likely
            position and confidence 0.
        """
        for segment in segments:
            person, start, end = segment
            joints = people[person]
            filled = _given(joints.xy[start:end], joints.confidence[start:end])
            for window in windows(len(filled), self.window, self.overlap):
                yield segment, window, filled[window.start : window.end]

    def _lift(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lift (B, T, J, 3), normalised joints and confidence.

        Returns:
            (B, T, J, 4) in the same unit: joints relative to the pelvis, and their expected errors or NaN.
        """

        def lift(x: Tensor) -> Tensor:
            y, errors = lift_batch_with_errors(self.model, x, flip=self.flip, person_size=self.person_size)
            errors = torch.full_like(y[..., 0], torch.nan) if errors is None else errors
            return torch.cat([y, errors[..., None]], -1)

        return in_parts(lift, torch.from_numpy(given).to(self.device)).cpu().numpy()


def _given(xy: NDArray[np.floating], confidence: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (T, J, 3) pixels and confidence as a model is given them; what was not found has confidence 0."""
    sure = np.where(np.isfinite(xy).all(-1), confidence, 0)
    sure = np.clip(np.nan_to_num(sure), 0, 1).astype(np.float32)  # as in training
    return np.concatenate([fill_missing(xy), sure[..., None]], -1)


def _normalised(given: NDArray[np.float32], image_size: tuple[int, int]) -> NDArray[np.float32]:
    """Return (T, J, 3) in the unit of models: half of the picture's width, from its middle."""
    width, height = image_size
    scale = np.array([2 / width, 2 / width, 1], np.float32)
    return np.asarray(given * scale - np.array([1, height / width, 0], np.float32))


def _seen_by(camera: VirtualCamera, joints: Keypoints2D) -> Keypoints2D:
    """Return the joints and feet as a virtual camera sees them."""
    if not camera.is_turned:
        return joints
    feet = joints.feet
    if feet is not None:
        feet = Feet2D(camera.see(feet.xy).astype(np.float32), feet.confidence)
    return replace(joints, xy=camera.see(joints.xy).astype(np.float32), feet=feet)


def _prepared(keypoints: Keypoints2D) -> Keypoints2D:
    """Check a clip and convert it to Human3.6M's joints.

    Raises:
        PoseMambaError: the clip cannot be lifted.
    """
    name, frames = keypoints.source or "keypoints", len(keypoints)
    name = name.partition(" (assumed: ")[0]  # reading the file has warned of it
    if frames == 0:
        raise PoseMambaError(f"{name}: holds zero frames, expected at least one")
    if np.isinf(keypoints.xy).any():
        frame, joint = np.argwhere(np.isinf(keypoints.xy))[0][:2]
        raise PoseMambaError(f"{name}: frame {frame}, joint {joint} is infinite, expected pixels, or NaN for not found")
    if min(keypoints.image_size) <= 0:
        width, height = keypoints.image_size
        raise PoseMambaError(f"{name}: the image is {width}x{height} pixels, expected positive numbers")
    times = keypoints.frame_times()
    if (late := np.flatnonzero(~(np.diff(times) > 0))).size:
        frame = int(late[0]) + 1
        raise PoseMambaError(
            f"{name}: frame {frame} is at {times[frame]:.6g} s, not after the frame before; expected rising times"
        )
    joints = to_h36m17(keypoints)
    if not joints.seen.any():
        raise PoseMambaError(f"{name}: none of the joints that lifting needs was found in any of its {frames} frames")
    _warn_of_guesses(name, joints)
    return joints


def _batches(
    cuts: Iterator[tuple[_Segment, Window, NDArray[np.float32]]], size: int
) -> Iterator[list[tuple[_Segment, Window, NDArray[np.float32]]]]:
    """Yield groups of up to `size` windows of one length, in order."""
    group: list[tuple[_Segment, Window, NDArray[np.float32]]] = []
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
