"""Bones of drawn bodies."""

import numpy as np

from fixtures.drawn_numbers import changed_names, draw
from posemamba.data.mocap.draw.body import CONVENTIONS


def test_bodies_between_conventions_keep_their_bones_together(motions):
    scale = "body.bone_scale"
    plain, changed = draw(motions), draw(motions, body={"convention_mix": 0.8})
    assert changed_names(plain, changed) == {scale}
    drawn = (plain[scale] != changed[scale]).all(1)
    assert 280 < drawn.sum() < 360 and (plain[scale] == changed[scale])[~drawn].all()
    bones = np.log(changed[scale][drawn])
    # a mean of the conventions, and on top of it what people differ by, which has no pattern
    _, residual, _, _ = np.linalg.lstsq(CONVENTIONS[1:].T, bones.T, rcond=None)
    freedom = bones.shape[1] - 2
    np.testing.assert_allclose(np.sqrt(residual.mean() / freedom), 0.04, rtol=0.1)
    low, high = CONVENTIONS.min(0), CONVENTIONS.max(0)
    assert (bones > low - 0.2).all() and (bones < high + 0.2).all()
    np.testing.assert_allclose(bones.mean(0), CONVENTIONS.mean(0), atol=0.03)
    anatomical = draw(motions, body={"convention_mix": 0.8, "anatomical_share": 1.0})[scale]
    np.testing.assert_allclose(np.log(anatomical).std(0), 0.04, rtol=0.2)  # anatomical ones stay so
    assert (draw(motions, body={"bone_scale": False, "convention_mix": 1.0})[scale] == 1).all()
