"""The overlay video, read back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemamba.errors import PoseMambaError
from posemamba.poses import Poses3D

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

from posemamba.show.overlay import write_overlay
from posemamba.video import VideoWriter, probe, read_frames

JOINTS = Poses3D.skeleton.joints


def film(path: Path, frames: int, size: tuple[int, int], fps: float) -> None:
    """A grey video, lighter by 4 from frame to frame."""
    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.write(np.full((size[1], size[0], 3), 40 + 4 * i, np.uint8))


def test_an_overlay_has_the_frames_of_its_video_and_the_skeleton_where_it_belongs(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    size, fps, frames = (960, 540), 25.0, 30
    poses = walker_clip(frames, fps, size, unseen=slice(10, 14))
    poses.confidence[:] = poses.keypoints.confidence[:] = poses.seen[:, None]
    film(tmp_path / "in.mp4", frames + 3, size, fps)  # longer than the poses: cut off
    calls: list[tuple[int, int | None]] = []
    write_overlay(
        tmp_path / "overlay.mp4", tmp_path / "in.mp4", poses, height=360, progress=lambda *c: calls.append(c)
    )
    assert calls == [(i + 1, frames) for i in range(frames)]

    info = probe(tmp_path / "overlay.mp4")
    assert (info.frames, info.image_size) == (frames, (640 + 288, 360))
    assert info.fps == pytest.approx(fps)
    panels = []
    for frame in read_frames(tmp_path / "overlay.mp4"):
        i = frame.index
        picture, panel = frame.rgb[:, :640].astype(int), frame.rgb[:, 640:].astype(int)
        assert frame.time == pytest.approx(i / fps, abs=1e-3)
        assert np.median(picture) == pytest.approx(40 + 4 * i, abs=3)  # the frame of this pose, no other
        if poses.seen[i]:
            for name, blue in (("left_knee", True), ("right_knee", False), ("left_elbow", True)):
                j = JOINTS.index(name)
                others = np.delete(poses.keypoints.xy[i], j, axis=0)
                x, y = poses.keypoints.xy[i, j]
                if np.isnan(x) or np.nanmin(np.linalg.norm(others - (x, y), axis=-1)) < 18:
                    continue  # lost, or another joint lies over it
                red_green_blue = picture[round(y * 2 / 3), round(x * 2 / 3)]
                assert (red_green_blue[2] > red_green_blue[0] + 60) == blue, (i, name, red_green_blue)
            panels.append(panel[40:300])
        else:
            assert (picture[180, 280:360, 0] > picture[180, 280:360, 2] + 60).sum() > 20  # the red notice
    coloured = [int((np.ptp(panel, axis=-1) > 90).sum()) for panel in panels]
    assert min(coloured) > 200  # a skeleton in each panel
    assert np.abs(panels[0] - panels[-1]).max() > 100  # which moves


def test_keypoints_alone_are_drawn_on_an_empty_picture(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    tall = walker_clip(4, 30, (361, 641))
    write_overlay(tmp_path / "tall.mp4", None, tall)
    info = probe(tmp_path / "tall.mp4")
    assert (info.frames, info.height) == (4, 640)
    nobody = walker_clip(3, 30, (64, 48), unseen=slice(None))
    write_overlay(tmp_path / "nobody.mp4", None, nobody)
    assert probe(tmp_path / "nobody.mp4").frames == 3


def test_a_video_that_does_not_fit_is_refused_and_leaves_no_file(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    poses = walker_clip(8, 25, (320, 240))
    film(tmp_path / "short.mp4", 5, (320, 240), 25)
    film(tmp_path / "wide.mp4", 8, (480, 240), 25)
    for name, problem in (("short", "has 5 frames"), ("wide", "480 x 240"), ("none", "no such file")):
        with pytest.raises(PoseMambaError, match=problem):
            write_overlay(tmp_path / "overlay.mp4", tmp_path / f"{name}.mp4", poses)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["short.mp4", "wide.mp4"]


@pytest.mark.slow
def test_a_real_clip_keeps_its_frames_and_its_rate(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    clip = Path(os.environ.get("POSEMAMBA_SHARED", "../shared")) / "video" / "sports2d_demo.mp4"
    if not clip.exists():
        pytest.skip(f"no real clip at {clip}; set POSEMAMBA_SHARED to the folder that holds video/")
    info = probe(clip)
    poses = walker_clip(info.frames, info.fps, info.image_size, unseen=slice(100, 120))
    write_overlay(tmp_path / "overlay.mp4", clip, poses)
    written = probe(tmp_path / "overlay.mp4")
    assert (written.frames, written.height) == (info.frames, 720)
    assert written.fps == pytest.approx(info.fps)
