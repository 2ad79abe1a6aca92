"""Compare joint angles of a real video with a reference, and what is told of their errors with what is true.

Each view of a calibrated clip is lifted by itself as ``posemamba lift`` lifts it; the folder is that of
`studies.real_video`, whose reference files here also hold ``R`` (3, 3) and ``t`` (3,), from the world to the camera.
Heels and foot tips of the reference are triangulated from the views' own 2D points. With ``--results FOLDER`` the 2D
joints are read from ``NAME/keypoints.npz`` in it. Angles are those of angles.csv; both sides count together.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.angles import angle_difference
from posemamba.evaluate.views.cameras import Camera
from posemamba.evaluate.views.triangulate import triangulate
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.lift import lift
from posemamba.pipeline.reading import DETECTORS
from posemamba.poses import Poses3D
from posemamba.poses.angle_table import plain_name
from posemamba.refine.angle_accuracy import angle_errors
from posemamba.refine.angles import joint_angles, measure_angles
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.tables import markdown_table
from studies.command_line import report, study_parser
from studies.real_video import View

Array = NDArray[np.float64]
_BINS = ((0, 30), (30, 60), (60, 91))


def measure(folder: Path, weights: str, detector: str | None, results: Path | None, fov: float | None) -> None:
    """Print the tables."""
    videos = sorted((folder / "videos").glob("*.mp4"))
    if not videos:
        raise PoseMambaError(f"{folder}: no videos/*.mp4, expected a folder of calibrated views")
    lifter, views, cameras, lifted = Lifter.from_pretrained(weights), [], [], []
    for video in videos:
        path = folder / "reference" / f"{video.stem}.npz"
        views.append(View.read(path))
        with np.load(path, allow_pickle=False) as file:
            size = float(2 * file["K"][0, 2]), float(2 * file["K"][1, 2])
            cameras.append(Camera(video.stem, size, file["K"], file["dist"], file["R"], file["t"].reshape(3)))
        source = video if results is None else results / video.stem / "keypoints.npz"
        (poses,) = lift(source, lifter=lifter, detector=None if results else detector, fov=fov)
        lifted.append(poses)
    feet = _feet(lifted, cameras)
    rows, kept = [], defaultdict(list)
    for video, view, camera, poses in zip(videos, views, cameras, lifted, strict=True):
        own = None if feet is None else camera.to_camera(feet)
        true = measure_angles(np.where(view.valid[..., None], view.xyz, np.nan), own)
        told, errors = joint_angles(poses), angle_errors(poses)
        for name in told:
            off = angle_difference(told[name], true[name].degrees)
            e = errors[name]
            kept[plain_name(name)].append(np.stack([off, e.degrees, e.view_deg, e.edge_on], 1))
        for name in sorted({plain_name(n) for n in told}):
            part = np.concatenate([kept[name][-2], kept[name][-1]] if name not in told else [kept[name][-1]])
            part = part[np.isfinite(part[:, 0])]
            rows.append(
                [
                    video.stem,
                    name.replace("_", " "),
                    f"{np.abs(part[:, 0]).mean():.1f}",
                    f"{part[:, 0].mean():+.1f}",
                    f"{part[:, 1].mean():.1f}",
                    f"{part[:, 2].mean():.0f}",
                    f"{100 * part[:, 3].mean():.0f}",
                ]
            )
    print(markdown_table(["video", "angle", "true error", "bias", "told", "view, mean", "edge-on, %"], rows))
    print()
    summary = []
    for name, parts in kept.items():
        whole = np.concatenate(parts)
        whole = whole[np.isfinite(whole[:, 0])]
        true, told = np.abs(whole[:, 0]).mean(), whole[:, 1].mean()
        bins = [whole[(whole[:, 2] >= low) & (whole[:, 2] < high)] for low, high in _BINS]
        cells = [f"{np.abs(b[:, 0]).mean():.1f} ({b[:, 1].mean():.1f})" if len(b) else "" for b in bins]
        flagged = whole[whole[:, 3] > 0]
        cells.append(f"{np.abs(flagged[:, 0]).mean():.1f} ({flagged[:, 1].mean():.1f})" if len(flagged) else "")
        bias = f"{whole[:, 0].mean():+.1f}"
        summary.append([name.replace("_", " "), f"{true:.1f} ({told:.1f})", f"{true / told:.2f}", bias, *cells])
    header = ["angle", "true (told)", "ratio", "bias", *(f"{low}-{min(high, 90)}°" for low, high in _BINS), "edge-on"]
    print(markdown_table(header, summary))


def _feet(lifted: list[Poses3D], cameras: list[Camera]) -> Array | None:
    """Triangulate heels and foot tips of all views, (F, 4, 3) metres in the world; None without feet in a view."""
    feet = [poses.keypoints.feet for poses in lifted]
    if any(own is None for own in feet):
        return None
    xy = np.stack([own.xy.reshape(-1, 2) for own in feet if own is not None])
    confidence = np.stack([own.confidence.ravel() for own in feet if own is not None])
    return triangulate(cameras, xy, confidence).xyz.reshape(-1, 4, 3)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; return the exit status."""
    parser = study_parser("real_angles", __doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="posemamba-s")
    parser.add_argument("--detector", choices=DETECTORS)
    parser.add_argument("--results", type=Path, help="folder of results whose keypoints.npz are lifted")
    parser.add_argument("--fov", type=float, help="the lens in degrees across; a guess where it is not given")
    o = parser.parse_args(arguments)
    return report(lambda: measure(o.folder, o.weights, o.detector, o.results, o.fov))


if __name__ == "__main__":
    sys.exit(main())
