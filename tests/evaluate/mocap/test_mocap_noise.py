import numpy as np
import pytest

from posemamba.evaluate.mocap.noise import FixedNumbers, benchmark_detections, benchmark_noise
from posemamba.evaluate.mocap.scenes import make_scene


def test_the_confidence_follows_its_rule(motions):
    """0 where a joint was lost; its logit is 2.2 - 9 e/h and slow noise of variance 1; the noise draws what it drew."""
    scene = make_scene(motions, 0)
    exact = scene.inputs("exact")
    assert np.array_equal(exact[..., :2], scene.exact) and (exact[..., 2] == 1).all()
    noisy = scene.inputs("noisy")
    assert np.array_equal(noisy[..., :2], scene.noisy) and np.array_equal(noisy[..., 2], scene.confidence)
    lost = scene.confidence == 0
    assert lost[..., [2, 3, 5, 6, 12, 13, 15, 16]].any((0, 1)).all()  # each was lost for 15 frames somewhere
    assert not lost[..., [0, 1, 4, 7, 8, 9, 10, 11, 14]].any()

    xy = FixedNumbers(5).normal(4000, 17, 2)
    seen, sure = benchmark_detections(xy, 3, 1)
    assert np.array_equal(seen, benchmark_noise(xy, 3, 1))
    h = np.sqrt(np.square(xy - xy.mean(1, keepdims=True)).sum(-1).mean())
    found = sure > 0
    with np.errstate(divide="ignore"):
        mood = np.log(sure / (1 - sure)) - 2.2 + 9 * np.linalg.norm(seen - xy, axis=-1) / h
    slow = np.where(found, mood, np.nan)
    assert abs(np.nanmean(slow)) < 0.1 and np.nanvar(slow) == pytest.approx(1, abs=0.1)
    assert np.nanmean(slow[1:] * slow[:-1]) == pytest.approx(0.9, abs=0.1)
    np.testing.assert_allclose(sure[[0, 9, 77], [8, 16, 0]], CONFIDENCE, rtol=1e-6)


CONFIDENCE = [0.9740914093579733, 0.7701330190559018, 0.6260156652250035]
