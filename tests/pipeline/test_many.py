"""Many keypoint files lifted together: the same poses as one by one, and an error for each that cannot be lifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.command_line import keypoints, lifted, snapshot
from posemamba import PoseMambaError, lift
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.many import batches, lift_many

LENGTHS = (5, 27, 60, 27, 12, 60, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of clips shorter, as long and longer than a window, one in which nobody is, and one that is cut off."""
    made = tmp_path / "clips"
    made.mkdir()
    for number, frames in enumerate(LENGTHS):
        clip = keypoints(frames)
        clip.xy += np.random.default_rng(number).normal(0, 2, clip.xy.shape).astype(np.float32)
        write_keypoints_npz(made / f"{number}.npz", clip)
    nobody = keypoints(9)
    nobody.xy[:], nobody.confidence[:] = np.nan, 0
    write_keypoints_npz(made / "7_nobody.npz", nobody)
    (made / "8_cut.npz").write_bytes((made / "0.npz").read_bytes()[:300])
    (made / "failed.csv").write_text("no keypoints")
    return made


def test_together_as_one_by_one(folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lifter = Lifter.from_pretrained(weights, device="cpu")
    paths = sorted(folder.glob("*.npz"), key=lambda path: path.name)
    single = {}
    for path in paths:
        try:
            single[path] = lift(path, lifter=lifter)[0].xyz
        except PoseMambaError as error:
            single[path] = str(error)
    sizes: list[int] = []
    original = lifter._lift
    monkeypatch.setattr(lifter, "_lift", lambda given: sizes.append(len(given)) or original(given))
    for size, bound in ((1, 0.0), (16, 2e-5)):  # windows at once on a CPU, and on a GPU; metres
        monkeypatch.setattr("posemamba.lifting.lifter.batch_size", lambda device, size=size: size)
        done: list[int] = []
        many = list(lift_many([folder], lifter=lifter, progress=lambda now, total, done=done: done.append(now)))
        assert [each.path for each in many] == paths and done == list(range(1, 10))
        for each in many:
            if isinstance(expected := single[each.path], str):
                assert str(each.error) == expected and str(each.path) in expected and not each.poses
            else:
                assert each.error is None
                assert np.abs(each.poses[0].xyz - expected).max() <= bound
    assert max(sizes) > 4, "windows of several clips are lifted at once"


def test_a_folder_of_keypoint_files_on_the_command_line(
    folder: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--weights", weights, "--no-overlay", "--no-viewer", "--device", "cpu"]
    assert lifted(folder, "-o", tmp_path / "many", *options) == 1
    said = capsys.readouterr()
    assert "7 clips, 192 frames in " in said.out and "frames a second" in said.out
    assert "7_nobody.npz" in said.err and "8_cut.npz" in said.err
    for number in range(len(LENGTHS)):
        assert lifted(folder / f"{number}.npz", "-o", tmp_path / "one" / str(number), *options) == 0
        assert snapshot(tmp_path / "one" / str(number)) == snapshot(tmp_path / "many" / str(number))
    capsys.readouterr()
    assert lifted(folder, "-o", tmp_path / "many", *options) == 1
    assert capsys.readouterr().out.count("done already") == 7


def test_batches() -> None:
    assert list(batches([3, 3, 9, 1, 1, 1], int, 6, 2)) == [[3, 3], [9], [1, 1], [1]]
    assert list(batches([], int)) == []
