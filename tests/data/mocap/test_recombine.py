"""Motions out of others: bones keep their lengths, parts stand to the body as they stood, the rest stays."""

import numpy as np
import pytest
import torch

from posemamba.data.clips import ClipBatch
from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.data.mocap.recombine import (
    BALL_JOINTS,
    GRAFTS,
    Rotations,
    bones_of,
    graft,
    joints_of,
    rotate_joints,
    straighten_knees,
    tumble,
)
from posemamba.demo.walker import walk

ARMS, LEGS, UPPER = [12, 13, 15, 16], list(range(7)), list(range(7, 17))


def walks(seed: int, clips: int = 5, frames: int = 40) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.asarray(walk(frames, 50.0, seed=seed + i))) for i in range(clips)]).double()


def lengths(positions: torch.Tensor) -> torch.Tensor:
    return bones_of(positions)[..., 1:, :].norm(dim=-1)


def angles(p: torch.Tensor, bones: list[int], axes: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """Cosines between bones and the lines from one joint to another."""
    lines = torch.stack([p[..., b, :] - p[..., a, :] for a, b in axes], -2)
    return torch.nn.functional.cosine_similarity(bones_of(p)[..., bones, None, :], lines[..., None, :, :], dim=-1)


def turned_about(p: torch.Tensor, seed: int) -> torch.Tensor:
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=p.dtype))
    return p @ (q * torch.linalg.det(q)).T + 3


def test_bones_and_back() -> None:
    p = walks(0)
    torch.testing.assert_close(joints_of(bones_of(p)), p)


def test_grafted_parts_stand_to_the_body_as_they_stood_to_the_other() -> None:
    body, other = walks(0), walks(50)
    what = torch.tensor([0, 1, 2, 3, -1])
    got = graft(body, turned_about(1.3 * other, 1), what)  # of another size, seen from another side
    torch.testing.assert_close(lengths(got), lengths(body))
    torch.testing.assert_close(got[:, :, LEGS], body[:, :, LEGS])
    torch.testing.assert_close(got[4], body[4])
    torch.testing.assert_close(got[:3, :, [7, 8, 9, 10, 11, 14]], body[:3, :, [7, 8, 9, 10, 11, 14]])
    chest = ((14, 11), (7, 8))
    for clip, bones, kept in ((0, ARMS, []), (1, [12, 13], [15, 16]), (2, [15, 16], [12, 13])):
        # the chest's line upwards need not be square to the shoulders', and the other's may be more or less so
        torch.testing.assert_close(
            angles(got[clip], bones, chest[:1]), angles(other[clip], bones, chest[:1]), rtol=0, atol=1e-6
        )
        torch.testing.assert_close(got[clip][:, kept], body[clip][:, kept])
        assert (got[clip] - body[clip])[:, bones].norm(dim=-1).mean() > 0.02
    hips = ((1, 4),)
    torch.testing.assert_close(angles(got[3], UPPER, hips), angles(other[3], UPPER, hips), rtol=0, atol=1e-6)
    directions = [torch.nn.functional.normalize(bones_of(x[3])[:, UPPER], dim=-1) for x in (got, other)]
    grams = [d @ d.transpose(-1, -2) for d in directions]  # an upper body is carried over as a whole
    torch.testing.assert_close(grams[0], grams[1], rtol=0, atol=1e-6)
    assert len(GRAFTS) == 4


def test_an_upper_body_leans_as_it_leant() -> None:
    body, other = walks(0), walks(50)
    about = torch.tensor([[np.cos(0.6), 0, np.sin(0.6)], [0, 1, 0], [-np.sin(0.6), 0, np.cos(0.6)]]).double()
    level = other - other[:, :, :1]
    leaning = torch.cat([level[:, :, :7], level[:, :, 7:] @ about.T], 2)  # 34 degrees, to wherever x is
    turned = [[np.cos(1.0), -np.sin(1.0), 0], [np.sin(1.0), np.cos(1.0), 0], [0, 0, 1]]
    got = graft(body, leaning @ torch.tensor(turned).double().T, torch.full((5,), 3))
    lean = [torch.acos(torch.nn.functional.normalize(bones_of(p)[:, :, 8], dim=-1)[..., 2]) for p in (got, leaning)]
    torch.testing.assert_close(lean[0], lean[1], rtol=0, atol=0.15)  # hips are not quite level
    assert lean[0].mean() > 0.45
    lying = leaning @ torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]).double().T
    spine = bones_of(graft(body, lying, torch.full((5,), 3)))[:, :, 8]
    alone = torch.acos(torch.nn.functional.normalize(spine, dim=-1)[..., 2])
    assert alone.mean() < lean[0].mean() - 0.1  # of somebody who lies the spine is set upon the spine, but for sideways


def still(clips: int, **changes: torch.Tensor) -> Rotations:
    none = torch.zeros(clips, len(BALL_JOINTS), 3, dtype=torch.float64)
    parts = {"offset": none, "amplitude": none.clone(), "cycles": none[..., 0] + 1.0, "phase": none[..., 0].clone()}
    return Rotations(**{**parts, **changes})


@pytest.mark.parametrize(("joint", "moved"), enumerate([UPPER, [9, 10], [12, 13], [15, 16], [2, 3], [5, 6]]))
def test_a_joint_turns_by_the_angle_with_all_that_hangs_on_it(joint: int, moved: list[int]) -> None:
    p = walks(3)
    torch.testing.assert_close(rotate_joints(p, still(5)), p)
    offset = torch.zeros(5, len(BALL_JOINTS), 3, dtype=torch.float64)
    offset[:, joint] = torch.tensor([0.3, -0.2, 0.1])
    got = rotate_joints(p, still(5, offset=offset))
    torch.testing.assert_close(lengths(got), lengths(p))
    rest = [j for j in range(17) if j not in moved]
    torch.testing.assert_close(got[:, :, rest], p[:, :, rest])
    before, after = (torch.nn.functional.normalize(bones_of(x)[:, :, moved], dim=-1) for x in (p, got))
    cosines = (before[..., :1, :] * before).sum(-1)
    torch.testing.assert_close((after[..., :1, :] * after).sum(-1), cosines)  # as one piece
    angle = torch.linalg.vector_norm(torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64))
    turned_by = torch.acos((before * after).sum(-1).clamp(-1, 1))
    assert turned_by.max() <= angle + 1e-6 and turned_by.max() > 0.3 * angle


def test_a_swing_goes_to_and_fro() -> None:
    p = walks(3)[:, :1].expand(-1, 41, -1, -1)
    swing = torch.zeros(5, len(BALL_JOINTS), 3, dtype=torch.float64)
    swing[:, 2] = torch.tensor([0.0, 0.4, 0.0])
    got = rotate_joints(p, still(5, amplitude=swing))
    away = (got - p)[:, :, 13].norm(dim=-1)
    assert away[:, [0, 20, 40]].abs().max() < 1e-6 and (away[:, [10, 30]] > 0.05).all()


def test_a_tumbled_body_turns_as_one_piece_about_its_pelvis() -> None:
    p = walks(3, frames=41)
    offset = torch.zeros(5, 1, 3, dtype=torch.float64)
    swing, phase = offset.clone(), torch.zeros(5, 1, dtype=torch.float64)
    offset[1:, 0, 0] = torch.pi  # about x: upside down
    swing[2:, 0, 0] = 0.5
    got = tumble(p, Rotations(offset, swing, phase + 1.0, phase))
    torch.testing.assert_close(got[0], p[0])
    torch.testing.assert_close(got[:, :, 0], p[:, :, 0])
    torch.testing.assert_close(got[1] - got[1, :, :1], (p[1] - p[1, :, :1]) * torch.tensor([1.0, -1, -1]).double())
    torch.testing.assert_close(torch.cdist(got, got), torch.cdist(p, p))
    steadily = tumble(p, Rotations(offset, swing * 0, phase + 1.0, phase))
    torch.testing.assert_close(got[2, [0, 20, 40]], steadily[2, [0, 20, 40]])
    # a quarter of a swing: half a radian more
    relative = (got[2, 10] - got[2, 10, :1]) @ torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]).double()
    c, s = np.cos(0.5), np.sin(0.5)
    about = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]]).double()
    torch.testing.assert_close(relative, (p[2, 10] - p[2, 10, :1]) @ about.T)


def bends(p: torch.Tensor) -> torch.Tensor:
    """(B, T, 2) degrees by which right and left knee are bent."""
    b = torch.nn.functional.normalize(bones_of(p), dim=-1)
    return torch.rad2deg(torch.acos((b[:, :, (2, 5)] * b[:, :, (3, 6)]).sum(-1).clamp(-1, 1)))


def test_knees_are_bent_less_in_the_plane_of_the_leg() -> None:
    p = walks(0, 3)
    less = torch.tensor([0.0, 12.0, 25.0], dtype=p.dtype)
    none = torch.zeros(3, dtype=p.dtype)
    moved = straighten_knees(p, torch.deg2rad(less), none)
    assert torch.equal(moved[0], p[0])
    torch.testing.assert_close(lengths(moved), lengths(p))
    others = [j for j in range(17) if j not in (2, 3, 5, 6)]
    assert torch.equal(moved[:, :, others], p[:, :, others])
    before, after = bends(p)[1:], bends(moved)[1:]
    over = before - less[1:, None, None]
    assert (over > 3).any() and (over < -3).any()
    torch.testing.assert_close(after[over >= 3], over[over >= 3], rtol=0, atol=1e-5)
    assert after[over <= -3].max() < 1e-4  # acos of nearly 1
    near = over.abs() < 3
    torch.testing.assert_close(after[near], (over[near] + 3) ** 2 / 12, rtol=0, atol=1e-5)
    for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
        line = [torch.nn.functional.normalize(q[:, :, ankle] - q[:, :, hip], dim=-1) for q in (p, moved)]
        torch.testing.assert_close(*line)  # the ankle stays where it was seen from the hip
        knees = [torch.linalg.cross(a, q[:, :, knee] - q[:, :, hip]) for a, q in zip(line, (p, moved), strict=True)]
        assert (torch.nn.functional.cosine_similarity(*knees, dim=-1)[1:][after[..., hip // 4] > 1] > 0.999).all()


def test_stiff_knees_bend_by_a_share() -> None:
    p = walks(0, 3)
    less = torch.deg2rad(torch.tensor([0.0, 0.0, 12.0], dtype=p.dtype))
    moved = straighten_knees(p, less, torch.tensor([0.0, 0.75, 0.5], dtype=p.dtype))
    assert torch.equal(moved[0], p[0])
    torch.testing.assert_close(lengths(moved), lengths(p))
    torch.testing.assert_close(bends(moved)[1], 0.25 * bends(p)[1], rtol=0, atol=1e-5)
    unstiff = straighten_knees(p, less, torch.zeros(3, dtype=p.dtype))
    torch.testing.assert_close(bends(moved)[2], 0.5 * bends(unstiff)[2], rtol=0, atol=1e-4)


def test_knees_move_without_a_jerk() -> None:
    bend = torch.linspace(0, 1, 400, dtype=torch.float64)
    p = torch.zeros(1, 400, 17, 3, dtype=torch.float64)
    for hip in (1, 4):
        p[0, :, hip + 1, 2] = -0.4
        p[0, :, hip + 2] = torch.stack([bend * 0, -0.4 * bend.sin(), -0.4 - 0.4 * bend.cos()], -1)
    moved = straighten_knees(p, *torch.tensor([[0.3], [0]], dtype=torch.float64))
    assert moved.isfinite().all() and moved.diff(n=2, dim=1).abs().max() < 4e-5 and p.diff(dim=1).abs().max() > 8e-4


def test_flat_bodies_stay_finite() -> None:
    p = walks(0)
    p[0, 3] = 0  # all joints in one place
    p[1, :, 8] = p[1, :, 7]  # no chest
    p[2, :, 11] = p[2, :, 14]  # no shoulders
    assert graft(p, p.flip(0), torch.tensor([0, 1, 2, 3, 3])).isfinite().all()
    assert straighten_knees(p, *torch.full((2, 5), 0.2, dtype=torch.float64)).isfinite().all()
    assert rotate_joints(p, still(5, offset=torch.full((5, 6, 3), 0.2, dtype=torch.float64))).isfinite().all()


def test_clips_of_recombined_motion(motions: Motions) -> None:
    plain = {"body": {"bone_scale": False}, "camera": {"follow_share": 0.0}, "detector": {"clean_share": 1.0}}

    def batch(**changes: float) -> ClipBatch:
        options = MocapOptions(lengths={27: 1}, **plain, motion=changes)  # type: ignore[arg-type]
        return MocapSource(motions, options, seed=4).batch(2, 16)

    forwards = batch()
    torch.testing.assert_close(batch(reverse_share=1.0).exact, forwards.exact.flip(1), rtol=0, atol=1e-5)
    for options in (
        {"graft_share": 1.0},
        {"joint_perturbation_share": 1.0},
        {"tumble_share": 1.0},
        {"straight_knee_share": 1.0},
        {"graft_share": 1.0, "joint_perturbation_share": 1.0, "tumble_share": 0.5, "reverse_share": 0.5},
    ):
        clips = batch(**options)
        assert clips.exact.isfinite().all() and clips.target.isfinite().all()
        assert (clips.target - forwards.target).abs().amax((1, 2, 3)).gt(1e-3).float().mean() > 0.7
