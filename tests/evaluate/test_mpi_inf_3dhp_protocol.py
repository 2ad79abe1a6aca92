"""MPI-INF-3DHP's test: against a plain reading of the official utilities, windows, test-time flip, results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from posemamba import cli
from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp
from posemamba.data.mpi_inf_3dhp.file import TEST_FILE
from posemamba.data.mpi_inf_3dhp.joints import JOINTS, to_3dhp, to_h36m
from posemamba.evaluate import mpi_inf_3dhp as mpi
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError

LENGTHS = {"TS1": 40, "TS2": 33, "TS5": 61}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MpiInf3dhp:
    folder, random = tmp_path_factory.mktemp("3dhp"), np.random.default_rng(0)
    content = {}
    for name, frames in LENGTHS.items():
        mm = random.normal(0, 300, (1, 17, 3)) + np.cumsum(random.normal(0, 5, (frames, 17, 3)), 0) + [0, 0, 4000]
        valid = (random.random(frames) < 0.6).astype(np.uint8)
        content[name] = {"data_2d": random.uniform(0, 1000, (frames, 17, 2)), "data_3d": mm, "valid": valid}
    np.savez_compressed(folder / TEST_FILE, data=np.array(content, dtype=object))
    return MpiInf3dhp.open(folder)


def stand_in(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(formula(x.numpy()))


def formula(x: np.ndarray) -> np.ndarray:
    """A window predictor whose centre depends on all of the window's frames, unequally, and on left and right."""
    frames = np.linspace(0.5, 1.5, x.shape[1])[:, None, None]
    mixed = x * 0.3 + (x * frames).mean(1, keepdims=True) * 0.1 + np.arange(17)[:, None] * 0.003
    return np.concatenate([mixed, mixed.sum(-1, keepdims=True)], -1).astype(np.float32)


def official(data: MpiInf3dhp, frames: int, flip: bool) -> dict[str, np.ndarray]:
    """Joint errors (F, 17) in the file's order, frame by frame."""
    errors = {}
    for video in data.test:
        rows = []
        for centre in range(len(video.xy)):
            if not video.valid[centre]:
                continue
            half = (frames - 1) // 2
            window = np.stack([video.xy[min(max(centre + k, 0), len(video.xy) - 1)] for k in range(-half, half + 1)])
            pred = formula(window[None])[0, half].astype(np.float64)
            if flip:
                mirrored = formula((window * [-1, 1])[None, :, list(H36M17.mirrored)].astype(np.float32))[0, half]
                pred = (pred + mirrored[list(H36M17.mirrored)] * np.array([-1, 1, 1])) / 2
            pred = to_3dhp(pred * video.width / 2)
            pred[14] = 0  # as P-STMO and MotionAGFormer write predictions for the official utilities
            gt = to_3dhp(video.mm.astype(np.float64))[centre]
            rows.append(np.sqrt(((pred - (gt - gt[14])) ** 2).sum(-1)))
        errors[video.name] = np.stack(rows)
    return errors


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("frames", [1, 27, 81])
def test_agrees_with_the_official_count(data: MpiInf3dhp, frames: int, flip: bool) -> None:
    errors = official(data, frames, flip)
    result = mpi.evaluate(stand_in, data, frames=frames, flip=flip, batch=7)
    # mpii_get_pck_auc_joint_groups.m, numbered from 1
    groups = [[1], [2], [3, 6], [4, 7], [5, 8], [9, 12], [10, 13], [11, 14]]
    together = {"all": np.concatenate(list(errors.values())), **errors}
    for name, e in together.items():
        score = result.overall if name == "all" else result.sequences[name]
        curve = [sum((e[:, [j - 1 for j in g]] < t).sum() for g in groups) / (14 * len(e)) for t in range(0, 151, 5)]
        assert score.frames == len(e)
        assert score.mpjpe == pytest.approx(e.mean(), rel=1e-6)
        assert score.pck == pytest.approx(100 * curve[-1], abs=1e-9)
        assert score.auc == pytest.approx(100 * sum(curve) / 31, abs=1e-9)
        assert score.pck_17 == pytest.approx(100 * (e < 150).mean(), abs=1e-9) and score.pck_17 > score.pck
        assert score.p_mpjpe < score.mpjpe
    assert result.joint_mpjpe == pytest.approx(dict(zip(JOINTS, together["all"].mean(0), strict=True)), rel=1e-6)
    assert result.joint_mpjpe["pelvis"] == 0


def test_velocities_are_of_scored_frames_in_a_row(data: MpiInf3dhp) -> None:
    result = mpi.evaluate(stand_in, data, frames=9, flip=False)
    velocities, accelerations = {}, {}
    for video in data.test:
        off = {
            t: mpi.lift_centres(stand_in, video, np.array([t]), frames=9, flip=False)[0] - (mm - mm[0])
            for t, mm in enumerate(video.mm.astype(np.float64))
            if video.valid[t]
        }

        def size(difference: np.ndarray) -> float:
            return float(np.linalg.norm(difference, axis=-1).mean())

        velocities[video.name] = [size(off[t + 1] - off[t]) for t in off if t + 1 in off]
        accelerations[video.name] = [
            size(off[t + 2] - 2 * off[t + 1] + off[t]) for t in off if t + 1 in off and t + 2 in off
        ]
    assert result.overall.mpjve == pytest.approx(np.mean([v for each in velocities.values() for v in each]), rel=1e-6)
    for name, score in result.sequences.items():
        assert score.mpjve == pytest.approx(np.mean(velocities[name]), rel=1e-6)
        assert score.acceleration == pytest.approx(np.mean(accelerations[name]), rel=1e-6)
    single = np.zeros((1, 17, 3))
    assert [len(values) for values in mpi._motion_errors(single, single, np.array([4]))] == [0, 0]


def test_a_perfect_prediction() -> None:
    errors = np.zeros((5, 14))
    assert mpi.pck(errors) == 100 and mpi.auc(errors) == pytest.approx(100 * 30 / 31)


def test_thresholds_are_strict() -> None:
    errors = np.array([150.0, np.nextafter(150, 0), 0, 5])
    assert mpi.pck(errors) == 75
    assert mpi.auc(errors) == pytest.approx(100 * (0 + 1 + 30 + 29) / 31 / 4)
    assert tuple(range(0, 151, 5)) == mpi.AUC_MM and len(mpi.COUNTED) == 14


def test_windows_repeat_the_ends() -> None:
    np.testing.assert_array_equal(mpi.windows_around(np.array([0, 3]), 5, 4), [[0, 0, 0, 1, 2], [1, 2, 3, 3, 3]])
    np.testing.assert_array_equal(mpi.windows_around(np.array([1]), 4, 9), [[0, 1, 2, 3]])


def test_the_truth_scores_zero_and_frames_that_are_not_valid_do_not_count(data: MpiInf3dhp) -> None:
    """A predictor that knows the poses by their pictures, and is wrong wherever a frame is not to be scored."""
    known = {}
    for video in data.test:
        for xy, mm, valid in zip(video.xy, video.mm, video.valid, strict=True):
            known[xy.tobytes()] = mm / video.mm_per_unit * (1 if valid else 50)
            known[xy.tobytes()][0] = 9  # what is said of the pelvis is not asked for

    def predict(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.stack([[known[frame.tobytes()] for frame in window] for window in x.numpy()]))

    result = mpi.evaluate(predict, data, frames=9, flip=False)
    assert result.overall.mpjpe < 1e-3 and result.overall.pck == 100
    assert result.overall.frames == sum(int(v.valid.sum()) for v in data.test) < sum(LENGTHS.values())


def test_scenes_pool_frames_and_need_all_their_sequences(data: MpiInf3dhp) -> None:
    result = mpi.evaluate(stand_in, data, frames=3)
    assert list(result.scenes) == ["green screen"]
    parts = [result.sequences[n] for n in ("TS1", "TS2")]
    pooled = sum(p.mpjpe * p.frames for p in parts) / sum(p.frames for p in parts)
    assert result.scenes["green screen"].mpjpe == pytest.approx(pooled)


def test_table_and_json_say_the_same(data: MpiInf3dhp, tmp_path: Path) -> None:
    done = []
    result = mpi.evaluate(
        stand_in, data, frames=3, name="stand-in", progress=lambda now, total: done.append((now, total))
    )
    table = result.table().splitlines()
    assert table[0].startswith("stand-in: MPI-INF-3DHP test, 3 frames, test-time flip")
    assert [line.split(" |")[0].strip() for line in table[3:-1]] == ["all", "green screen", *LENGTHS]
    assert table[-1].startswith("MPJPE by joint: head top")
    result.save_json(tmp_path / "scores.json")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["overall"]["pck"] == result.overall.pck and set(content["sequences"]) == set(LENGTHS)
    assert f"{content['overall']['mpjpe']:.2f}" in table[3]
    assert done[-1] == (result.overall.frames,) * 2 and done == sorted(done)


def test_bad_predictions_and_settings_are_one_line(data: MpiInf3dhp) -> None:
    with pytest.raises(PoseMambaError, match=r"TS1: the prediction has shape \(\d+, 9, 17, 2\)"):
        mpi.evaluate(lambda x: x, data, frames=9)
    with pytest.raises(PoseMambaError, match="not finite"):
        mpi.evaluate(lambda x: stand_in(x) * np.nan, data, frames=9)
    with pytest.raises(PoseMambaError, match="0 frames"):
        mpi.evaluate(stand_in, data, frames=0)


def test_the_input_is_in_human36ms_order(data: MpiInf3dhp) -> None:
    video = next(iter(data.test))
    seen = []
    mpi.lift_centres(lambda x: (seen.append(x), stand_in(x))[1], video, np.array([5]), frames=1, flip=False)
    np.testing.assert_array_equal(seen[0][0, 0], to_h36m(to_3dhp(video.xy[5])))
    np.testing.assert_array_equal(seen[0][0, 0, 8], to_3dhp(video.xy[5])[1])


@pytest.mark.slow
def test_the_command(data: MpiInf3dhp, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model, weights = PoseMamba.preset("s", width=16, depth=1, frames=9).eval(), tmp_path / "tiny.safetensors"
    save_model(weights, model, {})
    arguments = ["evaluate", str(weights), str(data.test_path), "--device", "cpu", "--json", str(tmp_path / "s.json")]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert "MPI-INF-3DHP test, 9 frames, test-time flip" in capsys.readouterr().out
    with torch.inference_mode():
        wanted = mpi.evaluate(model, data, frames=9)
    scores = json.loads((tmp_path / "s.json").read_text())["overall"]
    assert scores["mpjpe"] == pytest.approx(wanted.overall.mpjpe, rel=1e-4)
    assert cli.main(["evaluate", str(weights), str(data.directory), "--protocol", "paper"]) == 2
    assert "this is MPI-INF-3DHP" in capsys.readouterr().err
