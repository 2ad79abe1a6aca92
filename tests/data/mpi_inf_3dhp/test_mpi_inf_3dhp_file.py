"""MPI-INF-3DHP's files read and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures import mpi_inf_3dhp_files as files
from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp, describe
from posemamba.data.mpi_inf_3dhp.file import TEST_FILE
from posemamba.data.mpi_inf_3dhp.joints import to_3dhp
from posemamba.utils.errors import PoseMambaError


def test_units_and_frames(mpi_folder: Path) -> None:
    data = MpiInf3dhp.open(mpi_folder)
    raw, video = files.train_content()["S1 Seq1"][0]["4"], list(data.train)[1]
    assert video.name == "S1 Seq1 camera 4" and video.valid.all()
    pixels = to_3dhp((video.xy.astype(np.float64) + 1) * 1024)
    np.testing.assert_allclose(pixels, raw["data_2d"], atol=1e-3)
    np.testing.assert_allclose(to_3dhp(video.mm), raw["data_3d"] - raw["data_3d"][:, 14:15], atol=1e-3)
    assert not video.mm[:, 0].any() and video.mm_per_unit == 1024
    raw, video = files.test_content()["TS5"], list(data.test)[1]
    assert (video.name, video.width, video.height, video.mm_per_unit) == ("TS5", 1920, 1080, 960)
    corner = np.array([1920.0, 1080.0])
    np.testing.assert_allclose(to_3dhp(video.xy), raw["data_2d"] / 960 - corner / 1920, atol=1e-6)
    np.testing.assert_array_equal(video.valid, raw["valid"].astype(bool))
    assert [len(v.xy) for v in data.train] == [200, 200, 30, 30, 85, 85]
    lines = list(describe({path.name: path for path in (data.train_path, data.test_path) if path}))
    assert lines[0] == "train: 630 frames, 6 videos: 3 sequences of 2 subjects, cameras 0, 4"
    assert "test: 101 frames, 67 of them scored" in lines
    assert "  TS5: 1920 x 1080 pixels, 51 frames, 34 scored (published: 276)" in lines


def broken(key: str, change: Any) -> dict[str, Any]:
    content = files.test_content()
    content["TS5"] = {**content["TS5"], key: change(content["TS5"].get(key))}
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros(3), "'data' holds a ndarray"),
        ({}, "'data' holds a dict"),
        ({"TS1": 3}, "'TS1' holds int, expected data_2d, data_3d, valid"),
        ({"TS1": files.poses(5, 0)}, "'TS1' holds data_2d, data_3d, expected"),
        (broken("data_2d", lambda a: a[:, :16]), r"'TS5': data_2d has shape \(51, 16, 2\)"),
        (broken("data_2d", lambda a: a[:-1]), "different numbers of frames: 50, 51, 51"),
        (broken("data_3d", lambda a: a / 1000), "from the pelvis on average, expected some 500"),
        (broken("data_3d", lambda a: a * np.nan), "not finite"),
        (broken("data_3d", lambda a: "far"), "not all arrays of numbers"),
        (broken("valid", lambda a: a + 1), "other values than 0 and 1"),
    ],
)
def test_other_layouts_are_refused_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / TEST_FILE
    if isinstance(content, np.ndarray):
        np.savez(path, data=content)
    else:
        files.write(path, content)
    with pytest.raises(PoseMambaError, match=message) as error:
        _ = MpiInf3dhp.open(tmp_path).test
    assert TEST_FILE in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    files.write(tmp_path / TEST_FILE, {"TS1": Evil()})
    with pytest.raises(PoseMambaError, match="mkdir"):
        _ = MpiInf3dhp.open(tmp_path).test
    assert not (tmp_path / "made").exists()
