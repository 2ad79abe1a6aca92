"""Drawn errors of the detector."""

import numpy as np

from fixtures.drawn_numbers import draw
from posemamba.data.augment import OCCLUDED_ANKLES, OCCLUDED_HEAD


def test_head_and_ankles_are_lost_all_the_time_in_noisy_clips_only(motions):
    lost = draw(motions, detector={"clean_share": 0.5, "head_loss_share": 0.4, "ankle_loss_share": 1.0})
    length, sets = lost["detector.occlusions.length"][:, -2:], lost["detector.occlusions.joint_set"][:, -2:]
    assert set(np.unique(length)) == {0, 81} and (lost["detector.occlusions.start"][:, -2:] == 0).all()
    assert (sets == [OCCLUDED_HEAD, OCCLUDED_ANKLES]).all()
    noisy = lost["detector.jitter.std"] > 0
    np.testing.assert_array_equal(length[:, 1] > 0, noisy)
    assert 0.3 < (length[noisy, 0] > 0).mean() < 0.5 and not length[~noisy].any()
