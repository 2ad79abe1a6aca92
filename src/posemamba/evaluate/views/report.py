"""The scores of a lifter on calibrated views, as tables and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posemamba.evaluate.views.scores import AngleErrors, PoseErrors, mean
from posemamba.utils.files import atomic_path

_SHIFTED = 0.005
"""Share of the picture's longer side; a larger shift of a view is reported."""


@dataclass(frozen=True)
class PixelErrors:
    """The distances of the detector's 2D joints from the reference's projections, in pixels."""

    mean: float
    median: float
    q95: float


@dataclass(frozen=True)
class ViewScore:
    """The scores of a view.

    Attributes:
        name, camera: of the video, and in the calibration.
        image_size: (width, height) of its pictures in pixels.
        person: number of the scored person in the view.
        fov_deg, assumed_fov_deg: horizontal field of view, the camera's and the one that lifting assumed.
        scored: share of the scored joints of all frames for which there is a reference.
        reference_views: mean number of views that agree on a joint of the reference.
        reference_error_mm: mean distance of these views' rays from the joint.
        shift_px: by which all joints of the view lay beside the reference; taken out.
        pixels: of the detector.
        errors, angles: of lifting; an angle's by its name without side.
        perfect_2d, perfect_2d_angles: of lifting the reference's projections.
        perfect_depth: of the detector's 2D joints at the reference's depths.
    """

    name: str
    camera: str
    image_size: tuple[int, int]
    person: int
    fov_deg: float
    assumed_fov_deg: float
    scored: float
    reference_views: float
    reference_error_mm: float
    shift_px: tuple[float, float]
    pixels: PixelErrors
    errors: PoseErrors
    perfect_2d: PoseErrors
    perfect_depth: PoseErrors
    angles: dict[str, AngleErrors]
    perfect_2d_angles: dict[str, AngleErrors]


@dataclass(frozen=True)
class ViewsResult:
    """The scores of a lifter on the views of a folder.

    Attributes:
        name: the lifter's name.
        flip: True for test-time flip.
        frames, fps: of the views.
        calibration: the file's name.
        joints_from: by view, the detector or the file.
        aligned: shifts of the pictures were fitted.
        notes: what was assumed or left out, a line each.
        views: the scores of those views that show the person.
    """

    name: str
    flip: bool
    frames: int
    fps: float
    calibration: str
    joints_from: dict[str, str]
    aligned: bool
    notes: tuple[str, ...]
    views: tuple[ViewScore, ...]

    def mean(self, value: Callable[[ViewScore], float]) -> float:
        """Return the mean of a number over the views that have it."""
        return mean([value(view) for view in self.views])

    def table(self) -> str:
        """Format the tables: a line for each view and the mean, by joint, by angle."""
        return "\n\n".join([self._head(), self._views(), self._joints(), self._angles()])

    def _head(self) -> str:
        sources = dict.fromkeys(self.joints_from.values())
        lines = [
            f"{self.name}: {len(self.views)} calibrated views of one person, {self.frames} frames at {self.fps:.4g} a "
            f"second{', test-time flip' if self.flip else ''}; cameras of {self.calibration}",
            f"2D joints: {'; '.join(sources)}",
            "each view lifted alone; reference: the other views, triangulated; errors in mm relative to the pelvis",
            *(f"note: {note}" for note in self.notes),
        ]
        lines += [
            f"note: {view.name}: all joints lie {view.shift_px[0]:+.0f}, {view.shift_px[1]:+.0f} pixels beside the "
            "reference, taken out: its calibration, or that of the others, is not exact"
            for view in self.views
            if math.hypot(*view.shift_px) > _SHIFTED * max(view.image_size)
        ]
        return "\n".join(lines)

    def _views(self) -> str:
        columns: list[tuple[str, str, Callable[[ViewScore], float], str]] = [
            *_three("lifted", lambda v: v.errors),
            *_three("with perfect 2D", lambda v: v.perfect_2d),
            *_three("with perfect depth", lambda v: v.perfect_depth),
            ("2D joints off, px", "mean", lambda v: v.pixels.mean, ".1f"),
            ("2D joints off, px", "95 %", lambda v: v.pixels.q95, ".1f"),
            ("reference", "scored %", lambda v: 100 * v.scored, ".1f"),
            ("reference", "views", lambda v: v.reference_views, ".1f"),
            ("reference", "mm", lambda v: v.reference_error_mm, ".1f"),
            ("", "scale", lambda v: v.errors.scale, ".3f"),
        ]
        groups = list(dict.fromkeys(group for group, _, _, _ in columns))
        rows = [["view", *(name for _, name, _, _ in columns)]]
        for view in self.views:
            rows.append([view.name, *(_number(value(view), style) for _, _, value, style in columns)])
        rows.append(["mean", *(_number(self.mean(value), style) for _, _, value, style in columns)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for group in groups:  # wide enough for the group's title
            own = [i for i, (of, _, _, _) in enumerate(columns, start=1) if of == group]
            widths[own[-1]] += max(0, len(group) - sum(widths[i] + 1 for i in own) + 1)
        parts = [[0], *([i for i, (of, _, _, _) in enumerate(columns, start=1) if of == group] for group in groups)]
        titles = ["", *groups]
        lines = [
            " | ".join(
                f"{title:<{sum(widths[i] for i in part) + len(part) - 1}}"
                for title, part in zip(titles, parts, strict=True)
            ).rstrip()
        ]
        for row in rows:
            cells = [f"{row[i]:<{widths[i]}}" if i == 0 else f"{row[i]:>{widths[i]}}" for i in range(len(row))]
            lines.append(" | ".join(" ".join(cells[i] for i in part) for part in parts))
        return "\n".join(lines)

    def _joints(self) -> str:
        rows = [["P1 by joint, mm", *(view.name for view in self.views), "mean", "with perfect 2D"]]
        for joint in self.views[0].errors.joints:
            each = [view.errors.joints[joint] for view in self.views]
            perfect = self.mean(lambda view, joint=joint: view.perfect_2d.joints[joint])  # type: ignore[misc]
            rows.append([joint.replace("_", " "), *(_number(v) for v in (*each, mean(each), perfect))])
        return _aligned(rows)

    def _angles(self) -> str:
        names = list(dict.fromkeys(name for view in self.views for name in view.angles))
        rows = [["angles, degrees: error (bias)", *(view.name for view in self.views), "mean", "with perfect 2D"]]
        for name in names:
            rows.append(
                [
                    name.replace("_", " "),
                    *(_angle([view.angles.get(name)]) for view in self.views),
                    _angle([view.angles.get(name) for view in self.views]),
                    _angle([view.perfect_2d_angles.get(name) for view in self.views]),
                ]
            )
        return _aligned(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers for JSON; what is not known is None."""
        views: dict[str, Callable[[ViewScore], float]] = {
            "p1": lambda v: v.errors.p1,
            "p2": lambda v: v.errors.p2,
            "depth": lambda v: v.errors.depth,
            "perfect_2d_p1": lambda v: v.perfect_2d.p1,
            "perfect_2d_p2": lambda v: v.perfect_2d.p2,
            "perfect_2d_depth": lambda v: v.perfect_2d.depth,
            "perfect_depth_p1": lambda v: v.perfect_depth.p1,
            "perfect_depth_p2": lambda v: v.perfect_depth.p2,
            "pixels": lambda v: v.pixels.mean,
        }
        content = {
            "format": "posemamba-views-1",
            **asdict(self),
            "mean": {name: self.mean(value) for name, value in views.items()},
        }
        plain: dict[str, Any] = _plain(content)
        return plain

    def save_json(self, path: str | Path) -> None:
        """Write all numbers as JSON."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _three(
    group: str, errors: Callable[[ViewScore], PoseErrors]
) -> list[tuple[str, str, Callable[[ViewScore], float], str]]:
    return [
        (group, "P1", lambda view: errors(view).p1, ".1f"),
        (group, "P2", lambda view: errors(view).p2, ".1f"),
        (group, "depth", lambda view: errors(view).depth, ".1f"),
    ]


def _number(value: float, style: str = ".1f") -> str:
    return format(value, style) if math.isfinite(value) else "-"


def _angle(each: Sequence[AngleErrors | None]) -> str:
    known = [one for one in each if one is not None]
    if not known:
        return "-"
    return f"{mean([one.error for one in known]):.1f} ({mean([one.bias for one in known]):+.1f})"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _plain(value: Any) -> Any:
    """Replace numbers that JSON does not have by None."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
