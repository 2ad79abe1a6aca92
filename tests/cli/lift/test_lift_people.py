"""Several people in a video: all are kept, one is chosen, also later and without the detection again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.command_line import lifted, refused, snapshot, write_video
from posemamba.demo.walker import walk
from posemamba.io.keypoints import read_people, write_keypoints_npz
from posemamba.io.keypoints.detected import read_detected
from posemamba.io.motion.npz import load_poses_npz
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import H36M17
from posemamba.utils.progress import listening

FRAMES = 12


class TwoPeople:
    """A detector that finds a walker on the right in every frame, and another on the left in the first eight."""

    skeleton = H36M17

    def __init__(self) -> None:
        self.frames = 0
        self.bodies = walk(FRAMES, 25)[..., [0, 2]] * np.float32([40, -60]) + np.float32([0, 170])

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        body = self.bodies[self.frames % FRAMES]
        places = (230, 80) if self.frames % FRAMES < 8 else (230,)
        self.frames += 1
        return [Detection(body + np.float32([x, 0]), np.full(17, 0.9, np.float32)) for x in places]

    def close(self) -> None:
        pass


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> TwoPeople:
    found = TwoPeople()
    monkeypatch.setattr("posemamba.pipeline.reading.Reading.make_detector", lambda *unused, **mode: found)
    return found


@pytest.fixture
def arguments(weights: Path, tmp_path: Path) -> list[Any]:
    video = write_video(tmp_path / "clip.mp4", frames=FRAMES)
    return [video, "-o", tmp_path / "out", "--weights", weights, "--no-overlay", "--no-viewer"]


def test_it_stops_for_the_choice_of_a_person_and_goes_on_without_the_detection(
    arguments: list[Any], detector: TwoPeople, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[dict[str, Any]] = []
    with listening(heard.append):
        assert lifted(*arguments, "--people") == 0
    assert names(tmp_path / "out") == ["keypoints.npz", "people.jpg"]
    assert "2 people: 1 (seen in 12 frames, right), 2 (8 frames, left); see people.jpg" in capsys.readouterr().out
    (people,) = (event["people"] for event in heard if event["event"] == "people")
    assert [(one["person"], one["frames"], one["sides"]) for one in people] == [(1, 12, ["right"]), (2, 8, ["left"])]
    assert heard[-1] == {"event": "choose"}
    from PIL import Image

    with Image.open(tmp_path / "out" / "people.jpg") as sheet:
        light = np.asarray(sheet.convert("L")).astype(int)
    for one in people:  # where the sheet shows each of them; above is paper
        left, top, height = one["place"]
        assert np.abs(light[top : top + height, left : left + 100] - 247).mean() > 50
        assert np.abs(light[top - 6 : top - 2, left : left + 100] - 247).max() < 30
    seen = detector.frames
    heard.clear()
    with listening(heard.append):
        assert lifted(*arguments, "--people", "--person", "2") == 0
    assert detector.frames == seen and heard[-1]["event"] == "result" and heard[-1]["people"][0]["person"] == 2
    assert "poses.npz" in names(tmp_path / "out")
    assert lifted(*arguments, "--person", "2") == 0
    assert "done already" in capsys.readouterr().out  # --people is not among what results depend on


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_another_person_later_without_the_detection_again(
    detector: TwoPeople, arguments: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert lifted(*arguments) == 0
    said = capsys.readouterr()
    line = "2 people: 1 (took it; seen in 12 frames, right), 2 (8 frames, left); see people.jpg, choose with --person\n"
    assert line in said.out and said.err == "" and "kept" not in said.out
    assert names(out) == ["keypoints.npz", "people.jpg", "poses.json", "poses.npz"]
    with np.load(out / "keypoints.npz", allow_pickle=False) as file:
        assert file["keypoints"].shape == (2, FRAMES, 17, 2) and file["confidence"].shape == (2, FRAMES, 17)
        np.testing.assert_allclose(file["times"], np.arange(FRAMES) / 25, atol=1e-6)
        header = json.loads(str(file["header"]))
    assert (header["persons"], header["fps"], header["image_size"]) == ([1, 2], 25, [320, 240])
    assert (header["source"], header["skeleton"]) == ("clip.mp4", "h36m17") and header["digest"]
    first, sheet = load_poses_npz(out / "poses.npz"), (out / "people.jpg").read_bytes()

    for which in ("2", "left"):
        assert lifted(*arguments, "--person", which) == 0
        assert "joints kept by an earlier call (keypoints.npz)" in capsys.readouterr().out
        poses = load_poses_npz(out / "poses.npz")
        assert poses.keypoints.person == 2 and int(poses.seen.sum()) == 8
        assert poses.details["detector"] == first.details["detector"] and "frames_bridged" in poses.details
        assert names(out) == ["keypoints.npz", "people.jpg", "poses.json", "poses.npz"]
        assert (out / "people.jpg").read_bytes() == sheet
    assert detector.frames == FRAMES


@pytest.mark.slow
def test_joints_are_found_again_where_something_else_is_looked_for(
    detector: TwoPeople, arguments: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def runs_detector(*more: object) -> bool:
        before = detector.frames
        assert lifted(*arguments, *more) == 0
        told = "joints kept by an earlier call (keypoints.npz)" in capsys.readouterr().out
        assert told == (detector.frames == before)
        return not told

    assert runs_detector() and not runs_detector("--person", "80,150")
    assert not runs_detector("--person", "right", "--no-flip", "--viewer")
    assert not runs_detector("--person", "all")
    assert {"poses_1.npz", "poses_2.npz", "keypoints.npz", "people.jpg"} <= set(names(out))
    # what the joints depend on
    assert runs_detector("--start", "0.08") and not runs_detector("--start", "0.08", "--person", "all")
    assert len(read_detected(out / "keypoints.npz").people[0]) == FRAMES - 2
    assert runs_detector() and runs_detector("--mode", "detect") and runs_detector("--again")
    os.utime(arguments[0], ns=(1, 1))
    assert runs_detector("--person", "2")
    (out / "keypoints.npz").write_bytes(b"PK something else")
    assert "no result of posemamba lift" in refused(capsys, "lift", *arguments)
    (out / "keypoints.npz").unlink()
    assert runs_detector("--person", "2")


def test_a_new_detection_does_not_use_the_joints_of_an_older_one(
    detector: TwoPeople, arguments: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lifted(*arguments) == 0
    monkeypatch.setattr("posemamba.detect.DETECTION", 10**6)
    assert lifted(*arguments, "--person", "2") == 0 and detector.frames == 2 * FRAMES


def test_what_was_kept_is_an_input_by_itself(detector: TwoPeople, arguments: list[Any], tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    assert lifted(*arguments, "--person", "all") == 0
    kept, sheet = (out / "keypoints.npz").read_bytes(), (out / "people.jpg").read_bytes()
    truth = [load_poses_npz(out / f"poses_{n}.npz") for n in (1, 2)]
    for folder in (again, out):
        assert lifted(out / "keypoints.npz", "-o", folder, *arguments[3:], "--person", "all") == 0
        for number, expected in enumerate(truth, 1):
            poses = load_poses_npz(folder / f"poses_{number}.npz")
            assert poses.keypoints.person == number and poses.keypoints.source == "clip.mp4"
            np.testing.assert_array_equal(poses.xyz, expected.xyz)
            np.testing.assert_array_equal(poses.keypoints.frame_times(), expected.keypoints.frame_times())
    assert "keypoints.npz" not in names(again) and detector.frames == FRAMES
    # in its own folder it stays, with the picture that belongs to it
    assert (out / "keypoints.npz").read_bytes() == kept and (out / "people.jpg").read_bytes() == sheet
    assert lifted(out / "keypoints.npz", "-o", again, *arguments[3:], "--video", arguments[0], "--person", "left") == 0
    assert "people.jpg" in names(again) and load_poses_npz(again / "poses.npz").keypoints.person == 2
    # results of a keypoint file replace those of a video, all of them
    write_keypoints_npz(tmp_path / "k.npz", read_people(out / "keypoints.npz")[0])
    assert lifted(tmp_path / "k.npz", "-o", out, *arguments[3:]) == 0
    assert names(out) == ["poses.json", "poses.npz"]


def test_who_is_not_there_is_told_and_the_detection_kept(
    detector: TwoPeople, arguments: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    said = refused(capsys, "lift", *arguments, "--person", "3")
    assert "--person is 3, but there are 1 (seen in 12 frames, right), 2 (8 frames, left)" in said
    assert names(out) == ["keypoints.npz", "people.jpg"] and str(out / "people.jpg") in said
    assert lifted(*arguments, "--person", "2") == 0 and detector.frames == FRAMES
    before = snapshot(out)
    capsys.readouterr()
    assert "outside of the picture of 320x240" in refused(capsys, "lift", *arguments, "--person", "700,20")
    assert snapshot(out) == before


def test_keypoints_of_the_users_are_neither_overwritten_nor_removed(
    detector: TwoPeople, arguments: list[Any], source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = source.read_bytes()
    assert lifted(source, "-o", tmp_path, *arguments[3:]) == 0  # keypoints.npz lies in the folder of its results
    assert lifted(source, "-o", tmp_path, *arguments[3:], "--again") == 0
    capsys.readouterr()
    assert "keypoints.npz: is no result" in refused(capsys, "lift", arguments[0], "-o", tmp_path, *arguments[3:])
    assert source.read_bytes() == before and detector.frames == 0


def test_pictures_and_their_results_in_one_folder(detector: TwoPeople, weights: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(FRAMES):
        image.new("RGB", (320, 240), (i, 90, 90)).save(folder / f"{i}.png")
    options = ["-o", folder, "--weights", weights, "--no-overlay", "--no-viewer", "--fps", "25"]
    assert lifted(folder, *options) == 0 and (folder / "people.jpg").is_file()
    assert lifted(folder, *options, "--person", "2") == 0  # people.jpg is no picture of the clip
    assert detector.frames == FRAMES and len(load_poses_npz(folder / "poses.npz")) == FRAMES


def test_people_of_a_keypoint_file_are_chosen_alike(
    detector: TwoPeople, arguments: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = []
    for frame in range(FRAMES):
        found = [{"keypoints": d.xy.tolist(), "keypoint_scores": [0.9] * 17} for d in detector(np.empty((1, 1, 3)))]
        people.append({"frame_id": frame, "instances": found})
    path = tmp_path / "k.json"
    path.write_text(json.dumps(people))
    options = [path, "-o", tmp_path / "k", *arguments[3:], "--fps", "25", "--image-size", "320x240"]
    for which, number in ((None, 1), ("left", 2), ("right", 1), ("80,150", 2)):
        assert lifted(*options, "--skeleton", "h36m17", *([] if which is None else ["--person", which])) == 0
        assert load_poses_npz(tmp_path / "k" / "poses.npz").keypoints.person == number
        assert "2 people: " in capsys.readouterr().out
    assert names(tmp_path / "k") == ["poses.json", "poses.npz"]
