"""posemamba table: results of runs collected, departures reported, runs made; Human3.6M's fixture by commands."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from posemamba import cli
from posemamba.paper.collect import collect, find_table, recipe_of, run_table
from posemamba.paper.curves import write_table_curves
from posemamba.paper.tables import TABLES, Table
from posemamba.train.initialisation import config_of
from posemamba.train.losses import PAPER_WEIGHTS
from posemamba.train.recipe import Human36MData, Recipe, load_recipe
from posemamba.utils.errors import PoseMambaError


def kept(folder: Path, recipe: Recipe, step: int, last: int, **scores: float) -> None:
    """A run's folder as training leaves it, without weights."""
    folder.mkdir(parents=True)
    details = {"p1": scores["p1"], **{f"val_{name}_test": value for name, value in scores.items()}}
    content = {"state_dict": {}, "recipe": recipe.model_dump(mode="json"), "step": step, "details": details}
    torch.save(content, folder / "best.pt")
    torch.save({"global_step": last, "training_seconds": 0.0, "recipe": content["recipe"]}, folder / "last.ckpt")


def test_a_run_is_described_by_its_epochs_and_departures(tmp_path):
    small = load_recipe("human36m").of_pass(10)
    kept(tmp_path / "human36m_s", small, 970, 1200, p1=41.5, p2=34.9)
    wrong = small.model_copy(update={"batch": 32, "data": small.data.model_copy(update={"inputs": "exact"})})
    kept(tmp_path / "human36m_b", wrong, 20, 25, p1=40.0, p2=33.0)
    kept(tmp_path / "human36m_l", small.model_copy(update={"validation": "last"}), 1200, 1200, p1=40.0, p2=33.0)
    (tmp_path / "human36m_x").mkdir()
    (tmp_path / "human36m_x" / "last.ckpt").touch()
    found = collect(TABLES[1], tmp_path)
    assert found["human36m_s"].values == {"p1": 41.5, "p2": 34.9}
    assert found["human36m_s"].state == "120 epochs, best by the test set: 97"
    said = found["human36m_b"].state
    assert said.startswith("2 of 120 epochs, best by the test set: 2; another model: N 20, d_m 64, T 243; exact 2D")
    assert "differs from the recipe of human36m_b in model, data, batch" in said
    assert found["human36m_l"].state.startswith("120 epochs, the last; another model")
    assert found["human36m_x"].state == "begun, no validation yet"
    assert found["human36m_x_exact"].state == "not run"
    fs = collect(TABLES[4], tmp_path / "none")
    assert {outcome.state for outcome in fs.values()} == {"not run"}


def test_seeds_of_a_run_are_one_outcome_and_curves(tmp_path):
    recipe = load_recipe("mocap_81").model_copy(update={"seed": 1, "budget_minutes": 6.0})
    table = find_table(4, "mocap_81")
    for seed, (exact, noisy) in enumerate(((39.3, 49.3), (39.1, 49.6), (39.2, 49.6), (39.0, 49.1)), start=1):
        folder = tmp_path / ("mocap_81_s" if seed == 1 else f"mocap_81_s_seed{seed}")
        kept(folder, recipe.model_copy(update={"seed": seed}), 7000, 7000, p1=44.0)
        content = torch.load(folder / "best.pt", weights_only=True)
        content["details"] = {"val_p1_exact": exact, "val_p1_noisy": noisy}
        torch.save(content, folder / "best.pt")
        (folder / "logs" / "from_step_0").mkdir(parents=True)
        rows = f"step,val_p1_exact,val_p1_noisy\n2000,{exact + 9},{noisy + 9}\n7000,{exact},{noisy}\n"
        (folder / "logs" / "from_step_0" / "metrics.csv").write_text(rows)
    found = collect(table, tmp_path)["mocap_81_s"]
    assert found.values == pytest.approx({"exact": 39.15, "noisy": 49.4}) and found.runs == 4
    assert found.deviations == pytest.approx({"exact": 0.1291, "noisy": 0.2449}, abs=1e-4)
    assert found.state == "4 seeds: 7000 steps in 6 minutes"
    write_table_curves(table, tmp_path, tmp_path / "curves.csv")
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert lines[0] == "run,score,step,mean_mm,least_mm,most_mm,seeds"
    assert lines[2] == "mocap_81_s,p1_exact,7000,39.15,39,39.3,4" and len(lines) == 5
    pytest.importorskip("matplotlib")
    write_table_curves(table, tmp_path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    with pytest.raises(PoseMambaError, match="no scores over steps in it of runs of table 5"):
        write_table_curves(TABLES[5], tmp_path, tmp_path / "none.csv")
    seed = recipe_of(table, "mocap_81_s_bidirectional", ["budget_minutes=6"], 2)
    assert (seed.name, seed.seed, seed.model.options["scan_order"]) == (
        "mocap_81_s_bidirectional_seed3",
        3,
        "bidirectional",
    )


def test_scores_of_evaluate_go_before_the_runs_own(tmp_path):
    def score(run: str, **content: object) -> None:
        (tmp_path / run).mkdir(exist_ok=True)
        (tmp_path / run / "test.json").write_text(json.dumps(content))

    human = {"format": "posemamba-human36m-1", "name": "theirs", "protocol": "paper", "inputs": "detected"}
    score("human36m_l", **human, flip=True, clip_frames=243, p1_mm=38.5, p2_mm=32.6)
    score("human36m_s_exact", **{**human, "protocol": "all-frames"}, flip=False, clip_frames=81, p1_mm=1, p2_mm=2)
    found = collect(TABLES[1], tmp_path)
    assert found["human36m_l"].values == {"p1": 38.5, "p2": 32.6}
    assert found["human36m_l"].state == "evaluated: theirs"
    assert found["human36m_s_exact"].state == (
        "evaluated: theirs; protocol all-frames; clip_frames 81; detected 2D; no flip averaging"
    )
    overall = {"mpjpe": 17.5, "p_mpjpe": 12.0}
    score("mpi_inf_3dhp_s27", format="posemamba-mpi-inf-3dhp-1", name="n", flip=True, frames=27, overall=overall)
    assert collect(TABLES[3], tmp_path)["mpi_inf_3dhp_s27"].values["p1"] == 17.5
    score("human36m_l", nothing=1)
    with pytest.raises(PoseMambaError, match="not scores that posemamba evaluate"):
        collect(TABLES[1], tmp_path)


def test_runs_of_other_data_and_wrong_settings_are_refused(tmp_path):
    with pytest.raises(PoseMambaError, match="table 7: expected 1 to 6"):
        find_table(7)
    with pytest.raises(PoseMambaError, match="no field bach; did you mean batch"):
        run_table(TABLES[1], ["human36m_s"], tmp_path, settings=["bach=3"])
    with pytest.raises(PoseMambaError, match="give its place by --data"):
        run_table(TABLES[1], ["human36m_s"], tmp_path, say=lambda line: None)
    recipe = load_recipe("mocap")
    torch.save({"state_dict": {}, "recipe": recipe.model_dump(mode="json"), "step": 1, "details": {}}, tmp_path / "b")
    (tmp_path / "human36m_s").mkdir(exist_ok=True)
    (tmp_path / "b").rename(tmp_path / "human36m_s" / "best.pt")
    with pytest.raises(PoseMambaError, match="a run on mocap, not on the table's data"):
        collect(TABLES[1], tmp_path)


def test_a_damaged_run_leaves_no_curves(tmp_path, capsys):
    kept(tmp_path / "human36m_s", load_recipe("human36m").of_pass(10), 970, 1200, p1=41.5, p2=34.9)
    log = tmp_path / "human36m_s" / "logs" / "from_step_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("step,val_p1_test\n5,41.5\n")
    line = ["table", "1", "--runs", str(tmp_path), "--curves", str(tmp_path / "c.csv"), "-o", str(tmp_path / "t.txt")]
    (tmp_path / "human36m_s" / "best.pt").write_bytes(b"no weights")
    assert cli.main(line) == 2
    assert "best.pt" in capsys.readouterr().err
    assert not (tmp_path / "c.csv").exists() and not (tmp_path / "t.txt").exists()
    content = {"state_dict": {}, "recipe": load_recipe("human36m").model_dump(mode="json"), "step": 1}
    torch.save({**content, "details": {"val_p1_test": [1.0]}}, tmp_path / "human36m_s" / "best.pt")
    assert cli.main(line) == 2
    assert "best.pt: cannot be read as the scores that training kept" in capsys.readouterr().err


def test_names_of_scores_are_one_line_of_any_encoding(tmp_path):
    scores = {"format": "posemamba-human36m-1", "name": "a\nb\ud800", "protocol": "paper", "inputs": "detected"}
    scores |= {"flip": True, "clip_frames": 243, "p1_mm": 38.5, "p2_mm": 32.6}
    (tmp_path / "runs" / "human36m_s").mkdir(parents=True)
    (tmp_path / "runs" / "human36m_s" / "test.json").write_text(json.dumps(scores))
    line = ["table", "1", "--runs", str(tmp_path / "runs"), "-o", str(tmp_path / "t.txt")]
    assert cli.main(line) == 0
    assert "evaluated: a b\\ud800" in (tmp_path / "t.txt").read_text()


def test_a_run_ends_with_its_budget_in_minutes_and_not_with_its_steps(tmp_path):
    (tmp_path / "human36m_s").mkdir()
    recipe = load_recipe("human36m").model_copy(update={"budget_minutes": 2.0})
    said = []
    for step, seconds, finished in ((3, 120.0, True), (recipe.total_steps + 1, 119.0, False)):
        content = {"global_step": step, "training_seconds": seconds, "recipe": recipe.model_dump(mode="json")}
        torch.save(content, tmp_path / "human36m_s" / "last.ckpt")
        run_table(TABLES[1], ["human36m_s"], tmp_path, max_minutes=0, say=said.append)
        assert said.pop() == f"human36m_s: {'finished earlier' if finished else 'no time left, call again to resume'}"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("table 9", "expected 1 to 6"),
        ("table 1 --format html", "expected text, csv or latex"),
        ("table 1 --data x", "--data is for training: add --run"),
        ("table 1 --set lr=1", "--set is for training: add --run"),
        ("table 2 --run", "nothing to train"),
        ("table 4 --run --only human36m_x", "table 4 has no human36m_x"),
        ("table 1 --run --device tpu", "expected auto, cpu or gpu"),
        ("table 4 --seeds 3", "--seeds is for training: add --run"),
        ("table 4 --run --seeds 0", "--seeds is 0, expected 1 or more"),
        ("table 4 --recipe mpi_inf_3dhp", "its data are mpi_inf_3dhp, expected motion capture"),
        ("table 2 --recipe mocap_81", "table 2 is counted, there is nothing to train: leave out --recipe"),
        (f"table 4 --runs {__file__}", "is a file, expected a folder with a folder for each run"),
        ("table 4 --runs none/of/these", "none/of/these: no such folder; expected one with a folder for each run"),
        ("table 4 --curves runs.gif", "expected a name that ends with .png, .svg, .pdf or .csv"),
    ],
)
def test_the_command_refuses_in_one_line(line, named, capsys):
    assert cli.main(line.split()) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1


def test_without_runs_the_papers_numbers_are_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["table", "4"]) == 0
    assert "not run" in capsys.readouterr().out


@pytest.mark.slow
def test_from_the_data_to_the_table_by_commands_alone(shared, tmp_path, capsys, monkeypatch):
    """Two epochs of a tiny model on the fixture in Human3.6M's format, in two calls, evaluated, beside the paper."""
    data = tmp_path / "data" / "h36m_sh_conf_cam_source_final.pkl"
    data.parent.mkdir()
    data.write_bytes(shared("parity", "h36m_format", "h36m_sh_conf_cam_source_final.pkl").read_bytes())
    monkeypatch.chdir(tmp_path)
    tiny = "--set model.options.width=16 --set model.options.depth=1 --set epochs=2 --set batch=2"

    def call(line: str) -> str:
        assert cli.main(line.split()) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert "human3.6m" in call("data check data").lower()
    run = f"table 1 --run --only human36m_s {tiny} --data data --device cpu -o table.csv --format csv"
    call(f"{run} --max-minutes 0.0001")

    def of_s(column: str) -> dict[str, str]:
        rows = csv.DictReader(io.StringIO(Path("table.csv").read_text()))
        return next(row for row in rows if row["row"].startswith("PoseMamba-S") and row["column"] == column)

    first = of_s("P1 (mm)")
    assert first["here"] == "" and first["state"] == "begun, no validation yet"
    call(run)
    errors = {column: of_s(column) for column in ("P1 (mm)", "P2 (mm)", "P1†, GT 2D (mm)")}
    assert errors["P1 (mm)"]["state"].startswith("2 epochs, best by the test set: ")
    departures = "another model: N 2, d_m 16, T 243; differs from the recipe of human36m_s in model, batch"
    assert errors["P1 (mm)"]["state"].endswith(departures)
    assert errors["P1†, GT 2D (mm)"]["state"] == "not run"
    call("export runs/human36m_s --best --format authors -o tiny.bin")
    call("evaluate tiny.bin data --device cpu --json score.json")
    scored = json.loads(Path("score.json").read_text())
    assert float(errors["P1 (mm)"]["here"]) == pytest.approx(scored["p1_mm"], rel=1e-5)
    assert float(errors["P2 (mm)"]["here"]) == pytest.approx(scored["p2_mm"], rel=1e-5)
    assert "finished earlier" not in call("table 1")
    assert "nothing was kept" in call(f"train human36m {tiny} -o x --data data --device cpu --fast-dev-run")
    assert not Path("x").exists()


RUNS = [(table, run) for table in TABLES.values() for run in table.all_runs]


@pytest.mark.parametrize(("table", "run"), RUNS, ids=[f"{table.number}-{run}" for table, run in RUNS])
def test_each_run_has_the_settings_that_its_table_states(table: Table, run: str) -> None:
    row, recipe = table.all_runs[run], recipe_of(table, run)
    config = config_of(recipe)
    assert recipe.name == run and recipe.data.kind == table.recipe
    assert (recipe.model.kind, recipe.model.size, config.frames) == (row.kind, row.size, row.frames)
    if row.kind == "posemamba":
        assert (2 * config.depth, config.width) == (row.blocks, row.width)
        assert config.scan_order == row.order and not config.published_gradient
        assert config.merge_weight == run.endswith("merge_weight")
    assert {name for name in PAPER_WEIGHTS if not recipe.losses[name]} == set(row.without)
    assert all(recipe.losses[name] in (0, weight) for name, weight in PAPER_WEIGHTS.items())
    assert (recipe.epochs, recipe.batch, recipe.lr, recipe.lr_decay, recipe.weight_decay) == (120, 4, 2e-4, 0.99, 0.01)
    assert recipe.data.frames == row.frames and recipe.data.flip
    if isinstance(recipe.data, Human36MData):
        assert recipe.data.stride == 81 and recipe.data.inputs == ("exact" if run == row.run_exact else "detected")


def test_labels_of_losses_and_orders_are_those_of_the_settings() -> None:
    for row in TABLES[5].rows:
        assert ("2D-Loss" in row.label) == ("n_mpjpe" not in row.without)
        assert ("T-Loss" in row.label) == (not {"velocity", "temporal_consistency"} & set(row.without))
    assert len({row.order for row in TABLES[4].rows}) == len(TABLES[4].rows)
    assert len({run for table in TABLES.values() for run in table.runs}) == 27
