import re

import pytest
import torch

from fixtures.paths import ROOT
from posemamba.paper.tables import TABLES
from posemamba.train.initialisation import build_model
from posemamba.train.losses import PAPER_WEIGHTS
from posemamba.train.recipe import Recipe, load_recipe
from posemamba.utils.errors import PoseMambaError

RECIPES = ROOT / "recipes"


def test_shipped_recipe_is_valid_and_ends_with_a_learning_rate_near_zero():
    recipe = load_recipe(RECIPES / "mocap_s.yaml")
    assert recipe.lr_at(0) < recipe.lr / 100
    assert recipe.lr_at(recipe.warmup_steps) == pytest.approx(recipe.lr)
    assert recipe.lr_at(recipe.total_steps) == pytest.approx(recipe.final_lr)


def test_paper_schedule_decays_once_an_epoch():
    recipe = Recipe(steps_per_epoch=10)
    assert recipe.lr_at(9) == pytest.approx(2e-4)
    assert recipe.lr_at(10) == pytest.approx(2e-4 * 0.99)
    assert recipe.lr_at(25) == pytest.approx(2e-4 * 0.99**2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("learning_rate: 1", "learning_rate: unknown field"),
        ("data: {focals: [1, 2]}", "data.focals: unknown field"),
        ("batch: 0", "batch: "),
        ("losses: {mpjp: 1}", "mpjp"),
        ("- 1", "mapping"),
        ("a: [", "not YAML"),
        ("data: {kind: human36m, clean: 1}", "data.clean: unknown field"),
        ("data: {kind: imagenet}", "data: "),
        ("data: {kind: human36m}\nloss_unit: body", "for mocap"),
        ("data: {kind: human36m, frames: 300}", "data.frames is 300, the model has places for 243"),
        ("base: none.yaml", "base: "),
        ("base: recipe.yaml", "based on this recipe itself"),
        ("base: [1]", "expected the name of a recipe"),
        ("validation: sometimes", "validation"),
        ("model: {kind: poseformer}", "model.kind: "),
        ("model: {kind: motionbert, size: s}", "size is 's', MotionBERT has base, lite"),
        ("model: {size: xs}", "size is 'xs', PoseMamba has s, b, l, x"),
        ("model: {kind: motionagformer}", "clips of 243 frames, this MotionAGFormer takes 81 at most"),
        ("data: {lengths: {300: 1}}", "data.lengths has clips of 300 frames, this PoseMamba takes 243"),
        ("model: {kind: motionbert}\nrecompute: true", "recompute is for PoseMamba"),
        ("budget_minutes: 0", "budget_minutes: "),
    ],
)
def test_wrong_recipes_name_what_is_wrong_in_one_line(tmp_path, text, named):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(PoseMambaError) as error:
        load_recipe(path)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_recipe(tmp_path):
    with pytest.raises(PoseMambaError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


def test_benchmarks_have_fields_of_their_own_and_mocap_is_the_default():
    assert Recipe(data={"body": {"bone_scale": False}}).data.kind == "mocap"
    data = Recipe(data={"kind": "human36m", "inputs": "exact"}).data
    assert (data.frames, data.stride, data.inputs) == (243, 81, "exact")
    assert Recipe.model_validate(Recipe(data=data).model_dump(mode="json")).data == data


def test_a_recipe_goes_before_its_base_field_by_field(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {size: b, options: {depth: 3}}\nlosses: {mpjpe: 1, velocity: 9}\nseed: 4")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nmodel: {options: {width: 32}}\nlosses: {velocity: 0}")
    (tmp_path / "c.yaml").write_text("base: b.yaml\nseed: 5")
    recipe = load_recipe(tmp_path / "c.yaml", batch=7)
    assert recipe.model.size == "b" and recipe.model.options == {"depth": 3, "width": 32}
    assert recipe.losses == {"mpjpe": 1, "velocity": 0} and (recipe.seed, recipe.batch) == (5, 7)


def test_shares_of_lengths_are_taken_over_as_a_whole(tmp_path):
    (tmp_path / "a.yaml").write_text("data: {lengths: {243: 0.9, 81: 0.1}, clean: 0.5}")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nmodel: {options: {frames: 81}}\ndata: {lengths: {81: 1}}")
    recipe = load_recipe(tmp_path / "b.yaml")
    assert recipe.data.lengths == {81: 1} and recipe.data.clean == 0.5


def test_the_kind_defaults_to_ours_and_the_size_to_its_first():
    assert Recipe().model.model_dump() == {"kind": "posemamba", "size": "s", "options": {}}
    assert Recipe(model={"kind": "motionbert"}).model.size == "base"
    with torch.device("meta"):
        model = build_model(load_recipe(RECIPES / "mocap_motionbert_small.yaml"))
        assert type(model).__name__ == "MotionBERT" and model.config.width == 96
        assert build_model(load_recipe(RECIPES / "mocap_motionagformer_s.yaml")).config.frames == 81


@pytest.mark.parametrize("kind", ["posemamba", "motionagformer", "motionbert"])
def test_an_option_that_does_not_exist_is_named(kind):
    recipe = Recipe(model={"kind": kind, "options": {"widht": 3}}, data={"lengths": {27: 1}})
    with pytest.raises(PoseMambaError, match=r"model\.options: widht: "):
        build_model(recipe)


@pytest.mark.parametrize("schedule", ["cosine", "exponential"])
def test_with_a_budget_the_schedule_follows_the_time(schedule):
    steps = Recipe(schedule=schedule, epochs=10, steps_per_epoch=100, final_lr=1e-6, warmup_steps=4)
    timed = steps.model_copy(update={"budget_minutes": 20.0, "warmup_steps": 4})
    plain = steps.model_copy(update={"warmup_steps": 0})
    for share in (0.0, 0.25, 0.5, 0.999, 1.0):
        assert timed.lr_at(5000, share * 1200) == pytest.approx(plain.lr_at(int(share * 1000)))
    assert timed.lr_at(0, 600) == pytest.approx(timed.lr_at(99, 600) / 4)
    assert timed.lr_at(9, 3000) == timed.lr_at(9, 1200)
    assert not timed.done(10**6, 1199.9) and timed.done(3, 1200) and steps.done(1000, 0) and not steps.done(999, 9999)


def test_an_epoch_is_a_pass_unless_the_recipe_says_otherwise():
    recipe = Recipe(data={"kind": "human36m"}).of_pass(30)
    assert (recipe.steps_per_epoch, recipe.validate_every, recipe.total_steps) == (30, 30, 120 * 30)
    assert recipe.of_pass(30) == recipe
    assert Recipe(validate_every=7).of_pass(30).validate_every == 7
    with pytest.raises(PoseMambaError, match="steps_per_epoch is 1000, a pass over the data takes 30"):
        Recipe(steps_per_epoch=1000).of_pass(30)


ROWS = [(table, row) for table in TABLES.values() for row in table.rows if row.recipe]


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[f"{t.number}-{r.recipe}" for t, r in ROWS])
def test_each_row_of_the_papers_tables_has_its_recipe(table, row):
    """The paper's model, training and number, in words and in fields."""
    for name in row.recipes:
        recipe = load_recipe(RECIPES / f"{name}.yaml")
        with torch.device("meta"):
            config = build_model(recipe).config
        assert recipe.name == name
        assert (2 * config.depth, config.width, config.frames) == (row.blocks, row.width, row.frames)
        assert config.scan_order == row.order and not config.published_gradient and config.drop_path == 0.2
        assert recipe.data.kind == ("mpi_inf_3dhp" if table.number == 3 else "human36m")
        assert recipe.data.frames == row.frames and recipe.data.flip
        assert (recipe.epochs, recipe.batch, recipe.lr, recipe.lr_decay) == (120, 4, 2e-4, 0.99)
        assert recipe.weight_decay == 0.01 and recipe.schedule == "exponential"
        if table.number != 3:
            exact = name == row.recipe_exact
            assert recipe.data.stride == 81 and recipe.data.inputs == ("exact" if exact else "detected")
        if table.number != 5:
            assert recipe.losses == dict(PAPER_WEIGHTS)
        said = " ".join(re.findall(r"^# (.*)$", (RECIPES / f"{name}.yaml").read_text(), re.M))
        digits = 2 if table.number == 3 else 1
        aims = {c: v for c, v in row.paper.items() if row.recipe_of(c) == name}
        assert aims and all(f"{value:.{digits}f} mm" in said for value in aims.values()), said
        assert f"table {table.number}" in said or f"tables 4 and {table.number}" in said or name == "human36m_s"
        assert "Not run here" in said


def test_loss_ablations_leave_out_what_they_say():
    kept = {
        row.label: {name for name, weight in load_recipe(RECIPES / f"{row.recipe}.yaml").losses.items() if weight}
        for row in TABLES[5].rows
    }
    everything, time = set(PAPER_WEIGHTS), {"velocity", "temporal_consistency"}
    assert list(kept.values()) == [{"mpjpe"}, everything - time, everything - {"n_mpjpe"}, everything]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_as_its_file(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    aimed_at = {name for table in TABLES.values() for name in table.recipes}
    others = {"human36m_s_batch32", "human36m_l_batch32", "human36m_s_published"}
    others |= {path.stem for path in RECIPES.glob("mocap_*.yaml")}
    assert path.stem in aimed_at | others
    if path.stem.endswith("_batch32"):
        usual = load_recipe(path.with_name(path.name.replace("_batch32", "")))
        assert recipe == usual.model_copy(update={"name": recipe.name, "batch": 32})
