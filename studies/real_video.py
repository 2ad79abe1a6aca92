"""Score the default command on a real video with a reference: calibrated, synchronised views of one person.

Each view is lifted by itself as ``posemamba lift`` lifts it. Its 2D joints are compared with the reference's
projections, its 3D poses with the reference (P1: the pelvis in place and the scale fitted; P2: Procrustes): in metres,
and as the network gives them, in the virtual camera's picture at the pelvis's depth, turned back. With ``--plain``
there is no virtual camera. With ``--results FOLDER`` the 2D joints are read from ``NAME/keypoints.npz`` in it, as
lifting of the videos has kept them.

`posemamba evaluate` makes the reference itself, without the scored view; here it is given: the folder holds
``videos/NAME.mp4`` and ``reference/NAME.npz`` for each view: ``ref`` (F, 17, 3) metres in the camera's
axes, ``valid`` (F, 17), ``K`` (3, 3) and ``dist`` (k1, k2, p1, p2).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.cameras import Camera
from posemamba.evaluate.views.scores import SCORED, pose_errors
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.lift import lift
from posemamba.pipeline.reading import DETECTORS
from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError
from studies.command_line import report, study_parser

_SOMEBODY_ELSE = 100.0  # pixels: median distance of a frame's joints from the person's


@dataclass(frozen=True)
class View:
    """The reference of one view; see the module for the arrays."""

    xyz: NDArray[np.float64]
    valid: NDArray[np.bool_]
    K: NDArray[np.float64]
    dist: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> View:
        """Read a view's file."""
        if not path.is_file():
            raise PoseMambaError(f"{path}: no such file; expected the reference of the video of that name")
        with np.load(path, allow_pickle=False) as file:
            return cls(file["ref"], file["valid"].astype(bool), file["K"], file["dist"])

    def project(self) -> NDArray[np.float64]:
        """Project the reference into the picture, (F, 17, 2) pixels."""
        size = (2 * self.K[0, 2], 2 * self.K[1, 2])
        return Camera("", size, self.K, self.dist, np.eye(3), np.zeros(3)).project(self.xyz)


def pixel_errors(poses: Poses3D, view: View) -> NDArray[np.float64]:
    """Return the distances of the scored 2D joints from the reference, (F, 14) pixels; NaN where either is missing."""
    apart = np.linalg.norm((poses.keypoints.xy - view.project())[:, list(SCORED)], axis=-1)
    return np.where(view.valid[:, list(SCORED)], apart, np.nan)


def view_errors(xyz: NDArray[np.floating], view: View) -> tuple[float, float, float]:
    """Return P1, P2 and the depth's share of P1 of (F, 17, 3) in the camera's axes, in millimetres."""
    found = pose_errors(xyz, view.xyz, view.valid)
    return found.p1, found.p2, found.depth


def score(
    folder: Path,
    weights: str,
    detector: str | None,
    *,
    plain: bool = False,
    results: Path | None = None,
    every: int | None = None,
) -> str:
    """Return the table of all views and their mean."""
    videos = sorted((folder / "videos").glob("*.mp4"))
    if not videos:
        raise PoseMambaError(f"{folder}: no videos/*.mp4, expected a folder of calibrated views")
    lines = [
        "| view | 2D: median, mean, 95 %, px | frames on somebody else | network's P1 / P2 / depth, mm | in metres |",
        "|---|---|---|---|---|",
    ]
    lifter = Lifter.from_pretrained(weights)
    lifter.virtual_camera = not plain
    rows = []
    for video in videos:
        view = View.read(folder / "reference" / f"{video.stem}.npz")
        source = video if results is None else results / video.stem / "keypoints.npz"
        (poses,) = lift(source, lifter=lifter, detector=None if results else detector, every=None if results else every)
        errors = pixel_errors(poses, view)
        known = np.isfinite(errors)
        elsewhere = int((np.nanmedian(errors[known.any(1)], axis=1) > _SOMEBODY_ELSE).sum())
        row = np.array(
            [
                *(np.median(errors[known]), errors[known].mean(), np.quantile(errors[known], 0.95), elsewhere),
                *view_errors(poses.network.camera.turn_back(poses.network.xyz), view),
                *view_errors(poses.xyz, view),
            ]
        )
        rows.append(row)
        lines.append(_line(video.stem, row))
    return "\n".join([*lines, _line("mean", np.mean(rows, axis=0))])


def _line(name: str, row: NDArray[np.float64]) -> str:
    pixels, frames = " / ".join(f"{v:.1f}" for v in row[:3]), f"{row[3]:g}"
    flat, metres = (" / ".join(f"{v:.1f}" for v in part) for part in (row[4:7], row[7:]))
    return f"| {name} | {pixels} | {frames} | {flat} | {metres} |"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("real_video", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds videos/ and reference/")
    parser.add_argument("--weights", default="posemamba-s", help="a bundled name, or a weights file")
    parser.add_argument("--detector", choices=DETECTORS, help="as of posemamba lift")
    parser.add_argument("--every", type=int, help="as of posemamba lift")
    parser.add_argument("--plain", action="store_true", help="without the virtual camera")
    parser.add_argument("--results", type=Path, help="results of posemamba lift, NAME/keypoints.npz of each view")
    given = parser.parse_args(arguments)
    return report(
        lambda: print(
            score(
                given.folder,
                given.weights,
                given.detector,
                plain=given.plain,
                results=given.results,
                every=given.every,
            )
        )
    )


if __name__ == "__main__":
    sys.exit(main())
