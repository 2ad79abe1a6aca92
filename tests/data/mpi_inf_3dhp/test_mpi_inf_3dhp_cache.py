"""The unpacked copy of MPI-INF-3DHP's files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fixtures import mpi_inf_3dhp_files as files
from posemamba.data.mpi_inf_3dhp import cache
from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp
from posemamba.data.mpi_inf_3dhp.file import TEST_FILE, TRAIN_FILE
from posemamba.utils.errors import PoseMambaError


def test_the_second_reading_maps_what_the_first_unpacked(mpi_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = MpiInf3dhp.open(mpi_folder).train
    assert isinstance(first.xy, np.memmap)
    monkeypatch.setattr(cache, "read_file", lambda *unused: pytest.fail("was read again"))
    second = MpiInf3dhp.open(mpi_folder).train
    for array in cache._ARRAYS:
        np.testing.assert_array_equal(getattr(first, array), getattr(second, array))


def test_another_file_is_read_anew(mpi_folder: Path) -> None:
    assert len(MpiInf3dhp.open(mpi_folder).test) == 2
    path = mpi_folder / "motion3d" / TEST_FILE
    files.write(path, {"TS1": files.test_content()["TS1"]})
    assert len(MpiInf3dhp.open(mpi_folder).test) == 1
    copies = list((mpi_folder / "motion3d" / f"{TEST_FILE}.posemamba").iterdir())
    assert len(copies) == 1, "copies of earlier files are removed"
    os.utime(path, ns=(1, 1))
    assert cache._load(copies[0]) is not None
    _ = MpiInf3dhp.open(mpi_folder).test
    assert cache._load(copies[0]) is None


def test_a_damaged_copy_is_made_again(mpi_folder: Path) -> None:
    whole = np.array(MpiInf3dhp.open(mpi_folder).test.mm)
    [copy] = (mpi_folder / "motion3d" / f"{TEST_FILE}.posemamba").iterdir()
    (copy / "mm.npy").write_bytes((copy / "mm.npy").read_bytes()[:1000])
    np.testing.assert_array_equal(MpiInf3dhp.open(mpi_folder).test.mm, whole)
    (copy / "names.npy").unlink()
    np.testing.assert_array_equal(MpiInf3dhp.open(mpi_folder).test.mm, whole)
    for name, made in (("mm", whole[:, :, :2]), ("sizes", np.zeros((2, 2), int)), ("xy", whole[..., :2].astype(str))):
        (copy / f"{name}.npy").unlink()  # it is mapped
        np.save(copy / f"{name}.npy", made)
        test = MpiInf3dhp.open(mpi_folder).test
        np.testing.assert_array_equal(test.mm, whole)
        assert test.sizes.min() > 1000 and test.xy.dtype == np.float32


@pytest.mark.parametrize("array", ["xy", "mm"])
def test_a_copys_joints_are_checked_where_they_are_read(mpi_folder: Path, array: str) -> None:
    for name, read in (
        (TEST_FILE, lambda: list(MpiInf3dhp.open(mpi_folder).test)),
        (TRAIN_FILE, lambda: MpiInf3dhp.open(mpi_folder).train_source(frames=9, stride=1).batch(0, 630)),
    ):
        read()
        [copy] = next(mpi_folder.rglob(f"{name}.posemamba")).iterdir()
        joints = np.load(copy / f"{array}.npy")
        joints[0, 3, 1] = np.nan
        (copy / f"{array}.npy").unlink()  # it is mapped
        np.save(copy / f"{array}.npy", joints)
        with pytest.raises(PoseMambaError, match=rf"/{array}\.npy: holds NaN, .* delete its folder"):
            read()


def test_the_users_cache_folder_and_memory_where_nothing_can_be_written(
    mpi_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (mpi_folder / f"{TRAIN_FILE}.posemamba").write_text("in the way")  # also stops root, unlike permissions
    assert isinstance(MpiInf3dhp.open(mpi_folder).train.xy, np.memmap)
    assert list((tmp_path / "cache" / "posemamba").glob("data_train_3dhp-*/1-*/xy.npy"))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert not isinstance(MpiInf3dhp.open(mpi_folder).train.xy, np.memmap)
