"""Joints of motion capture as they are with each N-th frame alone."""

from __future__ import annotations

import numpy as np
from studies.skipped_frames import skipped

from posemamba.lifting.lifter import INTERPOLATED


def test_frames_between_are_on_straight_lines_and_hardly_trusted() -> None:
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.normal(size=(12, 17, 2)), rng.uniform(0.5, 1, (12, 17, 1))], -1).astype(np.float32)
    np.testing.assert_array_equal(skipped(joints, 1, 30), joints)
    given = skipped(joints, 3, 30)
    for frame in (0, 3, 6, 9, 11):
        np.testing.assert_array_equal(given[frame], joints[frame])
    np.testing.assert_allclose(given[4, :, :2], (2 * joints[3, :, :2] + joints[6, :, :2]) / 3, atol=1e-6)
    assert (given[[1, 2, 4, 5, 7, 8, 10], :, 2] < INTERPOLATED).all()
