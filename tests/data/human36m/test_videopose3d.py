"""VideoPose3D's files: joints, cameras and detectors chosen, training clips, and what is wrong with a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures import videopose3d_files as files
from posemamba.data.human36m.videopose3d import VideoPose3D
from posemamba.train.export import export_weights
from posemamba.train.recipe import Recipe
from posemamba.train.run import train
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import read_card

S1_FIRST = ((0.14070565, -0.15007018, -0.7552408, 0.62232804), (1.841107, 4.9552847, 1.5634454))
"""Where the first camera stood for subject 1: the quaternion (w, x, y, z) and metres, typed from the calibration."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files.write_3d(tmp_path / "data")
    files.write_2d(tmp_path / "data")
    return tmp_path / "data"


def test_the_split_holds_both_files(folder: Path) -> None:
    data = VideoPose3D.open(folder.parent)  # in a subfolder
    assert data.keypoints == "cpn_ft_h36m_dbb" and data.subjects("train") == ("S1", "S5", "S6", "S7", "S8")
    assert len(data.train) == 5 * 4 * sum(files.ACTIONS.values())
    video = data.train.videos[5]
    assert (video.name, video.action, video.length) == ("S1 Directions 1 55011271", "Directions", 31)
    camera, positions = 0, files.positions()["S1"]["Directions"].astype(np.float64)
    (w, *xyz), place = S1_FIRST
    # the 32 joints without the doubles: pelvis, legs, spine to head, arms
    kept = positions[:, [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]] - np.array(place)
    u = -np.array(xyz)
    seen = kept + 2 * (w * np.cross(u, kept) + np.cross(u, np.cross(u, kept)))
    got = data.train.joints[:23]
    np.testing.assert_allclose(got[..., 3:], seen - seen[:, :1], atol=2e-6)
    pixels = files.detections()["S1"]["Directions"][camera]
    np.testing.assert_allclose(got[..., :2], pixels / 1000 * 2 - [1, 1.002], atol=1e-6)
    long = files.detections()["S1"]["Directions"][2]  # three frames more than positions
    assert len(long) == 26 and data.train.videos[2].length == 23
    np.testing.assert_allclose(data.train.joints[46:69, :, :2], long[:23] / 1000 * 2 - [1, 1], atol=1e-6)


def test_detectors_are_chosen_by_name(folder: Path) -> None:
    chosen = lambda inputs: VideoPose3D.open(folder, inputs, ("test",)).keypoints  # noqa: E731
    assert chosen("detected") == chosen("cpn") == chosen("cpn_ft_h36m_dbb")
    assert chosen("exact") == chosen("gt") == "gt"  # no such file: by projection
    files.write_2d(folder, "hrnet")
    files.write_2d(folder, "cpn_other")
    assert chosen("hrnet") == "hrnet" and chosen("detected") == "cpn_ft_h36m_dbb"
    with pytest.raises(PoseMambaError, match="may be cpn_ft_h36m_dbb or cpn_other; give one"):
        chosen("cpn")
    (folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz").unlink()
    with pytest.raises(PoseMambaError, match="'detected' may be cpn_other or hrnet"):
        chosen("detected")
    files.write_2d(folder, "gt", made=files.detections(seed=9))
    given = files.detections(seed=9)["S9"]["Directions"][0]
    opened = VideoPose3D.open(folder, "exact", ("test",))  # the file, where there is one
    np.testing.assert_allclose(opened.test.joints[:23, :, :2], given / 1000 * 2 - [1, 1.002], atol=1e-6)


def test_coco_joints_and_confidence(folder: Path) -> None:
    three = {
        subject: {
            action: [np.concatenate([v, np.full((*v.shape[:2], 1), 0.5, np.float32)], -1) for v in cameras]
            for action, cameras in actions.items()
        }
        for subject, actions in files.detections().items()
    }
    files.write_2d(folder, "detectron_pt_coco", three, files.COCO_SYMMETRY)
    joints = VideoPose3D.open(folder, "detectron_pt_coco", ("test",)).test.joints[:23]
    coco = files.detections()["S9"]["Directions"][0] / 1000 * 2 - [1, 1.002]
    np.testing.assert_allclose(joints[:, [1, 4, 13, 16], :2], coco[:, [12, 11, 9, 10]], atol=1e-6)
    np.testing.assert_allclose(joints[:, 0, :2], coco[:, [11, 12]].mean(1), atol=1e-6)
    assert (joints[..., 2] == 0.5).all()


def test_training_clips_are_in_metres(folder: Path) -> None:
    data = VideoPose3D.open(folder, splits=("train",))
    source = data.train_source(frames=9, stride=9, flip=False)
    assert len(source) == 5 * 4 * (2 + 3 + 4 + 1 + 1)
    order, _ = source.places(0, 6)
    made = source.batch(0, 6)
    for row, clip in enumerate(order):
        frames = data.train.joints[source.clips.index(clip)]
        assert np.array_equal(made.target[row].numpy(), frames[..., 3:])
        assert np.array_equal(made.input[row].numpy(), frames[..., :2])
    assert (made.mm_per_unit == 1000).all() and (made.target[:, :, 0] == 0).all()
    mirrored = data.train_source(frames=9, stride=9, seed=0).batch(0, 64)
    plain = data.train_source(frames=9, stride=9, seed=0, flip=False).batch(0, 64)
    turned = (mirrored.target != plain.target).flatten(1).any(1)
    assert 10 < int(turned.sum()) < 54
    assert torch.equal(mirrored.target[turned][:, :, 1, 0], -plain.target[turned][:, :, 4, 0])
    assert torch.equal(mirrored.input[turned][:, :, 16, 0], -plain.input[turned][:, :, 13, 0])


def test_it_trains_and_the_weights_know_their_unit(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "model": {"options": {"width": 16, "depth": 1, "frames": 9}},
            "data": {"kind": "videopose3d", "directory": str(folder), "frames": 9, "stride": 40, "inputs": "cpn"},
            "batch": 20,
            "epochs": 1,
        }
    )
    result = train(recipe, tmp_path / "run", accelerator="cpu", progress_bar=False)
    assert result.finished and 0 < result.validation_p1["test"] < 5000
    export_weights(result.weights, tmp_path / "weights.safetensors")
    card = read_card(tmp_path / "weights.safetensors")["card"]
    assert card["unit"] == "metres" and "academic" in card["data"]
    from posemamba.lifting.lifter import Lifter

    assert Lifter.from_pretrained(tmp_path / "weights.safetensors", device="cpu").metres


def spoiled(change: Callable[[Any], None], what: str = "positions") -> Any:
    made = getattr(files, what)()
    change(made)
    return made


SPOILED_3D: dict[str, tuple[Any, str]] = {
    "millimetres": ({s: {a: v * 1000 for a, v in d.items()} for s, d in files.positions().items()}, "expected metres"),
    "joints": ({"S1": {"Walking": np.zeros((4, 17, 3), np.float32)}}, r"shape \(4, 17, 3\), expected \(frames, 32, 3"),
    "nan": (spoiled(lambda made: made["S5"]["Walking"].__setitem__((3, 2), np.nan)), "S5, Walking: is NaN"),
    "subjects": ({"S2": files.positions()["S1"]}, "none of the train subjects S1, S5, S6, S7, S8, found S2"),
    "list": ([1, 2], "not a dictionary of dictionaries"),
}


@pytest.mark.parametrize("kind", SPOILED_3D)
def test_wrong_positions(folder: Path, kind: str) -> None:
    made, told = SPOILED_3D[kind]
    files.write_3d(folder, made)
    with pytest.raises(PoseMambaError, match=told) as caught:
        VideoPose3D.open(folder)
    assert "\n" not in str(caught.value)


SPOILED_2D: dict[str, tuple[Any, str]] = {
    "cameras": (spoiled(lambda m: m["S1"]["Walking"].pop(), "detections"), "3 cameras, expected 4: 54138969"),
    "action": (spoiled(lambda m: m["S1"].pop("Walking"), "detections"), "has no 2D joints of S1, Walking"),
    "short": (
        spoiled(lambda m: m["S1"]["Walking"].__setitem__(1, np.ones((30, 17, 2))), "detections"),
        "camera 1: has 30 frames of 2D joints, and data_3d_h36m.npz has 40",
    ),
    "shape": (
        spoiled(lambda m: m["S1"]["Walking"].__setitem__(1, np.ones((40, 16, 2))), "detections"),
        r"shape \(40, 16, 2\), expected \(frames, 17, 2\)",
    ),
    "far": (
        spoiled(lambda m: m["S1"]["Walking"].__setitem__(1, np.full((40, 17, 2), 1e300)), "detections"),
        r"camera 1: a joint is at 1e\+300 pixels, expected up to 1e\+07",
    ),
}


@pytest.mark.parametrize("kind", SPOILED_2D)
def test_wrong_2d_joints(folder: Path, kind: str) -> None:
    made, told = SPOILED_2D[kind]
    files.write_2d(folder, made=made)
    with pytest.raises(PoseMambaError, match=told) as caught:
        VideoPose3D.open(folder)
    assert "\n" not in str(caught.value)
    VideoPose3D.open(folder, "exact")  # needs no file of 2D joints


def test_other_layouts_and_code_are_refused(folder: Path) -> None:
    files.write_2d(folder, "sh", symmetry=[[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]])
    with pytest.raises(PoseMambaError, match=r"expected Human3\.6M's 17 joints or COCO's 17"):
        VideoPose3D.open(folder, "sh")
    np.savez(folder / files.FILE, positions_3d=np.array({"S1": Path("x")}, dtype=object))
    with pytest.raises(PoseMambaError, match=r"asks for 'pathlib.*refused"):
        VideoPose3D.open(folder)
    (folder / files.FILE).unlink()
    with pytest.raises(PoseMambaError, match=r"no data_3d_h36m\.npz in this folder"):
        VideoPose3D.open(folder)
