"""The mocap benchmark in Human3.6M's and MPI-INF-3DHP's formats: layout, geometry, and the same errors either way."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemamba import cli
from posemamba.data.human36m import file as human36m_file
from posemamba.data.human36m.dataset import Human36M
from posemamba.data.mocap.motions import Motions, load_motions
from posemamba.data.mpi_inf_3dhp import file as mpi_inf_3dhp_file
from posemamba.data.mpi_inf_3dhp.dataset import MpiInf3dhp
from posemamba.data.mpi_inf_3dhp.joints import JOINTS
from posemamba.evaluate import human36m as human36m_protocol
from posemamba.evaluate import mpi_inf_3dhp as mpi_protocol
from posemamba.evaluate.mocap import export
from posemamba.evaluate.mocap.benchmark import run_benchmark
from posemamba.evaluate.mocap.scenes import make_scene
from posemamba.utils.errors import PoseMambaError

BIAS = np.random.default_rng(3).normal(0, 0.05, (17, 3)).astype(np.float32)
BIAS[0] = 0


def formula(xy: np.ndarray) -> np.ndarray:
    """A predictor that looks at one frame alone: (..., 17, 2) to (..., 17, 3), the pelvis at zero."""
    relative = xy[..., :2] - xy[..., :1, :2]
    depth = np.tanh(2 * relative.sum(-1, keepdims=True)) * 0.3
    return (np.concatenate([0.9 * relative, depth], -1) + BIAS).astype(np.float32)


def predict(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(formula(x.numpy()))


@pytest.fixture(scope="module")
def both(motions: Motions) -> dict[str, Motions]:
    return {"train": motions, "test": motions.select([1, 2, 0])}


@pytest.fixture(scope="module")
def as_h36m(both: dict[str, Motions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export.write_human36m(tmp_path_factory.mktemp("h36m"), motions=both)


@pytest.fixture(scope="module")
def as_3dhp(both: dict[str, Motions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export.write_mpi_inf_3dhp(tmp_path_factory.mktemp("3dhp"), motions=both)


# --- Human3.6M


def test_human36m_has_the_layout_of_the_published_file(as_h36m: Path, shared: Any) -> None:
    """Fields and types are those of the made-up file of the shared material, which has the published one's."""
    published = pickle.loads(shared("parity", "h36m_format", human36m_file.FILE).read_bytes())
    ours = pickle.loads(as_h36m.read_bytes())
    assert as_h36m.name == human36m_file.FILE and set(ours) == set(published)
    for split, fields in published.items():
        assert set(ours[split]) == set(fields)
        for field, values in fields.items():
            assert type(ours[split][field]) is type(values)
            if isinstance(values, np.ndarray):
                assert ours[split][field].dtype == values.dtype and ours[split][field].shape[1:] == values.shape[1:]
            else:
                assert isinstance(ours[split][field][0], str)


def test_human36m_holds_the_scenes(as_h36m: Path, both: dict[str, Motions]) -> None:
    content = pickle.loads(as_h36m.read_bytes())["test"]
    start = int(both["test"].lengths[0]) * 4 + int(both["test"].lengths[1]) * 2  # clip 1 as camera 2 sees it
    frames = slice(start, start + int(both["test"].lengths[1]))
    scene = make_scene(both["test"], 1)
    assert set(content["camera_name"][frames]) == {tuple(human36m_file.CAMERAS)[2]}
    np.testing.assert_allclose(content["joint_2d"][frames] / 500 - 1, scene.noisy[2], atol=1e-6)
    np.testing.assert_allclose(content["joint3d_image"][frames, :, :2] / 500 - 1, scene.exact[2], atol=1e-6)
    factor = content["2.5d_factor"][frames]
    np.testing.assert_allclose(factor * 500, scene.mm_per_unit[2], rtol=1e-6)
    target = content["joints_2.5d_image"][frames]
    wanted = scene.target[2] * scene.mm_per_unit[2][:, None, None]
    np.testing.assert_allclose(target - target[:, :1], wanted, atol=5e-3)


def test_human36m_splits_and_names(as_h36m: Path, both: dict[str, Motions]) -> None:
    data = Human36M.open(as_h36m)
    for split, subjects in human36m_file.SUBJECTS.items():
        videos = getattr(data, split).videos
        assert len({v.name for v in videos}) == len(videos) == 4 * len(both[split])
        assert {v.subject for v in videos} <= set(subjects) and not any(v.blocked for v in videos)
        assert [v.length for v in videos] == np.repeat(both[split].lengths, 4).tolist()
    assert {v.action for v in data.test.videos} == set(both["test"].descriptions)
    noise = [v.name for v in data.train.videos]
    assert noise[:4] == [f"s_01_act_20_subact_01_ca_0{k}" for k in (1, 2, 3, 4)]


def test_training_clips_have_other_noise_and_cameras_than_test_clips(both: dict[str, Motions]) -> None:
    own, other = make_scene(both["train"], 0), make_scene(both["train"], 0, number=export.FIRST_TRAIN_NUMBER)
    assert np.abs(own.exact - other.exact).max() > 0.01
    assert np.abs((own.noisy - own.exact) - (other.noisy - other.exact)).max() > 0.01


@pytest.mark.parametrize(("inputs", "variant"), [("exact", "exact"), ("detected", "noisy")])
def test_human36ms_protocol_gives_the_benchmarks_errors(
    as_h36m: Path, both: dict[str, Motions], inputs: str, variant: str
) -> None:
    theirs = human36m_protocol.evaluate(
        predict, Human36M.open(as_h36m), "all-frames", inputs, flip=False, frames=27, name="stand-in"
    )
    ours = run_benchmark(formula, motions=both["test"], variants=(variant,))
    assert theirs.frames == ours.overall[variant].frames
    for action, score in ours.actions[variant].items():
        assert theirs.actions[action].p1_mm == pytest.approx(score.p1, abs=2e-3)
        assert theirs.actions[action].p2_mm == pytest.approx(score.p2, abs=2e-3)
        assert theirs.actions[action].frames == score.frames


def test_and_so_on_the_real_motions(mocap_files: Path, tmp_path: Path) -> None:
    test = load_motions(mocap_files, "test")
    few = test.select([0, 25, 40, 59])
    path = export.write_human36m(tmp_path, motions={"train": few.select([1]), "test": few})
    theirs = human36m_protocol.evaluate(predict, Human36M.open(path), "all-frames", flip=False)
    ours = run_benchmark(formula, motions=few, variants=("noisy",)).actions["noisy"]
    wanted = {action: score.p1 for action, score in ours.items()}
    assert {action: score.p1_mm for action, score in theirs.actions.items()} == pytest.approx(wanted, abs=5e-3)


# --- MPI-INF-3DHP


def test_mpi_inf_3dhp_has_all_clips(as_3dhp: Path, both: dict[str, Motions]) -> None:
    data = MpiInf3dhp.open(as_3dhp)
    assert [str(n) for n in data.train.names[:5]] == [*(f"S1 Seq1 camera {c}" for c in range(4)), "S2 Seq1 camera 0"]
    assert data.train.lengths.tolist() == np.repeat(both["train"].lengths, 4).tolist()
    assert data.test.names.tolist() == ["TS1", "TS2", "TS3"]
    assert data.test.lengths.tolist() == both["test"].lengths.tolist()
    assert data.test.valid.all()


def test_mpi_inf_3dhps_pixels_are_its_millimetres_seen_by_one_pinhole(as_3dhp: Path, both: dict[str, Motions]) -> None:
    with np.load(as_3dhp / mpi_inf_3dhp_file.TEST_FILE, allow_pickle=True) as file:
        view = file["data"].item()["TS2"]
    xyz, centre = view["data_3d"].astype(np.float64), 1024
    assert (xyz[..., 2] > 500).all()
    for axis in (0, 1):
        focal = (view["data_2d"][..., axis] - centre) * xyz[..., 2] / xyz[..., axis]
        sure = np.abs(xyz[..., axis]) > 100
        np.testing.assert_allclose(focal[sure], np.median(focal[sure]), rtol=1e-3)
    body = 1000 * both["test"].clip(1)
    hip, knee = JOINTS.index("left_hip"), JOINTS.index("left_knee")
    thigh = np.linalg.norm(body[:, 4] - body[:, 5], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(xyz[:, hip] - xyz[:, knee], axis=-1), thigh, atol=0.05)


def test_mpi_inf_3dhps_inputs_are_the_benchmarks(as_3dhp: Path, both: dict[str, Motions]) -> None:
    scene = make_scene(both["test"], 1, (1,))
    video = list(MpiInf3dhp.open(as_3dhp).test)[1]
    np.testing.assert_allclose(video.xy, scene.exact[0], atol=1e-6)
    np.testing.assert_allclose(video.mm[..., 2], scene.target[0, ..., 2] * scene.mm_per_unit[0][:, None], atol=2e-2)


def test_both_can_be_trained_on_and_scored(as_h36m: Path, as_3dhp: Path) -> None:
    clips = Human36M.open(as_h36m).train_source(frames=27, stride=9).batch(0, 4)
    assert clips.input.shape == (4, 27, 17, 2)
    data = MpiInf3dhp.open(as_3dhp)
    clips = data.train_source(frames=27).batch(0, 4)
    assert clips.target.shape == (4, 27, 17, 3)
    result = mpi_protocol.evaluate(predict, data, frames=9)
    assert result.overall.frames == data.test.lengths.sum() and np.isfinite(result.overall.mpjpe)


# --- writing


@pytest.mark.parametrize("layout", list(export.FORMATS))
def test_the_same_twice_with_a_note_and_progress(layout: str, both: dict[str, Motions], tmp_path: Path) -> None:
    done: list[tuple[int, int | None]] = []
    for name in ("a", "b"):
        export.FORMATS[layout](
            tmp_path / name, motions=both, quick=True, progress=lambda now, total: done.append((now, total))
        )
    assert done[len(done) // 2 - 1] == (len(done) // 2,) * 2
    files = {p.name for p in (tmp_path / "a").iterdir()}
    assert files == {p.name for p in (tmp_path / "b").iterdir()} and not [f for f in files if f.startswith(".")]
    note = (tmp_path / "a" / export.NOTE).read_text()
    assert "mocap.cs.cmu.edu" in note and "not comparable" in note and "--quick" in note
    for name in files - {export.NOTE}:
        one, other = (tmp_path / folder / name for folder in ("a", "b"))
        assert name.endswith(".npz") or one.read_bytes() == other.read_bytes()
    if layout == "human36m":
        cameras = [v.camera for v in Human36M.open(tmp_path / "a").test.videos]
        assert cameras == list(human36m_file.CAMERAS)[:3], "camera i mod 4 of clip i"
    else:
        one, other = (MpiInf3dhp.open(tmp_path / folder).train for folder in ("a", "b"))
        assert len(one) == 3 and np.array_equal(one.xy, other.xy) and np.array_equal(one.mm, other.mm)


@pytest.mark.parametrize(
    ("layout", "name"), [("human36m", human36m_file.FILE), ("mpi_inf_3dhp", mpi_inf_3dhp_file.TEST_FILE)]
)
def test_real_files_are_never_replaced(layout: str, name: str, both: dict[str, Motions], tmp_path: Path) -> None:
    (tmp_path / name).write_text("the real one")
    with pytest.raises(PoseMambaError, match=f"{name}: is there already"):
        export.FORMATS[layout](tmp_path, motions=both)
    assert (tmp_path / name).read_text() == "the real one"


def test_the_command(both: dict[str, Motions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(export, "load_motions", lambda directory, split: both[split])
    assert cli.main(["data", "export", "mocap", str(tmp_path / "o"), "--format", "mpi_inf_3dhp", "--quick"]) == 0
    assert cli.main(["data", "check", str(tmp_path / "o")]) == 0
    out = capsys.readouterr().out
    assert "MPI-INF-3DHP" in out and "nothing wrong was found" in out
    assert cli.main(["data", "export", "mocap", str(tmp_path), "--format", "coco"]) == 2
    assert cli.main(["data", "export", "walks", str(tmp_path)]) == 2
    assert "expected mocap as human36m or mpi_inf_3dhp" in capsys.readouterr().err
