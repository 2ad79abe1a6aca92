import numpy as np
import pytest

from fixtures.paths import PARITY
from posemamba.evaluate.metrics import (
    acceleration,
    align,
    bone_length_variation,
    depth_flips,
    joint_errors,
    mpjpe_per_frame,
    mpjve_per_frame,
    p_mpjpe_per_frame,
    side_flips,
)

LOSSES = PARITY / "losses_metrics.npz"


def test_agrees_with_the_released_implementation():
    with np.load(LOSSES, allow_pickle=False) as file:
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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_alignment_of_joints_that_are_not_finite_is_nan_in_their_frames_alone(bad, monkeypatch):
    """LAPACK's builds differ: some raise on NaN, so it must not reach them."""
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 4, 17, 3))
    whole, svd = p_mpjpe_per_frame(pred, target), np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda a: svd(a) if np.isfinite(a).all() else pytest.fail("not finite"))
    pred[1, 3, 2] = target[2, 5, 0] = bad
    found = p_mpjpe_per_frame(pred, target)
    assert np.isnan(found).tolist() == [False, True, True, False]
    np.testing.assert_allclose(found[[0, 3]], whole[[0, 3]])


def test_root_and_speed():
    target = np.zeros((4, 17, 3))
    pred = target + np.arange(4)[:, None, None] * np.array([0, 3.0, 4.0])
    assert mpjpe_per_frame(pred, target).tolist() == [0, 5, 10, 15]
    assert not mpjpe_per_frame(pred, target, root=0).any()
    assert mpjve_per_frame(pred, target) == pytest.approx([5, 5, 5])


def standing(frames=1):
    """(F, 17, 3) millimetres: hips and shoulders 200 apart from the middle, limbs hanging, 400 a bone."""
    pose = np.zeros((17, 3))
    for side, hip, shoulder in ((-1, 1, 14), (1, 4, 11)):
        for step in range(3):
            pose[hip + step] = 200 * side, 400 * step, 0
            pose[shoulder + step] = 200 * side, -600 + 400 * step, 0
    pose[7:11, 1] = -300, -600, -700, -850
    return np.repeat(pose[None], frames, 0)


LEGS = ((4, 1), (5, 2), (6, 3))


def test_side_flips_are_counted_where_exchanging_helps():
    true = standing(4)
    assert not side_flips(true, true, LEGS).any()
    pred = true.copy()
    pred[1, 1:7] = pred[1, [4, 5, 6, 1, 2, 3]]  # exchanged
    pred[2, 1:7, 0] *= 0.1  # legs drawn together: 180 off, exchanged 220
    pred[3, [1, 4]] = pred[3, [4, 1]]  # only the hips: 400 of a third of the joints, exchanged of two thirds
    assert side_flips(pred, true, LEGS).tolist() == [False, True, False, False]
    pred[3, 1:7, 0] = true[3, 1:7, 0] * -0.1  # 220 off, exchanged 180: better by 18 %
    assert not side_flips(pred, true, LEGS)[3] and side_flips(pred, true, LEGS, gain=0.15)[3]


def test_depth_flips_need_a_clear_depth_and_the_wrong_sign():
    true, bones = standing(5), ((2, 3), (12, 13))
    true[:, 3, 2] = 150, 150, 90, -150, 150
    pred = true.copy()
    pred[:, 3, 2] = 10, -10, -10, 10, 0
    clear, flipped = depth_flips(pred, true, bones)
    assert clear.tolist() == [[d, False] for d in (True, True, False, True, True)]
    assert flipped[:, 0].tolist() == [False, True, False, True, False] and not flipped[:, 1].any()


def test_bone_lengths_and_acceleration():
    poses = standing(4)
    poses[:, 3, 1] += [0, 40, 0, 40]  # a shin of 400, 440, 400, 440: 20 of 420
    variation = bone_length_variation(poses, ((2, 3), (5, 6)))
    assert variation == pytest.approx([100 * 20 / 420, 0])
    moving = standing(5) + 0.5 * 9810 * (np.arange(5)[:, None, None] / 50) ** 2 * np.array([0, 1, 0])
    assert acceleration(moving, 50) == pytest.approx(np.tile([0.0, 9810.0, 0.0], (3, 17, 1)))
    assert joint_errors(poses, standing(4))[1] == pytest.approx([40 if j == 3 else 0 for j in range(17)])
