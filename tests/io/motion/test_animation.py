"""BVH and glTF read back by a small reader and forward kinematics that share nothing with the writers."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.feet import facing, put_on_feet
from posemamba.data.mocap.motions import load_motions
from posemamba.io.motion import write_motion
from posemamba.io.motion.bvh import euler_zxy
from posemamba.io.motion.common import y_up
from posemamba.io.motion.rig import make_rig
from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET, FEET_ANKLES, H36M17
from posemamba.utils.errors import PoseMambaError

Make = Callable[..., Poses3D]
JOINTS = H36M17.joints


def _turned(axis: str, degrees: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotation about one axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.zeros((len(degrees), 3, 3))
    i = "XYZ".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix[:, i, i] = 1
    matrix[:, j, j] = matrix[:, k, k] = c
    matrix[:, j, k], matrix[:, k, j] = -s, s
    return matrix


def _read_bvh(path: Path) -> tuple[dict[str, np.ndarray], float, np.ndarray]:
    """Places (F, 3) of nodes by name, an End Site as ``end of <its parent>``; seconds a frame; channels (F, C)."""
    head, motion = path.read_text(encoding="ascii").split("MOTION\n")
    frames, step, *lines = motion.splitlines()
    table = np.array([line.split() for line in lines], float)
    assert frames == f"Frames: {len(table)}"
    words = iter(head.split())
    assert next(words) == "HIERARCHY"
    places: dict[str, np.ndarray] = {}
    stack: list[tuple[str, np.ndarray, np.ndarray]] = []
    used, name = 0, ""
    for word in words:
        if word in ("ROOT", "JOINT"):
            name = next(words)
        elif word == "End":
            assert next(words) == "Site"
            name = f"end of {stack[-1][0]}"
        elif word == "{":
            assert next(words) == "OFFSET" and name not in places
            offset = np.array([float(next(words)) for _ in range(3)])
            above = stack[-1] if stack else ("", np.tile(np.eye(3), (len(table), 1, 1)), np.zeros((len(table), 3)))
            place, rotation = above[2] + above[1] @ offset, above[1]
            if not name.startswith("end of"):
                assert next(words) == "CHANNELS"
                for _ in range(int(next(words))):
                    channel, values = next(words), table[:, used]
                    used += 1
                    if channel.endswith("position"):
                        place = place + values[:, None] * np.eye(3)["XYZ".index(channel[0])]
                    else:
                        rotation = rotation @ _turned(channel[0], values)
            places[name] = place
            stack.append((name, rotation, place))
        else:
            assert word == "}"
            stack.pop()
    assert used == table.shape[1] and not stack
    return places, float(step.removeprefix("Frame Time: ")), table


def _bvh_joints(places: dict[str, np.ndarray]) -> np.ndarray:
    """(F, 17, 3)."""
    ends = {c: JOINTS[p] for p, c in H36M17.bones if JOINTS[c] not in places}
    return np.stack([places.get(n, places.get(f"end of {ends.get(j)}")) for j, n in enumerate(JOINTS)], 1)


class _Glb:
    """A file's JSON, arrays, and the places of its nodes over time."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length, size, kind = struct.unpack_from("<4sIII4s", data)
        assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON") and size % 4 == 0
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        binary, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0" and binary % 4 == 0 and len(data) == 28 + size + binary
        self.binary = data[28 + size :]
        assert self.json["buffers"] == [{"byteLength": binary}]
        (animation,) = self.json["animations"]
        samplers = animation["samplers"]
        (self.times,) = (self.array(i) for i in {s["input"] for s in samplers})
        moving = {
            (c["target"]["node"], c["target"]["path"]): self.array(samplers[c["sampler"]]["output"]).astype(float)
            for c in animation["channels"]
        }
        self.rotations = {node: q for (node, path), q in moving.items() if path == "rotation"}
        nodes = self.json["nodes"]
        self.matrices: dict[int, np.ndarray] = {}

        def walk(index: int, above: np.ndarray) -> None:
            matrix = np.tile(np.eye(4), (len(self.times), 1, 1))
            matrix[:, :3, 3] = moving.get((index, "translation"), nodes[index].get("translation", [0, 0, 0]))
            x, y, z, w = moving.get((index, "rotation"), np.tile([0, 0, 0, 1.0], (len(self.times), 1))).T
            matrix[:, :3, :3] = np.moveaxis(
                np.array(
                    [
                        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
                    ]
                ),
                -1,
                0,
            )
            self.matrices[index] = above @ matrix
            for child in nodes[index].get("children", []):
                walk(child, self.matrices[index])

        for root in self.json["scenes"][0]["nodes"]:
            walk(root, np.tile(np.eye(4), (len(self.times), 1, 1)))

    def array(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        kind = {5126: "<f4", 5121: "u1"}[accessor["componentType"]]
        raw = self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        values = np.frombuffer(raw, kind).reshape(accessor["count"], -1)
        if "min" in accessor:
            np.testing.assert_array_equal(values.min(0), accessor["min"])
            np.testing.assert_array_equal(values.max(0), accessor["max"])
        return values[:, 0] if accessor["type"] == "SCALAR" else values

    def joints(self) -> np.ndarray:
        names = [n["name"] for n in self.json["nodes"]]
        return np.stack([self.matrices[names.index(j)][:, :3, 3] for j in JOINTS], 1)


def _read(path: Path, name: str) -> np.ndarray:
    return _bvh_joints(_read_bvh(path)[0]) if name == "bvh" else _Glb(path).joints()


def _expected(motion: Poses3D) -> np.ndarray:
    """(F, 17, 3) with y up, each unseen frame as the one before it, or as the first seen one."""
    x, y, z = np.moveaxis(motion.xyz.astype(float), -1, 0)
    frames = list(np.stack([x, z, -y] if motion.frame == "world" else [x, -y, -z], -1))
    last = next(f for f in frames if np.isfinite(f).all())
    for i, frame in enumerate(frames):
        last = frames[i] = frame if np.isfinite(frame).all() else last
    return np.array(frames)


def _bones(xyz: np.ndarray) -> np.ndarray:
    """(F, 16, 3)."""
    return np.stack([xyz[:, child] - xyz[:, parent] for parent, child in H36M17.bones], 1)


def _compare(got: np.ndarray, expected: np.ndarray, spacing: float) -> None:
    """Bones point the same way, have their median length, and joints are off by the bones' difference at most.

    Args:
        spacing: how far numbers of that file are apart, metres.
    """
    bones, wanted = _bones(got), _bones(expected)
    length, real = np.linalg.norm(bones, axis=-1), np.linalg.norm(wanted, axis=-1)
    directions = np.linalg.norm(bones / length[..., None] - wanted / real[..., None], axis=-1)
    assert directions.max() < 40 * spacing
    np.testing.assert_allclose(length, np.broadcast_to(np.median(real, 0), length.shape), rtol=0, atol=5 * spacing)
    np.testing.assert_allclose(got[:, 0], expected[:, 0], rtol=0, atol=spacing)
    allowed = np.zeros(got.shape[:2])
    for k, (parent, child) in enumerate(H36M17.bones):
        allowed[:, child] = allowed[:, parent] + np.abs(length - real)[:, k]
    assert (np.linalg.norm(got - expected, axis=-1) <= allowed + 30 * spacing).all()


@pytest.mark.parametrize("name", ["bvh", "glb"])
@pytest.mark.parametrize("frame", ["world", "camera"])
def test_poses_come_back(make_motion: Make, tmp_path: Path, name: str, frame: Any) -> None:
    motion = make_motion(frame=frame)
    said = write_motion(tmp_path / "a", motion, name, world="camera")
    assert said[0].startswith("6 of 30 frames, in which the person was not seen, hold")
    _compare(_read(tmp_path / "a", name), _expected(motion), 2e-6)


@pytest.mark.parametrize("name", ["bvh", "glb"])
def test_real_motion_comes_back(make_motion: Make, tmp_path: Path, name: str, shared: Callable[..., Path]) -> None:
    motions = load_motions(shared("mocap"), "test")
    clip = max(
        range(len(motions)), key=lambda i: np.ptp(motions.clip(i)[:, 10, 2])
    )  # the head moves most: a somersault
    motion = make_motion(motions.clip(clip), missing=(0, 50, 51), fps=50)
    write_motion(tmp_path / "a", motion, name, world="camera")
    _compare(_read(tmp_path / "a", name), _expected(motion), 2e-6)


@pytest.mark.parametrize("name", ["bvh", "glb"])
def test_any_pose_comes_back(make_motion: Make, tmp_path: Path, name: str) -> None:
    """Bones in all directions, opposite to rest ones among them, and a joint on top of another."""
    random = np.random.default_rng(0)
    xyz = random.normal(size=(40, 17, 3))
    xyz[5] = -xyz[4]
    axes = np.eye(3)[random.integers(0, 3, (20, 16))] * random.choice([-1, 1], (20, 16, 1))
    for k, (parent, child) in enumerate(H36M17.bones):
        xyz[10:30, child] = xyz[10:30, parent] + 0.5 * axes[:, k]
    xyz[35, 3] = xyz[35, 2]  # a bone of no length: any direction is right
    motion = make_motion(xyz, missing=())
    write_motion(tmp_path / "a", motion, name, world="camera")
    got, expected = _read(tmp_path / "a", name), _expected(motion)
    assert np.isfinite(got).all()
    keep = np.arange(40) != 35
    bones, wanted = _bones(got)[keep], _bones(expected)[keep]
    bones, wanted = (b / np.linalg.norm(b, axis=-1, keepdims=True) for b in (bones, wanted))
    np.testing.assert_allclose(bones, wanted, rtol=0, atol=1e-5)


def test_bvh_rest_pose_and_rate(make_motion: Make, tmp_path: Path) -> None:
    motion = make_motion(missing=(), fps=30000 / 1001)
    (said,) = write_motion(tmp_path / "a.bvh", motion, "bvh", world="camera")
    assert said.startswith("lengths are metres, x right, y up, z towards the camera")
    _, step, table = _read_bvh(tmp_path / "a.bvh")
    assert step == pytest.approx(1001 / 30000, abs=1e-9)
    # the rest pose: all channels 0
    head, rest = (tmp_path / "a.bvh").read_text().split("MOTION\n")[0], " ".join(["0"] * table.shape[1])
    (tmp_path / "rest.bvh").write_text(f"{head}MOTION\nFrames: 1\nFrame Time: 1\n{rest}\n")
    joints = dict(zip(JOINTS, _bvh_joints(_read_bvh(tmp_path / "rest.bvh")[0])[0], strict=True))
    assert joints["left_wrist"][0] > joints["left_shoulder"][0] > 0.1 and joints["left_hip"][0] > 0
    assert joints["head_top"][1] > 0.5 and joints["right_ankle"][1] < -0.7
    assert max(abs(p[2]) for p in joints.values()) == 0


def test_bvh_of_uneven_times_is_resampled(make_motion: Make, tmp_path: Path) -> None:
    """A person who moves evenly along x, seen at uneven times, is at even places at even times."""
    times = np.array([2.0, 2.04, 2.06, 2.2, 2.24, 2.4])
    xyz = make_motion(missing=()).xyz[:1] + (times - 2)[:, None, None] * np.array([1, 0, 0])
    motion = make_motion(xyz, missing=(), times=times)
    assert "resampled from 6 uneven times to 11 frames, 25 a second" in write_motion(
        tmp_path / "a", motion, "bvh", world="camera"
    )
    places, step, _ = _read_bvh(tmp_path / "a")
    assert step == 0.04
    np.testing.assert_allclose(places["pelvis"][:, 0] - xyz[0, 0, 0], 0.04 * np.arange(11), atol=2e-6)
    with pytest.raises(PoseMambaError, match="2499999951 frames"):
        write_motion(tmp_path / "b", make_motion(xyz, missing=(), times=times * [1, 1, 1, 1, 1, 1e8 / 2.4]), "bvh")


def test_angles_do_not_jump() -> None:
    """A knee that bends through 90 degrees, where x is singular, with a little of y and z; and a body that spins."""
    t = np.linspace(0, 1, 400)
    bent = _turned("Z", 3 + 0 * t) @ _turned("X", 150 * t) @ _turned("Y", 2 - 5 * t)
    spun = _turned("Y", 1000 * t)
    for rotation in (bent, spun):
        z, x, y = euler_zxy(rotation).T
        np.testing.assert_allclose(_turned("Z", z) @ _turned("X", x) @ _turned("Y", y), rotation, atol=1e-6)
        assert max(np.abs(np.diff(a)).max() for a in (z, x, y)) < 3
    singular = _turned("Z", 40 + 0 * t) @ _turned("X", 90 + 0 * t) @ _turned("Y", 10 * t)
    z, x, y = euler_zxy(singular).T
    np.testing.assert_allclose(_turned("Z", z) @ _turned("X", x) @ _turned("Y", y), singular, atol=1e-6)


def test_glb_says_what_it_is_and_keeps_times(make_motion: Make, tmp_path: Path) -> None:
    times = 1 + np.cumsum(0.04 + 0.02 * np.sin(np.arange(30)))
    write_motion(tmp_path / "a.glb", make_motion(times=times), "glb")
    file = _Glb(tmp_path / "a.glb")
    np.testing.assert_array_equal(file.times, times.astype(np.float32))
    extras = file.json["asset"]["extras"]
    assert extras["units"] == "metres, seconds" and extras["axes"].startswith("x right, y up")
    assert (extras["frames"], extras["held_frames"], extras["frames_per_second"]) == (30, 6, 25.0)
    assert file.json["meshes"][0]["name"] == "person 2"
    for q in file.rotations.values():
        np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1, atol=1e-6)
        assert ((q[1:] * q[:-1]).sum(-1) > 0).all(), "neighbours take the long way round"


def test_glb_body_covers_the_bones(make_motion: Make, tmp_path: Path) -> None:
    """The skinned body, posed as a viewer does it, lies along the bones, and its triangles face outwards."""
    motion = make_motion()
    write_motion(tmp_path / "a.glb", motion, "glb")
    file = _Glb(tmp_path / "a.glb")
    skin = file.json["skins"][0]
    unbind = file.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    frame, tips = 15, []
    for primitive in file.json["meshes"][0]["primitives"]:
        parts = {name: file.array(index) for name, index in primitive["attributes"].items()}
        np.testing.assert_array_equal(parts["WEIGHTS_0"], np.tile([1, 0, 0, 0], (len(parts["WEIGHTS_0"]), 1)))
        owners = parts["JOINTS_0"][:, 0]
        point = np.concatenate([parts["POSITION"], np.ones((len(owners), 1))], 1)
        pose = np.array([file.matrices[skin["joints"][i]][frame] @ unbind[i] for i in owners])
        posed = np.einsum("vij,vj->vi", pose, point)[:, :3]
        for owner in np.unique(owners):
            mine = owners == owner
            corners = parts["POSITION"][mine].reshape(-1, 3, 3)
            outwards = corners.mean(1) - np.unique(corners.reshape(-1, 3), axis=0).mean(0)
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            assert ((normals * outwards).sum(-1) > 0).all()
            given = parts["NORMAL"][mine].reshape(-1, 3, 3)[:, 0]
            np.testing.assert_allclose(given, normals / np.linalg.norm(normals, axis=-1, keepdims=True), atol=1e-4)
            tips += [posed[mine][0], posed[mine].reshape(-1, 3, 3)[1, 0]]
    joints = file.joints()[frame]
    for parent, child in H36M17.bones:
        ends = [np.linalg.norm(np.array(tips) - joints[j], axis=-1).min() for j in (parent, child)]
        assert max(ends) < 1e-5


@pytest.mark.parametrize("name", ["bvh", "glb"])
def test_feet_turn_at_the_ankles(make_motion: Make, tmp_path: Path, name: str) -> None:
    """Heels and tips are where they were, by forward kinematics; a lost foot keeps its angle against the shank."""
    motion = make_motion(missing=())
    bent = np.linspace(-35, 25, 30)
    bent[20:23] = bent[19]
    feet = put_on_feet(motion.xyz, facing(motion.xyz), bent)
    known = feet.astype(np.float32)
    known[20:23, 2] = np.nan  # without its heel a foot has no angle
    said = write_motion(tmp_path / "a", replace(motion, feet=known), name)
    assert any(line.startswith("3 of 30 frames, in which a foot was not seen") for line in said)
    if name == "bvh":
        places = _read_bvh(tmp_path / "a")[0]
        got = [places[f"end of {ankle}_to_{point}"] for ankle, point in _feet_nodes()]
    else:
        file = _Glb(tmp_path / "a")
        names = [node["name"] for node in file.json["nodes"]]
        got = [file.matrices[names.index(point)][:, :3, 3] for _, point in _feet_nodes()]
    ankles = _read(tmp_path / "a", name)[:, list(FEET_ANKLES)]
    expected = feet - motion.xyz[:, list(FEET_ANKLES)]
    expected = np.stack([expected[..., 0], expected[..., 2], -expected[..., 1]], -1)
    off = np.linalg.norm(np.stack(got, 1) - ankles - expected, axis=-1)
    seen = np.delete(np.arange(30), range(20, 23))
    assert off[seen].max() < 2e-3  # the shank's length varies by as much
    assert off[20:23].max() < 0.02


def _feet_nodes() -> list[tuple[str, str]]:
    return [(JOINTS[ankle], point) for ankle, point in zip(FEET_ANKLES, FEET, strict=True)]


def test_a_foot_that_was_never_seen_is_as_long_as_the_other(make_motion: Make, tmp_path: Path) -> None:
    motion = make_motion(missing=())
    feet = put_on_feet(motion.xyz, facing(motion.xyz)).astype(np.float32)
    feet[:, 2:] = np.nan
    write_motion(tmp_path / "a", replace(motion, feet=feet), "bvh")
    places = _read_bvh(tmp_path / "a")[0]
    left, right = (places[f"end of {s}_ankle_to_{s}_toe"] - places[f"{s}_ankle"] for s in ("left", "right"))
    assert np.isfinite(left).all()
    np.testing.assert_allclose(np.linalg.norm(left, axis=-1), np.linalg.norm(right, axis=-1), atol=1e-5)


@pytest.mark.parametrize("name", ["bvh", "glb"])
@pytest.mark.parametrize("lost", ["heel", "toe"])
def test_ends_of_feet_that_neither_side_showed_have_the_length_of_a_level_sole(
    make_motion: Make, tmp_path: Path, name: str, lost: str
) -> None:
    motion = make_motion(missing=())
    feet = put_on_feet(motion.xyz, facing(motion.xyz)).astype(np.float32)
    feet[:, [i for i, point in enumerate(FEET) if point.endswith(lost)]] = np.nan
    write_motion(tmp_path / "a", replace(motion, feet=feet), name)
    rig = make_rig(np.concatenate([y_up(motion), y_up(motion, feet)], 1))
    ends = {rig.skeleton.joints[n.target]: end for n, end in zip(rig.nodes, rig.ends, strict=True) if n.target}
    for side in ("left", "right"):
        heel, toe = ends[f"{side}_heel"], ends[f"{side}_toe"]
        assert heel[1] == pytest.approx(toe[1]) and heel[1] < -0.02
    assert np.isfinite(rig.rotations).all()
