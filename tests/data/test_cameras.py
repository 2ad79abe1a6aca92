import pytest
import torch

from posemamba.data.cameras import NEAREST, Cameras, project, rotations, see
from posemamba.models.inputs import person_size, zoom_factor


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
