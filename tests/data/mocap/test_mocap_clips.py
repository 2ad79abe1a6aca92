import pytest
import torch

from posemamba.data.mocap.clips import MocapSource, sample_motion
from posemamba.data.mocap.motions import load_motions
from posemamba.data.mocap.options import MocapOptions, MotionOptions
from posemamba.utils.errors import PoseMambaError

OPTIONS = MocapOptions(lengths={27: 0.6, 9: 0.3, 1: 0.1})


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def test_a_batch_depends_on_seed_step_and_rank_alone(motions):
    source, other = MocapSource(motions, OPTIONS, seed=3), MocapSource(motions, OPTIONS, seed=3)
    later = [source.batch(step, 4) for step in range(6)]
    assert same(other.batch(5, 4), later[5]) and same(other.batch(2, 4), later[2])
    assert not same(source.batch(7, 4, frames=9), source.batch(8, 4, frames=9))
    assert not same(source.batch(7, 4, frames=9), source.batch(7, 4, rank=1, frames=9))
    assert not same(source.batch(7, 4, frames=9), MocapSource(motions, OPTIONS, 4).batch(7, 4, frames=9))


@pytest.mark.parametrize("frames", [1, 9, 27, 161])
def test_targets_fit_their_pictures(motions, frames):
    batch = MocapSource(motions, MocapOptions(lengths={161: 1.0}), seed=1).batch(0, 24, frames=frames)
    assert batch.input.shape == (24, frames, 17, 2) and batch.confidence.shape == (24, frames, 17)
    assert all(torch.isfinite(x).all() for x in vars(batch).values())
    assert torch.allclose(batch.target[..., :2] + batch.exact[:, :, :1], batch.exact, atol=1e-5)
    assert not batch.target[:, :, 0].any()
    clean = (batch.input == batch.exact).all(-1).flatten(1).all(1)
    assert 0 < clean.sum() < 24
    metres = batch.target[..., 2] * batch.mm_per_unit[..., None] / 1000
    assert metres.abs().max() < 1.5


GEOMETRY = {
    "motion": {"straight_knee_share": 0.6, "standing_share": 0.2},
    "body": {"detector_share": 0.5},
    "camera": {
        "offset": 0.9,
        "focal": (0.42, 2.3),
        "roll_share": 0.3,
        "look_at_share": 1.0,
        "levelled_share": 0.3,
        "extreme_share": 0.4,
    },
    "detector": {
        "displaced_share": 0.6,
        "raised_ankle_share": 0.2,
        "head_loss_share": 0.2,
        "ankle_loss_share": 0.1,
        "confident_share": 0.3,
    },
}


def test_virtual_cameras_look_at_people_and_targets_fit_them(motions):
    options = MocapOptions(lengths={27: 1.0}, **GEOMETRY)
    batch = MocapSource(motions, options, seed=1).batch(0, 200)
    assert all(torch.isfinite(x).all() for x in vars(batch).values())
    torch.testing.assert_close(batch.target[..., :2] + batch.exact[:, :, :1], batch.exact, rtol=0, atol=1e-5)
    metres = batch.target[..., 2] * batch.mm_per_unit[..., None] / 1000
    assert metres.abs().max() < 1.5
    aside = batch.input.mean((1, 2)).norm(dim=-1)
    straight = MocapOptions(lengths={27: 1.0}, **{**GEOMETRY, "camera": {**GEOMETRY["camera"], "look_at_share": 0.0}})
    before = MocapSource(motions, straight, seed=1).batch(0, 200)
    assert aside.median() < 0.05 and before.input.mean((1, 2)).norm(dim=-1).median() > 0.3
    assert torch.equal(before.confidence, batch.confidence)  # errors are made in the real picture


def test_displaced_joints_are_seen_elsewhere_and_aimed_at_where_they_are(motions):
    detector = {"clean_share": 0.0, "occlusion_share": 0.0, "dropout_share": 0.0}
    plain, displaced = (
        MocapSource(motions, MocapOptions(lengths={27: 1.0}, detector={**detector, **more}), seed=1).batch(0, 40)
        for more in ({}, {"displaced_share": 1.0, "raised_ankle_share": 1.0})
    )
    assert torch.equal(plain.target, displaced.target) and torch.equal(plain.exact, displaced.exact)
    shift = (displaced.input - plain.input).norm(dim=-1).mean((0, 1))
    assert (shift > 0).all() and shift[3] > 2 * shift[2] and shift[10] > 2 * shift[12]


def test_motions_too_short_are_slowed_down_or_left_out(motions):
    source = MocapSource(motions, MocapOptions(lengths={161: 1.0}), seed=0)
    assert source.batch(0, 8).input.shape[1] == 161  # the longest has 160 frames
    with pytest.raises(PoseMambaError, match="no motion is long enough"):
        MocapSource(motions, MocapOptions(lengths={500: 1.0}))


def test_motion_between_frames(motions):
    positions = torch.from_numpy(motions.positions).double()
    begin, end = torch.tensor([0, 160]), torch.tensor([159, 249])
    time = torch.tensor([[0.0, 3.0, 10.5, 159.0], [160.0, 170.25, 200.0, 249.0]], dtype=torch.float64)
    between = sample_motion(positions, time, begin, end)
    assert torch.allclose(between[0, [0, 1, 3]], positions[[0, 3, 159]])
    assert torch.allclose(between[1, [0, 2, 3]], positions[[160, 200, 249]])
    assert (between[0, 2] - (positions[10] + positions[11]) / 2).abs().max() < 0.003


def test_clips_of_the_real_files_are_finite(mocap_files):
    batch = MocapSource(load_motions(mocap_files, "train"), MocapOptions(), seed=0).batch(0, 8, frames=243)
    assert all(torch.isfinite(x).all() for x in vars(batch).values())


@pytest.mark.gpu
def test_batches_do_not_wait_for_the_gpu(motions):
    changed = {"graft_share": 0.5, "joint_perturbation_share": 0.5, "tumble_share": 0.5, "reverse_share": 0.5}
    geometry = {name: group for name, group in GEOMETRY.items() if name != "motion"}
    motion = MotionOptions(**changed, **GEOMETRY["motion"])
    options = MocapOptions(lengths=OPTIONS.lengths, motion=motion, **geometry)
    source = MocapSource(motions, options, seed=0, device="cuda")
    source.batch(0, 4, frames=27)  # constants travel to the device once
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = source.batch(1, 4, frames=27).zoomed(0.25)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    on_cpu = MocapSource(motions, options, seed=0).batch(1, 4, frames=27).zoomed(0.25)
    clean = (on_cpu.input == on_cpu.exact).all(-1).flatten(1).all(1)  # the zoom is measured on the noisy input
    assert clean.any() and torch.allclose(batch.target.cpu()[clean], on_cpu.target[clean], atol=1e-4)
