"""Score weights on real, calibrated views of one person, and on a figure that stands perfectly straight.

A folder of references holds a file for each view, ``NAME.npz``: `ref` (F, 17, 3) metres in the camera's axes, `valid`
(F, 17), `width`, `height`, `fps`. A folder of landmarks holds the detector's answer for each, ``NAME.npz`` with `lm`
(F, 33, 3 or more): x and y in pixels and confidence of BlazePose's landmarks. Each view is lifted alone, seen by a
virtual camera that looks at the person, put into metres in perspective with a field of view of 55 degrees along the
longer side, and turned back.

P1 (after one scale for the clip), P2 (Procrustes in each frame) and depth in mm are means over the joints but pelvis,
nose and top of the head; angles are those between thigh and shin, upper arm and forearm.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.scores import pose_errors
from posemamba.lifting.lifter import Lifter
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import BLAZEPOSE33, H36M17
from posemamba.poses.virtual_camera import VirtualCamera, focal_length, look_at_joints
from posemamba.refine.metres import to_metres
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.tables import markdown_table
from studies.command_line import report, study_parser

Array = NDArray[np.float64]

KNEES, ELBOWS = ((1, 2, 3), (4, 5, 6)), ((11, 12, 13), (14, 15, 16))
PITCHES = (-20, -10, 0, 10)
"""Degrees by which cameras that look at the straight figure look down."""
LEGS = (1.35, 1.53, 1.7)
"""Lengths of its legs, hip to ankle, in trunks (pelvis to thorax): BlazePose's, the motion capture's, longer ones."""


@dataclass(frozen=True)
class ViewScore:
    """Errors of one view: P1, P2 and depth in mm; knees and elbows in degrees, mean error and mean bias."""

    p1: float
    p2: float
    depth: float
    knees: float
    elbows: float
    knee_bias: float
    elbow_bias: float


def lift(lifter: Lifter, keypoints: Keypoints2D, camera: VirtualCamera | None) -> Array:
    """Lift 2D joints to (F, 17, 3) metres from the camera, in the real camera's axes."""
    lifter.virtual_camera = camera is not None
    return to_metres(lifter(keypoints)).xyz.astype(np.float64)


def bend(xyz: Array, limb: tuple[int, int, int]) -> Array:
    """(F,) degrees by which a limb of (F, 17, 3) is bent; 0 is straight."""
    upper, lower = xyz[:, limb[1]] - xyz[:, limb[0]], xyz[:, limb[2]] - xyz[:, limb[1]]
    cosine = (upper * lower).sum(-1) / (np.linalg.norm(upper, axis=-1) * np.linalg.norm(lower, axis=-1))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def score(xyz: Array, ref: Array, valid: NDArray[np.bool_]) -> ViewScore:
    """Score (F, 17, 3) of any unit against a reference in metres, where `valid` (F, 17)."""
    found = pose_errors(xyz, ref, valid)
    angles = []
    for limbs in (KNEES, ELBOWS):
        wrong = np.concatenate([(bend(xyz, one) - bend(ref, one))[valid[:, list(one)].all(1)] for one in limbs])
        angles.append((float(np.abs(wrong).mean()), float(wrong.mean())))
    return ViewScore(
        p1=found.p1,
        p2=found.p2,
        depth=found.depth,
        knees=angles[0][0],
        elbows=angles[1][0],
        knee_bias=angles[0][1],
        elbow_bias=angles[1][1],
    )


def read_view(reference: Path, landmarks: Path) -> tuple[Keypoints2D, Array, NDArray[np.bool_]]:
    """Read 2D joints, reference and where it is valid, of one view.

    Raises:
        PoseMambaError: a file is missing or has another layout.
    """
    try:
        with np.load(reference) as file, np.load(landmarks) as seen:
            lm = seen["lm"][..., :2], seen["lm"][..., 3 if seen["lm"].shape[-1] > 3 else 2]
            size, fps = (int(file["width"]), int(file["height"])), float(file["fps"])
            xy, confidence = lm[0].astype(np.float32), np.nan_to_num(lm[1]).astype(np.float32)
            return Keypoints2D(xy, confidence, BLAZEPOSE33, size, fps), file["ref"].astype(float), file["valid"]
    except (OSError, KeyError, ValueError) as error:
        raise PoseMambaError(f"{reference} or {landmarks}: no view with landmarks: {error}") from error


def looking(keypoints: Keypoints2D) -> VirtualCamera:
    """The virtual camera that looks at a person in a picture of a guessed field of view."""
    joints = to_h36m17(keypoints)
    size = np.array(joints.image_size)
    return look_at_joints(joints.xy, focal_length(joints.image_size), size / 2, joints.confidence)


def straight_figure(legs: float, pitch: float, facing: float = 0.0) -> tuple[Keypoints2D, Array]:
    """A figure of straight limbs that stands before a camera at 4 m, its 2D joints and (1, 17, 3) metres there.

    Args:
        legs: their length in trunks.
        pitch: degrees by which the camera looks down; it looks at the figure's middle.
        facing: degrees by which the figure is turned away from the camera.
    """
    trunk, leg = 0.54, 0.54 * legs / 2
    x = np.array([0, -0.09, -0.09, -0.09, 0.09, 0.09, 0.09, 0, 0, 0, 0, 0.19, 0.21, 0.22, -0.19, -0.21, -0.22])
    up = [0, 0, -leg, -2 * leg, 0, -leg, -2 * leg, 0.5 * trunk, trunk, trunk + 0.12, trunk + 0.23]
    up += [trunk - 0.05, trunk - 0.33, trunk - 0.58] * 2
    a, b = np.radians(facing), np.radians(pitch)
    xyz = np.stack([x * np.cos(a), -np.array(up), x * np.sin(a)], -1)
    xyz -= [0, xyz[:, 1].mean(), 0]
    turn = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    xyz = xyz @ turn + [0, 0, 4.0]
    focal = focal_length((1920, 1080))
    xy = xyz[:, :2] / xyz[:, 2:] * focal + [960, 540]
    keypoints = Keypoints2D(
        np.tile(xy.astype(np.float32), (81, 1, 1)), np.ones((81, 17), np.float32), H36M17, (1920, 1080), 50.0
    )
    return keypoints, xyz[None]


def straight_knees(lifter: Lifter, facing: float = 0.0) -> Array:
    """(legs, pitches) degrees by which the straight figure's knees come out bent, mean of both and over the clip."""
    found = np.empty((len(LEGS), len(PITCHES)))
    for i, legs in enumerate(LEGS):
        for j, pitch in enumerate(PITCHES):
            xyz = lift(lifter, straight_figure(legs, pitch, facing)[0], None)
            found[i, j] = np.mean([bend(xyz, one).mean() for one in KNEES])
    return found


def measure(weights: list[str], reference: Path | None, landmarks: Path | None, *, flip: bool) -> None:
    """Print the tables."""
    rows: list[list[str]] = []
    for name in weights:
        lifter = Lifter.from_pretrained(name, flip=flip, device="cpu")
        cells = [Path(name).stem]
        if reference is not None and landmarks is not None:
            views = sorted(reference.glob("*.npz"))
            if not views:
                raise PoseMambaError(f"{reference}: no views, expected NAME.npz")
            scores = []
            for view in views:
                keypoints, ref, valid = read_view(view, landmarks / view.name)
                scores.append(score(lift(lifter, keypoints, looking(keypoints)), ref, valid))
            means = {key: float(np.mean([vars(s)[key] for s in scores])) for key in vars(scores[0])}
            cells += [f"{means[key]:.1f}" for key in ("p1", "p2", "depth", "knees", "elbows", "knee_bias")]
            cells.append(", ".join(f"{s.p1:.0f}/{s.p2:.0f}" for s in scores))
        for facing in (0.0, 45.0, 90.0):
            knees = straight_knees(lifter, facing)
            cells.append(f"{knees.mean():.1f} ({knees.min():.0f} to {knees.max():.0f})")
            if not facing:
                cells.append(" / ".join(f"{row.mean():.1f}" for row in knees))
        rows.append(cells)
    head = ["weights"]
    if reference is not None and landmarks is not None:
        head += ["P1", "P2", "depth", "knees", "elbows", "knee bias", "views"]
    head += ["straight, facing", f"by legs of {', '.join(map(str, LEGS))}", "from 45 degrees", "from the side"]
    print(markdown_table(head, rows))


def main(arguments: list[str] | None = None) -> int:
    """Run the study; the exit status."""
    parser = study_parser("real_clip", __doc__)
    parser.add_argument("weights", nargs="+", help="names or files")
    parser.add_argument("--reference", type=Path, help="folder of the views' references")
    parser.add_argument("--landmarks", type=Path, help="folder of the detector's landmarks")
    parser.add_argument("--no-flip", action="store_true", help="no test-time flip")
    options = parser.parse_args(arguments)
    return report(lambda: measure(options.weights, options.reference, options.landmarks, flip=not options.no_flip))


if __name__ == "__main__":
    sys.exit(main())
