import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posemamba.models.inputs import fill_missing, fill_missing_batch


def test_lines_in_time_and_held_ends():
    xy = np.full((7, 17, 2), 5.0)
    xy[:, 3] = np.nan
    xy[1, 3], xy[5, 3] = (0, 10), (4, 2)
    filled = fill_missing(xy)
    np.testing.assert_allclose(filled[:, 3, 0], [0, 0, 1, 2, 3, 4, 4])
    np.testing.assert_allclose(filled[:, 3, 1], [10, 10, 8, 6, 4, 2, 2])
    assert np.array_equal(filled[:, 0], xy[:, 0].astype(np.float32))


def test_a_joint_never_found_takes_the_nearest_joints_place():
    xy = np.random.default_rng(0).normal(size=(4, 17, 2))
    xy[:, [2, 3, 0]] = np.nan  # right knee and ankle, pelvis
    filled = fill_missing(xy)
    assert np.array_equal(filled[:, 3], filled[:, 1]) and np.array_equal(filled[:, 2], filled[:, 1])
    assert np.array_equal(filled[:, 0], filled[:, 1])  # the pelvis's first child


def test_nothing_found():
    with pytest.raises(ValueError, match="nothing to fill"):
        fill_missing(np.full((3, 17, 2), np.nan))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 12), share=st.floats(0, 0.95))
def test_batched_is_the_same_as_one_by_one(seed, frames, share):
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(3, frames, 17, 2)).astype(np.float32)
    found = rng.random((3, frames, 17)) >= share
    found[:, 0, 8] = True
    batched = fill_missing_batch(torch.from_numpy(xy), torch.from_numpy(found)).numpy()
    for clip, there, result in zip(xy, found, batched, strict=True):
        np.testing.assert_allclose(result, fill_missing(np.where(there[..., None], clip, np.nan)), atol=1e-5)
