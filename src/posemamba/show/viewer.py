"""The viewer: a web page of a clip's 2D keypoints and 3D poses, in one file that needs no network.

Shapes: P people, F frames, J = 17 joints.
"""

from __future__ import annotations

import base64
import html
import importlib.resources
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET, FEET_BONES
from posemamba.show.people import (
    Colour,
    as_people,
    colours,
    have_feet,
    numbers,
    points_of,
    side_by_side,
    with_feet,
)
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from posemamba.refine.angle_accuracy import AngleError

_UNSEEN = -32768  # the page's int16 mark of a value that was not seen
_MISSING = 65535
PICTURE_HEIGHT = 240  # pixels of an embedded picture
MOST_PICTURES = 1500  # 10 to 20 kB each; for a long clip every second, third, ... frame is embedded

Angles = Mapping[str, NDArray[np.floating]]
"""Joint angles of one person over time: name, e.g. ``left_knee_flexion``, to (F,) degrees, NaN where not known. An
angle whose name begins with a joint's name is shown when that joint is picked."""
AngleErrors: TypeAlias = "Mapping[str, AngleError]"
"""Expected errors of one person's angles, by the angles' names."""


def write_viewer(
    path: str | Path,
    poses: Poses3D | Sequence[Poses3D],
    *,
    title: str = "",
    video: str | Path | None = None,
    angles: Angles | Sequence[Angles] | None = None,
    angle_errors: AngleErrors | Sequence[AngleErrors] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write one self-contained HTML page with an interactive view of `poses`.

    Coordinates are stored as 16-bit integers: the rounding is 1/65,534 of the extent, some hundredths of a pixel or of
    a millimetre. A frame of a person takes about 270 bytes, and 50 more with expected errors; the page itself 55 kB.

    Args:
        path: the .html file to write.
        poses: one person, or several of one clip, of F frames each; frames that were not seen are shown as such.
            Expected errors, where there are any, can be shown as discs around the joints and over time.
        title: heading of the page; any text is safe. Empty means the source's name.
        video: the video that the poses come from; small pictures of its frames are embedded in the page (10 to 20 kB
            each, at most 1,500 of them). Without it, the page's user can still open a video from their disk.
        angles: joint angles of each person, in the same order, to plot.
        angle_errors: the expected errors of these angles (`posemamba.angle_errors`), drawn around the curves, and the
            frames in which the picture hardly tells an angle.
        progress: called as progress(frames of the video done, F).

    Raises:
        PoseMambaError: people or angles do not belong together; the video cannot be read or has too few
            frames.
        ValueError: there is nobody, or no frame.
    """
    people = as_people(poses)
    turned = [] if angles is None else [angles] if isinstance(angles, Mapping) else list(angles)
    off = [] if angle_errors is None else [angle_errors] if isinstance(angle_errors, Mapping) else list(angle_errors)
    _check(people, turned, off)
    first = people[0]
    source = Path(first.keypoints.source).name
    title = title or source or "3D pose"
    about = [
        source if source != title else "",
        f"model {first.model}" if first.model else "",
        f"{len(people)} people" if len(people) > 1 else "",
        f"{len(first)} frames",
        f"{first.fps:.4g} frames/s",
    ]
    strip, pictures = ("", None) if video is None else _pictures(video, first, progress)
    data = {
        "title": title,
        "about": " · ".join(part for part in about if part),
        **_page_data(people, turned, off),
        "pictures": pictures,
    }
    parts = {"title": html.escape(title), "data": _embedded(data), "pictures": strip}
    template = importlib.resources.files(__package__).joinpath("viewer.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(title|data|pictures)\}\}", lambda match: parts[match[1]], template)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _check(people: Sequence[Poses3D], angles: Sequence[Angles], errors: Sequence[AngleErrors]) -> None:
    name = people[0].keypoints.source or "poses"
    frames = len(people[0])
    if angles and len(angles) != len(people):
        raise PoseMambaError(f"{name}: angles of {len(angles)} people for {len(people)}; give one for each")
    if errors and len(errors) != len(angles):
        raise PoseMambaError(
            f"{name}: errors of the angles of {len(errors)} people for {len(angles)}; give all or none"
        )
    for own in angles:
        for angle, values in own.items():
            if np.shape(values) != (frames,):
                raise PoseMambaError(
                    f"{name}: angle '{angle}' has the shape {np.shape(values)}, expected ({frames},), one a frame"
                )


def _page_data(people: Sequence[Poses3D], angles: Sequence[Angles], errors: Sequence[AngleErrors]) -> dict[str, object]:
    first = people[0]
    shades = zip(colours(len(people), dark=False), colours(len(people), dark=True), strict=True)
    feet = have_feet(people)
    joints = (*first.skeleton.joints, *(FEET if feet else ()))
    parents = (*first.skeleton.parents, *((start for start, _ in FEET_BONES) if feet else ()))
    entries = []
    for i, (person, number, place, (light, dark)) in enumerate(
        zip(people, numbers(people), side_by_side(people), shades, strict=True)
    ):
        entries.append(
            {
                "number": str(number),
                "colours": {"light": [_css(c) for c in light], "dark": [_css(c) for c in dark]},
                **_lifted(person, place, feet),
                "angles": [
                    _angle(name, values, errors[i].get(name) if errors else None) for name, values in angles[i].items()
                ]
                if angles
                else [],
            }
        )
    return {
        "frames": len(first),
        "fps": float(first.fps),
        "image_size": [int(n) for n in first.keypoints.image_size],
        "frame": first.frame,
        "joints": list(joints),
        "parents": list(parents),
        "body": len(first.skeleton),
        "sides": [name.startswith("left") - name.startswith("right") for name in joints],
        "times": _packed(first.keypoints.frame_times(), "<f8"),
        "people": entries,
    }


def _lifted(poses: Poses3D, place: NDArray[np.float64], feet: bool) -> dict[str, object]:
    points = points_of(poses, feet)
    seen = poses.seen & np.isfinite(poses.xyz).all((1, 2))
    xyz, root = with_feet(poses, poses.xyz) if feet else poses.xyz, np.where(seen[:, None], poses.xyz[:, 0], 0)
    # relative to the pelvis, so that a long path does not make the steps coarse
    whole, step = _whole(xyz - root[:, None], seen)
    found = np.asarray(np.isfinite(points.xy).all(-1))
    xy = points.xy.astype(np.float64)
    start = xy[found].min(0) if found.any() else np.zeros(2)
    xy_step = float((xy[found] - start).max(initial=0)) / (_MISSING - 1) or 1.0
    flat = np.where(found[..., None], np.round((np.where(found[..., None], xy, start) - start) / xy_step), _MISSING)
    return {
        "place": place.tolist(),
        "root": _packed(root, "<f4"),
        "xyz": _packed(whole, "<i2"),
        "xyz_step": step,
        "xy": _packed(flat, "<u2"),
        "xy_start": start.tolist(),
        "xy_step": xy_step,
        "confidence": _packed(np.round(np.clip(np.nan_to_num(points.confidence), 0, 1) * 255), "u1"),
        **_expected(poses.expected_error, seen, feet),
    }


def _expected(errors: NDArray[np.floating] | None, seen: NDArray[np.bool_], feet: bool) -> dict[str, object]:
    """Return the page's data of (F, J) expected errors in the unit of the joints; empty if unknown.

    With `feet` these follow the joints, without a number.
    """
    if errors is None:
        return {}
    if feet:
        errors = np.concatenate([errors, np.full((len(errors), len(FEET)), np.nan)], 1)
    known = np.isfinite(errors) & seen[:, None]
    if not known.any():
        return {}
    step = float(errors[known].max()) / (_MISSING - 1) or 1.0
    whole = np.where(known, np.round(np.where(known, errors, 0) / step), _MISSING)
    return {"expected": _packed(whole, "<u2"), "expected_step": step}


def _whole(xyz: NDArray[np.floating], seen: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Quantise (F, J, 3) to whole multiples of a step, which is returned too; points that are not known are marked."""
    there = seen[:, None, None] & np.isfinite(xyz).all(-1, keepdims=True)
    known = np.where(there, xyz, 0).astype(np.float64)
    step = float(np.abs(known).max()) / 32767 or 1.0
    return np.where(there, np.round(known / step), _UNSEEN), step


def _angle(name: str, values: NDArray[np.floating], error: AngleError | None) -> dict[str, object]:
    known = np.isfinite(values)
    step = float(np.abs(values[known]).max(initial=0)) / 32767 or 1.0
    whole = np.where(known, np.round(np.where(known, values, 0) / step), _UNSEEN)
    data: dict[str, object] = {"name": str(name), "values": _packed(whole, "<i2"), "step": step}
    if error is None:
        return data
    told = np.isfinite(error.degrees)
    if told.any():  # tenths of a degree
        data["errors"] = _packed(np.where(told, np.round(np.where(told, error.degrees, 0) * 10), _MISSING), "<u2")
    if error.edge_on.any():
        data["edge_on"] = _packed(error.edge_on, "u1")
    return data


def _pictures(video: str | Path, poses: Poses3D, progress: Progress | None) -> tuple[str, dict[str, object]]:
    """Return the video's frames as small consecutive JPEGs in base64, and the data to separate them."""
    from posemamba.io.video.clip import beginning_at
    from posemamba.io.video.reading import read_frames

    require("PIL", "video")
    from PIL import Image

    frames = len(poses)
    every = math.ceil(frames / MOST_PICTURES)
    files: list[bytes] = []
    done = 0
    for frame in read_frames(beginning_at(video, float(poses.frame_times()[0]), poses.fps)):
        if frame.index >= frames:
            break
        done = frame.index + 1
        if frame.index % every == 0:
            height, width = frame.rgb.shape[:2]
            scale = min(1.0, PICTURE_HEIGHT / height)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            buffer = io.BytesIO()
            Image.fromarray(frame.rgb).resize(size, Image.Resampling.BOX).save(buffer, "JPEG", quality=55)
            files.append(buffer.getvalue())
        if progress is not None:
            progress(done, frames)
    if done < frames:
        raise PoseMambaError(
            f"{video}: has {done} frames, but there are poses for {frames}; "
            "give the video that the poses were made from"
        )
    sizes = np.array([len(file) for file in files])
    return base64.b64encode(b"".join(files)).decode("ascii"), {"every": every, "sizes": _packed(sizes, "<u4")}


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _packed(array: NDArray[np.generic], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(dtype).tobytes()).decode("ascii")


def _embedded(data: dict[str, object]) -> str:
    """Format JSON that is safe between script tags: no character in it can end the element or start a comment."""
    text = json.dumps(data, allow_nan=False)  # ASCII: other characters are escaped already
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
