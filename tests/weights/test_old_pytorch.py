"""A checkpoint of others that is read with a PyTorch whose safe reader has a known fault."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from posemamba.weights.files import read_checkpoint


@pytest.mark.parametrize(
    ("release", "told"), [("2.9.1+cu128", True), ("2.6.0", True), ("2.10.0", False), ("3.0", False)]
)
def test_an_old_pytorch_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, told: bool) -> None:
    torch.save({"model_pos": {"module.a": torch.ones(2)}}, tmp_path / "w.bin")
    monkeypatch.setattr(torch, "__version__", release)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = read_checkpoint(tmp_path / "w.bin", "model_pos")
    assert state["a"].tolist() == [1, 1]
    assert ["CVE-2026-24747" in str(one.message) and "w.bin" in str(one.message) for one in caught] == [True] * told
