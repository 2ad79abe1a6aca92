"""What is told of an angle's error: from the weights' table and the view, blank where nothing was seen."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refine_scene import make_scene

from posemamba import cli
from posemamba.demo.walker import walk
from posemamba.io.motion.npz import load_poses_npz, save_angles_csv, save_poses_npz
from posemamba.poses import Feet2D, Poses3D
from posemamba.poses.angle_table import AngleErrorTable
from posemamba.refine.angle_accuracy import VERTICAL_ERROR, angle_errors
from posemamba.refine.angles import joint_angles, unseen_joints
from posemamba.refine.metres import to_metres
from posemamba.refine.upright import upright

TABLE = AngleErrorTable(
    {
        "knee_flexion": (1.0, 0.5, 0.7, 0.3, 0.0),
        "trunk_inclination": (0.0, 0.0, 0.0, 0.0, 0.0),
        "ankle_dorsiflexion": (2.0, 0.0, 0.0, 0.0, 0.0),
    },
    {"knee_flexion": 1.5},
    "a test",
)


def poses(frames: int = 100, table: AngleErrorTable | None = TABLE, turn: float = 0.0) -> Poses3D:
    """Somebody who walks on the spot, all of them in the picture; at `turn` 0 they face the camera."""
    body = walk(frames, 50.0, radius=200.0).astype(float)
    body[..., :2] -= body[:, :1, :2]
    hips = body[0, 4, :2] - body[0, 1, :2]  # to the person's left
    angle = np.radians(turn) - np.arctan2(hips[1], hips[0])
    c, s = np.cos(angle), np.sin(angle)
    body[..., :2] = body[..., :2] @ np.array([[c, s], [-s, c]])
    network = make_scene(body=body, distance=6).poses
    network.angle_errors = table
    network.expected_error = np.full((len(body), 17), 12, np.float32)
    return to_metres(network)


def test_errors_follow_the_table_the_joints_and_the_view() -> None:
    front, side = angle_errors(poses()), angle_errors(poses(turn=90))
    knees = [angles["left_knee_flexion"] for angles in (front, side)]
    assert knees[0].view_deg.min() > 60 and knees[1].view_deg.max() < 30
    assert not knees[1].edge_on.any() and knees[0].edge_on.mean() > 0.3
    assert set(knees[0].notes()) == {"", "edge-on"} and set(knees[1].notes()) == {""}
    # nearly straight knees are those that a picture from the front does not tell
    bent = joint_angles(poses())["left_knee_flexion"]
    assert np.median(bent[knees[0].edge_on]) < np.median(bent[~knees[0].edge_on])
    assert knees[0].degrees.min() > 1.3 * knees[1].degrees.max()
    # the joints' expected errors: exp(0.3 log 2) times as much for twice as much, and real video's factor
    doubled = poses()
    doubled.network.expected_error *= 2
    np.testing.assert_allclose(angle_errors(doubled)["left_knee_flexion"].degrees, 2**0.3 * knees[0].degrees)
    plain = poses(table=replace(TABLE, factor={}))
    np.testing.assert_allclose(1.5 * angle_errors(plain)["left_knee_flexion"].degrees, knees[0].degrees)
    # of an angle that the table lacks nothing is told, but the view is
    assert np.isnan(front["left_elbow_flexion"].degrees).all() and np.isfinite(front["trunk_rotation"].view_deg).all()


def test_a_vertical_that_was_estimated_counts() -> None:
    given, estimated = (angle_errors(upright(poses(), pitch))["trunk_inclination"].degrees for pitch in (0.0, None))
    np.testing.assert_allclose(given, 1)
    np.testing.assert_allclose(estimated, np.hypot(1, VERTICAL_ERROR))
    assert "trunk_inclination" not in angle_errors(poses())


def test_turning_the_world_upright_does_not_change_the_view() -> None:
    motion = poses(turn=40)
    plain, turned = angle_errors(motion), angle_errors(upright(motion, 10.0))
    for name, error in plain.items():
        np.testing.assert_allclose(turned[name].degrees, error.degrees, rtol=1e-4, err_msg=name)
    lean = turned["trunk_forward_lean"]
    assert np.median(lean.view_deg) == pytest.approx(90 - 40, abs=8)  # its plane is the sagittal one


@pytest.mark.parametrize("how", ["lost", "outside"])
def test_blank_where_a_joint_was_not_seen(how: str, tmp_path: Path) -> None:
    motion = poses(200)
    network = motion.network
    left_ankle, short, long, end = 6, slice(20, 40), slice(60, 100), slice(195, 200)  # 0.4, 0.8 and 0.1 s
    for gap in (short, long, end):
        if how == "lost":
            network.confidence[gap, left_ankle] = 0
        else:
            network.keypoints.xy[gap, left_ankle] = [960, 1100]
    blank = np.zeros(200, bool)
    blank[long] = blank[end] = True
    angles, errors = joint_angles(motion), angle_errors(motion)
    for name in ("left_knee_flexion",):
        np.testing.assert_array_equal(np.isnan(angles[name]), blank)
        np.testing.assert_array_equal(np.isnan(errors[name].degrees), blank)
        np.testing.assert_array_equal(errors[name].unseen, blank)
        assert not (errors[name].edge_on & blank).any()
    for name in ("right_knee_flexion", "left_hip_flexion", "left_elbow_flexion"):
        assert np.isfinite(angles[name]).all()
    save_angles_csv(tmp_path / "a.csv", motion, angles, errors)
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        cells = [row[f"left_knee_flexion_{part}"] for part in ("deg", "error_deg", "note")]
        assert cells[:2] == ["", ""] and cells[2] == "unseen" if blank[i] else "" not in cells[:2]
    assert "nan" not in (tmp_path / "a.csv").read_text()


def test_blank_for_another_reason_is_said() -> None:
    motion = poses(30)
    shoulders = motion.xyz[:, 11] - motion.xyz[:, 14]
    motion.xyz[10:, 12] = motion.xyz[10:, 11] + shoulders[10:]  # the left arm along the axis of its flexion
    motion.seen[25:] = motion.network.seen[25:] = False
    error = angle_errors(motion)["left_shoulder_flexion"]
    assert error.notes()[10:] == ["undefined"] * 15 + ["unseen"] * 5 and not error.undefined[:10].any()
    np.testing.assert_array_equal(np.isnan(error.view_deg), np.isnan(joint_angles(motion)["left_shoulder_flexion"]))


def test_a_joint_that_was_never_seen_is_blank_in_a_single_frame_too() -> None:
    motion = poses(1)
    motion.network.confidence[0, 3] = 0
    assert np.isnan(joint_angles(motion)["right_knee_flexion"][0])
    assert np.isfinite(joint_angles(motion)["left_knee_flexion"][0])


def test_feet_out_of_the_picture_have_no_ankle_angle() -> None:
    motion = poses(100)
    xy = motion.keypoints.xy[:, [3, 3, 6, 6]] + np.float32([[0, 20], [5, 30], [0, 20], [5, 30]])
    xy[40:90, 3] += 2000  # the left foot's tip
    network = replace(
        motion.network,
        keypoints=replace(motion.keypoints, feet=Feet2D(xy.astype(np.float32), np.ones((100, 4), np.float32))),
        feet=motion.network.xyz[:, [3, 3, 6, 6]] + np.float32([[0, 20, 0], [0, 25, -60], [0, 20, 0], [0, 25, -60]]),
    )
    motion = to_metres(network)
    assert unseen_joints(motion)[:, 20].sum() == 50 and not unseen_joints(motion)[:, :20].any()
    assert np.isnan(joint_angles(motion)["left_ankle_dorsiflexion"]).sum() == 50
    told = angle_errors(motion)["right_ankle_dorsiflexion"].degrees
    np.testing.assert_allclose(told, np.exp(2))


def test_files_of_poses_keep_the_table(tmp_path: Path) -> None:
    motion = poses(20)
    save_poses_npz(tmp_path / "p.npz", motion)
    again = load_poses_npz(tmp_path / "p.npz")
    assert again.network.angle_errors == TABLE
    np.testing.assert_allclose(
        angle_errors(again)["left_knee_flexion"].degrees, angle_errors(motion)["left_knee_flexion"].degrees, rtol=1e-5
    )
    save_poses_npz(tmp_path / "q.npz", poses(20, table=None))
    plain = load_poses_npz(tmp_path / "q.npz")
    assert plain.network.angle_errors is None
    assert np.isnan(angle_errors(plain)["left_knee_flexion"].degrees).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda card: card.pop("rows"),
        lambda card: card["rows"].update(knee_flexion=[1.0, 2.0]),
        lambda card: card["rows"].update(knee_flexion=[1.0, 2.0, float("nan"), 0, 0]),
        lambda card: card.update(factor={"knee_flexion": "large"}),
        lambda card: card.update(rows=None),
    ],
)
def test_damaged_tables_are_refused(damage) -> None:
    card = TABLE.as_card()
    assert AngleErrorTable.from_card(card) == TABLE
    damage(card)
    with pytest.raises(ValueError, match="expected errors is damaged"):
        AngleErrorTable.from_card(card)


def test_tables_of_later_versions_are_left_alone() -> None:
    assert AngleErrorTable.from_card({"format": "posemamba-angle-errors-7", "shape": 3}) is None
    assert AngleErrorTable.from_card(None) is None
    with pytest.raises(ValueError, match="damaged: a list"):
        AngleErrorTable.from_card([])


def test_weights_tell_the_errors_of_angles(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    from posemamba.models.posemamba import PoseMamba
    from posemamba.models.registry import save_model

    def lift(name: str, card: dict[str, object], **options: int) -> tuple[int, str]:
        torch.manual_seed(0)
        path = tmp_path / f"{name}.safetensors"
        save_model(path, PoseMamba.preset("s", width=16, depth=1, frames=27, **options), {"person_size": 0.25, **card})
        arguments = [
            "lift",
            str(source),
            "-o",
            str(tmp_path / name),
            "--weights",
            str(path),
            "--angles",
            "--no-overlay",
        ]
        status = cli.main(arguments)
        said = capsys.readouterr()
        return status, said.out + said.err

    status, said = lift("told", {"angle_errors": TABLE.as_card()}, error_width=8)
    assert status == 0 and "expected errors" not in said
    with (tmp_path / "told" / "angles.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])
    at = names.index("left_knee_flexion_deg")
    assert names[at : at + 3] == ["left_knee_flexion_deg", "left_knee_flexion_error_deg", "left_knee_flexion_note"]
    assert all(float(row["left_knee_flexion_error_deg"]) > 0 for row in rows)
    assert all(row["left_elbow_flexion_error_deg"] == "" for row in rows)
    assert '"errors"' in (tmp_path / "told" / "viewer.html").read_text()
    saved = load_poses_npz(tmp_path / "told" / "poses.npz")
    assert saved.network.angle_errors == TABLE

    status, said = lift("plain", {})
    assert status == 0 and "angles.csv: no expected errors, as the weights plain do not tell those of angles" in said
    with (tmp_path / "plain" / "angles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["left_knee_flexion_error_deg"] == "" and row["left_knee_flexion_deg"] for row in rows)

    status, said = lift("damaged", {"angle_errors": {**TABLE.as_card(), "rows": 3}})
    assert status == 2 and "damaged.safetensors: the table of the angles' expected errors is damaged" in said
    assert "posemamba calibrate" in said and not (tmp_path / "damaged").exists()
