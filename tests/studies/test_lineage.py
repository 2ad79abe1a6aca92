"""The page of the bundled weights' lineage: it is that of its sources, and runs are what the weights' cards say."""

from pathlib import Path

import pytest
from studies.weights import lineage

from posemamba.train.recipe import Recipe
from posemamba.weights.files import read_card
from posemamba.weights.names import bundled


def test_the_page_is_up_to_date() -> None:
    assert lineage.PAGE.read_text(encoding="utf-8") == lineage.page(), "run python -m studies.weights.lineage"


@pytest.mark.parametrize("name", bundled())
def test_the_last_run_of_weights_has_the_recipe_steps_and_scores_of_their_card(name: str) -> None:
    card = read_card(name)["card"]
    run, recipe = lineage.runs()[card["name"]], lineage.recipe_of(card["name"])
    kept = Recipe.model_validate(card["recipe"])
    assert kept.start_from is not None and Path(kept.start_from).stem == run["start_from"]
    # cards of older runs lack fields that were added since
    ours = recipe.model_copy(update={"start_from": kept.start_from})
    fields = card["recipe"].keys()
    assert {k: v for k, v in ours.model_dump(mode="json").items() if k in fields} == {
        k: v for k, v in kept.model_dump(mode="json").items() if k in fields
    }
    assert run["steps"] == card["steps"] and float(run["minutes"]) == card["training_minutes"]
    assert run["validation"] == pytest.approx(list(card["validation_p1_mm"].values()), abs=0.051)


def test_every_run_is_valid_and_begins_with_another_or_with_none() -> None:
    for name in lineage.runs():
        assert lineage.recipe_of(name).name == name
        assert lineage.runs()[lineage.chain(name)[0]]["start_from"] is None
