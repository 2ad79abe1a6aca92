"""The study of feet's depth on feet whose depth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.feet import facing, put_on_feet
from posemamba.demo.walker import walk
from posemamba.poses.skeletons import FEET_ANKLES
from studies import foot_depth as study


def sight(clip: str, azimuth: float, seed: int = 0) -> study.Sight:
    """A walk seen from far away, lifted without an error, with feet of the typical shape."""
    body = walk(60, 50, seed=seed, radius=50.0).astype(float)
    c, s = np.cos(azimuth), np.sin(azimuth)
    axes = np.array([[c, s, 0], [0, 0, -1], [-s, c, 0]])
    body = (body - body[:, :1]) @ axes.T
    true = 1000 * (put_on_feet(body, facing(body), 8.0) - body[:, list(FEET_ANKLES)])
    true += np.random.default_rng(seed).normal(0, 5, true.shape)
    shanks = np.stack([body[:, 5] - body[:, 6], body[:, 2] - body[:, 3]], 1)
    pixels = 250 * body
    return study.Sight(clip, "exact", pixels, true[..., :2] / 4, true, shanks, np.full(60, 4.0), 1000 * body)


@pytest.mark.parametrize("name", study.WAYS)
def test_every_way_but_the_flat_one_finds_the_depth(name: str) -> None:
    sights = [sight("a", 1.9), sight("b", 1.4, 1), sight("c", 2.9, 2)]
    way = study.WAYS[name](sights[1:])
    heel, toe, ankle, sole = study.errors(sights[0], way)
    if name == "the ankle's depth":
        assert toe > 60 and sole > 20
    else:
        assert heel < 20 and toe < 35 and ankle < 6 and sole < 8
    exact = study.errors(sights[0], lambda xyz, offsets: sights[0].true[..., 2] / 4)
    assert max(exact) < 1e-3


def test_a_mocap_foot_gets_a_heel_and_a_level_sole() -> None:
    """A foot that rests with its tip too high, as the database's markers have it."""
    ankle = np.tile([0.0, 0.0, 0.09], (100, 1))
    knee, tip = ankle + np.array([0.02, 0.0, 0.4]), ankle + np.array([0.19, 0.01, -0.04])
    heel, level = np.moveaxis(study._level_foot(knee, ankle, tip), 1, 0)
    np.testing.assert_allclose(heel[:, 2], level[:, 2], atol=1e-6)
    assert (heel[:, 0] < -0.02).all() and (heel[:, 2] < 0.04).all()
    np.testing.assert_allclose(np.linalg.norm(level - ankle, axis=-1), np.linalg.norm(tip - ankle, axis=-1))


def test_points_of_four_views_come_back_without_the_view_that_is_wrong() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (5, 2, 3))
    views = []
    for k in range(4):
        c, s = np.cos(1.5 * k), np.sin(1.5 * k)
        view = {"K": np.array([[900.0, 0, 500], [0, 900, 400], [0, 0, 1]]), "dist": np.zeros(4)}
        view |= {"R": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), "t": np.array([0, 0, 4.0])}
        seen = points @ view["R"].T + view["t"]
        view["lm"] = np.concatenate([900 * seen[..., :2] / seen[..., 2:] + [500, 400], np.ones((5, 2, 2))], -1)
        views.append(view)
    views[2]["lm"][3, 1, :2] += 80
    views[0]["lm"][1, 0] = np.nan
    np.testing.assert_allclose(study._triangulated(views, [0, 1]), points, atol=1e-6)


def test_agreement_tells_a_constant_difference_from_the_rest() -> None:
    one = replace(sight("real", 0.3), kind="real")
    text = study.agreement([one], lambda xyz, offsets: one.true[..., 2] / 4)
    assert "constant off by 0.0 (at most 0.0), else by 0.0" in text
    assert study.shank_errors([one]).max() < 1e-4
    bent = replace(one, shanks=one.shanks + np.array([0, 0, 0.1]))
    assert study.shank_errors([bent]).min() > 5


def test_a_folder_without_motions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main([str(tmp_path)]) == 2
    assert "0 motions in it, expected two or more" in capsys.readouterr().err
