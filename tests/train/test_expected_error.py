"""A head that learns how far off a model's joints are: it learns it, and changes nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from posemamba.cli import _calibrate as calibrate_command
from posemamba.cli import main
from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.options import MocapOptions
from posemamba.evaluate.angle_table import read_angles_card
from posemamba.evaluate.expected_error import expected_errors
from posemamba.lifting.lifter import Lifter
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import load_model, save_model
from posemamba.poses.angle_table import AngleErrorTable
from posemamba.train.expected_error import ErrorFit, fit_errors
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Recipe
from posemamba.weights.files import read_card

pytestmark = pytest.mark.slow  # a head is trained: half a minute

FIT = ErrorFit(width=16, batches=12, clips=6, frames=9, steps=600, rows=64)


def tiny() -> PoseMamba:
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=16, depth=1, frames=27, drop_path=0.0).eval()
    with torch.no_grad():
        model.Spatial_pos_embed.normal_(std=0.5)
    return model


def source(motions, seed=5) -> MocapSource:
    return MocapSource(motions, MocapOptions(lengths={27: 0.5, 9: 0.5}), seed)


def test_it_learns_which_joints_are_off_and_lifting_stays(motions):
    model = tiny()
    told = fit_errors(model, source(motions), person_size=0.25, fit=FIT)
    again = fit_errors(told, source(motions), person_size=0.25, fit=FIT)
    torch.manual_seed(1)
    twin = fit_errors(model, source(motions), person_size=0.25, fit=replace(FIT, steps=1))
    torch.manual_seed(2)
    other = fit_errors(model, source(motions), person_size=0.25, fit=replace(FIT, steps=1))
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-3, atol=1e-5)
    for name, value in model.state_dict().items():
        assert torch.equal(told.state_dict()[name], value)
    batch = source(motions, seed=6).batch(0, 16, frames=27).zoomed(0.25)
    with torch.no_grad():
        y, expected = told.with_errors(batch.input)
        torch.testing.assert_close(y, model(batch.input))
        fresh = again.with_errors(batch.input)[1][:, :, 1:]
    true = (y - y[:, :, :1] - batch.target).norm(dim=-1)[:, :, 1:]
    expected = expected[:, :, 1:]
    assert fresh.mean() == pytest.approx(float(expected.mean()), rel=0.05)  # a head is put in the place of a head
    assert expected.mean() == pytest.approx(float(true.mean()), rel=0.2)
    surprise = (expected.log() + true / expected).mean()
    assert surprise < true.mean().log() + 1 - 0.1  # what one number for all joints would give
    by_joint = np.corrcoef(expected.mean((0, 1)).numpy(), true.mean((0, 1)).numpy())
    assert by_joint[0, 1] > 0.9


def test_the_command_fits_measures_and_keeps(motions, tmp_path, monkeypatch, capsys):
    asked = []

    def load(directory, split):
        asked.append(split)
        return motions

    monkeypatch.setattr(calibrate_command, "load_motions", load)
    fit = calibrate_command.fit_errors
    monkeypatch.setattr(calibrate_command, "fit_errors", lambda *a, **k: fit(*a, **k, fit=FIT))
    recipe = {"data": {"kind": "mocap", "lengths": {"27": 1.0}}}
    save_model(tmp_path / "given.safetensors", tiny(), {"person_size": 0.25, "recipe": recipe})
    given, out = str(tmp_path / "given.safetensors"), str(tmp_path / "told.safetensors")
    assert main(["calibrate", given]) == 2
    assert "does not tell expected errors yet; --out NAME.safetensors adds that" in capsys.readouterr().err
    assert main(["calibrate", given, "-o", out]) == 0
    said = capsys.readouterr().out
    assert asked == ["train", "validation", "test"]  # fitted to the first
    card = read_card(out)["card"]
    assert card["person_size"] == 0.25 and said.count("| test, ") == 2
    model = load_model(out)
    found = expected_errors(model, motions, person_size=0.25)["exact"]
    assert card["expected_error"]["test"]["exact"]["expected"] == pytest.approx(found.expected, rel=1e-3)
    assert found.true == pytest.approx(float(np.mean([t for _, t in found.bins])), rel=1e-2)
    assert json.dumps(card)
    assert main(["calibrate", out]) == 0
    said = capsys.readouterr().out
    assert "| validation, noisy |" in said and "| knee flexion, exact |" in said and "true error (told)" in said
    # angles: the table is in the card and reaches what is lifted, and can be made anew by itself
    table = AngleErrorTable.from_card(card["angle_errors"])
    assert table is not None and Lifter.from_pretrained(out).angle_errors == table
    scores, told = read_angles_card(card["angles"])
    assert scores["noisy"]["knee_flexion"]["all"].frames == 2 * sum(motions.lengths)
    assert told["knee_flexion"].told == pytest.approx(told["knee_flexion"].true, rel=0.3)
    assert told["knee_flexion"].true == pytest.approx(scores["noisy"]["knee_flexion"]["all"].mae_deg, abs=0.02)
    again = str(tmp_path / "again.safetensors")
    assert main(["calibrate", out, "-o", again, "--angles-only"]) == 0
    assert read_card(again)["card"]["angle_errors"] == card["angle_errors"]
    for name, value in load_model(again).state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    capsys.readouterr()
    for arguments, what in (
        ([given, "-o", again, "--angles-only"], "does not tell expected errors yet; leave out --angles-only"),
        ([out, "--angles-only"], "nothing is without --out NAME.safetensors"),
    ):
        assert main(["calibrate", *arguments]) == 2 and what in capsys.readouterr().err
    for number, (fields, what) in enumerate(
        (
            ({"recipe": {"data": {"kind": "human36m"}}}, "was not trained on motion capture"),
            ({}, "no recipe that says how training clips are made"),
            ({"recipe": {"data": None}}, "no recipe that says"),
            ({"recipe": {"data": {"lengths": {"243": 1}}}}, "no clips of 9 to 27 frames"),
            ({"recipe": {"data": {"wings": 2}}}, "does not fit this version"),
            ({"recipe": recipe, "person_size": "large"}, "person_size in its card is 'large'"),
        )
    ):
        save_model(tmp_path / f"{number}.safetensors", tiny(), fields)
        assert main(["calibrate", str(tmp_path / f"{number}.safetensors"), "-o", out]) == 2
        said = capsys.readouterr().err
        assert what in said and said.count("\n") == 1
    assert main(["calibrate", given, "-o", str(tmp_path / "nowhere" / "a.safetensors")]) == 2
    assert "cannot write there" in capsys.readouterr().err
    # others start from it, and the authors' code gets what it knows
    options = {"width": 16, "depth": 1, "frames": 27}
    started = build_model(Recipe(model={"options": options}, data={"lengths": {27: 1}}, start_from=out))
    assert started.error_head is None and torch.equal(started.head[1].weight, model.head[1].weight)
    with pytest.raises(ValueError, match="fitted afterwards, by 'posemamba calibrate'"):
        Recipe(model={"options": {**options, "error_width": 8}}, data={"lengths": {27: 1}})
    assert main(["export", out, "--format", "authors", "-o", str(tmp_path / "a.bin")]) == 0
    assert "does not hold the expected errors, person_size" in capsys.readouterr().err
    assert not [n for n in torch.load(tmp_path / "a.bin")["model_pos"] if "error_head" in n]
