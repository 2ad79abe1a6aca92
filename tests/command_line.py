"""The command line called from tests; small inputs for it, and what lies in a folder before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemamba import cli
from posemamba.poses import Keypoints2D
from posemamba.skeleton import H36M17
from posemamba.walker import walk

FILES = ["overlay.mp4", "poses.json", "poses.npz", "viewer.html"]


def keypoints(frames: int = 12) -> Keypoints2D:
    xy = walk(frames, 50)[..., [0, 2]] * np.float32([80, -80]) + np.float32([160, 200])
    return Keypoints2D(xy, np.ones((frames, 17), np.float32), H36M17, (320, 240), 50, source="walker")


def write_video(path: Path, frames: int = 6, shade: int = 90) -> Path:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    from posemamba.video import VideoWriter

    with VideoWriter(path, 25) as writer:
        for i in range(frames):
            writer.write(np.full((240, 320, 3), shade + i, np.uint8))
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder, hidden files too."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command line on something wrong; the one line that it says."""
    assert cli.main([str(a) for a in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "", said.out
    lines = [line for line in said.err.splitlines() if not line.startswith("warning:")]
    assert len(lines) == 1 and lines[0].startswith("error: "), said.err
    return lines[0]


def lifted(*arguments: object) -> int:
    return cli.main(["lift", *map(str, arguments)])
