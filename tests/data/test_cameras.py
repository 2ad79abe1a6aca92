import numpy as np
import pytest
import torch

from posemamba.data.cameras import NEAREST, Cameras, LookAt, look_at_people, project, rotations, see
from posemamba.lifting.looking import look_at_person
from posemamba.models.inputs import person_size, zoom_factor
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens


@pytest.fixture
def cameras():
    g = torch.Generator().manual_seed(0)

    def draw(low, high, *shape):
        return low + (high - low) * torch.rand(16, *shape, generator=g, dtype=torch.float64)

    return Cameras(
        azimuth=draw(0, 6.28),
        pitch=draw(-1, 1),
        roll=draw(-1, 1),
        focal=draw(0.6, 3),
        aspect=draw(0.5, 1.8),
        distance=draw(0.2, 8),
        offset=draw(-0.5, 0.5, 2),
        follow=draw(0, 1),
        overflow=torch.ones(16, dtype=torch.float64),
    )


@pytest.fixture
def bodies(motions):
    return torch.from_numpy(motions.clip(0)).double().expand(16, -1, -1, -1)


def test_rotations_are_proper_and_look_where_they_say(cameras):
    axes = rotations(cameras.azimuth, cameras.pitch, cameras.roll)
    assert torch.allclose(axes @ axes.mT, torch.eye(3, dtype=axes.dtype).expand_as(axes), atol=1e-12)
    assert torch.allclose(torch.linalg.det(axes), torch.ones(16, dtype=axes.dtype))
    zero = torch.zeros(1)
    right, down, forward = rotations(zero, torch.tensor([0.1]), zero)[0]
    assert right[1] == -1 and down[2] < -0.99 and forward[0] > 0.99 and forward[2] < 0  # looks along x and down


def test_everyone_is_in_the_picture_and_in_front_of_the_camera(bodies, cameras):
    view = see(bodies, cameras)
    assert view.camera_xyz[..., 2].min() >= NEAREST - 1e-9
    assert view.xy[..., 0].abs().max() <= 1 + 1e-9
    assert (view.xy[..., 1].abs().amax((1, 2)) <= cameras.aspect + 1e-9).all()


def test_follows_human36m_conventions(bodies, cameras):
    """Against pixels worked out one by one: normalisation, depth's unit, millimetres, lengths kept."""
    view = see(bodies, cameras)
    X, Y, Z = view.camera_xyz.unbind(-1)
    width = 1000.0
    height = width * cameras.aspect[:, None, None]
    f = width * cameras.focal[:, None, None]
    u, v = width / 2 + f * X / Z, height / 2 + f * Y / Z
    factor = 1000 * Z[:, :, :1] / f  # 2.5d_factor: millimetres per pixel at the pelvis's depth
    depth_pixels = 1000 * (Z - Z[:, :, :1]) / factor
    normalised = torch.stack([u / width * 2 - 1, v / width * 2 - height / width, depth_pixels / width * 2], -1)
    assert torch.allclose(normalised[..., :2], view.xy)
    assert torch.allclose(normalised - normalised[:, :, :1], view.target)
    assert torch.allclose(view.target[..., :2] + view.xy[:, :, :1], view.xy)
    true_depth = 1000 * (Z - Z[:, :, :1])
    assert torch.allclose(view.target[..., 2] * view.mm_per_unit[..., None], true_depth)
    bone = (view.camera_xyz[:, :, 2] - view.camera_xyz[:, :, 1]).norm(dim=-1)
    assert torch.allclose(bone, (bodies[:, :, 2] - bodies[:, :, 1]).norm(dim=-1))


def test_a_longer_lens_multiplies_picture_and_target(bodies, cameras):
    view = see(bodies, cameras)
    longer = project(view.camera_xyz, cameras.focal * 1.7)
    assert torch.allclose(longer.xy, view.xy * 1.7) and torch.allclose(longer.target, view.target * 1.7)
    k = zoom_factor(view.xy, 0.25)
    assert torch.allclose(person_size(view.xy * k[:, None, None, None]), torch.full_like(k, 0.25))


def test_a_camera_that_follows_keeps_the_walker_in_place(bodies, cameras):
    cameras.follow = torch.ones_like(cameras.follow)
    root = see(bodies, cameras).camera_xyz[:, :, 0]
    assert (root.amax(1) - root.amin(1)).max() < 0.15  # what remains is the bob


def looks(turned=True, guessed=False, levelled=False, seconds=1e-5):
    """By frames so short after each other that the camera has no time to turn."""
    flags = (torch.full((16,), one) for one in (turned, guessed, levelled))
    return LookAt(*flags, torch.full((16,), seconds, dtype=torch.float64))


@pytest.fixture
def aside(cameras):
    """Cameras of usual lenses that see the person far from the picture's middle."""
    cameras.offset = cameras.offset * 1.6
    cameras.focal = 0.45 + 0.4 * (cameras.focal - 0.6)
    cameras.pitch, cameras.roll = 0.4 * cameras.pitch, 0.4 * cameras.roll
    cameras.distance = cameras.distance.clamp_min(2.5)
    return cameras


@pytest.mark.parametrize("fps", [1e4, 10.0])
def test_a_virtual_camera_is_that_of_lifting(bodies, aside, fps):
    view = see(bodies, aside)
    confidence = torch.ones(view.xy.shape[:3], dtype=torch.float64)
    confidence[:, :, 5] = 0
    detected = view.xy + 0.01 * torch.randn(view.xy.shape, generator=torch.Generator().manual_seed(1))
    detected[:, :, 5] = 0.3  # not detected: anywhere
    turned, found = look_at_people(view, detected, confidence, aside, looks(seconds=1 / fps))
    assert (turned.xy - view.xy).abs().amax((1, 2, 3)).gt(0.1).sum() > 10
    width, turns = 1000, []
    for i in range(16):
        height = round(width * float(aside.aspect[i]))
        centre = np.array([width, height]) / 2
        pixels, exact = (xy[i].numpy() * width / 2 + centre for xy in (detected, view.xy))
        joints = Keypoints2D(pixels, confidence[i].numpy(), H36M17, (width, height), fps=fps)
        camera = look_at_person(joints, [(0, len(joints))], Lens(float(aside.focal[i]) * width, "given"))
        for xy, ours in ((exact, turned.xy), (pixels, found)):
            wanted = (camera.see(xy) - centre) * 2 / width
            seen = np.isfinite(wanted)
            np.testing.assert_allclose(ours[i].numpy()[seen], wanted[seen], atol=2e-5)  # pixels in single precision
        np.testing.assert_allclose(turned.camera_xyz[i], camera.turn(view.camera_xyz[i].numpy()), atol=2e-5)
        turns.append(np.abs(camera.rotation[0] - camera.rotation[-1]).max())
    assert max(turns) > 0.05 if fps == 10 else max(turns) < 1e-3
    # the target is what a camera turned so sees of the true body, by the formulas that hold for any camera
    true = project(turned.camera_xyz, aside.focal)
    for name in ("xy", "target", "mm_per_unit"):
        torch.testing.assert_close(getattr(turned, name), getattr(true, name))
    middle = (found * (confidence > 0)[..., None]).sum((1, 2)) / (confidence > 0).sum((1, 2))[:, None]
    assert middle.abs().max() < 0.12


def test_a_guessed_focal_length_keeps_picture_and_target_of_one_size(bodies, aside):
    view = see(bodies, aside)
    confidence = torch.ones(view.xy.shape[:3], dtype=torch.float64)
    turned, found = look_at_people(view, view.xy, confidence, aside, looks(guessed=True))
    torch.testing.assert_close(found, turned.xy)
    torch.testing.assert_close(turned.target[..., :2], turned.xy - turned.xy[:, :, :1])
    depth = turned.target[..., 2] * turned.mm_per_unit[..., None] / 1000
    z = turned.camera_xyz[..., 2]
    torch.testing.assert_close(depth, z - z[:, :, :1])
    # its millimetres are those of the picture: bones that lie across the view are as long as they are
    metres = turned.target * turned.mm_per_unit[..., None, None] / 1000
    true = turned.camera_xyz - turned.camera_xyz[:, :, :1]
    across = true[..., 2].abs() < 0.03
    ratio = metres[..., :2].norm(dim=-1)[across] / true[..., :2].norm(dim=-1)[across]
    ratio = ratio[torch.isfinite(ratio)]
    assert ratio.median() == pytest.approx(1, abs=0.03) and ratio.min() > 0.75 and ratio.max() < 1.3
    assert (turned.target[..., 2].abs().amax((1, 2)) > 0.01).all()


def test_levelled_clips_have_no_roll(bodies, aside):
    view = see(bodies, aside)
    confidence = torch.ones(view.xy.shape[:3], dtype=torch.float64)
    axes = rotations(aside.azimuth, aside.pitch, aside.roll)
    for levelled in (False, True):
        turned, _ = look_at_people(view, view.xy, confidence, aside, looks(levelled=levelled))
        # world's up in the virtual camera's axes, by joints: the rotation between both sets of axes, one a clip
        before, after = (one.camera_xyz[:, :, :4].reshape(16, -1, 3) for one in (view, turned))
        rotation = torch.linalg.lstsq(before, after).solution.mT
        up = (rotation @ axes[:, :, 2:])[..., 0]
        roll = torch.rad2deg(torch.atan2(up[:, 0], -up[:, 1])).abs()
        assert roll.max() < 1e-3 if levelled else roll.max() > 10


def test_clips_that_are_not_turned_or_cannot_be_stay(bodies, aside):
    view = see(bodies, aside)
    confidence = torch.ones(view.xy.shape[:3], dtype=torch.float64)
    look = looks()
    look.turned[3] = False
    far = view.xy.clone()
    far[5, 7, 2, 0] = 60.0  # an outlier 80 degrees and more beside the axis
    turned, found = look_at_people(view, far, confidence, aside, look)
    for i in (3, 5):
        assert torch.equal(found[i], far[i])
        for name in ("xy", "target", "mm_per_unit", "camera_xyz"):
            assert torch.equal(getattr(turned, name)[i], getattr(view, name)[i])
    assert not torch.equal(turned.xy[4], view.xy[4]) and found.isfinite().all()
