"""MPI-INF-3DHP: the files found, training clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures import mpi_inf_3dhp_files as files
from posemamba.data.mpi_inf_3dhp import dataset as mpi
from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp
from posemamba.data.mpi_inf_3dhp.file import TEST_FILE, TRAIN_FILE
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError


def test_one_file_is_enough_until_the_other_is_needed(tmp_path: Path) -> None:
    files.write(tmp_path / TEST_FILE, files.test_content())
    data = MpiInf3dhp.open(tmp_path)
    assert len(data.test) == 2
    assert MpiInf3dhp.open(tmp_path / TEST_FILE).test_path == data.test_path
    with pytest.raises(PoseMambaError, match=rf"{tmp_path}.*no {TRAIN_FILE}"):
        _ = data.train


def test_the_nearest_file_is_taken(mpi_folder: Path) -> None:
    far = files.write(mpi_folder / "a" / "b" / TEST_FILE, files.test_content())
    assert MpiInf3dhp.open(mpi_folder).test_path == mpi_folder / "motion3d" / TEST_FILE
    assert MpiInf3dhp.open(mpi_folder / "a").test_path == far


def test_errors_say_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(PoseMambaError, match="no such folder"):
        MpiInf3dhp.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PoseMambaError, match=r"empty: neither data_train_3dhp.npz nor data_test_3dhp.npz"):
        MpiInf3dhp.open(tmp_path / "empty")


# --- training clips


def test_clips_begin_every_stride_and_tails_are_stretched(mpi_folder: Path) -> None:
    data = MpiInf3dhp.open(mpi_folder)
    source = data.train_source(frames=81, stride=9, flip=False)
    assert len(source) == 2 * sum(-(-frames // 9) for frames in files.LENGTHS.values())
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
def test_each_epoch_visits_every_clip_once(mpi_folder: Path, size: int, world: int) -> None:
    source = MpiInf3dhp.open(mpi_folder).train_source(frames=27, flip=False, seed=3)
    clips = seen(source, -(-2 * len(source) // (size * world)), size, world)
    first, second = clips[: len(source)], clips[len(source) : 2 * len(source)]
    assert len(set(first)) == len(source) and set(first) == set(second) and first != second
    assert clips[: len(source)] == seen(source, 1, len(source), 1), "whatever the number of processes"


def test_a_batch_depends_on_seed_step_and_rank_alone(mpi_folder: Path) -> None:
    data = MpiInf3dhp.open(mpi_folder)
    one, other = data.train_source(seed=5), data.train_source(seed=5)
    other.batch(40, 3)
    a, b = one.batch(17, 4, rank=1, world=2), other.batch(17, 4, rank=1, world=2)
    assert torch.equal(a.input, b.input) and torch.equal(a.target, b.target)
    assert not torch.equal(a.input, one.batch(17, 4, rank=0, world=2).input)
    assert not torch.equal(a.input, one.batch(18, 4, rank=1, world=2).input)
    assert not torch.equal(a.input, data.train_source(seed=6).batch(17, 4, rank=1, world=2).input)


def test_batches_made_on_a_device_are_the_same(mpi_folder: Path) -> None:
    data = MpiInf3dhp.open(mpi_folder)
    host, device = data.train_source(seed=2), data.train_source(seed=2)
    device._on_device = (mpi._tensor(data.train.xy), mpi._tensor(data.train.mm))  # as on a GPU
    a, b = host.batch(3, 6), device.batch(3, 6)
    assert torch.equal(a.input, b.input) and torch.equal(a.target, b.target)
    assert torch.equal(a.mm_per_unit, b.mm_per_unit)


def test_half_of_the_clips_are_mirrored_input_and_target_alike(mpi_folder: Path) -> None:
    data = MpiInf3dhp.open(mpi_folder)
    plain = data.train_source(flip=False).batch(0, 70)
    flipped = data.train_source(flip=True).batch(0, 70)
    turned = (plain.input != flipped.input).flatten(1).any(1)
    assert 20 < int(turned.sum()) < 50
    mirrored = torch.tensor(H36M17.mirrored)
    for now, before in ((flipped.input, plain.input), (flipped.target, plain.target)):
        sign = torch.tensor([-1.0, 1, 1][: now.shape[-1]])
        assert torch.equal(now[turned], (before[:, :, mirrored] * sign)[turned])
        assert torch.equal(now[~turned], before[~turned])


def test_bad_lengths_are_refused(mpi_folder: Path) -> None:
    with pytest.raises(PoseMambaError, match="0 frames"):
        MpiInf3dhp.open(mpi_folder).train_source(frames=0)
