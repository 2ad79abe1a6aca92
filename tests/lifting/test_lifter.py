"""Lifting: windows and their seams, symmetry, scale, missing frames, memory, weights from files."""

from __future__ import annotations

import itertools
import json
import re
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import posemamba
from posemamba.demo.camera import look_at, project
from posemamba.demo.walker import walk
from posemamba.io.motion.npz import load_poses_npz, save_poses_json, save_poses_npz
from posemamba.lifting.lifter import Lifter
from posemamba.lifting.windows import windows
from posemamba.models.inputs import fill_missing, mirror, zoom_factor
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from posemamba.ops.runtime.device import choose_device
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import find_jumps, split_at_gaps
from posemamba.poses.skeletons import BLAZEPOSE33, COCO17, H36M17
from posemamba.poses.virtual_camera import Lens, focal_length
from posemamba.refine.metres import to_metres
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.names import bundled

SIZE = (1280, 720)


def walker_keypoints(frames: int, fps: float = 50, seed: int = 0) -> Keypoints2D:
    camera = look_at((5.5, -2.5, 1.5), (0, 0, 0.95))
    xy, _ = project(walk(frames, fps, seed=seed), camera, SIZE, 0.9 * SIZE[0])
    return Keypoints2D(xy, np.ones((frames, 17)), H36M17, SIZE, fps, source="walker")


def tiny_model(frames: int = 27, seed: int = 0) -> PoseMamba:
    torch.manual_seed(seed)
    model = PoseMamba.preset("s", width=16, depth=2, frames=frames)
    with torch.no_grad():  # as in a trained model the place in the window matters
        model.Temporal_pos_embed.normal_(std=0.02)
        model.Spatial_pos_embed.normal_(std=0.5)
    return model


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter(tiny_model(), name="tiny", device="cpu", person_size=0.25)


class Stub(nn.Module):
    """Gives the picture back with a depth that depends on the place in the window; remembers what it made."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self.alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
        self.most_alive = 0

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        joint = torch.arange(17.0)[:, None]
        depth = torch.linspace(-1, 1, x.shape[1])[None, :, None, None] * joint
        y = torch.cat([x, depth.expand(len(x), -1, -1, -1)], -1)
        self.alive.add(y)
        self.most_alive = max(self.most_alive, len(self.alive))
        return y


# --- windows


@pytest.mark.parametrize("window", [1, 2, 3, 9, 27, 81])
@pytest.mark.parametrize("extra", [-1, 0, 1, 2, 17, 18, 19, 40, 100, 1000])
def test_windows_cover_every_frame_with_weights_that_sum_to_one(window: int, extra: int) -> None:
    frames = max(1, window + extra)
    overlap = window // 3
    placed = windows(frames, window, overlap)
    assert placed[0].start == 0 and placed[-1].end == frames
    total, before_end = np.zeros(frames), 0
    for this in placed:  # as the lifter does it: the new window takes its share, the earlier ones the rest
        shared = max(0, before_end - this.start)
        new = this.weights(shared)
        assert ((new >= 0) & (new <= 1)).all() and (np.diff(new) >= 0).all()
        total[this.start : this.start + shared] *= 1 - new
        total[this.start : this.start + shared] += new
        total[this.start + shared : this.end] += 1
        before_end = this.end
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert all(this.end - this.start == min(frames, window) for this in placed)
    for this, following in itertools.pairwise(placed):
        assert this.next_start == following.start
        assert this.end - following.start >= overlap
        first, length = following.fade
        assert following.start <= first and first + length <= this.end


def test_a_clip_of_at_most_a_window_is_lifted_as_it_is(lifter: Lifter) -> None:
    for frames in (1, 2, 26, 27):
        keypoints = walker_keypoints(frames)
        poses = lifter(keypoints)
        assert poses.xyz.shape == (frames, 17, 3) and poses.seen.all()
        assert np.isfinite(poses.xyz).all()
        assert np.abs(poses.xyz[:, 0]).max() == 0  # relative to the pelvis
    plain = Lifter(tiny_model(), device="cpu", flip=False, virtual_camera=False)
    keypoints = walker_keypoints(9)
    given = keypoints.xy / SIZE[0] * 2 - np.array([1, SIZE[1] / SIZE[0]], np.float32)
    with torch.inference_mode():
        want = tiny_model().eval()(torch.from_numpy(given)[None])[0].numpy() * SIZE[0] / 2
    np.testing.assert_allclose(plain(keypoints).xyz, want - want[:, :1], atol=0.01)


def test_no_seam_shows() -> None:
    """Three windows of a smooth motion: where they are cross-faded nothing jumps more than elsewhere."""
    model = tiny_model(81)
    for frames in (150, 189):
        keypoints, placed = walker_keypoints(frames), windows(frames, 81, 27)
        assert len(placed) == 3
        jump = largest_jumps(Lifter(model, device="cpu", person_size=0.25)(keypoints).xyz)
        at_seam = np.zeros(len(jump), bool)
        for this in placed[1:]:
            at_seam[this.fade[0] - 1 : this.fade[0] + this.fade[1] + 1] = True
        assert jump[at_seam].max() <= jump[~at_seam].max()
        inside = ~at_seam
        inside[:5] = inside[-5:] = False  # this untrained model jumps most at the ends of the clip
        assert jump[at_seam].max() <= jump[inside].max()
    # the same windows put end to end do show
    hard = largest_jumps(Lifter(model, device="cpu", person_size=0.25, overlap=0)(walker_keypoints(162)).xyz)
    assert hard[80] > 3 * max(hard[5:75].max(), hard[86:-5].max())


def largest_jumps(xyz: np.ndarray) -> np.ndarray:
    """(F - 1,) how far the fastest joint moves from frame i to i + 1."""
    return np.linalg.norm(np.diff(xyz, axis=0), axis=-1).max(-1)


def test_in_the_middle_of_a_window_nothing_else_has_a_say(lifter: Lifter) -> None:
    keypoints = walker_keypoints(60)
    changed = replace(keypoints, xy=keypoints.xy.copy())
    changed.xy[50:] += 30
    first = windows(60, 27, 9)[1].fade[0]
    plain = Lifter(lifter.model, device="cpu", person_size=0.25, virtual_camera=False)
    same = plain(keypoints).xyz[:first] == plain(changed).xyz[:first]
    assert same.all()


@pytest.mark.parametrize("frames", [5000])
def test_a_long_clip_is_lifted_window_by_window(frames: int) -> None:
    model = Stub()
    keypoints = walker_keypoints(1)
    long = replace(keypoints, xy=keypoints.xy.repeat(frames, 0), confidence=keypoints.confidence.repeat(frames, 0))
    told: list[tuple[int, int | None]] = []
    lifter = Lifter(model, window=27, flip=False, device="cpu")
    poses = lifter(long, progress=lambda done, total: told.append((done, total)))
    assert all(shape == (1, 27, 17, 2) for shape in model.shapes)
    assert model.most_alive <= 2
    assert told[-1] == (frames, frames) and [d for d, _ in told] == sorted(d for d, _ in told)
    seen = poses.seen_xy
    np.testing.assert_allclose(poses.xyz[..., :2], seen - seen[:, :1], atol=1e-2)


def test_windows_in_batches_give_the_same(lifter: Lifter, monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = walker_keypoints(200)
    want = lifter(keypoints).xyz
    monkeypatch.setattr("posemamba.lifting.windows.batch_size", lambda device: 4)
    np.testing.assert_allclose(lifter(keypoints).xyz, want, atol=0.01)


# --- geometry


def test_mirrored_input_gives_mirrored_output(lifter: Lifter) -> None:
    keypoints = walker_keypoints(60)
    mirrored_xy = keypoints.xy[:, H36M17.mirrored] * np.float32([-1, 1]) + np.float32([SIZE[0], 0])
    poses, mirrored = lifter(keypoints), lifter(replace(keypoints, xy=mirrored_xy))
    want = poses.xyz[:, H36M17.mirrored] * np.float32([-1, 1, 1])
    np.testing.assert_allclose(mirrored.xyz, want, atol=0.02)
    one_sided = Lifter(lifter.model, device="cpu", flip=False, person_size=0.25)
    differ = one_sided(replace(keypoints, xy=mirrored_xy)).xyz - one_sided(keypoints).xyz[
        :, H36M17.mirrored
    ] * np.float32([-1, 1, 1])
    assert np.abs(differ).max() > 1


def test_twice_the_pixels_give_twice_the_pose(lifter: Lifter) -> None:
    keypoints = walker_keypoints(40)
    double = replace(keypoints, xy=2 * keypoints.xy, image_size=(2 * SIZE[0], 2 * SIZE[1]))
    assert (lifter(double).xyz == 2 * lifter(keypoints).xyz).all()


def test_a_longer_lens_gives_the_same_pose_larger(lifter: Lifter) -> None:
    """Why people are shown at one size: that of the picture is then no matter."""
    keypoints = walker_keypoints(40)
    middle = np.float32(SIZE) / 2
    near = replace(keypoints, xy=(keypoints.xy - middle) * np.float32(1.7) + middle)
    focal = focal_length(SIZE)
    longer = lifter(near, lens=Lens(1.7 * focal, "given"))
    np.testing.assert_allclose(longer.xyz, 1.7 * lifter(keypoints).xyz, atol=0.05)
    np.testing.assert_allclose(longer.camera.rotation, lifter(keypoints).camera.rotation, atol=1e-6)
    plain = Lifter(lifter.model, device="cpu", person_size=None, virtual_camera=False)
    assert np.abs(plain(near).xyz - 1.7 * plain(keypoints).xyz).max() > 1


def test_a_model_that_takes_confidence_gets_it_mirrored_too_and_unzoomed() -> None:
    torch.manual_seed(3)
    model = PoseMamba.preset("s", width=16, depth=1, frames=9, confidence=True).eval()
    keypoints = walker_keypoints(9)
    keypoints.confidence = np.random.default_rng(0).uniform(0.1, 1, (9, 17)).astype(np.float32)
    keypoints.xy[3:5, 13] = np.nan  # its confidence is 0 whatever the file says
    sure = torch.from_numpy(np.where(keypoints.found, keypoints.confidence, 0))
    normalised = fill_missing(keypoints.xy) / SIZE[0] * 2 - np.array([1, SIZE[1] / SIZE[0]], np.float32)
    xy = torch.from_numpy(normalised.astype(np.float32))[None]
    k = zoom_factor(xy, 0.25)
    given = torch.cat([xy * k, sure[None, ..., None]], -1)
    swapped = given[:, :, H36M17.mirrored] * torch.tensor([-1, 1, 1])
    with torch.inference_mode():
        back = model(swapped)[:, :, H36M17.mirrored] * torch.tensor([-1, 1, 1])
        want = ((model(given) + back) / 2 / k)[0] * SIZE[0] / 2
    got = Lifter(model, device="cpu", person_size=0.25, virtual_camera=False)(keypoints).xyz
    np.testing.assert_allclose(got, (want - want[:, :1]).numpy(), atol=0.01)
    odd = np.tile([np.nan, 7.0, 0.5], (9, 6))[:, :17]  # what no file reader lets through
    bounded = np.nan_to_num(odd).clip(0, 1)
    ours, theirs = (Lifter(model, device="cpu")(replace(keypoints, confidence=values)).xyz for values in (odd, bounded))
    assert np.isfinite(ours).all() and np.array_equal(ours, theirs)
    without = replace(keypoints, confidence=np.ones((9, 17), np.float32))
    differs = Lifter(model, device="cpu", person_size=0.25, virtual_camera=False)(without).xyz - got
    assert np.abs(differs).max() > 0.1
    every = Lifter(tiny_model(9), device="cpu")  # a model that takes none does not care
    np.testing.assert_array_equal(every(keypoints).xyz, every(without).xyz)


def test_a_picture_is_shown_as_somebody_who_stands_still(lifter: Lifter) -> None:
    for frames in (1, 2, 8):
        short = walker_keypoints(frames)
        order = np.clip(np.arange(9) - (9 - frames) // 2, 0, frames - 1)
        held = replace(short, xy=short.xy[order], confidence=short.confidence[order])
        begin = (9 - frames) // 2
        size = Lifter(
            lifter.model, device="cpu", person_size=None, virtual_camera=False
        )  # held frames would count in the size
        np.testing.assert_allclose(size(short).xyz, size(held).xyz[begin : begin + frames], atol=1e-3)


def test_expected_errors_come_with_the_poses(tmp_path: Path) -> None:
    """In the unit of the poses, mirrored joints averaged, over windows, the zoom undone; kept in files."""
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=16, depth=2, frames=27, error_width=8)
    plain = PoseMamba.preset("s", width=16, depth=2, frames=27)
    with torch.no_grad():
        model.Spatial_pos_embed.normal_(std=0.5)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("error_head")})
    keypoints = walker_keypoints(70)
    keypoints.xy[20:23] = np.nan
    told = Lifter(model, device="cpu", person_size=0.25)(keypoints)
    errors = told.expected_error
    assert errors is not None and errors.dtype == np.float32 and errors.shape == (70, 17)
    assert np.isnan(errors[20:23]).all() and (errors[told.seen][:, 1:] > 0).all() and not errors[told.seen][:, 0].any()
    without = Lifter(plain, device="cpu", person_size=0.25)(keypoints)
    assert without.expected_error is None
    np.testing.assert_allclose(told.xyz, without.xyz, rtol=0, atol=1e-3)
    larger = Lifter(model, device="cpu", person_size=0.25)(
        replace(keypoints, xy=2 * keypoints.xy, image_size=(2 * SIZE[0], 2 * SIZE[1]))
    )
    np.testing.assert_allclose(larger.expected_error, 2 * errors, rtol=1e-4)
    turned = Lifter(model, device="cpu", person_size=0.25)(
        replace(keypoints, xy=(keypoints.xy * [-1, 1] + [SIZE[0], 0])[:, list(H36M17.mirrored)])
    )
    np.testing.assert_allclose(turned.expected_error, errors[:, list(H36M17.mirrored)], rtol=1e-4)
    first = keypoints.xy[:20]  # a stretch of its own, in one window
    x = torch.from_numpy(first / (SIZE[0] / 2) - [1, SIZE[1] / SIZE[0]]).float()[None]
    zoom = zoom_factor(x, 0.25)
    with torch.no_grad():
        one = model.with_errors(x * zoom)[1][0] / zoom
        mirrored = model.with_errors(mirror(x * zoom))[1][0][:, list(H36M17.mirrored)] / zoom
    want = ((one + mirrored) / 2 * SIZE[0] / 2).numpy()
    plainly = Lifter(model, device="cpu", person_size=0.25, virtual_camera=False)
    alone = plainly(replace(keypoints, xy=first, confidence=np.ones((20, 17))))
    np.testing.assert_allclose(alone.expected_error[:, 1:], want[:, 1:], rtol=1e-4)

    metric = to_metres(told)
    assert metric.expected_error is not None
    save_poses_npz(tmp_path / "poses.npz", metric)
    kept = load_poses_npz(tmp_path / "poses.npz")
    np.testing.assert_array_equal(kept.network.expected_error, errors)
    size = np.linalg.norm(metric.xyz[0, 5] - metric.xyz[0, 4]) / np.linalg.norm(told.xyz[0, 5] - told.xyz[0, 4])
    np.testing.assert_allclose(metric.expected_error[0], errors[0] * size, rtol=0.3)  # perspective is in the size
    with np.load(tmp_path / "poses.npz") as file:
        np.testing.assert_array_equal(file["expected_error"], metric.expected_error)
    save_poses_json(tmp_path / "poses.json", metric)
    frames = json.loads((tmp_path / "poses.json").read_text())["frames"]
    assert frames[21]["expected_error"] is None
    np.testing.assert_allclose(frames[0]["expected_error"], metric.expected_error[0], atol=1e-6)
    save_poses_npz(tmp_path / "without.npz", to_metres(without))
    assert load_poses_npz(tmp_path / "without.npz").expected_error is None


def test_other_skeletons_are_converted(lifter: Lifter) -> None:
    xy = np.random.default_rng(0).uniform(200, 500, (5, 33, 2))
    for skeleton in (COCO17, BLAZEPOSE33):
        joints = len(skeleton)
        poses = lifter(Keypoints2D(xy[:, :joints], np.full((5, joints), 0.7), skeleton, SIZE, 25))
        assert poses.xyz.shape == (5, 17, 3) and poses.keypoints.skeleton == H36M17
        np.testing.assert_allclose(poses.confidence, 0.7)


# --- what was not found


def test_missing_frames_stay_missing(lifter: Lifter) -> None:
    keypoints = walker_keypoints(60)
    keypoints.xy[20:30] = np.nan
    keypoints.xy[40, 3] = np.nan
    keypoints.confidence[20:30] = 0
    poses = lifter(keypoints)
    assert np.array_equal(np.flatnonzero(~poses.seen), np.arange(20, 30))
    assert np.isnan(poses.xyz[20:30]).all() and np.isfinite(poses.xyz[poses.seen]).all()
    assert poses.confidence[40, 3] == 0  # lifted from a place that was filled in, and says so
    assert poses.details["frames_not_seen"] == 10 and poses.details["joints_filled_in"] == 1
    assert poses.details["segments"] == 1


def test_far_apart_stretches_do_not_influence_each_other(lifter: Lifter) -> None:
    keypoints = walker_keypoints(130)
    keypoints.xy[20:90] = np.nan  # 1.4 s
    told: list[tuple[int, int | None]] = []
    poses = lifter(keypoints, progress=lambda done, total: told.append((done, total)))
    assert poses.details["segments"] == 2
    assert told[-1] == (60, 60)
    for piece in (slice(0, 20), slice(90, 130)):
        alone = replace(keypoints, xy=keypoints.xy[piece], confidence=keypoints.confidence[piece])
        np.testing.assert_array_equal(poses.xyz[piece], lifter(alone).xyz)


def test_somebody_else_does_not_influence_the_person(lifter: Lifter) -> None:
    """Where the detector jumps to another person, or the film is cut, the clip is split."""
    keypoints = walker_keypoints(60)
    other = walker_keypoints(60, seed=5)
    mixed = replace(keypoints, xy=keypoints.xy.copy())
    mixed.xy[20:45] = other.xy[20:45, :, :] * 0.8 + np.float32([900, 100])
    mixed.xy[30, 2:] = np.nan  # hardly seen: no jump there
    assert find_jumps(mixed).tolist() == [20, 45]
    poses = lifter(mixed)
    assert poses.details["segments"] == 3
    for start, end in ((0, 20), (20, 45), (45, 60)):
        alone = replace(mixed, xy=mixed.xy[start:end], confidence=mixed.confidence[start:end])
        np.testing.assert_array_equal(poses.xyz[start:end], lifter(alone).xyz)
    assert find_jumps(keypoints).tolist() == []


def test_gaps_are_measured_in_time() -> None:
    seen = np.array([False, True, True, False, True, False, False, True, False])
    assert split_at_gaps(seen, np.arange(9.0), 2.5) == [(1, 5), (7, 8)]
    assert split_at_gaps(seen, np.arange(9.0), 3) == [(1, 8)]
    assert split_at_gaps(seen, np.arange(9.0) * 5, 2.5) == [(1, 3), (4, 5), (7, 8)]  # few frames a second
    assert split_at_gaps(np.zeros(3, bool), np.arange(3.0), 1) == []


def test_joints_that_are_never_found_are_said(lifter: Lifter) -> None:
    keypoints = walker_keypoints(10)
    keypoints.xy[:, [3, 6]] = np.nan
    keypoints.source = "k.csv (assumed: 30 frames per second)"
    with pytest.warns(UserWarning, match=r"^k\.csv: right_ankle, left_ankle: found in less than half"):
        poses = lifter(keypoints)
    assert np.isfinite(poses.xyz).all() and (poses.confidence[:, [3, 6]] == 0).all()


# --- input that cannot be lifted


def test_bad_keypoints_are_refused_in_one_line(lifter: Lifter) -> None:
    good = walker_keypoints(4)
    infinite = good.xy.copy()
    infinite[2, 5] = np.inf
    cases = {
        "zero frames": replace(good, xy=good.xy[:0], confidence=good.confidence[:0]),
        "frame 2, joint 5 is infinite": replace(good, xy=infinite),
        "found in any of its 4 frames": replace(good, xy=np.full_like(good.xy, np.nan)),
        "1280x0 pixels": replace(good, image_size=(1280, 0)),
    }
    for message, keypoints in cases.items():
        with pytest.raises(PoseMambaError, match=message) as error:
            lifter(keypoints)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("frames", [27, 70])  # one window, and several
def test_frames_that_a_camera_left_out_hardly_matter(lifter: Lifter, frames: int) -> None:
    """Two people, of whom one lacks frames: each is lifted as if alone, and poses are near those of the whole clip."""
    whole = walker_keypoints(frames, fps=200)
    there = np.flatnonzero(
        (np.random.default_rng(0).random(frames) >= 0.4) | np.isin(np.arange(frames), [0, frames - 1])
    )
    times = whole.frame_times()[there]
    some = replace(whole, xy=whole.xy[there], confidence=whole.confidence[there], times=times)
    wanted, (first, found) = lifter(whole), lifter.lift_people([whole, some])
    np.testing.assert_allclose(first.xyz, wanted.xyz, atol=1e-3)
    usual = np.abs(lifter(replace(some, times=None, fps=80.0)).xyz - wanted.xyz[there]).mean()
    assert np.abs(found.xyz - wanted.xyz[there]).mean() < 0.2 * usual
    assert found.keypoints.frame_times().tolist() == times.tolist()


def test_weights_that_give_metres_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "metres.safetensors", tiny_model(), {"unit": "metres"})
    lifter = Lifter.from_pretrained(tmp_path / "metres.safetensors", device="cpu")
    with pytest.raises(PoseMambaError, match=r"metres.*gives metres in the camera's frame.*evaluated and not lifted"):
        lifter(walker_keypoints(5))


def test_bad_settings_are_refused() -> None:
    model = tiny_model()
    bad = ({"window": 28}, {"window": 0}, {"overlap": 14}, {"person_size": -1.0}, {"device": "tpu9"})
    for settings in bad:
        with pytest.raises(PoseMambaError):
            Lifter(model, **settings)  # type: ignore[arg-type]
    with pytest.raises(PoseMambaError, match="17"):
        Lifter(PoseMamba.preset("s", width=16, depth=1, joints=2, limb_order=(0, 0)))
    with pytest.raises(PoseMambaError, match="cannot be used"):
        choose_device("cuda:99")
    assert choose_device("cpu") == torch.device("cpu")


# --- weights


def test_from_a_file_with_its_card(tmp_path: Path) -> None:
    save_model(tmp_path / "mine.safetensors", tiny_model(), {"person_size": 0.25}, half=True)
    lifter = Lifter.from_pretrained(tmp_path / "mine.safetensors", device="cpu", flip=False)
    assert (lifter.name, lifter.person_size, lifter.window, lifter.overlap) == ("mine", 0.25, 27, 9)
    poses = lifter(walker_keypoints(30))
    assert poses.model == "mine" and poses.details["person_size"] == 0.25
    assert poses.details["test_time_flip"] is False
    save_model(tmp_path / "plain.safetensors", tiny_model(), {})
    assert Lifter.from_pretrained(tmp_path / "plain.safetensors").person_size is None
    save_model(tmp_path / "odd.safetensors", tiny_model(), {"person_size": "large"})
    with pytest.raises(PoseMambaError, match="person_size"):
        Lifter.from_pretrained(tmp_path / "odd.safetensors")


def test_a_shorter_window_by_name() -> None:
    lifter = Lifter.from_pretrained("posemamba-s", device="cpu", window=27)
    assert (lifter.window, lifter.overlap, lifter.person_size) == (27, 9, 0.25)
    with pytest.raises(PoseMambaError, match="window is 300 frames, expected 1 to 243"):
        Lifter.from_pretrained("posemamba-s", device="cpu", window=300)


def test_from_a_checkpoint_of_the_authors_code(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in tiny_model(9).state_dict().items()}
    torch.save({"model_pos": state}, tmp_path / "best_epoch.bin")
    lifter = Lifter.from_pretrained(tmp_path / "best_epoch.bin")
    assert (lifter.name, lifter.person_size, lifter.window) == ("best_epoch", None, 9)


@pytest.mark.slow
@pytest.mark.skipif("posemamba-s" not in bundled(), reason="the bundled weights are not there")
def test_the_bundled_weights_lift() -> None:
    lifter = posemamba.Lifter.from_pretrained("posemamba-s", device="cpu")
    poses = lifter(walker_keypoints(243))
    assert lifter.window == 243 and lifter.person_size is not None
    assert np.ptp(poses.xyz[..., 2]) > 50  # it sees depth


def test_the_package_exports_what_users_need() -> None:
    assert posemamba.Lifter is Lifter and posemamba.PoseMamba is PoseMamba
    assert re.match(r"\d+\.\d+\.\d+", posemamba.__version__)  # a version between two tags has more parts
    assert set(posemamba.__all__) <= set(dir(posemamba))
    with pytest.raises(AttributeError, match="no attribute 'Lift'"):
        _ = posemamba.Lift


@pytest.mark.parametrize("batch", [1, 4, pytest.param(16, marks=pytest.mark.slow)])
def test_people_together_are_as_one_by_one(lifter: Lifter, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Of different lengths and image sizes, with gaps, so that windows of people and segments mix in a batch."""
    people = []
    for seed, frames in enumerate((100, 9, 61, 27)):
        person = walker_keypoints(frames, seed=seed)
        person.person = seed + 1
        people.append(person)
    people[0].xy[20:80] = np.nan  # more than a second
    people[2].xy[:, 3] = np.nan
    people[2].image_size = (720, 1280)
    with pytest.warns(UserWarning, match="right_ankle"):
        single = [lifter(person) for person in people]
    monkeypatch.setattr("posemamba.lifting.windows.batch_size", lambda device: batch)
    calls: list[tuple[int, int | None]] = []
    with pytest.warns(UserWarning, match="right_ankle"):
        together = lifter.lift_people(people, progress=lambda done, total: calls.append((done, total)))
    for a, b in zip(single, together, strict=True):
        np.testing.assert_allclose(a.xyz, b.xyz, atol=2e-4 * np.nanmax(np.abs(a.xyz)))
        assert a.details == b.details
    assert [p.keypoints.person for p in together] == [1, 2, 3, 4]
    assert calls[-1] == (100 - 60 + 9 + 61 + 27,) * 2 and calls == sorted(calls)
    assert lifter.lift_people([]) == []
