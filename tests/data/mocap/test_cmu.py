"""The CMU database's files, on a skeleton whose joints can be said by hand."""

from pathlib import Path

import numpy as np
import pytest

from posemamba.data.mocap.cmu import convert, joints, read_amc, read_asf
from posemamba.data.mocap.motions import load_motions, read_motions
from posemamba.utils.errors import PoseMambaError

# name: parent, direction, length in the file's unit, axis in degrees, free angles
BONES = {
    "lhipjoint": ("root", (1, 0, 0), 2, (0, 0, 0), ""),
    "lfemur": ("lhipjoint", (0, -1, 0), 8, (0, 0, 20), "rx ry rz"),
    "ltibia": ("lfemur", (0, -1, 0), 8, (0, 0, 20), "rx"),
    "rhipjoint": ("root", (-1, 0, 0), 2, (0, 0, 0), ""),
    "rfemur": ("rhipjoint", (0, -1, 0), 8, (0, 0, -20), "rx ry rz"),
    "rtibia": ("rfemur", (0, -1, 0), 8, (0, 0, -20), "rx"),
    "lowerback": ("root", (0, 1, 0), 2, (0, 0, 0), "rx ry rz"),
    "upperback": ("lowerback", (0, 1, 0), 2, (0, 0, 0), ""),
    "thorax": ("upperback", (0, 1, 0), 2, (0, 0, 0), ""),
    "lowerneck": ("thorax", (0, 1, 0), 1, (0, 0, 0), "rz"),
    "upperneck": ("lowerneck", (0, 1, 0), 1, (0, 0, 0), ""),
    "head": ("upperneck", (0, 1, 0), 2, (0, 0, 0), ""),
    "lclavicle": ("thorax", (1, 0, 0), 3, (0, 0, 0), ""),
    "lhumerus": ("lclavicle", (1, 0, 0), 5, (0, 0, 0), "rx ry rz"),
    "lradius": ("lhumerus", (1, 0, 0), 4, (0, 0, 0), "ry"),
    "lwrist": ("lradius", (1, 0, 0), 1, (0, 0, 0), ""),
    "rclavicle": ("thorax", (-1, 0, 0), 3, (0, 0, 0), ""),
    "rhumerus": ("rclavicle", (-1, 0, 0), 5, (0, 0, 0), ""),
    "rradius": ("rhumerus", (-1, 0, 0), 4, (0, 0, 0), ""),
    "rwrist": ("rradius", (-1, 0, 0), 1, (0, 0, 0), ""),
}
UNIT = 0.0254 / 0.45


def asf() -> str:
    bones = "".join(
        f"  begin\n id 1\n name {name}\n direction {d[0]} {d[1]} {d[2]}\n length {length}\n"
        f" axis {a[0]} {a[1]} {a[2]} XYZ\n" + (f" dof {free}\n limits (-1 1)\n" if free else "") + "  end\n"
        for name, (_, d, length, a, free) in BONES.items()
    )
    hangs = "".join(f"  {parent} {name}\n" for name, (parent, *_) in BONES.items())
    return (
        "# made up\n:units\n mass 1.0\n length 0.45\n angle deg\n:root\n order TX TY TZ RX RY RZ\n"
        f":bonedata\n{bones}:hierarchy\n begin\n{hangs} end\n"
    )


def amc(frames: int, step: float = 0.0, **angles: str) -> str:
    free = {name: " ".join(["0"] * len(bone[4].split())) for name, bone in BONES.items() if bone[4]} | angles
    said = "".join(f"{name} {numbers}\n" for name, numbers in free.items())
    return "#!OML\n:FULLY-SPECIFIED\n:DEGREES\n" + "".join(
        f"{f + 1}\nroot {step * f} 17 0 0 0 0\n{said}" for f in range(frames)
    )


def posed(folder: Path, **angles: str) -> np.ndarray:
    (folder / "05.asf").write_text(asf())
    (folder / "05_01.amc").write_text(amc(1, **angles))
    skeleton = read_asf(folder / "05.asf")
    return joints(skeleton, read_amc(folder / "05_01.amc", skeleton))[0] / UNIT


def test_joints_of_a_skeleton_and_its_angles(tmp_path: Path) -> None:
    rest = posed(tmp_path)  # x to the left, y away from the face, z up
    expected = [(0, 17), (-2, 17), (-2, 9), (-2, 1), (2, 17), (2, 9), (2, 1), (0, 19.8), (0, 24), (0, 25.6), (0, 28)]
    arms = [(3, 23), (8, 23), (13, 23), (-3, 23), (-8, 23), (-13, 23)]
    np.testing.assert_allclose(rest[:, [0, 2]], np.array(expected + arms), atol=1e-9)
    np.testing.assert_allclose(rest[:, 1], 0, atol=1e-9)
    # the bone's own frame is turned by 20 degrees about the way forward, and -90 about its x lift the shin backwards
    bent = posed(tmp_path, ltibia="-90")
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    np.testing.assert_allclose((bent[6] - bent[5]) / 8, [-s * c, -c, -s * s], atol=1e-9)
    np.testing.assert_allclose(np.delete(bent, 6, 0), np.delete(rest, 6, 0), atol=1e-9)
    # an elbow turned about y (up): the forearm swings forward or back, with all that hangs on it
    arm = posed(tmp_path, lradius="90")
    np.testing.assert_allclose(arm[12], rest[12], atol=1e-9)
    np.testing.assert_allclose(arm[13], [8, 5, 23], atol=1e-9)


def test_a_folder_becomes_a_file_to_train_on(mocap_files: Path, tmp_path: Path) -> None:
    database = tmp_path / "subjects"
    for subject, takes in {"05": (240, 100), "49": (240,), "86": (480,)}.items():
        folder = database / subject
        folder.mkdir(parents=True)
        (folder / f"{subject}.asf").write_text(asf())
        for take, frames in enumerate(takes, 1):
            (folder / f"{subject}_{take:02d}.amc").write_text(amc(frames, step=0.05))
    jump = (database / "86" / "86_01.amc").read_text().replace("root 12.0 17", "root 12.0 37")  # frame 240 of 480
    (database / "86" / "86_01.amc").write_text(jump)
    said: list[str] = []
    assert convert(database, tmp_path / "more.npz", known={"cmu_05_03"}, say=said.append) == 3
    assert [line.split(",")[0] for line in said] == ["05_02.amc: left out", "49_01.amc: left out"]
    more = read_motions(tmp_path / "more.npz")
    assert more.names == ("cmu_05_01", "cmu_86_01#0", "cmu_86_01#1") and more.subjects[1] == "cmu_86"
    assert more.fps == 50 and more.lengths[0] == 100
    np.testing.assert_allclose(more.clip(0)[50, 1] - more.clip(0)[0, 1], [0.05 * 120 * UNIT, 0, 0], atol=2e-3)
    plain = load_motions(mocap_files, "train")
    assert len(load_motions(mocap_files, "train", [tmp_path / "more.npz"])) == len(plain) + 3


def test_files_that_are_wrong_are_named(tmp_path: Path) -> None:
    def refused(said: str, **files: str) -> None:
        for name in ("05.asf", "05_01.amc"):
            (tmp_path / name).unlink(missing_ok=True)
        for name, text in {"asf": asf(), "amc": amc(200), **files}.items():
            if text:
                (tmp_path / {"asf": "05.asf", "amc": "05_01.amc"}[name]).write_text(text)
        with pytest.raises(PoseMambaError, match=said) as caught:
            convert(tmp_path, tmp_path / "out.npz")
        assert str(tmp_path) in str(caught.value) and not (tmp_path / "out.npz").exists()

    refused("no motions in it", amc="")
    refused("its skeleton 05.asf is not beside it", asf="")
    refused("angles that are not degrees", asf=asf().replace("angle deg", "angle rad"))
    refused("expected XYZ", asf=asf().replace("XYZ", "ZYX"))
    refused("not a skeleton of the CMU database", asf="hello")
    refused(
        "has no bone 'lowerneck'", asf=asf().replace("lowerneck", "neck"), amc=amc(200).replace("lowerneck", "neck")
    )
    refused("line 7: 2 numbers for 'ltibia', the skeleton has 1", amc=amc(200, ltibia="1 2"))
    refused("cut short", amc="\n".join(amc(200).splitlines()[:-2]))
    refused("could not convert", amc=amc(200, ltibia="x"))
    refused("bone 'tail'", amc=amc(200, tail="1"))
