"""The made-up walking person: anatomy, feet, reproducibility; the camera; detector-like noise."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.demo.camera import look_at, pixel_units, project
from posemamba.demo.walker import Body, noisy, walk
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17

J = {name: i for i, name in enumerate(H36M17.joints)}
SIZE = (1280, 720)


@pytest.mark.parametrize(
    "options",
    [{}, {"radius": -1.0, "speed": 0.7}, {"radius": float("inf"), "seed": 3}, {"speed": 2.2, "height": 1.1}],
)
def test_a_walk_is_anatomically_possible(options: dict[str, float]) -> None:
    x = walk(250, 50, **options).astype(float)
    assert x.shape == (250, 17, 3)
    assert np.isfinite(x).all()
    bones = np.stack([np.linalg.norm(x[:, a] - x[:, b], axis=-1) for a, b in H36M17.bones], -1)
    assert np.ptp(bones, axis=0).max() < 2e-6  # float32 rounding of world positions, nothing more
    heading = np.gradient(x[:, 0, :2], axis=0)
    heading /= np.linalg.norm(heading, axis=-1, keepdims=True)
    left = np.stack([-heading[:, 1], heading[:, 0]], -1)
    for side, sign in (("left", 1), ("right", -1)):
        assert (sign * ((x[:, J[f"{side}_hip"]] - x[:, 0])[:, :2] * left).sum(-1) > 0.05).all()
        hip, knee, ankle = (x[:, J[f"{side}_{part}"]] for part in ("hip", "knee", "ankle"))
        middle = hip + (ankle - hip) * 0.5
        assert (((knee - middle)[:, :2] * heading).sum(-1) > 0).all()  # knees bend forwards
        # a foot whose sole is down stays exactly where it is, and it is down for a good part of the cycle
        down = ankle[:, 2] < ankle[:, 2].min() + 1e-6
        both = down[1:] & down[:-1]
        assert 0.15 < both.mean() < 0.5
        assert np.linalg.norm(np.diff(ankle, axis=0), axis=-1)[both].max() < 1e-4
    assert np.abs(np.diff(x, 2, axis=0)).max() * 50**2 < 160  # m/s^2: no jumps
    assert np.ptp(x[:, J["left_ankle"], 2]) > 0.04  # and feet that do swing


def test_a_walk_is_the_same_again_and_a_longer_one_goes_on() -> None:
    assert np.array_equal(walk(40, 30, seed=5), walk(90, 30, seed=5)[:40])
    assert not np.allclose(walk(40, 30, seed=5), walk(40, 30, seed=6))
    speed = np.linalg.norm(np.diff(walk(300, 30, speed=1.5)[:, 0, :2], axis=0), axis=-1).mean() * 30
    assert speed == pytest.approx(1.5, rel=0.03)


def test_impossible_walks_are_refused() -> None:
    for options in ({"speed": 5}, {"radius": 0.1}, {"height": 0}):
        with pytest.raises(ValueError, match="expected a speed"):
            walk(10, 30, **options)
    with pytest.raises(ValueError, match="too short"):
        walk(10, 30, speed=2.2, body=Body(thigh=0.1, shin=0.1))


def test_the_camera_sees_left_and_right_and_up_as_a_photograph_does() -> None:
    camera = look_at((0, -4, 1), (0, 0, 1))  # looking along world +y: world +x is to the right
    pixels, points = project([[0, 0, 1], [1, 0, 1], [0, 0, 2], [0, -5, 1]], camera, SIZE, focal=1000)
    assert pixels[:3] == pytest.approx(np.array([[640, 360], [890, 360], [640, 110]]))
    assert np.isnan(pixels[3]).all()  # behind the camera
    assert points[0] == pytest.approx([0, 0, 4], abs=1e-6)
    assert np.linalg.det(camera.rotation) == pytest.approx(1)  # not mirrored
    units = pixel_units(points[None, :3], focal=1000)[0]
    assert units[1] == pytest.approx([250, 0, 0], abs=1e-3)
    with pytest.raises(ValueError, match="upright"):
        look_at((0, 0, 3), (0, 0, 0))


def test_noise_is_of_the_size_asked_for_drifts_and_lowers_confidence() -> None:
    xy, _ = project(walk(2000, 50), look_at((4, -4, 1.6), (0, 0, 0.9)), SIZE, focal=900)
    clean = Keypoints2D(xy, np.ones((2000, 17)), H36M17, SIZE, 50)
    noise = noisy(clean, seed=1, pixels=4, dropped=0.02)
    off = noise.xy - clean.xy
    assert 3 < np.nanstd(off) < 7
    assert (~noise.found).mean() == pytest.approx(0.02, abs=0.01)
    assert (noise.confidence[~noise.found] == 0).all()
    assert noise.confidence.min() >= 0
    assert noise.confidence.max() <= 1
    wrist = off[:, J["left_wrist"], 0][np.isfinite(off[:, J["left_wrist"], 0])]
    assert np.corrcoef(wrist[1:], wrist[:-1])[0, 1] > 0.6  # 20 ms apart: hardly forgotten
    miss, sure = np.linalg.norm(off, axis=-1), noise.confidence
    kept = noise.found
    assert np.corrcoef(miss[kept], sure[kept])[0, 1] < -0.3
    assert np.array_equal(noise.xy, noisy(clean, seed=1, pixels=4, dropped=0.02).xy, equal_nan=True)
    untouched = noisy(clean, pixels=0, dropped=0)
    assert np.array_equal(untouched.xy, clean.xy)
