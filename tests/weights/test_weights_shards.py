"""Weights in several files: the same as in one, by name or by any of them; what does not belong together is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fixtures.command_line import keypoints, lifted, refused, snapshot
from posemamba import cli
from posemamba.cli import examination as doctor
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import load_poses_npz
from posemamba.lifting.lifter import Lifter
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import load_model, save_model
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import read_card
from posemamba.weights.names import bundled, find, known
from posemamba.weights.shards import parts

CARD = {"person_size": 0.25, "data": "made up", "said": "é"}
MOST = 50_000
"""Bytes of a file at most; the tiny model takes three."""


def tiny(seed: int = 0, width: int = 32) -> PoseMamba:
    torch.manual_seed(seed)
    return PoseMamba.preset("s", width=width, depth=1, frames=27).eval()


def content(*files: Path) -> dict[str, torch.Tensor]:
    """The tensors as they are stored; no two files have one of the same name."""
    state: dict[str, torch.Tensor] = {}
    for path in files:
        with safe_open(path, "pt") as file:
            assert not set(file.keys()) & set(state)
            state.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of weights known by name: ``split``, in three files."""
    folder = tmp_path / "own"
    monkeypatch.setenv("POSEMAMBA_WEIGHTS", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    written = save_model(folder / "split.safetensors", tiny(), CARD, half=True, shard_bytes=MOST)
    assert [p.name for p in written] == [f"split-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert sorted(folder.iterdir()) == written and all(p.stat().st_size <= MOST for p in written)
    return folder


def test_split_weights_are_the_same_weights(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    assert save_model(whole, tiny(), CARD, half=True, shard_bytes=10**9) == [whole]  # they fit: a file as ever
    files = parts(find("split"))
    assert same(content(*files), content(whole))
    said = [dict(safe_open(file, "pt").metadata()) for file in files]
    assert said[0] == said[1] == said[2] and len(said[0].pop("set")) == 64
    assert said[0] == safe_open(whole, "pt").metadata()
    assert [name for name in known() if name not in bundled()] == ["split"] and known()["split"] == files[0]
    expected = load_model(whole).state_dict()
    clip = keypoints()
    poses = Lifter.from_pretrained(whole, device="cpu")(clip)
    for source in ("split", *files, folder / "split.safetensors"):
        assert find(source) == files[0]
        model = load_model(source)
        assert same(model.state_dict(), expected) and list(model.state_dict()) == list(expected)
        assert read_card(source) == read_card(whole) and read_card(source)["card"] == CARD
        lifter = Lifter.from_pretrained(source, device="cpu")
        assert lifter.name == "split" and lifter.person_size == 0.25
        assert np.array_equal(lifter(clip).xyz, poses.xyz)


def test_the_commands_take_them_and_a_change_of_any_file_is_seen(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints())

    def done_already() -> bool:
        assert lifted(tmp_path / "k.npz", "-o", tmp_path / "out", "--weights", "split", "--no-overlay") == 0
        return "done already" in capsys.readouterr().out

    assert not done_already() and done_already()
    before = load_poses_npz(tmp_path / "out" / "poses.npz")
    os.utime(folder / "split-00003-of-00003.safetensors", (0, 0))  # a file that nobody names
    assert not done_already() and done_already()
    assert np.array_equal(load_poses_npz(tmp_path / "out" / "poses.npz").xyz, before.xyz)
    save_model(folder / "split.safetensors", tiny(1), CARD, half=True, shard_bytes=MOST)
    assert not done_already()
    assert not np.array_equal(load_poses_npz(tmp_path / "out" / "poses.npz").xyz, before.xyz)
    assert load_poses_npz(tmp_path / "out" / "poses.npz").model == "split"
    assert cli.main(["info", "--weights", "split"]) == 0
    assert "split: 27 frames" in (said := capsys.readouterr().out) and "data: made up" in said
    assert f"({', '.join(sorted(known()))})" in refused(capsys, "info", "--weights", "x")
    monkeypatch.setattr("posemamba.weights.names.resources.files", lambda name: folder)  # as if the package had them
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    (finding,) = doctor._weights()
    assert finding.text.startswith("split: ") and finding.text.endswith(f" {size:.1f} MiB") and not finding.problem
    (folder / "split-00002-of-00003.safetensors").unlink()
    (finding,) = doctor._weights()
    assert finding.problem and "split-00002-of-00003.safetensors: no such file" in finding.text


def test_export_splits_joins_and_leaves_no_older_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own" / "w.safetensors"
    torch.manual_seed(0)
    model = PoseMamba.preset("s", depth=5)
    save_model(path, model, CARD)
    as_it_was, said = content(path), read_card(path)
    other = path.with_name("v-00001-of-00009.safetensors")
    shutil.copy(path, other)

    def export(*options: object) -> set[Path]:
        capsys.readouterr()
        assert cli.main(["export", str(path), "-o", str(path), *map(str, options)]) == 0
        files = {Path(line.strip()) for line in capsys.readouterr().out.splitlines()}
        assert set(path.parent.iterdir()) == files | {other}
        assert same(content(*files), as_it_was)
        return files

    assert len(export("--shard-mb", 2)) == 2 and read_card(path) == said
    four = export("--shard-mb", 1)
    assert len(four) == 4 and all(file.stat().st_size <= 10**6 for file in four)
    assert export() == {path} and read_card(path) == said
    foreign = path.with_name("w-00001-of-00009.safetensors")  # another model's, which is not ours to delete
    save_file({"a": torch.zeros(1)}, foreign, {"format": "pt"})
    before = snapshot(tmp_path)
    for options, named in (
        (("-o", path, "--half"), "leave --half"),
        (("-o", path, "--shard-mb", 2), f"{foreign}: has the name 'w' already"),
        (("-o", tmp_path / "w.bin"), "ends with .safetensors"),
        (("-o", tmp_path / "w-00001-of-00002.safetensors"), "leave the numbers out: w.safetensors"),
    ):
        assert named in refused(capsys, "export", path, *options)
    with pytest.raises(PoseMambaError, match=r"x\.safetensors: a file of at most 5,000 bytes cannot hold '.+' and the"):
        save_model(tmp_path / "x.safetensors", model, CARD, shard_bytes=5000)
    assert snapshot(tmp_path) == before


def test_an_interrupted_save_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, wrote = snapshot(folder), 0

    def full(*arguments: object) -> None:
        nonlocal wrote
        wrote += 1
        if wrote == 2:
            raise OSError("no space left on device")
        save_file(*arguments)

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="no space"):
        save_model(folder / "split.safetensors", tiny(1), CARD, half=True, shard_bytes=100_000)
    assert wrote == 2 and snapshot(folder) == before


def other_card(folder: Path) -> None:
    save_model(folder.parent / "split.safetensors", tiny(1), {**CARD, "data": "other"}, half=True, shard_bytes=MOST)
    shutil.copy(folder.parent / "split-00002-of-00003.safetensors", folder)


def other_config(folder: Path) -> None:
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=32, depth=1, frames=27, scan_order="bs_ft")
    save_model(folder.parent / "split.safetensors", model, CARD, half=True, shard_bytes=MOST)
    shutil.copy(folder.parent / "split-00002-of-00003.safetensors", folder)


def other_tensors(folder: Path) -> None:
    """Of another training that says the same of itself: what a save that was interrupted while it renamed leaves."""
    save_model(folder.parent / "split.safetensors", tiny(1), CARD, half=True, shard_bytes=MOST)
    shutil.copy(folder.parent / "split-00002-of-00003.safetensors", folder)


def copied(folder: Path) -> None:
    shutil.copy(folder / "split-00001-of-00003.safetensors", folder / "split-00002-of-00003.safetensors")


def missing(folder: Path) -> None:
    (folder / "split-00002-of-00003.safetensors").unlink()


def truncated(folder: Path) -> None:
    path = folder / "split-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def empty(folder: Path) -> None:
    (folder / "split-00002-of-00003.safetensors").write_bytes(b"")


def another_count(folder: Path) -> None:
    """Two sets of the name, such as two copied there from different places."""
    for file in save_model(folder.parent / "split.safetensors", tiny(1), CARD, half=True, shard_bytes=100_000):
        shutil.copy(file, folder)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (missing, "split-00002-of-00003.safetensors: no such file; these weights are 3 files in one folder, found "
         "split-00001-of-00003.safetensors, split-00003-of-00003.safetensors there: put the others there"),
        (other_card, "split-00002-of-00003.safetensors: does not belong to split-00001-of-00003.safetensors beside it: "
         "found another card, expected the same in each of the 3 files"),
        (other_config, "split-00001-of-00003.safetensors beside it: found another config, expected"),
        (other_tensors, "split-00001-of-00003.safetensors beside it: found other tensors, expected"),
        (copied, "-of-00003.safetensors, too: found a copy of it, expected another file of these weights"),
        (truncated, "split-00002-of-00003.safetensors: damaged, truncated or not a safetensors file ("),
        (empty, "split-00002-of-00003.safetensors: damaged, truncated or not a safetensors file ("),
        (another_count, "holds several sets of weights named 'split' "
         "(split-00001-of-00002.safetensors, split-00001-of-00003.safetensors), expected one: delete all but one"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused_in_one_line(
    fault, said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault(folder)
    write_keypoints_npz(tmp_path / "k.npz", keypoints())
    named = ("split",) if fault is another_count else ("split", folder / "split-00003-of-00003.safetensors")
    for source in (*named, folder / "split.safetensors"):
        for read in (load_model, read_card):
            with pytest.raises(PoseMambaError) as caught:
                read(source)
            assert said in str(caught.value) and str(folder) in str(caught.value) and "\n" not in str(caught.value)
        assert said in refused(capsys, "lift", tmp_path / "k.npz", "-o", tmp_path / "out", "--weights", source)
    assert [name for name in known() if name not in bundled()] == ["split"]
    if fault is another_count:
        expected = {name: tensor.half().float() for name, tensor in tiny(1).state_dict().items()}
        assert same(load_model(folder / "split-00002-of-00002.safetensors").state_dict(), expected)
