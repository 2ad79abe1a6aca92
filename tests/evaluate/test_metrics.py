from pathlib import Path

import numpy as np
import pytest

from posemamba.evaluate.metrics import align, mpjpe_per_frame, mpjve_per_frame, p_mpjpe_per_frame

PARITY = Path(__file__).parents[1] / "data" / "losses_metrics.npz"


def test_agrees_with_the_released_implementation():
    with np.load(PARITY, allow_pickle=False) as file:
        pred, target = file["pred_mm"], file["target_mm"]
        np.testing.assert_allclose(mpjpe_per_frame(pred, target), file["mpjpe_per_frame_mm"], rtol=1e-5)
        np.testing.assert_allclose(p_mpjpe_per_frame(pred, target), file["p_mpjpe_per_frame_mm"], rtol=1e-5)


def test_alignment_undoes_rotation_scale_and_shift_but_no_reflection():
    rng = np.random.default_rng(0)
    target = rng.normal(size=(2, 5, 17, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    np.testing.assert_allclose(align(3 * target @ rotation + 7, target), target, atol=1e-9)
    assert (p_mpjpe_per_frame(target * [-1, 1, 1], target) > 0.1).all()


def test_root_and_speed():
    target = np.zeros((4, 17, 3))
    pred = target + np.arange(4)[:, None, None] * np.array([0, 3.0, 4.0])
    assert mpjpe_per_frame(pred, target).tolist() == [0, 5, 10, 15]
    assert not mpjpe_per_frame(pred, target, root=0).any()
    assert mpjve_per_frame(pred, target) == pytest.approx([5, 5, 5])
