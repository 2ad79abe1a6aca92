"""From 2D joints to metres through a virtual camera: a network that knows the truth must give it back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posemamba.demo.camera import look_at, project
from posemamba.demo.walker import walk
from posemamba.lifting.lifter import Lifter
from posemamba.poses import Feet2D, Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens, VirtualCamera
from posemamba.refine.common import body_length, bone_lengths
from posemamba.refine.metres import to_metres
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import BODY_LENGTH, scale
from posemamba.utils.errors import PoseMambaError

SIZE, FOCAL, FRAMES = (1280, 720), 900.0, 60
STIFFLESS = 1000.0  # hertz: nothing is smoothed
LENS = Lens(FOCAL, "given")

Array = NDArray[np.floating]


class Knowing(nn.Module):
    """Gives the picture back with the true depth of every frame, in its own unit."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., :2] - x[..., :1, :2], self.depth[None, : x.shape[1], :, None]], -1)


def knowing(frames: int) -> Knowing:
    """A network that takes everything for flat."""
    model = Knowing()
    model.depth = torch.zeros(frames, 17)
    return model


def filmed(aside: float = 2.2, roll: float = 0.0) -> tuple[Keypoints2D, Array]:
    """A walker far to the right of the picture, exact 2D joints, and (F, 17, 3) metres in the camera's axes."""
    world = walk(FRAMES, 50, seed=1, radius=0.9) + np.array([aside, 0, 0])
    points = project(world, look_at((0, -4.5, 1.9), (0, 0, 1.3)), SIZE, FOCAL)[1].astype(np.float64)
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    points = points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])  # the camera turned clockwise
    xy = FOCAL * points[..., :2] / points[..., 2:] + np.array(SIZE) / 2
    return Keypoints2D(xy, np.ones(xy.shape[:2]), H36M17, SIZE, 50), points


def height_of(points: Array) -> float:
    return body_length(np.median(bone_lengths(points), 0)) / BODY_LENGTH


def lifted(keypoints: Keypoints2D, points: Array, roll: float | None = None, **options: bool) -> NetworkPoses:
    """The output of a network that knows the depth in the picture in which it is shown the person."""
    model = Knowing()
    lifter = Lifter(model, window=2 * FRAMES, flip=False, device="cpu", **options)
    camera = lifter._camera(keypoints, [(0, len(keypoints))], LENS, roll)
    z = camera.turn(points)[..., 2]
    model.depth = torch.from_numpy((z / z[:, :1] - 1) * FOCAL / (SIZE[0] / 2)).float()
    return lifter(keypoints, lens=LENS, roll=roll)


def in_metres(network: NetworkPoses, height: float) -> Poses3D:
    return root_path(scale(Poses3D.raw(network), height, cutoff=STIFFLESS), cutoff=STIFFLESS, depth_cutoff=STIFFLESS)


@pytest.mark.parametrize("options", [{}, {"virtual_camera": False}])
def test_a_perfect_network_gives_the_true_metres(options: dict[str, bool]) -> None:
    keypoints, points = filmed()
    network = lifted(keypoints, points, **options)
    assert network.camera.is_turned == (not options)
    poses = in_metres(network, height_of(points))
    assert np.abs(poses.xyz - points).max() < 1e-3
    assert not any(step.estimate for step in poses.steps) and poses.absolute and poses.units == "metre"
    smooth = to_metres(network, height_of(points))  # as users get it
    assert np.abs(smooth.xyz - smooth.xyz[:, :1] - points + points[:, :1]).max() < 0.02


def test_the_virtual_camera_looks_at_the_person() -> None:
    keypoints, points = filmed()
    network = lifted(keypoints, points)
    seen = network.seen_xy
    assert np.abs(seen.mean((0, 1)) - np.array(SIZE) / 2).max() < 30 < np.abs(keypoints.xy.mean((0, 1)) - 640).max()
    np.testing.assert_allclose(network.xyz[..., :2], seen - seen[:, :1], atol=0.01)
    # the keypoints of the result are those of the real picture
    np.testing.assert_array_equal(network.keypoints.xy, keypoints.xy)


@pytest.mark.parametrize("roll", [-25.0, 20.0])
def test_a_known_roll_is_taken_out_for_the_network_and_put_back(roll: float) -> None:
    keypoints, points = filmed(aside=0.4, roll=roll)
    network = lifted(keypoints, points, roll=roll)
    assert network.roll_deg == roll
    level = lifted(*filmed(aside=0.4), roll=0.0)
    np.testing.assert_allclose(network.xyz, level.xyz, atol=0.5)  # pixels: it is shown the same
    assert np.abs(lifted(keypoints, points).xyz - level.xyz).max() > 20
    assert np.abs(in_metres(network, height_of(points)).xyz - points).max() < 1e-3


def test_each_segment_has_a_camera_of_its_own() -> None:
    keypoints, _ = filmed()
    far = keypoints.xy.copy()
    far[30:] -= [1000, 0]  # somebody else, on the other side
    two = replace(keypoints, xy=far)
    network = Lifter(knowing(FRAMES), window=FRAMES, flip=False, device="cpu")(two, lens=LENS)
    rotation = network.camera.rotation
    assert rotation.shape == (FRAMES, 3, 3)
    for part in (rotation[:30], rotation[30:]):  # turning slowly
        assert 1e-4 < np.ptp(part, axis=0).max() < 0.02
    assert np.abs(rotation[30] - rotation[29]).max() > 0.5
    middle = network.seen_xy.mean(1)
    assert np.abs(middle[:30].mean(0) - [640, 360]).max() < 30 and np.abs(middle[30:].mean(0) - [640, 360]).max() < 30
    poses = to_metres(network, 1.7)
    assert (poses.xyz[:30, 0, 0] > 0.5).all() and (poses.xyz[30:, 0, 0] < -0.5).all()


def test_feet_go_along() -> None:
    keypoints, points = filmed()
    ankles = points[:, [3, 3, 6, 6]]
    tips = ankles + np.array([0.02, 0.07, -0.1])
    xy = FOCAL * tips[..., :2] / tips[..., 2:] + np.array(SIZE) / 2
    with_feet = replace(keypoints, feet=Feet2D(xy.astype(np.float32), np.ones(xy.shape[:2], np.float32)))
    poses = in_metres(lifted(with_feet, points), height_of(points))
    assert poses.feet is not None and np.isfinite(poses.feet).all()
    assert np.abs(poses.xyz - points).max() < 1e-3
    seen = FOCAL * poses.feet[..., :2] / poses.feet[..., 2:] + np.array(SIZE) / 2
    np.testing.assert_allclose(seen, xy, atol=0.1)  # in perspective they lie where the picture shows them


def test_a_point_at_the_edge_of_a_wide_picture_can_be_behind_the_virtual_camera() -> None:
    keypoints, _ = filmed()
    keypoints.xy[5, 13] = [-90_000, 300]
    network = Lifter(knowing(FRAMES), window=FRAMES, flip=False, device="cpu")(keypoints, lens=LENS)
    assert network.confidence[5, 13] == 0 and np.isfinite(network.xyz).all()
    assert np.isfinite(to_metres(network).xyz).all()


def test_impossible_cameras_are_refused() -> None:
    keypoints, _ = filmed()
    with pytest.raises(PoseMambaError, match="roll is 200"):
        Lifter(knowing(FRAMES), window=FRAMES, flip=False, device="cpu")(keypoints, roll=200)
    with pytest.raises(PoseMambaError, match="field of view is 190"):
        Lens.of_fov(SIZE, 190)
    assert VirtualCamera.unturned((1080, 1920), Lens.of_fov((1080, 1920), 40)).fov((1080, 1920)) == pytest.approx(40)


def test_the_camera_follows_somebody_who_walks_across() -> None:
    world = walk(500, 50, seed=2, radius=float("inf"), speed=1.2)
    world -= world[250, 0] * np.float32([1, 1, 0])
    along = (world[-1, 0] - world[0, 0])[:2]
    side = np.array([along[1], -along[0]]) / np.linalg.norm(along)
    xy, _ = project(world, look_at((*(9 * side), 1.4), (0, 0, 0.9)), SIZE, FOCAL)
    network = Lifter(knowing(500), window=500, flip=False, device="cpu")(
        Keypoints2D(xy, np.ones((500, 17)), H36M17, SIZE, 50), lens=LENS
    )
    away = np.abs(network.seen_xy.mean(1)[50:-50, 0] - 640)
    assert np.ptp(xy[..., 0]) > 900 and away.max() < 100  # pixels
    assert np.linalg.norm(np.diff(network.camera.rotation[:, 2], axis=0), axis=-1).max() < 0.01  # radians a frame
