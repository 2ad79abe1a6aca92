"""Inputs lifted, one or several; weights that are no weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.command_line import FILES, keypoints, lifted, refused, write_video
from posemamba import cli
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import load_poses_npz
from posemamba.models.posemamba import PoseMamba


def test_lifts_a_keypoint_file(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    out = tmp_path / "new" / "out"
    assert cli.main(["lift", str(source), "-o", str(out), "--weights", str(weights)]) == 0
    assert sorted(p.name for p in out.iterdir()) == FILES
    poses = load_poses_npz(out / "poses.npz")
    assert poses.xyz.shape == (12, 17, 3) and poses.model == "tiny" and poses.details["test_time_flip"]
    content = json.loads((out / "poses.json").read_text())
    assert len(content["frames"]) == 12 and content["joints"][0] == "pelvis"
    np.testing.assert_allclose(content["frames"][3]["xyz"], poses.xyz[3], atol=6e-4)
    said = capsys.readouterr()
    assert "12 frames" in said.out and "seen in 12" in said.out and "a guess (--fov)" in said.out
    assert str(out / "poses.npz") in said.out and said.err == ""


def test_one_frame(weights: Path, tmp_path: Path) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints(1))
    assert cli.main(["lift", str(tmp_path / "k.npz"), "-o", str(tmp_path / "o"), "--weights", str(weights)]) == 0
    assert len(load_poses_npz(tmp_path / "o" / "poses.npz")) == 1


def test_with_the_video_that_keypoints_belong_to(source: Path, weights: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=12)
    arguments = ["lift", source, "-o", tmp_path / "out", "--weights", weights, "--video", video]
    assert cli.main([str(a) for a in arguments]) == 0
    assert load_poses_npz(tmp_path / "out" / "poses.npz").fps == 25


def test_without_the_video_extra_the_overlay_is_left_out(
    source: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert cli.main(["lift", str(source), "-o", str(tmp_path / "out"), "--weights", str(weights)]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES[1:]
    assert 'install "av>=17.1" "pillow' in capsys.readouterr().err


def test_bad_weights(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:5000])
    (tmp_path / "text.bin").write_text("hello\n" * 100)
    torch.save({"something": torch.zeros(3)}, tmp_path / "else.pth")
    torch.save({"model_pos": PoseMamba.preset("s", width=16, depth=1).state_dict()}, tmp_path / "whole.bin")
    (tmp_path / "cut.bin").write_bytes((tmp_path / "whole.bin").read_bytes()[:9000])
    (tmp_path / "empty.bin").touch()
    (tmp_path / "words.bin").write_text("something else")
    for name, message in {
        "cut.safetensors": "truncated",
        "text.bin": "not a checkpoint",
        "words.bin": "not a checkpoint",
        "else.pth": "model_pos",
        "cut.bin": "truncated",
        "empty.bin": "not a checkpoint",
        "nothing": "neither a file nor a known name",
    }.items():
        said = refused(capsys, "lift", source, "-o", tmp_path / "out", "--weights", tmp_path / name)
        assert message in said and name in said
        assert not (tmp_path / "out").exists()


def test_several_inputs_and_one_that_is_bad(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_keypoints_npz(tmp_path / folder / "same.npz", keypoints())
    (tmp_path / "bad.npz").write_bytes(b"PK and no more")
    out = tmp_path / "out"
    sources = [tmp_path / "a" / "same.npz", tmp_path / "bad.npz", tmp_path / "b" / "same.npz", tmp_path / "none.mp4"]
    options = ["-o", out, "--weights", weights, "--no-overlay", "--no-viewer"]
    assert lifted(*sources, *options) == 1
    said = capsys.readouterr()
    errors = said.err.splitlines()
    assert errors[0].startswith("error: ") and "bad.npz" in errors[0] and "none.mp4: no such file" in errors[1]
    assert errors[2].startswith("2 of 4 inputs are done, 2 failed: ") and len(errors) == 3
    assert {p.name for p in out.iterdir()} == {"a_same_npz", "b_same_npz", "summary.csv", "summary.html"}
    assert lifted(tmp_path / "bad.npz", tmp_path / "none.mp4", *options) == 2
    capsys.readouterr()
    # wrong for all of them: told once, and at once
    assert "no weights" in refused(capsys, "lift", *sources, *options[:2], "--weights", tmp_path / "no weights")
