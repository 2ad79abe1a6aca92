"""Figures of the command line on a real motion, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import posemamba.paper.compare as compare_module
from posemamba.cli.show import show
from posemamba.io.motion.npz import save_poses_npz
from posemamba.paper.clip import Clip, read_clip
from posemamba.paper.compare import Comparison, Method, compare, parse_frames, plot_comparison
from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(show, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_a_mocap_clip_is_compared_with_its_truth(tmp_path: Path, shared: Callable[..., Path]) -> None:
    data, out = shared("mocap"), tmp_path / "compare.png"
    text = run("compare", "mocap:cmu_127_08", "--data", data, "--frames", "5,40", "--device", "cpu", "-o", out)
    assert out.stat().st_size > 20_000
    clip = read_clip("mocap:cmu_127_08", data=data)
    made = compare(clip, ["posemamba-s"], data=data)
    (method,) = made.methods
    errors = made.errors(method)
    assert clip.scene is not None
    pred = method.xyz / clip.scene.mm_per_unit[0][:, None, None]
    assert np.allclose(errors.mean(-1), clip.scene.errors(pred[None])["p1"][0], rtol=1e-6)  # as the benchmark counts
    mean = next(line for line in text.splitlines() if "mean (P1)" in line).split()
    assert float(mean[-1]) == pytest.approx(errors[40].mean(), abs=0.06)
    worst = next(line for line in text.splitlines() if line.endswith("*"))
    assert worst.split()[0] == Poses3D.skeleton.joints[errors[40].argmax()]
    for wrong, problem in (
        (("compare", "mocap:nobody"), "no such clip"),
        (("compare", "mocap:0", "--camera", 4), "expected 0 to 3"),
        (("compare", "mocap:0", "--inputs", "blurred"), "expected exact or noisy"),
        (("compare", "mocap:0", "--frames", "106"), "0 to 105"),
        (("scan-map", "mocap:0", "--layer", "10"), "has 10 pairs"),
        (("scan-map", "mocap:0", "--start", "106"), "has 106 frames"),
    ):
        with pytest.raises(PoseMambaError, match=problem):
            run(*wrong, "--data", data, "-o", tmp_path / "no.png")
    assert [p.name for p in tmp_path.iterdir()] == ["compare.png"]


def test_other_models_take_clips_of_any_length(shared: Callable[..., Path]) -> None:
    """Checkpoints of the other authors' formats, tiny and untrained, of 9 frames at most and exactly."""
    clip = read_clip("mocap:cmu_127_08", data=shared("mocap"))
    short = Clip("short", clip.xy[:5], scene=clip.scene)
    agformer = shared("parity", "motionagformer_tiny.pth.tr")
    predictor = compare_module._predictor(f"motionagformer:{agformer}", "cpu")
    assert predictor[0] == "MotionAGFormer"
    assert predictor[1](short.xy[None]).shape == (1, 5, 17, 3)
    assert predictor[1](clip.xy[None]).shape == (1, 58, 17, 3)
    bert = compare_module._predictor(f"motionbert:{shared('parity', 'motionbert_tiny.bin')}", "cpu")
    assert bert[1](clip.xy[None]).shape == (1, 58, 17, 3)


def test_files_are_compared_and_foreign_ones_refused(tmp_path: Path, walker_clip: Callable[..., Poses3D]) -> None:
    poses, short = walker_clip(20, unseen=slice(3, 5)), walker_clip(9)
    for name, made in (("a", poses), ("b", poses), ("short", short)):
        save_poses_npz(tmp_path / f"{name}.npz", made)
    (tmp_path / "other.npz").write_bytes(b"not a zip")
    np.savez(tmp_path / "arrays.npz", xyz=np.zeros(3))
    out = tmp_path / "figure.svg"
    run("compare", tmp_path / "a.npz", tmp_path / "b.npz", "--weights", "posemamba-s", "--frames", "4,10", "-o", out)
    names = [m.name for m in compare(read_clip(str(tmp_path / "a.npz")), files=[tmp_path / "b.npz"]).methods]
    assert names == ["made up (1)", "made up (2)"]
    for arguments, problem in (
        (("a.npz", "short.npz"), "has 9 frames"),
        (("a.npz", "none.npz"), "no such file"),
        (("other.npz",), "not a poses.npz"),
        (("arrays.npz",), "not a poses.npz"),
        (("a.npz", "--baselines"), "for mocap clips"),
        (("a.npz", "--frames", "x"), "expected numbers with commas"),
        (("a.npz", "-o", "figure.gif"), "figure's name ends"),
    ):
        paths = [tmp_path / a if a.endswith((".npz", ".gif")) else a for a in arguments]
        with pytest.raises(PoseMambaError, match=problem):
            run("compare", *paths)


def test_the_worst_joint_is_the_one_that_is_moved(tmp_path: Path) -> None:
    truth = np.random.default_rng(0).normal(size=(3, 17, 3)) * 300
    moved = truth.copy()
    moved[1, 13] += [0, 0, 120]
    made = Comparison(Clip("made up", truth[..., :2].astype(np.float32)), (Method("moved", moved),), truth, "mm")
    assert made.errors(made.methods[0])[1, 13] == pytest.approx(120)
    starred = [line for line in made.table([1]).splitlines() if line.endswith("*")]
    assert len(starred) == 1 and starred[0].split() == ["left_wrist", "120.0", "*"]
    plot_comparison(tmp_path / "moved.pdf", made, parse_frames("0, 1", 3))
    assert (tmp_path / "moved.pdf").exists()


def test_a_model_of_other_joints_is_refused(tmp_path: Path) -> None:
    import torch

    from posemamba.models.mixste import MixSTE

    model = MixSTE.preset(None, width=16, depth=1, frames=9, joints=16, heads=8)
    torch.save({"model_pos": model.state_dict()}, tmp_path / "mixste.bin")
    with pytest.raises(PoseMambaError, match=r"mixste\.bin: a model of 16 joints, expected 17"):
        compare_module._predictor(f"mixste:{tmp_path / 'mixste.bin'}", "cpu")
