"""Weights: read whole and strictly, or refused in one line; nothing in a file is ever run."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.registry import load_model, save_model
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import read_card
from posemamba.weights.names import bundled, find, folders, known
from posemamba.weights.shards import parts


@pytest.fixture
def model() -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba(PoseMambaConfig(width=16, depth=1, frames=9, scan_order="bs_ft")).eval()


def refusal(path: Path, **changes: object) -> str:
    with pytest.raises(PoseMambaError) as caught:
        load_model(path, **changes)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def save_checkpoint(path: Path, model: PoseMamba, **other: object) -> Path:
    """As the authors' training saves it."""
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 3, "lr": 1e-4, "optimizer": {}, "model_pos": state, "min_loss": 40.0, **other}, path)
    return path


def test_what_is_saved_is_read_again(model: PoseMamba, tmp_path: Path) -> None:
    x = torch.randn(1, 5, 17, 2)
    for half, tolerance in ((False, 0.0), (True, 5e-3)):
        save_model(tmp_path / "w.safetensors", model, {"data": "made up"}, half=half)
        again = PoseMamba.from_pretrained(str(tmp_path / "w.safetensors"))
        assert again.config == model.config and not again.training
        with torch.no_grad():
            assert (again(x) - model(x)).abs().max() <= tolerance
    assert read_card(tmp_path / "w.safetensors")["card"] == {"data": "made up"}


def test_the_authors_format_is_read_and_the_scan_order_is_given(model: PoseMamba, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "best_epoch.bin", model)
    x = torch.randn(1, 5, 17, 2)
    with torch.no_grad():
        assert torch.equal(load_model(path, scan_order="bs_ft")(x), model(x))
        assert not torch.allclose(load_model(path)(x), model(x))


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_a_numpy_number_beside_the_weights_is_passed_over(model: PoseMamba, tmp_path: Path, module: bytes) -> None:
    """The authors' code saves the lowest error as np.mean gave it, by a NumPy before or after version 2."""
    save_checkpoint(tmp_path / "mine.bin", model, min_loss=np.mean([41.5, 38.5]))
    path = tmp_path / "best_epoch.bin"
    with zipfile.ZipFile(tmp_path / "mine.bin") as mine, zipfile.ZipFile(path, "w") as file:
        for name in mine.namelist():
            file.writestr(name, re.sub(rb"numpy\._?core\.multiarray", module, mine.read(name)))
    assert module in path.read_bytes()
    assert torch.equal(load_model(path).head[1].weight, model.head[1].weight)


def test_a_truncated_file_is_refused_wherever_it_ends(model: PoseMamba, tmp_path: Path) -> None:
    save_model(tmp_path / "w.safetensors", model, {})
    save_checkpoint(tmp_path / "w.bin", model)
    for name in ("w.safetensors", "w.bin"):
        whole = (tmp_path / name).read_bytes()
        for share in (0, 0.001, 0.3, 0.9, 0.999):
            cut = tmp_path / f"cut_{name}"
            cut.write_bytes(whole[: int(len(whole) * share)])
            refusal(cut)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    torch.save({"model_pos": Trap()}, tmp_path / "trap.bin")
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap()))
    assert "run code" in refusal(tmp_path / "trap.bin")
    refusal(tmp_path / "trap.pkl")
    assert not marker.exists()


def test_what_does_not_fit_is_named(model: PoseMamba, tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    missing = {name: tensor for name, tensor in state.items() if name != "module.head.1.bias"}
    torch.save({"model_pos": missing}, path)
    assert "missing 'head.1.bias'" in refusal(path)
    torch.save({"model_pos": {**state, "module.head.2.bias": torch.zeros(3)}}, path)
    assert "extra 'head.2.bias'" in refusal(path)
    torch.save({"model_pos": {**state, "module.head.1.weight": torch.zeros(3, 8)}}, path)
    assert "'head.1.weight' is (3, 8), expected (3, 16)" in refusal(path)
    save_checkpoint(path, model)
    assert "'Temporal_pos_embed' is (1, 9, 16), expected (1, 27, 16)" in refusal(path, frames=27)
    assert "width 32" in refusal(path, width=32)
    torch.save({"model_pos": {**state, "module.head.1.bias": torch.full((3,), float("nan"))}}, path)
    assert "NaN" in refusal(path)


def test_a_training_runs_file_says_how_to_export_it(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "recipe": {}, "step": 3, "details": {}}, tmp_path / "best.pt")
    with pytest.raises(PoseMambaError, match=f"posemamba export {tmp_path} -o"):
        load_model(str(tmp_path / "best.pt"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are not weights")
    (tmp_path / "empty.bin").write_bytes(b"")
    torch.save([1, 2, 3], tmp_path / "list.bin")
    torch.save({"model": {}}, tmp_path / "other.bin")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    for name in ("notes.txt", "empty.bin", "list.bin", "other.bin", "other.safetensors"):
        refusal(tmp_path / name)
    assert "model_pos" in refusal(tmp_path / "other.bin")
    assert "neither a file nor a known name" in refusal(tmp_path / "nothing.bin")


@pytest.mark.parametrize(
    ("name", "size", "frames"),
    [
        ("posemamba-s", "s", 243),
        ("posemamba-b", "b", 243),
        ("posemamba-s81", "s", 81),
        ("posemamba-s27", "s", 27),
    ],
)
def test_bundled_weights_load_and_say_what_they_are(name: str, size: str, frames: int) -> None:
    model = PoseMamba.from_pretrained(name)
    assert model.config.error_width == 128
    extras = {"confidence": True, "centred": True, "error_width": 128}
    assert model.config == PoseMambaConfig.preset(size, frames=frames, drop_path=0.0, **extras)
    card = read_card(name)["card"]
    assert "mocap.cs.cmu.edu" in card["acknowledgement"] and card["limits"] and card["licence"].startswith("Apache-2.0")
    assert card["person_size"] == 0.25
    assert 30 < card["benchmark_mm"]["exact"]["P1"] < card["benchmark_mm"]["noisy"]["P1"] < 70


def test_bundled_weights_stay_small_each_file_and_together() -> None:
    sizes = [part.stat().st_size for path in bundled().values() for part in parts(path)]
    assert max(sizes) <= 16e6 and sum(sizes) < 60e6


def test_names_are_found_in_four_places_in_their_order(
    model: PoseMamba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "posemamba" / "weights"
    own, data, checkout = tmp_path / "own", tmp_path / "data" / "posemamba" / "weights", tmp_path / "weights"
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr("posemamba.weights.names.resources.files", lambda name: package)
    monkeypatch.setenv("POSEMAMBA_WEIGHTS", str(own))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    places = [package, own, data, checkout]
    assert folders() == places and known() == {}
    with pytest.raises(PoseMambaError, match=r"nor a known name \(none\)"):
        find("posemamba-b")
    for place in reversed(places):  # each goes before those that were there
        place.mkdir(parents=True)
        save_model(place / "posemamba-b.safetensors", model, {"place": place.name})
        assert find("posemamba-b") == place / "posemamba-b.safetensors"
    save_model(checkout / "posemamba-l.safetensors", model, {})
    assert list(bundled()) == ["posemamba-b"] and set(known()) == {"posemamba-b", "posemamba-l"}
    assert PoseMamba.from_pretrained("posemamba-l").config == model.config
    with pytest.raises(PoseMambaError) as caught:
        find("posemamba-xl")
    assert "(posemamba-b, posemamba-l)" in str(caught.value) and "\n" not in str(caught.value)
    assert f"looked in {', '.join(map(str, places))}" in str(caught.value)
    (tmp_path / "pyproject.toml").unlink()  # not a checkout
    monkeypatch.delenv("POSEMAMBA_WEIGHTS")
    assert folders() == [package, data]


def test_an_unknown_architecture_is_refused(model: PoseMamba, tmp_path: Path) -> None:
    save_model(tmp_path / "new.safetensors", model, {})
    with safe_open(tmp_path / "new.safetensors", "pt") as file:
        metadata, state = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata["model"] == "posemamba"
    save_file(state, tmp_path / "odd.safetensors", {**metadata, "model": "poseformer"})
    assert "weights of a 'poseformer', known are posemamba, motionagformer" in refusal(tmp_path / "odd.safetensors")


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("model_pos", "_orig_mod."),
        ("model", "module."),
        ("state_dict", "model."),
        ("model_state_dict", "net."),
        (None, ""),
        (None, "model.module._orig_mod."),
    ],
)
def test_common_layouts_of_checkpoints_are_read(model: PoseMamba, tmp_path: Path, key: str | None, prefix: str) -> None:
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    torch.save(state if key is None else {"epoch": 3, "lr": 1e-4, key: state}, tmp_path / "w.pth")
    again = PoseMamba.from_pretrained(str(tmp_path / "w.pth"), scan_order=model.config.scan_order)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_a_checkpoint_with_an_empty_layer_is_refused(model: PoseMamba, tmp_path: Path) -> None:
    state, name = dict(model.state_dict()), "STEblocks.0.mlp.fc1.weight"
    state[name] = state[name][:, :0]
    torch.save({"model_pos": state}, tmp_path / "w.bin")
    with pytest.raises(PoseMambaError, match=rf"w\.bin: not a PoseMamba's: its {name} is empty"):
        load_model(tmp_path / "w.bin")
