import pytest
import torch

from posemamba import cli
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Recipe, load_recipe
from posemamba.train.recipe_files import bundled, summary
from posemamba.utils.errors import PoseMambaError


def test_shipped_recipe_is_valid_and_ends_with_a_learning_rate_near_zero():
    recipe = load_recipe("mocap")
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
        ("data: {camera: {focals: [1, 2]}}", "data.camera.focals: unknown field; did you mean data.camera.focal?"),
        ("data: {clean: 1}", "data.clean: unknown field; did you mean data.detector.clean_share?"),
        ("data: {detector: {clean_share: 2}}", "data.detector.clean_share: "),
        ("sizes: [1]", "sizes: expected a mapping"),
        ("batch: 0", "batch: "),
        ("losses: {mpjp: 1}", "mpjp"),
        ("- 1", "mapping"),
        ("a: [", "not YAML"),
        ("data: {kind: human36m, clean: 1}", "data.clean: unknown field"),
        ("data: {kind: imagenet}", "data: "),
        ("data: {kind: human36m}\nloss_unit: body", "for mocap"),
        ("data: {kind: human36m, frames: 300}", "data.frames is 300, the model takes 243 at most"),
        ("base: none.yaml", "base: "),
        ("base: recipe.yaml", "based on this recipe itself"),
        ("base: [1]", "expected a recipe's name"),
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
    with pytest.raises(PoseMambaError, match=r"neither a file nor one of .*; did you mean mocap"):
        load_recipe("mocap_s")


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
    (tmp_path / "a.yaml").write_text("data: {lengths: {243: 0.9, 81: 0.1}, detector: {clean_share: 0.5}}")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nmodel: {options: {frames: 81}}\ndata: {lengths: {81: 1}}")
    recipe = load_recipe(tmp_path / "b.yaml")
    assert recipe.data.lengths == {81: 1} and recipe.data.detector.clean_share == 0.5


def test_the_kind_defaults_to_ours_and_the_size_to_its_first():
    assert Recipe().model.model_dump() == {"kind": "posemamba", "size": "s", "options": {}}
    assert Recipe(model={"kind": "motionbert"}).model.size == "base"
    with torch.device("meta"):
        model = build_model(load_recipe("mocap_motionbert"))
        assert type(model).__name__ == "MotionBERT" and model.config.width == 96
        assert build_model(load_recipe("mocap_motionagformer")).config.frames == 81


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


@pytest.mark.parametrize("name", bundled())
def test_every_recipe_of_the_package_is_valid_complete_and_described(name):
    recipe = load_recipe(name)
    assert recipe.name == f"{name}_{recipe.model.size}" and recipe.start_from is None
    with torch.device("meta"):
        assert build_model(recipe).config.frames == recipe.model.frames
    assert 20 < len(summary(bundled()[name])) <= 110


def test_at_most_nine_recipes():
    assert len(bundled()) <= 9


def test_a_size_brings_its_values_and_a_users_own_go_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # bundled recipes are found from anywhere
    small, large = load_recipe("mocap"), load_recipe("mocap", size="l")
    assert (small.model.size, small.matrix_lr, small.lr) == ("s", 2e-3, 4e-4)
    assert (large.name, large.model.size, large.matrix_lr, large.lr) == ("mocap_l", "l", 1.5e-3, 3e-4)
    assert large.model.options == small.model.options and large.data == small.data
    (tmp_path / "mine.yaml").write_text("base: mocap\nlr: 1.0e-5\nmodel: {size: b}\nsizes: {l: {lr: 2.0e-5}}")
    mine = load_recipe("mine.yaml")
    assert (mine.name, mine.lr, mine.matrix_lr, mine.batch) == ("mine_b", 1e-5, 1.5e-3, small.batch)
    assert load_recipe("mine.yaml", size="l").lr == 2e-5
    with pytest.raises(PoseMambaError, match="size is 'q', PoseMamba has s, b, l, x"):
        load_recipe("mocap", size="q")


def test_settings_reach_every_field():
    settings = [
        "model.options.depth=6",
        "lr=1e-3",
        "recover=null",
        "data.camera.focal.1=2",
        "data.lengths.27=0.5",
        "losses.velocity=3",
        "data.extra=[a.npz, b.npz]",
    ]
    recipe, plain = load_recipe("mocap", settings=settings), load_recipe("mocap")
    assert recipe.model.options == {**plain.model.options, "depth": 6}
    assert recipe.lr == 1e-3 and recipe.recover is None
    assert recipe.data.camera.focal == (0.6, 2.0) and recipe.data.lengths == {**plain.data.lengths, 27: 0.5}
    assert {n: w for n, w in recipe.losses.items() if w} == {**plain.losses, "velocity": 3.0}
    assert [str(path) for path in recipe.data.extra] == ["a.npz", "b.npz"]
    benchmark = load_recipe("human36m", settings=["batch=32"])
    assert benchmark.of_pass(30).validate_every == 30  # settings do not make defaults the recipe's own


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("lrr=1", "no field lrr; did you mean lr?"),
        ("data.wild_share=1", "no field data.wild_share"),
        ("model.options.dept=3", "did you mean model.options.depth?"),
        ("losses.mpjp=1", "did you mean losses.mpjpe?"),
        ("data.camera.focal.2=1", "not an item of the 2"),
        ("lr.x=3", "lr has no fields"),
        ("lr", "expected KEY=VALUE"),
        ("lr=fast", "lr: "),
        ("lr=[", "not a YAML value"),
    ],
)
def test_wrong_settings_name_what_is_wrong_in_one_line(setting, named):
    with pytest.raises(PoseMambaError) as error:
        load_recipe("mocap", settings=[setting])
    assert named in str(error.value) and "\n" not in str(error.value)


def test_the_command_lists_recipes_and_reports_what_is_missing(capsys):
    assert cli.main(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(bundled())
    for words, named in ((["train"], "no recipe"), (["train", "mocap"], "give --out")):
        assert cli.main(words) == 2
        assert named in capsys.readouterr().err
