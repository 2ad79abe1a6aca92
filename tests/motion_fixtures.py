"""Motions for the tests of data, training and evaluation: made by formula, or the real files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from posemamba.data.mocap import FILES, Motions
from posemamba.walker import walk


def _synthetic(name: str, frames: tuple[int, ...]) -> Motions:
    clips = [np.asarray(walk(f, 50.0, seed=i), dtype=np.float32) for i, f in enumerate(frames)]
    return Motions(
        positions=np.concatenate(clips),
        lengths=np.array([len(c) for c in clips], dtype=np.int64),
        names=tuple(f"{name}_{i}" for i in range(len(clips))),
        descriptions=tuple("walk" if i % 2 else "stroll" for i in range(len(clips))),
        subjects=tuple(f"{name}{i % 2}" for i in range(len(clips))),
        fps=50.0,
    )


@pytest.fixture(scope="session")
def motions() -> Motions:
    """Three walks made by formula, of 160, 90 and 40 frames."""
    return _synthetic("walker", (160, 90, 40))


@pytest.fixture(scope="session")
def mocap_files() -> Path:
    """The directory of the real motion capture; without it the test is skipped."""
    root = Path(__file__).resolve().parents[1]
    shared = Path(os.environ.get("POSEMAMBA_SHARED", root.parent / "shared")) / "mocap"
    if not all((shared / name).is_file() for name in FILES):
        pytest.skip(f"no motion capture files in {shared}: set POSEMAMBA_SHARED to the directory that holds mocap")
    return shared
