"""The page of the bundled weights' lineage: it is that of its sources, and runs are what the weights' cards say."""

from pathlib import Path

import pytest
from studies.weights import lineage

from posemamba.weights.files import read_card
from posemamba.weights.names import bundled


def test_the_page_is_up_to_date() -> None:
    assert lineage.PAGE.read_text(encoding="utf-8") == lineage.page(), "run python -m studies.weights.lineage"


@pytest.mark.parametrize("name", bundled())
def test_the_average_and_its_last_run_are_those_of_the_weights_card(name: str) -> None:
    card = read_card(name)["card"]
    parts = lineage.averages()[card["name"]]
    assert {part["name"]: part["share"] for part in card["averaged"]} == parts
    assert sum(parts.values()) == pytest.approx(1)
    last = list(parts)[-1]
    run, recipe = lineage.runs()[last], lineage.recipe_of(last)
    kept = card["recipe"]
    assert kept["start_from"] is not None and Path(kept["start_from"]).stem == run["start_from"]
    # cards of older runs lack fields that were added since, and their options of clips have the names of that time
    ours = recipe.model_dump(mode="json")
    compared = kept.keys() - {"data", "start_from"}
    assert compared >= {"model", "seed", "batch", "optimizer", "lr", "matrix_lr", "schedule"}
    for name_of_field in compared:
        both = ours[name_of_field], kept[name_of_field]
        if isinstance(both[1], dict):
            both = {k: both[0][k] for k in both[1]}, both[1]
        assert both[0] == both[1], name_of_field
    assert f"{run['steps']:,} steps" in card["trained"] and f"{run['minutes']} minutes" in card["trained"]


@pytest.mark.slow
def test_every_run_is_valid_and_begins_with_another_or_with_none() -> None:
    for name in lineage.runs():
        assert lineage.recipe_of(name).name == name
        assert lineage.runs()[lineage.chain(name)[0]]["start_from"] is None
