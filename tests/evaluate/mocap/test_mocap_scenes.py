import numpy as np

from posemamba.evaluate.mocap.noise import FixedNumbers
from posemamba.evaluate.mocap.scenes import benchmark_cameras, cameras_aside, make_scene, scenes


def test_scenes_do_not_change(motions):
    """The rule and the noise: values that another version or machine must give, too."""
    fixed = FixedNumbers(1, 2)
    np.testing.assert_allclose(fixed.uniform(3), UNIFORM, rtol=1e-12)
    first, second = make_scene(motions, 1), make_scene(motions, 1)
    assert np.array_equal(first.noisy, second.noisy)
    only = make_scene(motions, 1, (2,))
    assert np.array_equal(only.noisy[0], first.noisy[2]) and np.array_equal(only.exact[0], first.exact[2])
    assert np.abs(first.exact[..., 0]).max() <= 1 + 1e-6
    off = np.linalg.norm(first.noisy - first.exact, axis=-1).mean((1, 2))
    assert (off > 0).all()


UNIFORM = [0.44841514333227195, 0.4308819875443376, 0.4199991293921922]


def test_a_virtual_camera_looks_at_people_and_the_target_is_turned_with_it(motions):
    for aside in (False, True):
        plain, turned = (list(scenes(motions, aside=aside, look=look)) for look in (False, True))
        middle = [np.abs([s.noisy.mean((1, 2)) for s in group]).max(-1) for group in (plain, turned)]
        assert np.median(middle[0]) > (0.5 if aside else 0.15) and middle[1].max() < 0.12
        for one, other in zip(plain, turned, strict=True):
            np.testing.assert_array_equal(one.confidence, other.confidence)
            np.testing.assert_allclose(other.target[..., :2] + other.exact[:, :, :1], other.exact, atol=1e-5)
            # the same body: distances between joints in millimetres, but for perspective and the guessed lens
            lengths = [np.linalg.norm(s.target[..., 3, :] * s.mm_per_unit[..., None], axis=-1) for s in (one, other)]
            np.testing.assert_allclose(lengths[1], lengths[0], rtol=0.35)
            perfect = other.target + 0.3 * other.exact[:, :, :1, :1]
            assert other.errors(perfect)["p1"].max() < 1e-3


def test_cameras_aside_differ_in_lens_roll_and_place_alone(motions):
    usual = benchmark_cameras(3)
    aside = cameras_aside(3, usual)
    for name in ("azimuth", "pitch", "aspect", "follow", "overflow"):
        np.testing.assert_array_equal(getattr(usual, name), getattr(aside, name))
    np.testing.assert_allclose(aside.distance / aside.focal, usual.distance / usual.focal)
    assert np.abs(aside.offset.numpy()).max(1).min() >= 0.5 and len(set(aside.roll.tolist())) == 4
    assert np.abs(make_scene(motions, 1, change=lambda c: cameras_aside(1, c)).exact[..., 0]).max() <= 1 + 1e-6
