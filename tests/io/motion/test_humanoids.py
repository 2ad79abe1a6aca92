"""Rigs by other programs' names: every limb points where it does in the poses, and stands on the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_animation import _Glb, _read_bvh

from fixtures.feet import facing, put_on_feet
from posemamba.io.motion import RIGS, write_motion
from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET, H36M17
from posemamba.utils.errors import PoseMambaError

Make = Callable[..., Poses3D]
# names of hips, thigh, shank, foot, toes, end of toes; last spine, upper arm, forearm, hand
LEFT = {
    "mixamo": (
        "mixamorig:Hips mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase "
        "mixamorig:LeftToe_End mixamorig:Spine2 mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:LeftHand"
    ),
    "rokoko": "Hips LeftThigh LeftShin LeftFoot LeftToe LeftToeTip Spine4 LeftArm LeftForeArm LeftHand",
    "unity": (
        "Hips LeftUpperLeg LeftLowerLeg LeftFoot LeftToes LeftToes_end UpperChest LeftUpperArm LeftLowerArm LeftHand"
    ),
}
JOINTS = {name: i for i, name in enumerate(H36M17.joints)}


def _places(path: Path, format: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(F, 3) of each joint by name, y up, and each one's parent."""
    if format == "glb":
        file = _Glb(path)
        nodes = file.json["nodes"]
        parents = {nodes[c]["name"]: node["name"] for node in nodes for c in node.get("children", [])}
        return {node["name"]: file.matrices[i][:, :3, 3] for i, node in enumerate(nodes[:-1])}, parents
    parents, stack, name = {}, [], ""
    for words in map(str.split, path.read_text(encoding="ascii").split("MOTION")[0].splitlines()):
        if words[0] in ("ROOT", "JOINT", "End"):
            name = words[1]
            parents[name] = stack[-1] if stack else ""
        elif words[0] == "{":
            stack.append(name)
        elif words[0] == "}":
            stack.pop()
    return _read_bvh(path)[0], parents


@pytest.mark.parametrize("format", ["bvh", "glb"])
@pytest.mark.parametrize("rig", list(LEFT))
def test_limbs_point_where_they_do(make_motion: Make, tmp_path: Path, rig: str, format: str) -> None:
    motion = make_motion(missing=())
    feet = put_on_feet(motion.xyz, facing(motion.xyz), 5.0).astype(np.float32)
    write_motion(tmp_path / "a", replace(motion, feet=feet), format, rig=rig, world="camera")
    places, parents = _places(tmp_path / "a", format)
    for side in ("Left", "Right"):
        names = [name.replace("Left", side) for name in LEFT[rig].split()]
        if format == "bvh":
            names[5] = f"end of {names[4]}"
        hips, thigh, shank, foot, toes, toe_end, chest, arm, forearm, hand = names
        assert [parents[n] for n in (thigh, shank, foot, toes, forearm, hand)] == [
            hips,
            thigh,
            shank,
            foot,
            arm,
            forearm,
        ]
        assert parents[parents[arm]] == chest
        s = side.lower()
        for start, end, bone in (
            (thigh, shank, (f"{s}_hip", f"{s}_knee")),
            (shank, foot, (f"{s}_knee", f"{s}_ankle")),
            (arm, forearm, (f"{s}_shoulder", f"{s}_elbow")),
            (forearm, hand, (f"{s}_elbow", f"{s}_wrist")),
        ):
            real = motion.xyz[:, JOINTS[bone[1]]] - motion.xyz[:, JOINTS[bone[0]]]
            np.testing.assert_allclose(_unit(places[end] - places[start]), _unit(_y_up(real)), atol=1e-4)
            off = np.linalg.norm(places[end] - _y_up(motion.xyz[:, JOINTS[bone[1]]]), axis=-1)
            assert off.max() < 0.02, bone
        sole = feet[:, FEET.index(f"{s}_toe")] - feet[:, FEET.index(f"{s}_heel")]
        np.testing.assert_allclose(_unit(places[toe_end] - places[toes]), _unit(_y_up(sole)), atol=0.01)
    together = np.stack(list(places.values()), 1)
    moved = [n for n in parents if parents[n] and n != "Site" and n in places and parents[n] in places]
    assert all(np.linalg.norm(places[n] - places[parents[n]], axis=-1).min() > 0.01 for n in moved), (
        "a bone of no length"
    )
    assert np.isfinite(together).all()


def _y_up(points: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(points.astype(float), -1, 0)
    return np.stack([x, z, -y], -1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


@pytest.mark.parametrize("format", ["bvh", "glb"])
@pytest.mark.parametrize("rig", RIGS)
def test_every_rig_stands_on_the_floor_without_being_asked(
    make_motion: Make, tmp_path: Path, rig: str, format: str
) -> None:
    motion = make_motion(missing=())
    motion.xyz[..., 2] -= 1.3  # as seen from a camera 1.3 m above the floor
    said = write_motion(tmp_path / "a", motion, format, rig=rig)
    assert any("on the floor" in line for line in said)
    places, _ = _places(tmp_path / "a", format)
    ankles = ("left_ankle", "right_ankle") if format == "glb" else ("end of left_knee", "end of right_knee")
    if rig != "posemamba":
        ankles = tuple(next(n for n in places if n.endswith(f"{side}Foot")) for side in ("Left", "Right"))
        ends = [p[:, 1].min() for n, p in places.items() if n.startswith("end of") and n.endswith("Foot")]
        ends += [p[:, 1].min() for n, p in places.items() if n.endswith("Foot_end")]
        assert len(ends) == 2 and min(ends) > -0.02
    lowest = np.stack([places[name][:, 1] for name in ankles], 1).min(1)
    assert (np.abs(lowest - 0.0765) < 0.02).mean() > 0.8
    write_motion(tmp_path / "b", motion, format, rig=rig, world="camera")
    places, _ = _places(tmp_path / "b", format)
    assert max(p[0, 1] for p in places.values()) < 0.6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rig", RIGS)
def test_feet_that_are_lost_for_a_while_stay_on_the_floor(make_motion: Make, tmp_path: Path, rig: str) -> None:
    motion = make_motion(missing=())
    feet = put_on_feet(motion.xyz, facing(motion.xyz)).astype(np.float32)
    feet[10:14] = np.nan
    write_motion(tmp_path / "a.glb", replace(motion, feet=feet), "glb", rig=rig)
    places, _ = _places(tmp_path / "a.glb", "glb")
    soles = [p for n, p in places.items() if "toe" in n.lower() or "heel" in n]
    assert (np.abs(np.stack(soles, 1)[..., 1].min(1)) < 0.03).mean() > 0.8


def test_names_that_are_none(make_motion: Make, tmp_path: Path) -> None:
    for more, words in (
        ({"rig": "daz"}, "--rig is 'daz', expected one of posemamba, mixamo, rokoko, unity"),
        ({"world": "moon"}, "--world is 'moon', expected floor or camera"),
    ):
        with pytest.raises(PoseMambaError, match=words):
            write_motion(tmp_path / "a", make_motion(), "bvh", **more)
    with pytest.raises(PoseMambaError, match="trc has no rig"):
        write_motion(tmp_path / "a", make_motion(), "trc", rig="unity")
    assert not list(tmp_path.iterdir())
