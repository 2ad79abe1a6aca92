"""Several people in one picture: their places and colours.

Shapes: P people, F frames, J = 17 joints.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET, FEET_BONES, H36M17
from posemamba.utils.errors import PoseMambaError

Colour = tuple[int, int, int]
Sides = tuple[Colour, Colour, Colour]
"""Colours of (left, right, middle)."""

# blue and orange are distinguished by all common kinds of colour vision
ONE_ON_PAPER: Sides = ((0, 104, 168), (207, 82, 0), (74, 79, 89))
ONE_ON_VIDEO: Sides = ((60, 170, 255), (255, 140, 30), (240, 240, 240))

# hue and saturation, neighbours far apart; left and right differ in lightness, visible to all colour vision
_HUES = ((212, 0.85), (24, 0.95), (150, 0.75), (290, 0.60), (48, 0.95), (338, 0.75), (184, 0.90), (220, 0.12))


BONES = (*H36M17.bones, *FEET_BONES)
"""(start, end) of the bones to draw, heels and foot tips following the 17 joints; from `len(H36M17.bones)` on thin."""


@dataclass(frozen=True)
class Points:
    """One person's joints, and heels and foot tips behind them, N = 21; without feet N = 17.

    Attributes:
        xyz: (F, N, 3) metres from the pelvis, x right, y down, z away, NaN where a point is not known.
        xy: (F, N, 2) pixels, NaN where a point was not found.
        confidence: (F, N) from 0 to 1.
    """

    xyz: NDArray[np.float32]
    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]


def have_feet(people: Sequence[Poses3D]) -> bool:
    """Tell whether a heel or foot tip was found of anybody."""
    return any(p.feet is not None and bool(np.isfinite(p.feet).any()) for p in people)


def points_of(poses: Poses3D, feet: bool) -> Points:
    """Return what to draw of a person; with `feet`, N = 21 also if this person has none."""
    keypoints = poses.keypoints
    xyz = from_pelvis(poses, feet)
    if not feet:
        return Points(xyz, keypoints.xy, poses.confidence)
    xy, sure = np.full((len(poses), len(FEET), 2), np.nan, np.float32), np.zeros((len(poses), len(FEET)), np.float32)
    if keypoints.feet is not None:
        xy, sure = keypoints.feet.xy, keypoints.feet.confidence
    return Points(xyz, np.concatenate([keypoints.xy, xy], 1), np.concatenate([poses.confidence, sure], 1))


def from_pelvis(poses: Poses3D, feet: bool = False) -> NDArray[np.float32]:
    """Return (F, N, 3) metres from the pelvis, x right, y down, z away; upright if the poses are in the world."""
    xyz = with_feet(poses, poses.xyz) if feet else poses.xyz
    xyz = xyz - poses.xyz[:, :1]
    return np.stack([xyz[..., 0], -xyz[..., 2], xyz[..., 1]], -1) if poses.frame == "world" else xyz


def with_feet(poses: Poses3D, xyz: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put a person's heels and foot tips behind their joints, (F, 21, 3); NaN where they are not known."""
    none = np.full((len(xyz), len(FEET), 3), np.nan, np.float32)
    return np.concatenate([xyz, none if poses.feet is None else poses.feet], 1)


def as_people(poses: Poses3D | Sequence[Poses3D]) -> tuple[Poses3D, ...]:
    """Return one or several people as a tuple, after a check that they are of one clip.

    Raises:
        ValueError: there is nobody, or no frame.
        PoseMambaError: people have different numbers of frames or image sizes, or are in different frames of reference.
    """
    people = (poses,) if isinstance(poses, Poses3D) else tuple(poses)
    if not people:
        raise ValueError("there is nobody to show")
    first = people[0]
    if len(first) == 0:
        raise ValueError("there are no frames to show")
    for other in people[1:]:
        for what, a, b in (
            ("frames", len(first), len(other)),
            ("image size", first.keypoints.image_size, other.keypoints.image_size),
            ("axes", first.frame, other.frame),
        ):
            if a != b:
                raise PoseMambaError(
                    f"{other.keypoints.source or 'poses'}: {what} of person {other.keypoints.person} are {b}, those of "
                    f"person {first.keypoints.person} {a}; show people of one clip together"
                )
    return people


def numbers(people: Sequence[Poses3D]) -> list[int]:
    """Return the people's numbers in their source, (P,), or 1 to P if these are not unique."""
    given = [p.keypoints.person for p in people]
    return given if len(set(given)) == len(given) else list(range(1, len(people) + 1))


def side_by_side(people: Sequence[Poses3D]) -> list[NDArray[np.float64]]:
    """Return the people's places in a row, (P,) shifts (3,) in metres, ordered as in the image, feet on one level."""
    if len(people) == 1:
        return [np.zeros(3)]
    boxes, middles = [], []
    for person in people:
        xyz = from_pelvis(person)[person.seen & np.isfinite(person.xyz).all((1, 2))].astype(np.float64)
        if not len(xyz):
            xyz = np.array([[[-0.3, -0.9, 0], [0.3, 0.9, 0]]])
        boxes.append(np.percentile(xyz.reshape(-1, 3), [0.5, 99.5], axis=0))
        xy = person.keypoints.xy[:, 0, 0]
        middles.append(float(np.median(xy[np.isfinite(xy)])) if np.isfinite(xy).any() else 0.0)
    box = np.array(boxes)
    gap = 0.12 * float((box[:, 1, 1] - box[:, 0, 1]).max())
    floor = float(box[:, 1, 1].max())
    order, shifts, edge = np.argsort(middles, kind="stable"), np.zeros(len(people)), 0.0
    for i in order:
        shifts[i] = edge - box[i, 0, 0]
        edge += box[i, 1, 0] - box[i, 0, 0] + gap
    shifts -= (edge - gap) / 2
    return [np.array([x, floor - low, 0.0]) for x, low in zip(shifts, box[:, 1, 1], strict=True)]


def _shade(hue: float, saturation: float, lightness: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
    return round(255 * red), round(255 * green), round(255 * blue)


def colours(count: int, *, dark: bool) -> list[Sides]:
    """Return the colours of people's sides, (P,), for a dark background (a video) or a light one.

    One person is blue on the left and orange on the right. Several people have a hue each, of eight that repeat; the
    left side is the darker shade, the right the lighter one.
    """
    if count == 1:
        return [ONE_ON_VIDEO if dark else ONE_ON_PAPER]
    left, right, middle = (0.52, 0.82, 0.67) if dark else (0.30, 0.64, 0.46)
    hues = [_HUES[i % len(_HUES)] for i in range(count)]
    return [(_shade(h, s, left), _shade(h, s, right), _shade(h, s, middle)) for h, s in hues]
