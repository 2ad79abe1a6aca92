"""The authors' checkpoint format, written and read: nothing is lost on the way, and what it cannot hold is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from posemamba import cli
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import load_model, save_model
from posemamba.train.export import export_for_authors
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import load_recipe
from posemamba.utils.errors import PoseMambaError


@pytest.fixture
def model() -> PoseMamba:
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=32, depth=2, frames=9).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def equal(a: PoseMamba, b: PoseMamba) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_there_and_back_without_loss(model, tmp_path):
    save_model(tmp_path / "a.safetensors", model, {})
    export_for_authors(tmp_path / "a.safetensors", tmp_path / "a.bin")
    assert equal(load_model(tmp_path / "a.bin"), model)
    export_for_authors(tmp_path / "a.bin", tmp_path / "b.bin")
    assert equal(load_model(tmp_path / "b.bin"), model)


def test_it_has_the_keys_names_shapes_and_order_of_a_released_checkpoint(model, shared, tmp_path):
    theirs_path = shared("parity", "tiny_d32_depth4_t9.bin")
    theirs = torch.load(theirs_path, weights_only=True)
    save_model(tmp_path / "a.safetensors", model, {})
    export_for_authors(tmp_path / "a.safetensors", tmp_path / "a.bin")
    ours = torch.load(tmp_path / "a.bin", weights_only=True)
    assert set(ours) == set(theirs)
    assert [(n, t.shape, t.dtype) for n, t in ours["model_pos"].items()] == [
        (n, t.shape, t.dtype) for n, t in theirs["model_pos"].items()
    ]
    assert {name: type(ours[name]) for name in ("epoch", "lr", "min_loss")} == {
        name: type(theirs[name]) for name in ("epoch", "lr", "min_loss")
    }
    export_for_authors(theirs_path, tmp_path / "b.bin")  # theirs, read and written
    again = torch.load(tmp_path / "b.bin", weights_only=True)["model_pos"]
    assert all(torch.equal(again[name], tensor) for name, tensor in theirs["model_pos"].items())


def test_an_optimiser_goes_on_with_it(model, tmp_path):
    """What the authors' training does with a checkpoint: load the weights by name, and the optimiser's state."""
    save_model(tmp_path / "a.safetensors", model, {})
    export_for_authors(tmp_path / "a.safetensors", tmp_path / "a.bin")
    content = torch.load(tmp_path / "a.bin", weights_only=True)
    wrapped = torch.nn.DataParallel(PoseMamba(model.config))
    wrapped.load_state_dict(content["model_pos"], strict=True)
    optimizer = torch.optim.AdamW(wrapped.parameters(), lr=1.0)
    optimizer.load_state_dict(content["optimizer"])
    assert optimizer.param_groups[0]["lr"] == content["lr"] == 2e-4
    wrapped.module(torch.randn(1, 9, 17, 2)).sum().backward()
    optimizer.step()


def test_what_the_format_does_not_hold_is_said(tmp_path):
    model = PoseMamba.preset("s", width=16, depth=1, frames=9, scan_order="fs_bt")
    save_model(tmp_path / "a.safetensors", model, {"person_size": 0.25})
    with pytest.warns(UserWarning, match=r"does not hold scan_order fs_bt, person_size 0\.25"):
        export_for_authors(tmp_path / "a.safetensors", tmp_path / "a.bin")
    assert equal(load_model(tmp_path / "a.bin", scan_order="fs_bt"), model)


def test_the_command_takes_weights_of_any_kind_and_refuses_in_one_line(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model("a.safetensors", model, {})
    assert cli.main(["export", "a.safetensors", "--format", "authors", "-o", "a.bin"]) == 0
    assert equal(load_model("a.bin"), model)
    for line, named in (
        ("export a.safetensors --format authors -o b.npz", "ends with .bin"),
        ("export a.safetensors --format authors -o b.bin --half", "--half"),
        ("export none --format authors -o b.bin", "no weights 'none'"),
        ("export a.safetensors --format other -o b.bin", "expected safetensors, authors, onnx or huggingface"),
        ("export a.safetensors --format onnx -o b.bin", "ends with .onnx"),
        ("export a.safetensors --format onnx -o b.onnx --half", "--half"),
        ("export a.safetensors --frames 9 -o b.safetensors", "--format onnx"),
    ):
        capsys.readouterr()
        assert cli.main(line.split()) == 2
        said = capsys.readouterr().err
        assert named in said and said.count("\n") == 1
    assert not Path("b.bin").exists()
    Path("c.bin").write_bytes(b"nothing")
    with pytest.raises(PoseMambaError, match="not a checkpoint"):
        export_for_authors("c.bin", "d.bin")


def test_no_line_advises_to_load_a_file_that_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": os.system}, tmp_path / "code.pt")
    (tmp_path / "film.pt").write_bytes(b"\0\0\0\x18ftypmp42")
    for name, words in (("code.pt", "would run code"), ("film.pt", "not what torch.save writes")):
        assert cli.main(["export", str(tmp_path / name), "-o", str(tmp_path / "a.safetensors")]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1 and "weights_only" not in said and len(said) < 300
    assert not (tmp_path / "a.safetensors").exists()


def test_a_training_run_becomes_a_folder_with_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["model.options.width=16", "model.options.depth=1", "person_size=0.3"]
    recipe = load_recipe("mocap_27", settings=settings)
    kept = {"state_dict": build_model(recipe).state_dict(), "recipe": recipe.model_dump(mode="json"), "step": 7}
    (tmp_path / "run").mkdir()
    torch.save({**kept, "details": {"val_p1_test": 50.0}}, tmp_path / "run" / "weights.pt")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("of somebody")
    for folder, options in (("a", ()), ("b", ("--half",))):
        line = ["export", str(tmp_path / "run"), "--format", "huggingface", "-o", str(tmp_path / folder), *options]
        assert cli.main(line) == 0
        said = [Path(file.strip()).name for file in capsys.readouterr().out.splitlines()]
        assert said == ["README.md", "config.json", "model.safetensors"]
        model = load_model(tmp_path / folder)
        assert model.card["person_size"] == 0.3 and model.card["validation_p1_mm"] == {"test": 50.0}
    assert cli.main(["export", str(tmp_path / "run"), "-o", str(tmp_path / "c.safetensors")]) == 0
    assert load_model(tmp_path / "c.safetensors").card["steps"] == 7
