"""The drawer of training clips: which numbers an option changes, and their order."""

import numpy as np

from fixtures.drawn_numbers import changed_names, draw
from posemamba.data.augment import OCCLUDED_ALL, OCCLUDED_LIMBS
from posemamba.data.mocap.draw import ClipDrawer
from posemamba.data.mocap.draw.numbers import leaves
from posemamba.data.mocap.options import MocapOptions


def test_extreme_cameras_limbs_and_anatomical_bodies_change_nothing_else(motions):
    plain = draw(motions)
    changed = draw(
        motions,
        camera={"extreme_pitch": (50.0, 75.0), "level_share": 1.0},
        detector={"limb_occlusion_share": 1.0},
        body={"anatomical_share": 0.5},
    )
    sets, scale = "detector.occlusions.joint_set", "body.bone_scale"
    assert changed_names(plain, changed) == {"camera.pitch", "camera.roll", sets, scale}
    pitch, roll = np.rad2deg(changed["camera.pitch"]), np.rad2deg(changed["camera.roll"])
    steep = pitch > 40
    assert 150 < steep.sum() < 250 and pitch[steep].min() >= 50 and pitch[steep].max() <= 75
    assert np.abs(roll).max() <= 10 and np.abs(np.rad2deg(plain["camera.roll"])[steep]).max() > 60
    length = plain["detector.occlusions.length"]
    long = (length >= 20) & (length < 81)  # a person without legs is one for the whole clip
    everything = plain[sets] == OCCLUDED_ALL
    assert np.isin(changed[sets][long & ~everything], OCCLUDED_LIMBS).all()
    assert set(OCCLUDED_LIMBS) == set(changed[sets][long & ~everything])
    np.testing.assert_array_equal(changed[sets][everything], OCCLUDED_ALL)
    short = (length > 0) & (length < 2)
    np.testing.assert_array_equal(changed[sets][short], plain[sets][short])
    anatomical = (plain[scale] != changed[scale]).all(1)
    assert 150 < anatomical.sum() < 250 and (plain[scale] == changed[scale])[~anatomical].all()
    people = np.log(changed[scale][anatomical])
    np.testing.assert_allclose(people.std(0), 0.04, rtol=0.2)
    np.testing.assert_allclose(people.mean(0), 0, atol=0.012)
    assert (draw(motions, body={"bone_scale": False, "anatomical_share": 1.0})[scale] == 1).all()


def test_geometry_and_detector_options_change_nothing_else(motions):
    plain = draw(motions)
    for option, names in {
        "motion.straight_knee_share": {"motion.straighter"},
        "motion.stiff_knee_share": {"motion.stiffness"},
        "body.detector_share": {"body.bone_scale"},
        "camera.roll_share": {"camera.roll"},
        "camera.look_at_share": {"look.turned"},
        "camera.guessed_focal_share": {"look.guessed"},
        "camera.levelled_share": {"look.levelled"},
        "detector.displaced_share": {"displacement.offset"},
        "detector.raised_ankle_share": {"displacement.raised"},
        "detector.head_loss_share": {"detector.occlusions.length"},
        "detector.ankle_loss_share": {"detector.occlusions.length"},
        "detector.confident_share": {
            f"detector.confidence.{name}" for name in ("intercept", "error_slope", "ignores_swaps")
        },
    }.items():
        group, name = option.split(".")
        assert changed_names(plain, draw(motions, **{group: {name: 0.8}})) == names, option
    assert not plain["look.turned"].any() and not plain["motion.straighter"].any()
    assert not plain["displacement.offset"].any() and not plain["displacement.raised"].any()
    offset = draw(motions, camera={"offset": 0.9})["camera.offset"]
    np.testing.assert_allclose(offset, 1.8 * plain["camera.offset"])


def test_the_order_of_drawings_stays(motions):
    """Clips, and runs that are resumed, depend on it: a new drawing comes after all others."""
    random = np.random.default_rng(1)
    options = MocapOptions(
        lengths={27: 1.0},
        motion={"tumble_share": 1.0},
        body={"convention_mix": 1.0},
        camera={"extreme_share": 1.0, "level_share": 1.0},
        detector={"limb_occlusion_share": 1.0},
    )
    numbers = {name: t.ravel()[:3].tolist() for name, t in leaves(ClipDrawer(motions, options).draw(random, 3, 27))}
    for name, expected in {
        "camera.azimuth": [5.823288830077072, 3.9101101833572285, 0.7333096573294269],
        "detector.confidence.joint_noise": [1.3708063395882522, 1.0966110817704897, 0.08131133560153288],
        "motion.perturbation.phase": [0.7285583473338744, 0.13064663579388291, 0.326452101504932],
        "camera.roll": [0.0162314833200165, 0.03609764059403928, -0.01782634143342026],
        "motion.tumble.phase": [0.7910078573202679, 0.9985588906517041, 0.4756930540857839],
        "body.bone_scale": [1.1945579874856929, 0.9683263278555287, 0.8506781318225637],
    }.items():
        np.testing.assert_allclose(numbers[name], expected, rtol=1e-9, err_msg=name)
    assert random.random() == 0.9560655599081945  # as many were drawn
