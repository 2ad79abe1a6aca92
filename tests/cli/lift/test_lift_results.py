"""Results appear together, and replace earlier ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.command_line import FILES, keypoints, lifted, refused, snapshot
from posemamba import cli
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import load_poses_npz
from posemamba.poses import Feet2D


def test_results_of_an_earlier_call_are_replaced_together(source: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    for name in FILES:
        (out / name).write_text("old")
    arguments = [
        "lift",
        str(source),
        "-o",
        str(out),
        "--weights",
        str(weights),
        "--no-overlay",
        "--no-viewer",
    ]
    assert cli.main(arguments) == 0
    assert sorted(snapshot(out)) == ["notes.txt", "poses.json", "poses.npz"]  # nothing of another clip
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failure_while_writing_leaves_the_earlier_result(
    source: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    arguments = ["lift", str(source), "-o", str(out), "--weights", str(weights), "--no-overlay"]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    before = snapshot(out)
    arguments.append("--again")

    def full(*unused: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("posemamba.io.motion.npz.save_poses_json", full)
    assert "No space left" in refused(capsys, *arguments)
    assert snapshot(out) == before

    def interrupted(*unused: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("posemamba.io.motion.npz.save_poses_json", interrupted)
    assert cli.main(arguments) == 130
    assert capsys.readouterr().err.strip() == ""
    assert snapshot(out) == before

    def broken(*unused: object) -> None:
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr("posemamba.io.motion.npz.save_poses_json", broken)
    with pytest.raises(RuntimeError, match="a fault"):  # keeps its traceback
        cli.main(arguments)
    assert snapshot(out) == before


def test_refined_and_exported(source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    shared_options = ["--weights", weights, "--no-overlay", "--no-viewer"]
    assert lifted(source, "-o", raw, *shared_options) == 0
    said = capsys.readouterr().out
    assert "metres in the camera's axes" in said and "a guess (--fov)" in said and "typical body of 1.70 m" in said
    more = ["--smooth", "--steady-bones", "--steady-feet", "--camera-pitch", "5"]
    more += ["--angles", "--export", "csv,trc,bvh,glb,csv-tidy"]
    assert lifted(source, "-o", out, *shared_options, *more) == 0
    said = capsys.readouterr().out
    assert "metres in the upright world" in said and "refined: smooth, steady_bones, steady_feet, upright." in said
    ends = ("bvh", "csv", "glb", "json", "npz", "tidy.csv", "trc")
    assert sorted(p.name for p in out.iterdir()) == ["angles.csv", *(f"poses.{e}" for e in ends)]
    plain, poses = load_poses_npz(raw / "poses.npz"), load_poses_npz(out / "poses.npz")
    np.testing.assert_array_equal(plain.network.xyz, poses.network.xyz)
    assert (plain.units, plain.frame, plain.absolute) == ("metre", "camera", True)
    assert (poses.units, poses.frame, poses.absolute) == ("metre", "world", True)
    placing = ["scale", "root_path"]
    assert [step.name for step in plain.steps] == placing
    assert [step.name for step in poses.steps] == [*placing, "smooth", "steady_bones", "steady_feet", "upright"]
    content = json.loads((out / "poses.json").read_text())
    assert content["steps"][1]["estimate"] is True and content["units"] == "metre"
    assert content["camera"]["fov_from"] == "guess" and content["format"] == "posemamba-poses-2"
    np.testing.assert_allclose(content["frames"][4]["xyz"], poses.xyz[4], atol=1e-6)
    header, *rows = (out / "angles.csv").read_text().splitlines()
    assert "left_knee_flexion_deg" in header and len(rows) == 12 and "nan" not in "".join(rows)
    # the same from what was saved
    for saved, name in ((raw, "walk.bvh"), (out, "again.bvh"), (raw, "a.tidy.csv")):
        options = [] if saved == out else more[: more.index("--angles")]
        assert cli.main(["convert", str(saved / "poses.npz"), str(tmp_path / name), *options]) == 0
    assert (
        (tmp_path / "walk.bvh").read_text() == (out / "poses.bvh").read_text() == (tmp_path / "again.bvh").read_text()
    )
    assert (tmp_path / "a.tidy.csv").read_text() == (out / "poses.tidy.csv").read_text()
    assert cli.main(["convert", str(source), str(tmp_path / "k.csv"), "--to-skeleton", "h36m17"]) == 0
    assert "left_knee_x" in (tmp_path / "k.csv").read_text().splitlines()[0]
    capsys.readouterr()
    for arguments, message in (
        ([raw / "poses.npz", tmp_path / "x.mp4"], "cannot be written as '.mp4'"),
        ([raw / "poses.npz", tmp_path / "x.bvh", "--skeleton", "coco17"], "--skeleton is for keypoints"),
        ([raw / "poses.npz", tmp_path / "x.bvh", "--height", "9"], "height"),
        ([out / "poses.npz", tmp_path / "x.bvh", "--smooth"], "refined already"),
        ([source, tmp_path / "x.csv", "--height", "1.8"], "lift it first"),
        ([tmp_path / "none.npz", tmp_path / "x.csv"], "no such file"),
    ):
        assert message in refused(capsys, "convert", *arguments)
    assert not list(tmp_path.glob("x.*"))


def test_feet_of_a_keypoint_file_reach_all_results(weights: Path, tmp_path: Path) -> None:
    """Heels and toes beside the joints, cut by --start and --end as these are."""
    body = keypoints(24)
    feet = body.xy[:, [3, 3, 6, 6]] + np.float32([[-4, 6], [14, 7], [-4, 6], [14, 7]])
    write_keypoints_npz(tmp_path / "k.npz", replace(body, feet=Feet2D(feet, np.full((24, 4), 0.8))))
    out = tmp_path / "out"
    given = [tmp_path / "k.npz", "-o", out, "--weights", weights, "--no-overlay", "--start", "0.1", "--end", "0.4"]
    assert lifted(*given, "--height", "1.7", "--angles", "--export", "csv,trc") == 0
    poses = load_poses_npz(out / "poses.npz")
    frames = len(poses)
    assert 10 < frames < 20 and poses.feet is not None and poses.keypoints.feet is not None
    assert poses.xyz.shape == (frames, 17, 3) and np.isfinite(poses.feet).all()
    np.testing.assert_array_equal(poses.keypoints.feet.xy, feet[5 : 5 + frames])
    focal = poses.steps[1].parameters["focal_px"]
    ankles = poses.xyz[:, [3, 3, 6, 6]]
    offset = focal * (poses.feet / poses.feet[..., 2:] - ankles / ankles[..., 2:])[..., :2]
    given_offset = (feet - body.xy[:, [3, 3, 6, 6]])[5 : 5 + frames]
    cosine = (offset * given_offset).sum(-1) / np.linalg.norm(offset, axis=-1) / np.linalg.norm(given_offset, axis=-1)
    assert cosine.min() > 0.98  # they point as in the picture; an untrained model's body has another size
    assert "left_ankle_dorsiflexion_deg" in (out / "angles.csv").read_text().splitlines()[0]
    assert "RBigToe" in (out / "poses.trc").read_text() and "left_toe_x_m" in (out / "poses.csv").read_text()


def test_what_is_known_of_the_camera_and_the_person(source: Path, weights: Path, tmp_path: Path) -> None:
    shared_options = [source, "--weights", weights, "--no-overlay", "--no-viewer"]
    assert lifted(*shared_options, "-o", tmp_path / "guess") == 0
    told = ["--fov", "70", "--height", "1.9", "--camera-roll", "10"]
    assert lifted(*shared_options, "-o", tmp_path / "told", *told) == 0
    guess, known = (load_poses_npz(tmp_path / name / "poses.npz") for name in ("guess", "told"))
    assert [s.estimate for s in guess.steps] == [True, True] and [s.estimate for s in known.steps] == [False, False]
    assert known.steps[0].parameters["height_m"] == 1.9 and known.network.roll_deg == 10
    assert known.steps[1].parameters["fov_deg"] == pytest.approx(70)
    # an upright line of the scene leans to the left by 10 degrees in the picture, and stands in the virtual camera's
    up = known.network.camera.turn([[-np.sin(np.radians(10)), -np.cos(np.radians(10)), 0]])
    assert np.abs(up[..., 0]).max() < 1e-9 and up[..., 1].max() < -0.9
