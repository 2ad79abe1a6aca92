import dataclasses

import numpy as np

from posemamba.data.augment import LOST_ALL, LOST_LIMBS
from posemamba.data.mocap.draw import CONVENTIONS, ClipDrawer
from posemamba.data.mocap.options import MocapOptions

LOST = {"wild": 0.5, "clean": 0.0, "lost": 1.0, "lost_long": 0.5}


def draw(motions, **options):
    return ClipDrawer(motions, MocapOptions(**LOST, **options)).draw(np.random.default_rng(5), 400, 81)


def test_steep_cameras_whole_limbs_and_natural_bodies_change_nothing_else(motions):
    plain = draw(motions)
    changed = draw(motions, steep=(50.0, 75.0), straight=1.0, lost_limbs=1.0, natural=0.5)
    assert {key for key in plain if not np.array_equal(plain[key], changed[key])} == {
        "pitch",
        "roll",
        "lost_set",
        "bones",
    }
    pitch, roll = np.rad2deg(changed["pitch"]), np.rad2deg(changed["roll"])
    steep = pitch > 40
    assert 150 < steep.sum() < 250 and pitch[steep].min() >= 50 and pitch[steep].max() <= 75
    assert np.abs(roll).max() <= 10 and np.abs(np.rad2deg(plain["roll"])[steep]).max() > 60
    long = (plain["lost_length"] >= 20) & (plain["lost_length"] < 81)  # a person without legs is one for the whole clip
    away = plain["lost_set"] == LOST_ALL
    assert np.isin(changed["lost_set"][long & ~away], LOST_LIMBS).all()
    assert set(LOST_LIMBS) == set(changed["lost_set"][long & ~away].astype(int))
    np.testing.assert_array_equal(changed["lost_set"][away], LOST_ALL)
    short = (plain["lost_length"] > 0) & (plain["lost_length"] < 2)
    np.testing.assert_array_equal(changed["lost_set"][short], plain["lost_set"][short])
    natural = (plain["bones"] != changed["bones"]).all(1)
    assert 150 < natural.sum() < 250 and (plain["bones"] == changed["bones"])[~natural].all()
    people = np.log(changed["bones"][natural])
    np.testing.assert_allclose(people.std(0), 0.04, rtol=0.2)
    np.testing.assert_allclose(people.mean(0), 0, atol=0.012)
    assert (draw(motions, bones=False, natural=1.0)["bones"] == 1).all()


def test_bodies_between_conventions_keep_their_bones_together(motions):
    plain, changed = draw(motions), draw(motions, conventions=0.8)
    assert {key for key in plain if not np.array_equal(plain[key], changed[key])} == {"bones"}
    drawn = (plain["bones"] != changed["bones"]).all(1)
    assert 280 < drawn.sum() < 360 and (plain["bones"] == changed["bones"])[~drawn].all()
    bones = np.log(changed["bones"][drawn])
    # a mean of the conventions, and on top of it what people differ by, which has no pattern
    _, residual, _, _ = np.linalg.lstsq(CONVENTIONS[1:].T, bones.T, rcond=None)
    freedom = bones.shape[1] - 2
    np.testing.assert_allclose(np.sqrt(residual.mean() / freedom), 0.04, rtol=0.1)
    low, high = CONVENTIONS.min(0), CONVENTIONS.max(0)
    assert (bones > low - 0.2).all() and (bones < high + 0.2).all()
    np.testing.assert_allclose(bones.mean(0), CONVENTIONS.mean(0), atol=0.03)
    natural = draw(motions, conventions=0.8, natural=1.0)["bones"]
    np.testing.assert_allclose(np.log(natural).std(0), 0.04, rtol=0.2)  # natural ones stay so
    assert (draw(motions, bones=False, conventions=1.0)["bones"] == 1).all()


def test_tumbled_bodies_turn_about_level_axes(motions):
    plain, changed = draw(motions), draw(motions, tumbled=0.5)
    over = [key for key in plain if key.startswith("over_")]
    assert {key for key in plain if not np.array_equal(plain[key], changed[key])} == {"over_steady", "over_swing"}
    assert len(over) == 4 and not plain["over_steady"].any() and not plain["over_swing"].any()
    steady, swing = (np.linalg.norm(changed[key], axis=-1) for key in ("over_steady", "over_swing"))
    assert 150 < (steady > 0).sum() < 250 and ((steady > 0) == (swing > 0)).all()
    assert steady.max() <= np.pi and steady[steady > 0].std() > 0.7 and swing.max() <= np.pi / 2
    assert not changed["over_steady"][:, 2].any() and not changed["over_swing"][:, 2].any()


def test_joints_turned_far_are_legs_and_trunks(motions):
    near, far = draw(motions, turned=1.0), draw(motions, turned=1.0, far=1.0)
    assert {key for key in near if not np.array_equal(near[key], far[key])} == {"steady", "swing"}
    for key in ("steady", "swing"):
        turned = np.linalg.norm(near[key], axis=-1) > 0
        times = np.linalg.norm(far[key], axis=-1)[turned] / np.linalg.norm(near[key], axis=-1)[turned]
        np.testing.assert_allclose(times, np.broadcast_to([2, 1, 1, 1, 3, 3], turned.shape)[turned])


def test_frames_with_a_raised_leg_are_drawn_more_often(motions):
    positions = motions.positions.copy()
    begin, length = motions.starts[1], motions.lengths[1]
    raised = np.arange(begin + length // 4, begin + 3 * length // 4)
    positions[raised, 3] = positions[raised, 1] + [0.6, 0.0, 0.1]  # a right leg held level
    kicking = dataclasses.replace(motions, positions=positions)

    def share(weight):
        options = MocapOptions(raised_weight=weight, bent_weight=1, dance_weight=1, step=(1.0, 1.0))
        drawn = ClipDrawer(kicking, options).draw(np.random.default_rng(6), 4000, 9)
        return np.isin((drawn["begin"] + np.round(drawn["first"]) + 4).astype(int), raised).mean()

    there = len(raised) / len(positions)
    np.testing.assert_allclose(share(1.0), there, atol=0.04)
    np.testing.assert_allclose(share(4.0), 4 * there / (1 + 3 * there), atol=0.04)
