"""CSV and TRC read back, and what every format refuses."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.feet import facing, put_on_feet
from posemamba.io.motion import EXPORTS, write_motion
from posemamba.io.motion.npz import load_poses_npz, save_poses_json, save_poses_npz
from posemamba.poses import Feet2D, Poses3D
from posemamba.poses.skeletons import FEET, H36M17
from posemamba.utils.errors import PoseMambaError

Make = Callable[..., Poses3D]


def _number(cell: str) -> float:
    return float(cell) if cell else np.nan


def _read_csv(path: Path) -> dict[str, list[str]]:
    """Columns by name; every row has as many cells as the header."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file, strict=True))
    assert len(set(header)) == len(header) and {len(line) for line in lines} == {len(header)}
    return dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))


def test_wide_csv_holds_all(make_motion: Make, tmp_path: Path) -> None:
    times = np.cumsum(np.full(30, 0.04) + 0.01 * np.sin(np.arange(30)))
    motion = make_motion(times=times)
    knee = np.where(motion.seen, np.arange(30) / 7, np.nan)
    assert write_motion(tmp_path / "a.csv", motion, "csv", columns={"left_knee_deg": knee}) == ()
    table = _read_csv(tmp_path / "a.csv")
    assert list(table)[:7] == ["frame", "time_s", "seen", "pelvis_x_m", "pelvis_y_m", "pelvis_z_m", "pelvis_confidence"]
    assert [int(f) for f in table["frame"]] == list(range(30))
    assert [bool(int(s)) for s in table["seen"]] == motion.seen.tolist()
    np.testing.assert_allclose([float(t) for t in table["time_s"]], times, rtol=0, atol=5.1e-7)
    for j, joint in enumerate(H36M17.joints):
        for k, axis in enumerate("xyz"):
            cells = [_number(c) for c in table[f"{joint}_{axis}_m"]]
            np.testing.assert_allclose(cells, motion.xyz[:, j, k], rtol=0, atol=6e-7)
        confidence = [float(c) for c in table[f"{joint}_confidence"]]
        np.testing.assert_allclose(confidence, motion.network.confidence[:, j], rtol=0, atol=5.1e-5)
    np.testing.assert_allclose([_number(c) for c in table["left_knee_deg"]], knee, rtol=0, atol=5.1e-7)
    assert set(table["axes"]) == {"world x=right y=away z=up"}
    assert "-0.000000" not in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_tidy_csv_of_pixels(make_motion: Make, tmp_path: Path) -> None:
    motion = make_motion(100 * make_motion().xyz, units="pixel", frame="camera", absolute=False)
    write_motion(tmp_path / "a.csv", motion, "csv-tidy", columns={"speed": np.arange(30.0)})
    table = _read_csv(tmp_path / "a.csv")
    assert list(table) == ["frame", "time_s", "joint", "x_px", "y_px", "z_px", "confidence", "speed", "axes"]
    assert table["frame"] == [str(f) for f in range(30) for _ in range(17)]
    assert table["joint"] == list(H36M17.joints) * 30
    xyz = np.array([[_number(c) for c in table[f"{axis}_px"]] for axis in "xyz"]).T.reshape(30, 17, 3)
    np.testing.assert_allclose(xyz, motion.xyz, rtol=0, atol=5.1e-4)
    assert [float(c) for c in table["speed"]] == [float(f) for f in range(30) for _ in range(17)]
    assert set(table["axes"]) == {"camera x=right y=down z=away pelvis=0"}


def _read_trc(path: Path) -> tuple[dict[str, str], list[str], np.ndarray]:
    """Header, marker names, (F, 2 + 3 M) numbers; by the rules of OpenSim's reader."""
    first, keys, values, names, axes, empty, *lines = path.read_text(encoding="utf-8").split("\n")
    assert first.split("\t")[:4] == ["PathFileType", "4", "(X/Y/Z)", path.name] and not empty and not lines.pop()
    header = dict(zip(keys.split("\t"), values.split("\t"), strict=True))
    columns, markers = names.split("\t")[:2], [n for n in names.split("\t")[2:] if n]
    assert columns == ["Frame#", "Time"]
    assert [a for a in axes.split("\t") if a] == [f"{a}{i + 1}" for i in range(len(markers)) for a in "XYZ"]
    # a tab at the end of the line is not a cell; without it, OpenSim would lose an empty last cell
    assert all(line.endswith("\t") for line in lines)
    table = np.array([[_number(c) for c in line[:-1].split("\t")] for line in lines])
    assert table.shape == (int(header["NumFrames"]), 2 + 3 * int(header["NumMarkers"]))
    return header, markers, table


@pytest.mark.parametrize("frame", ["world", "camera"])
def test_trc(make_motion: Make, tmp_path: Path, frame: Any) -> None:
    motion = make_motion(fps=29.97, frame=frame)
    motion.xyz[12, 5, 1] = np.nan  # one joint of a frame that was seen
    said = write_motion(tmp_path / "a.trc", motion, "trc", world="camera")
    assert any(line.startswith("6 of 30 frames") for line in said)
    header, markers, table = _read_trc(tmp_path / "a.trc")
    assert (header["DataRate"], header["CameraRate"], header["Units"]) == ("29.97", "29.97", "m")
    assert markers == list(H36M17.joints)
    np.testing.assert_array_equal(table[:, 0], np.arange(30) + 1)
    np.testing.assert_allclose(table[:, 1], motion.frame_times(), rtol=0, atol=5.1e-7)
    xyz = table[:, 2:].reshape(30, 17, 3)
    x, y, z = np.moveaxis(motion.xyz, -1, 0)
    expected = np.stack({"world": [x, z, -y], "camera": [x, -y, -z]}[frame], -1)
    expected[12, 5] = np.nan
    np.testing.assert_allclose(xyz, expected, rtol=0, atol=6e-7)


@pytest.mark.parametrize("name", EXPORTS)
def test_what_cannot_be_written_is_said_and_leaves_nothing(make_motion: Make, tmp_path: Path, name: str) -> None:
    pixels, nobody = make_motion(units="pixel"), make_motion(missing=tuple(range(30)))
    standing = make_motion(times=np.zeros(30))
    for motion, words in ((pixels, "needs metres.*--height"), (nobody, "nobody was seen"), (standing, "increase")):
        if EXPORTS[name].needs_metres:
            with pytest.raises(PoseMambaError, match=words) as error:
                write_motion(tmp_path / "a", motion, name)
            assert "\n" not in str(error.value) and str(tmp_path / "a") in str(error.value)
            assert not list(tmp_path.iterdir())
        else:  # tables take what there is
            write_motion(tmp_path / "a", motion, name)
            (tmp_path / "a").unlink()
    (tmp_path / "folder").mkdir()
    with pytest.raises(PoseMambaError, match=re.escape(f"{tmp_path / 'folder'}: cannot write there")):
        write_motion(tmp_path / "folder", make_motion(), name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_wrong_names_and_columns(make_motion: Make, tmp_path: Path) -> None:
    motion, path = make_motion(), tmp_path / "a.csv"
    with pytest.raises(PoseMambaError, match=r"unknown format 'fbx'.*csv, csv-tidy, trc, bvh, glb"):
        write_motion(path, motion, "fbx")
    with pytest.raises(PoseMambaError, match="bvh has no place for columns knee"):
        write_motion(path, motion, "bvh", columns={"knee": np.zeros(30)})
    for columns, words in (
        ({"knee": np.zeros(29)}, r"'knee' has shape \(29,\)"),
        ({"pelvis_x_m": np.zeros(30)}, "taken"),
        ({"a,b": np.zeros(30)}, "comma"),
    ):
        with pytest.raises(PoseMambaError, match=words):
            write_motion(path, motion, "csv", columns=columns)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", EXPORTS)
def test_one_frame(make_motion: Make, tmp_path: Path, name: str) -> None:
    write_motion(tmp_path / "one", make_motion(make_motion(missing=()).xyz[:1], missing=()), name)
    assert (tmp_path / "one").stat().st_size > 500


def test_estimates_and_a_still_root_are_said(make_motion: Make, tmp_path: Path) -> None:
    from posemamba.poses import Step

    steps = (Step("scale", estimate=True), Step("smooth"))
    motion = make_motion(missing=(), frame="camera", absolute=False, steps=steps)
    said = "\n".join(write_motion(tmp_path / "a.glb", motion, "glb", world="camera"))
    assert "no root path" in said and "leans" in said and "estimated, not measured: scale" in said
    assert "hold" not in said


def _with_feet(make_motion: Make) -> Poses3D:
    """A motion with feet and their confidence; the left heel is lost in frame 12."""
    motion = make_motion()
    feet = put_on_feet(motion.xyz, facing(motion.xyz), 5.0).astype(np.float32)
    feet[12, 2] = np.nan
    sure = np.full((30, 4), 0.25)
    keypoints = replace(motion.network.keypoints, feet=Feet2D(np.zeros((30, 4, 2)), sure))
    return replace(motion, feet=feet, network=replace(motion.network, keypoints=keypoints, feet=feet + 1))


def test_tables_hold_feet_behind_the_joints(make_motion: Make, tmp_path: Path) -> None:
    motion = _with_feet(make_motion)
    assert motion.feet is not None
    write_motion(tmp_path / "a.csv", motion, "csv", columns={"speed": np.arange(30.0)})
    table = _read_csv(tmp_path / "a.csv")
    assert list(table)[-18] == "right_heel_x_m" and list(table)[-2:] == ["speed", "axes"]
    for point, name in enumerate(FEET):
        for k, axis in enumerate("xyz"):
            cells = [_number(c) for c in table[f"{name}_{axis}_m"]]
            np.testing.assert_allclose(cells, motion.feet[:, point, k], rtol=0, atol=6e-7)
        assert set(table[f"{name}_confidence"]) == {"0.2500"}
    write_motion(tmp_path / "b.csv", motion, "csv-tidy")
    tidy = _read_csv(tmp_path / "b.csv")
    assert tidy["joint"] == [*H36M17.joints, *FEET] * 30
    xyz = np.array([[_number(c) for c in tidy[f"{axis}_m"]] for axis in "xyz"]).T.reshape(30, 21, 3)
    np.testing.assert_allclose(xyz[:, 17:], motion.feet, rtol=0, atol=6e-7)
    write_motion(tmp_path / "a.trc", motion, "trc", world="camera")
    _, markers, numbers = _read_trc(tmp_path / "a.trc")
    assert markers[17:] == ["RHeel", "RBigToe", "LHeel", "LBigToe"]
    x, y, z = np.moveaxis(motion.feet, -1, 0)
    np.testing.assert_allclose(numbers[:, 2 + 3 * 17 :].reshape(30, 4, 3), np.stack([x, z, -y], -1), rtol=0, atol=6e-7)


@pytest.mark.parametrize("name", EXPORTS)
def test_feet_that_nobody_saw_leave_no_trace(make_motion: Make, tmp_path: Path, name: str) -> None:
    motion = make_motion()
    for folder, feet in (("without", None), ("unseen", np.full((30, 4, 3), np.nan, np.float32))):
        (tmp_path / folder).mkdir()
        write_motion(tmp_path / folder / "a", replace(motion, feet=feet), name)
    assert (tmp_path / "without" / "a").read_bytes() == (tmp_path / "unseen" / "a").read_bytes()


def test_saved_poses_keep_their_feet(make_motion: Make, tmp_path: Path) -> None:
    motion = _with_feet(make_motion)
    save_poses_npz(tmp_path / "poses.npz", motion)
    again = load_poses_npz(tmp_path / "poses.npz")
    np.testing.assert_array_equal(again.feet, motion.feet)
    np.testing.assert_array_equal(again.network.feet, motion.network.feet)
    assert again.keypoints.feet is not None and motion.keypoints.feet is not None
    np.testing.assert_array_equal(again.keypoints.feet.confidence, motion.keypoints.feet.confidence)
    np.testing.assert_array_equal(again.keypoints.feet.xy, motion.keypoints.feet.xy)
    with np.load(tmp_path / "poses.npz") as file:  # names that other people's readers rely on
        assert {"feet", "network_feet", "feet_keypoints_xy", "feet_confidence"} <= set(file.files)
    save_poses_json(tmp_path / "poses.json", motion)
    content = json.loads((tmp_path / "poses.json").read_text())
    assert content["feet"] == list(FEET)
    assert motion.feet is not None
    frame = content["frames"][12]["feet"]
    assert frame[2] is None and frame[3] == pytest.approx(motion.feet[12, 3].tolist(), abs=1e-6)
    assert content["frames"][12]["feet_confidence"] == [0.25] * 4


def test_files_without_feet_have_none(make_motion: Make, tmp_path: Path) -> None:
    save_poses_npz(tmp_path / "poses.npz", make_motion())
    with np.load(tmp_path / "poses.npz") as file:
        assert not [key for key in file.files if "feet" in key] and "feet" not in json.loads(str(file["header"]))
    again = load_poses_npz(tmp_path / "poses.npz")
    assert again.feet is None and again.network.feet is None and again.keypoints.feet is None
