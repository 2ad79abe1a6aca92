import dataclasses

import numpy as np
import torch

from posemamba.data.augment import OCCLUDED_ALL, OCCLUDED_ANKLES, OCCLUDED_HEAD, OCCLUDED_LIMBS
from posemamba.data.mocap.draw import CONVENTIONS, ClipDrawer, leaves, to_device
from posemamba.data.mocap.options import MocapOptions

OCCLUDED = {"detector": {"clean_share": 0.0, "occlusion_share": 1.0, "long_occlusion_share": 0.5}}


def draw(motions, **changes):
    groups = {name: {**OCCLUDED.get(name, {}), **changes.pop(name, {})} for name in ("motion", "body", "detector")}
    groups["camera"] = {"extreme_share": 0.5, **changes.pop("camera", {})}
    numbers = ClipDrawer(motions, MocapOptions(**groups)).draw(np.random.default_rng(5), 400, 81)
    return {name: tensor.numpy() for name, tensor in leaves(numbers)}


def changed_names(one, other):
    return {name for name in one if not np.array_equal(one[name], other[name])}


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


def test_tumbled_bodies_turn_about_level_axes(motions):
    plain, changed = draw(motions), draw(motions, motion={"tumble_share": 0.5})
    names = ("motion.tumble.offset", "motion.tumble.amplitude")
    assert changed_names(plain, changed) == set(names)
    assert not any(plain[name].any() for name in names)
    offset, amplitude = (np.linalg.norm(changed[name][:, 0], axis=-1) for name in names)
    assert 150 < (offset > 0).sum() < 250 and ((offset > 0) == (amplitude > 0)).all()
    assert offset.max() <= np.pi and offset[offset > 0].std() > 0.7 and amplitude.max() <= np.pi / 2
    assert not any(changed[name][..., 2].any() for name in names)


def test_large_perturbations_are_of_hips_and_spine(motions):
    near = draw(motions, motion={"joint_perturbation_share": 1.0})
    far = draw(motions, motion={"joint_perturbation_share": 1.0, "large_perturbation_share": 1.0})
    names = {"motion.perturbation.offset", "motion.perturbation.amplitude"}
    assert changed_names(near, far) == names
    for name in names:
        turned = np.linalg.norm(near[name], axis=-1) > 0
        times = np.linalg.norm(far[name], axis=-1)[turned] / np.linalg.norm(near[name], axis=-1)[turned]
        np.testing.assert_allclose(times, np.broadcast_to([2, 1, 1, 1, 3, 3], turned.shape)[turned])


def test_frames_with_a_raised_leg_are_drawn_more_often(motions):
    positions = motions.positions.copy()
    begin, length = motions.starts[1], motions.lengths[1]
    raised = np.arange(begin + length // 4, begin + 3 * length // 4)
    positions[raised, 3] = positions[raised, 1] + [0.6, 0.0, 0.1]  # a right leg held level
    kicking = dataclasses.replace(motions, positions=positions)

    def share(weight):
        weights = {"raised_leg_weight": weight, "bent_trunk_weight": 1, "dance_weight": 1, "frame_step": (1.0, 1.0)}
        drawn = ClipDrawer(kicking, MocapOptions(motion=weights)).draw(np.random.default_rng(6), 4000, 9)
        segment = drawn.motion.segment
        return np.isin((segment.begin + segment.first.round() + 4).int().numpy(), raised).mean()

    there = len(raised) / len(positions)
    np.testing.assert_allclose(share(1.0), there, atol=0.04)
    np.testing.assert_allclose(share(4.0), 4 * there / (1 + 3 * there), atol=0.04)


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


def test_head_and_ankles_are_lost_all_the_time_in_noisy_clips_only(motions):
    lost = draw(motions, detector={"clean_share": 0.5, "head_loss_share": 0.4, "ankle_loss_share": 1.0})
    length, sets = lost["detector.occlusions.length"][:, -2:], lost["detector.occlusions.joint_set"][:, -2:]
    assert set(np.unique(length)) == {0, 81} and (lost["detector.occlusions.start"][:, -2:] == 0).all()
    assert (sets == [OCCLUDED_HEAD, OCCLUDED_ANKLES]).all()
    noisy = lost["detector.jitter.std"] > 0
    np.testing.assert_array_equal(length[:, 1] > 0, noisy)
    assert 0.3 < (length[noisy, 0] > 0).mean() < 0.5 and not length[~noisy].any()


def test_who_stands_is_upright_and_knees_are_bent_less_by_the_given_angle(motions):
    positions = motions.positions.copy()
    begin, length = motions.starts[1], motions.lengths[1]
    standing = np.arange(begin + 30, begin + length - 20)
    still = np.zeros((17, 3))
    still[:, 2] = [0.9, 0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 1.1, 1.4, 1.5, 1.7, 1.4, 1.1, 0.9, 1.4, 1.1, 0.9]
    positions[:, 3] = positions[:, 1] + [0.5, 0, -0.5]  # a kick all the time
    positions[:, 2] = positions[:, 1] + [0.3, 0, -0.2]
    positions[standing] = still
    waiting = dataclasses.replace(motions, positions=positions)
    options = {"frame_step": (1.5, 2), "straight_knee_share": 0.5, "straight_knee_degrees": (10, 20)}
    plain, numbers = (
        ClipDrawer(waiting, MocapOptions(motion={**options, "standing_share": share, "static_share": 0})).draw(
            np.random.default_rng(6), 2000, 9
        )
        for share in (0.0, 0.6)
    )
    segment = numbers.motion.segment
    first = (segment.begin + segment.first).numpy()
    slow = segment.step.numpy() < 1
    assert np.isin(first[slow], standing).all() and 0.57 < slow.mean() < 0.63
    one, other = ({name: tensor.numpy() for name, tensor in leaves(n)} for n in (plain, numbers))
    assert changed_names(one, other) == {
        *(f"motion.segment.{name}" for name in ("begin", "end", "first", "step")),
        "motion.straighter",
        "look.seconds",
    }
    for name in ("begin", "end", "first", "step"):
        np.testing.assert_array_equal(one[f"motion.segment.{name}"][~slow], other[f"motion.segment.{name}"][~slow])
    less = np.rad2deg(numbers.motion.straighter.numpy())
    assert set(np.unique(less[less < 10])) == {0} and less.max() <= 20 and 0.45 < (less > 0).mean() < 0.55
    none = dataclasses.replace(motions, positions=np.zeros_like(positions))  # nobody stands
    ClipDrawer(none, MocapOptions(motion=options)).draw(np.random.default_rng(6), 20, 9)


def test_a_tree_of_numbers_travels_in_float32_and_keeps_shapes_and_kinds(motions):
    numbers = ClipDrawer(motions, MocapOptions()).draw(np.random.default_rng(5), 6, 27)
    moved = dict(leaves(to_device(numbers, torch.device("cpu"))))
    kinds = set()
    for name, tensor in leaves(numbers):
        kinds.add(tensor.dtype)
        assert moved[name].shape == tensor.shape, name
        assert moved[name].dtype == (torch.float32 if tensor.is_floating_point() else tensor.dtype), name
        assert torch.equal(moved[name], tensor.to(moved[name].dtype)), name
    assert kinds == {torch.float64, torch.int64, torch.bool}


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
