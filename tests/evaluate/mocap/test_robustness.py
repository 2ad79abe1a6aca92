"""The perturbations, and the error increases of predictors whose answers are known."""

import json

import numpy as np
import pytest

from posemamba.evaluate.mocap import noise
from posemamba.evaluate.mocap import robustness as rob
from posemamba.evaluate.mocap import scenes as see
from posemamba.poses.skeletons import H36M17

BY_KEY = {case.key: case for case in rob.PERTURBATIONS}


@pytest.fixture(scope="module")
def views(motions):
    """Clip 0, 160 frames, as camera 1 sees it, with exact and with noisy joints."""
    scene = see.make_scene(motions, 0, (1,))
    return {
        variant: rob.View(scene.inputs(variant)[0], scene.exact[0], variant == "noisy", 0, 1, 50.0)
        for variant in see.VARIANTS
    }


@pytest.mark.parametrize("variant", see.VARIANTS)
def test_undisturbed_joints_stay_as_they_are(views, variant):
    for key, case in BY_KEY.items():
        if case.change is None:
            continue
        joints, perturbed = case.change(views[variant])
        again, _ = case.change(views[variant])
        assert joints.dtype == np.float32 and np.array_equal(joints, again) and np.isfinite(joints).all()
        before = views[variant].joints
        found = ~perturbed & (before[..., 2] > 0)  # what was lost before is filled in from other places
        assert np.array_equal(joints[found], before[found]), key
        assert (joints[..., 2][before[..., 2] == 0] == 0).all() or key.startswith("swapped")
        if key.startswith(("lost", "never")):
            assert (joints[perturbed][:, 2] == 0).all() and perturbed.any()
    nothing = np.zeros(before.shape[:2], bool)
    assert np.array_equal(rob.drop_joints(before, nothing), before)


def test_the_share_that_is_lost(views):
    perturbed = {p: BY_KEY[f"lost_{p}_percent"].change(views["exact"])[1] for p in (5, 10, 20, 40)}
    for percent, lost in perturbed.items():
        assert 100 * lost.mean() == pytest.approx(percent, rel=0.1)
    assert (perturbed[5] <= perturbed[10]).all() and (perturbed[20] <= perturbed[40]).all()
    joints, lost = BY_KEY["lost_5_percent"].change(views["exact"])
    frame, joint = next((f, j) for f, j in np.argwhere(lost) if 0 < f < 159 and not lost[[f - 1, f + 1], j].any())
    middle = joints[[frame - 1, frame + 1], joint, :2].mean(0)
    np.testing.assert_allclose(joints[frame, joint, :2], middle, atol=1e-6)


@pytest.mark.parametrize(("name", "limb"), rob.LOST_LIMBS.items())
def test_a_limb_is_lost_for_a_second_and_no_more(views, name, limb):
    names = [H36M17.joints[j] for j in limb]
    assert all(n.startswith(name.split()[0]) for n in names)
    assert len(limb) == 3 or all(n.split("_")[1] in name for n in names)
    joints, lost = BY_KEY[f"lost_{name.replace(' ', '_')}"].change(views["exact"])
    assert lost.sum() == 50 * len(limb) and lost[53:103][:, list(limb)].all()
    straight = np.linspace(joints[52, limb[0], :2], joints[103, limb[0], :2], 52)[1:-1]
    np.testing.assert_allclose(joints[53:103, limb[0], :2], straight, atol=1e-5)


def test_everything_or_a_part_is_not_seen(views):
    assert BY_KEY["lost_all"].change(views["exact"])[1][53:63].all()
    assert BY_KEY["lost_all"].change(views["exact"])[1].sum() == 170
    joints, lost = BY_KEY["never_legs"].change(views["exact"])
    assert lost.all(0).tolist() == [j in (2, 3, 5, 6) for j in range(17)]
    assert np.array_equal(joints[:, 3, :2], joints[:, 1, :2])  # the nearest joint that was seen
    assert BY_KEY["never_head"].change(views["exact"])[1].sum(0).nonzero()[0].tolist() == [9, 10]


@pytest.mark.parametrize("run", [1, 5])
def test_sides_are_exchanged_in_runs(run):
    joints = np.random.default_rng(0).random((6000, 17, 3)).astype(np.float32)
    view = rob.View(joints, joints[..., :2], True, 0, 1, 50.0)
    changed, perturbed = BY_KEY[f"swapped_{run}"].change(view)
    frames = perturbed.any(1)
    assert np.array_equal(changed[frames], joints[frames][:, H36M17.mirrored])
    assert frames.mean() == pytest.approx(0.05, abs=0.01)
    assert perturbed[frames][:, [0, 7, 8, 9, 10]].sum() == 0
    assert (frames.reshape(-1, run).any(1) == frames.reshape(-1, run).all(1)).all()


def test_jitter_is_twice_as_strong():
    h_is_one = noise.FixedNumbers(7).normal(1, 17, 2).repeat(4000, 0)
    h_is_one /= noise.unit_of(h_is_one)
    weak = noise.JITTER * noise.JITTER_OF_JOINT
    for noisy, wanted in ((False, weak), (True, 3**0.5 * weak)):  # with the jitter that is there, variances add
        joints = np.concatenate([h_is_one, np.ones((4000, 17, 1))], -1).astype(np.float32)
        shaken, _ = BY_KEY["jitter"].change(rob.View(joints, joints[..., :2], noisy, 0, 1, 50.0))
        np.testing.assert_allclose((shaken - joints)[..., :2].std((0, 2)), wanted, rtol=0.15)
        assert shaken[:, 16, 2].mean() < shaken[:, 8, 2].mean() < 1  # a wrist is shaken more, and so less sure


@pytest.mark.parametrize("fps", [15, 25, 30, 120])
def test_other_frame_rates_see_the_same_motion(motions, fps):
    whole, other = see.make_scene(motions, 0, (1,)), see.make_scene(motions, 0, (1,), fps=fps)
    times = np.arange(other.exact.shape[1]) * 50 / fps
    assert times[-1] <= 159 < times[-1] + 50 / fps
    for name in ("exact", "target"):
        straight = getattr(whole, name)[0, np.floor(times).astype(int)]
        after = getattr(whole, name)[0, np.ceil(times).astype(int)]
        straight = straight + (times % 1)[:, None, None] * (after - straight)
        inner = (times >= 1) & (times <= 158)  # at the ends the curves are flatter
        np.testing.assert_allclose(getattr(other, name)[0, inner], straight[inner], atol=2e-3)
    if fps == 25:
        np.testing.assert_allclose(other.exact, whole.exact[:, ::2], atol=1e-6)
        np.testing.assert_allclose(other.mm_per_unit, whole.mm_per_unit[:, ::2], rtol=1e-6)
    assert other.noisy.shape == other.exact.shape and 0 < np.abs(other.noisy - other.exact).max() < 1


def test_other_cameras_and_bodies_see_the_same_motion(motions):
    usual = see.make_scene(motions, 0, (1,))
    scenes = {
        case.key: see.make_scene(motions, 0, (1,), **case.scene)
        for case in rob.PERTURBATIONS
        if case.scene is not None and "fps" not in case.scene
    }
    assert set(scenes) == {"above_45", "above_70", "below_30", "rolled_20", "wide", "far", "wide_hips"}

    def hips(scene):  # millimetres apart, seen from where they are; perspective changes that a little
        mm = scene.target * scene.mm_per_unit[..., None, None]
        return np.linalg.norm(mm[..., 1, :] - mm[..., 4, :], axis=-1).mean()

    def depths(scene):  # metres from the highest to the lowest joint
        return np.ptp(scene.target[..., 2] * scene.mm_per_unit[..., None], axis=-1).mean() / 1000

    for key, scene in scenes.items():
        assert scene.target.shape == usual.target.shape
        assert (np.abs(scene.exact[..., 0]) <= 1 + 1e-6).all()
        assert hips(scene) == pytest.approx(hips(usual) * (1.5 if key == "wide_hips" else 1), rel=0.1)
    assert scenes["above_45"].pitches == pytest.approx((45,)) and scenes["below_30"].pitches == pytest.approx((-30,))
    assert scenes["wide_hips"].pitches == usual.pitches
    assert depths(scenes["above_70"]) > depths(scenes["above_45"]) > depths(usual)
    changes = [np.ptp(scene.mm_per_unit) / scene.mm_per_unit.mean() for scene in (scenes["wide"], usual, scenes["far"])]
    assert changes[0] > 1.5 * changes[1] > 3 * changes[2]  # of the size in the picture, as the walker comes and goes


def test_error_increase_of_a_predictor_that_errs_where_confidence_is_lacking(motions, tmp_path):
    """170 mm off in depth where a joint was lost, the truth elsewhere: every number of the table follows."""
    targets = {}
    for fps in (None, 15.0):
        for scene in see.scenes(motions, quick=True):
            scene = see.make_scene(motions, scene.clip, scene.cameras, fps=fps)
            targets[scene.exact.shape[1]] = scene

    def predict(joints):
        scene = targets[joints.shape[1]]
        off = np.where(joints[..., 2] == 0, 170, 0) / scene.mm_per_unit[..., None]
        off[..., 0] = 0
        return scene.target + np.stack([0 * off, 0 * off, off], -1)

    chosen = [BY_KEY[k] for k in ("lost_20_percent", "lost_left_arm", "lost_all", "swapped_1", "fps_15")]
    done = []
    result = rob.run_robustness(
        predict,
        motions=motions,
        perturbations=chosen,
        quick=True,
        variants=("exact",),
        progress=lambda *at: done.append(at),
    )
    rows = {row.key: row.increases["exact"] for row in result.rows}
    assert result.undisturbed["exact"] == pytest.approx(0, abs=1e-3) and result.frames == 290
    assert done == [(1, 3), (2, 3), (3, 3)]
    arm = rows["lost_left_arm"]
    assert arm.perturbed_joints == pytest.approx(170, abs=1e-3) and arm.perturbed_frames == pytest.approx(30, abs=1e-3)
    assert arm.all_frames == pytest.approx(30 * (50 + 50 + 40) / 290, abs=1e-3) and arm.goal_missed is True
    chance = rows["lost_20_percent"]
    assert chance.all_frames == pytest.approx(0.2 * 160, rel=0.1) and chance.goal_missed is True
    assert (
        rows["lost_all"].all_frames == pytest.approx(160 * 30 / 290, abs=1e-3) and rows["lost_all"].goal_missed is None
    )
    assert rows["swapped_1"].all_frames == pytest.approx(0, abs=1e-3) and rows["swapped_1"].goal_missed is False
    assert rows["fps_15"].perturbed_frames is None and rows["fps_15"].all_frames == pytest.approx(0, abs=1e-3)
    text = result.table()
    assert "left arm lost for a second" in text and "< 15, missed (exact)" in text and "+30.0!" in text
    result.save_json(tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["rows"][1]["increases"]["exact"]["perturbed_joints"] == arm.perturbed_joints
    assert content["rows"][1]["goal"] == 15
