from pathlib import Path

import pytest

from posemamba.errors import PoseMambaError
from posemamba.train.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


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
