"""The data of the viewer's page: 2D keypoints, 3D poses, angles and trust as JSON with packed arrays.

Shapes: P people, F frames, J = 17 joints, or 21 with heels and foot tips.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET, FEET_BONES
from posemamba.show.people import Colour, colours, have_feet, numbers, points_of, side_by_side, with_feet
from posemamba.utils.blocks import in_blocks

if TYPE_CHECKING:
    from posemamba.refine.angle_accuracy import AngleError

_UNSEEN = -32768  # the page's int16 mark of a value that was not seen
_MISSING = 65535

Angles = Mapping[str, NDArray[np.floating]]
"""Joint angles of one person over time: name, e.g. ``left_knee_flexion``, to (F,) degrees, NaN where not known. An
angle whose name begins with a joint's name is shown when that joint is picked; those of left and right together."""
AngleErrors: TypeAlias = "Mapping[str, AngleError]"
"""Expected errors of one person's angles, by the angles' names."""
Trust: TypeAlias = Mapping[str, Any]
"""How far one person's poses can be trusted: ``word``, ``sentence``, ``reasons`` and ``stretches``, a list of
[first frame, last frame, level, reason] with level 1 to look at, 2 not to be trusted."""


def page_data(
    people: Sequence[Poses3D], angles: Sequence[Angles], errors: Sequence[AngleErrors], trust: Sequence[Trust]
) -> dict[str, object]:
    """Return the data of a clip; `angles`, `errors` and `trust` are empty or have an entry for each person."""
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
                "trust": _trust(trust[i]) if trust else None,
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


def _trust(trust: Trust) -> dict[str, object]:
    return {
        "word": str(trust["word"]),
        "sentence": str(trust["sentence"]),
        "reasons": [str(reason) for reason in trust["reasons"]],
        "stretches": [
            [int(first), int(last), int(level), str(reason)] for first, last, level, reason in trust["stretches"]
        ],
    }


def _lifted(poses: Poses3D, place: NDArray[np.float64], feet: bool) -> dict[str, object]:
    points = points_of(poses, feet)
    seen = poses.seen & np.isfinite(poses.xyz).all((1, 2))
    xyz, root = with_feet(poses, poses.xyz) if feet else poses.xyz, np.where(seen[:, None], poses.xyz[:, 0], 0)
    # relative to the pelvis, so that a long path does not make the steps coarse
    whole, step = _whole(xyz - root[:, None], seen)
    found = np.asarray(np.isfinite(points.xy).all(-1))
    start = points.xy[found].min(0).astype(np.float64) if found.any() else np.zeros(2)
    xy_step = float((points.xy[found].max(0) - start).max()) / (_MISSING - 1) or 1.0 if found.any() else 1.0

    def quantise(xy: NDArray[np.floating]) -> NDArray[np.uint16]:
        there = np.isfinite(xy).all(-1, keepdims=True)
        return np.where(there, np.round((np.where(there, xy, start) - start) / xy_step), _MISSING).astype("<u2")

    flat = in_blocks(quantise, points.xy)
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


def _whole(xyz: NDArray[np.floating], seen: NDArray[np.bool_]) -> tuple[NDArray[np.int16], float]:
    """Quantise (F, J, 3) to whole multiples of a step, which is returned too; points that are not known are marked."""
    there = seen[:, None, None] & np.isfinite(xyz).all(-1, keepdims=True)
    known = np.where(there, xyz, 0)
    step = float(np.abs(known).max()) / 32767 or 1.0

    def quantise(known: NDArray[np.floating], there: NDArray[np.bool_]) -> NDArray[np.int16]:
        return np.where(there, np.round(known.astype(np.float64) / step), _UNSEEN).astype("<i2")

    return in_blocks(quantise, known, there), step


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


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _packed(array: NDArray[np.generic], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(dtype).tobytes()).decode("ascii")
