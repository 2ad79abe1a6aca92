"""Drawn pieces of motions and changes of them."""

import dataclasses

import numpy as np

from fixtures.drawn_numbers import changed_names, draw
from posemamba.data.mocap.draw import ClipDrawer
from posemamba.data.mocap.draw.numbers import leaves
from posemamba.data.mocap.options import MocapOptions


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
