"""The demo's scene and its score against its own truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posemamba.demo.run import FOCAL, IMAGE_SIZE, film, run_demo
from posemamba.lifting.lifter import Lifter
from posemamba.models.posemamba import PoseMamba
from posemamba.weights.names import bundled


def test_the_walker_is_in_the_picture_and_a_few_joints_are_lost() -> None:
    filmed = film(120)
    xy = filmed.keypoints.xy[filmed.keypoints.found]
    assert (xy > 0).all() and (xy < IMAGE_SIZE).all()
    assert 0 < (~filmed.keypoints.found).mean() < 0.1
    assert (film(120).keypoints.xy[3] == filmed.keypoints.xy[3])[filmed.keypoints.found[3]].all()


def test_the_truth_has_no_error_and_the_flat_picture_has_one() -> None:
    filmed = film(60)
    perfect = filmed.score(filmed.truth / 1000)
    assert perfect.p1 < 1e-6 and perfect.p2 < 1e-6
    flat = filmed.score(filmed.flat)
    assert 80 < flat.p1 < 160 and 60 < flat.p2 < flat.p1
    far = filmed.truth / 1000
    far[:, 1:, 2] += 0.01  # all joints but the pelvis 10 mm too deep
    assert filmed.score(far).p1 == pytest.approx(10 * 16 / 17, abs=1e-3)


def test_the_truth_is_a_person_of_the_right_size() -> None:
    filmed = film(30)
    height = np.ptp(filmed.truth[..., 1], axis=1)
    assert (height > 1400).all() and (height < 1900).all()
    assert np.allclose(filmed.mm_per_pixel * FOCAL / 1000, 6, atol=2.1)  # metres away


def test_frames_that_were_not_seen_are_left_out() -> None:
    filmed = film(20)
    pose = filmed.truth / 1000
    pose[5:9] = np.nan
    assert filmed.score(pose).p1 < 1e-6


def test_an_untrained_model_runs_through() -> None:
    torch.manual_seed(0)
    lifter = Lifter(PoseMamba.preset("s", width=16, depth=1, frames=27), device="cpu")
    result = run_demo(lifter, frames=40)
    assert result.poses.xyz.shape == (40, 17, 3) and result.poses.seen.all()
    assert np.isfinite([result.score.p1, result.score.p2]).all()


@pytest.mark.skipif("posemamba-s" not in bundled(), reason="the bundled weights are not there")
def test_the_bundled_weights_see_depth() -> None:
    result = run_demo(Lifter.from_pretrained(device="cpu", flip=False, window=81), frames=81)
    assert result.score.p1 < 0.7 * result.flat_score.p1
    assert result.score.p2 < 0.7 * result.flat_score.p2
