"""What a training survives: a full disk, validations that are no numbers, damaged files, other settings, kills."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from test_run import recipe, run  # noqa: F401  # the fixture, and a training of seconds

from posemamba.data.mocap.motions import Motions
from posemamba.train import module as module_file
from posemamba.train.checkpoints import check_resumable, load_weights
from posemamba.train.recipe import Recipe
from posemamba.train.run import train
from posemamba.train.sources import Mocap
from posemamba.utils.errors import PoseMambaError


def rows(out: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(out.glob("logs/*/metrics.csv")):
        with path.open(newline="") as file:
            found += [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    return sorted(found, key=lambda row: (int(row["step"]), sorted(row)))


def same(a: Path, b: Path) -> bool:
    one, two = load_weights(a)[0], load_weights(b)[0]
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_full_disk_leaves_the_checkpoint_before(
    recipe: Recipe,  # noqa: F811
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that is full in the middle of the file; then the same call does what an uninterrupted one does."""
    out = tmp_path / "cut"
    saved, calls = torch.save, []

    def full(content: Any, file: Any) -> None:
        calls.append(file)
        if len(calls) == 4:
            Path(file).write_bytes(b"half") if isinstance(file, Path) else None
            raise RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed writing file data/3")
        if len(calls) == 6:
            raise OSError(28, "No space left on device")
        saved(content, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        for _ in range(2):
            with pytest.raises(PoseMambaError, match=r"cannot be written \(.*the one before stays; make room"):
                run(recipe, out, motions)
            assert not list(out.glob(".*unfinished*"))
            assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] > 0
    run(recipe, out, motions)
    run(recipe, tmp_path / "whole", motions)
    assert same(out / "weights.pt", tmp_path / "whole" / "weights.pt")
    assert same(out / "best.pt", tmp_path / "whole" / "best.pt")
    assert rows(out) == rows(tmp_path / "whole")


def test_a_kill_loses_and_doubles_no_rows(
    recipe: Recipe,  # noqa: F811
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = recipe.model_copy(update={"log_every": 1})
    run(recipe, tmp_path / "whole", motions)
    loss, calls = module_file.total_loss, []

    def dies(*args: Any) -> Any:
        calls.append(1)
        if len(calls) in (5, 7, 13):
            raise SystemExit
        return loss(*args)

    monkeypatch.setattr(module_file, "total_loss", dies)
    for _ in range(3):
        with pytest.raises(SystemExit):
            run(recipe, tmp_path / "cut", motions)
    result = run(recipe, tmp_path / "cut", motions)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")

    # killed between the last checkpoint and the weights, which are of a call before
    content = torch.load(result.weights, weights_only=True)
    torch.save({**content, "step": 3, "state_dict": {"a": torch.zeros(1)}}, result.weights)
    run(recipe, tmp_path / "cut", motions)
    assert same(result.weights, tmp_path / "whole" / "weights.pt") and load_weights(result.weights)[2]["step"] == 16


def test_a_validation_that_is_no_number_is_told_and_the_best_weights_stay(
    recipe: Recipe,  # noqa: F811
    motions: Motions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    score, calls = Mocap.score, []

    def broken(self: Mocap, model: Any, part: int) -> Any:
        calls.append(part)
        found = score(self, model, part)
        factor = float("nan") if calls.count(part) in (1, 3) else 1.0
        return {name: (value * factor, count) for name, (value, count) in found.items()}

    monkeypatch.setattr(Mocap, "score", broken)
    result = run(recipe.model_copy(update={"validate_every": 5}), tmp_path, motions)
    said = capsys.readouterr().out
    assert "step 5: the validation is not finite" in said and "no best.pt is kept" in said
    assert "step 15: the validation is not finite" in said and "best.pt keeps those of" in said
    assert result.best is not None and load_weights(result.best)[2]["step"] in (10, 16)


def test_damaged_files_and_files_for_folders_are_refused_and_other_settings_told(
    recipe: Recipe,  # noqa: F811
    motions: Motions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(PoseMambaError, match="file: is a file, expected a folder for the run"):
        train(recipe, file)
    out = tmp_path / "out"
    run(recipe.model_copy(update={"epochs": 1}), out, motions)
    capsys.readouterr()
    losses = {**recipe.losses, "velocity": 3.0}
    run(recipe.model_copy(update={"batch": 3, "losses": losses}), out, motions)
    said = capsys.readouterr().out
    assert (
        "last.ckpt: goes on from step 8 with other settings than before: batch = 3, was 2; epochs = 2, was 1; " in said
    )
    assert f"losses.velocity = 3.0, was {recipe.losses['velocity']}" in said
    for name in ("last.ckpt", "best.pt"):
        whole = (out / name).read_bytes()
        with zipfile.ZipFile(out / name) as archive:
            entry = max(archive.infolist(), key=lambda one: one.file_size)
        broken = bytearray(whole)
        broken[entry.header_offset + 200 + entry.file_size // 2] ^= 1
        (out / name).write_bytes(broken)
        other = {"last.ckpt": r"weights\.pt of step 16 is whole: .*--set start_from=.*weights\.pt"}
        other["best.pt"] = r"last\.ckpt of step 16 is whole, and the same call goes on from it"
        with pytest.raises(PoseMambaError, match=rf"{name}: damaged \(the checksum of .*move it away; .*{other[name]}"):
            run(recipe.model_copy(update={"epochs": 3}), out, motions)
        (out / name).write_bytes(whole)
    (out / "last.ckpt").write_bytes(b"cut")
    with pytest.raises(PoseMambaError, match=r"last\.ckpt: not a checkpoint .*weights\.pt of step 16 is whole"):
        run(recipe, out, motions)
    (out / "last.ckpt").unlink()
    run(recipe.model_copy(update={"epochs": 1, "start_from": str(out / "weights.pt")}), out, motions)
    (out / "last.ckpt").write_bytes(b"cut")
    for name in ("best.pt", "weights.pt"):
        (out / name).write_bytes(b"PK")
    with pytest.raises(PoseMambaError, match=r"no other file of the run is whole, and the same call starts anew"):
        run(recipe, out, motions)
    odd = {**recipe.model_dump(mode="json"), "x": 1, 2: 3}
    torch.save({"global_step": 3, "training_seconds": 1.0, "recipe": odd}, out / "last.ckpt")
    assert check_resumable(out / "last.ckpt", recipe) == (3, 1.0)
