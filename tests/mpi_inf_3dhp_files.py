"""Small made-up files in the format of MPI-INF-3DHP's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.data.mpi_inf_3dhp_file import TEST_FILE, TRAIN_FILE

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


@pytest.fixture
def mpi_folder(tmp_path: Path) -> Path:
    """A folder with both files, the test file in a subfolder."""
    write(tmp_path / "here" / TRAIN_FILE, train_content())
    write(tmp_path / "here" / "motion3d" / TEST_FILE, test_content())
    return tmp_path / "here"
