"""Weights of a tiny model and a keypoint file, for the tests of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from command_line import keypoints
from posemamba.formats import write_keypoints_npz
from posemamba.model import PoseMamba
from posemamba.weights import save_model


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, PoseMamba.preset("s", width=16, depth=1, frames=27), {"person_size": 0.25})
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "keypoints.npz"
    write_keypoints_npz(path, keypoints())
    return path
