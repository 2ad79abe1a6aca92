"""What a newcomer types: a photo; and angles out of saved poses."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from fixtures.command_line import keypoints, lifted, refused
from posemamba import cli
from posemamba.detect import Detection
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import load_poses_npz

FAST = ("--no-overlay", "--no-viewer")


def test_a_photos_overlay_is_a_picture(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image", reason="pictures need the extra 'video'")
    pytest.importorskip("av", reason="pictures need the extra 'video'")

    class Finds:
        skeleton = keypoints().skeleton

        def __call__(self, rgb: np.ndarray) -> list[Detection]:
            return [Detection(keypoints(1).xy[0], np.full(17, 0.9, np.float32))]

        def close(self) -> None:
            pass

    monkeypatch.setattr("posemamba.pipeline.reading.Reading.make_detector", lambda *unused, **mode: Finds())
    photo = tmp_path / "photo.jpg"
    image.new("RGB", (640, 480), (10, 200, 10)).save(photo)
    for _ in range(2):  # a second time into the folder with the photo, which stays one picture
        assert lifted(photo, "-o", tmp_path, "--weights", weights, "--again", "--no-viewer") == 0
    with image.open(tmp_path / "overlay.png") as drawn:
        assert drawn.height == 480 and drawn.width > 640
        assert drawn.convert("RGB").getpixel((5, 5))[1] > 150  # the photo is there
    assert not (tmp_path / "overlay.mp4").exists()
    assert len(load_poses_npz(tmp_path / "poses.npz")) == 1
    assert lifted(tmp_path, "-o", tmp_path / "folder", "--weights", weights, *FAST) == 0
    assert len(load_poses_npz(tmp_path / "folder" / "poses.npz")) == 1


def test_angles_out_of_saved_poses(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints())
    out, poses = tmp_path / "out", tmp_path / "out" / "poses.npz"
    assert lifted(tmp_path / "k.npz", "-o", out, "--weights", weights, *FAST, "--angles") == 0
    assert cli.main(["convert", str(poses), str(tmp_path / "angles.csv"), "--angles"]) == 0
    assert (tmp_path / "angles.csv").read_bytes() == (out / "angles.csv").read_bytes()
    assert cli.main(["convert", str(poses), str(tmp_path / "up.csv"), "--angles", "--camera-pitch", "10"]) == 0
    with (tmp_path / "up.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    assert "trunk_inclination_deg" in columns and "left_knee_flexion_error_deg" in columns
    capsys.readouterr()
    for arguments, words in (
        ([poses, tmp_path / "a.bvh", "--angles"], "ends with .csv"),
        ([poses, tmp_path / "a.csv", "--rig", "unity"], "--rig is for bvh, glb"),
        ([poses, tmp_path / "a.bvh", "--rig", "daz"], "--rig is 'daz'"),
        ([poses, tmp_path / "a.bvh", "--world", "moon"], "--world is 'moon'"),
        ([tmp_path / "k.npz", tmp_path / "a.csv", "--angles"], "--angles is for these"),
        ([tmp_path / "k.npz", tmp_path / "a.bvh"], "give a poses.npz"),
        ([poses, tmp_path / "a.fbx"], "Blender makes fbx of a glb"),
    ):
        assert words in refused(capsys, "convert", *arguments)
    assert "--rig is for bvh, glb" in refused(capsys, "lift", tmp_path / "k.npz", "-o", out, "--rig", "unity")
    assert cli.main(["convert", str(out), str(tmp_path / "a.bvh"), "--rig", "Unity"]) == 0  # the folder
    assert "JOINT LeftUpperLeg" in (tmp_path / "a.bvh").read_text()
    (out / "poses.npz").rename(out / "poses_1.npz")
    shutil.copy(out / "poses_1.npz", out / "poses_2.npz")
    capsys.readouterr()
    assert "poses of 2 people, name one of them: poses_1.npz, poses_2.npz" in refused(
        capsys, "convert", out, tmp_path / "b.bvh"
    )
    assert "holds results of posemamba lift" in refused(capsys, "lift", out, "-o", tmp_path / "again")
