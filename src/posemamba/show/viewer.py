"""A web page that shows a clip's 2D keypoints and 3D poses: one file, opened from disk, with no network."""

from __future__ import annotations

import base64
import html
import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.files import atomic_path
from posemamba.poses import Motion3D, Poses3D, Progress
from posemamba.show.people import as_people

_UNSEEN = -32768  # int16 marks of the page's script
_MISSING = 65535


Angles = Mapping[str, NDArray[np.floating]]
"""Joint angles of one person over time: name, e.g. ``left_knee_flexion``, to (F,) degrees, NaN where not known."""


def write_viewer(
    path: str | Path,
    poses: Poses3D | Sequence[Poses3D],
    *,
    title: str = "",
    motions: Motion3D | Sequence[Motion3D] | None = None,
    video: str | Path | None = None,
    angles: Angles | Sequence[Angles] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write one self-contained HTML page with an interactive view of `poses`.

    Coordinates are stored as 16-bit integers: the rounding is 1/65,534 of the clip's extent, some hundredths
    of a pixel. A frame takes about 250 bytes; the page itself 30 kB.

    Args:
        path: the .html file to write.
        poses: F frames; frames that were not seen are shown as such.
        title: heading of the page; any text is safe. Empty means the source's name.

    Raises:
        ValueError: there are no frames.
    """
    people = as_people(poses)
    poses = people[0]
    source = Path(poses.keypoints.source).name
    title = title or source or "3D pose"
    about = [
        source if source != title else "",
        f"model {poses.model}" if poses.model else "",
        f"{len(poses)} frames",
        f"{poses.fps:.4g} frames/s",
    ]
    texts = {"title": title, "about": " · ".join(part for part in about if part)}
    parts = {"title": html.escape(title), "data": _embedded({**texts, **_page_data(poses)})}
    template = importlib.resources.files(__package__).joinpath("viewer.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(title|data)\}\}", lambda match: parts[match[1]], template)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page_data(poses: Poses3D) -> dict[str, object]:
    keypoints, frames = poses.keypoints, len(poses)
    seen = poses.seen & np.isfinite(poses.xyz).all((1, 2))
    xyz = np.where(seen[:, None, None], poses.xyz, 0).astype(np.float64)
    xyz_step = float(np.abs(xyz).max()) / 32767 or 1.0
    whole = np.where(seen[:, None, None], np.round(xyz / xyz_step), _UNSEEN)

    found = keypoints.found
    xy = keypoints.xy.astype(np.float64)
    start = xy[found].min(0) if found.any() else np.zeros(2)
    xy_step = float((xy[found] - start).max(initial=0)) / (_MISSING - 1) or 1.0
    flat = np.where(found[..., None], np.round((np.where(found[..., None], xy, start) - start) / xy_step), _MISSING)

    return {
        "frames": frames,
        "fps": float(poses.fps),
        "image_size": [int(n) for n in keypoints.image_size],
        "joints": list(poses.skeleton.joints),
        "parents": list(poses.skeleton.parents),
        "sides": [name.startswith("left") - name.startswith("right") for name in poses.skeleton.joints],
        "xyz": _packed(whole, "<i2"),
        "xyz_step": xyz_step,
        "xy": _packed(flat, "<u2"),
        "xy_start": start.tolist(),
        "xy_step": xy_step,
        "confidence": _packed(np.round(np.clip(np.nan_to_num(poses.confidence), 0, 1) * 255), "u1"),
        "times": _packed(keypoints.frame_times(), "<f8"),
    }


def _packed(array: NDArray[np.generic], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(dtype).tobytes()).decode("ascii")


def _embedded(data: dict[str, object]) -> str:
    """JSON that is safe between script tags: no character in it can end the element or start a comment."""
    text = json.dumps(data, allow_nan=False)  # ASCII: other characters are escaped already
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
