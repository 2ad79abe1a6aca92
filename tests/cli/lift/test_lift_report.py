"""What is printed of inputs: notes once, and the number of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.command_line import keypoints, lifted
from posemamba.io.keypoints import write_keypoints_npz


def test_of_many_clips_notes_are_said_once_and_each_has_its_number(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        write_keypoints_npz(tmp_path / f"{name}.npz", keypoints())
    (tmp_path / "bad.npz").write_bytes(b"PK and no more")
    sources = [tmp_path / f"{name}.npz" for name in ("a", "bad", "b", "c")]
    options = ["--weights", weights, "--no-overlay", "--no-viewer"]
    options += ["--height", "1,83", "--export", "trc,bvh", "--rig", "unity"]
    assert lifted(*sources, "-o", tmp_path / "out", *options) == 1
    said = capsys.readouterr()
    for line in (
        "--height 1,83 is taken as 1.83 m",
        "Sizes and distances rest on",
        "3D joints are in metres",
        "bvh itself",
    ):
        assert said.out.count(line) == 1, line
    assert said.out.splitlines()[1].startswith("1 of 4, a.npz: 12 frames") and "3 of 4, b.npz: " in said.out
    assert said.err.splitlines()[-1] == f"3 of 4 inputs are done, 1 failed: {tmp_path / 'bad.npz'}"
    assert "JOINT LeftUpperLeg" in (tmp_path / "out" / "c" / "poses.bvh").read_text()
