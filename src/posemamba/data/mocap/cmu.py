"""More motion capture: files of the CMU Graphics Lab Motion Capture Database (ASF and AMC) to Human3.6M's 17 joints.

The database (mocap.cs.cmu.edu) has a skeleton for each subject, ``NN.asf``, and motions of it, ``NN_MM.amc``; its files
are free for all uses. The result is an npz file of `posemamba.data.mocap.motions`'s layout, to train on by
``data.extra``.

Formats: the skeleton gives each bone a direction, a length, an axis (Euler angles of the frame in which its joint
turns) and the angles that are free; the motion gives these for each frame, degrees, and the root's place. A rotation by
angles x, y, z is R = Rz Ry Rx. Lengths are inches divided by the file's ``length``.

Where Human3.6M's joints lie on these skeletons was fitted to `cmu_amc.npz`, with the AMC files that it was made from:
they agree to within 1 mm, the step of its float16.

Shapes: F frames, 17 joints; metres, z up.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from posemamba.data.mocap.extra import Array, Collection, Say, resampled
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading

LICENCE = (
    "CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu: free for all uses; may be included in "
    "commercially-sold products, may not be resold directly, even in converted form"
)
_INCH = 0.0254
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # from y up


@dataclass(frozen=True)
class Bone:
    """One bone of a skeleton.

    Attributes:
        parent: the bone that it hangs on.
        offset: (3,) metres from its joint to its far end, in the skeleton's rest pose, y up.
        axis: (3, 3) the frame in which its joint turns.
        free: which of x, y and z its joint turns about, in the order of the motion's numbers.
    """

    parent: str
    offset: Array
    axis: Array
    free: str


@dataclass(frozen=True)
class AsfSkeleton:
    """A subject's skeleton: bones by name, parents first, and metres for each unit of the files."""

    bones: dict[str, Bone]
    scale: float


def _turn(degrees: Array) -> Array:
    """(..., 3, 3) rotations by (..., 3) angles about the fixed axes x, then y, then z."""
    flat = Rotation.from_euler("xyz", degrees.reshape(-1, 3), degrees=True).as_matrix()
    return np.asarray(flat).reshape(*degrees.shape[:-1], 3, 3)


def read_asf(path: Path) -> AsfSkeleton:
    """Read a skeleton.

    Raises:
        PoseMambaError: not an ASF file, or one that this reader does not know (radians, another order of angles).
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        unit = re.search(r"^[ \t]*length[ \t]+([\d.]+)", text, re.MULTILINE)
        if unit is None or not re.search(r"^[ \t]*angle[ \t]+deg", text, re.MULTILINE):
            raise ValueError("no unit of length, or angles that are not degrees")
        scale = _INCH / float(unit[1])
        data, hierarchy = text.split(":bonedata")[1].split(":hierarchy")
        said: dict[str, dict[str, list[str]]] = {}
        for block in _blocks(data):
            fields = {words[0]: words[1:] for line in block.splitlines() if (words := line.split())}
            said[fields["name"][0]] = fields
        bones: dict[str, Bone] = {}
        for line in hierarchy.splitlines():
            parent, *children = line.split() or [""]
            for name in children if parent not in ("", "begin", "end") else ():
                fields = said[name]
                if parent != "root" and parent not in bones:
                    raise ValueError(f"bone '{name}' comes before '{parent}', on which it hangs")
                direction, axis = (np.array(fields[key][:3], dtype=float) for key in ("direction", "axis"))
                if fields["axis"][3:] not in ([], ["XYZ"]):
                    raise ValueError(f"bone '{name}' turns in the order {fields['axis'][3]}, expected XYZ")
                bones[name] = Bone(
                    parent,
                    direction * float(fields["length"][0]) * scale,
                    _turn(axis),
                    "".join(angle[1] for angle in fields.get("dof", [])),
                )
        if not all((np.abs([*bone.offset, *bone.axis.ravel()]) < 1e6).all() for bone in bones.values()):
            raise ValueError("bones that are no numbers, or too long")
    except Exception as error:  # whatever a damaged file leads to
        raise PoseMambaError(f"{path}: not a skeleton of the CMU database (ASF): {error}") from error
    return AsfSkeleton(bones, scale)


def _blocks(text: str) -> list[str]:
    """Return what stands between ``begin`` and ``end``, each on a line of its own."""
    blocks: list[str] = []
    lines: list[str] | None = None
    for line in text.splitlines():
        word = line.strip()
        if word == "begin":
            lines = []
        elif word == "end" and lines is not None:
            blocks.append("\n".join(lines))
            lines = None
        elif lines is not None:
            lines.append(line)
    return blocks


def read_amc(path: Path, skeleton: AsfSkeleton) -> dict[str, Array]:
    """Read a motion: (F, 6) of ``root`` (place, then degrees), and (F, free angles) of bones, degrees.

    Raises:
        PoseMambaError: not an AMC file, cut short, or of another skeleton.
    """
    frames: list[dict[str, list[float]]] = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            words = line.split()
            if not words or words[0][0] in "#:":
                continue
            if len(words) == 1 and words[0].isdigit():
                frames.append({})
                continue
            name, values = words[0], [float(word) for word in words[1:]]
            wanted = 6 if name == "root" else len(skeleton.bones[name].free)
            if len(values) != wanted:
                raise ValueError(f"line {number}: {len(values)} numbers for '{name}', the skeleton has {wanted}")
            frames[-1][name] = values
        if not frames:
            raise ValueError("no frames")
        if len({tuple(sorted(frame)) for frame in frames}) > 1 or "root" not in frames[0]:
            raise ValueError("frames of different bones: is it cut short?")
        if not all(abs(value) < 1e6 for frame in frames for values in frame.values() for value in values):
            raise ValueError("numbers that are none, or too large")
    except Exception as error:  # whatever a damaged file leads to
        what = f"bone {error}, which the skeleton lacks" if isinstance(error, KeyError) else str(error)
        raise PoseMambaError(f"{path}: not a motion of this skeleton (AMC): {what}") from error
    return {name: np.array([frame[name] for frame in frames]) for name in frames[0]}


def bone_ends(skeleton: AsfSkeleton, motion: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the far ends of the bones, (F, 3) metres, y up, and their rotations, (F, 3, 3), by the bones' names."""
    root = motion["root"]
    end, turned = {"root": root[:, :3] * skeleton.scale}, {"root": _turn(root[:, 3:])}
    for name, bone in skeleton.bones.items():
        angles = np.zeros((len(root), 3))
        for column, letter in enumerate(bone.free if name in motion else ""):
            angles[:, "xyz".index(letter)] = motion[name][:, column]
        turned[name] = turned[bone.parent] @ bone.axis @ _turn(angles) @ bone.axis.T
        end[name] = end[bone.parent] + turned[name] @ bone.offset
    return end, turned


def joints(skeleton: AsfSkeleton, motion: dict[str, Array]) -> Array:
    """(F, 17, 3) the joints of Human3.6M, metres, z up.

    Raises:
        KeyError: the skeleton lacks a bone of the CMU database's.
    """
    end, turned = bone_ends(skeleton, motion)
    thorax = end["thorax"] + turned["thorax"] @ skeleton.bones["lowerneck"].offset
    places = [
        (end["rhipjoint"] + end["lhipjoint"]) / 2,
        *(end[name] for name in ("rhipjoint", "rfemur", "rtibia", "lhipjoint", "lfemur", "ltibia")),
        0.6 * end["lowerback"] + 0.4 * end["upperback"],
        thorax,
        0.7 * end["upperneck"] + 0.3 * end["head"],
        1.5 * end["head"] - 0.5 * end["upperneck"],
        *(end[name] for name in ("lclavicle", "lhumerus", "lwrist", "rclavicle", "rhumerus", "rwrist")),
    ]
    return np.asarray(np.stack(places, 1) @ Z_UP.T)


def convert(
    folder: Path,
    out: Path,
    *,
    fps: float = 120.0,
    known: Container[str] = (),
    say: Say = lambda line: None,
) -> int:
    """Write the motions of a folder, and those below it, as one npz file, without the subjects of validation and test.

    Args:
        folder: holds NN.asf and NN_MM.amc.
        out: the file to write.
        fps: frames a second of the motions; those of the database have 120, but for some with 60.
        known: names of clips that are not wanted, such as cmu_05_01.
        say: told of each file that is left out.

    Returns:
        The number of clips.

    Raises:
        PoseMambaError: no motions, or a file that cannot be read.
    """
    if not 50 <= fps <= 1000:
        raise PoseMambaError(f"{fps:g} frames a second, expected 50 to 1000")
    files = sorted(folder.rglob("*.amc"))
    if not files:
        raise PoseMambaError(f"{folder}: no motions in it (NN_MM.amc), nor in the folders below")
    skeletons: dict[Path, AsfSkeleton] = {}
    found = Collection(say)
    for file in files:
        subject, name = "cmu_" + file.stem.split("_")[0], f"cmu_{file.stem}"
        if not found.wanted(file, name, subject, known):
            continue
        asf = file.with_name(file.stem.split("_")[0] + ".asf")
        if not asf.is_file():
            raise PoseMambaError(f"{file}: its skeleton {asf.name} is not beside it: put it there")
        if asf not in skeletons:
            skeletons[asf] = read_asf(asf)
        motion = read_amc(file, skeletons[asf])
        try:
            with reading(file, "a motion of its skeleton"):
                xyz = joints(skeletons[asf], motion)
        except PoseMambaError as error:
            if isinstance(error.__cause__, KeyError):
                raise PoseMambaError(
                    f"{asf}: has no bone {error.__cause__}, which those of the CMU database have"
                ) from error
            raise
        found.add(file, name, subject, resampled(xyz, fps))
    of = f"{folder}: nothing of its {len(files)} motions"
    return found.write(out, source="CMU Graphics Lab Motion Capture Database, ASF/AMC", licence=LICENCE, of=of)
