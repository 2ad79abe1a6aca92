"""What is refused before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.command_line import refused, write_video


def test_bad_options_of_lift(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "clip.mp4")
    out = ["-o", tmp_path / "out", "--weights", weights]
    (tmp_path / "file").touch()
    cases: list[tuple[list[object], str]] = [
        (["lift", source, *out, "--image-size", "large"], "--image-size"),
        (["lift", source, *out, "--image-size", "0x480"], "image size"),
        (["lift", source, *out, "--fps", "0"], "--fps"),
        (["lift", source, *out, "--skeleton", "octopus"], "octopus"),
        (["lift", source, *out, "--format", "csv"], "csv"),
        (["lift", source, *out, "--mode", "track"], "--mode"),
        (["lift", source, *out, "--device", "abacus"], "abacus"),
        (["lift", source, *out, "--video", tmp_path / "none.mp4"], "no such file"),
        (["lift", source, *out, "--video", video], "frames"),  # shorter than the keypoints
        (["lift", video, *out, "--fps", "30"], "--fps"),
        (["lift", video, *out, "--mode", "guess"], "guess"),
        (["lift", source, "-o", tmp_path / "file", "--weights", weights], "is a file"),
        (["lift", source, "-o", tmp_path / "file" / "out", "--weights", weights], "cannot be made"),
    ]
    for arguments, message in cases:
        assert message in refused(capsys, *arguments), arguments
    assert not (tmp_path / "out").exists()


def test_the_source_is_never_overwritten(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "overlay.mp4")
    before = video.read_bytes()
    assert "overwritten" in refused(capsys, "lift", video, "-o", tmp_path, "--weights", weights)
    assert video.read_bytes() == before


def test_refinement_that_cannot_be_is_told_before_the_work(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posemamba.lifting.lifter.Lifter.from_pretrained", lambda *a, **k: pytest.fail("too late"))
    video = write_video(tmp_path / "clip.mp4")
    for arguments, message in (
        (["--height", "tall"], "--height is 'tall'"),
        (["--height", "17.8"], "height"),
        (["--fov", "400"], "field of view"),
        (["--camera-roll", "200"], "roll is 200"),
        (["--smooth-method", "magic"], "smooth"),
        (["--export", "BVH,fbx"], "csv, csv-tidy, trc, bvh, glb, with commas; Blender makes fbx"),
        (["--start", "noon"], "--start is 'noon'"),
        (["--start", "1:00", "--end", "30"], "--end is 30 s"),
        (["--person", "best"], "--person is 'best'"),
        (["--detector", "yolo"], "--detector is 'yolo'"),
        (["--detector", "rtmpose", "--mode", "track"], "--mode is for BlazePose"),
        (["--pose-model", "p.onnx"], "--detector rtmpose"),
    ):
        assert message in refused(capsys, "lift", video, "-o", tmp_path / "out", *arguments), arguments
    assert not (tmp_path / "out").exists()
