"""VideoPose3D's evaluation of Human3.6M: agreement with its own code, clips, units, and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fixtures import videopose3d_files as files
from posemamba import cli
from posemamba.data.human36m.cameras import LENSES, PLACES
from posemamba.data.human36m.videopose3d import VideoPose3D
from posemamba.evaluate.videopose3d import evaluate
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model

# What VideoPose3D's run.py --evaluate prints of `videopose3d_files`' files, its network of one hidden layer with the
# weights of `two_layers`: by 2D joints and test-time flip, for each action MPJPE, P-MPJPE, N-MPJPE and MPJVE.
THEIRS = {
    ("cpn_ft_h36m_dbb", True): {
        "Directions": (1029.8989, 551.7630, 963.8733, 330.9144),
        "Walking": (831.3637, 603.4808, 771.2845, 333.5827),
        "WalkDog": (1118.9040, 580.7475, 1079.0796, 334.4789),
    },
    ("cpn_ft_h36m_dbb", False): {
        "Directions": (1073.3355, 558.8139, 962.0860, 470.0334),
        "Walking": (908.1917, 589.0954, 770.4951, 472.1554),
        "WalkDog": (1173.6022, 580.4221, 1077.4143, 477.8373),
    },
    ("gt", True): {
        "Directions": (1011.2166, 568.1182, 966.7942, 22.2354),
        "Walking": (794.7409, 609.5053, 766.8093, 22.3523),
        "WalkDog": (1099.3525, 586.8610, 1082.7458, 20.5553),
    },
    ("gt", False): {
        "Directions": (1020.8181, 568.8416, 962.7422, 22.6030),
        "Walking": (841.5571, 580.0721, 768.8028, 22.7046),
        "WalkDog": (1127.3181, 580.0110, 1078.5169, 20.8387),
    },
}


def two_layers(x: Tensor) -> Tensor:
    w1, b1, w2, b2 = (torch.from_numpy(array) for array in files.two_layers())
    return (torch.relu(x.flatten(2) @ w1 + b1) @ w2 + b2).unflatten(2, (17, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videopose3d") / "data"
    files.write_3d(folder)
    files.write_2d(folder)
    return folder


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("inputs", ["cpn_ft_h36m_dbb", "gt"])  # there is no file gt: it is projected here
def test_agrees_with_its_own_evaluation(folder: Path, inputs: str, flip: bool) -> None:
    data = VideoPose3D.open(folder, inputs, splits=("test",))
    wanted = THEIRS[inputs, flip]
    for frames, batch in ((1, 500), (20, 3), (243, 16)):  # a frame-wise network: clips make no difference
        result = evaluate(two_layers, data, flip, frames=frames, batch=batch)
        assert {action: score.frames for action, score in result.actions.items()} == {
            "Directions": 4 * (23 + 31 + 31),  # S11 lacks one of the two
            "WalkDog": 4 * 2 * 9,
            "Walking": 4 * 2 * (40 + 12),
        }
        for action, errors in wanted.items():
            np.testing.assert_allclose(result.actions[action].errors, errors, rtol=0, atol=1e-3)
        np.testing.assert_allclose(result.mean.errors, np.mean([*wanted.values()], 0), rtol=0, atol=1e-3)


def test_positions_are_seen_by_the_quaternion_that_is_given(folder: Path) -> None:
    """The camera's frame against the quaternion product q* (v - t) q, and the pixels against the plain lens model."""
    random = np.random.default_rng(0)
    points = random.normal(0, 0.5, (40, 3)) + np.array([0, 0, 1])
    for subject, places in PLACES.items():
        for lens, place in zip(LENSES, places, strict=True):
            w, u = place.turn[0], -np.array(place.turn[1:])
            v = points - np.array(place.position) / 1000
            turned = v + 2 * (w * np.cross(u, v) + np.cross(u, np.cross(u, v)))
            seen = place.to_camera(points)
            np.testing.assert_allclose(seen, turned, atol=1e-6)
            assert (seen[:, 2] > 2).all(), (subject, "in front of every camera, a few metres away")
            x, y = (turned[:, :2] / turned[:, 2:]).T
            r2, (k1, k2, k3), (p1, p2) = x * x + y * y, lens.radial, lens.tangential
            both = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
            pixels = np.stack([x * both + p1 * r2, y * both + p2 * r2], -1) * lens.focal + lens.centre
            np.testing.assert_allclose(lens.project(seen), pixels, atol=1e-2)
            np.testing.assert_allclose(lens.directions(pixels), turned[:, :2] / turned[:, 2:], atol=1e-6)


def test_an_oracle_in_metres_and_one_in_the_pictures_unit(folder: Path) -> None:
    """Who knows where every joint is seen and its depth makes no error; perspective and distortion are undone."""
    data = VideoPose3D.open(folder, "gt", splits=("test",))
    split = data.test
    answers = {split.joints[frame, :, :2].tobytes(): frame for frame in range(len(split))}
    assert len(answers) == len(split) and split.factor is not None
    mm_per_unit = split.factor * 500  # pictures of 1000 pixels

    def frames_of(x: Tensor) -> list[int]:
        return [answers[frame.numpy().tobytes()] for frame in x.flatten(0, 1)]

    def metres(x: Tensor) -> Tensor:
        return torch.from_numpy(split.joints[frames_of(x)][..., 3:]).unflatten(0, x.shape[:2])

    def picture(x: Tensor) -> Tensor:
        rows = frames_of(x)
        depth = split.joints[rows][..., 5:] * 1000 / mm_per_unit[rows][:, None, None]
        pose = np.concatenate([split.joints[rows][..., :2] - split.joints[rows][:, :1, :2], depth], -1)
        pose[:, 0] = 7  # the pelvis is set to zero and not subtracted
        return torch.from_numpy(pose.astype(np.float32)).unflatten(0, x.shape[:2])

    for predict, unit in ((metres, True), (picture, False)):
        result = evaluate(predict, data, flip=False, frames=16, batch=5, metres=unit)
        assert max(result.mean.errors) < 2e-2, result.table()
        assert ("true depth" in result.table()) is not unit
    assert evaluate(picture, data, flip=False, frames=16, metres=True).mean.mpjpe_mm > 100


def test_clips_cover_each_video_and_the_earlier_one_counts(folder: Path) -> None:
    """A predictor that gives the place in the clip: 23 frames in clips of 10 are those of 0-9, 10-19 and 20-22."""
    data = VideoPose3D.open(folder, splits=("test",))
    seen: list[Tensor] = []

    def place(x: Tensor) -> Tensor:
        seen.append(x)
        return torch.arange(x.shape[1]).float()[None, :, None, None].expand(*x.shape[:3], 3)

    evaluate(place, data, flip=False, frames=10, batch=1, confidence=True)
    videos = {video.name: video for video in data.test.videos}
    first = videos["S9 Directions 54138969"]
    assert first.length == 23 and first.start == 0 and tuple(seen[0].shape) == (1, 10, 17, 3)
    assert torch.equal(seen[2][0], torch.from_numpy(data.test.joints[13:23, :, :3]))
    long = evaluate(two_layers, data, frames=23).mean
    assert long.mpjpe_mm == pytest.approx(evaluate(two_layers, data, frames=10).mean.mpjpe_mm, abs=1e-6)


@pytest.mark.slow
def test_commands(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = PoseMamba.preset("s", width=16, depth=1, frames=9).eval()
    for name, card in (("picture", {}), ("metres", {"unit": "metres"})):
        save_model(tmp_path / f"{name}.safetensors", model, card)
        arguments = ["evaluate", str(tmp_path / f"{name}.safetensors"), str(folder), "--inputs", "exact"]
        assert cli.main([*arguments, "--json", str(tmp_path / f"{name}.json")]) == 0, capsys.readouterr().err
        shown, scores = capsys.readouterr().out, json.loads((tmp_path / f"{name}.json").read_text())
        assert "protocol videopose3d, gt 2D, clips of 9 frames, test-time flip" in shown
        assert scores["metres"] is (name == "metres") and scores["subjects"] == ["S9", "S11"]
        opened = VideoPose3D.open(folder, "gt", splits=("test",))
        wanted = evaluate(model, opened, frames=9, metres=name == "metres").mean
        assert scores["mean"]["mpjpe_mm"] == pytest.approx(wanted.mpjpe_mm, rel=1e-4)
    weights = str(tmp_path / "metres.safetensors")
    assert cli.main(["evaluate", weights, str(folder / files.FILE), "--protocol", "videopose3d"]) == 0
    assert "cpn_ft_h36m_dbb 2D" in capsys.readouterr().out
    for words, told in (
        (["--protocol", "paper"], "scored by protocol videopose3d, not 'paper'"),
        (["--inputs", "hrnet"], "no data_2d_h36m_hrnet.npz beside"),
    ):
        assert cli.main(["evaluate", weights, str(folder), *words]) == 2
        assert told in capsys.readouterr().err
    assert cli.main(["data", "check", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "test: 828 frames (the published files: 543,344), 36 videos" in shown and "nothing wrong" in shown
