"""`posemamba lift --allow-damaged`: what is left of a damaged video is lifted, and how much is lost is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.command_line import lifted, refused
from posemamba.demo.walker import walk
from posemamba.io.motion.npz import load_poses_npz
from posemamba.io.video.writer import VideoWriter
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import H36M17

pytest.importorskip("av", reason="videos need the extra 'video'")


class Walker:
    """A detector that finds one walker in every frame."""

    skeleton = H36M17

    def __init__(self) -> None:
        self.body = walk(1, 25)[0][:, [0, 2]] * np.float32([40, -60]) + np.float32([80, 170])

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(self.body, np.full(17, 0.9, np.float32))]

    def close(self) -> None:
        pass


def test_what_is_left_of_a_video_is_lifted(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("posemamba.pipeline.reading.Reading.make_detector", lambda *unused, **mode: Walker())
    video, rng = tmp_path / "clip.mp4", np.random.default_rng(0)
    with VideoWriter(video, 25) as writer:
        for _ in range(30):
            writer.write(rng.integers(0, 255, (180, 320, 3), dtype=np.uint8))
    data = bytearray(video.read_bytes())
    at = len(data) // 2
    data[at : at + len(data) // 10] = bytes(len(data) // 10)
    video.write_bytes(data)
    out = tmp_path / "out"
    arguments: list[Any] = [video, "-o", out, "--weights", weights, "--viewer-video"]
    assert "--allow-damaged" in refused(capsys, "lift", *arguments)
    assert not out.exists() or not any(out.iterdir())
    assert lifted(*arguments, "--allow-damaged") == 0
    assert "clip.mp4: damaged: " in capsys.readouterr().err
    poses = load_poses_npz(out / "poses.npz")
    times = poses.keypoints.frame_times()
    assert 20 < len(poses) < 30 and poses.seen.all() and poses.fps == pytest.approx(25)
    assert np.diff(times).max() > 0.1 and times[-1] == pytest.approx(29 / 25)
    assert {"overlay.mp4", "viewer.html"} <= {file.name for file in out.iterdir()}


def test_it_is_for_videos(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "lift", source, "-o", tmp_path / "out", "--allow-damaged")
    assert "--allow-damaged is for videos to lift" in message and "taken for a keypoint file" in message
