"""The comparison of ONNX Runtime's time with the package's own path."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from studies.onnx_cost import main

from posemamba import PoseMamba, PoseMambaConfig


def test_a_line_for_each_number_of_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    before = torch.get_num_threads()
    PoseMamba(PoseMambaConfig(width=64, depth=1, frames=3)).save_pretrained(tmp_path)
    try:
        assert main([str(tmp_path), "--threads", "1", "2", "--pairs", "2"]) == 0
    finally:
        torch.set_num_threads(before)
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [[cell.strip() for cell in line[1:4]] for line in lines] == [["3", "1", "cpu"], ["3", "2", "cpu"]]
    assert all(float(line[6]) > 0 and float(line[7]) > 0 for line in lines)
