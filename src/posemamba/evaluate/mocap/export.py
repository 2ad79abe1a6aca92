"""The mocap benchmark written as a Human3.6M file and as MPI-INF-3DHP's files.

Neither data set can be passed on. These files have exactly their layout, so that loaders, recipes and protocols can be
tried without them (docs/mocap_benchmark.md). They hold people of the CMU database seen by virtual cameras: the training
motions and the benchmark's test motions, with cameras and noise by the benchmark's rules, the same numbers on every
machine. Scores on them are **not** scores on Human3.6M or MPI-INF-3DHP.

Shapes: K cameras, F frames, 17 joints.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.data.cameras import see
from posemamba.data.human36m import file as h36m
from posemamba.data.mocap.motions import ACKNOWLEDGEMENT, Motions, load_motions
from posemamba.data.mpi_inf_3dhp.file import TEST_FILE, TRAIN_FILE, image_size
from posemamba.data.mpi_inf_3dhp.joints import to_3dhp
from posemamba.evaluate.mocap.scenes import CAMERAS, benchmark_cameras, make_scene
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

SPLITS = ("train", "test")
NOTE = "ORIGIN.txt"
"""The file beside them that names their origin, as their own names do not."""
FIRST_TRAIN_NUMBER = 1000
"""Number of the first training clip. Cameras and noise follow from a clip's number, so no training clip has a test
clip's noise."""
_FIRST_ACT = 20  # above Human3.6M's own numbers, up to 16, some of which are left out of its scores


def _clip_number(split: str, clip: int) -> int:
    return clip + (FIRST_TRAIN_NUMBER if split == "train" else 0)


def _load(motions: dict[str, Motions] | None, mocap: str | Path | None) -> dict[str, Motions]:
    return {split: load_motions(mocap, split) for split in SPLITS} if motions is None else motions


def _prepare(directory: str | Path, names: tuple[str, ...]) -> Path:
    """Make the folder to write into.

    Raises:
        PoseMambaError: it holds files of these names, which might be the real data sets'.
    """
    directory = Path(directory)
    for name in names:
        if (directory / name).exists() and not (directory / NOTE).exists():
            raise PoseMambaError(
                f"{directory / name}: is there already and was not written by this command; give another folder"
            )
    if directory.exists() and not directory.is_dir():
        raise PoseMambaError(f"{directory}: is a file, expected a folder to write into")
    return directory


def _write_note(directory: Path, layout: str, quick: bool) -> None:
    with atomic_path(directory / NOTE) as temporary:
        temporary.write_text(
            f"Written by `posemamba data export`: motion capture seen by virtual cameras in the layout of {layout}"
            f"{', a part of it (--quick)' if quick else ''}.\n"
            f"This is not {layout}, and scores on it are not comparable with those published for {layout}.\n\n"
            f"{ACKNOWLEDGEMENT}\n",
            encoding="utf-8",
        )


def _pixels(normalised: NDArray[np.floating], width: int, height: int) -> NDArray[np.float64]:
    """Convert normalised (..., 2) or (..., 3) to pixels of a picture of that size, the optical axis at its centre.

    The virtual cameras have other aspects: their width becomes `width`, and portraits exceed `height`.
    """
    offset = np.array([1, height / width, 0])[: normalised.shape[-1]]
    return (normalised.astype(np.float64) + offset) * (width / 2)


# --- Human3.6M


def write_human36m(
    directory: str | Path,
    *,
    mocap: str | Path | None = None,
    motions: dict[str, Motions] | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write `h36m_sh_conf_cam_source_final.pkl`.

    `joint_2d` is the benchmark's noisy variant, with its confidence; the label's own x and y are the exact variant.
    Each action is a description of the motion, so means per action match the benchmark's table. The test subjects are
    numbered 9 and 11, the training subjects 1, 5, 6, 7 and 8.

    Args:
        directory: made if it is missing.
        mocap: folder of the motion files (`mocap.mocap_directory`).
        motions: ``train`` and ``test`` to write in place of the database's.
        quick: camera i mod 4 of clip i only, in place of all four.
        progress: called with the clips done and the clips in all.

    Returns:
        The file's path.

    Raises:
        PoseMambaError: there are no motion files, or there is a file of that name that this function did not write.
    """
    directory = _prepare(directory, (h36m.FILE,))
    there = _load(motions, mocap)
    report = _Steps(sum(len(m) for m in there.values()), progress)
    content = {split: _human36m_split(split, there[split], quick, report) for split in SPLITS}
    _write_note(directory, "Human3.6M", quick)
    with atomic_path(directory / h36m.FILE) as temporary, temporary.open("wb") as stream:
        pickle.dump(content, stream, protocol=4)
    return directory / h36m.FILE


def _human36m_split(split: str, motions: Motions, quick: bool, report: Callable[[], None]) -> dict[str, Any]:
    texts: dict[str, list[str]] = {"camera_name": [], "source": [], "action": []}
    arrays: dict[str, list[NDArray[np.float32]]] = {}
    subjects = {s: h36m.SUBJECTS[split][i % len(h36m.SUBJECTS[split])] for i, s in enumerate(_once(motions.subjects))}
    acts = {description: act for act, description in enumerate(_once(motions.descriptions), _FIRST_ACT)}
    takes: Counter[tuple[int, int]] = Counter()
    for clip in range(len(motions)):
        subject, act = subjects[motions.subjects[clip]], acts[motions.descriptions[clip]]
        takes[subject, act] += 1
        chosen = (clip % CAMERAS,) if quick else tuple(range(CAMERAS))
        scene = make_scene(motions, clip, chosen, number=_clip_number(split, clip))
        for row, camera in enumerate(chosen):
            name = tuple(h36m.CAMERAS)[camera]
            width, height = h36m.CAMERAS[name]
            label = _pixels(np.concatenate([scene.exact[row], scene.target[row, ..., 2:]], -1), width, height)
            factor = scene.mm_per_unit[row].astype(np.float64) * 2 / width
            frames = {
                "joint_2d": _pixels(scene.noisy[row], width, height),
                "confidence": scene.confidence[row].astype(np.float64),
                "joint3d_image": label,
            }
            if split == "test":
                frames |= {h36m.FACTOR: factor, h36m.TARGET: label * factor[:, None, None]}
            for field, values in frames.items():
                arrays.setdefault(field, []).append(values.astype(np.float32))
            video = f"s_{subject:02d}_act_{act:02d}_subact_{takes[subject, act]:02d}_ca_{camera + 1:02d}"
            for field, text in (("camera_name", name), ("source", video), ("action", motions.descriptions[clip])):
                texts[field] += [text] * len(label)
        report()
    return {
        **{field: np.concatenate(values) for field, values in arrays.items()},
        "camera_name": np.array(texts["camera_name"]),
        "source": texts["source"],
        "action": texts["action"],
    }


# --- MPI-INF-3DHP


def write_mpi_inf_3dhp(
    directory: str | Path,
    *,
    mocap: str | Path | None = None,
    motions: dict[str, Motions] | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write `data_train_3dhp.npz` and `data_test_3dhp.npz`.

    2D joints are the exact ones, 3D joints metric. Each training clip is a sequence ``S<subject> Seq<take>`` of four
    cameras. Test clip i is the sequence ``TS<i+1>`` seen by camera i mod 4, with all frames valid.

    Args:
        directory, mocap, motions, progress: as for `write_human36m`.
        quick: camera i mod 4 of training clip i only, and every tenth test clip.

    Returns:
        The folder.

    Raises:
        PoseMambaError: there are no motion files, or there is a file of these names that this function did not write.
    """
    directory = _prepare(directory, (TRAIN_FILE, TEST_FILE))
    there = _load(motions, mocap)
    tested = range(0, len(there["test"]), 10 if quick else 1)
    report = _Steps(len(there["train"]) + len(tested), progress)
    _write_note(directory, "MPI-INF-3DHP", quick)
    train: dict[str, list[Any]] = {}
    numbers = {s: i + 1 for i, s in enumerate(_once(there["train"].subjects))}
    takes: Counter[int] = Counter()
    for clip in range(len(there["train"])):
        subject = numbers[there["train"].subjects[clip]]
        takes[subject] += 1
        cameras = (clip % CAMERAS,) if quick else tuple(range(CAMERAS))
        name = f"S{subject} Seq{takes[subject]}"
        number = _clip_number("train", clip)
        views = _views(there["train"], clip, cameras, number, image_size(name))
        train[name] = [{str(c): view for c, view in zip(cameras, views, strict=True)}, there["train"].fps]
        report()
    _save(directory / TRAIN_FILE, train)
    test: dict[str, Any] = {}
    for place, clip in enumerate(tested):
        name = f"TS{place + 1}"
        [view] = _views(there["test"], clip, (clip % CAMERAS,), _clip_number("test", clip), image_size(name))
        test[name] = {**view, "valid": np.ones(len(view["data_2d"]))}
        report()
    _save(directory / TEST_FILE, test)
    return directory


def _views(
    motions: Motions, clip: int, cameras: tuple[int, ...], number: int, size: tuple[int, int]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield each camera's view of a clip, in the file's joint order: pixels, and millimetres in the camera's frame."""
    body = torch.from_numpy(motions.clip(clip)).double().expand(CAMERAS, -1, -1, -1)
    view = see(body, benchmark_cameras(number))
    for camera in cameras:
        pixels, mm = _pixels(view.xy[camera].numpy(), *size), 1000 * view.camera_xyz[camera].numpy()
        yield {"data_2d": to_3dhp(pixels).astype(np.float32), "data_3d": to_3dhp(mm).astype(np.float32)}


def _save(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, data=np.array(content, dtype=object))


FORMATS: dict[str, Callable[..., Path]] = {"human36m": write_human36m, "mpi_inf_3dhp": write_mpi_inf_3dhp}


def _once(texts: tuple[str, ...]) -> list[str]:
    """Return each text once, in order of appearance."""
    return list(dict.fromkeys(texts))


class _Steps:
    """A counter of clips for the progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def __call__(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)
