"""Poses as files, of this and of earlier versions, and joint angles as a table.

`poses.npz` is complete by itself: the joints in metres, the steps that made them, and what the network gave, with the
virtual camera in whose picture that is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Feet2D, Keypoints2D, NetworkPoses, Poses3D, Step
from posemamba.poses.angle_table import AngleErrorTable
from posemamba.poses.ranges import CLOSEST, check_fps, check_image_size
from posemamba.poses.skeletons import FEET, H36M17
from posemamba.poses.trust import Trust
from posemamba.poses.virtual_camera import VirtualCamera
from posemamba.refine.metres import to_metres
from posemamba.utils.archives import npz_names, read_npz
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.reading import cause, is_special

if TYPE_CHECKING:
    from posemamba.refine.angle_accuracy import AngleError

FORMAT = "posemamba-poses-2"
EARLIER = ("posemamba-poses-1", "posemamba-motion-1")
"""Formats of earlier versions: the network's picture-plane output alone, and motions refined from it."""
FRAMES = {
    "camera": "camera: x right, y down, z away from the camera; from the camera's centre",
    "world": "world: x to the camera's right, y away from the camera, z up; the floor is z = 0",
}


def _header(motion: Poses3D) -> dict[str, Any]:
    network, camera, size = motion.network, motion.network.camera, motion.keypoints.image_size
    return {
        "format": FORMAT,
        "joints": list(motion.skeleton.joints),
        "parents": list(motion.skeleton.parents),
        "units": motion.units,
        "frame": motion.frame,
        "axes": FRAMES[motion.frame],
        "steps": [_plain(asdict(step)) for step in motion.steps],
        "camera": {
            "fov_deg": camera.fov(size),
            "fov_from": camera.lens,
            "focal_px": camera.focal,
            "centre_px": camera.centre.tolist(),
            "roll_deg": network.roll_deg,
        },
        "fps": motion.fps,
        "image_size": list(size),
        "source": motion.keypoints.source,
        "person": motion.person,
        "model": motion.model,
        "details": motion.details,
        **({} if motion.feet is None else {"feet": list(FEET)}),
        **({} if motion.trust is None else {"trust": motion.trust.as_card()}),
        **({} if network.angle_errors is None else {"angle_errors": network.angle_errors.as_card()}),
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


def save_poses_npz(path: str | Path, motion: Poses3D) -> None:
    """Write an npz file without pickles.

    Its arrays are xyz, seen, times, confidence, keypoints_xy, network_xyz, camera_rotation and a JSON text `header`.
    Where they are known there are expected_error and network_expected_error, and of the feet feet, network_feet,
    feet_keypoints_xy and feet_confidence. Poses that were judged have trust_level, 0, 1 or 2 for each frame
    (`posemamba.Trust`), and the verdict in the header.
    """
    keypoints, network = motion.keypoints, motion.network
    known: dict[str, Any] = {}
    if motion.expected_error is not None:
        known = {"expected_error": motion.expected_error, "network_expected_error": network.expected_error}
    if motion.trust is not None:
        known["trust_level"] = motion.trust.levels
    known |= _feet_arrays(motion.feet, keypoints) | _feet_arrays(network.feet, keypoints, "network_feet")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            xyz=motion.xyz,
            seen=motion.seen,
            times=motion.frame_times(),
            confidence=motion.confidence,
            keypoints_xy=keypoints.xy,
            network_xyz=network.xyz,
            camera_rotation=network.camera.rotation,
            header=np.array(json.dumps(_header(motion), allow_nan=False)),
            **known,
        )


def load_poses_npz(path: str | Path) -> Poses3D:
    """Read a poses.npz of ``posemamba lift``, of this version or an earlier one.

    Earlier versions did not know the field of view, and perhaps not the person's height. Their poses are put into
    metres with a guessed field of view and a typical height, are marked as estimates, and have ``converted_from`` in
    `details`.

    Raises:
        PoseMambaError: there is none, it holds something else, or nobody was seen.
    """
    path = Path(path)
    if not path.is_file():
        raise PoseMambaError(f"{path}: no such file; expected a poses.npz of 'posemamba lift', or mocap:NAME")
    try:
        file = read_npz(path)
    except PoseMambaError as error:
        found = cause(error.__cause__) if error.__cause__ else str(error).removeprefix(f"{path}: ")
        raise PoseMambaError(f"{path}: not a poses.npz of 'posemamba lift' ({found}); lift the clip again") from error
    try:
        header = json.loads(str(file["header"]))
        if header["format"] not in (FORMAT, *EARLIER):
            raise PoseMambaError(f"{path}: its format is '{header['format']}', expected {FORMAT}: lift it first")
        for name, array in file.items():
            if array.dtype.kind == "f" and np.abs(array).max(initial=0, where=np.isfinite(array)) > _LARGEST:
                raise PoseMambaError(f"{path}: '{name}' holds numbers too large for float32: damaged; lift it again")
        read = _read if header["format"] == FORMAT else _read_earlier
        motion = read(file, header)
        if not len(motion):
            raise PoseMambaError(f"{path}: has no frames, expected at least one: lift another clip")
        _check(motion)
        if not motion.seen.any():
            raise PoseMambaError(f"{path}: nobody was seen in any of its {len(motion)} frames; choose another clip")
        if header["format"] in EARLIER:
            motion = _converted(motion, header["format"])
            _check(motion)
        return motion
    except PoseMambaError as error:
        raise error if str(error).startswith(str(path)) else PoseMambaError(f"{path}: {error}") from error
    except Exception as error:  # whatever a damaged header or array leads to
        raise PoseMambaError(
            f"{path}: not a poses.npz of 'posemamba lift' ({cause(error)}); lift the clip again"
        ) from error


def are_poses(path: Path) -> bool:
    """Tell whether a file has the arrays of saved poses."""
    if is_special(path):
        return False
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return False
        return {"header", "xyz"} <= set(npz_names(path))
    except (OSError, ValueError, PoseMambaError):
        return False  # the readers report what is wrong


_BODY = [bone for bone in H36M17.bones if bone[1] <= 10]  # without the arms
_SMALLEST = 1e-6
"""Smallest length of these bones together, in metres, pixels or the network's unit: refinement divides by it."""
_LARGEST = float(np.finfo(np.float32).max)
_FAR = {"metre": 1e6, "pixel": 1e8}
"""How far from the origin a joint may be."""


def _check(motion: Poses3D) -> None:
    """Check the shapes, types and ranges of poses that were read.

    Raises:
        ValueError: there is an array or a fact that no saved poses have.
    """
    network, keypoints, camera = motion.network, motion.keypoints, motion.network.camera
    frames = len(motion)
    if motion.units not in _FAR or motion.frame not in FRAMES or not isinstance(motion.absolute, bool):
        raise ValueError(f"units {motion.units!r} and frame {motion.frame!r}")
    arrays: dict[str, tuple[Any, tuple[int, ...]]] = {
        "xyz": (motion.xyz, (frames, 17, 3)),
        "network's xyz": (network.xyz, (frames, 17, 3)),
        "confidence": (motion.confidence, (frames, 17)),
        "keypoints": (keypoints.xy, (frames, 17, 2)),
        "times": (keypoints.times, (frames,)),
        "centre_px": (camera.centre, (2,)),
    }
    for name, array in (("feet", motion.feet), ("network's feet", network.feet)):
        if array is not None:
            arrays[name] = array, (frames, len(FEET), 3)
    if network.expected_error is not None:
        arrays["expected_error"] = network.expected_error, (frames, 17)
    for name, (array, shape) in arrays.items():
        if array.shape != shape or array.dtype.kind not in "fiu":
            raise ValueError(f"{name} is {array.dtype} {array.shape}, expected numbers {shape}")
        with np.errstate(invalid="ignore"):
            if (np.abs(array) > _FAR["pixel"]).any():
                raise ValueError(f"{name} holds {np.nanmax(np.abs(array)):g}")
    if not ((motion.confidence >= 0) & (motion.confidence <= 1)).all():
        raise ValueError("confidences outside of 0 to 1")
    for name, seen in (("seen", motion.seen), ("the network's seen", network.seen)):
        if seen.shape != (frames,) or seen.dtype != bool:
            raise ValueError(f"{name} is {seen.dtype} {seen.shape}, expected true or false for each frame")
    if not np.isfinite(motion.xyz[motion.seen]).all() or not np.isfinite(network.xyz[network.seen]).all():
        raise ValueError("joints of frames in which the person was seen are no numbers")
    if (np.abs(motion.xyz[motion.seen]) > _FAR[motion.units]).any():
        raise ValueError(f"joints lie {np.abs(motion.xyz[motion.seen]).max():g} {motion.units}s away")
    for name, xyz in (("joints", motion.xyz[motion.seen]), ("the network's joints", network.xyz[network.seen])):
        parents, children = np.array(_BODY).T
        bones = np.linalg.norm(np.asarray(xyz, np.float64)[:, children] - xyz[:, parents], axis=-1)
        if len(xyz) and np.median(bones, 0).sum() < _SMALLEST:
            raise ValueError(f"{name} of legs, trunk and head lie in one place")
    times = keypoints.frame_times()
    if not np.isfinite(times).all() or not (np.diff(times) >= CLOSEST).all():
        raise ValueError("times do not increase")
    if frames > 1:
        check_fps("the rate of its times", (frames - 1) / float(times[-1] - times[0]))
    if not isinstance(keypoints.fps, int | float) or not all(isinstance(side, int) for side in keypoints.image_size):
        raise ValueError(f"fps {keypoints.fps!r} and image size {keypoints.image_size!r}")
    check_fps("fps", keypoints.fps)
    if (times[-1] - times[0]) * keypoints.fps > 200_000 + 20 * frames:
        raise ValueError(f"{frames} frames in {times[-1] - times[0]:g} s at {keypoints.fps:g} frames per second")
    check_image_size("image size", *keypoints.image_size)
    rotation = np.asarray(camera.rotation)
    whole = rotation.dtype.kind == "f" and rotation.shape in ((3, 3), (frames, 3, 3)) and np.isfinite(rotation).all()
    if not whole or not np.allclose(rotation @ np.swapaxes(rotation, -1, -2), np.eye(3), atol=1e-2):
        raise ValueError(f"camera_rotation is {rotation.dtype} {rotation.shape}, expected rotations")
    if camera.lens not in ("given", "file", "guess") or not _in(camera.focal, 1e-3, 1e9):
        raise ValueError(f"a camera of focal length {camera.focal!r} that is {camera.lens!r}")
    if network.roll_deg is not None and not _in(network.roll_deg, -360, 360):
        raise ValueError(f"roll_deg {network.roll_deg!r}")
    person = keypoints.person
    if not isinstance(person, int) or isinstance(person, bool) or not 0 <= person < 2**53:
        raise ValueError(f"person {person!r}")
    if not isinstance(network.model, str) or not isinstance(network.details, dict):
        raise ValueError(f"model {network.model!r} and details {network.details!r}")
    for step in motion.steps:
        texts = isinstance(step.name, str) and isinstance(step.estimate, bool)
        if not texts or not isinstance(step.parameters, dict) or not isinstance(step.report, dict):
            raise ValueError(f"a step {step!r}")
        if step.name == "scale" and not _in(step.parameters.get("height_m"), 1e-3, 1e3):
            raise ValueError(f"a height of {step.parameters.get('height_m')!r} m")


def _in(value: Any, low: float, high: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and low <= value <= high


def _read(file: Mapping[str, NDArray[Any]], header: dict[str, Any]) -> Poses3D:
    camera = header["camera"]
    network = replace(
        _network(file, header, "network_"),
        camera=VirtualCamera(
            file["camera_rotation"], camera["focal_px"], np.array(camera["centre_px"], float), lens=camera["fov_from"]
        ),
        roll_deg=camera["roll_deg"],
        angle_errors=AngleErrorTable.from_card(header.get("angle_errors")),
    )
    return Poses3D(
        file["xyz"],
        file["seen"],
        header["units"],
        header["frame"],
        True,
        network,
        _steps(header),
        file.get("feet"),
        Trust.from_card(header.get("trust"), file.get("trust_level"), len(file["xyz"])),
    )


def _read_earlier(file: Mapping[str, NDArray[Any]], header: dict[str, Any]) -> Poses3D:
    """Read a file of an earlier version as it is: perhaps in pixels, relative to the pelvis."""
    if header["format"] == "posemamba-poses-1":
        return Poses3D.raw(_network(file, header, ""))
    network = _network(file, header, "poses_")
    for step in _steps(header):
        if step.name == "root_path":
            network.camera = replace(
                network.camera,
                focal=float(step.parameters["focal_px"]),
                lens="guess" if step.estimate else "given",
            )
    return Poses3D(
        file["xyz"],
        file["seen"],
        header["units"],
        header["frame"],
        header["absolute"],
        network,
        _steps(header),
        file.get("feet"),
    )


def _converted(motion: Poses3D, format: str) -> Poses3D:
    """Put the poses of an earlier version's file into metres; its refinement stays if it was in metres with a path."""
    motion.network.details["converted_from"] = format
    if motion.units == "metre" and motion.absolute:
        return motion
    heights = [step.parameters["height_m"] for step in motion.steps if step.name == "scale" and not step.estimate]
    return to_metres(motion.network, heights[-1] if heights else None)


def _steps(header: Mapping[str, Any]) -> tuple[Step, ...]:
    return tuple(Step(**step) for step in header["steps"])


def _network(file: Mapping[str, NDArray[Any]], header: dict[str, Any], prefix: str) -> NetworkPoses:
    width, height = header["image_size"]
    keypoints = Keypoints2D(
        file["keypoints_xy"],
        file["confidence"],
        H36M17,
        (width, height),
        header["fps"],
        file["times"],
        header["source"],
        header.get("person", 1),
        Feet2D(file["feet_keypoints_xy"], file["feet_confidence"]) if "feet_keypoints_xy" in file else None,
    )
    return NetworkPoses(
        file[f"{prefix}xyz"],
        file["confidence"],
        file["seen"],
        keypoints,
        header["model"],
        header["details"],
        file.get(f"{prefix}expected_error"),
        file.get(f"{prefix}feet"),
    )


def _feet_arrays(
    feet: NDArray[np.float32] | None, keypoints: Keypoints2D, name: str = "feet"
) -> dict[str, NDArray[np.float32]]:
    """Return the feet's arrays of an npz file: `name`, feet_keypoints_xy, feet_confidence; those that there are."""
    arrays = {} if feet is None else {name: feet}
    if keypoints.feet is not None:
        arrays |= {"feet_keypoints_xy": keypoints.feet.xy, "feet_confidence": keypoints.feet.confidence}
    return arrays


def save_poses_json(path: str | Path, motion: Poses3D) -> None:
    """Write poses as JSON: the header, and one object for each frame; null where nobody was seen."""
    times, errors, feet = motion.frame_times(), motion.expected_error, motion.keypoints.feet

    def rounded(values: NDArray[np.floating], digits: int) -> list[Any]:
        return list(np.round(values.astype(float), digits).tolist())

    def frame(i: int) -> dict[str, Any]:
        known: dict[str, Any] = {}
        if errors is not None:
            known["expected_error"] = rounded(errors[i], 6) if np.isfinite(errors[i]).all() else None
        if motion.trust is not None:
            known["trust_level"] = int(motion.trust.levels[i])
        if motion.feet is not None:
            known["feet"] = _points_or_null(motion.feet[i], 6)
        if feet is not None:
            known["feet_keypoints"] = _points_or_null(feet.xy[i], 2)
            known["feet_confidence"] = rounded(feet.confidence[i], 3)
        return {
            "frame": i,
            "time": round(float(times[i]), 6),
            "seen": bool(motion.seen[i]),
            "xyz": rounded(motion.xyz[i], 6) if motion.seen[i] else None,
            "keypoints": _points_or_null(motion.keypoints.xy[i], 2),
            "confidence": rounded(motion.confidence[i], 3),
            **known,
        }

    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        # frame by frame, as an hour of poses as Python's numbers would take gigabytes
        file.write(json.dumps(_header(motion), allow_nan=False)[:-1] + ', "frames": [')
        for i in range(len(motion)):
            file.write((", " if i else "") + json.dumps(frame(i), allow_nan=False))
        file.write("]}")


def _points_or_null(points: NDArray[np.floating], digits: int) -> list[list[float] | None]:
    """Round points, (N, 2 or 3), for JSON; None where a coordinate is not a number."""
    return [p if np.isfinite(p).all() else None for p in np.round(points.astype(float), digits).tolist()]


def save_angles_csv(
    path: str | Path,
    motion: Poses3D,
    angles: Mapping[str, NDArray[np.floating]],
    errors: Mapping[str, AngleError] | None = None,
) -> None:
    """Write joint angles as a table: frame, time_s, seen, then columns for each angle; cells are empty if unknown.

    Of poses that were judged, ``trust_level`` follows ``seen`` (`posemamba.Trust`).

    Args:
        path: the file.
        motion: the motion of the angles, F frames.
        angles: name to (F,) degrees, the column ``NAME_deg``.
        errors: of the same names (`posemamba.angle_errors`); behind each angle come ``NAME_error_deg``, the expected
            absolute error, and ``NAME_note``: ``untrusted`` where the frame is not to be trusted, ``guessed`` where the
            detector is not sure of a joint of the angle, ``edge-on`` where the picture hardly tells the angle,
            ``unseen`` or ``undefined`` where it is blank. None: without these columns.
    """
    times = motion.frame_times()
    trust = motion.trust
    names, columns = [], []
    if trust is not None:
        names.append("trust_level")
        columns.append([str(level) for level in trust.levels.tolist()])
    for name, values in angles.items():
        names.append(f"{name}_deg")
        columns.append(_cells(values, 3))
        if errors is not None:
            names += [f"{name}_error_deg", f"{name}_note"]
            columns += [_cells(errors[name].degrees, 1), errors[name].notes(None if trust is None else trust.levels)]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(["frame", "time_s", "seen", *names]) + "\n")
        for i, row in enumerate(zip(*columns, strict=True)):
            file.write(f"{i},{times[i]:.6f},{int(motion.seen[i])}," + ",".join(row) + "\n")


def _cells(values: NDArray[np.floating], decimals: int) -> list[str]:
    """Format numbers (F,), NaN as nothing."""
    return ["" if v != v else f"{v:.{decimals}f}" for v in np.asarray(values, dtype=np.float64).tolist()]
