"""Targets of data sets' files: VideoPose3D's, MotionBERT's slices, AIST++, 3DPW, motions, and converted copies."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from tests.fuzz.mutate import Random
from tests.fuzz.target import Target, command

FRAMES = 12
AIST = {
    "aist3d.pkl": "keypoints3d/gBR_sBM_cAll_d04.pkl",
    "aist2d.pkl": "keypoints2d/gBR_sBM_cAll_d04.pkl",
    "setting1.json": "cameras/setting1.json",
    "mapping.txt": "cameras/mapping.txt",
    "ignore_list.txt": "ignore_list.txt",
}
"""Files of AIST++, two of which have one name, and their places."""
PW3D = "sequenceFiles/test/downtown_walk_00.pkl"


def make(folder: Path) -> None:
    """Write whole files; those of `seeds.py` are there."""
    _write_videopose3d(folder / "videopose3d")
    random = np.random.default_rng(0)
    for split, count in (("train", 2), ("test", 1)):
        (folder / "slices" / split).mkdir(parents=True)
        for number in range(count):
            clip = {name: random.normal(0, 0.3, (9, 17, 3)) for name in ("data_input", "data_label")}
            (folder / "slices" / split / f"{number:08d}.pkl").write_bytes(pickle.dumps(clip))
    _write_aist(folder / "aist")
    for name, place in AIST.items():
        shutil.copy(folder / "aist" / place, folder / name)
    _write_pw3d(folder / "pw3d" / PW3D)
    _write_mocap(folder / "mocap")
    _write_copies(folder)


def _bodies(joints: int, seed: int = 0) -> Any:
    """(FRAMES, joints, 3) metres: a body about 2 m tall that sways above the floor."""
    random = np.random.default_rng(seed)
    body = random.normal(0, 0.4, (joints, 3)) + np.array([0, 0, 1])
    return body + 0.1 * np.sin(np.arange(FRAMES) / 5)[:, None, None] * random.normal(0, 1, (1, joints, 3))


def _write_videopose3d(folder: Path) -> None:
    from fixtures import videopose3d_files

    random = np.random.default_rng(1)
    positions = {subject: {"Walking 1": _bodies(32).astype(np.float32)} for subject in ("S1", "S9")}
    videopose3d_files.write_3d(folder, positions)
    layouts = {"cpn_ft_h36m_dbb": videopose3d_files.H36M_SYMMETRY, "detectron": videopose3d_files.COCO_SYMMETRY}
    for name, symmetry in layouts.items():
        seen = {
            subject: {"Walking 1": [random.uniform(200, 800, (FRAMES, 17, 2)) for _ in range(4)]}
            for subject in positions
        }
        videopose3d_files.write_2d(folder, name, seen, symmetry)


def _write_aist(folder: Path) -> None:
    for name in ("keypoints3d", "keypoints2d", "cameras"):
        (folder / name).mkdir(parents=True)
    cameras = [
        {
            "name": f"c0{number}",
            "size": [1920, 1080],
            "matrix": [[1500.0, 0, 960], [0, 1500, 540], [0, 0, 1]],
            "rotation": [0.1, np.pi / number, 0.2],
            "translation": [10.0, 20, 500],
            "distortions": [0.01, -0.02, 0.001, 0.002, 0.0],
        }
        for number in (1, 2)
    ]
    (folder / "cameras" / "setting1.json").write_text(json.dumps(cameras))
    (folder / "cameras" / "mapping.txt").write_text("gBR_sBM_cAll_d04 setting1\nbad setting1\n")
    (folder / "ignore_list.txt").write_text("bad\n")
    body = 100 * _bodies(17)
    (folder / AIST["aist3d.pkl"]).write_bytes(pickle.dumps({"keypoints3d": body + 1, "keypoints3d_optim": body}))
    seen = np.random.default_rng(2).uniform(200, 800, (2, FRAMES, 17, 3))
    seen[..., 2], seen[0, 3, 5] = 0.9, np.nan
    two = {"keypoints2d": seen, "det_scores": np.ones((2, FRAMES)), "timestamps": np.arange(FRAMES)}
    (folder / AIST["aist2d.pkl"]).write_bytes(pickle.dumps(two))


def _write_pw3d(path: Path) -> None:
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, 2, 3] = 4.0
    seen = np.random.default_rng(3).uniform(200, 800, (FRAMES, 3, 18))
    seen[:, 2] = 0.7
    content = {
        "sequence": "downtown_walk",
        "jointPositions": [_bodies(24).reshape(FRAMES, 72)],
        "cam_poses": poses,
        "cam_intrinsics": np.array([[1900.0, 0, 540], [0, 1900, 960], [0, 0, 1]]),
        "campose_valid": [np.arange(FRAMES) != 2],
        "poses2d": [seen],
        "genders": ["m"],
    }
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(content, protocol=2))  # as Python 2 writes them


def _write_mocap(folder: Path) -> None:
    from posemamba.data.mocap.motions import FILES, TEST_SUBJECTS, VALIDATION_SUBJECTS
    from posemamba.demo.walker import walk
    from posemamba.poses.skeletons import H36M17

    folder.mkdir()
    for file, subject in zip(FILES, ("cmu_01", VALIDATION_SUBJECTS[0], TEST_SUBJECTS[0]), strict=True):
        np.savez(
            folder / file,
            positions=walk(30, 50).astype(np.float16),
            lengths=[30],
            names=[f"{subject}_01"],
            descriptions=["walk"],
            subjects=[subject],
            parents=H36M17.parents,
            fps=50.0,
        )


def _write_copies(folder: Path) -> None:
    """Write the converted copies that the first reading of a data set's file leaves beside it."""
    from posemamba.data.human36m.cache import mapped
    from posemamba.data.mpi_inf_3dhp.cache import read_cached

    mapped(folder / "h36m.pkl")
    (folder / "h36m.pkl.posemamba").replace(folder / "converted")
    read_cached(folder / "data_test_3dhp.npz", True)
    made = folder / "data_test_3dhp.npz.posemamba"
    next(made.iterdir()).replace(folder / "unpacked")
    made.rmdir()


# --- what is done with damaged ones


def _evaluate(folder: Path, seeds: Path, *data: object) -> int:
    return command("evaluate", seeds / "mamba.safetensors", *data, "--json", folder / "out.json", "--device", "cpu")


def _videopose3d(file: Path, folder: Path, seeds: Path, draw: Random) -> int | None:
    """Positions and 2D joints of two detectors, of which one file is damaged."""
    from posemamba.data.human36m.videopose3d import VideoPose3D

    whole = folder / "h36m"
    shutil.copytree(seeds / "videopose3d", whole)
    shutil.copy(file, whole / file.name)
    action = draw.random()
    if action < 0.4:
        return command("data", "check", whole)
    if action < 0.6:
        VideoPose3D.open(whole, draw.choice(("cpn", "detectron"))).train_source(frames=9).batch(0, 2)
        return None
    inputs: tuple[str, ...] = draw.choice(((), ("--inputs", "exact"), ("--inputs", "detectron")))
    return _evaluate(folder, seeds, whole, *inputs)


def _slices(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """A sliced folder in which one clip is damaged."""
    import torch

    from posemamba.data.human36m.slices import Slices
    from posemamba.models.registry import load_model

    whole = folder / "slices"
    shutil.copytree(seeds / "slices", whole)
    shutil.copy(file, whole / draw.choice(("train", "train", "test")) / "00000000.pkl")
    data = Slices(whole, 9, 0, True, 2)
    data.batch(0, 2, rank=0, world=1)
    with torch.inference_mode():
        data.score(load_model(seeds / "mamba.safetensors"), 0)


def _aist(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    whole = folder / "aist"
    shutil.copytree(seeds / "aist", whole)
    shutil.copy(file, whole / AIST[file.name])
    return _evaluate(folder, seeds, "aist", "--data", whole)


def _pw3d(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    whole = folder / draw.choice(("3DPW/sequenceFiles/test", "3DPW/test", "3DPW"))
    whole.mkdir(parents=True)
    shutil.copy(file, whole / file.name)
    return _evaluate(folder, seeds, "pw3d", "--data", folder / "3DPW")


def _mocap(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """A folder of motion capture of which one file is damaged."""
    whole = folder / "mocap"
    shutil.copytree(seeds / "mocap", whole)
    shutil.copy(file, whole / file.name)
    if draw.random() < 0.3:
        layout = draw.choice(("human36m", "mpi_inf_3dhp"))
        return command("data", "export", "mocap", folder / "written", "--format", layout, "--quick", "--data", whole)
    return _evaluate(folder, seeds, "mocap", "--quick", "--data", whole)


def _copies(file: Path, folder: Path, seeds: Path, draw: Random) -> int | None:
    """A whole file whose converted copy is damaged, and is to be made anew."""
    from posemamba.data.human36m.dataset import Human36M
    from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp

    human = (seeds / "converted" / file.name).exists()
    whole = folder / ("h36m.pkl" if human else "data_test_3dhp.npz")
    shutil.copy2(seeds / whole.name, whole)  # with its time, by which the copy is recognised
    state = whole.stat()
    copy = folder / f"{whole.name}.posemamba"
    if not human:
        copy = copy / f"1-{state.st_size}-{state.st_mtime_ns}"
    shutil.copytree(seeds / ("converted" if human else "unpacked"), copy)
    shutil.copy(file, copy / file.name)
    if draw.random() < 0.2:
        return _evaluate(folder, seeds, whole)
    if human:
        data = Human36M.open(whole)
        data.train_source(frames=9).batch(0, 2)
        next(iter(data.test_batches(data.test_clips(), 2)))
    else:
        for video in MpiInf3dhp.open(whole).test:
            assert len(video.xy) == len(video.mm) == len(video.valid) > 0
    return None


VIDEOPOSE3D = (
    "videopose3d/data_3d_h36m.npz",
    "videopose3d/data_2d_h36m_cpn_ft_h36m_dbb.npz",
    "videopose3d/data_2d_h36m_detectron.npz",
)
COPIES = {
    "converted/index.json": "json",
    **dict.fromkeys(("converted/test.npy", "converted/test_factor.npy", "converted/train.npy"), "npy"),
    **dict.fromkeys(("unpacked/xy.npy", "unpacked/lengths.npy", "unpacked/sizes.npy", "unpacked/names.npy"), "npy"),
}
TARGETS = {
    "VideoPose3D": Target(dict.fromkeys(VIDEOPOSE3D, "npz"), _videopose3d, 1.5),
    "slices": Target({"slices/train/00000000.pkl": "pickle"}, _slices, 1),
    "AIST": Target(
        {
            "aist3d.pkl": "pickle",
            "aist2d.pkl": "pickle",
            "setting1.json": "json",
            "mapping.txt": "text",
            "ignore_list.txt": "text",
        },
        _aist,
        1.5,
    ),
    "3DPW": Target({f"pw3d/{PW3D}": "pickle"}, _pw3d, 1.5),
    "evaluate mocap": Target({"mocap/cmu_eval_expmap.npz": "npz", "mocap/cmu_amc.npz": "npz"}, _mocap, 0.7),
    "converted copies": Target(COPIES, _copies, 1),
}
