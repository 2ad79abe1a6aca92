import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from posemamba.data.augment import (
    BONE_GROUPS,
    DIFFICULTY,
    OCCLUDED_ALL,
    OCCLUDED_ANKLES,
    OCCLUDED_HEAD,
    OCCLUDED_LEGS,
    DetectorErrors,
    Displacement,
    Occlusions,
    add_detector_errors,
    move_nose,
    vary_bones,
)
from posemamba.models.inputs import mirror, person_size
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import COCO17, H36M17


@pytest.fixture
def bodies(motions):
    return torch.from_numpy(motions.positions[None, :100]).repeat(3, 1, 1, 1).contiguous()


def bones(positions):
    return torch.stack([positions[:, :, j] - positions[:, :, p] for p, j in H36M17.bones], 2)


def test_mirror_twice_is_the_same(bodies):
    assert torch.equal(mirror(mirror(bodies)), bodies)
    mirrored = mirror(bodies)
    assert torch.equal(mirrored[:, :, 3, 0], -bodies[:, :, 6, 0])
    assert torch.equal(mirrored[:, :, 3, 1:], bodies[:, :, 6, 1:])


def test_bones_keep_their_directions_and_symmetry(bodies):
    factors = 0.8 + 0.6 * torch.rand(3, len(BONE_GROUPS))
    varied = vary_bones(bodies, factors)
    assert torch.equal(varied[:, :, 0], bodies[:, :, 0])
    before, after = bones(bodies), bones(varied)
    assert torch.allclose(
        torch.nn.functional.normalize(before, dim=-1), torch.nn.functional.normalize(after, dim=-1), atol=1e-4
    )
    ratio = after.norm(dim=-1) / before.norm(dim=-1)
    children = [j for _, j in H36M17.bones]
    for left, right in H36M17.pairs:
        assert torch.allclose(ratio[:, :, children.index(left)], ratio[:, :, children.index(right)], atol=1e-4)
    assert torch.allclose(ratio[:, :, children.index(1)], factors[:, :1].expand(-1, 100), atol=1e-4)
    assert torch.allclose(vary_bones(bodies, torch.ones_like(factors)), bodies, atol=1e-5)


def test_nose_moves_to_where_the_walker_goes(bodies):
    moved = move_nose(bodies, torch.tensor([0.05, 0.05, 0.0]))
    way = bodies[0, 99, 0] - bodies[0, 0, 0]
    shift = (moved - bodies)[0, 50, 9]
    assert shift.norm().item() == pytest.approx(0.05, abs=1e-5)
    assert (shift @ way / (way.norm() * 0.05)).item() > 0.8
    assert torch.equal(moved[2], bodies[2])


def errors(clips, **changed):
    """No errors, but for fields by dotted name (the first dot as `__`); a number is that of each clip."""
    made = DetectorErrors.none(clips)
    for name, value in changed.items():
        *groups, field = name.split("__")
        getattr(getattr(made, groups[0]) if groups else made, field)[:] = torch.as_tensor(value)
    return made


SURE = {"confidence__binary": False, "confidence__intercept": 2.0, "confidence__error_slope": 9.0}


def test_clean_clips_stay_exact(bodies):
    exact = bodies[..., [0, 2]]
    noisy, confidence = add_detector_errors(exact, errors(3), torch.Generator())
    assert torch.equal(noisy, exact) and torch.equal(confidence, torch.ones(3, 100, 17))


def test_jitter_has_the_given_size_is_worse_at_wrists_and_repeats(bodies):
    exact = bodies[..., [0, 2]]
    given = errors(3, jitter__std=0.05, **SURE)
    noisy, confidence = add_detector_errors(exact, given, torch.Generator().manual_seed(1))
    again, _ = add_detector_errors(exact, given, torch.Generator().manual_seed(1))
    assert torch.equal(noisy, again)
    relative = (noisy - exact) / person_size(exact)[:, None, None, None]
    assert relative[:, :, 11].std().item() == pytest.approx(0.05, rel=0.5)
    assert relative[:, :, 13].std() > 1.7 * relative[:, :, 7].std()
    slow = relative.diff(dim=1)[:, :, 13].std() / relative[:, :, 13].std()
    assert slow < 1.1  # white noise would have 1.41
    assert confidence[:, :, 13].mean() < confidence[:, :, 11].mean() < 1


def test_joints_are_displaced_in_the_bodys_axes(bodies):
    offset = torch.zeros(3, 17, 3)
    offset[0, 10], offset[1, 1], offset[1, 4] = torch.tensor([0.0, 0.05, 0.1]), *torch.tensor([[0.02, -0.04, 0.0]] * 2)
    raised = torch.zeros(3, 2)
    raised[2] = torch.tensor([0.3, 0.1])
    displacement = Displacement(offset, raised)
    moved = displacement.apply(bodies)
    way = torch.nn.functional.normalize(bodies[0, 99, 0] - bodies[0, 0, 0], dim=-1)
    trunk = torch.nn.functional.normalize(bodies[0, :, 8] - bodies[0, :, 0], dim=-1)
    shift = moved[0, :, 10] - bodies[0, :, 10]
    torch.testing.assert_close(shift.norm(dim=-1), torch.full((100,), 0.0125**0.5))
    torch.testing.assert_close((shift * trunk).sum(-1), torch.full((100,), 0.05), rtol=0, atol=1e-5)
    assert (shift @ way).min() > 0.05
    hips = moved[1, :, (1, 4)] - bodies[1, :, (1, 4)]
    torch.testing.assert_close(hips.norm(dim=-1), torch.full((100, 2), 0.002**0.5))
    across = bodies[1, :, 4] - bodies[1, :, 1]
    assert (hips * across[:, None]).sum(-1).min() > 0.01 * float(across.norm(dim=-1).mean())
    for ankle, share in ((3, 0.3), (6, 0.1)):
        shin = bodies[2, :, ankle - 1] - bodies[2, :, ankle]
        torch.testing.assert_close(moved[2, :, ankle] - bodies[2, :, ankle], share * shin, rtol=0, atol=1e-6)
    changed = (moved - bodies).abs().amax((1, 3)) > 0
    assert [row.nonzero()[:, 0].tolist() for row in changed] == [[10], [1, 4], [3, 6]]
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    turn = turn * torch.linalg.det(turn)
    torch.testing.assert_close(displacement.apply(bodies @ turn.T), moved @ turn.T, rtol=0, atol=1e-5)


def test_a_head_or_ankles_that_are_lost_are_placed_by_what_is_there(bodies):
    errors = DetectorErrors.none(3)
    zero, whole = torch.zeros(3, 1), torch.full((3, 1), 100.0)
    for joints, number in (((9, 10), OCCLUDED_HEAD), ((3, 6), OCCLUDED_ANKLES)):
        errors.occlusions = Occlusions(zero, whole, torch.full((3, 1), number))
        found, confidence = add_detector_errors(bodies[..., :2], errors, torch.Generator())
        assert (confidence[:, :, joints] == 0).all() and confidence.sum() == 3 * 100 * 15
        nearest = {9: 8, 10: 8, 3: 2, 6: 5}
        for joint in joints:
            assert torch.equal(found[:, :, joint], bodies[:, :, nearest[joint], :2])


def test_swaps_and_occlusions_last_as_long_as_they_say(bodies):
    exact = bodies[..., [0, 2]]
    swap = errors(3, swaps__start=[10.0, 0], swaps__length=[4.0, 0])
    noisy, _ = add_detector_errors(exact, swap, torch.Generator())
    assert torch.equal(noisy[:, 10:14, 3], exact[:, 10:14, 6])
    assert torch.equal(noisy[:, 14:], exact[:, 14:]) and torch.equal(noisy[:, :, 11:], exact[:, :, 11:])
    hidden = errors(3, occlusions__length=[100.0, 0], occlusions__joint_set=[OCCLUDED_LEGS, 0])
    noisy, confidence = add_detector_errors(exact, hidden, torch.Generator())
    assert torch.equal(noisy[:, :, 3], exact[:, :, 1]) and not confidence[:, :, [2, 3, 5, 6]].any()


def test_errors_are_shared_along_limbs_and_larger_at_hidden_joints(bodies):
    exact = bodies[..., [0, 2]].repeat(4, 1, 1, 1)
    given = errors(12, jitter__bias_std=0.05, jitter__hard_scale=[3.0, 1.0], jitter__hard_joints=[5, 0])
    drawn = [add_detector_errors(exact, given, torch.Generator().manual_seed(i))[0] - exact for i in range(40)]
    error = (torch.stack(drawn) / person_size(exact)[:, None, None, None])[:, :, 0]  # constant in time
    size = error.square().mean((0, 1, 3)).sqrt() / 0.05
    wanted = torch.tensor(DIFFICULTY)
    wanted[5] *= 3
    assert torch.allclose(size, wanted, rtol=0.1)
    for joint, other, share in ((3, 2, 0.45), (13, 12, 0.45), (10, 9, 0.9), (13, 11, 0.45**2), (2, 1, 0.0)):
        a, b = error[:, :, joint].flatten(), error[:, :, other].flatten()
        assert (a @ b / (a.norm() * b.norm())).item() == pytest.approx(share, abs=0.12)


def test_derived_joints_are_those_of_the_conversion(bodies):
    """What training shows is what lifting makes of a detector's hips and shoulders."""
    exact = bodies[..., [0, 2]]
    hidden = {"start": [20.0, 0], "length": [10.0, 0], "joint_set": [OCCLUDED_ALL, 0]}
    given = errors(3, derived_trunk=True, jitter__std=0.05, confidence__binary=False, dropout_rate=0.1)
    for field, value in hidden.items():
        getattr(given.occlusions, field)[:] = torch.tensor(value)
    noisy, confidence = add_detector_errors(exact, given, torch.Generator().manual_seed(2))
    joints = dict(zip(H36M17.joints, range(17), strict=True))
    coco = torch.full((3, 100, 17, 3), torch.nan)
    for k, name in enumerate(COCO17.joints):
        if name in joints and name != "nose":
            coco[:, :, k] = torch.cat([noisy, confidence[..., None]], -1)[:, :, joints[name]]
    for clip in range(3):
        xy = torch.where(coco[clip, ..., 2:] > 0, coco[clip, ..., :2], torch.nan).numpy()
        sure = coco[clip, ..., 2].nan_to_num().numpy()
        converted = to_h36m17(Keypoints2D(xy, sure, COCO17, (1000, 1000), 50))
        chosen = [joints[n] for n in ("pelvis", "spine", "thorax")]
        there = confidence[clip][:, chosen] > 0
        assert not there[20:30].any() and 0.4 < there.float().mean() < 0.9
        assert torch.equal(torch.from_numpy(converted.found[:, chosen]), there)
        got = torch.from_numpy(converted.xy[:, chosen])[there]
        assert torch.allclose(got, noisy[clip][:, chosen][there], atol=1e-5)
        assert torch.allclose(torch.from_numpy(converted.confidence[:, chosen]), confidence[clip][:, chosen], atol=1e-6)


def test_joints_dropped_and_beyond_the_edge(bodies):
    exact = bodies[..., [0, 2]]
    noisy, confidence = add_detector_errors(exact, errors(3, dropout_rate=[0.0, 0.2, 0.4]), torch.Generator())
    lost = confidence == 0
    assert lost.float().mean((1, 2)).tolist() == pytest.approx([0, 0.2, 0.4], abs=0.03)
    assert torch.equal(noisy[~lost], exact[~lost]) and not torch.equal(noisy[lost], exact[lost])
    edge = torch.tensor([[torch.inf, float(exact[0, :, 10, 1].median())]] * 3)
    _, confidence = add_detector_errors(exact, errors(3, edge=edge), torch.Generator())
    assert torch.equal(confidence > 0, exact[..., 1].abs() <= edge[0, 1])


def test_confidence_follows_its_formula_and_may_ignore_swaps(bodies):
    exact = bodies[..., [0, 2]]
    swap = {"swaps__start": [10.0, 0], "swaps__length": [4.0, 0]}
    noisy, confidence = add_detector_errors(exact, errors(3, **swap, **SURE), torch.Generator())
    wrong = (noisy - exact).norm(dim=-1) / person_size(exact)[:, None, None]
    assert torch.allclose(confidence, torch.sigmoid(2 - 9 * wrong), atol=1e-6)
    assert confidence[:, 10:14, 3].max() < 0.8 < confidence[:, 20:].min()
    _, confidence = add_detector_errors(
        exact, errors(3, **swap, **SURE, confidence__ignores_swaps=True), torch.Generator()
    )
    assert torch.allclose(confidence, torch.sigmoid(torch.tensor(2.0)).expand_as(confidence), atol=1e-6)
    noisy_confidence = errors(3, **SURE, confidence__slow_noise=1.0)
    _, confidence = add_detector_errors(exact.repeat(1, 20, 1, 1), noisy_confidence, torch.Generator())
    noise = torch.logit(confidence.double()) - 2
    assert noise.std().item() == pytest.approx(1, abs=0.1)
    assert 0.7 < (noise[:, 1:] * noise[:, :-1]).mean() / noise.square().mean() < 0.9  # changes slowly


class Operations(TorchDispatchMode):
    """Names of all that is computed."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(str(function.overloadpacket))
        return function(*args, **(kwargs or {}))


def test_nothing_in_it_would_wait_for_a_gpu(bodies):
    exact, bad = bodies[..., [0, 2]], errors(3, derived_trunk=True, jitter__std=0.02)
    add_detector_errors(exact, bad, torch.Generator())  # constants are made once
    with Operations() as seen:
        add_detector_errors(exact, bad, torch.Generator())
    # numbers of the host that become tensors (lists as an index, too), numbers read back, places of what is true
    assert not seen.names & {"aten.lift_fresh", "aten._local_scalar_dense", "aten.nonzero", "aten.masked_select"}
    assert "aten.randn" in seen.names
