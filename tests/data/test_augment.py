import pytest
import torch

from posemamba.data.augment import (
    BONE_GROUPS,
    LOST_LEGS,
    DetectorErrors,
    detect_badly,
    mirror,
    move_nose,
    vary_bones,
)
from posemamba.data.cameras import person_size
from posemamba.skeleton import H36M17


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
        assert torch.allclose(
            ratio[:, :, children.index(left)], ratio[:, :, children.index(right)], atol=1e-4
        )
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
    zero = ("jitter", "bias", "spikes", "spike_size", "dropped", "sure", "doubt", "mood", "misled")
    none = {name: torch.zeros(clips) for name in zero}
    none |= {"blind": torch.ones(clips), "edge": torch.full((clips, 2), torch.inf)}
    for name in ("lost_start", "lost_length", "lost_set", "swap_start", "swap_length", "swap_what"):
        none[name] = torch.zeros(clips, 2, dtype=torch.long)
    return DetectorErrors(**{**none, **changed})


def test_clean_clips_stay_exact(bodies):
    exact = bodies[..., [0, 2]]
    noisy, confidence = detect_badly(exact, errors(3), torch.Generator())
    assert torch.equal(noisy, exact) and torch.equal(confidence, torch.ones(3, 100, 17))


def test_jitter_has_the_given_size_is_worse_at_wrists_and_repeats(bodies):
    exact = bodies[..., [0, 2]]
    sayings = {"blind": torch.zeros(3), "sure": torch.full((3,), 2.0), "doubt": torch.full((3,), 9.0)}
    given = errors(3, jitter=torch.full((3,), 0.05), **sayings)
    noisy, confidence = detect_badly(exact, given, torch.Generator().manual_seed(1))
    again, _ = detect_badly(exact, given, torch.Generator().manual_seed(1))
    assert torch.equal(noisy, again)
    relative = (noisy - exact) / person_size(exact)[:, None, None, None]
    assert relative[:, :, 11].std().item() == pytest.approx(0.05, rel=0.5)
    assert relative[:, :, 13].std() > 1.3 * relative[:, :, 11].std()
    slow = relative.diff(dim=1)[:, :, 13].std() / relative[:, :, 13].std()
    assert slow < 1.1  # white noise would have 1.41
    assert confidence[:, :, 13].mean() < confidence[:, :, 11].mean() < 1


def test_swaps_and_losses_last_as_long_as_they_say(bodies):
    exact = bodies[..., [0, 2]]
    swap = errors(3, swap_start=torch.tensor([[10, 0]] * 3), swap_length=torch.tensor([[4, 0]] * 3))
    noisy, _ = detect_badly(exact, swap, torch.Generator())
    assert torch.equal(noisy[:, 10:14, 3], exact[:, 10:14, 6])
    assert torch.equal(noisy[:, 14:], exact[:, 14:]) and torch.equal(noisy[:, :, 11:], exact[:, :, 11:])
    gone = {"lost_start": 0, "lost_length": 100, "lost_set": LOST_LEGS}
    lost = errors(3, **{k: torch.tensor([[v, 0]] * 3) for k, v in gone.items()})
    noisy, confidence = detect_badly(exact, lost, torch.Generator())
    assert torch.equal(noisy[:, :, 3], exact[:, :, 1]) and not confidence[:, :, [2, 3, 5, 6]].any()


def test_joints_lost_by_chance_and_beyond_the_edge(bodies):
    exact = bodies[..., [0, 2]]
    noisy, confidence = detect_badly(exact, errors(3, dropped=torch.tensor([0.0, 0.2, 0.4])), torch.Generator())
    lost = confidence == 0
    assert lost.float().mean((1, 2)).tolist() == pytest.approx([0, 0.2, 0.4], abs=0.03)
    assert torch.equal(noisy[~lost], exact[~lost]) and not torch.equal(noisy[lost], exact[lost])
    edge = torch.tensor([[torch.inf, float(exact[0, :, 10, 1].median())]] * 3)
    _, confidence = detect_badly(exact, errors(3, edge=edge), torch.Generator())
    assert torch.equal(confidence > 0, exact[..., 1].abs() <= edge[0, 1])


def test_confidence_follows_its_formula_and_can_be_misled(bodies):
    exact = bodies[..., [0, 2]]
    swap = {"swap_start": torch.tensor([[10, 0]] * 3), "swap_length": torch.tensor([[4, 0]] * 3)}
    sayings = {"blind": torch.zeros(3), "sure": torch.full((3,), 2.0), "doubt": torch.full((3,), 9.0)}
    noisy, confidence = detect_badly(exact, errors(3, **swap, **sayings), torch.Generator())
    wrong = (noisy - exact).norm(dim=-1) / person_size(exact)[:, None, None]
    assert torch.allclose(confidence, torch.sigmoid(2 - 9 * wrong), atol=1e-6)
    assert confidence[:, 10:14, 3].max() < 0.8 < confidence[:, 20:].min()
    _, confidence = detect_badly(exact, errors(3, **swap, **sayings, misled=torch.ones(3)), torch.Generator())
    assert torch.allclose(confidence, torch.sigmoid(torch.tensor(2.0)).expand_as(confidence), atol=1e-6)
    moody = errors(3, **{**sayings, "mood": torch.ones(3)})
    _, confidence = detect_badly(exact.repeat(1, 20, 1, 1), moody, torch.Generator())
    mood = torch.logit(confidence.double()) - 2
    assert mood.std().item() == pytest.approx(1, abs=0.1)
    assert 0.7 < (mood[:, 1:] * mood[:, :-1]).mean() / mood.square().mean() < 0.9  # changes slowly
