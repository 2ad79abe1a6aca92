"""Refined motions as files, and joint angles as a table.

`motion.npz` is complete by itself: the motion, the refinement steps, and the poses as the model gave them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Keypoints2D, Motion3D, Poses3D, Step
from posemamba.poses.poses3d import feet_arrays, feet_of_arrays, points_or_null
from posemamba.poses.skeletons import FEET, H36M17
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

FORMAT = "posemamba-motion-1"


def _header(motion: Motion3D) -> dict[str, Any]:
    poses = motion.poses
    return {
        "format": FORMAT,
        "joints": list(motion.skeleton.joints),
        "parents": list(motion.skeleton.parents),
        "units": motion.units,
        "frame": motion.frame,
        "absolute": motion.absolute,
        "steps": [_plain(asdict(step)) for step in motion.steps],
        "fps": motion.fps,
        "image_size": list(poses.keypoints.image_size),
        "source": poses.keypoints.source,
        "person": motion.person,
        "model": poses.model,
        "details": poses.details,
        **({} if motion.feet is None else {"feet": list(FEET)}),
    }


def _plain(value: Any) -> Any:
    """Convert a value to JSON's types; numbers that JSON lacks (NaN, infinity) become null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def save_motion_npz(path: str | Path, motion: Motion3D) -> None:
    """Write arrays xyz, seen, times, confidence, poses_xyz, poses_seen, keypoints_xy and a JSON text `header`.

    Where they are known there are expected_error and poses_expected_error, and of the feet feet, poses_feet,
    feet_keypoints_xy and feet_confidence.
    """
    keypoints = motion.poses.keypoints
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        known: dict[str, Any] = {}
        if motion.expected_error is not None:
            known = {"expected_error": motion.expected_error, "poses_expected_error": motion.poses.expected_error}
        known |= feet_arrays(motion.feet, keypoints) | feet_arrays(motion.poses.feet, keypoints, "poses_feet")
        np.savez_compressed(
            file,
            xyz=motion.xyz,
            seen=motion.seen,
            times=motion.frame_times(),
            confidence=motion.poses.confidence,
            poses_xyz=motion.poses.xyz,
            poses_seen=motion.poses.seen,
            keypoints_xy=keypoints.xy,
            header=np.array(json.dumps(_header(motion), allow_nan=False)),
            **known,
        )


def load_motion_npz(path: str | Path) -> Motion3D:
    """Read a file of `save_motion_npz`.

    Raises:
        PoseMambaError: there is no such file, or it is of another kind.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["format"] != FORMAT:
                raise PoseMambaError(f"{path}: its format is '{header['format']}', expected {FORMAT}")
            width, height = header["image_size"]
            keypoints = Keypoints2D(
                file["keypoints_xy"],
                file["confidence"],
                H36M17,
                (width, height),
                header["fps"],
                file["times"],
                header["source"],
                header["person"],
                feet_of_arrays(file),
            )
            poses = Poses3D(
                file["poses_xyz"],
                file["confidence"],
                file["poses_seen"],
                keypoints,
                header["model"],
                header["details"],
                file.get("poses_expected_error"),
                file.get("poses_feet"),
            )
            steps = tuple(Step(**step) for step in header["steps"])
            return Motion3D(
                file["xyz"],
                file["seen"],
                header["units"],
                header["frame"],
                header["absolute"],
                poses,
                steps,
                file.get("feet"),
            )
    except FileNotFoundError:
        raise PoseMambaError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PoseMambaError(
            f"{path}: not a motion.npz of 'posemamba lift' ({type(error).__name__}: {error}); lift the clip again"
        ) from None


def save_motion_json(path: str | Path, motion: Motion3D) -> None:
    """Write a motion as JSON: the header, and one object for each frame; null where nobody was seen."""
    times, digits = motion.frame_times(), 3 if motion.units == "pixel" else 6
    errors = motion.expected_error
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        # frame by frame, as an hour of motion as Python's numbers would take gigabytes
        file.write(json.dumps(_header(motion), allow_nan=False)[:-1] + ', "frames": [')
        for i in range(len(motion)):
            xyz = np.round(motion.xyz[i].astype(float), digits).tolist() if motion.seen[i] else None
            frame = {"frame": i, "time": round(float(times[i]), 6), "seen": bool(motion.seen[i]), "xyz": xyz}
            if errors is not None:
                known = np.round(errors[i].astype(float), digits)
                frame["expected_error"] = known.tolist() if np.isfinite(known).all() else None
            if motion.feet is not None:
                frame["feet"] = points_or_null(motion.feet[i], digits)
            file.write((", " if i else "") + json.dumps(frame, allow_nan=False))
        file.write("]}")


def save_angles_csv(path: str | Path, motion: Motion3D, angles: Mapping[str, NDArray[np.floating]]) -> None:
    """Write joint angles as a table: frame, time_s, seen, then a column in degrees for each angle; empty if unknown.

    Args:
        path: the file.
        motion: the motion of the angles, F frames.
        angles: name to (F,) degrees.
    """
    times = motion.frame_times()
    columns = np.stack([np.asarray(values, dtype=np.float64) for values in angles.values()], axis=-1)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(["frame", "time_s", "seen", *(f"{name}_deg" for name in angles)]) + "\n")
        for i, row in enumerate(columns.tolist()):
            cells = ("" if value != value else f"{value:.3f}" for value in row)
            file.write(f"{i},{times[i]:.6f},{int(motion.seen[i])}," + ",".join(cells) + "\n")


def load_poses_npz(path: str | Path) -> Poses3D:
    """Read a poses.npz as ``posemamba lift`` writes it.

    Raises:
        PoseMambaError: there is none, it holds something else, or nobody was seen.
    """
    path = Path(path)
    if not path.is_file():
        raise PoseMambaError(f"{path}: no such file; expected a poses.npz of 'posemamba lift', or mocap:NAME")
    try:
        poses = Poses3D.load_npz(path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PoseMambaError(
            f"{path}: not a poses.npz of 'posemamba lift' ({type(error).__name__}: {error}); lift the clip again"
        ) from None
    if not poses.seen.any():
        raise PoseMambaError(f"{path}: nobody was seen in any of its {len(poses)} frames; choose another clip")
    return poses
