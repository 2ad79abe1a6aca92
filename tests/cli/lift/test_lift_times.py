"""Times and numbers from keypoint files and videos to the results."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.command_line import keypoints, lifted, refused
from posemamba.io.motion.npz import load_poses_npz
from posemamba.io.video.reading import frame_times
from posemamba.io.video.writer import VideoWriter
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError

FRAMES = 60


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """A walker who is first seen in frame 20 of the video, as a csv."""
    xy = keypoints(FRAMES).xy
    head = ["frame", *(f"{joint}_{axis}" for joint in H36M17.joints for axis in "xy")]
    rows = [",".join(map(str, [i, *xy[i].round(2).ravel().tolist()])) for i in range(20, FRAMES)]
    (tmp_path / "late.csv").write_text("\n".join([",".join(head), *rows]))
    return tmp_path / "late.csv"


def film(path: Path, frames: int = FRAMES) -> Path:
    """A video that is brighter from frame to frame."""
    pytest.importorskip("av", reason="videos need the extra 'video'")
    with VideoWriter(path, 50) as writer:
        for i in range(frames):
            writer.write(np.full((240, 320, 3), 3 * i, np.uint8))
    return path


def test_a_number_is_the_videos_frame_in_all_results(weights: Path, tmp_path: Path, late: Path) -> None:
    from posemamba.io.video.reading import read_frames

    video, out = film(tmp_path / "v.mp4"), tmp_path / "out"
    arguments = [late, "-o", out, "--video", video, "--weights", weights, "--no-flip", "--no-viewer"]
    assert lifted(*arguments) == 0
    poses = load_poses_npz(out / "poses.npz")
    assert np.flatnonzero(poses.seen).tolist() == list(range(20, FRAMES)) and poses.fps == 50
    np.testing.assert_allclose(poses.frame_times(), frame_times(video), atol=1e-6)
    assert lifted(*arguments, "--start", "0.6", "--end", "1") == 0
    part = load_poses_npz(out / "poses.npz")
    np.testing.assert_allclose(part.frame_times(), np.arange(30, 50) / 50, atol=1e-4)
    np.testing.assert_allclose(part.keypoints.xy, poses.keypoints.xy[30:50])
    corner = [int(frame.rgb[-8, 4].mean()) for frame in read_frames(out / "overlay.mp4")]
    np.testing.assert_allclose(corner, 3 * np.arange(30, 50), atol=6)  # each pose on its own frame


def test_another_video_is_refused_before_the_work(
    weights: Path, tmp_path: Path, late: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posemamba.lifting.lifter.Lifter.from_pretrained", None)  # no work
    short = film(tmp_path / "short.mp4", FRAMES - 10)
    said = refused(capsys, "lift", late, "-o", tmp_path / "out", "--video", short, "--weights", weights)
    assert "numbered up to 59" in said and "has only 50" in said and not (tmp_path / "out").exists()


def test_a_pause_splits_the_clip_and_is_held_in_exports(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = np.r_[np.arange(30) / 50, 20 + np.arange(30) / 50]
    xy = keypoints(FRAMES).xy
    np.savez(tmp_path / "pause.npz", keypoints=xy, times=times, image_size=(320, 240), skeleton="h36m17")
    np.savez(tmp_path / "alone.npz", keypoints=xy[:30], fps=50, image_size=(320, 240), skeleton="h36m17")
    options = ["--weights", weights, "--no-flip", "--no-overlay", "--no-viewer", "--smooth"]
    for name in ("pause", "alone"):
        assert lifted(tmp_path / f"{name}.npz", "-o", tmp_path / name, *options, "--export", "bvh,trc") == 0
        assert ("no frames at 0.58-20.00 s" in capsys.readouterr().out) == (name == "pause")
    both, first = (load_poses_npz(tmp_path / name / "poses.npz") for name in ("pause", "alone"))
    assert both.fps == 50 and both.details["segments"] == 2
    np.testing.assert_allclose(both.network.xyz[:30], first.network.xyz, atol=1e-3)  # nothing comes across
    rate = (tmp_path / "pause" / "poses.trc").read_text().splitlines()[2].split()[0]
    bvh = (tmp_path / "pause" / "poses.bvh").read_text().splitlines()
    at = bvh.index("Frame Time: 0.0200000000")
    assert rate == "50" and bvh[at - 1] == "Frames: 1030"
    rows = bvh[at + 1 :]
    assert len({*rows[29:999]}) == 1 and rows[28] != rows[29]  # the pose before the pause


def test_the_videos_pictures_are_in_the_page_unless_unwanted(
    weights: Path, tmp_path: Path, late: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = film(tmp_path / "v.mp4"), tmp_path / "out"
    arguments = [late, "-o", out, "--video", video, "--weights", weights, "--no-flip", "--no-overlay"]

    def page() -> dict[str, Any]:
        text = (out / "viewer.html").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text.split('id="data">')[1].split("</script>")[0])
        return found

    assert lifted(*arguments) == 0
    data = page()
    sizes = np.frombuffer(base64.b64decode(data["pictures"]["sizes"]), "<u4")
    assert data["pictures"]["every"] == 1 and len(sizes) == FRAMES and (sizes > 100).all()
    person = data["people"][0]  # angles and the verdict are there without being asked for
    assert {"left_knee_flexion", "right_knee_flexion"} <= {angle["name"] for angle in person["angles"]}
    assert person["trust"]["word"] in ("good", "use with care", "do not trust")
    assert lifted(*arguments, "--no-viewer-video") == 0 and page()["pictures"] is None
    monkeypatch.setattr("posemamba.cli.lift.results.PICTURED", FRAMES - 1)  # a long clip
    assert lifted(*arguments, "--again") == 0 and page()["pictures"] is None
    assert lifted(*arguments, "--viewer-video") == 0 and page()["pictures"]["every"] == 1

    # a video that cannot be read again leaves a page without pictures, unless these were asked for
    monkeypatch.setattr("posemamba.cli.lift.results.PICTURED", FRAMES)

    def broken(*_: object) -> None:
        raise PoseMambaError("v.mp4: the disk is gone")

    monkeypatch.setattr("posemamba.show.page_pictures.pictures_of", broken)
    capsys.readouterr()
    assert lifted(*arguments, "--again") == 0 and page()["pictures"] is None
    assert "viewer.html: without the video's pictures: v.mp4: the disk is gone" in capsys.readouterr().out
    assert "the disk is gone" in refused(capsys, "lift", *arguments, "--viewer-video", "--again")
