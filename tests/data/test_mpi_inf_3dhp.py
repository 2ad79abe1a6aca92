"""MPI-INF-3DHP: files as their authors pack them, joints there and back, the unpacked copy, training clips."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemamba.data import mpi_inf_3dhp as mpi
from posemamba.data.mpi_inf_3dhp import JOINTS, MpiInf3dhp, to_3dhp, to_h36m
from posemamba.errors import PoseMambaError
from posemamba.skeleton import H36M17

LENGTHS = {"S1 Seq1": 200, "S1 Seq2": 30, "S2 Seq1": 85}
CAMERAS = ("0", "4")


def poses(frames: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    mm = random.normal(0, 300, (1, 17, 3)) + np.cumsum(random.normal(0, 5, (frames, 17, 3)), 0) + [300, -200, 4000]
    return {"data_2d": random.uniform(0, 2000, (frames, 17, 2)), "data_3d": mm}


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, data=np.array(data, dtype=object))
    return path


def train_content() -> dict[str, Any]:
    numbers = itertools.count()
    return {
        name: [{camera: poses(frames, next(numbers)) for camera in CAMERAS}, 25] for name, frames in LENGTHS.items()
    }


def test_content() -> dict[str, Any]:
    content = {}
    for number, name in enumerate(("TS1", "TS5")):
        valid = (np.arange(50 + number) % 3 > 0).astype(np.float64)
        content[name] = {**poses(50 + number, 100 + number), "valid": valid}
    return content


test_content.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "here" / mpi.TRAIN_FILE, train_content())
    write(tmp_path / "here" / "motion3d" / mpi.TEST_FILE, test_content())
    return tmp_path / "here"


# --- joints


def test_joints_go_there_and_back_exactly() -> None:
    assert sorted(mpi.FROM_3DHP) == list(range(17))
    joints = np.random.default_rng(0).normal(size=(4, 17, 3))
    np.testing.assert_array_equal(to_3dhp(to_h36m(joints)), joints)
    np.testing.assert_array_equal(to_h36m(to_3dhp(joints)), joints)


def test_joints_of_one_name_are_mapped_to_each_other() -> None:
    other = {"neck": "thorax", "head": "nose"}
    for index, name in enumerate(JOINTS):
        assert H36M17.joints[mpi.TO_3DHP[index]] == other.get(name, name)


def test_left_and_right_of_both_skeletons_agree() -> None:
    """Mirroring in one order and in the other is the same."""
    theirs = [
        JOINTS.index(
            n.replace("left", "R").replace("right", "left").replace("R", "right") if n[:4] in ("left", "righ") else n
        )
        for n in JOINTS
    ]
    joints = np.arange(17.0)[:, None]
    np.testing.assert_array_equal(to_h36m(joints[theirs]), to_h36m(joints)[list(H36M17.mirrored)])


# --- reading


def test_units_and_frames(folder: Path) -> None:
    data = MpiInf3dhp.open(folder)
    raw, video = train_content()["S1 Seq1"][0]["4"], list(data.train)[1]
    assert video.name == "S1 Seq1 camera 4" and video.valid.all()
    pixels = to_3dhp((video.xy.astype(np.float64) + 1) * 1024)
    np.testing.assert_allclose(pixels, raw["data_2d"], atol=1e-3)
    np.testing.assert_allclose(to_3dhp(video.mm), raw["data_3d"] - raw["data_3d"][:, 14:15], atol=1e-3)
    assert not video.mm[:, 0].any() and video.mm_per_unit == 1024
    raw, video = test_content()["TS5"], list(data.test)[1]
    assert (video.name, video.width, video.height, video.mm_per_unit) == ("TS5", 1920, 1080, 960)
    corner = np.array([1920.0, 1080.0])
    np.testing.assert_allclose(to_3dhp(video.xy), raw["data_2d"] / 960 - corner / 1920, atol=1e-6)
    np.testing.assert_array_equal(video.valid, raw["valid"].astype(bool))
    assert [len(v.xy) for v in data.train] == [200, 200, 30, 30, 85, 85]
    lines = list(mpi.describe({path.name: path for path in (data.train_path, data.test_path) if path}))
    assert lines[0] == "train: 630 frames, 6 videos: 3 sequences of 2 subjects, cameras 0, 4"
    assert "test: 101 frames, 67 of them scored" in lines
    assert "  TS5: 1920 x 1080 pixels, 51 frames, 34 scored (published: 276)" in lines


def test_one_file_is_enough_until_the_other_is_needed(tmp_path: Path) -> None:
    write(tmp_path / mpi.TEST_FILE, test_content())
    data = MpiInf3dhp.open(tmp_path)
    assert len(data.test) == 2
    assert MpiInf3dhp.open(tmp_path / mpi.TEST_FILE).test_path == data.test_path
    with pytest.raises(PoseMambaError, match=rf"{tmp_path}.*no {mpi.TRAIN_FILE}"):
        _ = data.train


def test_the_nearest_file_is_taken(folder: Path) -> None:
    far = write(folder / "a" / "b" / mpi.TEST_FILE, test_content())
    assert MpiInf3dhp.open(folder).test_path == folder / "motion3d" / mpi.TEST_FILE
    assert MpiInf3dhp.open(folder / "a").test_path == far


def test_errors_say_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(PoseMambaError, match="no such folder"):
        MpiInf3dhp.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PoseMambaError, match=r"empty: neither data_train_3dhp.npz nor data_test_3dhp.npz"):
        MpiInf3dhp.open(tmp_path / "empty")


def broken(key: str, change: Any) -> dict[str, Any]:
    content = test_content()
    content["TS5"] = {**content["TS5"], key: change(content["TS5"].get(key))}
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros(3), "'data' holds a ndarray"),
        ({}, "'data' holds a dict"),
        ({"TS1": 3}, "'TS1' holds int, expected data_2d, data_3d, valid"),
        ({"TS1": poses(5, 0)}, "'TS1' holds data_2d, data_3d, expected"),
        (broken("data_2d", lambda a: a[:, :16]), r"'TS5': data_2d has shape \(51, 16, 2\)"),
        (broken("data_2d", lambda a: a[:-1]), "different numbers of frames: 50, 51, 51"),
        (broken("data_3d", lambda a: a / 1000), "from the pelvis on average, expected some 500"),
        (broken("data_3d", lambda a: a * np.nan), "not finite"),
        (broken("data_3d", lambda a: "far"), "not all arrays of numbers"),
        (broken("valid", lambda a: a + 1), "other values than 0 and 1"),
    ],
)
def test_other_layouts_are_refused_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / mpi.TEST_FILE
    if isinstance(content, np.ndarray):
        np.savez(path, data=content)
    else:
        write(path, content)
    with pytest.raises(PoseMambaError, match=message) as error:
        _ = MpiInf3dhp.open(tmp_path).test
    assert mpi.TEST_FILE in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    write(tmp_path / mpi.TEST_FILE, {"TS1": Evil()})
    with pytest.raises(PoseMambaError, match="mkdir"):
        _ = MpiInf3dhp.open(tmp_path).test
    assert not (tmp_path / "made").exists()


# --- the unpacked copy


def test_the_second_reading_maps_what_the_first_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = MpiInf3dhp.open(folder).train
    assert isinstance(first.xy, np.memmap)
    monkeypatch.setattr(mpi, "_read", lambda *unused: pytest.fail("was read again"))
    second = MpiInf3dhp.open(folder).train
    for array in mpi._ARRAYS:
        np.testing.assert_array_equal(getattr(first, array), getattr(second, array))


def test_another_file_is_read_anew(folder: Path) -> None:
    assert len(MpiInf3dhp.open(folder).test) == 2
    path = folder / "motion3d" / mpi.TEST_FILE
    write(path, {"TS1": test_content()["TS1"]})
    assert len(MpiInf3dhp.open(folder).test) == 1
    copies = list((folder / "motion3d" / f"{mpi.TEST_FILE}.posemamba").iterdir())
    assert len(copies) == 1, "copies of earlier files are removed"
    os.utime(path, ns=(1, 1))
    assert mpi._load(copies[0]) is not None
    _ = MpiInf3dhp.open(folder).test
    assert mpi._load(copies[0]) is None


def test_a_damaged_copy_is_made_again(folder: Path) -> None:
    whole = np.array(MpiInf3dhp.open(folder).test.mm)
    [copy] = (folder / "motion3d" / f"{mpi.TEST_FILE}.posemamba").iterdir()
    (copy / "mm.npy").write_bytes((copy / "mm.npy").read_bytes()[:1000])
    np.testing.assert_array_equal(MpiInf3dhp.open(folder).test.mm, whole)
    (copy / "names.npy").unlink()
    np.testing.assert_array_equal(MpiInf3dhp.open(folder).test.mm, whole)


def test_the_users_cache_folder_and_memory_where_nothing_can_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (folder / f"{mpi.TRAIN_FILE}.posemamba").write_text("in the way")  # also stops root, unlike permissions
    assert isinstance(MpiInf3dhp.open(folder).train.xy, np.memmap)
    assert list((tmp_path / "cache" / "posemamba").glob("data_train_3dhp-*/1-*/xy.npy"))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert not isinstance(MpiInf3dhp.open(folder).train.xy, np.memmap)


# --- training clips


def test_clips_begin_every_stride_and_tails_are_stretched(folder: Path) -> None:
    data = MpiInf3dhp.open(folder)
    source = data.train_source(frames=81, stride=9, flip=False)
    assert len(source) == 2 * sum(-(-frames // 9) for frames in LENGTHS.values())
    expected = set()
    for video in data.train:
        for start in range(0, len(video.xy), 9):
            left = video.mm[start : start + 81]
            rows = np.floor(np.linspace(0, len(left), 81, endpoint=False)).astype(int)
            assert len(left) < 81 or (rows == np.arange(81)).all()
            expected.add((left[rows] / np.float32(1024)).tobytes())
    batch = source.batch(0, len(source))
    assert {clip.numpy().tobytes() for clip in batch.target} == expected
    assert batch.input.shape == (len(source), 81, 17, 2) and batch.target.shape == (len(source), 81, 17, 3)
    assert batch.mm_per_unit.shape == (len(source), 81) and (batch.mm_per_unit == 1024).all()
    assert (batch.confidence == 1).all() and batch.input.dtype == batch.target.dtype == torch.float32
    zoomed = batch.zoomed(0.3)
    torch.testing.assert_close(zoomed.target * zoomed.mm_per_unit[..., None, None], 1024 * batch.target)


def seen(source: mpi.TrainSource, steps: int, size: int, world: int) -> list[bytes]:
    clips = []
    for step in range(steps):
        for rank in range(world):
            clips += [clip.numpy().tobytes() for clip in source.batch(step, size, rank=rank, world=world).input]
    return clips


@pytest.mark.parametrize(("size", "world"), [(7, 1), (5, 2), (4, 3)])
def test_each_epoch_visits_every_clip_once(folder: Path, size: int, world: int) -> None:
    source = MpiInf3dhp.open(folder).train_source(frames=27, flip=False, seed=3)
    clips = seen(source, -(-2 * len(source) // (size * world)), size, world)
    first, second = clips[: len(source)], clips[len(source) : 2 * len(source)]
    assert len(set(first)) == len(source) and set(first) == set(second) and first != second
    assert clips[: len(source)] == seen(source, 1, len(source), 1), "whatever the number of processes"


def test_a_batch_depends_on_seed_step_and_rank_alone(folder: Path) -> None:
    data = MpiInf3dhp.open(folder)
    one, other = data.train_source(seed=5), data.train_source(seed=5)
    other.batch(40, 3)
    a, b = one.batch(17, 4, rank=1, world=2), other.batch(17, 4, rank=1, world=2)
    assert torch.equal(a.input, b.input) and torch.equal(a.target, b.target)
    assert not torch.equal(a.input, one.batch(17, 4, rank=0, world=2).input)
    assert not torch.equal(a.input, one.batch(18, 4, rank=1, world=2).input)
    assert not torch.equal(a.input, data.train_source(seed=6).batch(17, 4, rank=1, world=2).input)


def test_batches_made_on_a_device_are_the_same(folder: Path) -> None:
    data = MpiInf3dhp.open(folder)
    host, device = data.train_source(seed=2), data.train_source(seed=2)
    device._on_device = (mpi._tensor(data.train.xy), mpi._tensor(data.train.mm))  # as on a GPU
    a, b = host.batch(3, 6), device.batch(3, 6)
    assert torch.equal(a.input, b.input) and torch.equal(a.target, b.target)
    assert torch.equal(a.mm_per_unit, b.mm_per_unit)


def test_half_of_the_clips_are_mirrored_input_and_target_alike(folder: Path) -> None:
    data = MpiInf3dhp.open(folder)
    plain = data.train_source(flip=False).batch(0, 70)
    flipped = data.train_source(flip=True).batch(0, 70)
    turned = (plain.input != flipped.input).flatten(1).any(1)
    assert 20 < int(turned.sum()) < 50
    mirrored = torch.tensor(H36M17.mirrored)
    for now, before in ((flipped.input, plain.input), (flipped.target, plain.target)):
        sign = torch.tensor([-1.0, 1, 1][: now.shape[-1]])
        assert torch.equal(now[turned], (before[:, :, mirrored] * sign)[turned])
        assert torch.equal(now[~turned], before[~turned])


def test_bad_lengths_are_refused(folder: Path) -> None:
    with pytest.raises(PoseMambaError, match="0 frames"):
        MpiInf3dhp.open(folder).train_source(frames=0)
