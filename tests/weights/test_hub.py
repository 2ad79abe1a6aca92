"""Folders in Hugging Face's layout, and the Hub by a stand-in of huggingface_hub: no test touches the network."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fixtures.command_line import keypoints
from posemamba import Lifter, PoseMamba, PoseMambaConfig, cli, load_model
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.utils.errors import PoseMambaError
from posemamba.weights import hub
from posemamba.weights.files import read_card

CARD = {"name": "small", "person_size": 0.25, "licence": "Apache-2.0", "data": "made up"}


@pytest.fixture
def model() -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba(PoseMambaConfig(width=64, depth=1, frames=9, confidence=True, scan_order="bs_ft")).eval()


def same(a: PoseMamba, b: PoseMamba) -> bool:
    theirs = b.state_dict()
    return a.config == b.config and all(torch.equal(t, theirs[name]) for name, t in a.state_dict().items())


def test_the_cards_of_the_bundled_weights_have_the_fields_of_the_hub() -> None:
    import yaml

    from posemamba.weights import shards
    from posemamba.weights.layout import readme
    from posemamba.weights.names import bundled

    for name, path in bundled().items():
        metadata, _ = shards.read(path, tensors=False)
        front = yaml.safe_load(readme(metadata).split("---\n")[1])
        assert front["license"] == "apache-2.0" and front["library_name"] == "posemamba", name
        (entry,) = front["model-index"]
        metrics = {score["name"]: score["value"] for score in entry["results"][0]["metrics"]}
        said = json.loads(metadata["card"])["benchmark_mm"]
        assert metrics["P1, noisy 2D joints, mm"] == said["noisy"]["P1"] and len(metrics) == 6, name


def refusal(source: str | Path) -> str:
    with pytest.raises(PoseMambaError) as caught:
        load_model(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_read_wherever_weights_are_and_keeps_the_card(model: PoseMamba, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    model.save_pretrained(folder, CARD)
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("---\n") and "license: apache-2.0\n" in readme and "made up" in readme
    again = PoseMamba.from_pretrained(folder)
    assert same(again, model) and again.card == CARD and not again.training
    assert same(load_model(folder / "model.safetensors"), model)
    lifter = Lifter.from_pretrained(folder, device="cpu")
    assert lifter.person_size == 0.25 and lifter.name == "mine"
    with torch.inference_mode():
        chosen = again.execution(torch.zeros(1, 9, 17, 3))
    assert chosen.path == "cpu", chosen.reason
    write_keypoints_npz(tmp_path / "k.npz", keypoints(12))
    said = ["lift", str(tmp_path / "k.npz"), "-o", str(tmp_path / "out"), "--weights", str(folder), "--no-overlay"]
    assert cli.main(said) == 0
    (folder / "README.md").write_text("my own words")
    again.save_pretrained(folder, half=True)
    assert (folder / "README.md").read_text() == "my own words"
    assert load_file(folder / "model.safetensors")["head.1.bias"].dtype == torch.float16
    assert read_card(folder)["card"] == CARD


def test_tensors_of_another_program_are_read_by_config_json(model: PoseMamba, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "mine", CARD)
    file = tmp_path / "mine" / "model.safetensors"
    save_file(load_file(file), file, {"format": "pt"})
    again = PoseMamba.from_pretrained(tmp_path / "mine")
    assert same(again, model) and again.card == CARD
    (tmp_path / "mine" / "config.json").write_text("[")
    assert "config.json" in refusal(tmp_path / "mine")
    (tmp_path / "mine" / "config.json").unlink()
    assert "not of PoseMamba weights" in refusal(tmp_path / "mine")
    file.unlink()
    assert "holds no model.safetensors" in refusal(tmp_path / "mine")


def test_a_config_json_of_another_model_is_refused(model: PoseMamba, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, CARD)
    fields = json.loads((tmp_path / "config.json").read_text())
    fields["config"]["scan_order"] = "fs_ft"
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert "not that of the header of model.safetensors beside it (scan_order)" in refusal(tmp_path)


class Hub(ModuleType):
    """A stand-in of huggingface_hub whose repositories are folders."""

    def __init__(self, place: Path) -> None:
        super().__init__("huggingface_hub")
        self.place, self.asked = place, 0
        self.HfApi = lambda token=None: self

    def snapshot_download(self, repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        self.asked += 1
        if not (self.place / repo_id).is_dir():
            raise FileNotFoundError(f"404 Client Error.\n\nRepository {repo_id} not found.\nIs it private?")
        return str(self.place / repo_id)

    def create_repo(self, name: str, *, private: bool | None, exist_ok: bool) -> None:
        (self.place / name).mkdir(parents=True, exist_ok=exist_ok)

    def file_exists(self, name: str, file: str, *, revision: str | None) -> bool:
        return (self.place / name / file).is_file()

    def upload_folder(self, *, repo_id: str, folder_path: Path, ignore_patterns: list[str] | None, **_: Any) -> None:
        ignored = shutil.ignore_patterns(*(ignore_patterns or []))
        shutil.copytree(folder_path, self.place / repo_id, dirs_exist_ok=True, ignore=ignored)


def test_a_model_goes_to_the_hub_and_comes_back(
    model: PoseMamba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in := Hub(tmp_path))
    hub.download.cache_clear()
    assert model.push_to_hub("me/small", CARD) == "hf://me/small"
    again = PoseMamba.from_pretrained("hf://me/small")
    assert same(again, model) and again.card == CARD
    assert Lifter.from_pretrained("hf://me/small", device="cpu").name == "me/small" and stand_in.asked == 1
    assert cli.main(["export", "hf://me/small", "--format", "huggingface", "-o", str(tmp_path / "copy")]) == 0
    assert same(PoseMamba.from_pretrained(tmp_path / "copy"), model)
    (tmp_path / "me" / "small" / "README.md").write_text("my own words")
    model.push_to_hub("hf://me/small", CARD)
    assert (tmp_path / "me" / "small" / "README.md").read_text() == "my own words"
    said = refusal("hf://me/nothing")
    assert "hf://me/nothing: cannot be downloaded: FileNotFoundError: 404 Client Error" in said
    assert "expected hf://owner/name" in refusal("hf://small")
    with pytest.raises(PoseMambaError, match="expected owner/name"):
        model.push_to_hub("small")


def test_no_other_name_leads_to_the_hub_and_without_its_package_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in := Hub(tmp_path))
    hub.download.cache_clear()
    for name in ("me/small", "small", "https://huggingface.co/me/small"):
        assert "neither a file nor a known name" in refusal(name)
    assert stand_in.asked == 0
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert '"huggingface_hub>=0.23"' in refusal("hf://me/small")


@pytest.mark.parametrize("config", ["1.5", "[]", '"x"', "null"])
def test_a_header_whose_config_is_no_object_is_refused(tmp_path: Path, config: str) -> None:
    PoseMamba.preset("s", width=16, depth=1, frames=9).save_pretrained(tmp_path, {})
    path = tmp_path / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {**metadata, "config": config})
    with pytest.raises(PoseMambaError, match=r"model\.safetensors: the config in its header is a"):
        PoseMamba.from_pretrained(tmp_path)
