import json

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
            answers[getattr(scene, variant).tobytes()] = scene.target + 0.1
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
    fixed = bench._Fixed(1, 2)
    np.testing.assert_allclose(fixed.uniform(3), UNIFORM, rtol=1e-12)
    first, second = bench.make_scene(motions, 1), bench.make_scene(motions, 1)
    assert np.array_equal(first.noisy, second.noisy)
    only = bench.make_scene(motions, 1, (2,))
    assert np.array_equal(only.noisy[0], first.noisy[2]) and np.array_equal(only.exact[0], first.exact[2])
    assert np.abs(first.exact[..., 0]).max() <= 1 + 1e-6
    off = np.linalg.norm(first.noisy - first.exact, axis=-1).mean((1, 2))
    assert (off > 0).all()


UNIFORM = [0.44841514333227195, 0.4308819875443376, 0.4199991293921922]


def test_wrong_predictions_are_refused(motions):
    with pytest.raises(PoseMambaError, match="shape"):
        bench.run_benchmark(lambda xy: xy, motions=motions)
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
