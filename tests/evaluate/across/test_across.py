"""AIST++ and 3DPW: files in their layouts against plain projections, scores of the truth, what is refused."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from posemamba import cli
from posemamba.evaluate.across import aist, benchmark, pw3d
from posemamba.evaluate.across.clips import SHARED
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from posemamba.poses.skeletons import COCO17, H36M17
from posemamba.utils.errors import PoseMambaError

FRAMES = 30


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """A pickler whose texts are Python 2's."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_text(self, text: str) -> None:
        data = text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    dispatch[str] = save_text


def dancing(random: np.random.Generator, joints: int) -> np.ndarray:
    """(FRAMES, joints, 3) metres: bodies 2 m tall that sway."""
    body = random.normal(0, 0.4, (joints, 3)) + np.array([0, 0, 0.2])
    return body + 0.1 * np.sin(np.arange(FRAMES) / 5)[:, None, None] * random.normal(0, 1, (1, joints, 3))


@pytest.fixture
def aist_folder(tmp_path: Path) -> Path:
    random, folder = np.random.default_rng(0), tmp_path / "aist"
    for name in ("keypoints3d", "keypoints2d", "cameras"):
        (folder / name).mkdir(parents=True)
    body = dancing(random, 17) + np.array([0, 0, 1])
    cameras, views = [], []
    for number in (1, 2):
        turn, place = np.array([0.1, np.pi / number, 0.2]), np.array([10.0, 20, 500])  # cm
        matrix = np.array([[1500.0, 0, 960], [0, 1500, 540], [0, 0, 1]])
        bend = [0.01, -0.02, 0.001, 0.002, 0.0]
        cameras.append(
            {"name": f"c0{number}", "size": [1920, 1080], "matrix": matrix.tolist(), "rotation": turn.tolist()}
        )
        cameras[-1] |= {"translation": place.tolist(), "distortions": bend}
        seen = body * 100 @ plain_rotation(turn).T + place
        x, y = seen[..., 0] / seen[..., 2], seen[..., 1] / seen[..., 2]
        r2 = x * x + y * y
        radial = 1 + bend[0] * r2 + bend[1] * r2 * r2
        u = x * radial + 2 * bend[2] * x * y + bend[3] * (r2 + 2 * x * x)
        v = y * radial + bend[2] * (r2 + 2 * y * y) + 2 * bend[3] * x * y
        views.append(np.stack([1500 * u + 960, 1500 * v + 540, np.full_like(u, 0.9)], -1))
    two = np.stack(views)
    two[0, 3, 5] = np.nan
    (folder / "cameras" / "setting1.json").write_text(json.dumps(cameras))
    (folder / "cameras" / "mapping.txt").write_text("gBR_sBM_cAll_d04 setting1\nbad setting1\n")
    (folder / "ignore_list.txt").write_text("bad\n")
    for name in ("gBR_sBM_cAll_d04", "bad"):
        three = {"keypoints3d": body * 100 + 1, "keypoints3d_optim": body * 100}
        (folder / "keypoints3d" / f"{name}.pkl").write_bytes(pickle.dumps(three))
        both = {"keypoints2d": two, "det_scores": np.ones((2, FRAMES)), "timestamps": np.arange(FRAMES)}
        (folder / "keypoints2d" / f"{name}.pkl").write_bytes(pickle.dumps(both))
    return folder


def plain_rotation(vector: np.ndarray) -> np.ndarray:
    """The rotation as the exponential of its cross product, by its series."""
    x, y, z = vector
    cross, term, total = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.eye(3), np.eye(3)
    for k in range(1, 30):
        term = term @ cross / k
        total = total + term
    return total


@pytest.fixture
def pw3d_folder(tmp_path: Path) -> Path:
    random, folder = np.random.default_rng(1), tmp_path / "3DPW" / "sequenceFiles" / "test"
    folder.mkdir(parents=True)
    world = dancing(random, 24)
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, :3, :3] = plain_rotation(np.array([1.2, 0.1, -0.2]))
    poses[:, :3, 3] = np.array([0.1, 0.2, 4.0]) + np.arange(FRAMES)[:, None] * [0, 0, 0.01]
    seen = np.einsum("fab,fjb->fja", poses[:, :3, :3], world) + poses[:, None, :3, 3]
    pixels = seen[..., :2] / seen[..., 2:] * 1900 + [540, 960]
    two = np.zeros((FRAMES, 3, 18))
    two[:, :2, 10], two[:, 2, 10] = pixels[:, 8], 0.7  # the right ankle alone was found
    two[:, :2, 4], two[:, 2, 4] = pixels[:, 21], 0.6  # and the right wrist
    valid = np.arange(FRAMES) != 2
    content = {
        "sequence": "downtown_walk",
        "jointPositions": [world.reshape(FRAMES, 72)],
        "cam_poses": poses,
        "cam_intrinsics": np.array([[1900.0, 0, 540], [0, 1900, 960], [0, 0, 1]]),
        "campose_valid": [valid],
        "poses2d": [two],
        "genders": ["m"],
    }
    with (folder / "downtown_walk_00.pkl").open("wb") as file:
        Python2Pickler(file, 2).dump(content)
    return tmp_path / "3DPW"


def test_aist_is_read_as_a_plain_projection_has_it(aist_folder: Path) -> None:
    clips = list(aist.clips(aist_folder))
    assert [clip.name for clip in clips] == ["gBR_sBM_cAll_d04_c01", "gBR_sBM_cAll_d04_c02"]
    for clip in clips:
        assert clip.detected is not None and clip.detected.image_size == (1920, 1080) and clip.detected.fps == 60
        found = np.isfinite(clip.detected.xy)
        np.testing.assert_allclose(clip.exact.xy[found], clip.detected.xy[found], atol=1e-2)
        assert clip.fov == pytest.approx(2 * np.degrees(np.arctan(960 / 1500)))
        hips = clip.xyz[:, [H36M17.joints.index(f"{s}_hip") for s in ("left", "right")]]
        np.testing.assert_allclose(clip.xyz[:, 0], hips.mean(1))
        assert clip.valid.sum(1).tolist() == [len(SHARED) + 1] * FRAMES and len(SHARED) == 12
    assert np.isnan(clips[0].detected.xy[3, 5]).all() and clips[0].detected.confidence[3, 5] == 0
    wrist, joint = COCO17.joints.index("left_wrist"), H36M17.joints.index("left_wrist")
    first, second = (clip.xyz[:, joint] for clip in clips)
    with (aist_folder / "keypoints3d" / "gBR_sBM_cAll_d04.pkl").open("rb") as file:
        world = pickle.load(file)["keypoints3d_optim"][:, wrist] / 100
    for seen, turn in ((first, np.pi), (second, np.pi / 2)):
        np.testing.assert_allclose(
            seen, world @ plain_rotation(np.array([0.1, turn, 0.2])).T + [0.1, 0.2, 5], atol=1e-9
        )


def test_3dpw_is_read_as_a_plain_projection_has_it(pw3d_folder: Path) -> None:
    (clip,) = pw3d.clips(pw3d_folder)
    assert clip.name == "downtown_walk_00_0" and clip.exact.image_size == (1080, 1920)
    assert clip.detected is not None
    for joint in ("right_ankle", "right_wrist"):
        at = COCO17.joints.index(joint)
        np.testing.assert_allclose(clip.exact.xy[:, at], clip.detected.xy[:, at], atol=1e-2)
    assert np.isfinite(clip.detected.xy).all(-1).sum() == 2 * FRAMES
    assert not clip.valid[2].any() and clip.valid.sum() == (FRAMES - 1) * 13
    assert clip.fov == pytest.approx(2 * np.degrees(np.arctan(540 / 1900)))


@pytest.mark.parametrize("name", ["aist", "pw3d"])
def test_the_truth_at_another_size_has_no_error(name: str, request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = request.getfixturevalue(f"{name}_folder")
    clips = iter([clip for clip in benchmark.READERS[name][1](folder) for _ in range(2)])
    offset = {"mm": 0.0}

    def truth(_: object) -> SimpleNamespace:
        wrong = np.zeros((17, 3))
        wrong[3, 0] = offset["mm"] / 1000  # the right ankle
        return SimpleNamespace(xyz=1.2 * (next(clips).xyz + wrong) + 3)

    monkeypatch.setattr(benchmark, "to_metres", truth)
    scores = benchmark.score(name, lambda keypoints, lens: None, folder)  # type: ignore[arg-type]
    assert scores["clips"] == {"aist": 2, "pw3d": 1}[name]
    assert [value for key, value in scores.items() if "mm" in key] == pytest.approx([0] * 6, abs=1e-6)
    clips, offset["mm"] = iter([clip for clip in benchmark.READERS[name][1](folder) for _ in range(2)]), 60.0
    scores = benchmark.score(name, lambda keypoints, lens: None, folder)  # type: ignore[arg-type]
    assert 4 < scores["P1 mm, exact 2D"] < 12, "60 mm at one of twelve joints, of which the scale takes a part"


def test_what_is_wrong_with_files_is_one_line(aist_folder: Path, pw3d_folder: Path, tmp_path: Path) -> None:
    def said(read: Any, folder: Path) -> str:
        with pytest.raises(PoseMambaError) as caught:
            list(read(folder))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no keypoints3d/*.pkl" in said(aist.clips, tmp_path) and "sequenceFiles/test" in said(
        pw3d.clips, tmp_path / "x"
    )
    file = next((pw3d_folder / "sequenceFiles" / "test").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert str(file) in said(pw3d.clips, pw3d_folder)
    file.write_bytes(pickle.dumps({"jointPositions": []}))
    assert "missing: cam_poses" in said(pw3d.clips, pw3d_folder)
    file.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    assert "posix.system" in said(pw3d.clips, pw3d_folder)
    (aist_folder / "cameras" / "setting1.json").write_text('[{"name": "c01"}]')
    assert "not AIST++'s cameras" in said(aist.clips, aist_folder)
    (aist_folder / "cameras" / "mapping.txt").write_text("other setting1\n")
    assert "no camera setting of gBR_sBM_cAll_d04" in said(aist.clips, aist_folder)
    with pytest.raises(PoseMambaError, match="needs 3DPW's sequence files: give their folder by --data"):
        benchmark.score("pw3d", None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("size", [float("nan"), 1080], "nanx1080 pixels"),
        ("size", [1e9, 1080], "expected positive numbers of pixels"),
        ("matrix", [[0, 0, 960], [0, 1500, 540], [0, 0, 1]], "focal lengths"),
        ("translation", [1e300, 0, 0], "numbers above 10^9"),
        ("rotation", [float("nan"), 0, 0], "numbers above 10^9"),
    ],
)
def test_cameras_that_are_none_are_refused(aist_folder: Path, field: str, value: Any, told: str) -> None:
    path = aist_folder / "cameras" / "setting1.json"
    cameras = json.loads(path.read_text())
    cameras[1][field] = value
    path.write_text(json.dumps(cameras))
    with pytest.raises(PoseMambaError) as caught:
        list(aist.clips(aist_folder))
    assert str(path) in str(caught.value) and told in str(caught.value)


@pytest.mark.parametrize("name", ["aist", "pw3d"])
def test_joints_that_no_camera_sees_are_refused(name: str, request: Any) -> None:
    folder = request.getfixturevalue(f"{name}_folder")
    file = next(folder.rglob("keypoints3d/gBR*.pkl" if name == "aist" else "*.pkl"))
    content = pickle.loads(file.read_bytes(), encoding="latin1")
    joints = content["keypoints3d_optim"] if name == "aist" else content["jointPositions"][0]
    joints[3] = 1e30
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(PoseMambaError, match=r"3D joints in metres go up to .*e\+\d\d, expected up to 10000"):
        list(benchmark.READERS[name][1](folder))


@pytest.mark.slow
def test_the_command(aist_folder: Path, pw3d_folder: Path, tmp_path: Path, capsys: Any) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "tiny.safetensors"
    save_model(weights, PoseMamba.preset("s", width=16, depth=1, frames=9).eval(), {})
    for name, folder in (("aist", aist_folder), ("pw3d", pw3d_folder)):
        line = [
            "evaluate",
            str(weights),
            name,
            "--data",
            str(folder),
            "--device",
            "cpu",
            "--json",
            str(tmp_path / "s.json"),
        ]
        assert cli.main(line) == 0, capsys.readouterr().err
        assert "P1 mm, exact 2D" in capsys.readouterr().out
        scores = json.loads((tmp_path / "s.json").read_text())["scores"]
        assert 100 < scores["P1 mm, exact 2D"] < 2000 and scores["P2 mm, exact 2D"] < scores["P1 mm, exact 2D"]
