"""Human3.6M as VideoPose3D's files have it: world positions, and 2D joints of a detector chosen by its name.

`data_3d_h36m.npz` holds ``positions_3d[subject][action]`` (F, 32, 3), metres in the world. Beside it lies
`data_2d_h36m_NAME.npz` with ``positions_2d[subject][action][camera]`` (at least F, 17, 2), pixels, and ``metadata``.
The target is metres in the camera's frame, relative to the pelvis. docs/human36m.md has the protocol.

Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.data.clips import ClipBatch
from posemamba.data.human36m.cache import Split
from posemamba.data.human36m.cameras import LENSES, PLACES
from posemamba.data.human36m.dataset import Human36MSource
from posemamba.data.human36m.file import CAMERAS, CHANNELS, SUBJECTS, Video, find_file, normalise
from posemamba.poses.keypoints import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.ranges import FARTHEST
from posemamba.poses.skeletons import COCO17, H36M17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading
from posemamba.utils.unpickle import load_npz_object

FILE = "data_3d_h36m.npz"
_2D, _END = "data_2d_h36m_", ".npz"
EXACT, DEFAULT = "gt", "cpn_ft_h36m_dbb"
"""Names of the file of true 2D joints, and of the detections that ``detected`` means where several lie there."""
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The joints, of the 32 of the motion capture, that are Human3.6M's 17."""
MM_PER_UNIT = 1000.0
_FPS = 50.0
_FARTHEST = 100.0
"""Metres from the world's origin: positions farther away are in another unit."""


def keypoint_files(file: Path) -> dict[str, Path]:
    """Return the files of 2D joints beside the file of positions, by the detector's name."""
    return {p.name[len(_2D) : -len(_END)]: p for p in sorted(file.parent.glob(f"{_2D}*{_END}"))}


def choose_keypoints(file: Path, inputs: str = "detected") -> tuple[str, Path | None]:
    """Choose 2D joints.

    Args:
        file: of the positions.
        inputs: the name in a file's name, or the only one that begins so; ``exact``: the true ones, of the file named
            ``gt`` or, where that is missing, by projection; ``detected``: the fine-tuned CPN's, or the only others.

    Returns:
        The name, and the file (None: by projection).

    Raises:
        PoseMambaError: no such file, or several.
    """
    there = keypoint_files(file)
    listed = ", ".join(there) or "none"
    if inputs in ("exact", EXACT):
        return EXACT, there.get(EXACT)
    if inputs in there:
        return inputs, there[inputs]
    others = [name for name in there if name != EXACT]
    fits = others if inputs == "detected" else [name for name in others if name.startswith(inputs)]
    if inputs == "detected" and DEFAULT in others:
        fits = [DEFAULT]
    if len(fits) == 1:
        return fits[0], there[fits[0]]
    if fits:
        raise PoseMambaError(f"{file.parent}: inputs '{inputs}' may be {' or '.join(fits)}; give one of these names")
    wanted = DEFAULT if inputs == "detected" else inputs
    raise PoseMambaError(
        f"{file.parent}: no {_2D}{wanted}{_END} beside {file.name} (2D joints there: {listed}); put it there, or "
        "choose exact or one that is there"
    )


@dataclass(frozen=True)
class VideoPose3D:
    """Human3.6M of VideoPose3D's files: ``VideoPose3D.open(path)``.

    Attributes:
        path: the file of the positions.
        keypoints: the name of the 2D joints: ``gt``, ``cpn_ft_h36m_dbb``, ...
        splits: train and test, or the one that was asked for. `Split.joints` holds 2D x, y and confidence, then the
            target in metres; `Split.factor` millimetres per pixel at the pelvis's depth. The videos' names are subject,
            action and camera; their actions lack the trial's number.
    """

    path: Path
    keypoints: str
    splits: Mapping[str, Split]

    @classmethod
    def open(
        cls, path: str | Path, inputs: str = "detected", splits: tuple[str, ...] = ("train", "test")
    ) -> VideoPose3D:
        """Read the pair of files into memory and check it.

        Args:
            path: the file of the positions, or a folder that holds it or in whose subfolders it lies.
            inputs: 2D joints (`choose_keypoints`).
            splits: subjects 1, 5, 6, 7, 8 are ``train``, 9 and 11 ``test``.

        Raises:
            PoseMambaError: a file is missing, or the first thing that is wrong with one.
        """
        file = find_file(path, FILE)
        return _open(file, *choose_keypoints(file, inputs), splits)

    @property
    def train(self) -> Split:
        return self.splits["train"]

    @property
    def test(self) -> Split:
        return self.splits["test"]

    def subjects(self, split: str) -> tuple[str, ...]:
        """Return the subjects of a split."""
        return tuple(dict.fromkeys(video.name.split()[0] for video in self.splits[split].videos))

    def train_source(
        self,
        frames: int = 243,
        stride: int = 81,
        seed: int = 0,
        flip: bool = True,
        device: torch.device | str = "cpu",
    ) -> VideoPose3DSource:
        """Training clips (`VideoPose3DSource`)."""
        return VideoPose3DSource(self.train, frames, stride, seed, flip, "detected", device)


class VideoPose3DSource(Human36MSource):
    """Training clips of VideoPose3D's files; order and mirroring are `Human36MSource`'s, the target is in metres."""

    def batch(self, step: int, size: int, *, rank: int = 0, world: int = 1) -> ClipBatch:
        """Return the clips of one training step; `exact` is the input, as the target is not of the picture."""
        made = super().batch(step, size, rank=rank, world=world)
        return replace(made, exact=made.input, mm_per_unit=torch.full_like(made.mm_per_unit, MM_PER_UNIT))


# --- reading


def _open(file: Path, name: str, keypoints: Path | None, splits: tuple[str, ...]) -> VideoPose3D:
    positions = _dictionary(file, "positions_3d", "positions_3d[subject][action]")
    joints, layout = None, H36M17
    if keypoints is not None:
        joints = _dictionary(keypoints, "positions_2d", "positions_2d[subject][action][camera]")
        layout = _layout(keypoints)
    read = {}
    for split in splits:
        with reading(file if keypoints is None else f"{file} with {keypoints.name}", "VideoPose3D's files"):
            read[split] = _split(split, _Files(file, keypoints, positions, joints, layout))
    return VideoPose3D(file, name, read)


@dataclass(frozen=True)
class _Files:
    """The content of both files; `keypoints` and `joints` are None where the 2D joints are projections."""

    file: Path
    keypoints: Path | None
    positions: dict[str, Any]
    joints: dict[str, Any] | None
    layout: Any


def _dictionary(file: Path, key: str, expected: str) -> dict[str, Any]:
    content = load_npz_object(file, key)
    if not isinstance(content, dict) or not all(isinstance(actions, dict) for actions in content.values()):
        raise PoseMambaError(f"{file}: expected {expected}, and '{key}' is not a dictionary of dictionaries")
    return content


def _layout(file: Path) -> Any:
    """Return the skeleton of a file's 2D joints, recognised by the left and right joints that it names."""
    metadata = load_npz_object(file, "metadata")
    with reading(f"{file} ['metadata']", "a dictionary with keypoints_symmetry"):
        left, right = ([int(joint) for joint in side] for side in metadata["keypoints_symmetry"])
    pairs = set(zip(left, right, strict=False))
    for skeleton in (H36M17, COCO17):
        if pairs == set(skeleton.pairs):
            return skeleton
    raise PoseMambaError(
        f"{file}: its left joints are {left} and its right ones {right}; expected Human3.6M's 17 joints or COCO's 17: "
        "take 2D joints of another detector"
    )


def _recordings(split: str, files: _Files) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """Subject, action and (F, 17, 3) metres in the world, checked."""
    for number in SUBJECTS[split]:
        subject = f"S{number}"
        for action, values in files.positions.get(subject, {}).items():
            where = f"{files.file}: {subject}, {action}"
            world = np.asarray(values)
            if world.ndim != 3 or world.shape[1:] != (32, 3) or world.dtype.kind != "f" or not len(world):
                raise PoseMambaError(f"{where}: has shape {world.shape}, expected (frames, 32, 3) numbers")
            world = world[:, KEPT].astype(np.float64)
            if not np.isfinite(world).all():
                raise PoseMambaError(f"{where}: is NaN or infinite in a frame; get the file again")
            if np.abs(world).max() > _FARTHEST:
                raise PoseMambaError(
                    f"{where}: a joint is {np.abs(world).max():.0f} from the origin, expected metres; divide "
                    "millimetres by 1000"
                )
            yield subject, str(action), world


def _split(name: str, files: _Files) -> Split:
    recordings = list(_recordings(name, files))
    if not recordings:
        expected = ", ".join(f"S{number}" for number in SUBJECTS[name])
        found = ", ".join(map(str, files.positions)) or "none"
        raise PoseMambaError(f"{files.file}: none of the {name} subjects {expected}, found {found}")
    frames = len(LENSES) * sum(len(world) for *_, world in recordings)
    joints, factor = np.ones((frames, 17, CHANNELS), np.float32), np.empty(frames, np.float32)
    videos, start = [], 0
    for subject, action, world in recordings:
        given = _cameras_of(files, subject, action)
        for camera, lens in enumerate(LENSES):
            seen = PLACES[subject][camera].to_camera(world)
            part = slice(start, start + len(world))
            if given is None:
                if (depth := seen[..., 2].min()) <= 0:
                    raise PoseMambaError(
                        f"{files.file}: {subject}, {action}: a joint is {-depth:.2f} m behind camera {lens.name}, "
                        "expected positions in the data set's world"
                    )
                joints[part, :, :2] = normalise(lens.project(seen), *lens.size)
            else:
                xy, confidence = _detected(files, f"{subject}, {action}, camera {camera}", given[camera], len(world))
                joints[part, :, :2] = normalise(xy, *lens.size)
                joints[part, :, 2] = confidence
            joints[part, :, 3:] = seen - seen[:, :1]
            factor[part] = seen[:, 0, 2] * 1000 / np.mean(lens.focal)
            videos.append(Video(f"{subject} {action} {lens.name}", action.split(" ")[0], lens.name, start, len(world)))
            start += len(world)
    return Split(name, tuple(videos), joints, factor, None)


def _cameras_of(files: _Files, subject: str, action: str) -> Any:
    """Return the 2D joints of each camera, None where they are projections."""
    if files.joints is None:
        return None
    given = files.joints.get(subject, {}).get(action)
    if given is None:
        raise PoseMambaError(f"{files.keypoints}: has no 2D joints of {subject}, {action}, which {FILE} has")
    if not isinstance(given, (list, tuple, np.ndarray)) or len(given) != len(LENSES):
        count = len(given) if isinstance(given, (list, tuple, np.ndarray)) else "no list of"
        raise PoseMambaError(
            f"{files.keypoints}: {subject}, {action}: {count} cameras, expected {len(LENSES)}: {', '.join(CAMERAS)}"
        )
    return given


def _detected(
    files: _Files, what: str, values: Any, frames: int
) -> tuple[NDArray[np.floating], NDArray[np.floating] | float]:
    """Return (F, 17, 2) pixels in Human3.6M's order and their confidence; frames beyond the positions' are left out."""
    where = f"{files.keypoints}: {what}"
    array = np.asarray(values)
    if array.ndim != 3 or array.shape[1] != 17 or array.shape[2] not in (2, 3) or array.dtype.kind not in "fiu":
        raise PoseMambaError(f"{where}: has shape {array.shape}, expected (frames, 17, 2), or 3 with confidence")
    if len(array) < frames:
        raise PoseMambaError(f"{where}: has {len(array)} frames of 2D joints, and {FILE} has {frames} of positions")
    array = array[:frames].astype(np.float64)
    if not np.isfinite(array).all():
        raise PoseMambaError(f"{where}: is NaN or infinite in a frame; get the file again")
    if (far := np.abs(array).max()) > FARTHEST:
        raise PoseMambaError(f"{where}: a joint is at {far:.3g} pixels, expected up to {FARTHEST:g}; get it again")
    confidence = np.clip(array[..., 2], 0, 1) if array.shape[2] == 3 else np.ones(array.shape[:2])
    if files.layout == H36M17:
        return array[..., :2], confidence
    camera = LENSES[int(what.rsplit(" ", 1)[1])]
    converted = to_h36m17(
        Keypoints2D(array[..., :2].astype(np.float32), confidence.astype(np.float32), files.layout, camera.size, _FPS)
    )
    if not converted.found.all():
        raise PoseMambaError(f"{where}: joints without a place; Human3.6M's 17 cannot be made of them")
    return converted.xy, converted.confidence


# --- what `posemamba data check` prints


def describe(files: dict[str, Path]) -> Iterator[str]:
    """Yield lines about the files of both kinds; the first thing that is wrong is raised."""
    file = files[FILE]
    there = keypoint_files(file)
    yield f"2D joints beside it: {', '.join(there) or 'none; exact ones are projections of the positions'}"
    positions = _dictionary(file, "positions_3d", "positions_3d[subject][action]")
    known = [split for split, subjects in SUBJECTS.items() if any(f"S{n}" in positions for n in subjects)]
    exact = _open(file, EXACT, None, tuple(known or SUBJECTS))
    for name, split in exact.splits.items():
        yield f"{name}: {len(split):,} frames (the published files: {_PUBLISHED[name]:,}), {len(split.videos)} videos"
        missing = [f"S{n}" for n in SUBJECTS[name] if f"S{n}" not in exact.subjects(name)]
        absent = f"; not there: {', '.join(missing)}" if missing else ""
        yield f"  subjects: {', '.join(exact.subjects(name))}{absent}"
        yield f"  actions: {', '.join(sorted({video.action for video in split.videos}))}"
    for keypoints, place in there.items():
        opened = _open(file, keypoints, place, tuple(exact.splits))
        for name, split in opened.splits.items():
            apart = np.concatenate([*_pixels_apart(split, exact.splits[name])])
            yield (
                f"{keypoints}, {name}: from the positions' projection {np.median(apart):.2f} pixels (median), "
                f"{apart.max():.2f} at most"
            )


def _pixels_apart(split: Split, exact: Split) -> Iterator[NDArray[np.float32]]:
    for video in split.videos:
        part = slice(video.start, video.start + video.length)
        apart = np.linalg.norm(split.joints[part, :, :2] - exact.joints[part, :, :2], axis=-1)
        yield (apart * CAMERAS[video.camera][0] / 2).ravel()


_PUBLISHED = {"train": 1_559_752, "test": 543_344}
