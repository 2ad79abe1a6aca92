import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from posemamba.data.augment import mirror
from posemamba.data.mocap import load_motions
from posemamba.errors import PoseMambaError
from posemamba.evaluate import mocap_benchmark as bench


def oracle(motions, quick=False):
    """A predictor that knows the answers, and shifts and keeps the unit as models do."""
    answers = {}
    for scene in bench.scenes(motions, quick=quick):
        for variant in bench.VARIANTS:
            answers[scene.inputs(variant).tobytes()] = scene.target + 0.1
    return lambda xy: answers[xy.tobytes()]


def test_an_oracle_has_no_error(motions):
    result = bench.run_benchmark(oracle(motions), name="oracle", motions=motions)
    for score in (*result.overall.values(), *result.actions["noisy"].values()):
        assert score.p1 < 1e-3 and score.p2 < 1e-3 and score.mpjve < 1e-3
    assert result.overall["exact"].frames == 4 * 290
    assert "oracle" in result.table(actions=True) and "stroll" in result.table(actions=True)


def test_quick_takes_one_camera_a_clip(motions, tmp_path):
    result = bench.run_benchmark(oracle(motions, quick=True), motions=motions, quick=True)
    assert result.overall["noisy"].frames == 290
    result.save_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["overall"]["exact"]["frames"] == 290


def test_scenes_do_not_change(motions):
    """The rule and the noise: values that another version or machine must give, too."""
    fixed = bench.FixedNumbers(1, 2)
    np.testing.assert_allclose(fixed.uniform(3), UNIFORM, rtol=1e-12)
    first, second = bench.make_scene(motions, 1), bench.make_scene(motions, 1)
    assert np.array_equal(first.noisy, second.noisy)
    only = bench.make_scene(motions, 1, (2,))
    assert np.array_equal(only.noisy[0], first.noisy[2]) and np.array_equal(only.exact[0], first.exact[2])
    assert np.abs(first.exact[..., 0]).max() <= 1 + 1e-6
    off = np.linalg.norm(first.noisy - first.exact, axis=-1).mean((1, 2))
    assert (off > 0).all()


def test_the_confidence_follows_its_rule(motions):
    """0 where a joint was lost; its logit is 2.2 - 9 e/h and slow noise of variance 1; the noise draws what it drew."""
    scene = bench.make_scene(motions, 0)
    exact = scene.inputs("exact")
    assert np.array_equal(exact[..., :2], scene.exact) and (exact[..., 2] == 1).all()
    noisy = scene.inputs("noisy")
    assert np.array_equal(noisy[..., :2], scene.noisy) and np.array_equal(noisy[..., 2], scene.confidence)
    lost = scene.confidence == 0
    assert lost[..., [2, 3, 5, 6, 12, 13, 15, 16]].any((0, 1)).all()  # each was lost for 15 frames somewhere
    assert not lost[..., [0, 1, 4, 7, 8, 9, 10, 11, 14]].any()

    xy = bench.FixedNumbers(5).normal(4000, 17, 2)
    seen, sure = bench.benchmark_detections(xy, 3, 1)
    assert np.array_equal(seen, bench.benchmark_noise(xy, 3, 1))
    h = np.sqrt(np.square(xy - xy.mean(1, keepdims=True)).sum(-1).mean())
    found = sure > 0
    with np.errstate(divide="ignore"):
        mood = np.log(sure / (1 - sure)) - 2.2 + 9 * np.linalg.norm(seen - xy, axis=-1) / h
    slow = np.where(found, mood, np.nan)
    assert abs(np.nanmean(slow)) < 0.1 and np.nanvar(slow) == pytest.approx(1, abs=0.1)
    assert np.nanmean(slow[1:] * slow[:-1]) == pytest.approx(0.9, abs=0.1)
    np.testing.assert_allclose(sure[[0, 9, 77], [8, 16, 0]], CONFIDENCE, rtol=1e-6)


CONFIDENCE = [0.9740914093579733, 0.7701330190559018, 0.6260156652250035]
UNIFORM = [0.44841514333227195, 0.4308819875443376, 0.4199991293921922]


def test_wrong_predictions_are_refused(motions):
    with pytest.raises(PoseMambaError, match="shape"):
        bench.run_benchmark(lambda xy: xy[..., :2], motions=motions)
    with pytest.raises(PoseMambaError, match="finite"):
        bench.run_benchmark(lambda xy: np.full((*xy.shape[:3], 3), np.nan), motions=motions)


class Copies(nn.Module):
    """Gives the picture back as x and y, and the mean of x over the window as depth."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return torch.cat([x, x[..., :1].mean(1, keepdim=True).expand_as(x[..., :1])], -1) + self.p


@pytest.mark.parametrize("frames", [1, 20, 27, 28, 54, 61])
def test_windows_cover_every_frame_once(frames):
    xy = torch.randn(2, frames, 17, 2)
    lifted = bench.lift_windows(Copies(), xy, window=27, flip=False)
    assert torch.allclose(lifted[..., :2], xy - xy[:, :, :1])
    first = xy[:, :27, :, 0].mean(1, keepdim=True).expand(-1, min(27, frames), -1)
    assert torch.allclose(lifted[:, :27, :, 2], first - first[..., :1], atol=1e-6)
    zoomed = bench.lift_windows(Copies(), xy, window=27, flip=False, person_size=0.3)
    assert torch.allclose(zoomed, lifted, atol=1e-5)  # this model is linear, so the zoom cancels


def test_flip_averaging_makes_the_lifting_symmetric():
    xy = torch.randn(1, 9, 17, 2)
    mirrored = mirror(bench.lift_windows(Copies(), mirror(xy)))
    assert torch.allclose(bench.lift_windows(Copies(), xy), mirrored, atol=1e-6)
    predict = bench.model_predictor(Copies(), window=5)
    assert predict(xy.numpy()).shape == (1, 9, 17, 3)


class Sure(Copies):
    """Takes confidence, and gives it back as depth."""

    config = SimpleNamespace(confidence=True)

    def forward(self, x):
        assert x.shape[-1] == 3
        return torch.cat([x[..., :2], x[..., 2:] - x[..., :1, 2:]], -1) + self.p


def test_models_get_the_confidence_that_they_take():
    joints = torch.rand(2, 40, 17, 3)
    for size in (None, 0.3):
        lifted = bench.lift_windows(Sure(), joints, window=27, flip=False, person_size=size)
        if size is None:
            assert torch.allclose(lifted[..., 2], joints[..., 2] - joints[..., :1, 2], atol=1e-6)
        without = bench.lift_windows(Copies(), joints, window=27, flip=False, person_size=size)
        assert torch.equal(
            without, bench.lift_windows(Copies(), joints[..., :2], window=27, flip=False, person_size=size)
        )


def test_one_by_one_adapts_functions_of_one_sequence(motions):
    predict = bench.one_by_one(lambda xy: np.zeros((len(xy), 17, 3), np.float32))
    assert bench.run_benchmark(predict, motions=motions).overall["exact"].p1 > 100


def test_baselines_of_the_real_benchmark(mocap_files):
    """Numbers that docs/mocap_benchmark.md gives: they move if cameras, noise or data do."""
    test = load_motions(mocap_files, "test")
    flat = bench.run_benchmark(bench.flat_baseline, motions=test, quick=True)
    assert flat.overall["exact"].frames == 14273
    assert flat.overall["exact"].p1 == pytest.approx(165.2, abs=0.05)
    assert flat.overall["exact"].p2 == pytest.approx(109.2, abs=0.05)
    assert flat.overall["noisy"].p1 == pytest.approx(172.4, abs=0.05)
    assert flat.overall["noisy"].mpjve == pytest.approx(16.97, abs=0.01)
    depths = bench.mean_depths(load_motions(mocap_files, "train"), batches=2, batch=16)
    mean = bench.run_benchmark(bench.mean_depth_baseline(depths), motions=test, quick=True)
    assert 100 < mean.overall["exact"].p1 < flat.overall["exact"].p1
