"""BVH files: joints that can be said by hand, this package's own files, other programs' names, and whole folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemamba import cli
from posemamba.data.mocap.bvh import convert, find_joints, read_bvh, up_axis
from posemamba.data.mocap.motions import load_motions, read_motions
from posemamba.demo.walker import walk
from posemamba.io.motion.bvh import write_bvh
from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError

# name: parent, offset in centimetres, the order of its turns; y up, z where the face looks
NODES = {
    "Hips": ("", (0, 0, 0), "ZYX"),
    "Spine": ("Hips", (0, 10, 0), "XYZ"),
    "Spine1": ("Spine", (0, 20, 0), "ZXY"),
    "Neck": ("Spine1", (0, 20, 0), "ZXY"),
    "Head": ("Neck", (0, 10, 0), "ZXY"),
}
for side, x in (("Left", 1), ("Right", -1)):
    NODES |= {
        f"{side}Shoulder": ("Spine1", (5 * x, 15, 0), "ZXY"),
        f"{side}Arm": (f"{side}Shoulder", (12 * x, 0, 0), "ZXY"),
        f"{side}ForeArm": (f"{side}Arm", (28 * x, 0, 0), "YXZ"),
        f"{side}Hand": (f"{side}ForeArm", (25 * x, 0, 0), "ZXY"),
        f"{side}UpLeg": ("Hips", (10 * x, 0, 0), "ZXY"),
        f"{side}Leg": (f"{side}UpLeg", (0, -42, 0), "XYZ"),
        f"{side}Foot": (f"{side}Leg", (0, -41, 0), "ZXY"),
    }
ENDS = {"Head": (0, 18, 0), "LeftHand": (20, 0, 0), "RightHand": (-20, 0, 0), "LeftFoot": (0, -5, 15)}
REST = np.array(  # metres, x to the left, y away from the face, z up
    [
        *([0, 0, 0.95], [-0.1, 0, 0.95], [-0.1, 0, 0.53], [-0.1, 0, 0.12], [0.1, 0, 0.95], [0.1, 0, 0.53]),
        # 0.47 of the 0.5 m from pelvis to thorax; above the head's joint by 0.035 and 0.177 of legs of 0.83 m
        *([0.1, 0, 0.12], [0, 0, 1.185], [0, 0, 1.45], [0, 0, 1.55 + 0.035 * 0.83], [0, 0, 1.55 + 0.177 * 0.83]),
        *([0.17, 0, 1.4], [0.45, 0, 1.4], [0.7, 0, 1.4], [-0.17, 0, 1.4], [-0.45, 0, 1.4], [-0.7, 0, 1.4]),
    ]
)
PROGRAMS = {  # hip, knee, ankle, clavicle, shoulder, elbow, wrist of a side; the neck's (last) joint, head
    "MotionBuilder": "{side}UpLeg {side}Leg {side}Foot {side}Shoulder {side}Arm {side}ForeArm {side}Hand Neck Head",
    "Mixamo": "mixamorig:{side}UpLeg mixamorig:{side}Leg mixamorig:{side}Foot mixamorig:{side}Shoulder "
    "mixamorig:{side}Arm mixamorig:{side}ForeArm mixamorig:{side}Hand mixamorig:Neck mixamorig:Head",
    "Biped": "Bip01_{s}_Thigh Bip01_{s}_Calf Bip01_{s}_Foot Bip01_{s}_Clavicle Bip01_{s}_UpperArm Bip01_{s}_Forearm "
    "Bip01_{s}_Hand Bip01_Neck Bip01_Head",
    "Character Creator": "CC_Base_{s}_Thigh CC_Base_{s}_Calf CC_Base_{s}_Foot CC_Base_{s}_Clavicle "
    "CC_Base_{s}_Upperarm CC_Base_{s}_Forearm CC_Base_{s}_Hand CC_Base_NeckTwist01 CC_Base_Head",
    "CMU": "{side}UpLeg {side}Leg {side}Foot {side}Shoulder {side}Arm {side}ForeArm {side}Hand Neck1 Head",
    "ASF": "{l}femur {l}tibia {l}foot {l}clavicle {l}humerus {l}radius {l}hand upperneck head",
    "MakeHuman": "{l}hip {l}knee {l}foot {l}collar {l}shoulder {l}elbow {l}hand neck1 head",
    "Poser": "{l}Thigh {l}Shin {l}Foot {l}Collar {l}Shldr {l}ForeArm {l}Hand neck head",
    "Daz": "{l}ThighBend {l}Shin {l}Foot {l}Collar {l}ShldrBend {l}ForearmBend {l}Hand neckUpper head",
    "Rigify": "thigh.{s} shin.{s} foot.{s} shoulder.{s} upper_arm.{s} forearm.{s} hand.{s} neck head",
    "Unreal": "thigh_{l} calf_{l} foot_{l} clavicle_{l} upperarm_{l} lowerarm_{l} hand_{l} neck_01 head",
    "Xsens": "{side}UpperLeg {side}LowerLeg {side}Foot {side}Shoulder {side}UpperArm {side}ForeArm {side}Hand "
    "Neck Head",
    "others": "{side}Hip {side}Knee {side}Ankle {side}Collar {side}Shoulder {side}Elbow {side}Wrist Neck Head",
}
PARTS = ("hip", "knee", "ankle", "clavicle", "shoulder", "elbow", "wrist", "neck", "head")
OTHERS = {"CMU": ["LHipJoint", "RHipJoint", "LowerBack", "Spine", "Spine1", "Neck"], "MakeHuman": ["neck", "lbuttock"]}


def bvh(frames: list[dict[str, tuple[float, float, float]]], fps: float = 30.0, size: float = 1.0) -> str:
    """A file of NODES; a frame has degrees in the order of a node's channels, and centimetres of the root's ``at``."""

    def node(name: str) -> str:
        parent, offset, order = NODES[name]
        place = "" if parent else "Xposition Yposition Zposition "
        below = [node(other) for other, (above, *_) in NODES.items() if above == name]
        below += [f"End Site\n{{\nOFFSET {numbers(ENDS[name])}\n}}\n"] if name in ENDS else []
        below += ["End Site\n{\nOFFSET 0 0 0\n}\n"] if not below else []
        channels = f"CHANNELS {3 if parent else 6} {place}{' '.join(f'{axis}rotation' for axis in order)}"
        kind = "JOINT" if parent else "ROOT"
        return f"{kind} {name}\n{{\nOFFSET {numbers(offset)}\n{channels}\n{''.join(below)}}}\n"

    def numbers(values: tuple[float, ...]) -> str:
        return " ".join(f"{value * size:g}" for value in values)

    hierarchy = node("Hips")
    named = [line.split()[1] for line in hierarchy.splitlines() if line.startswith(("ROOT", "JOINT"))]
    rows = [
        f"{numbers(frame.get('at', (0, 95, 0)))} "
        + " ".join(f"{angle:g}" for name in named for angle in frame.get(name, (0, 0, 0)))
        for frame in frames
    ]
    return f"HIERARCHY\n{hierarchy}MOTION\nFrames: {len(rows)}\nFrame Time: {1 / fps:.8f}\n" + "\n".join(rows) + "\n"


def moving(frames: int = 90, fps: float = 30.0, size: float = 1.0) -> str:
    """A body that goes 1 cm to its left in each frame."""
    return bvh([{"at": (f, 95, 0)} for f in range(frames)], fps, size)


def test_joints_of_a_body_and_its_angles(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(
        bvh([{}, {"LeftLeg": (90, 0, 0), "LeftForeArm": (-90, 0, 30)}, {"Hips": (0, 90, 30), "at": (20, 95, -30)}])
    )
    (rest, bent, turned), fps, unit = read_bvh(tmp_path / "a.bvh")
    assert fps == pytest.approx(30) and unit == "cm"
    np.testing.assert_allclose(rest, REST, atol=1e-9)
    # the shin points back; the forearm, lifted by 30 degrees, then swung ahead
    np.testing.assert_allclose(bent[6], [0.1, 0.41, 0.53], atol=1e-9)
    np.testing.assert_allclose(bent[13], [0.45, -0.25 * np.cos(np.radians(30)), 1.4 + 0.125], atol=1e-9)
    np.testing.assert_allclose(np.delete(bent, [6, 13], 0), np.delete(REST, [6, 13], 0), atol=1e-9)
    # bent ahead by 30 degrees, then turned to the left, which is x
    c, s = np.cos(np.radians(30)), 0.5
    np.testing.assert_allclose(turned[0], [0.2, 0.3, 0.95], atol=1e-9)
    about = REST - REST[0]
    expected = np.stack([about[:, 2] * s - about[:, 1] * c, about[:, 0], about[:, 2] * c], -1)
    np.testing.assert_allclose(turned - turned[0], expected, atol=1e-9)


def test_units_axes_and_prefixes_change_nothing(tmp_path: Path) -> None:
    def joints(text: str, unit: float | None = None) -> tuple[np.ndarray, str]:
        (tmp_path / "a.bvh").write_text(text)
        xyz, _, said = read_bvh(tmp_path / "a.bvh", unit=unit)
        return xyz, said

    plain = bvh([{}])
    for size, name in ((10, "mm"), (0.01, "m"), (1 / 2.54, "inch"), (0.45 / 2.54, "the CMU database's unit")):
        xyz, said = joints(bvh([{}], size=size))
        assert said == name
        np.testing.assert_allclose(xyz[0], REST, atol=1e-4)
    np.testing.assert_allclose(joints(plain, unit=0.012)[0][0], 1.2 * REST, atol=1e-9)
    lies = bvh([{"Hips": (0, 0, 90), "at": (0, 0, 95)}])  # y up at rest, z up when it moves
    np.testing.assert_allclose(joints(lies)[0][0], REST, atol=1e-9)
    for prefix in ("mixamorig:", "Bip01 ", "Bip001_", "somebody:"):  # one with a space; and arms wider than the body
        wide = plain.replace("OFFSET 20 0 0", "OFFSET 90 0 0").replace("OFFSET -20 0 0", "OFFSET -90 0 0")
        named = wide.replace("JOINT ", f"JOINT {prefix}").replace("ROOT ", f"ROOT {prefix}")
        np.testing.assert_allclose(joints(named)[0][0], REST, atol=1e-9)


@pytest.mark.parametrize("kept", ["in place of the offset", "beside the offset"])
def test_positions_at_every_joint(tmp_path: Path, kept: str) -> None:
    """Blender and Xsens write six channels at each joint; a bone may grow."""
    frames = [{}, {"LeftLeg": (90, 0, 0)}, {"Hips": (0, 90, 30), "LeftUpLeg": (20, 40, 10), "at": (20, 95, -30)}]
    (tmp_path / "plain.bvh").write_text(bvh(frames))
    hierarchy, _, motion = bvh(frames).partition("MOTION")
    names = [line.split()[1] for line in hierarchy.splitlines() if line.startswith(("ROOT", "JOINT"))]
    head = hierarchy.replace("CHANNELS 3 ", "CHANNELS 6 Xposition Yposition Zposition ")
    rows = np.array([line.split() for line in motion.strip().splitlines()[2:]], float)
    columns = [rows[:, :6]]
    for i, name in enumerate(names[1:]):
        offset = np.tile(NODES[name][1], (3, 1)).astype(float)
        if kept == "beside the offset":
            offset[:] = 0
        if name == "LeftHand":
            offset[2] += [5, 0, 0]
        columns += [offset, rows[:, 6 + 3 * i : 9 + 3 * i]]
    lines = "\n".join(" ".join(f"{x:.9g}" for x in row) for row in np.concatenate(columns, 1))
    frame_time = "MOTION\nFrames: 3\nFrame Time: 0.03333333\n"
    (tmp_path / "six.bvh").write_text(head + frame_time + lines)
    plain, six = read_bvh(tmp_path / "plain.bvh")[0], read_bvh(tmp_path / "six.bvh")[0]
    longer = np.linalg.norm(six[:, 13] - six[:, 12], axis=-1)
    np.testing.assert_allclose(longer, [0.25, 0.25, 0.30], atol=1e-6)
    np.testing.assert_allclose(np.delete(six, 13, 1), np.delete(plain, 13, 1), atol=1e-6)


def test_a_reference_above_the_hips_is_followed(tmp_path: Path) -> None:
    """3ds Max and Unreal put the hips, with positions, below a root that stands still."""
    hierarchy, _, motion = moving(3).partition("MOTION")
    below = hierarchy.replace("HIERARCHY\nROOT Hips", "JOINT Hips")
    root = "ROOT reference\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation\n"
    lines = motion.strip().splitlines()
    rows = "\n".join(f"0 0 0 0 0 0 {line}" for line in lines[2:])
    (tmp_path / "a.bvh").write_text(f"HIERARCHY\n{root}{below}}}\nMOTION\n" + "\n".join(lines[:2]) + "\n" + rows)
    xyz = read_bvh(tmp_path / "a.bvh")[0]
    np.testing.assert_allclose(xyz[:, 0, 0], [0, 0.01, 0.02], atol=1e-9)
    np.testing.assert_allclose(xyz[0], REST, atol=1e-9)


def test_who_lies_all_the_time_is_righted_by_the_rest_pose() -> None:
    lying = REST[None, :, [0, 2, 1]] + 0.7 * REST[None, :, [0, 1, 2]]
    assert up_axis(REST[None]) == "+z" and up_axis(-REST[None]) == "-z"
    assert up_axis(lying, REST[None]) == "+z"


def test_own_files_come_back(tmp_path: Path) -> None:
    """Bones of the walker have constant lengths, so that a file that it is written to has all of it."""
    xyz = np.asarray(walk(60, 50.0, seed=3), np.float32)
    seen = np.ones(60, bool)
    keypoints = Keypoints2D(np.zeros((60, 17, 2)), np.ones((60, 17)), H36M17, (640, 480), 50.0)
    poses = NetworkPoses(xyz, keypoints.confidence, seen, keypoints)
    write_bvh(tmp_path / "own.bvh", Poses3D(xyz, seen, "metre", "world", True, poses))
    found, fps, unit = read_bvh(tmp_path / "own.bvh")
    assert found.shape == (60, 17, 3) and fps == pytest.approx(50) and unit == "m"
    assert np.linalg.norm(np.ptp(xyz[:, 0], axis=0)) > 0.3
    np.testing.assert_allclose(found, xyz, atol=1e-4)


@pytest.mark.parametrize("program", PROGRAMS)
def test_names_of_programs(program: str) -> None:
    sides = [dict(side=side, s=side[0], l=side[0].lower()) for side in ("Left", "Right")]
    known = {side["side"].lower(): PROGRAMS[program].format(**side).split() for side in sides}
    names = ["Hips", *OTHERS.get(program, []), *dict.fromkeys(known["right"] + known["left"])]
    if program == "Biped":
        names = [name.replace("_", " ") for name in names]
    found = find_joints(names)
    for side, said in known.items():
        for part, name in zip(PARTS, said, strict=True):
            if part != "clavicle":
                at = found[part if part in ("neck", "head") else f"{side}_{part}"]
                assert names[at].replace(" ", "_") == name, (side, part)


def test_a_folder_becomes_a_file_to_train_on(mocap_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "more.npz"
    assert convert(mocap_folder, out, known={"cmu_05_03"}, licence="none", say=said.append) == 4
    assert [line.split(":")[0] for line in said] == [
        *("02_01.bvh", "05_03.bvh", "49_01_walk.bvh", "left out", "left out", "short.bvh", "units of length")
    ]
    assert "broken.bvh: not a BVH file that can be read" in said[3] and "no left hip" in said[4]
    assert said[-1] == "units of length: cm (4 of the files), m (1 of the files)"
    more = read_motions(out)
    assert more.names == ("anna_kick", "anna_walk", "bert_walk", "cmu_05_02") and more.fps == 50
    assert more.subjects == ("anna", "anna", "bert", "cmu_05")
    assert more.lengths.tolist() == [149, 149, 149, 149]  # 89 steps of 1/30 s are 148 of 1/50 s
    np.testing.assert_allclose(more.clip(1)[100, 0] - more.clip(1)[50, 0], [0.3, 0, 0], atol=2e-3)
    with np.load(out) as file:
        assert str(file["licence"]) == "none"
    assert convert(mocap_folder, out, subject="carl", cmu=False) == 7
    assert set(read_motions(out).subjects) == {"carl"} and "carl_49_01_walk" in read_motions(out).names


@pytest.fixture
def mocap_folder(tmp_path: Path) -> Path:
    """Seven motions of 90 frames, four of them by the CMU database's names, one too short, and two files of no use."""
    folder = tmp_path / "motions"
    for who in ("cmu", "anna", "bert"):
        (folder / who).mkdir(parents=True)
    for name in ("cmu/02_01", "cmu/49_01_walk", "cmu/05_02", "cmu/05_03", "anna/walk", "anna/kick"):
        (folder / f"{name}.bvh").write_text(moving())
    (folder / "bert" / "walk.BVH").write_text(moving(size=0.01))
    (folder / "cmu" / "short.bvh").write_text(moving(20))
    (folder / "cmu" / "broken.bvh").write_text(moving()[:900])
    (folder / "cmu" / "cat.bvh").write_text(moving().replace("LeftUpLeg", "Paw"))
    return folder


def test_what_cannot_be_taken_is_named(tmp_path: Path) -> None:
    out, folder = tmp_path / "out.npz", tmp_path / "in"
    folder.mkdir()

    def refused(message: str, unit: float | None = None) -> list[str]:
        said: list[str] = []
        with pytest.raises(PoseMambaError, match=message) as caught:
            convert(folder, out, unit=unit, say=said.append)
        assert str(folder) in str(caught.value) and not out.exists()
        return said

    refused("no BVH files in it")
    (folder / "giant.bvh").write_text(moving(size=0.0003))
    assert "nobody's" in refused("nothing of its 1 files is left")[0]
    (folder / "giant.bvh").write_text(moving())
    assert "legs of 83 m are nobody's: --unit 1" in refused("nothing of its 1 files is left", unit=1.0)[0]
    for unit in (0.0, -1.0, 100.0, float("nan")):
        refused("--unit is", unit=unit)
    for text in ("", "hello", moving()[:-40], moving().replace("Frame Time: 0.03", "Frame Time: -0.03")):
        (folder / "giant.bvh").write_text(text)
        said = refused("nothing of its 1 files is left")
        assert len(said) == 1 and "giant.bvh: " in said[0] and "\n" not in said[0]


def test_the_command(mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "more.npz"
    command = ["data", "bvh", str(mocap_folder / "anna"), str(out), "--unit", "0.012", "--subject", "dora"]
    assert cli.main([*command, "--licence", "mine", "--no-cmu"]) == 0
    said = capsys.readouterr().out
    assert "units of length: given (2 of the files)" in said and "2 clips; list it in a recipe's data.extra" in said
    more = read_motions(out)
    assert more.subjects == ("dora", "dora")
    np.testing.assert_allclose(more.clip(0)[9, 0, 2], 1.2 * 0.95, atol=1e-3)
    shins = np.linalg.norm(more.clip(0)[:, 3] - more.clip(0)[:, 2], axis=-1)
    np.testing.assert_allclose(shins, 1.2 * 0.41, atol=2e-3)
    out.unlink()
    assert cli.main([*command, "--data", str(tmp_path)]) == 2
    assert "no motion capture files" in capsys.readouterr().err and not out.exists()


def test_motions_are_put_on_bodies_by_turns(mocap_folder: Path, tmp_path: Path) -> None:
    bodies = [np.full(17, 0.3), np.full(17, 0.4)]
    assert convert(mocap_folder / "anna", tmp_path / "more.npz", bodies=bodies) == 2
    more = read_motions(tmp_path / "more.npz")
    for clip, length in ((0, 0.3), (1, 0.4)):
        bone = more.clip(clip)[:, 13] - more.clip(clip)[:, 12]
        np.testing.assert_allclose(np.linalg.norm(bone, axis=-1), length, atol=2e-3)


@pytest.mark.slow
def test_it_can_be_trained_on(mocap_files: Path, mocap_folder: Path, tmp_path: Path) -> None:
    assert convert(mocap_folder, tmp_path / "more.npz") == 5
    more = load_motions(mocap_files, "train", [tmp_path / "more.npz"])
    assert len(more) == len(load_motions(mocap_files, "train")) + 5
    assert more.positions.shape[1:] == (len(H36M17.joints), 3)
