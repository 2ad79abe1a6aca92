"""The 2D joints of inputs: files, several people, parts of videos, pictures; and inputs that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fixtures.command_line import FILES, keypoints, lifted, refused, snapshot, write_video
from posemamba import cli
from posemamba.io.motion.npz import load_poses_npz
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, H36M17


def test_lifts_mmposes_json(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xy = np.random.default_rng(0).uniform(50, 300, (5, 17, 2)).round(1).tolist()
    frames = [{"frame_id": i, "instances": [{"keypoints": p, "keypoint_scores": [0.9] * 17}]} for i, p in enumerate(xy)]
    path = tmp_path / "predictions.txt"  # told by its content
    path.write_text(json.dumps(frames))
    arguments = ["lift", path, "-o", tmp_path / "out", "--weights", weights, "--no-overlay", "--no-flip"]
    arguments += ["--skeleton", COCO17.name, "--fps", "25", "--image-size", "640x480", "--device", "cpu"]
    assert cli.main([str(a) for a in arguments]) == 0
    poses = load_poses_npz(tmp_path / "out" / "poses.npz")
    assert poses.fps == 25 and poses.keypoints.image_size == (640, 480)
    assert poses.details["test_time_flip"] is False


def bad_sources(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name of the case: the file, and what its message must say."""
    good = keypoints().xy

    def npz(name: str, **arrays: object) -> Path:
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        return folder / f"{name}.npz"

    infinite = good.copy()
    infinite[3, 4] = np.inf
    empty = folder / "nothing in it"
    empty.mkdir()
    (folder / "empty.mp4").touch()
    (folder / "empty.npz").touch()
    (folder / "text.mp4").write_text("not a video at all\n" * 50)
    (folder / "broken.json").write_text('[{"frame_id": 0, "instances": [')
    whole = npz("whole", keypoints=good)
    (folder / "cut.npz").write_bytes(whole.read_bytes()[:700])
    video = write_video(folder / "whole.mp4", frames=50)
    (folder / "cut.mp4").write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    return {
        "no such file": (folder / "nothing.mp4", "no such file"),
        "an empty directory": (empty, "is a directory without videos, pictures"),
        "empty video": (folder / "empty.mp4", "empty"),
        "empty keypoints": (folder / "empty.npz", "empty"),
        "no video": (folder / "text.mp4", "not a video"),
        "truncated video": (folder / "cut.mp4", "cut short"),
        "truncated npz": (folder / "cut.npz", "cut short"),
        "broken JSON": (folder / "broken.json", "not JSON"),
        "only NaN": (npz("nan", keypoints=np.full_like(good, np.nan)), "no joint was found"),
        "infinity": (npz("inf", keypoints=infinite), "infinite"),
        "wrong shape": (npz("shape", keypoints=good[..., 0]), "shape"),
        "unknown joints": (npz("joints", keypoints=good[:, :11]), "11 joints"),
        "zero frames": (npz("zero", keypoints=good[:0]), "zero frames"),
        "a pickle": (npz("pickle", keypoints=np.array([{}], object)), "pickle"),
        "other arrays": (npz("other", positions=good), "positions"),
    }


def test_bad_input_is_one_line_and_touches_nothing(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for name in FILES:
        (earlier / name).write_text("an earlier result")
    before = snapshot(earlier)
    (tmp_path / "bad").mkdir()
    for case, (path, message) in bad_sources(tmp_path / "bad").items():
        said = refused(capsys, "lift", path, "-o", earlier, "--weights", weights)
        assert message in said and path.name in said, f"{case}: {said}"
        assert snapshot(earlier) == before, case


@pytest.mark.slow
def test_bad_input_makes_no_folder(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").mkdir()
    for case, (path, _) in bad_sources(tmp_path / "bad").items():
        refused(capsys, "lift", path, "-o", tmp_path / "new" / "deep", "--weights", weights)
        assert not (tmp_path / "new").exists(), case


def test_a_video_with_nobody_in_it(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert", reason="the networks need the extra 'video'")
    video = write_video(tmp_path / "wall.mp4")
    assert "nobody was found" in refused(capsys, "lift", video, "-o", tmp_path / "out", "--weights", weights)
    assert not (tmp_path / "out").exists()


def two_walkers(path: Path, frames: int = 40) -> Path:
    """MMPose's predictions of two people side by side, in changing order; the second is larger, and seen less."""
    small, large = keypoints(frames).xy * 0.6, keypoints(frames).xy + np.float32([220, 0])
    content = []
    for i in range(frames):
        people = [{"keypoints": p[i].tolist(), "keypoint_scores": [0.9] * 17} for p in (small, large)]
        content.append({"frame_id": i, "instances": people[: 1 + (i < 30)][:: -1 if i % 2 else 1]})
    path.write_text(json.dumps(content))
    return path


TOLD = ["--skeleton", "h36m17", "--fps", "50", "--image-size", "640x480", "--no-overlay"]


@pytest.mark.slow
def test_one_of_several_people_or_all(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = two_walkers(tmp_path / "two.json"), tmp_path / "out"
    arguments = [path, "-o", out, "--weights", weights, *TOLD]
    assert lifted(*arguments) == 0
    assert "2 people: 1 (took it; seen in 40 frames" in capsys.readouterr().out
    longest = load_poses_npz(out / "poses.npz")
    assert longest.seen.all() and longest.keypoints.person == 1
    assert lifted(*arguments, "--person", "largest") == 0
    largest = load_poses_npz(out / "poses.npz")
    assert largest.seen.sum() == 30 and largest.keypoints.person == 2
    assert lifted(*arguments, "--person", "all", "--smooth", "--height", "1.8,1.6", "--export", "csv") == 0
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["viewer.html", *(f"poses_{n}.{end}" for n in (1, 2) for end in ("npz", "json", "csv"))]
    )
    for number, alone in ((1, longest), (2, largest)):
        together = load_poses_npz(out / f"poses_{number}.npz")
        np.testing.assert_allclose(together.network.xyz, alone.network.xyz, atol=0.01)
        assert together.steps[0].parameters["height_m"] == {1: 1.8, 2: 1.6}[number] and together.person == number
    capsys.readouterr()
    assert "3 heights for 2 people" in refused(capsys, "lift", *arguments, "--person", "all", "--height", "1.8,1.7,1.6")
    assert "--person is 3, but there are 1 (seen in" in refused(capsys, "lift", *arguments, "--person", "3")
    assert lifted(*arguments, "--person", "2") == 0
    assert sorted(p.name for p in out.iterdir()) == ["poses.json", "poses.npz", "viewer.html"]


class Two:
    """A detector that finds two people wherever it looks."""

    skeleton = H36M17

    def __call__(self, rgb: np.ndarray) -> list[Detection]:
        xy = keypoints(1).xy[0]
        return [Detection(xy + np.float32([shift, int(rgb[0, 0, 0]) % 7]), np.ones(17)) for shift in (0, 90)]

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_parts_of_videos_and_pictures_with_everybody(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of videos, each into its own folder, from one second on; pictures; one overlay with everybody."""
    from PIL import Image

    from posemamba.io.video.reading import probe

    monkeypatch.setattr("posemamba.detect.rtmpose.RTMPoseDetector", lambda *a, **k: Two())
    (tmp_path / "films").mkdir()
    (tmp_path / "frames").mkdir()
    for name in ("one.mp4", "two.mp4"):
        write_video(tmp_path / "films" / name, frames=40)
    for i in range(12):
        Image.fromarray(np.full((240, 320, 3), 60 + i, np.uint8)).save(tmp_path / "frames" / f"f{i}.png")
    out, options = tmp_path / "out", ["--weights", weights, "--detector", "rtmpose", "--person", "all"]
    assert lifted(tmp_path / "films", "-o", out, *options, "--start", "0:01", "--end", "1.4") == 0
    names = [
        "keypoints.npz",
        "overlay.mp4",
        "people.jpg",
        *(f"poses_{n}.{end}" for n in (1, 2) for end in ("json", "npz")),
        "viewer.html",
    ]
    for name in ("one", "two"):
        assert sorted(p.name for p in (out / name).iterdir()) == names
        poses = load_poses_npz(out / name / "poses_2.npz")
        np.testing.assert_allclose(poses.keypoints.frame_times(), np.arange(25, 35) / 25)
        info = probe(out / name / "overlay.mp4")
        assert info.frames == 10 and info.duration == pytest.approx(0.4)
    pictures = tmp_path / "pictures"
    assert lifted(tmp_path / "frames", "-o", pictures, *options, "--fps", "10", "--start", "0.2") == 0
    poses = load_poses_npz(pictures / "poses_1.npz")
    assert poses.fps == 10 and len(poses) == 10 and poses.keypoints.frame_times()[0] == pytest.approx(0.2)
    assert probe(pictures / "overlay.mp4").frames == 10
    capsys.readouterr()
    assert lifted(tmp_path / "frames" / "f3.png", "-o", tmp_path / "single", *options[:4]) == 0
    said = capsys.readouterr()
    assert "2 people: 1 (took it; seen in 1 frame, left), 2 (1 frame, right); see people.jpg" in said.out
    assert len(load_poses_npz(tmp_path / "single/poses.npz")) == 1
    assert "lasts 1.60 s" in refused(
        capsys, "lift", tmp_path / "films" / "one.mp4", "-o", out, *options, "--start", "9"
    )
