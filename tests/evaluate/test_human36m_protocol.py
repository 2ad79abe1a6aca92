"""Human3.6M's test: agreement with the released evaluation, protocols, inputs, blocked and short videos."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fixtures import human36m_files as files
from posemamba import cli
from posemamba.data.human36m.dataset import Human36M
from posemamba.evaluate.human36m import evaluate
from posemamba.evaluate.metrics import mpjpe_per_frame
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError


def standin(weight: Any, bias: Any) -> Callable[[Tensor], Tensor]:
    w, b = torch.from_numpy(np.asarray(weight, np.float32)), torch.from_numpy(np.asarray(bias, np.float32))
    return lambda x: torch.tanh(x @ w) * 0.6 + b


@pytest.fixture
def data(tmp_path: Path) -> Human36M:
    return Human36M.open(files.write(tmp_path / files.FILE), cache=False)


@pytest.fixture
def guess() -> Callable[[Tensor], Tensor]:
    random = np.random.default_rng(5)
    return standin(random.normal(0, 0.4, (2, 3)), random.normal(0, 0.1, (17, 3)))


def test_agrees_with_the_released_evaluation(shared: Callable[..., Path], tmp_path: Path) -> None:
    folder = shared("parity", "h36m_format")
    shutil.copy(folder / files.FILE, tmp_path)
    opened, expected = Human36M.open(tmp_path), np.load(folder / "expected.npz", allow_pickle=False)
    predict = standin(expected["standin_weight"], expected["standin_joint_bias"])
    result = evaluate(predict, opened)
    assert list(result.actions) == expected["actions"].tolist()
    assert result.p1_mm == pytest.approx(float(expected["p1_mm"]), abs=1e-5)
    assert result.p2_mm == pytest.approx(float(expected["p2_mm"]), abs=1e-5)
    for key in ("p1_mm", "p2_mm"):
        per_action = [getattr(score, key) for score in result.actions.values()]
        np.testing.assert_allclose(per_action, expected[key.replace("_mm", "_per_action_mm")], rtol=0, atol=1e-5)
    result = evaluate(predict, opened, flip=False, batch=3)
    assert result.p1_mm == pytest.approx(float(expected["p1_noflip_mm"]), abs=1e-5)
    assert result.p2_mm == pytest.approx(float(expected["p2_noflip_mm"]), abs=1e-5)
    # printed by the released train.py with gt_2d, true 2D joints put in place of the detector's
    for flip, wanted in (
        (True, (70.77935555759955, 60.26787110709358)),
        (False, (115.3393190290283, 74.0939116156997)),
    ):
        result = evaluate(predict, opened, inputs="exact", flip=flip)
        assert (result.given_xy_p1_mm, result.given_xy_p2_mm) == pytest.approx(wanted, abs=1e-5)


# --- against a plain reading of the rules, on a made-up file


def plainly(made: Any, predict: Callable[[Tensor], Tensor], frames: int, tails: bool, exact: bool) -> dict[str, float]:
    """P1 by action, one frame after another, without test-time flip."""
    split, errors = made["test"], {}
    begin = 0
    for name, action, camera, length in files.TEST:
        starts = list(range(0, length - frames + 1, frames)) if length >= frames else [0]
        if tails and length > frames and length % frames:
            starts.append(length - frames)
        done: dict[int, list[float]] = {}
        for start in starts:
            index = [begin + start + (i * length // frames if length < frames else i) for i in range(frames)]
            width, height = files.SIZES[camera]
            pixels = (split["joint3d_image"][..., :2] if exact else split["joint_2d"])[index].astype(np.float64)
            given = torch.from_numpy((pixels * 2 / width - [1, height / width]).astype(np.float32))
            pred = predict(given[None])[0].double().numpy()
            pred[:, 0] = 0
            now: dict[int, list[float]] = {}
            for row, frame in enumerate(index):
                target = split["joints_2.5d_image"][frame].astype(np.float64)
                mm = pred[row] * width / 2 * split["2.5d_factor"][frame]
                now.setdefault(frame, []).append(float(np.linalg.norm(mm - (target - target[0]), axis=-1).mean()))
            done = {**now, **done}  # the earlier clip's stay
        if not name.startswith("s_09_act_05_subact_02"):
            errors.setdefault(action, []).extend(np.mean(e) for e in done.values())
        begin += length
    return {action: float(np.mean(e)) for action, e in errors.items()}


@pytest.mark.parametrize("protocol", ["paper", "all-frames"])
@pytest.mark.parametrize("inputs", ["detected", "exact"])
@pytest.mark.parametrize("frames", [9, 16, 50])
def test_as_a_plain_reading_of_the_rules(
    data: Human36M, guess: Callable[[Tensor], Tensor], protocol: str, inputs: str, frames: int
) -> None:
    wanted = plainly(files.content(), guess, frames, protocol == "all-frames", inputs == "exact")
    for batch in (1, 4):
        result = evaluate(guess, data, protocol, inputs, flip=False, frames=frames, batch=batch)
        got = {action: score.p1_mm for action, score in result.actions.items()}
        assert got == pytest.approx(wanted, abs=1e-3)
        assert result.p1_mm == pytest.approx(np.mean(list(wanted.values())), abs=1e-3)
    assert set(got) == {"Direction", "Walk"} and result.blocked == ("s_09_act_05_subact_02_ca_03",)
    if protocol == "all-frames":
        assert result.frames == 50 + 20 + 7
    elif frames == 16:
        assert result.frames == 48 + 16 + 7


def test_motion_joints_and_the_given_picture(data: Human36M, guess: Callable[[Tensor], Tensor]) -> None:
    """A frame after another: velocities within videos alone, joints, and x and y replaced by those given."""
    frames, split = 10, files.content()["test"]
    result = evaluate(guess, data, "all-frames", "exact", flip=False, frames=frames)
    velocities: dict[str, list[float]] = {}
    accelerations: dict[str, list[float]] = {}
    given: dict[str, list[float]] = {}
    joints: dict[str, list[np.ndarray]] = {}
    begin = 0
    for name, action, camera, length in files.TEST:
        here, (width, height) = slice(begin, begin + length), files.SIZES[camera]
        begin += length
        if name.startswith("s_09_act_05_subact_02"):
            continue
        xy = split["joint3d_image"][here, :, :2].astype(np.float64) * 2 / width - [1, height / width]
        pred = guess(torch.from_numpy(xy.astype(np.float32))).double().numpy()
        pred[:, 0] = 0
        unit = (split["2.5d_factor"][here].astype(np.float64) * width / 2)[:, None, None]
        true = split["joints_2.5d_image"][here].astype(np.float64)
        true = true - true[:, :1]
        replaced = np.concatenate([xy, pred[..., 2:]], -1)
        moved = pred * unit - true  # differences of errors are errors of differences
        for kept, values in (
            (velocities, np.linalg.norm(moved[1:] - moved[:-1], axis=-1).mean(-1)),
            (accelerations, 2500 * np.linalg.norm(moved[2:] - 2 * moved[1:-1] + moved[:-2], axis=-1).mean(-1)),
            (given, np.linalg.norm((replaced - replaced[:, :1]) * unit - true, axis=-1).mean(-1)),
            (joints, np.linalg.norm(moved, axis=-1)),
        ):
            kept.setdefault(action, []).extend(values)  # type: ignore[arg-type]

    def mean(kept: dict[str, Any]) -> Any:
        return np.mean([np.mean(values, 0) for values in kept.values()], 0)

    assert result.mpjve_mm == pytest.approx(mean(velocities), rel=1e-4)
    assert result.acceleration_mm_s2 == pytest.approx(mean(accelerations), rel=1e-4)
    assert result.given_xy_p1_mm == pytest.approx(mean(given), rel=1e-4)
    assert list(result.joints.values()) == pytest.approx(mean(joints), rel=1e-4)
    assert np.mean(list(result.joints.values())) == pytest.approx(result.p1_mm) and result.detector == "GT"
    assert "P1†" in result.table() and "P1 by joint: pelvis 0.0, right hip" in result.table()
    detected = evaluate(guess, data, frames=frames)
    assert detected.given_xy_p1_mm is None and detected.detector == "SH" and "†" not in detected.table()


def test_an_oracle_has_no_error_and_seconds_do_not_count(data: Human36M) -> None:
    answers: dict[bytes, Tensor] = {}
    clips = data.test_clips(20, protocol="all-frames")
    for given in data.test_batches(clips, 1):
        target = torch.from_numpy((given.target_mm / given.mm_per_unit[..., None, None]).astype(np.float32))
        answers[given.input.numpy().tobytes()] = target - target[:, :, :1]
    kept = {k: v.clone() for k, v in answers.items()}
    shifts = []

    def oracle(x: Tensor) -> Tensor:
        answer = answers[x.numpy().tobytes()].clone()
        answer[:, :, 0] = 7  # joint 0 is set to zero and not subtracted
        shifts.append(len(x))
        return answer

    steps: list[tuple[int, int | None]] = []
    result = evaluate(oracle, data, "all-frames", flip=False, frames=20, batch=1, progress=lambda *s: steps.append(s))
    assert result.p1_mm < 1e-3 and result.p2_mm < 1e-3
    assert steps == [(i + 1, 5) for i in range(5)] and shifts == [1] * 5
    evaluate(lambda x: answers[x.numpy().tobytes()], data, "all-frames", flip=False, frames=20, batch=1)
    assert all(torch.equal(answers[k], kept[k]) for k in kept), "the predictor's own tensors are left alone"


def test_test_time_flip_halves_what_mirrors_away(data: Human36M) -> None:
    """A predictor that always errs to the right is mended by averaging with the mirrored picture."""

    def right(x: Tensor) -> Tensor:
        return torch.cat([x - x[:, :, :1] + torch.tensor([0.3, 0.0]), torch.zeros_like(x[..., :1])], -1)

    def straight(x: Tensor) -> Tensor:
        return right(x) - torch.tensor([0.3, 0.0, 0.0])

    mended, unbiased = (evaluate(p, data, flip=f, frames=10) for p, f in ((right, True), (straight, False)))
    assert mended.p1_mm == pytest.approx(unbiased.p1_mm, abs=1e-3)
    assert evaluate(right, data, flip=False, frames=10).p1_mm > unbiased.p1_mm + 100


def test_confidence_is_the_files_and_1_for_exact_joints(data: Human36M, guess: Callable[[Tensor], Tensor]) -> None:
    given: list[Tensor] = []

    def remember(x: Tensor) -> Tensor:
        given.append(x)
        return guess(x[..., :2])

    with_it = evaluate(remember, data, frames=10, batch=1, confidence=True)
    assert with_it.p1_mm == evaluate(guess, data, frames=10, batch=1).p1_mm
    told = torch.from_numpy(files.content()["test"]["confidence"][:10, :, 0])
    assert torch.equal(given[0][0, ..., 2], told)
    assert torch.equal(given[1][0, ..., 2], told[:, H36M17.mirrored]), "left and right change places"
    given.clear()
    evaluate(remember, data, inputs="exact", frames=10, confidence=True)
    assert all((x[..., 2] == 1).all() for x in given)


def test_wrong_predictions_and_options(data: Human36M, guess: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(PoseMambaError, match=r"shape .*expected \(8, 10, 17, 3\)"):
        evaluate(lambda x: x, data, frames=10)
    with pytest.raises(PoseMambaError, match="finite"):
        evaluate(lambda x: guess(x) * torch.nan, data, frames=10)
    with pytest.raises(PoseMambaError, match="'gt', expected detected or exact"):
        evaluate(guess, data, inputs="gt")
    with pytest.raises(PoseMambaError, match="'p1', expected paper or all-frames"):
        evaluate(guess, data, "p1")


# --- the command


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=16, depth=1, frames=9).eval()
    weights = tmp_path / "tiny.safetensors"
    save_model(weights, model, {})
    files.write(tmp_path / "h36m" / files.FILE)
    shown: dict[str, str] = {}
    for options in ((), ("--protocol", "all-frames"), ("--inputs", "exact", "--no-flip")):
        arguments = ["evaluate", str(weights), str(tmp_path / "h36m"), "--json", str(tmp_path / "s.json"), *options]
        assert cli.main(arguments) == 0, capsys.readouterr().err
        shown[" ".join(options)] = capsys.readouterr().out
        scores = json.loads((tmp_path / "s.json").read_text())
    assert "protocol paper, detected 2D (SH), clips of 9 frames, test-time flip" in shown[""]
    assert "protocol all-frames" in shown["--protocol all-frames"] and "77" in shown["--protocol all-frames"]
    assert "exact 2D (GT), clips of 9 frames, no test-time flip" in shown["--inputs exact --no-flip"]
    opened = Human36M.open(tmp_path / "h36m")
    with torch.inference_mode():
        wanted = evaluate(model, opened, inputs="exact", flip=False, frames=9)
    assert scores["p1_mm"] == pytest.approx(wanted.p1_mm, rel=1e-4)
    assert scores["actions"]["Walk"]["frames"] == wanted.actions["Walk"].frames == 18 + 7
    for arguments, told in (
        ([str(tmp_path / "h36m"), "--quick"], "are for mocap"),
        (["mocap", "--protocol", "paper"], "are for Human3.6M"),
        ([str(tmp_path / "h36m"), "--protocol", "x"], "expected paper or all-frames"),
        ([str(tmp_path / "none")], "unknown benchmark"),
    ):
        assert cli.main(["evaluate", str(weights), *arguments]) == 2
        assert told in capsys.readouterr().err


def test_the_files_own_picture_at_depth_zero_is_no_pose(data: Human36M) -> None:
    """The units: the exact picture at depth 0 errs by the target's depth alone."""
    result = evaluate(lambda x: torch.cat([x - x[:, :, :1], 0 * x[..., :1]], -1), data, inputs="exact", frames=10)
    target = data.test.target_mm
    assert target is not None
    depth_only = target * np.array([0, 0, 1], np.float32)
    names = np.repeat([v.action for v in data.test.videos], [v.length for v in data.test.videos])
    error = mpjpe_per_frame(np.zeros_like(depth_only), depth_only, root=0)
    assert result.actions["Direction"].p1_mm == pytest.approx(error[names == "Direction"].mean(), rel=1e-4)
