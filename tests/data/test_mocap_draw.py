import numpy as np

from posemamba.data.augment import LOST_ALL, LOST_LIMBS
from posemamba.data.mocap_draw import ClipDrawer
from posemamba.data.mocap_options import MocapOptions

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
