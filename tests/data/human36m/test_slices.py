"""MotionBERT's sliced folder: clips, passes, mirroring, validation, training by the command; what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from posemamba import cli
from posemamba.data.human36m.slices import Slices, find_slices, read_slice
from posemamba.poses.skeletons import H36M17
from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError

FRAMES = 9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 7), ("test", 3)):
        home = tmp_path / "MB3D_f9s3" / "H36M-SH" / split
        home.mkdir(parents=True)
        for number in range(count):
            content = {name: random.normal(0, 0.3, (FRAMES, 17, 3)) for name in ("data_input", "data_label")}
            content["data_input"][..., 2] = number / 10
            (home / f"{number:08d}.pkl").write_bytes(pickle.dumps(content))
    return tmp_path / "MB3D_f9s3"


def test_a_pass_has_every_clip_once_and_half_are_mirrored(folder: Path) -> None:
    data = Slices(folder, FRAMES, seed=0, flip=True, batch=2)
    assert data.steps_of_pass(2) == 4 and data.parts == 2
    kept = {number: read_slice(path, FRAMES) for number, path in enumerate(data.train)}
    mirrored = []
    for first in (0, 7, 14, 21):
        seen = []
        for step in range(first, first + 7):
            clips = data.batch(step, 1, rank=0, world=1)
            number = round(float(clips.confidence[0, 0, 0]) * 10)
            clip = torch.from_numpy(kept[number])
            turned = not torch.equal(clips.input[0], clip[..., :2])
            if turned:
                clip = clip[:, list(H36M17.mirrored)] * torch.tensor([-1.0, 1, 1, -1, 1, 1])
            assert torch.equal(clips.input[0], clip[..., :2]) and torch.equal(clips.exact[0], clip[..., 3:5])
            torch.testing.assert_close(clips.target[0], clip[..., 3:] - clip[:, :1, 3:])
            seen.append(number)
            mirrored.append(turned)
        assert sorted(seen) == list(range(7))
    assert 5 < sum(mirrored) < 23
    both = [data.batch(0, 1, rank=rank, world=2) for rank in (0, 1)]
    pair = data.batch(0, 2, rank=0, world=1)
    assert torch.equal(torch.cat([one.input for one in both]), pair.input)


def test_the_truth_has_no_error_and_a_metre_is_2200_units(folder: Path) -> None:
    data = Slices(folder, FRAMES, seed=0, flip=False, batch=3)
    labels = torch.from_numpy(np.stack([read_slice(path, FRAMES)[..., 3:] for path in data.test]))

    class Knows(torch.nn.Module):
        def __init__(self, off: float) -> None:
            super().__init__()
            self.off = off

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return labels + torch.tensor([0.0, 0, self.off]) * torch.arange(17)[:, None].clamp_max(1)

    total, count = data.score(Knows(0.0), 0)["p1_test"]
    assert total < 0.01 and count == 3 * FRAMES
    total, count = data.score(Knows(0.01), 0)["p1_test"]
    assert float(total) / count == pytest.approx(22 * 16 / 17, rel=1e-4)


def test_what_is_no_sliced_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PoseMambaError, match="no such folder"):
        find_slices(tmp_path / "none")
    with pytest.raises(PoseMambaError, match="found none"):
        find_slices(tmp_path)
    with pytest.raises(PoseMambaError, match=r"a clip of 9 frames, the recipe has 243: set data\.frames"):
        Slices(folder, 243, seed=0, flip=True, batch=1)
    file = find_slices(folder)[0][0]
    for content, told in (
        ({"data_input": np.zeros((9, 17, 3))}, "expected data_input and data_label"),
        ({"data_input": np.zeros((9, 16, 3)), "data_label": np.zeros((9, 17, 3))}, r"\(9, 16, 3\)"),
        ({"data_input": np.full((9, 17, 3), np.nan), "data_label": np.zeros((9, 17, 3))}, "NaN"),
    ):
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(PoseMambaError, match=told):
            read_slice(file, 9)
    file.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(PoseMambaError, match=r"posix\.system"):
        read_slice(file, 9)
    with pytest.raises(PoseMambaError, match="needs MotionBERT's slices"):
        recipe = Recipe.model_validate({"name": "x", "data": {"kind": "motionbert_slices"}})
        recipe.data.open(recipe)


@pytest.mark.slow
def test_it_trains_by_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    recipe = tmp_path / "slices.yaml"
    recipe.write_text(
        "model: {options: {width: 16, depth: 1, frames: 9}}\n"
        "data: {kind: motionbert_slices, frames: 9}\nbatch: 2\nepochs: 2\n"
    )
    line = ["train", str(recipe), "-o", str(tmp_path / "run"), "--data", str(folder), "--device", "cpu"]
    assert cli.main(line) == 0, capsys.readouterr().err
    assert "step 8 of 8, finished; P1 test" in capsys.readouterr().out
