import json

import numpy as np
import pytest

from posemamba.data.mocap.motions import load_motions
from posemamba.evaluate.depth_baselines import flat_baseline, mean_depth_baseline, mean_depths
from posemamba.evaluate.mocap import benchmark as bench
from posemamba.evaluate.mocap.scenes import VARIANTS, scenes
from posemamba.utils.errors import PoseMambaError


def oracle(motions, quick=False):
    """A predictor that knows the answers, and shifts and keeps the unit as models do."""
    answers = {}
    for scene in scenes(motions, quick=quick):
        for variant in VARIANTS:
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
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["overall"]["exact"]["frames"] == 290
    knee = saved["angles"]["exact"]["knee_flexion"]["all"]
    assert knee.keys() == {"mae_deg", "bias_deg", "frames"} and knee["frames"] == 2 * 290 and knee["mae_deg"] < 0.1
    assert "| knee flexion, exact | 0.0 (" in result.angle_table()


def test_wrong_predictions_are_refused(motions):
    with pytest.raises(PoseMambaError, match="shape"):
        bench.run_benchmark(lambda xy: xy[..., :2], motions=motions)
    with pytest.raises(PoseMambaError, match="finite"):
        bench.run_benchmark(lambda xy: np.full((*xy.shape[:3], 3), np.nan), motions=motions)


def test_one_by_one_adapts_functions_of_one_sequence(motions):
    predict = bench.one_by_one(lambda xy: np.zeros((len(xy), 17, 3), np.float32))
    assert bench.run_benchmark(predict, motions=motions).overall["exact"].p1 > 100


@pytest.mark.slow
def test_baselines_of_the_real_benchmark(mocap_files):
    """Numbers that docs/mocap_benchmark.md gives: they move if cameras, noise or data do."""
    test = load_motions(mocap_files, "test")
    flat = bench.run_benchmark(flat_baseline, motions=test, quick=True)
    assert flat.overall["exact"].frames == 14273
    assert flat.overall["exact"].p1 == pytest.approx(165.2, abs=0.05)
    assert flat.overall["exact"].p2 == pytest.approx(109.2, abs=0.05)
    assert flat.overall["noisy"].p1 == pytest.approx(172.4, abs=0.05)
    assert flat.overall["noisy"].mpjve == pytest.approx(16.97, abs=0.01)
    depths = mean_depths(load_motions(mocap_files, "train"), batches=2, batch=16)
    mean = bench.run_benchmark(mean_depth_baseline(depths), motions=test, quick=True)
    assert 100 < mean.overall["exact"].p1 < flat.overall["exact"].p1
