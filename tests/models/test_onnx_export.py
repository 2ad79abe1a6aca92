"""ONNX files: the same numbers as PyTorch in ONNX Runtime, what they say of themselves, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from posemamba import PoseMamba, PoseMambaConfig, cli
from posemamba.models import onnx_export
from posemamba.models.onnx_export import export_onnx, sample_input
from posemamba.ops.scan.orders import ORDERS
from posemamba.utils.errors import PoseMambaError


def make(**changes: object) -> PoseMamba:
    """A small model with embeddings, steps and skip weights that all matter."""
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig.model_validate({"width": 16, "depth": 2, "frames": 9, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    "order", [pytest.param(o, marks=[pytest.mark.slow] * (o not in ("global_local", "bs_bt"))) for o in ORDERS]
)
def test_every_scan_order_agrees_with_pytorch(order: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    merging = order == "global_local"
    model = make(scan_order=order, confidence=merging, centred=order != "bs_bt", error_width=8 if merging else 0)
    differences = export_onnx(model, tmp_path / "m.onnx", frames=5)
    assert differences is not None and set(differences) == ({"poses", "errors"} if merging else {"poses"})
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for seed in (1, 2):
        x = sample_input(model, 5, seed)
        (poses,) = session.run(["poses"], {"joints": x})
        with torch.inference_mode():
            expected = model(torch.from_numpy(x)).numpy()
        assert expected.std() > 0.1
        np.testing.assert_allclose(poses, expected, atol=1e-4)


def test_a_bundled_models_file_is_standard_and_says_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    out = tmp_path / "s27.onnx"
    assert cli.main(["export", "posemamba-s27", "--format", "onnx", "-o", str(out), "--frames", "9"]) == 0
    assert "largest differences from PyTorch" in capsys.readouterr().out
    proto = onnx.load(out)
    assert [entry.domain for entry in proto.opset_import] == [""], "no operators but the standard's"
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(facts["joints"])[0] == "pelvis" and len(json.loads(facts["joints"])) == 17
    assert facts["person_size"] == "0.25" and json.loads(facts["card"])["person_size"] == 0.25
    assert PoseMambaConfig.model_validate_json(facts["config"]).frames == 27 and facts["frames"] == "9"
    assert "1, 9, 17, 3" in facts["input"] and {"normalisation", "confidence", "errors", "zoom"} <= facts.keys()


def test_without_onnx_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["export", "posemamba-s27", "--format", "onnx", "-o", str(tmp_path / "m.onnx")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and '"onnx>=1.15"' in said and "pip" in said
    assert not list(tmp_path.iterdir())


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    monkeypatch.setattr(onnx_export, "TOLERANCE", 0.0)
    with pytest.raises(PoseMambaError, match="more than 0: nothing was written"):
        export_onnx(make(), tmp_path / "m.onnx")
    for frames in (0, 10):
        with pytest.raises(PoseMambaError, match=f"{frames} frames asked for, the model takes 1 to 9"):
            export_onnx(make(), tmp_path / "m.onnx", frames=frames)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_torch_export_keeps_the_model(tmp_path: Path) -> None:
    model = make(confidence=True, centred=True)
    x = torch.from_numpy(sample_input(model, 9))
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "m.pt2")
    with torch.no_grad():
        again = torch.export.load(tmp_path / "m.pt2").module()(x)
        torch.testing.assert_close(again, model(x), atol=1e-5, rtol=1e-5)
